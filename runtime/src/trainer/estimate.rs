//! What a run takes, before it begins: memory, which is known, and time, which one batch tells.

use super::descent::Descent;
use super::{TrainOptions, check, set_batch};
use crate::augment::Mixing;
use crate::data::Dataset;
use crate::encode::Draws;
use crate::loader::{self, Source, with_batches};
use crate::metrics::Times;
use crate::optim::{Average, LearningRate, Rule};
use crate::{Error, Session, initialise, memory};
use serde::Serialize;
use snnc_plan::{InputSpec, Plan, Recipe};
use std::time::Instant;

/// A batch that took less is run once more: the first touches the memory.
const QUICK: f64 = 10.0;

/// What the process takes beside the run: its code, and what the compiler leaves. Measured on ResNet-19, 64-bit Linux.
const PROCESS_BYTES: u64 = 20 << 20;

/// Bytes of a run, by what takes them: what the process holds at most, from the first step to the last checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Budget {
    /// The training session: parameters, gradients, activations.
    pub train_bytes: u64,
    /// The session that evaluates.
    pub test_bytes: u64,
    /// The optimiser's tensors and averages.
    pub optimizer_bytes: u64,
    /// Batches that are read ahead.
    pub loader_bytes: u64,
    /// The data set, as far as it is held in memory.
    pub data_bytes: u64,
    /// Code and compiler.
    pub process_bytes: u64,
}

/// What a budget is made for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The plans for training and for inference.
    pub plans: (&'a Plan, &'a Plan),
    /// How it is trained.
    pub recipe: &'a Recipe,
    /// The largest batches of both.
    pub batches: (usize, usize),
    /// Threads that compute.
    pub threads: usize,
    /// Bytes of the data set in memory.
    pub data_bytes: u64,
}

impl Budget {
    /// Of a run.
    ///
    /// # Errors
    /// [`Error::Internal`] where a number overflows.
    pub fn of(asked: &Asked<'_>) -> Result<Budget, Error> {
        let Asked { plans: (train, infer), recipe, batches, threads, data_bytes } = *asked;
        let parameters = train.parameters();
        let averages = if recipe.ema.is_some() { parameters * 4 } else { 0 };
        let input = train.inputs.first().map_or(0, InputSpec::sample_len);
        Ok(Budget {
            train_bytes: Session::bytes_needed(train, batches.0, threads)?,
            test_bytes: Session::bytes_needed(infer, batches.1, threads)? + watched(infer),
            optimizer_bytes: Rule::bytes(recipe.optimizer, parameters) + averages,
            loader_bytes: loader::bytes(batches.0.max(batches.1), input, threads, train.mixes()),
            data_bytes,
            process_bytes: PROCESS_BYTES,
        })
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        let sessions = self.train_bytes + self.test_bytes + self.optimizer_bytes;
        sessions + self.loader_bytes + self.data_bytes + self.process_bytes
    }

    /// Refuses a run that takes more than the machine has, or than `limit`, with what would fit.
    ///
    /// # Errors
    /// [`Error::Memory`]; [`Error::Internal`] where a number overflows.
    pub fn refuse_too_large(asked: &Asked<'_>, limit: Option<u64>) -> Result<Budget, Error> {
        let of = |batch| {
            let batches = (batch, asked.batches.1.min(batch));
            Budget::of(&Asked { batches, ..*asked })
        };
        let (batch, budget) = (asked.batches.0, Budget::of(asked)?);
        // What the process holds already is not asked of the machine again.
        let machine = memory::available().map(|left| left + memory::now().unwrap_or(0));
        let available = [machine, limit].into_iter().flatten().min().unwrap_or(u64::MAX);
        if budget.total() <= available {
            return Ok(budget);
        }
        let fits = |batch: &usize| of(*batch).is_ok_and(|budget| budget.total() <= available);
        let mut help = match (1..batch).rev().find(fits) {
            Some(smaller) => format!("a batch of {smaller} fits: give `--batch {smaller}`"),
            None => fewer_timesteps(asked.plans.0.timesteps, of(1)?.total(), of(0)?.total(), available),
        };
        if machine.is_none_or(|machine| budget.total() <= machine) {
            help += &format!("; the machine has enough for `--memory {}M`", budget.total().div_ceil(1 << 20));
        }
        Err(Error::Memory { needed: budget.total(), available, help })
    }

    /// Bytes that the training session's arena may take for a batch where all may take `limit`.
    pub fn arena(&self, plan: &Plan, batch: usize, limit: u64) -> usize {
        let others = self.total().saturating_sub(plan.arena.bytes(batch).unwrap_or(0) as u64);
        limit.saturating_sub(others) as usize
    }
}

/// What counts the spikes of single neurons in an evaluation.
fn watched(plan: &Plan) -> u64 {
    plan.probes.iter().filter(|probe| !probe.pooled).map(|probe| probe.words as u64 * 64 * 4).sum()
}

