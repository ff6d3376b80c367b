//! References and their order.
//!
//! - `structure.reference`: every value, instruction and region that is named exists.
//! - `structure.once`: an instruction stands in one place, a region belongs to one scan, a value has one
//!   origin, which knows it, and a name of its own.
//! - `structure.arity`: operands and results are as many as the table says.
//! - `structure.scan`: a scan, and nothing else, has a region; regions hold no scans; a scan has an operand per
//!   slice, a yield per result and a next value per carried value.
//! - `structure.order`: operands precede users; what a region defines is used inside only.
//! - `structure.ends`: outputs, gradients and updates are values of the body; gradients are of parameters or
//!   inputs, updates of running statistics, both once each and in training only.

use super::Found;
use crate::entity::{Inst, Region, Value};
use crate::graph::{Def, Graph, Mode};
use crate::infer::count_text;
use crate::op::Op;
use std::collections::HashSet;

/// Checks the structure; each step only what the steps before have made safe to index.
pub fn check(graph: &Graph, found: &mut Found) {
    let steps: [fn(&Graph, &mut Found); 5] = [references, once, shapes_of_scans, order, ends];
    for step in steps {
        step(graph, found);
        if !found.errors.is_empty() {
            return;
        }
    }
}

fn references(graph: &Graph, found: &mut Found) {
    let mut values: Vec<Value> =
        [&graph.params, &graph.inputs, &graph.outputs].into_iter().flatten().copied().collect();
    values.extend(graph.grads.iter().chain(&graph.updates).flat_map(|&(of, value)| [of, value]));
    for &inst in &graph.body {
        let Some(region) = referenced_inst(graph, found, inst, &mut values) else { continue };
        let data = graph.region(region);
        values.extend(data.args.iter().chain(&data.yields).chain(&data.next));
        for &inner in &data.body {
            referenced_inst(graph, found, inner, &mut values);
        }
    }
    for value in values.into_iter().filter(|value| value.index() >= graph.value_count()) {
        found.graph_error("structure.reference", format!("there is no value {}", value.0));
    }
}

/// Notes the values of an instruction; gives its region. Nothing when either does not exist.
fn referenced_inst(graph: &Graph, found: &mut Found, inst: Inst, values: &mut Vec<Value>) -> Option<Region> {
    if inst.index() >= graph.inst_count() {
        found.graph_error("structure.reference", format!("there is no instruction {}", inst.0));
        return None;
    }
    let data = graph.inst(inst);
    values.extend(data.args.iter().chain(&data.results));
    let region = data.region?;
    if region.index() >= graph.region_count() {
        found.graph_error("structure.reference", format!("there is no region {}", region.0));
        return None;
    }
    Some(region)
}

/// Who defines what, and that each does once.
fn once(graph: &Graph, found: &mut Found) {
    let mut insts: HashSet<Inst> = HashSet::new();
    let mut regions: HashSet<Region> = HashSet::new();
    let mut defined: Vec<(Value, Def)> = Vec::new();
    for &param in &graph.params {
        let Def::Param(kind) = graph.value(param).def else {
            found.graph_error("structure.once", format!("%{} is no parameter", graph.name(param)));
            continue;
        };
        defined.push((param, Def::Param(kind)));
    }
    defined.extend(graph.inputs.iter().map(|&input| (input, Def::Input)));
    for inst in graph.all_insts() {
        if !insts.insert(inst) {
            found.inst_error("structure.once", inst, "stands in two places".to_string());
        }
        let data = graph.inst(inst);
        defined.extend(data.results.iter().enumerate().map(|(n, &value)| (value, Def::Result(inst, n))));
        let Some(region) = data.region else { continue };
        if !regions.insert(region) {
            found.inst_error("structure.once", inst, "its region belongs to another scan too".to_string());
        }
        let args = graph.region(region).args.iter().enumerate();
        defined.extend(args.map(|(n, &value)| (value, Def::Arg(region, n))));
    }
    let (mut seen, mut names) = (HashSet::new(), HashSet::new());
    for (value, def) in defined {
        if !seen.insert(value) || graph.value(value).def != def {
            found.graph_error("structure.once", format!("%{} has two origins", graph.name(value)));
        }
        if !names.insert(graph.name(value)) {
            found.graph_error("structure.once", format!("two values are named %{}", graph.name(value)));
        }
    }
}

