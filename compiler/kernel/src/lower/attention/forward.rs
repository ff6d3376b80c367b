//! `attention q, k, v`, in both orders.

use super::super::emit::scaled;
use super::bits::{Bits, Lanes, Reals, lanes};
use super::group::{Group, Place};
use crate::body::{Row, Slot};
use crate::build::{Builder, load};

/// What the kernel reads and writes.
pub struct Core {
    pub q: Bits,
    pub k: Bits,
    pub v: Bits,
    pub o: Reals,
    pub scale: f32,
}

/// Zeros in a matrix of so many rows and columns.
pub fn clear(k: &mut Builder, matrix: Slot, rows: usize, columns: usize) {
    for lanes in lanes(columns) {
        k.for_range("row", 0, rows, |k, row| {
            k.store(matrix, row * columns + lanes.first, Row::constant(0.0, lanes.n));
        });
    }
}

/// `matrix[a] += row` for each set channel a of a place.
pub fn add_to_rows(
    k: &mut Builder,
    matrix: Slot,
    columns: usize,
    (bits, place): (&Bits, &Place),
    (lanes, row): (Lanes, Row),
) {
    let row = k.row("row", lanes.n, row);
    bits.each(k, place, |k, channel| {
        let at = k.index("sum", channel * columns + lanes.first);
        k.store(matrix, &at, load(matrix, &at, lanes.n) + Row::Reg(row));
    });
}

/// The sum of the matrix's rows whose channels are set at a place.
pub fn sum_of_rows(
    k: &mut Builder,
    matrix: Slot,
    columns: usize,
    (bits, place): (&Bits, &Place),
    lanes: Lanes,
) -> Row {
    let sum = k.row("sum", lanes.n, Row::constant(0.0, lanes.n));
    bits.each(k, place, |k, channel| {
        k.set(sum, Row::Reg(sum) + load(matrix, channel * columns + lanes.first, lanes.n));
    });
    Row::Reg(sum)
}

impl Core {
    /// `kᵀv` first. With causal attention the matrix grows from timestep to timestep.
    pub fn kv_first(&self, k: &mut Builder, group: &Group, sums: Slot) {
        clear(k, sums, self.q.each, self.v.each);
        if group.causal {
            group.steps(k, |k, t| {
                group.at(k, &t, |k, token| self.add(k, sums, &token));
                group.at(k, &t, |k, token| self.read(k, sums, &token));
            });
        } else {
            group.all(k, |k, token| self.add(k, sums, &token));
            group.all(k, |k, token| self.read(k, sums, &token));
        }
    }

    fn add(&self, k: &mut Builder, sums: Slot, token: &Place) {
        for lanes in lanes(self.v.each) {
            let row = self.v.mask(k, token, lanes).to_row(lanes.n);
            add_to_rows(k, sums, self.v.each, (&self.k, token), (lanes, row));
        }
    }

    fn read(&self, k: &mut Builder, sums: Slot, token: &Place) {
        for lanes in lanes(self.v.each) {
            let sum = sum_of_rows(k, sums, self.v.each, (&self.q, token), lanes);
            self.o.store(k, token, lanes, scaled(sum, self.scale, lanes.n));
        }
    }

    /// `q kᵀ` first: one number for each pair of tokens, used at once.
    pub fn qk_first(&self, k: &mut Builder, group: &Group) {
        group.all(k, |k, query| {
            for lanes in lanes(self.v.each) {
                let n = lanes.n;
                let sum = k.row("sum", n, Row::constant(0.0, n));
                group.seen_by(k, &query, |k, key| {
                    self.q.shared(k, &query, (&self.k, &key), |k, m| {
                        let term = self.v.mask(k, &key, lanes).select(m.splat(n), Row::constant(0.0, n));
                        k.set(sum, Row::Reg(sum) + term);
                    });
                });
                self.o.store(k, &query, lanes, scaled(Row::Reg(sum), self.scale, n));
            }
        });
    }
}
