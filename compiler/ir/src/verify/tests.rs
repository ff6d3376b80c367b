//! For every rule a graph that breaks it, with the message.

use super::verify;
use crate::entity::{Inst, Value};
use crate::graph::{Def, Graph, Mode, ParamKind, Stage};
use crate::op::Op;
use crate::text::parse;
use crate::types::{Axis, AxisName, Type};

/// The errors of a graph in text, of these head and lines.
fn errors(head: &str, lines: &str) -> String {
    let graph = parse(&format!("graph @g {head} {{\n{lines}\n}}")).unwrap_or_else(|error| panic!("{error}"));
    verify(&graph).err().map_or(String::new(), |errors| errors.to_string())
}

#[track_caller]
fn breaks(head: &str, lines: &str, expected: &str) {
    let found = errors(head, lines);
    assert!(found.lines().any(|line| line.starts_with(expected)), "expected {expected}\nfound\n{found}");
}

fn features(channels: usize) -> Type {
    Type::f32(vec![Axis::batch(), Axis::new(AxisName::C, channels)])
}

#[test]
fn the_case_with_every_operation_is_nearly_right() {
    // `lif` alone does not belong in a packed graph.
    let graph = parse(include_str!("../text/every_op.snnir")).unwrap();
    let errors = verify(&graph).unwrap_err().0;
    let rules: Vec<&str> = errors.iter().map(|error| error.rule).collect();
    assert_eq!(rules, ["stage.op", "stage.spikes"], "{errors:#?}");
}

#[test]
fn references() {
    let mut graph = Graph::new("g", Mode::Infer);
    graph.outputs.push(Value(3));
    graph.body.push(Inst(7));
    let message = verify(&graph).unwrap_err().to_string();
    assert_eq!(
        message,
        "structure.reference: there is no instruction 7\nstructure.reference: there is no value 3"
    );
}

#[test]
fn an_instruction_stands_in_one_place() {
    let mut graph = Graph::new("g", Mode::Infer);
    let x = graph.add_input("x", features(4));
    graph.push("y", Op::Scale(2.0), &[x], features(4));
    graph.body.push(graph.body[0]);
    let message = verify(&graph).unwrap_err().to_string();
    assert!(message.starts_with("structure.once: stands in two places in `%y"), "{message}");
}

#[test]
fn a_value_has_one_origin() {
    let mut graph = Graph::new("g", Mode::Infer);
    let x = graph.add_input("x", features(4));
    graph.inputs.push(x);
    let message = verify(&graph).unwrap_err().to_string();
    assert!(message.starts_with("structure.once: %x has two origins"), "{message}");
    graph.inputs.pop();
    graph.params.push(x);
    assert_eq!(verify(&graph).unwrap_err().to_string(), "structure.once: %x is no parameter");
    assert_eq!(graph.value(x).def, Def::Input);
}

#[test]
fn operands_precede_users() {
    let mut graph = Graph::new("g", Mode::Infer);
    let x = graph.add_input("x", features(4));
    let y = graph.push("y", Op::Scale(2.0), &[x], features(4));
    graph.push("z", Op::Scale(2.0), &[y], features(4));
    assert!(verify(&graph).is_ok());
    graph.body.swap(0, 1);
    assert_eq!(
        verify(&graph).unwrap_err().to_string(),
        "structure.order: %y is not defined before its use in `%z : f32[B C4] = scale %y {by=2}`"
    );
}

#[test]
fn arity() {
    breaks("", "input %x : f32[B C4]\n%y : f32[B C4] = add %x", "structure.arity: needs 2 operands, has 1");
    breaks(
        "",
        "input %x : f32[B C4]\n%y, %z : f32[B C4], f32[B C4] = scale %x",
        "structure.arity: needs 1 result, has 2",
    );
    breaks("", "%y : f32[B C4] = scale", "structure.arity: needs 1 operand, has 0");
}

const SCAN_HEAD: &str = "stage=fused";
const SCAN: &str = "input %x : f32[T2 B C4]
    %s : f32[T2 B C4] = scan t in T2 slice (%x.t : f32[B C4] = %x) carry (%v : f32[B C4] = 0) {
        %h : f32[B C4] = lif.charge %v, %x.t
        %f : spike[B C4] = lif.fire %h
        %n : f32[B C4] = lif.reset %h, %f
        yield %n carry %n
    }";

