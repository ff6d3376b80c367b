//! The gradient of a neuron: backwards through time, one row of channels at a time (models §1.2).
//!
//! ```text
//! delta = 0; for t down:  eps = decay * delta;  delta = (ds + eps*r) * g + eps * keep;  dx = gain * delta
//! ```
//!
//! With a saved window bit `g` is `1/a` inside and 0 outside; with a saved membrane it is the surrogate's
//! derivative, and spikes are recomputed from the membrane. Learned constants get a sum per task and channel,
//! then the tasks' sums in order: the same bits for any threads. So do the norms that `dx` is the gradient of (`grad_sums`).

use super::emit::Neuron;
use super::grad_sums::Sums;
use super::view::{
    Chunks, Frame, Shape, TILE, Tile, View, WIDE, WideTile, each_tile, each_wide_tile, one_tile,
};
use super::{Draw, LowerError, Lowering};
use crate::body::{Compare, Curve, Fold, Index, Map, Mask, Reg, Row, Slot, SlotElem, Unary};
use crate::build::{Builder, load};
use snnc_ir::{Constant, Inst, Lif, Reset, Save, Surrogate, Value};
use snnc_plan::{BufferId, ElemKind, Tasks};

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
    let dx = draw.write_over(lowering, inst, &data.args[..1])?;
    let ds = draw.read_view(lowering, data.args[0])?;
    let saved = match lif.save {
        Save::Window => {
            let spikes = draw.read_view(lowering, data.args[1])?;
            Saved::Window(spikes, draw.read_view(lowering, data.args[2])?)
        }
        Save::Membrane => Saved::Membrane(draw.read_view(lowering, data.args[1])?),
        Save::Nothing => return Err(LowerError(format!("%{name}: nothing was saved for the gradient"))),
    };
    let constants = data.op.constants();
    let mut given = Vec::new();
    for (&constant, &value) in constants.iter().zip(&data.args[data.args.len() - constants.len()..]) {
        given.push((constant, draw.read_view(lowering, value)?));
    }
    let shape = dx.shape;
    let chunks = Chunks::of(&shape, Chunks::ELEMENTS);
    let partials = Partials { count: constants.len(), channels: shape.channels, chunks: chunks.count };
    let sums = (!constants.is_empty()).then(|| partials.buffer(lowering, &name));
    let out = sums.map(|buffer| draw.write(buffer, SlotElem::F32));
    let lanes = shape.steps() * shape.channels.min(WIDE);
    let curve = curve(lif.surrogate).filter(|_| matches!(saved, Saved::Membrane(_))).map(|curve| Slopes {
        curve,
        arguments: draw.k.scratch("arguments", lanes),
        values: draw.k.scratch("values", lanes),
    });
    let saves = if lif.save == Save::Window { 3 } else { 2 };
    let after = data.args.get(saves).filter(|_| given.is_empty());
    let after = after.map(|&after| draw.read_view(lowering, after)).transpose()?;
    let mut norms = Vec::new();
    for sums in lowering.sums.made_by(inst) {
        norms.push(Sums::of(lowering, &mut draw, sums)?);
    }
    let backward = Backward { lif, given, after, saved, ds, dx, partials, out, slopes: curve, norms };
    backward.task(&mut draw.k, chunks);
    lowering.push_kernel(&name, draw, chunks.tasks(&shape));
    backward.norms.iter().try_for_each(|norm| norm.combine(lowering))?;
    if let Some(buffer) = sums {
        for (i, &result) in data.results[1..].iter().enumerate() {
            partials.combine(lowering, &name, buffer, (i, result))?;
        }
    }
    Ok(())
}

/// Sums for the learned constants: a row of channels for each task and constant.
#[derive(Clone, Copy)]
struct Partials {
    count: usize,
    channels: usize,
    chunks: usize,
}

