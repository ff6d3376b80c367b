//! Random graphs are valid, print and parse, and make some spikes.

use super::values::clear_of_thresholds;
use super::{RandomOptions, attention_graph, graph, values};
use crate::graph::Mode;
use crate::interp::{Env, run};
use crate::text::{parse, print};
use crate::types::Elem;
use crate::verify::verify;
use proptest::prelude::*;

fn options() -> impl Strategy<Value = RandomOptions> {
    (prop_oneof![Just(Mode::Infer), Just(Mode::Train)], 1usize..5, any::<bool>())
        .prop_map(|(mode, blocks, smooth)| RandomOptions { mode, blocks, smooth, long: false })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_parses_back(seed in any::<u64>(), options in options()) {
        let graph = graph(seed, options);
        prop_assert!(verify(&graph).is_ok(), "{}", verify(&graph).unwrap_err());
        let text = print(&graph);
        let parsed = parse(&text).unwrap();
        prop_assert_eq!(print(&parsed), text.clone());
        prop_assert_eq!(parse(&text).unwrap(), parsed);
    }

    #[test]
    fn graphs_with_attention_are_valid(seed in any::<u64>(), options in options()) {
        let graph = attention_graph(seed, options);
        prop_assert!(verify(&graph).is_ok(), "{}", verify(&graph).unwrap_err());
        let text = print(&graph);
        prop_assert_eq!(print(&parse(&text).unwrap()), text);
    }

    #[test]
    fn mangled_texts_do_not_panic(seed in any::<u64>(), cut in 0usize..4000, with in ".{0,8}") {
        let mut text: Vec<char> = print(&graph(seed, RandomOptions::default())).chars().collect();
        let at = cut % text.len();
        text.splice(at..(at + 3).min(text.len()), with.chars());
        if let Ok(graph) = parse(&text.into_iter().collect::<String>()) {
            let _ = verify(&graph);
        }
    }
}

#[test]
fn random_networks_run_and_fire() {
    let (mut fired, mut silent) = (0.0, 0.0);
    for seed in 0u64..60 {
        let mode = if seed.is_multiple_of(2) { Mode::Infer } else { Mode::Train };
        let graph = graph(seed, RandomOptions { mode, ..RandomOptions::default() });
        let env = Env { batch: 2, values: values(&graph, seed, 2), smooth: false };
        let found = run(&graph, &env).unwrap();
        for &inst in &graph.body {
            for &result in &graph.inst(inst).results {
                let data = &found[graph.name(result)].data;
                assert!(data.iter().all(|x| x.is_finite()), "%{} of {}", graph.name(result), graph.name);
                if graph.ty(result).elem == Elem::Spike {
                    fired += data.iter().sum::<f64>();
                    silent += data.iter().map(|s| 1.0 - s).sum::<f64>();
                }
            }
        }
    }
    let rate: f64 = fired / (fired + silent);
    assert!((0.15..0.6).contains(&rate), "firing rate {rate}");
}

#[test]
fn values_do_not_depend_on_anything_but_the_seed() {
    let graph = graph(7, RandomOptions::default());
    assert_eq!(values(&graph, 3, 2), values(&graph, 3, 2));
    assert_ne!(values(&graph, 3, 2), values(&graph, 4, 2));
}

#[test]
fn nearly_all_draws_keep_clear_of_thresholds() {
    let fragile = |seed: &u64| {
        let mode = if seed.is_multiple_of(2) { Mode::Infer } else { Mode::Train };
        let make = if seed.is_multiple_of(3) { attention_graph } else { graph };
        let graph = make(*seed, RandomOptions { mode, ..RandomOptions::default() });
        let env = Env { batch: 2, values: values(&graph, *seed, 2), smooth: false };
        !clear_of_thresholds(&graph, &env)
    };
    let fragile: Vec<u64> = (0..150).filter(fragile).collect();
    assert!(fragile.len() < 5, "{fragile:?}");
}
