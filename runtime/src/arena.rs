//! One block of aligned memory, and checked typed views of pieces of it.
//!
//! ```text
//! | fixed: parameters, … | b0: offset0·B | b1: offset1·B | …        B samples of the current step
//! ```
//!
//! Invariant: every view checks that its [`Span`] is aligned and inside the block, so a wrong plan is an error,
//! never a wild pointer.

#![allow(unsafe_code)]

use crate::Error;
use snnc_plan::{ALIGN, BufferId, Plan};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// A piece of the arena, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// From the start of the arena; a multiple of [`ALIGN`].
    pub offset: usize,
    /// Its length.
    pub bytes: usize,
}

impl Span {
    fn end(&self) -> Option<usize> {
        self.offset.checked_add(self.bytes)
    }

    fn overlaps(&self, other: &Span) -> bool {
        self.offset < other.offset + other.bytes && other.offset < self.offset + self.bytes
    }
}

/// Where a buffer lies when a step has `batch` samples.
pub fn span(plan: &Plan, id: BufferId, batch: usize) -> Span {
    let buffer = plan.buffer(id);
    let (offset, bytes) = plan.arena.span(buffer.place, buffer.bytes, batch);
    Span { offset, bytes }
}

/// The block. Its memory is zero at first.
#[derive(Debug)]
pub struct Arena {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the arena owns its memory; shared access only reads, writing needs `&mut Arena` (or a raw pointer whose
// user promises exclusive ranges).
unsafe impl Send for Arena {}
// SAFETY: as above: `&Arena` gives out shared slices only.
unsafe impl Sync for Arena {}

impl Arena {
    /// A block of at least `bytes` bytes.
    pub fn new(bytes: usize) -> Result<Arena, Error> {
        let too_large = || Error::Internal(format!("an arena of {bytes} bytes cannot be described"));
        let layout = Layout::from_size_align(bytes.max(ALIGN), ALIGN).map_err(|_| too_large())?;
        // SAFETY: the layout's size is not zero.
        let base = unsafe { alloc_zeroed(layout) };
        let base = NonNull::new(base).unwrap_or_else(|| handle_alloc_error(layout));
        Ok(Arena { base, layout })
    }

    fn check(&self, span: Span, unit: usize) -> Result<usize, Error> {
        let inside = span.end().is_some_and(|end| end <= self.layout.size());
        if span.offset.is_multiple_of(ALIGN) && inside {
            return Ok(span.bytes / unit);
        }
        Err(Error::Internal(format!("bytes {}+{} lie outside the arena", span.offset, span.bytes)))
    }

    /// A span's first byte, for machine code.
    pub fn pointer(&mut self, span: Span) -> Result<*mut u8, Error> {
        self.check(span, 1)?;
        // SAFETY: `check`: the offset is inside the block.
        Ok(unsafe { self.base.as_ptr().add(span.offset) })
    }

    /// A span as real numbers.
    pub fn f32(&self, span: Span) -> Result<&[f32], Error> {
        let len = self.check(span, 4)?;
        // SAFETY: `check`: inside the block and aligned; the memory is initialised, every pattern is an f32, and
        // `&self` keeps writers away.
        Ok(unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(span.offset).cast(), len) })
    }

    /// A span as 64-bit words of spikes.
    pub fn words(&self, span: Span) -> Result<&[u64], Error> {
        let len = self.check(span, 8)?;
        // SAFETY: as in `f32`.
        Ok(unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(span.offset).cast(), len) })
    }

    /// A span as real numbers, to write.
    pub fn f32_mut(&mut self, span: Span) -> Result<&mut [f32], Error> {
        let len = self.check(span, 4)?;
        // SAFETY: as in `f32`; `&mut self` makes the view the only one.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(span.offset).cast(), len) })
    }

    /// A span as labels, to write.
    pub fn i32_mut(&mut self, span: Span) -> Result<&mut [i32], Error> {
        let len = self.check(span, 4)?;
        // SAFETY: as in `f32_mut`.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(span.offset).cast(), len) })
    }

    /// One span to write and others to read at the same time; refused where a read one overlaps the written one.
    pub fn write_and_read<const N: usize>(
        &mut self,
        write: Span,
        read: [Span; N],
    ) -> Result<(&mut [f32], [&[f32]; N]), Error> {
        if let Some(bad) = read.iter().find(|span| span.overlaps(&write)) {
            return Err(Error::Internal(format!("a step writes {write:?} and reads {bad:?}")));
        }
        let mut views: [&[f32]; N] = [&[]; N];
        for (view, span) in views.iter_mut().zip(read) {
            let len = self.check(span, 4)?;
            // SAFETY: as in `f32`; the only view to write, below, does not overlap it.
            *view = unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(span.offset).cast(), len) };
        }
        let len = self.check(write, 4)?;
        // SAFETY: as in `f32_mut`; it overlaps none of the views to read.
        let write =
            unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(write.offset).cast(), len) };
        Ok((write, views))
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.base.as_ptr(), self.layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_zero_checked_and_typed() -> Result<(), Error> {
        let mut arena = Arena::new(256)?;
        let (low, high) = (Span { offset: 0, bytes: 64 }, Span { offset: 64, bytes: 192 });
        assert_eq!(arena.f32(low)?, [0.0; 16]);
        arena.i32_mut(high)?[1] = 1;
        assert_eq!(arena.words(high)?[0], 1 << 32);
        let (write, [read]) = arena.write_and_read(low, [high])?;
        write[0] = f32::from_bits(read[1].to_bits() + 6);
        assert_eq!(arena.f32(low)?[0].to_bits(), 7);
        Ok(())
    }

    #[test]
    fn views_outside_or_overlapping_are_refused() -> Result<(), Error> {
        let mut arena = Arena::new(128)?;
        assert!(arena.f32(Span { offset: 64, bytes: 128 }).is_err());
        assert!(arena.f32(Span { offset: 32, bytes: 4 }).is_err());
        assert!(arena.pointer(Span { offset: usize::MAX - 63, bytes: 64 }).is_err());
        let (a, b) = (Span { offset: 0, bytes: 128 }, Span { offset: 64, bytes: 64 });
        assert!(arena.write_and_read(a, [b]).is_err());
        Ok(())
    }
}
