//! Terms of a loss: the cross-entropy, and penalties of activations.
//!
//! ```text
//! cross_entropy -> a task a sample sums its timesteps; then samples in order: the same bits for any threads
//! penalty       -> the same, over positions and channels too
//! ```

use super::view::{Frame, View, each_tile};
use super::{Draw, LowerError, Lowering};
use crate::body::{Fold, Index, Reg, Row, Slot, SlotElem, Unary};
use crate::build::{Builder, load};
use snnc_ir::{Inst, Penalty, Value};
use snnc_plan::{BufferId, ElemKind, Tasks};

/// Maximum of the row of logits of the task's sample at `t`, and the sum of `exp(x − maximum)`.
fn softmax_parts(k: &mut Builder, logits: &View, t: &Index) -> (Reg, Reg) {
    let max = k.row("max", 1, Row::constant(f32::NEG_INFINITY, 1));
    each_row(k, logits, t, |k, row, _| k.set(max, Row::Reg(max).max(row.fold(Fold::Max))));
    let sum = k.row("sum", 1, Row::constant(0.0, 1));
    each_row(k, logits, t, |k, row, frame| {
        let row = row - Row::Reg(max).splat(frame.tile.n);
        k.set(sum, Row::Reg(sum) + row.unary(Unary::Exp).fold(Fold::Sum));
    });
    (max, sum)
}

/// Every tile of the first position of the task's sample at `t`.
fn each_row(k: &mut Builder, x: &View, t: &Index, mut body: impl FnMut(&mut Builder, Row, &Frame)) {
    each_tile(k, x.shape.channels, |k, tile| {
        let frame = Frame { t: t.clone(), b: Index::Task, p: Index::Const(0), tile };
        body(k, x.row(&frame), &frame);
    });
}

/// Where the logit of the right class lies.
fn own_logit(logits: &View, labels: Slot, t: &Index) -> Index {
    logits.shape.image(t, &Index::Task) + Index::Label(labels, Box::new(Index::Task))
}

/// The labels of a sample: one, or two with the share of each.
struct Labels {
    labels: Slot,
    mixed: Option<Mixed>,
}

struct Mixed {
    others: Slot,
    share: Reg,
    rest: Reg,
}

impl Labels {
    /// Those of a loss's operands behind the logits.
    fn read(draw: &mut Draw, lowering: &Lowering<'_>, args: &[Value]) -> Result<Labels, LowerError> {
        let labels = draw.read(lowering.buffer(args[1])?, SlotElem::I32);
        let &[_, _, others, shares] = args else { return Ok(Labels { labels, mixed: None }) };
        // The same buffer may stand for both.
        let others = draw.read(lowering.buffer(others)?, SlotElem::I32);
        let shares = draw.read(lowering.buffer(shares)?, SlotElem::F32);
        let k = &mut draw.k;
        let share = k.row("label.share", 1, load(shares, Index::Task, 1));
        let rest = k.row("label.rest", 1, Row::constant(1.0, 1) - Row::Reg(share));
        Ok(Labels { labels, mixed: Some(Mixed { others, share, rest }) })
    }

    /// The logit of the right class at `t`, or of the two classes by their shares.
    fn logit(&self, logits: &View, t: &Index) -> Row {
        let own = load(logits.slot, own_logit(logits, self.labels, t), 1);
        let Some(mixed) = &self.mixed else { return own };
        let other = load(logits.slot, own_logit(logits, mixed.others, t), 1);
        own * Row::Reg(mixed.share) + other * Row::Reg(mixed.rest)
    }

    /// Takes `by` from the gradient of the right class at `t`, or from both by their shares; one after the other, since
    /// they may be one class.
    fn take(&self, k: &mut Builder, out: &View, t: &Index, by: Row) {
        let mut one = |labels: Slot, by: Row| {
            let at = k.index("own", own_logit(out, labels, t));
            k.store(out.slot, &at, load(out.slot, &at, 1) - by);
        };
        match &self.mixed {
            None => one(self.labels, by),
            Some(mixed) => {
                one(self.labels, by.clone() * Row::Reg(mixed.share));
                one(mixed.others, by * Row::Reg(mixed.rest));
            }
        }
    }
}

