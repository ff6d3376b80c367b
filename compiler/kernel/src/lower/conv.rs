//! Convolutions: masked additions with weights blocked for the L1 cache, and the dense products that the runtime
//! does.
//!
//! ```text
//! for kh, kw, block of input channels:                        ; a weight tile of 64 x 128 stays in L1
//!   for t, image, y: run of x where the tap lies inside:      ; and serves every position and timestep
//!     add_rows sums[x] += w[kh kw ci] : f32[128] for ci of the words of x
//! ```
//!
//! A masked linear product is the same with one position and one tap. A grouped product has in the place of the weight
//! tile a table of 64 x 32 weights, summed for all choices of four, which as many positions look up. A shared product has more
//! walks than timesteps, over bits that it makes of them (`shared`).

use super::choice::spike_product;
use super::shared::walks;
use super::view::{Shape, TILE, View, WIDE, WideTile};
use super::{Draw, LowerError, Lowering};
use crate::body::{ENTRIES, GROUP, Groups, Index, Lookup, Row, Run, Slot, SlotElem, Walk, entry};
use crate::build::{Builder, load};
use crate::cost::{block_words, walked_rate};
use crate::form::Form;
use snnc_ir::{AxisName, Conv, Inst, Op, Value};
use snnc_plan::{ConvGeometry, Dense, Step};
use std::collections::HashMap;
use std::ops::Range;

/// Elements of a table of summed rows: 32 KiB, as much as the nearest cache keeps beside what passes through it.
pub const TABLE: usize = 8 << 10;

/// The part of an output that a task sums: some images, some rows, all timesteps.
#[derive(Debug)]
pub struct Block {
    pub steps: usize,
    /// The most images of a block.
    pub images: usize,
    /// The most rows of a block; images are whole where there are several.
    pub rows: usize,
    /// Columns.
    pub width: usize,
    /// Elements of the sums of a position.
    pub lanes: usize,
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
        self.images * self.rows * self.width * self.lanes
    }

    /// Where the sums of a position lie.
    pub fn sum_at(&self, t: &Index, image: &Index, y: &Index, x: &Index) -> Index {
        let row = (t * self.images + image) * self.rows + (y - self.y0.clone());
        (row * self.width + x) * self.lanes
    }

    /// Positions of this block at one timestep, whose sums lie one after the other.
    pub fn positions(&self) -> Index {
        &self.count * ((&self.y1 - &self.y0) * self.width)
    }
}

/// Scratch memory for lists by pattern, and for the order that a walk makes of them.
#[derive(Clone, Copy, Debug)]
pub struct ListRoom {
    pub lists: Slot,
    pub order: Slot,
}

/// Scratch memory of a product.
#[derive(Debug)]
pub struct Room {
    /// The sums of a block.
    pub sums: Slot,
    /// A table, where the product looks sums up.
    table: Option<Slot>,
    /// Lists by pattern, where the product is done by them.
    lists: Option<ListRoom>,
    /// The bits that are walked over.
    pub bits: Slot,
    /// Walks over them: timesteps, or what stands in their place where sums are shared.
    pub walks: usize,
}

/// A convolution of spikes (or a product with spikes: one position, one tap).
#[derive(Debug)]
pub struct MaskedConv {
    pub x: View,
    pub w: Slot,
    bias: Option<Slot>,
    pub attrs: Conv,
    pub kernel: (usize, usize),
    /// How it is done.
    pub form: Form,
    /// The expected firing rate of what is walked over.
    rate: f32,
    /// The value that it computes.
    pub result: Value,
}

impl MaskedConv {
    /// Whether an operation is one.
    pub fn is(op: &Op) -> bool {
        spike_product(op).is_some()
    }

    /// The masked addition of an instruction that is one. A slice of a scan is read from the whole value.
    pub fn of(
        lowering: &Lowering<'_>,
        draw: &mut Draw,
        inst: Inst,
        slices: &HashMap<Value, Value>,
    ) -> Result<MaskedConv, LowerError> {
        let data = lowering.graph.inst(inst);
        let Some(attrs) = spike_product(&data.op) else {
            return Err(LowerError(format!("`{}` is no product with spikes", data.op.info().mnemonic)));
        };
        let outer = |value: Value| slices.get(&value).copied().unwrap_or(value);
        let w = data.args[1];
        let bias = data.args.get(2).map(|&b| lowering.buffer(b)).transpose()?;
        let weight = lowering.graph.ty(w);
        let product = lowering.choices.of(inst)?;
        Ok(MaskedConv {
            x: draw.read_view(lowering, outer(data.args[0]))?,
            w: draw.read(lowering.buffer(w)?, SlotElem::F32),
            bias: bias.map(|b| draw.read(b, SlotElem::F32)),
            attrs,
            kernel: (weight.extent(AxisName::Kh), weight.extent(AxisName::Kw)),
            form: product.form,
            rate: walked_rate(product.form, product.input, product.work.steps),
            result: data.results[0],
        })
    }

