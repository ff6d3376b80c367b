//! What a product with spikes costs in each of its forms.
//!
//! ```text
//! walk     (taken up and put down + rate · 64 rows) for each word of a position     ; falls with the rate
//! dense    one multiply-add after the other                                          ; the same at every rate
//! ```
//!
//! The constants are those that fit what `cargo bench --bench masked_add` prints on one core of a Zen 5 machine for a
//! convolution of 3×3 with 128 and with 64 channels, over firing rates of 1 to 60 %, with each kind of vectors: within
//! 15 % of it from 5 % on. At lower rates a walk is faster than is said, since the end of a short list is foreseen.

use crate::form::Form;
use std::fmt;

/// The sizes of a product with spikes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Work {
    /// Input channels.
    pub inputs: usize,
    /// Places of the kernel.
    pub taps: usize,
    /// Output channels.
    pub outputs: usize,
    /// Output positions that a task sums, timesteps counted: what a block of weights serves.
    pub positions: usize,
}

/// The vectors whose costs decide: the choice must not depend on the machine.
pub const CHOSEN_FOR: Vector = Vector::Bits512;

/// The vectors of a target's functions for products with spikes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Vector {
    /// AVX-512.
    Bits512,
    /// AVX2.
    Bits256,
    /// What Cranelift has.
    Bits128,
}

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Vector::Bits512 => "AVX-512",
            Vector::Bits256 => "AVX2",
            Vector::Bits128 => "128 bits",
        })
    }
}

/// The costs of one kind of vectors, in cycles.
struct Costs {
    /// Taking a position's sums up and putting them down, making its list of bits, and the branch that is not foreseen at
    /// the list's end; for a word.
    word: f64,
    /// Adding a row of one vector.
    vector: f64,
    /// A row beside its vectors.
    row: f64,
}

/// Lanes of a tile of output channels.
const TILE: usize = 128;

impl Vector {
    fn lanes(self) -> usize {
        match self {
            Vector::Bits512 => 16,
            Vector::Bits256 => 8,
            Vector::Bits128 => 4,
        }
    }

    fn costs(self) -> Costs {
        match self {
            Vector::Bits512 => Costs { word: 21.0, vector: 0.66, row: 0.2 },
            Vector::Bits256 => Costs { word: 14.0, vector: 0.92, row: 0.0 },
            Vector::Bits128 => Costs { word: 85.0, vector: 0.52, row: 0.0 },
        }
    }
}

/// Multiply-adds of a cycle of the dense product, whose own vectors are the widest of the machine; bits to numbers and
/// patches to rows are counted.
const DENSE: f64 = 13.0;

/// Cycles of a multiply-add, on one core.
pub fn cycles_per_add(form: Form, rate: f32, work: &Work, vector: Vector) -> f64 {
    match form {
        Form::Walk => walk(f64::from(rate), work, vector),
        Form::Dense => 1.0 / DENSE,
    }
}

fn walk(rate: f64, work: &Work, vector: Vector) -> f64 {
    let costs = vector.costs();
    let lanes = work.outputs.min(TILE);
    let vectors = lanes.div_ceil(vector.lanes()) as f64;
    let word = costs.word + 64.0 * rate * (vectors * costs.vector + costs.row);
    word / (64.0 * lanes as f64)
}
