//! How machine code is called: one signature over one struct.

use crate::Plan;
use std::any::Any;
use std::sync::Arc;

/// What a kernel sees. `#[repr(C)]`: generated code reads the fields at fixed offsets 0, 8 and 16.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KernelArgs {
    /// The buffers of the step's arguments, in order; each is aligned to [`crate::ALIGN`] bytes.
    pub buffers: *const *mut u8,
    /// Samples of this batch.
    pub batch: usize,
    /// This thread's scratch memory, aligned to [`crate::ALIGN`] bytes, of the kernel's scratch size.
    pub scratch: *mut u8,
}

/// A compiled kernel: runs tasks `begin..end`.
///
/// Calling it is sound when every buffer has the size the plan states for this batch, tasks lie below the
/// step's task count, and no other thread runs an overlapping task range or touches the written buffers.
pub type KernelFn = unsafe extern "C" fn(args: *const KernelArgs, begin: usize, end: usize);

/// A plan together with its machine code.
#[derive(Clone)]
pub struct Executable {
    /// The plan.
    pub plan: Plan,
    /// One function for each of `plan.kernels`.
    pub functions: Vec<KernelFn>,
    /// What keeps the machine code in memory.
    pub code: Arc<dyn Any + Send + Sync>,
}

impl std::fmt::Debug for Executable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executable")
            .field("plan", &self.plan.name)
            .field("functions", &self.functions.len())
            .finish()
    }
}
