//! Attention and masks, in both orders of the products.

use super::Operand;
use super::conv::zeros;
use super::view::{View, offsets};
use crate::op::{Attention, Order};
use crate::types::{AxisName, Type};
use AxisName::{B, C, H, T, W};
use std::ops::Range;

/// A token: its timestep, and the offsets of its first channel in q and k, and in v and the result.
struct Token {
    t: usize,
    q: usize,
    v: usize,
}

/// The channels of a head: how many, where those of q and v begin, and the strides.
struct Head {
    keys: usize,
    values: usize,
    key_at: [usize; 2],
    value_at: [usize; 2],
}

impl Head {
    /// The offset of a channel of a token's query or key.
    fn q(&self, token: &Token, channel: usize) -> usize {
        token.q + self.key_at[0] + channel * self.key_at[1]
    }

    /// The offset of a channel of a token's value or result.
    fn v(&self, token: &Token, channel: usize) -> usize {
        token.v + self.value_at[0] + channel * self.value_at[1]
    }
}

/// Calls `f` with the tokens of each group, in order of time, and each head.
fn groups(attention: &Attention, q: &Type, v: &Type, batch: usize, mut f: impl FnMut(&[Token], &Head)) {
    let (of_q, of_v) = (View::new(q, batch), View::new(v, batch));
    let (steps, positions) = (of_q.extent(T), of_q.extent(H) * of_q.extent(W));
    let (in_time, in_space) = attention.group(steps, positions);
    let (keys, values) = (of_q.extent(C) / attention.heads, of_v.extent(C) / attention.heads);
    for b in 0..of_q.extent(B) {
        for t0 in (0..steps).step_by(in_time) {
            for p0 in (0..positions).step_by(in_space) {
                let places = (t0..t0 + in_time).flat_map(|t| (p0..p0 + in_space).map(move |p| (t, p)));
                let token = |(t, p): (usize, usize)| {
                    let (h, w) = (p / of_q.extent(W), p % of_q.extent(W));
                    Token { t, q: of_q.at(t, b, h, w), v: of_v.at(t, b, h, w) }
                };
                let tokens: Vec<Token> = places.map(token).collect();
                for head in 0..attention.heads {
                    let key_at = [head * keys * of_q.stride(C), of_q.stride(C)];
                    let value_at = [head * values * of_v.stride(C), of_v.stride(C)];
                    f(&tokens, &Head { keys, values, key_at, value_at });
                }
            }
        }
    }
}

/// Successive tokens that are seen together: all of the group, or those of each timestep.
fn runs(attention: &Attention, tokens: &[Token]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if !attention.causal || tokens[run.start].t == token.t => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// Pairs of a query's and a key's token that see each other.
fn pairs<'a>(attention: &Attention, tokens: &'a [Token]) -> impl Iterator<Item = (&'a Token, &'a Token)> {
    let causal = attention.causal;
    let all = tokens.iter().flat_map(move |i| tokens.iter().map(move |j| (i, j)));
    all.filter(move |(i, j)| !causal || j.t <= i.t)
}

pub fn forward(attention: &Attention, args: &[Operand], ty: &Type, batch: usize) -> Vec<f64> {
    let [q, k, v] = [args[0], args[1], args[2]];
    let mut o = zeros(ty, batch);
    groups(attention, q.ty, v.ty, batch, |tokens, head| match attention.order {
        Order::Auto | Order::QkFirst => {
            for (i, j) in pairs(attention, tokens) {
                let shared = dot(head.keys, |a| q.data[head.q(i, a)] * k.data[head.q(j, a)]);
                for b in 0..head.values {
                    o[head.v(i, b)] += shared * v.data[head.v(j, b)];
                }
            }
        }
        Order::KvFirst => {
            let mut a = Matrix::new(head);
            for run in runs(attention, tokens) {
                tokens[run.clone()].iter().for_each(|j| a.add(head, j, k.data, v.data));
                for i in &tokens[run] {
                    for b in 0..head.values {
                        o[head.v(i, b)] = dot(head.keys, |c| q.data[head.q(i, c)] * a.at(c, b));
                    }
                }
            }
        }
    });
    o.into_iter().map(|o| f64::from(attention.scale) * o).collect()
}

fn dot(n: usize, term: impl Fn(usize) -> f64) -> f64 {
    (0..n).map(term).sum()
}

/// A sum of `key · valueᵀ`, channels of keys by channels of values.
struct Matrix {
    elements: Vec<f64>,
    values: usize,
}

impl Matrix {
    fn new(head: &Head) -> Matrix {
        Matrix { elements: vec![0.0; head.keys * head.values], values: head.values }
    }

    fn at(&self, key: usize, value: usize) -> f64 {
        self.elements[key * self.values + value]
    }

    fn add(&mut self, head: &Head, token: &Token, keys: &[f64], values: &[f64]) {
        for a in 0..head.keys {
            for b in 0..head.values {
                self.elements[a * self.values + b] += keys[head.q(token, a)] * values[head.v(token, b)];
            }
        }
    }
}

