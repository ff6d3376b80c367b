//! Building kernels: operators on expressions, and a builder whose closures nest as the loops do.
//!
//! ```text
//! let mut k = Builder::new("add");
//! let (a, b, y) = (k.read("a", F32), k.read("b", F32), k.write("y", F32));
//! k.for_range("p", 0, 64, |k, p| k.store(y, &p * 32, load(a, &p * 32, 32) + load(b, &p * 32, 32)));
//! let kernel = k.finish();
//! ```

use crate::body::{
    Access, Arith, Compare, Condition, Fire, Fold, Groups, Index, Kernel, Lookup, Map, Mask, PatternLists,
    PatternWalk, Reg, RegData, RegType, Row, Run, Slot, SlotData, SlotElem, Stmt, TapWalk, Unary, Walk,
    Width, WindowWalk, Word,
};
use std::ops::{Add, Div, Mul, Sub};

impl From<i64> for Index {
    fn from(value: i64) -> Index {
        Index::Const(value)
    }
}

impl From<usize> for Index {
    fn from(value: usize) -> Index {
        Index::Const(i64::try_from(value).expect("extents are far below 2⁶³"))
    }
}

impl From<i32> for Index {
    fn from(value: i32) -> Index {
        Index::Const(i64::from(value))
    }
}

impl From<&Index> for Index {
    fn from(value: &Index) -> Index {
        value.clone()
    }
}

macro_rules! index_operator {
    ($trait:ident, $method:ident, $fold:expr, $node:path, $simplify:expr) => {
        impl<R: Into<Index>> $trait<R> for Index {
            type Output = Index;
            fn $method(self, right: R) -> Index {
                let right = right.into();
                if let (Index::Const(a), Index::Const(b)) = (&self, &right) {
                    return Index::Const($fold(*a, *b));
                }
                let simplify: fn(&Index, &Index) -> Option<Index> = $simplify;
                simplify(&self, &right).unwrap_or_else(|| $node(Box::new(self), Box::new(right)))
            }
        }
        impl<R: Into<Index>> $trait<R> for &Index {
            type Output = Index;
            fn $method(self, right: R) -> Index {
                self.clone().$method(right)
            }
        }
    };
}

fn zero(index: &Index) -> bool {
    *index == Index::Const(0)
}

fn one(index: &Index) -> bool {
    *index == Index::Const(1)
}

index_operator!(Add, add, |a: i64, b: i64| a + b, Index::Add, |a, b| {
    if zero(b) {
        Some(a.clone())
    } else if zero(a) {
        Some(b.clone())
    } else {
        None
    }
});
index_operator!(Sub, sub, |a: i64, b: i64| a - b, Index::Sub, |a, b| zero(b).then(|| a.clone()));
index_operator!(Mul, mul, |a: i64, b: i64| a * b, Index::Mul, |a, b| {
    if zero(a) || zero(b) {
        Some(Index::Const(0))
    } else if one(b) {
        Some(a.clone())
    } else if one(a) {
        Some(b.clone())
    } else {
        None
    }
});

impl Index {
    /// The quotient by a positive constant, rounded down; `self` is not negative.
    pub fn quotient(&self, by: usize) -> Index {
        match (self, by) {
            (_, 1) => self.clone(),
            (Index::Const(a), _) => Index::Const(a / by as i64),
            _ => Index::Div(Box::new(self.clone()), by as i64),
        }
    }

    /// The remainder by a positive constant; `self` is not negative.
    pub fn remainder(&self, by: usize) -> Index {
        match (self, by) {
            (_, 1) => Index::Const(0),
            (Index::Const(a), _) => Index::Const(a % by as i64),
            _ => Index::Rem(Box::new(self.clone()), by as i64),
        }
    }

    /// The smaller of two.
    pub fn min(&self, other: impl Into<Index>) -> Index {
        match (self, other.into()) {
            (Index::Const(a), Index::Const(b)) => Index::Const(*a.min(&b)),
            (_, other) => Index::Min(Box::new(self.clone()), Box::new(other)),
        }
    }

    /// The larger of two.
    pub fn max(&self, other: impl Into<Index>) -> Index {
        match (self, other.into()) {
            (Index::Const(a), Index::Const(b)) => Index::Const(*a.max(&b)),
            (_, other) => Index::Max(Box::new(self.clone()), Box::new(other)),
        }
    }
}

