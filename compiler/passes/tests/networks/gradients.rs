//! Gradients are those of finite differences, on networks whose neurons fire the surrogate's primitive.

use crate::support::{Random, random_env, random_lif, random_net};
use snnc_ir::interp::{Env, Tensor, run};
use snnc_ir::random::{self, RandomOptions};
use snnc_ir::{Compare, Elem, Graph, Learned, Lif, Mode, Reset, Save, Surrogate};
use snnc_passes::autodiff::from_value;
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

/// The slope of a number over one element of one parameter or input.
fn slope(of: impl Fn(&Env) -> f64, env: &Env, param: &str, element: usize) -> f64 {
    let at = |by: f64| {
        let mut env = env.clone();
        env.values.get_mut(param).expect("the parameter is given").data[element] += by;
        of(&env)
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
    let mut packed = forward.clone();
    run_pipeline(&mut packed, &Settings::default(), &mut |_, _| {}).expect("the pipeline runs");
    compare_slopes(&packed, |env| loss(forward, env), env, seed);
}

/// Compares the gradients of a graph with slopes of a number.
fn compare_slopes(graph: &Graph, of: impl Fn(&Env) -> f64, env: Env, seed: u64) {
    let mut random = Random(seed);
    let values = run(graph, &env).expect("the graph runs");
    for &(param, grad) in &graph.grads {
        let (param, grad) = (graph.name(param), &values[graph.name(grad)].data);
        let norm = grad.iter().map(|x| x * x).sum::<f64>().sqrt();
        for _ in 0..SAMPLES {
            let element = random.below(grad.len());
            let slope = slope(&of, &env, param, element);
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
        let graph =
            random::graph(seed, RandomOptions { mode: Mode::Train, blocks: 3, smooth: true, long: false });
        let values = random::values(&graph, seed, 2);
        compare(&graph, Env { batch: 2, values, smooth: true }, seed);
    }
}

/// The sweep may begin at any activation, with any gradient (here about that of a mean, so that a zero slope is seen
/// as one), and reach the input.
#[test]
fn gradients_from_a_value_are_slopes() {
    for seed in 0..24 {
        let forward =
            random::graph(seed, RandomOptions { mode: Mode::Train, blocks: 2, smooth: true, long: false });
        let mut random = Random(seed);
        let results = forward.body.iter().map(|&inst| forward.inst(inst).results[0]);
        let activations: Vec<_> = results.filter(|&value| forward.ty(value).is_batched()).collect();
        let (from, input) = (random.pick(&activations), forward.inputs[0]);

        let mut graph = forward.clone();
        let gradient = graph.add_input("gradient", forward.ty(from).with_elem(Elem::F32));
        from_value(&mut graph, from, gradient, &[input]);
        assert!(graph.grads.iter().any(|&(of, _)| of == input), "seed {seed}: the input has a gradient");
        assert_eq!((&graph.outputs, &graph.updates), (&forward.outputs, &forward.updates));

        let mut values = random::values(&forward, seed, 2);
        let given = Tensor::zeros(graph.ty(gradient), 2);
        let count = given.data.len() as f64;
        let given = Tensor { data: given.data.iter().map(|_| random.unit() / count).collect(), ..given };
        values.insert("gradient".to_string(), given.clone());
        let name = forward.name(from);
        let product = |env: &Env| -> f64 {
            let found = &run(&forward, env).expect("the graph runs")[name].data;
            found.iter().zip(&given.data).map(|(y, g)| y * g).sum()
        };
        compare_slopes(&graph, product, Env { batch: 2, values, smooth: true }, seed);
    }
}

#[test]
#[should_panic(expected = "a gradient has the axes of its value")]
fn a_gradient_of_other_axes_is_refused() {
    let mut graph =
        random::graph(1, RandomOptions { mode: Mode::Train, blocks: 1, smooth: true, long: false });
    let (from, gradient) = (graph.outputs[0], graph.inputs[0]);
    from_value(&mut graph, from, gradient, &[]);
}

#[test]
fn gradients_of_attention_and_masks_are_slopes() {
    for seed in 0..20 {
        let graph = random::attention_graph(
            seed,
            RandomOptions { mode: Mode::Train, blocks: 1, smooth: true, long: false },
        );
        let values = random::values(&graph, seed, 2);
        compare(&graph, Env { batch: 2, values, smooth: true }, seed);
    }
}
