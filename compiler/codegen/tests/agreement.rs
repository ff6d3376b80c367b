//! Each statement and expression: machine code and interpreter give the same bits, and the right ones.

mod common;

use SlotElem::{Bits, F32, I32};
use common::{agree, numbers, words};
use snnc_codegen::{Options, compile, run_both};
use snnc_kernel::body::{
    Arith, Compare, Condition, Fold, Index, Kernel, Mask, RegData, RegType, Row, SlotElem, Stmt, Unary,
    Width, Word,
};
use snnc_kernel::build::{Builder, load, load_splat, load_word, mask_of, popcount, word_of};

fn arith(op: Arith, a: Row, b: Row) -> Row {
    Row::Arith(op, Box::new(a), Box::new(b))
}

/// A kernel that stores one row of two slots `a` and `b`, and its two tasks' buffers.
fn of_two(n: usize, row: impl Fn(Row, Row) -> Row) -> Vec<f32> {
    let mut k = Builder::new("two");
    let (a, b, y) = (k.read("a", F32), k.read("b", F32), k.write("y", F32));
    let at = Index::Task * n;
    k.store(y, at.clone(), row(load(a, at.clone(), n), load(b, at, n)));
    let buffers = vec![numbers(n as u64, 2 * n), numbers(n as u64 + 100, 2 * n), vec![0; 2 * n]];
    let buffers = agree(&k.finish(), buffers, 1, 0..2);
    buffers[2].iter().map(|w| f32::from_bits(*w)).collect()
}

#[test]
fn arithmetic_of_all_widths() {
    for n in 1..=32 {
        for op in [Arith::Add, Arith::Sub, Arith::Mul, Arith::Div, Arith::Min, Arith::Max] {
            of_two(n, |a, b| arith(op, a, b));
        }
    }
}

#[test]
fn functions_of_all_widths() {
    for n in [1, 3, 4, 7, 10, 32] {
        for function in [Unary::Neg, Unary::Abs, Unary::Sqrt, Unary::Exp, Unary::Ln] {
            of_two(n, |a, b| (a + b).unary(function));
        }
    }
}

#[test]
fn reductions_and_splats_of_all_widths() {
    for n in 1..=32 {
        for fold in [Fold::Sum, Fold::Max] {
            of_two(n, |a, b| a.fold(fold).splat(n) + b.splat(n));
        }
    }
}

#[test]
fn masks_and_choices_of_all_widths() {
    use Compare::{Eq, Ge, Gt, Le, Lt};
    for n in 1..=32 {
        for compare in [Eq, Lt, Le, Gt, Ge] {
            let zero = || Row::constant(0.0, n);
            of_two(n, |a, b| a.clone().compare(compare, b.clone()).select(a, b));
            of_two(n, |a, b| a.clone().compare(compare, b).select(zero(), a));
            of_two(n, |a, b| a.clone().compare(compare, b).select(a, zero()));
            of_two(n, |a, b| (!a.compare(compare, b)).to_row(n));
        }
        of_two(n, |a, b| {
            let positive = a.clone().compare(Gt, Row::constant(0.0, n));
            let small = b.clone().compare(Lt, Row::constant(1.0, n));
            positive.clone().and(small.clone()).select(a, positive.or(small).select(b, Row::constant(9.0, n)))
        });
    }
}

#[test]
fn bits_and_lanes_of_all_widths() {
    for n in 1..=32 {
        let mut k = Builder::new("bits");
        let (x, h, s, y) = (k.read("x", Bits), k.read("h", F32), k.write("s", Bits), k.write("y", F32));
        let word = k.word("word", load_word(x, Index::Task, Width::Half));
        let mask = k.mask("mask", n, mask_of(Word::Reg(word), n));
        k.store(y, Index::Task * n, Mask::Reg(mask).select(load(h, 0, n), Row::constant(-1.0, n)));
        let fired = load(h, 0, n).compare(Compare::Ge, Row::constant(1.0, n));
        k.store_word(s, Index::Task * 4, word_of(fired.and(Mask::Reg(mask))), Width::Full);
        k.store_word(s, Index::Task * 4 + 2, word_of(!Mask::Reg(mask)), Width::Half);
        let words = vec![0xA5A5_F00Fu32, 0x1234_5678, u32::MAX];
        agree(&k.finish(), vec![words, numbers(n as u64, n), vec![7; 12], vec![0; 3 * n]], 1, 0..3);
    }
}

