//! Walks over all that a position sees through the taps of a kernel, as with 512 bits, and the sums of some positions grow side
//! by side. What a row of inputs has is listed once for all positions that see it, a byte of bits after the other and without
//! a branch; a position's own list is a run of each row's, moved to where its taps have their weights.
//!
//! ```text
//! places of a row, input after input           | 0 | 1     | 2 | 3   | 4 |
//! what position 2 sees of it through 3 taps        ^^^^^^^^^^^^^^^^^
//! ```

use super::{LANES, PART, add_rows, load, mask, store};
use crate::wide::window::{FOUR, List, Places, SIDE_BY_SIDE, STORED, UNIT, Window, row_at};
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

/// The numbers of the set bits of each byte.
static NUMBERS: [[u8; 8]; 256] = {
    let mut numbers = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut bit, mut length) = (0, 0);
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                numbers[byte][length] = bit as u8;
                length += 1;
            }
            bit += 1;
        }
        byte += 1;
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
    // and a row of `lanes` for each set bit, and sums of `lanes` for each position lie inside their buffers; a part begins
    // inside a row. The features were detected before this function was chosen.
    unsafe {
        let Some(lines) = Lines::of(&window, bits_step) else {
            window.by_taps(add_rows, count, lanes, ((bits, bits_step), rows, (sums, sums_step)));
            return;
        };
        for part in (0..lanes).step_by(PART) {
            let lanes = PART.min(lanes - part);
            let last = mask(lanes.div_ceil(LANES) - 1, lanes);
            let places = ((bits.cast(), bits_step), rows.add(part), (sums.add(part), sums_step));
            by_vectors!(add, lanes, (count, &window, lines, last, places));
        }
    }
}

/// How far a list reaches along the rows of inputs.
#[derive(Clone, Copy)]
struct Lines {
    /// Inputs from one position to the next.
    stride: usize,
    /// Positions that see no more than it has room for.
    positions: usize,
}

impl Lines {
    /// None where the window cannot be listed.
    fn of(window: &Window, bits_step: usize) -> Option<Lines> {
        let (rows, taps) = window.taps;
        if !window.is_listed()
            || window.numbers() == 0
            || window.bits.1 == 0
            || !bits_step.is_multiple_of(window.bits.1)
        {
            return None;
        }
        let columns = LISTED / (rows * window.words * 64);
        let stride = bits_step / window.bits.1;
        let positions = (columns - taps).checked_div(stride).unwrap_or(0) + 1;
        Some(Lines { stride, positions })
    }
}

/// # Safety
/// As [`add_window`], for rows of `V` vectors, of which the last has the lanes `last` where it is not `WHOLE`.
#[target_feature(enable = "avx2,bmi1,popcnt")]
unsafe fn add<const V: usize, const WHOLE: bool>(
    count: usize,
    window: &Window,
    lines: Lines,
    last: __m256i,
    ((bits, bits_step), rows, (sums, sums_step)): Places<u32>,
) {
    // All sums stay in the 16 registers.
    let side_by_side = match V {
        1..=4 => SIDE_BY_SIDE,
        5 | 6 => 2,
        _ => 1,
    };
    let mut listed = Listed::new();
    let mut lists = List::all();
    for first in (0..count).step_by(lines.positions) {
        let here = lines.positions.min(count - first);
        let columns = (here - 1) * lines.stride + window.taps.1;
        // SAFETY: the caller's promise: all that these positions see can be read.
        unsafe { listed.fill(window, columns, bits.add(first * bits_step)) };
        let mut position = 0;
        while position < here {
            let beside = side_by_side.min(here - position);
            let mut lengths = [0; SIDE_BY_SIDE];
            for (p, (list, length)) in lists.iter_mut().zip(&mut lengths).take(beside).enumerate() {
                // SAFETY: so many columns were listed.
                *length = unsafe { listed.seen(list, window, columns, (position + p) * lines.stride) };
            }
            // SAFETY: the caller's promise, for the sums of these positions.
            unsafe {
                let sums = (sums.add((first + position) * sums_step), sums_step);
                match beside {
                    3 => sum::<V, WHOLE, 3>(&lists, &lengths, last, rows, sums),
                    2 => sum::<V, WHOLE, 2>(&lists, &lengths, last, rows, sums),
                    _ => sum::<V, WHOLE, 1>(&lists, &lengths, last, rows, sums),
                }
            }
            position += beside;
        }
    }
}

