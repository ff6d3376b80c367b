//! What the walks over windows share.

use super::WalkFn;
use std::mem::MaybeUninit;

/// The most numbers of a list.
const MOST: usize = 1024;
/// Numbers that a store writes, at most.
pub(super) const STORED: usize = 32;
/// The most positions whose sums grow side by side.
pub(super) const SIDE_BY_SIDE: usize = 3;
/// Numbers that a load reads.
pub(super) const FOUR: usize = 4;
/// Lanes of a unit: the largest factor of an address is 8, of bytes.
pub(super) const UNIT: usize = 2;

/// Places of rows, in units of [`UNIT`] lanes from the first, in the order in which they are added. A store reaches further
/// than what it lists.
#[repr(align(64))]
pub(super) struct List(MaybeUninit<[u16; MOST + STORED]>);

impl List {
    /// One for each position of those side by side.
    pub fn all() -> [List; SIDE_BY_SIDE] {
        [const { List(MaybeUninit::uninit()) }; SIDE_BY_SIDE]
    }

    pub fn places(&mut self) -> *mut u16 {
        self.0.as_mut_ptr().cast()
    }

    /// Four places from one on.
    ///
    /// # Safety
    /// They were written.
    #[inline]
    pub unsafe fn four(&self, at: usize) -> u64 {
        // SAFETY: the caller's promise.
        unsafe { self.0.as_ptr().cast::<u16>().add(at).cast::<u64>().read_unaligned() }
    }

    /// A place.
    ///
    /// # Safety
    /// It was written.
    #[inline]
    pub unsafe fn place(&self, at: usize) -> u16 {
        // SAFETY: the caller's promise.
        unsafe { self.0.as_ptr().cast::<u16>().add(at).read() }
    }
}

/// The row at a place.
///
/// # Safety
/// It is one of the rows from `rows` on.
#[inline]
pub(super) unsafe fn row_at(rows: *const f32, place: u16) -> *const f32 {
    // SAFETY: the caller's promise.
    unsafe { rows.cast::<u64>().add(usize::from(place)).cast() }
}

/// Where the bits and the rows of a window lie, in elements, and how many taps it has.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub words: usize,
    pub taps: (usize, usize),
    pub bits: (usize, usize),
    pub rows: (usize, usize),
    pub step: usize,
}

/// The first position's bits, all rows and the first position's sums, with the elements from one position to the next.
pub(super) type Places<B> = ((*const B, usize), *const f32, (*mut f32, usize));

impl Window {
    /// The most numbers that a position has.
    pub fn numbers(&self) -> usize {
        self.taps.0 * self.taps.1 * self.words * 64
    }

    /// Whether the places of its rows can be listed.
    pub fn is_listed(&self) -> bool {
        let (rows, columns) = self.taps;
        let last = rows * self.rows.0 + columns * self.rows.1 + self.words * 64 * self.step;
        let even = [self.rows.0, self.rows.1, self.step].iter().all(|step| step % UNIT == 0);
        self.numbers() <= MOST && even && last / UNIT <= usize::from(u16::MAX)
    }

    /// The walk tap after tap, for windows that are not listed.
    ///
    /// # Safety
    /// As `add_rows`, for the words and the rows of each tap.
    pub unsafe fn by_taps(&self, add_rows: WalkFn, count: usize, lanes: usize, places: Places<u64>) {
        let ((bits, bits_step), rows, (sums, sums_step)) = places;
        for y in 0..self.taps.0 {
            for x in 0..self.taps.1 {
                // SAFETY: the caller's promise.
                unsafe {
                    let bits = bits.cast::<u32>().add(y * self.bits.0 + x * self.bits.1).cast();
                    let rows = rows.add(y * self.rows.0 + x * self.rows.1);
                    let words = self.words;
                    add_rows(count, words, lanes, bits, bits_step, rows, self.step, sums, sums_step, rows, 0);
                }
            }
        }
    }
}
