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
//! A norm's result that the gradient of a scale per timestep reads is computed again in the same way.
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
    let kept: Vec<Inst> = graph.body.iter().copied().filter(|&inst| is_cheap(graph, inst)).collect();
    let cheap = kept.into_iter().map(|inst| (graph.inst(inst).results[0], inst)).collect();
    let mut checkpoint = Checkpoint { cheap, again: HashMap::new() };
    for inst in backward {
        let args = graph.inst(inst).args.clone();
        graph.inst_mut(inst).args = checkpoint.read_again(graph, args);
        graph.body.push(inst);
    }
}

/// Whether an instruction sums rows where a spike is set, or is an affine map of such sums.
fn is_cheap(graph: &Graph, inst: Inst) -> bool {
    matches!(graph.inst(inst).op, Op::Conv2dMaskedAdd(_) | Op::LinearMaskedAdd | Op::BnApply(_))
}

struct Checkpoint {
    /// Results of the forward pass that are cheap, with their makers.
    cheap: HashMap<Value, Inst>,
    /// Their copies in the backward pass.
    again: HashMap<Value, Value>,
}

impl Checkpoint {
    /// Operands of the backward pass with the cheap ones replaced by copies at the end of the body.
    fn read_again(&mut self, graph: &mut Graph, args: Vec<Value>) -> Vec<Value> {
        args.into_iter().map(|arg| self.compute_again(graph, arg)).collect()
    }

    fn compute_again(&mut self, graph: &mut Graph, value: Value) -> Value {
        if let Some(&copy) = self.again.get(&value) {
            return copy;
        }
        let Some(&maker) = self.cheap.get(&value) else { return value };
        let data = graph.inst(maker).clone();
        let args = self.read_again(graph, data.args);
        let (name, ty) = (format!("{}.again", graph.name(value)), graph.ty(value).clone());
        let copy = graph.push(&name, data.op, &args, ty);
        self.again.insert(value, copy);
        copy
    }
}
