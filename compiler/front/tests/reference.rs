//! The samples of the reference that are whole files check, and what the reference says of them holds.

use snnc_front::{Optimizer, Recipe, Schedule, SourceMap, analyze, render, syntax_tree, to_graph};
use snnc_ir::Mode;

fn samples() -> Vec<&'static str> {
    let parts = include_str!("../../../grammar/REFERENCE.md").split("```snn\n").skip(1);
    parts.map(|part| part.split("```").next().unwrap_or(part)).collect()
}

/// A network for samples that have none.
const NETWORK: &str = "network net { timesteps 2 input x: f32[8] x |> linear(3) |> mean(time) }";

#[test]
fn every_sample_checks_and_lowers() {
    for sample in samples() {
        let whole = sample.contains("network ");
        let text = if whole { sample.to_string() } else { format!("{sample}\n{NETWORK}") };
        let sources = SourceMap::single("sample.snn", &text);
        let model = analyze(&sources, "sample.snn", &[])
            .unwrap_or_else(|errors| panic!("{}", render(&sources, &errors, false)));
        assert!(model.warnings.is_empty(), "{}", render(&sources, &model.warnings, false));
        to_graph(&model, Mode::Train);
    }
}

#[test]
fn the_tree_prints_as_the_language_with_parentheses() {
    let text = samples()[0];
    let sources = SourceMap::single("sample.snn", text);
    let tree = syntax_tree(&sources, "sample.snn").expect("the sample parses").to_string();
    insta::assert_snapshot!("syntax_tree", tree);
    // What is printed means the same.
    let printed = SourceMap::single("sample.snn", &tree);
    let model = |sources| analyze(sources, "sample.snn", &[]).expect("the sample checks").to_string();
    assert_eq!(model(&sources), model(&printed));
    insta::assert_snapshot!("model", model(&sources));
}

fn recipe(text: &str) -> Recipe {
    let sources = SourceMap::single("net.snn", &format!("{text}\n{NETWORK}"));
    let model = analyze(&sources, "net.snn", &[]);
    model.unwrap_or_else(|errors| panic!("{}", render(&sources, &errors, false))).recipe
}

#[test]
fn recipes_are_read_and_have_defaults() {
    assert_eq!(recipe(""), Recipe::default());
    assert_eq!(recipe("train { }"), Recipe::default());
    let read = recipe(
        "train { optimizer sgd(0.05, momentum: 0.8, nesterov: true, weight_decay: 1e-4)
                 schedule step(epochs: 90, every: 30, gamma: 0.5, warmup: 5) batch 16 data digits }",
    );
    assert_eq!(
        read.optimizer,
        Optimizer::Sgd { lr: 0.05, momentum: 0.8, nesterov: true, weight_decay: 1e-4 }
    );
    assert_eq!(read.schedule, Schedule::Step { epochs: 90, every: 30, gamma: 0.5, warmup: 5 });
    assert_eq!((read.batch, read.data.as_deref()), (16, Some("digits")));
    assert_eq!(recipe("train { schedule constant(epochs: 2) }").schedule, Schedule::Constant { epochs: 2 });
    let adam = recipe("train { optimizer adamw(1e-3, beta2: 0.99, decay: all) clip_norm 1 ema 0.999 }");
    let (lr, beta1, beta2, eps, weight_decay) = (1e-3, 0.9, 0.99, 1e-8, 0.01);
    assert_eq!(adam.optimizer, Optimizer::Adam { lr, beta1, beta2, eps, weight_decay, decoupled: true });
    assert_eq!((adam.decay_all, adam.clip_norm, adam.ema), (true, Some(1.0), Some(0.999)));
    let cosine = recipe("train { schedule cosine(10, 2, 0.001) }").schedule;
    assert_eq!(cosine, Schedule::Cosine { epochs: 10, warmup: 2, min_lr: 0.001 });
}

