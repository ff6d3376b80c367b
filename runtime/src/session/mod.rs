//! A plan with its memory and threads: set parameters and inputs, run, read results.

mod inspect;
mod needs;
mod spikes;
#[cfg(test)]
mod tests;

use crate::arena::{Arena, Span, span};
use crate::dense::{self, Context};
use crate::encode::{Draws, encode};
use crate::metrics::FiringRates;
use crate::profile::{self, Phase, StepTime};
use crate::workers::{Workers, threads_or_all};
use crate::{Error, call};
use inspect::{Watch, squares};
use needs::{check, needs, refuse_too_large};
use snnc_plan::{BufferId, Executable, InputSpec, ParamSpec, Plan, PlanMode, Step, Tap};
use spikes::Tally;
use std::collections::HashMap;
use std::time::Instant;

/// What moves a parameter: its number, its values, its gradient and the sum of that's squares.
pub type Change<'a> =
    dyn FnMut(usize, &ParamSpec, &mut [f32], (&[f32], f64)) -> Result<(), Error> + Send + 'a;

/// A plan that can run. Parameters are zero until they are set.
pub struct Session {
    exe: Executable,
    arena: Arena,
    workers: Workers,
    shared: Vec<f32>,
    sample: Vec<f32>,
    batch: usize,
    max_batch: usize,
    prepared: bool,
    index: HashMap<String, usize>,
    tally: Tally,
    times: Option<Vec<StepTime>>,
    watch: Option<Watch>,
    draws: Draws,
}

impl Session {
    /// Memory and threads for at most `max_batch` samples; 0 threads stands for all that the machine has.
    ///
    /// # Errors
    /// [`Error::Memory`] where the machine has less memory; [`Error::Internal`] for a broken plan.
    pub fn new(exe: Executable, max_batch: usize, threads: usize) -> Result<Session, Error> {
        if max_batch == 0 {
            return Err(Error::User("the batch must be at least 1".to_string()));
        }
        check(&exe)?;
        let plan = &exe.plan;
        let threads = threads_or_all(threads);
        let needs = needs(plan, max_batch, threads)?;
        refuse_too_large(plan, &needs, max_batch, threads)?;
        let index = plan.params.iter().enumerate().map(|(i, p)| (p.name.clone(), i)).collect();
        let (probes, longest) =
            (plan.probes.len(), plan.inputs.iter().map(InputSpec::sample_len).max().unwrap_or(0));
        Ok(Session {
            arena: Arena::new(needs.arena)?,
            workers: Workers::new(threads, needs.scratch)?,
            shared: vec![0.0; needs.shared],
            sample: vec![0.0; longest],
            batch: max_batch,
            max_batch,
            prepared: false,
            index,
            tally: Tally::new(probes),
            times: None,
            watch: None,
            draws: Draws::evaluation(),
            exe,
        })
    }

    /// Goes on with other code of the same model: batch, threads and draws stay, parameters are zero. The memory of before is
    /// given back first.
    ///
    /// # Errors
    /// As [`Session::new`]; then there is nothing left to run.
    pub(crate) fn exchange(&mut self, exe: Executable) -> Result<(), Error> {
        self.arena = Arena::new(0)?;
        let new = Session::new(exe, self.max_batch, self.workers.count())?;
        *self = Session { draws: self.draws, ..new };
        Ok(())
    }

    /// Bytes that a session of a plan takes, before one is made.
    ///
    /// # Errors
    /// [`Error::Internal`] where the number overflows.
    pub fn bytes_needed(plan: &Plan, max_batch: usize, threads: usize) -> Result<u64, Error> {
        Ok(needs(plan, max_batch, threads_or_all(threads))?.total)
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.exe.plan
    }

    /// Threads that run it.
    pub fn threads(&self) -> usize {
        self.workers.count()
    }

    /// Samples of a step at most.
    pub fn max_batch(&self) -> usize {
        self.max_batch
    }

    /// Bytes that this session takes at most.
    pub fn peak_bytes(&self) -> u64 {
        needs(&self.exe.plan, self.max_batch, self.workers.count()).map_or(u64::MAX, |needs| needs.total)
    }

