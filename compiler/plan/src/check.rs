//! The checker of plans.
//!
//! Invariants:
//! 1. every reference (buffer, kernel, probe) exists;
//! 2. every buffer is aligned and inside the arena;
//! 3. a step touches a buffer only while it is live;
//! 4. two buffers that are live at the same step do not overlap, with any batch;
//! 5. a part of a buffer lies in it and lives while it does.

use crate::buffer::{ALIGN, Buffer, Place};
use crate::{Plan, Step};
use std::fmt;

/// A broken invariant: a compiler bug.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanError(pub String);

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken plan: {}", self.0)
    }
}

impl std::error::Error for PlanError {}

impl Plan {
    /// All steps in order: prepare, forward, backward.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.prepare.iter().chain(&self.forward).chain(&self.backward)
    }

    /// Checks the invariants of a plan.
    pub fn check(&self) -> Result<(), PlanError> {
        self.check_references()?;
        self.check_bounds()?;
        self.check_lifetimes()?;
        self.check_parts()?;
        self.check_overlap()?;
        self.check_above()
    }

    fn check_references(&self) -> Result<(), PlanError> {
        if self.taps.iter().any(|tap| tap.buffer.index() >= self.buffers.len()) {
            return Err(PlanError("a tap names a buffer that does not exist".to_string()));
        }
        for (at, step) in self.steps().enumerate() {
            let bad_buffer = step.touches().into_iter().find(|b| b.index() >= self.buffers.len());
            if let Some(buffer) = bad_buffer {
                return Err(PlanError(format!("step {at} names {buffer}, which does not exist")));
            }
            match step {
                Step::Kernel(k) if k.kernel >= self.kernels.len() => {
                    return Err(PlanError(format!(
                        "step {at} names kernel {}, which does not exist",
                        k.kernel
                    )));
                }
                Step::Count { probe, .. } if *probe >= self.probes.len() => {
                    return Err(PlanError(format!("step {at} names probe {probe}, which does not exist")));
                }
                Step::Update { param, .. } if *param >= self.params.len() => {
                    return Err(PlanError(format!(
                        "step {at} names parameter {param}, which does not exist"
                    )));
                }
                Step::Kernel(_) | Step::Dense { .. } | Step::Count { .. } | Step::Update { .. } => {}
            }
        }
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), PlanError> {
        for buffer in &self.buffers {
            let (offset, size) = match buffer.place {
                Place::Fixed(offset) => (offset, self.arena.fixed),
                Place::PerSample(offset) => (offset, self.arena.per_sample),
                Place::Above(offset) => (offset, self.arena.above),
            };
            if size % ALIGN != 0
                || offset % ALIGN != 0
                || buffer.bytes % ALIGN != 0
                || offset + buffer.bytes > size
            {
                return Err(PlanError(format!("`{}` lies outside its arena or is not aligned", buffer.name)));
            }
        }
        Ok(())
    }

    fn check_lifetimes(&self) -> Result<(), PlanError> {
        for (at, step) in self.steps().enumerate() {
            for id in step.touches() {
                let buffer = self.buffer(id);
                if at < buffer.live.0 || at > buffer.live.1 {
                    let (from, to) = buffer.live;
                    return Err(PlanError(format!(
                        "step {at} touches `{}`, live {from}..={to}",
                        buffer.name
                    )));
                }
            }
        }
        Ok(())
    }

    fn check_parts(&self) -> Result<(), PlanError> {
        for part in &self.buffers {
            let Some(whole) = part.part_of else { continue };
            let whole = self.buffers.get(whole.index()).filter(|whole| whole.part_of.is_none());
            let lies_in = |whole: &Buffer| {
                let ((kind, start), (other, offset)) = (place_key(whole.place), place_key(part.place));
                kind == other && offset >= start && offset + part.bytes <= start + whole.bytes
            };
            let lives_in = |whole: &Buffer| part.live.0 >= whole.live.0 && part.live.1 <= whole.live.1;
            if !whole.is_some_and(|whole| lies_in(whole) && lives_in(whole)) {
                return Err(PlanError(format!("`{}` is no part of its buffer", part.name)));
            }
        }
        Ok(())
    }

    /// Samples stay below the level while something lives above it.
    fn check_above(&self) -> Result<(), PlanError> {
        let mut above = vec![false; self.steps().count()];
        for buffer in self.buffers.iter().filter(|b| b.bytes > 0 && matches!(b.place, Place::Above(_))) {
            above.get_mut(buffer.live.0..=buffer.live.1).into_iter().flatten().for_each(|step| *step = true);
        }
        for buffer in self.buffers.iter().filter(|b| b.bytes > 0) {
            let Place::PerSample(offset) = buffer.place else { continue };
            let meets =
                above.iter().take(buffer.live.1.saturating_add(1)).skip(buffer.live.0).any(|&step| step);
            if meets && offset + buffer.bytes > self.arena.level {
                return Err(PlanError(format!("`{}` reaches above the level of its steps", buffer.name)));
            }
        }
        Ok(())
    }

    fn check_overlap(&self) -> Result<(), PlanError> {
        let own = |b: &&Buffer| b.bytes > 0 && b.part_of.is_none();
        let mut all: Vec<_> = self.buffers.iter().filter(own).collect();
        all.sort_by_key(|b| place_key(b.place));
        for (i, a) in all.iter().enumerate() {
            let (kind, start) = place_key(a.place);
            for b in &all[i + 1..] {
                let (other, offset) = place_key(b.place);
                if other != kind || offset >= start + a.bytes {
                    break;
                }
                if a.live.0 <= b.live.1 && b.live.0 <= a.live.1 {
                    return Err(PlanError(format!(
                        "`{}` and `{}` overlap while both are live",
                        a.name, b.name
                    )));
                }
            }
        }
        Ok(())
    }
}

/// The memory that a place is in, and where.
fn place_key(place: Place) -> (u8, usize) {
    match place {
        Place::Fixed(offset) => (0, offset),
        Place::PerSample(offset) => (1, offset),
        Place::Above(offset) => (2, offset),
    }
}
