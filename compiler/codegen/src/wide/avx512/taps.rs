//! Walks that serve all taps of a kernel: nine taps of two vectors are eighteen sums in registers, and each number of a
//! list is read once for all of them. So much is done for each that a list pays, which keeps branches that are not foreseen
//! to one a position.

use super::patterns::NUMBERS;
use super::{LANES, last_mask, mask};
use crate::wide::bits::Patterned;
use crate::wide::taps::{OverTime, Places};
use std::arch::x86_64::*;

/// The numbers of the set bits of a position of up to four words; a word's store reaches 63 bytes further.
#[repr(align(64))]
struct List([u8; 256 + 64]);

impl List {
    /// Fills the list with the bits of words that lie `apart` elements of four bytes from each other; its length.
    ///
    /// # Safety
    /// `bits` points to `words` words, four at most; the features of `is_available`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi1")]
    #[inline]
    unsafe fn fill(&mut self, bits: *const u32, words: usize, apart: usize) -> usize {
        // SAFETY: `words` words are read; each stores 64 bytes at most 192 behind the list's start.
        unsafe {
            let numbers = _mm512_loadu_si512(NUMBERS.as_ptr().cast());
            let mut length = 0;
            for number in 0..words {
                let word = bits.add(number * apart).cast::<u64>().read_unaligned();
                let own = _mm512_add_epi8(numbers, _mm512_set1_epi8((number * 64) as i8));
                let to = self.0.as_mut_ptr().add(length);
                _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi8(word, own));
                length += word.count_ones() as usize;
            }
            length
        }
    }

    /// The first numbers, at most 256.
    #[inline]
    fn numbers(&self, length: usize) -> Numbers<'_> {
        Numbers { list: self, word: self.eight(0), at: 0, end: length }
    }

    /// Eight numbers from one on.
    #[inline]
    fn eight(&self, at: usize) -> u64 {
        debug_assert!(at <= 256);
        // SAFETY: 64 bytes follow the last of 256 numbers.
        unsafe { self.0.as_ptr().add(at).cast::<u64>().read_unaligned() }
    }
}

/// The numbers of a list, eight at a load, so that narrow loads are few between those of 512 bits.
struct Numbers<'a> {
    list: &'a List,
    word: u64,
    at: usize,
    end: usize,
}

impl Iterator for Numbers<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.at >= self.end {
            return None;
        }
        let number = self.word as u8;
        self.at += 1;
        self.word = if self.at.is_multiple_of(8) { self.list.eight(self.at) } else { self.word >> 8 };
        Some(usize::from(number))
    }
}

pub(super) unsafe extern "C" fn add_taps(
    count: usize,
    words: usize,
    lanes: usize,
    bits: *const u64,
    bits_step: usize,
    word: usize,
    rows: *const f32,
    rows_step: usize,
    sums: *mut f32,
    sums_step: usize,
    tap_rows: usize,
    tap_columns: usize,
    down: usize,
    beside: usize,
    apart: usize,
    steps: usize,
    time: usize,
    pattern: usize,
) {
    let places = Places { rows, rows_step, down, beside, sums, sums_step, apart };
    // SAFETY: the kernel interpreter's rules hold for the kernel that calls: `count` positions of `words` words, for each
    // tap a row of `lanes` for each set bit, and sums of `lanes` for each position and tap lie inside their buffers. The
    // features were detected before this function was chosen.
    unsafe {
        let (bits, taps) = ((bits.cast(), bits_step, word), (tap_rows, tap_columns));
        match steps {
            1 => walk(count, words, lanes, bits, places, taps),
            _ => walk_over_time(count, words, lanes, bits, OverTime { steps, time, pattern }, places, taps),
        }
    }
}

/// # Safety
/// As [`add_taps`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi1")]
unsafe fn walk(
    count: usize,
    words: usize,
    lanes: usize,
    (bits, bits_step, word): (*const u32, usize, usize),
    places: Places,
    taps: (usize, usize),
) {
    let mut lists = [List([0; 320]), List([0; 320])];
    // SAFETY: the caller's promise.
    unsafe {
        let mut fill =
            |position: usize| lists[position % 2].fill(bits.add(position * bits_step), words, word);
        let mut length = if count > 0 { fill(0) } else { 0 };
        for position in 0..count {
            let own = length;
            let mut fill =
                |position: usize| lists[position % 2].fill(bits.add(position * bits_step), words, word);
            if position + 1 < count {
                length = fill(position + 1);
            }
            let list = &lists[position % 2];
            let numbers = || list.numbers(own).map(|number| number * places.rows_step);
            let places = Places { sums: places.sums.add(position * places.sums_step), ..places };
            by_lanes(&numbers, lanes, places, taps);
        }
    }
}

/// The same where rows are those of patterns over time.
///
/// # Safety
/// As [`add_taps`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi1")]
unsafe fn walk_over_time(
    count: usize,
    words: usize,
    lanes: usize,
    (bits, bits_step, word): (*const u32, usize, usize),
    over: OverTime,
    places: Places,
    taps: (usize, usize),
) {
    let (step, pattern) = (places.rows_step, over.pattern);
    let last = words * 64 * step + (1 << over.steps) * pattern;
    let listed = step.is_multiple_of(LANES) && pattern.is_multiple_of(LANES) && last / LANES <= 1 << 16;
    let mut list = OverTimeList([0; 256 + 32]);
    // SAFETY: the caller's promise.
    unsafe {
        for position in 0..count {
            let bits = bits.add(position * bits_step);
            let places = Places { sums: places.sums.add(position * places.sums_step), ..places };
            if listed {
                let length = list.fill(bits, (words, word), over, step);
                by_lanes(&|| list.rows(length), lanes, places, taps);
            } else {
                let all = || Patterned::new(bits, (words, word), over.steps, over.time);
                by_lanes(&|| all().map(|(number, own)| number * step + own * pattern), lanes, places, taps);
            }
        }
    }
}

