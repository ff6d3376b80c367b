//! Surrogates: the functions whose derivatives stand for that of the step (models §1.4).

use std::f64::consts::{FRAC_PI_2, PI};

/// The function whose derivative stands for that of the step; `u = membrane − threshold`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Surrogate {
    /// `1/a` where `|u| < a/2`; `a` is the width.
    Rectangle(f32),
    /// `max(0, γ − |u|)/γ²`.
    Triangle(f32),
    /// `α·p(1 − p)` with `p = sigmoid(αu)`.
    Sigmoid(f32),
    /// `(α/2) / (1 + (παu/2)²)`.
    Atan(f32),
    /// `(α/2)·exp(−α|u|)`.
    PiecewiseExp(f32),
    /// `α / (2·(1 + α|u|)²)`.
    SoftSign(f32),
    /// `α / (1 + |u|)²`.
    SuperSpike(f32),
    /// `1 / (1 + k|u|)²`.
    FastSigmoid(f32),
    /// `(α/√π)·exp(−α²u²)`.
    Erf(f32),
    /// `k·(1 − tanh²(ku)) / (2·tanh(k/2))` where `|u| < 1/2`.
    Tanh(f32),
}

impl Surrogate {
    /// The constant that shapes it.
    pub fn constant(self) -> f32 {
        match self {
            Surrogate::Rectangle(constant)
            | Surrogate::Triangle(constant)
            | Surrogate::Sigmoid(constant)
            | Surrogate::Atan(constant)
            | Surrogate::PiecewiseExp(constant)
            | Surrogate::SoftSign(constant)
            | Surrogate::SuperSpike(constant)
            | Surrogate::FastSigmoid(constant)
            | Surrogate::Erf(constant)
            | Surrogate::Tanh(constant) => constant,
        }
    }

    /// The distance from the threshold at which the derivative has a corner or a jump; 0 where it has none.
    pub fn edge(self) -> f32 {
        match self {
            Surrogate::Rectangle(a) => a / 2.0,
            Surrogate::Triangle(gamma) => gamma,
            Surrogate::Tanh(_) => 0.5,
            Surrogate::Sigmoid(_)
            | Surrogate::Atan(_)
            | Surrogate::PiecewiseExp(_)
            | Surrogate::SoftSign(_)
            | Surrogate::SuperSpike(_)
            | Surrogate::FastSigmoid(_)
            | Surrogate::Erf(_) => 0.0,
        }
    }

    /// The derivative at `u`.
    pub fn derivative(self, u: f64) -> f64 {
        let c = f64::from(self.constant());
        match self {
            Surrogate::Rectangle(_) if u.abs() < c / 2.0 => 1.0 / c,
            Surrogate::Rectangle(_) => 0.0,
            Surrogate::Triangle(_) => (c - u.abs()).max(0.0) / (c * c),
            Surrogate::Sigmoid(_) => {
                let p = sigmoid(c * u);
                c * p * (1.0 - p)
            }
            Surrogate::Atan(_) => c / 2.0 / (1.0 + (FRAC_PI_2 * c * u).powi(2)),
            Surrogate::PiecewiseExp(_) => c / 2.0 * (-c * u.abs()).exp(),
            Surrogate::SoftSign(_) => c / 2.0 / (1.0 + c * u.abs()).powi(2),
            Surrogate::SuperSpike(_) => c / (1.0 + u.abs()).powi(2),
            Surrogate::FastSigmoid(_) => 1.0 / (1.0 + c * u.abs()).powi(2),
            Surrogate::Erf(_) => c / PI.sqrt() * (-(c * u).powi(2)).exp(),
            Surrogate::Tanh(_) if u.abs() < 0.5 => {
                c * (1.0 - (c * u).tanh().powi(2)) / (2.0 * (c / 2.0).tanh())
            }
            Surrogate::Tanh(_) => 0.0,
        }
    }

