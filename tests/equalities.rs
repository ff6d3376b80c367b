//! Equalities that hold of any weights and inputs, of compiled networks: instances of attention that are one another, a
//! neuron's homogeneity, a norm folded into the product before it.

use snnc_compiler::front::{SourceMap, analyze, render};
use snnc_compiler::plan::ParamRole;
use snnc_compiler::{Mode, Options, compile};
use snnc_runtime::Session;

const STEPS: usize = 4;
const BATCH: usize = 2;

/// Small numbers of a few bits, by name and place: sums of them are exact.
fn number(name: &str, i: usize) -> f32 {
    let seed = name.bytes().fold(7u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let mixed = (seed ^ i as u32).wrapping_mul(0x9e37_79b9);
    ((mixed ^ mixed >> 15).wrapping_mul(0x85eb_ca6b) >> 24) as f32 / 64.0 - 2.0
}

/// The network of a text, compiled without some passes; every parameter is set by its name, `weights` times.
fn session(text: &str, skip: &[&str], weights: f32) -> Session {
    let sources = SourceMap::single("inline.snn", text);
    let model =
        analyze(&sources, "inline.snn", &[]).unwrap_or_else(|f| panic!("{}", render(&sources, &f, false)));
    let skip = skip.iter().map(|pass| pass.to_string()).collect();
    let options = Options { skip, ..Options::new(Mode::Infer) };
    let compiled = compile(&model, &sources, "inline.snn", &options).expect("it compiles");
    let mut session = Session::new(compiled.executable, BATCH, 2).expect("it fits");
    for spec in session.plan().params.clone() {
        let value = |i: usize| match spec.role {
            ParamRole::Weight => weights * number(&spec.name, i),
            // With the eps of these tests the deviation is 1 or 2.
            ParamRole::RunningVar => [0.75, 3.75][i % 2],
            _others => number(&spec.name, i),
        };
        session
            .set_param(&spec.name, &(0..spec.len()).map(value).collect::<Vec<f32>>())
            .expect("a parameter");
    }
    let spikes = session.plan().inputs[0].spikes;
    session
        .set_inputs(BATCH, |sample, to| {
            let number = |i| number("input", i + sample * to.len());
            let values: Vec<f32> = (0..to.len()).map(number).collect();
            to.iter_mut()
                .zip(values)
                .for_each(|(to, x)| *to = if spikes { f32::from(u8::from(x > 0.2)) } else { x });
            Ok(())
        })
        .expect("inputs");
    session
}

/// What an expression gives at each timestep: a gate lets one after the other through.
fn at_each_step(mut session: Session) -> Vec<Vec<f32>> {
    let gate =
        session.plan().params.iter().find(|spec| spec.name.contains("step_")).expect("a gate").name.clone();
    let steps = (0..STEPS).map(|t| {
        let only: Vec<f32> = (0..STEPS).map(|s| f32::from(u8::from(s == t))).collect();
        session.set_param(&gate, &only).expect("the gate");
        session.run_forward().expect("forward");
        session.logits().expect("logits").to_vec()
    });
    steps.collect()
}

/// Attention of spikes that three products make, over maps of 2×3 or, without positions, over features.
fn attention(map: bool, attributes: &str) -> Vec<Vec<f32>> {
    let (shape, product) = if map { ("8, 2, 3", "conv(6, kernel: 1)") } else { ("8", "linear(6)") };
    let text = format!(
        "neuron lif = LIF(tau: 2.0, decay_input: false)
         network seen {{
             timesteps {STEPS}
             input x: spike[time, {shape}]
             let q = x |> {product} |> lif
             let k = x |> {product} |> lif
             let v = x |> {product} |> lif
             attention(q, k, v, {attributes}) |> step_gate |> flatten |> sum(time)
         }}"
    );
    let steps = at_each_step(session(&text, &[], 1.0));
    let counts: Vec<f32> = steps.concat();
    assert!(
        counts.iter().all(|&n| n >= 0.0 && n.fract() == 0.0) && counts.iter().any(|&n| n > 1.0),
        "{counts:?}"
    );
    steps
}

#[test]
fn both_orders_of_attention_are_the_same_counts() {
    for over in ["space", "time", "space_time(chunk: 2)", "space_time(chunk: 4)"] {
        for causal in [false, true].into_iter().filter(|causal| !causal || over != "space") {
            for heads in [1, 2, 3] {
                let with = |order: &str| {
                    attention(
                        true,
                        &format!("over: {over}, heads: {heads}, causal: {causal}, order: {order}"),
                    )
                };
                assert_eq!(with("kv_first"), with("qk_first"), "{over} {causal} {heads}");
                assert_eq!(with("auto"), with("qk_first"), "{over} {causal} {heads}");
            }
        }
    }
}

#[test]
fn instances_of_attention_are_one_another() {
    assert_eq!(attention(true, "over: space_time(chunk: 1)"), attention(true, "over: space"));
    for order in ["kv_first", "qk_first"] {
        for causal in [false, true] {
            let with = |over: &str| {
                attention(false, &format!("over: {over}, heads: 2, causal: {causal}, order: {order}"))
            };
            assert_eq!(with("space_time(chunk: 4)"), with("time"), "of one position, {order} {causal}");
        }
    }
}

#[test]
fn causal_attention_sees_everything_at_the_last_timestep() {
    for over in ["time", "space_time(chunk: 4)"] {
        let with = |causal: bool| attention(true, &format!("over: {over}, causal: {causal}"));
        let (causal, full) = (with(true), with(false));
        assert_eq!(causal[STEPS - 1], full[STEPS - 1], "{over}");
        assert_ne!(causal[0], full[0], "{over}");
    }
}

/// The spikes of a neuron behind a product whose weights are multiplied.
fn spikes(neuron: &str, weights: f32) -> Vec<Vec<f32>> {
    let text = format!(
        "neuron lif = {neuron}
         network seen {{
             timesteps {STEPS}
             input x: f32[time, 12]
             x |> linear(40, bias: false) |> lif |> step_gate |> sum(time)
         }}"
    );
    let steps = at_each_step(session(&text, &[], weights));
    let all = steps.concat();
    let fired = all.iter().filter(|&&s| s == 1.0).count();
    assert!(all.iter().all(|&s| s == 0.0 || s == 1.0) && (20..all.len() - 20).contains(&fired), "{fired}");
    steps
}

#[test]
fn a_neuron_is_homogeneous_in_its_input_and_threshold() {
    for reset in ["hard(0.0)", "soft", "none"] {
        for model in ["LIF(tau: 2.0", "LIF(decay: 0.75", "IF("] {
            let rest = if model == "IF(" { "" } else { ", " };
            let with = |threshold: f32, weights: f32| {
                spikes(&format!("{model}{rest}threshold: {threshold}, reset: {reset})"), weights)
            };
            let plain = with(1.0, 1.0);
            assert_eq!(with(4.0, 4.0), plain, "{model} {reset}");
            assert_eq!(with(0.125, 0.125), plain, "{model} {reset}");
        }
    }
}

#[test]
fn a_folded_norm_is_the_norm() {
    let logits = |text: &str, skip: &[&str]| {
        let mut session = session(text, skip, 1.0);
        session.run_forward().expect("forward");
        session.logits().expect("logits").to_vec()
    };
    let network = |body: &str| {
        format!(
            "neuron lif = LIF(tau: 2.0, decay_input: false)
             network folded {{
                 timesteps {STEPS}
                 input x: spike[time, 4, 5, 5]
                 x |> conv(8, kernel: 3, pad: 1) |> norm({body} |> flatten |> linear(5, bias: false) |> mean(time)
             }}"
        )
    };
    // Exact numbers: also the spikes behind a neuron are the same, to the bit.
    for neuron in ["", " |> lif", " |> lif |> conv(40, kernel: 3) |> norm(eps: 0.25) |> lif"] {
        let text = network(&format!("eps: 0.25, threshold_dependent: 0.5){neuron}"));
        assert_eq!(logits(&text, &[]), logits(&text, &["fold-norm"]), "{neuron}");
    }
    let text = network("eps: 1e-5, threshold_dependent: 0.7071)");
    let (folded, whole) = (logits(&text, &[]), logits(&text, &["fold-norm"]));
    let scale = whole.iter().fold(0.0f32, |top, x| top.max(x.abs()));
    assert!(folded != whole, "another eps leaves rounding, so both were computed");
    for (a, b) in folded.iter().zip(&whole) {
        assert!((a - b).abs() <= 1e-5 * scale, "{a} and {b} of {scale}");
    }
}
