//! Whole networks, compiled to machine code and run, against cases that PyTorch computed: loss, logits, every
//! gradient, running statistics, and five steps of training.

#[path = "support/compiled.rs"]
mod compiled;

use compiled::{close, session, session_with};
use safetensors::SafeTensors;
use snnc_compiler::Mode;
use snnc_compiler::plan::{Decay, Optimizer, ParamSpec};
use snnc_runtime::Session;
use snnc_runtime::optim::{Pace, Rule};
use std::collections::HashMap;
use std::path::Path;

const RESNET: &str = "tests/models/tiny_resnet.snn";
const MLP: &str = "tests/models/mlp.snn";

/// Gradients and values agree with PyTorch's f32 to this part of a tensor's largest value.
const TOLERANCE: f32 = 2e-5;

/// The tensors of a case by name, with their shapes.
struct Case(HashMap<String, (Vec<usize>, Vec<f32>)>);

impl Case {
    fn load(name: &str) -> Case {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reference");
        let bytes = std::fs::read(folder.join(format!("{name}.safetensors"))).expect("a fixture");
        let file = SafeTensors::deserialize(&bytes).expect("safetensors");
        let tensor = |view: safetensors::tensor::TensorView<'_>| {
            let words = view.data().chunks_exact(4);
            (view.shape().to_vec(), words.map(|w| f32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect())
        };
        Case(file.iter().map(|(name, view)| (name.to_string(), tensor(view))).collect())
    }

    fn get(&self, key: &str) -> &[f32] {
        &self.0.get(key).unwrap_or_else(|| panic!("the case has no {key}")).1
    }

    fn labels(&self) -> Vec<i32> {
        self.get("in.y").iter().map(|y| *y as i32).collect()
    }

    /// `[T, B, n]` as samples of `[T, n]`; an image `[B, …]` as it is.
    fn samples(&self, key: &str, timed: bool) -> Vec<Vec<f32>> {
        let (shape, data) = &self.0[key];
        let (steps, batch) = if timed { (shape[0], shape[1]) } else { (1, shape[0]) };
        let part = data.len() / steps / batch;
        let sample =
            |b: usize| (0..steps).flat_map(move |t| data[(t * batch + b) * part..][..part].iter().copied());
        (0..batch).map(|b| sample(b).collect()).collect()
    }
}

/// The case's tensor of each of our parameters. A binding of the model has the name of the case's layer; the layer
/// is the last word of our path but one.
fn names(session: &Session) -> Vec<(String, String)> {
    let mapped = |path: &str| {
        let (layer, field) = path.rsplit_once('.').expect("a field");
        let (layer, kind) = layer.rsplit_once('.').expect("a layer");
        let layer = layer.strip_suffix(".unit").unwrap_or(layer).replace(".basic", "");
        match (kind, field) {
            ("norm", "weight") => format!("param.{layer}.gamma"),
            ("norm", "bias") => format!("param.{layer}.beta"),
            ("norm", "running_mean") => format!("buf.{layer}.rm"),
            ("norm", "running_var") => format!("buf.{layer}.rv"),
            (_, "weight") => format!("param.{layer}.w"),
            (_, "bias") => format!("param.{layer}.b"),
            other => panic!("an unknown parameter {other:?}"),
        }
    };
    session.plan().params.iter().map(|spec| (spec.name.clone(), mapped(&spec.name))).collect()
}

fn set_params(session: &mut Session, case: &Case) {
    for (ours, theirs) in names(session) {
        session.set_param(&ours, case.get(&theirs)).unwrap_or_else(|e| panic!("{ours}: {e}"));
    }
}

fn set_samples(session: &mut Session, samples: &[Vec<f32>]) {
    let fill = |slot: usize, to: &mut [f32]| {
        to.copy_from_slice(&samples[slot]);
        Ok(())
    };
    session.set_inputs(samples.len(), fill).expect("inputs");
}

/// The mean over time of `[T, B, n]`.
fn mean_over_time(case: &Case, key: &str) -> Vec<f32> {
    let (shape, data) = &case.0[key];
    let rest = data.len() / shape[0];
    (0..rest).map(|i| data.iter().skip(i).step_by(rest).sum::<f32>() / shape[0] as f32).collect()
}

fn check_gradients(session: &Session, case: &Case) {
    let mut checked = 0;
    for (ours, theirs) in names(session).iter().filter(|(_, theirs)| theirs.starts_with("param.")) {
        close(ours, session.grad(ours).expect("a gradient"), case.get(&format!("grad.{theirs}")), TOLERANCE);
        checked += 1;
    }
    assert!(checked >= 6, "only {checked} gradients");
}

