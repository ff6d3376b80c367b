//! Trains a model: epochs of shuffled batches, an evaluation after each, checkpoints and records in a run folder.
//!
//! ```text
//! runs/net/config.json          what was asked for
//!          metrics.jsonl        one line per epoch
//!          last.safetensors     parameters and directions after the last epoch: what a run resumes from
//!          best.safetensors     parameters with the best test accuracy
//! ```
//!
//! Invariant: a run is the same, bit for bit, for any number of threads, and whether or not it was resumed.

#[cfg(test)]
mod tests;

use crate::checkpoint::{self, Tensor};
use crate::data::Dataset;
use crate::evaluate::{Evaluation, evaluate};
use crate::metrics::{EpochRecord, Tally};
use crate::optim::{Decay, LearningRate, Sgd};
use crate::progress::Progress;
use crate::rng::{Purpose, Rng};
use crate::{Error, Session, initialise};
use serde::Serialize;
use serde_json::{Value, json};
use snnc_plan::{Optimizer, PlanMode, Recipe};
use std::path::{Path, PathBuf};
use std::time::Instant;

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
    /// A run's `last.safetensors` to go on from.
    pub resume: Option<PathBuf>,
}

impl TrainOptions {
    /// What a recipe asks for, with seed 0 and nothing written.
    pub fn of(recipe: &Recipe) -> TrainOptions {
        TrainOptions {
            recipe: recipe.clone(),
            decay: Decay::default(),
            seed: 0,
            limit: None,
            test_limit: None,
            out: None,
            from: None,
            resume: None,
        }
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
    /// Bytes of both sessions and of the optimiser, at most.
    pub train_peak_bytes: u64,
    /// Training samples per second over the epochs of this call, evaluation excluded.
    pub train_images_per_second: f64,
    /// The epochs of this call.
    pub history: Vec<EpochRecord>,
}

/// Trains. `train` and `infer` are sessions of the same model; afterwards both hold the last parameters.
///
/// # Errors
/// [`Error::User`] where model, data and options do not fit; [`Error::Diverged`] for a loss that is not finite (the
/// last checkpoint stays); [`Error::Interrupted`]; errors of files.
pub fn train(
    train: &mut Session,
    infer: &mut Session,
    data: &Dataset,
    options: &TrainOptions,
    progress: &mut dyn Progress,
) -> Result<TrainReport, Error> {
    check(train, infer, data, options)?;
    let sgd = Sgd::new(options.recipe.optimizer, options.decay, train.plan().params.len());
    let mut run = Run { train, infer, data, options, sgd, done: 0, best: f64::NEG_INFINITY };
    run.begin()?;
    let (mut history, mut last, mut seen, mut seconds) = (Vec::new(), None, 0, 0.0);
    for epoch in run.done..options.recipe.epochs {
        let start = Instant::now();
        let tally = run.epoch(epoch, progress)?;
        let training = start.elapsed().as_secs_f64().max(1e-9);
        run.infer.copy_params(run.train)?;
        let evaluation = evaluate(run.infer, &data.test, options.test_limit, progress)?;
        let record = run.record(epoch, &tally, training, &evaluation, start);
        run.save(&record)?;
        progress.epoch(&record, options.recipe.epochs);
        seen += tally.samples;
        seconds += training;
        history.push(record);
        last = Some(evaluation);
    }
    let last = match last {
        Some(last) => last,
        None => {
            run.infer.copy_params(run.train)?;
            evaluate(run.infer, &data.test, options.test_limit, progress)?
        }
    };
    let optimizer = Sgd::bytes(options.recipe.optimizer, run.train.plan().parameters());
    Ok(TrainReport {
        best_accuracy: run.best.max(last.test_accuracy),
        last,
        epochs: run.done,
        train_peak_bytes: run.train.peak_bytes() + run.infer.peak_bytes() + optimizer,
        train_images_per_second: if seconds > 0.0 { seen as f64 / seconds } else { 0.0 },
        history,
    })
}

/// A run under way.
struct Run<'a> {
    train: &'a mut Session,
    infer: &'a mut Session,
    data: &'a Dataset,
    options: &'a TrainOptions,
    sgd: Sgd,
    done: usize,
    best: f64,
}

