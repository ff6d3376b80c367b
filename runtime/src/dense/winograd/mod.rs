//! Convolutions with 3×3 kernels and stride 1 in tiles of 2×2 or 4×4 outputs, whose transforms [`tiles`] has: 16 products
//! where the definition has 36, or 36 where it has 144.
//!
//! ```text
//! U held: rows first..first + HELD          for all tasks
//!   for each task, for each of these rows r:
//!     V[r] = row r of Bᵀ x B                 of the task's tiles
//!     m[c] = V[r][c] · U[r][c]               a product of matrices, tiles by channels, for each of N columns
//!     y[i] += Aᵀ[i][r] · (m A)               what the row adds to the rows of each tile
//! ```
//!
//! Tiles of 4×4 are taken where they have fewer products, edges counted. Of U, which is large then, half is held at a time.

mod tiles;
mod vectors;

use super::columns::Window;
use super::take_mut;
use crate::Error;
use crate::matmul::{Mat, product};
use crate::workers::Workers;
use pulp::Arch;
use rayon::prelude::*;
use std::array::from_fn;
use std::ops::Range;
use tiles::{Four, Tile, Two};
use vectors::{All, Inputs, Results, Rows, Weights};

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

/// Outputs of a tile in a row: a function of sizes alone.
fn side(window: &Window) -> usize {
    let products = |m: usize| {
        let (rows, columns) = window.output;
        (m + 2) * (m + 2) * rows.div_ceil(m) * columns.div_ceil(m)
    };
    if products(4) < products(2) { 4 } else { 2 }
}

/// Floats of the transformed weights that are held, for `width` channels of the result.
pub fn weight_floats(window: &Window, width: usize) -> usize {
    let products = if side(window) == 4 { 6 * Four::HELD } else { 4 * Two::HELD };
    products * window.input.0 * width
}

/// Floats of a task.
pub fn task_floats(window: &Window, width: usize) -> usize {
    let side = side(window);
    let (channels, tiles) = (window.input.0, Parts::of(window, side).tiles());
    (side + 2) * tiles * (channels + width) + (side + 2) * channels.max(width)
}

/// `y = conv(x, w)`; `tap(channel, ky, kx)` gives the `width` weights of a channel of the input at a tap; `u` holds
/// [`weight_floats`].
pub fn convolve<'w>(
    window: &Window,
    x: &[f32],
    weights: (impl Fn(usize, usize, usize) -> &'w [f32] + Sync, usize),
    u: &mut [f32],
    y: &mut [f32],
    workers: &Workers,
) -> Result<(), Error> {
    match side(window) {
        4 => by_tiles(Four, window, x, weights, u, y, workers),
        _ => by_tiles(Two, window, x, weights, u, y, workers),
    }
}

/// How the tiles are divided among tasks: a function of sizes alone.
struct Parts {
    /// Outputs of a tile in a row.
    side: usize,
    /// Tiles of a row of tiles.
    across: usize,
    /// Rows of tiles of a task.
    rows: usize,
}

impl Parts {
    /// A task takes rows of tiles of any images where tiles fill their rows, else whole images.
    fn of(window: &Window, side: usize) -> Parts {
        let (height, width) = window.output;
        let across = width.div_ceil(side).max(1);
        let rows = (TILES / across).max(1);
        let image = height.div_ceil(side).max(1);
        let rows = if height % side == 0 { rows } else { rows.div_ceil(image) * image };
        Parts { side, across, rows }
    }

    fn tiles(&self) -> usize {
        self.across * self.rows
    }

    /// Floats of the result that a task writes.
    fn chunk(&self, window: &Window, width: usize) -> usize {
        let (height, columns) = window.output;
        let whole = self.rows / height.div_ceil(self.side) * height;
        let rows = if height % self.side == 0 { self.rows * self.side } else { whole };
        rows * columns * width
    }
}

fn by_tiles<'w, T: Tile<M, N, K>, const M: usize, const N: usize, const K: usize>(
    tile: T,
    window: &Window,
    x: &[f32],
    (tap, width): (impl Fn(usize, usize, usize) -> &'w [f32] + Sync, usize),
    u: &mut [f32],
    y: &mut [f32],
    workers: &Workers,
) -> Result<(), Error> {
    let (parts, channels) = (Parts::of(window, M), window.input.0);
    let zeros = vec![0.0; N * channels];
    for first in (0..N).step_by(T::HELD) {
        let held = first..first + T::HELD;
        transform_weights(tile, u, held.clone(), (channels, width), &tap);
        let u = &*u;
        y.par_chunks_mut(parts.chunk(window, width).max(1)).with_max_len(1).enumerate().try_for_each(
            |(chunk, y)| {
                let mut scratch = workers.scratch();
                let floats = take_mut(scratch.floats()?, task_floats(window, width))?;
                let (v, rest) = floats.split_at_mut(N * parts.tiles() * channels);
                let (m, row) = rest.split_at_mut(N * parts.tiles() * width);
                let task = Task { tile, window, parts: &parts, first: chunk * parts.rows, zeros: &zeros };
                task.run(x, (held.clone(), u, width), (v, m, row), y);
                Ok(())
            },
        )?;
    }
    Ok(())
}

