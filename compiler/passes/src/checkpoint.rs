//! `checkpoint`: the backward pass computes a sum of spikes again instead of keeping it.
//!
//! ```text
//! %y  : f32[T4 B C64 H16 W16] = conv2d.masked_add %s, %w {…}      ; forward: bn.stats and bn.apply read %y
//! …                                                               ; before: %y lives until here
//! %y.again : f32[T4 B C64 H16 W16] = conv2d.masked_add %s, %w {…} ; after: %y dies in the forward pass
//! %sums, … = bn.grad_sums %d, %y.again, …
//! ```
//!
//! Gains: memory that hardly grows with time. What is left of a neuron between forward and backward are two
//! bits a timestep, not the 32 of the current that the norm's gradient reads. The operands are bits that the
//! weight's gradient keeps alive anyway. Costs: one more masked addition a layer.
//! Needs: masked, after the last cse, which would undo it. Leaves: masked. Stops at: dense products, and
//! values that the backward pass does not read.

use crate::pass::Pass;
use snnc_ir::{Graph, Inst, Op, Stage, Value};
use std::collections::HashMap;

/// The pass.
pub const PASS: Pass =
    Pass { name: "checkpoint", needs: Stage::Masked, leaves: Stage::Masked, optional: true, run };

fn run(graph: &mut Graph) {
    let Some(loss) = graph.outputs.last().and_then(|&loss| graph.def_inst(loss)) else { return };
    let Some(at) = graph.body.iter().position(|&inst| inst == loss) else { return };
    let backward = graph.body.split_off(at + 1);
    let kept: Vec<Inst> = graph.body.iter().copied().filter(|&inst| is_masked(graph, inst)).collect();
    let sums: HashMap<Value, Inst> =
        kept.into_iter().map(|inst| (graph.inst(inst).results[0], inst)).collect();
    let mut again: HashMap<Value, Value> = HashMap::new();
    for inst in backward {
        for value in graph.inst(inst).args.clone() {
            if let (Some(&product), false) = (sums.get(&value), again.contains_key(&value)) {
                again.insert(value, compute_again(graph, product));
            }
        }
        graph.inst_mut(inst).args.iter_mut().for_each(|arg| *arg = *again.get(arg).unwrap_or(arg));
        graph.body.push(inst);
    }
}

/// Whether an instruction sums rows where a spike is set.
fn is_masked(graph: &Graph, inst: Inst) -> bool {
    matches!(graph.inst(inst).op, Op::Conv2dMaskedAdd(_) | Op::LinearMaskedAdd)
}

/// A copy of a product at the end of the body.
fn compute_again(graph: &mut Graph, product: Inst) -> Value {
    let data = graph.inst(product).clone();
    let result = data.results[0];
    let name = format!("{}.again", graph.name(result));
    let ty = graph.ty(result).clone();
    graph.push(&name, data.op, &data.args, ty)
}
