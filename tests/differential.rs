//! Machine code against the oracle: random networks run through the whole compiler and in the interpreter.
//!
//! Values are chosen so that no membrane is near its threshold: spikes are the same, and what remains is
//! rounding of f32.

use snnc_compiler::plan::Recipe;
use snnc_compiler::{Mode, Options, Vectors, compile_graph};
use snnc_ir::interp::{Env, Tensor, run};
use snnc_ir::random::{RandomOptions, graph, values};
use snnc_ir::{AxisName, Graph, Value};
use snnc_runtime::Session;
use std::collections::HashMap;

/// A session of a graph with parameters and inputs set.
fn session(
    graph: &Graph,
    given: &HashMap<String, Tensor>,
    batch: usize,
    threads: usize,
    vectors: Vectors,
) -> Session {
    let options = Options { verify: true, vectors, ..Options::new(graph.mode) };
    let compiled = compile_graph(graph.clone(), Recipe::default(), &options);
    let compiled = compiled.unwrap_or_else(|error| panic!("{error}"));
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
    session
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.data.iter().map(|&value| value as f32).collect()
}

fn close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: other length");
    let scale = expected.iter().fold(1e-2f64, |top, value| top.max(value.abs()));
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

fn check(seed: u64, mode: Mode, batch: usize) {
    let graph = graph(seed, RandomOptions { mode, blocks: 1 + (seed % 4) as usize, smooth: false });
    let given = values(&graph, seed, batch);
    let (whole, expected) = oracle(&graph, &given, batch);
    let of = |value: Value| &expected[whole.name(value)].data;
    let mut session = session(&graph, &given, batch, 1 + (seed % 2) as usize, Vectors::Widest);
    session.run_forward().expect("forward");
    let what = |part: &str| format!("seed {seed} {mode:?} {part}");
    close(&what("logits"), session.logits().expect("logits"), of(whole.outputs[0]), 2e-5);
    let logits = session.logits().expect("logits").to_vec();
    if mode == Mode::Infer {
        session.run_forward().expect("forward again");
        assert_eq!(logits, session.logits().expect("logits"), "inputs outlive a step");
        return;
    }
    session.run_backward().expect("backward");
    close(&what("loss"), &[session.loss().expect("loss")], of(whole.outputs[1]), 2e-5);
    for &(param, grad) in &whole.grads {
        let name = whole.name(param);
        close(&what(name), session.grad(name).expect("a gradient"), of(grad), 2e-4);
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

#[test]
fn random_networks_infer_as_the_interpreter_does() {
    (0..60).for_each(|seed| check(seed, Mode::Infer, 1 + (seed % 3) as usize));
}

#[test]
fn random_networks_have_the_interpreters_gradients() {
    (100..180).for_each(|seed| check(seed, Mode::Train, 2 + (seed % 3) as usize));
}

/// Logits and gradients of a network, as bits.
fn bits(graph: &Graph, given: &HashMap<String, Tensor>, threads: usize, vectors: Vectors) -> Vec<u32> {
    let mut session = session(graph, given, 3, threads, vectors);
    session.run_forward().expect("forward");
    session.run_backward().expect("backward");
    let mut all = session.logits().expect("logits").to_vec();
    for spec in session.plan().params.iter().filter(|spec| spec.grad.is_some()) {
        all.extend(session.grad(&spec.name).expect("a gradient"));
    }
    // NaN has many forms, and zeros keep their sign.
    all.into_iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
}

#[test]
fn neither_vectors_nor_threads_change_a_bit() {
    for seed in 200..216 {
        let graph = graph(seed, RandomOptions { mode: Mode::Train, blocks: 4, smooth: false });
        let given = values(&graph, seed, 3);
        let one = bits(&graph, &given, 1, Vectors::Widest);
        for (threads, vectors) in [(2, Vectors::Widest), (1, Vectors::Middle), (3, Vectors::Portable)] {
            assert_eq!(
                bits(&graph, &given, threads, vectors),
                one,
                "seed {seed}: {vectors:?}, {threads} threads"
            );
        }
    }
}
