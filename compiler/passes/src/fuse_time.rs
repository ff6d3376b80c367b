//! `fuse-time`: what only a neuron reads is computed inside its scan, timestep by timestep.
//!
//! ```text
//! %conv : f32[T4 …] = conv2d.masked_add %s, %w, %b {…}                  ; before
//! %lif  : spike[T4 …] = scan t in T4 slice (%x.t = %conv) … { %h = lif.charge %v, %x.t {…} … }
//! %lif  : spike[T4 …] = scan t in T4 slice (%s.t = %s) … {              ; after
//!   %conv : f32[…] = conv2d.masked_add %s.t, %w, %b {…}
//!   %h = lif.charge %v, %conv {…} … }
//! ```
//!
//! Gains: the real-valued activation never reaches memory, and one kernel holds a product for all timesteps,
//! so that spikes which repeat over time can be added once.
//! Needs and leaves: fused. Sinks products with spikes (two per scan at most: a residual block's two
//! branches), norms, additions, scales and masks of one use, and captures the operand of a `broadcast`.
//! Stops at: values with another use, what a product within the scan reads, dense products, pools, and everything
//! that is not per timestep.

use crate::pass::{Pass, Run};
use snnc_ir::{AxisName, Graph, Inst, Op, Region, Stage, Value};
use std::collections::HashMap;

/// The pass.
pub const PASS: Pass = Pass {
    name: "fuse-time",
    needs: Stage::Fused,
    leaves: Stage::Fused,
    optional: true,
    run: Run::Always(run),
};

/// Products per scan: more accumulators than two would not fit a core's registers and nearest cache.
const MOST_PRODUCTS: usize = 2;

fn run(graph: &mut Graph) {
    for scan in graph.body.clone() {
        if let Some(region) = graph.inst(scan).region {
            while sink_one(graph, scan, region) {}
        }
    }
}

/// Sinks the maker of one slice; false when none can be.
fn sink_one(graph: &mut Graph, scan: Inst, region: Region) -> bool {
    let uses = graph.use_counts();
    for slice in 0..graph.region(region).slices() {
        let Some(maker) = graph.def_inst(graph.inst(scan).args[slice]) else { continue };
        if graph.inst(maker).op == Op::Broadcast {
            capture(graph, scan, region, slice, maker);
            return true;
        }
        let arg = graph.region(region).args[slice];
        if may_sink(graph, region, maker, &uses) && !feeds_product(graph, region, arg) {
            sink(graph, scan, region, slice, maker);
            return true;
        }
    }
    false
}

fn may_sink(graph: &Graph, region: Region, maker: Inst, uses: &[usize]) -> bool {
    let data = graph.inst(maker);
    let single = uses[data.results[0].index()] == 1;
    let cheap = matches!(data.op, Op::BnApply(_) | Op::BatchNorm(_) | Op::StepScale | Op::Add | Op::Scale(_));
    let cheap = cheap || masks_rows(graph, maker);
    single && (cheap || is_product(graph, maker) && products(graph, region) < MOST_PRODUCTS)
}

/// Whether a product of the region reads its spikes from this slice: they must be in memory, as their positions are
/// those of a window.
fn feeds_product(graph: &Graph, region: Region, arg: Value) -> bool {
    let mut insts = graph.region(region).body.iter();
    insts.any(|&inst| is_product(graph, inst) && graph.inst(inst).args.contains(&arg))
}

/// Whether a mask has a bit for each channel: its rows are those of what it masks.
fn masks_rows(graph: &Graph, inst: Inst) -> bool {
    let data = graph.inst(inst);
    let mask = matches!(data.op, Op::Mask | Op::MaskNot);
    mask && graph.ty(data.args[0]).axis(AxisName::C) == graph.ty(data.args[1]).axis(AxisName::C)
}

fn is_product(graph: &Graph, inst: Inst) -> bool {
    matches!(graph.inst(inst).op, Op::Conv2dMaskedAdd(_) | Op::LinearMaskedAdd)
}

fn products(graph: &Graph, region: Region) -> usize {
    graph.region(region).body.iter().filter(|&&inst| is_product(graph, inst)).count()
}

/// Reads a repeated value itself instead of its slices. The broadcast may have other uses: it costs nothing.
fn capture(graph: &mut Graph, scan: Inst, region: Region, slice: usize, maker: Inst) {
    let still = graph.inst(maker).args[0];
    replace_slice(graph, scan, region, slice, still);
}

/// Moves the instruction into the region; its result keeps its name and loses its time axis.
fn sink(graph: &mut Graph, scan: Inst, region: Region, slice: usize, maker: Inst) {
    let result = graph.inst(maker).results[0];
    replace_slice(graph, scan, region, slice, result);
    graph.body.retain(|&inst| inst != maker);
    let args: Vec<Value> = graph.inst(maker).args.clone();
    let args: Vec<Value> = args.into_iter().map(|arg| at_step(graph, scan, region, arg)).collect();
    graph.inst_mut(maker).args = args;
    let ty = graph.ty(result).without(AxisName::T);
    graph.set_type(result, ty);
    // Users stand behind it, and what it reads is sunk before it in turn.
    graph.region_mut(region).body.insert(0, maker);
}

/// Makes users of a slice read `value`, and removes the slice.
fn replace_slice(graph: &mut Graph, scan: Inst, region: Region, slice: usize, value: Value) {
    let arg = graph.region(region).args[slice];
    graph.inst_mut(scan).args.remove(slice);
    graph.remove_arg(region, slice);
    graph.replace_uses(&HashMap::from([(arg, value)]));
}

/// What a region reads for `value` at one timestep: its slice when it has time, itself otherwise.
fn at_step(graph: &mut Graph, scan: Inst, region: Region, value: Value) -> Value {
    if !graph.ty(value).has(AxisName::T) {
        return value;
    }
    if let Some(n) = graph.inst(scan).args.iter().position(|&arg| arg == value) {
        return graph.region(region).args[n];
    }
    let name = format!("{}.t", graph.name(value));
    let ty = graph.ty(value).without(AxisName::T);
    graph.inst_mut(scan).args.push(value);
    graph.add_arg(region, &name, ty, None)
}
