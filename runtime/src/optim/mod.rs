//! Optimisers and learning-rate schedules, in PyTorch's form.

mod schedule;
mod sgd;

pub use schedule::LearningRate;
pub use sgd::{Decay, Sgd};
