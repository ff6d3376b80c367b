//! The invariants of kernels.
//!
//! 1. Registers and slots exist; a register is read and set as what it is declared.
//! 2. A register is set before it is read, on every path. What a loop that may run no turn sets, or one side of a
//!    branch, is not set behind it. A counter is set by its loop alone and is readable in its body alone.
//! 3. Rows have 1 to [`MAX_ROW`] lanes, and operands equal widths.
//! 4. Loads and stores suit the slot's elements; stores go to what is writable; scratch memory is f32 or bits.
//! 5. A walk has 1 to [`MAX_WORDS`] words and 1 to [`MAX_LANES`] lanes, and reads no slot that it writes; so do tables
//!    and lookups, whose groups are those of as many words at most.
//! 6. Lists of patterns and walks over them have 2 to [`MAX_STEPS`] timesteps, 1 to [`MAX_LIST_WORDS`] words and 1 to
//!    [`MAX_LANES`] lanes, and read no slot that they write; the room that a walk uses is scratch memory, large enough.
//! 7. Divisors and steps are positive constants, a backwards loop has step 1, constant shifts are below 64.
//!
//! Not checked: offsets, which depend on the task (the interpreter checks them).

use crate::body::{
    Access, Current, Fire, GROUP, Grid, Groups, Index, Kernel, Lookup, MAX_LANES, MAX_LIST_WORDS, MAX_ROW,
    MAX_STEPS, MAX_WORDS, Map, Mask, OverTime, PatternLists, PatternWalk, Reg, RegType, Row, Run, Slot,
    SlotElem, Stmt, TapWalk, Walk, WindowWalk, Word,
};
use std::fmt;

/// A broken rule of the kernel IR: a bug of the compiler.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelError {
    /// The kernel's name.
    pub kernel: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel @{}: {}", self.kernel, self.message)
    }
}

impl std::error::Error for KernelError {}

/// Checks the invariants.
///
/// # Errors
/// The first broken one.
pub fn verify(kernel: &Kernel) -> Result<(), KernelError> {
    let mut checker = Checker { kernel, set: vec![false; kernel.regs.len()], counters: Vec::new() };
    checker.run().map_err(|message| KernelError { kernel: kernel.name.clone(), message })
}

type Check<T = ()> = Result<T, String>;

struct Checker<'k> {
    kernel: &'k Kernel,
    /// Of each register: whether it is set on every path to here.
    set: Vec<bool>,
    /// The counters of the loops around.
    counters: Vec<Reg>,
}

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(message()) }
}

fn width(n: usize) -> Check<usize> {
    ensure((1..=MAX_ROW).contains(&n), || format!("a row of {n} lanes")).map(|()| n)
}

fn equal(a: usize, b: usize) -> Check<usize> {
    ensure(a == b, || format!("operands of {a} and {b} lanes")).map(|()| a)
}

