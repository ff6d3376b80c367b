//! Calls: arguments meet formals, blocks are expanded, layers and neurons are applied, `repeat` repeats.

use crate::ast::{Block, Call, Expr};
use crate::diagnostic::Diagnostic;
use crate::eval::{Expander, Frame, MAX_LAYERS, join};
use crate::layers::{SIGNATURES, Signature, Spec};
use crate::near::nearest;
use crate::resolve;
use crate::slug::Slug;
use crate::span::Span;
use crate::value::Value;

/// What a formal got.
#[derive(Clone)]
pub(crate) enum Slot<'p> {
    /// The value that entered through a pipe.
    Piped(Value),
    /// An argument.
    Written(&'p Expr),
    /// Nothing.
    Empty,
}

/// A call whose arguments are evaluated, ready to be applied several times.
enum Ready<'p> {
    Block(&'p Block, Vec<Option<Value>>),
    Layer(Spec, Vec<Value>),
}

impl<'p> Expander<'p> {
    /// Calls a block, layer or neuron; `piped` is the value on the left of a pipe.
    pub fn call(&mut self, call: &'p Call, piped: Option<(Value, Span)>, repeats: &'p [Expr]) -> Value {
        let counts: Option<Vec<i64>> = repeats.iter().map(|count| self.repeats(count)).collect();
        let Some(ready) = self.ready(call, piped) else { return Value::Poison };
        let Some(counts) = counts else { return Value::Poison };
        let total = counts.iter().try_fold(1i64, |total, &count| total.checked_mul(count));
        let Some(total) = total.filter(|&total| total <= MAX_LAYERS as i64) else {
            let message = format!("a step is repeated more than {MAX_LAYERS} times");
            return self.error(Diagnostic::error(Slug::TooLarge, message).at(call.span, "this step"));
        };
        let segment = self.claim(&call.name.text);
        if repeats.is_empty() {
            let path = join(&self.frame.path, &segment);
            return self.apply(&ready, None, path, call);
        }
        let mut value = match &ready {
            Ready::Block(_, values) => values.first().cloned().flatten().unwrap_or(Value::Poison),
            Ready::Layer(_, values) => values.first().cloned().unwrap_or(Value::Poison),
        };
        for n in 0..total {
            let path = self.repeated_path(&segment, &counts, n);
            value = self.apply(&ready, Some(value), path, call);
            if value == Value::Poison {
                break;
            }
        }
        value
    }

    /// The path of the n-th application: the index follows the binding, or else the name of the step.
    fn repeated_path(&self, segment: &str, counts: &[i64], n: i64) -> String {
        let mut rest = n;
        let mut index = String::new();
        for &count in counts.iter().rev() {
            let digit = (rest % count).to_string();
            index = if index.is_empty() { digit } else { format!("{digit}.{index}") };
            rest /= count;
        }
        if self.frame.bound {
            join(&join(&self.frame.path, &index), segment)
        } else {
            join(&join(&self.frame.path, segment), &index)
        }
    }

    fn repeats(&mut self, count: &'p Expr) -> Option<i64> {
        let value = self.eval(count);
        self.int(value, count.span, "the count of `repeat`", 0, MAX_LAYERS).map(|count| count as i64)
    }

    /// Finds what is called and evaluates its arguments.
    fn ready(&mut self, call: &'p Call, piped: Option<(Value, Span)>) -> Option<Ready<'p>> {
        let name = call.name.text.as_str();
        if let Some(block) = self.program.blocks.iter().find(|block| block.name.text == name) {
            let names: Vec<&str> = block.formals.iter().map(|formal| formal.name.text.as_str()).collect();
            let slots = self.bind(call, &names, piped)?;
            let missing = |(slot, formal): (&Slot, &crate::ast::Formal)| {
                matches!(slot, Slot::Empty) && formal.default.is_none()
            };
            if let Some(at) = slots.iter().zip(&block.formals).position(missing) {
                return self.missing(call, &names, at, Some(block.formals[at].name.span));
            }
            return Some(Ready::Block(block, slots.into_iter().map(|slot| self.slot(slot)).collect()));
        }
        if let Some(signature) = SIGNATURES.iter().find(|signature| signature.name == name) {
            return self.ready_layer(signature, call, piped);
        }
        if self.neurons.contains_key(name) || crate::program::MODELS.contains(&name) {
            let (spec, value) = self.neuron_call(call, piped)?;
            return Some(Ready::Layer(spec, vec![value]));
        }
        let value = self.frame.vars.iter().chain(&self.params).any(|(known, _)| known == name);
        let diagnostic = if value {
            let message = format!("`{name}` is a value and cannot be called");
            Diagnostic::error(Slug::WrongKind, message).at(call.name.span, "not a block, layer or neuron")
        } else {
            let blocks = self.program.blocks.iter().map(|block| block.name.text.as_str());
            let layers = SIGNATURES.iter().map(|signature| signature.name);
            let neurons = self.neurons.keys().map(String::as_str);
            resolve::unknown(name, call.name.span, layers.chain(neurons).chain(blocks))
        };
        self.error(diagnostic);
        None
    }

    fn ready_layer(
        &mut self,
        signature: &'static Signature,
        call: &'p Call,
        piped: Option<(Value, Span)>,
    ) -> Option<Ready<'p>> {
        let names: Vec<&str> = signature.formals.iter().map(|(name, _)| *name).collect();
        let slots = self.bind(call, &names, piped)?;
        let missing =
            |(slot, (_, required)): (&Slot, &(&str, bool))| matches!(slot, Slot::Empty) && *required;
        if let Some(at) = slots.iter().zip(signature.formals).position(missing) {
            return self.missing(call, &names, at, None);
        }
        let mut slots = slots.into_iter();
        let tensors: Vec<Value> =
            slots.by_ref().take(signature.tensors).filter_map(|slot| self.slot(slot)).collect();
        let spec = self.spec(signature, call, slots.collect())?;
        Some(Ready::Layer(spec, tensors))
    }