impl Partials {
    fn buffer(&self, lowering: &mut Lowering<'_>, name: &str) -> BufferId {
        let bytes = self.chunks * self.count * self.channels * 4;
        lowering.add_draft(&format!("{name}.partial"), ElemKind::F32, bytes, true)
    }

    fn at(&self, task: &Index, constant: usize, tile: &Tile) -> Index {
        (task * self.count + constant) * self.channels + &tile.index * TILE
    }

    /// The sum over tasks, and over channels where there is one number for the layer.
    fn combine(
        &self,
        lowering: &mut Lowering<'_>,
        name: &str,
        sums: BufferId,
        (constant, result): (usize, Value),
    ) -> Result<(), LowerError> {
        let mut draw = Draw::new();
        let part = draw.read(sums, SlotElem::F32);
        let out = draw.write_view(lowering, result)?;
        let sum = |k: &mut Builder, tile: &Tile| {
            let sum = k.row("sum", tile.n, Row::constant(0.0, tile.n));
            k.for_range("task", 0, Index::Batch * self.chunks, |k, task| {
                k.set(sum, Row::Reg(sum) + load(part, self.at(&task, constant, tile), tile.n));
            });
            Row::Reg(sum)
        };
        let k = &mut draw.k;
        let tasks = if out.shape.channels == self.channels {
            one_tile(k, &Index::Task, self.channels, |k, tile| {
                let row = sum(k, &tile);
                k.store(out.slot, &tile.index * TILE, row);
            });
            Tasks::fixed(out.shape.tiles())
        } else {
            let total = k.row("total", 1, Row::constant(0.0, 1));
            each_tile(k, self.channels, |k, tile| {
                let row = sum(k, &tile);
                k.set(total, Row::Reg(total) + row.fold(Fold::Sum));
            });
            k.store(out.slot, 0, Row::Reg(total));
            Tasks::fixed(1)
        };
        lowering.push_kernel(name, draw, tasks);
        Ok(())
    }
}

/// The kernel that walks back through time.
struct Backward<'a> {
    lif: &'a Lif,
    given: Vec<(Constant, View)>,
    saved: Saved,
    /// The gradient of the input at the timesteps that follow.
    after: Option<View>,
    ds: View,
    dx: View,
    partials: Partials,
    out: Option<Slot>,
    slopes: Option<Slopes>,
    /// The norms that `dx` is the gradient of.
    norms: Vec<Sums>,
}

/// The curve that a surrogate's derivative is made of, of all timesteps of a position's wide tile at once: a target may
/// have wider vectors for it.
struct Slopes {
    curve: Curve,
    /// `[t lane]` what it is taken of.
    arguments: Slot,
    values: Slot,
}

/// What a timestep leaves in registers.
struct Step {
    /// The gradient of the spike, through the surrogate.
    through: Row,
    /// Where the neuron fired.
    fired: Mask,
    /// The membrane, where it was kept.
    membrane: Option<Row>,
}

