//! Rows and masks.
//!
//! An expression is first resolved: addresses, single elements, reductions and words are evaluated once. What is
//! left is arithmetic of lanes, which is then made chunk after chunk, so that a chunk's loads stand beside its use.

use super::memory::Address;
use super::{Chunk, Emitter, chunks};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::immediates::Ieee32;
use cranelift_codegen::ir::{ConstantData, Endianness, InstBuilder, MemFlagsData, Value, types};
use snnc_kernel::body::{Arith, Compare, Fold, Mask, Row, Unary};

/// A row, resolved.
pub(super) enum Lanes {
    /// A value for each chunk.
    Values(Vec<Value>),
    /// The same in all lanes.
    Constant(u32),
    /// One value in all lanes.
    Uniform(Value),
    /// In memory.
    Load(Address),
    /// Arithmetic.
    Arith(Arith, Box<Lanes>, Box<Lanes>),
    /// A function.
    Unary(Unary, Box<Lanes>),
    /// A choice.
    Select(Box<MaskLanes>, Box<Lanes>, Box<Lanes>),
}

/// A mask, resolved: all ones or all zeros in a lane of 32 bits.
pub(super) enum MaskLanes {
    /// A value for each chunk.
    Values(Vec<Value>),
    /// A comparison.
    Compare(Compare, Lanes, Lanes),
    /// Bits of a word.
    Bits(Value),
    /// Both.
    And(Box<MaskLanes>, Box<MaskLanes>),
    /// Either.
    Or(Box<MaskLanes>, Box<MaskLanes>),
    /// Not.
    Not(Box<MaskLanes>),
}

/// Lanes change their type and nothing else.
pub(super) fn reinterpret() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

impl Emitter<'_, '_> {
    /// Resolves a row.
    pub(super) fn lanes(&mut self, row: &Row) -> Lanes {
        match row {
            Row::Reg(reg) => Lanes::Values(self.get(*reg)),
            Row::Const(bits, _) => Lanes::Constant(*bits),
            Row::Load(slot, at, _) => Lanes::Load(self.address(*slot, at, false)),
            Row::LoadSplat(slot, at, _) => {
                let from = self.address(*slot, at, true);
                Lanes::Uniform(self.builder.ins().load(types::F32, from.flags, from.base, from.offset))
            }
            Row::Splat(row, _) => Lanes::Uniform(self.first_lane(row)),
            Row::FromIndex(index, _) => {
                let index = self.index(index);
                Lanes::Uniform(self.builder.ins().fcvt_from_sint(types::F32, index))
            }
            Row::Arith(arith, a, b) => Lanes::Arith(*arith, Box::new(self.lanes(a)), Box::new(self.lanes(b))),
            Row::Unary(unary, row) => Lanes::Unary(*unary, Box::new(self.lanes(row))),
            Row::Select(mask, a, b) => {
                let mask = Box::new(self.mask_lanes(mask));
                Lanes::Select(mask, Box::new(self.lanes(a)), Box::new(self.lanes(b)))
            }
            Row::Fold(fold, row) => Lanes::Uniform(self.fold(*fold, row)),
        }
    }

    /// Resolves a mask.
    pub(super) fn mask_lanes(&mut self, mask: &Mask) -> MaskLanes {
        match mask {
            Mask::Reg(reg) => MaskLanes::Values(self.get(*reg)),
            Mask::Compare(compare, a, b) => MaskLanes::Compare(*compare, self.lanes(a), self.lanes(b)),
            Mask::FromWord(word, _) => MaskLanes::Bits(self.word(word)),
            Mask::And(a, b) => MaskLanes::And(Box::new(self.mask_lanes(a)), Box::new(self.mask_lanes(b))),
            Mask::Or(a, b) => MaskLanes::Or(Box::new(self.mask_lanes(a)), Box::new(self.mask_lanes(b))),
            Mask::Not(mask) => MaskLanes::Not(Box::new(self.mask_lanes(mask))),
        }
    }

