//! Blocks of networks against cases that PyTorch computed, each with a given gradient of its output: spikes are the
//! same; real outputs, every gradient, that of the input among them, and running statistics are close.
//!
//! Each model ends in a classifier that the cases do not have; the graph is cut before it.
//! The interpreter runs the cut graph with the sweep of `autodiff::from_value`; then the same block runs as machine
//! code, between an input and a loss that are made so that the gradient of the block's output is the case's.
//!
//! `cargo test --test reference_blocks -- --nocapture` prints the largest deviation of each case.

#[path = "support/case.rs"]
mod case;
#[path = "support/compiled.rs"]
mod compiled;
#[path = "support/wide.rs"]
mod wide;

use case::{Case, check, check_gradient, of_case};
use snnc_compiler::front::to_graph;
use snnc_ir::interp::{Env, Tensor, run};
use snnc_ir::{Def, Elem, Graph, Mode, Op, Value};
use snnc_passes::autodiff::from_value;
use std::collections::HashMap;
use wide::Wide;

/// The interpreter computes in f64, so the deviation is that of PyTorch's f32.
const TOLERANCE: f32 = 1e-5;
const BATCH: usize = 2;

/// A case, its model, and where in the model the case's inner tensors are.
struct Block {
    case: &'static str,
    model: &'static str,
    defines: &'static [(&'static str, &'static str)],
    output: &'static str,
    spikes: &'static [(&'static str, &'static str)],
}

const BASIC: Block = Block {
    case: "resblock_same",
    model: "tests/models/block_basic.snn",
    defines: &[],
    output: "spike",
    spikes: &[],
};

const ATTENTION: Block = Block {
    case: "ssa_block",
    model: "tests/models/block_attention.snn",
    defines: &[],
    output: "y",
    spikes: &[
        ("q.project.lif", "q_spike"),
        ("k.project.lif", "k_spike"),
        ("v.project.lif", "v_spike"),
        ("proj.attend.lif", "att"),
    ],
};

#[test]
fn a_residual_block() {
    BASIC.check();
}

#[test]
fn a_residual_block_that_changes_the_shape() {
    Block { case: "resblock_down", defines: &[("channels", "6"), ("stride", "2")], ..BASIC }.check();
}

#[test]
fn a_block_with_its_shortcut_on_the_membrane() {
    let model = "tests/models/block_membrane.snn";
    Block { case: "resblock_membrane", model, output: "y", ..BASIC }.check();
}

#[test]
fn a_block_that_adds_spikes() {
    Block { case: "resblock_sew_add", model: "tests/models/block_sew.snn", output: "y", ..BASIC }.check();
}

#[test]
fn a_block_of_spatial_attention() {
    ATTENTION.check();
}

#[test]
fn a_block_of_space_time_attention() {
    Block { case: "statten_block", defines: &[("core", "statten")], ..ATTENTION }.check();
}

#[test]
fn a_block_of_spike_driven_attention() {
    let spikes = &[
        ("q.project.lif", "q_spike"),
        ("k.project.lif", "k_spike"),
        ("v.project.lif", "v_spike"),
        ("proj.attend.and_2", "att"),
    ];
    Block { case: "sdsa_block", defines: &[("core", "sdsa")], spikes, ..ATTENTION }.check();
}

/// The whole network: what machine code cannot show of it, spikes inside and the gradient of the image.
#[test]
fn inside_a_spiking_transformer() {
    let block = Block {
        case: "tiny_statten",
        model: "tests/models/tiny_statten.snn",
        defines: &[],
        output: "logits",
        spikes: &[
            ("a.attend.q.lif", "a.q_spike"),
            ("a.attend.k.lif", "a.k_spike"),
            ("a.attend.v.lif", "a.v_spike"),
            ("a.attend.o.lif", "a.att"),
        ],
    };
    block.check_image();
}

#[test]
fn the_image_of_a_residual_network() {
    let model = "tests/models/tiny_resnet.snn";
    Block { case: "tiny_resnet_ce_mean", model, output: "logits", ..BASIC }.check_image();
}

impl Block {
    fn check(&self) {
        let case = Case::load(self.case);
        let cut = self.cut();
        self.check_interpreter(&cut, &case);
        self.check_machine_code(&cut, &case);
    }

    /// The logical training graph up to the block's output, which is what the classifier flattens.
    fn cut(&self) -> Graph {
        let (model, _) = compiled::model(self.model, self.defines);
        let mut graph = to_graph(&model, Mode::Train);
        graph.outputs = vec![operand(&graph, "flatten")];
        graph.inputs.truncate(1);
        snnc_passes::dce::PASS.apply(&mut graph);
        let counts = graph.use_counts();
        graph.params.retain(|param| counts[param.index()] > 0);
        graph
    }

    fn check_interpreter(&self, cut: &Graph, case: &Case) {
        let mut graph = cut.clone();
        let (x, y) = (graph.inputs[0], graph.outputs[0]);
        let gradient = graph.add_input("gout", graph.ty(y).with_elem(Elem::F32));
        from_value(&mut graph, y, gradient, &[x]);
        let found =
            self.run(&graph, case, &[(x, "in.x".into()), (gradient, format!("gout.{}", self.output))]);
        let output = self.check_output(&graph, &found[graph.name(y)], case);
        let parts = self.check_results(&graph, &found, case);
        println!("{} interpreted: output {output:e} {parts}", self.case);
    }

