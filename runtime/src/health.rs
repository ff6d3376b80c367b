//! Sees whether a network learns as a spiking network should: layers that are silent, saturated or without gradient.

use crate::metrics::{EpochRecord, FiringRates};
use std::collections::BTreeSet;

/// Above this rate a layer is saturated: its spikes tell next to nothing.
const SATURATED: f64 = 0.9;

/// Parameters named in one warning.
const NAMED: usize = 3;

/// What has been warned of; each fault of a layer is told once a run.
#[derive(Default, Debug)]
pub struct Health {
    told: BTreeSet<(&'static str, String)>,
    /// By trained parameter: whether a step of the epoch had a gradient other than zero.
    alive: Vec<bool>,
}

impl Health {
    /// A step's norm of each trained parameter's gradient.
    pub fn step(&mut self, norms: &[f64]) {
        self.alive.resize(norms.len(), false);
        self.alive.iter_mut().zip(norms).for_each(|(alive, norm)| *alive |= *norm != 0.0);
    }

    /// What an epoch gives reason to warn of; `trained` are the firing rates of its training, `names` the trained
    /// parameters.
    pub fn epoch(&mut self, record: &EpochRecord, trained: &FiringRates, names: &[&str]) -> Vec<String> {
        let mut warnings = Vec::new();
        for (layer, rate) in &record.firing_rates.0 {
            if *rate == 0.0 && self.is_new("silent", layer) {
                let fired = trained.0.iter().any(|(name, rate)| name == layer && *rate > 0.0);
                warnings.push(silent(layer, fired, record.epoch));
            }
            if *rate > SATURATED && self.is_new("saturated", layer) {
                warnings.push(saturated(layer, *rate, record.epoch));
            }
        }
        let dead: Vec<&str> =
            names.iter().zip(&self.alive).filter(|(_, alive)| !**alive).map(|(name, _)| *name).collect();
        let new: Vec<&str> = dead.into_iter().filter(|name| self.is_new("dead", name)).collect();
        if !new.is_empty() {
            warnings.push(dead_gradient(&new, record.epoch));
        }
        self.alive.fill(false);
        warnings
    }

    fn is_new(&mut self, fault: &'static str, layer: &str) -> bool {
        self.told.insert((fault, layer.to_string()))
    }
}

fn silent(layer: &str, fired_in_training: bool, epoch: usize) -> String {
    let help = if fired_in_training {
        "it fired in training: the running statistics of the norm before it lag behind; train for more steps"
    } else {
        "lower its threshold, raise its time constant, put a `norm` before it, or lower the learning rate"
    };
    format!("layer `{layer}` never fired in the test of epoch {epoch}\n  help: {help}")
}

fn saturated(layer: &str, rate: f64, epoch: usize) -> String {
    format!(
        "layer `{layer}` fired in {:.0} % of its timesteps in the test of epoch {epoch}\n  \
         help: raise its threshold, put a `norm` before it, or add `spike_rate(…)` to the loss",
        rate * 100.0
    )
}

fn dead_gradient(names: &[&str], epoch: usize) -> String {
    let shown: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "no gradient reached {}{more} in epoch {epoch}\n  \
         help: widen the surrogate of the neurons after it, put a `norm` before them, or look for a silent layer",
        shown.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(rates: &[(&str, f64)]) -> EpochRecord {
        let rates = rates.iter().map(|(layer, rate)| (layer.to_string(), *rate)).collect();
        EpochRecord { epoch: 3, firing_rates: FiringRates(rates), ..EpochRecord::default() }
    }

    #[test]
    fn each_fault_is_told_once_with_what_to_try() {
        let (mut health, none) = (Health::default(), FiringRates::default());
        let names = ["a.weight", "b.weight"];
        health.step(&[0.0, 0.0]);
        health.step(&[0.0, 1e-30]);
        let rates = record(&[("a.lif", 0.0), ("b.lif", 0.95), ("c.lif", 0.9)]);
        let told = health.epoch(&rates, &rates.firing_rates, &names);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(
            told[0].contains("`a.lif` never fired in the test of epoch 3") && told[0].contains("help: lower")
        );
        assert!(told[1].contains("`b.lif` fired in 95 %") && told[1].contains("spike_rate"));
        assert!(told[2].contains("no gradient reached `a.weight` in epoch 3"));
        health.step(&[0.0, 0.0]);
        let told = health.epoch(&record(&[("a.lif", 0.0)]), &none, &names);
        assert!(told.len() == 1 && told[0].contains("`b.weight`"), "{told:?}");
    }

    #[test]
    fn a_layer_that_fired_in_training_waits_for_its_norm() {
        let told = Health::default().epoch(&record(&[("a", 0.0)]), &record(&[("a", 0.2)]).firing_rates, &[]);
        assert!(told.len() == 1 && told[0].contains("the running statistics"), "{told:?}");
    }

    #[test]
    fn many_parameters_without_gradient_are_one_warning() {
        let mut health = Health::default();
        health.step(&[0.0; 5]);
        let told = health.epoch(&record(&[]), &FiringRates::default(), &["a", "b", "c", "d", "e"]);
        assert!(told.len() == 1 && told[0].contains("`a`, `b`, `c` and 2 more"), "{told:?}");
    }
}
