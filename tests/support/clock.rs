//! What a cycle of this processor takes, for numbers that should not depend on its clock.

#![allow(dead_code)] // Each user takes a part of it.

use std::hint::black_box;
use std::time::Instant;

/// Seconds of a cycle: the best of some chains of shifts and additions, each of which needs the one before and takes a
/// cycle on the processors of today.
pub fn cycle() -> f64 {
    const PAIRS: u64 = 100_000;
    let chain = || {
        let start = Instant::now();
        black_box((0..PAIRS).fold(black_box(u64::MAX), |x, _| x.wrapping_add(x >> 3)));
        start.elapsed().as_secs_f64() / (2 * PAIRS) as f64
    };
    (0..20).map(|_| chain()).fold(f64::INFINITY, f64::min)
}
