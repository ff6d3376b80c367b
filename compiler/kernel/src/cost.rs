//! What a product with spikes costs in each of its forms.
//!
//! ```text
//! walk     (taken up and put down + rate · rows) for each block of words of a position ; falls with the rate; of few
//!          channels all taps are one block
//! shared   a walk over what fires at several timesteps together, and over what is left of each   ; falls as spikes repeat
//! patterns lists of a position + the sums of all patterns + fires · channels · taps rows   ; falls as spikes repeat
//! grouped  a table's making / positions + 16 lookups                                 ; the same at every rate
//! dense    one multiply-add after the other                                          ; the same at every rate
//! ```
//!
//! The constants are those that fit what `cargo bench --bench masked_add` prints on one core of a Zen 5 machine for a
//! convolution of 3×3 over firing rates of 5 to 60 %: with vectors of 512 bits, by which forms are chosen, within 12 % of it
//! for 128 and 64 channels and for 16 and 32 of them, whose taps are walked at once, with the others for 128. Below 10 %
//! a walk takes two words of 128 output channels, more rows than the nearest cache has, and is up to 30 % slower: in a
//! network, whose sums lie further away, that is faster all the same (`examples/profile.rs`, a rate of 5 %). What few channels
//! gain with 256 bits, where taps are walked at once too, is not counted.
//!
//! | multiply-adds a cycle, 128 channels | walk, 15 % | 20 % | 25 % | 30 % | 50 % | grouped | dense |
//! |---|---|---|---|---|---|---|---|
//! | 512 bits | 138 | 114 | 98 | 83 | 55 | 83 | 25 |
//! | 256 bits | 78 | 64 | 52 | 45 | 30 | 43 | 25 |
//! | 128 bits | 40 | 33 | 27 | 23 | 15 | 26 | 22 |
//!
//! The form by patterns, alike, where neurons that fire do so 2.4 times in four timesteps, as those of trained networks: 123,
//! 104, 91, 81 at 15, 20, 25 and 30 % with 512 bits, 136, 117, 102, 91 where they do so 2.8 times; 96, 78, 66, 59 with 256;
//! 43, 36, 30, 27 with 128. The constants fit it within 15 % with vectors of 512 bits for 32 to 512 input and 32 to 512
//! output channels and 2.2 to 2.8 spikes; with 256 input channels and more it is up to 21 % faster than is said. With 256
//! bits they fit within 15 %, with 128 bits within 30 %.
//!
//! The shared form has no constants but those of its walks, and has not been measured with 512 bits. With AVX2 on Zen 1 it takes 81 % of
//! the walk's time with 128 channels at 25 %, 86 % at 17 %, and 92 % with 64 at 25 %, of a trained network (`examples/forms.rs`);
//! by patterns it is 103 to 140 % there.
//!
//! So the grouped form is the better one from 26 to 31 % on there, whatever the vectors, and the dense form nowhere; with 32
//! output channels from 20 to 25 %, with 16 from 10 % on. On a machine with AVX2 and a nearest cache of 32 KiB, which holds no
//! whole table, it is so from 42 % on with 64 channels and more, from 35 % with 32 and from 30 % with 16. As the choice is
//! one for all machines, a table has to gain a sixth before it is made.

use crate::body::{GROUP, MAX_LIST_WORDS, MAX_STEPS, MAX_WORDS};
use crate::form::Form;
use snnc_plan::Activity;
use std::fmt;

/// The sizes of a product with spikes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Work {
    /// Input channels.
    pub inputs: usize,
    /// Places of the kernel.
    pub taps: usize,
    /// From one output position to the next.
    pub stride: usize,
    /// Output channels.
    pub outputs: usize,
    /// Timesteps of the input, 1 where it stands still.
    pub steps: usize,
    /// Output positions that a task of the grouped form sums, timesteps counted: what a table serves.
    pub positions: usize,
}

/// The vectors whose costs decide: the choice must not depend on the machine.
pub const CHOSEN_FOR: Vector = Vector::Bits512;
/// The share of another form's cost that a table must not exceed by them, as it costs more where caches are smaller.
const WORTH_A_TABLE: f64 = 0.85;

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
    /// Beginning and ending a position's walk over one word.
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
                Costs { word: 5.0, sum: 2.1, row: 0.6, vector: 0.435, part: 4.5, lookup: 0.6, group: 18.0 }
            }
            Vector::Bits256 => {
                Costs { word: 10.0, sum: 1.2, row: 0.0, vector: 0.5, part: 5.0, lookup: 0.63, group: 18.0 }
            }
            Vector::Bits128 => {
                Costs { word: 20.0, sum: 1.0, row: 0.0, vector: 0.5, part: 9.0, lookup: 0.5, group: 18.0 }
            }
        }
    }
}

