//! Golden vectors: neurons of the literature over six timesteps, a threshold-dependent norm, a loss.

use super::{near, run_text};

const X: [f64; 6] = [0.8, 0.6, 1.4, -0.3, 0.9, 1.1];
const E: [f64; 6] = [1.0, -0.5, 0.25, 2.0, -1.0, 0.5];

/// What a neuron of these attributes must do on `X`, and with the gradient `E` of its spikes.
struct Golden {
    attributes: &'static str,
    h: [f64; 6],
    s: [f64; 6],
    dx: [f64; 6],
}

impl Golden {
    fn check(&self) {
        let a = self.attributes;
        let text = format!(
            "graph @g mode=train {{
                input %x : f32[T6 B]
                input %e : f32[T6 B]
                %s, %h : spike[T6 B], f32[T6 B] = lif %x {{{a} save=membrane}}
                %dx : f32[T6 B] = lif.grad %e, %h {{{a} save=membrane}}
            }}"
        );
        let values = run_text(&text, 1, &[("x", &[6, 1], &X), ("e", &[6, 1], &E)]);
        near(&values["h"].data, &self.h, 1e-6);
        near(&values["s"].data, &self.s, 0.0);
        near(&values["dx"].data, &self.dx, 1.5e-6);
    }
}

#[test]
fn triangle_surrogate_with_a_tie_that_does_not_fire() {
    Golden {
        attributes: "decay=0.5 compare=gt surrogate=triangle(1) detach=false",
        h: [0.8, 1.0, 1.9, -0.3, 0.75, 1.475],
        s: [0.0, 0.0, 1.0, 0.0, 0.0, 1.0],
        dx: [0.71, -0.5, 0.057897, -0.346289, -0.692578, 0.2625],
    }
    .check();
}

#[test]
fn triangle_surrogate_detached() {
    Golden {
        attributes: "decay=0.5 compare=gt surrogate=triangle(1) detach=true",
        h: [0.8, 1.0, 1.9, -0.3, 0.75, 1.475],
        s: [0.0, 0.0, 1.0, 0.0, 0.0, 1.0],
        dx: [0.55625, -0.4875, 0.025, -0.309375, -0.61875, 0.2625],
    }
    .check();
}

#[test]
fn sigmoid_surrogate_with_a_decayed_input() {
    Golden {
        attributes: "decay=0.5 gain=0.5 surrogate=sigmoid(4)",
        h: [0.4, 0.5, 0.95, 0.325, 0.6125, 0.85625],
        s: [0.0; 6],
        dx: [0.149603, -0.005813, 0.198361, 0.149206, -0.17365, 0.230423],
    }
    .check();
}

#[test]
fn sigmoid_surrogate_with_a_tie_that_fires() {
    Golden {
        attributes: "decay=0.5 gain=0.5 threshold=0.5 surrogate=sigmoid(4)",
        h: [0.4, 0.5, 0.7, -0.15, 0.375, 0.7375],
        s: [0.0, 1.0, 1.0, 0.0, 0.0, 1.0],
        dx: [0.355521, -0.25, 0.106955, 0.072707, -0.369453, 0.201108],
    }
    .check();
}

const RECTANGLE: &str = "decay=0.25 threshold=0.5 compare=gt surrogate=rect(1)";
const RECTANGLE_DX: [f64; 6] = [1.0, -0.5, 0.0, -0.25, -1.0, 0.0];

#[test]
fn rectangle_surrogate() {
    Golden {
        attributes: RECTANGLE,
        h: [0.8, 0.6, 1.4, -0.3, 0.825, 1.1],
        s: [1.0, 1.0, 1.0, 0.0, 1.0, 1.0],
        dx: RECTANGLE_DX,
    }
    .check();
}

#[test]
fn rectangle_surrogate_from_window_bits() {
    let text = format!(
        "graph @g mode=train {{
            input %x : f32[T6 B]
            input %e : f32[T6 B]
            %s, %g : spike[T6 B], spike[T6 B] = lif %x {{{RECTANGLE} save=window}}
            %dx : f32[T6 B] = lif.grad %e, %s, %g {{{RECTANGLE} save=window}}
        }}"
    );
    let values = run_text(&text, 1, &[("x", &[6, 1], &X), ("e", &[6, 1], &E)]);
    near(&values["g"].data, &[1.0, 1.0, 0.0, 0.0, 1.0, 0.0], 0.0);
    near(&values["dx"].data, &RECTANGLE_DX, 1e-6);
}

