//! The learning rate of each epoch.

use snnc_plan::{Recipe, Schedule};
use std::f64::consts::PI;

/// A schedule by epoch, like PyTorch's schedulers stepped once an epoch.
///
/// With `w` epochs of warm-up and `E` in all, epoch `e` (from 0) has
/// - `lr · (e + 1) / (w + 1)` while `e < w`: the first epoch after the warm-up is the first at full rate;
/// - cosine: `min + (lr − min) · (1 + cos(π (e − w) / (E − w))) / 2`;
/// - step: `lr · gamma ^ ⌊(e − w) / every⌋`;
/// - constant: `lr`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LearningRate {
    /// The rate before the schedule.
    pub lr: f64,
    /// What happens after the warm-up.
    pub schedule: Schedule,
    /// Epochs of linear warm-up.
    pub warmup: usize,
    /// Epochs, warm-up included.
    pub epochs: usize,
}

impl LearningRate {
    /// The schedule of a recipe.
    pub fn of(recipe: &Recipe) -> LearningRate {
        let lr = recipe.optimizer.lr();
        LearningRate { lr, schedule: recipe.schedule, warmup: recipe.warmup, epochs: recipe.epochs }
    }

    /// The rate of epoch `epoch`, from 0.
    pub fn at(&self, epoch: usize) -> f64 {
        if epoch < self.warmup {
            return self.lr * (epoch + 1) as f64 / (self.warmup + 1) as f64;
        }
        let epoch = epoch - self.warmup;
        match self.schedule {
            Schedule::Constant => self.lr,
            Schedule::Cosine { min_lr } => {
                let part = epoch as f64 / self.epochs.saturating_sub(self.warmup).max(1) as f64;
                min_lr + (self.lr - min_lr) * (1.0 + (PI * part.min(1.0)).cos()) / 2.0
            }
            Schedule::Step { every, gamma } => self.lr * gamma.powi((epoch / every.max(1)) as i32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(schedule: Schedule, warmup: usize, epochs: usize) -> Vec<f64> {
        let rate = LearningRate { lr: 0.8, schedule, warmup, epochs };
        (0..epochs).map(|e| (rate.at(e) * 1e6).round() / 1e6).collect()
    }

    #[test]
    fn each_schedule_follows_its_formula() {
        assert_eq!(rates(Schedule::Constant, 3, 5), [0.2, 0.4, 0.6, 0.8, 0.8]);
        assert_eq!(rates(Schedule::Step { every: 2, gamma: 0.5 }, 0, 5), [0.8, 0.8, 0.4, 0.4, 0.2]);
        assert_eq!(rates(Schedule::Cosine { min_lr: 0.0 }, 1, 5), [0.4, 0.8, 0.682843, 0.4, 0.117157]);
    }
}
