//! `reassociate-attention`: the cheaper of the two orders of attention's products.
//!
//! ```text
//! %o : i32[T4 B C64 H16 W16] = attention %q, %k, %v {over=space … order=auto heads=2}       ; before
//! %o : i32[T4 B C64 H16 W16] = attention %q, %k, %v {over=space … order=kv_first heads=2}   ; after
//! ```
//!
//! Gains: without a softmax `(q kᵀ) v` and `q (kᵀ v)` are the same integers, at a cost that is quadratic in the
//! tokens of a group or in the channels of a head: here 2·256·32² additions instead of 2·256²·32.
//! Needs and leaves: logical, before autodiff, so that the gradient takes the order of its forward pass.
//! Stops at: an order that the model asks for.

use crate::pass::{Pass, Run};
use snnc_ir::{Attention, AxisName, Graph, Inst, Op, Order, Stage};

/// The pass.
pub const PASS: Pass = Pass {
    name: "reassociate-attention",
    needs: Stage::Logical,
    leaves: Stage::Logical,
    optional: true,
    run: Run::Always(run),
};

fn run(graph: &mut Graph) {
    for inst in graph.body.clone() {
        if let Op::Attention(attention) = graph.inst(inst).op
            && attention.order == Order::Auto
        {
            let order = cheaper(graph, inst, &attention);
            graph.inst_mut(inst).op = Op::Attention(Attention { order, ..attention });
        }
    }
}

/// Where both cost the same, keys and values first: its sums have few rows, whatever the tokens.
fn cheaper(graph: &Graph, inst: Inst, attention: &Attention) -> Order {
    use AxisName::{C, H, T, W};
    let data = graph.inst(inst);
    let (q, v) = (graph.ty(data.args[0]), graph.ty(data.args[2]));
    let group = attention.group(q.extent(T), q.extent(H) * q.extent(W));
    let channels = (q.extent(C) / attention.heads, v.extent(C) / attention.heads);
    let (kv_first, qk_first) = attention.additions(group, channels);
    if kv_first <= qk_first { Order::KvFirst } else { Order::QkFirst }
}
