//! Firing rates as one wants them: the shifts of norms are moved until each layer fires as often as it should.

#![allow(dead_code)] // Each user takes a part of it.

use snnc_compiler::plan::ParamRole;
use snnc_runtime::Session;
use snnc_runtime::rng::{Purpose, Rng, key_of};

/// Steps of calibration at most. Where few fire a rate is approached slowly, and without batch statistics it follows
/// those of the layers before it.
const STEPS: usize = 80;
/// How near a rate must come, relative to what it should be.
const NEAR: f64 = 0.02;
/// Steps for the running statistics to follow.
const SETTLE: usize = 30;

/// Gives channels gains and shifts that differ, so that they fire at different rates, as those of trained networks do.
pub fn vary(session: &mut Session) {
    let around = |role| match role {
        ParamRole::Gain => Some((1.0, 0.3)),
        ParamRole::Shift | ParamRole::Bias => Some((0.0, 0.87)),
        ParamRole::Weight | ParamRole::RunningMean | ParamRole::RunningVar | ParamRole::Neuron => None,
    };
    for spec in session.plan().params.clone() {
        let Some((middle, width)) = around(spec.role) else { continue };
        let mut rng = Rng::new(0, Purpose::Test, key_of(&spec.name));
        let values: Vec<f32> =
            (0..spec.len()).map(|_| middle + width * (2.0 * rng.uniform() - 1.0)).collect();
        session.set_param(&spec.name, &values).expect("a parameter");
    }
}

/// What shifts the current of a neuron of `models/resnet19.snn` or `models/statten.snn`; none where an attention stands
/// in front of it.
///
/// `a.first.fire.lif` follows `a.first.unit.norm`, `a.fire.lif` the second unit of its block or the stem's only one. A
/// neuron that reads a stream follows the last branch that was added to it.
fn shift(session: &Session, neuron: &str) -> Option<String> {
    let known = |name: &String| session.param(name).is_ok();
    let stem = neuron.trim_end_matches("_2").strip_suffix(".lif")?;
    let own = ["unit.norm", "second.unit.norm", "conv_norm.norm", "point.norm", "linear"];
    let base = stem.trim_end_matches(".fire");
    let own = own.map(|layer| format!("{base}.{layer}.bias"));
    stream(neuron).into_iter().chain(own).find(known)
}

/// The candidates for a neuron of STAtten that reads the stream, the nearest first.
fn stream(neuron: &str) -> Vec<String> {
    let last = |block: usize| format!("encoder.{block}.point_2.norm.bias");
    let block =
        neuron.strip_prefix("encoder.").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
    match (block, neuron) {
        (None, "embed.lif") => vec!["embed.current.conv_norm.norm.bias".into()],
        (None, "classify.lif") => (0..32).rev().map(last).collect(),
        (Some(0), "encoder.0.attended.attend.s.lif") => vec!["embed.conv_norm.norm.bias".into()],
        (Some(n), name) if name.ends_with(".attended.attend.s.lif") => vec![last(n - 1)],
        (Some(n), name) if name == format!("encoder.{n}.lif") => {
            vec![format!("encoder.{n}.attended.attend.point.norm.bias")]
        }
        (Some(_) | None, _) => Vec::new(),
    }
}

/// Moves the shifts of a session, whose inputs are set, until each layer fires at its `target`; in training the running
/// statistics follow. Neurons after an attention fire as they do.
///
/// # Panics
/// Where a layer stays far from its rate or has no shift: numbers would stand under a rate that is not theirs.
pub fn calibrate(session: &mut Session, target: impl Fn(&str) -> f64) {
    for step in 0..STEPS {
        let pace = 0.15 / (1.0 + step as f64 / 20.0);
        let rates = rates_of_step(session);
        let own = rates.iter().filter(|(layer, _)| !layer.ends_with(".core.lif"));
        let far = own.map(|(layer, rate)| approach(session, layer, 1.0 - rate / target(layer), pace));
        let far = far.fold(0.0, f64::max);
        assert!(step + 1 < STEPS || far < 0.5, "a layer does not come near its rate: {rates:?}");
        if far < NEAR {
            break;
        }
    }
    // Running statistics approach those of the batch by a tenth a step.
    (0..SETTLE).for_each(|_| drop(rates_of_step(session)));
}

fn rates_of_step(session: &mut Session) -> Vec<(String, f64)> {
    session.reset_rates();
    session.run_forward().expect("forward");
    session.apply_updates().expect("statistics");
    session.firing_rates().0
}

/// Moves a layer's shift towards its rate, by its relative distance; that distance without its sign.
fn approach(session: &mut Session, layer: &str, distance: f64, pace: f64) -> f64 {
    let name = shift(session, layer).unwrap_or_else(|| panic!("it is not known what shifts `{layer}`"));
    let mut values = session.param(&name).expect("a shift").to_vec();
    // Where few fire the rate answers less to the shift.
    let by = (distance.clamp(-1.0, 1.0) * pace) as f32;
    values.iter_mut().for_each(|v| *v += by);
    session.set_param(&name, &values).expect("a shift");
    distance.abs()
}

/// The mean rate of all layers.
pub fn mean(session: &Session) -> f64 {
    let rates = session.firing_rates().0;
    rates.iter().map(|(_, rate)| rate).sum::<f64>() / rates.len().max(1) as f64
}