/// `u[r - first][c][ci][·] = (G w Gᵀ)[r][c]` for the rows that are held.
fn transform_weights<'w, T: Tile<M, N, K>, const M: usize, const N: usize, const K: usize>(
    tile: T,
    u: &mut [f32],
    held: Range<usize>,
    (channels, width): (usize, usize),
    tap: &(impl Fn(usize, usize, usize) -> &'w [f32] + Sync),
) {
    let mut of_channel: Vec<Vec<&mut [f32]>> =
        (0..channels).map(|_| Vec::with_capacity(N * held.len())).collect();
    for (at, row) in u.chunks_exact_mut(width).enumerate() {
        of_channel[at % channels].push(row);
    }
    let arch = Arch::new();
    of_channel.into_par_iter().enumerate().for_each(|(channel, to)| {
        let taps: [[&[f32]; 3]; 3] = from_fn(|ky| from_fn(|kx| tap(channel, ky, kx)));
        arch.dispatch(All(Weights { tile, taps, held: held.clone(), to }));
    });
}

/// One task.
struct Task<'a, T, const M: usize, const N: usize, const K: usize> {
    tile: T,
    window: &'a Window,
    parts: &'a Parts,
    /// The first row of tiles, all images counted.
    first: usize,
    /// A row of a tile of inputs outside the image.
    zeros: &'a [f32],
}

impl<T: Tile<M, N, K>, const M: usize, const N: usize, const K: usize> Task<'_, T, M, N, K> {
    /// What the rows of U that are held add to the task's part of the result.
    fn run(
        &self,
        x: &[f32],
        (held, u, width): (Range<usize>, &[f32], usize),
        (v, m, row): (&mut [f32], &mut [f32], &mut [f32]),
        y: &mut [f32],
    ) {
        let (channels, tiles) = (self.window.input.0, self.tile_rows(y.len() / width) * self.parts.across);
        let (v, m) = (&mut v[..N * tiles * channels], &mut m[..N * tiles * width]);
        let of_row = u.chunks_exact(N * channels * width);
        for (r, u) in held.zip(of_row) {
            self.transform_input(r, x, row, v);
            for c in 0..N {
                let to = &mut m[c * tiles * width..][..tiles * width];
                let own = Mat::rows(&v[c * tiles * channels..], tiles, channels);
                let weights = Mat::rows(&u[c * channels * width..][..channels * width], channels, width);
                product(to, own, weights, false);
            }
            self.add_to_result(r, m, row, (y, width));
        }
    }

    /// Rows of tiles in a result of so many positions.
    fn tile_rows(&self, positions: usize) -> usize {
        let (height, width) = self.window.output;
        let rows = positions / width;
        rows / height * height.div_ceil(M) + (rows % height).div_ceil(M)
    }

    /// Image, and the tile's first row and column of outputs, of a tile of this task.
    fn place(&self, tile: usize) -> (usize, usize, usize) {
        let image_rows = self.window.output.0.div_ceil(M);
        let row = self.first + tile / self.parts.across;
        (row / image_rows, row % image_rows * M, tile % self.parts.across * M)
    }

    /// Row `r` of `V` for all tiles, one column after the other.
    fn transform_input(&self, r: usize, x: &[f32], row: &mut [f32], v: &mut [f32]) {
        let (channels, height, width) = self.window.input;
        let (pad, arch) = (self.window.pad, Arch::new());
        let (part, row) = (v.len() / N, &mut row[..N * channels]);
        for tile in 0..part / channels {
            let (image, top, left) = self.place(tile);
            // The columns that exist, of the image and of the tile.
            let columns = left.saturating_sub(pad.1)..(left + N).saturating_sub(pad.1).min(width);
            let first = (columns.start + pad.1 - left) * channels;
            let length = columns.len() * channels;
            let x = T::INPUT[r].map(|(place, factor)| match (top + place).checked_sub(pad.0) {
                Some(y) if y < height => {
                    (&x[((image * height + y) * width + columns.start) * channels..][..length], factor)
                }
                _ => (&self.zeros[..length], factor),
            });
            row[..first].fill(0.0);
            row[first + length..].fill(0.0);
            arch.dispatch(All(Rows { x, to: &mut row[first..first + length], set: true }));
            let mut to = v[tile * channels..].chunks_mut(part);
            let to = from_fn(|_| to.next().map_or(&mut [][..], |to| &mut to[..channels]));
            arch.dispatch(All(Inputs { tile: self.tile, row, to }));
        }
    }

    /// What row `r` of the products adds to the rows of the result.
    fn add_to_result(&self, r: usize, m: &[f32], row: &mut [f32], (y, width): (&mut [f32], usize)) {
        let ((height, columns), arch) = (self.window.output, Arch::new());
        let (part, row) = (m.len() / N, &mut row[..M * width]);
        let (first_image, first_top, _) = self.place(0);
        let offset = first_image * height + first_top;
        for tile in 0..part / width {
            let (image, top, left) = self.place(tile);
            let m = from_fn(|c| &m[c * part + tile * width..][..width]);
            arch.dispatch(All(Results { tile: self.tile, m, to: row }));
            for (i, factors) in T::RESULT.iter().enumerate().take(height - top) {
                if factors[r] == 0.0 {
                    continue;
                }
                let to = &mut y[((image * height + top + i - offset) * columns + left) * width..];
                let to = &mut to[..M.min(columns - left) * width];
                // The first row that adds to a result sets it.
                let set = factors[..r].iter().all(|&before| before == 0.0);
                arch.dispatch(All(Rows { x: [(row, factors[r])], to, set }));
            }
        }
    }
}