macro_rules! row_operator {
    ($trait:ident, $method:ident, $arith:path) => {
        impl $trait for Row {
            type Output = Row;
            fn $method(self, right: Row) -> Row {
                Row::Arith($arith, Box::new(self), Box::new(right))
            }
        }
    };
}

row_operator!(Add, add, Arith::Add);
row_operator!(Sub, sub, Arith::Sub);
row_operator!(Mul, mul, Arith::Mul);
row_operator!(Div, div, Arith::Div);

impl Row {
    /// A constant in `n` lanes.
    pub fn constant(value: f32, n: usize) -> Row {
        Row::Const(value.to_bits(), n)
    }

    /// A function of each lane.
    pub fn unary(self, function: Unary) -> Row {
        Row::Unary(function, Box::new(self))
    }

    /// A reduction to one lane.
    pub fn fold(self, fold: Fold) -> Row {
        Row::Fold(fold, Box::new(self))
    }

    /// Lane 0 in `n` lanes.
    pub fn splat(self, n: usize) -> Row {
        Row::Splat(Box::new(self), n)
    }

    /// The larger, lane by lane.
    pub fn max(self, other: Row) -> Row {
        Row::Arith(Arith::Max, Box::new(self), Box::new(other))
    }

    /// A comparison.
    pub fn compare(self, compare: Compare, other: Row) -> Mask {
        Mask::Compare(compare, Box::new(self), Box::new(other))
    }
}

impl Mask {
    /// `a` where set, `b` elsewhere.
    pub fn select(self, a: Row, b: Row) -> Row {
        Row::Select(Box::new(self), Box::new(a), Box::new(b))
    }

    /// 1.0 where set, 0.0 elsewhere.
    pub fn to_row(self, n: usize) -> Row {
        self.select(Row::constant(1.0, n), Row::constant(0.0, n))
    }

    /// Both.
    pub fn and(self, other: Mask) -> Mask {
        Mask::And(Box::new(self), Box::new(other))
    }

    /// Either.
    pub fn or(self, other: Mask) -> Mask {
        Mask::Or(Box::new(self), Box::new(other))
    }
}

impl std::ops::Not for Mask {
    type Output = Mask;
    fn not(self) -> Mask {
        Mask::Not(Box::new(self))
    }
}

/// `n` consecutive elements of an F32 slot.
pub fn load(slot: Slot, at: impl Into<Index>, n: usize) -> Row {
    Row::Load(slot, Box::new(at.into()), n)
}

/// One element of an F32 slot in `n` lanes.
pub fn load_splat(slot: Slot, at: impl Into<Index>, n: usize) -> Row {
    Row::LoadSplat(slot, Box::new(at.into()), n)
}

/// A word of a Bits slot; the offset counts 32 bits.
pub fn load_word(slot: Slot, at: impl Into<Index>, width: Width) -> Word {
    Word::Load(slot, Box::new(at.into()), width)
}

/// How many bits of a word are set.
pub fn popcount(word: Word) -> Index {
    Index::Popcount(Box::new(word))
}

/// A word as a number.
pub fn number(word: Word) -> Index {
    Index::Number(Box::new(word))
}

/// A number as a word.
pub fn word_from(index: impl Into<Index>) -> Word {
    Word::Number(Box::new(index.into()))
}

/// Lanes from the low bits of a word.
pub fn mask_of(word: Word, n: usize) -> Mask {
    Mask::FromWord(Box::new(word), n)
}

/// Bits from lanes.
pub fn word_of(mask: Mask) -> Word {
    Word::FromMask(Box::new(mask))
}

/// Builds a kernel statement by statement.
#[derive(Debug)]
pub struct Builder {
    kernel: Kernel,
    open: Vec<Vec<Stmt>>,
}

impl Builder {
    /// An empty kernel.
    pub fn new(name: &str) -> Builder {
        let kernel = Kernel { name: name.to_string(), slots: Vec::new(), regs: Vec::new(), body: Vec::new() };
        Builder { kernel, open: vec![Vec::new()] }
    }

