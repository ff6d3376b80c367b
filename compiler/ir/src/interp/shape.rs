//! Shapes and layouts.

use super::Operand;
use super::view::{View, offsets};
use crate::op::Piece;
use crate::types::{AxisName, Type};
use AxisName::{B, C, H, T, W};

/// Broadcast and relayout: the result at each place is the operand there.
pub fn rearrange(x: Operand, ty: &Type, batch: usize) -> Vec<f64> {
    offsets(ty, x.ty, batch).into_iter().map(|at| x.data[at]).collect()
}

/// Calls `f` with the offset of each element of a map and that of its feature, the channel outermost.
fn features(map: &Type, flat: &Type, batch: usize, mut f: impl FnMut(usize, usize)) {
    let (map, flat) = (View::new(map, batch), View::new(flat, batch));
    for t in 0..map.extent(T) {
        for b in 0..map.extent(B) {
            for c in 0..map.extent(C) {
                for h in 0..map.extent(H) {
                    for w in 0..map.extent(W) {
                        let feature = (c * map.extent(H) + h) * map.extent(W) + w;
                        let at = flat.at(t, b, 0, 0) + feature * flat.stride(C);
                        f(map.at(t, b, h, w) + c * map.stride(C), at);
                    }
                }
            }
        }
    }
}

pub fn flatten(x: Operand, ty: &Type, batch: usize) -> Vec<f64> {
    let mut y = vec![0.0; x.data.len()];
    features(x.ty, ty, batch, |map, flat| y[flat] = x.data[map]);
    y
}

pub fn unflatten(x: Operand, ty: &Type, batch: usize) -> Vec<f64> {
    let mut y = vec![0.0; x.data.len()];
    features(ty, x.ty, batch, |map, flat| y[map] = x.data[flat]);
    y
}

/// Time is the outermost axis.
pub fn piece(piece: Piece, x: Operand) -> Vec<f64> {
    let step = x.data.len() / x.ty.extent(T);
    x.data[piece.from * step..(piece.from + piece.steps) * step].to_vec()
}
