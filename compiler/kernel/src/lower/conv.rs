//! Convolutions: masked additions with weights blocked for the L1 cache, their weight gradients, and the
//! dense products that the runtime does.
//!
//! ```text
//! for kh, kw, block of up to 3 words of input channels:       ; a weight tile of 192 x 32 stays in L1
//!   for t, image, y, x where the tap lies inside:             ; and serves every position and timestep
//!     acc = load sums; each_bit ci of x { acc += w[kh kw ci] }; store sums
//! ```
//!
//! A masked linear product is the same with one position and one tap.

use super::view::{Frame, Shape, TILE, Tile, View, one_tile};
use super::{Draw, LowerError, Lowering};
use crate::body::{Index, Row, Slot, SlotElem, Width};
use crate::build::{Builder, load, load_word};
use snnc_ir::{AxisName, Conv, Inst, Op, Value};
use snnc_plan::{ConvGeometry, Dense, Step, Tasks};
use std::collections::HashMap;

/// Words of input channels in a block: 192 rows of 32 weights are 24 KiB.
const BLOCK_WORDS: usize = 3;

/// The part of an output that a task sums: some images, some rows, all timesteps.
#[derive(Debug)]
pub struct Block {
    pub steps: usize,
    /// The most images of a block.
    pub images: usize,
    /// The most rows of a block.
    pub rows: usize,
    /// Columns.
    pub width: usize,
    /// The first image.
    pub first: Index,
    /// Images of this block.
    pub count: Index,
    /// The first row, and the end.
    pub y0: Index,
    pub y1: Index,
}

impl Block {
    /// Elements of scratch memory from one timestep to the next.
    pub fn time_stride(&self) -> usize {
        self.images * self.rows * self.width * TILE
    }

    /// Where the sums of a position lie.
    pub fn sum_at(&self, t: &Index, image: &Index, y: &Index, x: &Index) -> Index {
        let row = (t * self.images + image) * self.rows + (y - self.y0.clone());
        (row * self.width + x) * TILE
    }
}

/// A convolution of spikes (or a product with spikes: one position, one tap).
#[derive(Debug)]
pub struct MaskedConv {
    x: View,
    w: Slot,
    bias: Option<Slot>,
    attrs: Conv,
    kernel: (usize, usize),
    /// The value that it computes.
    pub result: Value,
}

impl MaskedConv {
    /// Whether an operation is one.
    pub fn is(op: &Op) -> bool {
        matches!(op, Op::Conv2dMaskedAdd(_) | Op::LinearMaskedAdd)
    }

    /// The masked addition of an instruction, if it is one. A slice of a scan is read from the whole value.
    pub fn of(
        lowering: &Lowering<'_>,
        draw: &mut Draw,
        inst: Inst,
        slices: &HashMap<Value, Value>,
    ) -> Result<Option<MaskedConv>, LowerError> {
        let data = lowering.graph.inst(inst);
        let attrs = match data.op {
            Op::Conv2dMaskedAdd(attrs) => attrs,
            Op::LinearMaskedAdd => super::linear::AS_CONV,
            _ => return Ok(None),
        };
        let outer = |value: Value| slices.get(&value).copied().unwrap_or(value);
        let w = data.args[1];
        let bias = data.args.get(2).map(|&b| lowering.buffer(b)).transpose()?;
        let weight = lowering.graph.ty(w);
        Ok(Some(MaskedConv {
            x: draw.read_view(lowering, outer(data.args[0]))?,
            w: draw.read(lowering.buffer(w)?, SlotElem::F32),
            bias: bias.map(|b| draw.read(b, SlotElem::F32)),
            attrs,
            kernel: (weight.extent(AxisName::Kh), weight.extent(AxisName::Kw)),
            result: data.results[0],
        }))
    }

