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

use super::grad_weight::Task;
use super::view::{Shape, TILE, Tile, one_tile};
use super::{LowerError, Lowering};
use crate::body::{Index, MAX_WORDS, Row, Run, Slot, TapWalk, Walk, Width, Word};
use crate::build::{Builder, load, load_word};
use snnc_ir::Conv;
use snnc_plan::Tasks;

/// Bits of a block, at most: with their margin and 32 lanes the rows of `dy` are two thirds of the nearest cache.
const BITS: usize = 192;
/// Tasks that there should be at least, and the fewest and the most input channels of one: a block's rows of `dy` are
/// copied once for all of them.
const TASKS: usize = 4;
const CHANNELS: [usize; 2] = [16, 256];
/// Bytes of a task's sums, at most: half of the second cache.
const SUMS: usize = 512 << 10;

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

/// Lowers the gradient of a weight on a grid.
pub fn lower(lowering: &mut Lowering<'_>, task: Task, grid: Grid) -> Result<(), LowerError> {
    let Task { mut draw, name, x, dy, dw, kernel } = task;
    let tiles = dy.shape.tiles();
    let (positions, taps) = (grid.words() * 64, kernel.0 * kernel.1);
    let mut part = CHANNELS[1].min(x.shape.channels.next_power_of_two());
    let few = |part: usize| tiles * x.shape.channels.div_ceil(part) < TASKS;
    while (few(part) || part * taps * TILE * 4 > SUMS) && part > CHANNELS[0] {
        part /= 2;
    }
    let parts = x.shape.channels.div_ceil(part);
    let k = &mut draw.k;
    let rows = (positions + 2 * grid.margin()) * TILE;
    let sums = k.scratch("sums", part * taps * TILE);
    let rows = k.scratch("dy", rows);
    let gathered = k.scratch_words("gathered", positions);
    let turned = k.scratch_words("turned", positions);
    let tile = k.index("tile", Index::Task.quotient(parts));
    let first = k.index("first", Index::Task.remainder(parts) * part);
    let gradient = Gradient {
        grid,
        x: (x.slot, x.shape),
        dy: (dy.slot, dy.shape),
        dw,
        sums,
        rows,
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
    /// The rows of `dy` of a block, and around it.
    rows: Slot,
    /// The words of a block, position by position.
    gathered: Slot,
    /// The same, word after word channel by channel.
    turned: Slot,
    kernel: (usize, usize),
}

/// A block: its first image, of all timesteps one after the other, and its first row.
struct Block {
    image: Index,
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
        let zero = |k: &mut Builder, slot: Slot, rows: usize| {
            k.for_range("zero", 0, rows, |k, i| k.store(slot, i * TILE, Row::constant(0.0, tile.n)));
        };
        zero(k, self.sums, part * self.kernel.0 * self.kernel.1);
        zero(k, self.rows, grid.words() * 64 + 2 * grid.margin());
        k.for_range("p", 0, grid.words() * 64, |k, p| {
            k.store_word(self.gathered, p * 2, Word::Const(0), Width::Full);
        });
        let images = Index::Batch * self.x.1.steps();
        k.for_step("n", 0, &images, grid.images, |k, n| {
            k.for_step("y", 0, grid.height, grid.rows, |k, y| {
                let there = k.index("images", (&images - &n).min(grid.images));
                let rows = k.index("rows", (Index::from(grid.height) - &y).min(grid.rows));
                let block = Block { image: n.clone(), row: y, images: there, rows };
                self.margin(k, &block, tile);
                k.for_range("word", 0, &words, |k, word| {
                    self.gather(k, &block, &(first.quotient(64) + &word));
                    k.for_range("part", 0, grid.words(), |k, part| {
                        k.turn((self.turned, &part * 128), (self.gathered, &part * 128));
                    });
                    let left = k.index("left", (&count - &word * 64).min(64));
                    k.add_taps(self.walk(&left, first, &word, tile.n));
                });
            });
        });
        self.write(k, tile, first, &count);
    }

    /// The walk over the channels of a word of the task's.
    fn walk(&self, count: &Index, first: &Index, word: &Index, lanes: usize) -> TapWalk {
        let (rows, columns) = self.kernel;
        let taps = (rows * columns * TILE) as i64;
        TapWalk {
            walk: Walk {
                count: count.clone(),
                words: self.grid.words(),
                bits: Run { slot: self.turned, at: first.remainder(64) * 2, step: 2 },
                rows: Run { slot: self.rows, at: 0.into(), step: TILE as i64 },
                lanes,
                sums: Run { slot: self.sums, at: word * (64 * taps), step: taps },
            },
            word: 128,
            taps: [rows, columns],
            steps: [(self.grid.line() * TILE) as i64, TILE as i64],
            apart: TILE as i64,
        }
    }

    /// The words of a block; what lies between rows and images stays 0, and so does what is not there.
    fn gather(&self, k: &mut Builder, block: &Block, word: &Index) {
        let (grid, (slot, shape)) = (self.grid, self.x);
        k.for_range("g", 0, grid.images, |k, image| {
            let here = Index::from(grid.rows)
                .min((&block.images - &image).max(0) * grid.rows)
                .min(block.rows.clone());
            let here = k.index("here", here);
            let row =
                |k: &mut Builder, y: &Index| k.index("to", (&image * grid.image() + y * grid.line()) * 2);
            k.for_range("r", 0, &here, |k, y| {
                let from = (&block.image + &image) * shape.positions() + (&block.row + &y) * grid.width;
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
        let (grid, (slot, shape)) = (self.grid, self.dy);
        let (pad, lane) = (grid.pad, &tile.index * TILE);
        k.for_range("g", 0, &block.images, |k, image| {
            // Rows of the image that the block sees above, in and below it.
            let above = if grid.images == 1 { pad } else { 0 };
            let first = k.index("row", &block.row - above);
            k.for_range("r", 0, grid.rows + 2 * above, |k, r| {
                let y = k.index("y", &first + &r);
                let to = (&image * grid.image() + (&r + (pad - above)) * grid.line() + pad) * TILE;
                let to = k.index("to", to);
                let inside =
                    k.index("inside", (&y + 1).max(0).min(1) * (Index::from(grid.height) - &y).max(0).min(1));
                k.for_range("x", 0, &inside * grid.width, |k, x| {
                    let from = (&block.image + &image) * shape.positions() + &y * grid.width + &x;
                    let row = load(slot, from * shape.stride() + &lane, tile.n);
                    k.store(self.rows, &to + x * TILE, row);
                });
                k.for_range("x", inside * grid.width, grid.width, |k, x| {
                    k.store(self.rows, &to + x * TILE, Row::constant(0.0, tile.n));
                });
            });
        });
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
