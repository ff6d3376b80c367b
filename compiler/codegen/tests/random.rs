//! Random kernels: loops in loops, branches, rows of any width, registers set everywhere. Machine code and
//! interpreter must agree to the bit.

mod common;

use common::{Random, agree, numbers};
use proptest::prelude::*;
use snnc_kernel::body::{
    Access, Arith, Compare, Condition, Fold, Index, Kernel, Mask, Reg, RegData, RegType, Row, Slot, SlotData,
    SlotElem, Stmt, Unary, Width, Word,
};

/// Elements of each slot.
const LENGTH: usize = 512;
const READ: Slot = Slot(0);
const WRITTEN: Slot = Slot(1);
const SPIKES: Slot = Slot(2);
const FIRED: Slot = Slot(3);
const LABELS: Slot = Slot(4);
const SCRATCH: Slot = Slot(5);

/// Registers of each kind; counters come behind them.
const EACH: u32 = 2;

struct Maker {
    random: Random,
    kernel: Kernel,
    /// Widths of the two kinds of rows.
    widths: [usize; 2],
    /// The counters of the loops around, each with its greatest value.
    counters: Vec<(Reg, usize)>,
}

fn pick<T: Copy>(random: &mut Random, of: &[T]) -> T {
    of[random.below(of.len())]
}

impl Maker {
    fn make(seed: u64, widths: [usize; 2], size: usize) -> Kernel {
        let slot = |name: &str, elem, access| SlotData { name: name.to_string(), elem, access };
        let slots = vec![
            slot("a", SlotElem::F32, Access::Read),
            slot("y", SlotElem::F32, Access::Write),
            slot("x", SlotElem::Bits, Access::Read),
            slot("s", SlotElem::Bits, Access::Write),
            slot("labels", SlotElem::I32, Access::Read),
            slot("t", SlotElem::F32, Access::Scratch(LENGTH)),
        ];
        let kernel = Kernel { name: "random".to_string(), slots, regs: Vec::new(), body: Vec::new() };
        let mut maker = Maker { random: Random(seed), kernel, widths, counters: Vec::new() };
        maker.kernel.body = maker.start();
        let rest = maker.block(size, 3);
        maker.kernel.body.extend(rest);
        maker.kernel
    }

    fn reg(&mut self, name: &str, ty: RegType) -> Reg {
        self.kernel.regs.push(RegData { name: name.to_string(), ty });
        Reg(self.kernel.regs.len() as u32 - 1)
    }

    /// Sets every register and all of the scratch memory.
    fn start(&mut self) -> Vec<Stmt> {
        let mut body = Vec::new();
        for kind in 0..6 {
            for _ in 0..EACH {
                match kind {
                    0 | 1 => {
                        let n = self.widths[kind];
                        let reg = self.reg("r", RegType::Row(n));
                        body.push(Stmt::SetRow(reg, Row::Load(READ, Box::new(Index::Task), n)));
                    }
                    2 | 3 => {
                        let n = self.widths[kind - 2];
                        let reg = self.reg("m", RegType::Mask(n));
                        body.push(Stmt::SetMask(reg, Mask::FromWord(Box::new(Word::Const(0b1011)), n)));
                    }
                    4 => {
                        let reg = self.reg("w", RegType::Word);
                        body.push(Stmt::SetWord(reg, Word::Const(5)));
                    }
                    _ => {
                        let reg = self.reg("i", RegType::Index);
                        body.push(Stmt::SetIndex(reg, Index::Task));
                    }
                }
            }
        }
        let counter = self.reg("all", RegType::Index);
        let value = Row::FromIndex(Box::new(Index::Reg(counter)), 1);
        let set = Stmt::Store(SCRATCH, Index::Reg(counter), value);
        let (begin, end) = (Index::Const(0), Index::Const(LENGTH as i64));
        body.push(Stmt::For { reg: counter, begin, end, step: 1, down: false, body: vec![set] });
        body
    }

    /// One of the registers of a kind.
    fn some(&mut self, kind: u32) -> Reg {
        Reg(kind * EACH + self.random.below(EACH as usize) as u32)
    }

    fn block(&mut self, size: usize, depth: usize) -> Vec<Stmt> {
        (0..1 + self.random.below(size)).map(|_| self.stmt(size, depth)).collect()
    }