    /// Draws the sums of a block for one tile of output channels, bias included.
    pub fn accumulate(&self, k: &mut Builder, sums: Slot, block: &Block, tile: &Tile) {
        self.start(k, sums, block, tile);
        let words = self.x.shape.words();
        let (kh, kw) = self.kernel;
        let weights = tile.index.clone() * (TILE * kh * kw * self.x.shape.channels);
        k.for_range("kh", 0, kh, |k, ky| {
            k.for_range("kw", 0, kw, |k, kx| {
                k.for_step("word0", 0, words, BLOCK_WORDS, |k, word0| {
                    let word1 = k.index("word1", (&word0 + BLOCK_WORDS).min(words));
                    let tap = (&ky * kw + &kx) * self.x.shape.channels;
                    let rows = k.index("rows", &weights + tap * tile.n);
                    self.taps(k, sums, block, tile, (&ky, &kx), (&word0, &word1, &rows));
                });
            });
        });
    }

    /// Every sum starts at the bias.
    fn start(&self, k: &mut Builder, sums: Slot, block: &Block, tile: &Tile) {
        let n = tile.n;
        let first = match self.bias {
            Some(bias) => load(bias, &tile.index * TILE, n),
            None => Row::constant(0.0, n),
        };
        let first = k.row("first", n, first);
        k.for_range("t", 0, block.steps, |k, t| {
            k.for_range("image", 0, &block.count, |k, image| {
                let at = k.index("at", block.sum_at(&t, &image, &block.y0, &Index::Const(0)));
                let positions = (&block.y1 - &block.y0) * block.width;
                k.for_range("p", 0, positions, |k, p| k.store(sums, &at + p * TILE, Row::Reg(first)));
            });
        });
    }

    /// One tap, one block of words: over all positions for which the tap lies inside the input.
    fn taps(
        &self,
        k: &mut Builder,
        sums: Slot,
        block: &Block,
        tile: &Tile,
        tap: (&Index, &Index),
        words: (&Index, &Index, &Index),
    ) {
        let (stride, pad, n) = (self.attrs.stride, self.attrs.pad, tile.n);
        let shape = self.x.shape;
        let (y_in, y_end) = inside(tap.0, self.attrs, shape.height);
        let (x_in, x_end) = inside(tap.1, self.attrs, shape.width);
        let y_in = k.index("ylo", y_in.max(&block.y0));
        let y_end = k.index("yhi", y_end.min(&block.y1));
        let x_in = k.index("xlo", x_in);
        let x_end = k.index("xhi", x_end.min(block.width));
        k.for_range("t", 0, block.steps, |k, t| {
            k.for_range("image", 0, &block.count, |k, image| {
                let b = &block.first + &image;
                let input = k.index("input", shape.image(&t, &b));
                k.for_range("y", &y_in, &y_end, |k, y| {
                    let iy = &y * stride + tap.0 - pad;
                    let line = k.index("line", &input + iy * (shape.width * shape.stride()));
                    let line_sums = k.index("sum", block.sum_at(&t, &image, &y, &Index::Const(0)));
                    k.for_range("x", &x_in, &x_end, |k, x| {
                        let ix = &x * stride + tap.1 - pad;
                        let at = k.index("at", &line + ix * shape.stride());
                        let sum = k.index("acc_at", &line_sums + &x * TILE);
                        let acc = k.row("acc", n, load(sums, &sum, n));
                        k.for_range("word", words.0, words.1, |k, word| {
                            let bits = load_word(self.x.slot, &at + &word * 2, Width::Full);
                            let rows = k.index("row", words.2 + &word * (64 * n));
                            k.each_bit("ci", bits, |k, ci| {
                                k.set(acc, Row::Reg(acc) + load(self.w, &rows + ci * n, n));
                            });
                        });
                        k.store(sums, &sum, Row::Reg(acc));
                    });
                });
            });
        });
    }
}

/// Output positions `lo..hi` (not yet cut at the output's extent) whose tap lies inside `extent`.
fn inside(tap: &Index, attrs: Conv, extent: usize) -> (Index, Index) {
    let (stride, pad) = (attrs.stride, attrs.pad);
    let lo = ((Index::from(pad) - tap).max(0) + (stride - 1)).quotient(stride);
    let hi = (Index::from(extent - 1 + pad + stride) - tap).max(0).quotient(stride);
    (lo, hi)
}

