//! Element-wise arithmetic.

use super::super::{Step, Sweep};

pub fn add(sweep: &mut Sweep, step: &Step) {
    for &arg in &step.data.args {
        sweep.give(arg, step.dy);
    }
}

pub fn scale(sweep: &mut Sweep, step: &Step, by: f32) {
    let x = step.x();
    if sweep.wants(x) {
        let dx = sweep.scaled(step.data.results[0], "dx", step.dy, by);
        sweep.give(x, dx);
    }
}
