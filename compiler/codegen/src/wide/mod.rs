//! Functions for walks over set bits, and for curves, where the machine has wider vectors than Cranelift knows.
//!
//! ```text
//! add_rows sums[i] += w[k] : f32[128]     128 bits: 32 additions a row     512 bits: 8 additions a row
//! ```
//!
//! The set is chosen once, when kernels are compiled, by what the processor says of itself. Each function gives the
//! same bits as the loops that stand for it elsewhere (`snnc_kernel::expand`): lanes are independent, and a lane's
//! additions keep their order. Measured on Zen 5, ResNet-19 with a stem of 128 at firing rates of 15 %
//! (`examples/profile.rs models/resnet19.snn 8 rate=0.15 stem=128 skip=checkpoint vectors=…`, 2026-11-25), processor time of one
//! image in inference and of a training step: 19 and 86 ms with 512 bits, 32 and 159 with 256.

use snnc_kernel::cost::Vector;

/// Calls the function for the number of vectors, of `LANES` each and eight at most, that hold so many lanes, and for whether
/// the last of them is whole.
#[cfg(target_arch = "x86_64")]
macro_rules! by_vectors {
    ($function:ident, $lanes:expr, $arguments:tt) => {
        match (usize::div_ceil($lanes, LANES), $lanes % LANES == 0) {
            (1, true) => $function::<1, true> $arguments,
            (1, false) => $function::<1, false> $arguments,
            (2, true) => $function::<2, true> $arguments,
            (2, false) => $function::<2, false> $arguments,
            (3, true) => $function::<3, true> $arguments,
            (3, false) => $function::<3, false> $arguments,
            (4, true) => $function::<4, true> $arguments,
            (4, false) => $function::<4, false> $arguments,
            (5, true) => $function::<5, true> $arguments,
            (5, false) => $function::<5, false> $arguments,
            (6, true) => $function::<6, true> $arguments,
            (6, false) => $function::<6, false> $arguments,
            (7, true) => $function::<7, true> $arguments,
            (7, false) => $function::<7, false> $arguments,
            (_, true) => $function::<8, true> $arguments,
            (_, false) => $function::<8, false> $arguments,
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod bits;
#[cfg(target_arch = "x86_64")]
mod curves;
#[cfg(target_arch = "x86_64")]
mod fire;
#[cfg(target_arch = "x86_64")]
mod patterns;
#[cfg(target_arch = "x86_64")]
mod taps;
#[cfg(target_arch = "x86_64")]
mod window;

/// A function of a target for `AddRows` (which leaves `with` unused) or `DotRows`. Steps count elements of four bytes.
pub(crate) type WalkFn = unsafe extern "C" fn(
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
);

/// A function of a target for `AddWindow`. Steps count elements of four bytes.
pub(crate) type WindowFn = unsafe extern "C" fn(
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
);

/// A function of a target for `Fire`: currents and spikes with the elements from one position and from one timestep to the next,
/// the kinds of currents (1 for numbers, 2 for bits, 0 for none), and the bits of the constants.
pub(crate) type FireFn = unsafe extern "C" fn(
    count: usize,
    lanes: usize,
    steps: usize,
    first: *const u32,
    first_step: usize,
    first_time: usize,
    second: *const u32,
    second_step: usize,
    second_time: usize,
    spikes: *mut u32,
    spikes_step: usize,
    spikes_time: usize,
    first_kind: usize,
    second_kind: usize,
    decay: usize,
    gain: usize,
    threshold: usize,
    reset: usize,
    initial: usize,
);

/// A function of a target for `AddTaps`. Steps count elements of four bytes.
pub(crate) type TapsFn = unsafe extern "C" fn(
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
);

/// A function of a target for `ListPatterns`. Steps count elements of four bytes.
pub(crate) type ListPatternsFn = unsafe extern "C" fn(
    count: usize,
    words: usize,
    steps: usize,
    bits: *const u64,
    bits_step: usize,
    time: usize,
    lists: *mut u32,
    lists_step: usize,
);

/// A function of a target for `AddPatterns`. Steps count elements of four bytes.
pub(crate) type PatternsFn = unsafe extern "C" fn(
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
);

/// Groups of a word of bits.
#[cfg(target_arch = "x86_64")]
const EACH: usize = 64 / snnc_kernel::body::GROUP;

/// A function of a target for `SumGroups`: rows, and the table, whose entries lie `entry(lanes)` elements apart.
pub(crate) type SumFn =
    unsafe extern "C" fn(count: usize, lanes: usize, rows: *const f32, rows_step: usize, table: *mut f32);

/// A function of a target for `AddGroups`.
pub(crate) type LookupFn = unsafe extern "C" fn(
    count: usize,
    groups: usize,
    lanes: usize,
    bits: *const u64,
    bits_step: usize,
    table: *const f32,
    sums: *mut f32,
    sums_step: usize,
);

/// A function of a target for `Map`.
pub(crate) type MapFn = unsafe extern "C" fn(count: usize, from: *const f32, to: *mut f32);

/// A function of a target for `Turn`.
pub(crate) type TurnFn = unsafe extern "C" fn(from: *const [u64; 64], to: *mut [u64; 64]);

/// The functions of one target.
#[derive(Clone, Copy)]
pub(crate) struct Wide {
    /// The vectors.
    pub vector: Vector,
    pub add_rows: WalkFn,
    pub add_window: WindowFn,
    pub fire: FireFn,
    /// `Fire` above the threshold only.
    pub fire_above: FireFn,
    pub add_taps: TapsFn,
    pub dot_rows: WalkFn,
    pub list_patterns: ListPatternsFn,
    pub add_patterns: PatternsFn,
    pub sum_groups: SumFn,
    pub add_groups: LookupFn,
    pub exp: MapFn,
    pub sigmoid: MapFn,
    pub turn: TurnFn,
}

/// The sets that this machine can run, the widest first.
pub(crate) fn all() -> Vec<Wide> {
    #[cfg(target_arch = "x86_64")]
    {
        let mut sets = Vec::new();
        if avx512::is_available() {
            sets.push(avx512::WIDE);
        }
        if std::is_x86_feature_detected!("avx2") {
            sets.push(avx2::WIDE);
        }
        sets
    }
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}