/// The gradients of queries, keys and values.
pub fn grad(attention: &Attention, args: &[Operand], batch: usize) -> Vec<Vec<f64>> {
    let [dy, q, k, v] = [args[0], args[1], args[2], args[3]];
    let mut grads = [zeros(q.ty, batch), zeros(k.ty, batch), zeros(v.ty, batch)];
    groups(attention, q.ty, v.ty, batch, |tokens, head| match attention.order {
        Order::Auto | Order::QkFirst => pairwise(attention, tokens, head, [dy, q, k, v], &mut grads),
        Order::KvFirst => linear(attention, tokens, head, [dy, q, k, v], &mut grads),
    });
    let scale = f64::from(attention.scale);
    grads.map(|grad| grad.into_iter().map(|x| scale * x).collect()).to_vec()
}

/// With `m = ⟨q_i, k_j⟩` and `dm = ⟨dy_i, v_j⟩`: `dq_i += dm·k_j`, `dk_j += dm·q_i`, `dv_j += m·dy_i`.
fn pairwise(
    attention: &Attention,
    tokens: &[Token],
    head: &Head,
    [dy, q, k, v]: [Operand; 4],
    [dq, dk, dv]: &mut [Vec<f64>; 3],
) {
    for (i, j) in pairs(attention, tokens) {
        let m = dot(head.keys, |a| q.data[head.q(i, a)] * k.data[head.q(j, a)]);
        let dm = dot(head.values, |b| dy.data[head.v(i, b)] * v.data[head.v(j, b)]);
        for a in 0..head.keys {
            dq[head.q(i, a)] += dm * k.data[head.q(j, a)];
            dk[head.q(j, a)] += dm * q.data[head.q(i, a)];
        }
        for b in 0..head.values {
            dv[head.v(j, b)] += m * dy.data[head.v(i, b)];
        }
    }
}

/// With `a = Σ k·vᵀ` over what a query sees and `da = Σ q·dyᵀ` over the queries that see a key:
/// `dq_i = a·dy_i`, `dk_j = da·v_j`, `dv_j = daᵀ·k_j`.
fn linear(
    attention: &Attention,
    tokens: &[Token],
    head: &Head,
    [dy, q, k, v]: [Operand; 4],
    [dq, dk, dv]: &mut [Vec<f64>; 3],
) {
    let runs = runs(attention, tokens);
    let mut sum = Matrix::new(head);
    for run in &runs {
        tokens[run.clone()].iter().for_each(|j| sum.add(head, j, k.data, v.data));
        for i in &tokens[run.clone()] {
            for a in 0..head.keys {
                dq[head.q(i, a)] = dot(head.values, |b| sum.at(a, b) * dy.data[head.v(i, b)]);
            }
        }
    }
    let mut sum = Matrix::new(head);
    for run in runs.iter().rev() {
        tokens[run.clone()].iter().for_each(|i| sum.add(head, i, q.data, dy.data));
        for j in &tokens[run.clone()] {
            for a in 0..head.keys {
                dk[head.q(j, a)] = dot(head.values, |b| sum.at(a, b) * v.data[head.v(j, b)]);
            }
            for b in 0..head.values {
                dv[head.v(j, b)] = dot(head.keys, |a| sum.at(a, b) * k.data[head.q(j, a)]);
            }
        }
    }
}

/// For each element of `wide` the offset of the element of `narrow` that stands for it: axes that are missing
/// are repeated, a channel of `narrow` stands for as many successive ones as `wide` has more of them.
fn spread(wide: &Type, narrow: &Type, batch: usize) -> Vec<usize> {
    let each = wide.extent(C) / narrow.extent(C);
    let channel = View::new(wide, batch);
    let (stride, extent) = (channel.stride(C).max(1), channel.extent(C));
    let by = View::new(narrow, batch).stride(C);
    let all = offsets(wide, narrow, batch);
    let group = |(at, offset): (usize, usize)| {
        let c = at / stride % extent;
        offset - c * by + c / each * by
    };
    all.into_iter().enumerate().map(group).collect()
}

pub fn mask(args: &[Operand], batch: usize, factor: impl Fn(f64) -> f64) -> Vec<f64> {
    let [x, s] = [args[0], args[1]];
    let at = spread(x.ty, s.ty, batch);
    x.data.iter().zip(at).map(|(x, at)| x * factor(s.data[at])).collect()
}

pub fn channel_sum(x: Operand, ty: &Type, batch: usize) -> Vec<f64> {
    let mut sums = zeros(ty, batch);
    for (&x, at) in x.data.iter().zip(spread(x.ty, ty, batch)) {
        sums[at] += x;
    }
    sums
}

pub fn channel_spread(x: Operand, ty: &Type, batch: usize) -> Vec<f64> {
    spread(ty, x.ty, batch).into_iter().map(|at| x.data[at]).collect()
}
