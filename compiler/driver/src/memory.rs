//! How much the backward part computes again: as little as fits into the memory.
//!
//! ```text
//! all sums and membranes computed again   ->  plan, its lifetimes   ; the least memory, or with membranes kept
//! what may live on within it              ->  plan once more        ; the same memory, or what was allowed, and less work
//! ```
//!
//! A value that lives from the forward to the backward part takes its bytes at all steps between. Those are taken first whose
//! second computation costs most for their bytes, as long as no step has more than is allowed; the plan has the last
//! word. Invariant: the choice changes no bit of a result.

use snnc_passes::checkpoint::{Recomputed, Recomputes};
use snnc_plan::{Place, Plan};
use std::collections::BTreeSet;

/// What training may take for parameters, gradients and the activations of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Memory {
    /// No more than it needs.
    #[default]
    Least,
    /// So many bytes, or what it needs where that is more.
    Within(usize),
}

/// Attempts to find what fits: lifetimes do not tell what is lost between buffers of unequal sizes.
pub const ATTEMPTS: usize = 4;

/// Sums that need not be computed again, in a plan that computes all of `sums` again, where all may take `most` bytes
/// with `batch` samples.
pub fn keep(plan: &Plan, sums: &[Recomputed], most: usize, batch: usize) -> BTreeSet<String> {
    let mut used = vec![0; plan.steps().count()];
    let most = most.saturating_sub(plan.arena.fixed) / batch;
    for buffer in &plan.buffers {
        if buffer.part_of.is_some() {
            continue;
        }
        let bytes = match buffer.place {
            Place::Fixed(_) => continue,
            Place::PerSample(_) => buffer.bytes,
            Place::Above(_) => buffer.bytes.div_ceil(batch),
        };
        used[buffer.live.0..=buffer.live.1].iter_mut().for_each(|used| *used += bytes);
    }
    let mut order: Vec<&Recomputed> = sums.iter().collect();
    // A product of integers compares quotients exactly; equal ones in the order of the backward part.
    order.sort_by(|a, b| (u128::from(b.work) * a.bytes as u128).cmp(&(u128::from(a.work) * b.bytes as u128)));
    let mut kept = BTreeSet::new();
    for sum in order.into_iter().filter(|sum| sum.what != Recomputes::Gradient) {
        let life =
            |name: &str| plan.buffers.iter().find(|buffer| buffer.name == name).map(|buffer| buffer.live);
        // One that is part of another step has no buffer yet: then it takes one from some step of the forward part on.
        let from = life(&sum.name).map_or(plan.prepare.len(), |(_, last)| last + 1);
        // The last of its pieces is read where it ends.
        let pieces = format!("{}.t", sum.copy);
        let last = || plan.buffers.iter().filter(|b| b.name.starts_with(&pieces)).map(|b| b.live.1).max();
        let again = life(&sum.copy).map(|(again, _)| again).or_else(last);
        let Some(between) = again.and_then(|again| used.get_mut(from..again)) else {
            continue;
        };
        if between.iter().all(|bytes| bytes + sum.bytes <= most) {
            between.iter_mut().for_each(|bytes| *bytes += sum.bytes);
            kept.insert(sum.name.clone());
        }
    }
    kept
}
