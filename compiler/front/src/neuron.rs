//! Neurons: named constants of the models, their ranges, and the general form `h = a·v + b·x + c` they become.

use crate::args::Range;
use crate::ast::{Arg, Call, Expr, ExprKind};
use crate::diagnostic::Diagnostic;
use crate::eval::Expander;
use crate::expand::unknown_argument;
use crate::layers::Spec;
use crate::model::NeuronLayer;
use crate::near::nearest;
use crate::program::MODELS;
use crate::resolve;
use crate::slug::Slug;
use crate::span::Span;
use crate::value::Value;
use snnc_ir::{Compare, Lif, Reset, Save, Surrogate};

/// A constant, and whether it is only the initial value of a learned one.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Constant {
    value: f64,
    learned: bool,
}

impl Constant {
    fn fixed(value: f64) -> Constant {
        Constant { value, learned: false }
    }
}

/// What a neuron forgets per timestep.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Leak {
    /// A time constant: `a = 1 − 1/τ`, towards the reset value.
    Tau(Constant),
    /// The factor `a` itself, towards 0.
    Decay(Constant),
    /// Nothing: integrate and fire.
    Never,
}

/// A neuron as the file describes it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Style {
    leak: Leak,
    decay_input: Option<bool>,
    gain: Option<Constant>,
    current: Option<f64>,
    threshold: Constant,
    reset: Reset,
    detach: bool,
    compare: Compare,
    surrogate: Surrogate,
    per_channel: bool,
}

/// The fields of a neuron, in the order of the reference.
const FIELDS: [&str; 11] = [
    "tau",
    "decay",
    "decay_input",
    "gain",
    "current",
    "threshold",
    "reset",
    "detach_reset",
    "compare",
    "surrogate",
    "per",
];

impl Style {
    /// The defaults of a model: those of SpikingJelly.
    fn of_model(name: &str) -> Option<Style> {
        let leak = match name {
            "LIF" => Leak::Tau(Constant::fixed(2.0)),
            "IF" => Leak::Never,
            _ => return None,
        };
        Some(Style {
            leak,
            decay_input: None,
            gain: None,
            current: None,
            threshold: Constant::fixed(1.0),
            reset: Reset::Hard(0.0),
            detach: false,
            compare: Compare::Ge,
            surrogate: Surrogate::Sigmoid(4.0),
            per_channel: false,
        })
    }

    /// The general form: `a` and `c` follow from the leak, `b` from `gain` or `decay_input`.
    fn layer(&self) -> NeuronLayer {
        let (decay, share) = match self.leak {
            Leak::Tau(tau) => (1.0 - 1.0 / tau.value, 1.0 / tau.value),
            Leak::Decay(decay) => (decay.value, 1.0 - decay.value),
            Leak::Never => (1.0, 1.0),
        };
        let towards_reset = matches!(self.leak, Leak::Tau(_));
        let decay_input = self.decay_input.unwrap_or(towards_reset);
        let gain = self.gain.map_or(if decay_input { share } else { 1.0 }, |gain| gain.value);
        let rest = f64::from(self.reset.initial());
        let current = self.current.unwrap_or(if towards_reset { rest * share } else { 0.0 });
        NeuronLayer {
            lif: Lif {
                decay: decay as f32,
                gain: gain as f32,
                current: current as f32,
                threshold: self.threshold.value as f32,
                reset: self.reset,
                detach: self.detach,
                compare: self.compare,
                surrogate: self.surrogate,
                save: Save::Nothing,
            },
            learned: self.learned(),
            per_channel: self.per_channel,
        }
    }

    fn learned(&self) -> Vec<&'static str> {
        let leak = match self.leak {
            Leak::Tau(tau) => ("tau", tau.learned),
            Leak::Decay(decay) => ("decay", decay.learned),
            Leak::Never => ("decay", false),
        };
        let gain = ("gain", self.gain.is_some_and(|gain| gain.learned));
        let fields = [leak, gain, ("threshold", self.threshold.learned)];
        fields.into_iter().filter(|(_, learned)| *learned).map(|(field, _)| field).collect()
    }
}

impl<'p> Expander<'p> {
    /// Evaluates `neuron name = base(…)`; a fault leaves no style, and uses of the name are silent.
    pub fn define_neuron(&mut self, neuron: &'p crate::ast::Neuron) {
        let style = self.base(&neuron.base).and_then(|base| self.override_fields(base, &neuron.base, 0));
        self.neurons.insert(neuron.name.text.clone(), style);
    }