/// What helps where not even one sample fits: what a sample takes is about proportional to the timesteps.
fn fewer_timesteps(timesteps: usize, one: u64, none: u64, available: u64) -> String {
    let sample = one.saturating_sub(none).max(1);
    let fit = (timesteps as u64 * available.saturating_sub(none) / sample) as usize;
    match fit {
        0 => "not even a batch of 1 fits: use smaller layers or a larger machine".to_string(),
        fit => format!(
            "not even a batch of 1 fits; with about {fit} of {timesteps} timesteps it would, or with smaller layers"
        ),
    }
}

/// What one batch tells of a run.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DryRun {
    /// Memory.
    pub memory: Budget,
    /// All of the memory.
    pub peak_bytes: u64,
    /// Memory that the machine has left, where it tells.
    pub available_bytes: Option<u64>,
    /// Samples of the batch.
    pub batch: usize,
    /// Its loss, before anything is learned.
    pub loss: f32,
    /// The norm of all its gradients together.
    pub grad_norm: f64,
    /// Seconds of the step, by part.
    pub step_seconds: Times,
    /// Steps of an epoch.
    pub steps: usize,
    /// Seconds of the training part of an epoch.
    pub epoch_seconds: f64,
    /// Seconds of the training part of all epochs.
    pub run_seconds: f64,
    /// Mean firing rate over layers.
    pub firing_rate: Option<f64>,
}

/// Runs one batch forward and backward and writes nothing. Changes the parameters of `train`.
///
/// # Errors
/// As [`super::train`].
pub fn dry_run(
    train: &mut Session,
    infer: &Session,
    data: &Dataset,
    options: &TrainOptions,
) -> Result<DryRun, Error> {
    check(train, infer, data, options)?;
    let recipe = &options.recipe;
    let memory = super::budget(train, infer, data, recipe)?;
    train.set_draws(Draws::training(options.seed, 0));
    initialise(train, options.seed)?;
    let (mut seconds, mut norm) = step(train, data, options)?;
    if total(&seconds) < QUICK {
        initialise(train, options.seed)?;
        (seconds, norm) = step(train, data, options)?;
    }
    let steps = options.samples(data.train.len()).div_ceil(recipe.batch);
    let epoch_seconds = total(&seconds) * steps as f64;
    Ok(DryRun {
        memory,
        peak_bytes: memory.total(),
        available_bytes: memory::available(),
        batch: recipe.batch,
        loss: train.loss()?,
        grad_norm: norm,
        step_seconds: seconds,
        steps,
        epoch_seconds,
        run_seconds: epoch_seconds * recipe.epochs as f64,
        firing_rate: train.mean_rate(),
    })
}

fn total(times: &Times) -> f64 {
    times.data + times.forward + times.backward + times.update
}

/// One step on the first samples: its times, and the norm of all gradients together.
fn step(train: &mut Session, data: &Dataset, options: &TrainOptions) -> Result<(Times, f64), Error> {
    let recipe = &options.recipe;
    let params = train.plan().params.len();
    let mut rule = Rule::new(recipe.optimizer, options.decay, params);
    let mut average = recipe.ema.map(|decay| Average::new(decay, params));
    let order: Vec<usize> = (0..recipe.batch).collect();
    let input = train.plan().inputs[0].clone();
    let mixing = Mixing::of(&recipe.augment, &input, options.seed, 0);
    let write = |index: usize, to: &mut [f32]| data.train.write_varied(index, options.seed, 0, to);
    let source = Source {
        write: &write,
        labels: data.train.labels(),
        what: "training sample",
        input,
        order: &order,
        batch: recipe.batch,
        loaders: 1,
        mixing,
    };
    let mut lap = super::Lap(Instant::now());
    let none = || Error::Internal("there is no batch".to_string());
    let batch = with_batches(&source, |mut batches| batches.next().ok_or_else(none)?)?;
    train.reset_rates();
    set_batch(train, &batch)?;
    let mut times = Times { data: lap.seconds(), ..Times::default() };
    train.run_forward()?;
    train.apply_updates()?;
    times.forward = lap.seconds();
    let lr = LearningRate::of(recipe).at(0) as f32;
    let (rule, average) = (&mut rule, average.as_mut());
    let descent = Descent { rule, average, lr, clip_norm: recipe.clip_norm };
    let (_, norm) = descent.run(train, &mut lap, &mut times).map_err(|error| match error {
        Error::Diverged(what) => Error::Diverged(format!("{what} is not finite in the first step")),
        other => other,
    })?;
    Ok((times, norm))
}

#[cfg(test)]
mod tests {
    use super::fewer_timesteps;

    #[test]
    fn timesteps_that_would_fit_are_told() {
        // A sample takes 80, or 20 a timestep; 50 are left beside what the run takes in any case.
        assert!(fewer_timesteps(4, 180, 100, 150).contains("with about 2 of 4 timesteps"));
        assert!(fewer_timesteps(4, 180, 100, 110).contains("smaller layers or a larger machine"));
        assert!(fewer_timesteps(4, 180, 100, 50).contains("smaller layers or a larger machine"));
    }
}
