//! Matrix products: `dx = dy·w`, `dw = dyᵀ·x`, `db` the sum of dy per feature; `dx` first, as in `conv.rs`.

use super::super::{Step, Sweep};
use super::reduce::give_bias;
use snnc_ir::Op;

pub fn linear(sweep: &mut Sweep, step: &Step) {
    let (y, x, w, dy) = (step.data.results[0], step.x(), step.data.args[1], step.dy);
    give_bias(sweep, step);
    if sweep.wants(x) {
        let dx = sweep.emit(y, "dx", Op::LinearGradInput, &[dy, w], None);
        sweep.give(x, dx);
    }
    if sweep.wants(w) {
        let dw = sweep.emit(y, "dw", Op::LinearGradWeight, &[x, dy], None);
        sweep.give(w, dw);
    }
}
