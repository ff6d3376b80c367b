//! Walks over all that a position sees through the taps of a kernel, as with 512 bits: the numbers of all taps are listed
//! first, a byte of bits after the other and without a branch, and the sums of some positions grow side by side.

use super::{LANES, PART, add_rows, mask};
use crate::wide::window::{FOUR, List, Places, SIDE_BY_SIDE, UNIT, Window, row_at};
use std::arch::x86_64::*;

/// Bytes of rows that stay in the nearest cache of machines with these vectors, of 32 KiB often.
const NEAREST: usize = 24 << 10;
/// Rows of a tap from which on those of further caches cost more than what a list saves.
const MANY: usize = 5;

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
        let is_far = 4 * window.taps.0 * window.rows.0 > NEAREST;
        if !window.is_listed() || is_far && ones(&window, count, (bits.cast(), bits_step)) > MANY * count {
            window.by_taps(add_rows, count, lanes, ((bits, bits_step), rows, (sums, sums_step)));
            return;
        }
        for part in (0..lanes).step_by(PART) {
            let lanes = PART.min(lanes - part);
            let last = mask(lanes.div_ceil(LANES) - 1, lanes);
            let places = ((bits.cast(), bits_step), rows.add(part), (sums.add(part), sums_step));
            by_vectors!(add, lanes, (count, &window, last, places));
        }
    }
}

/// The set bits of the first tap of all positions.
///
/// # Safety
/// Their words can be read.
#[target_feature(enable = "avx2,bmi1,popcnt")]
unsafe fn ones(window: &Window, count: usize, (bits, bits_step): (*const u32, usize)) -> usize {
    let places =
        (0..count).flat_map(|position| (0..window.words).map(move |word| position * bits_step + 2 * word));
    // SAFETY: the caller's promise.
    places.map(|place| unsafe { bits.add(place).cast::<u64>().read_unaligned() }.count_ones() as usize).sum()
}

/// # Safety
/// As [`add_window`], for rows of `V` vectors, of which the last has the lanes `last` where it is not `WHOLE`, and a window
/// that is listed.
#[target_feature(enable = "avx2,bmi1,popcnt")]
unsafe fn add<const V: usize, const WHOLE: bool>(
    count: usize,
    window: &Window,
    last: __m256i,
    ((bits, bits_step), rows, (sums, sums_step)): Places<u32>,
) {
    // All sums stay in the 16 registers.
    let side_by_side = match V {
        1..=4 => SIDE_BY_SIDE,
        5 | 6 => 2,
        _ => 1,
    };
    let mut lists = List::all();
    let mut position = 0;
    while position < count {
        // SAFETY: the caller's promise.
        unsafe {
            let sums = (sums.add(position * sums_step), sums_step);
            let places = ((bits.add(position * bits_step), bits_step), rows, sums);
            position += match side_by_side.min(count - position) {
                3 => together::<V, WHOLE, 3>(window, last, places, &mut lists),
                2 => together::<V, WHOLE, 2>(window, last, places, &mut lists),
                _ => together::<V, WHOLE, 1>(window, last, places, &mut lists),
            };
        }
    }
}

/// Adds to the sums of `P` positions; their number.
///
/// # Safety
/// As [`add`].
#[target_feature(enable = "avx2,bmi1,popcnt")]
#[inline]
unsafe fn together<const V: usize, const WHOLE: bool, const P: usize>(
    window: &Window,
    last: __m256i,
    ((bits, bits_step), rows, (sums, sums_step)): Places<u32>,
    lists: &mut [List; SIDE_BY_SIDE],
) -> usize {
    // SAFETY: the caller's promise; lists are read as far as they were filled, and masked loads and stores touch no lane
    // beyond a row's last.
    unsafe {
        let mut lengths = [0; P];
        for (p, (list, length)) in lists.iter_mut().zip(&mut lengths).enumerate() {
            *length = fill(list, window, bits.add(p * bits_step));
        }
        let load = |from: *const f32, v: usize| match WHOLE || v + 1 < V {
            true => _mm256_loadu_ps(from.add(v * LANES)),
            false => _mm256_maskload_ps(from.add(v * LANES), last),
        };
        let mut acc: [[__m256; V]; P] =
            std::array::from_fn(|p| std::array::from_fn(|v| load(sums.add(p * sums_step), v)));
        let shortest = lengths.iter().copied().min().unwrap_or(0) / FOUR * FOUR;
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
                let row = row_at(rows, lists[p].places().add(at).read());
                for (v, acc) in acc.iter_mut().enumerate() {
                    *acc = _mm256_add_ps(*acc, load(row, v));
                }
            }
            for (v, acc) in acc.into_iter().enumerate() {
                let to = sums.add(p * sums_step + v * LANES);
                match WHOLE || v + 1 < V {
                    true => _mm256_storeu_ps(to, acc),
                    false => _mm256_maskstore_ps(to, last, acc),
                }
            }
        }
    }
    P
}

/// Lists the places of the rows of a position; how many.
///
/// # Safety
/// The words of all taps can be read, and the window is listed.
#[target_feature(enable = "avx2,bmi1,popcnt")]
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
#[target_feature(enable = "avx2,bmi1,popcnt")]
#[inline]
unsafe fn fill_taps(
    list: &mut List,
    window: &Window,
    (rows, columns): (usize, usize),
    words: usize,
    bits: *const u32,
) -> usize {
    let step = window.step / UNIT;
    let times = _mm_set1_epi16(step as i16);
    let mut length = 0;
    let mut append = |half: u32, first: usize| {
        for (byte, set) in half.to_le_bytes().into_iter().enumerate() {
            // SAFETY: there are as many numbers before as bits, of which a window that is listed has no more than a list; a
            // store of eight places reaches no further than one of `STORED`.
            unsafe {
                let numbers = _mm_loadl_epi64(NUMBERS[usize::from(set)].as_ptr().cast());
                let first = _mm_set1_epi16((first + 8 * byte * step) as i16);
                let places = _mm_add_epi16(_mm_mullo_epi16(_mm_cvtepu8_epi16(numbers), times), first);
                _mm_storeu_si128(list.places().add(length).cast(), places);
            }
            length += set.count_ones() as usize;
        }
    };
    for y in 0..rows {
        for x in 0..columns {
            for word in 0..words {
                // SAFETY: the caller's promise.
                let set = unsafe {
                    bits.add(y * window.bits.0 + x * window.bits.1 + 2 * word).cast::<u64>().read_unaligned()
                };
                let first = (y * window.rows.0 + x * window.rows.1) / UNIT + word * 64 * step;
                append(set as u32, first);
                // With 32 channels it is always 0.
                if set >> 32 != 0 {
                    append((set >> 32) as u32, first + 32 * step);
                }
            }
        }
    }
    length
}
