//! Machine code against the oracle on random networks.

#[path = "support/oracle.rs"]
mod oracle;

use snnc_compiler::plan::Recipe;
use snnc_compiler::{Form, Forms, Memory, Mode, Options, Vectors, compile_graph};
use snnc_ir::random::{RandomOptions, attention_graph, graph, values};
use snnc_ir::{AxisName, Graph, InstData, Op, Over};
use snnc_passes::checkpoint::Recomputes;
use snnc_passes::pipeline;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A graph on values of this seed.
fn check(graph: Graph, seed: u64, batch: usize) {
    let given = values(&graph, seed, batch);
    oracle::check(graph, &given, (batch, 1 + (seed % 2) as usize), 2e-4);
}

fn options(seed: u64, mode: Mode) -> RandomOptions {
    RandomOptions { mode, blocks: 1 + (seed % 4) as usize, smooth: false, long: false }
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
    attention_seeds(600..760, Mode::Infer);
}

#[test]
fn random_attention_has_the_interpreters_gradients() {
    attention_seeds(300..420, Mode::Train);
}

/// The backward part goes through many timesteps in pieces.
#[test]
fn long_networks_have_the_interpreters_gradients() {
    for seed in 1200..1260 {
        let make = if seed % 3 == 0 { attention_graph } else { graph };
        let long = RandomOptions { long: true, ..options(seed, Mode::Train) };
        check(make(seed, long), seed, 2 + (seed % 3) as usize);
    }
}

/// Machine code is right whichever of the passes are left out.
#[test]
fn no_pass_is_needed_for_the_right_result() {
    for mode in [Mode::Infer, Mode::Train] {
        let optional = pipeline::of(mode).iter().filter(|pass| pass.optional);
        for (n, pass) in optional.enumerate() {
            for seed in (700..708).map(|seed| seed + 20 * n as u64) {
                let graph = if seed % 2 == 0 { graph } else { attention_graph };
                let graph = graph(seed, options(seed, mode));
                let given = values(&graph, seed, 2);
                oracle::check_without(&[pass.name], graph, &given, (2, 1), 2e-4);
            }
        }
    }
}

#[test]
fn every_form_of_a_product_is_right() {
    for (n, form) in Form::ALL.into_iter().enumerate() {
        let mut done = 0;
        for seed in (1000..1024).map(|seed| seed + 30 * n as u64) {
            let mode = if seed % 2 == 0 { Mode::Infer } else { Mode::Train };
            let graph = if seed % 3 == 0 { attention_graph } else { graph };
            let graph = graph(seed, options(seed, mode));
            let forms = Forms { rest: Some(form), ..Forms::default() };
            let given = values(&graph, seed, 3);
            let options = Options { forms, ..Options::new(mode) };
            done += products(&graph, &options).into_iter().filter(|found| *found == form).count();
            oracle::check_with(options, graph, &given, (3, 2), 2e-4);
        }
        // Some need a second timestep.
        assert!(done >= 20, "{done} products are done so: {form}");
    }
}

/// The forms of a network's products with spikes.
fn products(graph: &Graph, options: &Options) -> Vec<Form> {
    let compiled = compile_graph(graph.clone(), Recipe::default(), options);
    let compiled = compiled.unwrap_or_else(|error| panic!("{}: {error}", graph.name));
    compiled.products.iter().map(|product| product.form).collect()
}

/// Logits and gradients of a network, as bits; its products with spikes have a form.
fn bits(graph: &Graph, seed: u64, form: Form, threads: usize, vectors: Vectors) -> Vec<u32> {
    let forms = Forms { rest: Some(form), ..Forms::default() };
    bits_with(graph, seed, threads, &Options { vectors, forms, ..Options::new(graph.mode) })
}

fn bits_with(graph: &Graph, seed: u64, threads: usize, options: &Options) -> Vec<u32> {
    let mut session = oracle::session(graph, &values(graph, seed, 3), (3, threads), options);
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
    for seed in 900..916 {
        let graph = graph(seed, RandomOptions { blocks: 4, ..options(seed, Mode::Train) });
        for form in Form::CHOSEN {
            let one = bits(&graph, seed, form, 1, Vectors::Widest);
            for (threads, vectors) in [(2, Vectors::Widest), (1, Vectors::Middle), (3, Vectors::Portable)] {
                let found = bits(&graph, seed, form, threads, vectors);
                assert_eq!(found, one, "seed {seed}: {form}, {vectors:?}, {threads} threads");
            }
        }
    }
}

