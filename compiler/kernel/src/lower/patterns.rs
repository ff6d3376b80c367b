//! Products with spikes by their patterns over time: what fires at several timesteps is added once.
//!
//! ```text
//! for block of input channels, image:
//!   list_patterns of the input rows that the block's outputs see       ; once for all taps of all outputs
//!   for y, x:
//!     add_patterns sums[t] += w[taps of (y, x), neurons of their lists] ; weights from the second cache
//! ```

use super::conv::{Block, ListRoom, MaskedConv};
use super::view::{WIDE, WideTile};
use crate::body::{Grid, Index, MAX_STEPS, PatternLists, PatternWalk, Run, Slot};
use crate::build::Builder;
use crate::cost::pattern_words;

/// The first timestep and the number of timesteps of each group: as few groups as can be, of 2 timesteps at least.
pub(super) fn groups(steps: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = steps.div_ceil(MAX_STEPS);
    (0..count).map(move |i| (steps * i / count, steps * (i + 1) / count - steps * i / count))
}

/// Some words of input channels and some timesteps.
struct Part<'a> {
    word: Index,
    words: usize,
    first: usize,
    steps: usize,
    /// Where the weights of the tile begin.
    weights: &'a Index,
    tile: &'a WideTile,
}

impl MaskedConv {
    /// Room for the lists of a block.
    pub fn list_room(&self, k: &mut Builder, block_rows: usize, channels: usize) -> ListRoom {
        let words = self.words_of_part(channels.min(WIDE));
        let lists = self.input_rows(block_rows) * self.x.shape.width * list_len(MAX_STEPS, words);
        let order = PatternWalk::order_len(MAX_STEPS, self.places() * words * 64);
        ListRoom {
            lists: k.scratch_words("lists", lists.div_ceil(2)),
            order: k.scratch_words("order", order.div_ceil(2)),
        }
    }

    /// Taps of the kernel.
    fn places(&self) -> usize {
        self.kernel.0 * self.kernel.1
    }

    fn words_of_part(&self, lanes: usize) -> usize {
        pattern_words(self.places(), lanes).min(self.x.shape.words())
    }

    /// The most input rows that so many output rows see.
    pub(super) fn input_rows(&self, block_rows: usize) -> usize {
        ((block_rows - 1) * self.attrs.stride + self.kernel.0).min(self.x.shape.height)
    }

    /// The input rows that a block sees: the first, and the end.
    pub(super) fn seen_rows(&self, block: &Block) -> (Index, Index) {
        let (stride, pad) = (self.attrs.stride, self.attrs.pad);
        let first = (&block.y0 * stride - pad).max(0);
        let end = ((&block.y1 - 1) * stride + self.kernel.0 - pad).min(self.x.shape.height);
        (first, end)
    }

    /// Adds all rows of a block for one tile of output channels.
    pub fn add_patterns(&self, k: &mut Builder, sums: Slot, room: ListRoom, block: &Block, tile: &WideTile) {
        let shape = self.x.shape;
        let weights = k.index("weights", &tile.index * (WIDE * self.places() * shape.channels));
        let (words, most) = (shape.words(), self.words_of_part(tile.n));
        for (first, steps) in groups(block.steps) {
            let part = |k: &mut Builder, word: Index, words: usize| {
                let part = Part { word, words, first, steps, weights: &weights, tile };
                self.part(k, sums, room, block, &part);
            };
            k.for_step("word", 0, words / most * most, most, |k, word| part(k, word, most));
            if words % most > 0 {
                part(k, (words / most * most).into(), words % most);
            }
        }
    }

    fn part(&self, k: &mut Builder, sums: Slot, room: ListRoom, block: &Block, part: &Part<'_>) {
        let (shape, stride) = (self.x.shape, self.attrs.stride);
        let (ylo, yhi) = self.seen_rows(block);
        let (ylo, yhi) = (k.index("ylo", ylo), k.index("yhi", yhi));
        let images = if shape.batched { Index::Batch } else { Index::Const(1) };
        let length = list_len(part.steps, part.words);
        k.for_range("image", 0, &block.count, |k, image| {
            let input = shape.image(&part.first.into(), &(&block.first + &image));
            let from = input + &ylo * (shape.width * shape.stride()) + &part.word * 2;
            k.list_patterns(PatternLists {
                count: (&yhi - &ylo) * shape.width,
                words: part.words,
                steps: part.steps,
                bits: Run { slot: self.x.slot, at: from, step: shape.stride() as i64 },
                time: images * (shape.positions() * shape.stride()),
                lists: Run { slot: room.lists, at: 0.into(), step: length as i64 },
            });
            k.for_range("y", &block.y0, &block.y1, |k, y| {
                k.for_range("x", 0, block.width, |k, x| {
                    let to = block.sum_at(&part.first.into(), &image, &y, &x);
                    let sums = Run { slot: sums, at: to, step: block.time_stride() as i64 };
                    self.output(k, sums, room, part, (&y * stride - &ylo, &y * stride), &x * stride);
                });
            });
        });
    }

    /// One output position, whose first tap lies at row `y` and column `x` of the padded input: row `listed` of the lists.
    fn output(
        &self,
        k: &mut Builder,
        sums: Run,
        room: ListRoom,
        part: &Part<'_>,
        (listed, y): (Index, Index),
        x: Index,
    ) {
        let (shape, pad, n) = (self.x.shape, self.attrs.pad, part.tile.n);
        let (kh, kw) = self.kernel;
        let inside = |k: &mut Builder, at: &Index, kernel: usize, extent: usize| {
            let first = k.index("tap", (Index::from(pad) - at).max(0));
            let end = (Index::from(extent + pad) - at).min(kernel);
            let count = end - &first;
            (first, count)
        };
        let (y_first, y_count) = inside(k, &y, kh, shape.height);
        let (x_first, x_count) = inside(k, &x, kw, shape.width);
        let length = list_len(part.steps, part.words);
        let list = (listed + &y_first - pad) * shape.width + x + &x_first - pad;
        let tap = (&y_first * kw + &x_first) * shape.channels + &part.word * 64;
        let step = |elements: usize| elements as i64;
        k.add_patterns(PatternWalk {
            steps: part.steps,
            taps: [y_count, x_count],
            lists: Grid {
                slot: room.lists,
                at: list * length,
                steps: [step(shape.width * length), step(length)],
            },
            rows: Grid {
                slot: self.w,
                at: part.weights + tap * n,
                steps: [step(kw * shape.channels * n), step(shape.channels * n)],
            },
            row: step(n),
            lanes: n,
            sums,
            most: self.places() * part.words * 64,
            order: room.order,
        });
    }
}

/// Elements of a position's lists.
fn list_len(steps: usize, words: usize) -> usize {
    (1 << steps) + words * 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timesteps_are_grouped() {
        let sizes = |steps| groups(steps).collect::<Vec<_>>();
        assert_eq!(sizes(2), [(0, 2)]);
        assert_eq!(sizes(4), [(0, 4)]);
        assert_eq!(sizes(5), [(0, 2), (2, 3)]);
        assert_eq!(sizes(8), [(0, 4), (4, 4)]);
        for steps in 2..=64 {
            let mut next = 0;
            for (first, count) in groups(steps) {
                assert_eq!(first, next, "{steps}");
                assert!((2..=MAX_STEPS).contains(&count), "{steps} timesteps: a group of {count}");
                next += count;
            }
            assert_eq!(next, steps);
        }
    }
}
