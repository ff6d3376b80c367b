//! How long each step took.

use snnc_plan::{Plan, Step};
use std::time::Duration;

/// A part of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// After a change of the parameters.
    Prepare,
    /// From input to logits.
    Forward,
    /// From loss to gradients.
    Backward,
}

/// The time of one step of a plan, over all calls since profiling began.
#[derive(Clone, PartialEq, Debug)]
pub struct StepTime {
    /// The phase it belongs to.
    pub phase: Phase,
    /// The layer.
    pub name: String,
    /// What is run: `kernel`, `count`, or the mnemonic of a dense product.
    pub kind: &'static str,
    /// Calls.
    pub calls: u64,
    /// Time of all calls.
    pub total: Duration,
}

/// A row for each step of a plan, in order.
pub fn rows(plan: &Plan) -> Vec<StepTime> {
    let phases =
        [(Phase::Prepare, &plan.prepare), (Phase::Forward, &plan.forward), (Phase::Backward, &plan.backward)];
    let row = |phase, step: &Step| {
        let (name, kind) = match step {
            Step::Kernel(kernel) => (kernel.name.clone(), "kernel"),
            Step::Dense { name, op } => (name.clone(), op.mnemonic()),
            Step::Count { probe, .. } => (plan.probes[*probe].layer.clone(), "count"),
            Step::Update { param, .. } => (plan.params[*param].name.clone(), "update"),
        };
        StepTime { phase, name, kind, calls: 0, total: Duration::ZERO }
    };
    phases.into_iter().flat_map(|(phase, steps)| steps.iter().map(move |step| row(phase, step))).collect()
}