    /// Scratch memory for the sums of a block, and what else the form needs.
    pub fn room(&self, k: &mut Builder, table: Option<Slot>, block: &Block, outputs: usize) -> Room {
        let table = table.filter(|_| self.form == Form::Grouped);
        let lists = (self.form == Form::Patterns).then(|| self.list_room(k, block.rows, outputs));
        let (bits, walks) = match self.form {
            Form::Shared => (self.shared_room(k, block), walks(block.steps)),
            Form::Walk | Form::Patterns | Form::Grouped | Form::Dense => (self.x.slot, block.steps),
        };
        Room { sums: k.scratch("sums", walks * block.time_stride()), table, lists, bits, walks }
    }

    /// Where the bits of an image of a block begin, at one of the walks.
    pub(super) fn image(&self, block: &Block, walk: &Index, image: &Index) -> Index {
        match self.form {
            Form::Shared => self.shared_image(block, walk, image),
            Form::Walk | Form::Patterns | Form::Grouped | Form::Dense => {
                self.x.shape.image(walk, &(&block.first + image))
            }
        }
    }

    /// Draws the sums of a block for one tile of output channels, bias included.
    pub fn accumulate(&self, k: &mut Builder, room: &Room, block: &Block, tile: &WideTile) {
        self.start(k, room, block, tile);
        match (room.lists, self.form) {
            (Some(lists), _) => self.add_patterns(k, room.sums, lists, block, tile),
            (None, Form::Shared) => {
                self.share(k, room.bits, block);
                self.walk_all(k, room, block, tile);
                self.join(k, room.sums, block, tile);
            }
            (None, _) => self.walk_all(k, room, block, tile),
        }
    }

    /// Walks over all bits of a block, or looks them up.
    fn walk_all(&self, k: &mut Builder, room: &Room, block: &Block, tile: &WideTile) {
        let weights = &tile.index * (WIDE * self.kernel.0 * self.kernel.1 * self.x.shape.channels);
        let weights = k.index("weights", weights);
        if self.is_window(tile.n) {
            return self.add_windows(k, room, block, &weights, tile.n);
        }
        let Some(table) = room.table else {
            let words = block_words(tile.n, self.rate);
            let part = Part { lane: 0.into(), n: tile.n, step: tile.n, words, table: None };
            return self.add(k, room, block, &weights, &part);
        };
        let grouped = |k: &mut Builder, lane: Index, n: usize| {
            let words = TABLE / (entry(n) * ENTRIES * 64 / GROUP);
            let part = Part { lane, n, step: tile.n, words, table: Some(table) };
            self.add(k, room, block, &weights, &part);
        };
        k.for_range("part", 0, tile.n / TILE, |k, part| grouped(k, part * TILE, TILE));
        let rest = tile.n % TILE;
        if rest > 0 {
            grouped(k, Index::from(tile.n - rest), rest);
        }
    }

    /// Adds what all taps and input channels give to some output channels.
    fn add(&self, k: &mut Builder, room: &Room, block: &Block, weights: &Index, part: &Part) {
        let ((kh, kw), channels) = (self.kernel, self.x.shape.channels);
        let most = part.words * 64;
        let (whole, rest) = (channels / most, channels % most);
        k.for_range("kh", 0, kh, |k, ky| {
            k.for_range("kw", 0, kw, |k, kx| {
                let tap = (&ky * kw + &kx) * channels;
                let rows = k.index("rows", weights + tap * part.step + &part.lane);
                let tap = Tap { y: ky.clone(), x: kx };
                k.for_step("word", 0, whole * part.words, part.words, |k, word| {
                    self.taps(k, room, block, &tap, &Piece { word, channels: most, rows: &rows, part });
                });
                if rest > 0 {
                    let word = (whole * part.words).into();
                    self.taps(k, room, block, &tap, &Piece { word, channels: rest, rows: &rows, part });
                }
            });
        });
    }

    /// The sum of each timestep starts at the bias, what is shared by some of them at 0.
    fn start(&self, k: &mut Builder, room: &Room, block: &Block, tile: &WideTile) {
        let positions = k.index("positions", block.positions());
        tile.each_part(k, |k, part, lane| {
            let mut fill = |walks: Range<usize>, first: Row| {
                let first = k.row("first", part.n, first);
                k.for_range("t", walks.start, walks.end, |k, t| {
                    let at = k.index("at", &t * block.time_stride() + lane);
                    k.for_range("p", 0, &positions, |k, p| {
                        k.store(room.sums, &at + p * block.lanes, Row::Reg(first));
                    });
                });
            };
            let zero = || Row::constant(0.0, part.n);
            fill(0..block.steps, self.bias.map_or_else(zero, |bias| load(bias, &part.index * TILE, part.n)));
            if room.walks > block.steps {
                fill(block.steps..room.walks, zero());
            }
        });
    }

