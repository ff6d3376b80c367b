//! Attention: the golden vectors, checked by brute force elsewhere, in both orders, forwards and backwards;
//! the masks; finite differences; and the equalities between the instances.

use super::{near, run_text};
use crate::interp::{Env, Tensor, run};
use crate::text::parse;
use std::collections::HashMap;

/// Four timesteps of three tokens of four channels, `[T][token]`.
const Q: [&str; 4] = ["1101 0110 1111", "1011 0001 0101", "1110 1001 0111", "0110 1100 1000"];
const K: [&str; 4] = ["0101 1011 1000", "0100 0100 1010", "0001 1011 1110", "1110 1100 0011"];
const V: [&str; 4] = ["1001 1111 0111", "1000 0001 0000", "1110 1111 1111", "1110 0111 1100"];

fn digits(rows: &[&str]) -> Vec<f64> {
    rows.iter().flat_map(|row| row.chars()).filter_map(|c| c.to_digit(10)).map(f64::from).collect()
}

/// Runs a body on Q, K and V as `[T4 B H1 W3 C4]`.
fn on_golden(body: &str) -> HashMap<String, Tensor> {
    let ty = "spike[T4 B H1 W3 C4]";
    let text = format!("graph @g {{ input %q : {ty} input %k : {ty} input %v : {ty} {body} }}");
    let dims: &[usize] = &[4, 1, 1, 3, 4];
    run_text(&text, 1, &[("q", dims, &digits(&Q)), ("k", dims, &digits(&K)), ("v", dims, &digits(&V))])
}

fn attention(attributes: &str) -> Vec<f64> {
    let text = format!("%o : i32[T4 B H1 W3 C4] = attention %q, %k, %v {{{attributes}}}");
    on_golden(&text)["o"].data.clone()
}

#[track_caller]
fn both_orders(attributes: &str, expected: &[f64]) {
    for order in ["auto", "kv_first", "qk_first"] {
        assert_eq!(attention(&format!("{attributes} order={order}")), expected, "{attributes} {order}");
    }
}

#[test]
fn over_space() {
    let rows = ["4335 2112 5446", "0000 0000 1001", "5555 4443 5554", "3431 2442 1221"];
    both_orders("over=space", &digits(&rows));
    both_orders("over=space_time(1) causal=true", &digits(&rows));
}

#[test]
fn over_time() {
    let rows = ["6332 2334 5644", "4331 2222 2211", "5331 4555 4422", "4221 2445 1222"];
    both_orders("over=time", &digits(&rows));
    let causal = ["2002 1111 0111", "1001 1111 0000", "2001 4444 2222", "4221 2445 1222"];
    both_orders("over=time causal=true", &digits(&causal));
}

#[test]
fn over_space_and_time() {
    let mut full = digits(&["5336 3113 6447", "4445 2112 4114", "0000 6764 0000", "6764 5775 3443"]);
    // Two tokens have counts above 9.
    full[24..28].copy_from_slice(&[9.0, 11.0, 10.0, 7.0]);
    full[32..36].copy_from_slice(&[9.0, 10.0, 8.0, 5.0]);
    both_orders("over=space_time(2)", &full);
    let space = digits(&["4335 2112 5446", "0000 0000 1001", "5555 4443 5554", "3431 2442 1221"]);
    let causal = [&space[..12], &full[12..24], &space[24..36], &full[36..]].concat();
    both_orders("over=space_time(2) causal=true", &causal);
}

/// A neuron with a decayed input of ½, threshold ½.
const NEURON: &str = "decay=0.5 gain=0.5 threshold=0.5";

#[test]
fn a_scale_folds_into_the_threshold() {
    let y = digits(&["1001 0000 1111", "0000 0000 0000", "1111 1110 1111", "0100 0110 0000"]);
    let of = |scale: &str, neuron: &str| {
        let text = format!(
            "%o : f32[T4 B H1 W3 C4] = attention %q, %k, %v {{over=space scale={scale}}}
             %y : spike[T4 B H1 W3 C4] = lif %o {{{neuron}}}"
        );
        on_golden(&text)["y"].data.clone()
    };
    assert_eq!(of("0.25", NEURON), y);
    assert_eq!(of("1", "decay=0.5 gain=0.5 threshold=2"), y);
}

#[test]
fn spike_driven_mask() {
    let values = on_golden(&format!(
        "%kv : spike[T4 B H1 W3 C4] = mask %k, %v
         %z : i32[T4 B C4] = sum %kv {{over=[H W]}}
         %g : spike[T4 B C4] = lif %z {{{NEURON}}}
         %y : spike[T4 B H1 W3 C4] = mask %q, %g"
    ));
    assert_eq!(values["z"].data, digits(&["1012", "0000", "2121", "1210"]));
    assert_eq!(values["g"].data, digits(&["1011", "0000", "1111", "1110"]));
    let y = ["1001 0010 1011", "0000 0000 0000", "1110 1001 0111", "0110 1100 1000"];
    assert_eq!(values["y"].data, digits(&y));
}

