//! Looks into a session: norms of gradients, spikes of single neurons, the first layer whose values are not finite.

use super::spikes::Tally;
use super::{Session, run_step};
use crate::Error;
use crate::arena::span;
use crate::dense::Context;
use crate::metrics::{FiringRates, Histogram};
use crate::profile::Phase;
use rayon::prelude::*;
use snnc_plan::{Activities, Activity, BufferId, ElemKind, ParamSpec, Plan, PlanMode, Probe, Step};

/// Spikes of each neuron of each layer, while they are watched.
pub(super) struct Watch {
    /// By probe, for each bit of a sample's words.
    counts: Vec<Vec<u32>>,
    /// Samples so far.
    samples: usize,
}

impl Watch {
    /// Counts the spikes of a probe's words, sample after sample.
    pub(super) fn count(&mut self, probe: usize, words: &[u64], per_sample: usize) {
        let counts = &mut self.counts[probe];
        for sample in words.chunks_exact(per_sample.max(1)) {
            for (word, counts) in sample.iter().zip(counts.as_chunks_mut::<64>().0) {
                let mut rest = *word;
                while rest != 0 {
                    counts[rest.trailing_zeros() as usize] += 1;
                    rest &= rest - 1;
                }
            }
        }
    }

    pub(super) fn add_samples(&mut self, samples: usize) {
        self.samples += samples;
    }
}

/// Values that one thread sums: waking another costs more.
const SHORT: usize = 4 * CHUNK;
/// Values of a part of a sum.
const CHUNK: usize = 1 << 14;

/// The sum of squares, in a fixed order.
pub(super) fn squares(values: &[f32]) -> f64 {
    let square = |part: &[f32]| part.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
    if values.len() > SHORT {
        return values.par_chunks(CHUNK).map(square).collect::<Vec<f64>>().iter().sum();
    }
    values.chunks(CHUNK).map(square).sum()
}

impl Session {
    /// Set bits of a buffer of spikes or windows, if it still lives: one that the backward part reads does after
    /// [`Session::run_forward`]. Samples whose words do not fill whole lines have unused ones between them.
    ///
    /// # Errors
    /// [`Error::Internal`] for a broken plan.
    pub fn set_bits(&self, buffer: BufferId) -> Result<u64, Error> {
        let words = self.arena.words(self.span(buffer))?;
        Ok(words.iter().map(|word| u64::from(word.count_ones())).sum())
    }

    /// The norm of each trained parameter's gradient, in the order of the model: the root of the sum of squares, in a
    /// fixed order; the norm of all together last.
    ///
    /// # Errors
    /// [`Error::Internal`] for a broken plan.
    pub fn grad_norms(&self) -> Result<(Vec<f64>, f64), Error> {
        let (mut norms, mut total) = (Vec::new(), 0.0);
        for spec in self.exe.plan.params.iter().filter(|spec| spec.role.is_trained()) {
            if spec.grad.is_none() {
                continue;
            }
            let values = self.grad(&spec.name)?;
            let sum = match values.len() > SHORT {
                true => self.workers.install(|| Ok::<_, Error>(squares(values)))?,
                false => squares(values),
            };
            norms.push(sum.sqrt());
            total += sum;
        }
        Ok((norms, total.sqrt()))
    }

    /// The mean over layers of the firing rates since the last [`Session::reset_rates`]; `None` without layers.
    pub fn mean_rate(&self) -> Option<f64> {
        let shares = self.tally.shares(&self.exe.plan.probes);
        (!shares.is_empty()).then(|| shares.iter().map(|(rate, _)| rate).sum::<f64>() / shares.len() as f64)
    }

    /// The share of each layer's neurons that fired at one timestep at least, since the last [`Session::reset_rates`].
    pub fn fires(&self) -> FiringRates {
        let shares = self.tally.shares(&self.exe.plan.probes).into_iter().map(|(_, fires)| fires);
        FiringRates(self.of_neurons(shares))
    }

    /// The layers of neurons, each with what there is of its probe.
    pub(super) fn of_neurons<T>(&self, all: impl IntoIterator<Item = T>) -> Vec<(String, T)> {
        let probes = self.exe.plan.probes.iter().zip(all).filter(|(probe, _)| !probe.pooled);
        probes.map(|(probe, own)| (probe.layer.clone(), own)).collect()
    }

    /// What the neurons of each layer, and the pools of their spikes, did since the last [`Session::reset_rates`], as a compilation may expect it.
    pub fn activities(&self) -> Activities {
        let shares = self.tally.shares(&self.exe.plan.probes);
        let activity = |(rate, fires): (f64, f64)| Activity { rate: rate as f32, fires: Some(fires as f32) };
        let layers = self.exe.plan.probes.iter().map(|probe| probe.layer.clone());
        let layers = layers.zip(shares.into_iter().map(activity)).collect();
        Activities { layers, ..Activities::default() }
    }

    /// Begins to count at which timesteps neurons fire, or ends it.
    pub fn watch_patterns(&mut self, on: bool) {
        self.tally.watch_patterns(&self.exe.plan.probes, on);
    }

    /// How many neurons of each layer had each pattern over time: bit t of a pattern is set for a spike at timestep t.
    /// Empty without [`Session::watch_patterns`], and for a layer of more than eight timesteps.
    pub fn patterns(&self) -> Vec<(String, Vec<u64>)> {
        self.of_neurons(self.tally.patterns().unwrap_or_default())
    }

