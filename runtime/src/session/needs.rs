//! What a session needs before it can run: memory, and a plan whose buffers hold what they are said to hold.

use crate::{Error, dense, memory};
use snnc_plan::{BufferId, Executable, Plan, Step};

/// Bytes of a session: the arena, and what dense products and threads need beside it.
pub struct Needs {
    /// The arena.
    pub arena: usize,
    /// Floats that a dense product has for itself.
    pub shared: usize,
    /// Scratch memory of one thread.
    pub scratch: usize,
    /// All of it.
    pub total: u64,
}

/// What a session of a plan takes.
pub fn needs(plan: &Plan, max_batch: usize, threads: usize) -> Result<Needs, Error> {
    let overflow = || Error::Internal("the memory of the plan overflows".to_string());
    let arena = plan.arena.bytes(max_batch).ok_or_else(overflow)?;
    let products = || {
        plan.steps().filter_map(|step| match step {
            Step::Dense { op, .. } => Some(op),
            Step::Kernel(_) | Step::Count { .. } | Step::Update { .. } => None,
        })
    };
    let shared = products().map(|op| dense::shared_floats(op, max_batch)).max().unwrap_or(0);
    let columns = products().map(|op| dense::scratch_floats(op) * 4).max().unwrap_or(0);
    let scratch = plan.scratch().max(columns);
    let beside = shared as u64 * 4 + threads as u64 * scratch as u64;
    Ok(Needs { arena, shared, scratch, total: arena as u64 + beside })
}

/// An error where the machine has less memory, with the batch that would fit.
pub fn refuse_too_large(plan: &Plan, needs: &Needs, max_batch: usize, threads: usize) -> Result<(), Error> {
    let Some(available) = memory::available().filter(|&available| available < needs.total) else {
        return Ok(());
    };
    let fits = |batch: &usize| self::needs(plan, *batch, threads).is_ok_and(|needs| needs.total <= available);
    let smaller =
        std::iter::successors(Some(max_batch / 2), |b| Some(b / 2)).take_while(|&b| b > 0).find(fits);
    let help = match smaller {
        Some(batch) => format!("a batch of {batch} fits"),
        None => {
            "not even a batch of 1 fits: use fewer timesteps, smaller layers or a larger machine".to_string()
        }
    };
    Err(Error::Memory { needed: needs.total, available, help })
}

/// What the executor relies on beside [`Plan::check`].
pub fn check(exe: &Executable) -> Result<(), Error> {
    let plan = &exe.plan;
    plan.check().map_err(|e| Error::Internal(e.to_string()))?;
    let holds = |id: BufferId, bytes: usize, what: &str| {
        let found = plan.buffers.get(id.index()).map_or(0, |b| b.bytes);
        let short = || Error::Internal(format!("`{what}` needs {bytes} bytes, its buffer has {found}"));
        if found >= bytes { Ok(()) } else { Err(short()) }
    };
    if exe.functions.len() != plan.kernels.len() || plan.inputs.is_empty() {
        return Err(Error::Internal(
            "a plan without an input, or without the code of its kernels".to_string(),
        ));
    }
    for spec in &plan.params {
        for id in [Some(spec.buffer), spec.grad, spec.update].into_iter().flatten() {
            holds(id, spec.len() * 4, &spec.name)?;
        }
    }
    for input in &plan.inputs {
        holds(input.buffer, input.buffer_len() * 4, &input.name)?;
    }
    holds(plan.logits, plan.classes * 4, "logits")?;
    plan.loss.map_or(Ok(()), |loss| holds(loss, 4, "loss"))
}
