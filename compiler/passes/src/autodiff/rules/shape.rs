//! Shapes: the inverse reshape, and a sum over the timesteps that a value was repeated for.

use super::super::{Step, Sweep};
use snnc_ir::{AxisName, Op};

pub fn flatten(sweep: &mut Sweep, step: &Step) {
    let x = step.x();
    if sweep.wants(x) {
        let ty = sweep.grad_type(x);
        let dx = sweep.emit(step.data.results[0], "dx", Op::Unflatten, &[step.dy], Some(&ty));
        sweep.give(x, dx);
    }
}

pub fn unflatten(sweep: &mut Sweep, step: &Step) {
    let x = step.x();
    if sweep.wants(x) {
        let dx = sweep.emit(step.data.results[0], "dx", Op::Flatten, &[step.dy], None);
        sweep.give(x, dx);
    }
}

pub fn broadcast(sweep: &mut Sweep, step: &Step) {
    let x = step.x();
    if sweep.wants(x) {
        let over = Op::Sum(vec![AxisName::T]);
        let dx = sweep.emit(step.data.results[0], "dx", over, &[step.dy], None);
        sweep.give(x, dx);
    }
}
