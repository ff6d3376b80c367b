//! Pooling: to the first maximum of each window, or to all of it in equal parts.

use super::super::{Step, Sweep};
use snnc_ir::{Op, Pool};

pub fn max(sweep: &mut Sweep, step: &Step, pool: Pool) {
    let x = step.x();
    if sweep.wants(x) {
        let dx = sweep.emit(step.data.results[0], "dx", Op::MaxPoolGrad(pool), &[step.dy, x], None);
        sweep.give(x, dx);
    }
}

pub fn avg(sweep: &mut Sweep, step: &Step, pool: Pool) {
    let x = step.x();
    if sweep.wants(x) {
        let ty = sweep.grad_type(x);
        let dx = sweep.emit(step.data.results[0], "dx", Op::AvgPoolGrad(pool), &[step.dy], Some(&ty));
        sweep.give(x, dx);
    }
}