impl Backward<'_> {
    /// A range of positions of one sample.
    fn task(&self, k: &mut Builder, chunks: Chunks) {
        let shape: Shape = self.dx.shape;
        let (b, first, end) = chunks.of_task(k, &shape);
        self.norms.iter().for_each(|norm| norm.zero(k));
        if let Some(out) = self.out {
            each_tile(k, shape.channels, |k, tile| {
                for i in 0..self.given.len() {
                    k.store(out, self.partials.at(&Index::Task, i, &tile), Row::constant(0.0, tile.n));
                }
            });
        }
        k.for_range("p", &first, end, |k, p| {
            let Some(slopes) = &self.slopes else {
                return each_tile(k, shape.channels, |k, tile| self.row(k, &b, &p, &tile, None));
            };
            each_wide_tile(k, shape.channels, |k, wide| {
                self.slopes(k, slopes, (&b, &p), &wide);
                wide.each_part(k, |k, tile, lane| {
                    self.row(k, &b, &p, &tile, Some((slopes.values, lane, wide.n)));
                });
            });
        });
    }

    /// The neuron of a row of channels, with its given constants.
    fn neuron(&self, tile: &Tile) -> Neuron<'_> {
        let channel = Frame::of_channels(tile);
        let given = self.given.iter().map(|(constant, view)| (*constant, view.row(&channel))).collect();
        Neuron { lif: self.lif, given, n: tile.n }
    }

    /// The values of the surrogate's curve of a position's wide tile.
    fn slopes(&self, k: &mut Builder, slopes: &Slopes, (b, p): (&Index, &Index), wide: &WideTile) {
        let Saved::Membrane(membrane) = &self.saved else { return };
        let steps = self.dx.shape.steps();
        k.for_range("t", 0, steps, |k, t| {
            wide.each_part(k, |k, tile, lane| {
                let frame = Frame { t: t.clone(), b: b.clone(), p: p.clone(), tile: tile.clone() };
                let u = membrane.row(&frame) - self.neuron(&tile).constant(Constant::Threshold);
                let argument = argument(k, self.lif.surrogate, u, tile.n);
                k.store(slopes.arguments, &t * wide.n + lane, argument);
            });
        });
        let (from, to) = ((slopes.arguments, 0.into()), (slopes.values, 0.into()));
        k.map(Map { curve: slopes.curve, count: steps * wide.n, from, to });
    }

    /// One row of channels of one position.
    ///
    /// The values of the surrogate's curve lie in a slot, from a lane on, and so many elements a timestep.
    fn row(&self, k: &mut Builder, b: &Index, p: &Index, tile: &Tile, values: Option<(Slot, &Index, usize)>) {
        let n = tile.n;
        let zero = || Row::constant(0.0, n);
        let frame = |t: Index| Frame { t, b: b.clone(), p: p.clone(), tile: tile.clone() };
        let neuron = self.neuron(tile);
        let sums: Vec<Reg> = self.given.iter().map(|_| k.row("sum", n, zero())).collect();
        let after = self.after.as_ref().map(|after| neuron.over_gain(after.row(&frame(0.into()))));
        let delta = k.row("delta", n, after.unwrap_or_else(zero));
        let norms: Vec<[Reg; 2]> = self.norms.iter().map(|norm| norm.take_up(k, tile)).collect();
        k.for_down("t", 0, self.dx.shape.steps(), |k, t| {
            let eps = Row::Reg(k.row("eps", n, neuron.times(Constant::Decay, Row::Reg(delta))));
            let value = values.map(|(slot, lane, each)| load(slot, &t * each + lane, n));
            let step = self.step(k, &neuron, eps.clone(), &frame(t.clone()), value);
            let kept = match self.lif.reset {
                Reset::Hard(_) => step.fired.clone().select(zero(), eps.clone()),
                Reset::Soft | Reset::None => eps.clone(),
            };
            k.set(delta, step.through.clone() + kept);
            let mut dx = neuron.times(Constant::Gain, Row::Reg(delta));
            if !norms.is_empty() {
                let dy = k.row("dx", n, dx);
                self.norms
                    .iter()
                    .zip(&norms)
                    .for_each(|(norm, &own)| norm.add(k, own, dy, &frame(t.clone())));
                dx = Row::Reg(dy);
            }
            self.dx.store_row(k, &frame(t.clone()), dx);
            let before = self.before(k, &neuron, &t, frame);
            for ((constant, _), &sum) in self.given.iter().zip(&sums) {
                let term = term(&neuron, *constant, Row::Reg(delta), &step, before.as_ref(), &eps);
                k.set(sum, Row::Reg(sum) + term);
            }
        });
        self.norms.iter().zip(norms).for_each(|(norm, own)| norm.put_down(k, own, tile));
        if let Some(out) = self.out {
            for (i, &sum) in sums.iter().enumerate() {
                let at = self.partials.at(&Index::Task, i, tile);
                k.store(out, &at, load(out, &at, n) + Row::Reg(sum));
            }
        }
    }

    /// The gradient of the spike times the surrogate's derivative.
    fn step(&self, k: &mut Builder, neuron: &Neuron, eps: Row, frame: &Frame, value: Option<Row>) -> Step {
        let (lif, n) = (self.lif, frame.tile.n);
        let (slope, fired, membrane): (Row, Mask, Option<Row>) = match &self.saved {
            Saved::Window(spikes, window) => {
                // Inside its window the rectangle is flat.
                let height = Row::constant(lif.surrogate.derivative(0.0) as f32, n);
                (window.mask(frame).select(height, Row::constant(0.0, n)), spikes.mask(frame), None)
            }
            Saved::Membrane(view) => {
                let h = Row::Reg(k.row("h", n, view.row(frame)));
                (derivative(k, neuron, h.clone(), value), neuron.fires(h.clone()), Some(h))
            }
        };
        let mut error = self.ds.row(frame);
        if !lif.detach {
            // The path through the reset: ∂v/∂s.
            match (lif.reset, &membrane) {
                (Reset::Hard(value), Some(h)) => error = error + eps * (Row::constant(value, n) - h.clone()),
                (Reset::Soft, _) => error = error - neuron.times(Constant::Threshold, eps),
                (Reset::Hard(_), None) | (Reset::None, _) => {}
            }
        }
        let through = error * slope;
        if self.given.is_empty() {
            return Step { through, fired, membrane };
        }
        // The sums read both again.
        let through = Row::Reg(k.row("through", n, through));
        Step { through, fired: Mask::Reg(k.mask("fired", n, fired)), membrane }
    }

    /// The membrane that the timestep began with, where a learned decay or gain asks for it.
    fn before(
        &self,
        k: &mut Builder,
        neuron: &Neuron,
        t: &Index,
        frame: impl Fn(Index) -> Frame,
    ) -> Option<Row> {
        let Saved::Membrane(view) = &self.saved else { return None };
        let asked = |(constant, _): &(Constant, View)| matches!(constant, Constant::Decay | Constant::Gain);
        if !self.given.iter().any(asked) {
            return None;
        }
        let before = k.row("before", neuron.n, Row::constant(self.lif.reset.initial(), neuron.n));
        k.when(Compare::Gt, t, 0, |k| {
            let h = Row::Reg(k.row("h0", neuron.n, view.row(&frame(t - 1))));
            k.set(before, neuron.reset(h.clone(), neuron.fires(h)));
        });
        Some(Row::Reg(before))
    }
}