    fn stmt(&mut self, size: usize, depth: usize) -> Stmt {
        let kind = self.random.below(2);
        let n = self.widths[kind];
        match self.random.below(if depth == 0 { 7 } else { 11 }) {
            0 | 1 => Stmt::SetRow(self.some(kind as u32), self.row(n, 3)),
            2 => Stmt::SetMask(self.some(2 + kind as u32), self.mask(n, 2)),
            3 => Stmt::SetWord(self.some(4), self.word(2)),
            4 => Stmt::SetIndex(self.some(5), self.bounded(1000)),
            5 => {
                let slot = pick(&mut self.random, &[WRITTEN, SCRATCH]);
                Stmt::Store(slot, self.offset(n), self.row(n, 3))
            }
            6 => Stmt::StoreWord(FIRED, self.offset(2), self.word(2), self.half()),
            7 | 8 => self.counted(size, depth),
            9 => {
                let condition =
                    Condition { compare: self.compare(), left: self.index(2), right: self.bounded(8) };
                let then = self.block(size, depth - 1);
                let otherwise =
                    if self.random.below(2) == 0 { self.block(size, depth - 1) } else { Vec::new() };
                Stmt::If { condition, then, otherwise }
            }
            _ => {
                let few = (0..3).fold(0, |bits, _| bits | 1 << self.random.below(64));
                let word = Word::And(Box::new(self.word(1)), Box::new(Word::Const(few)));
                let reg = self.reg("b", RegType::Index);
                Stmt::EachBit { reg, word, body: self.turns(reg, 63, size, depth) }
            }
        }
    }

    /// A counted loop, sometimes of no turn.
    fn counted(&mut self, size: usize, depth: usize) -> Stmt {
        let begin = self.random.below(3);
        let turns = self.random.below(5);
        let down = self.random.below(3) == 0;
        let step = if down { 1 } else { 1 + self.random.below(2) as i64 };
        let (from, to) = if self.random.below(2) == 0 {
            (Index::from(begin), Index::from(begin + turns))
        } else {
            (Index::from(begin), self.bounded(begin + turns + 1))
        };
        let reg = self.reg("c", RegType::Index);
        let body = self.turns(reg, begin + turns, size, depth);
        Stmt::For { reg, begin: from, end: to, step, down, body }
    }

    fn turns(&mut self, counter: Reg, most: usize, size: usize, depth: usize) -> Vec<Stmt> {
        self.counters.push((counter, most));
        let body = self.block(size, depth - 1);
        self.counters.pop();
        body
    }

    fn half(&mut self) -> Width {
        pick(&mut self.random, &[Width::Half, Width::Full])
    }

    fn compare(&mut self) -> Compare {
        pick(&mut self.random, &[Compare::Eq, Compare::Lt, Compare::Le, Compare::Gt, Compare::Ge])
    }

    /// An index in `0..below`.
    fn bounded(&mut self, below: usize) -> Index {
        let index = Index::Max(Box::new(self.index(2)), Box::new(Index::Const(0)));
        Index::Rem(Box::new(index), below as i64)
    }

    /// Where `n` elements fit: any index brought into range, or a sum of counters as real kernels have it.
    fn offset(&mut self, n: usize) -> Index {
        if self.random.below(3) == 0 {
            return self.bounded(LENGTH - n + 1);
        }
        let mut room = LENGTH - n;
        let mut index = Index::Const(0);
        for (reg, most) in self.counters.clone() {
            let stride = self.random.below(room / most.max(1) / 2 + 1);
            room -= stride * most;
            index = index + Index::Reg(reg) * stride;
        }
        let constant = self.random.below(room + 1);
        if self.random.below(2) == 0 { index + constant } else { Index::from(constant) + index }
    }

    fn index(&mut self, depth: usize) -> Index {
        let leaf = |maker: &mut Maker| match maker.random.below(5) {
            0 => Index::Const(maker.random.below(70) as i64 - 5),
            1 => Index::Task,
            2 => Index::Batch,
            3 if !maker.counters.is_empty() => Index::Reg(pick(&mut maker.random, &maker.counters).0),
            _ => Index::Reg(maker.some(5)),
        };
        if depth == 0 {
            return leaf(self);
        }
        let (a, b) = (Box::new(self.index(depth - 1)), Box::new(self.index(depth - 1)));
        let positive = Box::new(Index::Max(a.clone(), Box::new(Index::Const(0))));
        match self.random.below(9) {
            0 => Index::Add(a, b),
            1 => Index::Sub(a, b),
            2 => Index::Mul(a, b),
            3 => Index::Div(positive, pick(&mut self.random, &[1, 3, 8, 10])),
            4 => Index::Rem(positive, pick(&mut self.random, &[1, 3, 8, 10])),
            5 => Index::Min(a, b),
            6 => Index::Max(a, b),
            7 if self.random.below(2) == 0 => Index::Popcount(Box::new(self.word(depth - 1))),
            7 if self.random.below(2) == 0 => {
                let low = Word::And(Box::new(self.word(depth - 1)), Box::new(Word::Const(0xffff)));
                Index::Number(Box::new(low))
            }
            7 => Index::Label(LABELS, Box::new(self.offset(1))),
            _ => leaf(self),
        }
    }