/// `cross_entropy logits, labels [, others, shares]`.
pub fn cross_entropy(lowering: &mut Lowering<'_>, inst: Inst, smoothing: f32) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let logits = draw.read_view(lowering, data.args[0])?;
    let labels = Labels::read(&mut draw, lowering, &data.args)?;
    let each = lowering.add_draft(&format!("{name}.each"), ElemKind::F32, 4, true);
    let out = draw.write(each, SlotElem::F32);
    let steps = logits.shape.steps();
    let k = &mut draw.k;
    let loss = k.row("loss", 1, Row::constant(0.0, 1));
    k.for_range("t", 0, steps, |k, t| {
        let (max, sum) = softmax_parts(k, &logits, &t);
        let own = labels.logit(&logits, &t);
        let part = Row::Reg(sum).unary(Unary::Ln) + Row::Reg(max) - scaled(own, 1.0 - smoothing);
        k.set(loss, Row::Reg(loss) + part);
        if smoothing != 0.0 {
            let share = smoothing / logits.shape.channels as f32;
            each_row(k, &logits, &t, |k, row, _| {
                k.set(loss, Row::Reg(loss) - scaled(row.fold(Fold::Sum), share));
            });
        }
    });
    k.store(out, Index::Task, Row::Reg(loss));
    lowering.push_kernel(&name, draw, Tasks::per_samples(1, 1));
    mean_of_samples(lowering, each, data.results[0], steps)
}

/// `row · by`.
fn scaled(row: Row, by: f32) -> Row {
    if by == 1.0 { row } else { row * Row::constant(by, 1) }
}

/// The sum of one number a sample, over `each · B`, to a scalar.
fn mean_of_samples(
    lowering: &mut Lowering<'_>,
    parts: BufferId,
    to: Value,
    each: usize,
) -> Result<(), LowerError> {
    let name = lowering.graph.name(to).to_string();
    let mut draw = Draw::new();
    let part = draw.read(parts, SlotElem::F32);
    let buffer = lowering.add_value(to)?;
    let out = draw.write(buffer, SlotElem::F32);
    let k = &mut draw.k;
    let total = k.row("total", 1, Row::constant(0.0, 1));
    k.for_range("b", 0, Index::Batch, |k, b| k.set(total, Row::Reg(total) + load(part, b, 1)));
    k.store(out, 0, Row::Reg(total) / Row::FromIndex(Box::new(Index::Batch * each), 1));
    lowering.push_kernel(&name, draw, Tasks::fixed(1));
    Ok(())
}

/// `cross_entropy.grad logits, labels [, others, shares]`.
pub fn cross_entropy_grad(lowering: &mut Lowering<'_>, inst: Inst, smoothing: f32) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let logits = draw.read_view(lowering, data.args[0])?;
    let labels = Labels::read(&mut draw, lowering, &data.args)?;
    let out = draw.write_view(lowering, data.results[0])?;
    let (steps, classes) = (logits.shape.steps(), logits.shape.channels);
    let k = &mut draw.k;
    let share = Row::constant(1.0, 1) / Row::FromIndex(Box::new(Index::Batch * steps), 1);
    let share = k.row("share", 1, share);
    k.for_range("t", 0, steps, |k, t| {
        let (max, sum) = softmax_parts(k, &logits, &t);
        let factor = k.row("factor", 1, Row::Reg(share) / Row::Reg(sum));
        each_row(k, &logits, &t, |k, row, frame| {
            let n = frame.tile.n;
            let row = (row - Row::Reg(max).splat(n)).unary(Unary::Exp) * Row::Reg(factor).splat(n);
            let uniform = scaled(Row::Reg(share), smoothing / classes as f32).splat(n);
            out.store_row(k, frame, if smoothing == 0.0 { row } else { row - uniform });
        });
        labels.take(k, &out, &t, scaled(Row::Reg(share), 1.0 - smoothing));
    });
    lowering.push_kernel(&name, draw, Tasks::per_samples(1, 1));
    Ok(())
}

