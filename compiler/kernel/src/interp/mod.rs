//! Runs a kernel statement by statement: the oracle of the code generator, and the check that a lowered kernel
//! stays inside its buffers.
//!
//! Every offset is checked, every register and every element of scratch memory must be set before it is read, no
//! index may overflow. Arithmetic is one f32 operation a lane, in the order the IR states.

mod patterns;
mod walk;

use crate::body::{
    Access, Arith, Compare, Condition, Fold, Index, Kernel, MAX_ROW, Mask, Reg, Row, Slot, Stmt, Unary,
    Width, Word,
};
use crate::verify::{KernelError, verify};
use std::ops::Range;

/// Runs tasks `tasks` one after the other. `buffers` holds words of four bytes (f32 by their bits, a word of spikes
/// as two halves, the low one first) for each slot that is not scratch memory.
///
/// # Errors
/// A kernel that breaks an invariant, an offset outside a buffer, a read of what was never set, an overflow, a
/// division of a negative number, a shift by 64 or more. Buffers may have been written before.
pub fn run(
    kernel: &Kernel,
    buffers: &mut [Vec<u32>],
    batch: usize,
    tasks: Range<usize>,
) -> Result<(), KernelError> {
    verify(kernel)?;
    let fail = |message: String| KernelError { kernel: kernel.name.clone(), message };
    let arguments = kernel.slots.iter().filter(|s| !matches!(s.access, Access::Scratch(_))).count();
    if arguments != buffers.len() {
        return Err(fail(format!("{} buffers for {arguments} slots", buffers.len())));
    }
    for task in tasks {
        let mut machine = Machine::new(kernel, buffers, batch as i64, task as i64);
        machine.stmts(&kernel.body).map_err(|message| fail(format!("task {task}: {message}")))?;
    }
    Ok(())
}

type Run<T = ()> = Result<T, String>;

/// A row or a mask without memory of its own.
#[derive(Clone, Copy)]
struct Lanes<T> {
    n: usize,
    lanes: [T; MAX_ROW],
}

impl<T: Copy + Default> Lanes<T> {
    fn new(n: usize, lane: impl Fn(usize) -> T) -> Self {
        let mut lanes = [T::default(); MAX_ROW];
        for (i, value) in lanes[..n].iter_mut().enumerate() {
            *value = lane(i);
        }
        Lanes { n, lanes }
    }

    fn map<U: Copy + Default>(self, f: impl Fn(T) -> U) -> Lanes<U> {
        Lanes::new(self.n, |i| f(self.lanes[i]))
    }

    fn zip<U: Copy + Default>(self, other: Self, f: impl Fn(T, T) -> U) -> Lanes<U> {
        Lanes::new(self.n, |i| f(self.lanes[i], other.lanes[i]))
    }
}

/// What a register holds.
#[derive(Clone, Copy)]
enum Value {
    Index(i64),
    Word(u64),
    Row(Lanes<f32>),
    Mask(Lanes<bool>),
}

/// The memory of a slot.
#[derive(Clone, Copy)]
enum Place {
    Buffer(usize),
    Scratch(usize),
}

struct Machine<'k, 'b> {
    kernel: &'k Kernel,
    buffers: &'b mut [Vec<u32>],
    /// Pieces of scratch memory; none where nothing was stored yet.
    scratch: Vec<Vec<Option<u32>>>,
    places: Vec<Place>,
    regs: Vec<Option<Value>>,
    batch: i64,
    task: i64,
}

impl<'k, 'b> Machine<'k, 'b> {
    fn new(kernel: &'k Kernel, buffers: &'b mut [Vec<u32>], batch: i64, task: i64) -> Self {
        let (mut scratch, mut buffer) = (Vec::new(), 0);
        let mut places = Vec::with_capacity(kernel.slots.len());
        for slot in &kernel.slots {
            places.push(match slot.access {
                Access::Scratch(elements) => {
                    scratch.push(vec![None; elements]);
                    Place::Scratch(scratch.len() - 1)
                }
                Access::Read | Access::Write => {
                    buffer += 1;
                    Place::Buffer(buffer - 1)
                }
            });
        }
        let regs = vec![None; kernel.regs.len()];
        Machine { kernel, buffers, scratch, places, regs, batch, task }
    }

