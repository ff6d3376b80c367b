//! What is measured while a model trains or is evaluated, and how it is written.

use serde::Serialize as Derive;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Spikes per neuron and timestep of each neuron layer, in the order of the model.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FiringRates(pub Vec<(String, f64)>);

impl FiringRates {
    /// The lowest, mean and highest rate over layers; `None` without layers.
    pub fn summary(&self) -> Option<(f64, f64, f64)> {
        let rates = || self.0.iter().map(|(_, rate)| *rate);
        let low = rates().reduce(f64::min)?;
        Some((low, rates().sum::<f64>() / self.0.len() as f64, rates().reduce(f64::max)?))
    }
}

/// As a map from layer to rate.
impl Serialize for FiringRates {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (layer, rate) in &self.0 {
            map.serialize_entry(layer, rate)?;
        }
        map.end()
    }
}

/// Sums over the batches of an epoch or an evaluation.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Tally {
    /// Samples so far.
    pub samples: usize,
    /// Samples whose largest logit is their label's.
    pub correct: usize,
    /// Sum of the samples' losses.
    pub loss: f64,
}

impl Tally {
    /// Adds a batch: logits `[samples, classes]`, labels and the mean loss.
    pub fn add(&mut self, logits: &[f32], labels: &[i32], mean_loss: f64) {
        let classes = logits.len() / labels.len().max(1);
        let hit = |(row, label): &(&[f32], &i32)| argmax(row) as i32 == **label;
        self.correct += logits.chunks_exact(classes.max(1)).zip(labels).filter(hit).count();
        self.samples += labels.len();
        self.loss += mean_loss * labels.len() as f64;
    }

    /// The part of samples that are right, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.samples.max(1) as f64
    }

    /// The mean loss of a sample.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.samples.max(1) as f64
    }
}

/// The position of the largest value; the first of equals.
pub fn argmax(row: &[f32]) -> usize {
    let better = |best: usize, (i, v): (usize, &f32)| if *v > row[best] { i } else { best };
    row.iter().enumerate().fold(0, better)
}

/// The mean cross-entropy of logits `[samples, classes]`, in f64.
pub fn cross_entropy(logits: &[f32], labels: &[i32]) -> f64 {
    let classes = (logits.len() / labels.len().max(1)).max(1);
    let one = |(row, &label): (&[f32], &i32)| {
        let top = row.iter().fold(f64::NEG_INFINITY, |top, &v| top.max(f64::from(v)));
        let sum: f64 = row.iter().map(|&v| (f64::from(v) - top).exp()).sum();
        sum.ln() + top - f64::from(row[label as usize])
    };
    logits.chunks_exact(classes).zip(labels).map(one).sum::<f64>() / labels.len().max(1) as f64
}

/// One line of `metrics.jsonl`.
#[derive(Clone, PartialEq, Debug, Derive)]
pub struct EpochRecord {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The learning rate.
    pub lr: f64,
    /// Mean loss of the training samples, while they were trained on.
    pub train_loss: f64,
    /// Accuracy on them, 0 to 1.
    pub train_accuracy: f64,
    /// Mean loss of the test samples, after the epoch.
    pub test_loss: f64,
    /// Accuracy on them, 0 to 1.
    pub test_accuracy: f64,
    /// Whether no epoch before had so good a test accuracy.
    pub best: bool,
    /// Training samples per second, evaluation excluded.
    pub images_per_second: f64,
    /// Seconds of the epoch, evaluation included.
    pub seconds: f64,
    /// Firing rates over the test samples.
    pub firing_rates: FiringRates,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_weigh_batches_by_their_samples() {
        let mut tally = Tally::default();
        tally.add(&[1.0, 0.0, 0.0, 1.0, 2.0, 2.0], &[0, 0, 0], 1.0);
        tally.add(&[0.0, 1.0], &[1], 5.0);
        assert_eq!((tally.correct, tally.samples), (3, 4));
        assert_eq!((tally.accuracy(), tally.mean_loss()), (0.75, 2.0));
    }

    #[test]
    fn cross_entropy_meets_the_published_vector() {
        let mean = [0.25, 0.6, -0.05];
        assert!((cross_entropy(&mean, &[1]) - 0.800536).abs() < 1e-6);
        assert!((cross_entropy(&[1000.0, 0.0], &[1]) - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn rates_are_a_map_in_the_order_of_the_model() {
        let rates = FiringRates(vec![("z".to_string(), 0.5), ("a".to_string(), 0.25)]);
        assert_eq!(serde_json::to_string(&rates).ok().as_deref(), Some(r#"{"z":0.5,"a":0.25}"#));
        assert_eq!(rates.summary(), Some((0.25, 0.375, 0.5)));
    }
}