    /// An empty body over the slots and registers of a kernel.
    pub(crate) fn over(kernel: &Kernel) -> Builder {
        let mut builder = Builder::new(&kernel.name);
        builder.kernel.slots.clone_from(&kernel.slots);
        builder.kernel.regs.clone_from(&kernel.regs);
        builder
    }

    /// The kernel.
    pub fn finish(mut self) -> Kernel {
        self.kernel.body = self.open.pop().expect("the outermost body is open");
        self.kernel
    }

    fn slot(&mut self, name: &str, elem: SlotElem, access: Access) -> Slot {
        self.kernel.slots.push(SlotData { name: name.to_string(), elem, access });
        Slot(self.kernel.slots.len() as u32 - 1)
    }

    /// An argument that is read.
    pub fn read(&mut self, name: &str, elem: SlotElem) -> Slot {
        self.slot(name, elem, Access::Read)
    }

    /// An argument that is written.
    pub fn write(&mut self, name: &str, elem: SlotElem) -> Slot {
        self.slot(name, elem, Access::Write)
    }

    /// Scratch memory of so many f32.
    pub fn scratch(&mut self, name: &str, elements: usize) -> Slot {
        self.slot(name, SlotElem::F32, Access::Scratch(elements))
    }

    /// Scratch memory of so many words of bits.
    pub fn scratch_words(&mut self, name: &str, words: usize) -> Slot {
        self.slot(name, SlotElem::Bits, Access::Scratch(2 * words))
    }

    fn reg(&mut self, name: &str, ty: RegType) -> Reg {
        self.kernel.regs.push(RegData { name: name.to_string(), ty });
        Reg(self.kernel.regs.len() as u32 - 1)
    }

    pub(crate) fn push(&mut self, stmt: Stmt) {
        self.open.last_mut().expect("a body is open").push(stmt);
    }

    pub(crate) fn nested(&mut self, body: impl FnOnce(&mut Builder)) -> Vec<Stmt> {
        self.open.push(Vec::new());
        body(self);
        self.open.pop().expect("the body just opened")
    }

    /// A new index register with a value.
    pub fn index(&mut self, name: &str, value: impl Into<Index>) -> Index {
        let reg = self.reg(name, RegType::Index);
        self.push(Stmt::SetIndex(reg, value.into()));
        Index::Reg(reg)
    }

    /// A new row register with a value.
    pub fn row(&mut self, name: &str, n: usize, value: Row) -> Reg {
        let reg = self.reg(name, RegType::Row(n));
        self.set(reg, value);
        reg
    }

    /// A new mask register with a value.
    pub fn mask(&mut self, name: &str, n: usize, value: Mask) -> Reg {
        let reg = self.reg(name, RegType::Mask(n));
        self.push(Stmt::SetMask(reg, value));
        reg
    }

    /// A new word register with a value.
    pub fn word(&mut self, name: &str, value: Word) -> Reg {
        let reg = self.reg(name, RegType::Word);
        self.set_word(reg, value);
        reg
    }

    /// Sets an index register that [`Builder::index`] made.
    pub fn set_index(&mut self, index: &Index, value: Index) {
        if let Index::Reg(reg) = index {
            self.push(Stmt::SetIndex(*reg, value));
        }
    }

    /// Sets a row register.
    pub fn set(&mut self, reg: Reg, value: Row) {
        self.push(Stmt::SetRow(reg, value));
    }

    /// Sets a mask register.
    pub fn set_mask(&mut self, reg: Reg, value: Mask) {
        self.push(Stmt::SetMask(reg, value));
    }

    /// Sets a word register.
    pub fn set_word(&mut self, reg: Reg, value: Word) {
        self.push(Stmt::SetWord(reg, value));
    }

    /// Stores a row.
    pub fn store(&mut self, slot: Slot, at: impl Into<Index>, row: Row) {
        self.push(Stmt::Store(slot, at.into(), row));
    }

    /// Stores a word.
    pub fn store_word(&mut self, slot: Slot, at: impl Into<Index>, word: Word, width: Width) {
        self.push(Stmt::StoreWord(slot, at.into(), word, width));
    }

