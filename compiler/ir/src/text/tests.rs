//! Round trips of hand-written graphs, and the messages of the parser.

use super::{parse, parse_type, print};
use crate::op::Op;

/// Every operation once, verified elsewhere: here only the text counts.
const EVERY_OP: &str = include_str!("every_op.snnir");

#[test]
fn every_operation_survives_the_round_trip() {
    let graph = parse(EVERY_OP).unwrap();
    let text = print(&graph);
    assert_eq!(parse(&text).unwrap(), graph);
    assert_eq!(text, EVERY_OP);
}

#[test]
fn the_round_trip_case_has_every_operation() {
    let graph = parse(EVERY_OP).unwrap();
    let mut found: Vec<&str> =
        graph.all_insts().iter().map(|&inst| graph.inst(inst).op.info().mnemonic).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 53, "{found:?}");
}

#[test]
fn comments_and_missing_attributes_are_allowed() {
    let text = "graph @g { ; a comment\n input %x : f32[T2 B C3] %s : spike[T2 B C3] = lif %x {decay=1e-5 threshold=-2} }";
    let graph = parse(text).unwrap();
    let Op::Lif(lif) = graph.inst(graph.body[0]).op else { panic!() };
    assert_eq!((lif.decay, lif.threshold, lif.gain), (1e-5, -2.0, 1.0));
}

#[test]
fn mistakes_are_errors_with_their_line() {
    let cases = [
        ("", "line 1: expected `graph`, found the end of the text"),
        ("graph @g {\n", "line 1: expected a value's name, found the end of the text"),
        ("graph @g stage=late {}", "line 1: expected a stage (logical, masked, fused, packed), found `late`"),
        (
            "graph @g {\n input %x : f64[B]\n}",
            "line 2: expected a kind of element (f32, i32, spike, bits), found `f64`",
        ),
        ("graph @g {\n input %x : f32[B Q4]\n}", "line 2: `Q4` is no axis"),
        ("graph @g {\n input %x : f32[B4]\n}", "line 2: `B4` is no axis"),
        (
            "graph @g {\n input %x : f32[T99999999999999999999]\n}",
            "line 2: `T99999999999999999999` is no axis",
        ),
        ("graph @g {\n input %x : f32[C4 C4]\n}", "line 2: the axis C stands there twice"),
        ("graph @g {\n input %x : f32[B]\n input %x : f32[B]\n}", "line 3: `%x` is defined twice"),
        ("graph @g {\n %y : f32[B] = scale %x\n}", "line 2: `%x` is not defined before this line"),
        (
            "graph @g {\n input %x : f32[B]\n %y : f32[B] = relu %x\n}",
            "line 3: `relu`: there is no operation `relu`",
        ),
        (
            "graph @g {\n input %x : f32[B]\n %y : f32[B] = scale %x {to=2}\n}",
            "line 3: `scale`: there is no attribute `to` here",
        ),
        (
            "graph @g {\n input %x : f32[B]\n %y : f32[B] = scale %x {by=a}\n}",
            "line 3: `scale`: `by` needs a number",
        ),
        (
            "graph @g {\n param %x : f32[B]\n}",
            "line 3: expected the parameter's kind (weight, bias, gain, shift, running_mean, running_var, neuron), found `}`",
        ),
        ("graph @g {\n ! }", "line 2: unexpected character '!'"),
        ("graph @g {\n % }", "line 2: expected a name after `%`"),
        ("graph @g { } x", "line 1: expected the end of the text, found `x`"),
    ];
    for (text, message) in cases {
        assert_eq!(parse(text).unwrap_err().to_string(), message);
    }
    assert!(parse_type("f32[").is_err());
    assert_eq!(parse_type("bits[T4 B H2 W2 | C64]").unwrap().to_string(), "bits[T4 B H2 W2 | C64]");
}

/// The parser takes any prefix of a text, and any text with one character changed, without a panic.
#[test]
fn damaged_texts_do_not_panic() {
    let characters: Vec<char> = EVERY_OP.chars().collect();
    for at in (0..characters.len()).step_by(7) {
        let _ = parse(&characters[..at].iter().collect::<String>());
        for damage in ['%', '}', '(', 'é', '9'] {
            let mut copy = characters.clone();
            copy[at] = damage;
            let _ = parse(&copy.iter().collect::<String>());
        }
    }
}
