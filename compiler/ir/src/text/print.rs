//! A graph as text.

use super::attributes;
use crate::entity::{Inst, Region, Value};
use crate::graph::{Def, Graph, Mode, ParamKind, Stage};
use std::fmt::Write;

/// The text of a graph, in the order parameters, inputs, body, outputs, gradients, updates.
pub fn print(graph: &Graph) -> String {
    let mut out = format!(
        "graph @{} stage={} mode={} {{\n",
        graph.name,
        stage_name(graph.stage),
        mode_name(graph.mode)
    );
    for &param in &graph.params {
        let kind = match graph.value(param).def {
            Def::Param(kind) => format!(" {}", kind_name(kind)),
            Def::Input | Def::Result(..) | Def::Arg(..) => String::new(),
        };
        let init =
            graph.value(param).init.map_or(String::new(), |x| format!(" init={}", attributes::float(x)));
        line(&mut out, 1, &format!("param {}{kind}{init}", typed(graph, param)));
    }
    for &input in &graph.inputs {
        line(&mut out, 1, &format!("input {}", typed(graph, input)));
    }
    print_body(&mut out, graph, &graph.body, 1);
    if !graph.outputs.is_empty() {
        line(&mut out, 1, &format!("output {}", names(graph, &graph.outputs)));
    }
    for (word, pairs) in [("grad", &graph.grads), ("update", &graph.updates)] {
        for &(of, value) in pairs {
            line(&mut out, 1, &format!("{word} %{} = %{}", graph.name(of), graph.name(value)));
        }
    }
    out.push_str("}\n");
    out
}

fn print_body(out: &mut String, graph: &Graph, body: &[Inst], depth: usize) {
    for &inst in body {
        match graph.inst(inst).region {
            Some(region) => print_scan(out, graph, inst, region, depth),
            None => line(out, depth, &instruction(graph, inst)),
        }
    }
}

/// `%a, %b : type, type = op %x, %y {…}`.
pub(crate) fn instruction(graph: &Graph, inst: Inst) -> String {
    let data = graph.inst(inst);
    let mut text = format!("{} = {}", results(graph, inst), data.op.info().mnemonic);
    if !data.args.is_empty() {
        let _ = write!(text, " {}", names(graph, &data.args));
    }
    let attributes = attributes::of(&data.op);
    if !attributes.is_empty() {
        let pairs: Vec<String> = attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let _ = write!(text, " {{{}}}", pairs.join(", "));
    }
    text
}

fn print_scan(out: &mut String, graph: &Graph, inst: Inst, region: Region, depth: usize) {
    let (data, region) = (graph.inst(inst), graph.region(region));
    let mut head = format!("{} = scan t in T{}", results(graph, inst), region.steps);
    let (slices, carries) = region.args.split_at(region.slices());
    if !slices.is_empty() {
        let pairs = slices.iter().zip(&data.args);
        let text = pairs.map(|(&slice, &of)| format!("{} = %{}", typed(graph, slice), graph.name(of)));
        let _ = write!(head, " slice ({})", text.collect::<Vec<_>>().join(", "));
    }
    if !carries.is_empty() {
        let pairs = carries.iter().zip(&region.init);
        let text =
            pairs.map(|(&carry, &init)| format!("{} = {}", typed(graph, carry), attributes::float(init)));
        let _ = write!(head, " carry ({})", text.collect::<Vec<_>>().join(", "));
    }
    line(out, depth, &format!("{head} {{"));
    print_body(out, graph, &region.body, depth + 1);
    let mut last = "yield".to_string();
    if !region.yields.is_empty() {
        let _ = write!(last, " {}", names(graph, &region.yields));
    }
    if !region.next.is_empty() {
        let _ = write!(last, " carry {}", names(graph, &region.next));
    }
    line(out, depth + 1, &last);
    line(out, depth, "}");
}

fn line(out: &mut String, depth: usize, text: &str) {
    let _ = writeln!(out, "{:indent$}{text}", "", indent = 2 * depth);
}

fn typed(graph: &Graph, value: Value) -> String {
    format!("%{} : {}", graph.name(value), graph.ty(value))
}

fn names(graph: &Graph, values: &[Value]) -> String {
    let names: Vec<String> = values.iter().map(|&value| format!("%{}", graph.name(value))).collect();
    names.join(", ")
}

fn results(graph: &Graph, inst: Inst) -> String {
    let results = &graph.inst(inst).results;
    let types: Vec<String> = results.iter().map(|&value| graph.ty(value).to_string()).collect();
    format!("{} : {}", names(graph, results), types.join(", "))
}

/// The stage's name in the text form.
pub(crate) fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Logical => "logical",
        Stage::Masked => "masked",
        Stage::Fused => "fused",
        Stage::Packed => "packed",
    }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Infer => "infer",
        Mode::Train => "train",
    }
}

fn kind_name(kind: ParamKind) -> &'static str {
    match kind {
        ParamKind::Weight => "weight",
        ParamKind::Bias => "bias",
        ParamKind::Gain => "gain",
        ParamKind::Shift => "shift",
        ParamKind::RunningMean => "running_mean",
        ParamKind::RunningVar => "running_var",
        ParamKind::Neuron => "neuron",
    }
}