#[test]
fn what_is_computed_again_does_not_change_a_bit() {
    let (mut levels, mut membranes, mut gradients) = (BTreeSet::new(), 0, 0);
    for seed in 920..938 {
        let long = seed % 3 == 2;
        let graph = graph(seed, RandomOptions { blocks: 4, long, ..options(seed, Mode::Train) });
        let rest = [None]
            .into_iter()
            .chain(Form::ALL.map(Some))
            .nth(seed as usize % (1 + Form::ALL.len()))
            .flatten();
        let forms = Forms { rest, ..Forms::default() };
        let plain =
            Options { skip: vec!["checkpoint".into()], forms: forms.clone(), ..Options::new(Mode::Train) };
        let expected = bits_with(&graph, seed, 1, &plain);
        let mut taken = |memory| {
            let options =
                Options { memory, forms: forms.clone(), batch: Some(3), ..Options::new(Mode::Train) };
            assert_eq!(bits_with(&graph, seed, 1, &options), expected, "seed {seed}: {memory:?}");
            let compiled = compile_graph(graph.clone(), Recipe::default(), &options).expect("it compiles");
            let of = |what| compiled.recomputed.iter().filter(|value| value.what == what).count();
            membranes += of(Recomputes::Membrane);
            gradients += of(Recomputes::Gradient);
            (compiled.executable.plan.arena.bytes(3).expect("bytes"), compiled.recomputed.len())
        };
        let (least, most) = (taken(Memory::Least), taken(Memory::Within(usize::MAX)));
        assert_eq!(most.1, 0, "seed {seed}");
        for bytes in [0, (least.0 + most.0) / 2, most.0] {
            let (taken, sums) = taken(Memory::Within(bytes));
            assert!(taken <= bytes.max(least.0) && sums <= least.1, "seed {seed}: {bytes}");
            levels.insert(sums);
        }
    }
    assert!(levels.len() > 2 && membranes > 10, "{levels:?}, {membranes} membranes");
    assert!(gradients > 10, "{gradients} gradients");
}

/// A parameter that is handed over with its gradient is read no more: what is made of it then, here nothing, changes no
/// gradient. Weights that are laid out late are the same weights.
#[test]
fn gradients_that_are_handed_over_are_those_that_are_kept() {
    for seed in 940..956 {
        let graph = match seed % 2 {
            0 => graph(seed, RandomOptions { blocks: 4, ..options(seed, Mode::Train) }),
            _ => attention_graph(seed, options(seed, Mode::Train)),
        };
        let given = values(&graph, seed, 3);
        let run = |hands_gradients| {
            let options = Options { hands_gradients, ..Options::new(Mode::Train) };
            let mut session = oracle::session(&graph, &given, (3, 2), &options);
            session.run_forward().expect("forward");
            session
        };
        let mut kept = run(false);
        kept.run_backward().expect("backward");
        let mut handed = run(true);
        let mut all = BTreeMap::new();
        handed
            .run_backward_handing(&mut |_, spec, values, (grad, squares)| {
                values.fill(f32::NAN);
                let sum: f64 = grad.iter().map(|v| f64::from(*v).powi(2)).sum();
                assert!((sum - squares).abs() <= 1e-9 * sum, "{sum} {squares}");
                all.insert(spec.name.clone(), grad.to_vec());
                Ok(())
            })
            .expect("backward");
        let trained: Vec<_> = kept.plan().params.iter().filter(|spec| spec.grad.is_some()).collect();
        assert_eq!(all.len(), trained.len());
        for spec in trained {
            let expected = kept.grad(&spec.name).expect("a gradient");
            let same = all[&spec.name].iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same && !expected.is_empty(), "seed {seed}: {}", spec.name);
            assert!(handed.grad(&spec.name).is_err());
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
