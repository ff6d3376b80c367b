//! What the verifier refuses.

use SlotElem::{Bits, F32};
use snnc_kernel::body::{
    Compare, Condition, Current, Curve, Fire, Grid, Groups, Index, Kernel, Lookup, Map, Mask, OverTime,
    PatternLists, PatternWalk, Reg, RegData, RegType, Row, Run, Slot, SlotElem, Stmt, TapWalk, Walk, Width,
    WindowWalk, Word,
};
use snnc_kernel::build::{Builder, load, mask_of};
use snnc_kernel::verify::verify;

/// A kernel of slots `x: f32 read`, `y: f32 write`, `s: bits write`, `t: f32 scratch`, and what is built on them.
fn message(body: impl FnOnce(&mut Builder, [Slot; 4])) -> String {
    let mut k = Builder::new("k");
    let slots = [k.read("x", F32), k.write("y", F32), k.write("s", Bits), k.scratch("t", 8)];
    body(&mut k, slots);
    verify(&k.finish()).map_or_else(|e| e.message, |()| String::new())
}

/// The same for statements over the registers `i`, `j : index`, `r : f32[4]`, `w : u64`.
fn message_of(body: Vec<Stmt>) -> String {
    let types = [RegType::Index, RegType::Index, RegType::Row(4), RegType::Word];
    let reg = |(name, ty): (&str, RegType)| RegData { name: name.to_string(), ty };
    let regs = ["i", "j", "r", "w"].into_iter().zip(types).map(reg).collect();
    let kernel = Kernel { name: "k".to_string(), slots: Vec::new(), regs, body };
    verify(&kernel).map_or_else(|e| e.message, |()| String::new())
}

const I: Reg = Reg(0);
const J: Reg = Reg(1);
const R: Reg = Reg(2);
const W: Reg = Reg(3);

fn zero(n: usize) -> Row {
    Row::constant(0.0, n)
}

fn count(reg: Reg, end: Index, body: Vec<Stmt>) -> Stmt {
    Stmt::For { reg, begin: Index::Const(0), end, step: 1, down: false, body }
}

#[test]
fn slots_are_used_as_declared() {
    assert_eq!(message(|k, [x, y, _, t]| k.store(y, 0, load(x, 0, 4) + load(t, 0, 4))), "");
    assert_eq!(message(|k, [x, ..]| k.store(x, 0, zero(4))), "`x` is read only, and stored to");
    assert_eq!(message(|k, [_, y, s, _]| k.store(y, 0, load(s, 0, 4))), "`s` holds bits, used as f32");
    assert_eq!(
        message(|k, [_, y, ..]| k.store_word(y, 0, Word::Const(0), Width::Half)),
        "`y` holds f32, used as bits"
    );
    assert_eq!(
        message(|k, [_, y, ..]| k.store(y, Index::Label(y, Box::new(Index::Task)), zero(1))),
        "`y` holds f32, used as i32"
    );
    assert_eq!(message(|k, _| k.store(Slot(9), 0, zero(4))), "no slot 9");
}

#[test]
fn widths_agree() {
    assert_eq!(message(|k, [_, y, ..]| k.store(y, 0, zero(33))), "a row of 33 lanes");
    assert_eq!(message(|k, [_, y, ..]| k.store(y, 0, zero(0))), "a row of 0 lanes");
    assert_eq!(message(|k, [_, y, ..]| k.store(y, 0, zero(4) + zero(5))), "operands of 4 and 5 lanes");
    let select = |k: &mut Builder, y| k.store(y, 0, mask_of(Word::Const(1), 3).select(zero(4), zero(4)));
    assert_eq!(message(|k, [_, y, ..]| select(k, y)), "operands of 3 and 4 lanes");
    assert_eq!(message_of(vec![Stmt::SetRow(R, zero(5))]), "`r` is f32[4], set to f32[5]");
}

#[test]
fn registers_hold_their_type() {
    assert_eq!(message_of(vec![Stmt::SetRow(I, zero(4))]), "`i` is index, set to f32[4]");
    let read = vec![Stmt::SetIndex(I, Index::Task), Stmt::SetRow(R, Row::Reg(I))];
    assert_eq!(message_of(read), "`i` is index, read as a row");
    let read = vec![Stmt::SetWord(W, Word::Const(1)), Stmt::SetIndex(I, Index::Reg(W))];
    assert_eq!(message_of(read), "`w` is u64, read as index");
    let read = vec![Stmt::SetRow(R, zero(4)), Stmt::SetWord(W, Word::FromMask(Box::new(Mask::Reg(R))))];
    assert_eq!(message_of(read), "`r` is f32[4], read as a mask");
    assert_eq!(message_of(vec![Stmt::SetIndex(Reg(7), Index::Task)]), "no register 7");
}

