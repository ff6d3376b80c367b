//! Attention and masks. The operands are spikes, whose bits choose what is added in the backward pass too:
//! each operand of a mask is masked by the other one, also where it is 0 itself.

use super::super::{Step, Sweep};
use snnc_ir::{Attention, AxisName, Op, Value};

pub fn attention(sweep: &mut Sweep, step: &Step, attention: Attention) {
    let (o, operands) = (step.data.results[0], step.data.args.clone());
    if !operands.iter().any(|&operand| sweep.wants(operand)) {
        return;
    }
    let names = ["dq", "dk", "dv"].map(|suffix| format!("{}.{suffix}", sweep.graph.name(o)));
    let args = [step.dy, operands[0], operands[1], operands[2]];
    let grads = sweep.graph.emit_many(
        &names.each_ref().map(String::as_str),
        Op::AttentionGrad(attention),
        &args,
        None,
    );
    for (operand, grad) in operands.into_iter().zip(grads) {
        sweep.give(operand, grad);
    }
}

/// `y = x·s` or, with `not`, `y = x·(1 − s)`.
pub fn mask(sweep: &mut Sweep, step: &Step, not: bool) {
    let (y, x, s) = (step.data.results[0], step.x(), step.data.args[1]);
    if sweep.wants(x) {
        let dx = sweep.emit(y, "dx", step.data.op.clone(), &[step.dy, s], None);
        sweep.give(x, dx);
    }
    if sweep.wants(s) {
        let masked = sweep.emit(y, "dmask", Op::Mask, &[step.dy, x], None);
        let gathered = gather(sweep, y, masked, s);
        let ds = sweep.scaled(y, "ds", gathered, if not { -1.0 } else { 1.0 });
        sweep.give(s, ds);
    }
}

/// The sum over what each element of the mask stood for.
fn gather(sweep: &mut Sweep, y: Value, masked: Value, s: Value) -> Value {
    let (of, to) = (sweep.graph.ty(masked).clone(), sweep.graph.ty(s).clone());
    let missing: Vec<AxisName> = of.axes.iter().map(|axis| axis.name).filter(|&name| !to.has(name)).collect();
    let mut sum = masked;
    if !missing.is_empty() {
        sum = sweep.emit(y, "dplaces", Op::Sum(missing), &[sum], None);
    }
    if of.axis(AxisName::C) != to.axis(AxisName::C) && to.has(AxisName::C) {
        let groups = to.extent(AxisName::C);
        sum = sweep.emit(y, "dgroups", Op::ChannelSum(groups), &[sum], None);
    }
    sum
}

pub fn channel_sum(sweep: &mut Sweep, step: &Step) {
    let x = step.x();
    if sweep.wants(x) {
        let ty = sweep.grad_type(x);
        let dx = sweep.emit(step.data.results[0], "dx", Op::ChannelSpread, &[step.dy], Some(&ty));
        sweep.give(x, dx);
    }
}

pub fn channel_spread(sweep: &mut Sweep, step: &Step) {
    let x = step.x();
    if sweep.wants(x) {
        let groups = sweep.graph.ty(x).extent(AxisName::C);
        let dx = sweep.emit(step.data.results[0], "dx", Op::ChannelSum(groups), &[step.dy], None);
        sweep.give(x, dx);
    }
}
