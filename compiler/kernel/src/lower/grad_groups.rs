//! The gradient of a weight where spikes are many: sums of rows of `dy`, looked up.
//!
//! ```text
//! for t, image, 64 positions:
//!   sum_groups table = dy[4 positions] : f32[32]                 ; all choices of four, once for a row of taps of all channels
//!   for word of channels, kx:  turned = turn words of x at the tap
//!     add_groups sums[kx ci] += table[4 positions of turned[ci]]
//! ```
//!
//! A task takes 32 output channels and a row of taps: its sums need no other task's. It wants blocks that are whole.

use super::LowerError;
use super::Lowering;
use super::conv::TABLE;
use super::grad_weight::{APART, BLOCK, Block, Gather, Task};
use super::view::{TILE, Tile, one_tile};
use crate::body::{GROUP, Groups, Index, Lookup, Row, Run, Slot};
use crate::build::{Builder, load};
use snnc_ir::Conv;
use snnc_plan::Tasks;

/// Elements from the sums of one input channel to those of the next.
const STEP: usize = TILE + APART;

/// Lowers the gradient by blocks of so many positions.
pub fn lower(
    lowering: &mut Lowering<'_>,
    task: Task,
    attrs: Conv,
    positions: usize,
) -> Result<(), LowerError> {
    let Task { mut draw, name, x, dy, dw, kernel } = task;
    let (tiles, channels) = (dy.shape.tiles(), dy.shape.channels);
    let k = &mut draw.k;
    let sums = k.scratch("sums", kernel.1 * x.shape.words() * 64 * STEP);
    let gathered = k.scratch_words("gathered", BLOCK);
    let turned = k.scratch_words("turned", BLOCK);
    let table = k.scratch("table", TABLE);
    let tile = k.index("tile", Index::Task.quotient(kernel.0));
    let ky = k.index("ky", Index::Task.remainder(kernel.0));
    let gather = Gather { x, output: dy.shape, attrs, ky, gathered };
    let grad = Gradient { gather, dy: dy.slot, dw, kernel, positions, sums, turned, table };
    one_tile(k, &tile, channels, |k, tile| grad.task(k, &tile));
    lowering.push_kernel(&name, draw, Tasks::fixed(tiles * kernel.0));
    Ok(())
}

/// What a task reads, writes and uses.
struct Gradient {
    gather: Gather,
    dy: Slot,
    dw: Slot,
    kernel: (usize, usize),
    /// Positions of a block.
    positions: usize,
    /// `[kx ci]` rows of output channels.
    sums: Slot,
    /// The words of a block at a tap, channel by channel.
    turned: Slot,
    /// Sums of the rows of a block.
    table: Slot,
}

impl Gradient {
    fn task(&self, k: &mut Builder, tile: &Tile) {
        let words = self.gather.x.shape.words();
        k.for_range("ci", 0, self.kernel.1 * words * 64, |k, ci| {
            k.store(self.sums, ci * STEP, Row::constant(0.0, tile.n));
        });
        self.gather.each_block(k, |k, block, images| self.block(k, tile, block, images));
        self.write(k, tile);
    }

    /// Where the sums of a word of channels begin at a tap.
    fn sums_of(&self, kx: &Index, word: &Index) -> Index {
        (kx * self.gather.x.shape.words() + word) * (64 * STEP)
    }

    /// Adds the rows of a block of positions.
    fn block(&self, k: &mut Builder, tile: &Tile, block: &Block, images: &Index) {
        let shape = self.gather.output;
        let first = shape.position(&block.t, &block.b, &(&block.y * shape.width + &block.x));
        let rows = Run { slot: self.dy, at: first + &tile.index * TILE, step: shape.channels as i64 };
        let (lanes, table) = (tile.n, (self.table, Index::from(0)));
        k.sum_groups(Groups { count: self.positions, rows, lanes, table: table.clone() });
        k.for_range("word", 0, self.gather.x.shape.words(), |k, word| {
            let count = k.index("channels", self.gather.channels(&word));
            k.for_range("kx", 0, self.kernel.1, |k, kx| {
                self.gather.words(k, (&word, &kx), block, images);
                k.turn((self.turned, 0.into()), (self.gather.gathered, 0.into()));
                k.add_groups(Lookup {
                    count: count.clone(),
                    groups: self.positions / GROUP,
                    bits: Run { slot: self.turned, at: 0.into(), step: 2 },
                    table: table.clone(),
                    lanes,
                    sums: Run { slot: self.sums, at: self.sums_of(&kx, &word), step: STEP as i64 },
                });
            });
        });
    }

    /// Stores the sums as `[Co Ci Kh Kw]`.
    fn write(&self, k: &mut Builder, tile: &Tile) {
        let (channels, taps) = (self.gather.x.shape.channels, self.kernel.0 * self.kernel.1);
        k.for_range("co", 0, tile.n, |k, co| {
            let row = (&tile.index * TILE + &co) * channels;
            let to = k.index("to", row * taps + &self.gather.ky * self.kernel.1);
            k.for_range("ci", 0, channels, |k, ci| {
                k.for_range("kx", 0, self.kernel.1, |k, kx| {
                    let from = self.sums_of(&kx, &0.into()) + &ci * STEP + &co;
                    k.store(self.dw, &to + &ci * taps + kx, load(self.sums, from, 1));
                });
            });
        });
    }
}
