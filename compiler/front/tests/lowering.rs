//! The graph of a model: which operations it has, what they are called, and that it verifies.

use snnc_front::{Kind, Layer, Model, SourceMap, analyze, render, to_graph};
use snnc_ir::text::print;
use snnc_ir::verify::verify;
use snnc_ir::{Def, Graph, Mode, Op, Order, Over, ParamKind, Reset, Surrogate, Value};

fn model(text: &str) -> Model {
    let sources = SourceMap::single("net.snn", text);
    analyze(&sources, "net.snn", &[]).unwrap_or_else(|errors| panic!("{}", render(&sources, &errors, false)))
}

fn graph(model: &Model, mode: Mode) -> Graph {
    let graph = to_graph(model, mode);
    verify(&graph).unwrap_or_else(|errors| panic!("{errors}"));
    graph
}

/// A network around some steps, for an image of `[2, 8, 8]`.
fn steps(input: &str, steps: &str) -> Model {
    model(&format!("neuron lif = LIF()\nnetwork net {{ timesteps 4 input x: {input} {steps} }}"))
}

const RESIDUAL: &str = "
    neuron lif = LIF(tau: 2.0, decay_input: false)
    block unit(x, channels, stride = 1) {
        x |> conv(channels, kernel: 3, stride: stride, pad: 1, bias: false) |> norm
    }
    block basic(x, channels) {
        let y = x |> unit(channels) |> lif |> unit(channels)
        y + x |> lif
    }
    network net {
        timesteps 4
        input image: f32[3, 8, 8]
        let stem = image |> unit(8) |> lif
        let stage1 = stem |> repeat(2) basic(8)
        stage1 |> repeat(2) unit(8, stride: 2) |> max_pool(2) |> avg_pool(global)
               |> linear(10) |> mean(time)
    }";

#[test]
fn inference_has_one_operation_per_layer() {
    let graph = graph(&model(RESIDUAL), Mode::Infer);
    let counts = [
        "broadcast",
        "conv2d",
        "batch_norm",
        "lif",
        "add",
        "max_pool",
        "avg_pool",
        "flatten",
        "linear",
        "mean",
    ]
    .map(|op| graph.count(op));
    assert_eq!(counts, [1, 7, 7, 5, 2, 1, 1, 1, 1, 1]);
    assert_eq!(graph.body.len(), counts.iter().sum());
    assert_eq!((graph.inputs.len(), graph.outputs.len(), graph.updates.len()), (1, 1, 0));
}

#[test]
fn training_has_statistics_updates_labels_and_a_loss() {
    let graph = graph(&model(RESIDUAL), Mode::Train);
    let counts = ["batch_norm", "bn.stats", "bn.apply", "cross_entropy"].map(|op| graph.count(op));
    assert_eq!(counts, [0, 7, 7, 1]);
    assert_eq!((graph.inputs.len(), graph.outputs.len(), graph.updates.len()), (2, 2, 14));
    assert_eq!(graph.ty(graph.inputs[1]).to_string(), "i32[B]");
    assert_eq!(graph.name(graph.outputs[1]), "loss");
}

#[test]
fn names_are_paths_of_bindings_blocks_and_layers() {
    let model = model(RESIDUAL);
    let graph = graph(&model, Mode::Infer);
    let names: Vec<&str> = graph.params.iter().map(|&param| graph.name(param)).collect();
    let expected = [
        "stem.unit.conv.weight",
        "stem.unit.norm.weight",
        "stem.unit.norm.bias",
        "stem.unit.norm.running_mean",
        "stem.unit.norm.running_var",
    ];
    assert_eq!(names[..5], expected);
    for name in ["stage1.0.basic.y.unit.conv.weight", "stage1.1.basic.y.unit_2.norm.bias"] {
        assert!(graph.find(name).is_some(), "{name} in {names:?}");
    }
    // Without a binding the index follows the step.
    assert!(graph.find("unit.1.conv.weight").is_some());
    let mut paths: Vec<&str> = model.nodes.iter().map(|node| node.path.as_str()).collect();
    paths.sort_unstable();
    assert!(paths.windows(2).all(|pair| pair[0] != pair[1]), "{paths:?}");
}

