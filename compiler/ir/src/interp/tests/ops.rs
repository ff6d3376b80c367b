//! Small cases worked by hand, storage orders, and the errors of wrong environments.

use super::{near, run_text};
use crate::interp::{Env, Tensor, run};
use crate::text::parse;

#[test]
fn convolution_with_stride_and_pad() {
    let text = "graph @g {
        param %w : f32[Co1 Ci1 Kh3 Kw3] weight
        param %b : f32[C1] bias
        input %x : f32[B C1 H3 W4]
        %y : f32[B C1 H2 W2] = conv2d %x, %w, %b {stride=2 pad=1}
        output %y
    }";
    let x: Vec<f64> = (1..=12).map(f64::from).collect();
    let w: Vec<f64> = (1..=9).map(f64::from).collect();
    let values =
        run_text(text, 1, &[("w", &[1, 1, 3, 3], &w), ("b", &[1], &[0.5]), ("x", &[1, 1, 3, 4], &x)]);
    // At (0, 0) four cells of the kernel lie inside: 5·1 + 6·2 + 8·5 + 9·6 and the bias.
    near(&values["y"].data, &[111.5, 217.5, 133.5, 211.5], 1e-12);
}

/// Every storage order gives the same elements.
#[test]
fn storage_orders_agree() {
    let text = "graph @g stage=fused {
        param %w : f32[Co3 Ci2 Kh2 Kw3] weight
        input %x : f32[T2 B C2 H3 W4]
        %y : f32[T2 B C3 H2 W2] = conv2d %x, %w {stride=2 pad=1}
        %p : f32[T2 B C3 H1 W2] = max_pool %y {kernel=2x1 stride=1}
        %f : f32[T2 B C6] = flatten %p
        %wl : f32[Kh2 Kw3 Ci2 Co3/2] = relayout %w
        %xl : f32[T2 B H3 W4 C2] = relayout %x
        %yl : f32[T2 B H2 W2 C3] = conv2d %xl, %wl {stride=2 pad=1}
        %pl : f32[T2 B H1 W2 C3] = max_pool %yl {kernel=2x1 stride=1}
        %fl : f32[T2 B C6] = flatten %pl
        %ul : f32[T2 B H1 W2 C3] = unflatten %f
        %dx : f32[T2 B C2 H3 W4] = conv2d.grad_input %y, %w {stride=2 pad=1}
        %dxl : f32[T2 B H3 W4 C2] = conv2d.grad_input %yl, %wl {stride=2 pad=1}
        %dxb : f32[T2 B C2 H3 W4] = relayout %dxl
        %dw : f32[Co3 Ci2 Kh2 Kw3] = conv2d.grad_weight %x, %y {stride=2 pad=1}
        %dwl : f32[Co3 Ci2 Kh2 Kw3] = conv2d.grad_weight %xl, %yl {stride=2 pad=1}
        output %f, %fl
    }";
    let x: Vec<f64> = (0..96).map(|i| f64::from(i * 37 % 19) - 9.0).collect();
    let w: Vec<f64> = (0..36).map(|i| f64::from(i * 11 % 7) - 3.0).collect();
    let values = run_text(text, 2, &[("w", &[3, 2, 2, 3], &w), ("x", &[2, 2, 2, 3, 4], &x)]);
    for (one, other) in [("f", "fl"), ("ul", "pl"), ("dx", "dxb"), ("dw", "dwl")] {
        assert_eq!(values[one].data, values[other].data, "{one} {other}");
    }
    assert!(values["f"].data.iter().any(|&y| y != 0.0));
}

#[test]
fn the_first_maximum_takes_the_gradient() {
    let text = "graph @g mode=train {
        input %x : spike[B C1 H2 W4]
        input %dy : f32[B C1 H1 W2]
        %y : spike[B C1 H1 W2] = max_pool %x {kernel=2x2}
        %dx : f32[B C1 H2 W4] = max_pool.grad %dy, %x {kernel=2x2}
        output %y
    }";
    let x = [0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
    let values = run_text(text, 1, &[("x", &[1, 1, 2, 4], &x), ("dy", &[1, 1, 1, 2], &[3.0, 5.0])]);
    near(&values["y"].data, &[1.0, 0.0], 0.0);
    near(&values["dx"].data, &[0.0, 3.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0], 0.0);
}

#[test]
fn borders_of_pools() {
    let text = "graph @g {
        input %x : f32[B C1 H2 W2]
        %max : f32[B C1 H2 W2] = max_pool %x {kernel=2x2 stride=2 pad=1}
        %avg : f32[B C1 H2 W2] = avg_pool %x {kernel=2x2 stride=2 pad=1}
        output %max
    }";
    let values = run_text(text, 1, &[("x", &[1, 1, 2, 2], &[-1.0, -2.0, -3.0, -4.0])]);
    near(&values["max"].data, &[-1.0, -2.0, -3.0, -4.0], 0.0);
    near(&values["avg"].data, &[-0.25, -0.5, -0.75, -1.0], 0.0);
}

#[test]
fn a_folded_norm_is_the_norm() {
    let text = "graph @g {
        param %w : f32[Co2 Ci2] weight
        param %b : f32[C2] bias
        param %gain : f32[C2] gain
        param %shift : f32[C2] shift
        param %mean : f32[C2] running_mean
        param %var : f32[C2] running_var
        input %x : f32[B C2]
        %lin : f32[B C2] = linear %x, %w, %b
        %norm : f32[B C2] = batch_norm %lin, %gain, %shift, %mean, %var {eps=0 scale=0.5}
        %wf : f32[Co2 Ci2] = fold.weight %w, %gain, %var {eps=0 scale=0.5}
        %bf : f32[C2] = fold.bias %gain, %shift, %mean, %var, %b {eps=0 scale=0.5}
        %folded : f32[B C2] = linear %x, %wf, %bf
        output %norm, %folded
    }";
    let values = run_text(
        text,
        1,
        &[
            ("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
            ("b", &[2], &[0.5, -0.5]),
            ("gain", &[2], &[2.0, 3.0]),
            ("shift", &[2], &[0.25, -1.0]),
            ("mean", &[2], &[1.0, -1.0]),
            ("var", &[2], &[4.0, 0.25]),
            ("x", &[1, 2], &[1.0, -2.0]),
        ],
    );
    near(&values["norm"].data, &values["folded"].data, 1e-12);
    near(&values["norm"].data, &[0.25 - 1.75, -1.0 - 13.5], 1e-12);
}

#[test]
fn wrong_environments_are_errors() {
    let graph = parse(
        "graph @g mode=train {
        input %logits : f32[B C3]
        input %labels : i32[B]
        %loss : f32[] = cross_entropy %logits, %labels
        output %loss
    }",
    )
    .unwrap();
    let mut env = Env { batch: 1, ..Env::default() };
    assert_eq!(run(&graph, &env).unwrap_err(), "%logits is not given");
    env.values.insert("logits".to_string(), Tensor::new(vec![1, 2], vec![0.0; 2]));
    let misshapen = "%logits : f32[B C3] needs the extents [1, 3], has [1, 2]";
    assert_eq!(run(&graph, &env).unwrap_err(), misshapen);
    env.values.insert("logits".to_string(), Tensor::new(vec![1, 3], vec![0.0; 3]));
    env.values.insert("labels".to_string(), Tensor::new(vec![1], vec![3.0]));
    assert_eq!(run(&graph, &env).unwrap_err(), "the label 3 is none of 3 classes");
}
