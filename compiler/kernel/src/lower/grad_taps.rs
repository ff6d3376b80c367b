//! The gradient of the weight of a convolution that keeps its size, all taps at once.
//!
//! ```text
//! for blocks of rows of an image, or of small images:
//!   words  = x, a column of zeros behind each row, a row behind each image     ; position by position, channels in bits
//!   bits   = turn words, 64 by 64                                              ; channel by channel, positions in bits
//!   margin = dy on the same grid, zeros around it
//!   add_taps sums[ci, tap] += margin[position + tap] : f32[32] for position of bits[ci]
//! ```
//!
//! On this grid a tap is a constant distance, so that each spike is found once and adds the rows of nine taps, whose sums
//! stay in registers. A task takes a tile of output channels and a part of a word of input channels.
//!
//! By patterns a block is that of some timesteps together, with their words each: a margin has for each position the sums of its
//! rows of `dy` over all choices of the timesteps, and a neuron that fires adds once that of the timesteps it fires at.

use super::grad_weight::Task;
use super::patterns::groups;
use super::view::{Shape, TILE, Tile, one_tile};
use super::{LowerError, Lowering};
use crate::body::{
    ENTRIES, Groups, Index, MAX_STEPS, MAX_WORDS, OverTime, Row, Run, Slot, TapWalk, Walk, Width, Word, entry,
};
use crate::build::{Builder, load, load_word};
use crate::cost::task_inputs;
use snnc_ir::Conv;
use snnc_plan::Tasks;

/// Bits of a block, at most: with their margin and 32 lanes the rows of `dy` are two thirds of the nearest cache.
const BITS: usize = 192;
/// How positions are laid out.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// Zeros behind a row, and rows of them behind an image.
    pad: usize,
    /// Rows of an image in a block: all of them where a block has several images.
    rows: usize,
    /// Images of a block.
    images: usize,
    height: usize,
    width: usize,
}

impl Grid {
    /// The grid of a convolution from `x` to `dy`; nothing where it moves by more than one position or changes its size, has
    /// one tap only, or rows too long for a block.
    pub fn of(x: &Shape, dy: &Shape, kernel: (usize, usize), conv: Conv) -> Option<Grid> {
        let (pad, (height, width)) = (conv.pad, (dy.height, dy.width));
        let same = conv.stride == 1
            && kernel == (2 * pad + 1, 2 * pad + 1)
            && (x.height, x.width) == (height, width);
        let alike = (x.time, x.batched) == (dy.time, dy.batched) && x.batched;
        if !same || !alike || pad == 0 || width + pad > BITS || x.positions() == 1 {
            return None;
        }
        let image = (height + pad) * (width + pad);
        if image <= BITS {
            return Some(Grid { pad, rows: height, images: BITS / image, height, width });
        }
        let blocks = height.div_ceil(BITS / (width + pad));
        Some(Grid { pad, rows: height.div_ceil(blocks), images: 1, height, width })
    }

    /// Positions from one row to the next.
    fn line(&self) -> usize {
        self.width + self.pad
    }

    /// Positions from one image of a block to the next.
    fn image(&self) -> usize {
        (self.height + self.pad) * self.line()
    }

    fn words(&self) -> usize {
        let positions = (self.images - 1) * self.image() + self.rows * self.line();
        positions.div_ceil(64).clamp(1, MAX_WORDS)
    }

    /// Positions from the first one that the margin has to the block's first.
    fn margin(&self) -> usize {
        self.pad * self.line() + self.pad
    }
}

/// Lowers the gradient of a weight on a grid, by patterns or timestep by timestep.
pub fn lower(lowering: &mut Lowering<'_>, task: Task, grid: Grid, patterns: bool) -> Result<(), LowerError> {
    let Task { mut draw, name, x, dy, dw, kernel } = task;
    let tiles = dy.shape.tiles();
    let (positions, taps) = (grid.words() * 64, kernel.0 * kernel.1);
    let part = task_inputs(x.shape.channels, dy.shape.channels, taps);
    let parts = x.shape.channels.div_ceil(part);
    let k = &mut draw.k;
    let step = if patterns { ENTRIES * TILE } else { TILE };
    let together = if patterns { x.shape.steps().min(MAX_STEPS) } else { 1 };
    let sums = k.scratch("sums", part * taps * TILE);
    let rows = k.scratch("dy", (positions + 2 * grid.margin()) * step);
    let over_time = patterns.then(|| k.scratch("over_time", MAX_STEPS * TILE));
    let gathered = k.scratch_words("gathered", positions);
    let turned = k.scratch_words("turned", together * positions);
    let tile = k.index("tile", Index::Task.quotient(parts));
    let first = k.index("first", Index::Task.remainder(parts) * part);
    let gradient = Gradient {
        grid,
        x: (x.slot, x.shape),
        dy: (dy.slot, dy.shape),
        dw,
        sums,
        rows,
        step,
        over_time,
        gathered,
        turned,
        kernel,
    };
    let body = |k: &mut Builder, tile: Tile| gradient.task(k, &tile, &first, part);
    match dy.shape.channels % TILE {
        0 => body(k, Tile { index: tile, n: TILE, width: Width::Half }),
        _ => one_tile(k, &tile, dy.shape.channels, body),
    }
    lowering.push_kernel(&name, draw, Tasks::fixed(tiles * parts));
    Ok(())
}

