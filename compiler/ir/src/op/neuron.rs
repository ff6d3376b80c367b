//! Attributes of neurons: the general form `h = a·v + b·x + c`, fire at the threshold, reset.

use super::{Op, Surrogate};

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

impl Compare {
    /// Whether a membrane fires at a threshold.
    pub fn fires(self, membrane: f64, threshold: f64) -> bool {
        match self {
            Compare::Ge => membrane >= threshold,
            Compare::Gt => membrane > threshold,
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

/// A constant of a neuron that an operand may give in place of the attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Constant {
    /// `a`.
    Decay,
    /// `b`.
    Gain,
    /// `c`.
    Current,
    /// The threshold.
    Threshold,
}

impl Constant {
    /// Every constant with its text form, in the order of operands.
    pub const ALL: [(Constant, &'static str); 4] = [
        (Constant::Decay, "decay"),
        (Constant::Gain, "gain"),
        (Constant::Current, "current"),
        (Constant::Threshold, "threshold"),
    ];
}

/// The constants that are learned: operands give them, one number for the layer (`f32[C1]`) or one per channel
/// (`f32[C64]`), in the order of [`Constant::ALL`] behind all other operands. The attribute is then unused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Learned {
    /// `a`.
    pub decay: bool,
    /// `b`.
    pub gain: bool,
    /// `c`.
    pub current: bool,
    /// The threshold.
    pub threshold: bool,
}

impl Learned {
    /// None of them.
    pub const NOTHING: Learned = Learned { decay: false, gain: false, current: false, threshold: false };

    /// Whether a constant is learned.
    pub fn has(self, constant: Constant) -> bool {
        match constant {
            Constant::Decay => self.decay,
            Constant::Gain => self.gain,
            Constant::Current => self.current,
            Constant::Threshold => self.threshold,
        }
    }

    /// With one more.
    pub fn with(mut self, constant: Constant) -> Learned {
        match constant {
            Constant::Decay => self.decay = true,
            Constant::Gain => self.gain = true,
            Constant::Current => self.current = true,
            Constant::Threshold => self.threshold = true,
        }
        self
    }

    /// Those that are learned, in order.
    pub fn constants(self) -> Vec<Constant> {
        Constant::ALL.into_iter().map(|(constant, _)| constant).filter(|&c| self.has(c)).collect()
    }
}

/// How a trained number `w` makes a constant of a neuron.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// `1/(1 + e^−w)`: between 0 and 1.
    Sigmoid,
    /// `1 − 1/(1 + e^−w)`: what a sigmoid leaves.
    Complement,
    /// `ln(1 + e^w)`: above 0.
    Softplus,
}

impl Form {
    /// The constant of `w`.
    pub fn value(self, w: f64) -> f64 {
        match self {
            Form::Sigmoid => 1.0 / (1.0 + (-w).exp()),
            Form::Complement => 1.0 / (1.0 + w.exp()),
            Form::Softplus => w.max(0.0) + (-w.abs()).exp().ln_1p(),
        }
    }

    /// The derivative of the constant for `w`.
    pub fn derivative(self, w: f64) -> f64 {
        let p = 1.0 / (1.0 + (-w).exp());
        match self {
            Form::Sigmoid => p * (1.0 - p),
            Form::Complement => -p * (1.0 - p),
            Form::Softplus => p,
        }
    }

    /// The `w` of a constant in the form's range.
    pub fn inverse(self, value: f64) -> f64 {
        match self {
            Form::Sigmoid => (value / (1.0 - value)).ln(),
            Form::Complement => ((1.0 - value) / value).ln(),
            Form::Softplus => value + (-(-value).exp_m1()).ln(),
        }
    }
}

/// A neuron of the general form (charge, fire, reset).
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
    /// The constants that operands give.
    pub learned: Learned,
    /// What the forward pass keeps; set by autodiff.
    pub save: Save,
}

impl Lif {
    /// What the gradient needs of the forward pass. The gradients of a learned threshold and current are sums of
    /// what the gradient of the input has in hand; those of a learned decay and gain need the membrane itself.
    pub fn needed_save(&self) -> Save {
        let rectangle = matches!(self.surrogate, Surrogate::Rectangle(_));
        if self.learned.decay || self.learned.gain {
            return Save::Membrane;
        }
        match self.reset {
            Reset::Hard(_) if rectangle && self.detach => Save::Window,
            Reset::Soft if rectangle => Save::Window,
            Reset::None if rectangle => Save::Window,
            Reset::Hard(_) | Reset::Soft | Reset::None => Save::Membrane,
        }
    }
}

impl Op {
    /// The constants that this operation takes as its last operands, in order: those of a neuron's learned ones
    /// that it reads.
    pub fn constants(&self) -> Vec<Constant> {
        let reads = |lif: &Lif, read: &[Constant]| {
            let mut constants = lif.learned.constants();
            constants.retain(|constant| read.contains(constant));
            constants
        };
        if let Op::Lif(lif) | Op::LifGrad(lif) = self {
            lif.learned.constants()
        } else if let Op::LifCharge(lif) = self {
            reads(lif, &[Constant::Decay, Constant::Gain, Constant::Current])
        } else if let Op::LifFire(lif) | Op::LifWindow(lif) = self {
            reads(lif, &[Constant::Threshold])
        } else if let Op::LifReset(lif @ Lif { reset: Reset::Soft, .. }) = self {
            reads(lif, &[Constant::Threshold])
        } else {
            Vec::new()
        }
    }
}
