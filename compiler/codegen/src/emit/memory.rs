//! Slots, index arithmetic and addresses.
//!
//! An index is brought into the form `c + Σ factor·atom`, and an address sums its terms from the outermost loop
//! inwards: what does not change in a loop is a prefix of the sum, which Cranelift moves out of that loop. The
//! constant goes into the instruction.

use super::Emitter;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AliasRegion, AliasRegionData, InstBuilder, InstructionData, MemFlagsData, Opcode, Value,
    immediates::Offset32, types,
};
use cranelift_frontend::FunctionBuilder;
use snnc_kernel::body::{Access, Compare, Condition, Index, Kernel, Reg, Slot};

/// Bytes of an element of a slot.
const ELEMENT: i64 = 4;

/// The kinds of memory that never overlap: what is read, what is written, each piece of scratch.
pub(super) struct Memory {
    read: AliasRegion,
    written: AliasRegion,
    scratch: Vec<AliasRegion>,
}

/// Where a slot lies.
pub(super) struct SlotMemory {
    base: Value,
    region: AliasRegion,
    readonly: bool,
}

/// A place in memory.
#[derive(Clone, Copy)]
pub(super) struct Address {
    pub(super) base: Value,
    pub(super) offset: i32,
    pub(super) flags: MemFlagsData,
}

impl Address {
    /// The offset of a lane.
    pub(super) fn lane(self, lane: usize) -> Offset32 {
        Offset32::new(self.offset + (lane as i64 * ELEMENT) as i32)
    }
}

/// `constant + Σ factor·value`.
struct Linear {
    terms: Vec<Term>,
    constant: i64,
}

struct Term {
    value: Value,
    factor: i64,
    /// The value changes at least in the loop of this depth.
    depth: usize,
}

impl Linear {
    fn of(value: Value, depth: usize) -> Linear {
        Linear { terms: vec![Term { value, factor: 1, depth }], constant: 0 }
    }

    fn scaled(mut self, by: i64) -> Linear {
        self.constant = self.constant.wrapping_mul(by);
        for term in &mut self.terms {
            term.factor = term.factor.wrapping_mul(by);
        }
        self
    }

    fn plus(mut self, other: Linear) -> Linear {
        self.constant = self.constant.wrapping_add(other.constant);
        for term in other.terms {
            match self.terms.iter_mut().find(|t| t.value == term.value) {
                Some(same) => same.factor = same.factor.wrapping_add(term.factor),
                None => self.terms.push(term),
            }
        }
        self
    }

    fn depth(&self) -> usize {
        self.terms.iter().filter(|t| t.factor != 0).map(|t| t.depth).max().unwrap_or(0)
    }
}

impl Memory {
    pub(super) fn new(kernel: &Kernel, builder: &mut FunctionBuilder<'_>) -> Memory {
        let mut next = 0;
        let mut region = |description: &'static str| {
            next += 1;
            let data = AliasRegionData { user_id: next, description: description.into() };
            builder.func.dfg.alias_regions.insert(data)
        };
        let (read, written) = (region("read"), region("written"));
        let scratch = kernel.slots.iter().filter(|s| matches!(s.access, Access::Scratch(_)));
        Memory { read, written, scratch: scratch.map(|_| region("scratch")).collect() }
    }

    /// Loads the pointers of all slots, and the batch, from the struct of arguments.
    pub(super) fn load_arguments(
        &self,
        kernel: &Kernel,
        builder: &mut FunctionBuilder<'_>,
        args: Value,
    ) -> (Vec<SlotMemory>, Value) {
        let flags = self.fixed();
        let buffers = builder.ins().load(types::I64, flags, args, 0);
        let batch = builder.ins().load(types::I64, flags, args, 8);
        let scratch = builder.ins().load(types::I64, flags, args, 16);
        let (mut buffer, mut offset) = (0, 0);
        let mut pieces = self.scratch.iter();
        let mut slots = Vec::with_capacity(kernel.slots.len());
        for slot in &kernel.slots {
            let (base, region) = match slot.access {
                Access::Read | Access::Write => {
                    let base = builder.ins().load(types::I64, flags, buffers, buffer * 8);
                    buffer += 1;
                    (base, if slot.access == Access::Read { self.read } else { self.written })
                }
                Access::Scratch(_) => {
                    let step = builder.ins().iconst(types::I64, offset);
                    offset += slot.scratch_bytes() as i64;
                    (builder.ins().iadd(scratch, step), *pieces.next().expect("a region for each piece"))
                }
            };
            slots.push(SlotMemory { base, region, readonly: slot.access == Access::Read });
        }
        (slots, batch)
    }

    /// Flags of a load that finds the same at any time of the call and anywhere in the function.
    fn fixed(&self) -> MemFlagsData {
        MemFlagsData::trusted().with_readonly().with_can_move().with_alias_region(Some(self.read))
    }
}

