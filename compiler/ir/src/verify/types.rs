//! Types.
//!
//! - `types.form`: no axis twice, no empty axis, T outermost, the batch and no other axis without an extent,
//!   bits with the channels innermost, tiles in the axes of weights only.
//! - `types.operand`: operands fit their operation.
//! - `types.result`: a result has the axes that are inferred, and a kind of element at least as wide.
//! - `types.scan`: a slice is its operand without T, a result its yield with T, a carried value keeps its type.
//! - `types.ends`: a gradient has the axes of its parameter, an updated state its type.

use super::Found;
use crate::entity::{Inst, Region, Value};
use crate::graph::Graph;
use crate::infer::{accepts, channels_last, result_types};
use crate::types::{AxisName, Elem, Type};
use std::collections::HashSet;

/// Checks the types of a graph whose structure is right.
pub fn check(graph: &Graph, found: &mut Found) {
    let mut values: Vec<Value> = graph.params.iter().chain(&graph.inputs).copied().collect();
    for inst in graph.all_insts() {
        values.extend(&graph.inst(inst).results);
        match graph.inst(inst).region {
            Some(region) => {
                values.extend(&graph.region(region).args);
                scan(graph, found, inst, region);
            }
            None => instruction(graph, found, inst),
        }
    }
    for value in values {
        if let Some(message) = malformed(graph.ty(value)) {
            let text = format!("%{} : {} {message}", graph.name(value), graph.ty(value));
            found.graph_error("types.form", text);
        }
    }
    ends(graph, found);
}

fn malformed(ty: &Type) -> Option<&'static str> {
    let mut names = HashSet::new();
    for (n, axis) in ty.axes.iter().enumerate() {
        let problem = if !names.insert(axis.name) {
            "has an axis twice"
        } else if axis.extent == Some(0) {
            "has an empty axis"
        } else if (axis.name == AxisName::B) != axis.extent.is_none() {
            "needs an extent for each axis but B"
        } else if axis.name == AxisName::T && n > 0 {
            "has T, but not outermost"
        } else if axis.tile > 0 && axis.name != AxisName::Co {
            "has tiles, but is no weight"
        } else {
            continue;
        };
        return Some(problem);
    }
    (ty.elem == Elem::Bits && !channels_last(ty)).then_some("is of bits, but its channels are not innermost")
}

fn instruction(graph: &Graph, found: &mut Found, inst: Inst) {
    let data = graph.inst(inst);
    let args: Vec<&Type> = data.args.iter().map(|&arg| graph.ty(arg)).collect();
    let inferred = match result_types(&data.op, &args, Some(graph.ty(data.results[0]))) {
        Ok(inferred) => inferred,
        Err(message) => return found.inst_error("types.operand", inst, message),
    };
    if inferred.len() != data.results.len() {
        let message = format!("needs {} results, has {}", inferred.len(), data.results.len());
        return found.inst_error("types.result", inst, message);
    }
    for (inferred, &result) in inferred.iter().zip(&data.results) {
        let declared = graph.ty(result);
        if !accepts(&data.op, inferred, declared) {
            let message = format!("%{} is {declared}, must be {inferred}", graph.name(result));
            found.inst_error("types.result", inst, message);
        }
    }
}

fn scan(graph: &Graph, found: &mut Found, inst: Inst, region: Region) {
    let (data, region) = (graph.inst(inst), graph.region(region));
    let (slices, carried) = region.args.split_at(region.slices());
    let over_time = data.args.iter().zip(slices).chain(data.results.iter().zip(&region.yields));
    for (&whole, &step) in over_time {
        if *graph.ty(whole) != graph.ty(step).with_time(region.steps) || graph.ty(step).has(AxisName::T) {
            let (whole_name, step_name) = (graph.name(whole), graph.name(step));
            let message = format!(
                "%{step_name} : {} at each of {} timesteps does not make %{whole_name} : {}",
                graph.ty(step),
                region.steps,
                graph.ty(whole)
            );
            found.inst_error("types.scan", inst, message);
        }
    }
    for (&carry, &next) in carried.iter().zip(&region.next) {
        if graph.ty(carry) != graph.ty(next) {
            let (carry, next) = (graph.name(carry), graph.name(next));
            found.inst_error(
                "types.scan",
                inst,
                format!("%{carry} and its next value %{next} differ in type"),
            );
        }
    }
}

fn ends(graph: &Graph, found: &mut Found) {
    for (what, pairs) in [("gradient", &graph.grads), ("next value", &graph.updates)] {
        for &(of, value) in pairs {
            let (of_ty, ty) = (graph.ty(of), graph.ty(value));
            if ty.axes != of_ty.axes || ty.elem != Elem::F32 {
                let message = format!("%{} : {of_ty} has a {what} of type {ty}", graph.name(of));
                found.graph_error("types.ends", message);
            }
        }
    }
}
