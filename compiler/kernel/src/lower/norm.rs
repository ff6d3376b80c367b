//! Batch norms: statistics over time, batch and positions; folding into weights.
//!
//! ```text
//! partial (a task an image):  mean and M2 of each channel        ; two sweeps over one image in cache
//! combine (a task a tile):    Chan's formula, image after image  ; a fixed order: the same bits for any threads
//! ```

use super::emit::{deviation, scaled};
use super::view::{Frame, Shape, TILE, Tile, View, each_tile, one_tile};
use super::{Draw, LowerError, Lowering};
use crate::body::{Fold, Index, Row, Slot, SlotElem, Unary};
use crate::build::{Builder, load};
use snnc_ir::{Inst, Norm, Stats};
use snnc_plan::{BufferId, ElemKind, Tasks};

/// Two rows of channels for each image: what the partial kernel of a reduction leaves.
struct Partials {
    buffer: BufferId,
    shape: Shape,
}

impl Partials {
    fn new(lowering: &mut Lowering<'_>, name: &str, shape: Shape) -> Partials {
        let bytes = shape.steps() * 2 * shape.channels * 4;
        let buffer = lowering.add_draft(&format!("{name}.partial"), ElemKind::F32, bytes, shape.batched);
        Partials { buffer, shape }
    }

    /// Offset of a row (0 or 1) of an image's tile.
    fn at(&self, image: &Index, row: usize, tile: &Tile) -> Index {
        (image * 2 + row) * self.shape.channels + &tile.index * TILE
    }

    /// One task for each image.
    fn tasks(&self) -> Tasks {
        if self.shape.batched {
            Tasks::per_samples(1, self.shape.steps())
        } else {
            Tasks::fixed(self.shape.steps())
        }
    }

    fn images(&self) -> Index {
        if self.shape.batched { Index::Batch * self.shape.steps() } else { Index::from(self.shape.steps()) }
    }
}

/// The frame of a position of an image, where images are numbered `t·B + b`: the sample takes the number.
fn frame_of(image: &Index, p: &Index, tile: &Tile) -> Frame {
    Frame { t: Index::Const(0), b: image.clone(), p: p.clone(), tile: tile.clone() }
}

/// The view of a value seen as images without a time axis.
fn as_images(view: View) -> View {
    View { shape: Shape { time: None, batched: true, ..view.shape }, ..view }
}

/// `bn.stats x, mean, var -> mu, rstd, mean', var'`.
pub fn stats(lowering: &mut Lowering<'_>, inst: Inst, attrs: Stats) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let shape = Shape::of(lowering.graph.ty(data.args[0]))?;
    let partials = Partials::new(lowering, &name, shape);

    let mut draw = Draw::new();
    let x = as_images(draw.read_view(lowering, data.args[0])?);
    let out = draw.write(partials.buffer, SlotElem::F32);
    let k = &mut draw.k;
    each_tile(k, shape.channels, |k, tile| moments(k, &x, out, &partials, &tile));
    lowering.push_kernel(&name, draw, partials.tasks());

    let mut draw = Draw::new();
    let part = draw.read(partials.buffer, SlotElem::F32);
    let running = [draw.read_view(lowering, data.args[1])?, draw.read_view(lowering, data.args[2])?];
    let mut results = Vec::new();
    for &result in &data.results {
        results.push(draw.write_view(lowering, result)?);
    }
    let tile_index = Index::Task;
    one_tile(&mut draw.k, &tile_index, shape.channels, |k, tile| {
        combine_moments(k, part, &partials, &tile, attrs, &running, &results);
    });
    lowering.push_kernel(&name, draw, Tasks::fixed(shape.tiles()));
    Ok(())
}

/// Mean and sum of squared deviations of an image.
fn moments(k: &mut Builder, x: &View, out: Slot, partials: &Partials, tile: &Tile) {
    let n = tile.n;
    let positions = partials.shape.positions();
    let sum = k.row("sum", n, Row::constant(0.0, n));
    k.for_range("p", 0, positions, |k, p| {
        k.set(sum, Row::Reg(sum) + x.row(&frame_of(&Index::Task, &p, tile)));
    });
    let mean = k.row("mean", n, Row::Reg(sum) / Row::constant(positions as f32, n));
    let square = k.row("m2", n, Row::constant(0.0, n));
    k.for_range("p", 0, positions, |k, p| {
        let d = k.row("d", n, x.row(&frame_of(&Index::Task, &p, tile)) - Row::Reg(mean));
        k.set(square, Row::Reg(square) + Row::Reg(d) * Row::Reg(d));
    });
    k.store(out, partials.at(&Index::Task, 0, tile), Row::Reg(mean));
    k.store(out, partials.at(&Index::Task, 1, tile), Row::Reg(square));
}

