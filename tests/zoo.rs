//! Every model of the repository at a size that fits a test: machine code against the oracle, forward and backward, and
//! 32 images learned by heart.

#[path = "support/compiled.rs"]
mod compiled;
#[path = "support/oracle.rs"]
mod oracle;

use compiled::{model, session};
use snnc_compiler::Mode;
use snnc_compiler::front::to_graph;
use snnc_compiler::plan::{Decay, Optimizer, ParamRole, ParamSpec};
use snnc_ir::random::real_values;
use snnc_runtime::optim::{Pace, Rule};
use snnc_runtime::rng::{Purpose, Rng};
use snnc_runtime::{Session, initialise};
use std::collections::BTreeSet;

/// A model and the parameters that make it small.
struct Small {
    file: &'static str,
    defines: &'static str,
    /// What is larger where it learns.
    learning: &'static str,
    /// The values of the test of agreement. STAtten's are such that its attention fires: a silent one has a norm over equal
    /// numbers behind it, whose gradients are rounding errors times 316.
    seed: u64,
}

const RESNET19: &str = "stem=4 width=8 hidden=16 blocks1=1 blocks2=1 blocks3=1 size=8 steps=2";
const RESNET34: &str = "width=4 blocks1=1 blocks2=1 blocks3=1 blocks4=1 size=16 steps=2 classes=10";
const TRANSFORMER: &str = "dim=32 heads=2 depth=1 size=8 pools=1 steps=2";
const DRIVEN: &str = "dim=32 depth=1 size=8 pools=1 steps=2";

/// Each model once; its variants follow in the test of agreement.
const MODELS: [Small; 10] = [
    Small { file: "digits", defines: "width=4 steps=2", learning: "", seed: 0 },
    Small { file: "lif_mlp", defines: "size=8 hidden=32 steps=2", learning: "", seed: 1 },
    Small { file: "resnet19", defines: RESNET19, learning: "width=16 hidden=64", seed: 2 },
    Small { file: "resnet34", defines: RESNET34, learning: "width=8 size=32", seed: 3 },
    Small { file: "sew_resnet34", defines: RESNET34, learning: "", seed: 4 },
    Small {
        file: "ms_resnet18",
        defines: "stem=4 width=8 blocks1=1 blocks2=1 blocks3=1 size=8 steps=2",
        learning: "",
        seed: 5,
    },
    Small { file: "ms_resnet34", defines: RESNET34, learning: "width=8", seed: 6 },
    Small { file: "spikformer", defines: TRANSFORMER, learning: "dim=64 steps=4", seed: 7 },
    Small { file: "sdt", defines: DRIVEN, learning: "dim=64 steps=4", seed: 8 },
    Small { file: "statten", defines: TRANSFORMER, learning: "dim=64 steps=4", seed: 13 },
];

/// Gradients of networks of ten and more layers, each with a norm over few values, agree to this part of a tensor's
/// largest value.
const TOLERANCE: f64 = 1e-3;

impl Small {
    fn path(&self) -> String {
        format!("models/{}.snn", self.file)
    }

    fn defines<'a>(&'a self, more: &'a str) -> Vec<(&'a str, &'a str)> {
        let all = self.defines.split_whitespace().chain(more.split_whitespace());
        all.map(|define| define.split_once('=').expect("name=value")).collect()
    }
}

fn small(file: &str) -> &'static Small {
    MODELS.iter().find(|small| small.file == file).unwrap_or_else(|| panic!("no {file}"))
}

/// The model in both modes, compiled and in the interpreter.
fn agrees(small: &Small, more: &str, seed: u64) {
    let (model, _) = model(&small.path(), &small.defines(more));
    for mode in [Mode::Infer, Mode::Train] {
        let graph = to_graph(&model, mode);
        let given = real_values(&graph, seed, 2);
        let given =
            given.unwrap_or_else(|| panic!("{} {more}: all values have membranes at thresholds", small.file));
        oracle::check(graph, &given, (2, 2), TOLERANCE);
    }
}

#[test]
fn every_file_is_tested() {
    let files: BTreeSet<String> = std::fs::read_dir("models")
        .expect("models")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".snn")?.to_string()))
        .collect();
    assert_eq!(files, MODELS.iter().map(|small| small.file.to_string()).collect());
}

#[test]
fn models_run_as_in_the_interpreter() {
    for small in &MODELS {
        agrees(small, "", small.seed);
    }
}

#[test]
fn variants_of_resnet19_run_as_in_the_interpreter() {
    let both = "spatial=true temporal=true branch_gain=1.0";
    let variants = [
        "variant=B size=16",
        "variant=C",
        "variant=D blocks1=2",
        "spatial=true branch_gain=1.0 blocks2=3",
        "temporal=true branch_gain=1.0 causal=true",
        &format!("{both} blocks1=2 head=1"),
        &format!("{both} core=mask"),
        &format!("{both} core=joint"),
        &format!("{both} core=control"),
        &format!("{both} variant=D"),
        &format!("{both} adaptive=true tdbn=true threshold=0.5"),
    ];
    for (seed, variant) in variants.iter().enumerate() {
        agrees(small("resnet19"), variant, seed as u64);
    }
}

