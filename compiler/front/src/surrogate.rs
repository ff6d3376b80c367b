//! Surrogates by name: ours, and those of SpikingJelly with its constants.

use snnc_ir::Surrogate;

/// A surrogate's name, that of its constant, the constant's default, and what it makes.
pub(crate) type Row = (&'static str, &'static str, f32, fn(f32) -> Surrogate);

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

/// The row of a name.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.0 == name)
}