#[test]
fn temporal_mask() {
    let values = on_golden(&format!(
        "%kv : spike[T4 B H1 W3 C4] = mask %k, %v
         %g : spike[T4 B H1 W3 C4] = lif %kv {{{NEURON}}}
         %y : spike[T4 B H1 W3 C4] = mask %q, %g
         %n : spike[T4 B H1 W3 C4] = mask.not %q, %g"
    ));
    let g = ["0001 1011 0000", "0000 0000 0000", "0000 1011 1110", "1110 0100 0000"];
    let y = ["0001 0010 0000", "0000 0000 0000", "0000 1001 0110", "0110 0100 0000"];
    assert_eq!(values["g"].data, digits(&g));
    assert_eq!(values["y"].data, digits(&y));
    let rest: Vec<f64> = digits(&Q).iter().zip(digits(&y)).map(|(q, y)| q - y).collect();
    assert_eq!(values["n"].data, rest);
}

#[test]
fn token_mask_of_two_heads() {
    let values = on_golden(
        "%n : i32[T4 B H1 W3 C2] = channel_sum %q {groups=2}
         %m : spike[T4 B H1 W3 C2] = lif %n {decay=0 threshold=2}
         %y : spike[T4 B H1 W3 C4] = mask %k, %m
         %w : f32[T4 B H1 W3 C4] = channel_spread %n",
    );
    assert_eq!(values["n"].data, digits(&["21 11 22", "12 01 11", "21 11 12", "11 20 10"]));
    assert_eq!(values["m"].data, digits(&["10 00 11", "01 00 00", "10 00 01", "00 10 00"]));
    let y = ["0100 0000 1000", "0000 0000 0000", "0000 0000 0010", "0000 1100 0000"];
    assert_eq!(values["y"].data, digits(&y));
    assert_eq!(values["w"].data[..12], digits(&["2211 1111 2222"]));
}

/// The gradients of the first timestep, with a gradient of the result that is not integer-valued in sign only.
#[test]
fn golden_gradients() {
    let g = [1.0, -1.0, 2.0, 0.0, 0.0, 1.0, 0.0, -2.0, 3.0, 0.0, -1.0, 1.0];
    let dq = [3.0, 1.0, 2.0, 3.0, -2.0, -2.0, -1.0, -3.0, 3.0, 4.0, 3.0, 7.0];
    let dk = [5.0, 3.0, 2.0, 5.0, 5.0, 4.0, 2.0, 5.0, 1.0, 0.0, -1.0, 1.0];
    let dv = [8.0, -1.0, 2.0, 0.0, 11.0, -1.0, 1.0, 1.0, 4.0, -1.0, 1.0, 1.0];
    for order in ["kv_first", "qk_first"] {
        let ty = "[T1 B W3 C4]";
        let text = format!(
            "graph @g {{ input %g : f32{ty} input %q : spike{ty} input %k : spike{ty} input %v : spike{ty}
             %dq, %dk, %dv : f32{ty}, f32{ty}, f32{ty} = attention.grad %g, %q, %k, %v {{order={order}}} }}"
        );
        let dims: &[usize] = &[1, 1, 3, 4];
        let [q, k, v] = [Q, K, V].map(|rows| digits(&rows[..1]));
        let given: [(&str, &[usize], &[f64]); 4] =
            [("g", dims, &g), ("q", dims, &q), ("k", dims, &k), ("v", dims, &v)];
        let values = run_text(&text, 1, &given);
        for (name, expected) in [("dq", &dq), ("dk", &dk), ("dv", &dv)] {
            near(&values[name].data, expected, 0.0);
        }
    }
}

fn numbers(seed: u64, n: usize) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f64 / f64::from(1 << 24) * 2.0 - 0.9
    };
    (0..n).map(|_| next()).collect()
}

/// The slope of `Σ g·result` over each element of each operand, where the gradients must be.
fn check_slopes(text: &str, operands: &[&str], result: &str, gradients: &[&str]) {
    let graph = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let values = graph.inputs.iter().enumerate().map(|(n, &input)| {
        let dims = graph.ty(input).dims(2);
        let count = dims.iter().product();
        (graph.name(input).to_string(), Tensor::new(dims, numbers(n as u64 + 1, count)))
    });
    let env = Env { batch: 2, values: values.collect(), smooth: true };
    let at = |env: &Env| run(&graph, env).unwrap_or_else(|error| panic!("{error}"));
    let total = |env: &Env| {
        let values = at(env);
        values[result].data.iter().zip(&values["g"].data).map(|(o, g)| o * g).sum::<f64>()
    };
    let found = at(&env);
    for (operand, gradient) in operands.iter().zip(gradients) {
        for (element, &gradient) in found[*gradient].data.iter().enumerate() {
            let moved = |by: f64| {
                let mut env = env.clone();
                env.values.get_mut(*operand).expect("an input").data[element] += by;
                total(&env)
            };
            let slope = (moved(1e-4) - moved(-1e-4)) / 2e-4;
            assert!(
                (slope - gradient).abs() < 1e-7,
                "{operand}[{element}]: {gradient}, slope {slope}\n{text}"
            );
        }
    }
}

