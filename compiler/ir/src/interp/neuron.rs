//! Neurons: charge `h = a·v + b·x + c`, fire at the threshold, reset; and the gradient through time.

use super::Operand;
use crate::op::{Lif, Reset, Save};
use crate::types::AxisName;

pub fn charge(lif: &Lif, v: f64, x: f64) -> f64 {
    f64::from(lif.decay) * v + f64::from(lif.gain) * x + f64::from(lif.current)
}

/// `h − threshold`.
fn excess(lif: &Lif, h: f64) -> f64 {
    h - f64::from(lif.threshold)
}

/// The spike, or in a smooth network the surrogate's primitive.
pub fn fire(lif: &Lif, h: f64, smooth: bool) -> f64 {
    if smooth {
        return lif.surrogate.primitive(excess(lif, h));
    }
    f64::from(u8::from(lif.fires(h)))
}

pub fn window(lif: &Lif, h: f64) -> f64 {
    f64::from(u8::from(lif.surrogate.derivative(excess(lif, h)) != 0.0))
}

pub fn reset(lif: &Lif, h: f64, s: f64) -> f64 {
    match lif.reset {
        Reset::Hard(value) => (1.0 - s) * h + s * f64::from(value),
        Reset::Soft => h - f64::from(lif.threshold) * s,
        Reset::None => h,
    }
}

/// The spikes over all timesteps, and what `save` keeps.
pub fn lif(lif: &Lif, x: Operand, smooth: bool) -> Vec<Vec<f64>> {
    let (spikes, membranes) = simulate(lif, x, smooth);
    match lif.save {
        Save::Nothing => vec![spikes],
        Save::Window => {
            let windows = membranes.iter().map(|&h| window(lif, h)).collect();
            vec![spikes, windows]
        }
        Save::Membrane => vec![spikes, membranes],
    }
}

/// Spikes and membranes over all timesteps.
pub fn simulate(lif: &Lif, x: Operand, smooth: bool) -> (Vec<f64>, Vec<f64>) {
    let steps = x.ty.extent(AxisName::T);
    let neurons = x.data.len() / steps;
    let mut spikes = vec![0.0; x.data.len()];
    let mut membranes = vec![0.0; x.data.len()];
    for neuron in 0..neurons {
        let mut v = f64::from(lif.reset.initial());
        for at in (0..steps).map(|t| t * neurons + neuron) {
            let h = charge(lif, v, x.data[at]);
            let s = fire(lif, h, smooth);
            v = reset(lif, h, s);
            (membranes[at], spikes[at]) = (h, s);
        }
    }
    (spikes, membranes)
}

/// What the gradient needs of one neuron and timestep.
struct Saved {
    /// The spike.
    s: f64,
    /// The surrogate derivative at the membrane.
    g: f64,
    /// What the reset's gradient to the spike is: `∂v/∂s`.
    r: f64,
}

/// From the last timestep to the first, with `e` the gradient of the spike and `eps` that of the membrane
/// after the reset:
///
/// ```text
/// delta = (e + eps·r)·g + eps·k       k = ∂v/∂h at a fixed spike: 1 − s (hard), 1 (soft, none)
/// dx    = b·delta                     eps = a·delta for the timestep before
/// ```
pub fn grad(lif: &Lif, args: &[Operand], smooth: bool) -> Vec<f64> {
    let e = args[0];
    let steps = e.ty.extent(AxisName::T);
    let neurons = e.data.len() / steps;
    let mut dx = vec![0.0; e.data.len()];
    for neuron in 0..neurons {
        let mut eps = 0.0;
        for at in (0..steps).rev().map(|t| t * neurons + neuron) {
            let Saved { s, g, r } = saved(lif, args, at, smooth);
            let k = match lif.reset {
                Reset::Hard(_) => 1.0 - s,
                Reset::Soft | Reset::None => 1.0,
            };
            let delta = (e.data[at] + eps * r) * g + eps * k;
            dx[at] = f64::from(lif.gain) * delta;
            eps = f64::from(lif.decay) * delta;
        }
    }
    dx
}

/// Spike, derivative and reset path, from the membrane or from the spike and window bits.
fn saved(lif: &Lif, args: &[Operand], at: usize, smooth: bool) -> Saved {
    let (s, g, h) = match lif.save {
        Save::Nothing | Save::Window => {
            // Inside its window the rectangle is flat.
            let height = lif.surrogate.derivative(0.0);
            (args[1].data[at], args[2].data[at] * height, None)
        }
        Save::Membrane => {
            let h = args[1].data[at];
            (fire(lif, h, smooth), lif.surrogate.derivative(excess(lif, h)), Some(h))
        }
    };
    let r = match (lif.reset, h) {
        (Reset::Hard(value), Some(h)) => f64::from(value) - h,
        // Without the membrane the path is closed: the verifier asks for a detached reset.
        (Reset::Hard(_), None) | (Reset::None, _) => 0.0,
        (Reset::Soft, _) => -f64::from(lif.threshold),
    };
    Saved { s, g, r: if lif.detach { 0.0 } else { r } }
}