    /// One tap, one block of words: over all positions for which the tap lies inside the input. All of a block are one
    /// run where the convolution looks at nothing but the position itself.
    fn taps(&self, k: &mut Builder, room: &Room, block: &Block, tap: &Tap, piece: &Piece<'_>) {
        if let Some(table) = piece.part.table {
            let (lanes, table) = (piece.part.n, (table, 0.into()));
            k.sum_groups(Groups { count: piece.channels, rows: self.rows(piece), lanes, table });
        }
        if self.kernel == (1, 1) && self.attrs.stride == 1 && self.attrs.pad == 0 {
            return self.same_positions(k, room, block, piece);
        }
        let (stride, pad) = (self.attrs.stride, self.attrs.pad);
        let shape = self.x.shape;
        let (y_in, y_end) = inside(&tap.y, self.attrs, shape.height);
        let (x_in, x_end) = inside(&tap.x, self.attrs, shape.width);
        let y_in = k.index("ylo", y_in.max(&block.y0));
        let y_end = k.index("yhi", y_end.min(&block.y1));
        let x_in = k.index("xlo", x_in);
        let x_end = k.index("xhi", x_end.min(block.width));
        k.for_range("t", 0, room.walks, |k, t| {
            k.for_range("image", 0, &block.count, |k, image| {
                let input = k.index("input", self.image(block, &t, &image));
                k.for_range("y", &y_in, &y_end, |k, y| {
                    let iy = &y * stride + &tap.y - pad;
                    let ix = &x_in * stride + &tap.x - pad;
                    let at = &input + (iy * shape.width + ix) * shape.stride();
                    let to = block.sum_at(&t, &image, &y, &x_in);
                    self.walk(k, room, (to, block.lanes), (at, stride), &x_end - &x_in, piece);
                });
            });
        });
    }

    fn same_positions(&self, k: &mut Builder, room: &Room, block: &Block, piece: &Piece<'_>) {
        let shape = self.x.shape;
        let positions = k.index("positions", block.positions());
        k.for_range("t", 0, room.walks, |k, t| {
            let from = &block.y0 * (shape.width * shape.stride());
            let at = self.image(block, &t, &Index::Const(0)) + from;
            let to = &t * block.time_stride();
            self.walk(k, room, (to, block.lanes), (at, 1), positions.clone(), piece);
        });
    }

    /// A run of positions, `stride` input positions apart.
    fn walk(
        &self,
        k: &mut Builder,
        room: &Room,
        (to, step): (Index, usize),
        (at, stride): (Index, usize),
        count: Index,
        piece: &Piece<'_>,
    ) {
        let shape = self.x.shape;
        let run = |slot, at, step: usize| Run { slot, at, step: step as i64 };
        let bits = run(room.bits, at + &piece.word * 2, stride * shape.stride());
        let (lanes, sums) = (piece.part.n, run(room.sums, to + &piece.part.lane, step));
        match piece.part.table {
            None => {
                let words = piece.channels.div_ceil(64);
                k.add_rows(Walk { count, words, bits, rows: self.rows(piece), lanes, sums });
            }
            Some(table) => {
                let groups = piece.channels.div_ceil(GROUP);
                k.add_groups(Lookup { count, groups, bits, table: (table, 0.into()), lanes, sums });
            }
        }
    }

    /// The rows of a piece's input channels.
    fn rows(&self, piece: &Piece<'_>) -> Run {
        let step = piece.part.step;
        Run { slot: self.w, at: piece.rows + &piece.word * (64 * step), step: step as i64 }
    }
}

/// A place of a kernel.
struct Tap {
    y: Index,
    x: Index,
}

/// Output channels that are summed together.
struct Part {
    /// The first, and how many, of the tile.
    lane: Index,
    n: usize,
    /// Output channels of the tile: elements of a row of weights.
    step: usize,
    /// The most words of input channels of a piece.
    words: usize,
    /// Where sums of rows are looked up.
    table: Option<Slot>,
}

/// Some input channels at a tap.
struct Piece<'a> {
    /// The first word.
    word: Index,
    channels: usize,
    /// Where the weights of the tap begin.
    rows: &'a Index,
    part: &'a Part,
}

/// Output positions `lo..hi` (not yet cut at the output's extent) whose tap lies inside `extent`.
pub fn inside(tap: &Index, attrs: Conv, extent: usize) -> (Index, Index) {
    let (stride, pad) = (attrs.stride, attrs.pad);
    let lo = ((Index::from(pad) - tap).max(0) + (stride - 1)).quotient(stride);
    let hi = (Index::from(extent - 1 + pad + stride) - tap).max(0).quotient(stride);
    (lo, hi)
}

/// The geometry of a dense convolution.
pub fn geometry(input: &Shape, output: &Shape, kernel: (usize, usize), attrs: Conv) -> ConvGeometry {
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