/// What a task reads, writes and uses.
struct Gradient {
    grid: Grid,
    x: (Slot, Shape),
    dy: (Slot, Shape),
    dw: Slot,
    /// `[ci tap]` rows of output channels; taps from the last to the first.
    sums: Slot,
    /// The rows of `dy` of a block, and around it; by patterns, for each position the sums of those of some timesteps.
    rows: Slot,
    /// Elements from the rows of one position to those of the next.
    step: usize,
    /// By patterns: the rows of a position at some timesteps, one after the other.
    over_time: Option<Slot>,
    /// The words of a block, position by position.
    gathered: Slot,
    /// The same, timestep after timestep, word after word channel by channel.
    turned: Slot,
    kernel: (usize, usize),
}

/// A block: its first image at each of its timesteps, where those of all timesteps stand one after the other, and its first
/// row.
struct Block {
    first: Vec<Index>,
    row: Index,
    /// Images and rows that are there.
    images: Index,
    rows: Index,
}

impl Gradient {
    /// A part of a word of channels.
    fn task(&self, k: &mut Builder, tile: &Tile, first: &Index, part: usize) {
        let (grid, channels) = (self.grid, self.x.1.channels);
        let count = match channels % part {
            0 => k.index("channels", part),
            _ => k.index("channels", (Index::from(channels) - first).min(part)),
        };
        let words = k.index("words", (&count + 63usize).quotient(64));
        // Rows of patterns may lie closer than those of a whole tile.
        let n = if self.over_time.is_some() { TILE } else { tile.n };
        let zero = |k: &mut Builder, slot: Slot, rows: usize| {
            k.for_range("zero", 0, rows, |k, i| k.store(slot, i * TILE, Row::constant(0.0, n)));
        };
        zero(k, self.sums, part * self.kernel.0 * self.kernel.1);
        zero(k, self.rows, (grid.words() * 64 + 2 * grid.margin()) * (self.step / TILE));
        k.for_range("p", 0, grid.words() * 64, |k, p| {
            k.store_word(self.gathered, p * 2, Word::Const(0), Width::Full);
        });
        let steps = self.x.1.steps();
        let channels = (first, &count, &words);
        if self.over_time.is_none() {
            let images = Index::Batch * steps;
            self.blocks(k, tile, channels, &images, |n| vec![n.clone()]);
        } else {
            for (t, together) in groups(steps) {
                let at = |n: &Index| (t..t + together).map(|t| Index::Batch * t + n).collect();
                self.blocks(k, tile, channels, &Index::Batch, at);
            }
        }
        self.write(k, tile, first, &count);
    }

    /// All blocks of so many images, of which each has its place at some timesteps.
    fn blocks(
        &self,
        k: &mut Builder,
        tile: &Tile,
        (first, count, words): (&Index, &Index, &Index),
        images: &Index,
        places: impl Fn(&Index) -> Vec<Index>,
    ) {
        let grid = self.grid;
        k.for_step("n", 0, images, grid.images, |k, n| {
            k.for_step("y", 0, grid.height, grid.rows, |k, y| {
                let there = k.index("images", (images - &n).min(grid.images));
                let rows = k.index("rows", (Index::from(grid.height) - &y).min(grid.rows));
                let first_images = places(&n).into_iter().map(|image| k.index("image", image)).collect();
                let block = Block { first: first_images, row: y, images: there, rows };
                self.margin(k, &block, tile);
                k.for_range("word", 0, words, |k, word| {
                    for (t, image) in block.first.iter().enumerate() {
                        self.gather(k, &block, image, &(first.quotient(64) + &word));
                        k.for_range("part", t * grid.words(), (t + 1) * grid.words(), |k, part| {
                            let from = (&part - t * grid.words()) * 128;
                            k.turn((self.turned, &part * 128), (self.gathered, from));
                        });
                    }
                    let left = k.index("left", (count - &word * 64).min(64));
                    k.add_taps(self.walk(&left, first, &word, tile.n, block.first.len()));
                });
            });
        });
    }

    /// The walk over the channels of a word of the task's.
    fn walk(&self, count: &Index, first: &Index, word: &Index, lanes: usize, timesteps: usize) -> TapWalk {
        let (rows, columns) = self.kernel;
        let taps = (rows * columns * TILE) as i64;
        TapWalk {
            walk: Walk {
                count: count.clone(),
                words: self.grid.words(),
                bits: Run { slot: self.turned, at: first.remainder(64) * 2, step: 2 },
                rows: Run { slot: self.rows, at: 0.into(), step: self.step as i64 },
                lanes,
                sums: Run { slot: self.sums, at: word * (64 * taps), step: taps },
            },
            word: 128,
            taps: [rows, columns],
            steps: [(self.grid.line() * self.step) as i64, self.step as i64],
            apart: TILE as i64,
            over: self.over_time.map(|_| OverTime {
                steps: timesteps,
                words: (self.grid.words() * 128) as i64,
                pattern: entry(lanes) as i64,
            }),
        }
    }

