//! Neurons of fixed constants, of learned decay and of a learned threshold (their values, not their gradients).

use crate::case::{Case, near};
use snnc_ir::interp::Tensor;
use snnc_ir::{Compare, Lif, Reset, Save, Surrogate};

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
        save: Save::Membrane,
    }
}

fn attributes(lif: &Lif) -> String {
    let reset = match lif.reset {
        Reset::Hard(to) => format!("hard({to})"),
        Reset::Soft => "soft".to_string(),
        Reset::None => "none".to_string(),
    };
    let surrogate = match lif.surrogate {
        Surrogate::Rectangle(a) => format!("rect({a})"),
        Surrogate::Triangle(gamma) => format!("triangle({gamma})"),
        Surrogate::Sigmoid(alpha) => format!("sigmoid({alpha})"),
        Surrogate::Atan(alpha) => format!("atan({alpha})"),
    };
    format!(
        "decay={} gain={} current={} threshold={} reset={reset} detach={} surrogate={surrogate} save=membrane",
        lif.decay, lif.gain, lif.current, lif.threshold, lif.detach
    )
}

fn text(lif: &Lif, steps: usize) -> String {
    let a = attributes(lif);
    format!(
        "graph @g mode=train {{
            input %x : f32[T{steps} B]
            input %e : f32[T{steps} B]
            %s, %h : spike[T{steps} B], f32[T{steps} B] = lif %x {{{a}}}
            %dx : f32[T{steps} B] = lif.grad %e, %h {{{a}}}
            output %s
        }}"
    )
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
fn check_from_rest(name: &str, lif: Lif) {
    let case = Case::load(name);
    let dims = &case.tensor("in.x").dims;
    let (steps, neurons) = (dims[0], dims[1..].iter().product::<usize>());
    let flat = |key: &str| Tensor::new(vec![steps, neurons], case.data(key).to_vec());
    let given = [("x", flat("in.x")), ("e", flat("gout.spike"))];
    let found = case.run_with(&text(&lif, steps), neurons, given.into_iter());
    found.equal("s", "out.spike");
    found.near("h", "out.h");
    found.near("dx", "grad.in.x");
}

#[test]
fn values_of_a_learned_decay() {
    for (name, reset, decay_input) in [
        ("plif_hard_decay", Some(0.0), true),
        ("plif_hard_nodecay", Some(0.0), false),
        ("plif_soft_decay", None, true),
        ("plif_soft_nodecay", None, false),
    ] {
        let w = Case::load(name).data("param.w")[0];
        check_from_rest(name, neuron(1.0 + (-w).exp(), 1.0, reset, decay_input, false));
    }
}

#[test]
fn values_of_a_learned_threshold() {
    for (name, reset, detach) in [
        ("lif_vth_scalar_hard_detach", Some(0.0), true),
        ("lif_vth_scalar_hard_nodetach", Some(0.0), false),
        ("lif_vth_scalar_soft_detach", None, true),
        ("lif_vth_scalar_soft_nodetach", None, false),
    ] {
        let threshold = Case::load(name).data("param.v_th")[0];
        check_from_rest(name, neuron(2.0, threshold, reset, false, detach));
    }
}
