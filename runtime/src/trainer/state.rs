//! Where a run is, and how it is kept: a checkpoint holds all that the next step depends on.
//!
//! | what | where |
//! |---|---|
//! | parameters, running statistics | tensors by path |
//! | the optimiser's tensors, averages | `optimizer.<path>…` |
//! | epoch, step, sums of the epoch under way, the optimiser's steps, best accuracy, seed, batch, firing rates that the code is for | metadata |
//!
//! Learning rate and order of samples follow from epoch, step and seed. No time and no path is kept, so that equal runs
//! write equal bytes.

use super::{Run, RunFolder, TrainOptions, guided};
use crate::checkpoint::{self, Part};
use crate::data::{Dataset, Split};
use crate::health::Health;
use crate::metrics::{EpochRecord, Tally};
use crate::optim::{Average, Rule};
use crate::{Error, Session, initialise};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

/// The suffix of a parameter's average in a checkpoint.
const AVERAGE: &str = ".average";

/// Samples of each part that stand for all in [`fingerprint`].
const FINGERS: usize = 256;

/// Where a run is.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// Epochs that are done.
    pub epoch: usize,
    /// Steps that are done of the epoch under way.
    pub step: usize,
    /// The sums of these steps.
    pub tally: Tally,
    /// The sum of their gradients' norms.
    pub grad_norm: f64,
    /// Steps of the optimiser, as far as it counts them.
    pub steps: u64,
    /// Test accuracy after the last epoch, 0 to 1.
    pub test_accuracy: Option<f64>,
    /// The best one so far.
    pub best_accuracy: Option<f64>,
}

impl State {
    /// The next epoch begins.
    pub fn end_epoch(&mut self, record: &EpochRecord) {
        let best = if record.best { Some(record.test_accuracy) } else { self.best_accuracy };
        let (epoch, test_accuracy) = (self.epoch + 1, Some(record.test_accuracy));
        *self = State { epoch, test_accuracy, best_accuracy: best, ..State::default() };
    }
}