#[test]
fn words_shift_and_combine() {
    let mut k = Builder::new("words");
    let (x, s) = (k.read("x", Bits), k.write("s", Bits));
    let a = || load_word(x, Index::Task * 2, Width::Full);
    let b = || load_word(x, 1, Width::Half);
    let boxed = |w: Word| Box::new(w);
    let by = || Box::new(Index::Task * 21);
    let results = [
        Word::And(boxed(a()), boxed(Word::Const(0xFFFF_0000_FFFF_0000))),
        Word::Or(boxed(a()), boxed(b())),
        Word::Xor(boxed(a()), boxed(b())),
        Word::Shl(boxed(a()), by()),
        Word::Shr(boxed(a()), by()),
    ];
    for (i, word) in results.into_iter().enumerate() {
        k.store_word(s, Index::Task * 10 + i * 2, word, Width::Full);
    }
    let found = agree(&k.finish(), vec![vec![1, 2, 0x8000_0001, 4, 5, 0xF000_0006], vec![0; 30]], 1, 0..3);
    assert_eq!(found[1][28..30], [0x003C_0000, 0]);
    assert_eq!(found[1][8..10], [1, 2]);
}

#[test]
fn indices_of_every_kind() {
    let mut k = Builder::new("indices");
    let (labels, y) = (k.read("labels", I32), k.write("y", F32));
    let task = || Box::new(Index::Task);
    let ten = || Box::new(Index::Const(10));
    let label = Index::Label(labels, task());
    let values = [
        Index::Task * 3 + 1,
        Index::Batch * Index::Task,
        Index::Task - 5,
        Index::Div(Box::new(Index::Task * 100), 8),
        Index::Div(Box::new(Index::Task * 100), 7),
        Index::Rem(Box::new(Index::Task * 100), 8),
        Index::Rem(Box::new(Index::Task * 100), 7),
        Index::Rem(task(), 1),
        Index::Div(task(), 1),
        Index::Min(task(), Box::new(Index::Const(2))),
        Index::Max(Box::new(Index::Task - 2), Box::new(Index::Const(0))),
        label.clone(),
        label * 2 - Index::Task,
        Index::Mul(ten(), ten()),
        popcount(Word::Shr(Box::new(Word::Const(u64::MAX)), Box::new(Index::Task * 20))) + Index::Task,
    ];
    let n = values.len();
    for (i, value) in values.into_iter().enumerate() {
        k.store(y, Index::Task * n + i, Row::FromIndex(Box::new(value), 1));
    }
    let found = agree(&k.finish(), vec![vec![5, (-6i32) as u32, 7, 0], vec![0; 4 * n]], 3, 0..4);
    let row: Vec<f32> = found[1][n..2 * n].iter().map(|w| f32::from_bits(*w)).collect();
    assert_eq!(row, [4., 3., -4., 12., 14., 4., 2., 0., 1., 1., 0., -6., -13., 100., 45.]);
}

#[test]
fn loops_up_down_stepped_and_empty() {
    let mut k = Builder::new("loops");
    let y = k.write("y", F32);
    let next = k.row("next", 1, Row::constant(0.0, 1));
    let note = |k: &mut Builder, value: Index| {
        k.set(next, Row::Reg(next) * Row::constant(3.0, 1) + Row::FromIndex(Box::new(value), 1));
    };
    k.for_range("up", 0, 5, |k, i| note(k, i));
    k.for_range("part", Index::Task, 3, |k, i| note(k, i));
    k.for_step("step", 1, Index::Task * 4, 3, |k, i| note(k, i));
    k.for_down("down", Index::Task, 4, |k, i| note(k, i));
    k.for_down("const", 2, 2, |k, i| note(k, i));
    k.for_down("const", 0, 3, |k, i| note(k, i));
    k.each_bit("bit", Word::Const(1 << 63 | 0b1001), |k, i| note(k, i));
    k.each_bit("none", Word::Const(0), |k, i| note(k, i));
    k.store(y, Index::Task, Row::Reg(next));
    agree(&k.finish(), vec![vec![0; 6]], 1, 0..6);
}

