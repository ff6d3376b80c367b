//! Gradients are those of finite differences, on networks whose neurons fire the surrogate's primitive.

use crate::support::{Random, random_env, random_lif, random_net};
use snnc_ir::interp::{Env, run};
use snnc_ir::random::{self, RandomOptions};
use snnc_ir::{Compare, Graph, Learned, Lif, Mode, Reset, Save, Surrogate};
use snnc_passes::{Settings, run_pipeline};

/// Relative to the gradient of the whole parameter; the constants of operations are f32.
const TOLERANCE: f64 = 1e-5;
/// Small enough that the kinks of rectangle and triangle are rarely between two evaluations.
const STEP: f64 = 1e-6;
/// Elements compared per parameter.
const SAMPLES: usize = 8;

fn loss(graph: &Graph, env: &Env) -> f64 {
    run(graph, env).expect("the graph runs")["loss"].data[0]
}

/// The slope of the loss over one element of one parameter.
fn slope(graph: &Graph, env: &Env, param: &str, element: usize) -> f64 {
    let at = |by: f64| {
        let mut env = env.clone();
        env.values.get_mut(param).expect("the parameter is given").data[element] += by;
        loss(graph, &env)
    };
    (at(STEP) - at(-STEP)) / (2.0 * STEP)
}

fn check(seed: u64, lif: Lif) {
    let mut random = Random(seed);
    let graph = random_net(&mut random, Mode::Train, lif);
    let env = random_env(&mut random, &graph, 2);
    compare(&graph, Env { smooth: true, ..env }, seed);
}

/// Compares the packed graph's gradients with slopes of the graph before all passes.
fn compare(forward: &Graph, env: Env, seed: u64) {
    let mut random = Random(seed);
    let mut packed = forward.clone();
    run_pipeline(&mut packed, &Settings::default(), &mut |_, _| {}).expect("the pipeline runs");
    let values = run(&packed, &env).expect("the packed graph runs");
    for &(param, grad) in &packed.grads {
        let (param, grad) = (packed.name(param), &values[packed.name(grad)].data);
        let norm = grad.iter().map(|x| x * x).sum::<f64>().sqrt();
        for _ in 0..SAMPLES {
            let element = random.below(grad.len());
            let slope = slope(forward, &env, param, element);
            let error = (slope - grad[element]).abs();
            let allowed = TOLERANCE * norm.max(1e-3);
            assert!(error <= allowed, "seed {seed}: {param}[{element}] is {}, slope {slope}", grad[element]);
        }
    }
}

const RESETS: [Reset; 4] = [Reset::Hard(0.0), Reset::Hard(-0.25), Reset::Soft, Reset::None];
const SURROGATES: [Surrogate; 10] = [
    Surrogate::Rectangle(1.5),
    Surrogate::Triangle(1.0),
    Surrogate::Sigmoid(4.0),
    Surrogate::Atan(2.0),
    Surrogate::PiecewiseExp(1.0),
    Surrogate::SoftSign(2.0),
    Surrogate::SuperSpike(0.5),
    Surrogate::FastSigmoid(2.0),
    Surrogate::Erf(1.5),
    Surrogate::Tanh(3.0),
];

/// Every surrogate with every reset, on several networks each.
#[test]
fn undetached_gradients_are_slopes() {
    for (n, surrogate) in SURROGATES.into_iter().enumerate() {
        for (m, reset) in RESETS.into_iter().enumerate() {
            for seed in 0..3 {
                let mut random = Random(1000 + seed);
                let lif = Lif { reset, surrogate, detach: false, ..random_lif(&mut random) };
                check(seed + 10 * (4 * n + m) as u64, lif);
            }
        }
    }
}

/// Without a reset there is nothing to detach.
#[test]
fn detaching_no_reset_changes_nothing() {
    for seed in 0..6 {
        let lif = Lif {
            decay: 0.5,
            gain: 1.0,
            current: 0.0,
            threshold: 1.0,
            reset: Reset::None,
            detach: true,
            compare: Compare::Ge,
            surrogate: Surrogate::Rectangle(1.0),
            learned: Learned::NOTHING,
            save: Save::Nothing,
        };
        check(seed, lif);
    }
}

/// These hold learned constants and scales per timestep too.
#[test]
fn gradients_of_random_graphs_are_slopes() {
    for seed in 0..40 {
        let graph = random::graph(seed, RandomOptions { mode: Mode::Train, blocks: 3, smooth: true });
        let values = random::values(&graph, seed, 2);
        compare(&graph, Env { batch: 2, values, smooth: true }, seed);
    }
}

#[test]
fn gradients_of_attention_and_masks_are_slopes() {
    for seed in 0..20 {
        let graph =
            random::attention_graph(seed, RandomOptions { mode: Mode::Train, blocks: 1, smooth: true });
        let values = random::values(&graph, seed, 2);
        compare(&graph, Env { batch: 2, values, smooth: true }, seed);
    }
}
