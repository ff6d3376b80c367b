//! Convolutions: `dx = conv2d.grad_input dy, w`, `dw = conv2d.grad_weight x, dy`, `db` the sum of dy per channel.
//!
//! `dx` comes first: what of the weight is laid out for it is over before `dw` takes as many bytes.

use super::super::{Step, Sweep};
use super::reduce::give_bias;
use snnc_ir::{Conv, Op};

pub fn conv2d(sweep: &mut Sweep, step: &Step, conv: Conv) {
    let (y, x, w, dy) = (step.data.results[0], step.x(), step.data.args[1], step.dy);
    give_bias(sweep, step);
    if sweep.wants(x) {
        let ty = sweep.grad_type(x);
        let dx = sweep.emit(y, "dx", Op::Conv2dGradInput(conv), &[dy, w], Some(&ty));
        sweep.give(x, dx);
    }
    if sweep.wants(w) {
        let ty = sweep.grad_type(w);
        let dw = sweep.emit(y, "dw", Op::Conv2dGradWeight(conv), &[x, dy], Some(&ty));
        sweep.give(w, dw);
    }
}