#[test]
fn soft_reset_detached_and_not() {
    let golden = |attributes, dx| Golden {
        attributes,
        h: [0.8, 1.4, 1.8, 0.5, 1.4, 1.5],
        s: [0.0, 1.0, 1.0, 0.0, 1.0, 1.0],
        dx,
    };
    let detached = [0.890537, 0.17358, 0.367444, 0.333274, -0.243526, 0.1442];
    golden("decay=1 reset=soft surrogate=atan(2)", detached).check();
    let through = [0.722424, 0.019317, 0.348179, 0.363722, -0.299437, 0.1442];
    golden("decay=1 reset=soft surrogate=atan(2) detach=false", through).check();
}

#[test]
fn integrate_and_fire_with_an_arctangent() {
    Golden {
        attributes: "decay=1 surrogate=atan(2)",
        h: [0.8, 1.4, 1.4, -0.3, 0.6, 1.7],
        s: [0.0, 1.0, 1.0, 0.0, 0.0, 1.0],
        dx: [0.523093, -0.193863, 0.096932, -0.188929, -0.302053, 0.085674],
    }
    .check();
}

/// The parts of a fused neuron do what the whole does.
#[test]
fn a_scan_is_the_neuron() {
    let text = "graph @g stage=fused {
        input %x : f32[T6 B]
        %s, %h, %g : spike[T6 B], f32[T6 B], spike[T6 B] = scan t in T6 slice (%x.t : f32[B] = %x) carry (%v : f32[B] = 0) {
            %h.t : f32[B] = lif.charge %v, %x.t {decay=0.25}
            %s.t : spike[B] = lif.fire %h.t {threshold=0.5 compare=gt}
            %g.t : spike[B] = lif.window %h.t {threshold=0.5}
            %n : f32[B] = lif.reset %h.t, %s.t
            yield %s.t, %h.t, %g.t carry %n
        }
        output %s
    }";
    let values = run_text(text, 1, &[("x", &[6, 1], &X)]);
    near(&values["s"].data, &[1.0, 1.0, 1.0, 0.0, 1.0, 1.0], 0.0);
    near(&values["h"].data, &[0.8, 0.6, 1.4, -0.3, 0.825, 1.1], 1e-12);
    near(&values["g"].data, &[1.0, 1.0, 0.0, 0.0, 1.0, 0.0], 0.0);
    assert!(!values.contains_key("h.t"));
}

#[test]
fn threshold_dependent_norm() {
    let text = "graph @g mode=train {
        param %gain : f32[C1] gain
        param %bias : f32[C1] shift
        param %mean : f32[C1] running_mean
        param %var : f32[C1] running_var
        input %x : f32[T3 B C1]
        input %dy : f32[T3 B C1]
        %mu, %rstd, %mean.n, %var.n : f32[C1], f32[C1], f32[C1], f32[C1] = bn.stats %x, %mean, %var
        %y : f32[T3 B C1] = bn.apply %x, %mu, %rstd, %gain, %bias {scale=0.35355339}
        %dbias, %sum : f32[C1], f32[C1] = bn.grad_sums %dy, %x, %mu, %rstd
        %dgain : f32[C1] = scale %sum {by=0.35355339}
        %dx : f32[T3 B C1] = bn.grad_input %dy, %x, %mu, %rstd, %gain, %dbias, %sum {scale=0.35355339}
        update %mean = %mean.n
        update %var = %var.n
    }";
    let values = run_text(
        text,
        2,
        &[
            ("gain", &[1], &[1.2]),
            ("bias", &[1], &[0.1]),
            ("mean", &[1], &[0.0]),
            ("var", &[1], &[1.0]),
            ("x", &[3, 2, 1], &[1.0, -2.0, 0.5, 3.0, 0.0, -1.0]),
            ("dy", &[3, 2, 1], &[0.5, 1.0, -1.0, 0.25, 0.0, -0.5]),
        ],
    );
    near(&values["mu"].data, &[0.25], 1e-9);
    near(&values["mean.n"].data, &[0.025], 1e-8);
    near(&values["var.n"].data, &[0.9 + 0.2975], 1e-7);
    near(&values["y"].data, &[0.30209, -0.506269, 0.167363, 0.840995, 0.032637, -0.236816], 1e-6);
    near(&values["dx"].data, &[0.134538, 0.22511, -0.277, 0.09661, -0.014907, -0.164351], 1e-6);
    near(&values["dgain"].data, &[-0.182442], 1e-6);
    near(&values["dbias"].data, &[0.25], 1e-9);
}

