//! Pooling windows.

use super::Operand;
use super::conv::zeros;
use super::view::View;
use crate::op::Pool;
use crate::types::{AxisName, Type};
use AxisName::{B, C, H, T, W};

/// Calls `f` with the offset of each pooled element and, in row-major order, the offsets of the elements of
/// its window that lie inside the map.
fn windows(pool: Pool, x: &View, y: &View, mut f: impl FnMut(usize, &[usize])) {
    let mut inside = Vec::with_capacity(pool.kernel.0 * pool.kernel.1);
    for t in 0..y.extent(T) {
        for b in 0..y.extent(B) {
            for c in 0..y.extent(C) {
                for row in 0..y.extent(H) {
                    for column in 0..y.extent(W) {
                        inside.clear();
                        for (h, w) in cells(pool, (row, column), (x.extent(H), x.extent(W))) {
                            inside.push(x.at(t, b, h, w) + c * x.stride(C));
                        }
                        f(y.at(t, b, row, column) + c * y.stride(C), &inside);
                    }
                }
            }
        }
    }
}

/// The cells of the window at a position that lie inside a map of these extents.
fn cells(pool: Pool, at: (usize, usize), extents: (usize, usize)) -> impl Iterator<Item = (usize, usize)> {
    let range = |at: usize, kernel: usize, extent: usize| {
        let first = at * pool.stride;
        first.saturating_sub(pool.pad)..(first + kernel).saturating_sub(pool.pad).min(extent)
    };
    let columns = range(at.1, pool.kernel.1, extents.1);
    range(at.0, pool.kernel.0, extents.0).flat_map(move |h| columns.clone().map(move |w| (h, w)))
}

pub fn max(pool: Pool, x: Operand, ty: &Type, batch: usize) -> Vec<f64> {
    let mut y = zeros(ty, batch);
    windows(pool, &View::new(x.ty, batch), &View::new(ty, batch), |at, inside| {
        y[at] = inside.iter().map(|&i| x.data[i]).fold(f64::NEG_INFINITY, f64::max);
    });
    y
}

/// The whole gradient of a window goes to its first maximum.
pub fn max_grad(pool: Pool, args: &[Operand], batch: usize) -> Vec<f64> {
    let [dy, x] = [args[0], args[1]];
    let mut dx = zeros(x.ty, batch);
    windows(pool, &View::new(x.ty, batch), &View::new(dy.ty, batch), |at, inside| {
        let first = inside.iter().copied().reduce(|best, i| if x.data[i] > x.data[best] { i } else { best });
        if let Some(first) = first {
            dx[first] += dy.data[at];
        }
    });
    dx
}

/// The border counts as zeros, so the divisor is the size of the kernel everywhere.
pub fn avg(pool: Pool, x: Operand, ty: &Type, batch: usize) -> Vec<f64> {
    let mut y = zeros(ty, batch);
    windows(pool, &View::new(x.ty, batch), &View::new(ty, batch), |at, inside| {
        y[at] = inside.iter().map(|&i| x.data[i]).sum::<f64>() / size(pool);
    });
    y
}

pub fn avg_grad(pool: Pool, dy: Operand, ty: &Type, batch: usize) -> Vec<f64> {
    let mut dx = zeros(ty, batch);
    windows(pool, &View::new(ty, batch), &View::new(dy.ty, batch), |at, inside| {
        inside.iter().for_each(|&i| dx[i] += dy.data[at] / size(pool));
    });
    dx
}

fn size(pool: Pool) -> f64 {
    (pool.kernel.0 * pool.kernel.1) as f64
}
