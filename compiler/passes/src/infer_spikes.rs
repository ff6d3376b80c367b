//! `infer-spikes`: element kinds become as narrow as the operands allow.
//!
//! ```text
//! %lif  : spike[T4 B C64 H16 W16] = lif %x {…}
//! %pool : f32[T4 B C64 H8 W8]     = max_pool %lif {…}     ; before
//! %pool : spike[T4 B C64 H8 W8]   = max_pool %lif {…}     ; after
//! ```
//!
//! Gains: a product after a pool or a flatten has a binary operand, and a sum of spikes is known to be a count.
//! Needs and leaves: logical. Stops at: arithmetic that makes real numbers (norms, scales, means).

use crate::pass::{Pass, Run};
use snnc_ir::infer::result_types;
use snnc_ir::{Graph, Inst, Stage, Type};

/// The pass.
pub const PASS: Pass = Pass {
    name: "infer-spikes",
    needs: Stage::Logical,
    leaves: Stage::Logical,
    optional: false,
    run: Run::Always(run),
};

fn run(graph: &mut Graph) {
    for inst in graph.body.clone() {
        narrow(graph, inst);
    }
}

fn narrow(graph: &mut Graph, inst: Inst) {
    let data = graph.inst(inst);
    let args: Vec<&Type> = data.args.iter().map(|&arg| graph.ty(arg)).collect();
    let hint = data.results.first().map(|&result| graph.ty(result));
    // What does not fit is left for the verifier to name.
    let Ok(types) = result_types(&data.op, &args, hint) else { return };
    for (value, ty) in data.results.clone().into_iter().zip(types) {
        let narrowed = graph.ty(value).with_elem(ty.elem);
        graph.set_type(value, narrowed);
    }
}