#[test]
fn paths_stay_unique_when_names_compete() {
    let text = "
        block unit_2(x) { x |> conv(2) }
        block unit(x) { x |> conv(2) }
        network net {
            timesteps 2
            input conv: f32[2, 32, 32]
            let unit = conv |> conv(2) |> unit |> unit |> unit_2
            unit |> unit |> repeat(2) unit |> unit_2 |> conv(2) |> flatten |> linear(3) |> mean(time)
        }";
    let model = model(text);
    let mut paths: Vec<&str> = model.nodes.iter().map(|node| node.path.as_str()).collect();
    paths.sort_unstable();
    assert!(paths.windows(2).all(|pair| pair[0] != pair[1]), "{paths:?}");
    let graph = graph(&model, Mode::Train);
    for node in &model.nodes {
        assert!(graph.find(&node.path).is_some(), "{} keeps its name", node.path);
    }
}

#[test]
fn kinds_follow_the_spikes() {
    let model = model(
        "neuron lif = LIF()
         network net {
            timesteps 4
            input events: spike[time, 2, 8, 8]
            let a = events |> max_pool(2)
            let b = a + a
            let c = b + a
            let d = c |> avg_pool(2)
            d |> flatten |> linear(3) |> mean(time)
         }",
    );
    let kinds: Vec<(&str, Kind)> =
        model.nodes.iter().map(|node| (node.path.as_str(), node.output.kind)).collect();
    let expected = [
        ("events", Kind::Spikes),
        ("a.max_pool", Kind::Spikes),
        ("b.add", Kind::Counts),
        ("c.add", Kind::Counts),
        ("d.avg_pool", Kind::Real),
        ("flatten", Kind::Real),
        ("linear", Kind::Real),
        ("mean", Kind::Real),
    ];
    assert_eq!(kinds, expected);
    let graph = graph(&model, Mode::Infer);
    assert_eq!(graph.ty(graph.inputs[0]).to_string(), "spike[T4 B C2 H8 W8]");
    assert_eq!(graph.count("broadcast"), 0);
}

#[test]
fn inputs_of_every_form_verify_in_both_modes() {
    let map = "x |> conv(4) |> norm |> lif |> flatten |> linear(3, bias: false) |> mean(time)";
    let features =
        "x |> linear(8) |> norm(threshold_dependent: 0.5, threshold: 2.0) |> lif |> linear(3) |> mean(time)";
    for (input, text) in [
        ("f32[2, 8, 8]", map),
        ("f32[time, 2, 8, 6]", map),
        ("spike[time, 2, 8, 8]", map),
        ("f32[64]", features),
        ("f32[64]", "x |> flatten |> linear(3) |> flatten |> mean(time)"),
        ("f32[time, 64]", features),
        ("spike[time, 64]", features),
    ] {
        let model = steps(input, text);
        graph(&model, Mode::Infer);
        graph(&model, Mode::Train);
    }
}

fn neuron(constants: &str) -> snnc_ir::Lif {
    let model = steps("f32[8]", &format!("x |> lif({constants}) |> linear(3) |> mean(time)"));
    let graph = graph(&model, Mode::Infer);
    let lif = graph.body.iter().find_map(|&inst| match graph.inst(inst).op {
        Op::Lif(lif) => Some(lif),
        _ => None,
    });
    lif.expect("the network has a neuron")
}

