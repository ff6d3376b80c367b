//! Pooling and its gradients. A task takes one image; windows are cut at the border.
//!
//! ```text
//! max:       m = -inf; for ky, kx inside: m = max(m, x)         ; spikes: or of words
//! max.grad:  zero dx; the first position that equals m gets dy   ; of spikes, found by words
//! average:   sum / (kernel rows * kernel columns)
//! ```

use super::view::{Frame, Shape, Tile, View, each_tile};
use super::{Draw, LowerError, Lowering};
use crate::body::{Compare, Index, Mask, Reg, Row, Width, Word};
use crate::build::{Builder, load_word, mask_of};
use snnc_ir::{Inst, Pool, Value};
use snnc_plan::Tasks;

/// The tasks of a kernel whose images are those of a shape: timestep and sample of the task.
fn image_tasks(k: &mut Builder, shape: &Shape) -> (Index, Index, Tasks) {
    let b = k.index("b", Index::Task.quotient(shape.steps()));
    let t = k.index("t", Index::Task.remainder(shape.steps()));
    let tasks =
        if shape.batched { Tasks::per_samples(1, shape.steps()) } else { Tasks::fixed(shape.steps()) };
    (t, b, tasks)
}

/// The rows (or columns) of a window at `at` that lie inside `extent`: kernel offsets `lo..hi`.
fn window(pool: Pool, at: &Index, kernel: usize, extent: usize) -> (Index, Index) {
    let start = at * pool.stride;
    let lo = (Index::from(pool.pad) - &start).max(0);
    let hi = (Index::from(extent + pool.pad) - &start).min(kernel);
    (lo, hi)
}

/// The body for each input position of the window of the output position `(oy, ox)`.
fn each_in_window(
    k: &mut Builder,
    pool: Pool,
    input: Shape,
    (oy, ox): (&Index, &Index),
    body: impl FnOnce(&mut Builder, Index),
) {
    let (y_lo, y_hi) = window(pool, oy, pool.kernel.0, input.height);
    let (x_lo, x_hi) = window(pool, ox, pool.kernel.1, input.width);
    k.for_range("ky", y_lo, y_hi, |k, ky| {
        let iy = oy * pool.stride + ky - pool.pad;
        let line = k.index("line", iy * input.width);
        k.for_range("kx", x_lo, x_hi, |k, kx| {
            let p = k.index("p", &line + (ox * pool.stride + kx - pool.pad));
            body(k, p);
        });
    });
}

/// The body for each output position.
fn each_output(k: &mut Builder, output: Shape, body: impl FnOnce(&mut Builder, Index, Index)) {
    k.for_range("oy", 0, output.height, |k, oy| {
        k.for_range("ox", 0, output.width, |k, ox| body(k, oy, ox));
    });
}

fn views(
    lowering: &mut Lowering<'_>,
    draw: &mut Draw,
    reads: &[Value],
    result: Value,
) -> Result<(Vec<View>, View), LowerError> {
    let mut views = Vec::new();
    for &value in reads {
        views.push(draw.read_view(lowering, value)?);
    }
    Ok((views, draw.write_view(lowering, result)?))
}

/// `max_pool x`.
pub fn max(lowering: &mut Lowering<'_>, inst: Inst, pool: Pool) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let (reads, y) = views(lowering, &mut draw, &data.args, data.results[0])?;
    let (x, k) = (&reads[0], &mut draw.k);
    let (t, b, tasks) = image_tasks(k, &y.shape);
    each_output(k, y.shape, |k, oy, ox| {
        let out = &oy * y.shape.width + &ox;
        if y.shape.bits {
            let out_at = k.index("out", y.shape.position(&t, &b, &out));
            k.for_range("word", 0, y.shape.words(), |k, word| {
                let any = k.word("any", Word::Const(0));
                each_in_window(k, pool, x.shape, (&oy, &ox), |k, p| {
                    let bits = load_word(x.slot, x.shape.position(&t, &b, &p) + &word * 2, Width::Full);
                    k.set_word(any, Word::Or(Box::new(Word::Reg(any)), Box::new(bits)));
                });
                k.store_word(y.slot, &out_at + &word * 2, Word::Reg(any), Width::Full);
            });
            return;
        }
        each_tile(k, y.shape.channels, |k, tile| {
            let frame = |p: &Index| Frame { t: t.clone(), b: b.clone(), p: p.clone(), tile: tile.clone() };
            let best = maximum(k, pool, x, (&oy, &ox), &tile, &frame);
            y.store_row(k, &frame(&out), best);
        });
    });
    lowering.push_kernel(&name, draw, tasks);
    if y.shape.bits { lowering.push_count(data.results[0], true) } else { Ok(()) }
}

/// The largest row of a window.
fn maximum(
    k: &mut Builder,
    pool: Pool,
    x: &View,
    at: (&Index, &Index),
    tile: &Tile,
    frame: &dyn Fn(&Index) -> Frame,
) -> Row {
    let best = k.row("best", tile.n, Row::constant(f32::NEG_INFINITY, tile.n));
    each_in_window(k, pool, x.shape, at, |k, p| k.set(best, Row::Reg(best).max(x.row(&frame(&p)))));
    Row::Reg(best)
}