/// Places of rows, in vectors from the first, of the numbers of up to four words; a store reaches further.
#[repr(align(64))]
struct OverTimeList([u16; 256 + 32]);

impl OverTimeList {
    /// Fills the list; its length.
    ///
    /// # Safety
    /// As [`List::fill`], for each timestep; places of rows fit their type.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi1")]
    #[inline]
    unsafe fn fill(
        &mut self,
        bits: *const u32,
        (words, apart): (usize, usize),
        over: OverTime,
        step: usize,
    ) -> usize {
        const HALF: usize = 32;
        let times = |n: usize| _mm512_set1_epi16((n / LANES) as i16);
        // SAFETY: `words` words of each timestep are read; each half stores 64 bytes at most 224 places behind the list's
        // start.
        unsafe {
            let numbers = _mm512_cvtepu8_epi16(_mm256_loadu_si256(NUMBERS.as_ptr().cast()));
            let first = _mm512_mullo_epi16(numbers, times(step));
            let mut length = 0;
            for half in 0..2 * words {
                let from = bits.add(half / 2 * apart + half % 2);
                let mut row = _mm512_add_epi16(first, times(half * HALF * step));
                let mut any = 0;
                for t in 0..over.steps {
                    let own = from.add(t * over.time).read();
                    row = _mm512_mask_add_epi16(row, own, row, times(over.pattern << t));
                    any |= own;
                }
                let to = self.0.as_mut_ptr().add(length);
                _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi16(any, row));
                length += any.count_ones() as usize;
            }
            length
        }
    }

    /// Elements from the first row to those of the first places, four of which are read at a load.
    #[inline]
    fn rows(&self, length: usize) -> impl Iterator<Item = usize> {
        let four = |at: usize| {
            debug_assert!(at <= 256);
            // SAFETY: 32 places follow the last of 256.
            unsafe { self.0.as_ptr().add(at).cast::<u64>().read_unaligned() }
        };
        let mut left = four(0);
        (0..length).map(move |at| {
            let place = left as u16;
            left = if at % 4 == 3 { four(at + 1) } else { left >> 16 };
            usize::from(place) * LANES
        })
    }
}

/// The sums of one position, two vectors of lanes after the other.
///
/// # Safety
/// As [`add_taps`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi1")]
#[inline]
unsafe fn by_lanes<I: Iterator<Item = usize>>(
    numbers: &impl Fn() -> I,
    lanes: usize,
    places: Places,
    (rows, columns): (usize, usize),
) {
    let last = last_mask(lanes);
    // SAFETY: the caller's promise; all lanes and taps that are named are there.
    unsafe {
        for lane in (0..lanes).step_by(2 * LANES) {
            let left = lanes - lane;
            if (rows, columns) == (3, 3) {
                let places = places.of((0, 0), columns, lane);
                match left {
                    32.. => sum::<3, 3, 2, true>(numbers(), last, places),
                    17..=31 => sum::<3, 3, 2, false>(numbers(), last, places),
                    16 => sum::<3, 3, 1, true>(numbers(), last, places),
                    _ => sum::<3, 3, 1, false>(numbers(), last, places),
                }
                continue;
            }
            for tap in 0..rows * columns {
                let places = places.of((tap / columns, tap % columns), columns, lane);
                match left {
                    32.. => sum::<1, 1, 2, true>(numbers(), last, places),
                    17..=31 => sum::<1, 1, 2, false>(numbers(), last, places),
                    16 => sum::<1, 1, 1, true>(numbers(), last, places),
                    _ => sum::<1, 1, 1, false>(numbers(), last, places),
                }
            }
        }
    }
}

/// The sums of `R` rows of `C` taps, of `N` vectors each, of which the last has the lanes `last` where it is not `WHOLE`.
///
/// # Safety
/// As [`add_taps`], for these taps and lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi1")]
#[inline]
unsafe fn sum<const R: usize, const C: usize, const N: usize, const WHOLE: bool>(
    chosen: impl Iterator<Item = usize>,
    last: __mmask16,
    places: Places,
) {
    let Places { rows, down, beside, sums, apart, .. } = places;
    // SAFETY: the caller's promise; masked loads and stores touch no lane beyond a row's last.
    unsafe {
        let load = |from: *const f32, v: usize| {
            _mm512_maskz_loadu_ps(mask::<N, WHOLE>(v, last), from.add(v * LANES))
        };
        let mut acc = [[[_mm512_setzero_ps(); N]; C]; R];
        for (y, acc) in acc.iter_mut().enumerate() {
            for (x, acc) in acc.iter_mut().enumerate() {
                for (v, acc) in acc.iter_mut().enumerate() {
                    *acc = load(sums.add((y * C + x) * apart), v);
                }
            }
        }
        for row in chosen {
            let row = rows.add(row);
            for (y, acc) in acc.iter_mut().enumerate() {
                for (x, acc) in acc.iter_mut().enumerate() {
                    for (v, acc) in acc.iter_mut().enumerate() {
                        *acc = _mm512_add_ps(*acc, load(row.add(y * down + x * beside), v));
                    }
                }
            }
        }
        for (y, acc) in acc.iter().enumerate() {
            for (x, acc) in acc.iter().enumerate() {
                for (v, acc) in acc.iter().enumerate() {
                    let to = sums.add((y * C + x) * apart + v * LANES);
                    _mm512_mask_storeu_ps(to, mask::<N, WHOLE>(v, last), *acc);
                }
            }
        }
    }
}
