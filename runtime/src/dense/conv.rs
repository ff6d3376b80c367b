//! Dense convolutions: columns times weights.

use super::columns::Window;
use super::{Context, fill_rows, take, take_mut, winograd};
use crate::Error;
use crate::matmul::{Mat, product};
use crate::workers::Workers;
use rayon::prelude::*;
use snnc_plan::{BufferId, ConvGeometry};

/// Most parts that a weight gradient is summed from, and most floats of all of them.
const GROUPS: usize = 16;
const GROUP_FLOATS: usize = 1 << 24;

/// `y = conv(x, w) + bias`.
pub fn forward(
    context: &mut Context<'_>,
    geometry: &ConvGeometry,
    images: usize,
    (x, w, bias): (BufferId, BufferId, Option<BufferId>),
    y: BufferId,
) -> Result<(), Error> {
    let (window, n, co) = (Window::forward(geometry), images * context.batch, geometry.output.0);
    let reads = [context.span(x), context.span(w), context.span(bias.unwrap_or(w))];
    let (y, [x, w, b]) = context.arena.write_and_read(context.span(y), reads)?;
    let x = take(x, n * window.image())?;
    let weights = Mat::rows(take(w, co * window.depth())?, co, window.depth()).transposed();
    let bias = bias.map(|_| take(b, co)).transpose()?;
    let y = take_mut(y, n * window.positions() * co)?;
    convolve(&window, x, (weights, co), bias, y, context.workers)
}

/// How the gradient of an input is made.
pub enum InputGradient {
    /// As a convolution with the kernel turned round, in tiles.
    Tiles(Window),
    /// As the same by its definition.
    Turned(Window),
    /// By columns of gradients that are added where they came from.
    Scattered,
}

impl InputGradient {
    /// A function of sizes alone.
    pub fn of(geometry: &ConvGeometry) -> InputGradient {
        match Window::backward(geometry) {
            Some(window) if winograd::fits(&window, geometry.input.0) => InputGradient::Tiles(window),
            Some(window) => InputGradient::Turned(window),
            None => InputGradient::Scattered,
        }
    }
}

/// The gradient of the input: with stride 1 a convolution of `dy` with the kernel turned round (by fewer products where the
/// kernel is 3×3), else columns of gradients added where they came from, one task per image.
pub fn grad_input(
    context: &mut Context<'_>,
    geometry: &ConvGeometry,
    images: usize,
    (dy, w): (BufferId, BufferId),
    dx: BufferId,
) -> Result<(), Error> {
    let (forward, n, co) = (Window::forward(geometry), images * context.batch, geometry.output.0);
    let reads = [context.span(dy), context.span(w)];
    let (dx, [dy, w]) = context.arena.write_and_read(context.span(dx), reads)?;
    let dy = take(dy, n * forward.positions() * co)?;
    let w = take(w, co * forward.depth())?;
    let dx = take_mut(dx, n * forward.image())?;
    let ci = geometry.input.0;
    match InputGradient::of(geometry) {
        InputGradient::Tiles(window) => {
            let u = take_mut(context.shared, winograd::weight_floats(&window, ci))?;
            let taps = geometry.kernel.0 * geometry.kernel.1;
            let tap = |o: usize, ky: usize, kx: usize| {
                let turned = taps - 1 - (ky * geometry.kernel.1 + kx);
                &w[(o * taps + turned) * ci..][..ci]
            };
            winograd::convolve(&window, dy, (tap, ci), u, dx, context.workers)
        }
        InputGradient::Turned(window) => {
            let turned = take_mut(context.shared, w.len())?;
            turn_round(w, geometry, turned);
            let weights = Mat::rows(turned, window.depth(), ci);
            convolve(&window, dy, (weights, ci), None, dx, context.workers)
        }
        InputGradient::Scattered => scatter(&forward, dy, w, dx, context.workers),
    }
}

/// `[Co Kh Kw Ci]` to `[Kh Kw Co Ci]` with the kernel's rows and columns in reverse order.
fn turn_round(w: &[f32], g: &ConvGeometry, turned: &mut [f32]) {
    let (ci, co) = (g.input.0, g.output.0);
    let taps = g.kernel.0 * g.kernel.1;
    for (tap, to) in turned.chunks_exact_mut(co * ci).enumerate() {
        for (o, to) in to.chunks_exact_mut(ci).enumerate() {
            to.copy_from_slice(&w[(o * taps + taps - 1 - tap) * ci..][..ci]);
        }
    }
}