impl Emitter<'_, '_> {
    /// The place of an element. A load that may move becomes an operand of arithmetic, stands beside its use, and
    /// leaves the loops it does not depend on.
    ///
    /// A `single` element may move where that is safe. A row always may, but not out of the loop around: it takes up
    /// to half of the registers, and keeping one across a loop is for the kernel to say. Loops over bits are so
    /// short that the bit's part of the sum goes into the instruction's operand instead.
    pub(super) fn address(&mut self, slot: Slot, index: &Index, single: bool) -> Address {
        let linear = self.linear(index).scaled(ELEMENT);
        let depth = linear.depth();
        let SlotMemory { base, region, readonly } = self.slots[slot.0 as usize];
        // The widest row lies within 128 bytes of the constant.
        let fits = linear.constant.checked_add(128).is_some_and(|c| i32::try_from(c).is_ok())
            && i32::try_from(linear.constant).is_ok();
        let (offset, rest) = if fits { (linear.constant as i32, 0) } else { (0, linear.constant) };
        let mut base = self.sum(Some(base), Linear { terms: linear.terms, constant: rest });
        let mut flags = MemFlagsData::new().with_notrap().with_alias_region(Some(region));
        if readonly {
            flags = flags.with_readonly();
            if !single || depth >= self.floor {
                flags = flags.with_can_move();
            }
            if !single && (depth < self.depth || !self.over_bits) {
                base = self.anchor(base);
            }
        }
        Address { base, offset, flags }
    }

    /// The value of an index.
    pub(super) fn index(&mut self, index: &Index) -> Value {
        let linear = self.linear(index);
        self.sum(None, linear)
    }

    /// The value of an index, and the depth of a loop that it changes in.
    fn index_depth(&mut self, index: &Index) -> (Value, usize) {
        let linear = self.linear(index);
        let depth = linear.depth();
        (self.sum(None, linear), depth)
    }

    fn sum(&mut self, start: Option<Value>, mut linear: Linear) -> Value {
        linear.terms.retain(|t| t.factor != 0);
        linear.terms.sort_by_key(|t| t.depth);
        let mut total = start;
        for term in &linear.terms {
            let value = self.times(term.value, term.factor);
            total = Some(match total {
                Some(total) => self.builder.ins().iadd(total, value),
                None => value,
            });
        }
        match total {
            None => self.constant(linear.constant),
            Some(total) if linear.constant == 0 => total,
            Some(total) => {
                let constant = self.constant(linear.constant);
                self.builder.ins().iadd(total, constant)
            }
        }
    }

    fn times(&mut self, value: Value, factor: i64) -> Value {
        if factor == 1 {
            return value;
        }
        let power = factor > 0 && factor & (factor - 1) == 0;
        let by = self.constant(if power { i64::from(factor.trailing_zeros()) } else { factor });
        if power { self.builder.ins().ishl(value, by) } else { self.builder.ins().imul(value, by) }
    }

