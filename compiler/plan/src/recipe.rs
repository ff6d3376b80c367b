//! How a model is trained: the `train` block, checked.

use crate::Augment;

/// The optimiser, in PyTorch's form.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Optimizer {
    /// Stochastic gradient descent: `g += decay·w; m = momentum·m + g; w −= lr·(nesterov ? g + momentum·m : m)`.
    Sgd {
        /// The learning rate before the schedule.
        lr: f64,
        /// The weight of the last direction.
        momentum: f64,
        /// Whether to look ahead.
        nesterov: bool,
        /// L2 decay, added to the gradient.
        weight_decay: f64,
    },
    /// Adam: `m += (1 − beta1)·(g − m); v = beta2·v + (1 − beta2)·g²; w −= lr·m̂/(√v̂ + eps)`, with `m̂ = m/(1 − beta1^t)`
    /// and `v̂ = v/(1 − beta2^t)` at step t.
    Adam {
        /// The learning rate before the schedule.
        lr: f64,
        /// The weight of the last first moment.
        beta1: f64,
        /// The weight of the last second moment.
        beta2: f64,
        /// Added to the root of the second moment.
        eps: f64,
        /// The decay.
        weight_decay: f64,
        /// Whether the decay is `w *= 1 − lr·decay` (AdamW) instead of `g += decay·w`.
        decoupled: bool,
    },
}

impl Optimizer {
    /// The learning rate before the schedule.
    pub fn lr(&self) -> f64 {
        match *self {
            Optimizer::Sgd { lr, .. } | Optimizer::Adam { lr, .. } => lr,
        }
    }

    /// Sets the learning rate before the schedule.
    pub fn set_lr(&mut self, to: f64) {
        match self {
            Optimizer::Sgd { lr, .. } | Optimizer::Adam { lr, .. } => *lr = to,
        }
    }
}

/// What weights begin with.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub enum Init {
    /// As PyTorch's layers: uniform in ±1/√fan_in.
    #[default]
    Default,
    /// Convolutions: normal with the variance 2/(output channels · k²).
    KaimingFanOut,
    /// Convolutions: normal, their biases 0.
    Normal {
        /// The deviation.
        std: f64,
        /// Whether matrix products too.
        linear: bool,
    },
}

/// Which parameters decay.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Decay {
    /// Weights of products only: neither biases nor norms nor constants of neurons.
    #[default]
    Weights,
    /// All trained parameters, as with one parameter group in PyTorch.
    All,
}

/// The learning rate over epochs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Schedule {
    /// Always the same.
    Constant,
    /// Half a cosine from the learning rate down to `min_lr`.
    Cosine {
        /// The learning rate at the end.
        min_lr: f64,
    },
    /// Times `gamma` after each `every` epochs.
    Step {
        /// Epochs between two drops.
        every: usize,
        /// The factor of a drop.
        gamma: f64,
    },
}

/// The `train` block.
#[derive(Clone, PartialEq, Debug)]
pub struct Recipe {
    /// The loss in words, for reports: the graph holds what it means.
    pub loss: String,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Which parameters decay.
    pub decay: Decay,
    /// The largest norm of all gradients together; larger ones are scaled down to it.
    pub clip_norm: Option<f64>,
    /// The weight of the last average, where parameters are averaged for evaluation.
    pub ema: Option<f64>,
    /// The schedule.
    pub schedule: Schedule,
    /// Epochs of linear warm-up before the schedule.
    pub warmup: usize,
    /// Epochs, warm-up included.
    pub epochs: usize,
    /// Samples of a step.
    pub batch: usize,
    /// What weights begin with.
    pub init: Init,
    /// The data set to train on where the command names none.
    pub data: Option<String>,
    /// How samples are varied and made ready, in order.
    pub augment: Vec<Augment>,
}

impl Default for Recipe {
    /// Cross-entropy, one epoch of plain descent.
    fn default() -> Recipe {
        Recipe {
            loss: "cross_entropy".to_string(),
            optimizer: Optimizer::Sgd { lr: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.0 },
            decay: Decay::default(),
            clip_norm: None,
            ema: None,
            schedule: Schedule::Constant,
            warmup: 0,
            epochs: 1,
            batch: 4,
            init: Init::Default,
            data: None,
            augment: Vec::new(),
        }
    }
}
