//! Dense matrix products of features.

use super::{Context, fill_rows, take, take_mut};
use crate::Error;
use crate::matmul::{Mat, product};
use rayon::prelude::*;
use snnc_plan::BufferId;

/// Rows of a task.
const ROWS: usize = 128;

/// Rows per sample, input features, output features.
type Sizes = (usize, usize, usize);

/// `y = x·wᵀ + bias`.
pub fn forward(
    context: &mut Context<'_>,
    (rows, ci, co): Sizes,
    (x, w, bias): (BufferId, BufferId, Option<BufferId>),
    y: BufferId,
) -> Result<(), Error> {
    let n = rows * context.batch;
    let reads = [context.span(x), context.span(w), context.span(bias.unwrap_or(w))];
    let (y, [x, w, b]) = context.arena.write_and_read(context.span(y), reads)?;
    let (x, w) = (take(x, n * ci)?, take(w, co * ci)?);
    let bias = bias.map(|_| take(b, co)).transpose()?;
    by_rows(take_mut(y, n * co)?, co, |first, count, y| {
        fill_rows(y, bias);
        let x = Mat::rows(&x[first * ci..], count, ci);
        product(y, x, Mat::rows(w, co, ci).transposed(), bias.is_some());
    });
    Ok(())
}

/// `dx = dy·w`.
pub fn grad_input(
    context: &mut Context<'_>,
    (rows, ci, co): Sizes,
    (dy, w): (BufferId, BufferId),
    dx: BufferId,
) -> Result<(), Error> {
    let n = rows * context.batch;
    let reads = [context.span(dy), context.span(w)];
    let (dx, [dy, w]) = context.arena.write_and_read(context.span(dx), reads)?;
    let (dy, w) = (take(dy, n * co)?, take(w, co * ci)?);
    by_rows(take_mut(dx, n * ci)?, ci, |first, count, dx| {
        product(dx, Mat::rows(&dy[first * co..], count, co), Mat::rows(w, co, ci), false);
    });
    Ok(())
}

/// `dw = dyᵀ·x`, in chunks of output features: each sums over all rows by itself.
pub fn grad_weight(
    context: &mut Context<'_>,
    (rows, ci, co): Sizes,
    (x, dy): (BufferId, BufferId),
    dw: BufferId,
) -> Result<(), Error> {
    let n = rows * context.batch;
    let reads = [context.span(x), context.span(dy)];
    let (dw, [x, dy]) = context.arena.write_and_read(context.span(dw), reads)?;
    let (x, dy) = (take(x, n * ci)?, take(dy, n * co)?);
    by_rows(take_mut(dw, co * ci)?, ci, |first, count, dw| {
        let dy = Mat::rows(dy, n, co).columns(first, count).transposed();
        product(dw, dy, Mat::rows(x, n, ci), false);
    });
    Ok(())
}

/// Chunks of rows of a result, given as first row, number of rows and the rows.
fn by_rows(to: &mut [f32], width: usize, work: impl Fn(usize, usize, &mut [f32]) + Sync) {
    let chunks = to.par_chunks_mut((ROWS * width).max(1)).with_max_len(1).enumerate();
    chunks.for_each(|(chunk, to)| work(chunk * ROWS, to.len() / width, to));
}
