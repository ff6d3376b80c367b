//! Surrogates by name: ours, and those of SpikingJelly with its constants.

use crate::args::Range;
use crate::ast::{Arg, Call, Expr, ExprKind};
use crate::diagnostic::Diagnostic;
use crate::eval::Expander;
use crate::expand::unknown_argument;
use crate::slug::Slug;
use snnc_ir::Surrogate;

/// A surrogate's name, that of its constant, the constant's default, and what it makes.
type Row = (&'static str, &'static str, f32, fn(f32) -> Surrogate);

const TABLE: [Row; 18] = [
    ("rectangle", "width", 1.0, Surrogate::Rectangle),
    ("triangle", "gamma", 1.0, Surrogate::Triangle),
    ("sigmoid", "alpha", 4.0, Surrogate::Sigmoid),
    ("atan", "alpha", 2.0, Surrogate::Atan),
    ("piecewise_exp", "alpha", 1.0, Surrogate::PiecewiseExp),
    ("soft_sign", "alpha", 2.0, Surrogate::SoftSign),
    ("super_spike", "alpha", 1.0, Surrogate::SuperSpike),
    ("fast_sigmoid", "slope", 25.0, Surrogate::FastSigmoid),
    ("erf", "alpha", 2.0, Surrogate::Erf),
    ("tanh", "slope", 3.0, Surrogate::Tanh),
    ("Rect", "alpha", 1.0, |alpha| Surrogate::Rectangle(1.0 / alpha)),
    ("PiecewiseQuadratic", "alpha", 1.0, |alpha| Surrogate::Triangle(1.0 / alpha)),
    ("Sigmoid", "alpha", 4.0, Surrogate::Sigmoid),
    ("ATan", "alpha", 2.0, Surrogate::Atan),
    ("PiecewiseExp", "alpha", 1.0, Surrogate::PiecewiseExp),
    ("SoftSign", "alpha", 2.0, Surrogate::SoftSign),
    ("SuperSpike", "alpha", 1.0, Surrogate::SuperSpike),
    ("Erf", "alpha", 2.0, Surrogate::Erf),
];

/// The names of all surrogates.
pub(crate) const NAMES: [&str; 18] = {
    let mut names = [""; TABLE.len()];
    let mut n = 0;
    while n < TABLE.len() {
        names[n] = TABLE[n].0;
        n += 1;
    }
    names
};

impl<'p> Expander<'p> {
    /// A surrogate, with its constant or with the default one.
    pub fn surrogate(&mut self, value: &'p Expr) -> Option<Surrogate> {
        let (name, call) = match &value.kind {
            ExprKind::Call(call) if NAMES.contains(&call.name.text.as_str()) => {
                (&*call.name.text, Some(call))
            }
            _word => (self.word(value, "surrogate", &NAMES)?, None),
        };
        let &(_, formal, default, make) = TABLE.iter().find(|row| row.0 == name)?;
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
}