#[test]
fn neurons_become_the_general_form() {
    let form = |lif: snnc_ir::Lif| (lif.decay, lif.gain, lif.current);
    assert_eq!(form(neuron("")), (0.5, 0.5, 0.0));
    assert_eq!(form(neuron("tau: 4.0")), (0.75, 0.25, 0.0));
    assert_eq!(form(neuron("tau: 4.0, decay_input: false")), (0.75, 1.0, 0.0));
    assert_eq!(form(neuron("tau: 4.0, reset: hard(-2.0)")), (0.75, 0.25, -0.5));
    assert_eq!(form(neuron("tau: 4.0, reset: hard(-2.0), current: 0.0")), (0.75, 0.25, 0.0));
    assert_eq!(form(neuron("decay: 0.25")), (0.25, 1.0, 0.0));
    assert_eq!(form(neuron("decay: 0.25, reset: hard(1.0)")), (0.25, 1.0, 0.0));
    assert_eq!(form(neuron("decay: 0.25, decay_input: true")), (0.25, 0.75, 0.0));
    assert_eq!(form(neuron("decay: 0.25, gain: 3")), (0.25, 3.0, 0.0));
    let lif = neuron("reset: soft, surrogate: rectangle(width: 2.0), compare: \">\", detach_reset: true");
    assert_eq!((lif.reset, lif.surrogate), (Reset::Soft, Surrogate::Rectangle(2.0)));
    assert!(lif.detach && !lif.compare.fires(1.0, 1.0));
    assert_eq!(neuron("surrogate: atan").surrogate, Surrogate::Atan(2.0));
    assert_eq!(neuron("surrogate: triangle(0.5)").surrogate, Surrogate::Triangle(0.5));
    assert_eq!(neuron("reset: none").reset, Reset::None);
}

#[test]
fn the_threshold_dependent_norm_scales_by_alpha_and_threshold() {
    let model = steps(
        "f32[8]",
        "x |> norm(threshold_dependent: 0.5, threshold: 0.25, momentum: 0.2) |> linear(3) |> mean(time)",
    );
    let graph = graph(&model, Mode::Train);
    let ops: Vec<&Op> = graph.body.iter().map(|&inst| &graph.inst(inst).op).collect();
    assert!(ops.iter().any(|op| matches!(op, Op::BnApply(norm) if norm.scale == 0.125)));
    assert!(ops.iter().any(|op| matches!(op, Op::BnStats(stats) if stats.momentum == 0.2)));
}

/// What a neuron's learned constants become: trained numbers with their first values, and the operations on them.
fn learned(neuron: &str) -> (Vec<String>, Vec<String>) {
    let model = steps("f32[8]", &format!("x |> linear(6) |> {neuron} |> linear(3) |> mean(time)"));
    let inference = graph(&model, Mode::Infer);
    let graph = graph(&model, Mode::Train);
    assert_eq!(graph.params.len(), inference.params.len());
    let params =
        graph.params.iter().filter(|&&param| graph.value(param).def == Def::Param(ParamKind::Neuron));
    let shown = |&param: &Value| {
        let init = graph.value(param).init.expect("a first value");
        format!("{} {} {init:.4}", graph.name(param), graph.ty(param))
    };
    let trained: u64 = params.clone().map(|&param| graph.ty(param).elements_per_sample() as u64).sum();
    assert_eq!(model.parameters, 8 * 6 + 6 + 6 * 3 + 3 + trained);
    let text = print(&graph);
    let made = text.lines().filter(|line| line.contains("neuron.constant") || line.contains("= scale"));
    (params.map(shown).collect(), made.map(|line| line.trim().to_string()).collect())
}

#[test]
fn a_learned_time_constant_makes_decay_gain_and_current() {
    let (params, made) = learned("lif(tau: learn(4.0), reset: hard(-0.5))");
    assert_eq!(params, ["lif.w_tau f32[C1] -1.0986"]);
    assert_eq!(
        made,
        [
            "%lif.decay : f32[C1] = neuron.constant %lif.w_tau {form=complement}",
            "%lif.gain : f32[C1] = neuron.constant %lif.w_tau {form=sigmoid}",
            "%lif.current : f32[C1] = neuron.constant %lif.w_tau {form=sigmoid}",
            "%lif.current.2 : f32[C1] = scale %lif.current {by=-0.5}",
        ]
    );
    let (params, made) = learned("PLIF(decay_input: false)");
    assert_eq!(params, ["PLIF.w_tau f32[C1] 0.0000"]);
    assert_eq!(made, ["%PLIF.decay : f32[C1] = neuron.constant %PLIF.w_tau {form=complement}"]);
    // The leak of a parametric neuron stays learned when a call gives it.
    assert_eq!(learned("PLIF(tau: 4.0)").0, ["PLIF.w_tau f32[C1] -1.0986"]);
    assert_eq!(learned("PLIF(decay: 0.75)").0, ["PLIF.w_decay f32[C1] 1.0986"]);
}

