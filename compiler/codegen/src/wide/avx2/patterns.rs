//! Lists of neurons by pattern and walks over them with vectors of 256 bits: as those of 512 bits, in parts of 64 lanes.

use super::super::patterns::{Lists, Table, Taps, combine};
use super::{LANES, PART, mask};
use std::arch::x86_64::*;

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
#[target_feature(enable = "avx2,bmi1,popcnt")]
unsafe fn list(steps: usize, words: usize, bits: (*const u32, usize), ends: *mut u32) {
    let patterns = 1 << steps;
    // SAFETY: the caller's promise.
    unsafe {
        let halves = combine(words, steps, bits);
        let numbers = ends.add(patterns);
        let mut end = 0;
        *ends = 0;
        for pattern in 1..patterns {
            for (number, half) in halves[..words].iter().enumerate() {
                let mut alike = half.of(pattern);
                while alike != 0 {
                    *numbers.add(end) = (number * 64) as u32 + alike.trailing_zeros();
                    end += 1;
                    alike &= alike - 1;
                }
            }
            *ends.add(pattern) = end as u32;
        }
    }
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
    // SAFETY: the kernel interpreter's rules hold for the kernel that calls: the lists of all taps, a row of `lanes`
    // for each neuron in them, sums of `lanes` for each timestep and room for the order lie inside their buffers; a
    // part begins inside a row. The feature was detected before this function was chosen.
    unsafe {
        put_in_order(steps, &taps, &lists, [rows_row, rows_column, row], order);
        for first in (0..lanes).step_by(PART) {
            let (rows, sums) = (rows.add(first), (sums.add(first), sums_step));
            match lanes - first {
                PART.. => add::<true>(steps, PART, rows, sums, order),
                rest => add::<false>(steps, rest, rows, sums, order),
            }
        }
    }
}

/// Joins the lists of all taps: where the rows of each pattern begin, and the offsets of all rows.
///
/// # Safety
/// As [`add_patterns`].
#[target_feature(enable = "avx2,bmi1,popcnt")]
unsafe fn put_in_order(
    steps: usize,
    taps: &Taps,
    lists: &Lists,
    [rows_row, rows_column, row]: [usize; 3],
    order: *mut u32,
) {
    let patterns = 1 << steps;
    let row = _mm256_set1_epi32(row as i32);
    let mut end = 0;
    // SAFETY: the caller's promise; a store reaches at most 7 elements behind the last, where the order has room.
    unsafe {
        *order = 0;
        for pattern in 1..patterns {
            for y in 0..taps.rows {
                for x in 0..taps.columns {
                    let list = lists.of(y, x);
                    let (from, to) = (*list.add(pattern - 1) as usize, *list.add(pattern) as usize);
                    let base = _mm256_set1_epi32((y * rows_row + x * rows_column) as i32);
                    let mut j = from;
                    loop {
                        let numbers = _mm256_maskload_epi32(list.add(patterns + j).cast(), mask(0, to - j));
                        let offsets = _mm256_add_epi32(_mm256_mullo_epi32(numbers, row), base);
                        _mm256_storeu_si256(order.add(patterns + end + j - from).cast(), offsets);
                        j += LANES;
                        if j >= to {
                            break;
                        }
                    }
                    end += to - from;
                }
            }
            *order.add(pattern) = end as u32;
        }
    }
}

/// # Safety
/// As [`add_patterns`], for rows of `lanes` lanes, all of a part where it is whole.
#[target_feature(enable = "avx2,bmi1,popcnt")]
unsafe fn add<const WHOLE: bool>(
    steps: usize,
    lanes: usize,
    rows: *const f32,
    (sums, sums_step): (*mut f32, usize),
    order: *const u32,
) {
    let patterns = 1 << steps;
    let masks: [__m256i; 8] = std::array::from_fn(|v| mask(v, lanes));
    let mut table = Table::new();
    let table = table.as_mut_ptr();
    // SAFETY: the caller's promise; masked loads and stores touch no lane beyond a row's last.
    unsafe {
        let load = |from: *const f32, v: usize| match WHOLE {
            true => _mm256_loadu_ps(from.add(v * LANES)),
            false => _mm256_maskload_ps(from.wrapping_add(v * LANES), masks[v]),
        };
        for pattern in 1..patterns {
            let (from, to) = (*order.add(pattern - 1) as usize, *order.add(pattern) as usize);
            let mut acc = [_mm256_setzero_ps(); 8];
            for j in from..to {
                let row = rows.add(*order.add(patterns + j) as usize);
                for (v, acc) in acc.iter_mut().enumerate() {
                    *acc = _mm256_add_ps(*acc, load(row, v));
                }
            }
            for (v, acc) in acc.into_iter().enumerate() {
                _mm256_store_ps(table.add(pattern * PART + v * LANES), acc);
            }
        }
        let sums = (sums, sums_step);
        for (v, &mask) in masks.iter().enumerate().take(lanes.div_ceil(LANES)) {
            match steps {
                2 => flush::<2>(v, mask, table, sums),
                3 => flush::<3>(v, mask, table, sums),
                _ => flush::<4>(v, mask, table, sums),
            }
        }
    }
}

/// Adds the sums of the patterns to those of the timesteps, for one vector.
///
/// # Safety
/// As [`add`]; `table` has a part of sums for each pattern.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn flush<const STEPS: usize>(
    v: usize,
    mask: __m256i,
    table: *const f32,
    (sums, sums_step): (*mut f32, usize),
) {
    // SAFETY: the caller's promise; masked loads and stores touch no lane beyond a row's last.
    unsafe {
        for t in 0..STEPS {
            let sum = sums.add(t * sums_step).wrapping_add(v * LANES);
            let mut acc = _mm256_maskload_ps(sum, mask);
            // The loop is over a constant range, so that nothing is asked when it runs.
            for pattern in 1..1 << STEPS {
                if pattern >> t & 1 == 1 {
                    acc = _mm256_add_ps(acc, _mm256_load_ps(table.add(pattern * PART + v * LANES)));
                }
            }
            _mm256_maskstore_ps(sum, mask, acc);
        }
    }
}
