//! Neurons: backpropagation through time is one operation, and the forward one saves what it reads.

use super::super::{Step, Sweep};
use snnc_ir::{Constant, Elem, Form, Lif, Op, Save};

pub fn lif(sweep: &mut Sweep, step: &Step, lif: Lif) {
    let (spikes, x, constants) = (step.data.results[0], step.x(), &step.data.args[1..]);
    let lif = Lif { save: lif.needed_save(), ..lif };
    sweep.graph.inst_mut(step.inst).op = Op::Lif(lif);
    let mut args = match lif.save {
        Save::Nothing => vec![step.dy],
        Save::Window => vec![step.dy, spikes, save(sweep, step, "win", Elem::Spike)],
        Save::Membrane => vec![step.dy, save(sweep, step, "h", Elem::F32)],
    };
    args.extend(constants);
    let name = sweep.graph.name(spikes);
    let mut names = vec![format!("{name}.dx")];
    names
        .extend(lif.learned.constants().into_iter().map(|constant| format!("{name}.{}", gradient(constant))));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let grads = sweep.graph.emit_many(&names, Op::LifGrad(lif), &args, None);
    for (&of, grad) in [x].iter().chain(constants).zip(grads) {
        sweep.give(of, grad);
    }
}

/// The last part of the name of a constant's gradient.
fn gradient(constant: Constant) -> &'static str {
    match constant {
        Constant::Decay => "ddecay",
        Constant::Gain => "dgain",
        Constant::Current => "dcurrent",
        Constant::Threshold => "dthreshold",
    }
}

pub fn constant(sweep: &mut Sweep, step: &Step, form: Form) {
    let w = step.x();
    if sweep.wants(w) {
        let op = Op::NeuronConstantGrad(form);
        let dw = sweep.emit(step.data.results[0], "dw", op, &[step.dy, w], None);
        sweep.give(w, dw);
    }
}

/// The further result of the forward instruction.
fn save(sweep: &mut Sweep, step: &Step, suffix: &str, elem: Elem) -> snnc_ir::Value {
    let spikes = step.data.results[0];
    let name = format!("{}.{suffix}", sweep.graph.name(spikes));
    let ty = sweep.graph.ty(spikes).with_elem(elem);
    sweep.graph.add_result(step.inst, &name, ty)
}
