//! Walks with vectors of 256 bits: a row is walked in parts of 64 lanes, eight registers.

use super::bits::{Bits, Words};
use super::{
    FireFn, ListPatternsFn, LookupFn, MapFn, PatternsFn, SumFn, TapsFn, TurnFn, Vector, WalkFn, Wide,
    WindowFn, curves, fire,
};
use std::arch::x86_64::*;

mod groups;
mod patterns;
mod taps;
mod window;

pub(super) const WIDE: Wide = Wide {
    vector: Vector::Bits256,
    add_rows: add_rows as WalkFn,
    add_window: window::add_window as WindowFn,
    fire: fire::fire_256 as FireFn,
    fire_above: fire::fire_above_256 as FireFn,
    add_taps: taps::add_taps as TapsFn,
    dot_rows: dot_rows as WalkFn,
    list_patterns: patterns::list_patterns as ListPatternsFn,
    add_patterns: patterns::add_patterns as PatternsFn,
    sum_groups: groups::sum_groups as SumFn,
    add_groups: groups::add_groups as LookupFn,
    exp: curves::bits256::exp as MapFn,
    sigmoid: curves::bits256::sigmoid as MapFn,
    turn: turn as TurnFn,
};

/// Lanes of a vector.
const LANES: usize = 8;
/// Lanes of a part.
const PART: usize = 64;
/// Partial sums of a dot product.
const SUMS: usize = 16;

/// The lanes of vector `v` that lie below `lanes`, as the sign bits of a mask.
#[target_feature(enable = "avx2")]
#[inline]
fn mask(v: usize, lanes: usize) -> __m256i {
    let own = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes.saturating_sub(v * LANES) as i32), own)
}

/// Vector `v` of the `V` of a row, of whose last only the lanes `last` are read where it is not `WHOLE`; the others are 0.
///
/// # Safety
/// These lanes can be read.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn load<const V: usize, const WHOLE: bool>(row: *const f32, v: usize, last: __m256i) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe {
        match WHOLE || v + 1 < V {
            true => _mm256_loadu_ps(row.add(v * LANES)),
            false => _mm256_maskload_ps(row.add(v * LANES), last),
        }
    }
}

/// Writes what [`load`] reads.
///
/// # Safety
/// These lanes can be written.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn store<const V: usize, const WHOLE: bool>(row: *mut f32, v: usize, last: __m256i, value: __m256) {
    // SAFETY: the caller's promise.
    unsafe {
        match WHOLE || v + 1 < V {
            true => _mm256_storeu_ps(row.add(v * LANES), value),
            false => _mm256_maskstore_ps(row.add(v * LANES), last, value),
        }
    }
}

unsafe extern "C" fn add_rows(
    count: usize,
    words: usize,
    lanes: usize,
    bits: *const u64,
    bits_step: usize,
    rows: *const f32,
    rows_step: usize,
    sums: *mut f32,
    sums_step: usize,
    _with: *const f32,
    _with_step: usize,
) {
    // The last part has a lane at least.
    let before = lanes.div_ceil(PART).saturating_sub(1);
    let lanes = lanes - before * PART;
    // SAFETY: the kernel interpreter's rules hold for the kernel that calls: `count` positions of `words` words, a row of
    // `lanes` for each set bit, and sums of `lanes` for each position lie inside their buffers. The features were detected
    // before this function was chosen.
    unsafe {
        let last = mask(lanes.div_ceil(LANES) - 1, lanes);
        let sums = (sums, sums_step);
        by_vectors!(
            add,
            lanes,
            (count, words, (before, last), (bits.cast(), bits_step), (rows, rows_step), sums)
        );
    }
}

/// Positions, each part after part: so many whole ones, and one of `V` vectors, of which the last has the lanes `last` where it
/// is not `WHOLE`.
///
/// # Safety
/// As [`add_rows`].
#[target_feature(enable = "avx2,bmi1,popcnt")]
unsafe fn add<const V: usize, const WHOLE: bool>(
    count: usize,
    words: usize,
    (before, last): (usize, __m256i),
    (bits, bits_step): (*const u32, usize),
    (rows, rows_step): (*const f32, usize),
    (sums, sums_step): (*mut f32, usize),
) {
    for position in 0..count {
        // SAFETY: the caller's promise; a part begins inside a row.
        unsafe {
            let (from, sum) = (bits.add(position * bits_step), sums.add(position * sums_step));
            let word = from.cast::<u64>().read_unaligned();
            for part in 0..=before {
                let (rows, sum) = ((rows.add(part * PART), rows_step), sum.add(part * PART));
                match (words == 1, part < before) {
                    (true, true) => add_part::<8, true>(Bits(word), last, rows, sum),
                    (true, false) => add_part::<V, WHOLE>(Bits(word), last, rows, sum),
                    (false, true) => add_part::<8, true>(Words::new(from, words, 2), last, rows, sum),
                    (false, false) => add_part::<V, WHOLE>(Words::new(from, words, 2), last, rows, sum),
                }
            }
        }
    }
}

/// What some numbers choose, to a part of the sums of a position.
///
/// # Safety
/// As [`add`].
#[target_feature(enable = "avx2,bmi1,popcnt")]
#[inline]
unsafe fn add_part<const V: usize, const WHOLE: bool>(
    numbers: impl Iterator<Item = usize>,
    last: __m256i,
    (rows, rows_step): (*const f32, usize),
    sum: *mut f32,
) {
    // SAFETY: the caller's promise; masked loads and stores touch no lane beyond a row's last.
    unsafe {
        let load = |from, v| load::<V, WHOLE>(from, v, last);
        let mut acc: [__m256; V] = std::array::from_fn(|v| load(sum, v));
        for number in numbers {
            let row = rows.add(number * rows_step);
            for (v, acc) in acc.iter_mut().enumerate() {
                *acc = _mm256_add_ps(*acc, load(row, v));
            }
        }
        for (v, acc) in acc.into_iter().enumerate() {
            store::<V, WHOLE>(sum, v, last, acc);
        }
    }
}