/// What a timestep adds to the gradient of a constant.
fn term(
    neuron: &Neuron,
    constant: Constant,
    delta: Row,
    step: &Step,
    before: Option<&Row>,
    eps: &Row,
) -> Row {
    let n = neuron.n;
    match (constant, before, &step.membrane) {
        (Constant::Decay, Some(before), _) => delta * before.clone(),
        (Constant::Gain, Some(before), Some(h)) => {
            // The input is what charged the membrane: the gain is above 0.
            let kept = neuron.times(Constant::Decay, before.clone()) + neuron.constant(Constant::Current);
            delta * ((h.clone() - kept) / neuron.constant(Constant::Gain))
        }
        (Constant::Current, _, _) => delta,
        (Constant::Threshold, _, _) => match neuron.lif.reset {
            Reset::Soft => {
                let reset = step.fired.clone().select(eps.clone(), Row::constant(0.0, n));
                (step.through.clone() + reset).unary(Unary::Neg)
            }
            Reset::Hard(_) | Reset::None => step.through.clone().unary(Unary::Neg),
        },
        // A window bit is never saved for these.
        (Constant::Decay | Constant::Gain, _, _) => Row::constant(0.0, n),
    }
}

/// The curve in a surrogate's derivative, where there is one.
fn curve(surrogate: Surrogate) -> Option<Curve> {
    match surrogate {
        Surrogate::Sigmoid(_) | Surrogate::Tanh(_) => Some(Curve::Sigmoid),
        Surrogate::PiecewiseExp(_) | Surrogate::Erf(_) => Some(Curve::Exp),
        Surrogate::Rectangle(_)
        | Surrogate::Triangle(_)
        | Surrogate::Atan(_)
        | Surrogate::SoftSign(_)
        | Surrogate::SuperSpike(_)
        | Surrogate::FastSigmoid(_) => None,
    }
}