fn shapes_of_scans(graph: &Graph, found: &mut Found) {
    for (outer, inst) in super::placed(graph) {
        let data = graph.inst(inst);
        let info = data.op.info();
        for (what, count, (least, most)) in
            [("operand", data.args.len(), info.operands), ("result", data.results.len(), info.results)]
        {
            if count < least || count > most {
                let message = format!("needs {}, has {count}", count_text(least, most, what));
                found.inst_error("structure.arity", inst, message);
            }
        }
        if (data.op == Op::Scan) != data.region.is_some() {
            found.inst_error("structure.scan", inst, "a scan, and nothing else, has a region".to_string());
        }
        let Some(region) = data.region else { continue };
        if outer.is_some() {
            found.inst_error("structure.scan", inst, "stands in the region of another scan".to_string());
        }
        let region = graph.region(region);
        let carried = region.init.len();
        let slices = region.args.len().checked_sub(carried);
        for (what, has, needs) in [
            ("operands", Some(data.args.len()), slices),
            ("yields", Some(region.yields.len()), Some(data.results.len())),
            ("next carried values", Some(region.next.len()), Some(carried)),
        ] {
            if has != needs {
                let (has, needs) = (has.unwrap_or(0), needs.unwrap_or(0));
                found.inst_error("structure.scan", inst, format!("needs {needs} {what}, has {has}"));
            }
        }
    }
}

fn order(graph: &Graph, found: &mut Found) {
    let mut defined: HashSet<Value> = graph.params.iter().chain(&graph.inputs).copied().collect();
    for &inst in &graph.body {
        let data = graph.inst(inst);
        uses(graph, found, inst, &data.args, &defined);
        if let Some(region) = data.region {
            let region = graph.region(region);
            let mut inside = defined.clone();
            inside.extend(&region.args);
            for &inner in &region.body {
                uses(graph, found, inner, &graph.inst(inner).args, &inside);
                inside.extend(&graph.inst(inner).results);
            }
            uses(graph, found, inst, &region.yields, &inside);
            uses(graph, found, inst, &region.next, &inside);
        }
        defined.extend(&data.results);
    }
    let ends = graph.outputs.iter().chain(graph.grads.iter().chain(&graph.updates).map(|(_, value)| value));
    for &value in ends.filter(|value| !defined.contains(value)) {
        let message = format!("%{} is no value of the body", graph.name(value));
        found.graph_error("structure.ends", message);
    }
}

fn uses(graph: &Graph, found: &mut Found, inst: Inst, values: &[Value], defined: &HashSet<Value>) {
    for &value in values.iter().filter(|value| !defined.contains(value)) {
        let message = format!("%{} is not defined before its use", graph.name(value));
        found.inst_error("structure.order", inst, message);
    }
}

fn ends(graph: &Graph, found: &mut Found) {
    let mut seen = HashSet::new();
    for (what, pairs) in [("gradient", &graph.grads), ("update", &graph.updates)] {
        for &(of, _) in pairs {
            let name = graph.name(of);
            let allowed = match graph.value(of).def {
                Def::Param(kind) => kind.is_trained() == (what == "gradient"),
                Def::Input => what == "gradient",
                Def::Result(..) | Def::Arg(..) => false,
            };
            if !allowed {
                found.graph_error("structure.ends", format!("%{name} can have no {what}"));
            }
            if !seen.insert(of) {
                found.graph_error("structure.ends", format!("%{name} has two {what}s"));
            }
            if graph.mode == Mode::Infer {
                found.graph_error("structure.ends", format!("a graph for inference has a {what} of %{name}"));
            }
        }
    }
}
