//! The gradient of a weight whose input is spikes: rows of `dy`, added where a spike is set.
//!
//! ```text
//! for t, image, 64 positions, kx:  words = x at the tap of each position      ; position by position, channels in bits
//!   turned = turn words                                                       ; channel by channel, positions in bits
//!   add_rows sums[ci] += dy[position] : f32[128] for position of turned[ci]
//! ```
//!
//! The mirror form of the forward product: the same walk, with 64 rows of `dy` in the place of 64 rows of the weight.
//! A task takes a tile of output channels, a word of input channels and a row of taps: its sums need no other task's.

use super::conv::inside;
use super::grad_groups;
use super::grad_taps::{self, Grid};
use super::view::{Shape, View, WIDE, WideTile, one_wide_tile};
use super::{Draw, LowerError, Lowering};
use crate::body::{GROUP, Index, Row, Run, Slot, SlotElem, Walk, Width, Word};
use crate::build::{Builder, load, load_word};
use crate::form::Form;
use snnc_ir::{AxisName, Conv, Inst};
use snnc_plan::Tasks;

/// Positions of a block: bits of a word.
pub const BLOCK: usize = 64;
/// Elements between the sums of two input channels beyond their lanes: one line, so that the sums of one output
/// channel, which are stored together, lie in different sets of the cache.
pub const APART: usize = 16;

/// Positions of a block, where all blocks have as many and groups of them are whole.
pub fn whole_blocks(x: &Shape, dy: &Shape) -> Option<usize> {
    if dy.positions() == 1 && x.positions() == 1 {
        return None;
    }
    let (columns, rows) = (dy.width.min(BLOCK), (BLOCK / dy.width).clamp(1, dy.height));
    let positions = columns * rows;
    let whole = [dy.width % columns, dy.height % rows, positions % GROUP] == [0; 3];
    whole.then_some(positions)
}

/// What a gradient of a weight is made of.
pub struct Task {
    /// The kernel.
    pub draw: Draw,
    /// Its name.
    pub name: String,
    /// The spikes.
    pub x: View,
    /// The gradient of the sums.
    pub dy: View,
    /// Where the weight's goes.
    pub dw: Slot,
    /// Rows and columns of taps.
    pub kernel: (usize, usize),
}

/// Lowers `conv2d.masked_grad_weight`, and that of a linear product: one position and one tap.
pub fn masked(lowering: &mut Lowering<'_>, inst: Inst, attrs: Conv) -> Result<(), LowerError> {
    let graph = lowering.graph;
    let data = graph.inst(inst);
    let (result, name) = (data.results[0], lowering.inst_name(inst));
    let mut draw = Draw::new();
    let x = draw.read_view(lowering, data.args[0])?;
    let dy = draw.read_view(lowering, data.args[1])?;
    let weight = graph.ty(result);
    let kernel = (weight.extent(AxisName::Kh), weight.extent(AxisName::Kw));
    let form = lowering.choices.of_gradient(inst)?;
    let buffer = lowering.add_value(result)?;
    let dw = draw.write(buffer, SlotElem::F32);
    let grid = Grid::of(&x.shape, &dy.shape, kernel, attrs).filter(|_| form != Form::Grouped);
    if let Some(grid) = grid {
        let patterns = form == Form::Patterns;
        return grad_taps::lower(lowering, Task { draw, name, x, dy, dw, kernel }, grid, patterns);
    }
    if let Some(positions) = whole_blocks(&x.shape, &dy.shape).filter(|_| form == Form::Grouped) {
        return grad_groups::lower(lowering, Task { draw, name, x, dy, dw, kernel }, attrs, positions);
    }
    let (words, tiles) = (x.shape.words(), dy.shape.wide_tiles());
    let k = &mut draw.k;
    let step = dy.shape.sums() + APART;
    let sums = k.scratch("sums", kernel.1 * 64 * step);
    let gathered = k.scratch_words("gathered", BLOCK);
    let turned = k.scratch_words("turned", BLOCK);
    let packed = (tiles > 1).then(|| k.scratch("dy", BLOCK * WIDE));
    let tile = k.index("tile", Index::Task.quotient(words * kernel.0));
    let rest = k.index("rest", Index::Task.remainder(words * kernel.0));
    let word = k.index("word", rest.quotient(kernel.0));
    let ky = k.index("ky", rest.remainder(kernel.0));
    let gather = Gather { x, output: dy.shape, attrs, ky, gathered };
    let grad = Gradient { gather, dy, sums, step, turned, packed, kernel, word };
    one_wide_tile(k, &tile, grad.dy.shape.channels, |k, tile| {
        grad.sum(k, &tile);
        grad.write(k, &tile, dw);
    });
    lowering.push_kernel(&name, draw, Tasks::fixed(tiles * words * kernel.0));
    Ok(())
}