#[test]
fn losses_are_weighted_sums() {
    let neurons = "neuron lif = LIF() network net { timesteps 2 input x: f32[8]
                   x |> linear(4) |> lif |> linear(3) |> mean(time) }";
    let loss = |text: &str| {
        let sources = SourceMap::single("net.snn", &format!("train {{ loss {text} }} {neurons}"));
        let model = analyze(&sources, "net.snn", &[]);
        let model = model.unwrap_or_else(|errors| panic!("{}", render(&sources, &errors, false)));
        to_graph(&model, Mode::Train);
        model.recipe.loss.to_string()
    };
    assert_eq!(loss("cross_entropy()"), "cross_entropy");
    assert_eq!(loss("cross_entropy(smoothing: 0.1)"), "cross_entropy(smoothing: 0.1)");
    assert_eq!(
        loss("tet(0.1) + 1e-4 * spike_rate"),
        "tet(lambda: 0.1, target: 1, smoothing: 0) + 0.0001 * spike_rate"
    );
    assert_eq!(
        loss("0.5 * (spike_rate(above: 0.2) / 2 + 4 * spike_rate(below: 0.1)) + cross_entropy"),
        "0.25 * spike_rate(above: 0.2) + 2.0 * spike_rate(below: 0.1) + cross_entropy"
    );
    assert_eq!(
        loss("cross_entropy + spike_rate(power: 2) + spike_rate(target: 0.15) + synaptic_operations"),
        "cross_entropy + spike_rate(power: 2) + spike_rate(target: 0.15) + synaptic_operations"
    );
}

/// Every loss with labels takes two of them where samples are mixed, and one elsewhere.
#[test]
fn mixed_samples_have_two_labels() {
    let graph = |train: &str| {
        let network = "neuron lif = LIF() network net { timesteps 2 input x: f32[1, 4, 4]
                       x |> flatten |> linear(4) |> lif |> linear(3) |> mean(time) }";
        let sources = SourceMap::single("net.snn", &format!("train {{ {train} }} {network}"));
        let model = analyze(&sources, "net.snn", &[]);
        let model = model.unwrap_or_else(|errors| panic!("{}", render(&sources, &errors, false)));
        snnc_ir::text::print(&to_graph(&model, Mode::Train))
    };
    let plain = graph("augment flip");
    assert!(plain.contains("cross_entropy %mean, %labels\n"), "{plain}");
    assert!(!plain.contains("other_labels") && !plain.contains("shares"), "{plain}");
    let none = graph("augment if 1 > 2 { mixup } else { flip }");
    assert!(none.contains("cross_entropy %mean, %labels\n"), "{none}");
    let chosen = "augment pad_crop(1) + if 1 < 2 { flip + mixup } else { flip }";
    for train in ["augment mixup", "augment flip + cutmix(p: 0.5)", "augment mixup + cutmix", chosen] {
        for (loss, of) in
            [("cross_entropy(smoothing: 0.1)", "%mean"), ("tet(0.1, smoothing: 0.1)", "%linear_2")]
        {
            let text = graph(&format!("loss {loss} {train}"));
            let call = format!("cross_entropy {of}, %labels, %other_labels, %shares {{smoothing=0.1}}");
            assert!(text.contains(&call), "{text}");
        }
    }
}

#[test]
fn defines_reach_included_files_and_computed_parameters() {
    let read = &mut |name: &str| match name {
        "net.snn" => Ok("include \"sizes.snn\" network net { timesteps steps input x: f32[8]
                         x |> linear(hidden) |> linear(2) |> mean(time) }"
            .to_string()),
        "sizes.snn" => Ok("param width = 3 param hidden = 2 * width param steps = 2".to_string()),
        _ => Err("no such file".to_string()),
    };
    let sources = SourceMap::load("net.snn", read);
    let define = |text: &[(&str, &str)]| -> Vec<(String, String)> {
        text.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    };
    let model = analyze(&sources, "net.snn", &define(&[("width", "5"), ("width", "7"), ("steps", "6")]));
    let model = model.unwrap_or_else(|errors| panic!("{}", render(&sources, &errors, false)));
    assert_eq!(model.parameters, 14 * 8 + 14 + 2 * 14 + 2);
    assert_eq!(model.timesteps, 6);
    assert_eq!(model.params[1], ("hidden".to_string(), "14".to_string()));
}
