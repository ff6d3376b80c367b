//! What a product with spikes costs in each of its forms.
//!
//! ```text
//! walk     (taken up and put down + rate · 64 rows) for each word of a position     ; falls with the rate
//! grouped  a table's making / positions + 16 lookups                                 ; the same at every rate
//! dense    one multiply-add after the other                                          ; the same at every rate
//! ```
//!
//! The constants are those that fit what `cargo bench --bench masked_add` prints on one core of a Zen 5 machine for a
//! convolution of 3×3 over firing rates of 5 to 60 %: with vectors of 512 bits, by which forms are chosen, within 12 % of it
//! for 128, 64, 32 and 16 channels, with the others for 128. At lower rates a walk is faster than is said, since the end of
//! a short list is foreseen; a walk of 256 bits is slower with 32 channels and fewer.
//!
//! | multiply-adds a cycle, 128 channels | walk, 15 % | 20 % | 25 % | 30 % | 50 % | grouped | dense |
//! |---|---|---|---|---|---|---|---|
//! | 512 bits | 110 | 89 | 76 | 65 | 41 | 83 | 13 |
//! | 256 bits | 62 | 48 | 39 | 33 | 21 | 43 | 13 |
//! | 128 bits | 40 | 32 | 27 | 23 | 15 | 26 | 13 |
//!
//! So the grouped form is the better one from 22 to 26 % on, whatever the vectors, and the dense form nowhere; with 16
//! channels from 5 % on.

use crate::body::GROUP;
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
    /// Output positions that a task of the grouped form sums, timesteps counted: what a table serves.
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
    /// Making a position's list of bits, for a word, and the branch that is not foreseen at the list's end.
    word: f64,
    /// Taking up and putting down a vector of its sums.
    sum: f64,
    /// Finding a row.
    row: f64,
    /// Adding a row of one vector.
    vector: f64,
    /// Taking up and putting down the sums of a position for a part of a table.
    part: f64,
    /// A lookup of one vector.
    lookup: f64,
    /// Making a group of a table of one vector.
    group: f64,
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
            Vector::Bits512 => {
                Costs { word: 10.5, sum: 1.6, row: 0.45, vector: 0.62, part: 4.5, lookup: 0.6, group: 18.0 }
            }
            Vector::Bits256 => {
                Costs { word: 6.0, sum: 0.6, row: 0.0, vector: 0.79, part: 5.0, lookup: 0.63, group: 18.0 }
            }
            Vector::Bits128 => {
                Costs { word: 20.0, sum: 1.0, row: 0.0, vector: 0.5, part: 9.0, lookup: 0.5, group: 18.0 }
            }
        }
    }
}

/// Lanes of a table's entries.
const PART: usize = 32;

/// How much longer a lookup takes in a word that is not full.
const PARTIAL: f64 = 1.35;

/// Multiply-adds of a cycle of the dense product, whose own vectors are the widest of the machine; bits to numbers and
/// patches to rows are counted.
const DENSE: f64 = 13.0;

/// Cycles of a multiply-add, on one core.
pub fn cycles_per_add(form: Form, rate: f32, work: &Work, vector: Vector) -> f64 {
    match form {
        Form::Walk => walk(f64::from(rate), work, vector),
        Form::Grouped => grouped(work, vector),
        Form::Dense => 1.0 / DENSE,
    }
}

/// A word of input channels of a position.
fn walk(rate: f64, work: &Work, vector: Vector) -> f64 {
    let costs = vector.costs();
    let (inputs, lanes) = (work.inputs.min(64) as f64, work.outputs.min(TILE));
    let vectors = lanes.div_ceil(vector.lanes()) as f64;
    let row = costs.row + vectors * costs.vector;
    let word = costs.word + vectors * costs.sum + inputs * rate * row;
    word / (inputs * lanes as f64)
}

/// A word of input channels of a position, part after part of a tile, and its share of their tables.
fn grouped(work: &Work, vector: Vector) -> f64 {
    let costs = vector.costs();
    let (inputs, lanes) = (work.inputs.min(64), work.outputs.min(TILE));
    let vectors = lanes.div_ceil(vector.lanes()) as f64;
    let groups = inputs.div_ceil(GROUP) as f64;
    let lookup = if inputs < 64 { costs.lookup * PARTIAL } else { costs.lookup };
    let group = lookup + costs.group / work.positions as f64;
    let word = costs.part * lanes.div_ceil(PART) as f64 + groups * vectors * group;
    word / (inputs * lanes) as f64
}
