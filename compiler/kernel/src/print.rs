//! The text form of kernels, for dumps and snapshots.
//!
//! ```text
//! kernel @proj2 (x: bits read, w: f32 read, y: f32 write, sums: f32 scratch 64) {
//!   for p in 0..256 {
//!     acc : f32[32] = 0
//!     each_bit ci of load64 x[p*2] {
//!       acc = acc + load w[ci*32]
//!     }
//!     store y[(task*256 + p)*32] : f32[32] = acc
//!   }
//! }
//! ```
//!
//! A register's type stands where the text first sets it. Registers and slots of equal names get a number behind
//! the name, so that the text says which is meant.

use crate::body::{
    Access, Arith, Compare, Current, Curve, Fire, Fold, GROUP, Grid, Index, Kernel, Map, Mask, PatternLists,
    PatternWalk, Reg, RegType, Row, Run, Slot, SlotElem, Stmt, TapWalk, Unary, Walk, Width, WindowWalk, Word,
};
use std::collections::HashSet;
use std::fmt::{self, Display, Formatter, Write};

impl Display for Kernel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut printer = Printer::new(self);
        printer.kernel();
        f.write_str(&printer.text)
    }
}

impl Display for RegType {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            RegType::Index => f.write_str("index"),
            RegType::Word => f.write_str("u64"),
            RegType::Row(n) => write!(f, "f32[{n}]"),
            RegType::Mask(n) => write!(f, "mask[{n}]"),
        }
    }
}

impl Display for SlotElem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SlotElem::F32 => "f32",
            SlotElem::Bits => "bits",
            SlotElem::I32 => "i32",
        })
    }
}

impl Display for Access {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Access::Read => f.write_str("read"),
            Access::Write => f.write_str("write"),
            Access::Scratch(elements) => write!(f, "scratch {elements}"),
        }
    }
}

/// The sign of a comparison.
fn sign(compare: Compare) -> &'static str {
    match compare {
        Compare::Eq => "==",
        Compare::Lt => "<",
        Compare::Le => "<=",
        Compare::Gt => ">",
        Compare::Ge => ">=",
    }
}

/// How tightly an expression holds together; an operand that holds less stands in parentheses.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Bond {
    Sum,
    Product,
    Atom,
}

struct Printer<'k> {
    kernel: &'k Kernel,
    regs: Vec<String>,
    slots: Vec<String>,
    /// Registers whose type was printed.
    typed: HashSet<Reg>,
    depth: usize,
    text: String,
}

impl<'k> Printer<'k> {
    fn new(kernel: &'k Kernel) -> Self {
        let mut taken = HashSet::new();
        let slots = kernel.slots.iter().map(|s| unique(&s.name, &mut taken)).collect();
        let regs = kernel.regs.iter().map(|r| unique(&r.name, &mut taken)).collect();
        Printer { kernel, regs, slots, typed: HashSet::new(), depth: 0, text: String::new() }
    }

    fn kernel(&mut self) {
        let slots = self.kernel.slots.iter().zip(&self.slots);
        let slots: Vec<String> = slots.map(|(s, name)| format!("{name}: {} {}", s.elem, s.access)).collect();
        let head = format!("kernel @{} ({}) {{", self.kernel.name, slots.join(", "));
        self.line(&head);
        self.block(&self.kernel.body);
        self.line("}");
    }

    fn line(&mut self, text: &str) {
        let width = self.depth * 2;
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{:width$}{text}", "");
    }