#[test]
fn registers_are_set_on_every_path() {
    let set = || Stmt::SetIndex(J, Index::Task);
    let read = || Stmt::SetIndex(J, Index::Reg(J));
    let unset = "`j` is read before it is set";
    assert_eq!(message_of(vec![read()]), unset);
    assert_eq!(message_of(vec![count(I, Index::Const(2), vec![set()]), read()]), "");
    assert_eq!(message_of(vec![count(I, Index::Const(0), vec![set()]), read()]), unset);
    assert_eq!(message_of(vec![count(I, Index::Task, vec![set()]), read()]), unset);
    assert_eq!(message_of(vec![count(I, Index::Const(2), vec![read(), set()])]), unset);
    let each = Stmt::EachBit { reg: I, word: Word::Const(1), body: vec![set()] };
    assert_eq!(message_of(vec![each, read()]), unset);
    let branch = |otherwise| {
        let condition = Condition { compare: Compare::Eq, left: Index::Task, right: Index::Batch };
        Stmt::If { condition, then: vec![set()], otherwise }
    };
    assert_eq!(message_of(vec![branch(vec![set()]), read()]), "");
    assert_eq!(message_of(vec![branch(Vec::new()), read()]), unset);
}

#[test]
fn counters_belong_to_their_loop() {
    let read = Stmt::SetIndex(J, Index::Reg(I));
    assert_eq!(message_of(vec![count(I, Index::Task, vec![read.clone()])]), "");
    assert_eq!(message_of(vec![count(I, Index::Const(2), Vec::new()), read]), "`i` is read before it is set");
    let set = Stmt::SetIndex(I, Index::Task);
    assert_eq!(message_of(vec![count(I, Index::Task, vec![set])]), "`i` counts a loop around, and is set");
    let again = count(I, Index::Task, vec![count(I, Index::Task, Vec::new())]);
    assert_eq!(message_of(vec![again]), "`i` counts a loop around, and is set");
}

/// Pieces of a slot from the task's number on.
fn run(slot: Slot, step: i64) -> Run {
    Run { slot, at: Index::Task, step }
}

#[test]
fn walks_read_and_write_what_they_should() {
    let walk = |bits: Slot, rows: Slot, sums: Slot| Walk {
        count: Index::Batch,
        words: 1,
        bits: run(bits, 2),
        rows: run(rows, 4),
        lanes: 4,
        sums: run(sums, 4),
    };
    assert_eq!(message(|k, [x, y, s, _]| k.add_rows(walk(s, x, y))), "");
    assert_eq!(message(|k, [x, _, s, t]| k.add_rows(walk(s, x, t))), "");
    assert_eq!(message(|k, [x, _, s, _]| k.add_rows(walk(s, x, x))), "`x` is read only, and stored to");
    assert_eq!(message(|k, [_, y, s, _]| k.add_rows(walk(s, y, y))), "`y` is read where it may be written");
    assert_eq!(message(|k, [x, y, ..]| k.add_rows(walk(x, x, y))), "`x` holds f32, used as bits");
    assert_eq!(
        message(|k, [x, y, s, _]| k.dot_rows(walk(s, x, y), run(y, 4))),
        "`y` is read where it may be written"
    );
    let wide = |k: &mut Builder, [x, y, s, _]: [Slot; 4]| k.add_rows(Walk { lanes: 129, ..walk(s, x, y) });
    assert_eq!(message(wide), "a walk over rows of 129 lanes");
    let long = |k: &mut Builder, [x, y, s, _]: [Slot; 4]| k.add_rows(Walk { words: 5, ..walk(s, x, y) });
    assert_eq!(message(long), "a walk over 5 words");
    assert_eq!(
        message(|k, [_, _, s, _]| k.turn((s, 0.into()), (s, 0.into()))),
        "`s` is read where it may be written"
    );
    let window = |rows: Slot, down: i64| {
        move |k: &mut Builder, [_, y, s, _]: [Slot; 4]| {
            let (taps, steps) = ([Index::Task, 3.into()], [16, 4]);
            k.add_window(WindowWalk { walk: walk(s, rows, y), taps, bits: [8, down], rows: steps });
        }
    };
    assert_eq!(message(|k, all| window(all[0], 2)(k, all)), "");
    assert_eq!(message(|k, all| window(all[0], -2)(k, all)), "taps backwards by -2");
    assert_eq!(message(|k, all| window(all[1], 2)(k, all)), "`y` is read where it may be written");
    let taps = |rows: Slot, sums: Slot, taps: [usize; 2], apart: i64| {
        move |k: &mut Builder, bits: Slot| {
            k.add_taps(TapWalk {
                walk: walk(bits, rows, sums),
                word: 2,
                taps,
                steps: [16, 4],
                apart,
                over: None,
            })
        }
    };
    assert_eq!(message(|k, [x, y, s, _]| taps(x, y, [3, 3], 4)(k, s)), "");
    assert_eq!(message(|k, [x, y, s, _]| taps(x, y, [3, 0], 4)(k, s)), "a walk over 3x0 taps");
    assert_eq!(message(|k, [x, y, s, _]| taps(x, y, [3, 3], -4)(k, s)), "taps backwards by -4");
    assert_eq!(message(|k, [_, y, s, _]| taps(y, y, [3, 3], 4)(k, s)), "`y` is read where it may be written");
    let over = |k: &mut Builder, [x, y, s, _]: [Slot; 4]| {
        let over = Some(OverTime { steps: 5, words: 2, pattern: 4 });
        k.add_taps(TapWalk { walk: walk(s, x, y), word: 2, taps: [3, 3], steps: [16, 4], apart: 4, over })
    };
    assert_eq!(message(over), "patterns of 5 timesteps");
}

