//! `attention.grad dy, q, k, v`, in both orders: but for `dq` of `kv_first` all sums are masked.
//!
//! ```text
//! kv_first:  A = Σ k_j v_jᵀ    D = Σ q_i dy_iᵀ                    ; rows added where a bit is set
//!            dq_i = A dy_i     dk_j = D v_j     dv_j = Dᵀ k_j     ; the last two: rows summed where a bit is set
//! qk_first:  m = ⟨q_i, k_j⟩    e = ⟨dy_i, v_j⟩
//!            dq_i += k_j e     dk_j += q_i e    dv_j += m dy_i
//! ```

use super::super::emit::scaled;
use super::bits::{Bits, Lanes, Reals, lanes};
use super::forward::{add_to_rows, clear, sum_of_rows};
use super::group::{Group, Place};
use crate::body::{Reg, Row, Slot};
use crate::build::{Builder, load};

/// What the kernel reads and writes.
pub struct Core {
    pub dy: Reals,
    pub q: Bits,
    pub k: Bits,
    pub v: Bits,
    pub dq: Reals,
    pub dk: Reals,
    pub dv: Reals,
    pub scale: f32,
}

impl Core {
    fn store(&self, k: &mut Builder, to: &Reals, token: &Place, lanes: Lanes, row: Row) {
        to.store(k, token, lanes, scaled(row, self.scale, lanes.n));
    }

    /// With causal attention A grows from the first timestep on, D from the last one.
    pub fn kv_first(&self, k: &mut Builder, group: &Group, [sums, grads, turned]: [Slot; 3]) {
        let (keys, values) = (self.q.each, self.v.each);
        clear(k, sums, values, keys);
        clear(k, grads, keys, values);
        if group.causal {
            group.steps(k, |k, t| {
                group.at(k, &t, |k, token| self.add_keys(k, sums, &token));
                group.at(k, &t, |k, token| self.query_grad(k, sums, &token));
            });
            group.steps_down(k, |k, t| {
                group.at(k, &t, |k, token| self.add_grads(k, grads, &token));
                turn(k, grads, turned, (keys, values));
                group.at(k, &t, |k, token| self.key_and_value_grads(k, grads, turned, &token));
            });
        } else {
            group.all(k, |k, token| {
                self.add_keys(k, sums, &token);
                self.add_grads(k, grads, &token);
            });
            turn(k, grads, turned, (keys, values));
            group.all(k, |k, token| {
                self.query_grad(k, sums, &token);
                self.key_and_value_grads(k, grads, turned, &token);
            });
        }
    }

    /// Aᵀ: keys are added where a value's bit is set, so that its rows are as wide as `dq`.
    fn add_keys(&self, k: &mut Builder, sums: Slot, token: &Place) {
        for lanes in lanes(self.q.each) {
            let row = self.k.mask(k, token, lanes).to_row(lanes.n);
            add_to_rows(k, sums, self.q.each, (&self.v, token), (lanes, row));
        }
    }

    fn add_grads(&self, k: &mut Builder, grads: Slot, token: &Place) {
        for lanes in lanes(self.v.each) {
            let row = self.dy.row(token, lanes);
            add_to_rows(k, grads, self.v.each, (&self.q, token), (lanes, row));
        }
    }

    /// `A dy`: counts times real numbers, the only product of attention's gradient.
    fn query_grad(&self, k: &mut Builder, sums: Slot, token: &Place) {
        for lanes in lanes(self.q.each) {
            let n = lanes.n;
            let sum = k.row("dq", n, Row::constant(0.0, n));
            k.for_range("value", 0, self.v.each, |k, value| {
                let counts = load(sums, &value * self.q.each + lanes.first, n);
                k.set(sum, Row::Reg(sum) + counts * self.dy.splat(token, &value, n));
            });
            self.store(k, &self.dq, token, lanes, Row::Reg(sum));
        }
    }

    fn key_and_value_grads(&self, k: &mut Builder, grads: Slot, turned: Slot, token: &Place) {
        for lanes in lanes(self.q.each) {
            let dk = sum_of_rows(k, turned, self.q.each, (&self.v, token), lanes);
            self.store(k, &self.dk, token, lanes, dk);
        }
        for lanes in lanes(self.v.each) {
            let dv = sum_of_rows(k, grads, self.v.each, (&self.k, token), lanes);
            self.store(k, &self.dv, token, lanes, dv);
        }
    }

    /// Each gradient is gathered by itself: what two of them share costs less than what they would spill.
    pub fn qk_first(&self, k: &mut Builder, group: &Group) {
        for lanes in lanes(self.q.each) {
            group.all(k, |k, query| {
                let sum = k.row("dq", lanes.n, Row::constant(0.0, lanes.n));
                group.seen_by(k, &query, |k, key| {
                    self.add_where_set(k, sum, (&self.k, &key), (&query, &key), lanes);
                });
                self.store(k, &self.dq, &query, lanes, Row::Reg(sum));
            });
            group.all(k, |k, key| {
                let sum = k.row("dk", lanes.n, Row::constant(0.0, lanes.n));
                group.seeing(k, &key, |k, query| {
                    self.add_where_set(k, sum, (&self.q, &query), (&query, &key), lanes);
                });
                self.store(k, &self.dk, &key, lanes, Row::Reg(sum));
            });
        }
        for lanes in lanes(self.v.each) {
            group.all(k, |k, key| {
                let sum = k.row("dv", lanes.n, Row::constant(0.0, lanes.n));
                group.seeing(k, &key, |k, query| {
                    self.q.shared(k, &query, (&self.k, &key), |k, m| {
                        let term = m.splat(lanes.n) * self.dy.row(&query, lanes);
                        k.set(sum, Row::Reg(sum) + term);
                    });
                });
                self.store(k, &self.dv, &key, lanes, Row::Reg(sum));
            });
        }
    }

    /// `sum += ⟨dy_i, v_j⟩` in the lanes that are set at a place.
    fn add_where_set(
        &self,
        k: &mut Builder,
        sum: Reg,
        (bits, place): (&Bits, &Place),
        (query, key): (&Place, &Place),
        lanes: Lanes,
    ) {
        let weight = k.row("weight", 1, Row::constant(0.0, 1));
        self.v.each(k, key, |k, value| {
            k.set(weight, Row::Reg(weight) + self.dy.one(query, &value));
        });
        let set = bits.mask(k, place, lanes);
        let term = set.select(Row::Reg(weight).splat(lanes.n), Row::constant(0.0, lanes.n));
        k.set(sum, Row::Reg(sum) + term);
    }
}

/// The transposed matrix, so that its rows are those of the other side's channels.
fn turn(k: &mut Builder, from: Slot, to: Slot, (rows, columns): (usize, usize)) {
    k.for_range("row", 0, rows, |k, row| {
        k.for_range("column", 0, columns, |k, column| {
            k.store(to, &column * rows + &row, load(from, &row * columns + &column, 1));
        });
    });
}
