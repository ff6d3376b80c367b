//! Machine code against the oracle: random networks run through the whole compiler and in the interpreter.
//!
//! Values are chosen so that no membrane is near its threshold: spikes are the same, and what remains is
//! rounding of f32.

use snnc_compiler::plan::Recipe;
use snnc_compiler::{Mode, Options, compile_graph};
use snnc_ir::interp::{Env, Tensor, run};
use snnc_ir::random::{RandomOptions, attention_graph, graph, values};
use snnc_ir::{AxisName, Graph, InstData, Op, Over, Value};
use snnc_passes::pipeline;
use snnc_runtime::Session;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

/// A session of a graph with parameters and inputs set, compiled without some of the passes.
fn session(graph: &Graph, given: &HashMap<String, Tensor>, batch: usize, skip: &[&str]) -> Session {
    let skip = skip.iter().map(|pass| pass.to_string()).collect();
    let options = Options { verify: true, skip, ..Options::new(graph.mode) };
    let compiled = compile_graph(graph.clone(), Recipe::default(), &options)
        .unwrap_or_else(|error| panic!("{} without {:?}: {error}", graph.name, options.skip));
    let mut session = Session::new(compiled.executable, batch, 1 + batch % 2).expect("memory");
    for &param in &graph.params {
        let name = graph.name(param);
        session.set_param(name, &floats(&given[name])).expect("a parameter");
    }
    let image = graph.inputs[0];
    let data = floats(&given[graph.name(image)]);
    let steps = if graph.ty(image).has(AxisName::T) { graph.ty(image).extent(AxisName::T) } else { 1 };
    let part = data.len() / steps / batch;
    let fill = |slot: usize, to: &mut [f32]| {
        for (t, values) in to.chunks_exact_mut(part).enumerate() {
            values.copy_from_slice(&data[(t * batch + slot) * part..][..part]);
        }
        Ok(())
    };
    session.set_inputs(batch, fill).expect("inputs");
    if let Some(&labels) = graph.inputs.get(1) {
        let labels: Vec<i32> = given[graph.name(labels)].data.iter().map(|&label| label as i32).collect();
        session.set_labels(&labels).expect("labels");
    }
    session
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.data.iter().map(|&value| value as f32).collect()
}

fn close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    close_at(largest(expected, 1e-2), what, found, expected, tolerance);
}

fn largest(values: &[f64], least: f64) -> f64 {
    values.iter().fold(least, |top, value| top.max(value.abs()))
}

/// Compares a gradient; `most` is the largest of the network. A bias before batch statistics has none: its terms cancel,
/// and what is left is their rounding, which is judged by the network's gradients.
fn close_gradient(what: &str, found: &[f32], expected: &[f64], most: f64) {
    if largest(expected, 0.0) < 1e-9 {
        close_at(most.max(1e-2), what, found, expected, 1e-5);
    } else {
        close(what, found, expected, 2e-4);
    }
}

/// Fails unless the two are within the tolerance, relative to the scale.
fn close_at(scale: f64, what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: other length");
    for (i, (&a, &b)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(a) - b).abs();
        assert!(error <= tolerance * scale, "{what}[{i}]: {a} where the interpreter has {b} (scale {scale})");
    }
}

/// The logical graph with its gradients, which the interpreter runs; passes were checked elsewhere.
fn oracle(graph: &Graph, given: &HashMap<String, Tensor>, batch: usize) -> (Graph, HashMap<String, Tensor>) {
    let mut whole = graph.clone();
    if graph.mode == Mode::Train {
        pipeline::find("autodiff").expect("it is in the pipeline").apply(&mut whole);
    }
    let env = Env { batch, values: given.clone(), smooth: false };
    let results = run(&whole, &env).unwrap_or_else(|error| panic!("{error}"));
    (whole, results)
}

/// Compiles and runs a graph of this seed, and compares whatever the machine code leaves with the oracle.
fn check(graph: Graph, seed: u64, batch: usize) {
    check_without(&[], graph, seed, batch);
}

