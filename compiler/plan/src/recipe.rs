//! How a model is trained: the `train` block, checked.

/// The loss.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// Cross-entropy of the mean logits over time.
    CrossEntropy,
}

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
    /// The loss.
    pub loss: Loss,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// The schedule.
    pub schedule: Schedule,
    /// Epochs of linear warm-up before the schedule.
    pub warmup: usize,
    /// Epochs, warm-up included.
    pub epochs: usize,
    /// Samples of a step.
    pub batch: usize,
    /// The data set to train on where the command names none.
    pub data: Option<String>,
}
