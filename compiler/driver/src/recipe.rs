//! The `train` block, as the plan carries it: the front end knows no plan, the runtime no front end.

use snnc_front::{Augment, Init, Normalization, Optimizer, Policy, Recipe, Schedule, SplitBy};
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
        init: match recipe.init {
            Init::Default => plan::Init::Default,
            Init::KaimingFanOut => plan::Init::KaimingFanOut,
            Init::Normal { std, linear } => plan::Init::Normal { std, linear },
        },
        data: recipe.data.clone(),
        augment: recipe.augment.iter().map(augment).collect(),
    }
}

fn augment(op: &Augment) -> plan::Augment {
    match *op {
        Augment::Frames(SplitBy::Number) => plan::Augment::Frames(plan::SplitBy::Number),
        Augment::Frames(SplitBy::Time) => plan::Augment::Frames(plan::SplitBy::Time),
        Augment::ResizedCrop { scale } => plan::Augment::ResizedCrop { scale },
        Augment::PadCrop { pixels } => plan::Augment::PadCrop { pixels },
        Augment::Flip { p } => plan::Augment::Flip { p },
        Augment::Cutout { size } => plan::Augment::Cutout { size },
        Augment::Roll { pixels } => plan::Augment::Roll { pixels },
        Augment::Rotate { degrees } => plan::Augment::Rotate { degrees },
        Augment::AutoAugment(Policy::Cifar10) => plan::Augment::AutoAugment(plan::Policy::Cifar10),
        Augment::AutoAugment(Policy::ImageNet) => plan::Augment::AutoAugment(plan::Policy::ImageNet),
        Augment::RandAugment { n, m } => plan::Augment::RandAugment { n, m },
        Augment::ColorJitter { strength } => plan::Augment::ColorJitter { strength },
        Augment::Normalize(by) => plan::Augment::Normalize(normalization(by)),
        Augment::Mixup { alpha, p } => plan::Augment::Mixup { alpha, p },
        Augment::CutMix { alpha, p } => plan::Augment::CutMix { alpha, p },
    }
}

fn normalization(by: Normalization) -> plan::Normalization {
    match by {
        Normalization::None => plan::Normalization::None,
        Normalization::Mnist => plan::Normalization::Mnist,
        Normalization::Cifar10 => plan::Normalization::Cifar10,
        Normalization::Cifar10Pixels => plan::Normalization::Cifar10Pixels,
        Normalization::Cifar100 => plan::Normalization::Cifar100,
        Normalization::ImageNet => plan::Normalization::ImageNet,
        Normalization::Constants { mean, std } => plan::Normalization::Constants { mean, std },
    }
}
