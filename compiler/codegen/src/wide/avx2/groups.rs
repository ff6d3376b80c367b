//! Tables of summed rows and lookups in them, with vectors of 256 bits: in parts of 32 lanes, four registers.

use super::super::EACH;
use super::{LANES, load, mask, store};
use snnc_kernel::body::{ENTRIES, GROUP, entry};
use std::arch::x86_64::*;

/// Lanes of a part.
const PART: usize = 32;

pub unsafe extern "C" fn sum_groups(
    count: usize,
    lanes: usize,
    rows: *const f32,
    rows_step: usize,
    table: *mut f32,
) {
    for first in (0..lanes).step_by(LANES) {
        // SAFETY: the kernel interpreter's rules hold for the kernel that calls: `count` rows of `lanes` lie inside
        // their buffer, and so do the entries of their groups. The feature was detected before this function was chosen.
        unsafe {
            let (rows, table) = ((rows.add(first), rows_step), (table.add(first), entry(lanes)));
            match lanes - first >= LANES {
                true => sum::<true>(count, mask(0, LANES), rows, table),
                false => sum::<false>(count, mask(0, lanes - first), rows, table),
            }
        }
    }
}

/// # Safety
/// As [`sum_groups`], for one vector of each row, which has the lanes `last` where it is not `WHOLE`: a masked store takes as
/// long as many others.
#[target_feature(enable = "avx2,bmi1,popcnt")]
unsafe fn sum<const WHOLE: bool>(
    count: usize,
    last: __m256i,
    (rows, rows_step): (*const f32, usize),
    (table, step): (*mut f32, usize),
) {
    for group in 0..count.div_ceil(GROUP) {
        let row = |b: usize| {
            let row = group * GROUP + b;
            // SAFETY: the caller's promise; a row that is not there is not read.
            unsafe {
                match row < count {
                    true => load::<1, WHOLE>(rows.add(row * rows_step), 0, last),
                    false => _mm256_setzero_ps(),
                }
            }
        };
        let entries: [_; 2] = with([_mm256_setzero_ps()], row(0));
        let entries: [_; 4] = with(entries, row(1));
        let entries: [_; 8] = with(entries, row(2));
        let entries: [_; ENTRIES] = with(entries, row(3));
        for (m, entry) in entries.into_iter().enumerate() {
            // SAFETY: an entry of the table; its padding is not touched.
            unsafe { store::<1, WHOLE>(table.add((group * ENTRIES + m) * step), 0, last, entry) }
        }
    }
}

/// The entries, and those with a row more.
#[target_feature(enable = "avx2,bmi1,popcnt")]
#[inline]
fn with<const OLD: usize, const ALL: usize>(entries: [__m256; OLD], row: __m256) -> [__m256; ALL] {
    std::array::from_fn(|m| if m < OLD { entries[m] } else { _mm256_add_ps(entries[m - OLD], row) })
}

pub unsafe extern "C" fn add_groups(
    count: usize,
    groups: usize,
    lanes: usize,
    bits: *const u64,
    bits_step: usize,
    table: *const f32,
    sums: *mut f32,
    sums_step: usize,
) {
    for first in (0..lanes).step_by(PART) {
        // SAFETY: the kernel interpreter's rules hold for the kernel that calls: the words of `groups` groups, sums of
        // `lanes` for each of `count` positions and the entries of all groups lie inside their buffers; a part begins
        // inside an entry. The feature was detected before this function was chosen.
        unsafe {
            let (table, sums) = ((table.add(first), entry(lanes)), (sums.add(first), sums_step));
            let bits = (bits, bits_step);
            let rest = lanes - first;
            match (rest.div_ceil(LANES), rest.is_multiple_of(LANES)) {
                (1, true) => add::<1, true>(count, groups, rest, bits, table, sums),
                (1, false) => add::<1, false>(count, groups, rest, bits, table, sums),
                (2, true) => add::<2, true>(count, groups, rest, bits, table, sums),
                (2, false) => add::<2, false>(count, groups, rest, bits, table, sums),
                (3, true) => add::<3, true>(count, groups, rest, bits, table, sums),
                (3, false) => add::<3, false>(count, groups, rest, bits, table, sums),
                (4, false) => add::<4, false>(count, groups, rest, bits, table, sums),
                (_, _) => add::<4, true>(count, groups, PART, bits, table, sums),
            }
        }
    }
}

/// # Safety
/// As [`add_groups`], for `lanes` lanes of `V` vectors, of which the last has all where it is `WHOLE`.
#[target_feature(enable = "avx2,bmi1,popcnt")]
unsafe fn add<const V: usize, const WHOLE: bool>(
    count: usize,
    groups: usize,
    lanes: usize,
    (bits, bits_step): (*const u64, usize),
    (table, step): (*const f32, usize),
    (sums, sums_step): (*mut f32, usize),
) {
    let last = mask(V - 1, lanes);
    // SAFETY: the caller's promise; masked loads and stores touch no lane beyond an entry's last.
    unsafe {
        let load = |from, v| load::<V, WHOLE>(from, v, last);
        for position in 0..count {
            let bits = bits.cast::<u32>().add(position * bits_step).cast::<u64>();
            let sum = sums.add(position * sums_step);
            let mut acc: [__m256; V] = std::array::from_fn(|v| load(sum, v));
            for word in 0..groups.div_ceil(EACH) {
                let mut left = *bits.add(word);
                let mut first = table.add(word * (EACH * ENTRIES * step));
                for _ in 0..EACH.min(groups - word * EACH) {
                    let entry = first.add(left as usize % ENTRIES * step);
                    for (v, acc) in acc.iter_mut().enumerate() {
                        *acc = _mm256_add_ps(*acc, load(entry, v));
                    }
                    left >>= GROUP;
                    first = first.wrapping_add(ENTRIES * step);
                }
            }
            for (v, acc) in acc.into_iter().enumerate() {
                store::<V, WHOLE>(sum, v, last, acc);
            }
        }
    }
}
