//! Runs a model over samples in batches: accuracy and firing rates over a split, logits of an array.

use crate::data::Split;
use crate::data::samples_first;
use crate::loader::{self, Batches, Source, with_batches};
use crate::metrics::{FiringRates, Histogram, Pulse, Tally, Times, cross_entropy};
use crate::npy::Array;
use crate::progress::Progress;
use crate::{Error, Session};
use serde::Serialize;
use snnc_plan::Activities;
use std::time::Instant;

/// How a model does on a split.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Evaluation {
    /// The part of samples that are right, 0 to 1.
    pub test_accuracy: f64,
    /// The part of samples whose label is among the five largest logits, 0 to 1.
    pub test_top5: f64,
    /// Mean cross-entropy.
    pub test_loss: f64,
    /// Samples.
    pub samples: usize,
    /// Samples per second.
    pub images_per_second: f64,
    /// Bytes that the session takes at most.
    pub peak_bytes: u64,
    /// Spikes per neuron and timestep.
    pub firing_rates: FiringRates,
    /// The share of neurons that fire at one timestep at least.
    pub fires: FiringRates,
    /// Both, and those of pools of spikes.
    #[serde(skip)]
    pub activities: Activities,
    /// How the rates of single neurons are spread by layer, over the first [`WATCHED`] samples.
    #[serde(skip)]
    pub neuron_rates: Vec<(String, Histogram)>,
}

/// Samples over which the rates of single neurons are counted.
pub const WATCHED: usize = 256;

/// Runs a model over the first `limit` samples of a split (or all), in batches of the session's size.
///
/// # Errors
/// [`Error::User`] where the split is empty or does not fit the model; [`Error::Diverged`] for logits that are not
/// finite; [`Error::Interrupted`].
pub fn evaluate(
    session: &mut Session,
    split: &Split,
    limit: Option<usize>,
    progress: &mut dyn Progress,
) -> Result<Evaluation, Error> {
    let samples = limit.unwrap_or(usize::MAX).min(split.len());
    if samples == 0 {
        return Err(Error::User("there are no samples to evaluate".to_string()));
    }
    let (order, start) = ((0..samples).collect::<Vec<_>>(), Instant::now());
    let write = |index: usize, to: &mut [f32]| split.write_sample(index, to);
    let source = Source {
        write: &write,
        labels: split.labels(),
        what: "test sample",
        input: session.plan().inputs[0].clone(),
        order: &order,
        batch: session.max_batch(),
        loaders: loader::loaders(session.threads()),
        mixing: None,
    };
    session.reset_rates();
    session.watch_neurons(true);
    progress.begin("test", samples);
    let (tally, neuron_rates) = with_batches(&source, |batches| pass(session, batches, progress))?;
    progress.end();
    Ok(Evaluation {
        test_accuracy: tally.accuracy(),
        test_top5: tally.top5_accuracy(),
        test_loss: tally.mean_loss(),
        samples,
        images_per_second: samples as f64 / start.elapsed().as_secs_f64().max(1e-9),
        peak_bytes: session.peak_bytes()
            + loader::bytes(source.batch, source.input.sample_len(), session.threads(), false),
        firing_rates: session.firing_rates(),
        fires: session.fires(),
        activities: session.activities(),
        neuron_rates,
    })
}

/// Runs all batches; the spikes of single neurons are counted in the first ones only.
fn pass(
    session: &mut Session,
    batches: Batches,
    progress: &mut dyn Progress,
) -> Result<(Tally, Vec<(String, Histogram)>), Error> {
    let (mut tally, mut spread) = (Tally::default(), None);
    for batch in batches {
        let batch = batch?;
        batch.set_samples(session)?;
        session.run_forward()?;
        let (logits, classes) = (session.logits()?, session.plan().classes);
        if logits.iter().any(|v| !v.is_finite()) {
            session.forget()?;
            batch.set_samples(session)?;
            let layer = session.first_not_finite(false)?;
            let layer = layer.map_or_else(String::new, |layer| format!(": {layer} is the first that is not"));
            return Err(Error::Diverged(format!("the model's logits are not finite{layer}")));
        }
        if let Some(bad) = batch.labels.iter().find(|&&label| label as usize >= classes) {
            return Err(Error::User(format!("label {bad} is not one of the model's {classes} classes")));
        }
        tally.add(logits, &batch.labels, cross_entropy(logits, &batch.labels));
        if spread.is_none() && tally.samples >= WATCHED {
            spread = Some(session.neuron_rates());
            session.watch_neurons(false);
        }
        let firing_rate = session.mean_rate();
        progress.advance(&Pulse { tally, lr: None, firing_rate, times: Times::default() });
        if progress.stopped() {
            return Err(Error::Interrupted);
        }
    }
    let spread = spread.unwrap_or_else(|| session.neuron_rates());
    session.watch_neurons(false);
    Ok((tally, spread))
}

/// The logits `[N, classes]` of samples `[N, …]`, or `[T, N, …]` where the model's input has its own time axis; one
/// sample may come without its axis `N`.
///
/// # Errors
/// [`Error::Data`] where the shape does not fit the model's input.
pub fn predict(session: &mut Session, samples: &Array) -> Result<Array, Error> {
    let (data, n) = samples_of(session, samples)?;
    let len = session.plan().inputs[0].sample_len();
    let (classes, mut logits, mut first) = (session.plan().classes, Vec::new(), 0);
    while first < n {
        let count = session.max_batch().min(n - first);
        let indices: Vec<usize> = (first..first + count).collect();
        session.set_samples(&indices, |sample, to| {
            to.copy_from_slice(&data[sample * len..][..len]);
            Ok(())
        })?;
        session.run_forward()?;
        logits.extend_from_slice(session.logits()?);
        first += count;
    }
    Ok(Array { shape: vec![n, classes], data: logits })
}

/// Samples one after the other, each in the input's own shape, and their number.
pub(crate) fn samples_of<'a>(
    session: &Session,
    array: &'a Array,
) -> Result<(std::borrow::Cow<'a, [f32]>, usize), Error> {
    let input = &session.plan().inputs[0];
    let shape = &array.shape;
    if *shape == input.shape {
        return Ok((array.data.as_slice().into(), 1));
    }
    let axis = usize::from(input.has_time);
    let mut without = shape.clone();
    let n = if axis < shape.len() { without.remove(axis) } else { 0 };
    if without != input.shape || shape.len() != input.shape.len() + 1 {
        let mut wanted: Vec<String> = input.shape.iter().map(usize::to_string).collect();
        wanted.insert(axis, "N".to_string());
        let wanted = wanted.join(", ");
        return Err(Error::Data(format!(
            "the input `{}` has shape [{wanted}], the array {shape:?}",
            input.name
        )));
    }
    if !input.has_time {
        return Ok((array.data.as_slice().into(), n));
    }
    Ok((samples_first(&array.data, shape[0], n, shape[2..].iter().product()).into(), n))
}