    /// Lane 0 of a row, as a scalar.
    fn first_lane(&mut self, row: &Row) -> Value {
        let width = self.kernel.row_width(row);
        let lanes = self.lanes(row);
        let chunk = chunks(width).next().expect("a row has a lane");
        let value = self.chunk(&lanes, chunk);
        if chunk.vector { self.builder.ins().extractlane(value, 0) } else { value }
    }

    /// A reduction from lane 0 upwards, as a scalar.
    fn fold(&mut self, fold: Fold, row: &Row) -> Value {
        let width = self.kernel.row_width(row);
        let lanes = self.lanes(row);
        let mut total = None;
        for chunk in chunks(width) {
            let value = self.chunk(&lanes, chunk);
            for lane in 0..if chunk.vector { 4u8 } else { 1 } {
                let one = if chunk.vector { self.builder.ins().extractlane(value, lane) } else { value };
                total = Some(match (total, fold) {
                    (None, _) => one,
                    (Some(total), Fold::Sum) => self.builder.ins().fadd(total, one),
                    (Some(total), Fold::Max) => self.builder.ins().fmax(total, one),
                });
            }
        }
        total.expect("a row has a lane")
    }

    /// A chunk of a row.
    pub(super) fn chunk(&mut self, lanes: &Lanes, chunk: Chunk) -> Value {
        match lanes {
            Lanes::Values(values) => values[chunk.number],
            Lanes::Constant(bits) => {
                let value = self.builder.ins().f32const(Ieee32::with_bits(*bits));
                self.in_all(value, chunk)
            }
            Lanes::Uniform(value) => self.in_all(*value, chunk),
            Lanes::Load(from) => {
                let ty = chunk.pick(types::F32X4, types::F32);
                self.builder.ins().load(ty, from.flags, from.base, from.lane(chunk.lane))
            }
            Lanes::Arith(arith, a, b) => {
                let (a, b) = (self.chunk(a, chunk), self.chunk(b, chunk));
                let ins = self.builder.ins();
                match arith {
                    Arith::Add => ins.fadd(a, b),
                    Arith::Sub => ins.fsub(a, b),
                    Arith::Mul => ins.fmul(a, b),
                    Arith::Div => ins.fdiv(a, b),
                    Arith::Min => ins.fmin(a, b),
                    Arith::Max => ins.fmax(a, b),
                }
            }
            Lanes::Unary(unary, lanes) => {
                let value = self.chunk(lanes, chunk);
                match unary {
                    Unary::Neg => self.signs(value, chunk, true),
                    Unary::Abs => self.signs(value, chunk, false),
                    Unary::Sqrt => self.builder.ins().sqrt(value),
                    Unary::Exp => self.exp(value, chunk),
                    Unary::Ln => self.call(self.names.math.ln, value, chunk),
                }
            }
            Lanes::Select(mask, a, b) => self.select(mask, a, b, chunk),
        }
    }

    /// The signs flipped, or cleared. A mask from memory is less work than the one Cranelift would make of each
    /// vector anew.
    fn signs(&mut self, value: Value, chunk: Chunk, flip: bool) -> Value {
        if !chunk.vector {
            return if flip { self.builder.ins().fneg(value) } else { self.builder.ins().fabs(value) };
        }
        let sign = 0x8000_0000u32;
        let mask = self.constants([if flip { sign } else { !sign }; 4]);
        let bits = self.builder.ins().bitcast(types::I32X4, reinterpret(), value);
        let bits =
            if flip { self.builder.ins().bxor(bits, mask) } else { self.builder.ins().band(bits, mask) };
        self.builder.ins().bitcast(types::F32X4, reinterpret(), bits)
    }

    /// Four constants.
    pub(super) fn constants(&mut self, lanes: [u32; 4]) -> Value {
        let bytes: Vec<u8> = lanes.into_iter().flat_map(u32::to_le_bytes).collect();
        let constant = self.builder.func.dfg.constants.insert(ConstantData::from(bytes));
        self.builder.ins().vconst(types::I32X4, constant)
    }

