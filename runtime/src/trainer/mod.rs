//! Trains a model: epochs of shuffled batches, an evaluation after each, checkpoints and records in a run folder.
//!
//! ```text
//! begin ─▶ epoch: step, step, … ─▶ evaluation ─▶ record, checkpoint ─▶ next epoch
//!             │ stop, faulty sample
//!             └─▶ last.safetensors with the step reached: what a resumed run goes on from
//! ```
//!
//! Invariant: a run is the same, bit for bit, for any number of threads, and wherever it was stopped and resumed.

mod descent;
mod estimate;
mod folder;
mod guided;
mod options;
mod state;
#[cfg(test)]
mod tests;

pub use estimate::{Asked, Budget, DryRun, dry_run};
pub use folder::read_records;
pub use guided::{Recompile, measured};
pub use options::{TrainOptions, TrainReport};

use crate::augment::Mixing;
use crate::data::{Dataset, batch_sheet};
use crate::encode::Draws;
use crate::evaluate::{Evaluation, evaluate};
use crate::health::Health;
use crate::loader::{self, Batch, Batches, Source, with_batches};
use crate::metrics::{EpochRecord, Pulse, Times};
use crate::optim::{Average, LearningRate, Rule};
use crate::progress::Progress;
use crate::rng::{Purpose, Rng};
use crate::{Error, Session, memory};
use descent::Descent;
use folder::RunFolder;
use options::check;
use serde_json::json;
use snnc_plan::{Activities, Recipe};
use state::State;
use std::time::Instant;

/// Trains. `train` and `infer` are sessions of the same model; afterwards both hold the last parameters, `infer` their
/// averages where the recipe asks for them.
///
/// # Errors
/// [`Error::User`] where model, data and options do not fit; [`Error::Diverged`] for a loss or gradient that is not
/// finite (the last checkpoint stays); [`Error::Interrupted`] and faulty samples, after which the run folder's last
/// checkpoint is of the last step; errors of files.
pub fn train(
    train: &mut Session,
    infer: &mut Session,
    data: &Dataset,
    options: &TrainOptions,
    progress: &mut dyn Progress,
) -> Result<TrainReport, Error> {
    train_guided(train, infer, data, options, &mut |_| Ok(None), progress)
}

/// As [`train`]; after the first epoch the model is compiled again for what its neurons were measured to do, and the
/// sessions go on with the new code.
///
/// # Errors
/// As [`train`], and those of `recompile`.
pub fn train_guided(
    train: &mut Session,
    infer: &mut Session,
    data: &Dataset,
    options: &TrainOptions,
    recompile: &mut Recompile<'_>,
    progress: &mut dyn Progress,
) -> Result<TrainReport, Error> {
    check(train, infer, data, options)?;
    let mut run = Run::begin(train, infer, data, options)?;
    let result = run.epochs(recompile, progress);
    if let Err(Error::Interrupted | Error::Data(_) | Error::Io { action: "read", .. }) = &result {
        // Between two steps all is as it should be.
        run.save_last()?;
    }
    if let (Err(error), Some(folder)) = (&result, &mut run.folder) {
        // The error itself is what to tell.
        let _ = folder.log(
            "stop",
            json!({"epoch": run.state.epoch, "step": run.state.step, "text": error.to_string()}),
        );
    }
    progress.end();
    let last = match result? {
        Some(last) => last,
        None => {
            run.hand_over()?;
            evaluate(run.infer, &data.test, options.test_limit, progress)?
        }
    };
    run.report(last)
}

/// A run under way.
struct Run<'a> {
    train: &'a mut Session,
    infer: &'a mut Session,
    data: &'a Dataset,
    options: &'a TrainOptions,
    rule: Rule,
    average: Option<Average>,
    state: State,
    folder: Option<RunFolder>,
    fingerprint: String,
    /// What the sessions' code was compiled for, where that was measured.
    activities: Option<Activities>,
    health: Health,
    history: Vec<EpochRecord>,
    warnings: Vec<String>,
    saved: Instant,
}

