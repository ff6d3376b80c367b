//! Walks that serve all taps of a kernel: nine taps of one vector are nine sums in registers.

use super::{LANES, load, mask, store};
use crate::wide::bits::{Patterned, Words};
use crate::wide::taps::Places;
use snnc_kernel::body::MAX_WORDS;
use std::arch::x86_64::*;

/// Where the rows of a position's set bits lie, of four words at most: found once for all vectors.
struct List([u32; MAX_WORDS * 64]);

impl List {
    /// Takes these, at most one for each bit of so many words.
    #[inline]
    fn fill(&mut self, offsets: impl Iterator<Item = usize>) -> &[u32] {
        let mut length = 0;
        for (to, offset) in self.0.iter_mut().zip(offsets) {
            *to = offset as u32;
            length += 1;
        }
        &self.0[..length]
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
    // SAFETY: the kernel interpreter's rules hold for the kernel that calls: `count` positions of `words` words, for each
    // tap a row of `lanes` for each set bit, and sums of `lanes` for each position and tap lie inside their buffers. The
    // feature was detected before this function was chosen.
    unsafe {
        let mut list = List([0; MAX_WORDS * 64]);
        for position in 0..count {
            let from = bits.cast::<u32>().add(position * bits_step);
            let list = match steps {
                1 => list.fill(Words::new(from, words, word).map(|number| number * rows_step)),
                _ => {
                    let all = Patterned::new(from, (words, word), steps, time);
                    list.fill(all.map(|(number, own)| number * rows_step + own * pattern))
                }
            };
            let sums = sums.add(position * sums_step);
            let places = Places { rows, rows_step, down, beside, sums, sums_step, apart };
            for lane in (0..lanes).step_by(LANES) {
                let places = places.of((0, 0), tap_columns, lane);
                by_taps(list, lanes - lane, places, (tap_rows, tap_columns));
            }
        }
    }
}

/// A vector's lanes of the sums of one position, or the `lanes` that are left of them.
///
/// # Safety
/// As [`add_taps`].
#[target_feature(enable = "avx2,bmi1,popcnt")]
unsafe fn by_taps(list: &[u32], lanes: usize, places: Places, (rows, columns): (usize, usize)) {
    let last = mask(0, lanes);
    // SAFETY: the caller's promise; all taps that are named are there.
    unsafe {
        match ((rows, columns), lanes >= LANES) {
            ((3, 3), true) => sum::<3, 3, true>(list, last, places),
            ((3, 3), false) => sum::<3, 3, false>(list, last, places),
            (_, whole) => {
                for tap in 0..rows * columns {
                    let places = places.of((tap / columns, tap % columns), columns, 0);
                    match whole {
                        true => sum::<1, 1, true>(list, last, places),
                        false => sum::<1, 1, false>(list, last, places),
                    }
                }
            }
        }
    }
}

/// The sums of `R` rows of `C` taps of one vector, which has the lanes `last` where it is not `WHOLE`.
///
/// # Safety
/// As [`add_taps`], for these taps and lanes.
#[target_feature(enable = "avx2,bmi1,popcnt")]
#[inline]
unsafe fn sum<const R: usize, const C: usize, const WHOLE: bool>(
    list: &[u32],
    last: __m256i,
    places: Places,
) {
    let Places { rows, down, beside, sums, apart, .. } = places;
    // SAFETY: the caller's promise; masked loads and stores touch no lane beyond a row's last.
    unsafe {
        let load = |from| load::<1, WHOLE>(from, 0, last);
        let mut acc: [[__m256; C]; R] =
            std::array::from_fn(|y| std::array::from_fn(|x| load(sums.add((y * C + x) * apart))));
        for &offset in list {
            let row = rows.add(offset as usize);
            for (y, acc) in acc.iter_mut().enumerate() {
                for (x, acc) in acc.iter_mut().enumerate() {
                    *acc = _mm256_add_ps(*acc, load(row.add(y * down + x * beside)));
                }
            }
        }
        for (y, acc) in acc.into_iter().enumerate() {
            for (x, acc) in acc.into_iter().enumerate() {
                store::<1, WHOLE>(sums.add((y * C + x) * apart), 0, last, acc);
            }
        }
    }
}