/// `dw[co ci kh kw] = Σ dy[.., co]` over the positions where the spike of `ci` at the tap is set. A task takes
/// a tile of output channels, a tap and a block of input channels: its sums need no other task's.
pub fn masked_grad_weight(lowering: &mut Lowering<'_>, inst: Inst, attrs: Conv) -> Result<(), LowerError> {
    let graph = lowering.graph;
    let data = graph.inst(inst);
    let (result, name) = (data.results[0], lowering.inst_name(inst));
    let mut draw = Draw::new();
    let x = draw.read_view(lowering, data.args[0])?;
    let dy = draw.read_view(lowering, data.args[1])?;
    let weight = graph.ty(result);
    let (kh, kw) = (weight.extent(AxisName::Kh), weight.extent(AxisName::Kw));
    let buffer = lowering.add_value(result)?;
    let dw = draw.write(buffer, SlotElem::F32);
    let words = x.shape.words();
    let blocks = words.div_ceil(BLOCK_WORDS);
    let k = &mut draw.k;
    let sums = k.scratch("sums", words.min(BLOCK_WORDS) * 64 * TILE);
    let tile_index = k.index("tile", Index::Task.quotient(kh * kw * blocks));
    let rest = k.index("rest", Index::Task.remainder(kh * kw * blocks));
    let tap = k.index("tap", rest.quotient(blocks));
    let ky = k.index("ky", tap.quotient(kw));
    let kx = k.index("kx", tap.remainder(kw));
    let word0 = k.index("word0", rest.remainder(blocks) * BLOCK_WORDS);
    let word1 = k.index("word1", (&word0 + BLOCK_WORDS).min(words));
    let grad = GradWeight { x: &x, dy: &dy, sums, attrs, tap: (ky, kx), words: (word0, word1) };
    one_tile(k, &tile_index, dy.shape.channels, |k, tile| {
        grad.gather(k, &tile);
        grad.write(k, &tile, dw, (kh, kw));
    });
    let tiles = dy.shape.tiles();
    lowering.push_kernel(&name, draw, Tasks::fixed(tiles * kh * kw * blocks));
    Ok(())
}

/// A task of a weight gradient.
struct GradWeight<'a> {
    x: &'a View,
    dy: &'a View,
    sums: Slot,
    attrs: Conv,
    tap: (Index, Index),
    words: (Index, Index),
}

impl GradWeight<'_> {
    fn gather(&self, k: &mut Builder, tile: &Tile) {
        let n = tile.n;
        let (input, output) = (self.x.shape, self.dy.shape);
        let (word0, word1) = &self.words;
        let rows = (word1 - word0) * 64;
        k.for_range("ci", 0, rows, |k, ci| k.store(self.sums, ci * TILE, Row::constant(0.0, n)));
        let (y_in, y_end) = inside(&self.tap.0, self.attrs, input.height);
        let (x_in, x_end) = inside(&self.tap.1, self.attrs, input.width);
        let y_in = k.index("ylo", y_in);
        let y_end = k.index("yhi", y_end.min(output.height));
        let x_in = k.index("xlo", x_in);
        let x_end = k.index("xhi", x_end.min(output.width));
        let (stride, pad) = (self.attrs.stride, self.attrs.pad);
        k.for_range("t", 0, output.steps(), |k, t| {
            let batch = if output.batched { Index::Batch } else { Index::Const(1) };
            k.for_range("b", 0, batch, |k, b| {
                k.for_range("y", &y_in, &y_end, |k, y| {
                    k.for_range("x", &x_in, &x_end, |k, x| {
                        let p = &y * output.width + &x;
                        let frame = Frame { t: t.clone(), b: b.clone(), p, tile: tile.clone() };
                        let row = k.row("dy", n, self.dy.row(&frame));
                        let iy = &y * stride + &self.tap.0 - pad;
                        let ix = &x * stride + &self.tap.1 - pad;
                        let at = k.index("at", input.position(&t, &b, &(iy * input.width + ix)));
                        self.add_rows(k, n, row, &at);
                    });
                });
            });
        });
    }

    fn add_rows(&self, k: &mut Builder, n: usize, row: crate::body::Reg, at: &Index) {
        let (word0, word1) = &self.words;
        k.for_range("word", word0, word1, |k, word| {
            let bits = load_word(self.x.slot, at + &word * 2, Width::Full);
            let first = k.index("first", (&word - word0) * (64 * TILE));
            k.each_bit("ci", bits, |k, ci| {
                let sum = k.index("sum", &first + ci * TILE);
                k.store(self.sums, &sum, load(self.sums, &sum, n) + Row::Reg(row));
            });
        });
    }

    fn write(&self, k: &mut Builder, tile: &Tile, dw: Slot, kernel: (usize, usize)) {
        let channels = self.x.shape.channels;
        let taps = kernel.0 * kernel.1;
        let (word0, word1) = &self.words;
        let first = k.index("ci0", word0 * 64);
        let end = k.index("ci1", (word1 * 64).min(channels));
        let tap = &self.tap.0 * kernel.1 + &self.tap.1;
        k.for_range("ci", &first, &end, |k, ci| {
            let from = k.index("from", (&ci - &first) * TILE);
            let to = k.index("to", (&tile.index * (TILE * channels) + &ci) * taps + &tap);
            k.for_range("co", 0, tile.n, |k, co| {
                k.store(dw, &to + &co * (channels * taps), load(self.sums, &from + &co, 1));
            });
        });
    }
}