/// Cycles for a multiply-add of the dense product in the gradient of the weight of a convolution that keeps its size, over
/// `steps` timesteps, on one core, with 512 bits (`cargo bench --bench masked_add -- gradient=1`): within a fifth for 32, 64
/// and 128 channels. By patterns, the sums of a position's rows of `dy` are made for all input channels of a task.
pub fn cycles_per_mirrored_add(form: Form, input: Activity, work: &Work) -> f64 {
    let rate = f64::from(input.rate);
    match form {
        Form::Walk => 0.0035 + 0.039 * rate,
        Form::Patterns => {
            let fires = input.fires.map_or((rate * work.steps as f64).min(1.0), f64::from);
            let part = task_inputs(work.inputs, work.outputs, work.taps) as f64;
            0.0026 + 0.13 / part + 0.079 * fires / work.steps.min(MAX_STEPS) as f64
        }
        Form::Grouped => 0.0165,
        Form::Dense => 1.0 / DENSE,
        // There is none.
        Form::Shared => f64::INFINITY,
    }
}

/// Tasks that the gradient of a weight should have at least, and the fewest and the most input channels of one: a block's rows
/// of `dy` are copied once for all of them.
const TASKS: usize = 4;
const CHANNELS: [usize; 2] = [16, 256];
/// Bytes of a task's sums, at most: half of the second cache.
const SUMS: usize = 512 << 10;

/// Input channels of a task of the gradient of a weight that walks over all taps at once.
pub fn task_inputs(inputs: usize, outputs: usize, taps: usize) -> usize {
    let tiles = outputs.div_ceil(PART);
    let few = |part: usize| tiles * inputs.div_ceil(part) < TASKS;
    let mut part = CHANNELS[1].min(inputs.next_power_of_two());
    while (few(part) || part * taps * PART * 4 > SUMS) && part > CHANNELS[0] {
        part /= 2;
    }
    part
}

/// Lanes of a table's entries.
const PART: usize = 32;

/// How much longer a lookup takes in a word that is not full, and in one of which a half is.
const PARTIAL: f64 = 1.6;
const HALF: f64 = 1.2;

/// Multiply-adds of a cycle of the dense product, whose own vectors are the widest of the machine; bits to numbers and
/// patches to rows are counted.
const DENSE: f64 = 24.0;

/// Cycles of a multiply-add, on one core.
pub fn cycles_per_add(form: Form, input: Activity, work: &Work, vector: Vector) -> f64 {
    match form {
        Form::Walk => walk(input.rate, work, vector),
        Form::Shared => shared(input, work, vector),
        Form::Patterns => patterns(input, work, vector),
        Form::Grouped => grouped(work, vector),
        Form::Dense => 1.0 / DENSE,
    }
}

/// The form of those that is chosen by itself: that of the least cost, the first of two alike, and a table only where it gains
/// enough.
pub fn cheapest(forms: impl IntoIterator<Item = Form>, input: Activity, work: &Work) -> Option<Form> {
    let cost = |form: &Form| {
        let cycles = cycles_per_add(*form, input, work, CHOSEN_FOR);
        if *form == Form::Grouped { cycles / WORTH_A_TABLE } else { cycles }
    };
    forms.into_iter().min_by(|a, b| cost(a).total_cmp(&cost(b)))
}

/// Bytes of weights that a block of input channels may take of the nearest cache: two thirds of it, on the machines
/// of today.
const BLOCK_BYTES: usize = 32 << 10;
/// The same where few neurons fire: then the walks' own work counts more than what is added, and longer lists win.
const SPARSE_BLOCK_BYTES: usize = 64 << 10;
/// Below this firing rate few neurons fire.
const SPARSE: f32 = 0.1;

/// Words of input channels in a block of rows of `lanes` weights.
pub fn block_words(lanes: usize, rate: f32) -> usize {
    let bytes = if rate < SPARSE { SPARSE_BLOCK_BYTES } else { BLOCK_BYTES };
    (bytes / (lanes * 64 * 4)).clamp(1, MAX_WORDS)
}

/// Bytes of weights for all taps of a kernel that may stay in the nearest cache.
const WINDOW_BYTES: usize = 40 << 10;

