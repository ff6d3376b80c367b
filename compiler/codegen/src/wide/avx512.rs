//! Walks with vectors of 512 bits: a row of 128 lanes is eight registers.
//!
//! The numbers of a position's bits are taken from its words, one after the other, while its sums stay in registers: loads of
//! rows are what there is to wait for, and branches that are not foreseen cost nothing beside.

use super::bits::{Bits, Words};
use super::{
    FireFn, ListPatternsFn, LookupFn, MapFn, PatternsFn, SumFn, TapsFn, TurnFn, Vector, WalkFn, Wide,
    WindowFn, curves, fire,
};
use std::arch::x86_64::*;

pub(super) const WIDE: Wide = Wide {
    vector: Vector::Bits512,
    add_rows: add_rows as WalkFn,
    add_window: window::add_window as WindowFn,
    fire: fire::fire_512 as FireFn,
    fire_above: fire::fire_above_512 as FireFn,
    add_taps: taps::add_taps as TapsFn,
    dot_rows: dot_rows as WalkFn,
    list_patterns: patterns::list_patterns as ListPatternsFn,
    add_patterns: patterns::add_patterns as PatternsFn,
    sum_groups: groups::sum_groups as SumFn,
    add_groups: groups::add_groups as LookupFn,
    exp: curves::bits512::exp as MapFn,
    sigmoid: curves::bits512::sigmoid as MapFn,
    turn: turn as TurnFn,
};

/// Whether this machine has what the functions are made of.
pub(super) fn is_available() -> bool {
    std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512dq")
        && std::is_x86_feature_detected!("avx512vl")
        && std::is_x86_feature_detected!("avx512vbmi2")
        && std::is_x86_feature_detected!("popcnt")
        && std::is_x86_feature_detected!("bmi1")
}

/// Lanes of a vector.
const LANES: usize = 16;

/// The lanes of vector `v` of `N`, of which the last has the lanes `last` where the row is not `WHOLE`. A load of all
/// lanes becomes an operand of its addition, one of some does not.
fn mask<const N: usize, const WHOLE: bool>(v: usize, last: __mmask16) -> __mmask16 {
    if WHOLE || v + 1 < N { !0 } else { last }
}

/// The lanes of the last vector of a row.
fn last_mask(lanes: usize) -> __mmask16 {
    !0 >> (lanes.wrapping_neg() % LANES)
}

mod groups;
mod patterns;
mod taps;
mod window;

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
    let last = last_mask(lanes);
    // SAFETY: the kernel interpreter's rules hold for the kernel that calls: `count` positions of `words` words, a row
    // of `lanes` for each set bit, and sums of `lanes` for each position lie inside their buffers. The features were
    // detected before this function was chosen.
    unsafe {
        by_vectors!(
            add,
            lanes,
            (count, words, last, (bits, bits_step), (rows, rows_step), (sums, sums_step))
        );
    }
}

/// # Safety
/// As [`add_rows`], for rows of `N` vectors, of which the last has the lanes `last` where the row is not `WHOLE`.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi1")]
unsafe fn add<const N: usize, const WHOLE: bool>(
    count: usize,
    words: usize,
    last: __mmask16,
    (bits, bits_step): (*const u64, usize),
    (rows, rows_step): (*const f32, usize),
    (sums, sums_step): (*mut f32, usize),
) {
    // SAFETY: the caller's promise.
    unsafe {
        for position in 0..count {
            let from = bits.cast::<u32>().add(position * bits_step);
            let sum = sums.add(position * sums_step);
            match words {
                1 => {
                    let word = from.cast::<u64>().read_unaligned();
                    add_numbers::<N, WHOLE>(Bits(word), last, (rows, rows_step), sum);
                }
                _ => add_numbers::<N, WHOLE>(Words::new(from, words, 2), last, (rows, rows_step), sum),
            }
        }
    }
}

