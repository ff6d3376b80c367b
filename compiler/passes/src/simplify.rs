//! `simplify`: operations that change nothing vanish, and two in a row become one.
//!
//! ```text
//! %a : f32[C64] = scale %x {by=1}                                 ; %a becomes %x
//! %b : f32[C64] = scale (scale %x {by=0.5}) {by=0.25}             ; scale %x {by=0.125}, when exact
//! %c : f32[B C10] = mean (broadcast %x) {over=[T]}                ; %c becomes %x
//! %d : spike[T4 B C64 H4 W4] = unflatten (flatten %x)             ; %d becomes %x
//! %e : f32[T4 B C64 H4 W4] = max_pool %x {kernel=1 stride=1}      ; %e becomes %x
//! ```
//!
//! Gains: less work, and fewer operations between those that fuse. Needs and leaves: logical.
//! Stops at: whatever would change a value's last bit or the type that users see.

use crate::pass::{Pass, Run};
use snnc_ir::{AxisName, Graph, Inst, InstData, Op, Pool, Stage, Value};
use std::collections::HashMap;

/// The pass.
pub const PASS: Pass = Pass {
    name: "simplify",
    needs: Stage::Logical,
    leaves: Stage::Logical,
    optional: true,
    run: Run::Always(run),
};

fn run(graph: &mut Graph) {
    let mut replaced: HashMap<Value, Value> = HashMap::new();
    for inst in graph.body.clone() {
        for arg in &mut graph.inst_mut(inst).args {
            *arg = replaced.get(arg).copied().unwrap_or(*arg);
        }
        merge(graph, inst);
        if let Some(same) = identity(graph, inst) {
            replaced.insert(graph.inst(inst).results[0], same);
        }
    }
    graph.replace_uses(&replaced);
    let dead = |graph: &Graph, inst: Inst| replaced.contains_key(&graph.inst(inst).results[0]);
    let body = std::mem::take(&mut graph.body);
    graph.body = body.into_iter().filter(|&inst| !dead(graph, inst)).collect();
}

/// Each says which value the result of an instruction equals, if it is its business.
const IDENTITIES: [fn(&Graph, &InstData) -> Option<Value>; 4] =
    [scale_by_one, pool_of_one, shape_and_back, mean_of_repeats];

/// The value that the instruction's result equals, in type too.
fn identity(graph: &Graph, inst: Inst) -> Option<Value> {
    let data = graph.inst(inst);
    let same = IDENTITIES.iter().find_map(|rule| rule(graph, data))?;
    (graph.ty(same) == graph.ty(data.results[0])).then_some(same)
}

fn scale_by_one(_: &Graph, data: &InstData) -> Option<Value> {
    (data.op == Op::Scale(1.0)).then(|| data.args[0])
}

/// A window of one element at each element, and its gradient.
fn pool_of_one(_: &Graph, data: &InstData) -> Option<Value> {
    let one = Pool { kernel: (1, 1), stride: 1, pad: 0 };
    let pools = [Op::MaxPool(one), Op::AvgPool(one), Op::MaxPoolGrad(one), Op::AvgPoolGrad(one)];
    pools.contains(&data.op).then(|| data.args[0])
}

fn shape_and_back(graph: &Graph, data: &InstData) -> Option<Value> {
    let inverse = if data.op == Op::Flatten {
        Op::Unflatten
    } else if data.op == Op::Unflatten {
        Op::Flatten
    } else {
        return None;
    };
    operand_of(graph, data.args[0], &inverse)
}

fn mean_of_repeats(graph: &Graph, data: &InstData) -> Option<Value> {
    (data.op == Op::Mean(vec![AxisName::T])).then(|| operand_of(graph, data.args[0], &Op::Broadcast))?
}

/// The first operand of the instruction that makes `value`, when it is `op`.
fn operand_of(graph: &Graph, value: Value, op: &Op) -> Option<Value> {
    let data = graph.inst(graph.def_inst(value)?);
    (data.op == *op).then(|| data.args[0])
}

/// Makes a scale of a scale one scale.
fn merge(graph: &mut Graph, inst: Inst) {
    let data = graph.inst(inst);
    let Op::Scale(outer) = data.op else { return };
    let Some(before) = graph.def_inst(data.args[0]) else { return };
    let Op::Scale(inner) = graph.inst(before).op else { return };
    let operand = graph.inst(before).args[0];
    let exact = f64::from(outer) * f64::from(inner);
    let by = exact as f32;
    // The product of two roundings is not the rounding of the product: only powers of two and such merge.
    if f64::from(by) == exact {
        graph.replace_inst(inst, Op::Scale(by), &[operand], None);
    }
}
