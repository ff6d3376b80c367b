//! Convolutions with 3×3 kernels and stride 1 in tiles of 2×2 outputs: 16 products where the definition has 36.
//!
//! ```text
//! y = Aᵀ (U ⊙ V) A,   U = G w Gᵀ,   V = Bᵀ x B                for each tile x of 4×4 inputs; ⊙ sums over channels
//! Bᵀ = 1 0 -1 0   0 1 1 0   0 -1 1 0   0 1 0 -1
//! G  = 1 0 0   ½ ½ ½   ½ -½ ½   0 0 1
//! Aᵀ = 1 1 1 0   0 1 -1 -1
//! ```
//!
//! Source: A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2016, F(2×2, 3×3). The 16 products of
//! channels are matrix products over the tiles of a task, four at a time: one row of V, and what it adds to both rows of y.
//! Its rounding errors are about those of the definition; larger tiles save more and lose digits.

use super::columns::Window;
use super::take_mut;
use crate::Error;
use crate::matmul::{Mat, product};
use crate::workers::Workers;
use rayon::prelude::*;

/// Tiles that a task takes: enough for a matrix product, few enough for a core's second cache.
const TILES: usize = 64;
/// Fewer channels on either side make the transforms dearer than what they save.
const FEWEST: usize = 32;

/// Whether this form exists for a window, and pays.
pub fn fits(window: &Window, width: usize) -> bool {
    window.kernel == (3, 3)
        && window.stride == 1
        && window.pad.0 <= 2
        && window.pad.1 <= 2
        && window.input.0.min(width) >= FEWEST
}

/// Floats of the transformed weights, for `width` channels of the result.
pub fn weight_floats(window: &Window, width: usize) -> usize {
    16 * window.input.0 * width
}

/// Floats of a task.
pub fn task_floats(window: &Window, width: usize) -> usize {
    4 * Parts::of(window).tiles() * (window.input.0 + width)
}

/// How the tiles are divided among tasks: a function of sizes alone.
struct Parts {
    /// Tiles of a row of tiles.
    across: usize,
    /// Rows of tiles of a task.
    rows: usize,
}

impl Parts {
    /// A task takes rows of tiles of any images where their rows are even in number, else whole images.
    fn of(window: &Window) -> Parts {
        let (height, width) = window.output;
        let across = width.div_ceil(2).max(1);
        let rows = (TILES / across).max(1);
        let image = height.div_ceil(2).max(1);
        let rows = if height % 2 == 0 { rows } else { rows.div_ceil(image) * image };
        Parts { across, rows }
    }

    fn tiles(&self) -> usize {
        self.across * self.rows
    }

    /// Floats of the result that a task writes.
    fn chunk(&self, window: &Window, width: usize) -> usize {
        let (height, columns) = window.output;
        let rows = if height % 2 == 0 { self.rows * 2 } else { self.rows / height.div_ceil(2) * height };
        rows * columns * width
    }
}

/// `y = conv(x, w)`; `tap(channel, ky, kx)` gives the `width` weights of a channel of the input at a tap; `u` holds
/// [`weight_floats`].
pub fn convolve<'w>(
    window: &Window,
    x: &[f32],
    (tap, width): (impl Fn(usize, usize, usize) -> &'w [f32] + Sync, usize),
    u: &mut [f32],
    y: &mut [f32],
    workers: &Workers,
) -> Result<(), Error> {
    transform_weights(u, window.input.0, width, tap);
    let parts = Parts::of(window);
    let zeros = vec![0.0; window.input.0];
    let u = &*u;
    y.par_chunks_mut(parts.chunk(window, width).max(1)).with_max_len(1).enumerate().try_for_each(
        |(chunk, y)| {
            let mut scratch = workers.scratch();
            let floats = take_mut(scratch.floats()?, task_floats(window, width))?;
            let (v, m) = floats.split_at_mut(4 * parts.tiles() * window.input.0);
            let task = Task { window, parts: &parts, first: chunk * parts.rows, zeros: &zeros };
            task.run(x, (u, width), v, m, y);
            Ok(())
        },
    )
}

/// `u[r][c][ci][·] = (G w Gᵀ)[r][c]`.
fn transform_weights<'w>(
    u: &mut [f32],
    channels: usize,
    width: usize,
    tap: impl Fn(usize, usize, usize) -> &'w [f32] + Sync,
) {
    let rows = |g: [f32; 3]| [g[0], (g[0] + g[1] + g[2]) * 0.5, (g[0] - g[1] + g[2]) * 0.5, g[2]];
    let mut of_channel: Vec<Vec<&mut [f32]>> = (0..channels).map(|_| Vec::with_capacity(16)).collect();
    for (at, row) in u.chunks_exact_mut(width).enumerate() {
        of_channel[at % channels].push(row);
    }
    of_channel.into_par_iter().enumerate().for_each(|(channel, mut to)| {
        let taps: [[&[f32]; 3]; 3] = std::array::from_fn(|ky| std::array::from_fn(|kx| tap(channel, ky, kx)));
        for o in 0..width {
            let columns: [[f32; 4]; 3] =
                std::array::from_fn(|kx| rows(std::array::from_fn(|ky| taps[ky][kx][o])));
            for r in 0..4 {
                for (c, value) in rows(std::array::from_fn(|kx| columns[kx][r])).into_iter().enumerate() {
                    to[r * 4 + c][o] = value;
                }
            }
        }
    });
}

