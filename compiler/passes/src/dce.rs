//! `dce`: what nothing uses is dropped.
//!
//! ```text
//! %a : f32[…] = conv2d %x, %w {…}      ; vanishes when nothing reads %a
//! %s, %h : spike[…], f32[…] = scan t in T4 … { … yield %s.t, %h.t carry %v.n }
//!                                      ; the second yield vanishes when nothing reads %h
//! ```
//!
//! Gains: work and memory, and true use counts for `fuse-time`. Needs and leaves: any one stage.
//! Keeps: outputs, gradients and updates; parameters and inputs stay listed, being the model's interface;
//! carried values of a scan that stays.

use crate::pass::{Pass, Run};
use snnc_ir::{Def, Graph, Inst, Region, Stage, Value};

/// The pass at the logical stage.
pub const PASS: Pass = Pass {
    name: "dce",
    needs: Stage::Logical,
    leaves: Stage::Logical,
    optional: true,
    run: Run::Always(run),
};

/// The same pass at the end of a pipeline.
pub const PACKED: Pass =
    Pass { name: "dce", needs: Stage::Packed, leaves: Stage::Packed, optional: true, run: Run::Always(run) };

fn run(graph: &mut Graph) {
    let mut live = vec![false; graph.value_count()];
    let mut mark = |value: &Value| live[value.index()] = true;
    graph.outputs.iter().for_each(&mut mark);
    graph.grads.iter().chain(&graph.updates).for_each(|(_, value)| mark(value));
    // Operands precede users, so one sweep from the end sees every user before what it uses.
    let mut body = Vec::with_capacity(graph.body.len());
    for inst in std::mem::take(&mut graph.body).into_iter().rev() {
        if !graph.inst(inst).results.iter().any(|result| live[result.index()]) {
            continue;
        }
        if let Some(region) = graph.inst(inst).region {
            drop_yields(graph, inst, region, &live);
            sweep_region(graph, region, &mut live);
            drop_slices(graph, inst, region, &live);
        }
        graph.inst(inst).args.iter().for_each(|arg| live[arg.index()] = true);
        body.push(inst);
    }
    body.reverse();
    graph.body = body;
}

/// Removes the results of a scan that nothing reads.
fn drop_yields(graph: &mut Graph, scan: Inst, region: Region, live: &[bool]) {
    for n in (0..graph.inst(scan).results.len()).rev() {
        if !live[graph.inst(scan).results[n].index()] {
            graph.remove_result(scan, n);
            graph.region_mut(region).yields.remove(n);
        }
    }
}

/// Marks what a region uses and drops the instructions that it does not.
fn sweep_region(graph: &mut Graph, region: Region, live: &mut [bool]) {
    let data = graph.region(region);
    data.yields.iter().chain(&data.next).for_each(|value| live[value.index()] = true);
    let mut body = Vec::with_capacity(data.body.len());
    for &inst in data.body.iter().rev() {
        let data = graph.inst(inst);
        if data.results.iter().any(|result| live[result.index()]) {
            data.args.iter().for_each(|arg| live[arg.index()] = true);
            body.push(inst);
        }
    }
    body.reverse();
    graph.region_mut(region).body = body;
}

/// Removes the slices that the region does not read, with the operands they come from.
fn drop_slices(graph: &mut Graph, scan: Inst, region: Region, live: &[bool]) {
    for n in (0..graph.region(region).slices()).rev() {
        let slice = graph.region(region).args[n];
        debug_assert!(matches!(graph.value(slice).def, Def::Arg(..)));
        if !live[slice.index()] {
            graph.inst_mut(scan).args.remove(n);
            graph.remove_arg(region, n);
        }
    }
}
