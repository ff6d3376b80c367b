//! Attributes of neurons: the general form `h = a·v + b·x + c`, fire at the threshold, reset.

/// What happens to the membrane of a neuron that fired.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Reset {
    /// The membrane becomes this value.
    Hard(f32),
    /// The threshold is subtracted.
    Soft,
    /// Nothing: a readout integrator.
    None,
}

impl Reset {
    /// The membrane before the first timestep: the reset value, 0 for the other forms.
    pub fn initial(self) -> f32 {
        match self {
            Reset::Hard(value) => value,
            Reset::Soft | Reset::None => 0.0,
        }
    }
}

/// How the membrane is compared with the threshold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compare {
    /// Fires at the threshold or above.
    Ge,
    /// Fires above the threshold only.
    Gt,
}

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
}

impl Surrogate {
    /// The derivative at `u`.
    pub fn derivative(self, u: f64) -> f64 {
        match self {
            Surrogate::Rectangle(a) => {
                let a = f64::from(a);
                if u.abs() < a / 2.0 { 1.0 / a } else { 0.0 }
            }
            Surrogate::Triangle(gamma) => {
                let gamma = f64::from(gamma);
                (gamma - u.abs()).max(0.0) / (gamma * gamma)
            }
            Surrogate::Sigmoid(alpha) => {
                let alpha = f64::from(alpha);
                let p = 1.0 / (1.0 + (-alpha * u).exp());
                alpha * p * (1.0 - p)
            }
            Surrogate::Atan(alpha) => {
                let alpha = f64::from(alpha);
                let x = std::f64::consts::FRAC_PI_2 * alpha * u;
                alpha / 2.0 / (1.0 + x * x)
            }
        }
    }

    /// The primitive at `u`: the smooth step that [`Surrogate::derivative`] is the derivative of.
    pub fn primitive(self, u: f64) -> f64 {
        match self {
            Surrogate::Rectangle(a) => (u / f64::from(a) + 0.5).clamp(0.0, 1.0),
            Surrogate::Triangle(gamma) => {
                let x = (u / f64::from(gamma)).clamp(-1.0, 1.0);
                0.5 + x - x * x.abs() / 2.0
            }
            Surrogate::Sigmoid(alpha) => 1.0 / (1.0 + (-f64::from(alpha) * u).exp()),
            Surrogate::Atan(alpha) => {
                (std::f64::consts::FRAC_PI_2 * f64::from(alpha) * u).atan() / std::f64::consts::PI + 0.5
            }
        }
    }
}

/// What the forward pass keeps of a neuron for its gradient.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Save {
    /// Nothing: inference.
    Nothing,
    /// One bit: whether the membrane lay inside the rectangle's window. Enough, with the spike bit, when
    /// the surrogate is a rectangle and the reset is detached and hard, or there is none.
    Window,
    /// The membrane before the reset, as f32.
    Membrane,
}

/// A neuron of the general form (charge, fire, reset) with fixed constants.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Lif {
    /// `a`: what is left of the membrane after a step.
    pub decay: f32,
    /// `b`: the weight of the input.
    pub gain: f32,
    /// `c`: a constant current.
    pub current: f32,
    /// The threshold.
    pub threshold: f32,
    /// The reset.
    pub reset: Reset,
    /// Whether the gradient stops at the spike in the reset.
    pub detach: bool,
    /// The comparison at the threshold.
    pub compare: Compare,
    /// The surrogate derivative.
    pub surrogate: Surrogate,
    /// What the forward pass keeps; set by autodiff.
    pub save: Save,
}

impl Lif {
    /// What the gradient needs of the forward pass.
    pub fn needed_save(&self) -> Save {
        let rectangle = matches!(self.surrogate, Surrogate::Rectangle(_));
        match self.reset {
            Reset::Hard(_) if rectangle && self.detach => Save::Window,
            Reset::Soft if rectangle => Save::Window,
            Reset::None if rectangle => Save::Window,
            Reset::Hard(_) | Reset::Soft | Reset::None => Save::Membrane,
        }
    }

    /// Whether a membrane of `h` fires.
    pub fn fires(&self, h: f64) -> bool {
        match self.compare {
            Compare::Ge => h >= f64::from(self.threshold),
            Compare::Gt => h > f64::from(self.threshold),
        }
    }
}