#[test]
fn neurons_read_currents_and_write_spikes() {
    type Currents = Vec<(Current, Run, Index)>;
    let fire = |currents: fn([Slot; 4]) -> Currents, steps: usize| {
        move |k: &mut Builder, all: [Slot; 4]| {
            let (count, spikes) = (Index::from(2), (run(all[2], 2), 4.into()));
            let currents = currents(all);
            k.fire(Fire { count, lanes: 4, steps, currents, spikes, constants: [0; 5], above: false });
        }
    };
    let numbers = |[x, ..]: [Slot; 4]| vec![(Current::Numbers, run(x, 4), 8.into())];
    assert_eq!(message(fire(numbers, 2)), "");
    assert_eq!(message(fire(numbers, 0)), "neurons through no timestep");
    assert_eq!(message(fire(|_| vec![], 2)), "0 currents");
    let bits = |[x, ..]: [Slot; 4]| vec![(Current::Bits, run(x, 2), 4.into())];
    assert_eq!(message(fire(bits, 2)), "`x` holds f32, used as bits");
    let own = |[_, _, s, _]: [Slot; 4]| vec![(Current::Bits, run(s, 2), 4.into())];
    assert_eq!(message(fire(own, 2)), "`s` is read where it may be written");
}

#[test]
fn tables_and_curves_read_and_write_what_they_should() {
    let groups = |rows: Slot, table: Slot| Groups {
        count: 4,
        rows: run(rows, 4),
        lanes: 4,
        table: (table, Index::Task),
    };
    assert_eq!(message(|k, [x, y, ..]| k.sum_groups(groups(x, y))), "");
    assert_eq!(message(|k, [_, y, ..]| k.sum_groups(groups(y, y))), "`y` is read where it may be written");
    assert_eq!(message(|k, [x, ..]| k.sum_groups(groups(x, x))), "`x` is read only, and stored to");
    let many = |k: &mut Builder, [x, y, ..]: [Slot; 4]| k.sum_groups(Groups { count: 257, ..groups(x, y) });
    assert_eq!(message(many), "groups of 257 rows");
    let lookup = |bits: Slot, table: Slot, sums: Slot| Lookup {
        count: Index::Batch,
        groups: 1,
        bits: run(bits, 2),
        table: (table, Index::Task),
        lanes: 4,
        sums: run(sums, 4),
    };
    assert_eq!(message(|k, [x, y, s, _]| k.add_groups(lookup(s, x, y))), "");
    assert_eq!(
        message(|k, [_, y, s, _]| k.add_groups(lookup(s, y, y))),
        "`y` is read where it may be written"
    );
    assert_eq!(message(|k, [x, y, ..]| k.add_groups(lookup(x, x, y))), "`x` holds f32, used as bits");
    let long =
        |k: &mut Builder, [x, y, s, _]: [Slot; 4]| k.add_groups(Lookup { groups: 65, ..lookup(s, x, y) });
    assert_eq!(message(long), "a lookup in 65 groups");
    let wide =
        |k: &mut Builder, [x, y, s, _]: [Slot; 4]| k.add_groups(Lookup { lanes: 0, ..lookup(s, x, y) });
    assert_eq!(message(wide), "a table over rows of 0 lanes");
    let map = |count: usize, x: Slot, y: Slot| Map {
        curve: Curve::Exp,
        count,
        from: (x, Index::Task),
        to: (y, Index::Task),
    };
    assert_eq!(message(|k, [x, y, ..]| k.map(map(4, x, y))), "");
    assert_eq!(message(|k, [x, y, ..]| k.map(map(0, x, y))), "a curve of no numbers");
    assert_eq!(message(|k, [x, ..]| k.map(map(4, x, x))), "`x` is read only, and stored to");
    assert_eq!(message(|k, [_, y, ..]| k.map(map(4, y, y))), "`y` is read where it may be written");
    let words = |k: &mut Builder, [_, _, s, _]: [Slot; 4]| {
        let t = k.scratch_words("words", 64);
        k.turn((t, 0.into()), (s, 0.into()));
    };
    assert_eq!(message(words), "");
}

