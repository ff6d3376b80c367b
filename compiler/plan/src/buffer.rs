//! Buffers: named pieces of the arena whose size is affine in the batch.

use std::fmt;

/// Alignment of every buffer, in bytes: a cache line, and the widest vector.
pub const ALIGN: usize = 64;

/// A buffer of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct BufferId(pub u32);

impl BufferId {
    /// The position in `Plan::buffers`.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for BufferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.0)
    }
}

/// What a buffer holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElemKind {
    /// Real numbers and counts.
    F32,
    /// Packed spikes: for each position `ceil(C/64)` words of 64 bits, low bit first; unused bits are 0.
    Bits,
    /// Labels.
    I32,
}

/// Where a buffer lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// At this byte of the fixed part (parameters, gradients, folded weights): independent of the batch.
    Fixed(usize),
    /// At `offset · B` bytes of the batch part, where B is the number of samples of the step.
    PerSample(usize),
}

/// A buffer.
#[derive(Clone, PartialEq, Debug)]
pub struct Buffer {
    /// The name of the value it holds.
    pub name: String,
    /// What it holds.
    pub elem: ElemKind,
    /// Bytes: for the whole buffer, or for one sample of it where `place` is per sample. A multiple of [`ALIGN`].
    pub bytes: usize,
    /// Where it lives.
    pub place: Place,
    /// First and last step (counted through prepare, forward, backward) at which it holds a value that counts.
    pub live: (usize, usize),
}

/// Bytes of memory that a plan needs.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Arena {
    /// Independent of the batch.
    pub fixed: usize,
    /// For each sample of a batch.
    pub per_sample: usize,
}

impl Arena {
    /// Bytes for a batch of `batch` samples, `None` on overflow.
    pub fn bytes(&self, batch: usize) -> Option<usize> {
        self.per_sample.checked_mul(batch)?.checked_add(self.fixed)
    }
}
