//! The kernel IR: loops over rows of f32 and words of spike bits, with every index visible.
//!
//! ```text
//! kernel @proj2 (x: bits read, w: f32 read, y: f32 write) {
//!   for p in 0..256 {
//!     acc : f32[32] = 0
//!     each_bit ci of load64 x[p*2] { acc = acc + load w[ci*32] }
//!     store y[(task*256 + p)*32] = acc
//!   }
//! }
//! ```
//!
//! A kernel runs its body once for each task. Registers are mutable and typed; expressions are trees without
//! effects. Offsets count f32, i32, or halves of bit words (u32): four bytes each.
//!
//! Invariants (kept by `verify`): registers are set before they are read on every path; operand widths agree;
//! stores go to writable slots; divisors are positive constants; row widths are 1 to [`MAX_ROW`].

mod walks;

pub use walks::{
    Current, Curve, Fire, Grid, Groups, Lookup, Map, OverTime, PatternLists, PatternWalk, Run, TapWalk, Walk,
    WindowWalk,
};

/// The widest row: what fits the registers of the smallest target beside the operands.
pub const MAX_ROW: usize = 32;

/// The most lanes of a walk's rows: eight vectors of the widest machine.
pub const MAX_LANES: usize = 128;

/// The most words of a walk's position: their bits are numbered by one byte.
pub const MAX_WORDS: usize = 4;

/// The most timesteps of a pattern: it has 15 values then, and their sums fit the nearest cache.
pub const MAX_STEPS: usize = 4;

/// The most words of a list of patterns.
pub const MAX_LIST_WORDS: usize = 16;

/// Partial sums of a dot product: lane l of a row is added to number l mod 16.
pub const PARTS: usize = 16;

/// Rows of a group, whose sums are entries of a table.
pub const GROUP: usize = 4;

/// Entries of a group: one for each choice of its rows.
pub const ENTRIES: usize = 1 << GROUP;

/// Elements from one entry of a table to the next: whole lines.
pub fn entry(lanes: usize) -> usize {
    lanes.next_multiple_of(16)
}

/// A register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Reg(pub u32);

/// A buffer argument or a piece of scratch memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Slot(pub u32);

/// What a register holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RegType {
    /// A whole number, 64 bits.
    Index,
    /// 64 spike bits.
    Word,
    /// A row of f32 values.
    Row(usize),
    /// A row of truth values.
    Mask(usize),
}

/// A register's declaration.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RegData {
    /// The name, for the text form; need not be unique.
    pub name: String,
    /// The type.
    pub ty: RegType,
}

/// What a slot's elements are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SlotElem {
    /// f32.
    F32,
    /// Packed spikes, addressed by halves of 32 bits.
    Bits,
    /// Labels, i32.
    I32,
}

/// How a slot is used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// Read only; no other slot of the kernel overlaps it.
    Read,
    /// Written, perhaps read again by the same task.
    Write,
    /// Memory of the running thread, of so many elements; contents are undefined when a task begins.
    Scratch(usize),
}

/// A slot's declaration.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SlotData {
    /// The name.
    pub name: String,
    /// The elements.
    pub elem: SlotElem,
    /// The use.
    pub access: Access,
}

/// An index expression.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Index {
    /// A constant.
    Const(i64),
    /// A register.
    Reg(Reg),
    /// The number of the task.
    Task,
    /// Samples of the batch.
    Batch,
    /// Sum.
    Add(Box<Index>, Box<Index>),
    /// Difference.
    Sub(Box<Index>, Box<Index>),
    /// Product.
    Mul(Box<Index>, Box<Index>),
    /// Quotient of a non-negative number by a positive constant, rounded down.
    Div(Box<Index>, i64),
    /// Remainder of a non-negative number by a positive constant.
    Rem(Box<Index>, i64),
    /// The smaller.
    Min(Box<Index>, Box<Index>),
    /// The larger.
    Max(Box<Index>, Box<Index>),
    /// A label, an i32 of an `I32` slot.
    Label(Slot, Box<Index>),
    /// How many bits of a word are set.
    Popcount(Box<Word>),
    /// A word as a whole number; its highest bit is clear.
    Number(Box<Word>),
}

/// Arithmetic of two rows, lane by lane.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Arith {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Quotient.
    Div,
    /// The smaller; NaN if either is.
    Min,
    /// The larger; NaN if either is.
    Max,
}

