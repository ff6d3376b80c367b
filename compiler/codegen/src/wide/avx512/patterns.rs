//! Lists of neurons by pattern and walks over them with vectors of 512 bits.
//!
//! ```text
//! lists of the taps:  p1: 3 9 | p2: 5 | …      p1: 0 | p2: | …          each sorted by pattern
//! order:              p1: 3 9 64 | p2: 5 | …                            offsets of rows, one list for a pattern
//! table[p] = Σ rows of p;  sums[t] += table[p] for each t in p
//! ```
//!
//! The lists of a pattern are short in one tap (3 of 128 neurons) and long over nine: put in order first, the end of
//! a list is one branch of 25 rows, not of 3. The rows of all taps do not fit the nearest cache, so rows are asked for
//! ahead. Sums for each neuron's pattern in memory instead of lists (`table[pattern] += row`) were 0.4 to 0.9 times as
//! fast: each addition would wait for the store of the one before.

use super::super::patterns::{Lists, Table, Taps, combine};
use super::{LANES, last_mask, mask};
use std::arch::x86_64::*;

/// Numbers of 64 bits, in their order.
pub(super) const NUMBERS: [u8; 64] = {
    let mut numbers = [0; 64];
    let mut i = 0;
    while i < 64 {
        numbers[i] = i as u8;
        i += 1;
    }
    numbers
};

/// How far ahead rows are asked for.
const AHEAD: usize = 8;

pub unsafe extern "C" fn list_patterns(
    count: usize,
    words: usize,
    steps: usize,
    bits: *const u64,
    bits_step: usize,
    time: usize,
    lists: *mut u32,
    lists_step: usize,
) {
    for position in 0..count {
        // SAFETY: the kernel interpreter's rules hold for the kernel that calls: the words of `count` positions and
        // `steps` timesteps, and room for the lists of as many, lie inside their buffers. The features were detected
        // before this function was chosen.
        unsafe {
            let from = bits.cast::<u32>().add(position * bits_step);
            list(steps, words, (from, time), lists.add(position * lists_step));
        }
    }
}

/// # Safety
/// As [`list_patterns`], for one position.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
unsafe fn list(steps: usize, words: usize, bits: (*const u32, usize), ends: *mut u32) {
    let patterns = 1 << steps;
    // SAFETY: the caller's promise; masked stores touch no element beyond a list's last.
    unsafe {
        let halves = combine(words, steps, bits);
        let bytes = _mm512_loadu_si512(NUMBERS.as_ptr().cast());
        let numbers = ends.add(patterns);
        let mut end = 0;
        *ends = 0;
        for pattern in 1..patterns {
            for (number, half) in halves[..words].iter().enumerate() {
                let alike = half.of(pattern);
                let count = alike.count_ones() as usize;
                let own = _mm512_maskz_compress_epi8(alike, bytes);
                let base = _mm512_set1_epi32((number * 64) as i32);
                let first = _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_castsi512_si128(own)), base);
                _mm512_mask_storeu_epi32(numbers.add(end).cast(), first_lanes(count), first);
                if count > LANES {
                    let mut all = [0u8; 64];
                    _mm512_storeu_si512(all.as_mut_ptr().cast(), own);
                    for (j, byte) in all[..count].iter().enumerate().skip(LANES) {
                        *numbers.add(end + j) = (number * 64) as u32 + u32::from(*byte);
                    }
                }
                end += count;
            }
            *ends.add(pattern) = end as u32;
        }
    }
}

/// A mask of so many lanes, all where there are more.
fn first_lanes(count: usize) -> __mmask16 {
    ((1u32 << count.min(LANES)) - 1) as __mmask16
}

pub unsafe extern "C" fn add_patterns(
    steps: usize,
    tap_rows: usize,
    tap_columns: usize,
    lists: *const u32,
    lists_row: usize,
    lists_column: usize,
    rows: *const f32,
    rows_row: usize,
    rows_column: usize,
    row: usize,
    lanes: usize,
    sums: *mut f32,
    sums_step: usize,
    order: *mut u32,
) {
    let taps = Taps { rows: tap_rows, columns: tap_columns };
    let lists = Lists { at: lists, row: lists_row, column: lists_column };
    let last = last_mask(lanes);
    // SAFETY: the kernel interpreter's rules hold for the kernel that calls: the lists of all taps, a row of `lanes`
    // for each neuron in them, sums of `lanes` for each timestep and room for the order lie inside their buffers. The
    // features were detected before this function was chosen.
    unsafe {
        put_in_order(steps, &taps, &lists, [rows_row, rows_column, row], order);
        by_vectors!(add, lanes, (steps, last, rows, (sums, sums_step), order));
    }
}