unsafe extern "C" fn dot_rows(
    count: usize,
    words: usize,
    lanes: usize,
    bits: *const u64,
    bits_step: usize,
    rows: *const f32,
    rows_step: usize,
    sums: *mut f32,
    sums_step: usize,
    with: *const f32,
    with_step: usize,
) {
    // SAFETY: as in `add_rows`; sums of 16 for each set bit lie inside their buffer, and a row of `with`
    // for each position.
    unsafe {
        let places = ((bits, bits_step), (rows, rows_step), (sums, sums_step), (with, with_step));
        dot(count, words, lanes, places);
    }
}

/// Where the pieces of a walk with dot products lie.
type Places = ((*const u64, usize), (*const f32, usize), (*mut f32, usize), (*const f32, usize));

/// # Safety
/// As [`dot_rows`].
#[target_feature(enable = "avx2,bmi1,popcnt")]
unsafe fn dot(count: usize, words: usize, lanes: usize, places: Places) {
    let ((bits, bits_step), rows, (mut sum, sums_step), (with, with_step)) = places;
    // SAFETY: the caller's promise.
    unsafe {
        for position in 0..count {
            let from = bits.cast::<u32>().add(position * bits_step);
            let with = with.add(position * with_step);
            sum = if words == 1 {
                let word = from.cast::<u64>().read_unaligned();
                dot_parts(|| Bits(word), lanes, rows, (sum, sums_step), with)
            } else {
                dot_parts(|| Words::new(from, words, 2), lanes, rows, (sum, sums_step), with)
            };
        }
    }
}

/// Adds the products of the rows of so many numbers with another, each to its own sums, part after part; where the next ones
/// are.
///
/// # Safety
/// As [`dot_rows`].
#[target_feature(enable = "avx2,bmi1,popcnt")]
#[inline]
unsafe fn dot_parts<I: Iterator<Item = usize>>(
    numbers: impl Fn() -> I,
    lanes: usize,
    (rows, rows_step): (*const f32, usize),
    sums: (*mut f32, usize),
    other: *const f32,
) -> *mut f32 {
    let mut next = sums.0;
    for part in (0..lanes).step_by(PART) {
        let lanes = PART.min(lanes - part);
        let last = mask(lanes.div_ceil(LANES) - 1, lanes);
        // SAFETY: the caller's promise; a part begins inside a row.
        next = unsafe {
            let rows = (rows.add(part), rows_step);
            by_vectors!(dot_part, lanes, (numbers(), last, rows, sums, other.add(part)))
        };
    }
    next
}

/// A part of all rows, whose other factor stays in registers.
///
/// # Safety
/// As [`dot_rows`], for `V` vectors, of which the last has the lanes `last` where it is not `WHOLE`.
#[target_feature(enable = "avx2,bmi1,popcnt")]
#[inline]
unsafe fn dot_part<const V: usize, const WHOLE: bool>(
    numbers: impl Iterator<Item = usize>,
    last: __m256i,
    (rows, rows_step): (*const f32, usize),
    (mut sum, sums_step): (*mut f32, usize),
    other: *const f32,
) -> *mut f32 {
    // SAFETY: the caller's promise; masked loads touch no lane beyond a row's last.
    unsafe {
        let load = |from, v| load::<V, WHOLE>(from, v, last);
        let other: [__m256; V] = std::array::from_fn(|v| load(other, v));
        for number in numbers {
            let row = rows.add(number * rows_step);
            let mut acc: [__m256; SUMS / LANES] =
                std::array::from_fn(|half| _mm256_loadu_ps(sum.add(half * LANES)));
            for (v, other) in other.into_iter().enumerate() {
                let own = &mut acc[v % (SUMS / LANES)];
                let added = _mm256_add_ps(*own, _mm256_mul_ps(load(row, v), other));
                // A lane beyond the last keeps its sum: adding 0 would turn -0 into 0.
                *own = match WHOLE || v + 1 < V {
                    true => added,
                    false => _mm256_blendv_ps(*own, added, _mm256_castsi256_ps(last)),
                };
            }
            for (half, acc) in acc.into_iter().enumerate() {
                _mm256_storeu_ps(sum.add(half * LANES), acc);
            }
            sum = sum.wrapping_add(sums_step);
        }
        sum
    }
}

/// Halves of ever smaller squares change places.
unsafe extern "C" fn turn(from: *const [u64; 64], to: *mut [u64; 64]) {
    // SAFETY: both are 64 words, of the caller's buffers.
    let mut words = unsafe { *from };
    swap::<32>(&mut words, 0x0000_0000_FFFF_FFFF);
    swap::<16>(&mut words, 0x0000_FFFF_0000_FFFF);
    swap::<8>(&mut words, 0x00FF_00FF_00FF_00FF);
    swap::<4>(&mut words, 0x0F0F_0F0F_0F0F_0F0F);
    swap::<2>(&mut words, 0x3333_3333_3333_3333);
    swap::<1>(&mut words, 0x5555_5555_5555_5555);
    // SAFETY: as above.
    unsafe { *to = words };
}

/// The high bits of each word and the low bits of that `APART` words behind it change places.
fn swap<const APART: usize>(words: &mut [u64; 64], low: u64) {
    for square in words.chunks_exact_mut(2 * APART) {
        let (first, second) = square.split_at_mut(APART);
        for (x, y) in first.iter_mut().zip(second) {
            let changed = (*x >> APART ^ *y) & low;
            *y ^= changed;
            *x ^= changed << APART;
        }
    }
}