    /// The primitive at `u`: the smooth step that [`Surrogate::derivative`] is the derivative of, ½ at the
    /// threshold.
    pub fn primitive(self, u: f64) -> f64 {
        let c = f64::from(self.constant());
        match self {
            Surrogate::Rectangle(_) => (u / c + 0.5).clamp(0.0, 1.0),
            Surrogate::Triangle(_) => {
                let x = (u / c).clamp(-1.0, 1.0);
                0.5 + x - x * x.abs() / 2.0
            }
            Surrogate::Sigmoid(_) => sigmoid(c * u),
            Surrogate::Atan(_) => (FRAC_PI_2 * c * u).atan() / PI + 0.5,
            Surrogate::PiecewiseExp(_) => 0.5 + (1.0 - (-c * u.abs()).exp()).copysign(u) / 2.0,
            Surrogate::SoftSign(_) => c * u / (1.0 + c * u.abs()) / 2.0 + 0.5,
            Surrogate::SuperSpike(_) => c * u / (1.0 + u.abs()) + 0.5,
            Surrogate::FastSigmoid(_) => u / (1.0 + c * u.abs()) + 0.5,
            Surrogate::Erf(_) => (1.0 + erf(c * u)) / 2.0,
            Surrogate::Tanh(_) => {
                let x = u.clamp(-0.5, 0.5);
                (1.0 + (c * x).tanh() / (c / 2.0).tanh()) / 2.0
            }
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The error function by its series `2/√π·exp(−x²)·Σ 2ⁿx²ⁿ⁺¹/(2n+1)!!`, whose terms all have one sign; beyond 6
/// it is ±1 in f64.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return 1f64.copysign(x);
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > sum.abs() * 1e-17 {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    2.0 / PI.sqrt() * (-x * x).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Surrogate; 10] = [
        Surrogate::Rectangle(0.8),
        Surrogate::Triangle(1.5),
        Surrogate::Sigmoid(4.0),
        Surrogate::Atan(2.0),
        Surrogate::PiecewiseExp(1.5),
        Surrogate::SoftSign(2.0),
        Surrogate::SuperSpike(1.25),
        Surrogate::FastSigmoid(25.0),
        Surrogate::Erf(2.0),
        Surrogate::Tanh(3.0),
    ];

    #[test]
    fn derivatives_are_those_of_the_primitives() {
        for surrogate in ALL {
            assert!((surrogate.primitive(0.0) - 0.5).abs() < 1e-12, "{surrogate:?}");
            // No corner of any of them lies on these points.
            for u in (-30..30).map(|i| f64::from(i) * 0.1 + 0.031) {
                let step = 1e-6;
                let slope = (surrogate.primitive(u + step) - surrogate.primitive(u - step)) / (2.0 * step);
                let found = surrogate.derivative(u);
                assert!((slope - found).abs() < 1e-7, "{surrogate:?} at {u}: {slope} {found}");
            }
        }
    }

    /// The peaks and a further point of each, worked from the table by hand.
    #[test]
    fn values_of_the_table() {
        let near = |surrogate: Surrogate, u: f64, expected: f64| {
            let found = surrogate.derivative(u);
            assert!((found - expected).abs() < 1e-6, "{surrogate:?} at {u}: {found}");
        };
        near(Surrogate::Rectangle(1.0), 0.5, 0.0);
        near(Surrogate::Rectangle(2.0), -0.75, 0.5);
        near(Surrogate::Triangle(1.0), 0.25, 0.75);
        near(Surrogate::Sigmoid(4.0), 0.0, 1.0);
        near(Surrogate::Atan(2.0), 0.0, 1.0);
        near(Surrogate::PiecewiseExp(1.0), -1.0, 0.18393972);
        near(Surrogate::SoftSign(2.0), 0.5, 0.25);
        near(Surrogate::SuperSpike(1.0), 1.0, 0.25);
        near(Surrogate::FastSigmoid(25.0), 0.04, 0.25);
        near(Surrogate::Erf(2.0), 0.5, 0.41510750);
        near(Surrogate::Tanh(3.0), 0.0, 1.65718730);
        near(Surrogate::Tanh(3.0), 0.5, 0.0);
    }

    #[test]
    fn the_error_function() {
        for (x, expected) in
            [(0.0, 0.0), (0.5, 0.520499877813), (-1.0, -0.842700792950), (3.0, 0.999977909503)]
        {
            assert!((erf(x) - expected).abs() < 1e-11, "{x}: {}", erf(x));
        }
        assert_eq!(erf(7.0), 1.0);
    }
}
