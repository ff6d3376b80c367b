//! Attention between packed spikes.
//!
//! ```text
//! kv_first:  for j: v = row of bits; each_bit a of k_j { A[a] += v }      ; a matrix of a head's channels
//!            for i: o = 0; each_bit a of q_i { o += A[a] }
//! qk_first:  for i, j: m = popcount(q_i & k_j); if m > 0 { o += v_j ? m : 0 }
//! ```
//!
//! A task takes one group of tokens and one head; where the groups are positions, a range of them and all
//! heads. No two tasks write the same element, and each sums its tokens in one order: the result has the same
//! bits for any number of threads. Counts are whole numbers below 2²⁴, so both orders give the same ones.

mod backward;
mod bits;
mod forward;
mod group;

pub use bits::{Bits, Lanes, Reals, lanes};

use super::{Draw, LowerError, Lowering};
use group::each_group;
use snnc_ir::{Attention, Inst, Order};

/// Lowers `attention`.
pub fn forward(lowering: &mut Lowering<'_>, inst: Inst, attention: &Attention) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let heads = attention.heads;
    let q = Bits::new(draw.read_view(lowering, data.args[0])?, heads)?;
    let k = Bits::new(draw.read_view(lowering, data.args[1])?, heads)?;
    let v = Bits::new(draw.read_view(lowering, data.args[2])?, heads)?;
    let o = Reals::new(draw.write_view(lowering, data.results[0])?, heads);
    let sums = match attention.order {
        Order::KvFirst => Some(draw.k.scratch("sums", q.each * v.each)),
        Order::Auto | Order::QkFirst => None,
    };
    let core = forward::Core { q, k, v, o, scale: attention.scale };
    let shape = core.q.view.shape;
    let tasks = each_group(&mut draw.k, attention, &shape, |k, group| match sums {
        Some(sums) => core.kv_first(k, &group, sums),
        None => core.qk_first(k, &group),
    });
    lowering.push_kernel(&name, draw, tasks);
    Ok(())
}

/// Lowers `attention.grad`.
pub fn grad(lowering: &mut Lowering<'_>, inst: Inst, attention: &Attention) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let heads = attention.heads;
    let dy = Reals::new(draw.read_view(lowering, data.args[0])?, heads);
    let q = Bits::new(draw.read_view(lowering, data.args[1])?, heads)?;
    let k = Bits::new(draw.read_view(lowering, data.args[2])?, heads)?;
    let v = Bits::new(draw.read_view(lowering, data.args[3])?, heads)?;
    let mut write = |n: usize| Ok(Reals::new(draw.write_view(lowering, data.results[n])?, heads));
    let (dq, dk, dv) = (write(0)?, write(1)?, write(2)?);
    let elements = q.each * v.each;
    let matrices = match attention.order {
        Order::KvFirst => Some(["sums", "grads", "turned"].map(|name| draw.k.scratch(name, elements))),
        Order::Auto | Order::QkFirst => None,
    };
    let core = backward::Core { dy, q, k, v, dq, dk, dv, scale: attention.scale };
    let shape = core.q.view.shape;
    let tasks = each_group(&mut draw.k, attention, &shape, |k, group| match matrices {
        Some(matrices) => core.kv_first(k, &group, matrices),
        None => core.qk_first(k, &group),
    });
    lowering.push_kernel(&name, draw, tasks);
    Ok(())
}