#[test]
fn patterns_read_and_write_what_they_should() {
    let lists = |from: Slot, to: Slot| PatternLists {
        count: Index::Batch,
        words: 1,
        steps: 4,
        bits: run(from, 2),
        time: Index::Batch,
        lists: run(to, 80),
    };
    let room = |k: &mut Builder| k.scratch_words("room", 64);
    let listed = |lists: PatternLists| message(|k, _| k.list_patterns(lists));
    let (x, y, s, t, fifth) = (Slot(0), Slot(1), Slot(2), Slot(3), Slot(4));
    assert_eq!(
        message(|k, [.., s, _]| {
            let room = room(k);
            k.list_patterns(lists(s, room));
        }),
        ""
    );
    assert_eq!(listed(lists(s, s)), "`s` is read where it may be written");
    assert_eq!(listed(lists(s, t)), "`t` holds f32, used as bits");
    assert_eq!(listed(PatternLists { steps: 5, ..lists(s, s) }), "patterns of 5 timesteps");
    assert_eq!(listed(PatternLists { words: 17, ..lists(s, s) }), "a list over 17 words");
    let grid = |slot| Grid { slot, at: Index::Task, steps: [4, 4] };
    let walk = |lists: Slot, rows: Slot, sums: Slot| PatternWalk {
        steps: 4,
        taps: [Index::Batch, Index::Batch],
        lists: grid(lists),
        rows: grid(rows),
        row: 4,
        lanes: 4,
        sums: run(sums, 4),
        most: 64,
        order: fifth,
    };
    let walked = |walk: PatternWalk| {
        message(|k, _| {
            room(k);
            k.add_patterns(walk);
        })
    };
    assert_eq!(walked(walk(s, x, y)), "");
    assert_eq!(walked(walk(s, x, t)), "");
    assert_eq!(walked(walk(s, x, x)), "`x` is read only, and stored to");
    assert_eq!(walked(walk(s, y, y)), "`y` is read where it may be written");
    assert_eq!(walked(walk(fifth, x, y)), "`room` is read where it may be written");
    assert_eq!(walked(PatternWalk { steps: 1, ..walk(s, x, y) }), "patterns of 1 timesteps");
    assert_eq!(walked(PatternWalk { lanes: 129, ..walk(s, x, y) }), "a walk over rows of 129 lanes");
    assert_eq!(
        walked(PatternWalk { most: 100, ..walk(s, x, y) }),
        "`room` is no scratch memory of 148 elements"
    );
    assert_eq!(
        walked(PatternWalk { order: s, ..walk(fifth, x, y) }),
        "`s` is no scratch memory of 112 elements"
    );
}

#[test]
fn constants_are_in_range() {
    let task = || Box::new(Index::Task);
    assert_eq!(message_of(vec![Stmt::SetIndex(I, Index::Div(task(), 0))]), "a division by 0");
    assert_eq!(message_of(vec![Stmt::SetIndex(I, Index::Rem(task(), -3))]), "a division by -3");
    let shift = Word::Shl(Box::new(Word::Const(1)), Box::new(Index::Const(64)));
    assert_eq!(message_of(vec![Stmt::SetWord(W, shift)]), "a shift by 64 or more");
    let stepped = |step, down| {
        let (begin, end) = (Index::Const(0), Index::Const(4));
        Stmt::For { reg: I, begin, end, step, down, body: Vec::new() }
    };
    assert_eq!(message_of(vec![stepped(0, false)]), "a step of 0");
    assert_eq!(message_of(vec![stepped(2, true)]), "a backwards loop with step 2");
}