impl Run<'_> {
    /// Trains the epochs that are left, and gives the last evaluation.
    fn epochs(
        &mut self,
        recompile: &mut Recompile<'_>,
        progress: &mut dyn Progress,
    ) -> Result<Option<Evaluation>, Error> {
        let (mut last, first) = (None, self.state.epoch);
        while self.state.epoch < self.options.recipe.epochs {
            let start = Instant::now();
            let (samples, times) = self.epoch(progress)?;
            let training = start.elapsed().as_secs_f64().max(1e-9);
            self.hand_over()?;
            let test = evaluate(self.infer, &self.data.test, self.options.test_limit, progress)?;
            let record = EpochRecord {
                images_per_second: samples as f64 / training,
                seconds: start.elapsed().as_secs_f64(),
                times,
                ..self.record(&test)
            };
            let code = self.recompiled(recompile, &record)?;
            self.finish(record, &test, progress)?;
            last = Some(test);
            let stop = self.options.stop_after.is_some_and(|after| self.state.epoch - first >= after);
            if self.state.epoch == self.options.recipe.epochs {
                break;
            }
            if stop {
                return Err(Error::Interrupted);
            }
            if let Some(code) = code {
                self.exchange(code)?;
            }
        }
        Ok(last)
    }

    /// Trains on the samples that the epoch has left, in an order of its own; the last batch may be smaller. Gives the
    /// number of samples and where the time went.
    fn epoch(&mut self, progress: &mut dyn Progress) -> Result<(usize, Times), Error> {
        let split = &self.data.train;
        let (epoch, batch) = (self.state.epoch, self.options.recipe.batch);
        let samples = self.options.samples(split.len());
        let order = Rng::new(self.options.seed, Purpose::Shuffle, epoch as u64).permutation(samples);
        let done = (self.state.step * batch).min(samples);
        let seed = self.options.seed;
        let write = |index: usize, to: &mut [f32]| split.write_varied(index, seed, epoch, to);
        let source = Source {
            write: &write,
            labels: split.labels(),
            what: "training sample",
            input: self.train.plan().inputs[0].clone(),
            order: &order[done..],
            batch,
            loaders: loader::loaders(self.train.threads()),
            mixing: Mixing::of(&self.options.recipe.augment, &self.train.plan().inputs[0], seed, epoch),
        };
        self.train.set_draws(Draws::training(self.options.seed, epoch));
        self.train.reset_rates();
        progress.begin(&format!("epoch {}/{}", epoch + 1, self.options.recipe.epochs), samples);
        progress.skip(done);
        let times = with_batches(&source, |batches| self.steps(batches, progress))?;
        progress.end();
        Ok((samples - done, times))
    }

    fn steps(&mut self, mut batches: Batches, progress: &mut dyn Progress) -> Result<Times, Error> {
        let (mut times, rate) =
            (Times::default(), LearningRate::of(&self.options.recipe).at(self.state.epoch));
        loop {
            let start = Instant::now();
            let Some(batch) = batches.next() else { return Ok(times) };
            let batch = batch?;
            if (self.state.epoch, self.state.step) == (0, 0) {
                self.show(&batch)?;
            }
            self.step(&batch, rate as f32, start, &mut times)?;
            let (tally, firing_rate) = (self.state.tally, self.train.mean_rate());
            progress.advance(&Pulse { tally, lr: Some(rate), firing_rate, times });
            if progress.stopped() {
                return Err(Error::Interrupted);
            }
            if self.saved.elapsed() >= self.options.save_pause {
                self.save_last()?;
            }
        }
    }

    /// Draws the first batch of a run for TensorBoard.
    fn show(&mut self, batch: &Batch) -> Result<(), Error> {
        let Some(folder) = &mut self.folder else { return Ok(()) };
        match batch_sheet(&self.data.train, &self.data.shape, batch.values())? {
            Some(picture) => folder.picture(&picture),
            None => Ok(()),
        }
    }

    /// One step: forward, backward, update; `start` is when its batch was asked for.
    fn step(&mut self, batch: &Batch, lr: f32, start: Instant, times: &mut Times) -> Result<(), Error> {
        let mut lap = Lap(start);
        set_batch(self.train, batch)?;
        times.data += lap.seconds();
        self.train.run_forward()?;
        let loss = self.train.loss()?;
        if !loss.is_finite() {
            return Err(self.diverged(&format!("the loss is {loss}"), batch, false));
        }
        let mut tally = self.state.tally;
        match &batch.mixed {
            Some(mixed) => tally.add_mixed(self.train.logits()?, &batch.labels, mixed, f64::from(loss)),
            None => tally.add(self.train.logits()?, &batch.labels, f64::from(loss)),
        }
        self.train.apply_updates()?;
        times.forward += lap.seconds();
        let (rule, average) = (&mut self.rule, self.average.as_mut());
        let descent = Descent { rule, average, lr, clip_norm: self.options.recipe.clip_norm };
        let (norms, norm) = match descent.run(self.train, &mut lap, times) {
            Err(Error::Diverged(what)) => {
                return Err(self.diverged(&format!("{what} is not finite"), batch, true));
            }
            found => found?,
        };
        self.health.step(&norms);
        self.state.tally = tally;
        self.state.grad_norm += norm;
        self.state.step += 1;
        Ok(())
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

    /// What went wrong in the step under way, with the first layer that shows it.
    fn diverged(&mut self, what: &str, batch: &Batch, backward: bool) -> Error {
        let place = format!("epoch {}, step {}", self.state.epoch + 1, self.state.step + 1);
        let again = (self.train.forget())
            .and_then(|()| set_batch(self.train, batch))
            .and_then(|()| self.train.first_not_finite(backward));
        let layer = match again {
            Ok(Some(layer)) => format!(": {layer} is the first with values that are not finite"),
            Ok(None) | Err(_) => String::new(),
        };
        let kept = self.folder.as_ref().map_or_else(String::new, |folder| {
            format!("\n  note: the last good parameters are in {}", folder.last().display())
        });
        let help = "lower the learning rate, add epochs of warm-up, or clip gradients with `clip_norm`";
        Error::Diverged(format!("{what} in {place}{layer}{kept}\n  help: {help}"))
    }

    /// The record of the epoch that is over.
    fn record(&self, test: &Evaluation) -> EpochRecord {
        let State { epoch, step, tally, grad_norm, best_accuracy, .. } = self.state;
        EpochRecord {
            epoch: epoch + 1,
            lr: LearningRate::of(&self.options.recipe).at(epoch),
            train_loss: tally.mean_loss(),
            train_accuracy: tally.accuracy(),
            test_loss: test.test_loss,
            test_accuracy: test.test_accuracy,
            test_top5: test.test_top5,
            best: best_accuracy.is_none_or(|best| test.test_accuracy > best),
            grad_norm: grad_norm / step.max(1) as f64,
            resident_bytes: memory::resident(),
            firing_rates: test.firing_rates.clone(),
            fires: test.fires.clone(),
            activities: test.activities.clone(),
            ..EpochRecord::default()
        }
    }

    /// Ends an epoch: checkpoints and records, of which the last checkpoint is what counts; then says so.
    fn finish(
        &mut self,
        record: EpochRecord,
        test: &Evaluation,
        progress: &mut dyn Progress,
    ) -> Result<(), Error> {
        self.state.end_epoch(&record);
        let trained = self.train.plan().params.iter().filter(|spec| spec.role.is_trained());
        let names: Vec<&str> = trained.map(|spec| spec.name.as_str()).collect();
        let warnings = self.health.epoch(&record, &self.train.firing_rates(), &names);
        if record.best {
            self.save_best(&record)?;
        }
        if let Some(folder) = &mut self.folder {
            folder.record(&record, &test.neuron_rates, &warnings)?;
        }
        self.save_last()?;
        self.save_numbered()?;
        progress.epoch(&record, self.options.recipe.epochs);
        warnings.iter().for_each(|warning| progress.warn(warning));
        self.warnings.extend(warnings);
        self.history.push(record);
        Ok(())
    }

    fn report(self, last: Evaluation) -> Result<TrainReport, Error> {
        let weigh = |value: fn(&EpochRecord) -> f64| self.history.iter().map(value).sum::<f64>();
        let seen: f64 = self.history.iter().map(|r| r.images_per_second * training_seconds(r)).sum();
        let seconds = weigh(training_seconds);
        let budget = self.budget()?;
        Ok(TrainReport {
            best_accuracy: self.state.best_accuracy.map_or(last.test_accuracy, |b| b.max(last.test_accuracy)),
            last,
            epochs: self.state.epoch,
            train_peak_bytes: budget.total(),
            train_images_per_second: if seconds > 0.0 { seen / seconds } else { 0.0 },
            history: self.history,
            warnings: self.warnings,
        })
    }

    fn budget(&self) -> Result<Budget, Error> {
        budget(self.train, self.infer, self.data, &self.options.recipe)
    }
}

/// What a run with these sessions takes.
fn budget(train: &Session, infer: &Session, data: &Dataset, recipe: &Recipe) -> Result<Budget, Error> {
    Budget::of(&Asked {
        plans: (train.plan(), infer.plan()),
        recipe,
        batches: (train.max_batch(), infer.max_batch()),
        threads: train.threads(),
        data_bytes: data.bytes(),
    })
}

fn training_seconds(record: &EpochRecord) -> f64 {
    let Times { data, forward, backward, update } = record.times;
    data + forward + backward + update
}

/// The samples and labels of a step.
fn set_batch(session: &mut Session, batch: &Batch) -> Result<(), Error> {
    batch.set_samples(session)?;
    session.set_labels(&batch.labels)?;
    batch.mixed.as_ref().map_or(Ok(()), |mixed| session.set_mixes(&mixed.others, &mixed.shares))
}

/// Measures the parts of a step.
struct Lap(Instant);

impl Lap {
    /// Seconds since the last call.
    fn seconds(&mut self) -> f64 {
        let now = Instant::now();
        let lap = now.duration_since(self.0).as_secs_f64();
        self.0 = now;
        lap
    }
}
