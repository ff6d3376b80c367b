//! The `train` block, as the plan carries it: the front end knows no plan, the runtime no front end.

use snnc_front::{Optimizer, Recipe, Schedule};
use snnc_plan as plan;

/// The plan's form of a recipe.
pub fn of(recipe: &Recipe) -> plan::Recipe {
    let (schedule, epochs, warmup) = match recipe.schedule {
        Schedule::Constant { epochs } => (plan::Schedule::Constant, epochs, 0),
        Schedule::Cosine { epochs, warmup, min_lr } => (plan::Schedule::Cosine { min_lr }, epochs, warmup),
        Schedule::Step { epochs, every, gamma, warmup } => {
            (plan::Schedule::Step { every, gamma }, epochs, warmup)
        }
    };
    plan::Recipe {
        loss: recipe.loss.to_string(),
        optimizer: match recipe.optimizer {
            Optimizer::Sgd { lr, momentum, nesterov, weight_decay } => {
                plan::Optimizer::Sgd { lr, momentum, nesterov, weight_decay }
            }
            Optimizer::Adam { lr, beta1, beta2, eps, weight_decay, decoupled } => {
                plan::Optimizer::Adam { lr, beta1, beta2, eps, weight_decay, decoupled }
            }
        },
        decay: if recipe.decay_all { plan::Decay::All } else { plan::Decay::Weights },
        clip_norm: recipe.clip_norm,
        ema: recipe.ema,
        schedule,
        warmup,
        epochs,
        batch: recipe.batch,
        data: recipe.data.clone(),
    }
}