/// Functions of one row, lane by lane.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unary {
    /// Minus.
    Neg,
    /// Absolute value.
    Abs,
    /// Square root.
    Sqrt,
    /// Exponential, as [`exp`](crate::math::exp).
    Exp,
    /// Natural logarithm, as `f32::ln`.
    Ln,
}

/// Reductions of a row to a row of one lane, from lane 0 upwards.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fold {
    /// Sum.
    Sum,
    /// Maximum.
    Max,
}

/// A row of f32. Constants are stored as bits so that kernels compare and hash.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Row {
    /// A register.
    Reg(Reg),
    /// A constant (its bits) in so many lanes.
    Const(u32, usize),
    /// So many consecutive elements of an F32 slot, from the offset.
    Load(Slot, Box<Index>, usize),
    /// One element of an F32 slot in so many lanes.
    LoadSplat(Slot, Box<Index>, usize),
    /// Lane 0 of a row in so many lanes.
    Splat(Box<Row>, usize),
    /// An index, converted, in so many lanes.
    FromIndex(Box<Index>, usize),
    /// Arithmetic.
    Arith(Arith, Box<Row>, Box<Row>),
    /// A function.
    Unary(Unary, Box<Row>),
    /// The first where the mask is set, the second elsewhere.
    Select(Box<Mask>, Box<Row>, Box<Row>),
    /// A reduction to one lane.
    Fold(Fold, Box<Row>),
}

/// A comparison of two rows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Compare {
    /// Equal.
    Eq,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

/// A row of truth values.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Mask {
    /// A register.
    Reg(Reg),
    /// A comparison, false where a lane is NaN.
    Compare(Compare, Box<Row>, Box<Row>),
    /// The low bits of a word, bit i for lane i.
    FromWord(Box<Word>, usize),
    /// Both.
    And(Box<Mask>, Box<Mask>),
    /// Either.
    Or(Box<Mask>, Box<Mask>),
    /// Not.
    Not(Box<Mask>),
}

/// Bits of a load or store of a word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Width {
    /// 32 bits; a load fills the upper half with zeros.
    Half,
    /// 64 bits.
    Full,
}

/// 64 spike bits.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Word {
    /// A register.
    Reg(Reg),
    /// A constant.
    Const(u64),
    /// From a Bits slot, at the offset in units of 32 bits.
    Load(Slot, Box<Index>, Width),
    /// Lane i to bit i, the other bits 0.
    FromMask(Box<Mask>),
    /// Both.
    And(Box<Word>, Box<Word>),
    /// Either.
    Or(Box<Word>, Box<Word>),
    /// Exclusive or.
    Xor(Box<Word>, Box<Word>),
    /// A number in two's complement.
    Number(Box<Index>),
    /// Shifted towards higher bits by a number in 0..64.
    Shl(Box<Word>, Box<Index>),
    /// Shifted towards lower bits by a number in 0..64.
    Shr(Box<Word>, Box<Index>),
}

/// The condition of a branch.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Condition {
    /// The comparison.
    pub compare: Compare,
    /// Left side.
    pub left: Index,
    /// Right side.
    pub right: Index,
}

