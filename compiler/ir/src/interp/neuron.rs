//! Neurons: charge `h = a·v + b·x + c`, fire at the threshold, reset; and the gradient through time.

use super::Operand;
use super::view::View;
use crate::op::{Constant, Form, Lif, Op, Reset, Save};
use crate::types::{AxisName, Type};

/// A neuron and its constants at every element of a tensor: those of its attributes, or of its operands.
pub struct Neuron<'a> {
    lif: &'a Lif,
    given: Vec<(Constant, Operand<'a>)>,
    /// The channel of each element, where an operand has one number per channel.
    channels: Vec<usize>,
}

impl<'a> Neuron<'a> {
    /// The neuron of an operation on operands, the last of which are its learned constants.
    pub fn new(op: &Op, lif: &'a Lif, args: &[Operand<'a>], batch: usize) -> Neuron<'a> {
        let constants = op.constants();
        let operands = args[args.len() - constants.len()..].iter().copied();
        let given: Vec<_> = constants.into_iter().zip(operands).collect();
        let channels = if given.is_empty() { Vec::new() } else { channels(args[0].ty, batch) };
        Neuron { lif, given, channels }
    }

    /// The position of an element's number in a constant's operand.
    fn place(&self, operand: Operand, at: usize) -> usize {
        if operand.data.len() == 1 { 0 } else { self.channels[at] }
    }

    fn at(&self, at: usize) -> Cell<'a> {
        let lif = self.lif;
        let [a, b, c, theta] = [lif.decay, lif.gain, lif.current, lif.threshold].map(f64::from);
        let mut cell = Cell { lif, a, b, c, theta };
        for &(constant, operand) in &self.given {
            let value = operand.data[self.place(operand, at)];
            match constant {
                Constant::Decay => cell.a = value,
                Constant::Gain => cell.b = value,
                Constant::Current => cell.c = value,
                Constant::Threshold => cell.theta = value,
            }
        }
        cell
    }
}

/// The channel of each element.
fn channels(ty: &Type, batch: usize) -> Vec<usize> {
    let (count, stride) = (ty.extent(AxisName::C), View::new(ty, batch).stride(AxisName::C));
    let elements: usize = ty.dims(batch).iter().product();
    (0..elements).map(|at| if count == 1 { 0 } else { at / stride % count }).collect()
}

/// A neuron with numbers for its constants.
#[derive(Clone, Copy)]
struct Cell<'a> {
    lif: &'a Lif,
    a: f64,
    b: f64,
    c: f64,
    theta: f64,
}

impl Cell<'_> {
    fn charge(self, v: f64, x: f64) -> f64 {
        self.a * v + self.b * x + self.c
    }

    /// The input that charged the membrane from `v` to `h`.
    fn input(self, v: f64, h: f64) -> f64 {
        (h - self.a * v - self.c) / self.b
    }

    /// The spike, or in a smooth network the surrogate's primitive.
    fn fire(self, h: f64, smooth: bool) -> f64 {
        if smooth {
            return self.lif.surrogate.primitive(h - self.theta);
        }
        f64::from(u8::from(self.lif.compare.fires(h, self.theta)))
    }

    fn slope(self, h: f64) -> f64 {
        self.lif.surrogate.derivative(h - self.theta)
    }

    fn window(self, h: f64) -> f64 {
        f64::from(u8::from(self.slope(h) != 0.0))
    }

    fn reset(self, h: f64, s: f64) -> f64 {
        match self.lif.reset {
            Reset::Hard(value) => (1.0 - s) * h + s * f64::from(value),
            Reset::Soft => h - self.theta * s,
            Reset::None => h,
        }
    }
}

pub fn charge(neuron: &Neuron, args: &[Operand]) -> Vec<f64> {
    let (v, x) = (args[0].data, args[1].data);
    (0..v.len()).map(|at| neuron.at(at).charge(v[at], x[at])).collect()
}

pub fn fire(neuron: &Neuron, h: Operand, smooth: bool) -> Vec<f64> {
    h.data.iter().enumerate().map(|(at, &h)| neuron.at(at).fire(h, smooth)).collect()
}

pub fn window(neuron: &Neuron, h: Operand) -> Vec<f64> {
    h.data.iter().enumerate().map(|(at, &h)| neuron.at(at).window(h)).collect()
}

pub fn reset(neuron: &Neuron, args: &[Operand]) -> Vec<f64> {
    let (h, s) = (args[0].data, args[1].data);
    (0..h.len()).map(|at| neuron.at(at).reset(h[at], s[at])).collect()
}

/// The spikes over all timesteps, and what `save` keeps.
pub fn lif(neuron: &Neuron, x: Operand, smooth: bool) -> Vec<Vec<f64>> {
    let (spikes, membranes) = simulate(neuron, x, smooth);
    match neuron.lif.save {
        Save::Nothing => vec![spikes],
        Save::Window => {
            let windows = membranes.iter().enumerate().map(|(at, &h)| neuron.at(at).window(h)).collect();
            vec![spikes, windows]
        }
        Save::Membrane => vec![spikes, membranes],
    }
}

