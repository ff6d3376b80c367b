//! Counts priced by a convention, layer by layer.

use super::count::{Counts, LayerCount};
use serde::Serialize;
use snnc_plan::TapElements;

/// How operations are priced: papers differ, so each choice is one of the caller's.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Convention {
    /// Picojoules of a multiply-add of f32; 4.6 at 45 nm.
    pub mac_pj: f64,
    /// Picojoules of an addition; 0.9 at 45 nm.
    pub ac_pj: f64,
    /// How often products of a static image are counted.
    pub stem: Stem,
    /// Whether a product of counts is multiply-adds instead of repeated additions.
    pub counts_multiply: bool,
    /// Whether products of real values behind the first layer are left out, as some papers do.
    pub ignore_real: bool,
}

impl Default for Convention {
    fn default() -> Convention {
        Convention { mac_pj: 4.6, ac_pj: 0.9, stem: Stem::Once, counts_multiply: false, ignore_real: false }
    }
}

/// How often what stands still is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// Once, as it is computed.
    Once,
    /// At every timestep, as some papers do.
    Repeated,
}

/// What a layer's operations are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Multiply-adds of real values.
    Mac,
    /// Additions for spikes.
    Ac,
    /// Additions for counts.
    Count,
}

/// A layer's operations, for one sample.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// Its path.
    pub layer: String,
    /// What its operations are.
    pub class: Class,
    /// Multiply-adds of one timestep of the same layer without spikes.
    pub macs: u64,
    /// The mean value of its input.
    pub rate: f64,
    /// Additions by the mean value, over all timesteps; 0 for multiply-adds.
    pub sops: f64,
    /// Additions by the fan-out of each spike, over all timesteps; 0 for multiply-adds.
    pub sops_exact: f64,
    /// Multiply-adds, over all timesteps that count; 0 for additions.
    pub mac_operations: f64,
    /// Nanojoules, from the additions by the mean value.
    pub energy_nj: f64,
    /// Bytes of its input.
    pub input_bytes: u64,
}

/// The energy of one sample.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Energy {
    /// How it is priced.
    pub convention: Convention,
    /// Samples that were counted.
    pub samples: usize,
    /// Each product and each attention.
    pub layers: Vec<Row>,
    /// Additions by mean values.
    pub sops: f64,
    /// Additions by fan-outs.
    pub sops_exact: f64,
    /// Multiply-adds.
    pub mac_operations: f64,
    /// Millijoules.
    pub energy_mj: f64,
    /// Millijoules with the exact additions.
    pub energy_exact_mj: f64,
    /// Millijoules of the network of the same shape without spikes: every multiply-add of one timestep.
    pub ann_mj: f64,
    /// Millijoules of the attentions themselves, part of the total.
    pub attention_mj: f64,
    /// Updates of membranes, outside the total: a multiply-add and a comparison each.
    pub neuron_updates: u64,
    /// Bytes of parameters and of the inputs of all layers, each moved once, outside the total.
    pub bytes_moved: u64,
}

impl Energy {
    /// Prices counts.
    pub fn of(counts: &Counts, convention: Convention) -> Energy {
        let row = |(at, layer): (usize, &LayerCount)| row(counts, layer, at == 0, &convention);
        let layers: Vec<Row> = counts.layers.iter().enumerate().map(row).collect();
        let total = |of: fn(&Row) -> f64| layers.iter().map(of).sum::<f64>();
        let (sops, sops_exact) = (total(|row| row.sops), total(|row| row.sops_exact));
        let mac_operations = total(|row| row.mac_operations);
        let millijoules = |sops: f64| (convention.mac_pj * mac_operations + convention.ac_pj * sops) * 1e-9;
        let products = counts.layers.iter().filter(|layer| !layer.attention);
        let attention = |(row, layer): (&Row, &LayerCount)| if layer.attention { row.energy_nj } else { 0.0 };
        Energy {
            convention,
            samples: counts.samples,
            sops,
            sops_exact,
            mac_operations,
            energy_mj: millijoules(sops),
            energy_exact_mj: millijoules(sops_exact),
            ann_mj: convention.mac_pj * products.map(|layer| layer.macs as f64).sum::<f64>() * 1e-9,
            attention_mj: layers.iter().zip(&counts.layers).map(attention).sum::<f64>() * 1e-6,
            neuron_updates: (counts.neurons * counts.timesteps) as u64,
            bytes_moved: counts.parameter_bytes + layers.iter().map(|row| row.input_bytes).sum::<u64>(),
            layers,
        }
    }
}

fn row(counts: &Counts, layer: &LayerCount, first: bool, convention: &Convention) -> Row {
    let class = match layer.elements {
        TapElements::Spikes => Class::Ac,
        TapElements::Counts if convention.counts_multiply => Class::Mac,
        TapElements::Counts => Class::Count,
        TapElements::Real => Class::Mac,
    };
    let still = layer.steps == 1 && counts.timesteps > 1;
    let times = if still && convention.stem == Stem::Once { 1 } else { counts.timesteps } as f64;
    let (mut macs, mut sops, mut exact) = (0.0, 0.0, 0.0);
    match class {
        Class::Mac if !first && convention.ignore_real && layer.elements == TapElements::Real => {}
        Class::Mac => macs = times * layer.macs as f64,
        Class::Ac | Class::Count => {
            // An attention's additions depend on which spikes meet, so they are counted, not estimated.
            sops = if layer.attention { layer.exact } else { times * layer.rate * layer.macs as f64 };
            exact = layer.exact;
        }
    }
    Row {
        layer: layer.layer.clone(),
        class,
        macs: layer.macs,
        rate: layer.rate,
        sops,
        sops_exact: exact,
        mac_operations: macs,
        energy_nj: (convention.mac_pj * macs + convention.ac_pj * sops) * 1e-3,
        input_bytes: layer.input_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(elements: TapElements, macs: f64, rate: f64) -> LayerCount {
        let (steps, attention) = (if elements == TapElements::Real { 1 } else { 4 }, false);
        let macs = macs.round() as u64;
        LayerCount {
            layer: String::new(),
            elements,
            attention,
            macs,
            steps,
            rate,
            exact: 0.0,
            input_bytes: 0,
        }
    }

    /// Published operations (G) of ImageNet models, multiply-adds (G) of their first layer as counted there, and mJ.
    #[test]
    fn published_energies_follow_from_their_operations() {
        let rows = [
            (6.50, 0.118, 6.393),
            (3.88, 0.118, 4.035),
            (4.83, 0.118, 4.890),
            (9.30, 0.118, 8.913),
            (13.72, 0.118, 12.891),
            (6.82, 0.347, 7.734),
            (8.69, 0.347, 9.417),
            (11.09, 0.347, 11.577),
            (13.67, 0.347, 13.899),
            (22.09, 0.347, 21.477),
        ];
        for (sops, stem, millijoules) in rows {
            let spikes = layer(TapElements::Spikes, sops * 1e9, 0.25);
            let layers = vec![layer(TapElements::Real, stem * 1e9, 1.0), spikes];
            let counts = Counts { samples: 1, timesteps: 4, neurons: 0, parameter_bytes: 0, layers };
            let energy = Energy::of(&counts, Convention::default());
            assert!((energy.energy_mj - millijoules).abs() < 1.5e-3, "{} for {sops} G", energy.energy_mj);
        }
    }
}
