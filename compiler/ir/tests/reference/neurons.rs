//! Neurons of fixed constants, of a learned decay and of a learned threshold.

use crate::case::{Case, near};
use snnc_ir::interp::Tensor;
use snnc_ir::text::{parse_type, print};
use snnc_ir::{Compare, Form, Graph, Learned, Lif, Mode, Op, ParamKind, Reset, Save, Surrogate, Type, Value};

const RECTANGLE: Surrogate = Surrogate::Rectangle(1.0);

/// A neuron as the cases' exporter describes it; `reset` is `None` for the soft reset.
fn neuron(tau: f64, threshold: f64, reset: Option<f64>, decay_input: bool, detach: bool) -> Lif {
    let leak = 1.0 / tau;
    let gain = if decay_input { leak } else { 1.0 };
    Lif {
        decay: (1.0 - leak) as f32,
        gain: gain as f32,
        current: (reset.unwrap_or(0.0) * leak) as f32,
        threshold: threshold as f32,
        reset: reset.map_or(Reset::Soft, |to| Reset::Hard(to as f32)),
        detach,
        compare: Compare::Ge,
        surrogate: RECTANGLE,
        learned: Learned::NOTHING,
        save: Save::Membrane,
    }
}

fn ty(text: &str) -> Type {
    parse_type(text).unwrap()
}