#[test]
fn learned_constants_of_channels() {
    let neuron = "lif(decay: learn(0.5), gain: learn(1.0), threshold: learn(1.0), per: channel)";
    let (params, made) = learned(neuron);
    assert_eq!(
        params,
        ["lif.w_decay f32[C6] 0.0000", "lif.w_gain f32[C6] 0.5413", "lif.w_threshold f32[C6] 0.5413"]
    );
    assert_eq!(
        made,
        [
            "%lif.decay : f32[C6] = neuron.constant %lif.w_decay {form=sigmoid}",
            "%lif.gain : f32[C6] = neuron.constant %lif.w_gain {form=softplus}",
            "%lif.threshold : f32[C6] = neuron.constant %lif.w_threshold {form=softplus}",
        ]
    );
    let (_, made) = learned("lif(decay: learn(0.5), decay_input: true)");
    assert!(made[1].starts_with("%lif.gain") && made[1].ends_with("{form=complement}"), "{made:?}");
}

#[test]
fn surrogates_have_two_sets_of_names() {
    let surrogate = |text: &str| neuron(&format!("surrogate: {text}")).surrogate;
    for (text, expected) in [
        ("piecewise_exp", Surrogate::PiecewiseExp(1.0)),
        ("soft_sign(alpha: 3.0)", Surrogate::SoftSign(3.0)),
        ("super_spike", Surrogate::SuperSpike(1.0)),
        ("fast_sigmoid(10.0)", Surrogate::FastSigmoid(10.0)),
        ("erf", Surrogate::Erf(2.0)),
        ("tanh(slope: 2.0)", Surrogate::Tanh(2.0)),
        ("Rect(alpha: 2.0)", Surrogate::Rectangle(0.5)),
        ("PiecewiseQuadratic(4.0)", Surrogate::Triangle(0.25)),
        ("Sigmoid", Surrogate::Sigmoid(4.0)),
        ("ATan", Surrogate::Atan(2.0)),
        ("PiecewiseExp", Surrogate::PiecewiseExp(1.0)),
        ("SoftSign", Surrogate::SoftSign(2.0)),
        ("SuperSpike", Surrogate::SuperSpike(1.0)),
        ("Erf", Surrogate::Erf(2.0)),
    ] {
        assert_eq!(surrogate(text), expected, "{text}");
    }
}

#[test]
fn norms_scale_timesteps_and_choose_their_first_gain() {
    let model = steps("f32[8]", "x |> norm(step_scale: true, gain: 0.0) |> lif |> linear(3) |> mean(time)");
    assert_eq!(model.parameters, 8 + 8 + 4 + 24 + 3);
    for mode in [Mode::Infer, Mode::Train] {
        let graph = graph(&model, mode);
        let [p, gain] = ["norm.step_scale", "norm.weight"].map(|name| graph.find(name).expect("a parameter"));
        assert_eq!((graph.ty(p).to_string(), graph.value(p).init), ("f32[T4]".to_string(), None));
        assert_eq!(graph.value(gain).init, Some(0.0));
        assert_eq!(graph.count("step_scale"), 1);
    }
}

#[test]
fn layers_that_do_not_count_are_left_out() {
    let model = steps("f32[8]", "let side = x |> linear(5) x |> linear(3) |> mean(time)");
    assert_eq!((model.parameters, model.warnings.len()), (27, 1));
    assert_eq!(graph(&model, Mode::Train).params.len(), 2);
}

