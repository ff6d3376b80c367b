//! The loops of Winograd's transforms: each does the same to all channels, a vector of them at a time.

use super::tiles::Tile;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// What is done to slices of one length, a vector of each at a time.
pub trait ByBlock {
    /// Of the slices.
    fn length(&self) -> usize;
    /// Does it for a block of values.
    fn block<S: Simd>(&mut self, simd: S, block: Block);
}

/// Does it for all values. No closures: they would not be compiled for the machine's vectors.
pub struct All<J>(pub J);

impl<J: ByBlock> WithSimd for All<J> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let length = self.0.length();
        let whole = length / S::F32_LANES * S::F32_LANES;
        for at in (0..whole).step_by(S::F32_LANES) {
            self.0.block(simd, Block { at, whole: true });
        }
        if whole < length {
            self.0.block(simd, Block { at: whole, whole: false });
        }
    }
}

/// The values of slices from a place on: as many as a vector has, or what is left.
#[derive(Clone, Copy)]
pub struct Block {
    at: usize,
    whole: bool,
}

impl Block {
    #[inline(always)]
    fn load<S: Simd>(self, simd: S, from: &[f32]) -> S::f32s {
        if self.whole {
            return S::as_simd_f32s(&from[self.at..self.at + S::F32_LANES]).0[0];
        }
        simd.partial_load_f32s(&from[self.at..])
    }

    #[inline(always)]
    fn store<S: Simd>(self, simd: S, to: &mut [f32], values: S::f32s) {
        if self.whole {
            S::as_mut_simd_f32s(&mut to[self.at..self.at + S::F32_LANES]).0[0] = values;
            return;
        }
        simd.partial_store_f32s(&mut to[self.at..], values);
    }
}

/// The sum of rows times factors, in place of a row or added to it.
pub struct Rows<'a, const K: usize> {
    pub x: [(&'a [f32], f32); K],
    pub to: &'a mut [f32],
    pub set: bool,
}

impl<const K: usize> ByBlock for Rows<'_, K> {
    fn length(&self) -> usize {
        self.to.len()
    }

    #[inline(always)]
    fn block<S: Simd>(&mut self, simd: S, block: Block) {
        let mut sum = simd.splat_f32s(0.0);
        for (k, (row, factor)) in self.x.iter().enumerate() {
            let term = simd.mul_f32s(simd.splat_f32s(*factor), block.load(simd, &row[..self.to.len()]));
            sum = if k == 0 { term } else { simd.add_f32s(sum, term) };
        }
        if !self.set {
            sum = simd.add_f32s(block.load(simd, self.to), sum);
        }
        block.store(simd, self.to, sum);
    }
}

/// The rows of U that are held, for a channel of the input.
pub struct Weights<'a, T, const M: usize, const N: usize, const K: usize> {
    pub tile: T,
    pub taps: [[&'a [f32]; 3]; 3],
    pub held: Range<usize>,
    /// By row and column.
    pub to: Vec<&'a mut [f32]>,
}

impl<T: Tile<M, N, K>, const M: usize, const N: usize, const K: usize> ByBlock for Weights<'_, T, M, N, K> {
    fn length(&self) -> usize {
        self.taps[0][0].len()
    }

    #[inline(always)]
    fn block<S: Simd>(&mut self, simd: S, block: Block) {
        let mut columns = [[simd.splat_f32s(0.0); N]; 3];
        for (kx, column) in columns.iter_mut().enumerate() {
            let mut taps = [simd.splat_f32s(0.0); 3];
            for (ky, tap) in taps.iter_mut().enumerate() {
                *tap = block.load(simd, self.taps[ky][kx]);
            }
            *column = self.tile.weight(simd, taps);
        }
        for (r, to) in self.held.clone().zip(self.to.chunks_exact_mut(N)) {
            let row = self.tile.weight(simd, [columns[0][r], columns[1][r], columns[2][r]]);
            for (to, value) in to.iter_mut().zip(row) {
                block.store(simd, to, value);
            }
        }
    }
}

/// A row of V for a tile, from a row of Bᵀ x.
pub struct Inputs<'a, T, const M: usize, const N: usize, const K: usize> {
    pub tile: T,
    pub row: &'a [f32],
    /// By column.
    pub to: [&'a mut [f32]; N],
}

impl<T: Tile<M, N, K>, const M: usize, const N: usize, const K: usize> ByBlock for Inputs<'_, T, M, N, K> {
    fn length(&self) -> usize {
        self.to[0].len()
    }

    #[inline(always)]
    fn block<S: Simd>(&mut self, simd: S, block: Block) {
        let mut row = [simd.splat_f32s(0.0); N];
        for (value, from) in row.iter_mut().zip(self.row.chunks_exact(self.to[0].len())) {
            *value = block.load(simd, from);
        }
        for (to, value) in self.to.iter_mut().zip(self.tile.input(simd, row)) {
            block.store(simd, to, value);
        }
    }
}

/// A row of m A for a tile.
pub struct Results<'a, T, const M: usize, const N: usize, const K: usize> {
    pub tile: T,
    /// By column.
    pub m: [&'a [f32]; N],
    pub to: &'a mut [f32],
}

impl<T: Tile<M, N, K>, const M: usize, const N: usize, const K: usize> ByBlock for Results<'_, T, M, N, K> {
    fn length(&self) -> usize {
        self.m[0].len()
    }

    #[inline(always)]
    fn block<S: Simd>(&mut self, simd: S, block: Block) {
        let mut products = [simd.splat_f32s(0.0); N];
        for (value, m) in products.iter_mut().zip(&self.m) {
            *value = block.load(simd, m);
        }
        let rows = self.to.chunks_exact_mut(self.m[0].len());
        for (to, value) in rows.zip(self.tile.result(simd, products)) {
            block.store(simd, to, value);
        }
    }
}