    fn span(&self, id: BufferId) -> Span {
        span(&self.exe.plan, id, self.batch)
    }

    /// The first `len` values of a buffer.
    fn values(&self, id: BufferId, len: usize) -> Result<&[f32], Error> {
        let name =
            || Error::Internal(format!("`{}` holds less than {len} values", self.exe.plan.buffer(id).name));
        self.arena.f32(self.span(id))?.get(..len).ok_or_else(name)
    }

    fn spec(&self, name: &str) -> Result<&ParamSpec, Error> {
        let found = self.index.get(name).map(|&i| &self.exe.plan.params[i]);
        found.ok_or_else(|| Error::User(format!("the model has no parameter `{name}`")))
    }

    /// A parameter's values, row-major.
    ///
    /// # Errors
    /// [`Error::User`] where there is no such parameter.
    pub fn param(&self, name: &str) -> Result<&[f32], Error> {
        let spec = self.spec(name)?;
        self.values(spec.buffer, spec.len())
    }

    /// Sets a parameter.
    ///
    /// # Errors
    /// [`Error::User`] where there is no such parameter or it has another number of values.
    pub fn set_param(&mut self, name: &str, values: &[f32]) -> Result<(), Error> {
        let spec = self.spec(name)?;
        let (len, span) = (spec.len(), self.span(spec.buffer));
        if values.len() != len {
            return Err(Error::User(format!("`{name}` has {len} values, {} were given", values.len())));
        }
        self.arena.f32_mut(span)?[..len].copy_from_slice(values);
        self.prepared = false;
        Ok(())
    }

    /// Takes over the parameters of another session of the same model.
    ///
    /// # Errors
    /// [`Error::User`] where the other has no parameter of a name, or one of another size.
    pub fn copy_params(&mut self, from: &Session) -> Result<(), Error> {
        for name in self.exe.plan.params.iter().map(|p| p.name.clone()).collect::<Vec<_>>() {
            self.set_param(&name, from.param(&name)?)?;
        }
        Ok(())
    }

    /// The gradient of the mean loss with respect to a parameter, after [`Session::run_backward`].
    ///
    /// # Errors
    /// [`Error::User`] where there is no such parameter or it is not trained.
    pub fn grad(&self, name: &str) -> Result<&[f32], Error> {
        let spec = self.spec(name)?;
        let grad = spec.grad.ok_or_else(|| Error::User(format!("`{name}` has no gradient")))?;
        if self.exe.plan.hands_gradients() {
            return Err(Error::User(format!("the gradient of `{name}` is not kept: the optimiser has it")));
        }
        self.values(grad, spec.len())
    }

    /// Gives each trained parameter and its gradient to `change`, on this session's threads.
    ///
    /// # Errors
    /// The first error of `change`; [`Error::Internal`] for a broken plan.
    pub fn change_params<F>(&mut self, mut change: F) -> Result<(), Error>
    where
        F: FnMut(usize, &ParamSpec, &mut [f32], &[f32]) -> Result<(), Error> + Send,
    {
        if self.exe.plan.hands_gradients() {
            return Err(Error::Internal("gradients are handed over, not kept".to_string()));
        }
        self.prepared = false;
        let (plan, arena, batch) = (&self.exe.plan, &mut self.arena, self.batch);
        let at = |id: BufferId| span(plan, id, batch);
        self.workers.install(|| {
            for (index, spec) in plan.params.iter().enumerate().filter(|(_, spec)| spec.role.is_trained()) {
                let Some(grad) = spec.grad else { continue };
                let (values, [grad]) = arena.write_and_read(at(spec.buffer), [at(grad)])?;
                change(index, spec, &mut values[..spec.len()], &grad[..spec.len()])?;
            }
            Ok(())
        })
    }