/// Adds the rows of so many numbers to one sum.
///
/// # Safety
/// As [`add`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi1")]
#[inline]
unsafe fn add_numbers<const N: usize, const WHOLE: bool>(
    numbers: impl Iterator<Item = usize>,
    last: __mmask16,
    (rows, rows_step): (*const f32, usize),
    sum: *mut f32,
) {
    // SAFETY: the caller's promise; masked loads and stores touch no lane beyond a row's last.
    unsafe {
        let load = |from: *const f32, v: usize| {
            _mm512_maskz_loadu_ps(mask::<N, WHOLE>(v, last), from.add(v * LANES))
        };
        let mut acc = [_mm512_setzero_ps(); N];
        for (v, acc) in acc.iter_mut().enumerate() {
            *acc = load(sum, v);
        }
        for number in numbers {
            let row = rows.add(number * rows_step);
            for (v, acc) in acc.iter_mut().enumerate() {
                *acc = _mm512_add_ps(*acc, load(row, v));
            }
        }
        for (v, acc) in acc.iter().enumerate() {
            _mm512_mask_storeu_ps(sum.add(v * LANES), mask::<N, WHOLE>(v, last), *acc);
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
    let last = last_mask(lanes);
    // SAFETY: as in `add_rows`; sums of 16 for each set bit lie inside their buffer, and a row of `with`
    // for each position.
    unsafe {
        let places = ((bits, bits_step), (rows, rows_step), (sums, sums_step), (with, with_step));
        by_vectors!(dot, lanes, (count, words, last, places));
    }
}

/// Where the pieces of a walk with dot products lie.
type Places = ((*const u64, usize), (*const f32, usize), (*mut f32, usize), (*const f32, usize));

/// # Safety
/// As [`dot_rows`], for rows of `N` vectors, of which the last has the lanes `last` where the row is not `WHOLE`.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi1")]
unsafe fn dot<const N: usize, const WHOLE: bool>(
    count: usize,
    words: usize,
    last: __mmask16,
    places: Places,
) {
    let ((bits, bits_step), rows, (mut sum, sums_step), (with, with_step)) = places;
    // SAFETY: the caller's promise.
    unsafe {
        for position in 0..count {
            let from = bits.cast::<u32>().add(position * bits_step);
            let with = with.add(position * with_step);
            sum = match words {
                1 => {
                    let word = from.cast::<u64>().read_unaligned();
                    dot_numbers::<N, WHOLE>(Bits(word), last, rows, (sum, sums_step), with)
                }
                _ => {
                    let numbers = Words::new(from, words, 2);
                    dot_numbers::<N, WHOLE>(numbers, last, rows, (sum, sums_step), with)
                }
            };
        }
    }
}

/// Adds the products of the rows of so many numbers with another, each to its own sums; where the next ones are.
///
/// # Safety
/// As [`dot`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi1")]
#[inline]
unsafe fn dot_numbers<const N: usize, const WHOLE: bool>(
    numbers: impl Iterator<Item = usize>,
    last: __mmask16,
    (rows, rows_step): (*const f32, usize),
    (mut sum, sums_step): (*mut f32, usize),
    with: *const f32,
) -> *mut f32 {
    // SAFETY: the caller's promise; masked loads touch no lane beyond a row's last.
    unsafe {
        let load = |from: *const f32, v: usize| {
            _mm512_maskz_loadu_ps(mask::<N, WHOLE>(v, last), from.add(v * LANES))
        };
        let mut other = [_mm512_setzero_ps(); N];
        for (v, other) in other.iter_mut().enumerate() {
            *other = load(with, v);
        }
        for number in numbers {
            let row = rows.add(number * rows_step);
            let mut acc = _mm512_loadu_ps(sum);
            for (v, other) in other.iter().enumerate() {
                let product = _mm512_mul_ps(load(row, v), *other);
                // A lane beyond the last keeps its sum: adding 0 would turn -0 into 0.
                acc = _mm512_mask_add_ps(acc, mask::<N, WHOLE>(v, last), acc, product);
            }
            _mm512_storeu_ps(sum, acc);
            sum = sum.wrapping_add(sums_step);
        }
        sum
    }
}

/// Halves of ever smaller squares change places: between vectors for 32, 16 and 8 words, inside them for 4, 2 and 1.
unsafe extern "C" fn turn(from: *const [u64; 64], to: *mut [u64; 64]) {
    // SAFETY: both are 64 words, of the caller's buffers; the features were detected.
    unsafe { turn_words(from.cast(), to.cast()) }
}

/// # Safety
/// 64 words are read and as many written.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi1")]
unsafe fn turn_words(from: *const u64, to: *mut u64) {
    let mut a = [_mm512_setzero_si512(); 8];
    for (v, a) in a.iter_mut().enumerate() {
        // SAFETY: eight words of 64.
        *a = unsafe { _mm512_loadu_si512(from.add(v * 8).cast()) };
    }
    swap_between::<4, 32>(&mut a, 0x0000_0000_FFFF_FFFF);
    swap_between::<2, 16>(&mut a, 0x0000_FFFF_0000_FFFF);
    swap_between::<1, 8>(&mut a, 0x00FF_00FF_00FF_00FF);
    for (v, a) in a.into_iter().enumerate() {
        let a = swap_inside::<4>(a, _mm512_shuffle_i64x2::<0b01_00_11_10>(a, a), 0xF0, 0x0F0F_0F0F_0F0F_0F0F);
        let a = swap_inside::<2>(a, _mm512_permutex_epi64::<0b01_00_11_10>(a), 0xCC, 0x3333_3333_3333_3333);
        let a = swap_inside::<1>(a, _mm512_permutex_epi64::<0b10_11_00_01>(a), 0xAA, 0x5555_5555_5555_5555);
        // SAFETY: eight words of 64.
        unsafe { _mm512_storeu_si512(to.add(v * 8).cast(), a) };
    }
}

/// The high bits of the words of a vector and the low bits of those `APART` vectors behind it change places.
#[target_feature(enable = "avx512f")]
#[inline]
fn swap_between<const APART: usize, const SHIFT: u32>(a: &mut [__m512i; 8], low: i64) {
    let low = _mm512_set1_epi64(low);
    for first in (0..8).filter(|v| v & APART == 0) {
        let (x, y) = (a[first], a[first + APART]);
        let changed = _mm512_and_si512(_mm512_xor_si512(_mm512_srli_epi64::<SHIFT>(x), y), low);
        a[first + APART] = _mm512_xor_si512(y, changed);
        a[first] = _mm512_xor_si512(x, _mm512_slli_epi64::<SHIFT>(changed));
    }
}

/// The same between the words of one vector; `other` has the partner of each word, `high` names the later ones.
#[target_feature(enable = "avx512f")]
#[inline]
fn swap_inside<const SHIFT: u32>(a: __m512i, other: __m512i, high: __mmask8, low: i64) -> __m512i {
    let up = _mm512_slli_epi64::<SHIFT>(other);
    let moved = _mm512_mask_srli_epi64::<SHIFT>(up, high, other);
    let own = _mm512_mask_set1_epi64(_mm512_set1_epi64(low), high, !low);
    // Bits of `a` where `own` is set, of `moved` elsewhere.
    _mm512_ternarylogic_epi64::<0b1100_1010>(own, a, moved)
}