#[test]
fn cross_entropy_of_the_mean() {
    let text = "graph @g mode=train {
        input %o : f32[T2 B C3]
        input %labels : i32[B]
        %logits : f32[B C3] = mean %o {over=[T]}
        %loss : f32[] = cross_entropy %logits, %labels
        %dlogits : f32[B C3] = cross_entropy.grad %logits, %labels
        %do.t : f32[B C3] = scale %dlogits {by=0.5}
        %do : f32[T2 B C3] = broadcast %do.t
        output %logits, %loss
    }";
    let logits = [0.5, 1.0, -0.5, 0.0, 0.2, 0.4];
    let values = run_text(text, 1, &[("o", &[2, 1, 3], &logits), ("labels", &[1], &[1.0])]);
    near(&values["loss"].data, &[0.800536], 1e-6);
    let each = [0.158234, -0.275456, 0.117222];
    near(&values["do"].data, &[each, each].concat(), 1e-6);
}

/// A sample of two labels: their cross-entropies by their shares; also when both are one, and with smoothing.
#[test]
fn cross_entropy_of_two_labels() {
    let text = |smoothing: &str| {
        format!(
            "graph @g mode=train {{
            input %logits : f32[B C3]
            input %labels : i32[B]
            input %others : i32[B]
            input %shares : f32[B]
            %loss : f32[] = cross_entropy %logits, %labels, %others, %shares {smoothing}
            %dlogits : f32[B C3] = cross_entropy.grad %logits, %labels, %others, %shares {smoothing}
            output %logits, %loss
        }}"
        )
    };
    let row = [0.25, 0.6, -0.05];
    let run = |smoothing: &str, labels: [f64; 2], share: f64| {
        let given = [
            ("logits", &[1, 3][..], &row[..]),
            ("labels", &[1], &labels[..1]),
            ("others", &[1], &labels[1..]),
        ];
        let shares = [share];
        let values = run_text(&text(smoothing), 1, &[&given[..], &[("shares", &[1], &shares[..])]].concat());
        (values["loss"].data[0], values["dlogits"].data.clone())
    };
    // The published cross-entropy with label 1, and those with labels 0 and 2: log Σ exp − logit.
    let of = |label: usize| 0.800536 + 0.6 - row[label];
    let softmax = |label: usize| (-of(label)).exp();
    near(&[run("", [1.0, 2.0], 0.75).0], &[0.75 * of(1) + 0.25 * of(2)], 1e-6);
    near(&run("", [1.0, 2.0], 0.75).1, &[softmax(0), softmax(1) - 0.75, softmax(2) - 0.25], 1e-6);
    near(&run("", [1.0, 1.0], 0.3).1, &[softmax(0), softmax(1) - 1.0, softmax(2)], 1e-6);
    let smooth = 0.1 / 3.0;
    let targets = [0.9 * 0.75 + smooth, smooth, 0.9 * 0.25 + smooth];
    let (loss, gradient) = run("{smoothing=0.1}", [0.0, 2.0], 0.75);
    near(&[loss], &[(0..3).map(|c| targets[c] * of(c)).sum()], 1e-6);
    near(&gradient, &[0, 1, 2].map(|c| softmax(c) - targets[c]), 1e-6);
}

/// TET with λ = 0.05 and φ = 1: the cross-entropy of every timestep and the distance of logits from φ.
#[test]
fn temporal_efficient_training() {
    let text = "graph @g mode=train {
        input %o : f32[T2 B C3]
        input %labels : i32[B]
        %logits : f32[B C3] = mean %o {over=[T]}
        %ce : f32[] = cross_entropy %o, %labels
        %mse : f32[] = penalty %o {measure=square(1)}
        %a : f32[] = scale %ce {by=0.95}
        %b : f32[] = scale %mse {by=0.05}
        %loss : f32[] = add %a, %b
        %dce : f32[T2 B C3] = cross_entropy.grad %o, %labels
        %dmse : f32[T2 B C3] = penalty.grad %o {measure=square(1)}
        %da : f32[T2 B C3] = scale %dce {by=0.95}
        %db : f32[T2 B C3] = scale %dmse {by=0.05}
        %do : f32[T2 B C3] = add %da, %db
        output %logits, %loss
    }";
    let logits = [0.5, 1.0, -0.5, 0.0, 0.2, 0.4];
    let values = run_text(text, 1, &[("o", &[2, 1, 3], &logits), ("labels", &[1], &[1.0])]);
    near(&values["ce"].data, &[0.858016], 1e-6);
    near(&values["mse"].data, &[0.75], 1e-6);
    near(&values["loss"].data, &[0.852615], 1e-6);
    near(&values["do"].data, &[0.149129, -0.215389, 0.032927, 0.111254, -0.33209, 0.180836], 1e-6);
}