    /// Moves the running statistics to the values that the last forward pass left.
    ///
    /// # Errors
    /// [`Error::Internal`] for a broken plan.
    pub fn apply_updates(&mut self) -> Result<(), Error> {
        for spec in &self.exe.plan.params {
            let Some(update) = spec.update else { continue };
            let at = |id: BufferId| span(&self.exe.plan, id, self.batch);
            let (values, [update]) = self.arena.write_and_read(at(spec.buffer), [at(update)])?;
            values[..spec.len()].copy_from_slice(&update[..spec.len()]);
            self.prepared = false;
        }
        Ok(())
    }

    /// What the random numbers of encoded samples are drawn for from now on; at first [`Draws::evaluation`].
    pub fn set_draws(&mut self, draws: Draws) {
        self.draws = draws;
    }

    /// Sets the samples of the next step, `0..count`: [`Session::set_samples`].
    ///
    /// # Errors
    /// As [`Session::set_samples`].
    pub fn set_inputs(
        &mut self,
        count: usize,
        fill: impl FnMut(usize, &mut [f32]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.set_samples(&(0..count).collect::<Vec<_>>(), fill)
    }

    /// Sets the samples of the next step: `fill` writes each of the samples into the slice it is given, which has
    /// the shape of the model's first input. Where that has an encoder, the sample's number is part of what its random
    /// numbers depend on.
    ///
    /// # Errors
    /// [`Error::User`] for more than `max_batch` samples; [`Error::Data`] for values that are not finite, or not
    /// 0 or 1 where the input is spikes; the errors of `fill`.
    pub fn set_samples(
        &mut self,
        samples: &[usize],
        mut fill: impl FnMut(usize, &mut [f32]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let count = samples.len();
        if count == 0 || count > self.max_batch {
            return Err(Error::User(format!("a step takes 1 to {} samples, not {count}", self.max_batch)));
        }
        self.batch = count;
        let input = &self.exe.plan.inputs[0];
        let (len, part) = (input.sample_len(), input.buffer_len() / input.steps().max(1));
        let to = self.arena.f32_mut(span(&self.exe.plan, input.buffer, count))?;
        let values = &mut self.sample[..len];
        for (slot, &sample) in samples.iter().enumerate() {
            fill(sample, values)?;
            check_sample(input, "sample", sample, values)?;
            if let Some(encoder) = input.encoder {
                encode(encoder, values, (self.draws, sample), to, |t| (t * count + slot) * part);
                continue;
            }
            for (t, values) in values.chunks_exact(part.max(1)).enumerate() {
                to[(t * count + slot) * part..][..part].copy_from_slice(values);
            }
        }
        Ok(())
    }

    /// Sets the labels of the samples, in a training plan; call it after [`Session::set_inputs`]. Where samples may have
    /// two labels, each has this one alone.
    ///
    /// # Errors
    /// [`Error::User`] where the plan takes no labels, or not so many; [`Error::Data`] for a label out of range.
    pub fn set_labels(&mut self, labels: &[i32]) -> Result<(), Error> {
        self.write_labels(1, labels)?;
        if self.exe.plan.mixes() { self.set_mixes(labels, &vec![1.0; labels.len()]) } else { Ok(()) }
    }

    /// Sets the second labels of the samples, and the share of each first one; call it after [`Session::set_labels`].
    ///
    /// # Errors
    /// As [`Session::set_labels`]; [`Error::Data`] for a share that is not from 0 to 1.
    pub fn set_mixes(&mut self, others: &[i32], shares: &[f32]) -> Result<(), Error> {
        if !self.exe.plan.mixes() {
            return Err(Error::User("the model is not compiled for samples of two labels".to_string()));
        }
        self.write_labels(2, others)?;
        if shares.len() != self.batch {
            return Err(Error::User(format!(
                "{} shares were given for {} samples",
                shares.len(),
                self.batch
            )));
        }
        if let Some(bad) = shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return Err(Error::Data(format!("the share {bad} of a label is not from 0 to 1")));
        }
        let at = self.span(self.exe.plan.inputs[3].buffer);
        self.arena.f32_mut(at)?[..shares.len()].copy_from_slice(shares);
        Ok(())
    }

    /// Sets the labels of an input of the plan.
    fn write_labels(&mut self, input: usize, labels: &[i32]) -> Result<(), Error> {
        let Some(input) = self.exe.plan.inputs.get(input) else {
            return Err(Error::User("a model compiled for inference takes no labels".to_string()));
        };
        if labels.len() != self.batch {
            return Err(Error::User(format!(
                "{} labels were given for {} samples",
                labels.len(),
                self.batch
            )));
        }
        let classes = self.exe.plan.classes;
        if let Some(bad) = labels.iter().find(|&&label| label < 0 || label as usize >= classes) {
            return Err(Error::Data(format!("label {bad} is not one of the model's {classes} classes")));
        }
        let at = self.span(input.buffer);
        self.arena.i32_mut(at)?[..labels.len()].copy_from_slice(labels);
        Ok(())
    }

    /// Runs from input to logits (and loss), after the parameters' own steps: in training each time, since what they
    /// make does not outlive a step there, in inference where the parameters have changed.
    ///
    /// # Errors
    /// [`Error::Internal`] for a broken plan.
    pub fn run_forward(&mut self) -> Result<(), Error> {
        if !self.prepared || self.exe.plan.mode == PlanMode::Train {
            self.run(Phase::Prepare, &mut None)?;
            self.prepared = true;
        }
        self.run(Phase::Forward, &mut None)?;
        self.tally.add_samples(&self.exe.plan.probes, self.batch);
        if let Some(watch) = &mut self.watch {
            watch.add_samples(self.batch);
        }
        Ok(())
    }

    /// Runs from loss to gradients.
    ///
    /// # Errors
    /// [`Error::User`] for a plan without a backward pass; [`Error::Internal`] for a broken plan.
    pub fn run_backward(&mut self) -> Result<(), Error> {
        self.backward(&mut None)
    }

    /// As [`Session::run_backward`], where gradients are not kept: each is given to `change` as soon as it is complete, with
    /// its parameter, that is read no more, and the sum of the gradient's squares; on this session's threads.
    ///
    /// # Errors
    /// As [`Session::run_backward`]; the first error of `change`.
    pub fn run_backward_handing(&mut self, change: &mut Change<'_>) -> Result<(), Error> {
        self.backward(&mut Some(change))
    }

    fn backward(&mut self, change: &mut Option<&mut Change<'_>>) -> Result<(), Error> {
        if self.exe.plan.mode != PlanMode::Train {
            return Err(Error::User("a model compiled for inference has no backward pass".to_string()));
        }
        self.run(Phase::Backward, change)
    }

    /// The logits of the last step, `[samples, classes]`.
    ///
    /// # Errors
    /// [`Error::Internal`] for a broken plan.
    pub fn logits(&self) -> Result<&[f32], Error> {
        self.values(self.exe.plan.logits, self.batch * self.exe.plan.classes)
    }

    /// The mean loss of the last step.
    ///
    /// # Errors
    /// [`Error::User`] for a plan without a loss.
    pub fn loss(&self) -> Result<f32, Error> {
        let none = || Error::User("a model compiled for inference has no loss".to_string());
        Ok(self.values(self.exe.plan.loss.ok_or_else(none)?, 1)?[0])
    }

    /// The input of the samples that are set, as the network reads it: `[B …]`, or `[T B …]` where it has time, behind
    /// its encoder.
    ///
    /// # Errors
    /// [`Error::Internal`] for a broken plan.
    pub fn inputs(&self) -> Result<&[f32], Error> {
        let input = &self.exe.plan.inputs[0];
        self.values(input.buffer, input.buffer_len() * self.batch)
    }

    /// The words of a tap of spikes after the last step.
    pub(crate) fn tap_words(&self, tap: &Tap, len: usize) -> Result<&[u64], Error> {
        let short = || Error::Internal(format!("what `{}` reads does not fill its words", tap.layer));
        self.arena.words(self.span(tap.buffer))?.get(..len).ok_or_else(short)
    }

    /// The numbers of a tap of counts or real values after the last step.
    pub(crate) fn tap_values(&self, tap: &Tap, len: usize) -> Result<&[f32], Error> {
        self.values(tap.buffer, len)
    }

    /// Firing rates since the last [`Session::reset_rates`]: spikes per neuron and timestep.
    pub fn firing_rates(&self) -> FiringRates {
        let rates = self.tally.shares(&self.exe.plan.probes).into_iter().map(|(rate, _)| rate);
        FiringRates(self.of_neurons(rates))
    }

    /// Begins to count spikes anew.
    pub fn reset_rates(&mut self) {
        self.tally.reset();
    }

    /// Begins to measure the time of every step.
    pub fn start_profile(&mut self) {
        self.times = Some(profile::rows(&self.exe.plan));
    }

    /// Times of all steps since [`Session::start_profile`], in order; empty without it.
    pub fn profile(&self) -> &[StepTime] {
        self.times.as_deref().unwrap_or(&[])
    }

    fn run(&mut self, phase: Phase, change: &mut Option<&mut Change<'_>>) -> Result<(), Error> {
        let plan = &self.exe.plan;
        let (before, steps) = match phase {
            Phase::Prepare => (0, &plan.prepare),
            Phase::Forward => (plan.prepare.len(), &plan.forward),
            Phase::Backward => (plan.prepare.len() + plan.forward.len(), &plan.backward),
        };
        let mut context = Context {
            plan,
            arena: &mut self.arena,
            shared: &mut self.shared,
            workers: &self.workers,
            batch: self.batch,
        };
        let (exe, tally, times, watch) = (&self.exe, &mut self.tally, &mut self.times, &mut self.watch);
        self.workers.install(|| {
            for (at, step) in steps.iter().enumerate() {
                let start = times.is_some().then(Instant::now);
                run_step(exe, step, &mut context, tally, watch, change)?;
                if let (Some(start), Some(row)) = (start, times.as_mut().and_then(|t| t.get_mut(before + at)))
                {
                    row.calls += 1;
                    row.total += start.elapsed();
                }
            }
            Ok(())
        })
    }
}

fn run_step(
    exe: &Executable,
    step: &Step,
    context: &mut Context<'_>,
    tally: &mut Tally,
    watch: &mut Option<Watch>,
    change: &mut Option<&mut Change<'_>>,
) -> Result<(), Error> {
    match step {
        Step::Update { param, values, grad } => {
            let (Some(change), spec) = (change, &context.plan.params[*param]) else { return Ok(()) };
            let (values, grad) = (context.span(*values), context.span(*grad));
            let (values, [grad]) = context.arena.write_and_read(values, [grad])?;
            let grad = &grad[..spec.len()];
            change(*param, spec, &mut values[..spec.len()], (grad, squares(grad)))
        }
        Step::Kernel(kernel) => call::run(exe, kernel, context),
        Step::Dense { op, .. } => dense::run(op, context),
        Step::Count { probe, buffer } => {
            let spec = &context.plan.probes[*probe];
            let words = context.arena.words(context.span(*buffer))?;
            let short = || Error::Internal(format!("the spikes of `{}` do not fill their words", spec.layer));
            let words = words.get(..spec.words * spec.steps * context.batch).ok_or_else(short)?;
            if let Some(watch) = watch {
                watch.count(*probe, words, spec.words);
            }
            tally.count(*probe, spec, words);
            Ok(())
        }
    }
}

/// Whether a sample's values are what an input takes; in messages it is called `what` number `sample`.
pub fn check_sample(input: &InputSpec, what: &str, sample: usize, values: &[f32]) -> Result<(), Error> {
    let valid = |v: &f32| if input.spikes { *v == 0.0 || *v == 1.0 } else { v.is_finite() };
    let rule = if input.spikes { "spikes are 0 or 1" } else { "values must be finite" };
    match values.iter().find(|v| !valid(v)) {
        Some(bad) => {
            Err(Error::Data(format!("{what} {sample} of input `{}` holds {bad}: {rule}", input.name)))
        }
        None => Ok(()),
    }
}