    /// A whole network with a cross-entropy, swept from its logits to the image.
    fn check_image(&self) {
        let case = Case::load(self.case);
        let (model, _) = compiled::model(self.model, self.defines);
        let mut graph = to_graph(&model, Mode::Train);
        let (image, labels, logits) = (graph.inputs[0], graph.inputs[1], graph.outputs[0]);
        let gradient = graph.emit("gradient", Op::CrossEntropyGrad(0.0), &[logits, labels], None);
        from_value(&mut graph, logits, gradient, &[image]);
        let found = self.run(&graph, &case, &[(image, "in.img".into()), (labels, "in.y".into())]);
        let mean = case.mean_over_time("out.logits");
        let output = check("logits", &found[graph.name(logits)], &mean, TOLERANCE);
        println!(
            "{} interpreted: logits {output:e} {}",
            self.case,
            self.check_results(&graph, &found, &case)
        );
    }

    /// Inner spikes, every gradient and the running statistics of an interpreted graph; says how far they deviate.
    fn check_results(&self, graph: &Graph, found: &HashMap<String, Vec<f32>>, case: &Case) -> String {
        let of = |value: Value| found[graph.name(value)].as_slice();
        for (value, key) in self.spikes {
            assert_eq!(found[*value], case.get(&format!("out.{key}")), "{} {key}", self.case);
        }
        assert_eq!(graph.grads.len(), case.keys("grad.").count());
        let gradients = graph.grads.iter().map(|&(param, grad)| match graph.value(param).def {
            Def::Input => {
                let key = case.keys("grad.in.").next().expect("one input");
                check(key, of(grad), case.get(key), TOLERANCE)
            }
            Def::Param(_) | Def::Result(..) | Def::Arg(..) => {
                check_gradient(of(grad), case, &of_case(graph.name(param)), TOLERANCE)
            }
        });
        let gradients = gradients.fold(0.0, f32::max);
        assert_eq!(graph.updates.len(), case.keys("buf_after.").count());
        let statistics = graph.updates.iter().map(|&(param, next)| {
            let key = of_case(graph.name(param)).replacen("buf.", "buf_after.", 1);
            check(&key, of(next), case.get(&key), TOLERANCE)
        });
        let statistics = statistics.fold(0.0, f32::max);
        format!("gradients {gradients:e} statistics {statistics:e}")
    }

    /// Runs a graph in the interpreter on the case's parameters and these inputs.
    fn run(&self, graph: &Graph, case: &Case, inputs: &[(Value, String)]) -> HashMap<String, Vec<f32>> {
        let params = graph.params.iter().map(|&param| (param, of_case(graph.name(param))));
        let given = params.chain(inputs.iter().cloned()).map(|(value, key)| {
            let data = case.get(&key).iter().map(|&v| f64::from(v)).collect();
            (graph.name(value).to_string(), Tensor::new(graph.ty(value).dims(BATCH), data))
        });
        let env = Env { batch: BATCH, values: given.collect(), smooth: false };
        let found = run(graph, &env).unwrap_or_else(|error| panic!("{}: {error}", self.case));
        let floats = |tensor: Tensor| tensor.data.into_iter().map(|v| v as f32).collect();
        found.into_iter().map(|(name, tensor)| (name, floats(tensor))).collect()
    }

    /// The deviation of the output; spikes and sums of spikes are the same.
    fn check_output(&self, graph: &Graph, found: &[f32], case: &Case) -> f32 {
        let expected = case.get(&format!("out.{}", self.output));
        if expected.iter().all(|v| v.fract() == 0.0) {
            assert_eq!(found, expected, "{} %{}", self.case, graph.name(graph.outputs[0]));
        }
        check("output", found, expected, TOLERANCE)
    }

    fn check_machine_code(&self, cut: &Graph, case: &Case) {
        let mut wide = Wide::new(cut, case.get("in.x"), case.get(&format!("gout.{}", self.output)), BATCH);
        for &param in &cut.params {
            let name = cut.name(param);
            wide.session.set_param(name, case.get(&of_case(name))).expect("a parameter");
        }
        let output = self.check_output(cut, &wide.output(), case);
        wide.session.run_backward().expect("backward");
        let mut gradients = check("dx", &wide.input_gradient(), case.get("grad.in.x"), TOLERANCE);
        for &param in &cut.params {
            let theirs = of_case(cut.name(param));
            if theirs.starts_with("param.") {
                let found = wide.session.grad(cut.name(param)).expect("a gradient");
                gradients = gradients.max(check_gradient(found, case, &theirs, TOLERANCE));
            }
        }
        wide.session.apply_updates().expect("updates");
        let statistics = cut.updates.iter().map(|&(param, _)| {
            let key = of_case(cut.name(param)).replacen("buf.", "buf_after.", 1);
            check(&key, wide.session.param(cut.name(param)).expect("a statistic"), case.get(&key), TOLERANCE)
        });
        let statistics = statistics.fold(0.0, f32::max);
        let name = self.case;
        println!(
            "{name} as machine code: output {output:e} gradients {gradients:e} statistics {statistics:e}"
        );
    }
}

/// The first operand of what makes a value.
fn operand(graph: &Graph, of: &str) -> Value {
    let value = graph.find(of).unwrap_or_else(|| panic!("there is no %{of}"));
    graph.inst(graph.def_inst(value).expect("an operation makes it")).args[0]
}
