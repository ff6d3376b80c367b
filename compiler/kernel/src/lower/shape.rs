//! Changes of shape and of storage order: element by element, outside the hot path.
//!
//! ```text
//! relayout  f32[Co64 Ci32 Kh3 Kw3] -> f32[Kh3 Kw3 Ci32 Co64/32]   ; a task a tile
//! flatten   f32[T4 B H4 W4 C64]    -> f32[T4 B C1024]             ; element c·16 + p
//! ```

use super::view::Shape;
use super::{Draw, LowerError, Lowering};
use crate::body::{Index, SlotElem};
use crate::build::{Builder, load};
use snnc_ir::{AxisName, Elem, Inst, Op, Type, Value};
use snnc_plan::{BufferId, Tasks};

/// `flatten x` and `unflatten x`.
pub fn flatten(lowering: &mut Lowering<'_>, inst: Inst) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let forward = data.op == Op::Flatten;
    let (x, y) =
        (Shape::of(lowering.graph.ty(data.args[0]))?, Shape::of(lowering.graph.ty(data.results[0]))?);
    let image = if forward { x } else { y };
    if image.positions() == 1 {
        return lowering.alias(data.results[0], data.args[0]);
    }
    let name = lowering.inst_name(inst);
    if image.bits {
        return Err(LowerError(format!("%{name}: packed spikes of an image cannot be flattened")));
    }
    let mut draw = Draw::new();
    let from = draw.read_view(lowering, data.args[0])?;
    let to = draw.write_view(lowering, data.results[0])?;
    let (positions, channels) = (image.positions(), image.channels);
    let k = &mut draw.k;
    let base = k.index("base", Index::Task * (positions * channels));
    k.for_range("p", 0, positions, |k, p| {
        k.for_range("c", 0, channels, |k, c| {
            let nested = &base + &p * channels + &c;
            let flat = &base + &c * positions + &p;
            let (source, target) = if forward { (nested, flat) } else { (flat, nested) };
            k.store(to.slot, target, load(from.slot, source, 1));
        });
    });
    let steps = image.steps();
    lowering.push_kernel(
        &name,
        draw,
        if image.batched { Tasks::per_samples(1, steps) } else { Tasks::fixed(steps) },
    );
    Ok(())
}

/// `relayout x`.
pub fn relayout(lowering: &mut Lowering<'_>, inst: Inst) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let buffer = lowering.add_value(data.results[0])?;
    lay_out(lowering, &name, data.args[0], lowering.graph.ty(data.results[0]), buffer)
}

/// Stores a value in the order of another type: walks the result in its storage order and reads the operand by its
/// strides.
pub fn lay_out(
    lowering: &mut Lowering<'_>,
    name: &str,
    value: Value,
    to: &Type,
    buffer: BufferId,
) -> Result<(), LowerError> {
    let from = lowering.graph.ty(value);
    if from.elem == Elem::Bits || from.axes.iter().any(|axis| axis.tile > 0) {
        return Err(LowerError(format!("%{name}: `{from}` cannot be laid out anew")));
    }
    let mut draw = Draw::new();
    let x = draw.read(lowering.buffer(value)?, SlotElem::F32);
    let y = draw.write(buffer, SlotElem::F32);
    let walk = Walk { from, to, x, y };
    let k = &mut draw.k;
    let tasks = match to.axes.iter().find(|axis| axis.tile > 0) {
        Some(axis) => {
            let (extent, tile) = (axis.extent.unwrap_or(1), axis.tile);
            let first = k.index("first", Index::Task * tile);
            let lanes = k.index("lanes", (Index::from(extent) - &first).min(tile));
            let inner: usize = to.axes.iter().filter(|a| a.tile == 0).filter_map(|a| a.extent).product();
            let base = k.index("base", &first * inner);
            walk.tiled(k, axis.name, (&first, &lanes), base);
            Tasks::fixed(extent.div_ceil(tile))
        }
        None => {
            let outer = to.axes[0];
            let at = Place {
                from: stride(from, outer.name) * Index::Task,
                to: stride(to, outer.name) * Index::Task,
            };
            walk.plain(k, 1, at);
            match outer.extent {
                Some(extent) => Tasks::fixed(extent),
                None => Tasks::per_samples(1, 1),
            }
        }
    };
    lowering.push_kernel(name, draw, tasks);
    Ok(())
}

/// Elements from one index of an axis to the next, in row-major order.
fn stride(ty: &Type, name: AxisName) -> Index {
    let at = ty.position(name).expect("a relayout keeps the axes");
    ty.axes[at + 1..].iter().fold(Index::Const(1), |stride, axis| match axis.extent {
        Some(extent) => stride * extent,
        None => stride * Index::Batch,
    })
}

/// Offsets in operand and result.
struct Place {
    from: Index,
    to: Index,
}

struct Walk<'a> {
    from: &'a Type,
    to: &'a Type,
    x: crate::body::Slot,
    y: crate::body::Slot,
}

impl Walk<'_> {
    /// Nested loops over the axes from `depth` on.
    fn plain(&self, k: &mut Builder, depth: usize, at: Place) {
        let Some(axis) = self.to.axes.get(depth) else {
            k.store(self.y, at.to, load(self.x, at.from, 1));
            return;
        };
        let end = axis.extent.map_or(Index::Batch, Index::from);
        k.for_range("i", 0, end, |k, i| {
            let from = k.index("from", &at.from + stride(self.from, axis.name) * &i);
            let to = k.index("to", &at.to + stride(self.to, axis.name) * &i);
            self.plain(k, depth + 1, Place { from, to });
        });
    }

    /// One tile: the other axes outside, its lanes inside.
    fn tiled(&self, k: &mut Builder, name: AxisName, lanes: (&Index, &Index), base: Index) {
        let start = k.index("start", stride(self.from, name) * lanes.0);
        let axes: Vec<_> = self.to.axes.iter().filter(|axis| axis.tile == 0).copied().collect();
        self.rows(k, &axes, name, lanes.1, Place { from: start, to: base });
    }

    fn rows(&self, k: &mut Builder, axes: &[snnc_ir::Axis], name: AxisName, lanes: &Index, at: Place) {
        let Some((axis, rest)) = axes.split_first() else {
            k.for_range("lane", 0, lanes, |k, lane| {
                let from = &at.from + stride(self.from, name) * &lane;
                k.store(self.y, &at.to + &lane, load(self.x, from, 1));
            });
            return;
        };
        let inner: usize = rest.iter().filter_map(|a| a.extent).product();
        k.for_range("i", 0, axis.extent.unwrap_or(1), |k, i| {
            let from = k.index("from", &at.from + stride(self.from, axis.name) * &i);
            let to = k.index("to", &at.to + lanes * (&i * inner));
            self.rows(k, rest, name, lanes, Place { from, to });
        });
    }
}
