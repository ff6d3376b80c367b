//! Statements: loops, branches, sets and stores.
//!
//! A counted loop tests at its end. One that may run no turn is guarded, and has a block of its own before its body: what
//! Cranelift moves out of the loop lands there, behind the guard.
//!
//! ```text
//!   brif begin < end, before, after
//! before:
//!   jump body(begin)
//! body(i):
//!   …
//!   brif i + step < end, body(i + step), after
//! ```

use super::{Emitter, chunks};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value, types};
use snnc_kernel::body::{Access, Condition, Index, Reg, Row, Slot, Stmt, Width, Word};

impl Emitter<'_, '_> {
    /// The body once for each task of `begin..end`.
    pub(super) fn tasks(&mut self, begin: Value, end: Value) {
        let some = self.builder.ins().icmp(IntCC::UnsignedLessThan, begin, end);
        let (body, after) = self.open(Some(some), begin);
        self.task = self.param(body, 0);
        self.nested(0, false, |e| e.stmts(&e.kernel.body));
        let one = self.constant(1);
        let next = self.builder.ins().iadd(self.task, one);
        let more = self.builder.ins().icmp(IntCC::UnsignedLessThan, next, end);
        self.close(body, after, more, next);
    }

    /// Starts a loop whose body takes one value.
    fn open(&mut self, guard: Option<Value>, first: Value) -> (Block, Block) {
        let (body, after) = (self.builder.create_block(), self.builder.create_block());
        self.builder.append_block_param(body, types::I64);
        if let Some(guard) = guard {
            let before = self.builder.create_block();
            self.builder.ins().brif(guard, before, &[], after, &[]);
            self.builder.switch_to_block(before);
            self.builder.seal_block(before);
        }
        self.builder.ins().jump(body, &[first.into()]);
        self.builder.switch_to_block(body);
        (body, after)
    }

    /// Ends a loop: again with `next` if there is more.
    fn close(&mut self, body: Block, after: Block, more: Value, next: Value) {
        self.builder.ins().brif(more, body, &[next.into()], after, &[]);
        self.builder.seal_block(body);
        self.builder.switch_to_block(after);
        self.builder.seal_block(after);
    }

    /// A loop's body.
    fn nested(&mut self, floor: usize, over_bits: bool, body: impl FnOnce(&mut Self)) {
        let outside = (self.floor, self.over_bits);
        (self.floor, self.over_bits) = (floor, over_bits);
        self.depth += 1;
        body(self);
        self.depth -= 1;
        (self.floor, self.over_bits) = outside;
        // What changed in the loop no longer does, but may differ from turn to turn of the loop around it.
        for depth in &mut self.reg_depth {
            *depth = self.depth.min(*depth);
        }
    }