/// The measure of each element of a row.
fn measured(measure: Penalty, x: Row, n: usize) -> Row {
    let squared = |k: Row| k.clone() * k;
    match measure {
        Penalty::Mean => x,
        Penalty::Square(_) | Penalty::Above(_) | Penalty::Below(_) => squared(excess(measure, x, n)),
    }
}

/// What is squared: the distance from where the measure is 0.
fn excess(measure: Penalty, x: Row, n: usize) -> Row {
    let zero = Row::constant(0.0, n);
    match measure {
        Penalty::Mean => x,
        Penalty::Square(at) => x - Row::constant(at, n),
        Penalty::Above(at) => (x - Row::constant(at, n)).max(zero),
        Penalty::Below(at) => (Row::constant(at, n) - x).max(zero),
    }
}

/// The measure's derivative at each element.
fn slope(measure: Penalty, x: Row, n: usize) -> Row {
    match measure {
        Penalty::Mean => Row::constant(1.0, n),
        Penalty::Square(_) | Penalty::Above(_) => excess(measure, x, n) * Row::constant(2.0, n),
        Penalty::Below(_) => excess(measure, x, n) * Row::constant(-2.0, n),
    }
}

/// `penalty x`.
pub fn penalty(lowering: &mut Lowering<'_>, inst: Inst, measure: Penalty) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let x = draw.read_view(lowering, data.args[0])?;
    let elements = x.shape.steps() * x.shape.positions() * x.shape.channels;
    let batched = x.shape.batched;
    let buffer = if batched {
        lowering.add_draft(&format!("{name}.each"), ElemKind::F32, 4, true)
    } else {
        lowering.add_value(data.results[0])?
    };
    let out = draw.write(buffer, SlotElem::F32);
    let total = draw.k.row("total", 1, Row::constant(0.0, 1));
    each_tile(&mut draw.k, x.shape.channels, |k, tile| {
        let n = tile.n;
        let sum = k.row("part", n, Row::constant(0.0, n));
        k.for_range("t", 0, x.shape.steps(), |k, t| {
            k.for_range("p", 0, x.shape.positions(), |k, p| {
                let row = x.row(&Frame { t: t.clone(), b: Index::Task, p, tile: tile.clone() });
                k.set(sum, Row::Reg(sum) + measured(measure, row, n));
            });
        });
        k.set(total, Row::Reg(total) + Row::Reg(sum).fold(Fold::Sum));
    });
    let share = if batched { 1.0 } else { 1.0 / elements as f32 };
    draw.k.store(out, Index::Task, scaled(Row::Reg(total), share));
    lowering.push_kernel(&name, draw, tasks(&x));
    if batched { mean_of_samples(lowering, buffer, data.results[0], elements) } else { Ok(()) }
}

/// A task a sample, or one.
fn tasks(x: &View) -> Tasks {
    if x.shape.batched { Tasks::per_samples(1, 1) } else { Tasks::fixed(1) }
}

/// `penalty.grad x [, dy]`.
pub fn penalty_grad(lowering: &mut Lowering<'_>, inst: Inst, measure: Penalty) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let x = draw.read_view(lowering, data.args[0])?;
    let dy = match data.args.get(1) {
        Some(&dy) => Some(draw.read(lowering.buffer(dy)?, SlotElem::F32)),
        None => None,
    };
    let out = draw.write_view(lowering, data.results[0])?;
    let elements = Index::from(x.shape.steps() * x.shape.positions() * x.shape.channels);
    let elements = if x.shape.batched { Index::Batch * elements } else { elements };
    let k = &mut draw.k;
    let dy = dy.map_or_else(|| Row::constant(1.0, 1), |dy| load(dy, 0, 1));
    let share = k.row("share", 1, dy / Row::FromIndex(Box::new(elements), 1));
    k.for_range("t", 0, x.shape.steps(), |k, t| {
        k.for_range("p", 0, x.shape.positions(), |k, p| {
            each_tile(k, x.shape.channels, |k, tile| {
                let n = tile.n;
                let frame = Frame { t: t.clone(), b: Index::Task, p: p.clone(), tile };
                out.store_row(k, &frame, slope(measure, x.row(&frame), n) * Row::Reg(share).splat(n));
            });
        });
    });
    lowering.push_kernel(&name, draw, tasks(&x));
    Ok(())
}
