//! Whole networks, compiled to machine code and run, against cases that PyTorch computed: loss, logits, every
//! gradient, running statistics, and five steps of training.
//!
//! `cargo test --test reference -- --nocapture` prints the largest deviation of each case.

#[path = "support/case.rs"]
mod case;
#[path = "support/compiled.rs"]
mod compiled;
#[path = "support/source.rs"]
mod source;

use case::{Case, check, check_gradient, of_case};
use compiled::{session, session_with};
use snnc_compiler::Mode;
use snnc_compiler::plan::{Decay, Optimizer, ParamSpec};
use snnc_runtime::Session;
use snnc_runtime::optim::{Pace, Rule};

const RESNET: &str = "tests/models/tiny_resnet.snn";
const STATTEN: &str = "tests/models/tiny_statten.snn";
const MLP: &str = "tests/models/mlp.snn";

/// Gradients and values agree with PyTorch's f32 to this part of a tensor's largest value.
const TOLERANCE: f32 = 1e-5;

/// Our parameters with the case's tensors.
type Names = [(String, String)];

/// The case's tensor of each of our parameters.
fn names(session: &Session) -> Vec<(String, String)> {
    session.plan().params.iter().map(|spec| (spec.name.clone(), of_case(&spec.name))).collect()
}

fn set_params(session: &mut Session, case: &Case, names: &Names) {
    for (ours, theirs) in names {
        session.set_param(ours, case.get(theirs)).unwrap_or_else(|e| panic!("{ours}: {e}"));
    }
}

fn set_samples(session: &mut Session, samples: &[Vec<f32>]) {
    let fill = |slot: usize, to: &mut [f32]| {
        to.copy_from_slice(&samples[slot]);
        Ok(())
    };
    session.set_inputs(samples.len(), fill).expect("inputs");
}

/// The largest deviation of the gradients; every gradient of a parameter that the case has is compared.
fn check_gradients(session: &Session, case: &Case, names: &Names, tolerance: f32) -> f32 {
    let trained: Vec<_> = names.iter().filter(|(_, theirs)| theirs.starts_with("param.")).collect();
    assert_eq!(trained.len(), case.keys("grad.param.").count());
    let errors = trained.iter().map(|(ours, theirs)| {
        check_gradient(session.grad(ours).expect("a gradient"), case, theirs, tolerance)
    });
    errors.fold(0.0, f32::max)
}

/// The largest deviation of the running statistics after a step.
fn check_statistics(session: &Session, case: &Case, names: &Names) -> f32 {
    let statistics: Vec<_> = names.iter().filter(|(_, theirs)| theirs.starts_with("buf.")).collect();
    assert_eq!(statistics.len(), case.keys("buf_after.").count());
    let errors = statistics.iter().map(|(ours, theirs)| {
        let after = case.get(&theirs.replacen("buf.", "buf_after.", 1));
        check(ours, session.param(ours).expect("a statistic"), after, TOLERANCE)
    });
    errors.fold(0.0, f32::max)
}

/// One forward and backward of a network on images with this loss.
fn training_step(name: &str, model: &str, loss: &str) {
    let loss = format!("loss {loss}");
    let session = session_with(model, &[], &[("loss      cross_entropy", &loss)], Mode::Train, 2);
    let names = names(&session);
    check_step(name, session, &names);
}

fn check_step(name: &str, mut session: Session, names: &Names) {
    let case = Case::load(name);
    set_params(&mut session, &case, names);
    set_samples(&mut session, &case.samples("in.img", false));
    session.set_labels(&case.labels()).expect("labels");
    session.run_forward().expect("forward");
    let mean = case.mean_over_time("out.logits");
    let logits = check("logits", session.logits().expect("logits"), &mean, TOLERANCE);
    let loss = check("loss", &[session.loss().expect("a loss")], case.get("out.loss"), TOLERANCE);
    session.run_backward().expect("backward");
    let gradients = check_gradients(&session, &case, names, TOLERANCE);
    session.apply_updates().expect("updates");
    let statistics = check_statistics(&session, &case, names);
    println!("{name}: logits {logits:e} loss {loss:e} gradients {gradients:e} statistics {statistics:e}");
}

#[test]
fn a_training_step_of_a_residual_network() {
    training_step("tiny_resnet_ce_mean", RESNET, "cross_entropy");
}

#[test]
fn a_training_step_with_label_smoothing() {
    training_step("tiny_resnet_ce_smooth", RESNET, "cross_entropy(smoothing: 0.1)");
}

#[test]
fn a_training_step_of_temporal_efficient_training() {
    training_step("tiny_resnet_tet", RESNET, "tet(lambda: 0.05, target: 1.0)");
}

#[test]
fn a_training_step_of_a_spiking_transformer() {
    training_step("tiny_statten", STATTEN, "cross_entropy");
}