    fn row(&mut self, n: usize, depth: usize) -> Row {
        let kind = u32::from(n != self.widths[0]);
        if depth == 0 {
            return match self.random.below(5) {
                0 => Row::constant(pick(&mut self.random, &[0.0, 1.0, -0.5, 3.0]), n),
                1 => {
                    Row::Load(pick(&mut self.random, &[READ, WRITTEN, SCRATCH]), Box::new(self.offset(n)), n)
                }
                2 => Row::LoadSplat(pick(&mut self.random, &[READ, WRITTEN]), Box::new(self.offset(1)), n),
                3 => Row::FromIndex(Box::new(self.index(1)), n),
                _ => Row::Reg(self.some(kind)),
            };
        }
        let row = |maker: &mut Maker| Box::new(maker.row(n, depth - 1));
        match self.random.below(9) {
            0..=3 => {
                let all = [Arith::Add, Arith::Sub, Arith::Mul, Arith::Div, Arith::Min, Arith::Max];
                Row::Arith(pick(&mut self.random, &all), row(self), row(self))
            }
            4 => {
                let all = [Unary::Neg, Unary::Abs, Unary::Sqrt, Unary::Exp, Unary::Ln];
                Row::Unary(pick(&mut self.random, &all), row(self))
            }
            5 => Row::Select(Box::new(self.mask(n, depth - 1)), row(self), row(self)),
            6 => {
                let other = pick(&mut self.random, &self.widths.clone());
                Row::Splat(Box::new(self.row(other, depth - 1)), n)
            }
            7 => {
                let other = pick(&mut self.random, &self.widths.clone());
                let fold = pick(&mut self.random, &[Fold::Sum, Fold::Max]);
                Row::Splat(Box::new(Row::Fold(fold, Box::new(self.row(other, depth - 1)))), n)
            }
            _ => *row(self),
        }
    }

    fn mask(&mut self, n: usize, depth: usize) -> Mask {
        let kind = 2 + u32::from(n != self.widths[0]);
        if depth == 0 {
            return Mask::Reg(self.some(kind));
        }
        let mask = |maker: &mut Maker| Box::new(maker.mask(n, depth - 1));
        match self.random.below(6) {
            0 => Mask::And(mask(self), mask(self)),
            1 => Mask::Or(mask(self), mask(self)),
            2 => Mask::Not(mask(self)),
            3 => Mask::FromWord(Box::new(self.word(depth - 1)), n),
            _ => Mask::Compare(
                self.compare(),
                Box::new(self.row(n, depth - 1)),
                Box::new(self.row(n, depth - 1)),
            ),
        }
    }

    fn word(&mut self, depth: usize) -> Word {
        if depth == 0 {
            return match self.random.below(3) {
                0 => Word::Const(self.random.bits()),
                1 => Word::Load(
                    pick(&mut self.random, &[SPIKES, FIRED]),
                    Box::new(self.offset(2)),
                    self.half(),
                ),
                _ => Word::Reg(self.some(4)),
            };
        }
        let word = |maker: &mut Maker| Box::new(maker.word(depth - 1));
        match self.random.below(7) {
            6 => Word::Number(Box::new(self.index(depth - 1))),
            0 => Word::And(word(self), word(self)),
            1 => Word::Or(word(self), word(self)),
            2 => Word::Xor(word(self), word(self)),
            3 => Word::Shl(word(self), Box::new(self.bounded(64))),
            4 => Word::Shr(word(self), Box::new(self.bounded(64))),
            _ => {
                let n = pick(&mut self.random, &self.widths.clone());
                Word::FromMask(Box::new(self.mask(n, depth - 1)))
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn machine_code_agrees_with_the_interpreter(seed: u64, a in 1usize..=32, b in 1usize..=32, size in 1usize..=7) {
        let kernel = Maker::make(seed, [a, b], size);
        let spikes = |seed| -> Vec<u32> {
            let mut random = Random(seed);
            (0..LENGTH).map(|_| (random.bits() & random.bits()) as u32).collect()
        };
        let labels = (0..LENGTH as u32).map(|i| i % 10).collect();
        let buffers = vec![numbers(seed, LENGTH), numbers(!seed, LENGTH), spikes(seed), spikes(!seed), labels];
        agree(&kernel, buffers, 3, 0..2);
    }
}
