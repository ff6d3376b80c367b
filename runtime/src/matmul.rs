//! A checked front to the `gemm` crate: one thread, f32, row-major result.

#![allow(unsafe_code)]

use gemm::{Parallelism, gemm};

/// A matrix in a slice: element (i, j) at `i · row_step + j · column_step`.
#[derive(Clone, Copy)]
pub struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

impl<'a> Mat<'a> {
    /// Rows one after the other.
    pub fn rows(data: &'a [f32], rows: usize, columns: usize) -> Mat<'a> {
        Mat { data, rows, columns, row_step: columns, column_step: 1 }
    }

    /// The same memory, read the other way round.
    pub fn transposed(self) -> Mat<'a> {
        let Mat { data, rows, columns, row_step, column_step } = self;
        Mat { data, rows: columns, columns: rows, row_step: column_step, column_step: row_step }
    }

    /// Columns `first..first + count`.
    ///
    /// # Panics
    /// When there are not so many columns.
    pub fn columns(self, first: usize, count: usize) -> Mat<'a> {
        assert!(first + count <= self.columns, "columns of a matrix");
        let from = (first * self.column_step).min(self.data.len());
        Mat { data: &self.data[from..], columns: count, ..self }
    }

    fn fits(&self) -> bool {
        let last = |n: usize, step: usize| n.saturating_sub(1) * step;
        let empty = self.rows == 0 || self.columns == 0;
        empty || last(self.rows, self.row_step) + last(self.columns, self.column_step) < self.data.len()
    }
}

/// `to = a·b`, or `to += a·b` where `accumulate`; `to` has the rows of `a` and the columns of `b`, row-major.
///
/// # Panics
/// When the sizes do not agree: callers take slices of checked length.
pub fn product(to: &mut [f32], a: Mat<'_>, b: Mat<'_>, accumulate: bool) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert!(k == b.rows && to.len() >= m * n && a.fits() && b.fits(), "sizes of a matrix product");
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: the assertion above: every element that `gemm` reads or writes for these sizes and steps lies in its
    // slice, and `to` is borrowed mutably, so it overlaps neither `a` nor `b`.
    unsafe {
        gemm(
            m,
            n,
            k,
            to.as_mut_ptr(),
            1,
            n as isize,
            accumulate,
            a.data.as_ptr(),
            a.column_step as isize,
            a.row_step as isize,
            b.data.as_ptr(),
            b.column_step as isize,
            b.row_step as isize,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_adds_or_overwrites_and_reads_transposed() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let b = [1.0, 0.0, 2.0, 0.0, 1.0, 3.0];
        let mut to = [1.0; 4];
        product(&mut to, Mat::rows(&a, 2, 3), Mat::rows(&b, 2, 3).transposed(), true);
        assert_eq!(to, [8.0, 12.0, 17.0, 24.0]);
        product(&mut to, Mat::rows(&a, 3, 2).transposed(), Mat::rows(&b, 3, 2), false);
        assert_eq!(to, [12.0, 15.0, 16.0, 18.0]);
    }

    #[test]
    fn empty_products_are_zero() {
        let mut to = [5.0; 2];
        product(&mut to, Mat::rows(&[], 1, 0), Mat::rows(&[], 0, 2), false);
        assert_eq!(to, [0.0; 2]);
        product(&mut to, Mat::rows(&[], 0, 0), Mat::rows(&[], 0, 2), false);
        assert_eq!(to, [0.0; 2]);
    }
}