/// Whether a walk adds what a position sees through all taps at once, to `lanes` output channels of a tile. Of few channels the
/// weights of all taps stay in the nearest cache, and what a walk does for each tap beside its additions counts most.
pub fn is_window(inputs: usize, taps: usize, lanes: usize) -> bool {
    let bits = taps * inputs.next_multiple_of(64);
    taps > 1 && inputs <= 64 && bits <= WINDOW_BITS && taps * inputs * lanes * 4 <= WINDOW_BYTES
}

/// Bits that a position sees through all taps, at most.
const WINDOW_BITS: usize = 1024;

/// What a further word adds to a walk, in cycles.
const FURTHER: f64 = 3.0;

/// A walk over all taps at once: listing the set bits of half a word, taking up and putting down a vector of a position's sums,
/// finding a row, and adding a vector of it.
const WINDOW: (f64, f64, f64, f64) = (5.3, 8.0, 0.28, 0.55);

/// All that a position sees, for the output channels of a tile.
fn window(rate: f32, work: &Work, lanes: usize, vectors: f64) -> f64 {
    let (half, sum, row, vector) = WINDOW;
    let bits = (work.taps * work.inputs) as f64;
    let listed = (work.taps * work.inputs.div_ceil(32)) as f64 * half + vectors * sum;
    (listed + f64::from(rate) * bits * (row + vectors * vector)) / (bits * lanes as f64)
}

/// The words of input channels of a position, a list for each block of them.
fn walk(rate: f32, work: &Work, vector: Vector) -> f64 {
    walk_by(block_words(work.outputs.min(TILE), rate), rate, work, vector)
}

/// A walk with blocks of so many words.
fn walk_by(block: usize, rate: f32, work: &Work, vector: Vector) -> f64 {
    let costs = vector.costs();
    let (words, lanes) = (work.inputs.div_ceil(64), work.outputs.min(TILE));
    let vectors = lanes.div_ceil(vector.lanes()) as f64;
    if vector == Vector::Bits512 && is_window(work.inputs, work.taps, lanes) {
        return window(rate, work, lanes, vectors);
    }
    let lists = words.div_ceil(block);
    let made = lists as f64 * (costs.word + vectors * costs.sum) + (words - lists) as f64 * FURTHER;
    let row = costs.row + vectors * costs.vector;
    made / (work.inputs * lanes) as f64 + f64::from(rate) * row / lanes as f64
}

/// What a walk over spikes at several timesteps adds to the sums of a position, in cycles of a channel: its sums start at 0, and
/// are added to others. By the instructions of it, of 128 bits whatever the vectors.
const JOINED: f64 = 0.15;

/// How much is walked over where spikes are shared: bits of a walk, and walks of a timestep.
///
/// Trained networks (`examples/forms.rs`) have 1.35 to 1.45 rows for a neuron that fires, of one that does so 2 to 2.7 times in
/// four timesteps; the formula is within 5 % of them, of one that always fires it is 1, and so it is over two timesteps.
fn shared_walks(input: Activity, steps: usize) -> (f32, f64) {
    let (fires, steps) = group_fires(input, steps);
    let repeats = (f64::from(input.rate) * steps / fires.max(f64::MIN_POSITIVE)).clamp(1.0, steps);
    let further = if steps > 2.0 { (repeats - 1.0) * (steps - repeats) / 5.3 } else { 0.0 };
    let walks = 2.0 * steps - 1.0;
    ((fires * (1.0 + further) / walks) as f32, walks / steps)
}

/// The share of neurons that fire in a group of timesteps, and how many timesteps it has: no more fire than in all, and no more
/// than there are spikes. Neurons that are not known to repeat themselves fire at one timestep each, as far as there are neurons
/// for so many spikes.
fn group_fires(input: Activity, steps: usize) -> (f64, f64) {
    let steps = steps as f64 / steps.div_ceil(MAX_STEPS) as f64;
    (f64::from(input.fires.unwrap_or(1.0)).min(f64::from(input.rate) * steps), steps)
}

/// The firing rate of what a form walks over.
pub fn walked_rate(form: Form, input: Activity, steps: usize) -> f32 {
    match form {
        Form::Shared => shared_walks(input, steps).0,
        Form::Walk | Form::Patterns | Form::Grouped | Form::Dense => input.rate,
    }
}

