//! Optimisers and learning-rate schedules, in PyTorch's form.

mod adam;
mod average;
mod schedule;
mod sgd;

pub use adam::Adam;
pub use average::Average;
pub use schedule::LearningRate;
pub use sgd::Sgd;
pub use snnc_plan::Decay;

use crate::Error;
use snnc_plan::{Optimizer, ParamRole};

/// Values of a chunk: what one thread takes at a time.
const CHUNK: usize = 1 << 14;

/// How far a step goes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pace {
    /// The learning rate.
    pub lr: f32,
    /// What gradients are multiplied by: 1, or less where their norm is clipped.
    pub clip: f32,
}

impl Pace {
    /// A step whose gradients, of norm `norm` together, are scaled down to `most` (as `clip_grad_norm_` does).
    pub fn clipped(lr: f32, norm: f64, most: f64) -> Pace {
        Pace { lr, clip: (most / (norm + 1e-6)).min(1.0) as f32 }
    }
}

/// Whether a parameter decays.
fn decays(decay: Decay, role: ParamRole) -> bool {
    match decay {
        Decay::Weights => role == ParamRole::Weight,
        Decay::All => role.is_trained(),
    }
}

/// An optimiser with its state.
#[derive(Clone, Debug)]
pub enum Rule {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam and AdamW.
    Adam(Adam),
}

impl Rule {
    /// The optimiser of a recipe, for `params` parameters.
    pub fn new(optimizer: Optimizer, decay: Decay, params: usize) -> Rule {
        match optimizer {
            Optimizer::Sgd { .. } => Rule::Sgd(Sgd::new(optimizer, decay, params)),
            Optimizer::Adam { .. } => Rule::Adam(Adam::new(optimizer, decay, params)),
        }
    }

    /// Bytes of the state of a model with so many trained values.
    pub fn bytes(optimizer: Optimizer, parameters: u64) -> u64 {
        match optimizer {
            Optimizer::Sgd { momentum: 0.0, .. } => 0,
            Optimizer::Sgd { .. } => parameters * 4,
            Optimizer::Adam { .. } => parameters * 8,
        }
    }

    /// Begins a step over all parameters.
    pub fn begin_step(&mut self) {
        match self {
            Rule::Sgd(_) => {}
            Rule::Adam(adam) => adam.begin_step(),
        }
    }

    /// Moves parameter `index`.
    ///
    /// # Errors
    /// [`Error::Internal`] where there is no such parameter or it has changed its size.
    pub fn step(
        &mut self,
        index: usize,
        role: ParamRole,
        values: &mut [f32],
        grad: &[f32],
        pace: Pace,
    ) -> Result<(), Error> {
        match self {
            Rule::Sgd(sgd) => sgd.step(index, role, values, grad, pace),
            Rule::Adam(adam) => adam.step(index, role, values, grad, pace),
        }
    }

    /// Steps so far, as far as the optimiser counts them.
    pub fn steps(&self) -> u64 {
        match self {
            Rule::Sgd(_) => 0,
            Rule::Adam(adam) => adam.steps(),
        }
    }

    /// Sets the number of steps, to resume a run.
    pub fn set_steps(&mut self, steps: u64) {
        match self {
            Rule::Sgd(_) => {}
            Rule::Adam(adam) => adam.set_steps(steps),
        }
    }

    /// What is kept of each parameter, by the suffix of its name in a checkpoint.
    pub fn kept(&self) -> &'static [&'static str] {
        match self {
            Rule::Sgd(_) => &[""],
            Rule::Adam(_) => &[".exp_avg", ".exp_avg_sq"],
        }
    }

    /// What is kept of a parameter, in the order of [`Rule::kept`]; `None` before its first step.
    pub fn state(&self, index: usize) -> Option<Vec<&[f32]>> {
        match self {
            Rule::Sgd(sgd) => Some(vec![sgd.direction(index)?]),
            Rule::Adam(adam) => adam.moments(index).map(|(first, second)| vec![first, second]),
        }
    }

    /// Sets what is kept of a parameter, to resume a run.
    ///
    /// # Errors
    /// [`Error::Internal`] where there is no such parameter, or for another number of tensors.
    pub fn set_state(&mut self, index: usize, state: Vec<Vec<f32>>) -> Result<(), Error> {
        let mut state = state.into_iter();
        match (self, state.next(), state.next()) {
            (Rule::Sgd(sgd), Some(direction), None) => sgd.set_direction(index, direction),
            (Rule::Adam(adam), Some(first), Some(second)) => adam.set_moments(index, first, second),
            (Rule::Sgd(_) | Rule::Adam(_), _, _) => {
                Err(Error::Internal(format!("the state of parameter {index} is incomplete")))
            }
        }
    }
}