    fn slot(&mut self, slot: Slot<'p>) -> Option<Value> {
        match slot {
            Slot::Piped(value) => Some(value),
            Slot::Written(expr) => Some(self.eval(expr)),
            Slot::Empty => None,
        }
    }

    /// Gives each formal its argument: the piped value first, then by place, then by name.
    pub fn bind(
        &mut self,
        call: &'p Call,
        formals: &[&str],
        piped: Option<(Value, Span)>,
    ) -> Option<Vec<Slot<'p>>> {
        let mut slots = vec![Slot::Empty; formals.len()];
        let mut next = 0;
        if let Some((value, span)) = piped {
            let Some(first) = slots.first_mut() else {
                let message = format!("`{}` takes no argument, but a value enters it", call.name.text);
                self.error(
                    Diagnostic::error(Slug::UnknownArgument, message).at(call.span, "").with(span, "this"),
                );
                return None;
            };
            *first = Slot::Piped(value);
            next = 1;
        }
        let mut good = true;
        for arg in &call.args {
            let at = match &arg.name {
                Some(name) => formals.iter().position(|formal| *formal == name.text),
                None => Some(next).filter(|&at| at < formals.len()),
            };
            next += usize::from(arg.name.is_none());
            let span = arg.name.as_ref().map_or(arg.value.span, |name| name.span);
            let diagnostic = match at {
                Some(at) if matches!(slots[at], Slot::Empty) => {
                    slots[at] = Slot::Written(&arg.value);
                    continue;
                }
                Some(at) => {
                    let message = format!("`{}` of `{}` is given twice", formals[at], call.name.text);
                    Diagnostic::error(Slug::DuplicateArgument, message).at(span, "given again")
                }
                None => {
                    unknown_argument(call, arg.name.as_ref().map(|name| name.text.as_str()), formals, span)
                }
            };
            self.error(diagnostic);
            good = false;
        }
        good.then_some(slots)
    }

    fn missing(&mut self, call: &Call, names: &[&str], at: usize, formal: Option<Span>) -> Option<Ready<'p>> {
        let (callee, name) = (&call.name.text, names[at]);
        let help = if at == 0 {
            format!("write `{name} |> {callee}`, or `{callee}({name}, …)`")
        } else {
            format!("write `{callee}({name}: …)`")
        };
        let diagnostic = Diagnostic::error(Slug::MissingArgument, format!("`{callee}` lacks `{name}`"))
            .at(call.span, format!("`{name}` has no default"))
            .help(help);
        self.error(match formal {
            Some(span) => diagnostic.with(span, "asked for here"),
            None => diagnostic,
        });
        None
    }

    /// Applies a call once; `value` replaces the first argument under `repeat`.
    fn apply(&mut self, ready: &Ready<'p>, value: Option<Value>, path: String, call: &'p Call) -> Value {
        if self.stopped {
            return Value::Poison;
        }
        match ready {
            Ready::Layer(spec, values) => {
                let mut values = values.clone();
                if let (Some(value), Some(first)) = (value, values.first_mut()) {
                    *first = value;
                }
                self.layer(spec, values, path, call)
            }
            Ready::Block(block, values) => {
                let mut values = values.clone();
                if let (Some(value), Some(first)) = (value, values.first_mut()) {
                    *first = Some(value);
                }
                self.expand(block, values, path, call)
            }
        }
    }

    fn expand(&mut self, block: &'p Block, values: Vec<Option<Value>>, path: String, call: &Call) -> Value {
        let site = Some((call.span, call.name.text.clone()));
        let outer = std::mem::replace(&mut self.frame, Frame { vars: Vec::new(), path, bound: false, site });
        for (formal, value) in block.formals.iter().zip(values) {
            let value = match (value, &formal.default) {
                (Some(value), _) => value,
                (None, Some(default)) => self.eval(default),
                (None, None) => Value::Poison,
            };
            self.frame.vars.push((formal.name.text.clone(), value));
        }
        let result = self.body(&block.body);
        self.frame = outer;
        result
    }
}

/// The fault of an argument that the callee does not take.
pub(crate) fn unknown_argument(call: &Call, name: Option<&str>, formals: &[&str], span: Span) -> Diagnostic {
    let callee = &call.name.text;
    let Some(name) = name else {
        let message = format!("`{callee}` takes fewer arguments");
        return Diagnostic::error(Slug::UnknownArgument, message)
            .at(span, "one too many")
            .help(format!("its arguments are: {}", formals.join(", ")));
    };
    let diagnostic = Diagnostic::error(Slug::UnknownArgument, format!("`{callee}` has no argument `{name}`"))
        .at(span, "unknown argument");
    match nearest(name, formals.iter().copied()) {
        Some(near) => diagnostic.help(format!("write `{near}: …`")),
        None => diagnostic.help(format!("its arguments are: {}", formals.join(", "))),
    }
}
