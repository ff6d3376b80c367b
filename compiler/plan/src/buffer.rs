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
    /// At `level · B + offset` bytes of the batch part, a size that is independent of the batch: above what samples have
    /// there while it lives ([`Arena::level`] bytes of each). What a layer needs for a few steps fits so into memory that
    /// other layers need at other steps.
    Above(usize),
}

impl Place {
    /// So many bytes further, for one sample or in all.
    pub fn further(self, bytes: usize) -> Place {
        match self {
            Place::Fixed(offset) => Place::Fixed(offset + bytes),
            Place::PerSample(offset) => Place::PerSample(offset + bytes),
            Place::Above(offset) => Place::Above(offset + bytes),
        }
    }
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
    /// The buffer whose memory it is a part of, if it has none of its own.
    pub part_of: Option<BufferId>,
    /// First and last step (counted through prepare, forward, backward) at which it holds a value that counts.
    pub live: (usize, usize),
}

/// Bytes of memory that a plan needs.
///
/// ```text
/// | fixed | per_sample · B             |     at the steps at which samples need most
/// | fixed | level · B | above |             at steps at which they need less
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Arena {
    /// Independent of the batch.
    pub fixed: usize,
    /// For each sample of a batch.
    pub per_sample: usize,
    /// For each sample, at the steps at which buffers of [`Place::Above`] live: no more than `per_sample`.
    pub level: usize,
    /// Those buffers.
    pub above: usize,
}

impl Arena {
    /// Bytes for a batch of `batch` samples, `None` on overflow.
    pub fn bytes(&self, batch: usize) -> Option<usize> {
        self.batch_bytes(batch)?.checked_add(self.fixed)
    }

    /// Bytes of the part that a batch of `batch` samples makes larger, `None` on overflow.
    pub fn batch_bytes(&self, batch: usize) -> Option<usize> {
        let above = self.level.checked_mul(batch)?.checked_add(self.above)?;
        Some(self.per_sample.checked_mul(batch)?.max(above))
    }

    /// First byte, and bytes, of a buffer of `bytes` at `place`, for a batch that [`bytes`](Arena::bytes) has counted.
    pub fn span(&self, place: Place, bytes: usize, batch: usize) -> (usize, usize) {
        match place {
            Place::Fixed(offset) => (offset, bytes),
            Place::PerSample(offset) => (self.fixed + offset * batch, bytes * batch),
            Place::Above(offset) => (self.fixed + self.level * batch + offset, bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_scale_with_the_batch() {
        let arena = Arena { fixed: 256, per_sample: 640, level: 128, above: 1024 };
        assert_eq!(arena.span(Place::Fixed(64), 128, 3), (64, 128));
        assert_eq!(arena.span(Place::PerSample(64), 128, 3), (448, 384));
        assert_eq!(arena.span(Place::Above(64), 128, 3), (704, 128));
        assert_eq!([1, 2, 3].map(|batch| arena.batch_bytes(batch)), [Some(1152), Some(1280), Some(1920)]);
        assert_eq!(arena.bytes(3), Some(2176));
        assert_eq!(arena.bytes(usize::MAX / 2), None);
    }
}