    fn stmts(&mut self, stmts: &[Stmt]) -> Run {
        stmts.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    fn stmt(&mut self, stmt: &Stmt) -> Run {
        match stmt {
            Stmt::SetIndex(reg, index) => self.set(*reg, Value::Index(self.index(index)?)),
            Stmt::SetRow(reg, row) => self.set(*reg, Value::Row(self.row(row)?)),
            Stmt::SetMask(reg, mask) => self.set(*reg, Value::Mask(self.mask(mask)?)),
            Stmt::SetWord(reg, word) => self.set(*reg, Value::Word(self.word(word)?)),
            Stmt::Store(slot, at, row) => {
                let (row, at) = (self.row(row)?, self.index(at)?);
                let words = row.map(f32::to_bits);
                return self.write(*slot, at, &words.lanes[..row.n]);
            }
            Stmt::StoreWord(slot, at, word, width) => {
                let (word, at) = (self.word(word)?, self.index(at)?);
                return match width {
                    Width::Half => self.write(*slot, at, &halves(word)[..1]),
                    Width::Full => self.write(*slot, at, &halves(word)),
                };
            }
            Stmt::For { reg, begin, end, step, down, body } => {
                let (begin, end) = (self.index(begin)?, self.index(end)?);
                let mut turn = 0;
                while let Some(value) = counter(begin, end, *step, *down, turn) {
                    self.set(*reg, Value::Index(value));
                    self.stmts(body)?;
                    turn += 1;
                }
            }
            Stmt::If { condition, then, otherwise } => {
                let side = if self.condition(condition)? { then } else { otherwise };
                return self.stmts(side);
            }
            Stmt::EachBit { reg, word, body } => {
                let mut word = self.word(word)?;
                while word != 0 {
                    self.set(*reg, Value::Index(i64::from(word.trailing_zeros())));
                    word &= word - 1;
                    self.stmts(body)?;
                }
            }
            Stmt::AddRows(walk) => return self.add_rows(walk),
            Stmt::AddWindow(window) => return self.add_window(window),
            Stmt::Fire(fire) => return self.fire(fire),
            Stmt::AddTaps(taps) => return self.add_taps(taps),
            Stmt::DotRows(walk, with) => return self.dot_rows(walk, with),
            Stmt::ListPatterns(lists) => return self.list_patterns(lists),
            Stmt::AddPatterns(walk) => return self.add_patterns(walk),
            Stmt::SumGroups(groups) => return self.sum_groups(groups),
            Stmt::AddGroups(lookup) => return self.add_groups(lookup),
            Stmt::Map(map) => return self.map(map),
            Stmt::Turn { from, to } => {
                let words = self.words(from.0, self.index(&from.1)?, 64)?;
                let turned = |b: usize| (0..64).fold(0, |word, w| word | (words[w] >> b & 1) << w);
                let at = self.index(&to.1)?;
                for b in 0..64 {
                    self.write(to.0, at + 2 * b as i64, &halves(turned(b)))?;
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, reg: Reg, value: Value) {
        self.regs[reg.0 as usize] = Some(value);
    }

    fn get(&self, reg: Reg) -> Run<Value> {
        self.regs[reg.0 as usize].ok_or_else(|| format!("`{}` was never set", self.kernel.reg(reg).name))
    }

    /// The range of `n` elements at an offset, if it lies inside.
    fn range(&self, slot: Slot, at: i64, n: usize) -> Run<Range<usize>> {
        let length = match self.places[slot.0 as usize] {
            Place::Buffer(i) => self.buffers[i].len(),
            Place::Scratch(i) => self.scratch[i].len(),
        };
        let begin = usize::try_from(at).ok();
        let range = begin.and_then(|begin| Some(begin..begin.checked_add(n)?)).filter(|r| r.end <= length);
        let name = || &self.kernel.slot(slot).name;
        range.ok_or_else(|| format!("`{}` has {length} elements, used from {at} for {n}", name()))
    }

    fn read<const N: usize>(&self, slot: Slot, at: i64, n: usize) -> Run<[u32; N]> {
        let range = self.range(slot, at, n)?;
        let mut words = [0; N];
        match self.places[slot.0 as usize] {
            Place::Buffer(i) => words[..n].copy_from_slice(&self.buffers[i][range]),
            Place::Scratch(i) => {
                for (word, stored) in words.iter_mut().zip(&self.scratch[i][range]) {
                    let name = || &self.kernel.slot(slot).name;
                    *word =
                        stored.ok_or_else(|| format!("`{}` is read at {at} and was never set", name()))?;
                }
            }
        }
        Ok(words)
    }

    fn write(&mut self, slot: Slot, at: i64, words: &[u32]) -> Run {
        let range = self.range(slot, at, words.len())?;
        match self.places[slot.0 as usize] {
            Place::Buffer(i) => self.buffers[i][range].copy_from_slice(words),
            Place::Scratch(i) => {
                for (stored, word) in self.scratch[i][range].iter_mut().zip(words) {
                    *stored = Some(*word);
                }
            }
        }
        Ok(())
    }

    fn index(&self, index: &Index) -> Run<i64> {
        let both = |a: &Index, b: &Index| Ok::<_, String>((self.index(a)?, self.index(b)?));
        let overflow = || "an index overflows".to_string();
        let natural = |a: &Index| {
            let a = self.index(a)?;
            if a < 0 { Err(format!("a division of {a}")) } else { Ok(a) }
        };
        match index {
            Index::Const(value) => Ok(*value),
            Index::Reg(reg) => match self.get(*reg)? {
                Value::Index(value) => Ok(value),
                Value::Word(_) | Value::Row(_) | Value::Mask(_) => Err(self.confused(*reg)),
            },
            Index::Task => Ok(self.task),
            Index::Batch => Ok(self.batch),
            Index::Add(a, b) => both(a, b).and_then(|(a, b)| a.checked_add(b).ok_or_else(overflow)),
            Index::Sub(a, b) => both(a, b).and_then(|(a, b)| a.checked_sub(b).ok_or_else(overflow)),
            Index::Mul(a, b) => both(a, b).and_then(|(a, b)| a.checked_mul(b).ok_or_else(overflow)),
            Index::Div(a, by) => Ok(natural(a)? / by),
            Index::Rem(a, by) => Ok(natural(a)? % by),
            Index::Min(a, b) => both(a, b).map(|(a, b)| a.min(b)),
            Index::Max(a, b) => both(a, b).map(|(a, b)| a.max(b)),
            Index::Label(slot, at) => {
                let [word] = self.read::<1>(*slot, self.index(at)?, 1)?;
                Ok(i64::from(word as i32))
            }
            Index::Popcount(word) => Ok(i64::from(self.word(word)?.count_ones())),
            Index::Number(word) => {
                let word = self.word(word)?;
                i64::try_from(word).map_err(|_| format!("{word:#x} is no number"))
            }
        }
    }

    /// `verify` has excluded it.
    fn confused(&self, reg: Reg) -> String {
        format!("`{}` holds a value of another type", self.kernel.reg(reg).name)
    }

    fn condition(&self, condition: &Condition) -> Run<bool> {
        let (left, right) = (self.index(&condition.left)?, self.index(&condition.right)?);
        Ok(compare(condition.compare, &left, &right))
    }

    fn row(&self, row: &Row) -> Run<Lanes<f32>> {
        Ok(match row {
            Row::Reg(reg) => match self.get(*reg)? {
                Value::Row(row) => row,
                Value::Index(_) | Value::Word(_) | Value::Mask(_) => return Err(self.confused(*reg)),
            },
            Row::Const(bits, n) => Lanes::new(*n, |_| f32::from_bits(*bits)),
            Row::Load(slot, at, n) => {
                let words: [u32; MAX_ROW] = self.read(*slot, self.index(at)?, *n)?;
                Lanes::new(*n, |i| f32::from_bits(words[i]))
            }
            Row::LoadSplat(slot, at, n) => {
                let [word] = self.read::<1>(*slot, self.index(at)?, 1)?;
                Lanes::new(*n, |_| f32::from_bits(word))
            }
            Row::Splat(row, n) => {
                let lane = self.row(row)?.lanes[0];
                Lanes::new(*n, |_| lane)
            }
            Row::FromIndex(index, n) => {
                let value = self.index(index)? as f32;
                Lanes::new(*n, |_| value)
            }
            Row::Arith(op, a, b) => self.row(a)?.zip(self.row(b)?, |a, b| arith(*op, a, b)),
            Row::Unary(function, row) => self.row(row)?.map(|x| unary(*function, x)),
            Row::Select(mask, a, b) => {
                let (mask, a, b) = (self.mask(mask)?, self.row(a)?, self.row(b)?);
                Lanes::new(a.n, |i| if mask.lanes[i] { a.lanes[i] } else { b.lanes[i] })
            }
            Row::Fold(fold, row) => {
                let row = self.row(row)?;
                let op = match fold {
                    Fold::Sum => Arith::Add,
                    Fold::Max => Arith::Max,
                };
                let total = row.lanes[1..row.n].iter().fold(row.lanes[0], |total, x| arith(op, total, *x));
                Lanes::new(1, |_| total)
            }
        })
    }

    fn mask(&self, mask: &Mask) -> Run<Lanes<bool>> {
        Ok(match mask {
            Mask::Reg(reg) => match self.get(*reg)? {
                Value::Mask(mask) => mask,
                Value::Index(_) | Value::Word(_) | Value::Row(_) => return Err(self.confused(*reg)),
            },
            Mask::Compare(op, a, b) => self.row(a)?.zip(self.row(b)?, |a, b| compare(*op, &a, &b)),
            Mask::FromWord(word, n) => {
                let word = self.word(word)?;
                Lanes::new(*n, |i| word >> i & 1 == 1)
            }
            Mask::And(a, b) => self.mask(a)?.zip(self.mask(b)?, |a, b| a & b),
            Mask::Or(a, b) => self.mask(a)?.zip(self.mask(b)?, |a, b| a | b),
            Mask::Not(mask) => self.mask(mask)?.map(|a| !a),
        })
    }

    fn word(&self, word: &Word) -> Run<u64> {
        Ok(match word {
            Word::Reg(reg) => match self.get(*reg)? {
                Value::Word(word) => word,
                Value::Index(_) | Value::Row(_) | Value::Mask(_) => return Err(self.confused(*reg)),
            },
            Word::Const(bits) => *bits,
            Word::Load(slot, at, width) => {
                let halves = match width {
                    Width::Half => 1,
                    Width::Full => 2,
                };
                let [low, high]: [u32; 2] = self.read(*slot, self.index(at)?, halves)?;
                u64::from(low) | u64::from(high) << 32
            }
            Word::FromMask(mask) => {
                let mask = self.mask(mask)?;
                (0..mask.n).fold(0, |word, i| word | u64::from(mask.lanes[i]) << i)
            }
            Word::Number(index) => self.index(index)? as u64,
            Word::And(a, b) => self.word(a)? & self.word(b)?,
            Word::Or(a, b) => self.word(a)? | self.word(b)?,
            Word::Xor(a, b) => self.word(a)? ^ self.word(b)?,
            Word::Shl(word, by) => self.word(word)? << self.shift(by)?,
            Word::Shr(word, by) => self.word(word)? >> self.shift(by)?,
        })
    }

    fn shift(&self, by: &Index) -> Run<u32> {
        let by = self.index(by)?;
        u32::try_from(by).ok().filter(|by| *by < 64).ok_or_else(|| format!("a shift by {by}"))
    }
}

/// A word as it lies in memory.
fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

/// The counter's value in a turn, none after the last.
fn counter(begin: i64, end: i64, step: i64, down: bool, turn: i64) -> Option<i64> {
    let ahead = step.checked_mul(turn)?;
    let value = if down { end.checked_sub(1)?.checked_sub(ahead)? } else { begin.checked_add(ahead)? };
    (begin..end).contains(&value).then_some(value)
}

fn compare<T: PartialOrd>(op: Compare, a: &T, b: &T) -> bool {
    match op {
        Compare::Eq => a == b,
        Compare::Lt => a < b,
        Compare::Le => a <= b,
        Compare::Gt => a > b,
        Compare::Ge => a >= b,
    }
}

fn arith(op: Arith, a: f32, b: f32) -> f32 {
    match op {
        Arith::Add => a + b,
        Arith::Sub => a - b,
        Arith::Mul => a * b,
        Arith::Div => a / b,
        Arith::Min | Arith::Max if a.is_nan() || b.is_nan() => f32::NAN,
        // Of two zeros, -0 is the smaller: the sign bits decide.
        Arith::Min if a == b => f32::from_bits(a.to_bits() | b.to_bits()),
        Arith::Max if a == b => f32::from_bits(a.to_bits() & b.to_bits()),
        Arith::Min => a.min(b),
        Arith::Max => a.max(b),
    }
}

fn unary(function: Unary, x: f32) -> f32 {
    match function {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Sqrt => x.sqrt(),
        Unary::Exp => crate::math::exp(x),
        Unary::Ln => x.ln(),
    }
}
