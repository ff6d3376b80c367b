//! Every pass of both pipelines leaves outputs, gradients and updates as they were: the reference evaluator
//! runs random networks before and after each.

use crate::support::{Random, random_env, random_lif, random_net, results};
use snnc_ir::interp::Env;
use snnc_ir::random::{self, RandomOptions};
use snnc_ir::text::{parse, print};
use snnc_ir::{Graph, Mode, Stage};
use snnc_passes::pipeline;
use snnc_passes::{PipelineError, Settings, run_pipeline};
use std::collections::BTreeMap;

/// What rewriting may change: f64 sums in another order.
const TOLERANCE: f64 = 1e-9;

fn assert_same(
    before: &BTreeMap<String, Vec<f64>>,
    after: &BTreeMap<String, Vec<f64>>,
    pass: &str,
    seed: u64,
) {
    for (name, old) in before {
        let new = after.get(name).unwrap_or_else(|| panic!("seed {seed}: `{pass}` lost {name}"));
        assert_eq!(old.len(), new.len(), "seed {seed}: `{pass}` changed the shape of {name}");
        for (a, b) in old.iter().zip(new) {
            let close = (a - b).abs() <= TOLERANCE * (1.0 + a.abs());
            assert!(close, "seed {seed}: `{pass}` changed {name} from {a} to {b}");
        }
    }
}

fn network(seed: u64, mode: Mode) -> (Graph, Env) {
    let mut random = Random(seed);
    let lif = random_lif(&mut random);
    let graph = random_net(&mut random, mode, lif);
    let env = random_env(&mut random, &graph, 3);
    (graph, env)
}

/// Runs the pipeline pass by pass; a gradient is compared from the pass on that makes it.
fn check(mut graph: Graph, env: &Env, seed: u64) {
    let mut before = results(&graph, env);
    for pass in pipeline::of(graph.mode) {
        pass.apply(&mut graph);
        let after = results(&graph, env);
        assert_same(&before, &after, pass.name, seed);
        before = after;
    }
    assert_eq!(graph.stage, Stage::Packed);
    let text = print(&graph);
    assert_eq!(parse(&text).map(|graph| print(&graph)).as_ref(), Ok(&text), "seed {seed}");
}

#[test]
fn residual_networks_keep_their_results() {
    for mode in [Mode::Infer, Mode::Train] {
        for seed in 0..100 {
            let (graph, env) = network(seed, mode);
            check(graph, &env, seed);
        }
    }
}

#[test]
fn random_graphs_keep_their_results() {
    for mode in [Mode::Infer, Mode::Train] {
        for seed in 0..150 {
            let graph = random::graph(seed, RandomOptions { mode, blocks: 4, smooth: false, long: false });
            let values = random::values(&graph, seed, 2);
            check(graph, &Env { batch: 2, values, smooth: false }, seed);
        }
    }
}

/// So many timesteps that the backward part goes through them in pieces.
#[test]
fn long_networks_keep_their_results() {
    let options = RandomOptions { mode: Mode::Train, blocks: 3, smooth: false, long: true };
    for seed in 0..18 {
        let make = if seed % 3 == 0 { random::attention_graph } else { random::graph };
        let graph = make(seed, options);
        let values = random::values(&graph, seed, 2);
        check(graph, &Env { batch: 2, values, smooth: false }, seed);
    }
}

#[test]
fn attention_and_masks_keep_their_results() {
    for mode in [Mode::Infer, Mode::Train] {
        for seed in 0..80 {
            let graph =
                random::attention_graph(seed, RandomOptions { mode, blocks: 2, smooth: false, long: false });
            let values = random::values(&graph, seed, 2);
            check(graph, &Env { batch: 2, values, smooth: false }, seed);
        }
    }
}

/// Every trained parameter of these networks reaches the loss, so each has a gradient.
#[test]
fn every_trained_parameter_has_a_gradient() {
    for seed in 0..40 {
        let (mut graph, _) = network(seed, Mode::Train);
        run_pipeline(&mut graph, &Settings::default(), &mut |_, _| {}).expect("the pipeline runs");
        let trained = graph.params.iter().filter(
            |&&param| matches!(graph.value(param).def, snnc_ir::Def::Param(kind) if kind.is_trained()),
        );
        assert_eq!(graph.grads.len(), trained.count(), "seed {seed}");
    }
}

#[test]
fn optional_passes_can_be_skipped() {
    let names: Vec<&str> = pipeline::INFER
        .iter()
        .chain(pipeline::TRAIN)
        .filter(|pass| pass.optional)
        .map(|pass| pass.name)
        .collect();
    for mode in [Mode::Infer, Mode::Train] {
        for seed in 0..15 {
            for &name in &names {
                let (mut graph, env) = network(seed, mode);
                let before = results(&graph, &env);
                let settings = Settings { skip: vec![name.to_string()], verify: true, ..Default::default() };
                let records = run_pipeline(&mut graph, &settings, &mut |pass, _| assert_ne!(pass, name));
                records.unwrap_or_else(|error| panic!("seed {seed} without `{name}`: {error}"));
                assert_same(&before, &results(&graph, &env), name, seed);
            }
        }
    }
}

#[test]
fn skips_are_checked() {
    let skip = |name: &str| {
        let (mut graph, _) = network(1, Mode::Infer);
        let settings = Settings { skip: vec![name.to_string()], verify: false, ..Default::default() };
        run_pipeline(&mut graph, &settings, &mut |_, _| {}).err().map(|error| error.to_string())
    };
    assert_eq!(skip("fuse-tim").as_deref(), Some("there is no pass `fuse-tim`"));
    assert_eq!(skip("layout").as_deref(), Some("the pass `layout` cannot be skipped"));
}

#[test]
fn a_broken_graph_is_named() {
    let (mut graph, _) = network(1, Mode::Infer);
    graph.body.reverse();
    let error = run_pipeline(&mut graph, &Settings { verify: true, ..Settings::default() }, &mut |_, _| {});
    assert!(matches!(error, Err(PipelineError::Broken { pass: None, .. })));
}