/// The share of its multiply-adds that a product adds, as it is expected.
pub fn added_share(form: Form, input: Activity, steps: usize) -> f64 {
    match form {
        Form::Walk => f64::from(input.rate),
        Form::Shared => {
            let (rate, walks) = shared_walks(input, steps);
            f64::from(rate) * walks
        }
        Form::Patterns => {
            let (fires, steps) = group_fires(input, steps);
            fires / steps
        }
        Form::Grouped => 1.0 / GROUP as f64,
        Form::Dense => 1.0,
    }
}

/// All timesteps of a position. There is no such form without a second one.
fn shared(input: Activity, work: &Work, vector: Vector) -> f64 {
    if work.steps < 2 {
        return f64::INFINITY;
    }
    let (rate, walks) = shared_walks(input, work.steps);
    // Of what the few bits of a walk gain by blocks of more words a half is counted.
    let blocks = [input.rate, rate].map(|rate| block_words(work.outputs.min(TILE), rate));
    let one = blocks.iter().map(|block| walk_by(*block, rate, work, vector)).sum::<f64>() / 2.0;
    walks * (one + JOINED / (work.inputs * work.taps) as f64)
}

/// A word of input channels of a position, part after part of a tile, and its share of their tables.
fn grouped(work: &Work, vector: Vector) -> f64 {
    let costs = vector.costs();
    let (inputs, lanes) = (work.inputs.min(64), work.outputs.min(TILE));
    let vectors = lanes.div_ceil(vector.lanes()) as f64;
    let groups = inputs.div_ceil(GROUP) as f64;
    let lookup = costs.lookup
        * match inputs {
            64 => 1.0,
            32 => HALF,
            _ => PARTIAL,
        };
    let group = lookup + costs.group / work.positions as f64;
    let word = costs.part * lanes.div_ceil(PART) as f64 + groups * vectors * group;
    word / (inputs * lanes) as f64
}

/// Bytes of weights that a block of input channels may take, all taps counted, of the second cache, where rows are summed
/// by patterns: every output position chooses rows from all of them. Fewer, and the lists of a pattern become short.
const PART_BYTES: usize = 640 << 10;

/// Words of input channels in such a block, for rows of `lanes` weights.
pub fn pattern_words(taps: usize, lanes: usize) -> usize {
    (PART_BYTES / (taps * lanes * 64 * 4)).clamp(1, MAX_LIST_WORDS)
}

/// The costs of sums by patterns for one kind of vectors, in cycles; all for four timesteps.
struct PatternCosts {
    /// Listing the neurons of a word, of all input positions.
    word: f64,
    /// Putting the lists of a tap in order.
    tap: f64,
    /// Adding the sums of the patterns to those of the timesteps, a vector of each.
    flush: f64,
    /// Finding a row.
    row: f64,
    /// Adding a row of one vector, from the second cache.
    vector: f64,
}

impl Vector {
    fn pattern_costs(self) -> PatternCosts {
        match self {
            Vector::Bits512 => PatternCosts { word: 127.0, tap: 116.0, flush: 81.0, row: 0.64, vector: 1.23 },
            Vector::Bits256 => PatternCosts { word: 222.0, tap: 116.0, flush: 15.6, row: 1.25, vector: 0.87 },
            Vector::Bits128 => PatternCosts { word: 669.0, tap: 62.0, flush: 98.0, row: 16.4, vector: 0.47 },
        }
    }
}

/// All timesteps of a position. There is no such form without a second one.
fn patterns(input: Activity, work: &Work, vector: Vector) -> f64 {
    let (costs, steps) = (vector.pattern_costs(), work.steps as f64);
    if work.steps < 2 {
        return f64::INFINITY;
    }
    let (groups, (fires, _)) = (work.steps.div_ceil(MAX_STEPS) as f64, group_fires(input, work.steps));
    let lanes = work.outputs.min(TILE);
    let (vectors, taps) = (lanes.div_ceil(vector.lanes()) as f64, work.taps as f64);
    let words = work.inputs.div_ceil(64);
    let parts = words.div_ceil(pattern_words(work.taps, lanes)) as f64;
    // A stride leaves out outputs, not inputs.
    let listed = (words * work.stride * work.stride) as f64;
    let lists = listed * costs.word + parts * (taps * costs.tap + vectors * costs.flush);
    let rows = fires * taps * work.inputs as f64 * (costs.row + vectors * costs.vector);
    groups * (lists + rows) / (steps * taps * (work.inputs * lanes) as f64)
}

#[cfg(test)]
mod tests;