    fn block(&mut self, stmts: &[Stmt]) {
        self.depth += 1;
        for stmt in stmts {
            self.stmt(stmt);
        }
        self.depth -= 1;
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::SetIndex(reg, index) => self.set(*reg, &self.index(index)),
            Stmt::SetRow(reg, row) => self.set(*reg, &self.row(row)),
            Stmt::SetMask(reg, mask) => self.set(*reg, &self.mask(mask)),
            Stmt::SetWord(reg, word) => self.set(*reg, &self.word(word)),
            Stmt::Store(slot, at, row) => {
                let ty = RegType::Row(self.kernel.row_width(row));
                self.line(&format!("store {} : {ty} = {}", self.place(*slot, at), self.row(row)));
            }
            Stmt::StoreWord(slot, at, word, width) => {
                let line = format!("store{} {} = {}", bits(*width), self.place(*slot, at), self.word(word));
                self.line(&line);
            }
            Stmt::For { reg, begin, end, step, down, body } => {
                let (begin, end) = (self.operand(begin, Bond::Atom), self.operand(end, Bond::Atom));
                let step = if *step == 1 { String::new() } else { format!(" step {step}") };
                let down = if *down { " down" } else { "" };
                self.nest(&format!("for {} in {begin}..{end}{step}{down} {{", self.reg(*reg)), body);
                self.line("}");
            }
            Stmt::If { condition, then, otherwise } => {
                let (left, right) = (self.index(&condition.left), self.index(&condition.right));
                self.nest(&format!("if {left} {} {right} {{", sign(condition.compare)), then);
                if !otherwise.is_empty() {
                    self.nest("} else {", otherwise);
                }
                self.line("}");
            }
            Stmt::EachBit { reg, word, body } => {
                self.nest(&format!("each_bit {} of {} {{", self.reg(*reg), self.word(word)), body);
                self.line("}");
            }
            Stmt::AddRows(walk) => {
                let line = format!("add_rows {} += {}", self.run("i", &walk.sums), self.rows(walk));
                self.line(&format!("{line} for {}", self.positions(walk)));
            }
            Stmt::AddWindow(window) => self.add_window(window),
            Stmt::Fire(fire) => self.fire(fire),
            Stmt::AddTaps(taps) => self.add_taps(taps),
            Stmt::DotRows(walk, with) => {
                let with = self.run("i", with);
                let line = format!("dot_rows {} += {} . {with}", self.run("j", &walk.sums), self.rows(walk));
                self.line(&format!("{line} for {}", self.positions(walk)));
            }
            Stmt::ListPatterns(lists) => self.list_patterns(lists),
            Stmt::AddPatterns(walk) => self.add_patterns(walk),
            Stmt::SumGroups(groups) => {
                let table = self.place(groups.table.0, &groups.table.1);
                let rows = format!("{} : f32[{}]", self.run("k", &groups.rows), groups.lanes);
                self.line(&format!("sum_groups {table} = {rows} for k in 0..{} by {GROUP}", groups.count));
            }
            Stmt::AddGroups(lookup) => {
                let table = self.place(lookup.table.0, &lookup.table.1);
                let line =
                    format!("add_groups {} += {table} : f32[{}]", self.run("i", &lookup.sums), lookup.lanes);
                let count = self.operand(&lookup.count, Bond::Atom);
                let bits = self.run("i", &lookup.bits);
                self.line(&format!(
                    "{line} for i in 0..{count}, {} groups of {GROUP} of {bits}",
                    lookup.groups
                ));
            }
            Stmt::Map(Map { curve, count, from, to }) => {
                let curve = match curve {
                    Curve::Exp => "exp",
                    Curve::Sigmoid => "sigmoid",
                };
                let (to, from) = (self.place(to.0, &to.1), self.place(from.0, &from.1));
                self.line(&format!("map {to} : f32[{count}] = {curve}({from})"));
            }
            Stmt::Turn { from, to } => {
                let line = format!("turn {} = {}", self.place(to.0, &to.1), self.place(from.0, &from.1));
                self.line(&line);
            }
        }
    }

    fn fire(&mut self, fire: &Fire) {
        let [decay, gain, threshold, reset, first] = fire.constants.map(f32::from_bits);
        let over_time =
            |run: &Run, time: &Index| format!("{} by {}", self.run("i", run), self.operand(time, Bond::Atom));
        let current = |(current, run, time): &(Current, Run, Index)| match current {
            Current::Numbers => over_time(run, time),
            Current::Bits => format!("bits({})", over_time(run, time)),
        };
        let currents = fire.currents.iter().map(current).collect::<Vec<_>>().join(" + ");
        let spikes = over_time(&fire.spikes.0, &fire.spikes.1);
        let (compare, count) = (if fire.above { ">" } else { ">=" }, self.operand(&fire.count, Bond::Atom));
        let line = format!(
            "fire {spikes} = v*{decay} + ({currents})*{gain} {compare} {threshold} : f32[{}] from {first}, then {reset}, \
             for {} timesteps, i in 0..{count}",
            fire.lanes, fire.steps
        );
        self.line(&line);
    }

    fn add_window(&mut self, WindowWalk { walk, taps, bits, rows }: &WindowWalk) {
        let (sums, row) = (self.run("i", &walk.sums), self.run("k", &walk.rows));
        let [y, x] = [0, 1].map(|axis| self.operand(&taps[axis], Bond::Atom));
        self.line(&format!(
            "add_window {sums} += {row} : f32[{}] by {} and {} for {y} x {x} taps, {} by {} and {}",
            walk.lanes,
            rows[0],
            rows[1],
            self.positions(walk),
            bits[0],
            bits[1]
        ));
    }

    fn add_taps(&mut self, TapWalk { walk, word, taps, steps, apart, over }: &TapWalk) {
        let [rows, columns] = taps;
        let [down, beside] = steps;
        let over = over.map_or(String::new(), |over| {
            format!(", {} timesteps {} apart by {}", over.steps, over.words, over.pattern)
        });
        let (sums, row) = (self.run("i", &walk.sums), self.run("k", &walk.rows));
        self.line(&format!(
            "add_taps {sums} by {apart} += {row} : f32[{}] by {down} and {beside} for {rows}x{columns} taps, {} {word} apart{over}",
            walk.lanes,
            self.positions(walk)
        ));
    }

    fn list_patterns(&mut self, lists: &PatternLists) {
        let (to, from) = (self.run("i", &lists.lists), self.run("i", &lists.bits));
        let (count, time) = (self.operand(&lists.count, Bond::Atom), self.operand(&lists.time, Bond::Atom));
        let (words, steps) = (lists.words, lists.steps);
        self.line(&format!(
            "list_patterns {to} = {words} words {from} for i in 0..{count}, {steps} timesteps {time} apart"
        ));
    }

    fn add_patterns(&mut self, walk: &PatternWalk) {
        let sums = self.run("t", &walk.sums);
        let (rows, lists) = (self.grid(&walk.rows), self.grid(&walk.lists));
        let [y, x] = [0, 1].map(|axis| self.operand(&walk.taps[axis], Bond::Atom));
        let (row, lanes, steps, most) = (walk.row, walk.lanes, walk.steps, walk.most);
        let order = &self.slots[walk.order.0 as usize];
        self.line(&format!(
            "add_patterns {sums} += {rows} + k*{row} : f32[{lanes}] for row in 0..{y}, column in 0..{x}, k of {lists}, \
             {steps} timesteps, at most {most} by {order}"
        ));
    }

    fn grid(&self, grid: &Grid) -> String {
        let [rows, columns] = grid.steps;
        format!(
            "{}[{} + row*{rows} + column*{columns}]",
            self.slots[grid.slot.0 as usize],
            self.index(&grid.at)
        )
    }

    fn run(&self, counter: &str, run: &Run) -> String {
        let step = Index::from(run.step);
        let place = self.index(&run.at);
        format!("{}[{place} + {counter}*{}]", self.slots[run.slot.0 as usize], self.index(&step))
    }

    fn rows(&self, walk: &Walk) -> String {
        format!("{} : f32[{}]", self.run("k", &walk.rows), walk.lanes)
    }

    fn positions(&self, walk: &Walk) -> String {
        let count = self.operand(&walk.count, Bond::Atom);
        let bits = self.run("i", &walk.bits);
        format!("i in 0..{count}, k of {} words {bits}", walk.words)
    }

    fn nest(&mut self, head: &str, body: &[Stmt]) {
        self.line(head);
        self.block(body);
    }

    fn set(&mut self, reg: Reg, value: &str) {
        let name = self.reg(reg).to_string();
        if self.typed.insert(reg) {
            self.line(&format!("{name} : {} = {value}", self.kernel.reg(reg).ty));
        } else {
            self.line(&format!("{name} = {value}"));
        }
    }

    fn reg(&self, reg: Reg) -> &str {
        &self.regs[reg.0 as usize]
    }

    fn place(&self, slot: Slot, at: &Index) -> String {
        format!("{}[{}]", self.slots[slot.0 as usize], self.index(at))
    }

    fn index(&self, index: &Index) -> String {
        let infix = |a: &Index, sign: &str, b: &Index, left: Bond, right: Bond| {
            format!("{}{sign}{}", self.operand(a, left), self.operand(b, right))
        };
        match index {
            Index::Const(value) => value.to_string(),
            Index::Reg(reg) => self.reg(*reg).to_string(),
            Index::Task => "task".to_string(),
            Index::Batch => "batch".to_string(),
            Index::Add(a, b) => infix(a, " + ", b, Bond::Sum, Bond::Sum),
            Index::Sub(a, b) => infix(a, " - ", b, Bond::Sum, Bond::Product),
            Index::Mul(a, b) => infix(a, "*", b, Bond::Product, Bond::Atom),
            Index::Div(a, by) => format!("{}/{by}", self.operand(a, Bond::Product)),
            Index::Rem(a, by) => format!("{}%{by}", self.operand(a, Bond::Product)),
            Index::Min(a, b) => format!("min({}, {})", self.index(a), self.index(b)),
            Index::Max(a, b) => format!("max({}, {})", self.index(a), self.index(b)),
            Index::Label(slot, at) => format!("label {}", self.place(*slot, at)),
            Index::Popcount(word) => format!("popcount({})", self.word(word)),
            Index::Number(word) => format!("number({})", self.word(word)),
        }
    }

    fn operand(&self, index: &Index, needed: Bond) -> String {
        let bond = match index {
            Index::Add(_, _) | Index::Sub(_, _) => Bond::Sum,
            Index::Mul(_, _) | Index::Div(_, _) | Index::Rem(_, _) => Bond::Product,
            Index::Const(_)
            | Index::Reg(_)
            | Index::Task
            | Index::Batch
            | Index::Min(_, _)
            | Index::Max(_, _)
            | Index::Label(_, _)
            | Index::Popcount(_)
            | Index::Number(_) => Bond::Atom,
        };
        let text = self.index(index);
        if bond < needed { format!("({text})") } else { text }
    }

    fn row(&self, row: &Row) -> String {
        match row {
            Row::Reg(reg) => self.reg(*reg).to_string(),
            Row::Const(bits, _) => f32::from_bits(*bits).to_string(),
            Row::Load(slot, at, _) => format!("load {}", self.place(*slot, at)),
            Row::LoadSplat(slot, at, _) => format!("splat {}", self.place(*slot, at)),
            Row::Splat(row, _) => format!("splat({})", self.row(row)),
            Row::FromIndex(index, _) => format!("f32({})", self.index(index)),
            Row::Arith(arith, a, b) => self.arith(*arith, a, b),
            Row::Unary(unary, row) => {
                let name = match unary {
                    Unary::Neg => "-",
                    Unary::Abs => "abs",
                    Unary::Sqrt => "sqrt",
                    Unary::Exp => "exp",
                    Unary::Ln => "ln",
                };
                format!("{name}({})", self.row(row))
            }
            Row::Select(mask, a, b) => {
                format!("select({}, {}, {})", self.mask(mask), self.row(a), self.row(b))
            }
            Row::Fold(fold, row) => {
                let name = match fold {
                    Fold::Sum => "sum",
                    Fold::Max => "max",
                };
                format!("{name}[{}]({})", self.kernel.row_width(row), self.row(row))
            }
        }
    }

    fn arith(&self, arith: Arith, a: &Row, b: &Row) -> String {
        let infix = |sign: &str, left: Bond, right: Bond| {
            format!("{}{sign}{}", self.row_operand(a, left), self.row_operand(b, right))
        };
        match arith {
            // A sum is not associative: a right operand keeps its parentheses.
            Arith::Add => infix(" + ", Bond::Sum, Bond::Product),
            Arith::Sub => infix(" - ", Bond::Sum, Bond::Product),
            Arith::Mul => infix(" * ", Bond::Product, Bond::Atom),
            Arith::Div => infix(" / ", Bond::Product, Bond::Atom),
            Arith::Min => format!("min({}, {})", self.row(a), self.row(b)),
            Arith::Max => format!("max({}, {})", self.row(a), self.row(b)),
        }
    }

    fn row_operand(&self, row: &Row, needed: Bond) -> String {
        let bond = match row {
            Row::Arith(Arith::Add | Arith::Sub, _, _) => Bond::Sum,
            Row::Arith(Arith::Mul | Arith::Div, _, _) => Bond::Product,
            Row::Arith(Arith::Min | Arith::Max, _, _)
            | Row::Reg(_)
            | Row::Const(_, _)
            | Row::Load(_, _, _)
            | Row::LoadSplat(_, _, _)
            | Row::Splat(_, _)
            | Row::FromIndex(_, _)
            | Row::Unary(_, _)
            | Row::Select(_, _, _)
            | Row::Fold(_, _) => Bond::Atom,
        };
        let text = self.row(row);
        if bond < needed { format!("({text})") } else { text }
    }

    fn mask(&self, mask: &Mask) -> String {
        match mask {
            Mask::Reg(reg) => self.reg(*reg).to_string(),
            Mask::Compare(compare, a, b) => format!("({} {} {})", self.row(a), sign(*compare), self.row(b)),
            Mask::FromWord(word, _) => format!("lanes({})", self.word(word)),
            Mask::And(a, b) => format!("({} & {})", self.mask(a), self.mask(b)),
            Mask::Or(a, b) => format!("({} | {})", self.mask(a), self.mask(b)),
            Mask::Not(mask) => format!("!{}", self.mask(mask)),
        }
    }

    fn word(&self, word: &Word) -> String {
        match word {
            Word::Reg(reg) => self.reg(*reg).to_string(),
            Word::Const(bits) => format!("{bits:#x}"),
            Word::Load(slot, at, width) => format!("load{} {}", bits(*width), self.place(*slot, at)),
            Word::FromMask(mask) => format!("bits({})", self.mask(mask)),
            Word::Number(index) => format!("word({})", self.index(index)),
            Word::And(a, b) => format!("({} & {})", self.word(a), self.word(b)),
            Word::Or(a, b) => format!("({} | {})", self.word(a), self.word(b)),
            Word::Xor(a, b) => format!("({} ^ {})", self.word(a), self.word(b)),
            Word::Shl(word, by) => format!("({} << {})", self.word(word), self.operand(by, Bond::Atom)),
            Word::Shr(word, by) => format!("({} >> {})", self.word(word), self.operand(by, Bond::Atom)),
        }
    }
}

fn bits(width: Width) -> u32 {
    match width {
        Width::Half => 32,
        Width::Full => 64,
    }
}

/// The name, with the first number behind it that makes it new.
fn unique(name: &str, taken: &mut HashSet<String>) -> String {
    let numbered = (1..).map(|i| format!("{name}.{i}"));
    let mut names = std::iter::once(name.to_string()).chain(numbered);
    names.find(|n| taken.insert(n.clone())).expect("numbers do not end")
}