    fn in_all(&mut self, value: Value, chunk: Chunk) -> Value {
        if chunk.vector { self.builder.ins().splat(types::F32X4, value) } else { value }
    }

    /// A choice. Against zero it is a single `and`: `spike ? 1 : 0`, `spike ? 0 : membrane`.
    fn select(&mut self, mask: &MaskLanes, a: &Lanes, b: &Lanes, chunk: Chunk) -> Value {
        let condition = self.mask_chunk(mask, chunk);
        if !chunk.vector {
            let (a, b) = (self.chunk(a, chunk), self.chunk(b, chunk));
            return self.builder.ins().select(condition, a, b);
        }
        let zero = |lanes: &Lanes| matches!(lanes, Lanes::Constant(0));
        if zero(a) || zero(b) {
            let kept = self.chunk(if zero(b) { a } else { b }, chunk);
            let kept = self.builder.ins().bitcast(types::I32X4, reinterpret(), kept);
            let result = if zero(b) {
                self.builder.ins().band(kept, condition)
            } else {
                let outside = self.builder.ins().bnot(condition);
                self.builder.ins().band(kept, outside)
            };
            return self.builder.ins().bitcast(types::F32X4, reinterpret(), result);
        }
        let (a, b) = (self.chunk(a, chunk), self.chunk(b, chunk));
        let condition = self.builder.ins().bitcast(types::F32X4, reinterpret(), condition);
        self.builder.ins().bitselect(condition, a, b)
    }

    /// A chunk of a mask.
    pub(super) fn mask_chunk(&mut self, mask: &MaskLanes, chunk: Chunk) -> Value {
        match mask {
            MaskLanes::Values(values) => values[chunk.number],
            MaskLanes::Compare(compare, a, b) => {
                let (a, b) = (self.chunk(a, chunk), self.chunk(b, chunk));
                let code = match compare {
                    Compare::Eq => FloatCC::Equal,
                    Compare::Lt => FloatCC::LessThan,
                    Compare::Le => FloatCC::LessThanOrEqual,
                    Compare::Gt => FloatCC::GreaterThan,
                    Compare::Ge => FloatCC::GreaterThanOrEqual,
                };
                let truth = self.builder.ins().fcmp(code, a, b);
                if chunk.vector { truth } else { self.builder.ins().bmask(types::I32, truth) }
            }
            MaskLanes::Bits(word) => self.bits_to_lanes(*word, chunk),
            MaskLanes::And(a, b) => {
                let (a, b) = (self.mask_chunk(a, chunk), self.mask_chunk(b, chunk));
                self.builder.ins().band(a, b)
            }
            MaskLanes::Or(a, b) => {
                let (a, b) = (self.mask_chunk(a, chunk), self.mask_chunk(b, chunk));
                self.builder.ins().bor(a, b)
            }
            MaskLanes::Not(mask) => {
                let mask = self.mask_chunk(mask, chunk);
                self.builder.ins().bnot(mask)
            }
        }
    }

    /// Spreads bits over lanes: each keeps its own bit of a copy of the word, and compares.
    fn bits_to_lanes(&mut self, word: Value, chunk: Chunk) -> Value {
        if !chunk.vector {
            let lane = self.constant(chunk.lane as i64);
            let moved = self.builder.ins().ushr(word, lane);
            let one = self.constant(1);
            let bit = self.builder.ins().band(moved, one);
            return self.builder.ins().bmask(types::I32, bit);
        }
        let half = self.builder.ins().ireduce(types::I32, word);
        let copies = self.builder.ins().splat(types::I32X4, half);
        let own = self.constants([0, 1, 2, 3].map(|i| 1 << (chunk.lane + i)));
        let kept = self.builder.ins().band(copies, own);
        self.builder.ins().icmp(IntCC::Equal, kept, own)
    }
}
