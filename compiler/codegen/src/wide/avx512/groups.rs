//! Tables of summed rows and lookups in them, with vectors of 512 bits.
//!
//! A lookup is two scalar instructions beside its vectors: the rotation that brings its four bits to where they count
//! entries, and the mask. Two positions are summed at a time, so that one's chain of additions fills the other's gaps.

use super::super::EACH;
use super::{LANES, last_mask, mask};
use snnc_kernel::body::{ENTRIES, GROUP};
use std::arch::x86_64::*;

pub unsafe extern "C" fn sum_groups(
    count: usize,
    lanes: usize,
    rows: *const f32,
    rows_step: usize,
    table: *mut f32,
) {
    let last = last_mask(lanes);
    // SAFETY: the kernel interpreter's rules hold for the kernel that calls: `count` rows of `lanes` lie inside their
    // buffer, and so do the entries of their groups. The features were detected before this function was chosen.
    unsafe { by_vectors!(sum, lanes, (count, last, (rows, rows_step), table)) }
}

/// # Safety
/// As [`sum_groups`], for rows of `N` vectors, of which the last has the lanes `last` where the row is not `WHOLE`.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
unsafe fn sum<const N: usize, const WHOLE: bool>(
    count: usize,
    last: __mmask16,
    (rows, rows_step): (*const f32, usize),
    table: *mut f32,
) {
    for group in 0..count.div_ceil(GROUP) {
        for v in 0..N {
            let mask = mask::<N, WHOLE>(v, last);
            let row = |b: usize| {
                let row = group * GROUP + b;
                // SAFETY: the caller's promise; a row that is not there is not read.
                unsafe {
                    match row < count {
                        true => _mm512_maskz_loadu_ps(mask, rows.add(row * rows_step + v * LANES)),
                        false => _mm512_setzero_ps(),
                    }
                }
            };
            let entries: [_; 2] = with([_mm512_setzero_ps()], row(0));
            let entries: [_; 4] = with(entries, row(1));
            let entries: [_; 8] = with(entries, row(2));
            let entries: [_; ENTRIES] = with(entries, row(3));
            for (m, entry) in entries.into_iter().enumerate() {
                // SAFETY: an entry of the table; its padding is not touched.
                unsafe {
                    let to = table.add(((group * ENTRIES + m) * N + v) * LANES);
                    _mm512_mask_storeu_ps(to, mask, entry);
                }
            }
        }
    }
}

/// The entries, and those with a row more.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
#[inline]
fn with<const OLD: usize, const ALL: usize>(entries: [__m512; OLD], row: __m512) -> [__m512; ALL] {
    std::array::from_fn(|m| if m < OLD { entries[m] } else { _mm512_add_ps(entries[m - OLD], row) })
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
    let last = last_mask(lanes);
    // SAFETY: the kernel interpreter's rules hold for the kernel that calls: the words of `groups` groups, sums of
    // `lanes` for each of `count` positions and the entries of all groups lie inside their buffers. The features were
    // detected before this function was chosen.
    unsafe {
        by_vectors!(add, lanes, (count, groups, last, (bits, bits_step), table, (sums, sums_step)));
    }
}

/// # Safety
/// As [`add_groups`], for rows of `N` vectors, of which the last has the lanes `last` where the row is not `WHOLE`.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
unsafe fn add<const N: usize, const WHOLE: bool>(
    count: usize,
    groups: usize,
    last: __mmask16,
    (bits, bits_step): (*const u64, usize),
    table: *const f32,
    (sums, sums_step): (*mut f32, usize),
) {
    // SAFETY: the caller's promise.
    unsafe {
        let words = |position: usize| bits.cast::<u32>().add(position * bits_step).cast::<u64>();
        let mut position = 0;
        while position + 2 <= count {
            let sums = [sums.add(position * sums_step), sums.add((position + 1) * sums_step)];
            together::<N, WHOLE, 2>(groups, last, [words(position), words(position + 1)], table, sums);
            position += 2;
        }
        if position < count {
            let sums = [sums.add(position * sums_step)];
            together::<N, WHOLE, 1>(groups, last, [words(position)], table, sums);
        }
    }
}

/// Some positions at once.
///
/// # Safety
/// As [`add`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
#[inline]
unsafe fn together<const N: usize, const WHOLE: bool, const P: usize>(
    groups: usize,
    last: __mmask16,
    bits: [*const u64; P],
    table: *const f32,
    sums: [*mut f32; P],
) {
    let mut acc = [[_mm512_setzero_ps(); N]; P];
    // SAFETY: the caller's promise; masked loads and stores touch no lane beyond an entry's last.
    unsafe {
        for (acc, sum) in acc.iter_mut().zip(sums) {
            for (v, acc) in acc.iter_mut().enumerate() {
                *acc = _mm512_maskz_loadu_ps(mask::<N, WHOLE>(v, last), sum.add(v * LANES));
            }
        }
        let mut add = |words: &[u64; P], word: usize, group: usize| {
            let table = table.add((word * EACH + group) * (ENTRIES * N * LANES));
            for (acc, bits) in acc.iter_mut().zip(words) {
                let entry = table.byte_add(chosen::<N>(*bits, group));
                for (v, acc) in acc.iter_mut().enumerate() {
                    let entry = _mm512_maskz_loadu_ps(mask::<N, WHOLE>(v, last), entry.add(v * LANES));
                    *acc = _mm512_add_ps(*acc, entry);
                }
            }
        };
        for word in 0..groups / EACH {
            let words = bits.map(|bits| *bits.add(word));
            // Known numbers of groups become constants of the loads.
            for group in 0..EACH {
                add(&words, word, group);
            }
        }
        let rest = groups % EACH;
        if rest > 0 {
            let word = groups / EACH;
            let words = bits.map(|bits| *bits.add(word));
            // Half a word is what 32 channels are.
            let mut first = 0;
            if rest >= EACH / 2 {
                for group in 0..EACH / 2 {
                    add(&words, word, group);
                }
                first = EACH / 2;
            }
            for group in first..rest {
                add(&words, word, group);
            }
        }
        for (acc, sum) in acc.iter().zip(sums) {
            for (v, acc) in acc.iter().enumerate() {
                _mm512_mask_storeu_ps(sum.add(v * LANES), mask::<N, WHOLE>(v, last), *acc);
            }
        }
    }
}

/// Bytes from the first entry of a group to the one that its bits choose.
fn chosen<const N: usize>(bits: u64, group: usize) -> usize {
    let bytes = N * LANES * 4;
    let shift = (group * GROUP) as u32;
    if bytes.is_power_of_two() {
        let by = bytes.trailing_zeros();
        return (bits.rotate_right(shift.wrapping_sub(by) % 64) & (ENTRIES as u64 - 1) << by) as usize;
    }
    (bits >> shift) as usize % ENTRIES * bytes
}
