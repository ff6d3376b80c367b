//! `cse`: what is computed twice is computed once.
//!
//! ```text
//! %a : f32[…] = conv2d %x, %w {stride=1 pad=1}
//! %b : f32[…] = conv2d %x, %w {stride=1 pad=1}      ; vanishes, its users read %a
//! %c : f32[…] = add %y, %z
//! %d : f32[…] = add %z, %y                          ; vanishes too: addition commutes exactly
//! ```
//!
//! Gains: work and memory. Every operation is a pure function, so equal operation, operands and types suffice.
//! Needs and leaves: logical. Stops at: nothing; it never moves an instruction.

use crate::pass::{Pass, Run};
use snnc_ir::{Graph, Inst, Op, Stage, Value};
use std::collections::HashMap;

/// The pass.
pub const PASS: Pass = Pass {
    name: "cse",
    needs: Stage::Logical,
    leaves: Stage::Logical,
    optional: true,
    run: Run::Always(run),
};

fn run(graph: &mut Graph) {
    // Attributes hold floats and do not hash, so the few candidates of one key are compared in full.
    let mut seen: HashMap<(&'static str, Vec<Value>), Vec<Inst>> = HashMap::new();
    let mut replaced: HashMap<Value, Value> = HashMap::new();
    let mut body = Vec::with_capacity(graph.body.len());
    for inst in std::mem::take(&mut graph.body) {
        for arg in &mut graph.inst_mut(inst).args {
            *arg = replaced.get(arg).copied().unwrap_or(*arg);
        }
        let data = graph.inst(inst);
        let candidates = seen.entry((data.op.info().mnemonic, key(&data.op, &data.args))).or_default();
        if let Some(&first) = candidates.iter().find(|&&other| equal(graph, other, inst)) {
            let results = graph.inst(first).results.iter().copied();
            replaced.extend(data.results.iter().copied().zip(results));
        } else {
            candidates.push(inst);
            body.push(inst);
        }
    }
    graph.body = body;
    graph.replace_uses(&replaced);
}

/// The operands, in one order where the order does not matter.
fn key(op: &Op, args: &[Value]) -> Vec<Value> {
    let mut args = args.to_vec();
    if *op == Op::Add {
        args.sort();
    }
    args
}

fn equal(graph: &Graph, a: Inst, b: Inst) -> bool {
    let (a, b) = (graph.inst(a), graph.inst(b));
    let types = |results: &[Value]| results.iter().map(|&value| graph.ty(value).clone()).collect::<Vec<_>>();
    a.op == b.op && types(&a.results) == types(&b.results)
}
