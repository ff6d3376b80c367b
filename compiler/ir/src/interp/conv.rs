//! Convolutions and, as convolutions of one position, matrix products.

use super::Operand;
use super::view::{View, offsets};
use crate::op::Conv;
use crate::types::{AxisName, Type};
use AxisName::{B, C, Ci, Co, H, Kh, Kw, T, W};

/// The geometry of a matrix product.
pub const POINT: Conv = Conv { stride: 1, pad: 0 };

/// Calls `f` with the offsets in x, w and y of every product `y += x·w` of a convolution. All three products
/// (forward, to the input, to the weight) are sums over the same triples.
fn products(conv: Conv, [x, w, y]: [&View; 3], mut f: impl FnMut(usize, usize, usize)) {
    for (t, b) in pairs(y.extent(T), y.extent(B)) {
        for (row, column) in pairs(y.extent(H), y.extent(W)) {
            for (kh, kw) in pairs(w.extent(Kh), w.extent(Kw)) {
                let inside = |at: usize, k: usize, extent: usize| {
                    (at * conv.stride + k).checked_sub(conv.pad).filter(|&i| i < extent)
                };
                let Some(h) = inside(row, kh, x.extent(H)) else { continue };
                let Some(v) = inside(column, kw, x.extent(W)) else { continue };
                let (x_at, y_at) = (x.at(t, b, h, v), y.at(t, b, row, column));
                let w_at = kh * w.stride(Kh) + kw * w.stride(Kw);
                for (co, ci) in pairs(w.extent(Co), w.extent(Ci)) {
                    let w_at = w_at + co * w.stride(Co) + ci * w.stride(Ci);
                    f(x_at + ci * x.stride(C), w_at, y_at + co * y.stride(C));
                }
            }
        }
    }
}

fn pairs(rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
}

pub fn forward(conv: Conv, args: &[Operand], ty: &Type, batch: usize) -> Vec<f64> {
    let [x, w] = [args[0], args[1]];
    let views = [View::new(x.ty, batch), View::new(w.ty, batch), View::new(ty, batch)];
    let mut y = start(args.get(2), ty, batch);
    products(conv, views.each_ref(), |x_at, w_at, y_at| y[y_at] += x.data[x_at] * w.data[w_at]);
    y
}

/// The bias everywhere, or zeros.
fn start(bias: Option<&Operand>, ty: &Type, batch: usize) -> Vec<f64> {
    match bias {
        Some(bias) => offsets(ty, bias.ty, batch).into_iter().map(|at| bias.data[at]).collect(),
        None => zeros(ty, batch),
    }
}

pub fn zeros(ty: &Type, batch: usize) -> Vec<f64> {
    vec![0.0; ty.dims(batch).iter().product()]
}

pub fn grad_input(conv: Conv, args: &[Operand], ty: &Type, batch: usize) -> Vec<f64> {
    let [dy, w] = [args[0], args[1]];
    let views = [View::new(ty, batch), View::new(w.ty, batch), View::new(dy.ty, batch)];
    let mut dx = zeros(ty, batch);
    products(conv, views.each_ref(), |x_at, w_at, y_at| dx[x_at] += dy.data[y_at] * w.data[w_at]);
    dx
}

/// The window's storage may have its axes in another order than the result.
pub fn sampled_grad_input(conv: Conv, args: &[Operand], ty: &Type, batch: usize) -> Vec<f64> {
    let window = args[2];
    let mut dx = grad_input(conv, args, ty, batch);
    for (dx, at) in dx.iter_mut().zip(offsets(ty, window.ty, batch)) {
        *dx = if window.data[at] == 0.0 { 0.0 } else { *dx };
    }
    dx
}

pub fn grad_weight(conv: Conv, args: &[Operand], ty: &Type, batch: usize) -> Vec<f64> {
    let [x, dy] = [args[0], args[1]];
    let views = [View::new(x.ty, batch), View::new(ty, batch), View::new(dy.ty, batch)];
    let mut dw = zeros(ty, batch);
    products(conv, views.each_ref(), |x_at, w_at, y_at| dw[w_at] += x.data[x_at] * dy.data[y_at]);
    dw
}