/// Queries, keys and values of one image of `[2, 8, 8]`, and a tail that makes features of the result `y`.
fn attentive(body: &str) -> Model {
    let heads = "let s = x |> conv(12, 1) |> lif let q = s |> conv(8, 1) |> lif let k = s |> conv(8, 1) |> lif \
                 let v = s |> conv(4, 1) |> lif";
    let tail = "y |> lif |> flatten |> linear(3) |> mean(time)";
    steps("f32[2, 8, 8]", &format!("{heads} {body} {tail}"))
}

#[test]
fn attention_has_one_operation_with_its_attributes() {
    let text =
        "let y = attention(q, k, v, over: space_time(chunk: 2), heads: 2, causal: true, order: qk_first)";
    let model = attentive(text);
    for mode in [Mode::Infer, Mode::Train] {
        let graph = graph(&model, mode);
        assert_eq!(graph.count("attention"), 1);
        let Op::Attention(attention) =
            graph.inst(graph.def_inst(graph.find("y.attention").unwrap()).unwrap()).op
        else {
            panic!("no attention")
        };
        assert_eq!((attention.over, attention.order), (Over::SpaceTime(2), Order::QkFirst));
        assert_eq!((attention.heads, attention.causal, attention.scale), (2, true, 1.0));
    }
    let kind =
        |model: &Model| model.nodes.iter().find(|node| node.path == "y.attention").unwrap().output.kind;
    assert_eq!(kind(&model), Kind::Counts);
    assert_eq!(kind(&attentive("let y = attention(q, k, v, over: time, scale: 0.5)")), Kind::Real);
}

#[test]
fn an_automatic_scale_brings_the_expected_sum_near_one() {
    let scale = |text: &str| match attentive(text).nodes.iter().find(|node| node.path == "y.attention") {
        Some(node) => match node.layer {
            Layer::Attention(attention) => attention.scale,
            _ => panic!("no attention"),
        },
        None => panic!("no y.attention"),
    };
    // 8 channels and 64 tokens (4 in time) at rates of 0.15: 512 · 0.003375 = 1.7, so 1/2; 32 · 0.003375 is below 1.
    assert_eq!(scale("let y = attention(q, k, v, over: space, scale: auto)"), 0.5);
    assert_eq!(scale("let y = attention(q, k, v, over: time, scale: auto)"), 1.0);
    assert_eq!(scale("let y = attention(q, k, v, over: space_time(chunk: 4), scale: auto)"), 0.125);
}

#[test]
fn gates_take_spikes_on_either_side_of_and() {
    let model = attentive(
        "let g = q and k |> sum(space) |> lif
         let m = q |> sum(channels, groups: 4) |> lif
         let y = g and q and not m",
    );
    let graph = graph(&model, Mode::Train);
    assert_eq!((graph.count("mask"), graph.count("mask.not"), graph.count("channel_sum")), (2, 1, 1));
    assert_eq!(graph.ty(graph.find("y.and").unwrap()).to_string(), "f32[T4 B C8 H8 W8]");
}

#[test]
fn a_spike_driven_network_says_so() {
    let model = |body: &str| {
        let text = format!(
            "neuron lif = LIF() network net {{ timesteps 2 require spike_driven input x: f32[2, 8, 8] {body} }}"
        );
        let sources = SourceMap::single("net.snn", &text);
        analyze(&sources, "net.snn", &[]).map_err(|errors| errors.len())
    };
    let head = "|> avg_pool(global) |> linear(3) |> mean(time)";
    // The image, counts and averages of spikes are fine; a real-valued shortcut is too where no product reads it.
    assert!(model(&format!("x |> conv(4) |> lif {head}")).is_ok());
    assert!(model(&format!("let s = x |> conv(4) |> lif s + s |> conv(4) |> lif {head}")).is_ok());
    assert!(
        model(&format!("let u = x |> conv(4) u + (u |> lif |> conv(4, kernel: 1)) |> lif {head}")).is_ok()
    );
    assert_eq!(model(&format!("x |> conv(4) |> conv(4) |> lif {head}")).err(), Some(1));
    assert_eq!(model(&format!("x |> conv(4) {head}")).err(), Some(1));
}