/// Spikes and membranes over all timesteps.
fn simulate(neuron: &Neuron, x: Operand, smooth: bool) -> (Vec<f64>, Vec<f64>) {
    let steps = x.ty.extent(AxisName::T);
    let neurons = x.data.len() / steps;
    let mut spikes = vec![0.0; x.data.len()];
    let mut membranes = vec![0.0; x.data.len()];
    for n in 0..neurons {
        let cell = neuron.at(n);
        let mut v = f64::from(neuron.lif.reset.initial());
        for at in (0..steps).map(|t| t * neurons + n) {
            let h = cell.charge(v, x.data[at]);
            let s = cell.fire(h, smooth);
            v = cell.reset(h, s);
            (membranes[at], spikes[at]) = (h, s);
        }
    }
    (spikes, membranes)
}

/// How far each membrane lies above the threshold.
pub fn excess(neuron: &Neuron, x: Operand) -> Vec<f64> {
    let (_, membranes) = simulate(neuron, x, false);
    membranes.iter().enumerate().map(|(at, h)| h - neuron.at(at).theta).collect()
}

/// What the gradient needs of one neuron and timestep.
struct Saved {
    /// The spike.
    s: f64,
    /// The surrogate derivative at the membrane.
    g: f64,
    /// What the reset's gradient to the spike is: `∂v/∂s`.
    r: f64,
    /// The membrane, where it was kept.
    h: Option<f64>,
}

/// From the last timestep to the first, with `e` the gradient of the spike and `eps` that of the membrane
/// after the reset:
///
/// ```text
/// delta = (e + eps·r)·g + eps·k       k = ∂v/∂h at a fixed spike: 1 − s (hard), 1 (soft, none)
/// dx    = b·delta                     eps = a·delta for the timestep before
/// da    = Σ delta·v before            db = Σ delta·x          dc = Σ delta
/// dtheta = −Σ (e + eps·r)·g − Σ eps·s (soft only)
/// ```
///
/// It begins with `eps = 0`, or with what `dx` of the timestep that follows says: `a·dx/b`.
pub fn grad(neuron: &Neuron, args: &[Operand], smooth: bool) -> Vec<Vec<f64>> {
    let e = args[0];
    let steps = e.ty.extent(AxisName::T);
    let neurons = e.data.len() / steps;
    // The gradient of the timesteps that follow, the first of them first.
    let after = args.get(if neuron.lif.save == Save::Membrane { 2 } else { 3 });
    let after = after.filter(|_| neuron.given.is_empty());
    let mut dx = vec![0.0; e.data.len()];
    let mut sums: Vec<Vec<f64>> = neuron.given.iter().map(|(_, of)| vec![0.0; of.data.len()]).collect();
    for n in 0..neurons {
        let cell = neuron.at(n);
        let mut eps = after.map_or(0.0, |after| cell.a * after.data[n] / cell.b);
        for at in (0..steps).rev().map(|t| t * neurons + n) {
            let Saved { s, g, r, h } = saved(cell, args, at, smooth);
            let (k, soft) = match cell.lif.reset {
                Reset::Hard(_) => (1.0 - s, 0.0),
                Reset::Soft => (1.0, s),
                Reset::None => (1.0, 0.0),
            };
            let fired = (e.data[at] + eps * r) * g;
            let delta = fired + eps * k;
            dx[at] = cell.b * delta;
            for ((constant, operand), sum) in neuron.given.iter().zip(&mut sums) {
                let before = || match at.checked_sub(neurons) {
                    Some(before) => cell.reset(args[1].data[before], cell.fire(args[1].data[before], smooth)),
                    None => f64::from(cell.lif.reset.initial()),
                };
                sum[neuron.place(*operand, n)] += match (constant, h) {
                    (Constant::Decay, Some(_)) => delta * before(),
                    (Constant::Gain, Some(h)) => delta * cell.input(before(), h),
                    (Constant::Current, _) => delta,
                    (Constant::Threshold, _) => -fired - eps * soft,
                    // The verifier has asked for the membrane.
                    (Constant::Decay | Constant::Gain, None) => 0.0,
                };
            }
            eps = cell.a * delta;
        }
    }
    [vec![dx], sums].concat()
}

/// Spike, derivative and reset path, from the membrane or from the spike and window bits.
fn saved(cell: Cell, args: &[Operand], at: usize, smooth: bool) -> Saved {
    let lif = cell.lif;
    let (s, g, h) = match lif.save {
        Save::Nothing | Save::Window => {
            // Inside its window the rectangle is flat.
            let height = lif.surrogate.derivative(0.0);
            (args[1].data[at], args[2].data[at] * height, None)
        }
        Save::Membrane => {
            let h = args[1].data[at];
            (cell.fire(h, smooth), cell.slope(h), Some(h))
        }
    };
    let r = match (lif.reset, h) {
        (Reset::Hard(value), Some(h)) => f64::from(value) - h,
        // Without the membrane the path is closed: the verifier asks for a detached reset.
        (Reset::Hard(_), None) | (Reset::None, _) => 0.0,
        (Reset::Soft, _) => -cell.theta,
    };
    Saved { s, g, r: if lif.detach { 0.0 } else { r }, h }
}

pub fn constant(form: Form, w: Operand) -> Vec<f64> {
    w.data.iter().map(|&w| form.value(w)).collect()
}

pub fn constant_grad(form: Form, args: &[Operand]) -> Vec<f64> {
    args[0].data.iter().zip(args[1].data).map(|(&dy, &w)| dy * form.derivative(w)).collect()
}
