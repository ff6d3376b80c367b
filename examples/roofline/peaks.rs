//! What this machine can do at most: additions of rows in the first cache, multiply-adds in registers, bytes of memory.
//!
//! Loops are plain Rust over arrays of a vector's lanes, which the compiler makes vectors of where it may use them; twelve
//! chains of sums stand side by side, so that none waits. With `std::hint::black_box` none is left out.

use std::array::from_fn;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

/// Tries of which the best counts.
const TRIES: usize = 30;
/// Chains of sums.
const CHAINS: usize = 12;
/// Numbers that lie in the first cache: 15 KiB, whole vectors of all chains.
const NEAR: usize = 3840;
/// Bytes that a thread reads of memory: more than any cache holds.
const FAR: usize = 192 << 20;
/// Tries of which the best counts, for memory.
const FAR_TRIES: usize = 5;

/// Rates of one processor, for vectors of some lanes.
#[derive(Clone, Copy, Debug)]
pub struct Core {
    /// Lanes of a vector.
    pub lanes: usize,
    /// Numbers a second that are loaded from the first cache, each with its addition.
    pub loaded: f64,
    /// Additions a second in registers.
    pub adds: f64,
    /// Multiply-adds a second in registers.
    pub fmas: f64,
}

/// Bytes a second of memory, for some threads together.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Threads.
    pub threads: usize,
    /// Bytes read.
    pub read: f64,
    /// Bytes read and bytes written, where one buffer is copied to another.
    pub copied: f64,
}

/// Numbers that begin with a line of the cache.
#[repr(align(64))]
struct Near([f32; NEAR]);

/// The lanes of a vector.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Lanes<const L: usize>([f32; L]);

impl<const L: usize> Lanes<L> {
    #[inline(always)]
    fn plus_row(mut self, row: &[f32]) -> Lanes<L> {
        let row = &row[..L];
        (0..L).for_each(|i| self.0[i] += row[i]);
        self
    }

    #[inline(always)]
    fn plus(mut self, other: &Lanes<L>) -> Lanes<L> {
        (0..L).for_each(|i| self.0[i] += other.0[i]);
        self
    }

    #[inline(always)]
    fn times_plus(mut self, by: &Lanes<L>, plus: &Lanes<L>) -> Lanes<L> {
        (0..L).for_each(|i| self.0[i] = self.0[i].mul_add(by.0[i], plus.0[i]));
        self
    }
}

/// Rates of one processor with vectors of `L` lanes.
pub fn core<const L: usize>() -> Core {
    let near = Box::new(Near([1e-9; NEAR]));
    let rounds = 2000;
    let loaded = (rounds * NEAR) as f64
        / best(TRIES, || {
            black_box(sums::<L>(&near.0, rounds));
        });
    let rounds = 100_000;
    let each = (rounds * CHAINS * L) as f64;
    let adds = each
        / best(TRIES, || {
            black_box(additions::<L>(&near.0, rounds));
        });
    let fmas = each
        / best(TRIES, || {
            black_box(multiply_adds::<L>(&near.0, rounds));
        });
    Core { lanes: L, loaded, adds, fmas }
}

/// The shortest time of some.
fn best(tries: usize, mut run: impl FnMut()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..tries).map(time).fold(f64::INFINITY, f64::min)
}

/// The macro writes the chains one after the other: a loop over them would keep them in memory.
macro_rules! chains {
    ($step:expr; $($chain:ident $at:expr),*) => { $($chain = $step($chain, $at);)* };
}

#[inline(never)]
fn sums<const L: usize>(near: &[f32], rounds: usize) -> [Lanes<L>; CHAINS] {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h, mut i, mut j, mut k, mut l] =
        [Lanes([0.0; L]); CHAINS];
    for _ in 0..rounds {
        for part in black_box(near).chunks_exact(CHAINS * L) {
            let step = |sum: Lanes<L>, at: usize| sum.plus_row(&part[at * L..]);
            chains!(step; a 0, b 1, c 2, d 3, e 4, f 5, g 6, h 7, i 8, j 9, k 10, l 11);
        }
    }
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

#[inline(never)]
fn additions<const L: usize>(near: &[f32], rounds: usize) -> [Lanes<L>; CHAINS] {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h, mut i, mut j, mut k, mut l] =
        starts::<L>(near);
    let with = starts::<L>(&near[64..])[0];
    for _ in 0..rounds {
        let step = |sum: Lanes<L>, _: usize| sum.plus(&with);
        chains!(step; a 0, b 1, c 2, d 3, e 4, f 5, g 6, h 7, i 8, j 9, k 10, l 11);
    }
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

#[inline(never)]
fn multiply_adds<const L: usize>(near: &[f32], rounds: usize) -> [Lanes<L>; CHAINS] {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h, mut i, mut j, mut k, mut l] =
        starts::<L>(near);
    let (by, plus) = (starts::<L>(&near[64..])[0], starts::<L>(&near[128..])[0]);
    for _ in 0..rounds {
        let step = |sum: Lanes<L>, _: usize| sum.times_plus(&by, &plus);
        chains!(step; a 0, b 1, c 2, d 3, e 4, f 5, g 6, h 7, i 8, j 9, k 10, l 11);
    }
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

fn starts<const L: usize>(near: &[f32]) -> [Lanes<L>; CHAINS] {
    from_fn(|chain| Lanes(from_fn(|lane| near[chain + lane])))
}

/// Bytes a second of all threads together, each with its own buffers; the time is that of the slowest.
pub fn memory(threads: usize) -> Memory {
    let len = FAR / 4;
    let barrier = Barrier::new(threads);
    let work = || {
        let (from, mut to) = (vec![1.0f32; len], vec![2.0f32; len]);
        let mut times = [f64::INFINITY; 2];
        for _ in 0..FAR_TRIES {
            barrier.wait();
            times[0] = times[0].min(best(1, || {
                black_box(sums::<16>(&from, 1));
            }));
            barrier.wait();
            times[1] = times[1].min(best(1, || black_box(&mut to).copy_from_slice(black_box(&from))));
        }
        times
    };
    let times: Vec<[f64; 2]> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        all.into_iter().map(|thread| thread.join().expect("a thread")).collect()
    });
    let slowest = |which: usize| times.iter().map(|times| times[which]).fold(0.0, f64::max);
    let bytes = (threads * FAR) as f64;
    Memory { threads, read: bytes / slowest(0), copied: 2.0 * bytes / slowest(1) }
}
