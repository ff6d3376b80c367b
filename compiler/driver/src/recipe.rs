//! The `train` block, as the plan carries it: the front end knows no plan, the runtime no front end.

use snnc_front::{Loss, Optimizer, Recipe, Schedule};
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
        loss: match recipe.loss {
            Loss::CrossEntropy => plan::Loss::CrossEntropy,
        },
        optimizer: match recipe.optimizer {
            Optimizer::Sgd { lr, momentum, nesterov, weight_decay } => {
                plan::Optimizer::Sgd { lr, momentum, nesterov, weight_decay }
            }
        },
        schedule,
        warmup,
        epochs,
        batch: recipe.batch,
        data: recipe.data.clone(),
    }
}
