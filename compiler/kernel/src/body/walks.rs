//! Statements that a target may have functions of its own for: walks over set bits, tables, curves.

use super::{Index, Slot};

/// Pieces of a slot, one for each number i: that of i begins at `at + i*step`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Run {
    /// The slot.
    pub slot: Slot,
    /// Where the first piece begins.
    pub at: Index,
    /// Elements from one piece to the next.
    pub step: i64,
}

/// A walk over the set bits of a run of positions, and the rows of a matrix that they choose. The innermost loop of
/// every product with spikes: one statement, so that a target may have a function for it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Walk {
    /// Positions.
    pub count: Index,
    /// Words of a position, 1 to [`MAX_WORDS`].
    pub words: usize,
    /// Where the words of a position are, in a Bits slot.
    pub bits: Run,
    /// Where the row of a bit is, in an F32 slot that the kernel does not write by this statement.
    pub rows: Run,
    /// Lanes of a row, 1 to [`MAX_LANES`].
    pub lanes: usize,
    /// Where the sums of a position are (of a set bit, for dot products), in a writable F32 slot.
    pub sums: Run,
}

/// A walk whose set bits choose a row for each tap of a kernel: a bit is taken from its list once, and its rows are
/// those of a small grid.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TapWalk {
    /// The walk of the first tap.
    pub walk: Walk,
    /// Elements from one word of a position to the next.
    pub word: i64,
    /// Rows and columns of taps, at least one.
    pub taps: [usize; 2],
    /// Elements from the rows of one tap to those of the tap below, and beside it.
    pub steps: [i64; 2],
    /// Elements from the sums of one tap to those of the next, row after row of taps.
    pub apart: i64,
    /// Timesteps that are walked together, where rows are those of patterns over them.
    pub over: Option<OverTime>,
}

/// Timesteps of a walk over taps: a number that has a bit at one of them at least chooses, of its rows, that of its pattern, whose
/// bit t is its bit at the t-th of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OverTime {
    /// Timesteps, 2 to [`MAX_STEPS`](super::MAX_STEPS).
    pub steps: usize,
    /// Elements from the words of one timestep to those of the next.
    pub words: i64,
    /// Elements from the row of one pattern to that of the next.
    pub pattern: i64,
}

/// A walk over the set bits that a position sees through the taps of a kernel: all taps' rows are added to one sum.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct WindowWalk {
    /// The walk of the first tap.
    pub walk: Walk,
    /// Rows and columns of taps.
    pub taps: [Index; 2],
    /// Elements from the words of one tap to those of the tap below, and beside it.
    pub bits: [i64; 2],
    /// The same of rows.
    pub rows: [i64; 2],
}

/// Lists of the neurons of a run of positions by their pattern over some timesteps: bit t of a neuron's pattern is set
/// if it fires at the t-th of them. Made once for a position, they serve all its outputs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PatternLists {
    /// Positions.
    pub count: Index,
    /// Words of a position, 1 to [`MAX_LIST_WORDS`].
    pub words: usize,
    /// Timesteps, 2 to [`MAX_STEPS`].
    pub steps: usize,
    /// Where the words of a position at the first timestep are, in a Bits slot.
    pub bits: Run,
    /// Elements from one timestep to the next.
    pub time: Index,
    /// Where the lists of a position go, in a writable Bits slot, as halves of words: first, for each pattern, how many
    /// neurons it and those below have; then the numbers of the neurons, pattern after pattern from 1, ascending in
    /// each.
    pub lists: Run,
}

/// Pieces of a slot on a grid: that of row y and column x begins at `at + y*steps[0] + x*steps[1]`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Grid {
    /// The slot.
    pub slot: Slot,
    /// Where the first piece begins.
    pub at: Index,
    /// Elements from one row to the next, and from one column.
    pub steps: [i64; 2],
}