    /// The words of a block at a timestep; what lies between rows and images stays 0, and so does what is not there.
    fn gather(&self, k: &mut Builder, block: &Block, first: &Index, word: &Index) {
        let (grid, (slot, shape)) = (self.grid, self.x);
        k.for_range("g", 0, grid.images, |k, image| {
            let here = Index::from(grid.rows)
                .min((&block.images - &image).max(0) * grid.rows)
                .min(block.rows.clone());
            let here = k.index("here", here);
            let row =
                |k: &mut Builder, y: &Index| k.index("to", (&image * grid.image() + y * grid.line()) * 2);
            k.for_range("r", 0, &here, |k, y| {
                let from = (first + &image) * shape.positions() + (&block.row + &y) * grid.width;
                let from = k.index("from", from * shape.stride() + word * 2);
                let to = row(k, &y);
                k.for_range("x", 0, grid.width, |k, x| {
                    let own = load_word(slot, &from + &x * shape.stride(), Width::Full);
                    k.store_word(self.gathered, &to + x * 2, own, Width::Full);
                });
            });
            k.for_range("r", &here, grid.rows, |k, y| {
                let to = row(k, &y);
                k.for_range("x", 0, grid.width, |k, x| {
                    k.store_word(self.gathered, &to + x * 2, Word::Const(0), Width::Full);
                });
            });
        });
    }

    /// The rows of `dy` that a block's taps see.
    fn margin(&self, k: &mut Builder, block: &Block, tile: &Tile) {
        let (grid, shape) = (self.grid, self.dy.1);
        let (pad, n) = (grid.pad, if self.over_time.is_some() { TILE } else { tile.n });
        k.for_range("g", 0, &block.images, |k, image| {
            // Rows of the image that the block sees above, in and below it.
            let above = if grid.images == 1 { pad } else { 0 };
            let first = k.index("row", &block.row - above);
            k.for_range("r", 0, grid.rows + 2 * above, |k, r| {
                let y = k.index("y", &first + &r);
                let to = (&image * grid.image() + (&r + (pad - above)) * grid.line() + pad) * self.step;
                let to = k.index("to", to);
                let inside =
                    k.index("inside", (&y + 1).max(0).min(1) * (Index::from(grid.height) - &y).max(0).min(1));
                k.for_range("x", 0, &inside * grid.width, |k, x| {
                    let position = k.index("position", &y * grid.width + &x);
                    let from = |first: &Index| {
                        let position = (first + &image) * shape.positions() + &position;
                        position * shape.stride() + &tile.index * TILE
                    };
                    let from = block.first.iter().map(from).collect();
                    self.margin_rows(k, from, &to + x * self.step, tile.n);
                });
                k.for_range("x", inside * grid.width, grid.width, |k, x| {
                    k.for_range("row", 0, self.step / TILE, |k, row| {
                        k.store(self.rows, &to + &x * self.step + row * TILE, Row::constant(0.0, n));
                    });
                });
            });
        });
    }

    /// The rows of a position of the margin: that of `dy`, or all sums of those of its timesteps.
    fn margin_rows(&self, k: &mut Builder, from: Vec<Index>, to: Index, n: usize) {
        let timesteps = from.len();
        let target = self.over_time.unwrap_or(self.rows);
        let first = if self.over_time.is_some() { Index::from(0) } else { to.clone() };
        for (t, from) in from.into_iter().enumerate() {
            k.store(target, &first + t * TILE, load(self.dy.0, from, n));
        }
        if let Some(slot) = self.over_time {
            let rows = Run { slot, at: 0.into(), step: TILE as i64 };
            k.sum_groups(Groups { count: timesteps, rows, lanes: n, table: (self.rows, to) });
        }
    }

    /// Stores the sums as `[Co Ci Kh Kw]`.
    fn write(&self, k: &mut Builder, tile: &Tile, first: &Index, count: &Index) {
        let taps = self.kernel.0 * self.kernel.1;
        k.for_range("co", 0, tile.n, |k, co| {
            let row = (&tile.index * TILE + &co) * self.x.1.channels + first;
            let to = k.index("to", row * taps);
            k.for_range("ci", 0, count, |k, ci| {
                k.for_range("tap", 0, taps, |k, tap| {
                    let from = (&ci * taps + (Index::from(taps - 1) - &tap)) * TILE + &co;
                    k.store(self.dw, &to + &ci * taps + tap, load(self.sums, from, 1));
                });
            });
        });
    }
}
