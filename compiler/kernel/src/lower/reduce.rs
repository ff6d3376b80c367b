//! Sums and means.
//!
//! ```text
//! mean over T      -> a task a sample; sums timesteps in order
//! sum over T B H W -> partial sums of each sample, then samples in order: the same bits for any threads
//! ```

use super::view::{Frame, Shape, TILE, Tile, View, each_tile, one_tile};
use super::{Draw, LowerError, Lowering};
use crate::body::{Index, Row, SlotElem};
use crate::build::{Builder, load};
use snnc_ir::{AxisName, Inst, Op};
use snnc_plan::{ElemKind, Tasks};

/// `sum x` and `mean x`: any axes but C; with the batch all of T, H and W.
pub fn sum(lowering: &mut Lowering<'_>, inst: Inst) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let (over, mean) = match &data.op {
        Op::Sum(over) => (over, false),
        Op::Mean(over) => (over, true),
        other => return Err(LowerError(format!("`{}` is not a sum", other.info().mnemonic))),
    };
    let name = lowering.inst_name(inst);
    let x = Shape::of(lowering.graph.ty(data.args[0]))?;
    let y = Shape::of(lowering.graph.ty(data.results[0]))?;
    if over.contains(&AxisName::C) || (over.contains(&AxisName::B) && (y.time.is_some() || y.positions() > 1))
    {
        return Err(LowerError(format!(
            "%{name}: a sum over channels, or over the batch but not all positions"
        )));
    }
    let over_batch = over.contains(&AxisName::B);
    let elements = x.steps() * x.positions() / (y.steps() * y.positions());
    // The first kernel: within a sample.
    let mut draw = Draw::new();
    let from = draw.read_view(lowering, data.args[0])?;
    let inner = Shape { batched: x.batched, ..y };
    let to = if over_batch {
        let buffer = lowering.add_draft(&format!("{name}.partial"), ElemKind::F32, y.channels * 4, true);
        (View { slot: draw.write(buffer, SlotElem::F32), shape: inner }, Some(buffer))
    } else {
        (draw.write_view(lowering, data.results[0])?, None)
    };
    let factor = if mean && !over_batch { 1.0 / elements as f32 } else { 1.0 };
    each_tile(&mut draw.k, y.channels, |k, tile| sample_sums(k, &from, &to.0, &tile, factor));
    lowering.push_kernel(&name, draw, if x.batched { Tasks::per_samples(1, 1) } else { Tasks::fixed(1) });
    // The second: over samples.
    if let Some(buffer) = to.1 {
        let mut draw = Draw::new();
        let part = draw.read(buffer, SlotElem::F32);
        let out = draw.write_view(lowering, data.results[0])?;
        one_tile(&mut draw.k, &Index::Task, y.channels, |k, tile| {
            let n = tile.n;
            let total = k.row("total", n, Row::constant(0.0, n));
            k.for_range("b", 0, Index::Batch, |k, b| {
                let row = load(part, b * y.channels + &tile.index * TILE, n);
                k.set(total, Row::Reg(total) + row);
            });
            let count = Row::FromIndex(Box::new(Index::Batch * elements), n);
            let total = if mean { Row::Reg(total) / count } else { Row::Reg(total) };
            out.store_row(k, &frame(&Index::Const(0), &Index::Const(0), &Index::Const(0), &tile), total);
        });
        lowering.push_kernel(&name, draw, Tasks::fixed(y.tiles()));
    }
    Ok(())
}

fn frame(t: &Index, b: &Index, p: &Index, tile: &Tile) -> Frame {
    Frame { t: t.clone(), b: b.clone(), p: p.clone(), tile: tile.clone() }
}

/// Sums within the task's sample, for every timestep and position that is left.
fn sample_sums(k: &mut Builder, x: &View, y: &View, tile: &Tile, factor: f32) {
    let n = tile.n;
    let (from, to) = (x.shape, y.shape);
    k.for_range("to", 0, to.steps(), |k, to_t| {
        k.for_range("tp", 0, to.positions(), |k, to_p| {
            let sum = k.row("sum", n, Row::constant(0.0, n));
            let times =
                if to.time.is_some() { (to_t.clone(), &to_t + 1) } else { (0.into(), from.steps().into()) };
            k.for_range("t", times.0, times.1, |k, t| {
                let all = to.positions() == 1;
                let places =
                    if all { (0.into(), from.positions().into()) } else { (to_p.clone(), &to_p + 1) };
                k.for_range("p", places.0, places.1, |k, p| {
                    k.set(sum, Row::Reg(sum) + x.row(&frame(&t, &Index::Task, &p, tile)));
                });
            });
            let row = Row::Reg(sum);
            let row = if factor == 1.0 { row } else { row * Row::constant(factor, n) };
            y.store_row(k, &frame(&to_t, &Index::Task, &to_p, tile), row);
        });
    });
}