/// A walk over the neurons that an output position sees through the taps of a kernel, by their patterns: the rows of a
/// pattern are summed once, from 0, tap after tap; then each pattern's sum is added, from pattern 1 up, to those of
/// the timesteps in it (also that of a pattern without neurons, which is 0).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PatternWalk {
    /// Timesteps, 2 to [`MAX_STEPS`].
    pub steps: usize,
    /// Rows and columns of taps.
    pub taps: [Index; 2],
    /// Where the lists of a tap are, in a Bits slot, as [`PatternLists`] makes them.
    pub lists: Grid,
    /// Where the rows of a tap are, in an F32 slot.
    pub rows: Grid,
    /// Elements from the row of one neuron to the next one's.
    pub row: i64,
    /// Lanes of a row, 1 to [`MAX_LANES`].
    pub lanes: usize,
    /// Where the sums of a timestep are, in a writable F32 slot.
    pub sums: Run,
    /// The most neurons that the lists hold.
    pub most: usize,
    /// Scratch memory of bits for the walk's own use: [`PatternWalk::order_len`] elements, undefined behind it.
    pub order: Slot,
}

impl PatternWalk {
    /// Elements of the scratch memory of a walk over so many neurons: the ends of the patterns, the neurons, and what a
    /// wide store may write behind the last.
    pub const fn order_len(steps: usize, most: usize) -> usize {
        (1 << steps) + most + 32
    }
}

/// The making of a table: the sums of all choices of rows of each group of [`GROUP`] of them. Entry `m` of group `g` lies
/// `(g * ENTRIES + m) * entry(lanes)` elements behind the table's begin.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Groups {
    /// Rows; the last group may have fewer than the others, and what it lacks adds nothing.
    pub count: usize,
    /// Where a row is, in an F32 slot.
    pub rows: Run,
    /// Lanes of a row, 1 to [`MAX_LANES`].
    pub lanes: usize,
    /// Where the table begins, in a writable F32 slot.
    pub table: (Slot, Index),
}

/// The sums of a run of positions, from a table: bits choose an entry of each group, whether they are set or not.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lookup {
    /// Positions.
    pub count: Index,
    /// Groups, 1 to those of [`MAX_WORDS`] words: their bits follow each other from the lowest of the first word.
    pub groups: usize,
    /// Where the words of a position are, in a Bits slot.
    pub bits: Run,
    /// Where the table begins, in an F32 slot.
    pub table: (Slot, Index),
    /// Lanes of an entry, 1 to [`MAX_LANES`].
    pub lanes: usize,
    /// Where the sums of a position are, in a writable F32 slot.
    pub sums: Run,
}

/// What a neuron's current is a sum of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Current {
    /// Numbers, in an F32 slot.
    Numbers,
    /// 1 where a bit is set, in a Bits slot: the words of a position.
    Bits,
}

/// Neurons of a run of positions through time, which fire and are reset: `h = decay·v + gain·x`, a spike where h reaches the
/// threshold, and h, or the reset value, is the next v.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fire {
    /// Positions.
    pub count: Index,
    /// Neurons of a position, 1 to [`MAX_LANES`].
    pub lanes: usize,
    /// Timesteps.
    pub steps: usize,
    /// Their currents at the first timestep, one or two that are added, and the elements to the next.
    pub currents: Vec<(Current, Run, Index)>,
    /// Where their spikes go, whole words in a writable Bits slot, and the elements to the next timestep.
    pub spikes: (Run, Index),
    /// Bits of the numbers decay, gain, threshold, reset and of the first v.
    pub constants: [u32; 5],
    /// Whether only what lies above the threshold fires.
    pub above: bool,
}

/// Functions of one number that a target may have for many at once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Curve {
    /// As [`exp`](crate::math::exp).
    Exp,
    /// As [`sigmoid`](crate::math::sigmoid).
    Sigmoid,
}

/// A curve of consecutive numbers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Map {
    /// The curve.
    pub curve: Curve,
    /// Numbers.
    pub count: usize,
    /// Where the first argument is, in an F32 slot.
    pub from: (Slot, Index),
    /// Where its value goes, in another, writable one.
    pub to: (Slot, Index),
}