#[test]
fn other_variants_run_as_in_the_interpreter() {
    agrees(small("sew_resnet34"), "connect=and", 0);
    agrees(small("sew_resnet34"), "connect=iand", 1);
    agrees(small("resnet34"), "spatial=true temporal=true branch_gain=1.0", 2);
    agrees(small("ms_resnet18"), "spatial=true temporal=true branch_gain=1.0", 3);
    agrees(small("spikformer"), "order=qk", 4);
    agrees(small("statten"), "chunk=1", 5);
}

fn label(slot: usize, classes: usize) -> usize {
    slot * 7 % classes
}

/// Random images and labels, 32 of each.
fn fill(session: &mut Session, classes: usize, mode: Mode) {
    let image = |slot: usize, to: &mut [f32]| {
        let mut rng = Rng::new(5, Purpose::Shuffle, slot as u64);
        to.iter_mut().for_each(|value| *value = 3.4 * rng.uniform() - 1.7);
        Ok(())
    };
    session.set_inputs(32, image).expect("inputs");
    if mode == Mode::Infer {
        return;
    }
    let labels: Vec<i32> = (0..32).map(|slot| label(slot, classes) as i32).collect();
    session.set_labels(&labels).expect("labels");
}

/// Trains with Adam on one batch: the loss before each step, and how many images are told right before the last.
fn learn(small: &Small, more: &str, steps: usize) -> (Vec<f32>, usize) {
    let mut session = session(&small.path(), &small.defines(more), Mode::Train, 32);
    initialise(&mut session, 1).expect("weights");
    let classes = session.plan().classes;
    let adam = Optimizer::Adam {
        lr: 0.01,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
        decoupled: false,
    };
    let mut rule = Rule::new(adam, Decay::Weights, session.plan().params.len());
    let (mut losses, mut right) = (Vec::new(), 0);
    for step in 0..steps {
        fill(&mut session, classes, Mode::Train);
        session.run_forward().expect("forward");
        losses.push(session.loss().expect("a loss"));
        right = told_right(session.logits().expect("logits"), classes);
        session.run_backward().expect("backward");
        session.apply_updates().expect("statistics");
        rule.begin_step();
        let pace = Pace { lr: 0.01 * (1.0 - step as f32 / steps as f32), clip: 1.0 };
        let change = |index: usize, spec: &ParamSpec, values: &mut [f32], gradient: &[f32]| {
            rule.step(index, spec.role, values, gradient, pace)
        };
        session.change_params(change).expect("a step");
    }
    (losses, right)
}

fn told_right(logits: &[f32], classes: usize) -> usize {
    let best = |row: &[f32]| (0..classes).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    logits.chunks(classes).enumerate().filter(|(slot, row)| best(row) == Some(label(*slot, classes))).count()
}

#[test]
fn every_model_learns_32_images_by_heart() {
    for small in &MODELS {
        let (losses, right) = learn(small, small.learning, 250);
        let (first, last) = (losses[0], losses[losses.len() - 1]);
        assert_eq!(right, 32, "{}: the loss goes from {first} to {last}", small.file);
    }
}

/// Makes running variances small, so that neurons fire in a network that was not trained.
fn raise(session: &mut Session) {
    for spec in session.plan().params.clone() {
        if spec.role == ParamRole::RunningVar {
            session.set_param(&spec.name, &vec![0.02; spec.len()]).expect("a variance");
        }
    }
}

#[test]
fn attention_whose_branch_is_silent_is_no_attention() {
    let small = small("resnet19");
    let both = "spatial=true temporal=true blocks1=2 blocks2=3";
    for mode in [Mode::Infer, Mode::Train] {
        let run = |more: &str| {
            let mut session = session(&small.path(), &small.defines(more), mode, 32);
            initialise(&mut session, 3).expect("weights");
            raise(&mut session);
            fill(&mut session, 10, mode);
            session.run_forward().expect("forward");
            session.logits().expect("logits").to_vec()
        };
        let (plain, silent) = (run("blocks1=2 blocks2=3"), run(both));
        assert!(plain.iter().any(|logit| *logit != plain[0]), "the network computes something");
        let bits = |logits: &[f32]| logits.iter().map(|logit| logit.to_bits()).collect::<Vec<u32>>();
        assert!(bits(&plain) == bits(&silent), "{mode:?}: a silent branch changes a bit");
        let heard = run(&format!("{both} branch_gain=1.0"));
        assert!(bits(&plain) != bits(&heard), "{mode:?}: the branch has no effect");
    }
}

#[test]
fn the_rows_of_the_ablation_train_from_one_file() {
    let mut firsts = Vec::new();
    for switches in ["", "spatial=true", "temporal=true", "spatial=true temporal=true"] {
        let (losses, _) = learn(small("resnet19"), &format!("width=16 hidden=64 blocks1=2 {switches}"), 60);
        let (first, last) = (losses[0], losses[losses.len() - 1]);
        assert!(last < 0.7 * first, "{switches}: the loss goes from {first} to {last}");
        firsts.push(first.to_bits());
    }
    assert!(
        firsts.iter().all(|first| *first == firsts[0]),
        "training begins with the network without attention"
    );
}