impl Run<'_> {
    /// First parameters, or those of an earlier run; the run folder.
    fn begin(&mut self) -> Result<(), Error> {
        match (&self.options.resume, &self.options.from) {
            (Some(path), _) => self.resume(path)?,
            (None, Some(path)) => checkpoint::load(path, self.train).map(|_| ())?,
            (None, None) => initialise(self.train, self.options.seed)?,
        }
        let Some(out) = &self.options.out else { return Ok(()) };
        std::fs::create_dir_all(out).map_err(|e| Error::io(out, "create", e))?;
        let metrics = out.join("metrics.jsonl");
        let kept = match std::fs::read_to_string(&metrics) {
            Ok(_) if self.options.resume.is_none() => {
                let help = "give another folder, or resume it";
                return Err(Error::User(format!("{} already holds a run\n  help: {help}", out.display())));
            }
            Ok(text) => text.lines().take(self.done).map(|line| format!("{line}\n")).collect(),
            Err(_) => String::new(),
        };
        checkpoint::write_atomically(&metrics, kept.as_bytes())?;
        let config = format!("{:#}\n", self.config());
        checkpoint::write_atomically(&out.join("config.json"), config.as_bytes())
    }

    fn resume(&mut self, path: &Path) -> Result<(), Error> {
        let metadata = checkpoint::load(path, self.train)?;
        let (epoch, seed) = (metadata["epoch"].as_u64(), metadata["seed"].as_u64());
        let (Some(epoch), Some(seed)) = (epoch, seed) else {
            return Err(Error::Data(format!("{} is not the last checkpoint of a run", path.display())));
        };
        if seed != self.options.seed {
            let help = format!("resume it with seed {seed}");
            return Err(Error::User(format!(
                "{} is of a run with another seed\n  help: {help}",
                path.display()
            )));
        }
        (self.done, self.best) =
            (epoch as usize, metadata["best_accuracy"].as_f64().unwrap_or(f64::NEG_INFINITY));
        let mut directions = checkpoint::load_directions(path)?;
        for (index, spec) in self.train.plan().params.iter().enumerate() {
            match directions.remove(&spec.name) {
                Some(values) if values.len() == spec.len() => self.sgd.set_direction(index, values)?,
                Some(_) => {
                    return Err(Error::Data(format!("{}: the direction of `{}`", path.display(), spec.name)));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Trains on all samples once, in an order of the epoch's own; the last batch may be smaller.
    fn epoch(&mut self, epoch: usize, progress: &mut dyn Progress) -> Result<Tally, Error> {
        let split = &self.data.train;
        let samples = self.options.limit.unwrap_or(usize::MAX).min(split.len());
        let order = Rng::new(self.options.seed, Purpose::Shuffle, epoch as u64).permutation(samples);
        let lr = LearningRate::of(&self.options.recipe).at(epoch) as f32;
        let mut tally = Tally::default();
        progress.begin(&format!("epoch {}/{}", epoch + 1, self.options.recipe.epochs), samples);
        for (step, batch) in order.chunks(self.options.recipe.batch).enumerate() {
            let labels: Vec<i32> = batch.iter().map(|&i| split.labels()[i]).collect();
            self.train.set_inputs(batch.len(), |slot, to| split.write_sample(batch[slot], to))?;
            self.train.set_labels(&labels)?;
            self.train.run_forward()?;
            let loss = self.train.loss()?;
            if !loss.is_finite() {
                return Err(self.diverged(loss, epoch, step));
            }
            tally.add(self.train.logits()?, &labels, f64::from(loss));
            self.train.apply_updates()?;
            self.train.run_backward()?;
            let sgd = &mut self.sgd;
            self.train
                .change_params(|index, spec, values, grad| sgd.step(index, spec.role, values, grad, lr))?;
            progress.advance(&tally);
            if progress.stopped() {
                return Err(Error::Interrupted);
            }
        }
        progress.end();
        Ok(tally)
    }

    fn diverged(&self, loss: f32, epoch: usize, step: usize) -> Error {
        let place = format!("epoch {}, step {}", epoch + 1, step + 1);
        let kept = match &self.options.out {
            Some(out) if self.done > 0 => {
                format!(
                    "\n  note: the last good parameters are in {}",
                    out.join("last.safetensors").display()
                )
            }
            Some(_) | None => String::new(),
        };
        let help = "lower the learning rate, or add epochs of warm-up";
        Error::Diverged(format!("the loss is {loss} in {place}{kept}\n  help: {help}"))
    }

    fn record(
        &mut self,
        epoch: usize,
        tally: &Tally,
        seconds: f64,
        test: &Evaluation,
        start: Instant,
    ) -> EpochRecord {
        let best = test.test_accuracy > self.best;
        self.done = epoch + 1;
        self.best = self.best.max(test.test_accuracy);
        EpochRecord {
            epoch: epoch + 1,
            lr: LearningRate::of(&self.options.recipe).at(epoch),
            train_loss: tally.mean_loss(),
            train_accuracy: tally.accuracy(),
            test_loss: test.test_loss,
            test_accuracy: test.test_accuracy,
            best,
            images_per_second: tally.samples as f64 / seconds,
            seconds: start.elapsed().as_secs_f64(),
            firing_rates: test.firing_rates.clone(),
        }
    }

    /// Checkpoints and the epoch's line.
    fn save(&self, record: &EpochRecord) -> Result<(), Error> {
        let Some(out) = &self.options.out else { return Ok(()) };
        let direction = |(index, spec): (usize, &snnc_plan::ParamSpec)| {
            let data = self.sgd.direction(index)?.to_vec();
            Some(Tensor { name: spec.name.clone(), shape: spec.shape.clone(), data })
        };
        let directions: Vec<Tensor> =
            self.train.plan().params.iter().enumerate().filter_map(direction).collect();
        let metadata = json!({
            "model": self.train.plan().name,
            "epoch": record.epoch,
            "seed": self.options.seed,
            "test_accuracy": record.test_accuracy,
            "best_accuracy": self.best,
        });
        checkpoint::save(&out.join("last.safetensors"), self.train, &directions, &metadata)?;
        if record.best {
            checkpoint::save(&out.join("best.safetensors"), self.train, &[], &metadata)?;
        }
        let path = out.join("metrics.jsonl");
        let mut lines = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, "read", e))?;
        let line = serde_json::to_string(record).map_err(|e| Error::Internal(e.to_string()))?;
        lines.push_str(&line);
        lines.push('\n');
        checkpoint::write_atomically(&path, lines.as_bytes())
    }

    /// What `config.json` says.
    fn config(&self) -> Value {
        let (plan, options, recipe) = (self.train.plan(), self.options, &self.options.recipe);
        let Optimizer::Sgd { lr, momentum, nesterov, weight_decay } = recipe.optimizer;
        let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "model": plan.name,
            "timesteps": plan.timesteps,
            "parameters": plan.parameters(),
            "data": self.data.name,
            "train_samples": options.limit.unwrap_or(usize::MAX).min(self.data.train.len()),
            "test_samples": options.test_limit.unwrap_or(usize::MAX).min(self.data.test.len()),
            "optimizer": {"sgd": {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}},
            "decay": format!("{:?}", options.decay),
            "schedule": format!("{:?}", recipe.schedule),
            "warmup": recipe.warmup,
            "epochs": recipe.epochs,
            "batch": recipe.batch,
            "seed": options.seed,
            "from": text(&options.from),
            "resume": text(&options.resume),
            "threads": self.train.threads(),
            "peak_bytes": self.train.peak_bytes() + self.infer.peak_bytes(),
        })
    }
}

/// Whether sessions, data and options fit.
fn check(train: &Session, infer: &Session, data: &Dataset, options: &TrainOptions) -> Result<(), Error> {
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
    let samples = options.limit.unwrap_or(usize::MAX).min(data.train.len());
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