#[test]
fn branches_choose_by_sign() {
    for compare in [Compare::Eq, Compare::Lt, Compare::Le, Compare::Gt, Compare::Ge] {
        let mut k = Builder::new("branch");
        let y = k.write("y", F32);
        k.when(compare, Index::Task - 2, -1, |k| k.store(y, Index::Task, Row::constant(1.0, 1)));
        let mut kernel = k.finish();
        let Some(Stmt::If { otherwise, .. }) = kernel.body.first_mut() else { panic!("a branch") };
        otherwise.push(Stmt::Store(y, Index::Task, Row::constant(2.0, 1)));
        let found = agree(&kernel, vec![vec![0; 4]], 1, 0..4);
        let holds = |task: i64| match compare {
            Compare::Eq => task - 2 == -1,
            Compare::Lt => task - 2 < -1,
            Compare::Le => task - 2 <= -1,
            Compare::Gt => task - 2 > -1,
            Compare::Ge => task - 2 >= -1,
        };
        assert_eq!(found[0], words((0..4).map(|t| if holds(t) { 1.0 } else { 2.0 })));
    }
}

#[test]
fn scratch_pieces_do_not_overlap() {
    let mut k = Builder::new("scratch");
    let (x, y) = (k.read("x", F32), k.write("y", F32));
    let (a, b) = (k.scratch("a", 5), k.scratch("b", 20));
    k.store(a, 0, load(x, 0, 5));
    k.for_range("i", 0, 20, |k, i| k.store(b, i, load_splat(x, Index::Task, 1)));
    k.store(y, Index::Task * 8, load(b, 12, 8));
    k.store(y, Index::Task * 8, load(a, 0, 5));
    let found = agree(&k.finish(), vec![words((0..5).map(|i| i as f32)), vec![0; 16]], 1, 0..2);
    assert_eq!(found[1], words([0., 1., 2., 3., 4., 0., 0., 0., 0., 1., 2., 3., 4., 1., 1., 1.]));
}

/// A row is loaded as a whole before any of it is stored.
#[test]
fn a_row_may_be_stored_over_its_neighbour() {
    for shift in 0..8 {
        let mut k = Builder::new("shift");
        let y = k.write("y", F32);
        k.store(y, shift, load(y, 4, 12) + Row::constant(1.0, 12));
        let big = load(y, 4, 12).compare(Compare::Gt, Row::constant(9.0, 12));
        k.store(y, shift, big.to_row(12));
        agree(&k.finish(), vec![words((0..24).map(|i| i as f32))], 1, 0..1);
    }
}

/// What a branch guards is not loaded outside it: the slot would end before.
#[test]
fn a_guarded_load_stays_guarded() {
    let mut k = Builder::new("guard");
    let (x, y) = (k.read("x", F32), k.write("y", F32));
    let acc = k.row("acc", 1, Row::constant(0.0, 1));
    k.for_range("p", 0, 4, |k, _| {
        k.when(Compare::Lt, Index::Task, 1, |k| {
            let far = load_splat(x, Index::Task * 1_000_000_000_000i64, 1);
            k.set(acc, Row::Reg(acc) + far);
        });
        k.for_range("none", Index::Task, 1, |k, _| {
            k.set(acc, Row::Reg(acc) + load_splat(x, Index::Task * 1_000_000_000_000i64, 1));
        });
    });
    k.store(y, Index::Task, Row::Reg(acc));
    agree(&k.finish(), vec![words([1.0]), vec![0; 3]], 1, 0..3);
}

#[test]
fn no_tasks_store_nothing() {
    let mut k = Builder::new("none");
    let y = k.write("y", F32);
    k.store(y, Index::Task, Row::constant(1.0, 1));
    let found = agree(&k.finish(), vec![vec![0; 4]], 1, 2..2);
    assert_eq!(found[0], [0; 4]);
}

#[test]
fn a_broken_kernel_is_refused() {
    let mut k = Builder::new("broken");
    let x = k.read("x", F32);
    k.store(x, 0, Row::constant(1.0, 4));
    let kernel = k.finish();
    let error = compile(&[kernel], &Options::default()).expect_err("a store to what is read only");
    assert_eq!(error.to_string(), "kernel `broken`: `x` is read only, and stored to");
    let reg = RegData { name: "i".to_string(), ty: RegType::Index };
    let condition = Condition { compare: Compare::Eq, left: Index::Task, right: Index::Const(0) };
    let then = vec![Stmt::SetIndex(snnc_kernel::body::Reg(0), Index::Task)];
    let read = Stmt::SetIndex(snnc_kernel::body::Reg(0), Index::Reg(snnc_kernel::body::Reg(0)));
    let body = vec![Stmt::If { condition, then, otherwise: Vec::new() }, read];
    let kernel = Kernel { name: "path".to_string(), slots: Vec::new(), regs: vec![reg], body };
    let error = run_both(&kernel, &mut [], 1, 0..1).expect_err("one path does not set it");
    assert_eq!(error.to_string(), "kernel @path: `i` is read before it is set");
}
