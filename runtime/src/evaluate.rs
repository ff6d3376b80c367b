//! Runs a model over samples in batches: accuracy and firing rates over a split, logits of an array.

use crate::data::Split;
use crate::data::samples_first;
use crate::metrics::{FiringRates, Tally, cross_entropy};
use crate::npy::Array;
use crate::progress::Progress;
use crate::{Error, Session};
use serde::Serialize;
use std::time::Instant;

/// How a model does on a split.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Evaluation {
    /// The part of samples that are right, 0 to 1.
    pub test_accuracy: f64,
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
}

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
    let (mut tally, start) = (Tally::default(), Instant::now());
    session.reset_rates();
    progress.begin("test", samples);
    while tally.samples < samples {
        let first = tally.samples;
        let count = session.max_batch().min(samples - first);
        let indices: Vec<usize> = (first..first + count).collect();
        session.set_samples(&indices, |sample, to| split.write_sample(sample, to))?;
        session.run_forward()?;
        let (logits, labels) = (session.logits()?, &split.labels()[first..first + count]);
        if logits.iter().any(|v| !v.is_finite()) {
            return Err(Error::Diverged("the model's logits are not finite".to_string()));
        }
        if let Some(bad) = labels.iter().find(|&&label| label as usize >= session.plan().classes) {
            return Err(Error::User(format!(
                "label {bad} is not one of the model's {} classes",
                session.plan().classes
            )));
        }
        tally.add(logits, labels, cross_entropy(logits, labels));
        progress.advance(&tally);
        if progress.stopped() {
            return Err(Error::Interrupted);
        }
    }
    progress.end();
    Ok(Evaluation {
        test_accuracy: tally.accuracy(),
        test_loss: tally.mean_loss(),
        samples,
        images_per_second: samples as f64 / start.elapsed().as_secs_f64().max(1e-9),
        peak_bytes: session.peak_bytes(),
        firing_rates: session.firing_rates(),
    })
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