impl<'a> Run<'a> {
    /// First parameters, or those of an earlier run; the run folder with its first checkpoint.
    pub(super) fn begin(
        train: &'a mut Session,
        infer: &'a mut Session,
        data: &'a Dataset,
        options: &'a TrainOptions,
    ) -> Result<Run<'a>, Error> {
        let params = train.plan().params.len();
        let mut run = Run {
            rule: Rule::new(options.recipe.optimizer, options.decay, params),
            average: options.recipe.ema.map(|decay| Average::new(decay, params)),
            fingerprint: fingerprint(data)?,
            activities: None,
            train,
            infer,
            data,
            options,
            state: State::default(),
            folder: None,
            health: Health::default(),
            history: Vec::new(),
            warnings: Vec::new(),
            saved: Instant::now(),
        };
        match (&options.resume, &options.from) {
            (Some(path), _) => run.resume(path)?,
            (None, Some(path)) => checkpoint::load(path, run.train).map(|_| ())?,
            (None, None) => initialise(run.train, options.seed)?,
        }
        if let Some(out) = &options.out {
            run.folder = Some(RunFolder::begin(out, &run)?);
            run.save_last()?;
        }
        Ok(run)
    }

    fn resume(&mut self, path: &Path) -> Result<(), Error> {
        let metadata = checkpoint::load(path, self.train)?;
        let shown = path.display();
        if metadata["weights_only"] == true {
            let help = format!("resume the run's last.safetensors, or begin a new run with `--from {shown}`");
            return Err(Error::User(format!(
                "{shown} holds weights, not the state of a run\n  help: {help}"
            )));
        }
        let state = serde_json::from_value(metadata.clone()).ok().filter(|_| metadata["epoch"].is_u64());
        let (Some(state), Some(seed)) = (state, metadata["seed"].as_u64()) else {
            return Err(Error::Data(format!("{shown} is not the last checkpoint of a run")));
        };
        self.state = state;
        let other =
            |what: &str, help: &str| Error::User(format!("{shown} is of a run with {what}\n  help: {help}"));
        if seed != self.options.seed {
            return Err(other("another seed", &format!("resume it with seed {seed}")));
        }
        let batch = metadata["batch"].as_u64();
        if self.state.step > 0 && batch != Some(self.options.recipe.batch as u64) {
            let help =
                format!("resume it with a batch of {}: it was stopped within an epoch", metadata["batch"]);
            return Err(other("another batch", &help));
        }
        if metadata["data"].as_str().is_some_and(|data| data != self.fingerprint) {
            let help = format!("begin a new run with its weights, `--from {shown}`, or give the same data");
            return Err(other("other data", &help));
        }
        self.rule.set_steps(self.state.steps);
        self.activities = guided::noted(&metadata, path)?;
        self.take_states(path)
    }

    /// The optimiser's tensors and the averages.
    fn take_states(&mut self, path: &Path) -> Result<(), Error> {
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

    /// What a checkpoint says beside its tensors.
    fn metadata(&self) -> Value {
        let state = State { steps: self.rule.steps(), ..self.state };
        let mut metadata = json!(state);
        metadata["model"] = json!(self.train.plan().name);
        metadata["seed"] = json!(self.options.seed);
        metadata["batch"] = json!(self.options.recipe.batch);
        metadata["data"] = json!(self.fingerprint);
        guided::note(self.activities.as_ref(), &mut metadata);
        metadata
    }

    /// What a run goes on from.
    pub(super) fn save_last(&mut self) -> Result<(), Error> {
        self.saved = Instant::now();
        let Some(folder) = &self.folder else { return Ok(()) };
        let path = folder.last();
        let saved = checkpoint::save(&path, self.train, &self.states(), &self.metadata());
        saved.map_err(|error| match error {
            // The file was not touched: what was kept before is still there.
            Error::Io { source, .. } if path.exists() => Error::Io {
                source: std::io::Error::new(
                    source.kind(),
                    format!("{source}\n  note: it still holds the checkpoint before this one; make room and resume"),
                ),
                path,
                action: "write",
            },
            other => other,
        })
    }

    /// The parameters (averaged ones, where asked for) with the best test accuracy, and what their neurons do.
    pub(super) fn save_best(&self, record: &EpochRecord) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let mut metadata = self.metadata();
        guided::note(Some(&record.activities), &mut metadata);
        metadata["weights_only"] = json!(true);
        checkpoint::save(&folder.best(), self.infer, &[], &metadata)
    }

    /// A copy of the last checkpoint, every so many epochs.
    pub(super) fn save_numbered(&self) -> Result<(), Error> {
        let (Some(folder), Some(every)) = (&self.folder, self.options.save_every) else { return Ok(()) };
        if !self.state.epoch.is_multiple_of(every.max(1)) {
            return Ok(());
        }
        checkpoint::save(&folder.numbered(self.state.epoch), self.train, &self.states(), &self.metadata())
    }

    /// What a run needs beside its parameters to go on: the optimiser's tensors and the averages.
    fn states(&self) -> Vec<Part<'_>> {
        let mut states = Vec::new();
        for (index, spec) in self.train.plan().params.iter().enumerate() {
            let mut add = |suffix: &str, data| {
                states.push(Part { name: format!("{}{suffix}", spec.name), shape: &spec.shape, data });
            };
            let kept = self.rule.state(index).unwrap_or_default();
            kept.into_iter().zip(self.rule.kept()).for_each(|(data, suffix)| add(suffix, data));
            if let Some(data) = self.average.as_ref().and_then(|average| average.get(index)) {
                add(AVERAGE, data);
            }
        }
        states
    }
}

/// A hash (FNV-1a) by which a data set is known again: all labels, and up to 256 samples of each part, evenly taken.
pub(super) fn fingerprint(data: &Dataset) -> Result<String, Error> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bits: u32| {
        hash = bits
            .to_le_bytes()
            .iter()
            .fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    };
    let mut sample = vec![0.0; data.shape.iter().product()];
    let mut part = |split: &Split| -> Result<(), Error> {
        add(split.len() as u32);
        split.labels().iter().for_each(|&label| add(label as u32));
        for index in (0..split.len()).step_by(split.len().div_ceil(FINGERS).max(1)) {
            split.write_sample(index, &mut sample)?;
            sample.iter().for_each(|v| add(v.to_bits()));
        }
        Ok(())
    };
    part(&data.train)?;
    part(&data.test)?;
    Ok(format!("{hash:016x}"))
}