/// A task.
struct Gradient {
    gather: Gather,
    dy: View,
    /// `[kx ci]` rows of output channels.
    sums: Slot,
    /// Elements from one of them to the next.
    step: usize,
    /// The words of a block, channel by channel.
    turned: Slot,
    /// A block of `dy`, where its rows are parts of longer ones.
    packed: Option<Slot>,
    kernel: (usize, usize),
    /// The word of input channels.
    word: Index,
}

/// Positions that are walked together: some rows of an image, or a position of some images.
pub struct Block {
    pub t: Index,
    /// The first image, row and column.
    pub b: Index,
    pub y: Index,
    pub x: Index,
    rows: usize,
    columns: usize,
}

impl Gradient {
    fn sum(&self, k: &mut Builder, tile: &WideTile) {
        let step = self.step;
        tile.each_part(k, |k, part, lane| {
            let at = |ci: Index| ci * step + lane;
            k.for_range("ci", 0, 64 * self.kernel.1, |k, ci| {
                k.store(self.sums, at(ci), Row::constant(0.0, part.n));
            });
        });
        self.gather.each_block(k, |k, block, images| self.block(k, tile, block, images));
    }

    /// Adds the rows of a block of positions, tap after tap.
    fn block(&self, k: &mut Builder, tile: &WideTile, block: &Block, images: &Index) {
        let rows = self.rows_of(k, tile, block, images);
        let step = self.step;
        k.for_range("kx", 0, self.kernel.1, |k, kx| {
            self.gather.words(k, (&self.word, &kx), block, images);
            k.turn((self.turned, 0.into()), (self.gather.gathered, 0.into()));
            k.add_rows(Walk {
                count: self.gather.channels(&self.word),
                words: 1,
                bits: Run { slot: self.turned, at: 0.into(), step: 2 },
                rows: rows.clone(),
                lanes: tile.n,
                sums: Run { slot: self.sums, at: kx * (64 * step), step: step as i64 },
            });
        });
    }

    /// The rows of `dy`: where they are, or copied together so that they fill whole sets of the nearest cache.
    fn rows_of(&self, k: &mut Builder, tile: &WideTile, block: &Block, images: &Index) -> Run {
        let shape = self.dy.shape;
        let first = shape.position(&block.t, &block.b, &(&block.y * shape.width + &block.x));
        let at = k.index("dy", first + &tile.index * WIDE);
        let Some(packed) = self.packed else {
            return Run { slot: self.dy.slot, at, step: shape.channels as i64 };
        };
        let left = match self.gather.along_images() {
            true => images - &block.b,
            false => Index::from(shape.height * shape.width) - (&block.y * shape.width + &block.x),
        };
        let count = k.index("count", left.min(block.rows * block.columns));
        tile.each_part(k, |k, part, lane| {
            k.for_range("p", 0, &count, |k, p| {
                let row = load(self.dy.slot, &at + &p * shape.channels + lane, part.n);
                k.store(packed, p * WIDE + lane, row);
            });
        });
        Run { slot: packed, at: 0.into(), step: WIDE as i64 }
    }

    /// Stores the sums as `[Co Ci Kh Kw]`.
    fn write(&self, k: &mut Builder, tile: &WideTile, dw: Slot) {
        let channels = self.gather.x.shape.channels;
        let taps = self.kernel.0 * self.kernel.1;
        let first = k.index("ci0", &self.word * 64);
        let count = k.index("count", self.gather.channels(&self.word));
        let step = self.step;
        k.for_range("co", 0, tile.n, |k, co| {
            let row = (&tile.index * WIDE + &co) * channels + &first;
            let to = k.index("to", row * taps + &self.gather.ky * self.kernel.1);
            k.for_range("ci", 0, &count, |k, ci| {
                k.for_range("kx", 0, self.kernel.1, |k, kx| {
                    let from = (&kx * 64 + &ci) * step + &co;
                    k.store(dw, &to + &ci * taps + kx, load(self.sums, from, 1));
                });
            });
        });
    }
}

