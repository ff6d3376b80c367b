//! Kernels of attention and masks in the kernel interpreter, where every offset is checked, against the reference
//! evaluator: heads that lie within words and across them, all groups, both orders.

mod common;

use common::check;

/// Channels of queries and keys, of values, and heads.
const HEADS: [(usize, usize, usize); 9] = [
    (4, 4, 1),
    (5, 3, 1),
    (8, 8, 2),
    (33, 33, 1),
    (64, 64, 2),
    (66, 66, 2),
    (72, 24, 3),
    (96, 96, 1),
    (192, 192, 2),
];

#[test]
fn attention_in_every_instance() {
    for (channels, values, heads) in HEADS {
        for over in ["over=space", "over=time", "over=space_time(2)", "over=space_time(4)"] {
            for rest in ["causal=false scale=1 order=kv_first", "causal=true scale=0.25 order=qk_first"] {
                let (q, v) = (format!("T4 B H1 W3 | C{channels}"), format!("T4 B H1 W3 | C{values}"));
                let inputs = format!("input %q : bits[{q}] input %k : bits[{q}] input %v : bits[{v}]");
                for rest in
                    [rest.to_string(), rest.replace("kv", "xx").replace("qk", "kv").replace("xx", "qk")]
                {
                    let attributes = format!("{{{over} {rest} heads={heads}}}");
                    let of = |axes: &str| format!("f32[{}]", axes.replace("| ", ""));
                    let (q, v) = (of(&q), of(&v));
                    check(
                        &format!(
                            "{inputs} input %g : {v}
                             %o : {v} = attention %q, %k, %v {attributes}
                             %dq, %dk, %dv : {q}, {q}, {v} = attention.grad %g, %q, %k, %v {attributes}"
                        ),
                        &["o", "dq", "dk", "dv"],
                    );
                }
            }
        }
    }
}

#[test]
fn attention_between_features_and_without_time() {
    for order in ["kv_first", "qk_first"] {
        check(
            &format!(
                "input %q : bits[T3 B | C6]
                 %o : i32[T3 B C6] = attention %q, %q, %q {{over=time causal=true order={order} heads=3}}"
            ),
            &["o"],
        );
        check(
            &format!(
                "input %q : bits[B H2 W3 | C6]
                 %o : i32[B H2 W3 C6] = attention %q, %q, %q {{order={order} heads=2}}"
            ),
            &["o"],
        );
    }
}

#[test]
fn masks_of_groups() {
    for (channels, groups) in [(4, 1), (4, 2), (64, 2), (66, 2), (72, 3), (96, 1), (130, 65), (192, 4)] {
        for op in ["mask", "mask.not"] {
            let (x, s) = (format!("T2 B H2 W2 | C{channels}"), format!("T2 B H2 W2 | C{groups}"));
            let (of_x, of_s) = (x.replace("| ", ""), s.replace("| ", ""));
            check(
                &format!(
                    "input %x : bits[{x}] input %s : bits[{s}] input %g : f32[{of_x}]
                     %y : bits[{x}] = {op} %x, %s
                     %dx : f32[{of_x}] = {op} %g, %s
                     %n : i32[{of_s}] = channel_sum %x {{groups={groups}}}
                     %ds : f32[{of_s}] = channel_sum %dx {{groups={groups}}}
                     %w : f32[{of_x}] = channel_spread %ds"
                ),
                &["y", "dx", "n", "ds", "w"],
            );
        }
    }
}

#[test]
fn masks_of_every_channel() {
    for channels in [3, 32, 40, 96] {
        for op in ["mask", "mask.not"] {
            let x = format!("T2 B H2 W2 | C{channels}");
            check(
                &format!(
                    "input %x : bits[{x}] input %s : bits[{x}] input %c : bits[T2 B | C{channels}]
                     input %g : f32[{0}]
                     %y : bits[{x}] = {op} %x, %s
                     %z : bits[{x}] = {op} %y, %c
                     %dx : f32[{0}] = {op} %g, %c",
                    x.replace("| ", "")
                ),
                &["y", "z", "dx"],
            );
        }
    }
}
