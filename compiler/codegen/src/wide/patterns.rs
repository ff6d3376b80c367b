//! What the functions for patterns share: words of timesteps to patterns, taps, and the table of sums.

use snnc_kernel::body::{MAX_LANES, MAX_LIST_WORDS, MAX_STEPS};
use std::mem::MaybeUninit;

/// Taps of a kernel that an output position sees.
pub(super) struct Taps {
    pub rows: usize,
    pub columns: usize,
}

/// The lists of taps.
pub(super) struct Lists {
    pub at: *const u32,
    pub row: usize,
    pub column: usize,
}

impl Lists {
    /// Those of one tap.
    ///
    /// # Safety
    /// The tap is one of the kernel's.
    #[inline]
    pub unsafe fn of(&self, y: usize, x: usize) -> *const u32 {
        // SAFETY: the caller's promise.
        unsafe { self.at.add(y * self.row + x * self.column) }
    }
}

/// Which of 64 neurons have a pattern's first two bits, and which its others.
#[derive(Clone, Copy)]
pub(super) struct Halves {
    low: [u64; 4],
    high: [u64; 4],
}

impl Halves {
    fn new([a, b, c, d]: [u64; MAX_STEPS]) -> Halves {
        Halves { low: [!a & !b, a & !b, !a & b, a & b], high: [!c & !d, c & !d, !c & d, c & d] }
    }

    /// The neurons of a pattern.
    #[inline]
    pub fn of(&self, pattern: usize) -> u64 {
        self.low[pattern % 4] & self.high[pattern / 4 % 4]
    }
}

/// The words of a position at its timesteps combined; behind `words` there are none. A timestep that is not is silent.
///
/// # Safety
/// `bits` points to `words` words, and as many at each further timestep, `time` elements of four bytes apart.
#[inline]
pub(super) unsafe fn combine(
    words: usize,
    steps: usize,
    (bits, time): (*const u32, usize),
) -> [Halves; MAX_LIST_WORDS] {
    let mut all = [Halves { low: [0; 4], high: [0; 4] }; MAX_LIST_WORDS];
    for (number, halves) in all[..words].iter_mut().enumerate() {
        let mut own = [0; MAX_STEPS];
        for (t, own) in own[..steps].iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *own = unsafe { *bits.add(t * time).cast::<u64>().add(number) };
        }
        *halves = Halves::new(own);
    }
    all
}

/// Room for a row of sums for each pattern.
#[repr(C, align(64))]
pub(super) struct Table([MaybeUninit<f32>; (1 << MAX_STEPS) * MAX_LANES]);

impl Table {
    #[inline]
    pub fn new() -> Table {
        Table([MaybeUninit::uninit(); (1 << MAX_STEPS) * MAX_LANES])
    }

    #[inline]
    pub fn as_mut_ptr(&mut self) -> *mut f32 {
        self.0.as_mut_ptr().cast()
    }
}
