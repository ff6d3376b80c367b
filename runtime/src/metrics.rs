//! What is measured while a model trains or is evaluated, and how it is written.

use crate::augment::Mixed;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde::{Deserialize as DeriveDe, Serialize as DeriveSer};
use snnc_plan::Activities;
use std::fmt;

/// A label among so many of the largest logits counts as found in the second accuracy.
const TOP: usize = 5;

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

/// From such a map, in its order.
impl<'de> Deserialize<'de> for FiringRates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FiringRates, D::Error> {
        struct Rates;
        impl<'de> Visitor<'de> for Rates {
            type Value = FiringRates;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from layer to firing rate")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FiringRates, A::Error> {
                let mut rates = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    rates.push(entry);
                }
                Ok(FiringRates(rates))
            }
        }
        deserializer.deserialize_map(Rates)
    }
}

/// How the rates of a layer's neurons are spread: how many neurons (`counts`) have a rate of at most each of `limits`,
/// and above the limit before.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Histogram {
    /// The lowest and the highest rate.
    pub range: (f64, f64),
    /// Neurons.
    pub num: f64,
    /// The sum of rates.
    pub sum: f64,
    /// The sum of their squares.
    pub sum_squares: f64,
    /// Upper limits of the bins; the first is 0, for neurons that never fired.
    pub limits: Vec<f64>,
    /// Neurons of each bin.
    pub counts: Vec<f64>,
}

impl Histogram {
    /// Of `neurons` neurons, from the spikes of those that fired, each in `steps` timesteps. Twenty bins and one for 0.
    pub fn of_spikes(fired: impl Iterator<Item = u32>, neurons: usize, steps: usize) -> Histogram {
        const BINS: usize = 20;
        let limits: Vec<f64> = (0..=BINS).map(|bin| bin as f64 / BINS as f64).collect();
        let mut all =
            Histogram { num: neurons as f64, counts: vec![0.0; BINS + 1], limits, ..Histogram::default() };
        let (mut low, mut seen) = (f64::INFINITY, 0);
        for spikes in fired {
            let rate = f64::from(spikes) / steps.max(1) as f64;
            (low, seen) = (low.min(rate), seen + 1);
            all.range.1 = all.range.1.max(rate);
            (all.sum, all.sum_squares) = (all.sum + rate, all.sum_squares + rate * rate);
            all.counts[((rate * BINS as f64).ceil() as usize).clamp(1, BINS)] += 1.0;
        }
        let silent = neurons.saturating_sub(seen);
        all.counts[0] = silent as f64;
        all.range.0 = if silent > 0 || seen == 0 { 0.0 } else { low };
        all
    }
}

/// Seconds of each part of training.
#[derive(Clone, Copy, PartialEq, Debug, Default, DeriveSer, DeriveDe)]
pub struct Times {
    /// Waiting for samples, and handing them over.
    pub data: f64,
    /// From input to loss.
    pub forward: f64,
    /// From loss to gradients.
    pub backward: f64,
    /// The optimiser.
    pub update: f64,
}

impl Times {
    /// Percent of each part, `data 1 forward 40 backward 51 update 8 %`.
    pub fn split(&self) -> String {
        let all = (self.data + self.forward + self.backward + self.update).max(1e-12);
        let percent = |part: f64| (part / all * 100.0).round();
        let (data, forward) = (percent(self.data), percent(self.forward));
        let (backward, update) = (percent(self.backward), percent(self.update));
        format!("data {data} forward {forward} backward {backward} update {update} %")
    }
}

impl std::ops::Add for Times {
    type Output = Times;

    fn add(self, other: Times) -> Times {
        Times {
            data: self.data + other.data,
            forward: self.forward + other.forward,
            backward: self.backward + other.backward,
            update: self.update + other.update,
        }
    }
}

/// How far a pass over samples is.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Pulse {
    /// So far.
    pub tally: Tally,
    /// The learning rate, in training.
    pub lr: Option<f64>,
    /// The mean firing rate over layers.
    pub firing_rate: Option<f64>,
    /// Where the time went, in training.
    pub times: Times,
}

/// Sums over the batches of an epoch or an evaluation.
#[derive(Clone, Copy, PartialEq, Debug, Default, DeriveSer, DeriveDe)]
#[serde(default)]
pub struct Tally {
    /// Samples so far.
    pub samples: usize,
    /// Samples whose largest logit is their label's.
    pub correct: usize,
    /// Samples whose label's logit is among the five largest.
    pub top5: usize,
    /// Sum of the samples' losses.
    pub loss: f64,
    /// Mixed samples that are right, each by the share of the label that its largest logit is.
    #[serde(skip_serializing_if = "is_zero")]
    pub shares: f64,
}