fn geometry(input: &Shape, output: &Shape, kernel: (usize, usize), attrs: Conv) -> ConvGeometry {
    ConvGeometry {
        input: (input.channels, input.height, input.width),
        output: (output.channels, output.height, output.width),
        kernel,
        stride: attrs.stride,
        pad: attrs.pad,
    }
}

fn push_dense(lowering: &mut Lowering<'_>, inst: Inst, op: Dense) {
    let name = lowering.inst_name(inst);
    lowering.push_step(Step::Dense { name, op });
}

/// A convolution of real values.
pub fn dense(lowering: &mut Lowering<'_>, inst: Inst, attrs: Conv) -> Result<(), LowerError> {
    let graph = lowering.graph;
    let data = graph.inst(inst);
    let (input, output) = (Shape::of(graph.ty(data.args[0]))?, Shape::of(graph.ty(data.results[0]))?);
    let w = graph.ty(data.args[1]);
    let op = Dense::Conv {
        geometry: geometry(&input, &output, (w.extent(AxisName::Kh), w.extent(AxisName::Kw)), attrs),
        images: output.steps(),
        x: lowering.buffer(data.args[0])?,
        w: lowering.buffer(data.args[1])?,
        bias: data.args.get(2).map(|&b| lowering.buffer(b)).transpose()?,
        y: lowering.add_value(data.results[0])?,
    };
    push_dense(lowering, inst, op);
    Ok(())
}

/// The gradient of a convolution's input.
pub fn dense_grad_input(lowering: &mut Lowering<'_>, inst: Inst, attrs: Conv) -> Result<(), LowerError> {
    let graph = lowering.graph;
    let data = graph.inst(inst);
    let (output, input) = (Shape::of(graph.ty(data.args[0]))?, Shape::of(graph.ty(data.results[0]))?);
    let w = graph.ty(data.args[1]);
    let op = Dense::ConvGradInput {
        geometry: geometry(&input, &output, (w.extent(AxisName::Kh), w.extent(AxisName::Kw)), attrs),
        images: output.steps(),
        dy: lowering.buffer(data.args[0])?,
        w: lowering.buffer(data.args[1])?,
        dx: lowering.add_value(data.results[0])?,
    };
    push_dense(lowering, inst, op);
    Ok(())
}

/// The gradient of a convolution's weight where the input is real.
pub fn dense_grad_weight(lowering: &mut Lowering<'_>, inst: Inst, attrs: Conv) -> Result<(), LowerError> {
    let graph = lowering.graph;
    let data = graph.inst(inst);
    let (input, output) = (Shape::of(graph.ty(data.args[0]))?, Shape::of(graph.ty(data.args[1]))?);
    let w = graph.ty(data.results[0]);
    let op = Dense::ConvGradWeight {
        geometry: geometry(&input, &output, (w.extent(AxisName::Kh), w.extent(AxisName::Kw)), attrs),
        images: output.steps(),
        x: lowering.buffer(data.args[0])?,
        dy: lowering.buffer(data.args[1])?,
        dw: lowering.add_value(data.results[0])?,
    };
    push_dense(lowering, inst, op);
    Ok(())
}