/// Output rows in chunks: gather columns, multiply.
fn convolve(
    window: &Window,
    x: &[f32],
    (weights, width): (Mat<'_>, usize),
    bias: Option<&[f32]>,
    y: &mut [f32],
    workers: &Workers,
) -> Result<(), Error> {
    let rows = window.rows_per_task(y.len() / width.max(1));
    y.par_chunks_mut((rows * width).max(1)).with_max_len(1).enumerate().try_for_each(|(chunk, y)| {
        let (first, count, depth) = (chunk * rows, y.len() / width, window.depth());
        fill_rows(y, bias);
        if window.is_pointwise() {
            product(y, Mat::rows(&x[first * depth..], count, depth), weights, bias.is_some());
            return Ok(());
        }
        let mut scratch = workers.scratch();
        let columns = take_mut(scratch.floats()?, count * depth)?;
        window.gather(x, first, count, columns);
        product(y, Mat::rows(columns, count, depth), weights, bias.is_some());
        Ok(())
    })
}

/// Image by image: columns of gradients in chunks of positions, each added to the image.
fn scatter(window: &Window, dy: &[f32], w: &[f32], dx: &mut [f32], workers: &Workers) -> Result<(), Error> {
    let (depth, positions) = (window.depth(), window.positions());
    let co = w.len() / depth.max(1);
    let rows = window.rows_per_task(positions);
    dx.par_chunks_mut(window.image().max(1)).with_max_len(1).enumerate().try_for_each(|(image, dx)| {
        dx.fill(0.0);
        let dy = &dy[image * positions * co..][..positions * co];
        let mut scratch = workers.scratch();
        let floats = scratch.floats()?;
        for (chunk, dy) in dy.chunks((rows * co).max(1)).enumerate() {
            let count = dy.len() / co;
            if window.is_pointwise() {
                let dx = &mut dx[chunk * rows * depth..][..count * depth];
                product(dx, Mat::rows(dy, count, co), Mat::rows(w, co, depth), false);
                continue;
            }
            let columns = take_mut(floats, count * depth)?;
            product(columns, Mat::rows(dy, count, co), Mat::rows(w, co, depth), false);
            window.scatter_add(columns, chunk * rows, dx);
        }
        Ok(())
    })
}

/// Into how many parts the images are divided: a function of sizes alone.
pub fn groups(geometry: &ConvGeometry, images: usize) -> usize {
    let floats = geometry.output.0 * Window::forward(geometry).depth();
    GROUPS.min((GROUP_FLOATS / floats.max(1)).max(2)).min(images).max(1)
}

/// The gradient of the weight: a part per group of images, summed in order into `[Co Ci Kh Kw]`.
pub fn grad_weight(
    context: &mut Context<'_>,
    geometry: &ConvGeometry,
    images: usize,
    (x, dy): (BufferId, BufferId),
    dw: BufferId,
) -> Result<(), Error> {
    let (window, n, co) = (Window::forward(geometry), images * context.batch, geometry.output.0);
    let (depth, positions, groups) = (window.depth(), window.positions(), groups(geometry, n));
    let reads = [context.span(x), context.span(dy)];
    let (dw, [x, dy]) = context.arena.write_and_read(context.span(dw), reads)?;
    let x = take(x, n * window.image())?;
    let dy = take(dy, n * positions * co)?;
    let parts = take_mut(context.shared, groups * co * depth)?;
    let workers = context.workers;
    parts.par_chunks_mut((co * depth).max(1)).with_max_len(1).enumerate().try_for_each(|(group, part)| {
        let rows = group * n / groups * positions..(group + 1) * n / groups * positions;
        part_of_weight(&window, x, (dy, co), rows, part, workers)
    })?;
    let taps = geometry.kernel.0 * geometry.kernel.1;
    let ci = geometry.input.0;
    let dw = take_mut(dw, co * depth)?;
    let parts = &*parts;
    dw.par_chunks_mut(depth.max(1)).enumerate().for_each(|(o, dw)| {
        for (at, dw) in dw.iter_mut().enumerate() {
            let from = o * depth + (at % taps) * ci + at / taps;
            *dw = parts[from..].iter().step_by(co * depth).sum();
        }
    });
    Ok(())
}

/// `dyᵀ · columns` over some rows.
fn part_of_weight(
    window: &Window,
    x: &[f32],
    (dy, co): (&[f32], usize),
    rows: std::ops::Range<usize>,
    part: &mut [f32],
    workers: &Workers,
) -> Result<(), Error> {
    let (depth, most) = (window.depth(), window.rows_per_task(usize::MAX));
    let mut scratch = workers.scratch();
    let floats = scratch.floats()?;
    let mut first = rows.start;
    part.fill(0.0);
    while first < rows.end {
        let count = most.min(rows.end - first);
        let columns = if window.is_pointwise() {
            &x[first * depth..][..count * depth]
        } else {
            let columns = take_mut(floats, count * depth)?;
            window.gather(x, first, count, columns);
            &*columns
        };
        let dy = Mat::rows(&dy[first * co..], count, co).transposed();
        product(part, dy, Mat::rows(columns, count, depth), true);
        first += count;
    }
    Ok(())
}