/// The rows of a tile of inputs that make row `r` of `Bᵀ x`, the second with a sign.
const INPUT_ROWS: [(usize, usize, f32); 4] = [(0, 2, -1.0), (1, 2, 1.0), (2, 1, -1.0), (1, 3, -1.0)];

/// One task.
struct Task<'a> {
    window: &'a Window,
    parts: &'a Parts,
    /// The first row of tiles, all images counted.
    first: usize,
    zeros: &'a [f32],
}

impl Task<'_> {
    fn run(&self, x: &[f32], (u, width): (&[f32], usize), v: &mut [f32], m: &mut [f32], y: &mut [f32]) {
        let (channels, tiles) = (self.window.input.0, self.tile_rows(y.len() / width) * self.parts.across);
        let (v, m) = (&mut v[..4 * tiles * channels], &mut m[..4 * tiles * width]);
        for r in 0..4 {
            self.transform_input(r, x, v);
            for c in 0..4 {
                let weights = &u[(r * 4 + c) * channels * width..][..channels * width];
                let to = &mut m[c * tiles * width..][..tiles * width];
                let own = Mat::rows(&v[c * tiles * channels..], tiles, channels);
                product(to, own, Mat::rows(weights, channels, width), false);
            }
            self.add_to_result(r, m, (y, width));
        }
    }

    /// Rows of tiles in a result of so many positions.
    fn tile_rows(&self, positions: usize) -> usize {
        let (height, width) = self.window.output;
        let rows = positions / width;
        rows / height * height.div_ceil(2) + (rows % height).div_ceil(2)
    }

    /// Image, and the tile's first row, of a row of tiles of this task.
    fn place(&self, row: usize) -> (usize, usize) {
        let image_rows = self.window.output.0.div_ceil(2);
        let row = self.first + row;
        (row / image_rows, row % image_rows * 2)
    }

    /// Row `r` of `V` for all tiles, one column after the other.
    fn transform_input(&self, r: usize, x: &[f32], v: &mut [f32]) {
        let (channels, across) = (self.window.input.0, self.parts.across);
        let (first, second, sign) = INPUT_ROWS[r];
        let part = v.len() / 4;
        let (v01, v23) = v.split_at_mut(2 * part);
        let ((v0, v1), (v2, v3)) = (v01.split_at_mut(part), v23.split_at_mut(part));
        let columns = v0.chunks_exact_mut(channels).zip(v1.chunks_exact_mut(channels));
        let columns = columns.zip(v2.chunks_exact_mut(channels).zip(v3.chunks_exact_mut(channels)));
        for (tile, ((v0, v1), (v2, v3))) in columns.enumerate() {
            let (image, top) = self.place(tile / across);
            let left = tile % across * 2;
            let at = |row: usize, column: usize| self.input(x, image, top + row, left + column);
            let a: [&[f32]; 4] = std::array::from_fn(|column| at(first, column));
            let b: [&[f32]; 4] = std::array::from_fn(|column| at(second, column));
            for i in 0..channels {
                let t: [f32; 4] = std::array::from_fn(|column| a[column][i] + sign * b[column][i]);
                v0[i] = t[0] - t[2];
                v1[i] = t[1] + t[2];
                v2[i] = t[2] - t[1];
                v3[i] = t[1] - t[3];
            }
        }
    }

    /// The channels of an input position, counted from the padded corner.
    fn input<'x>(&'x self, x: &'x [f32], image: usize, row: usize, column: usize) -> &'x [f32] {
        let (channels, height, width) = self.window.input;
        let (row, column) = (row.wrapping_sub(self.window.pad.0), column.wrapping_sub(self.window.pad.1));
        if row >= height || column >= width {
            return self.zeros;
        }
        &x[((image * height + row) * width + column) * channels..][..channels]
    }

    /// What row `r` of the products adds to the rows of the result.
    fn add_to_result(&self, r: usize, m: &[f32], (y, width): (&mut [f32], usize)) {
        let (height, columns) = self.window.output;
        let part = m.len() / 4;
        let first_image = self.first / height.div_ceil(2) * height;
        let offset = first_image + self.first % height.div_ceil(2) * 2;
        for tile in 0..part / width {
            let (image, top) = self.place(tile / self.parts.across);
            let left = tile % self.parts.across * 2;
            let own: [&[f32]; 4] = std::array::from_fn(|c| &m[c * part + tile * width..][..width]);
            for (row, sign) in [(0, [1.0, 1.0, 1.0, 0.0][r]), (1, [0.0, 1.0, -1.0, -1.0][r])] {
                if sign == 0.0 || top + row >= height {
                    continue;
                }
                let start = ((image * height + top + row - offset) * columns + left) * width;
                // The first row that adds to a result sets it.
                let set = r == row;
                let to = &mut y[start..][..width * (columns - left).min(2)];
                let (even, odd) = to.split_at_mut(width);
                put(even, set, |i| sign * (own[0][i] + own[1][i] + own[2][i]));
                put(odd, set, |i| sign * (own[1][i] - own[2][i] - own[3][i]));
            }
        }
    }
}

fn put(to: &mut [f32], set: bool, value: impl Fn(usize) -> f32) {
    if set {
        to.iter_mut().enumerate().for_each(|(i, to)| *to = value(i));
    } else {
        to.iter_mut().enumerate().for_each(|(i, to)| *to += value(i));
    }
}