/// Spikes that the positions of a block see at a tap of a row.
pub struct Gather {
    pub x: View,
    /// Positions are those of the gradient.
    pub output: Shape,
    pub attrs: Conv,
    /// The row of taps.
    pub ky: Index,
    /// The words of a block, position by position.
    pub gathered: Slot,
}

impl Gather {
    /// The body for each block, which is also told the images.
    pub fn each_block(&self, k: &mut Builder, mut body: impl FnMut(&mut Builder, &Block, &Index)) {
        let shape = self.output;
        let images = if shape.batched { Index::Batch } else { Index::Const(1) };
        k.for_range("t", 0, shape.steps(), |k, t| {
            if self.along_images() {
                k.for_step("b", 0, &images, BLOCK, |k, b| {
                    let block = Block { t, b, y: 0.into(), x: 0.into(), rows: 1, columns: BLOCK };
                    body(k, &block, &images);
                });
                return;
            }
            let (columns, rows) = (shape.width.min(BLOCK), (BLOCK / shape.width).max(1));
            k.for_range("b", 0, &images, |k, b| {
                k.for_step("y", 0, shape.height, rows, |k, y| {
                    k.for_step("x", 0, shape.width, columns, |k, x| {
                        let (t, b, y) = (t.clone(), b.clone(), y.clone());
                        body(k, &Block { t, b, y, x, rows, columns }, &images);
                    });
                });
            });
        });
    }

    /// Input channels of a word.
    pub fn channels(&self, word: &Index) -> Index {
        let (channels, words) = (self.x.shape.channels, self.x.shape.words());
        if words == 1 || channels == words * 64 {
            return channels.min(64).into();
        }
        (Index::from(channels) - word * 64).min(64)
    }

    fn along_images(&self) -> bool {
        self.output.positions() == 1 && self.x.shape.positions() == 1
    }

    /// The words that the positions of a block see at a tap; nothing where it lies outside the input.
    pub fn words(&self, k: &mut Builder, (word, kx): (&Index, &Index), block: &Block, images: &Index) {
        let (input, output) = (self.x.shape, self.output);
        let (stride, pad) = (self.attrs.stride, self.attrs.pad);
        k.for_range("p", 0, BLOCK, |k, p| {
            k.store_word(self.gathered, p * 2, Word::Const(0), Width::Full);
        });
        let copy = |k: &mut Builder, p: Index, from: Index| {
            let word = load_word(self.x.slot, from + word * 2, Width::Full);
            k.store_word(self.gathered, p * 2, word, Width::Full);
        };
        let (y_in, y_end) = inside(&self.ky, self.attrs, input.height);
        let (x_in, x_end) = inside(kx, self.attrs, input.width);
        if self.along_images() {
            let count = k.index("count", (images - &block.b).min(BLOCK));
            // One tap of a kernel with a border lies on the one position.
            k.for_range("y", y_in, y_end.min(1), |k, _| {
                k.for_range("x", x_in, x_end.min(1), |k, _| {
                    k.for_range("i", 0, &count, |k, i| {
                        let from = input.position(&block.t, &(&block.b + &i), &Index::Const(0));
                        copy(k, i, from);
                    });
                });
            });
            return;
        }
        let y_in = k.index("ylo", y_in.max(&block.y));
        let y_end = k.index("yhi", y_end.min(output.height).min(&block.y + block.rows));
        let x_in = k.index("xlo", x_in.max(&block.x));
        let x_end = k.index("xhi", x_end.min(output.width).min(&block.x + block.columns));
        k.for_range("y", y_in, y_end, |k, y| {
            let line = (&y * stride + &self.ky - pad) * input.width;
            let from = input.position(&block.t, &block.b, &(line + kx - pad));
            let from = k.index("from", from);
            let to = k.index("to", (&y - &block.y) * block.columns - &block.x);
            k.for_range("x", &x_in, &x_end, |k, x| {
                copy(k, &to + &x, &from + &x * (stride * input.stride()));
            });
        });
    }
}
