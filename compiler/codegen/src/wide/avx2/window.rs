//! Walks over all that a position sees through the taps of a kernel. Where positions stand as close as inputs, a row of taps
//! slides over the inputs: what an input has is found once and added to all outputs that see it, whose sums stay in registers
//! for as long as it takes.
//!
//! ```text
//! outputs             0  1  2  3        an output's sum is taken up at its first input, and put down after its last:
//!                     |\ |\ |\ |\       its additions are those of its taps, one after the other
//! inputs              0  1  2  3  4  5
//! ```
//!
//! Else, and where a position sees fewer columns of taps, it walks by itself. Both add alike, in the order of a walk tap after
//! tap. Lists of what a position sees, as with 512 bits, take longer to make here than the loops over bits that they save.

use super::{LANES, PART, load, mask, store};
use crate::wide::bits::Bits;
use crate::wide::window::{Places, Window};
use std::arch::x86_64::*;

/// Columns of taps that slide together.
const COLUMNS: usize = 3;
/// Lanes of the sums of as many outputs, which stay in registers.
const SLIDING: usize = 32;

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
    let slides = tap_columns == COLUMNS && bits_step == bits_beside && count > 1;
    let most = if slides { SLIDING } else { PART };
    for part in (0..lanes).step_by(most) {
        let lanes = most.min(lanes - part);
        // SAFETY: the kernel interpreter's rules hold for the kernel that calls: `count` positions, for each tap `words` words
        // and a row of `lanes` for each set bit, and sums of `lanes` for each position lie inside their buffers; a part begins
        // inside a row. The features were detected before this function was chosen.
        unsafe {
            let last = mask(lanes.div_ceil(LANES) - 1, lanes);
            let places = ((bits.cast(), bits_step), rows.add(part), (sums.add(part), sums_step));
            match slides {
                true => by_vectors!(slide, lanes, (count, &window, last, places)),
                false => by_vectors!(add, lanes, (count, &window, last, places)),
            }
        }
    }
}

/// Position after position.
///
/// # Safety
/// As [`add_window`], for rows of `V` vectors, of which the last has the lanes `last` where it is not `WHOLE`.
#[target_feature(enable = "avx2,bmi1,popcnt")]
unsafe fn add<const V: usize, const WHOLE: bool>(
    count: usize,
    window: &Window,
    last: __m256i,
    ((bits, bits_step), rows, (sums, sums_step)): Places<u32>,
) {
    for position in 0..count {
        // SAFETY: the caller's promise; masked loads and stores touch no lane beyond a row's last.
        unsafe {
            let (from, sum) = (bits.add(position * bits_step), sums.add(position * sums_step));
            let mut acc: [[__m256; V]; 1] = [std::array::from_fn(|v| load::<V, WHOLE>(sum, v, last))];
            for y in 0..window.taps.0 {
                for x in 0..window.taps.1 {
                    let input = from.add(y * window.bits.0 + x * window.bits.1);
                    let tap = rows.add(y * window.rows.0 + x * window.rows.1);
                    input_of::<V, WHOLE, 1, 0, 1>(window, input, [tap], last, &mut acc);
                }
            }
            for (v, acc) in acc[0].into_iter().enumerate() {
                store::<V, WHOLE>(sum, v, last, acc);
            }
        }
    }
}

/// Row of taps after row of taps, each over all inputs.
///
/// # Safety
/// As [`add`], for more than one position, as far apart as the inputs of [`COLUMNS`] columns of taps.
#[target_feature(enable = "avx2,bmi1,popcnt")]
unsafe fn slide<const V: usize, const WHOLE: bool>(
    count: usize,
    window: &Window,
    last: __m256i,
    ((bits, bits_step), rows, (sums, sums_step)): Places<u32>,
) {
    // SAFETY: the caller's promise; masked loads and stores touch no lane beyond a row's last.
    unsafe {
        let take = |x: usize| std::array::from_fn(|v| load::<V, WHOLE>(sums.add(x * sums_step), v, last));
        let put = |x: usize, acc: [__m256; V]| {
            for (v, acc) in acc.into_iter().enumerate() {
                store::<V, WHOLE>(sums.add(x * sums_step), v, last, acc);
            }
        };
        for y in 0..window.taps.0 {
            let input = |x: usize| bits.add(y * window.bits.0 + x * bits_step);
            let taps = std::array::from_fn(|x| rows.add(y * window.rows.0 + x * window.rows.1));
            // The sums of the outputs that an input's last tap sees, its middle one and its first.
            let mut acc: [[__m256; V]; COLUMNS] =
                [[_mm256_setzero_ps(); V], [_mm256_setzero_ps(); V], take(0)];
            input_of::<V, WHOLE, COLUMNS, 0, 1>(window, input(0), taps, last, &mut acc);
            acc = [acc[1], acc[2], take(1)];
            input_of::<V, WHOLE, COLUMNS, 0, 2>(window, input(1), taps, last, &mut acc);
            for x in 2..count {
                acc = [acc[1], acc[2], take(x)];
                input_of::<V, WHOLE, COLUMNS, 0, 3>(window, input(x), taps, last, &mut acc);
                put(x - 2, acc[0]);
            }
            acc = [acc[1], acc[2], acc[0]];
            input_of::<V, WHOLE, COLUMNS, 1, 3>(window, input(count), taps, last, &mut acc);
            put(count - 2, acc[0]);
            acc = [acc[1], acc[2], acc[0]];
            input_of::<V, WHOLE, COLUMNS, 2, 3>(window, input(count + 1), taps, last, &mut acc);
            put(count - 1, acc[0]);
        }
    }
}

/// Adds what an input has to the outputs that see it through the taps from `FIRST` to `END` of `TAPS`, the last tap's first.
///
/// # Safety
/// As [`add`], for this input and these taps.
#[target_feature(enable = "avx2,bmi1,popcnt")]
#[inline]
unsafe fn input_of<
    const V: usize,
    const WHOLE: bool,
    const TAPS: usize,
    const FIRST: usize,
    const END: usize,
>(
    window: &Window,
    input: *const u32,
    taps: [*const f32; TAPS],
    last: __m256i,
    acc: &mut [[__m256; V]; TAPS],
) {
    for word in 0..window.words {
        // SAFETY: the caller's promise.
        unsafe {
            let set = input.add(2 * word).cast::<u64>().read_unaligned();
            let taps = taps.map(|tap| tap.wrapping_add(64 * word * window.step));
            for number in Bits(set) {
                for tap in FIRST..END {
                    let row = taps[tap].add(number * window.step);
                    for (v, acc) in acc[TAPS - 1 - tap].iter_mut().enumerate() {
                        *acc = _mm256_add_ps(*acc, load::<V, WHOLE>(row, v, last));
                    }
                }
            }
        }
    }
}
