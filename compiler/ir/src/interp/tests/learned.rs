//! Gradients of learned constants: golden vectors, window bits where they are enough, one number per channel.

use super::{near, run_text};
use crate::op::Form;

const X: [f64; 6] = [0.8, 0.6, 1.4, -0.3, 0.9, 1.1];
const E: [f64; 6] = [1.0, -0.5, 0.25, 2.0, -1.0, 0.5];

/// The gradients of decay, gain, current and threshold, given as operands, with the gradient `E` of the spikes.
fn gradients(constants: [f64; 4], attributes: &str) -> [f64; 4] {
    let attributes = format!("{attributes} save=membrane learned=[decay gain current threshold]");
    let text = format!(
        "graph @g mode=train {{
            param %a : f32[C1] neuron
            param %b : f32[C1] neuron
            param %c : f32[C1] neuron
            param %th : f32[C1] neuron
            input %x : f32[T6 B C1]
            input %e : f32[T6 B C1]
            %s, %h : spike[T6 B C1], f32[T6 B C1] = lif %x, %a, %b, %c, %th {{{attributes}}}
            %dx, %da, %db, %dc, %dth : f32[T6 B C1], f32[C1], f32[C1], f32[C1], f32[C1] = lif.grad %e, %h, %a, %b, %c, %th {{{attributes}}}
        }}"
    );
    let numbers = constants.map(|constant| [constant]);
    let names = ["a", "b", "c", "th"];
    let mut given: Vec<(&str, &[usize], &[f64])> = vec![("x", &[6, 1, 1], &X), ("e", &[6, 1, 1], &E)];
    given.extend(names.into_iter().zip(&numbers).map(|(name, number)| (name, &[1][..], &number[..])));
    let values = run_text(&text, 1, &given);
    // dc = Σ delta = Σ dx / b.
    let sum: f64 = values["dx"].data.iter().sum();
    near(&values["dc"].data, &[sum / constants[1]], 1e-9);
    ["da", "db", "dc", "dth"].map(|name| values[name].data[0])
}

#[test]
fn golden_vectors_with_a_triangle() {
    let [da, db, _, dth] = gradients([0.5, 1.0, 0.0, 1.0], "compare=gt surrogate=triangle(1) detach=false");
    near(&[da, db, dth], &[0.062546, 0.118373, 0.072379], 1e-6);
    let [da, db, _, dth] = gradients([0.5, 1.0, 0.0, 1.0], "compare=gt surrogate=triangle(1)");
    near(&[da, db, dth], &[0.0175, 0.012188, 0.1625], 1e-6);
}

/// The time constant enters decay and gain: `a = 1 − k`, `b = k = sigmoid(w)`.
#[test]
fn golden_vectors_with_a_decayed_input() {
    let [da, db, _, dth] = gradients([0.5, 0.5, 0.0, 1.0], "surrogate=sigmoid(4)");
    let dw = da * Form::Complement.derivative(0.0) + db * Form::Sigmoid.derivative(0.0);
    near(&[db - da, dw, dth], &[0.246041, 0.06151, -0.697734], 1e-6);
    let [.., dth] = gradients([0.5, 0.5, 0.0, 0.5], "surrogate=sigmoid(4)");
    near(&[dth], &[-0.65202], 1e-6);
}

#[test]
fn golden_vectors_with_a_rectangle() {
    let [da, db, _, dth] = gradients([0.25, 1.0, 0.0, 0.5], "compare=gt surrogate=rect(1)");
    near(&[da, db, dth], &[0.3, -0.325, 0.5], 1e-6);
}

#[test]
fn golden_vectors_that_integrate() {
    let threshold = |attributes| gradients([1.0, 1.0, 0.0, 1.0], attributes)[3];
    near(&[threshold("reset=soft surrogate=atan(2)")], &[-1.735455], 1e-6);
    near(&[threshold("reset=soft surrogate=atan(2) detach=false")], &[-1.578525], 1e-6);
    near(&[threshold("surrogate=atan(2)")], &[-0.431097], 1e-6);
}

