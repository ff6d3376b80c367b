//! `fuse-lif`: a neuron becomes a scan over time of its three steps.
//!
//! ```text
//! %lif : spike[T4 …] = lif %x {…}                                       ; before
//! %lif : spike[T4 …] = scan t in T4 slice (%lif.x.t = %x) carry (%lif.v = 0) {   ; after
//!   %lif.h.t = lif.charge %lif.v, %lif.x.t {…}    %lif.t = lif.fire %lif.h.t {…}
//!   %lif.v.n = lif.reset %lif.h.t, %lif.t {…}     yield %lif.t carry %lif.v.n
//! }
//! ```
//!
//! Gains: a place where per-timestep work can stand beside the membrane (`fuse-time`); the membrane never
//! needs more memory than one timestep. What the gradient saves is yielded: window bits or the membrane.
//! Needs: masked. Leaves: fused. Stops at: `lif.grad`, which stays one operation.

use crate::pass::{Pass, Run};
use snnc_ir::{AxisName, Constant, Elem, Graph, Inst, Lif, Op, Region, Save, Stage, Type, Value};

/// The pass.
pub const PASS: Pass = Pass {
    name: "fuse-lif",
    needs: Stage::Masked,
    leaves: Stage::Fused,
    optional: false,
    run: Run::Always(run),
};

fn run(graph: &mut Graph) {
    for inst in graph.body.clone() {
        if let Op::Lif(lif) = graph.inst(inst).op {
            fuse(graph, inst, lif);
        }
    }
}

fn fuse(graph: &mut Graph, inst: Inst, lif: Lif) {
    let (x, spikes) = (graph.inst(inst).args[0], graph.inst(inst).results[0]);
    // Learned constants are captured: they are the same at every timestep.
    let learned: Vec<(Constant, Value)> =
        lif.learned.constants().into_iter().zip(graph.inst(inst).args[1..].iter().copied()).collect();
    let name = graph.name(spikes).to_string();
    let steps = graph.ty(x).extent(AxisName::T);
    let step = graph.ty(x).without(AxisName::T);
    let membrane = step.with_elem(Elem::F32);
    let region = graph.new_region(steps);
    let current = graph.add_arg(region, &format!("{name}.x.t"), step, None);
    let before = graph.add_arg(region, &format!("{name}.v"), membrane.clone(), Some(lif.reset.initial()));
    let mut emit = |suffix: &str, op: Op, args: &[Value], ty: &Type| {
        let read = op.constants();
        let captured =
            learned.iter().filter(|(constant, _)| read.contains(constant)).map(|(_, value)| *value);
        let args: Vec<Value> = args.iter().copied().chain(captured).collect();
        let made = graph.make_inst(op, &args, &[(&format!("{name}{suffix}"), ty.clone())]);
        graph.region_mut(region).body.push(made);
        graph.inst(made).results[0]
    };
    // What is saved is told by the yields, so the steps themselves are the same in both modes.
    let plain = Lif { save: Save::Nothing, ..lif };
    let bits = membrane.with_elem(Elem::Spike);
    let charged = emit(".h.t", Op::LifCharge(plain), &[before, current], &membrane);
    let fired = emit(".t", Op::LifFire(plain), &[charged], &bits);
    let saved = match lif.save {
        Save::Nothing => None,
        Save::Window => Some(emit(".win.t", Op::LifWindow(plain), &[charged], &bits)),
        Save::Membrane => Some(charged),
    };
    let after = emit(".v.n", Op::LifReset(plain), &[charged, fired], &membrane);
    finish(graph, region, fired, saved, after);
    graph.replace_inst(inst, Op::Scan, &[x], Some(region));
}

fn finish(graph: &mut Graph, region: Region, fired: Value, saved: Option<Value>, after: Value) {
    let data = graph.region_mut(region);
    data.yields.push(fired);
    data.yields.extend(saved);
    data.next.push(after);
}