/// A statement.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Stmt {
    /// `reg = index`.
    SetIndex(Reg, Index),
    /// `reg = row`.
    SetRow(Reg, Row),
    /// `reg = mask`.
    SetMask(Reg, Mask),
    /// `reg = word`.
    SetWord(Reg, Word),
    /// Stores a row at consecutive elements of a writable F32 slot.
    Store(Slot, Index, Row),
    /// Stores a word (or its low half) in a writable Bits slot, at an offset in units of 32 bits.
    StoreWord(Slot, Index, Word, Width),
    /// `for reg in begin..end step n`: with `down` the same values from the last to the first (step 1 only).
    /// The register cannot be set in the body.
    For {
        /// The counter.
        reg: Reg,
        /// The first value.
        begin: Index,
        /// The end, excluded; no turn where it is not above `begin`.
        end: Index,
        /// The positive step.
        step: i64,
        /// Whether to run backwards.
        down: bool,
        /// The body.
        body: Vec<Stmt>,
    },
    /// A branch.
    If {
        /// The condition.
        condition: Condition,
        /// Where it holds.
        then: Vec<Stmt>,
        /// Where it does not.
        otherwise: Vec<Stmt>,
    },
    /// Runs the body for each set bit of the word, from the lowest; the register is the bit's number.
    EachBit {
        /// The bit's number.
        reg: Reg,
        /// The word, read once.
        word: Word,
        /// The body.
        body: Vec<Stmt>,
    },
    /// `sums[i] += rows[k]` for each position i and each set bit k of it, from the lowest; in each lane one addition
    /// after the other.
    AddRows(Walk),
    /// `sums[j] += rows[k] * with[i]` for each position i and each set bit k of it, the j-th of the whole run:
    /// [`PARTS`] partial sums of a dot product, the lanes of a row in their order.
    DotRows(Walk, Run),
    /// `sums[i] += rows[tap, k]` for each position i, each tap, row after row of taps, and each set bit k that the tap sees,
    /// from the lowest; in each lane one addition after the other.
    AddWindow(WindowWalk),
    /// `sums[i, tap] += rows[tap, k]` for each position i, each tap and each set bit k, from the lowest; in each lane one
    /// addition after the other.
    AddTaps(TapWalk),
    /// Neurons through time.
    Fire(Fire),
    /// Lists neurons by pattern.
    ListPatterns(PatternLists),
    /// `sums[t] += rows[k]` for each neuron k of the lists and each timestep t of its pattern, in the order that
    /// [`PatternWalk`] says.
    AddPatterns(PatternWalk),
    /// `table[g, m] = 0 + row + row …`, the rows of group `g` whose bits of `m` are set, from the lowest.
    SumGroups(Groups),
    /// `sums[i] += table[g, m]` for each position i and each group g, m the g-th [`GROUP`] bits of it; in each lane one
    /// addition after the other.
    AddGroups(Lookup),
    /// `to[i] = curve(from[i])` for each number i.
    Map(Map),
    /// Turns 64 words of a Bits slot: bit b of word w becomes bit w of word b. Places count 32 bits.
    Turn {
        /// The words that are read.
        from: (Slot, Index),
        /// The words that are written, of another slot.
        to: (Slot, Index),
    },
}

/// A kernel.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kernel {
    /// The name of the layer it was made for.
    pub name: String,
    /// Arguments in order of the step's buffers, with scratch pieces among them (they take no buffer).
    pub slots: Vec<SlotData>,
    /// Registers.
    pub regs: Vec<RegData>,
    /// What a task does.
    pub body: Vec<Stmt>,
}

impl Kernel {
    /// Bytes of scratch memory: the pieces in order, each rounded up to 64 bytes.
    pub fn scratch_bytes(&self) -> usize {
        self.slots.iter().map(SlotData::scratch_bytes).sum()
    }

    /// A slot's declaration.
    pub fn slot(&self, slot: Slot) -> &SlotData {
        &self.slots[slot.0 as usize]
    }

    /// A register's declaration.
    pub fn reg(&self, reg: Reg) -> &RegData {
        &self.regs[reg.0 as usize]
    }

    /// Lanes of a row expression of a valid kernel; 0 for a register that holds no row.
    pub fn row_width(&self, row: &Row) -> usize {
        match row {
            Row::Reg(reg) => match self.reg(*reg).ty {
                RegType::Row(n) => n,
                RegType::Index | RegType::Word | RegType::Mask(_) => 0,
            },
            Row::Const(_, n)
            | Row::Load(_, _, n)
            | Row::LoadSplat(_, _, n)
            | Row::Splat(_, n)
            | Row::FromIndex(_, n) => *n,
            Row::Arith(_, left, _) | Row::Select(_, left, _) => self.row_width(left),
            Row::Unary(_, row) => self.row_width(row),
            Row::Fold(_, _) => 1,
        }
    }

    /// Lanes of a mask expression of a valid kernel; 0 for a register that holds no mask.
    pub fn mask_width(&self, mask: &Mask) -> usize {
        match mask {
            Mask::Reg(reg) => match self.reg(*reg).ty {
                RegType::Mask(n) => n,
                RegType::Index | RegType::Word | RegType::Row(_) => 0,
            },
            Mask::Compare(_, left, _) => self.row_width(left),
            Mask::FromWord(_, n) => *n,
            Mask::And(left, _) | Mask::Or(left, _) => self.mask_width(left),
            Mask::Not(mask) => self.mask_width(mask),
        }
    }
}

impl SlotData {
    /// Bytes that the slot takes of the scratch memory: 0 for an argument.
    pub fn scratch_bytes(&self) -> usize {
        match self.access {
            Access::Scratch(elements) => (elements * 4).next_multiple_of(64),
            Access::Read | Access::Write => 0,
        }
    }
}
