//! Trains a model: epochs of shuffled batches, an evaluation after each, checkpoints and records in a run folder.
//!
//! ```text
//! runs/net/config.json          what was asked for
//!          metrics.jsonl        one line per epoch
//!          last.safetensors     parameters and optimiser after the last epoch: what a run resumes from
//!          best.safetensors     parameters (averaged ones, where asked for) with the best test accuracy
//! ```
//!
//! Invariant: a run is the same, bit for bit, for any number of threads, and whether or not it was resumed.

#[cfg(test)]
mod tests;

use crate::checkpoint::{self, Tensor};
use crate::data::Dataset;
use crate::encode::Draws;
use crate::evaluate::{Evaluation, evaluate};
use crate::metrics::{EpochRecord, Tally};
use crate::optim::{Average, Decay, LearningRate, Pace, Rule};
use crate::progress::Progress;
use crate::rng::{Purpose, Rng};
use crate::{Error, Session, initialise};
use serde::Serialize;
use serde_json::{Value, json};
use snnc_plan::{Optimizer, ParamSpec, PlanMode, Recipe};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The suffix of a parameter's average in a checkpoint.
const AVERAGE: &str = ".average";

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
            decay: recipe.decay,
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

/// Trains. `train` and `infer` are sessions of the same model; afterwards both hold the last parameters, `infer` their
/// averages where the recipe asks for them.
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
    let params = train.plan().params.len();
    let rule = Rule::new(options.recipe.optimizer, options.decay, params);
    let average = options.recipe.ema.map(|decay| Average::new(decay, params));
    let mut run = Run { train, infer, data, options, rule, average, done: 0, best: f64::NEG_INFINITY };
    run.begin()?;
    let (mut history, mut last, mut seen, mut seconds) = (Vec::new(), None, 0, 0.0);
    for epoch in run.done..options.recipe.epochs {
        let start = Instant::now();
        let tally = run.epoch(epoch, progress)?;
        let training = start.elapsed().as_secs_f64().max(1e-9);
        run.hand_over()?;
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
            run.hand_over()?;
            evaluate(run.infer, &data.test, options.test_limit, progress)?
        }
    };
    let parameters = run.train.plan().parameters();
    let averages = if run.average.is_some() { parameters * 4 } else { 0 };
    let optimizer = Rule::bytes(options.recipe.optimizer, parameters) + averages;
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
    rule: Rule,
    average: Option<Average>,
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
        self.rule.set_steps(metadata["steps"].as_u64().unwrap_or(0));
        let mut states = checkpoint::load_directions(path)?;
        let bad = |what: &str| Error::Data(format!("{}: the optimiser's state of {what}", path.display()));
        for (index, spec) in self.train.plan().params.iter().enumerate() {
            let mut take = |suffix: &str| match states.remove(&format!("{}{suffix}", spec.name)) {
                Some(values) if values.len() != spec.len() => Err(bad(&spec.name)),
                found => Ok(found),
            };
            let kept = self.rule.kept().iter().map(|suffix| take(suffix)).collect::<Result<Vec<_>, _>>()?;
            if let Some(state) = kept.into_iter().collect() {
                self.rule.set_state(index, state)?;
            }
            if let (Some(average), Some(values)) = (&mut self.average, take(AVERAGE)?) {
                average.set(index, values)?;
            }
        }
        match states.keys().min() {
            Some(name) => Err(bad(&format!("`{name}` belongs to another recipe"))),
            None => Ok(()),
        }
    }

    /// Trains on all samples once, in an order of the epoch's own; the last batch may be smaller.
    fn epoch(&mut self, epoch: usize, progress: &mut dyn Progress) -> Result<Tally, Error> {
        let split = &self.data.train;
        let samples = self.options.limit.unwrap_or(usize::MAX).min(split.len());
        let order = Rng::new(self.options.seed, Purpose::Shuffle, epoch as u64).permutation(samples);
        let lr = LearningRate::of(&self.options.recipe).at(epoch) as f32;
        self.train.set_draws(Draws::training(self.options.seed, epoch));
        let mut tally = Tally::default();
        progress.begin(&format!("epoch {}/{}", epoch + 1, self.options.recipe.epochs), samples);
        for (step, batch) in order.chunks(self.options.recipe.batch).enumerate() {
            let labels: Vec<i32> = batch.iter().map(|&i| split.labels()[i]).collect();
            let seed = self.options.seed;
            self.train.set_samples(batch, |sample, to| split.write_varied(sample, seed, epoch, to))?;
            self.train.set_labels(&labels)?;
            self.train.run_forward()?;
            let loss = self.train.loss()?;
            if !loss.is_finite() {
                return Err(self.diverged(loss, epoch, step));
            }
            tally.add(self.train.logits()?, &labels, f64::from(loss));
            self.train.apply_updates()?;
            self.train.run_backward()?;
            self.descend(lr)?;
            progress.advance(&tally);
            if progress.stopped() {
                return Err(Error::Interrupted);
            }
        }
        progress.end();
        Ok(tally)
    }

    /// Moves all parameters, and their averages.
    fn descend(&mut self, lr: f32) -> Result<(), Error> {
        let pace = match self.options.recipe.clip_norm {
            Some(most) => Pace::clipped(lr, self.train.grad_norm()?, most),
            None => Pace { lr, clip: 1.0 },
        };
        let (rule, average) = (&mut self.rule, &mut self.average);
        rule.begin_step();
        self.train.change_params(|index, spec, values, grad| {
            rule.step(index, spec.role, values, grad, pace)?;
            average.as_mut().map_or(Ok(()), |average| average.update(index, values))
        })
    }

    /// Gives the parameters, or their averages, to the session that evaluates.
    fn hand_over(&mut self) -> Result<(), Error> {
        self.infer.copy_params(self.train)?;
        let Some(average) = &self.average else { return Ok(()) };
        for (index, spec) in self.train.plan().params.iter().enumerate() {
            if let Some(values) = average.get(index) {
                self.infer.set_param(&spec.name, values)?;
            }
        }
        Ok(())
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
        let states = self.states();
        let metadata = json!({
            "model": self.train.plan().name,
            "epoch": record.epoch,
            "steps": self.rule.steps(),
            "seed": self.options.seed,
            "test_accuracy": record.test_accuracy,
            "best_accuracy": self.best,
        });
        checkpoint::save(&out.join("last.safetensors"), self.train, &states, &metadata)?;
        if record.best {
            checkpoint::save(&out.join("best.safetensors"), self.infer, &[], &metadata)?;
        }
        let path = out.join("metrics.jsonl");
        let mut lines = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, "read", e))?;
        let line = serde_json::to_string(record).map_err(|e| Error::Internal(e.to_string()))?;
        lines.push_str(&line);
        lines.push('\n');
        checkpoint::write_atomically(&path, lines.as_bytes())
    }

    /// What a run needs beside its parameters to go on: the optimiser's tensors and the averages.
    fn states(&self) -> Vec<Tensor> {
        let mut states = Vec::new();
        let mut add = |spec: &ParamSpec, suffix: &str, data: &[f32]| {
            let name = format!("{}{suffix}", spec.name);
            states.push(Tensor { name, shape: spec.shape.clone(), data: data.to_vec() });
        };
        for (index, spec) in self.train.plan().params.iter().enumerate() {
            let kept = self.rule.state(index).unwrap_or_default();
            kept.into_iter().zip(self.rule.kept()).for_each(|(data, suffix)| add(spec, suffix, data));
            if let Some(data) = self.average.as_ref().and_then(|average| average.get(index)) {
                add(spec, AVERAGE, data);
            }
        }
        states
    }

    /// What `config.json` says.
    fn config(&self) -> Value {
        let (plan, options, recipe) = (self.train.plan(), self.options, &self.options.recipe);
        let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "model": plan.name,
            "timesteps": plan.timesteps,
            "parameters": plan.parameters(),
            "data": self.data.name,
            "train_samples": options.limit.unwrap_or(usize::MAX).min(self.data.train.len()),
            "test_samples": options.test_limit.unwrap_or(usize::MAX).min(self.data.test.len()),
            "loss": recipe.loss,
            "optimizer": optimizer_json(recipe.optimizer),
            "clip_norm": recipe.clip_norm,
            "ema": recipe.ema,
            "decay": format!("{:?}", options.decay),
            "schedule": format!("{:?}", recipe.schedule),
            "warmup": recipe.warmup,
            "epochs": recipe.epochs,
            "batch": recipe.batch,
            "augment": snnc_plan::augment_text(&recipe.augment),
            "seed": options.seed,
            "from": text(&options.from),
            "resume": text(&options.resume),
            "threads": self.train.threads(),
            "peak_bytes": self.train.peak_bytes() + self.infer.peak_bytes(),
        })
    }
}

fn optimizer_json(optimizer: Optimizer) -> Value {
    match optimizer {
        Optimizer::Sgd { lr, momentum, nesterov, weight_decay } => {
            json!({"sgd": {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}})
        }
        Optimizer::Adam { lr, beta1, beta2, eps, weight_decay, decoupled } => {
            let name = if decoupled { "adamw" } else { "adam" };
            json!({name: {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}})
        }
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