    fn set_counter(&mut self, reg: Reg, value: Value) {
        self.set(reg, 0, value);
        self.reg_depth[reg.0 as usize] = self.depth;
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::SetIndex(reg, index) => {
                let value = self.index(index);
                // A constant stays one, for what is computed from it.
                let (value, depth) = if matches!(index, Index::Const(_)) {
                    (value, 0)
                } else {
                    (self.anchor(value), self.depth)
                };
                self.set(*reg, 0, value);
                self.reg_depth[reg.0 as usize] = depth;
            }
            Stmt::SetRow(reg, row) => self.set_row(*reg, row),
            Stmt::SetMask(reg, mask) => {
                let n = self.kernel.mask_width(mask);
                let lanes = self.mask_lanes(mask);
                for chunk in chunks(n) {
                    let value = self.mask_chunk(&lanes, chunk);
                    self.set(*reg, chunk.number, value);
                }
            }
            Stmt::SetWord(reg, word) => {
                let value = self.word(word);
                self.set(*reg, 0, value);
            }
            Stmt::Store(slot, at, row) => self.store_row(*slot, at, row),
            Stmt::StoreWord(slot, at, word, width) => self.store_word(*slot, at, word, *width),
            Stmt::For { reg, begin, end, step, down, body } => {
                self.for_loop(*reg, (begin, end), if *down { -1 } else { *step }, body);
            }
            Stmt::If { condition, then, otherwise } => self.branch(condition, then, otherwise),
            Stmt::EachBit { reg, word, body } => self.each_bit(*reg, word, body),
            Stmt::AddRows(walk) => self.walk(self.wide().add_rows, walk, None),
            Stmt::AddWindow(window) => self.add_window(self.wide().add_window, window),
            Stmt::Fire(fire) => {
                let wide = self.wide();
                self.fire(if fire.above { wide.fire_above } else { wide.fire }, fire);
            }
            Stmt::AddTaps(taps) => self.add_taps(self.wide().add_taps, taps),
            Stmt::DotRows(walk, with) => self.walk(self.wide().dot_rows, walk, Some(with)),
            Stmt::ListPatterns(lists) => self.list_patterns(self.wide().list_patterns, lists),
            Stmt::AddPatterns(walk) => self.add_patterns(self.wide().add_patterns, walk),
            Stmt::SumGroups(groups) => self.sum_groups(self.wide().sum_groups, groups),
            Stmt::AddGroups(lookup) => self.add_groups(self.wide().add_groups, lookup),
            Stmt::Map(map) => self.map(map),
            Stmt::Turn { from, to } => self.turn(self.wide().turn, from, to),
        }
    }

    fn set_row(&mut self, reg: Reg, row: &Row) {
        let n = self.kernel.row_width(row);
        let lanes = self.lanes(row);
        for chunk in chunks(n) {
            let value = self.chunk(&lanes, chunk);
            self.set(reg, chunk.number, value);
        }
    }

    /// Stores chunk by chunk, so that few registers are held, unless that could change what a later chunk loads.
    fn store_row(&mut self, slot: Slot, at: &Index, row: &Row) {
        let n = self.kernel.row_width(row);
        let lanes = self.lanes(row);
        let address = self.address(slot, at, false);
        let first = if self.loads_elsewhere(row, slot, at) {
            chunks(n).map(|chunk| self.chunk(&lanes, chunk)).collect()
        } else {
            Vec::new()
        };
        for chunk in chunks(n) {
            let value = first.get(chunk.number).copied().unwrap_or_else(|| self.chunk(&lanes, chunk));
            self.builder.ins().store(address.flags, value, address.base, address.lane(chunk.lane));
        }
    }

    /// Whether a row loads lanes from another place of what `slot` may overlap.
    fn loads_elsewhere(&self, row: &Row, slot: Slot, at: &Index) -> bool {
        match row {
            Row::Load(from, index, _) => {
                let access = |slot: Slot| self.kernel.slot(slot).access;
                match (access(*from), access(slot)) {
                    (Access::Write, Access::Write) => *from != slot || **index != *at,
                    (Access::Scratch(_), Access::Scratch(_)) => *from == slot && **index != *at,
                    (Access::Read | Access::Write | Access::Scratch(_), _) => false,
                }
            }
            Row::Arith(_, a, b) => self.loads_elsewhere(a, slot, at) || self.loads_elsewhere(b, slot, at),
            // The mask's rows are loaded chunk by chunk too; staged rather than searched.
            Row::Select(_, _, _) => true,
            Row::Unary(_, row) => self.loads_elsewhere(row, slot, at),
            // Evaluated once, before the first store.
            Row::Reg(_)
            | Row::Const(_, _)
            | Row::LoadSplat(_, _, _)
            | Row::Splat(_, _)
            | Row::FromIndex(_, _)
            | Row::Fold(_, _) => false,
        }
    }

    fn store_word(&mut self, slot: Slot, at: &Index, word: &Word, width: Width) {
        let value = self.word(word);
        let address = self.address(slot, at, false);
        let ins = self.builder.ins();
        match width {
            Width::Half => ins.istore32(address.flags, value, address.base, address.offset),
            Width::Full => ins.store(address.flags, value, address.base, address.offset),
        };
    }

    fn for_loop(&mut self, reg: Reg, (begin, end): (&Index, &Index), step: i64, stmts: &[Stmt]) {
        let (certain, turns) = match (begin, end) {
            (Index::Const(from), Index::Const(to)) => (true, to.saturating_sub(*from)),
            _ => (false, i64::MAX),
        };
        if turns <= 0 {
            return;
        }
        let (begin, end) = (self.index(begin), self.index(end));
        let guard = (!certain).then(|| self.builder.ins().icmp(IntCC::SignedLessThan, begin, end));
        let by = self.constant(step);
        let first = if step < 0 { self.builder.ins().iadd(end, by) } else { begin };
        let (body, after) = self.open(guard, first);
        let counter = self.param(body, 0);
        let floor = if certain { self.floor } else { self.depth };
        self.nested(floor, false, |e| {
            e.set_counter(reg, counter);
            e.stmts(stmts);
        });
        let by = self.constant(step);
        let next = self.builder.ins().iadd(counter, by);
        let more = if step < 0 {
            self.builder.ins().icmp(IntCC::SignedGreaterThanOrEqual, next, begin)
        } else {
            self.builder.ins().icmp(IntCC::SignedLessThan, next, end)
        };
        self.close(body, after, more, next);
    }

    fn branch(&mut self, condition: &Condition, then: &[Stmt], otherwise: &[Stmt]) {
        let condition = self.condition(condition);
        let after = self.builder.create_block();
        let on_true = self.builder.create_block();
        let on_false = if otherwise.is_empty() { after } else { self.builder.create_block() };
        self.builder.ins().brif(condition, on_true, &[], on_false, &[]);
        let sides: &[(Block, &[Stmt])] = &[(on_true, then), (on_false, otherwise)];
        for (block, stmts) in sides.iter().filter(|(block, _)| *block != after) {
            self.builder.switch_to_block(*block);
            self.builder.seal_block(*block);
            let outside = std::mem::replace(&mut self.floor, self.depth);
            self.stmts(stmts);
            self.floor = outside;
            self.builder.ins().jump(after, &[]);
        }
        self.builder.switch_to_block(after);
        self.builder.seal_block(after);
    }

    /// This loop tests at its start, so that a row summed in it is passed on once: passed on twice, to the next
    /// turn and to what follows, its loads could not become operands of the additions.
    fn each_bit(&mut self, reg: Reg, word: &Word, stmts: &[Stmt]) {
        let word = self.word(word);
        let [test, body, after] = [(); 3].map(|()| self.builder.create_block());
        let left = self.builder.append_block_param(test, types::I64);
        self.builder.ins().jump(test, &[word.into()]);
        self.builder.switch_to_block(test);
        // The body comes second: Cranelift looks at the last successor's blocks first when it moves code out of
        // loops, and forgets the loops around `after` on its way.
        let none = self.builder.ins().icmp_imm_u(IntCC::Equal, left, 0);
        self.builder.ins().brif(none, after, &[], body, &[]);
        self.builder.switch_to_block(body);
        self.builder.seal_block(body);
        // What left the loop would run without a turn.
        self.nested(self.depth + 1, true, |e| {
            let bit = e.builder.ins().ctz(left);
            e.set_counter(reg, bit);
            e.stmts(stmts);
        });
        let minus_one = self.constant(-1);
        let less = self.builder.ins().iadd(left, minus_one);
        let rest = self.builder.ins().band(left, less);
        self.builder.ins().jump(test, &[rest.into()]);
        self.builder.seal_block(test);
        self.builder.switch_to_block(after);
        self.builder.seal_block(after);
    }
}
