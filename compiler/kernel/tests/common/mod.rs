//! Kernels of a packed graph in the kernel interpreter, where every offset is checked, against the reference evaluator.

use snnc_ir::interp::{Env, Tensor, run as evaluate};
use snnc_ir::text::parse;
use snnc_ir::{Elem, Graph, Type};
use snnc_kernel::body::Kernel;
use snnc_kernel::interp::run;
use snnc_kernel::{Form, Forms, Lowered, Settings, lower};
use snnc_plan::{Plan, Recipe, Step};

/// Samples of a run.
pub const BATCH: usize = 2;

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

/// Runs a packed graph both ways, its products in all forms of kernels, and compares the named values bit by bit.
pub fn check(body: &str, compared: &[&str]) {
    for form in Form::CHOSEN {
        check_form(body, compared, form);
    }
}

fn check_form(body: &str, compared: &[&str], form: Form) {
    let text = format!("graph @g stage=packed mode=infer {{ {body} output %{} }}", compared[0]);
    let graph = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let given = graph.inputs.iter().enumerate();
    let values = given.map(|(n, &i)| (graph.name(i).to_string(), numbers(n as u64 + 1, graph.ty(i))));
    let env = Env { batch: BATCH, values: values.collect(), smooth: false };
    let expected = evaluate(&graph, &env).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let forms = Forms { rest: Some(form), ..Forms::default() };
    let settings = Settings { forms, ..Settings::default() };
    let Lowered { plan, kernels, .. } =
        lower(&graph, recipe(), &settings).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut buffers = buffers(&graph, &plan, &env);
    execute(&plan, &kernels, &mut buffers);
    for name in compared {
        let ty = graph.ty(graph.find(name).expect("a value"));
        let at = plan.buffers.iter().position(|b| b.name == *name).expect("a buffer");
        // The interpreters disagree on the sign of a sum of nothing.
        let plain = |words: &[u32]| -> Vec<u32> {
            words.iter().map(|&w| if w == (-0.0f32).to_bits() { 0 } else { w }).collect()
        };
        assert_eq!(plain(&buffers[at]), plain(&stored(ty, &expected[*name])), "%{name}, {form}\n{text}");
    }
}