#[test]
fn gradients_of_attention_are_slopes() {
    for over in ["over=space", "over=time", "over=space_time(2)"] {
        for rest in ["causal=false heads=1", "causal=true heads=2", "causal=true heads=1 scale=0.375"] {
            for order in ["kv_first", "qk_first"] {
                let attributes = format!("{{{over} {rest} order={order}}}");
                let (q, v) = ("f32[T4 B C4 H1 W2]", "f32[T4 B C6 H1 W2]");
                let text = format!(
                    "graph @g mode=train {{
                     input %q : {q} input %k : {q} input %v : {v} input %g : {v}
                     %o : {v} = attention %q, %k, %v {attributes}
                     %dq, %dk, %dv : {q}, {q}, {v} = attention.grad %g, %q, %k, %v {attributes} }}"
                );
                check_slopes(&text, &["q", "k", "v"], "o", &["dq", "dk", "dv"]);
            }
        }
    }
}

#[test]
fn gradients_of_masks_are_slopes() {
    for (op, sign) in [("mask", 1), ("mask.not", -1)] {
        let text = format!(
            "graph @g mode=train {{
             input %x : f32[T2 B C4 H1 W3] input %s : f32[T2 B C2 H1 W3] input %g : f32[T2 B C4 H1 W3]
             %o : f32[T2 B C4 H1 W3] = {op} %x, %s
             %dx : f32[T2 B C4 H1 W3] = {op} %g, %s
             %gx : f32[T2 B C4 H1 W3] = mask %g, %x
             %sum : f32[T2 B C2 H1 W3] = channel_sum %gx {{groups=2}}
             %ds : f32[T2 B C2 H1 W3] = scale %sum {{by={sign}}} }}"
        );
        check_slopes(&text, &["x", "s"], "o", &["dx", "ds"]);
    }
    let text = "graph @g mode=train {
        input %x : f32[T2 B C4 H1 W3] input %g : f32[T2 B C2 H1 W3]
        %o : f32[T2 B C2 H1 W3] = channel_sum %x {groups=2}
        %dx : f32[T2 B C4 H1 W3] = channel_spread %g }";
    check_slopes(text, &["x"], "o", &["dx"]);
}

/// Random spikes of `[T4 B2 C6 H2 W3]`: attention in several instances that must agree.
#[test]
fn instances_agree() {
    let dims: &[usize] = &[4, 2, 6, 2, 3];
    let spikes =
        |seed| -> Vec<f64> { numbers(seed, 288).into_iter().map(|x| f64::from(u8::from(x > 0.3))).collect() };
    let (q, k, v) = (spikes(1), spikes(2), spikes(3));
    let of = |ty: &str, dims: &[usize], attributes: &str| {
        let text = format!(
            "graph @g {{ input %q : spike{ty} input %k : spike{ty} input %v : spike{ty}
             %o : i32{ty} = attention %q, %k, %v {{{attributes}}} }}"
        );
        run_text(&text, 2, &[("q", dims, &q), ("k", dims, &k), ("v", dims, &v)])["o"].data.clone()
    };
    let map = |attributes: &str| of("[T4 B C6 H2 W3]", dims, attributes);
    assert_eq!(map("over=space heads=2"), map("over=space_time(1) heads=2 order=kv_first"));
    for over in ["space", "time", "space_time(2)", "space_time(4)"] {
        for causal in [false, true] {
            let with = |order: &str| map(&format!("over={over} causal={causal} heads=3 order={order}"));
            assert_eq!(with("kv_first"), with("qk_first"), "{over} {causal}");
        }
    }
    let last = 3 * 72..;
    assert_eq!(map("over=time causal=true")[last.clone()], map("over=time")[last.clone()]);
    let joint = map("over=space_time(4) causal=true");
    assert_eq!(joint[last.clone()], map("over=space_time(4)")[last]);
    // Of one position, space and time together are time.
    let features = |attributes: &str| of("[T4 B C36]", &[4, 2, 36], attributes);
    assert_eq!(features("over=time heads=6"), features("over=space_time(4) heads=6 order=kv_first"));
}
