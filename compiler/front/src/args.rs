//! Arguments that are numbers and truth values: their kinds and ranges.

use crate::ast::Expr;
use crate::diagnostic::Diagnostic;
use crate::eval::Expander;
use crate::slug::Slug;
use crate::span::Span;
use crate::value::Value;

/// The range of a real argument.
#[derive(Clone, Copy)]
pub(crate) enum Range {
    /// Above 0.
    Positive,
    /// 0 or above.
    NotNegative,
    /// From 0 to 1.
    Unit,
    /// From 0, below 1.
    BelowOne,
    /// Above 0, below 1.
    Inside,
    /// Above 1.
    AboveOne,
    /// Any.
    Any,
}

impl Range {
    fn holds(self, value: f64) -> bool {
        // What is computed is f32: a value that becomes 0 or infinite there is out of range too.
        let rounded = value as f32;
        rounded.is_finite()
            && match self {
                Range::Positive => rounded > 0.0,
                Range::NotNegative => rounded >= 0.0,
                Range::Unit => (0.0..=1.0).contains(&rounded),
                Range::BelowOne => (0.0..1.0).contains(&rounded),
                Range::Inside => rounded > 0.0 && rounded < 1.0,
                Range::AboveOne => rounded > 1.0,
                Range::Any => true,
            }
    }

    pub fn words(self) -> &'static str {
        match self {
            Range::Positive => "above 0",
            Range::NotNegative => "0 or above",
            Range::Unit => "from 0 to 1",
            Range::BelowOne => "at least 0 and below 1",
            Range::Inside => "above 0 and below 1",
            Range::AboveOne => "above 1",
            Range::Any => "a number of 32 bits",
        }
    }
}

impl<'p> Expander<'p> {
    /// A whole number, or the default where it is left out.
    pub fn int_arg(
        &mut self,
        arg: Option<&'p Expr>,
        what: &str,
        min: usize,
        max: usize,
        default: usize,
    ) -> Option<usize> {
        let Some(arg) = arg else { return Some(default) };
        let value = self.eval(arg);
        self.int(value, arg.span, what, min, max)
    }

    /// A whole number from `min` to `max`.
    pub fn int(&mut self, value: Value, span: Span, what: &str, min: usize, max: usize) -> Option<usize> {
        let diagnostic = match value {
            Value::Poison => return None,
            Value::Int(value) => {
                let fits = usize::try_from(value).ok().filter(|value| (min..=max).contains(value));
                if fits.is_some() {
                    return fits;
                }
                let message = format!("{what} is from {min} to {max}, found {value}");
                Diagnostic::error(Slug::BadValue, message)
            }
            other @ (Value::Float(_) | Value::Bool(_) | Value::Text(_) | Value::Tensor(_)) => {
                let message = format!("{what} is a whole number, found {}", other.describe());
                Diagnostic::error(Slug::WrongKind, message)
            }
        };
        self.error(diagnostic.at(span, ""));
        None
    }

    /// A truth value, or the default where it is left out.
    pub fn bool_arg(&mut self, arg: Option<&'p Expr>, what: &str, default: bool) -> Option<bool> {
        let Some(arg) = arg else { return Some(default) };
        self.boolean(arg, what)
    }

    /// A truth value.
    pub fn boolean(&mut self, arg: &'p Expr, what: &str) -> Option<bool> {
        match self.eval(arg) {
            Value::Bool(value) => Some(value),
            Value::Poison => None,
            other @ (Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Tensor(_)) => {
                let message = format!("{what} is `true` or `false`, found {}", other.describe());
                self.error(Diagnostic::error(Slug::WrongKind, message).at(arg.span, ""));
                None
            }
        }
    }

    /// A real number, or the default where it is left out.
    pub fn real_arg(&mut self, arg: Option<&'p Expr>, what: &str, range: Range, default: f64) -> Option<f64> {
        let Some(arg) = arg else { return Some(default) };
        self.real(arg, what, range)
    }

    /// A real number in a range.
    pub fn real(&mut self, arg: &'p Expr, what: &str, range: Range) -> Option<f64> {
        self.real_or(arg, what, range, |fault| fault)
    }

    /// A real number in a range; `tell` adds to the fault of one that is not.
    pub fn real_or(
        &mut self,
        arg: &'p Expr,
        what: &str,
        range: Range,
        tell: impl FnOnce(Diagnostic) -> Diagnostic,
    ) -> Option<f64> {
        let value = self.eval(arg);
        if value == Value::Poison {
            return None;
        }
        let diagnostic = match value.as_f64() {
            Some(number) if range.holds(number) => return Some(number),
            Some(_) => {
                let message = format!("{what} is {}, found {value}", range.words());
                Diagnostic::error(Slug::BadValue, message)
            }
            None => {
                let message = format!("{what} is a number, found {}", value.describe());
                Diagnostic::error(Slug::WrongKind, message)
            }
        };
        self.error(tell(diagnostic.at(arg.span, "")));
        None
    }
}