/// `max_pool.grad dy, x`.
pub fn max_grad(lowering: &mut Lowering<'_>, inst: Inst, pool: Pool) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let (reads, dx) = views(lowering, &mut draw, &data.args, data.results[0])?;
    let (dy, x, k) = (&reads[0], &reads[1], &mut draw.k);
    let (t, b, tasks) = image_tasks(k, &dx.shape);
    each_tile(k, dx.shape.channels, |k, tile| {
        let n = tile.n;
        let frame = |p: &Index| Frame { t: t.clone(), b: b.clone(), p: p.clone(), tile: tile.clone() };
        zero(k, &dx, &frame, n);
        each_output(k, dy.shape, |k, oy, ox| {
            if x.shape.bits {
                let g = k.row("g", n, dy.row(&frame(&(&oy * dy.shape.width + &ox))));
                return to_first_spike(k, pool, (x, &dx), (&oy, &ox), g, &frame);
            }
            let best = maximum(k, pool, x, (&oy, &ox), &tile, &frame);
            let g = k.row("g", n, dy.row(&frame(&(&oy * dy.shape.width + &ox))));
            let none = Row::constant(0.0, n).compare(Compare::Gt, Row::constant(0.0, n));
            let taken = k.mask("taken", n, none);
            each_in_window(k, pool, x.shape, (&oy, &ox), |k, p| {
                let frame = frame(&p);
                let equal = x.row(&frame).compare(Compare::Eq, best.clone());
                let hit = k.mask("hit", n, equal.and(!Mask::Reg(taken)));
                let add = Mask::Reg(hit).select(Row::Reg(g), Row::constant(0.0, n));
                dx.store_row(k, &frame, dx.row(&frame) + add);
                k.set_mask(taken, Mask::Reg(taken).or(Mask::Reg(hit)));
            });
        });
    });
    lowering.push_kernel(&name, draw, tasks);
    Ok(())
}

/// The first position of a window that has a spike where any has one, gets `g`; found for all channels of a row by words.
fn to_first_spike(
    k: &mut Builder,
    pool: Pool,
    (x, dx): (&View, &View),
    at: (&Index, &Index),
    g: Reg,
    frame: &dyn Fn(&Index) -> Frame,
) {
    let both = |a: Word, b: Word| (Box::new(a), Box::new(b));
    let xor = |a: Word, b: Word| {
        let (a, b) = both(a, b);
        Word::Xor(a, b)
    };
    let any = k.word("any", Word::Const(0));
    each_in_window(k, pool, x.shape, at, |k, p| {
        let (a, b) = both(Word::Reg(any), x.word(&frame(&p)));
        k.set_word(any, Word::Or(a, b));
    });
    let none = k.word("none", xor(Word::Reg(any), Word::Const(u64::MAX)));
    let left = k.word("left", Word::Const(u64::MAX));
    each_in_window(k, pool, x.shape, at, |k, p| {
        let frame = frame(&p);
        let (a, b) = both(Word::Reg(left), xor(x.word(&frame), Word::Reg(none)));
        let hit = k.word("hit", Word::And(a, b));
        k.set_word(left, xor(Word::Reg(left), Word::Reg(hit)));
        let n = frame.tile.n;
        let add = mask_of(Word::Reg(hit), n).select(Row::Reg(g), Row::constant(0.0, n));
        dx.store_row(k, &frame, dx.row(&frame) + add);
    });
}

fn zero(k: &mut Builder, dx: &View, frame: &dyn Fn(&Index) -> Frame, n: usize) {
    k.for_range("p", 0, dx.shape.positions(), |k, p| dx.store_row(k, &frame(&p), Row::constant(0.0, n)));
}

/// The weight of an element in an average: the border counts.
fn share(pool: Pool, n: usize) -> Row {
    Row::constant(1.0 / (pool.kernel.0 * pool.kernel.1) as f32, n)
}

/// `avg_pool x`.
pub fn average(lowering: &mut Lowering<'_>, inst: Inst, pool: Pool) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let (reads, y) = views(lowering, &mut draw, &data.args, data.results[0])?;
    let (x, k) = (&reads[0], &mut draw.k);
    let (t, b, tasks) = image_tasks(k, &y.shape);
    each_tile(k, y.shape.channels, |k, tile| {
        let n = tile.n;
        let frame = |p: &Index| Frame { t: t.clone(), b: b.clone(), p: p.clone(), tile: tile.clone() };
        each_output(k, y.shape, |k, oy, ox| {
            let sum = k.row("sum", n, Row::constant(0.0, n));
            each_in_window(k, pool, x.shape, (&oy, &ox), |k, p| {
                k.set(sum, Row::Reg(sum) + x.row(&frame(&p)))
            });
            y.store_row(k, &frame(&(&oy * y.shape.width + &ox)), Row::Reg(sum) * share(pool, n));
        });
    });
    lowering.push_kernel(&name, draw, tasks);
    Ok(())
}

/// `avg_pool.grad dy`.
pub fn average_grad(lowering: &mut Lowering<'_>, inst: Inst, pool: Pool) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let (reads, dx) = views(lowering, &mut draw, &data.args, data.results[0])?;
    let (dy, k) = (&reads[0], &mut draw.k);
    let (t, b, tasks) = image_tasks(k, &dx.shape);
    each_tile(k, dx.shape.channels, |k, tile| {
        let n = tile.n;
        let frame = |p: &Index| Frame { t: t.clone(), b: b.clone(), p: p.clone(), tile: tile.clone() };
        zero(k, &dx, &frame, n);
        each_output(k, dy.shape, |k, oy, ox| {
            let g = dy.row(&frame(&(&oy * dy.shape.width + &ox))) * share(pool, n);
            let g = k.row("g", n, g);
            each_in_window(k, pool, dx.shape, (&oy, &ox), |k, p| {
                let frame = frame(&p);
                dx.store_row(k, &frame, dx.row(&frame) + Row::Reg(g));
            });
        });
    });
    lowering.push_kernel(&name, draw, tasks);
    Ok(())
}