#[test]
fn scans() {
    assert_eq!(errors(SCAN_HEAD, SCAN), "");
    let broken = |from: &str, to: &str, expected: &str| {
        assert!(SCAN.contains(from), "{from}");
        breaks(SCAN_HEAD, &SCAN.replace(from, to), expected);
    };
    broken("yield %n carry %n", "yield %n", "structure.scan: needs 1 next carried values, has 0");
    broken("yield %n carry %n", "yield %n, %f carry %n", "structure.scan: needs 1 yields, has 2");
    broken("yield %n carry %n", "yield %n carry %f", "types.scan: %v and its next value %f differ in type");
    broken("yield %n carry", "yield %f carry", "types.scan: %f : spike[B C4] at each of 2 timesteps");
    broken("in T2", "in T3", "types.scan: %x.t : f32[B C4] at each of 3 timesteps does not make %x");
    broken(
        "lif.charge %v, %x.t",
        "lif.charge %v, %x",
        "types.operand: needs the axes of f32[B C4] in its current",
    );
    broken("lif.charge %v, %x.t", "mean %x {over=[T]}", "time.region: `mean` cannot stand in a scan");
    broken("lif.charge %v, %x.t", "mean %x {over=[T]}", "time.region: %x has the axis T inside a scan");
    breaks(SCAN_HEAD, &format!("{SCAN}\noutput %h"), "structure.ends: %h is no value of the body");
    breaks(
        SCAN_HEAD,
        &format!("{SCAN}\n%y : f32[B C4] = scale %h"),
        "structure.order: %h is not defined before its use",
    );
    breaks("stage=logical", SCAN, "stage.op: `scan` cannot stand in stage logical");
}

#[test]
fn a_region_belongs_to_a_scan_of_the_body() {
    let mut graph = parse(&format!("graph @g stage=fused {{ {SCAN} }}")).unwrap();
    let scan = graph.body[0];
    graph.inst_mut(scan).op = Op::Add;
    let message = verify(&graph).unwrap_err().to_string();
    assert!(message.contains("structure.scan: a scan, and nothing else, has a region"), "{message}");
}

#[test]
fn ends() {
    let mut graph = Graph::new("g", Mode::Train);
    let w = graph.add_param("w", features(4).without(AxisName::B), ParamKind::Gain);
    let m = graph.add_param("m", features(4).without(AxisName::B), ParamKind::RunningMean);
    let x = graph.add_input("x", features(4));
    graph.grads = vec![(w, w), (x, x)];
    graph.updates = vec![(m, m)];
    assert!(verify(&graph).is_ok());
    graph.grads.push((m, m));
    graph.updates = vec![(w, x)];
    let message = verify(&graph).unwrap_err().to_string();
    assert_eq!(
        message,
        "structure.ends: %m can have no gradient\nstructure.ends: %w can have no update\nstructure.ends: %w has two updates"
    );
    graph.grads = vec![(w, x)];
    graph.updates.clear();
    let message = verify(&graph).unwrap_err().to_string();
    assert_eq!(message, "types.ends: %w : f32[C4] has a gradient of type f32[B C4]");
    graph.grads = vec![(w, w)];
    graph.mode = Mode::Infer;
    let message = verify(&graph).unwrap_err().to_string();
    assert_eq!(message, "structure.ends: a graph for inference has a gradient of %w");
}

#[test]
fn forms_of_types() {
    breaks("", "input %x : f32[B T2 C4]", "types.form: %x : f32[B T2 C4] has T, but not outermost");
    breaks("", "input %x : f32[B C0]", "types.form: %x : f32[B C0] has an empty axis");
    breaks("", "input %x : f32[B C4/2]", "types.form: %x : f32[B C4/2] has tiles, but is no weight");
    breaks("", "input %x : bits[C4 | B]", "types.form: %x : bits[C4 | B] is of bits, but its channels");
    let mut graph = Graph::new("g", Mode::Infer);
    graph.add_input("x", Type::f32(vec![Axis { name: AxisName::B, extent: Some(2), tile: 0 }]));
    graph.add_input("y", Type::f32(vec![Axis::batch(), Axis::batch()]));
    let message = verify(&graph).unwrap_err().to_string();
    assert!(message.contains("%x : f32[B2] needs an extent for each axis but B"), "{message}");
    assert!(message.contains("%y : f32[B B] has an axis twice"), "{message}");
}

#[test]
fn operands_fit() {
    let conv = "input %x : f32[B C4 H3 W3]\nparam %w : f32[Co2 Ci5 Kh3 Kw3] weight\n%y : f32[B C2 H1 W1] = conv2d %x, %w";
    breaks("", conv, "types.operand: needs equal channels in input and weight, has 4 and 5");
    let kernel = "input %x : f32[B C4 H2 W3]\nparam %w : f32[Co2 Ci4 Kh3 Kw3] weight\n%y : f32[B C2 H1 W1] = conv2d %x, %w";
    breaks("", kernel, "types.operand: a kernel of 3 does not fit into 2 with pad 0");
    let masked =
        "input %x : f32[B C4]\nparam %w : f32[Co2 Ci4] weight\n%y : f32[B C2] = linear.masked_add %x, %w";
    breaks("stage=masked", masked, "types.operand: needs spikes as its first operand, has f32[B C4]");
    let time = "input %x : f32[B C4]\n%y : spike[B C4] = lif %x";
    breaks("", time, "types.operand: needs the axis T in its input, has f32[B C4]");
    let pad = "input %x : f32[B C4 H2 W2]\n%y : f32[B C4 H3 W3] = max_pool %x {kernel=2x2 stride=2 pad=2}";
    breaks("", pad, "types.operand: needs a pad smaller than its kernel, has 2");
}

