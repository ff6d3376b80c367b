//! What a run is asked for, whether that fits, and how it ended.

use crate::data::Dataset;
use crate::evaluate::Evaluation;
use crate::metrics::EpochRecord;
use crate::optim::Decay;
use crate::{Error, Session};
use serde::Serialize;
use serde_json::Value;
use snnc_plan::{PlanMode, Recipe};
use std::path::PathBuf;
use std::time::Duration;

/// What to train, beyond the model and the data.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// The model's recipe: optimiser, schedule, epochs, batch; change its fields to override it.
    pub recipe: Recipe,
    /// Which parameters decay.
    pub decay: Decay,
    /// The seed of first values and of the samples' order.
    pub seed: u64,
    /// Train on the first so many samples only.
    pub limit: Option<usize>,
    /// Test on the first so many samples only.
    pub test_limit: Option<usize>,
    /// The run folder; without it nothing is written.
    pub out: Option<PathBuf>,
    /// A checkpoint to take first parameters from, instead of random ones.
    pub from: Option<PathBuf>,
    /// A run's `last.safetensors`, or one of its numbered checkpoints, to go on from.
    pub resume: Option<PathBuf>,
    /// Stop after so many epochs of this call, as when the user asks to.
    pub stop_after: Option<usize>,
    /// Keep a checkpoint of every so many epochs.
    pub save_every: Option<usize>,
    /// Save the last checkpoint also within an epoch, when the one before is so old.
    pub save_pause: Duration,
    /// What the command was asked for, for `config.json`.
    pub settings: Value,
    /// The model's parameters and text, for `config.json`.
    pub model: Value,
}

impl TrainOptions {
    /// What a recipe asks for, with seed 0 and nothing written.
    pub fn of(recipe: &Recipe) -> TrainOptions {
        TrainOptions {
            recipe: recipe.clone(),
            decay: recipe.decay,
            seed: 0,
            limit: None,
            test_limit: None,
            out: None,
            from: None,
            resume: None,
            stop_after: None,
            save_every: None,
            save_pause: Duration::from_secs(600),
            settings: Value::Null,
            model: Value::Null,
        }
    }

    /// Samples to train on, of so many.
    pub(super) fn samples(&self, all: usize) -> usize {
        self.limit.unwrap_or(usize::MAX).min(all)
    }
}

/// How a training run ended.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TrainReport {
    /// The evaluation after the last epoch.
    #[serde(flatten)]
    pub last: Evaluation,
    /// Epochs that are done, those before a resumption included.
    pub epochs: usize,
    /// The best test accuracy of an epoch, 0 to 1.
    pub best_accuracy: f64,
    /// Bytes that the process takes at most, as planned: [`super::Budget`].
    pub train_peak_bytes: u64,
    /// Training samples per second over the epochs of this call, evaluation excluded.
    pub train_images_per_second: f64,
    /// The epochs of this call.
    pub history: Vec<EpochRecord>,
    /// What should be looked at: silent and saturated layers, parameters without gradient.
    pub warnings: Vec<String>,
}

/// Whether sessions, data and options fit.
pub(super) fn check(
    train: &Session,
    infer: &Session,
    data: &Dataset,
    options: &TrainOptions,
) -> Result<(), Error> {
    let plan = train.plan();
    if plan.mode != PlanMode::Train || infer.plan().mode != PlanMode::Infer {
        return Err(Error::User(
            "training needs the model compiled for training and for inference".to_string(),
        ));
    }
    let input = &plan.inputs[0];
    if data.shape != input.shape {
        let (name, shape) = (&data.name, &data.shape);
        let found =
            format!("samples of shape {shape:?}, the model's input `{}` has {:?}", input.name, input.shape);
        return Err(Error::User(format!("data set `{name}` has {found}")));
    }
    if data.classes > plan.classes {
        let found = format!("{} classes, the model {}", data.classes, plan.classes);
        return Err(Error::User(format!("data set `{}` has {found}", data.name)));
    }
    if plan.mixes() != options.recipe.augment.iter().any(|op| op.mixes()) {
        let text = "the model is compiled for a recipe that mixes samples and the other does not";
        return Err(Error::User(text.to_string()));
    }
    let samples = options.samples(data.train.len());
    if samples == 0 {
        return Err(Error::User("there are no samples to train on".to_string()));
    }
    let batch = options.recipe.batch;
    if batch > samples {
        let found = format!("larger than the data: {samples} samples to train on");
        return Err(Error::User(format!(
            "a batch of {batch} is {found}\n  help: give `--batch {samples}` or less"
        )));
    }
    if batch == 0 || batch > train.max_batch() {
        return Err(Error::User(format!("the batch must be 1 to {}, not {batch}", train.max_batch())));
    }
    Ok(())
}