    /// A loop over `begin..end`.
    pub fn for_range(
        &mut self,
        name: &str,
        begin: impl Into<Index>,
        end: impl Into<Index>,
        body: impl FnOnce(&mut Builder, Index),
    ) {
        self.for_step(name, begin, end, 1, body);
    }

    /// A loop over `begin..end` in steps; one turn at most needs no loop.
    pub fn for_step(
        &mut self,
        name: &str,
        begin: impl Into<Index>,
        end: impl Into<Index>,
        step: usize,
        body: impl FnOnce(&mut Builder, Index),
    ) {
        let (begin, end, step) = (begin.into(), end.into(), step as i64);
        if let (Index::Const(from), Index::Const(to)) = (&begin, &end) {
            if to <= from {
                return;
            }
            if to - from <= step {
                return body(self, begin);
            }
        }
        let reg = self.reg(name, RegType::Index);
        let body = self.nested(|k| body(k, Index::Reg(reg)));
        self.push(Stmt::For { reg, begin, end, step, down: false, body });
    }

    /// A loop from `end - 1` down to `begin`.
    pub fn for_down(
        &mut self,
        name: &str,
        begin: impl Into<Index>,
        end: impl Into<Index>,
        body: impl FnOnce(&mut Builder, Index),
    ) {
        let reg = self.reg(name, RegType::Index);
        let body = self.nested(|k| body(k, Index::Reg(reg)));
        self.push(Stmt::For { reg, begin: begin.into(), end: end.into(), step: 1, down: true, body });
    }

    /// A branch without an else.
    pub fn when(
        &mut self,
        compare: Compare,
        left: impl Into<Index>,
        right: impl Into<Index>,
        then: impl FnOnce(&mut Builder),
    ) {
        let then = self.nested(then);
        let condition = Condition { compare, left: left.into(), right: right.into() };
        self.push(Stmt::If { condition, then, otherwise: Vec::new() });
    }

    /// Adds rows where bits are set.
    pub fn add_rows(&mut self, walk: Walk) {
        self.push(Stmt::AddRows(walk));
    }

    /// Neurons through time.
    pub fn fire(&mut self, fire: Fire) {
        self.push(Stmt::Fire(fire));
    }

    /// Adds the rows of all that a position sees.
    pub fn add_window(&mut self, walk: WindowWalk) {
        self.push(Stmt::AddWindow(walk));
    }

    /// Adds the rows of all taps where bits are set.
    pub fn add_taps(&mut self, walk: TapWalk) {
        self.push(Stmt::AddTaps(walk));
    }

    /// Adds dot products of rows where bits are set.
    pub fn dot_rows(&mut self, walk: Walk, with: Run) {
        self.push(Stmt::DotRows(walk, with));
    }

    /// Lists neurons by pattern.
    pub fn list_patterns(&mut self, lists: PatternLists) {
        self.push(Stmt::ListPatterns(lists));
    }

    /// Adds the rows of listed neurons.
    pub fn add_patterns(&mut self, walk: PatternWalk) {
        self.push(Stmt::AddPatterns(walk));
    }

    /// Makes a table of sums of rows.
    pub fn sum_groups(&mut self, groups: Groups) {
        self.push(Stmt::SumGroups(groups));
    }

    /// Adds the entries of a table that bits choose.
    pub fn add_groups(&mut self, lookup: Lookup) {
        self.push(Stmt::AddGroups(lookup));
    }

    /// Takes a curve of consecutive numbers.
    pub fn map(&mut self, map: Map) {
        self.push(Stmt::Map(map));
    }

    /// Turns 64 words.
    pub fn turn(&mut self, to: (Slot, Index), from: (Slot, Index)) {
        self.push(Stmt::Turn { from, to });
    }

    /// The body for each set bit of a word.
    pub fn each_bit(&mut self, name: &str, word: Word, body: impl FnOnce(&mut Builder, Index)) {
        let reg = self.reg(name, RegType::Index);
        let body = self.nested(|k| body(k, Index::Reg(reg)));
        self.push(Stmt::EachBit { reg, word, body });
    }
}

/// `1/(1 + e^−x)`.
pub fn sigmoid(x: Row, n: usize) -> Row {
    Row::constant(1.0, n) / (Row::constant(1.0, n) + x.unary(Unary::Neg).unary(Unary::Exp))
}