    /// A neuron applied to a tensor: the tensor first, fields by name.
    pub fn neuron_call(&mut self, call: &'p Call, piped: Option<(Value, Span)>) -> Option<(Spec, Value)> {
        let base = self.base(call);
        let (x, skip) = match (piped, call.args.first()) {
            (Some((value, _)), _) => (value, 0),
            (None, Some(Arg { name: None, value })) => (self.eval(value), 1),
            (None, _) => {
                let name = &call.name.text;
                let message = format!("`{name}` lacks the tensor it is applied to");
                let diagnostic = Diagnostic::error(Slug::MissingArgument, message);
                self.error(diagnostic.at(call.span, "").help(format!("write `x |> {name}`")));
                return None;
            }
        };
        let style = self.override_fields(base?, call, skip)?;
        let neuron = style.layer();
        // Fields in range may still combine to nothing: `decay: 1.0, decay_input: true`.
        if !(neuron.lif.gain.is_finite() && neuron.lif.gain > 0.0 && neuron.lif.current.is_finite()) {
            let message = format!("the input of `{}` has a weight of {}", call.name.text, neuron.lif.gain);
            let diagnostic = Diagnostic::error(Slug::BadValue, message).at(call.span, "must be above 0");
            self.error(diagnostic.help("set `decay_input: false`, or `gain`"));
            return None;
        }
        Some((Spec::Neuron(neuron), x))
    }

    fn base(&mut self, call: &Call) -> Option<Style> {
        let name = call.name.text.as_str();
        if let Some(style) = Style::of_model(name) {
            return Some(style);
        }
        if let Some(style) = self.neurons.get(name) {
            return style.clone();
        }
        let known = MODELS.into_iter().chain(self.neurons.keys().map(String::as_str));
        let diagnostic = resolve::unknown(name, call.name.span, known);
        self.error(diagnostic.help("a neuron is made from `LIF`, `IF`, or a neuron defined above"));
        None
    }

    /// The style with the fields that a call gives, all faults of a call in one go.
    fn override_fields(&mut self, mut style: Style, call: &'p Call, skip: usize) -> Option<Style> {
        let mut good = true;
        let mut seen: Vec<&str> = Vec::new();
        for arg in call.args.iter().skip(skip) {
            let Some(name) = &arg.name else {
                let diagnostic = unknown_argument(call, None, &FIELDS, arg.value.span);
                self.error(diagnostic.help("the fields of a neuron are given by name: `threshold: 1.0`"));
                good = false;
                continue;
            };
            if seen.contains(&name.text.as_str()) {
                let message = format!("`{}` of `{}` is given twice", name.text, call.name.text);
                self.error(Diagnostic::error(Slug::DuplicateArgument, message).at(name.span, "given again"));
                good = false;
            }
            seen.push(&name.text);
            good &= self.field(&mut style, call, &name.text, name.span, &arg.value).is_some();
        }
        if seen.contains(&"tau") && seen.contains(&"decay") {
            let message = "`tau` and `decay` say the same thing";
            let diagnostic = Diagnostic::error(Slug::DuplicateArgument, message).at(call.span, "");
            self.error(diagnostic.help("keep one: `decay` is `1 - 1/tau`"));
            good = false;
        }
        good.then_some(style)
    }

    fn field(
        &mut self,
        style: &mut Style,
        call: &Call,
        field: &str,
        span: Span,
        value: &'p Expr,
    ) -> Option<()> {
        match field {
            "tau" => style.leak = Leak::Tau(self.constant(value, "`tau`", Range::AboveOne)?),
            "decay" => style.leak = Leak::Decay(self.constant(value, "`decay`", Range::Unit)?),
            "decay_input" => style.decay_input = Some(self.boolean(value, "`decay_input`")?),
            "gain" => style.gain = Some(self.constant(value, "`gain`", Range::Positive)?),
            "current" => style.current = Some(self.real(value, "`current`", Range::Any)?),
            "threshold" => style.threshold = self.constant(value, "`threshold`", Range::Positive)?,
            "reset" => style.reset = self.reset(value)?,
            "detach_reset" => style.detach = self.boolean(value, "`detach_reset`")?,
            "compare" => style.compare = self.compare(value)?,
            "surrogate" => style.surrogate = self.surrogate(value)?,
            "per" => style.per_channel = self.word(value, "per", &["layer", "channel"])? == "channel",
            unknown => {
                let diagnostic = unknown_argument(call, Some(unknown), &FIELDS, span);
                self.error(diagnostic);
                return None;
            }
        }
        Some(())
    }

