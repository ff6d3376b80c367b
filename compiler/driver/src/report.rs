//! `--emit report`: operations by kind, passes with their time, kernels and memory.

use crate::{KernelRecord, PassRecord};
use snnc_ir::Graph;
use snnc_plan::Plan;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What kernels were made for, and how long it took.
pub struct Built {
    /// The vectors of walks over spikes.
    pub vectors: &'static str,
    /// The firing rate that they are laid out for.
    pub firing_rate: f32,
    /// Seconds of the whole compilation.
    pub seconds: f64,
}

/// The report's text.
pub fn text(
    graph: &Graph,
    plan: &Plan,
    passes: &[PassRecord],
    kernels: &[KernelRecord],
    built: &Built,
) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut out, graph, plan, passes, kernels, built);
    out
}

fn write_all(
    out: &mut String,
    graph: &Graph,
    plan: &Plan,
    passes: &[PassRecord],
    kernels: &[KernelRecord],
    built: &Built,
) -> std::fmt::Result {
    let mebibytes = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    writeln!(out, "network {}: {} parameters, {} timesteps", plan.name, plan.parameters(), plan.timesteps)?;
    writeln!(
        out,
        "memory: {:.2} MiB + {:.3} MiB per sample, {:.2} MiB scratch per thread",
        mebibytes(plan.arena.fixed),
        mebibytes(plan.arena.per_sample),
        mebibytes(plan.scratch())
    )?;
    writeln!(
        out,
        "steps: {} prepare, {} forward, {} backward",
        plan.prepare.len(),
        plan.forward.len(),
        plan.backward.len()
    )?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for inst in graph.all_insts() {
        *counts.entry(graph.inst(inst).op.info().mnemonic).or_default() += 1;
    }
    writeln!(out, "\noperations")?;
    for (mnemonic, count) in counts {
        writeln!(out, "  {count:5} {mnemonic}")?;
    }
    writeln!(out, "\npasses                      ms   before  after")?;
    for pass in passes {
        let (name, ms) = (pass.name, pass.seconds * 1e3);
        writeln!(out, "  {name:20} {ms:8.2} {:8} {:6}", pass.insts_before, pass.insts_after)?;
    }
    let (rate, vectors) = (built.firing_rate, built.vectors);
    writeln!(out, "\nproducts with spikes: laid out for a firing rate of {rate}, vectors of {vectors}")?;
    writeln!(out, "\nkernels                                   steps    code  scratch  form")?;
    for kernel in kernels {
        let (name, steps, form) = (&kernel.name, kernel.steps, &kernel.form);
        let row = format!("  {name:38} {steps:6} {:7} {:8}  {form}", kernel.code_bytes, kernel.scratch_bytes);
        writeln!(out, "{}", row.trim_end())?;
    }
    writeln!(out, "\ncompiled in {:.3} s", built.seconds)
}