    /// Begins to count the spikes of every single neuron, or ends it.
    pub fn watch_neurons(&mut self, on: bool) {
        let words =
            self.exe.plan.probes.iter().map(|probe| vec![0; if probe.pooled { 0 } else { probe.words * 64 }]);
        self.watch = on.then(|| Watch { counts: words.collect(), samples: 0 });
    }

    /// How the firing rates of each layer's neurons are spread, since [`Session::watch_neurons`]; empty without it.
    pub fn neuron_rates(&self) -> Vec<(String, Histogram)> {
        let Some(watch) = &self.watch else { return Vec::new() };
        // Bits that stand for no neuron are never set, so the silent neurons are all that did not fire.
        let spread = |(probe, counts): (&Probe, &Vec<u32>)| {
            let fired = counts.iter().copied().filter(|&spikes| spikes > 0);
            Histogram::of_spikes(fired, probe.neurons, probe.steps * watch.samples)
        };
        self.of_neurons(self.exe.plan.probes.iter().zip(&watch.counts).map(spread))
    }

    /// Forgets all but the parameters: every other value is 0.
    ///
    /// # Errors
    /// [`Error::Internal`] for a broken plan.
    pub fn forget(&mut self) -> Result<(), Error> {
        let params: Vec<BufferId> = self.exe.plan.params.iter().map(|spec| spec.buffer).collect();
        let ids = (0..self.exe.plan.buffers.len() as u32).map(BufferId);
        for id in ids.filter(|id| !params.contains(id)) {
            let span = self.span(id);
            self.arena.f32_mut(span)?.fill(0.0);
        }
        self.prepared = false;
        Ok(())
    }

    /// Runs a step with the inputs (and labels) set after [`Session::forget`], and tells what first holds a value that is not
    /// finite: a parameter, or what a layer computes forward or (with `backward`) backward.
    ///
    /// # Errors
    /// [`Error::Internal`] for a broken plan.
    pub fn first_not_finite(&mut self, backward: bool) -> Result<Option<String>, Error> {
        // In training nothing is computed from running statistics: they show what went wrong elsewhere.
        let is_read = |spec: &&ParamSpec| self.exe.plan.mode == PlanMode::Infer || spec.role.is_trained();
        for spec in self.exe.plan.params.iter().filter(is_read) {
            if !self.values(spec.buffer, spec.len())?.iter().all(|v| v.is_finite()) {
                return Ok(Some(format!("parameter `{}`", spec.name)));
            }
        }
        for phase in [Phase::Prepare, Phase::Forward, Phase::Backward] {
            if phase == Phase::Backward && !backward {
                break;
            }
            if let Some(layer) = self.watched(phase)? {
                let part = if phase == Phase::Backward { "the gradient in layer" } else { "layer" };
                return Ok(Some(format!("{part} `{layer}`")));
            }
        }
        Ok(None)
    }

    /// Runs a phase until a step leaves a value that is not finite where none was before. Memory behind a buffer's
    /// values holds what other buffers left, so only what has changed tells.
    fn watched(&mut self, phase: Phase) -> Result<Option<String>, Error> {
        let steps = match phase {
            Phase::Prepare => self.exe.plan.prepare.len(),
            Phase::Forward => self.exe.plan.forward.len(),
            Phase::Backward => self.exe.plan.backward.len(),
        };
        let mut tally = Tally::new(self.exe.plan.probes.len());
        for at in 0..steps {
            let exe = &self.exe;
            let step = match phase {
                Phase::Prepare => &exe.plan.prepare[at],
                Phase::Forward => &exe.plan.forward[at],
                Phase::Backward => &exe.plan.backward[at],
            };
            let mut context = Context {
                plan: &exe.plan,
                arena: &mut self.arena,
                shared: &mut self.shared,
                workers: &self.workers,
                batch: self.batch,
            };
            let before = not_finite(step, &context)?;
            self.workers.install(|| run_step(exe, step, &mut context, &mut tally, &mut None, &mut None))?;
            let after = not_finite(step, &context)?;
            let is_new = |place: &(BufferId, usize)| before.binary_search(place).is_err();
            if let Some((buffer, _)) = after.iter().find(|place| is_new(place)) {
                return Ok(Some(layer_of(&exe.plan, step, *buffer)));
            }
        }
        Ok(None)
    }
}

/// Where the real-valued buffers of a step hold values that are not finite, in order.
fn not_finite(step: &Step, context: &Context<'_>) -> Result<Vec<(BufferId, usize)>, Error> {
    let mut ids = step.touches();
    ids.retain(|id| context.plan.buffer(*id).elem == ElemKind::F32);
    ids.sort();
    ids.dedup();
    let mut found = Vec::new();
    for id in ids {
        let values = context.arena.f32(span(context.plan, id, context.batch))?;
        found.extend(values.iter().enumerate().filter(|(_, v)| !v.is_finite()).map(|(at, _)| (id, at)));
    }
    Ok(found)
}

/// The name of what a step computes: its own, or, where it has none, that of the buffer.
fn layer_of(plan: &Plan, step: &Step, buffer: BufferId) -> String {
    match step {
        Step::Kernel(kernel) => kernel.name.clone(),
        Step::Dense { name, .. } => name.clone(),
        Step::Count { .. } | Step::Update { .. } => plan.buffer(buffer).name.clone(),
    }
}
