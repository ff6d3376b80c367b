//! Calls machine code: a kernel step is a number of tasks, divided into ranges among the threads.

#![allow(unsafe_code)]

use crate::Error;
use crate::dense::Context;
use rayon::prelude::*;
use snnc_plan::{Executable, KernelArgs, KernelStep};

/// Ranges per thread: enough that an uneven range does not leave the others waiting.
const RANGES: usize = 8;

/// The buffers of a call, shared among the threads that run it.
struct Buffers(Vec<*mut u8>);

// SAFETY: the pointers are used by kernels only, whose tasks touch disjoint memory (`KernelFn`'s contract).
unsafe impl Sync for Buffers {}

/// Runs all tasks of a kernel step.
pub fn run(exe: &Executable, step: &KernelStep, context: &mut Context<'_>) -> Result<(), Error> {
    let mut pointers = Vec::with_capacity(step.args.len());
    for &id in &step.args {
        pointers.push(context.arena.pointer(context.span(id))?);
    }
    let (buffers, function) = (Buffers(pointers), exe.functions[step.kernel]);
    let (workers, batch, tasks) = (context.workers, context.batch, step.tasks.total(context.batch));
    let size = tasks.div_ceil(workers.count() * RANGES).max(1);
    let range = |index: usize| -> Result<(), Error> {
        // The whole struct is captured, not its field: it is what is `Sync`.
        let buffers = &buffers;
        let mut scratch = workers.scratch();
        let args = KernelArgs { buffers: buffers.0.as_ptr(), batch, scratch: scratch.pointer()? };
        // SAFETY: an `Executable` pairs a checked plan with its own code, so the function honours `KernelFn` for this
        // step's buffers. They are aligned and sized for `batch` (`Arena::pointer`, `Plan::check`); `context`
        // borrows the arena mutably, so nothing else uses them; ranges are disjoint and end at `tasks`; the scratch
        // has the size of the largest kernel's and is held by this thread.
        unsafe { function(&args, index * size, ((index + 1) * size).min(tasks)) };
        Ok(())
    };
    match tasks.div_ceil(size) {
        0 => Ok(()),
        1 => range(0),
        ranges => (0..ranges).into_par_iter().with_max_len(1).try_for_each(range),
    }
}