/// Whether there is nothing to write: runs without mixed samples keep the form of their checkpoints.
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl Tally {
    /// Adds a batch: logits `[samples, classes]`, labels and the mean loss.
    pub fn add(&mut self, logits: &[f32], labels: &[i32], mean_loss: f64) {
        let classes = logits.len() / labels.len().max(1);
        for (row, &label) in logits.chunks_exact(classes.max(1)).zip(labels) {
            let rank = rank(row, label as usize);
            self.correct += usize::from(rank == 0);
            self.top5 += usize::from(rank < TOP);
        }
        self.samples += labels.len();
        self.loss += mean_loss * labels.len() as f64;
    }

    /// Adds a batch of mixed samples: one is right by the share of the label that its largest logit is. Among the five
    /// largest logits the label with the larger share is looked for.
    pub fn add_mixed(&mut self, logits: &[f32], labels: &[i32], mixed: &Mixed, mean_loss: f64) {
        let classes = logits.len() / labels.len().max(1);
        let second = mixed.others.iter().zip(&mixed.shares);
        for ((row, &label), (&other, &share)) in logits.chunks_exact(classes.max(1)).zip(labels).zip(second) {
            let ranks = (rank(row, label as usize), rank(row, other as usize));
            let share = f64::from(share);
            self.shares +=
                if ranks.0 == 0 { share } else { 0.0 } + if ranks.1 == 0 { 1.0 - share } else { 0.0 };
            self.top5 += usize::from((if share >= 0.5 { ranks.0 } else { ranks.1 }) < TOP);
        }
        self.samples += labels.len();
        self.loss += mean_loss * labels.len() as f64;
    }

    /// The part of samples that are right, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        (self.correct as f64 + self.shares) / self.samples.max(1) as f64
    }

    /// The part of samples whose label is among the five largest logits, 0 to 1.
    pub fn top5_accuracy(&self) -> f64 {
        self.top5 as f64 / self.samples.max(1) as f64
    }

    /// The mean loss of a sample.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.samples.max(1) as f64
    }
}

/// How many logits come before that of `label`: larger ones, and equal ones of lower classes.
fn rank(row: &[f32], label: usize) -> usize {
    let own = row.get(label).copied().unwrap_or(f32::NAN);
    row.iter().enumerate().filter(|&(i, &v)| v > own || (v == own && i < label) || own.is_nan()).count()
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
#[derive(Clone, PartialEq, Debug, Default, DeriveSer, DeriveDe)]
#[serde(default)]
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
    /// The part of them whose label is among the five largest logits, 0 to 1.
    pub test_top5: f64,
    /// Whether no epoch before had so good a test accuracy.
    pub best: bool,
    /// Training samples per second, evaluation excluded.
    pub images_per_second: f64,
    /// Seconds of the epoch, evaluation included.
    pub seconds: f64,
    /// Where the time of training went.
    pub times: Times,
    /// The mean over steps of the norm of all gradients together, before it is clipped.
    pub grad_norm: f64,
    /// Bytes of memory that the process held at most so far, where the system tells.
    pub resident_bytes: Option<u64>,
    /// Firing rates over the test samples.
    pub firing_rates: FiringRates,
    /// The share of neurons that fired at one timestep at least, over the test samples.
    pub fires: FiringRates,
    /// Both, and those of pools of spikes.
    #[serde(skip)]
    pub activities: Activities,
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
    fn mixed_samples_are_right_by_their_shares() {
        let mut tally = Tally::default();
        let mixed = Mixed { others: vec![1, 2, 0, 1], shares: vec![0.75, 0.25, 1.0, 0.5] };
        // Its own label; its partner's; its only one; neither.
        let logits = [3.0, 1.0, 0.0, 0.0, 1.0, 2.0, 5.0, 1.0, 0.0, 0.0, 0.0, 9.0];
        tally.add_mixed(&logits, &[0, 1, 0, 0], &mixed, 2.0);
        assert_eq!((tally.accuracy(), tally.mean_loss(), tally.samples), (2.5 / 4.0, 2.0, 4));
        // What is not mixed has the same accuracy either way, and a state without the further key.
        let (mut one, mut other) = (Tally::default(), Tally::default());
        one.add(&logits, &[0, 1, 0, 2], 1.0);
        let alone = Mixed { others: vec![0, 1, 0, 2], shares: vec![1.0; 4] };
        other.add_mixed(&logits, &[0, 1, 0, 2], &alone, 1.0);
        assert_eq!((one.accuracy(), one.top5), (other.accuracy(), other.top5));
        assert!(serde_json::to_string(&one).is_ok_and(|text| !text.contains("shares")));
    }

    #[test]
    fn the_label_may_be_among_the_five_largest() {
        let row = [6.0, 5.0, 4.0, 3.0, 2.0, 2.0, f32::NAN];
        let ranks: Vec<usize> = (0..7).map(|label| rank(&row, label)).collect();
        assert_eq!(ranks, [0, 1, 2, 3, 4, 5, 7]);
        let mut tally = Tally::default();
        tally.add(&[row, row].concat(), &[4, 5], 0.0);
        assert_eq!((tally.correct, tally.top5, tally.top5_accuracy()), (0, 1, 0.5));
    }

    #[test]
    fn rates_of_neurons_are_spread_over_bins() {
        let spread = Histogram::of_spikes([1, 10, 20].into_iter(), 5, 20);
        assert_eq!((spread.range, spread.num, spread.sum), ((0.0, 1.0), 5.0, 1.55));
        assert_eq!(
            (spread.counts[0], spread.counts[1], spread.counts[10], spread.counts[20]),
            (2.0, 1.0, 1.0, 1.0)
        );
        assert_eq!(spread.counts.iter().sum::<f64>(), 5.0);
        assert_eq!(Histogram::of_spikes([3].into_iter(), 1, 4).range, (0.75, 0.75));
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
        assert_eq!(serde_json::from_str::<FiringRates>(r#"{"z":0.5,"a":0.25}"#).ok(), Some(rates.clone()));
        assert_eq!(rates.summary(), Some((0.25, 0.375, 0.5)));
    }
}
