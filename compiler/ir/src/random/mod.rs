//! Random small graphs as the front end makes them, and values on which spikes are the same in f32 and f64.
//!
//! Differential tests draw `(graph, values)` from a seed and compare the reference evaluator with a lowered
//! graph or with compiled kernels. The generator has its own numbers, so a seed means the same everywhere.

mod attention;
mod build;
mod values;

#[cfg(test)]
mod tests;

pub use attention::attention_graph;
pub use build::graph;
pub use values::{clear_of_thresholds, real_values, values};

use crate::graph::Mode;

/// What [`graph`] may make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RandomOptions {
    /// Inference with running statistics, or training with batch statistics, labels and a loss; gradients
    /// are left to autodiff.
    pub mode: Mode,
    /// How many blocks stand between the input and the classifier at most.
    pub blocks: usize,
    /// Only what finite differences can follow: no maxima, smooth surrogates, no detached reset.
    pub smooth: bool,
    /// From 8 to 11 timesteps instead of 1 to 4.
    pub long: bool,
}

impl Default for RandomOptions {
    fn default() -> RandomOptions {
        RandomOptions { mode: Mode::Infer, blocks: 3, smooth: false, long: false }
    }
}

/// Numbers from a seed (splitmix64).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// True in `percent` of 100 cases.
    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }
}