    fn linear(&mut self, index: &Index) -> Linear {
        match index {
            Index::Const(constant) => Linear { terms: Vec::new(), constant: *constant },
            Index::Reg(reg) => self.register(*reg),
            Index::Task => Linear::of(self.task, 1),
            Index::Batch => Linear::of(self.batch, 0),
            Index::Add(a, b) => self.linear(a).plus(self.linear(b)),
            Index::Sub(a, b) => self.linear(a).plus(self.linear(b).scaled(-1)),
            Index::Mul(a, b) => self.product(a, b),
            Index::Div(a, by) => self.division(a, *by, true),
            Index::Rem(a, by) => self.division(a, *by, false),
            Index::Min(a, b) => self.extreme(a, b, true),
            Index::Max(a, b) => self.extreme(a, b, false),
            Index::Label(slot, at) => {
                let depth = self.linear(at).depth();
                let address = self.address(*slot, at, true);
                let label = self.builder.ins().sload32(address.flags, address.base, address.offset);
                Linear::of(label, depth)
            }
            Index::Popcount(word) => {
                let word = self.word(word);
                Linear::of(self.builder.ins().popcnt(word), self.depth)
            }
            Index::Number(word) => Linear::of(self.word(word), self.depth),
        }
    }

    /// A register: its constant, if that is what was set.
    fn register(&mut self, reg: Reg) -> Linear {
        let value = self.get_scalar(reg);
        let dfg = &self.builder.func.dfg;
        let constant = dfg.value_def(value).inst().and_then(|inst| match dfg.insts[inst] {
            InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => Some(imm.bits()),
            _ => None,
        });
        match constant {
            Some(constant) => Linear { terms: Vec::new(), constant },
            None => Linear::of(value, self.reg_depth[reg.0 as usize]),
        }
    }

    fn product(&mut self, a: &Index, b: &Index) -> Linear {
        let (left, right) = (self.linear(a), self.linear(b));
        if left.terms.is_empty() {
            return right.scaled(left.constant);
        }
        if right.terms.is_empty() {
            return left.scaled(right.constant);
        }
        let depth = left.depth().max(right.depth());
        let (left, right) = (self.sum(None, left), self.sum(None, right));
        Linear::of(self.builder.ins().imul(left, right), depth)
    }

    /// The quotient or the remainder: the number is not negative, so shifts and masks do for powers of two.
    fn division(&mut self, number: &Index, by: i64, quotient: bool) -> Linear {
        if by == 1 {
            return self.linear(number).scaled(i64::from(quotient));
        }
        let (number, depth) = self.index_depth(number);
        let power = by & (by - 1) == 0;
        let operand = match (power, quotient) {
            (true, true) => i64::from(by.trailing_zeros()),
            (true, false) => by - 1,
            (false, _) => by,
        };
        let operand = self.constant(operand);
        let ins = self.builder.ins();
        let value = match (power, quotient) {
            (true, true) => ins.ushr(number, operand),
            (true, false) => ins.band(number, operand),
            (false, true) => ins.udiv(number, operand),
            (false, false) => ins.urem(number, operand),
        };
        Linear::of(value, depth)
    }

    fn extreme(&mut self, a: &Index, b: &Index, smaller: bool) -> Linear {
        let ((a, in_a), (b, in_b)) = (self.index_depth(a), self.index_depth(b));
        let ins = self.builder.ins();
        let value = if smaller { ins.smin(a, b) } else { ins.smax(a, b) };
        Linear::of(value, in_a.max(in_b))
    }

    /// The same value, computed here. Cranelift computes what has no effect where it is used, and takes it out of one
    /// loop only if a constant is involved: a sum over the counters of six loops would be made anew in the fifth.
    /// An instruction of two results stays where it is, and so does what needs it; this one is no machine code.
    pub(super) fn anchor(&mut self, value: Value) -> Value {
        let pair = self.builder.ins().iconcat(value, value);
        self.builder.ins().isplit(pair).0
    }

    /// The truth of a condition.
    pub(super) fn condition(&mut self, condition: &Condition) -> Value {
        let (left, right) = (self.index(&condition.left), self.index(&condition.right));
        let code = match condition.compare {
            Compare::Eq => IntCC::Equal,
            Compare::Lt => IntCC::SignedLessThan,
            Compare::Le => IntCC::SignedLessThanOrEqual,
            Compare::Gt => IntCC::SignedGreaterThan,
            Compare::Ge => IntCC::SignedGreaterThanOrEqual,
        };
        self.builder.ins().icmp(code, left, right)
    }
}
