//! The masked addition of a convolution whose weights for all taps stay in the nearest cache: each position adds what it sees
//! through all taps, and its sums are taken up once.
//!
//! ```text
//! for t, image, y:                                       ; taps above or below the image are left out for the whole row,
//!   add_window sums[0] += w[…] for 1 position, 3x2 taps  ; those beside it where a position has some
//!   add_window sums[x] += w[…] for 30 positions, 3x3 taps
//!   add_window sums[31] += w[…] for 1 position, 3x2 taps
//! ```
//!
//! The additions of a position are those of walks tap after tap, in the same order.

use super::conv::{Block, MaskedConv, Room};
use crate::body::{Index, Run, Slot, Walk, WindowWalk};
use crate::build::Builder;
use crate::cost::is_window;
use crate::form::Form;

/// Columns of outputs that look through the same columns of taps.
#[derive(Debug, PartialEq, Eq)]
struct Columns {
    first: usize,
    count: usize,
    /// The first column of taps inside the input, and how many.
    tap: usize,
    taps: usize,
}

/// The columns of an output of `width`, of an input of `extent`, from left to right.
fn columns(width: usize, extent: usize, kernel: usize, (stride, pad): (usize, usize)) -> Vec<Columns> {
    let mut all: Vec<Columns> = Vec::new();
    for x in 0..width {
        let tap = pad.saturating_sub(x * stride);
        let end = (extent + pad).saturating_sub(x * stride).min(kernel);
        let taps = end.saturating_sub(tap);
        match all.last_mut() {
            Some(last) if (last.tap, last.taps) == (tap, taps) => last.count += 1,
            _ => all.push(Columns { first: x, count: 1, tap, taps }),
        }
    }
    all.retain(|columns| columns.taps > 0);
    all
}

impl MaskedConv {
    /// Whether all taps are looked through at once.
    pub(super) fn is_window(&self, lanes: usize) -> bool {
        matches!(self.form, Form::Walk | Form::Shared)
            && is_window(self.x.shape.channels, self.kernel.0 * self.kernel.1, lanes)
    }

    /// Adds what all taps and input channels give to the output channels of a tile.
    pub(super) fn add_windows(
        &self,
        k: &mut Builder,
        room: &Room,
        block: &Block,
        weights: &Index,
        lanes: usize,
    ) {
        let (shape, stride, pad) = (self.x.shape, self.attrs.stride, self.attrs.pad);
        let columns = columns(block.width, shape.width, self.kernel.1, (stride, pad));
        k.for_range("t", 0, room.walks, |k, t| {
            k.for_range("image", 0, &block.count, |k, image| {
                let input = k.index("input", self.image(block, &t, &image));
                k.for_range("y", &block.y0, &block.y1, |k, y| {
                    let tap = k.index("tap", (Index::from(pad) - &y * stride).max(0));
                    let end = (Index::from(shape.height + pad) - &y * stride).min(self.kernel.0);
                    let rows = k.index("rows", end - &tap);
                    let line =
                        k.index("line", &input + (&y * stride + &tap - pad) * (shape.width * shape.stride()));
                    for columns in &columns {
                        let from = &line + (columns.first * stride + columns.tap - pad) * shape.stride();
                        let to = block.sum_at(&t, &image, &y, &columns.first.into());
                        let sums = Run { slot: room.sums, at: to, step: block.lanes as i64 };
                        let row = weights + (&tap * self.kernel.1 + columns.tap) * (shape.channels * lanes);
                        let taps = [rows.clone(), columns.taps.into()];
                        k.add_window(self.window(columns.count, (room.bits, from), row, lanes, sums, taps));
                    }
                });
            });
        });
    }

    /// A run of positions, from the words and the rows of their first tap.
    fn window(
        &self,
        count: usize,
        (slot, from): (Slot, Index),
        rows: Index,
        lanes: usize,
        sums: Run,
        taps: [Index; 2],
    ) -> WindowWalk {
        let shape = self.x.shape;
        let step = |elements: usize| elements as i64;
        let walk = Walk {
            count: count.into(),
            words: shape.words(),
            bits: Run { slot, at: from, step: step(self.attrs.stride * shape.stride()) },
            rows: Run { slot: self.w, at: rows, step: step(lanes) },
            lanes,
            sums,
        };
        let tap = shape.channels * lanes;
        WindowWalk {
            walk,
            taps,
            bits: [step(shape.width * shape.stride()), step(shape.stride())],
            rows: [step(self.kernel.1 * tap), step(tap)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_at_the_edges_have_fewer_taps() {
        let of = |width, extent, kernel, geometry| {
            let all = columns(width, extent, kernel, geometry);
            all.into_iter().map(|c| (c.first, c.count, c.tap, c.taps)).collect::<Vec<_>>()
        };
        assert_eq!(of(8, 8, 3, (1, 1)), [(0, 1, 1, 2), (1, 6, 0, 3), (7, 1, 0, 2)]);
        assert_eq!(of(4, 8, 3, (2, 1)), [(0, 1, 1, 2), (1, 3, 0, 3)]);
        assert_eq!(of(6, 8, 3, (1, 0)), [(0, 6, 0, 3)]);
        assert_eq!(of(1, 1, 3, (1, 1)), [(0, 1, 1, 1)]);
        // Outputs that see nothing of the input have nothing to add.
        assert_eq!(of(7, 1, 3, (1, 3)), [(1, 1, 2, 1), (2, 1, 1, 1), (3, 1, 0, 1)]);
    }
}
