//! Walks over all that a position sees through the taps of a kernel. Where rows have few vectors, what is done beside their
//! additions decides: the numbers of all taps are listed first, without a branch, four of them are read at a load, and the
//! sums of some positions grow side by side, as each addition waits for the one before it.

use super::{LANES, add_rows, last_mask, mask};
use crate::wide::window::{Places, Window};
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

/// The most numbers of a list.
const MOST: usize = 1024;
/// Numbers that a store writes, at most.
const STORED: usize = 32;
/// The most positions whose sums grow side by side.
const SIDE_BY_SIDE: usize = 3;
/// Numbers that a load reads.
const FOUR: usize = 4;
/// Lanes of a unit: the largest factor of an address is 8, of bytes.
const UNIT: usize = 2;

/// Places of rows, in units of [`UNIT`] lanes from the first, in the order in which they are added. A store reaches further
/// than what it lists.
#[repr(align(64))]
struct List(MaybeUninit<[u16; MOST + STORED]>);

impl List {
    /// One for each position of those side by side.
    fn all() -> [List; SIDE_BY_SIDE] {
        [const { List(MaybeUninit::uninit()) }; SIDE_BY_SIDE]
    }

    fn places(&mut self) -> *mut u16 {
        self.0.as_mut_ptr().cast()
    }

    /// Four places from one on.
    ///
    /// # Safety
    /// They were written.
    #[inline]
    unsafe fn four(&self, at: usize) -> u64 {
        // SAFETY: the caller's promise.
        unsafe { self.0.as_ptr().cast::<u16>().add(at).cast::<u64>().read_unaligned() }
    }

    /// A place.
    ///
    /// # Safety
    /// It was written.
    #[inline]
    unsafe fn place(&self, at: usize) -> u16 {
        // SAFETY: the caller's promise.
        unsafe { self.0.as_ptr().cast::<u16>().add(at).read() }
    }
}

/// The row at a place.
///
/// # Safety
/// It is one of the rows from `rows` on.
#[inline]
unsafe fn row_at(rows: *const f32, place: u16) -> *const f32 {
    // SAFETY: the caller's promise.
    unsafe { rows.cast::<u64>().add(usize::from(place)).cast() }
}

impl Window {
    /// The most numbers that a position has.
    fn numbers(&self) -> usize {
        self.taps.0 * self.taps.1 * self.words * 64
    }

    /// Whether the places of its rows can be listed.
    fn is_listed(&self) -> bool {
        let (rows, columns) = self.taps;
        let last = rows * self.rows.0 + columns * self.rows.1 + self.words * 64 * self.step;
        let even = [self.rows.0, self.rows.1, self.step].iter().all(|step| step % UNIT == 0);
        self.numbers() <= MOST && even && last / UNIT <= usize::from(u16::MAX)
    }