fn check_without(skip: &[&str], graph: Graph, seed: u64, batch: usize) {
    let mode = graph.mode;
    let given = values(&graph, seed, batch);
    let (whole, expected) = oracle(&graph, &given, batch);
    let of = |value: Value| &expected[whole.name(value)].data;
    let mut session = session(&graph, &given, batch, skip);
    session.run_forward().expect("forward");
    let what = |part: &str| format!("{} {mode:?} without {skip:?}: {part}", graph.name);
    close(&what("logits"), session.logits().expect("logits"), of(whole.outputs[0]), 2e-5);
    let logits = session.logits().expect("logits").to_vec();
    if mode == Mode::Infer {
        session.run_forward().expect("forward again");
        assert_eq!(logits, session.logits().expect("logits"), "inputs outlive a step");
        return;
    }
    session.run_backward().expect("backward");
    close(&what("loss"), &[session.loss().expect("loss")], of(whole.outputs[1]), 2e-5);
    let most = whole.grads.iter().fold(0.0, |most, &(_, grad)| largest(of(grad), most));
    for &(param, grad) in &whole.grads {
        let name = whole.name(param);
        close_gradient(&what(name), session.grad(name).expect("a gradient"), of(grad), most);
    }
    session.run_forward().expect("forward again");
    session.run_backward().expect("backward again");
    assert_eq!(logits, session.logits().expect("logits"), "a step may run again on the same inputs");
    session.apply_updates().expect("updates");
    for &(param, next) in &whole.updates {
        let name = whole.name(param);
        close(&what(name), session.param(name).expect("a statistic"), of(next), 2e-5);
    }
}

fn options(seed: u64, mode: Mode) -> RandomOptions {
    RandomOptions { mode, blocks: 1 + (seed % 4) as usize, smooth: false }
}

#[test]
fn random_networks_infer_as_the_interpreter_does() {
    (0..60).for_each(|seed| check(graph(seed, options(seed, Mode::Infer)), seed, 1 + (seed % 3) as usize));
}

#[test]
fn random_networks_have_the_interpreters_gradients() {
    (100..180).for_each(|seed| check(graph(seed, options(seed, Mode::Train)), seed, 2 + (seed % 3) as usize));
}

#[test]
fn random_attention_infers_as_the_interpreter_does() {
    attention_seeds(0..120, Mode::Infer);
}

#[test]
fn random_attention_has_the_interpreters_gradients() {
    attention_seeds(300..420, Mode::Train);
}

/// Machine code is right whichever of the passes are left out.
#[test]
fn no_pass_is_needed_for_the_right_result() {
    for mode in [Mode::Infer, Mode::Train] {
        let optional = pipeline::of(mode).iter().filter(|pass| pass.optional);
        for (n, pass) in optional.enumerate() {
            for seed in (700..708).map(|seed| seed + 20 * n as u64) {
                let graph = if seed % 2 == 0 { graph } else { attention_graph };
                check_without(&[pass.name], graph(seed, options(seed, mode)), seed, 2);
            }
        }
    }
}

/// Checks graphs with attention and masks, and that every kind of both was among them.
fn attention_seeds(seeds: Range<u64>, mode: Mode) {
    let mut found = BTreeSet::new();
    for seed in seeds {
        let graph =
            attention_graph(seed, RandomOptions { blocks: 1 + (seed % 2) as usize, ..options(seed, mode) });
        found.extend(graph.body.iter().flat_map(|&inst| kinds(&graph, graph.inst(inst))));
        check(graph, seed, 1 + (seed % 3) as usize);
    }
    let overs = ["space", "time", "chunks", "whole"];
    let ordered = |over| ["Auto", "KvFirst", "QkFirst", "causal"].map(|kind| format!("{over} {kind}"));
    let masks = ["mask", "mask.not", "channel_sum"].map(String::from);
    let missing: Vec<String> =
        overs.into_iter().flat_map(ordered).chain(masks).filter(|kind| !found.contains(kind)).collect();
    assert!(missing.is_empty(), "no seed has {missing:?}");
}

/// What kinds of attention or masks an operation is, counted where it runs over more than one timestep.
fn kinds(graph: &Graph, data: &InstData) -> Vec<String> {
    let attention = match &data.op {
        Op::Attention(attention) => attention,
        Op::Mask | Op::MaskNot | Op::ChannelSum(_) => return vec![data.op.info().mnemonic.to_string()],
        _other => return Vec::new(),
    };
    let steps = graph.ty(data.args[0]).extent(AxisName::T);
    let over = match attention.over {
        Over::Space => "space",
        Over::Time => "time",
        Over::SpaceTime(chunk) if chunk == steps => "whole",
        Over::SpaceTime(_) => "chunks",
    };
    let causal = attention.causal.then(|| format!("{over} causal"));
    if steps < 2 {
        Vec::new()
    } else {
        causal.into_iter().chain([format!("{over} {:?}", attention.order)]).collect()
    }
}