/// A learned threshold and current need no more than two bits.
#[test]
fn window_bits_give_the_same_as_the_membrane() {
    let run = |attributes: &str, save: &str| {
        let (ty, saved) = if save == "window" { ("spike", "%s, %k") } else { ("f32", "%k") };
        let attributes = format!("{attributes} surrogate=rect(1.5) learned=[current threshold] save={save}");
        let text = format!(
            "graph @g mode=train {{
                param %c : f32[C2] neuron
                param %th : f32[C1] neuron
                input %x : f32[T6 B C2]
                input %e : f32[T6 B C2]
                %s, %k : spike[T6 B C2], {ty}[T6 B C2] = lif %x, %c, %th {{{attributes}}}
                %dx, %dc, %dth : f32[T6 B C2], f32[C2], f32[C1] = lif.grad %e, {saved}, %c, %th {{{attributes}}}
            }}"
        );
        let twice = |row: [f64; 6]| row.iter().flat_map(|&v| [v, 0.75 * v]).collect::<Vec<f64>>();
        let (x, e) = (twice(X), twice(E));
        let given: [(&str, &[usize], &[f64]); 4] =
            [("x", &[6, 1, 2], &x), ("e", &[6, 1, 2], &e), ("c", &[2], &[0.1, -0.2]), ("th", &[1], &[0.8])];
        let values = run_text(&text, 1, &given);
        ["dx", "dc", "dth"].map(|name| values[name].data.clone())
    };
    for attributes in ["reset=hard(0)", "reset=soft", "reset=soft detach=false", "reset=none"] {
        let (window, membrane) = (run(attributes, "window"), run(attributes, "membrane"));
        assert_eq!(window, membrane, "{attributes}");
        assert!(window.iter().flatten().any(|&gradient| gradient != 0.0));
    }
}

/// Each channel is a neuron of its own constants, whatever the storage order, and in a scan too.
#[test]
fn constants_of_channels() {
    let attributes = "{learned=[decay threshold] reset=soft}";
    let text = format!(
        "graph @g stage=fused {{
            param %a : f32[C2] neuron
            param %th : f32[C2] neuron
            input %x : f32[T6 B W1 C2]
            %s : spike[T6 B W1 C2] = scan t in T6 slice (%x.t : f32[B W1 C2] = %x) carry (%v : f32[B W1 C2] = 0) {{
                %h.t : f32[B W1 C2] = lif.charge %v, %x.t, %a {attributes}
                %s.t : spike[B W1 C2] = lif.fire %h.t, %th {attributes}
                %n : f32[B W1 C2] = lif.reset %h.t, %s.t, %th {attributes}
                yield %s.t carry %n
            }}
            output %s
        }}"
    );
    let x: Vec<f64> = X.iter().flat_map(|&x| [x, x]).collect();
    let given: [(&str, &[usize], &[f64]); 3] =
        [("x", &[6, 1, 1, 2], &x), ("a", &[2], &[0.5, 1.0]), ("th", &[2], &[0.5, 1.0])];
    let values = run_text(&text, 1, &given);
    // The second channel is the golden vector of integration with a soft reset.
    let expected = [[1.0, 0.0], [1.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 1.0], [1.0, 1.0]];
    near(&values["s"].data, expected.as_flattened(), 0.0);
}

#[test]
fn forms() {
    for form in [Form::Sigmoid, Form::Complement, Form::Softplus] {
        for value in [1e-6, 0.01, 0.5, 0.9] {
            let w = form.inverse(value);
            assert!((form.value(w) - value).abs() < 1e-12 * value, "{form:?} {value}");
            let slope = (form.value(w + 1e-5) - form.value(w - 1e-5)) / 2e-5;
            assert!((form.derivative(w) - slope).abs() < 1e-9, "{form:?} {value}");
        }
    }
    assert_eq!(Form::Sigmoid.inverse(0.5), 0.0);
    assert!((Form::Softplus.value(Form::Softplus.inverse(100.0)) - 100.0).abs() < 1e-9);
}

#[test]
fn a_scale_per_timestep() {
    let text = "graph @g mode=train {
        param %p : f32[T2] gain
        input %x : f32[T2 B C1 H1 W2]
        input %dy : f32[T2 B C1 H1 W2]
        %y : f32[T2 B C1 H1 W2] = step_scale %x, %p
        %dx : f32[T2 B C1 H1 W2] = step_scale %dy, %p
        %dp : f32[T2] = step_scale.grad %dy, %x
    }";
    let given: [(&str, &[usize], &[f64]); 3] = [
        ("p", &[2], &[2.0, -0.5]),
        ("x", &[2, 1, 1, 1, 2], &[1.0, 2.0, 3.0, 4.0]),
        ("dy", &[2, 1, 1, 1, 2], &[1.0, -1.0, 0.5, 2.0]),
    ];
    let values = run_text(text, 1, &given);
    near(&values["y"].data, &[2.0, 4.0, -1.5, -2.0], 0.0);
    near(&values["dx"].data, &[2.0, -2.0, -0.25, -1.0], 0.0);
    near(&values["dp"].data, &[-1.0, 9.5], 0.0);
}