/// Joins the lists of all taps: where the rows of each pattern begin, and the offsets of all rows.
///
/// # Safety
/// As [`add_patterns`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
unsafe fn put_in_order(
    steps: usize,
    taps: &Taps,
    lists: &Lists,
    [rows_row, rows_column, row]: [usize; 3],
    order: *mut u32,
) {
    let patterns = 1 << steps;
    let row = _mm512_set1_epi32(row as i32);
    let mut end = 0;
    // SAFETY: the caller's promise; a store reaches at most 15 elements behind the last, where the order has room.
    unsafe {
        *order = 0;
        for pattern in 1..patterns {
            for y in 0..taps.rows {
                let (mut list, mut base) = (lists.of(y, 0), y * rows_row);
                for _ in 0..taps.columns {
                    let (from, to) = (*list.add(pattern - 1) as usize, *list.add(pattern) as usize);
                    let first = _mm512_set1_epi32(base as i32);
                    let mut j = from;
                    loop {
                        let lanes = first_lanes(to - j);
                        let numbers = _mm512_maskz_loadu_epi32(lanes, list.add(patterns + j).cast());
                        let offsets = _mm512_add_epi32(_mm512_mullo_epi32(numbers, row), first);
                        _mm512_storeu_si512(order.add(patterns + end + j - from).cast(), offsets);
                        j += LANES;
                        if j >= to {
                            break;
                        }
                    }
                    end += to - from;
                    list = list.wrapping_add(lists.column);
                    base += rows_column;
                }
            }
            *order.add(pattern) = end as u32;
        }
        // Asked for ahead, not added.
        _mm512_storeu_si512(order.add(patterns + end).cast(), _mm512_setzero_si512());
    }
}

/// # Safety
/// As [`add_patterns`], for rows of `N` vectors, of which the last has the lanes `last` where the row is not `WHOLE`.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
unsafe fn add<const N: usize, const WHOLE: bool>(
    steps: usize,
    last: __mmask16,
    rows: *const f32,
    sums: (*mut f32, usize),
    order: *const u32,
) {
    let patterns = 1 << steps;
    let mut table = Table::new();
    let table = table.as_mut_ptr();
    // SAFETY: the caller's promise; masked loads and stores touch no lane beyond a row's last, and what is asked for
    // ahead is not read.
    unsafe {
        let offsets = order.add(patterns);
        for pattern in 1..patterns {
            let (from, to) = (*order.add(pattern - 1) as usize, *order.add(pattern) as usize);
            let mut acc = [_mm512_setzero_ps(); N];
            for j in from..to {
                let ahead = rows.wrapping_add(*offsets.add(j + AHEAD) as usize);
                for v in 0..N {
                    _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(v * LANES).cast());
                }
                let row = rows.add(*offsets.add(j) as usize);
                for (v, acc) in acc.iter_mut().enumerate() {
                    let row = _mm512_maskz_loadu_ps(mask::<N, WHOLE>(v, last), row.add(v * LANES));
                    *acc = _mm512_add_ps(*acc, row);
                }
            }
            for (v, acc) in acc.iter().enumerate() {
                _mm512_store_ps(table.add((pattern * N + v) * LANES), *acc);
            }
        }
        match steps {
            2 => flush::<N, WHOLE, 2>(last, table, sums),
            3 => flush::<N, WHOLE, 3>(last, table, sums),
            _ => flush::<N, WHOLE, 4>(last, table, sums),
        }
    }
}

/// Adds the sums of the patterns to those of the timesteps.
///
/// # Safety
/// As [`add`]; `table` has a row of `N` vectors for each pattern.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn flush<const N: usize, const WHOLE: bool, const STEPS: usize>(
    last: __mmask16,
    table: *const f32,
    (sums, sums_step): (*mut f32, usize),
) {
    for v in 0..N {
        let mask = mask::<N, WHOLE>(v, last);
        for t in 0..STEPS {
            // SAFETY: the caller's promise.
            unsafe {
                let sum = sums.add(t * sums_step + v * LANES);
                let mut acc = _mm512_maskz_loadu_ps(mask, sum);
                // The loop is over a constant range, so that nothing is asked when it runs.
                for pattern in 1..1 << STEPS {
                    if pattern >> t & 1 == 1 {
                        acc = _mm512_add_ps(acc, _mm512_load_ps(table.add((pattern * N + v) * LANES)));
                    }
                }
                _mm512_mask_storeu_ps(sum, mask, acc);
            }
        }
    }
}