/// The model that is shipped, made as small as the case; its parameters come in the order of the case's names.
#[test]
fn a_training_step_of_the_shipped_transformer() {
    let small = [("dim", "16"), ("heads", "2"), ("depth", "1"), ("mlp", "2"), ("size", "8"), ("pools", "1")];
    let defines = [&small[..], &[("classes", "5")]].concat();
    let changes = [
        ("surrogate: sigmoid(alpha: 4.0)", "surrogate: rectangle(width: 1.0)"),
        ("cross_entropy(smoothing: 0.1)", "cross_entropy"),
    ];
    let session = session_with("models/statten.snn", &defines, &changes, Mode::Train, 2);
    let named = names(&compiled::session(STATTEN, &[], Mode::Train, 2));
    let ours = session.plan().params.iter().map(|spec| spec.name.clone());
    assert_eq!(session.plan().params.len(), named.len());
    let names: Vec<_> = ours.zip(named.into_iter().map(|(_, theirs)| theirs)).collect();
    check_step("tiny_statten", session, &names);
}

#[test]
fn inference_of_a_residual_network() {
    let case = Case::load("tiny_resnet_eval");
    let mut session = session(RESNET, &[], Mode::Infer, 2);
    let names = names(&session);
    set_params(&mut session, &case, &names);
    set_samples(&mut session, &case.samples("in.img", false));
    session.run_forward().expect("forward");
    let mean = case.mean_over_time("out.logits");
    let logits = check("logits", session.logits().expect("logits"), &mean, TOLERANCE);
    println!("tiny_resnet_eval: logits {logits:e}");
}

/// Five steps of an optimiser on one batch, with the case's learning rates; every parameter decays.
fn five_steps(name: &str, model: &str, timed: bool, optimizer: Optimizer, tolerance: f32) {
    let case = Case::load(name);
    let samples = case.samples(if timed { "in.x" } else { "in.img" }, timed);
    let mut session = session(model, &[], Mode::Train, samples.len());
    let names = names(&session);
    set_params(&mut session, &case, &names);
    let mut rule = Rule::new(optimizer, Decay::All, session.plan().params.len());
    let (mut losses, mut gradients) = (0.0f32, 0.0);
    for (step, lr) in case.get("out.lr").iter().enumerate() {
        set_samples(&mut session, &samples);
        session.set_labels(&case.labels()).expect("labels");
        session.run_forward().expect("forward");
        let expected = &case.get("out.loss_seq")[step..=step];
        let loss = [session.loss().expect("loss")];
        losses = losses.max(check(&format!("loss {step}"), &loss, expected, tolerance));
        session.run_backward().expect("backward");
        if step == 0 {
            gradients = check_gradients(&session, &case, &names, TOLERANCE);
        }
        session.apply_updates().expect("updates");
        rule.begin_step();
        let pace = Pace { lr: *lr, clip: 1.0 };
        let change = |index: usize, spec: &ParamSpec, values: &mut [f32], gradient: &[f32]| {
            rule.step(index, spec.role, values, gradient, pace)
        };
        session.change_params(change).expect("a step");
    }
    let after = names.iter().map(|(ours, theirs)| {
        let after = match theirs.strip_prefix("param.") {
            Some(name) => format!("out.after.{name}"),
            None => theirs.replacen("buf.", "buf_after.", 1),
        };
        check(ours, session.param(ours).expect("a parameter"), case.get(&after), tolerance)
    });
    let after = after.fold(0.0, f32::max);
    println!("{name}: losses {losses:e} gradients {gradients:e} parameters after 5 steps {after:e}");
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
    five_steps("train5_resnet_sgd_momentum", RESNET, false, momentum(false), 1e-3);
}

#[test]
fn five_steps_of_a_residual_network_with_adamw() {
    five_steps("train5_resnet_adamw", RESNET, false, adam(0.06), 1e-3);
}

#[test]
fn five_steps_of_a_spike_fed_network() {
    five_steps("train5_mlp_sgd_momentum", MLP, true, momentum(false), 1e-4);
}

#[test]
fn five_steps_with_nesterov_momentum() {
    five_steps("train5_mlp_sgd_nesterov", MLP, true, momentum(true), 1e-4);
}

#[test]
fn five_steps_with_adam() {
    five_steps("train5_mlp_adam", MLP, true, adam(0.0), 1e-4);
}

#[test]
fn five_steps_with_adamw() {
    five_steps("train5_mlp_adamw", MLP, true, adam(0.06), 1e-4);
}

/// A case that no test reads shows nothing. The cases' names stand in the tests in full, so that they are found.
#[test]
fn every_case_is_read_by_a_test() {
    let code: String = source::files(&source::root())
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .map(|path| std::fs::read_to_string(path).expect("source"))
        .collect();
    let mut count = 0;
    for path in source::files(&case::folder()) {
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let named = [format!("\"{name}\""), format!("\"{name}.safetensors\"")];
        assert!(named.iter().any(|name| code.contains(name)), "no test reads {name}");
        count += 1;
    }
    assert_eq!(count, 60);
}