impl Checker<'_> {
    fn run(&mut self) -> Check {
        for reg in &self.kernel.regs {
            match reg.ty {
                RegType::Row(n) | RegType::Mask(n) => width(n).map(|_| ())?,
                RegType::Index | RegType::Word => {}
            }
        }
        for slot in &self.kernel.slots {
            let scratch = matches!(slot.access, Access::Scratch(_));
            ensure(!scratch || slot.elem != SlotElem::I32, || format!("scratch `{}` is i32", slot.name))?;
        }
        self.stmts(&self.kernel.body)
    }

    fn ty(&self, reg: Reg) -> Check<RegType> {
        let data = self.kernel.regs.get(reg.0 as usize);
        data.map(|d| d.ty).ok_or_else(|| format!("no register {}", reg.0))
    }

    fn name(&self, reg: Reg) -> &str {
        self.kernel.regs.get(reg.0 as usize).map_or("?", |r| &r.name)
    }

    /// Reads a register.
    fn read(&self, reg: Reg) -> Check<RegType> {
        let ty = self.ty(reg)?;
        ensure(self.set[reg.0 as usize], || format!("`{}` is read before it is set", self.name(reg)))?;
        Ok(ty)
    }

    fn read_as(&self, reg: Reg, wanted: RegType) -> Check {
        let ty = self.read(reg)?;
        ensure(ty == wanted, || format!("`{}` is {ty}, read as {wanted}", self.name(reg)))
    }

    /// Sets a register.
    fn set(&mut self, reg: Reg, value: RegType) -> Check {
        let ty = self.ty(reg)?;
        ensure(ty == value, || format!("`{}` is {ty}, set to {value}", self.name(reg)))?;
        let counter = self.counters.contains(&reg);
        ensure(!counter, || format!("`{}` counts a loop around, and is set", self.name(reg)))?;
        self.set[reg.0 as usize] = true;
        Ok(())
    }

    fn slot(&self, slot: Slot, elem: SlotElem, store: bool) -> Check {
        let data = self.kernel.slots.get(slot.0 as usize).ok_or_else(|| format!("no slot {}", slot.0))?;
        ensure(data.elem == elem, || format!("`{}` holds {}, used as {elem}", data.name, data.elem))?;
        ensure(!store || data.access != Access::Read, || {
            format!("`{}` is read only, and stored to", data.name)
        })
    }

    fn stmts(&mut self, stmts: &[Stmt]) -> Check {
        stmts.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    fn stmt(&mut self, stmt: &Stmt) -> Check {
        match stmt {
            Stmt::SetIndex(reg, index) => {
                self.index(index)?;
                self.set(*reg, RegType::Index)
            }
            Stmt::SetRow(reg, row) => {
                let n = self.row(row)?;
                self.set(*reg, RegType::Row(n))
            }
            Stmt::SetMask(reg, mask) => {
                let n = self.mask(mask)?;
                self.set(*reg, RegType::Mask(n))
            }
            Stmt::SetWord(reg, word) => {
                self.word(word)?;
                self.set(*reg, RegType::Word)
            }
            Stmt::Store(slot, at, row) => {
                self.slot(*slot, SlotElem::F32, true)?;
                self.index(at)?;
                self.row(row).map(|_| ())
            }
            Stmt::StoreWord(slot, at, word, _) => {
                self.slot(*slot, SlotElem::Bits, true)?;
                self.index(at)?;
                self.word(word)
            }
            Stmt::For { reg, begin, end, step, down, body } => {
                self.index(begin)?;
                self.index(end)?;
                ensure(*step > 0, || format!("a step of {step}"))?;
                ensure(!down || *step == 1, || format!("a backwards loop with step {step}"))?;
                let runs = matches!((begin, end), (Index::Const(a), Index::Const(b)) if a < b);
                self.turns(*reg, body, runs)
            }
            Stmt::If { condition, then, otherwise } => {
                self.index(&condition.left)?;
                self.index(&condition.right)?;
                let before = self.set.clone();
                self.stmts(then)?;
                let one_side = std::mem::replace(&mut self.set, before);
                self.stmts(otherwise)?;
                for (set, other) in self.set.iter_mut().zip(one_side) {
                    *set &= other;
                }
                Ok(())
            }
            Stmt::EachBit { reg, word, body } => {
                self.word(word)?;
                self.turns(*reg, body, false)
            }
            Stmt::AddRows(walk) => self.walk(walk, &[]),
            Stmt::AddWindow(window) => self.window(window),
            Stmt::Fire(fire) => self.fire(fire),
            Stmt::AddTaps(taps) => self.taps(taps),
            Stmt::DotRows(walk, with) => self.walk(walk, &[with]),
            Stmt::ListPatterns(lists) => self.lists(lists),
            Stmt::AddPatterns(walk) => self.patterns(walk),
            Stmt::SumGroups(groups) => self.groups(groups),
            Stmt::AddGroups(lookup) => self.lookup(lookup),
            Stmt::Map(Map { count, from, to, .. }) => {
                ensure(*count > 0, || "a curve of no numbers".to_string())?;
                self.slot(from.0, SlotElem::F32, false)?;
                self.slot(to.0, SlotElem::F32, true)?;
                self.distinct(from.0, to.0)?;
                self.index(&from.1)?;
                self.index(&to.1)
            }
            Stmt::Turn { from, to } => {
                self.slot(from.0, SlotElem::Bits, false)?;
                self.slot(to.0, SlotElem::Bits, true)?;
                self.distinct(from.0, to.0)?;
                self.index(&from.1)?;
                self.index(&to.1)
            }
        }
    }

    fn walk(&self, walk: &Walk, with: &[&Run]) -> Check {
        let words = walk.words;
        ensure((1..=MAX_WORDS).contains(&words), || format!("a walk over {words} words"))?;
        self.lanes_of("a walk", walk.lanes)?;
        self.index(&walk.count)?;
        self.run_of(&walk.bits, SlotElem::Bits, false)?;
        self.run_of(&walk.sums, SlotElem::F32, true)?;
        for read in [&walk.rows].into_iter().chain(with.iter().copied()) {
            self.run_of(read, SlotElem::F32, false)?;
            self.distinct(read.slot, walk.sums.slot)?;
        }
        Ok(())
    }

    fn fire(&self, fire: &Fire) -> Check {
        let (spikes, time) = &fire.spikes;
        ensure(fire.steps > 0, || "neurons through no timestep".to_string())?;
        ensure((1..=2).contains(&fire.currents.len()), || format!("{} currents", fire.currents.len()))?;
        self.lanes_of("neurons", fire.lanes)?;
        self.index(&fire.count)?;
        self.index(time)?;
        self.run_of(spikes, SlotElem::Bits, true)?;
        fire.currents.iter().try_for_each(|(current, run, time)| {
            let elem = match current {
                Current::Numbers => SlotElem::F32,
                Current::Bits => SlotElem::Bits,
            };
            self.index(time)?;
            self.run_of(run, elem, false)?;
            self.distinct(run.slot, spikes.slot)
        })
    }

    fn window(&self, WindowWalk { walk, taps, bits, rows }: &WindowWalk) -> Check {
        let back = bits.iter().chain(rows).find(|step| **step < 0);
        ensure(back.is_none(), || format!("taps backwards by {}", back.unwrap_or(&0)))?;
        taps.iter().try_for_each(|taps| self.index(taps))?;
        self.walk(walk, &[])
    }

    fn taps(&self, TapWalk { walk, word, taps, steps, apart, over }: &TapWalk) -> Check {
        let [rows, columns] = taps;
        ensure(*rows > 0 && *columns > 0, || format!("a walk over {rows}x{columns} taps"))?;
        let back = [word, apart, &steps[0], &steps[1]].into_iter().find(|step| **step < 0);
        ensure(back.is_none(), || format!("taps backwards by {}", back.unwrap_or(&0)))?;
        if let Some(OverTime { steps, words, pattern }) = over {
            ensure((2..=MAX_STEPS).contains(steps), || format!("patterns of {steps} timesteps"))?;
            ensure(*words >= 0 && *pattern >= 0, || format!("timesteps backwards by {words}, {pattern}"))?;
        }
        self.walk(walk, &[])
    }

    fn lists(&self, lists: &PatternLists) -> Check {
        let (words, steps) = (lists.words, lists.steps);
        ensure((1..=MAX_LIST_WORDS).contains(&words), || format!("a list over {words} words"))?;
        ensure((2..=MAX_STEPS).contains(&steps), || format!("patterns of {steps} timesteps"))?;
        self.index(&lists.count)?;
        self.index(&lists.time)?;
        self.run_of(&lists.bits, SlotElem::Bits, false)?;
        self.run_of(&lists.lists, SlotElem::Bits, true)?;
        self.distinct(lists.bits.slot, lists.lists.slot)
    }

    fn patterns(&self, walk: &PatternWalk) -> Check {
        let (steps, lanes) = (walk.steps, walk.lanes);
        ensure((2..=MAX_STEPS).contains(&steps), || format!("patterns of {steps} timesteps"))?;
        ensure((1..=MAX_LANES).contains(&lanes), || format!("a walk over rows of {lanes} lanes"))?;
        ensure(walk.row >= 0, || format!("rows backwards by {}", walk.row))?;
        walk.taps.iter().try_for_each(|taps| self.index(taps))?;
        self.grid(&walk.lists, SlotElem::Bits)?;
        self.grid(&walk.rows, SlotElem::F32)?;
        self.run_of(&walk.sums, SlotElem::F32, true)?;
        self.slot(walk.order, SlotElem::Bits, true)?;
        self.distinct(walk.rows.slot, walk.sums.slot)?;
        self.distinct(walk.lists.slot, walk.order)?;
        let needed = PatternWalk::order_len(steps, walk.most);
        let room = matches!(self.kernel.slot(walk.order).access, Access::Scratch(n) if n >= needed);
        ensure(room, || {
            format!("`{}` is no scratch memory of {needed} elements", self.kernel.slot(walk.order).name)
        })
    }

    fn grid(&self, grid: &Grid, elem: SlotElem) -> Check {
        self.slot(grid.slot, elem, false)?;
        let [rows, columns] = grid.steps;
        ensure(rows >= 0 && columns >= 0, || format!("a grid backwards by {rows} and {columns}"))?;
        self.index(&grid.at)
    }

    fn groups(&self, groups: &Groups) -> Check {
        let (count, most) = (groups.count, MAX_WORDS * 64);
        ensure((1..=most).contains(&count), || format!("groups of {count} rows"))?;
        self.lanes_of("a table", groups.lanes)?;
        self.run_of(&groups.rows, SlotElem::F32, false)?;
        self.slot(groups.table.0, SlotElem::F32, true)?;
        self.distinct(groups.rows.slot, groups.table.0)?;
        self.index(&groups.table.1)
    }

    fn lookup(&self, lookup: &Lookup) -> Check {
        let (groups, most) = (lookup.groups, MAX_WORDS * 64 / GROUP);
        ensure((1..=most).contains(&groups), || format!("a lookup in {groups} groups"))?;
        self.lanes_of("a table", lookup.lanes)?;
        self.index(&lookup.count)?;
        self.run_of(&lookup.bits, SlotElem::Bits, false)?;
        self.run_of(&lookup.sums, SlotElem::F32, true)?;
        self.slot(lookup.table.0, SlotElem::F32, false)?;
        self.distinct(lookup.table.0, lookup.sums.slot)?;
        self.index(&lookup.table.1)
    }

    fn lanes_of(&self, what: &str, lanes: usize) -> Check {
        ensure((1..=MAX_LANES).contains(&lanes), || format!("{what} over rows of {lanes} lanes"))
    }

    fn run_of(&self, run: &Run, elem: SlotElem, store: bool) -> Check {
        self.slot(run.slot, elem, store)?;
        ensure(run.step >= 0, || format!("a run backwards by {}", run.step))?;
        self.index(&run.at)
    }

    /// What is read is not what is written: two written arguments might be one buffer.
    fn distinct(&self, read: Slot, written: Slot) -> Check {
        let access = |slot: Slot| self.kernel.slot(slot).access;
        let both = access(read) == Access::Write && access(written) == Access::Write;
        ensure(read != written && !both, || {
            format!("`{}` is read where it may be written", self.kernel.slot(read).name)
        })
    }

    /// A loop's body. What it sets stays set if it surely runs.
    fn turns(&mut self, counter: Reg, body: &[Stmt], runs: bool) -> Check {
        let before = self.set.clone();
        self.set(counter, RegType::Index)?;
        self.counters.push(counter);
        self.stmts(body)?;
        self.counters.pop();
        if !runs {
            self.set = before;
        }
        self.set[counter.0 as usize] = false;
        Ok(())
    }

    fn index(&self, index: &Index) -> Check {
        match index {
            Index::Const(_) | Index::Task | Index::Batch => Ok(()),
            Index::Reg(reg) => self.read_as(*reg, RegType::Index),
            Index::Add(a, b) | Index::Sub(a, b) | Index::Mul(a, b) | Index::Min(a, b) | Index::Max(a, b) => {
                self.index(a)?;
                self.index(b)
            }
            Index::Div(a, by) | Index::Rem(a, by) => {
                ensure(*by > 0, || format!("a division by {by}"))?;
                self.index(a)
            }
            Index::Label(slot, at) => {
                self.slot(*slot, SlotElem::I32, false)?;
                self.index(at)
            }
            Index::Popcount(word) | Index::Number(word) => self.word(word),
        }
    }

    fn row(&self, row: &Row) -> Check<usize> {
        match row {
            Row::Reg(reg) => match self.read(*reg)? {
                RegType::Row(n) => Ok(n),
                ty @ (RegType::Index | RegType::Word | RegType::Mask(_)) => {
                    Err(format!("`{}` is {ty}, read as a row", self.name(*reg)))
                }
            },
            Row::Const(_, n) => width(*n),
            Row::Load(slot, at, n) | Row::LoadSplat(slot, at, n) => {
                self.slot(*slot, SlotElem::F32, false)?;
                self.index(at)?;
                width(*n)
            }
            Row::Splat(row, n) => {
                self.row(row)?;
                width(*n)
            }
            Row::FromIndex(index, n) => {
                self.index(index)?;
                width(*n)
            }
            Row::Arith(_, a, b) => equal(self.row(a)?, self.row(b)?),
            Row::Unary(_, row) => self.row(row),
            Row::Select(mask, a, b) => equal(self.mask(mask)?, equal(self.row(a)?, self.row(b)?)?),
            Row::Fold(_, row) => self.row(row).map(|_| 1),
        }
    }

    fn mask(&self, mask: &Mask) -> Check<usize> {
        match mask {
            Mask::Reg(reg) => match self.read(*reg)? {
                RegType::Mask(n) => Ok(n),
                ty @ (RegType::Index | RegType::Word | RegType::Row(_)) => {
                    Err(format!("`{}` is {ty}, read as a mask", self.name(*reg)))
                }
            },
            Mask::Compare(_, a, b) => equal(self.row(a)?, self.row(b)?),
            Mask::FromWord(word, n) => {
                self.word(word)?;
                width(*n)
            }
            Mask::And(a, b) | Mask::Or(a, b) => equal(self.mask(a)?, self.mask(b)?),
            Mask::Not(mask) => self.mask(mask),
        }
    }

    fn word(&self, word: &Word) -> Check {
        match word {
            Word::Reg(reg) => self.read_as(*reg, RegType::Word),
            Word::Const(_) => Ok(()),
            Word::Load(slot, at, _) => {
                self.slot(*slot, SlotElem::Bits, false)?;
                self.index(at)
            }
            Word::FromMask(mask) => self.mask(mask).map(|_| ()),
            Word::Number(index) => self.index(index),
            Word::And(a, b) | Word::Or(a, b) | Word::Xor(a, b) => {
                self.word(a)?;
                self.word(b)
            }
            Word::Shl(word, by) | Word::Shr(word, by) => {
                let low = !matches!(**by, Index::Const(by) if !(0..64).contains(&by));
                ensure(low, || "a shift by 64 or more".to_string())?;
                self.word(word)?;
                self.index(by)
            }
        }
    }
}
