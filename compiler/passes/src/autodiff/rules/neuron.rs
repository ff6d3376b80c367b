//! Neurons: backpropagation through time is one operation, and the forward one saves what it reads.

use super::super::{Step, Sweep};
use snnc_ir::{Elem, Lif, Op, Save};

pub fn lif(sweep: &mut Sweep, step: &Step, lif: Lif) {
    let (spikes, x) = (step.data.results[0], step.x());
    if !sweep.wants(x) {
        return;
    }
    let lif = Lif { save: lif.needed_save(), ..lif };
    sweep.graph.inst_mut(step.inst).op = Op::Lif(lif);
    let args = match lif.save {
        Save::Nothing => vec![step.dy],
        Save::Window => vec![step.dy, spikes, save(sweep, step, "win", Elem::Spike)],
        Save::Membrane => vec![step.dy, save(sweep, step, "h", Elem::F32)],
    };
    let dx = sweep.emit(spikes, "dx", Op::LifGrad(lif), &args, None);
    sweep.give(x, dx);
}

/// The further result of the forward instruction.
fn save(sweep: &mut Sweep, step: &Step, suffix: &str, elem: Elem) -> snnc_ir::Value {
    let spikes = step.data.results[0];
    let name = format!("{}.{suffix}", sweep.graph.name(spikes));
    let ty = sweep.graph.ty(spikes).with_elem(elem);
    sweep.graph.add_result(step.inst, &name, ty)
}