#[test]
fn results_fit() {
    let sum = "input %x : f32[B C4]\n%y : i32[B C4] = add %x, %x";
    breaks("", sum, "types.result: %y is i32[B C4], must be f32[B C4] in `%y : i32[B C4] = add %x, %x`");
    let window = "input %x : f32[T2 B C4]\n%y : spike[T2 B C4] = lif %x {save=window}";
    breaks("", window, "types.result: needs 2 results, has 1");
    let wider = "input %x : spike[T2 B C4]\n%y : f32[T2 B C4] = add %x, %x";
    assert_eq!(errors("", wider), "");
}

#[test]
fn stages() {
    let fire = "input %x : f32[B C4]\n%y : spike[B C4] = lif.fire %x";
    breaks("stage=masked", fire, "stage.op: `lif.fire` cannot stand in stage masked");
    breaks("stage=packed", fire, "stage.spikes: %y is not packed");
    let bits = "input %x : bits[B | C4]\n%y : f32[B C4] = scale %x";
    breaks("stage=packed", bits, "stage.bits: %x must be unpacked for `scale`");
    let flat = "input %x : bits[B H2 W1 | C4]\n%y : bits[B | C8] = flatten %x";
    breaks("stage=packed", flat, "stage.bits: %x must be unpacked for `flatten`");
    assert_eq!(errors("stage=packed", &flat.replace("H2", "H1").replace("C8", "C4")), "");
    let order = "input %x : f32[B C4 H2 W2]\n%y : f32[B C4 H2 W2] = scale %x";
    breaks("stage=packed", order, "stage.channels: the channels of %y are not innermost");
    assert_eq!(parse("graph @g stage=packed {}").unwrap().stage, Stage::Packed);
}

#[test]
fn losses_of_two_labels() {
    let head = "input %x : f32[B C4]\ninput %l : i32[B]\ninput %s : f32[B]\n";
    let loss = |args: &str| format!("{head}%y : f32[] = cross_entropy %x, {args}");
    breaks("", &loss("%l, %l"), "types.operand: needs the shares of two labels");
    breaks("", &loss("%l, %s, %s"), "types.operand: needs labels i32[B], has f32[B]");
    breaks("", &loss("%l, %l, %l"), "types.operand: needs shares f32[B], has i32[B]");
    assert_eq!(errors("", &loss("%l, %l, %s")), "");
}

#[test]
fn learned_constants() {
    let head = "param %a : f32[C3] neuron\nparam %b : f32[C4] neuron\ninput %x : f32[T2 B C4]\n";
    let lif = |line: &str| format!("{head}%s : spike[T2 B C4] = lif {line}");
    breaks(
        "",
        &lif("%x, %a {learned=[decay]}"),
        "types.operand: needs f32[C1] or f32[C4] as a learned constant, has f32[C3]",
    );
    breaks("", &lif("%x, %b"), "types.operand: takes 1 operand before its learned constants, has 2");
    breaks(
        "",
        &lif("%x {learned=[gain]}"),
        "types.operand: lacks operands for its 1 learned constants, has 1",
    );
    assert_eq!(errors("", &lif("%x, %b, %b {learned=[decay threshold]}")), "");
    let scaled = format!("{head}%y : f32[T2 B C4] = step_scale %x, %b");
    breaks("", &scaled, "types.operand: needs the axes of f32[T2] in its scale, has f32[C4]");
}

#[test]
fn attention_and_masks() {
    let operands = "input %q : f32[T4 B C6] input %v : f32[T4 B C4] input %s : spike[T4 B C6]";
    let attend = |q: &str, v: &str, attributes: &str| {
        let axes = "f32[T4 B C6]";
        format!("{operands} %o : {axes} = attention %{q}, %{q}, %{v} {{{attributes}}}")
    };
    for (attributes, message) in [
        ("heads=4", "needs heads that divide 6 channels, has 4"),
        ("heads=0", "needs heads that divide 6 channels, has 0"),
        ("heads=3", "needs heads that divide 4 channels, has 3"),
        ("over=space_time(3)", "needs a chunk that divides 4 timesteps, has 3"),
    ] {
        breaks("", &attend("q", "v", attributes), &format!("types.operand: {message}"));
    }
    let still = "input %x : spike[B C4] %o : i32[B C4] = attention %x, %x, %x {over=time}";
    breaks("", still, "types.operand: needs the axis T in its queries");
    breaks("stage=masked", &attend("q", "q", "heads=1"), "stage.binary: %q must be spikes for `attention`");
    let mask = format!("{operands} %o : spike[T4 B C6] = mask %s, %v");
    breaks("", &mask, "types.operand: needs a mask of axes of spike[T4 B C6], has f32[T4 B C4]");
    let mask = format!("{operands} %o : f32[T4 B C6] = mask.not %s, %q");
    breaks("stage=masked", &mask, "stage.binary: %q must be spikes for `mask.not`");
    let sum = format!("{operands} %o : i32[T4 B C4] = channel_sum %s {{groups=4}}");
    breaks("", &sum, "types.operand: needs groups that divide 6 channels, has 4");
    let spread = format!("{operands} %o : f32[T4 B C6] = channel_spread %v");
    breaks("", &spread, "types.operand: needs a result whose channels are a multiple of 4, has 6");
}