/// What that curve is taken of, where the membrane is `u` above the threshold.
fn argument(k: &mut Builder, surrogate: Surrogate, u: Row, n: usize) -> Row {
    let constant = |value: f32| Row::constant(value, n);
    match surrogate {
        Surrogate::Sigmoid(alpha) => u * constant(alpha),
        Surrogate::Tanh(steepness) => u * constant(2.0 * steepness),
        Surrogate::PiecewiseExp(alpha) => u.unary(Unary::Abs) * constant(-alpha),
        Surrogate::Erf(alpha) => {
            let x = Row::Reg(k.row("x", n, u * constant(alpha)));
            (x.clone() * x).unary(Unary::Neg)
        }
        _without_a_curve => u,
    }
}

/// The surrogate's derivative at a membrane; `value` is that of its curve, if it has one.
fn derivative(k: &mut Builder, neuron: &Neuron, membrane: Row, value: Option<Row>) -> Row {
    let n = neuron.n;
    let constant = |value: f32| Row::constant(value, n);
    let u = membrane - neuron.constant(Constant::Threshold);
    let value = value.unwrap_or_else(|| constant(0.0));
    let distance = |u: Row| u.unary(Unary::Abs);
    let square = |k: &mut Builder, x: Row| {
        let x = Row::Reg(k.row("x", n, x));
        x.clone() * x
    };
    match neuron.lif.surrogate {
        Surrogate::Rectangle(a) => {
            let inside = distance(u).compare(Compare::Lt, constant(a / 2.0));
            inside.select(constant(1.0 / a), constant(0.0))
        }
        Surrogate::Triangle(gamma) => {
            let height = (constant(gamma) - distance(u)).max(constant(0.0));
            height * constant(1.0 / (gamma * gamma))
        }
        Surrogate::Sigmoid(alpha) => {
            let p = Row::Reg(k.row("sigmoid", n, value));
            p.clone() * (constant(1.0) - p) * constant(alpha)
        }
        Surrogate::Atan(alpha) => {
            let x = u * constant(std::f32::consts::FRAC_PI_2 * alpha);
            constant(alpha / 2.0) / (constant(1.0) + square(k, x))
        }
        Surrogate::PiecewiseExp(alpha) => value * constant(alpha / 2.0),
        Surrogate::SoftSign(alpha) => {
            constant(alpha / 2.0) / square(k, distance(u) * constant(alpha) + constant(1.0))
        }
        Surrogate::SuperSpike(alpha) => constant(alpha) / square(k, distance(u) + constant(1.0)),
        Surrogate::FastSigmoid(steepness) => {
            constant(1.0) / square(k, distance(u) * constant(steepness) + constant(1.0))
        }
        Surrogate::Erf(alpha) => {
            let height = alpha / std::f32::consts::PI.sqrt();
            value * constant(height)
        }
        Surrogate::Tanh(steepness) => {
            // 1 − tanh²(x) = 4·p·(1 − p) with p = sigmoid(2x).
            let p = Row::Reg(k.row("sigmoid", n, value));
            let height = 2.0 * steepness / (steepness / 2.0).tanh();
            let inside = distance(u).compare(Compare::Lt, constant(0.5));
            inside.select(p.clone() * (constant(1.0) - p) * constant(height), constant(0.0))
        }
    }
}