fn combine_moments(
    k: &mut Builder,
    part: Slot,
    partials: &Partials,
    tile: &Tile,
    attrs: Stats,
    running: &[View; 2],
    results: &[View],
) {
    let n = tile.n;
    let positions = partials.shape.positions();
    let zero = || Row::constant(0.0, n);
    let (mean, square) = (k.row("mean", n, zero()), k.row("m2", n, zero()));
    k.for_range("image", 0, partials.images(), |k, image| {
        let delta = k.row("delta", n, load(part, partials.at(&image, 0, tile), n) - Row::Reg(mean));
        // Images are of equal size: the weight of the new one is 1/(i + 1).
        let count = Row::FromIndex(Box::new(&image + 1), n);
        let weight = k.row("weight", n, Row::constant(1.0, n) / count);
        let before = Row::FromIndex(Box::new(&image * positions), n) * Row::Reg(weight);
        let spread = Row::Reg(delta) * Row::Reg(delta) * before;
        k.set(square, Row::Reg(square) + load(part, partials.at(&image, 1, tile), n) + spread);
        k.set(mean, Row::Reg(mean) + Row::Reg(delta) * Row::Reg(weight));
    });
    let elements = partials.images() * positions;
    let count = || Row::FromIndex(Box::new(elements.clone()), n);
    let repeated = &elements * attrs.repeat;
    let free = Row::FromIndex(Box::new((&repeated - 1).max(1)), n);
    let frame = Frame::of_channels(tile);
    let var = k.row("var", n, Row::Reg(square) / count());
    let unbiased = Row::Reg(var) * (Row::FromIndex(Box::new(repeated), n) / free);
    let rstd = Row::constant(1.0, n) / (Row::Reg(var) + Row::constant(attrs.eps, n)).unary(Unary::Sqrt);
    let mix = |old: &View, new: Row| {
        old.row(&frame) * Row::constant(1.0 - attrs.momentum, n) + new * Row::constant(attrs.momentum, n)
    };
    let rows = [Row::Reg(mean), rstd, mix(&running[0], Row::Reg(mean)), mix(&running[1], unbiased)];
    for (view, row) in results.iter().zip(rows) {
        view.store_row(k, &frame, row);
    }
}

/// `step_scale.grad dy, x`: one sum for each image, then images of a timestep in order.
pub fn step_scale_grad(lowering: &mut Lowering<'_>, inst: Inst) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let shape = Shape::of(lowering.graph.ty(data.args[0]))?;
    let buffer =
        lowering.add_draft(&format!("{name}.partial"), ElemKind::F32, shape.steps() * 4, shape.batched);

    let mut draw = Draw::new();
    let dy = as_images(draw.read_view(lowering, data.args[0])?);
    let x = as_images(draw.read_view(lowering, data.args[1])?);
    let out = draw.write(buffer, SlotElem::F32);
    let k = &mut draw.k;
    let total = k.row("total", 1, Row::constant(0.0, 1));
    each_tile(k, shape.channels, |k, tile| {
        let sum = k.row("sum", tile.n, Row::constant(0.0, tile.n));
        k.for_range("p", 0, shape.positions(), |k, p| {
            let frame = frame_of(&Index::Task, &p, &tile);
            k.set(sum, Row::Reg(sum) + dy.row(&frame) * x.row(&frame));
        });
        k.set(total, Row::Reg(total) + Row::Reg(sum).fold(Fold::Sum));
    });
    k.store(out, Index::Task, Row::Reg(total));
    let steps = shape.steps();
    let tasks = if shape.batched { Tasks::per_samples(1, steps) } else { Tasks::fixed(steps) };
    lowering.push_kernel(&name, draw, tasks);

    let mut draw = Draw::new();
    let part = draw.read(buffer, SlotElem::F32);
    let result = draw.write_view(lowering, data.results[0])?;
    let images = if shape.batched { Index::Batch } else { Index::Const(1) };
    let k = &mut draw.k;
    let total = k.row("total", 1, Row::constant(0.0, 1));
    k.for_range("image", 0, &images, |k, image| {
        k.set(total, Row::Reg(total) + load(part, Index::Task * &images + image, 1));
    });
    k.store(result.slot, Index::Task, Row::Reg(total));
    lowering.push_kernel(&name, draw, Tasks::fixed(steps));
    Ok(())
}

/// `fold.weight w, gain, var`: a task for each output channel.
pub fn fold_weight(lowering: &mut Lowering<'_>, inst: Inst, norm: Norm) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let dims = lowering.graph.ty(data.args[0]).dims(1);
    let per_channel: usize = dims[1..].iter().product();
    let mut draw = Draw::new();
    let w = draw.read(lowering.buffer(data.args[0])?, SlotElem::F32);
    let gain = draw.read(lowering.buffer(data.args[1])?, SlotElem::F32);
    let var = draw.read(lowering.buffer(data.args[2])?, SlotElem::F32);
    let buffer = lowering.add_value(data.results[0])?;
    let out = draw.write(buffer, SlotElem::F32);
    let k = &mut draw.k;
    let factor =
        scaled(load(gain, Index::Task, 1), norm.scale, 1) / deviation(load(var, Index::Task, 1), &norm, 1);
    let factor = k.row("factor", 1, factor);
    let base = k.index("base", Index::Task * per_channel);
    each_tile(k, per_channel, |k, tile| {
        let at = &base + &tile.index * TILE;
        k.store(out, &at, load(w, &at, tile.n) * Row::Reg(factor).splat(tile.n));
    });
    lowering.push_kernel(&name, draw, Tasks::fixed(dims[0]));
    Ok(())
}

/// `fold.bias gain, bias, mean, var [, b]`.
pub fn fold_bias(lowering: &mut Lowering<'_>, inst: Inst, norm: Norm) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let mut views = Vec::new();
    for &arg in &data.args {
        views.push(draw.read_view(lowering, arg)?);
    }
    let out = draw.write_view(lowering, data.results[0])?;
    each_tile(&mut draw.k, out.shape.channels, |k, tile| {
        let n = tile.n;
        let frame = Frame::of_channels(&tile);
        let [gain, bias, mean, var] = [0, 1, 2, 3].map(|i: usize| views[i].row(&frame));
        let own = views.get(4).map_or_else(|| Row::constant(0.0, n), |view| view.row(&frame));
        let factor = scaled(gain, norm.scale, n) / deviation(var, &norm, n);
        out.store_row(k, &frame, (own - mean) * factor + bias);
    });
    lowering.push_kernel(&name, draw, Tasks::fixed(1));
    Ok(())
}
