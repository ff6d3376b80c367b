//! Kernels of attention and masks in the kernel interpreter, where every offset is checked, against the reference
//! evaluator: heads that lie within words and across them, all groups, both orders.

use snnc_ir::interp::{Env, Tensor, run as evaluate};
use snnc_ir::text::parse;
use snnc_ir::{Elem, Graph, Type};
use snnc_kernel::body::Kernel;
use snnc_kernel::interp::run;
use snnc_kernel::lower;
use snnc_plan::{Plan, Recipe, Step};

const BATCH: usize = 2;

fn recipe() -> Recipe {
    Recipe { batch: BATCH, ..Recipe::default() }
}

/// Whole numbers of a few bits, or spikes of every third element or so.
fn numbers(seed: u64, ty: &Type) -> Tensor {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut tensor = Tensor::zeros(ty, BATCH);
    for x in &mut tensor.data {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let draw = (state >> 33) % 9;
        *x = if ty.elem == Elem::F32 { draw as f64 - 4.0 } else { f64::from(u8::from(draw < 3)) };
    }
    tensor
}

/// A tensor as a buffer: f32, or bits with the last axis in words of 64, as two halves each.
fn stored(ty: &Type, tensor: &Tensor) -> Vec<u32> {
    if ty.elem != Elem::Bits {
        return tensor.data.iter().map(|&x| (x as f32).to_bits()).collect();
    }
    let channels = *tensor.dims.last().expect("channels");
    let word = |bits: &[f64]| bits.iter().enumerate().fold(0, |word, (i, &bit)| word | (bit as u64) << i);
    let rows = tensor.data.chunks(channels);
    let words = rows.flat_map(|row| row.chunks(64).map(word).collect::<Vec<u64>>());
    words.flat_map(|word| [word as u32, (word >> 32) as u32]).collect()
}

/// A buffer for each value of the plan, of its length to the word.
fn buffers(graph: &Graph, plan: &Plan, env: &Env) -> Vec<Vec<u32>> {
    let buffer = |name: &String| {
        let ty = graph.ty(graph.find(name).expect("a value"));
        match env.values.get(name) {
            Some(tensor) => stored(ty, tensor),
            None => stored(ty, &Tensor::zeros(ty, BATCH)),
        }
    };
    plan.buffers.iter().map(|b| buffer(&b.name)).collect()
}

fn execute(plan: &Plan, kernels: &[Kernel], buffers: &mut [Vec<u32>]) {
    for step in &plan.forward {
        let Step::Kernel(step) = step else { panic!("only kernels are expected") };
        let mut args: Vec<Vec<u32>> = step.args.iter().map(|id| buffers[id.index()].clone()).collect();
        let tasks = step.tasks.total(BATCH);
        run(&kernels[step.kernel], &mut args, BATCH, 0..tasks).unwrap_or_else(|error| panic!("{error}"));
        for (id, data) in step.args.iter().zip(args) {
            buffers[id.index()] = data;
        }
    }
}

/// Runs a packed graph both ways and compares the named values bit by bit.
fn check(body: &str, compared: &[&str]) {
    let text = format!("graph @g stage=packed mode=infer {{ {body} output %{} }}", compared[0]);
    let graph = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let given = graph.inputs.iter().enumerate();
    let values = given.map(|(n, &i)| (graph.name(i).to_string(), numbers(n as u64 + 1, graph.ty(i))));
    let env = Env { batch: BATCH, values: values.collect(), smooth: false };
    let expected = evaluate(&graph, &env).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let (plan, kernels) = lower(&graph, recipe(), false).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut buffers = buffers(&graph, &plan, &env);
    execute(&plan, &kernels, &mut buffers);
    for name in compared {
        let ty = graph.ty(graph.find(name).expect("a value"));
        let at = plan.buffers.iter().position(|b| b.name == *name).expect("a buffer");
        // The interpreters disagree on the sign of a sum of nothing.
        let plain = |words: &[u32]| -> Vec<u32> {
            words.iter().map(|&w| if w == (-0.0f32).to_bits() { 0 } else { w }).collect()
        };
        assert_eq!(plain(&buffers[at]), plain(&stored(ty, &expected[*name])), "%{name}\n{text}");
    }
}

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
