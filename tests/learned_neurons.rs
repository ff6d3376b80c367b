//! Learned neurons from the file to machine code: training moves their constants, whatever the number of threads,
//! and a constant that is learned does before its first step what a fixed one does.

#[path = "support/command.rs"]
mod command;
#[path = "support/compiled.rs"]
mod compiled;

use command::{Folder, snnc};
use compiled::{model, session_of};
use safetensors::SafeTensors;
use snnc_compiler::Mode;
use snnc_compiler::plan::ParamRole;
use snnc_runtime::Session;

const MODEL: &str = "tests/models/adaptive.snn";

/// The constants of a checkpoint by name, and all of its bytes.
fn weights(path: &str) -> (Vec<(String, Vec<f32>)>, Vec<u8>) {
    let bytes = std::fs::read(path).expect("weights");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let numbers =
        |data: &[u8]| data.chunks_exact(4).map(|w| f32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect();
    let of_model = |name: &str| !name.starts_with("optimizer.");
    let learned = |name: &str| of_model(name) && (name.contains(".w_") || name.ends_with(".step_scale"));
    let all = file
        .iter()
        .filter(|(name, _)| learned(name))
        .map(|(name, view)| (name.to_string(), numbers(view.data())));
    let mut all: Vec<(String, Vec<f32>)> = all.collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    (all, bytes)
}

#[test]
fn digits_are_learned_with_their_neurons() {
    let folder = Folder::new("adaptive");
    let run = |threads: &str| {
        let out = folder.file(&format!("run{threads}"));
        let result = snnc(&["train", MODEL, "--threads", threads, "--out", &out, "--json"]).json();
        (result["test_accuracy"].as_f64().expect("a number"), weights(&format!("{out}/last.safetensors")))
    };
    let (accuracy, (learned, bytes)) = run("1");
    assert!(accuracy >= 0.95, "{accuracy}");
    assert!(bytes == run("2").1.1, "threads change a bit");
    let shown: Vec<(&str, usize)> =
        learned.iter().map(|(name, values)| (name.as_str(), values.len())).collect();
    let expected = [
        ("first.plif.w_tau", 1),
        ("first.unit.norm.step_scale", 4),
        ("second.general.w_decay", 40),
        ("second.general.w_gain", 40),
        ("second.general.w_threshold", 40),
        ("second.unit.norm.step_scale", 4),
        ("third.firing.w_threshold", 1),
        ("third.unit.norm.step_scale", 4),
    ];
    assert_eq!(shown, expected);
    for (name, values) in &learned {
        let first =
            if name.ends_with("threshold") || name.ends_with("gain") { (1f32.exp() - 1.0).ln() } else { 0.0 };
        let first = if name.ends_with("step_scale") { 1.0 } else { first };
        assert!(values.iter().all(|w| w.is_finite() && (w - first).abs() < 3.0), "{name} {values:?}");
        assert!(values.iter().any(|w| (w - first).abs() > 1e-3), "{name} did not move: {values:?}");
    }
    let (model, _) = model(MODEL, &[]);
    let (products, norms) = (8 * 9 + 40 * 8 * 9 + 32 * 40 * 9 + 128 * 10 + 10, 2 * (8 + 40 + 32) + 3 * 4);
    assert_eq!(model.parameters, products + norms + 1 + 3 * 40 + 1);
}

/// A training step of a small network with this neuron: logits and the gradients of the weights.
fn step(neuron: &str) -> (Session, Vec<f32>, Vec<f32>) {
    let text = format!(
        "neuron lif = {neuron}
         network net {{
            timesteps 4
            input x: f32[time, 12]
            let hidden = x |> linear(40) |> lif
            hidden |> linear(4) |> mean(time)
         }}"
    );
    let mut session = session_of(&text, Mode::Train, 3);
    let names: Vec<(String, usize, ParamRole)> =
        session.plan().params.iter().map(|spec| (spec.name.clone(), spec.len(), spec.role)).collect();
    for (name, len, role) in &names {
        let number = |i: usize| ((i * 37 + name.len() * 11) % 29) as f32 / 16.0 - 0.875;
        match role {
            ParamRole::Weight => session.set_param(name, &(0..*len).map(number).collect::<Vec<f32>>()),
            // The bias is 0; a time constant of 2 has the number 0.
            _others => session.set_param(name, &vec![0.0; *len]),
        }
        .expect("a parameter");
    }
    let fill = |slot: usize, to: &mut [f32]| {
        let number = |i: usize| ((i * 13 + slot * 7) % 17) as f32 / 8.0 - 0.75;
        to.iter_mut().enumerate().for_each(|(i, x)| *x = number(i));
        Ok(())
    };
    session.set_inputs(3, fill).expect("inputs");
    session.set_labels(&[0, 2, 3]).expect("labels");
    session.run_forward().expect("forward");
    session.run_backward().expect("backward");
    let logits = session.logits().expect("logits").to_vec();
    let gradient = session.grad("hidden.linear.weight").expect("a gradient").to_vec();
    (session, logits, gradient)
}

#[test]
fn a_learned_constant_begins_as_the_fixed_one() {
    let surrogates =
        ["rectangle", "triangle(2.0)", "tanh", "erf", "soft_sign", "PiecewiseExp", "fast_sigmoid"];
    for surrogate in surrogates {
        for reset in ["hard(0.0)", "soft", "none"] {
            let neuron = |tau: &str| {
                format!("LIF(tau: {tau}, detach_reset: true, reset: {reset}, surrogate: {surrogate})")
            };
            let (_, logits, gradient) = step(&neuron("2.0"));
            let (session, same_logits, same_gradient) = step(&neuron("learn(2.0)"));
            assert_eq!(logits, same_logits, "{reset} {surrogate}");
            assert_eq!(gradient, same_gradient, "{reset} {surrogate}");
            assert!(gradient.iter().any(|&g| g != 0.0));
            let learned = session.grad("hidden.lif.w_tau").expect("a gradient");
            assert!(learned.len() == 1 && learned[0] != 0.0, "{reset} {surrogate}");
        }
    }
}
