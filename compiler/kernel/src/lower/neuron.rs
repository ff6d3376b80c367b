//! The gradient of a neuron: backwards through time, one row of channels at a time (models §1.2).
//!
//! ```text
//! delta = 0; for t down:  eps = decay * delta;  delta = (ds + eps*r) * g + eps * keep;  dx = gain * delta
//! ```
//!
//! With a saved window bit `g` is `1/a` inside and 0 outside; with a saved membrane it is the surrogate's
//! derivative, and spikes are recomputed from the membrane.

use super::emit::{fires, scaled};
use super::view::{Frame, View, each_tile};
use super::{Draw, LowerError, Lowering};
use crate::body::{Index, Mask, Row, Unary};
use crate::build::Builder;
use snnc_ir::{Inst, Lif, Reset, Save, Surrogate};
use snnc_plan::Tasks;

/// Elements that a task takes, over all its timesteps.
const CHUNK: usize = 1 << 15;

/// What the forward pass left.
enum Saved {
    /// Spikes and window bits.
    Window(View, View),
    /// The membrane.
    Membrane(View),
}

/// Lowers `lif.grad`.
pub fn grad(lowering: &mut Lowering<'_>, inst: Inst, lif: &Lif) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let ds = draw.read_view(lowering, data.args[0])?;
    let saved = match lif.save {
        Save::Window => {
            let spikes = draw.read_view(lowering, data.args[1])?;
            Saved::Window(spikes, draw.read_view(lowering, data.args[2])?)
        }
        Save::Membrane => Saved::Membrane(draw.read_view(lowering, data.args[1])?),
        Save::Nothing => return Err(LowerError(format!("%{name}: nothing was saved for the gradient"))),
    };
    let dx = draw.write_view(lowering, data.results[0])?;
    let shape = dx.shape;
    let chunk = (CHUNK / (shape.steps() * shape.channels).max(1)).clamp(1, shape.positions());
    let chunks = shape.positions().div_ceil(chunk);
    let k = &mut draw.k;
    let b = k.index("b", Index::Task.quotient(chunks));
    let first = k.index("p0", Index::Task.remainder(chunks) * chunk);
    let end = (&first + chunk).min(shape.positions());
    k.for_range("p", &first, end, |k, p| {
        each_tile(k, shape.channels, |k, tile| {
            let n = tile.n;
            let delta = k.row("delta", n, Row::constant(0.0, n));
            k.for_down("t", 0, shape.steps(), |k, t| {
                let frame = Frame { t, b: b.clone(), p: p.clone(), tile: tile.clone() };
                let eps = k.row("eps", n, scaled(Row::Reg(delta), lif.decay, n));
                let next = step(k, lif, &saved, &ds, Row::Reg(eps), &frame);
                k.set(delta, next);
                dx.store_row(k, &frame, scaled(Row::Reg(delta), lif.gain, n));
            });
        });
    });
    lowering.push_kernel(&name, draw, Tasks::per_samples(1, chunks));
    Ok(())
}

/// `δ_t` from `ε_t`.
fn step(k: &mut Builder, lif: &Lif, saved: &Saved, ds: &View, eps: Row, frame: &Frame) -> Row {
    let n = frame.tile.n;
    let zero = || Row::constant(0.0, n);
    let (slope, fired, membrane): (Row, Mask, Option<Row>) = match saved {
        Saved::Window(spikes, window) => {
            let height = match lif.surrogate {
                Surrogate::Rectangle(a) => 1.0 / a,
                Surrogate::Triangle(_) | Surrogate::Sigmoid(_) | Surrogate::Atan(_) => 0.0,
            };
            (window.mask(frame).select(Row::constant(height, n), zero()), spikes.mask(frame), None)
        }
        Saved::Membrane(view) => {
            let h = k.row("h", n, view.row(frame));
            (derivative(k, lif, Row::Reg(h), n), fires(lif, Row::Reg(h), n), Some(Row::Reg(h)))
        }
    };
    let mut error = ds.row(frame);
    if !lif.detach {
        // The path through the reset: ∂v/∂s.
        match (lif.reset, membrane) {
            (Reset::Hard(value), Some(h)) => error = error + eps.clone() * (Row::constant(value, n) - h),
            (Reset::Soft, _) => error = error + scaled(eps.clone(), -lif.threshold, n),
            (Reset::Hard(_), None) | (Reset::None, _) => {}
        }
    }
    let kept = match lif.reset {
        Reset::Hard(_) => fired.select(zero(), eps),
        Reset::Soft | Reset::None => eps,
    };
    error * slope + kept
}

/// The surrogate's derivative at a membrane.
fn derivative(k: &mut Builder, lif: &Lif, membrane: Row, n: usize) -> Row {
    let constant = |value: f32| Row::constant(value, n);
    let u = membrane - constant(lif.threshold);
    match lif.surrogate {
        Surrogate::Rectangle(a) => {
            let inside = u.unary(Unary::Abs).compare(crate::body::Compare::Lt, constant(a / 2.0));
            inside.select(constant(1.0 / a), constant(0.0))
        }
        Surrogate::Triangle(gamma) => {
            let height = (constant(gamma) - u.unary(Unary::Abs)).max(constant(0.0));
            height * constant(1.0 / (gamma * gamma))
        }
        Surrogate::Sigmoid(alpha) => {
            let p = constant(1.0) / (constant(1.0) + (u * constant(-alpha)).unary(Unary::Exp));
            let p = Row::Reg(k.row("sigmoid", n, p));
            p.clone() * (constant(1.0) - p) * constant(alpha)
        }
        Surrogate::Atan(alpha) => {
            let x = u * constant(std::f32::consts::FRAC_PI_2 * alpha);
            constant(alpha / 2.0) / (constant(1.0) + x.clone() * x)
        }
    }
}