/// Adds the rows of `P` lists to the sums of their positions. It is no part of its caller so that all registers are for the
/// sums and what finds a row.
///
/// # Safety
/// As [`add`], for lists that are filled so far.
#[target_feature(enable = "avx2,bmi1,popcnt")]
#[inline(never)]
unsafe fn sum<const V: usize, const WHOLE: bool, const P: usize>(
    lists: &[List; SIDE_BY_SIDE],
    lengths: &[usize; SIDE_BY_SIDE],
    last: __m256i,
    rows: *const f32,
    (sums, sums_step): (*mut f32, usize),
) {
    // SAFETY: the caller's promise; masked loads and stores touch no lane beyond a row's last.
    unsafe {
        let load = |from, v| load::<V, WHOLE>(from, v, last);
        let mut acc: [[__m256; V]; P] =
            std::array::from_fn(|p| std::array::from_fn(|v| load(sums.add(p * sums_step), v)));
        let shortest = lengths.iter().take(P).copied().min().unwrap_or(0) / FOUR * FOUR;
        for at in (0..shortest).step_by(FOUR) {
            let four: [u64; P] = std::array::from_fn(|p| lists[p].four(at));
            for number in 0..FOUR {
                for (acc, four) in acc.iter_mut().zip(four) {
                    let row = row_at(rows, (four >> (16 * number)) as u16);
                    for (v, acc) in acc.iter_mut().enumerate() {
                        *acc = _mm256_add_ps(*acc, load(row, v));
                    }
                }
            }
        }
        for (p, mut acc) in acc.into_iter().enumerate() {
            for at in shortest..lengths[p] {
                let row = row_at(rows, lists[p].place(at));
                for (v, acc) in acc.iter_mut().enumerate() {
                    *acc = _mm256_add_ps(*acc, load(row, v));
                }
            }
            for (v, acc) in acc.into_iter().enumerate() {
                store::<V, WHOLE>(sums.add(p * sums_step), v, last, acc);
            }
        }
    }
}

/// The most numbers of all rows of inputs.
const LISTED: usize = 6 << 10;
/// The most inputs that have some: each is a word at least.
const INPUTS: usize = LISTED / 64;

/// The places of what is set in some rows of inputs, row after row, as if the first input of each were the first tap's.
struct Listed {
    places: MaybeUninit<[u16; LISTED + STORED]>,
    /// Where each input's begin, and where the last one's end.
    starts: [usize; INPUTS + 1],
}

impl Listed {
    fn new() -> Listed {
        Listed { places: MaybeUninit::uninit(), starts: [0; INPUTS + 1] }
    }

    /// Lists `columns` inputs of each row.
    ///
    /// # Safety
    /// The words of these inputs can be read, and they have no more than `LISTED` bits.
    #[target_feature(enable = "avx2,bmi1,popcnt")]
    unsafe fn fill(&mut self, window: &Window, columns: usize, bits: *const u32) {
        let places: *mut u16 = self.places.as_mut_ptr().cast();
        let step = window.step / UNIT;
        let (times, eight) = (_mm_set1_epi16(step as i16), _mm_set1_epi16((8 * step) as i16));
        let half_word = _mm_set1_epi16((32 * step) as i16);
        let (mut length, mut input) = (0, 0);
        for y in 0..window.taps.0 {
            for x in 0..columns {
                self.starts[input] = length;
                input += 1;
                let mut first = _mm_set1_epi16((x * window.rows.1 / UNIT) as i16);
                for half in 0..2 * window.words {
                    // SAFETY: the caller's promise; a store of eight places reaches no further than one of `STORED`.
                    unsafe {
                        let set = bits.add(y * window.bits.0 + x * window.bits.1 + half).read();
                        // With 32 channels half a word is always 0.
                        if set == 0 {
                            first = _mm_add_epi16(first, half_word);
                            continue;
                        }
                        for byte in set.to_le_bytes() {
                            let numbers = _mm_loadl_epi64(NUMBERS[usize::from(byte)].as_ptr().cast());
                            let numbers = _mm_mullo_epi16(_mm_cvtepu8_epi16(numbers), times);
                            _mm_storeu_si128(places.add(length).cast(), _mm_add_epi16(numbers, first));
                            first = _mm_add_epi16(first, eight);
                            length += byte.count_ones() as usize;
                        }
                    }
                }
            }
        }
        self.starts[input] = length;
        // What is copied reaches further than what is listed.
        // SAFETY: as above.
        unsafe { places.add(length).write_bytes(0, STORED) };
    }

    /// Lists what a position sees, of which `left` inputs lie left of it; how much.
    ///
    /// # Safety
    /// So many columns were filled, of which the position sees those from `left` on.
    #[target_feature(enable = "avx2,bmi1,popcnt")]
    unsafe fn seen(&self, list: &mut List, window: &Window, columns: usize, left: usize) -> usize {
        let from: *const u16 = self.places.as_ptr().cast();
        let mut length = 0;
        for y in 0..window.taps.0 {
            let input = y * columns + left;
            let (start, end) = (self.starts[input], self.starts[input + window.taps.1]);
            let moved = (y * window.rows.0 / UNIT).wrapping_sub(left * window.rows.1 / UNIT);
            let moved = _mm256_set1_epi16(moved as i16);
            let mut at = start;
            while at < end {
                // SAFETY: what is read beyond the end is `STORED` at most, and so is what is written.
                unsafe {
                    let to = list.places().add(length + at - start);
                    for part in (0..STORED).step_by(16) {
                        let places = _mm256_loadu_si256(from.add(at + part).cast());
                        _mm256_storeu_si256(to.add(part).cast(), _mm256_add_epi16(places, moved));
                    }
                }
                at += STORED;
            }
            length += end - start;
        }
        length
    }
}