    /// The walk tap after tap, for windows that are not listed.
    ///
    /// # Safety
    /// As `add_rows`, for the words and the rows of each tap.
    unsafe fn by_taps(&self, count: usize, lanes: usize, places: Places<u64>) {
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

/// Lists the places of the rows of a position; how many.
///
/// # Safety
/// The words of all taps can be read, and the window is listed.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi1")]
#[inline]
unsafe fn fill(list: &mut List, window: &Window, bits: *const u32) -> usize {
    // SAFETY: the caller's promise; these are the window's own taps and words.
    unsafe {
        match (window.taps, window.words) {
            // Known numbers are loops that are laid out flat.
            ((3, 3), 1) => fill_taps(list, window, (3, 3), 1, bits),
            (taps, words) => fill_taps(list, window, taps, words, bits),
        }
    }
}

/// # Safety
/// As [`fill`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi1")]
#[inline]
unsafe fn fill_taps(
    list: &mut List,
    window: &Window,
    (rows, columns): (usize, usize),
    words: usize,
    bits: *const u32,
) -> usize {
    // SAFETY: as many numbers as a vector holds.
    let number = unsafe { _mm512_loadu_si512((&raw const NUMBERS).cast()) };
    let first = _mm512_mullo_epi16(number, _mm512_set1_epi16((window.step / UNIT) as i16));
    let half = _mm512_set1_epi16((STORED * window.step / UNIT) as i16);
    let mut length = 0;
    let mut append = |set: u32, places: __m512i| {
        // SAFETY: there are as many numbers before as bits, of which a window that is listed has `MOST` at most.
        unsafe {
            let to = list.places().add(length);
            _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi16(set, places));
        }
        length += set.count_ones() as usize;
    };
    for y in 0..rows {
        for x in 0..columns {
            for word in 0..words {
                let from = y * window.bits.0 + x * window.bits.1 + 2 * word;
                // SAFETY: the caller's promise.
                let set = unsafe { bits.add(from).cast::<u64>().read_unaligned() };
                let row = y * window.rows.0 + x * window.rows.1 + word * 64 * window.step;
                let places = _mm512_add_epi16(first, _mm512_set1_epi16((row / UNIT) as i16));
                append(set as u32, places);
                // With 32 channels it is always 0.
                if set >> 32 != 0 {
                    append((set >> 32) as u32, _mm512_add_epi16(places, half));
                }
            }
        }
    }
    length
}

/// 0, 1, 2, …
static NUMBERS: [u16; STORED] = {
    let mut numbers = [0; STORED];
    let mut i = 0;
    while i < STORED {
        numbers[i] = i as u16;
        i += 1;
    }
    numbers
};

pub(super) unsafe extern "C" fn add_window(
    count: usize,
    words: usize,
    lanes: usize,
    bits: *const u64,
    bits_step: usize,
    bits_down: usize,
    bits_beside: usize,
    rows: *const f32,
    rows_step: usize,
    rows_down: usize,
    rows_beside: usize,
    sums: *mut f32,
    sums_step: usize,
    tap_rows: usize,
    tap_columns: usize,
) {
    let window = Window {
        words,
        taps: (tap_rows, tap_columns),
        bits: (bits_down, bits_beside),
        rows: (rows_down, rows_beside),
        step: rows_step,
    };
    // SAFETY: the kernel interpreter's rules hold for the kernel that calls: `count` positions, for each tap `words` words
    // and a row of `lanes` for each set bit, and sums of `lanes` for each position lie inside their buffers. The features
    // were detected before this function was chosen.
    unsafe {
        if !window.is_listed() {
            window.by_taps(count, lanes, ((bits, bits_step), rows, (sums, sums_step)));
            return;
        }
        let places = ((bits.cast(), bits_step), rows, (sums, sums_step));
        by_vectors!(add, lanes, (count, &window, last_mask(lanes), places));
    }
}

/// # Safety
/// As [`add_window`], for rows of `N` vectors, of which the last has the lanes `last` where the row is not `WHOLE`, and a
/// window that is listed.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi1")]
unsafe fn add<const N: usize, const WHOLE: bool>(
    count: usize,
    window: &Window,
    last: __mmask16,
    ((bits, bits_step), rows, (sums, sums_step)): Places<u32>,
) {
    // Additions of eight vectors keep a core busy.
    let side_by_side = match N {
        1 | 2 => SIDE_BY_SIDE,
        3 | 4 => 2,
        _ => 1,
    };
    let mut position = 0;
    let mut lists = List::all();
    // SAFETY: the caller's promise; lists hold as many places as there are numbers.
    unsafe {
        // What lies behind the end of a list is read, and masked: it has to be a place of a row.
        lists
            .iter_mut()
            .take(side_by_side.min(count))
            .for_each(|list| list.places().write_bytes(0, window.numbers()));
        while position < count {
            let sums = (sums.add(position * sums_step), sums_step);
            let places = ((bits.add(position * bits_step), bits_step), rows, sums);
            position += match side_by_side.min(count - position) {
                3 => together::<N, WHOLE, 3>(window, last, places, &mut lists),
                2 => together::<N, WHOLE, 2>(window, last, places, &mut lists),
                _ => together::<N, WHOLE, 1>(window, last, places, &mut lists),
            };
        }
    }
}

/// Adds to the sums of `P` positions; their number.
///
/// # Safety
/// As [`add`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi1")]
#[inline]
unsafe fn together<const N: usize, const WHOLE: bool, const P: usize>(
    window: &Window,
    last: __mmask16,
    ((bits, bits_step), rows, (sums, sums_step)): Places<u32>,
    lists: &mut [List; SIDE_BY_SIDE],
) -> usize {
    let mut lengths = [0; P];
    // SAFETY: the caller's promise; what lies behind the end of a list is a place of a row too.
    unsafe {
        for (p, (list, length)) in lists.iter_mut().zip(&mut lengths).enumerate() {
            *length = fill(list, window, bits.add(p * bits_step));
        }
        let load = |from: *const f32, v: usize| {
            _mm512_maskz_loadu_ps(mask::<N, WHOLE>(v, last), from.add(v * LANES))
        };
        let mut acc = [[_mm512_setzero_ps(); N]; P];
        for (p, acc) in acc.iter_mut().enumerate() {
            for (v, acc) in acc.iter_mut().enumerate() {
                *acc = load(sums.add(p * sums_step), v);
            }
        }
        let shortest = lengths.iter().copied().min().unwrap_or(0);
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let mut at = 0;
        while at + FOUR <= shortest {
            let four: [u64; P] = std::array::from_fn(|p| lists[p].four(at));
            for number in 0..FOUR {
                for (acc, four) in acc.iter_mut().zip(four) {
                    let row = row_at(rows, (four >> (16 * number)) as u16);
                    for (v, acc) in acc.iter_mut().enumerate() {
                        *acc = _mm512_add_ps(*acc, load(row, v));
                    }
                }
            }
            at += FOUR;
        }
        while at < longest {
            for (p, acc) in acc.iter_mut().enumerate() {
                let (row, own) = (row_at(rows, lists[p].place(at)), if at < lengths[p] { !0 } else { 0 });
                for (v, acc) in acc.iter_mut().enumerate() {
                    *acc = _mm512_mask_add_ps(*acc, own, *acc, load(row, v));
                }
            }
            at += 1;
        }
        for (p, acc) in acc.iter().enumerate() {
            for (v, acc) in acc.iter().enumerate() {
                let to = sums.add(p * sums_step + v * LANES);
                _mm512_mask_storeu_ps(to, mask::<N, WHOLE>(v, last), *acc);
            }
        }
    }
    P
}
