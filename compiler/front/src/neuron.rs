//! Neurons: the fields of a call, their ranges and their faults.

use crate::args::Range;
use crate::ast::{Arg, Call, Expr, ExprKind};
use crate::diagnostic::Diagnostic;
use crate::eval::Expander;
use crate::expand::unknown_argument;
use crate::layers::Spec;
use crate::near::nearest;
use crate::program::MODELS;
use crate::resolve;
use crate::slug::Slug;
use crate::span::Span;
use crate::style::{Constant, Leak, Style};
use crate::surrogate;
use crate::value::Value;
use snnc_ir::{Compare, Reset, Surrogate};

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
        let help = "a neuron is made from `LIF`, `PLIF`, `IF`, or a neuron defined above";
        self.error(diagnostic.help(help));
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
            "tau" => {
                style.leak = Leak::Tau(self.leak(style, value, "`tau`", [Range::AboveOne; 2])?);
            }
            "decay" => {
                style.leak = Leak::Decay(self.leak(style, value, "`decay`", [Range::Unit, Range::Inside])?);
            }
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

    /// A number, or `learn(number)`. What is learned begins in the range.
    fn constant(&mut self, value: &'p Expr, what: &str, range: Range) -> Option<Constant> {
        self.constant_in(value, what, [range; 2])
    }

    /// The ranges are those of a fixed and of a learned number.
    fn constant_in(&mut self, value: &'p Expr, what: &str, ranges: [Range; 2]) -> Option<Constant> {
        if let ExprKind::Call(call) = &value.kind
            && call.name.text == "learn"
        {
            let initial = self.only_argument(call, "an initial value")?;
            let field = what.trim_matches('`');
            let usual = if field == "tau" {
                2.0
            } else if field == "decay" {
                0.5
            } else {
                1.0
            };
            let help = format!("write `{field}: learn({usual:?})`");
            let value = self.real_or(initial, what, ranges[1], |fault| fault.help(help))?;
            return Some(Constant { value, learned: true });
        }
        Some(Constant::fixed(self.real(value, what, ranges[0])?))
    }

    /// A leak; that of a parametric neuron is learned with or without `learn`.
    fn leak(
        &mut self,
        style: &Style,
        value: &'p Expr,
        what: &str,
        [fixed, learned]: [Range; 2],
    ) -> Option<Constant> {
        let fixed = if style.parametric { learned } else { fixed };
        let constant = self.constant_in(value, what, [fixed, learned])?;
        Some(Constant { learned: constant.learned || style.parametric, ..constant })
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
    pub fn surrogate(&mut self, value: &'p Expr) -> Option<Surrogate> {
        let (name, call) = match &value.kind {
            ExprKind::Call(call) if surrogate::NAMES.contains(&call.name.text.as_str()) => {
                (&*call.name.text, Some(call))
            }
            _word => (self.word(value, "surrogate", &surrogate::NAMES)?, None),
        };
        let &(_, formal, default, make) = surrogate::find(name)?;
        let Some(argument) = call.map_or(Some(None), |call| self.surrogate_argument(call, formal))? else {
            return Some(make(default));
        };
        let constant = self.real(argument, &format!("the constant of `{name}`"), Range::Positive)?;
        let made = make(constant as f32);
        // The inverse of a constant in range may be out of it.
        if made.constant().is_finite() && made.constant() > 0.0 {
            return Some(made);
        }
        let message = format!("the constant of `{name}` is out of range, found {constant:e}");
        self.error(Diagnostic::error(Slug::BadValue, message).at(argument.span, ""));
        None
    }

    fn surrogate_argument(&mut self, call: &'p Call, formal: &str) -> Option<Option<&'p Expr>> {
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
