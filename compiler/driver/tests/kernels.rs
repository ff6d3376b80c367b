//! Every kernel of random networks runs in the kernel interpreter, which checks each offset against its buffer
//! and that nothing is read before it is set: what makes calling the machine code sound. Tasks run in both
//! orders, with the same result: any division among threads gives the same bits.

use snnc_ir::random::{RandomOptions, graph};
use snnc_ir::{Graph, Mode};
use snnc_kernel::body::Kernel;
use snnc_plan::{Buffer, ElemKind, KernelStep, Place, Plan, Recipe, Step};

fn lowered(mut graph: Graph) -> (Plan, Vec<Kernel>) {
    let settings = snnc_passes::Settings { skip: Vec::new(), verify: true, ..Default::default() };
    snnc_passes::run_pipeline(&mut graph, &settings, &mut |_, _| {}).unwrap_or_else(|e| panic!("{e}"));
    let lowered = snnc_kernel::lower(&graph, Recipe::default(), &snnc_kernel::Settings::default());
    let lowered = lowered.unwrap_or_else(|e| panic!("{e}"));
    (lowered.plan, lowered.kernels)
}

/// A buffer's memory for a batch: zeros, or numbers that make neurons fire; labels of class 0.
fn memory(buffer: &Buffer, batch: usize, filled: bool) -> Vec<u32> {
    let bytes = match buffer.place {
        Place::Fixed(_) | Place::Above(_) => buffer.bytes,
        Place::PerSample(_) => buffer.bytes * batch,
    };
    let word = match (buffer.elem, filled) {
        (ElemKind::F32, true) => 0.5f32.to_bits(),
        (ElemKind::F32 | ElemKind::Bits | ElemKind::I32, _) => 0,
    };
    vec![word; bytes / 4]
}

/// Runs all steps in order; values flow from step to step, dense products are left out (their results keep
/// what they were filled with).
fn run_all(plan: &Plan, kernels: &[Kernel], batch: usize, filled: bool) {
    let mut memories: Vec<Vec<u32>> = plan.buffers.iter().map(|b| memory(b, batch, filled)).collect();
    for step in plan.steps() {
        let Step::Kernel(step) = step else { continue };
        let mut args: Vec<Vec<u32>> = take(&mut memories, step);
        let mut backwards = args.clone();
        let tasks = step.tasks.total(batch);
        let kernel = &kernels[step.kernel];
        let fail = |e| panic!("{}: {e}", step.name);
        snnc_kernel::interp::run(kernel, &mut args, batch, 0..tasks).unwrap_or_else(fail);
        for task in (0..tasks).rev() {
            snnc_kernel::interp::run(kernel, &mut backwards, batch, task..task + 1).unwrap_or_else(fail);
        }
        assert!(args == backwards, "{}: tasks are not independent", step.name);
        for (id, memory) in step.args.iter().zip(args) {
            memories[id.index()] = memory;
        }
    }
}

fn take(memories: &mut [Vec<u32>], step: &KernelStep) -> Vec<Vec<u32>> {
    step.args.iter().map(|id| std::mem::take(&mut memories[id.index()])).collect()
}

/// Nothing depends on the order of a table of hashes, which differs from one table to the next.
#[test]
fn a_graph_gives_the_same_plan_and_kernels_each_time() {
    for seed in 0..80 {
        let mode = if seed % 2 == 0 { Mode::Infer } else { Mode::Train };
        let of = || lowered(graph(seed, RandomOptions { mode, blocks: 4, smooth: false, long: false }));
        let (first, again) = (of(), of());
        assert!(first == again, "seed {seed}");
    }
}

#[test]
fn kernels_of_random_networks_stay_inside_their_buffers() {
    for seed in 0..40 {
        let mode = if seed % 2 == 0 { Mode::Infer } else { Mode::Train };
        let (plan, kernels) =
            lowered(graph(seed, RandomOptions { mode, blocks: 3, smooth: false, long: false }));
        for filled in [false, true] {
            run_all(&plan, &kernels, 1 + (seed % 3) as usize, filled);
        }
    }
}