    /// A number, or `learn(number)`.
    fn constant(&mut self, value: &'p Expr, what: &str, range: Range) -> Option<Constant> {
        if let ExprKind::Call(call) = &value.kind
            && call.name.text == "learn"
        {
            let initial = self.only_argument(call, "an initial value")?;
            return Some(Constant { value: self.real(initial, what, range)?, learned: true });
        }
        Some(Constant::fixed(self.real(value, what, range)?))
    }

    /// The one argument, without a name or with any, of a word such as `learn` or `hard`.
    fn only_argument(&mut self, call: &'p Call, what: &str) -> Option<&'p Expr> {
        match call.args.as_slice() {
            [arg] => Some(&arg.value),
            args => {
                let slug = if args.is_empty() { Slug::MissingArgument } else { Slug::UnknownArgument };
                let message = format!("`{}` takes {what}", call.name.text);
                self.error(Diagnostic::error(slug, message).at(call.span, "one argument is expected"));
                None
            }
        }
    }

    /// `hard(v)`, `hard`, `soft` or `none`.
    fn reset(&mut self, value: &'p Expr) -> Option<Reset> {
        if let ExprKind::Call(call) = &value.kind
            && call.name.text == "hard"
        {
            let to = self.only_argument(call, "the value after a spike")?;
            return Some(Reset::Hard(self.real(to, "the reset value", Range::Any)? as f32));
        }
        Some(match self.word(value, "reset", &["hard", "soft", "none"])? {
            "hard" => Reset::Hard(0.0),
            "soft" => Reset::Soft,
            _ => Reset::None,
        })
    }

    fn compare(&mut self, value: &'p Expr) -> Option<Compare> {
        match self.eval(value) {
            Value::Text(text) if text == ">=" => Some(Compare::Ge),
            Value::Text(text) if text == ">" => Some(Compare::Gt),
            Value::Poison => None,
            other => {
                let message = format!("`compare` is \">=\" or \">\", found {other}");
                self.error(
                    Diagnostic::error(Slug::BadValue, message)
                        .at(value.span, "")
                        .help("write `compare: \">=\"`"),
                );
                None
            }
        }
    }

    /// A surrogate, with its constant or with the default one.
    fn surrogate(&mut self, value: &'p Expr) -> Option<Surrogate> {
        const NAMES: [&str; 4] = ["rectangle", "triangle", "sigmoid", "atan"];
        let (name, argument) = if let ExprKind::Call(call) = &value.kind
            && NAMES.contains(&call.name.text.as_str())
        {
            (call.name.text.as_str(), self.surrogate_argument(call)?)
        } else {
            (self.word(value, "surrogate", &NAMES)?, None)
        };
        let constant = match argument {
            Some(argument) => {
                Some(self.real(argument, &format!("the constant of `{name}`"), Range::Positive)? as f32)
            }
            None => None,
        };
        Some(match name {
            "rectangle" => Surrogate::Rectangle(constant.unwrap_or(1.0)),
            "triangle" => Surrogate::Triangle(constant.unwrap_or(1.0)),
            "sigmoid" => Surrogate::Sigmoid(constant.unwrap_or(4.0)),
            _ => Surrogate::Atan(constant.unwrap_or(2.0)),
        })
    }

    fn surrogate_argument(&mut self, call: &'p Call) -> Option<Option<&'p Expr>> {
        let formal = match call.name.text.as_str() {
            "rectangle" => "width",
            "triangle" => "gamma",
            _ => "alpha",
        };
        match call.args.as_slice() {
            [] => Some(None),
            [Arg { name, value }] if name.as_ref().is_none_or(|name| name.text == formal) => {
                Some(Some(value))
            }
            [Arg { name: Some(name), .. }] => {
                let diagnostic = unknown_argument(call, Some(&name.text), &[formal], name.span);
                self.error(diagnostic);
                None
            }
            [_, extra, ..] => {
                let diagnostic = unknown_argument(call, None, &[formal], extra.value.span);
                self.error(diagnostic);
                None
            }
            [Arg { name: None, .. }] => None,
        }
    }

    /// One of a few words.
    pub fn word(&mut self, value: &'p Expr, what: &str, words: &[&'static str]) -> Option<&'static str> {
        let found = value.as_name().unwrap_or("");
        if let Some(word) = words.iter().find(|word| **word == found) {
            return Some(word);
        }
        let message = format!("`{what}` is one of {}", words.join(", "));
        let diagnostic = Diagnostic::error(Slug::BadValue, message).at(value.span, "not one of them");
        self.error(match nearest(found, words.iter().copied()).filter(|_| !found.is_empty()) {
            Some(near) => diagnostic.help(format!("write `{near}`")),
            None => diagnostic,
        });
        None
    }
}
