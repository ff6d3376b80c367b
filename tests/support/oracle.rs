//! Machine code against the oracle: a logical graph through the whole compiler and in the interpreter.
//!
//! Where values are such that no membrane is near its threshold, spikes are the same and what remains is rounding of
//! f32.

use snnc_compiler::plan::Recipe;
use snnc_compiler::{Mode, Options, compile_graph};
use snnc_ir::interp::{Env, Tensor, run};
use snnc_ir::{AxisName, Graph, Value};
use snnc_runtime::Session;
use std::collections::HashMap;

/// Compiles and runs a graph on values, and compares whatever the machine code leaves with the oracle.
///
/// Logits, loss and statistics agree to 2e-5 of their tensor's largest value, gradients to `tolerance`.
pub fn check(
    graph: Graph,
    given: &HashMap<String, Tensor>,
    batch_and_threads: (usize, usize),
    tolerance: f64,
) {
    check_without(&[], graph, given, batch_and_threads, tolerance);
}

/// The same, compiled without some of the passes.
pub fn check_without(
    skip: &[&str],
    graph: Graph,
    given: &HashMap<String, Tensor>,
    batch_and_threads: (usize, usize),
    tolerance: f64,
) {
    let skip = skip.iter().map(|pass| pass.to_string()).collect();
    check_with(Options { skip, ..Options::new(graph.mode) }, graph, given, batch_and_threads, tolerance);
}

/// The same, compiled with these options.
pub fn check_with(
    options: Options,
    graph: Graph,
    given: &HashMap<String, Tensor>,
    (batch, threads): (usize, usize),
    tolerance: f64,
) {
    let mode = graph.mode;
    let (whole, expected) = oracle(&graph, given, batch);
    let of = |value: Value| &expected[whole.name(value)].data;
    let options = Options { verify: true, ..options };
    let mut session = session(&graph, given, (batch, threads), &options);
    session.run_forward().expect("forward");
    let (skip, forms) = (&options.skip, &options.forms);
    let what = |part: &str| format!("{} {mode:?} without {skip:?}, {forms:?}: {part}", graph.name);
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
        close_gradient(&what(name), session.grad(name).expect("a gradient"), of(grad), (tolerance, most));
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

/// A session of a graph with parameters and inputs set.
pub fn session(
    graph: &Graph,
    given: &HashMap<String, Tensor>,
    (batch, threads): (usize, usize),
    options: &Options,
) -> Session {
    let compiled = compile_graph(graph.clone(), Recipe::default(), options)
        .unwrap_or_else(|error| panic!("{} without {:?}: {error}", graph.name, options.skip));
    let mut session = Session::new(compiled.executable, batch, threads).expect("memory");
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
    if let [_, _, others, shares] = graph.inputs[..] {
        let others: Vec<i32> = given[graph.name(others)].data.iter().map(|&label| label as i32).collect();
        session.set_mixes(&others, &floats(&given[graph.name(shares)])).expect("mixes");
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
fn close_gradient(what: &str, found: &[f32], expected: &[f64], (tolerance, most): (f64, f64)) {
    if largest(expected, 0.0) < 1e-9 {
        close_at(most.max(1e-2), what, found, expected, 1e-5);
    } else {
        close(what, found, expected, tolerance);
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
        snnc_passes::pipeline::find("autodiff").expect("it is in the pipeline").apply(&mut whole);
    }
    let env = Env { batch, values: given.clone(), smooth: false };
    let results = run(&whole, &env).unwrap_or_else(|error| panic!("{error}"));
    (whole, results)
}
