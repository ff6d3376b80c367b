//! Firing rates as one wants them: the shifts of norms are moved until each layer fires as often as it should.

#![allow(dead_code)] // Each user takes a part of it.

use snnc_runtime::Session;

/// Steps of calibration. Without batch statistics a layer's rate follows those before it, so it takes many.
const STEPS: usize = 50;
/// Steps for the running statistics to follow.
const SETTLE: usize = 30;

/// The shift in front of a neuron of `models/resnet19.snn`: `a.first.lif` follows `a.first.unit.norm`, `a.lif` the
/// second unit of its block or the stem's only one.
fn shift(session: &Session, neuron: &str) -> Option<String> {
    let block = neuron.strip_suffix(".lif")?;
    let names = [format!("{block}.unit.norm.bias"), format!("{block}.second.unit.norm.bias")];
    names.into_iter().find(|name| session.param(name).is_ok())
}

/// Moves the shifts of a session, whose inputs are set, until each layer fires at `target`; in training the running
/// statistics follow.
pub fn calibrate(session: &mut Session, target: f64) {
    for _ in 0..STEPS {
        session.reset_rates();
        session.run_forward().expect("forward");
        session.apply_updates().expect("statistics");
        for (neuron, rate) in session.firing_rates().0 {
            let Some(name) = shift(session, &neuron) else { continue };
            let mut values = session.param(&name).expect("a shift").to_vec();
            // Where few fire the rate answers less to the shift.
            let by = ((target - rate) / target).clamp(-1.0, 1.0) as f32 * 0.15;
            values.iter_mut().for_each(|v| *v += by);
            session.set_param(&name, &values).expect("a shift");
        }
    }
    // Running statistics approach those of the batch by a tenth a step.
    for _ in 0..SETTLE {
        session.run_forward().expect("forward");
        session.apply_updates().expect("statistics");
    }
    session.reset_rates();
    session.run_forward().expect("forward");
}

/// The mean rate of all layers.
pub fn mean(session: &Session) -> f64 {
    let rates = session.firing_rates().0;
    rates.iter().map(|(_, rate)| rate).sum::<f64>() / rates.len().max(1) as f64
}