/// One forward and backward of the residual network with this loss.
fn training_step(name: &str, loss: &str) {
    let case = Case::load(name);
    let loss = format!("loss {loss}");
    let mut session = session_with(RESNET, ("loss      cross_entropy", &loss), Mode::Train, 2);
    set_params(&mut session, &case);
    set_samples(&mut session, &case.samples("in.img", false));
    session.set_labels(&case.labels()).expect("labels");
    session.run_forward().expect("forward");
    close("logits", session.logits().expect("logits"), &mean_over_time(&case, "out.logits"), TOLERANCE);
    close("loss", &[session.loss().expect("a loss")], case.get("out.loss"), TOLERANCE);
    session.run_backward().expect("backward");
    check_gradients(&session, &case);
    session.apply_updates().expect("updates");
    for (ours, theirs) in names(&session).iter().filter(|(_, theirs)| theirs.starts_with("buf.")) {
        let after = case.get(&theirs.replacen("buf.", "buf_after.", 1));
        close(ours, session.param(ours).expect("a statistic"), after, TOLERANCE);
    }
}

#[test]
fn a_training_step_of_a_residual_network() {
    training_step("tiny_resnet_ce_mean", "cross_entropy");
}

#[test]
fn a_training_step_with_label_smoothing() {
    training_step("tiny_resnet_ce_smooth", "cross_entropy(smoothing: 0.1)");
}

#[test]
fn a_training_step_of_temporal_efficient_training() {
    training_step("tiny_resnet_tet", "tet(lambda: 0.05, target: 1.0)");
}

#[test]
fn inference_of_a_residual_network() {
    let case = Case::load("tiny_resnet_eval");
    let mut session = session(RESNET, &[], Mode::Infer, 2);
    set_params(&mut session, &case);
    set_samples(&mut session, &case.samples("in.img", false));
    session.run_forward().expect("forward");
    close("logits", session.logits().expect("logits"), &mean_over_time(&case, "out.logits"), TOLERANCE);
}

/// Five steps of an optimiser on one batch, with the case's learning rates; every parameter decays.
fn five_steps(model: &str, case: &Case, samples: &[Vec<f32>], optimizer: Optimizer, tolerance: f32) {
    let mut session = session(model, &[], Mode::Train, samples.len());
    set_params(&mut session, case);
    let mut rule = Rule::new(optimizer, Decay::All, session.plan().params.len());
    for (step, lr) in case.get("out.lr").iter().enumerate() {
        set_samples(&mut session, samples);
        session.set_labels(&case.labels()).expect("labels");
        session.run_forward().expect("forward");
        close(
            &format!("loss {step}"),
            &[session.loss().expect("loss")],
            &case.get("out.loss_seq")[step..=step],
            tolerance,
        );
        session.run_backward().expect("backward");
        if step == 0 {
            check_gradients(&session, case);
        }
        session.apply_updates().expect("updates");
        rule.begin_step();
        let pace = Pace { lr: *lr, clip: 1.0 };
        let change = |index: usize, spec: &ParamSpec, values: &mut [f32], gradient: &[f32]| {
            rule.step(index, spec.role, values, gradient, pace)
        };
        session.change_params(change).expect("a step");
    }
    for (ours, theirs) in names(&session) {
        let after = match theirs.strip_prefix("param.") {
            Some(name) => format!("out.after.{name}"),
            None => theirs.replacen("buf.", "buf_after.", 1),
        };
        close(&ours, session.param(&ours).expect("a parameter"), case.get(&after), tolerance);
    }
}

fn momentum(nesterov: bool) -> Optimizer {
    Optimizer::Sgd { lr: 0.1, momentum: 0.9, nesterov, weight_decay: 5e-4 }
}

fn adam(weight_decay: f64) -> Optimizer {
    let decoupled = weight_decay > 0.0;
    Optimizer::Adam { lr: 3e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay, decoupled }
}

#[test]
fn five_steps_of_a_residual_network() {
    let case = Case::load("train5_resnet_sgd_momentum");
    five_steps(RESNET, &case, &case.samples("in.img", false), momentum(false), 1e-3);
}

#[test]
fn five_steps_of_a_residual_network_with_adamw() {
    let case = Case::load("train5_resnet_adamw");
    five_steps(RESNET, &case, &case.samples("in.img", false), adam(0.06), 1e-3);
}

#[test]
fn five_steps_of_a_spike_fed_network() {
    let case = Case::load("train5_mlp_sgd_momentum");
    five_steps(MLP, &case, &case.samples("in.x", true), momentum(false), 1e-4);
}

#[test]
fn five_steps_with_nesterov_momentum() {
    let case = Case::load("train5_mlp_sgd_nesterov");
    five_steps(MLP, &case, &case.samples("in.x", true), momentum(true), 1e-4);
}

#[test]
fn five_steps_with_adam() {
    let case = Case::load("train5_mlp_adam");
    five_steps(MLP, &case, &case.samples("in.x", true), adam(0.0), 1e-4);
}

#[test]
fn five_steps_with_adamw() {
    let case = Case::load("train5_mlp_adamw");
    five_steps(MLP, &case, &case.samples("in.x", true), adam(0.06), 1e-4);
}
