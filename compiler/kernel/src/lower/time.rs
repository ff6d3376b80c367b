//! Pieces of values along time, and what is joined of them: time is the outermost axis in memory, so a piece is a part of its
//! value's buffer.

use super::view::Shape;
use super::{Draw, LowerError, Lowering};
use crate::body::{Index, SlotElem};
use crate::build::load;
use snnc_ir::{Inst, Piece, Type, Value};
use snnc_plan::{ALIGN, Tasks};

/// `piece x`: a part of its buffer, or a copy where that would not be aligned.
pub fn piece(lowering: &mut Lowering<'_>, inst: Inst, piece: Piece) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let (x, y) = (data.args[0], data.results[0]);
    let step = step_bytes(lowering.graph.ty(x))?;
    if lowering.graph.ty(x).is_batched() && step % ALIGN == 0 {
        return lowering.add_part(y, x, piece.from * step);
    }
    lowering.add_value(y)?;
    copy(lowering, inst, (x, y), (piece.from, 0, piece.steps))
}

/// `join x, y, …`: copies, one behind the other.
pub fn join(lowering: &mut Lowering<'_>, inst: Inst) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let y = data.results[0];
    lowering.add_value(y)?;
    let mut to = 0;
    for &x in &data.args {
        let steps = Shape::of(lowering.graph.ty(x))?.steps();
        copy(lowering, inst, (x, y), (0, to, steps))?;
        to += steps;
    }
    Ok(())
}

/// Bytes of a timestep of a sample.
fn step_bytes(ty: &Type) -> Result<usize, LowerError> {
    let shape = Shape::of(ty)?;
    Ok(shape.positions() * shape.stride() * 4)
}

/// Copies timesteps: a task an image.
fn copy(
    lowering: &mut Lowering<'_>,
    inst: Inst,
    (x, y): (Value, Value),
    (from, to, steps): (usize, usize, usize),
) -> Result<(), LowerError> {
    let name = lowering.inst_name(inst);
    let shape = Shape::of(lowering.graph.ty(x))?;
    let mut draw = Draw::new();
    let source = draw.read(lowering.buffer(x)?, SlotElem::F32);
    let target = draw.write(lowering.buffer(y)?, SlotElem::F32);
    let images = |steps: usize| if shape.batched { Index::Batch * steps } else { Index::from(steps) };
    let size = shape.positions() * shape.stride();
    let k = &mut draw.k;
    let read = k.index("read", (images(from) + Index::Task) * size);
    let write = k.index("write", (images(to) + Index::Task) * size);
    k.for_range("i", 0, size, |k, i| k.store(target, &write + &i, load(source, &read + &i, 1)));
    let tasks = if shape.batched { Tasks::per_samples(1, steps) } else { Tasks::fixed(steps) };
    lowering.push_kernel(&name, draw, tasks);
    Ok(())
}