/// A neuron on `%x : f32[axes]` and its gradient for `%e`: `%s`, `%h`, `%dx`, and `%d0`, `%d1`, … of the learned
/// constants. The constants are made by `learn`.
fn graph(lif: &Lif, axes: &str, learn: impl Fn(&mut Graph) -> Vec<Value>) -> Graph {
    let mut graph = Graph::new("g", Mode::Train);
    let (real, spikes) = (ty(&format!("f32[{axes}]")), ty(&format!("spike[{axes}]")));
    let constants = learn(&mut graph);
    let [x, e] = ["x", "e"].map(|name| graph.add_input(name, real.clone()));
    let results = [("s", spikes), ("h", real)];
    let made = graph.push_many(Op::Lif(*lif), &[&[x], constants.as_slice()].concat(), &results);
    let names: Vec<String> = (0..constants.len()).map(|n| format!("d{n}")).collect();
    let names: Vec<&str> = ["dx"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let args = [&[e, made[1]], constants.as_slice()].concat();
    graph.emit_many(&names, Op::LifGrad(*lif), &args, None);
    graph
}

fn text(lif: &Lif, steps: usize) -> String {
    print(&graph(lif, &format!("T{steps} B"), |_| Vec::new()))
}

/// The cases start at a membrane `v0` and have a gradient of the last membrane. Ours start at a constant, so
/// a timestep is put before, whose current makes the membrane `v0`, and one behind, which comes to the
/// threshold and hands down the gradient through the surrogate's known slope there.
fn check(name: &str, lif: Lif) {
    let case = Case::load(name);
    let [a, b, c, theta] = [lif.decay, lif.gain, lif.current, lif.threshold].map(f64::from);
    let (x, v0, last) = (case.data("in.x"), case.data("in.v0"), case.data("out.v_last"));
    let neurons = v0.len();
    let start = f64::from(lif.reset.initial());
    let first = v0.iter().map(|&v| {
        let fires_to_it = lif.reset == Reset::Soft && v >= 0.0;
        let h = if fires_to_it { v + theta } else { v };
        (h - a * start - c) / b
    });
    let behind = last.iter().map(|v| (theta - a * v - c) / b);
    let currents: Vec<f64> = first.chain(x.iter().copied()).chain(behind).collect();
    let slope = lif.surrogate.derivative(0.0);
    let none = vec![0.0; neurons];
    let handed = case.data("gout.v_last").iter().map(|g| g / (a * slope));
    let gradients = none.iter().chain(case.data("gout.spike")).copied().chain(handed).collect();
    let steps = currents.len() / neurons;
    let dims = vec![steps, neurons];
    let given = [("x", Tensor::new(dims.clone(), currents)), ("e", Tensor::new(dims, gradients))];
    let found = case.run_with(&text(&lif, steps), neurons, given.into_iter()).values;

    let inner = neurons..(steps - 1) * neurons;
    assert_eq!(found["s"].data[inner.clone()], *case.data("out.spike"), "{name} spikes");
    near(&found["h"].data[inner.clone()], case.data("out.h"), &format!("{name} h"));
    near(&found["dx"].data[inner.clone()], case.data("grad.in.x"), &format!("{name} dx"));
    let dv0: Vec<f64> = found["dx"].data[neurons..2 * neurons].iter().map(|dx| dx * a / b).collect();
    near(&dv0, case.data("grad.in.v0"), &format!("{name} dv0"));
}

#[test]
fn hard_reset() {
    for (name, decay_input, detach) in [
        ("lif_hard_decay_detach", true, true),
        ("lif_hard_decay_nodetach", true, false),
        ("lif_hard_nodecay_detach", false, true),
        ("lif_hard_nodecay_nodetach", false, false),
    ] {
        check(name, neuron(2.0, 1.0, Some(0.0), decay_input, detach));
    }
    check("lif_hard_vreset_neg_tau3", neuron(3.0, 0.7, Some(-0.25), true, false));
}

#[test]
fn soft_reset() {
    for (name, decay_input, detach) in [
        ("lif_soft_decay_detach", true, true),
        ("lif_soft_decay_nodetach", true, false),
        ("lif_soft_nodecay_detach", false, true),
        ("lif_soft_nodecay_nodetach", false, false),
    ] {
        check(name, neuron(2.0, 1.0, None, decay_input, detach));
    }
    check("lif_soft_tau1p5_nodecay", neuron(1.5, 0.8, None, false, false));
}

#[test]
fn surrogates() {
    for (name, surrogate) in [
        ("lif_hard_atan", Surrogate::Atan(2.0)),
        ("lif_hard_sigmoid", Surrogate::Sigmoid(4.0)),
        ("lif_hard_triangle", Surrogate::Triangle(1.0)),
    ] {
        check(name, Lif { surrogate, ..neuron(2.0, 1.0, Some(0.0), true, false) });
    }
}

/// Cases that start at rest and have no gradient of the membrane.
fn check_from_rest(name: &str, graph: &Graph, key: &str, d: &str) {
    let case = Case::load(name);
    let batch = case.tensor("in.x").dims[1];
    let mut given = Vec::new();
    for (&value, key) in graph.params.iter().chain(&graph.inputs).zip([key, "in.x", "gout.spike"]) {
        given.push((graph.name(value), Tensor::new(graph.ty(value).dims(batch), case.data(key).to_vec())));
    }
    let found = case.run_with(&print(graph), batch, given.into_iter());
    found.equal("s", "out.spike");
    found.near("h", "out.h");
    found.near("dx", "grad.in.x");
    found.near(d, &format!("grad.{key}"));
}

/// `1/tau = sigmoid(w)`, which is also the weight of the input where that decays.
#[test]
fn a_learned_decay() {
    for (name, reset, decay_input) in [
        ("plif_hard_decay", Some(0.0), true),
        ("plif_hard_nodecay", Some(0.0), false),
        ("plif_soft_decay", None, true),
        ("plif_soft_nodecay", None, false),
    ] {
        let learned = Learned { decay: true, gain: decay_input, ..Learned::NOTHING };
        let lif = Lif { learned, ..neuron(2.0, 1.0, reset, decay_input, false) };
        let one = ty("f32[C1]");
        let mut graph = graph(&lif, "T5 B C8", |graph| {
            let w = graph.add_param("w", one.clone(), ParamKind::Neuron);
            let mut made = vec![graph.push("a", Op::NeuronConstant(Form::Complement), &[w], one.clone())];
            if decay_input {
                made.push(graph.push("b", Op::NeuronConstant(Form::Sigmoid), &[w], one.clone()));
            }
            made
        });
        let [w, d0] = ["w", "d0"].map(|name| graph.find(name).unwrap());
        let mut dw = graph.push("dw.a", Op::NeuronConstantGrad(Form::Complement), &[d0, w], one.clone());
        if let Some(d1) = graph.find("d1") {
            let of_gain = graph.push("dw.b", Op::NeuronConstantGrad(Form::Sigmoid), &[d1, w], one.clone());
            dw = graph.push("dw", Op::Add, &[dw, of_gain], one);
        }
        check_from_rest(name, &graph, "param.w", graph.name(dw));
    }
}

/// The threshold itself is the parameter, one for all or one for each channel.
#[test]
fn a_learned_threshold() {
    for (scalar, channel, reset, detach) in [
        ("lif_vth_scalar_hard_detach", "lif_vth_channel_hard_detach", Some(0.0), true),
        ("lif_vth_scalar_hard_nodetach", "lif_vth_channel_hard_nodetach", Some(0.0), false),
        ("lif_vth_scalar_soft_detach", "lif_vth_channel_soft_detach", None, true),
        ("lif_vth_scalar_soft_nodetach", "lif_vth_channel_soft_nodetach", None, false),
    ] {
        let learned = Learned { threshold: true, ..Learned::NOTHING };
        let lif = Lif { learned, ..neuron(2.0, 1.0, reset, false, detach) };
        for (name, extent) in [(scalar, "f32[C1]"), (channel, "f32[C4]")] {
            let graph = graph(&lif, "T5 B C4 W6", |graph| {
                vec![graph.add_param("threshold", ty(extent), ParamKind::Neuron)]
            });
            check_from_rest(name, &graph, "param.v_th", "d0");
        }
    }
}
