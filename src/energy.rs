//! `snnc energy`: what an inference costs, layer by layer, against the network of the same shape without spikes.

use crate::cli::{CountsArg, EnergyArgs, StemArg};
use crate::failure::Failure;
use crate::model::{self, Loaded};
use crate::output;
use crate::train::{limit, open_data};
use serde_json::{Value, json};
use snnc_compiler::{Mode, Options};
use snnc_runtime::energy::{Class, Convention, Counts, Energy, Stem, measure, uniform};
use snnc_runtime::{checkpoint, progress};
use std::fmt::Write;
use std::path::Path;

/// Counts, prices and reports.
pub fn run(args: &EnergyArgs, as_json: bool) -> Result<(), Failure> {
    let loaded = model::load(&args.model)?;
    let baseline = args.baseline.as_deref().map(read_baseline).transpose()?;
    let counts = match (&args.weights, args.rate) {
        (Some(weights), _) => counted(&loaded, args, weights)?,
        (None, rate) => {
            let options = Options { taps: true, ..Options::new(Mode::Infer) };
            uniform(&model::compile(&loaded, &options)?.executable.plan, rate.unwrap_or(0.0))
        }
    };
    let energy = Energy::of(&counts, convention(args));
    let compared = baseline.map(|baseline| compare(&energy, &baseline));
    if as_json {
        let mut value = json!(energy);
        value["baseline"] = json!(compared);
        return output::json(&value);
    }
    output::text(&text(&energy, compared.as_ref()))
}

/// Runs the test part with the weights.
fn counted(loaded: &Loaded, args: &EnergyArgs, weights: &Path) -> Result<Counts, Failure> {
    let data = open_data(loaded, args.data.as_deref())?;
    let samples = limit(args.limit).unwrap_or(usize::MAX).min(data.test.len());
    let options = Options { taps: true, ..model::options_of(Mode::Infer, weights) };
    let (batch, threads) = (limit(args.batch), args.threads.count());
    let mut session = model::session_with(loaded, &options, batch, samples, threads)?;
    model::fits(&data, &session)?;
    checkpoint::load(weights, &mut session)?;
    let mut progress = progress::for_stderr();
    Ok(measure(&mut session, &data.test, limit(args.limit), progress.as_mut())?)
}

fn convention(args: &EnergyArgs) -> Convention {
    Convention {
        mac_pj: args.mac_pj,
        ac_pj: args.ac_pj,
        stem: match args.stem {
            StemArg::Once => Stem::Once,
            StemArg::Repeated => Stem::Repeated,
        },
        counts_multiply: matches!(args.counts, CountsArg::Multiply),
        ignore_real: args.ignore_real,
    }
}

/// What another report says: its total, and the energy of each layer.
struct Baseline {
    total_mj: f64,
    layers: Vec<(String, f64)>,
}

fn read_baseline(path: &Path) -> Result<Baseline, Failure> {
    let fault = |what: String| Failure::File(format!("cannot read {}: {what}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| fault(error.to_string()))?;
    let layer = |row: &Value| Some((row["layer"].as_str()?.to_owned(), row["energy_nj"].as_f64()?));
    let layers = value["layers"].as_array().and_then(|rows| rows.iter().map(layer).collect());
    match (value["energy_mj"].as_f64(), layers) {
        (Some(total_mj), Some(layers)) => Ok(Baseline { total_mj, layers }),
        _ => Err(fault("it is not what `snnc energy --json` writes".to_owned())),
    }
}

/// The difference to a baseline, in millijoules.
#[derive(serde::Serialize)]
struct Compared {
    baseline_mj: f64,
    difference_mj: f64,
    /// Of layers that the baseline lacks.
    added_mj: f64,
    /// Of layers that both have: negative where they fire less.
    shared_mj: f64,
    /// Of layers that only the baseline has.
    removed_mj: f64,
}

fn compare(energy: &Energy, baseline: &Baseline) -> Compared {
    let theirs = |layer: &str| baseline.layers.iter().find(|(known, _)| known == layer);
    let (mut added, mut shared) = (0.0, 0.0);
    for row in &energy.layers {
        match theirs(&row.layer) {
            Some((_, before)) => shared += row.energy_nj - before,
            None => added += row.energy_nj,
        }
    }
    let ours = |layer: &str| energy.layers.iter().any(|row| row.layer == layer);
    let removed: f64 = baseline.layers.iter().filter(|(layer, _)| !ours(layer)).map(|(_, nj)| nj).sum();
    Compared {
        baseline_mj: baseline.total_mj,
        difference_mj: energy.energy_mj - baseline.total_mj,
        added_mj: added * 1e-6,
        shared_mj: shared * 1e-6,
        removed_mj: -removed * 1e-6,
    }
}

fn text(energy: &Energy, compared: Option<&Compared>) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut out, energy, compared);
    out
}

fn write_all(out: &mut String, energy: &Energy, compared: Option<&Compared>) -> std::fmt::Result {
    let width = energy.layers.iter().map(|row| row.layer.len()).max().unwrap_or(0).max("layer".len());
    writeln!(
        out,
        "{:width$}  class    MACs/timestep    rate         SOPs   SOPs exact         MACs       nJ",
        "layer"
    )?;
    for row in &energy.layers {
        let class = match row.class {
            Class::Mac => "mac",
            Class::Ac => "ac",
            Class::Count => "count",
        };
        let rate = if row.class == Class::Mac { "-".to_owned() } else { format!("{:.4}", row.rate) };
        writeln!(
            out,
            "{:width$}  {class:5} {:16} {rate:>7} {:12.0} {:12.0} {:12.0} {:8.1}",
            row.layer, row.macs, row.sops, row.sops_exact, row.mac_operations, row.energy_nj
        )?;
    }
    let giga = [energy.sops, energy.sops_exact, energy.mac_operations].map(|n| n * 1e-9);
    let [sops, exact, macs] = giga;
    writeln!(out, "\n{sops:.4} G additions ({exact:.4} G exact), {macs:.4} G multiply-adds per sample")?;
    let [total, exact, ann] = [energy.energy_mj, energy.energy_exact_mj, energy.ann_mj].map(joules);
    let times = energy.ann_mj / energy.energy_mj;
    writeln!(out, "{total} ({exact} exact), without spikes {ann}: {times:.1} times as much")?;
    if energy.attention_mj > 0.0 {
        let part = 100.0 * energy.attention_mj / energy.energy_mj;
        writeln!(out, "attention itself: {}, {part:.1} %", joules(energy.attention_mj))?;
    }
    writeln!(
        out,
        "outside the total: {} updates of membranes, {:.2} MiB of parameters and inputs",
        energy.neuron_updates,
        energy.bytes_moved as f64 / f64::from(1 << 20)
    )?;
    if let Some(Compared { baseline_mj, difference_mj, added_mj, shared_mj, removed_mj }) = compared {
        writeln!(
            out,
            "against the baseline's {baseline_mj:.4} mJ: {difference_mj:+.4} mJ; layers that it lacks \
            {added_mj:+.4}, layers of both {shared_mj:+.4}, layers that only it has {removed_mj:+.4}"
        )?;
    }
    Ok(())
}

/// Millijoules as text, microjoules where they are few.
fn joules(millijoules: f64) -> String {
    if millijoules < 0.1 { format!("{:.3} µJ", millijoules * 1e3) } else { format!("{millijoules:.4} mJ") }
}
