//! Batch norms: two sums per channel serve all three gradients.
//!
//! With `x̂ = (x − μ)·rstd`, `Σ` over all axes but the channels' and n elements in each:
//! `dgain = scale·Σ dy·x̂`, `dbias = Σ dy`, `dx = gain·scale·rstd·(dy − Σdy/n − x̂·Σ(dy·x̂)/n)`.

use super::super::{Step, Sweep};
use snnc_ir::{Norm, Op};

pub fn apply(sweep: &mut Sweep, step: &Step, norm: Norm) {
    let y = step.data.results[0];
    let &[x, mu, rstd, gain, bias] = step.data.args.as_slice() else { return };
    let names = ["sum_dy", "sum_dy_xhat"].map(|suffix| format!("{}.{suffix}", sweep.graph.name(y)));
    let names = [names[0].as_str(), names[1].as_str()];
    let sums = sweep.graph.emit_many(&names, Op::BnGradSums, &[step.dy, x, mu, rstd], None);
    if sweep.wants(gain) {
        let dgain = sweep.scaled(y, "dgain", sums[1], norm.scale);
        sweep.give(gain, dgain);
    }
    sweep.give(bias, sums[0]);
    if sweep.wants(x) {
        let args = [step.dy, x, mu, rstd, gain, sums[0], sums[1]];
        let dx = sweep.emit(y, "dx", Op::BnGradInput(norm, 0), &args, None);
        sweep.give(x, dx);
    }
}

/// `dx[t] = p[t]·dy[t]`, and `dp[t]` the sum of `dy[t]·x[t]`.
pub fn step_scale(sweep: &mut Sweep, step: &Step) {
    let (y, x, p) = (step.data.results[0], step.x(), step.data.args[1]);
    if sweep.wants(p) {
        let dp = sweep.emit(y, "dscale", Op::StepScaleGrad, &[step.dy, x], None);
        sweep.give(p, dp);
    }
    if sweep.wants(x) {
        let dx = sweep.emit(y, "dx", Op::StepScale, &[step.dy, p], None);
        sweep.give(x, dx);
    }
}
