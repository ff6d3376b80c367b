//! Walks as loops: what runs where a target has no function for them, with the same bits.
//!
//! ```text
//! add_rows sums[s + i*128] += w[r + k*128] : f32[128] for i in 0..n, k of 1 words x[b + i*2]     ; before
//! for part in 0..4 {                                                                             ; after
//!   for i in 0..n {
//!     acc = load sums[s + i*128 + part*32]
//!     each_bit k of load64 x[b + i*2] { acc = acc + load w[r + k*128 + part*32] }
//!     store sums[s + i*128 + part*32] = acc } }
//! ```

use crate::body::{
    Compare, Current, Curve, ENTRIES, Fire, GROUP, Groups, Index, Kernel, Lookup, MAX_ROW, Map, Mask, PARTS,
    PatternLists, PatternWalk, Row, Run, Slot, Stmt, TapWalk, Unary, Walk, Width, WindowWalk, Word, entry,
};
use crate::build::{Builder, load, load_word, mask_of, number, sigmoid, word_from, word_of};

/// The kernel without walks, tables and turns.
pub fn expand(kernel: &Kernel) -> Kernel {
    let mut k = Builder::over(kernel);
    stmts(&mut k, &kernel.body);
    k.finish()
}

fn stmts(k: &mut Builder, all: &[Stmt]) {
    for stmt in all {
        match stmt {
            Stmt::AddRows(walk) => add_rows(k, walk),
            Stmt::AddWindow(window) => add_window(k, window),
            Stmt::Fire(fire) => fires(k, fire),
            Stmt::AddTaps(taps) => add_taps(k, taps),
            Stmt::DotRows(walk, with) => dot_rows(k, walk, with),
            Stmt::ListPatterns(lists) => list_patterns(k, lists),
            Stmt::AddPatterns(walk) => add_patterns(k, walk),
            Stmt::SumGroups(groups) => sum_groups(k, groups),
            Stmt::AddGroups(lookup) => add_groups(k, lookup),
            Stmt::Map(map) => curve(k, map),
            Stmt::Turn { from, to } => turn(k, from, to),
            Stmt::For { reg, begin, end, step, down, body } => {
                let body = k.nested(|k| stmts(k, body));
                let (begin, end) = (begin.clone(), end.clone());
                k.push(Stmt::For { reg: *reg, begin, end, step: *step, down: *down, body });
            }
            Stmt::If { condition, then, otherwise } => {
                let then = k.nested(|k| stmts(k, then));
                let otherwise = k.nested(|k| stmts(k, otherwise));
                k.push(Stmt::If { condition: condition.clone(), then, otherwise });
            }
            Stmt::EachBit { reg, word, body } => {
                let body = k.nested(|k| stmts(k, body));
                k.push(Stmt::EachBit { reg: *reg, word: word.clone(), body });
            }
            Stmt::SetIndex(..)
            | Stmt::SetRow(..)
            | Stmt::SetMask(..)
            | Stmt::SetWord(..)
            | Stmt::Store(..)
            | Stmt::StoreWord(..) => k.push(stmt.clone()),
        }
    }
}

fn piece(run: &Run, number: &Index) -> Index {
    &run.at + number * run.step
}

/// Lanes of equal parts, and what is left over.
fn parts(k: &mut Builder, lanes: usize, width: usize, mut body: impl FnMut(&mut Builder, Index, usize)) {
    let (whole, rest) = (lanes / width, lanes % width);
    k.for_range("part", 0, whole, |k, part| body(k, part * width, width));
    if rest > 0 {
        body(k, Index::from(whole * width), rest);
    }
}

/// The body for each set bit of a position.
fn each_bit(k: &mut Builder, walk: &Walk, at: &Index, body: impl FnMut(&mut Builder, Index)) {
    each_bit_of(k, walk, at, 2, body);
}

/// The same for words that lie so many elements apart.
fn each_bit_of(
    k: &mut Builder,
    walk: &Walk,
    at: &Index,
    apart: i64,
    mut body: impl FnMut(&mut Builder, Index),
) {
    k.for_range("word", 0, walk.words, |k, word| {
        let bits = load_word(walk.bits.slot, at + &word * apart, Width::Full);
        let rows = k.index("rows", &walk.rows.at + word * (64 * walk.rows.step));
        k.each_bit("bit", bits, |k, bit| body(k, rows + bit * walk.rows.step));
    });
}

/// Part after part: the rows of a part stay in the nearest cache, and its sums in registers.
fn add_rows(k: &mut Builder, walk: &Walk) {
    let count = k.index("count", &walk.count);
    parts(k, walk.lanes, MAX_ROW, |k, lane, n| {
        k.for_range("i", 0, &count, |k, i| {
            let bits = k.index("bits", piece(&walk.bits, &i));
            let at = k.index("at", piece(&walk.sums, &i) + &lane);
            let acc = k.row("acc", n, load(walk.sums.slot, &at, n));
            each_bit(k, walk, &bits, |k, row| {
                k.set(acc, Row::Reg(acc) + load(walk.rows.slot, row + &lane, n));
            });
            k.store(walk.sums.slot, &at, Row::Reg(acc));
        });
    });
}

/// Some neurons after the other, each through all timesteps; the last ones store a whole word.
fn fires(k: &mut Builder, fire: &Fire) {
    let count = k.index("count", &fire.count);
    let last = (fire.lanes - 1) / MAX_ROW * MAX_ROW;
    k.for_range("i", 0, count, |k, i| {
        k.for_step("lane", 0, last, MAX_ROW, |k, lane| fire_part(k, fire, &i, (&lane, MAX_ROW), Width::Half));
        let width = if last.is_multiple_of(64) { Width::Full } else { Width::Half };
        fire_part(k, fire, &i, (&last.into(), fire.lanes - last), width);
    });
}

/// Neurons of a position from a lane on, and how their spikes are stored.
fn fire_part(k: &mut Builder, fire: &Fire, i: &Index, (lane, n): (&Index, usize), width: Width) {
    let [decay, gain, threshold, reset, first] =
        fire.constants.map(|bits| Row::constant(f32::from_bits(bits), n));
    let half = k.index("half", lane.quotient(32));
    let v = k.row("v", n, first);
    k.for_range("t", 0, fire.steps, |k, t| {
        let current = |(current, run, time): &(Current, Run, Index)| {
            let at = piece(run, i) + &t * time;
            match current {
                Current::Numbers => load(run.slot, at + lane, n),
                Current::Bits => mask_of(load_word(run.slot, at + &half, Width::Half), n).to_row(n),
            }
        };
        let x = fire.currents.iter().map(current).reduce(|a, b| a + b).unwrap_or(Row::constant(0.0, n));
        let h = k.row("h", n, Row::Reg(v) * decay.clone() + x * gain.clone());
        let compare = if fire.above { Compare::Gt } else { Compare::Ge };
        let fired = k.mask("fired", n, Row::Reg(h).compare(compare, threshold.clone()));
        let (spikes, time) = &fire.spikes;
        let at = piece(spikes, i) + &t * time + &half;
        k.store_word(spikes.slot, at, word_of(Mask::Reg(fired)), width);
        k.set(v, Mask::Reg(fired).select(reset.clone(), Row::Reg(h)));
    });
}

/// Tap after tap over all positions: the rows of a tap stay in the nearest cache.
fn add_window(k: &mut Builder, window: &WindowWalk) {
    let [rows, columns] = [0, 1].map(|axis| k.index("taps", &window.taps[axis]));
    let walk = &window.walk;
    let moved = |run: &Run, y: &Index, x: &Index, steps: [i64; 2]| Run {
        at: &run.at + y * steps[0] + x * steps[1],
        ..run.clone()
    };
    k.for_range("y", 0, rows, |k, y| {
        k.for_range("x", 0, &columns, |k, x| {
            let (bits, rows) =
                (moved(&walk.bits, &y, &x, window.bits), moved(&walk.rows, &y, &x, window.rows));
            add_rows(k, &Walk { bits, rows, ..walk.clone() });
        });
    });
}

/// Tap after tap, each as a walk of its own.
fn add_taps(k: &mut Builder, taps: &TapWalk) {
    let (walk, [rows, columns]) = (&taps.walk, taps.taps);
    let count = k.index("count", &walk.count);
    parts(k, walk.lanes, MAX_ROW, |k, lane, n| {
        k.for_range("i", 0, &count, |k, i| {
            let bits = k.index("bits", piece(&walk.bits, &i));
            k.for_range("y", 0, rows, |k, y| {
                k.for_range("x", 0, columns, |k, x| {
                    let tap = piece(&walk.sums, &i) + (&y * columns + &x) * taps.apart;
                    let at = k.index("at", tap + &lane);
                    let from = k.index("from", &y * taps.steps[0] + &x * taps.steps[1] + &lane);
                    let acc = k.row("acc", n, load(walk.sums.slot, &at, n));
                    each_row(k, taps, &bits, |k, row| {
                        k.set(acc, Row::Reg(acc) + load(walk.rows.slot, row + &from, n));
                    });
                    k.store(walk.sums.slot, &at, Row::Reg(acc));
                });
            });
        });
    });
}

/// The body for each row of the first tap that the bits of a position choose.
fn each_row(k: &mut Builder, taps: &TapWalk, at: &Index, mut body: impl FnMut(&mut Builder, Index)) {
    let walk = &taps.walk;
    let Some(over) = taps.over else { return each_bit_of(k, walk, at, taps.word, body) };
    k.for_range("word", 0, walk.words, |k, place| {
        let word = |t: usize| {
            load_word(walk.bits.slot, at + &place * taps.word + over.words * t as i64, Width::Full)
        };
        let words: Vec<_> = (0..over.steps).map(|t| k.word("word", word(t))).collect();
        let any = words.iter().map(|&word| Word::Reg(word));
        let any = any.reduce(|a, b| Word::Or(Box::new(a), Box::new(b))).unwrap_or(Word::Const(0));
        let rows = k.index("rows", &walk.rows.at + &place * (64 * walk.rows.step));
        k.each_bit("bit", any, |k, bit| {
            let mut row = &rows + &bit * walk.rows.step;
            for (t, &word) in words.iter().enumerate() {
                let own = Word::Shr(Box::new(Word::Reg(word)), Box::new(bit.clone()));
                let own = Word::And(Box::new(own), Box::new(Word::Const(1)));
                row = row + number(own) * (over.pattern << t);
            }
            let row = k.index("row", row);
            body(k, row);
        });
    });
}

/// An index of its own walks over the sums.
fn dot_rows(k: &mut Builder, walk: &Walk, with: &Run) {
    let count = k.index("count", &walk.count);
    let sums = k.index("sums", &walk.sums.at);
    k.for_range("i", 0, count, |k, i| {
        let bits = k.index("bits", piece(&walk.bits, &i));
        let other = k.index("with", piece(with, &i));
        each_bit(k, walk, &bits, |k, row| {
            let row = k.index("row", row);
            let places = [(walk.sums.slot, &sums), (walk.rows.slot, &row), (with.slot, &other)];
            dot(k, places, walk.lanes);
            k.set_index(&sums, &sums + walk.sums.step);
        });
    });
}

/// `sums += row * with`, in partial sums.
fn dot(k: &mut Builder, [sums, rows, with]: [(Slot, &Index); 3], lanes: usize) {
    let product = |lane: &Index, n| load(rows.0, rows.1 + lane, n) * load(with.0, with.1 + lane, n);
    let acc = k.row("acc", PARTS, load(sums.0, sums.1, PARTS));
    let whole = lanes / PARTS * PARTS;
    for lane in (0..whole).step_by(PARTS) {
        k.set(acc, Row::Reg(acc) + product(&Index::from(lane), PARTS));
    }
    k.store(sums.0, sums.1, Row::Reg(acc));
    let rest = lanes - whole;
    if rest > 0 {
        k.store(sums.0, sums.1, load(sums.0, sums.1, rest) + product(&Index::from(whole), rest));
    }
}

/// The words of each pattern, bit after set bit.
fn list_patterns(k: &mut Builder, lists: &PatternLists) {
    let to = lists.lists.slot;
    let count = k.index("count", &lists.count);
    let time = k.index("time", &lists.time);
    k.for_range("i", 0, count, |k, i| {
        let from = k.index("from", piece(&lists.bits, &i));
        let ends = k.index("ends", piece(&lists.lists, &i));
        let numbers = k.index("numbers", &ends + (1usize << lists.steps));
        let end = k.index("end", 0);
        k.store_word(to, &ends, word_from(0), Width::Half);
        k.for_range("pattern", 1, 1usize << lists.steps, |k, pattern| {
            let others: Vec<Word> = (0..lists.steps)
                .map(|t| {
                    let silent = pattern.quotient(1 << t).remainder(2) - 1;
                    Word::Reg(k.word("silent", word_from(silent)))
                })
                .collect();
            k.for_range("word", 0, lists.words, |k, word| {
                let alike = others.iter().enumerate().map(|(t, other)| {
                    let own = load_word(lists.bits.slot, &from + &time * t + &word * 2, Width::Full);
                    Word::Xor(Box::new(own), Box::new(other.clone()))
                });
                let alike = alike.reduce(|a, b| Word::And(Box::new(a), Box::new(b)));
                k.each_bit("bit", alike.unwrap_or(Word::Const(0)), |k, bit| {
                    k.store_word(to, &numbers + &end, word_from(&word * 64 + bit), Width::Half);
                    k.set_index(&end, &end + 1);
                });
            });
            k.store_word(to, &ends + &pattern, word_from(&end), Width::Half);
        });
    });
}

/// The lists of all taps are put in one order first; a part's rows are then summed pattern after pattern.
fn add_patterns(k: &mut Builder, walk: &PatternWalk) {
    let patterns = 1usize << walk.steps;
    let half = |slot: Slot, at: Index| number(load_word(slot, at, Width::Half));
    let [rows, columns] = [k.index("rows", &walk.taps[0]), k.index("columns", &walk.taps[1])];
    let lists = k.index("lists", &walk.lists.at);
    let end = k.index("end", 0);
    k.store_word(walk.order, 0, word_from(0), Width::Half);
    k.for_range("pattern", 1, patterns, |k, pattern| {
        k.for_range("y", 0, &rows, |k, y| {
            k.for_range("x", 0, &columns, |k, x| {
                let list = &lists + &y * walk.lists.steps[0] + &x * walk.lists.steps[1];
                let list = k.index("list", list);
                let tap = k.index("tap", &y * walk.rows.steps[0] + &x * walk.rows.steps[1]);
                let from = k.index("from", half(walk.lists.slot, &list + &pattern - 1));
                let to = k.index("to", half(walk.lists.slot, &list + &pattern));
                k.for_range("j", from, to, |k, j| {
                    let row = half(walk.lists.slot, &list + j + patterns) * walk.row;
                    k.store_word(walk.order, &end + patterns, word_from(&tap + row), Width::Half);
                    k.set_index(&end, &end + 1);
                });
            });
        });
        k.store_word(walk.order, &pattern, word_from(&end), Width::Half);
    });
    let (base, sums) = (k.index("base", &walk.rows.at), k.index("sums", &walk.sums.at));
    parts(k, walk.lanes, MAX_ROW, |k, lane, n| {
        k.for_range("pattern", 1, patterns, |k, pattern| {
            let from = k.index("from", half(walk.order, &pattern - 1));
            let to = k.index("to", half(walk.order, pattern.clone()));
            let sum = k.row("sum", n, Row::constant(0.0, n));
            k.for_range("j", from, to, |k, j| {
                let row = &base + half(walk.order, j + patterns);
                k.set(sum, Row::Reg(sum) + load(walk.rows.slot, row + &lane, n));
            });
            for t in 0..walk.steps {
                k.when(Compare::Eq, pattern.quotient(1 << t).remainder(2), 1, |k| {
                    let at = k.index("at", &sums + walk.sums.step * t as i64 + &lane);
                    k.store(walk.sums.slot, &at, load(walk.sums.slot, &at, n) + Row::Reg(sum));
                });
            }
        });
    });
}

/// Group after group, each entry from one with a row less.
fn sum_groups(k: &mut Builder, groups: &Groups) {
    let (whole, rest) = (groups.count / GROUP, groups.count % GROUP);
    let begin = k.index("table", &groups.table.1);
    k.for_range("group", 0, whole, |k, group| sum_group(k, groups, &begin, &group, GROUP));
    if rest > 0 {
        sum_group(k, groups, &begin, &Index::from(whole), rest);
    }
}

/// A group of which `count` rows are there.
fn sum_group(k: &mut Builder, groups: &Groups, begin: &Index, group: &Index, count: usize) {
    let (slot, step) = (groups.table.0, entry(groups.lanes));
    let first = k.index("group", begin + group * (ENTRIES * step));
    parts(k, groups.lanes, MAX_ROW, |k, lane, n| {
        let at = k.index("at", &first + &lane);
        k.store(slot, &at, Row::constant(0.0, n));
        for b in 0..GROUP {
            let row = match b < count {
                true => load(groups.rows.slot, piece(&groups.rows, &(group * GROUP + b)) + &lane, n),
                false => Row::constant(0.0, n),
            };
            let row = k.row("row", n, row);
            k.for_range("m", 0, 1usize << b, |k, m| {
                let without = load(slot, &at + &m * step, n);
                k.store(slot, &at + (&m + (1usize << b)) * step, without + Row::Reg(row));
            });
        }
    });
}

/// Part after part, as walks.
fn add_groups(k: &mut Builder, lookup: &Lookup) {
    let (count, table) = (k.index("count", &lookup.count), k.index("table", &lookup.table.1));
    let (step, each) = (entry(lookup.lanes), 64 / GROUP);
    parts(k, lookup.lanes, MAX_ROW, |k, lane, n| {
        k.for_range("i", 0, &count, |k, i| {
            let bits = k.index("bits", piece(&lookup.bits, &i));
            let at = k.index("at", piece(&lookup.sums, &i) + &lane);
            let acc = k.row("acc", n, load(lookup.sums.slot, &at, n));
            let groups = |k: &mut Builder, word: &Index, groups: usize| {
                let left = k.word("left", load_word(lookup.bits.slot, &bits + word * 2, Width::Full));
                let first = k.index("first", &table + word * (each * ENTRIES * step) + &lane);
                k.for_range("group", 0, groups, |k, group| {
                    let chosen =
                        Word::And(Box::new(Word::Reg(left)), Box::new(Word::Const(ENTRIES as u64 - 1)));
                    let entry = (&group * ENTRIES + Index::Number(Box::new(chosen))) * step;
                    k.set(acc, Row::Reg(acc) + load(lookup.table.0, &first + entry, n));
                    k.set_word(left, Word::Shr(Box::new(Word::Reg(left)), Box::new(GROUP.into())));
                });
            };
            k.for_range("word", 0, lookup.groups / each, |k, word| groups(k, &word, each));
            let rest = lookup.groups % each;
            if rest > 0 {
                groups(k, &Index::from(lookup.groups / each), rest);
            }
            k.store(lookup.sums.slot, &at, Row::Reg(acc));
        });
    });
}

/// Row after row.
fn curve(k: &mut Builder, map: &Map) {
    let (from, to) = (k.index("from", &map.from.1), k.index("to", &map.to.1));
    parts(k, map.count, MAX_ROW, |k, lane, n| {
        let x = load(map.from.0, &from + &lane, n);
        let value = match map.curve {
            Curve::Exp => x.unary(Unary::Exp),
            Curve::Sigmoid => sigmoid(x, n),
        };
        k.store(map.to.0, &to + lane, value);
    });
}

/// Bit after set bit: few are set.
fn turn(k: &mut Builder, from: &(Slot, Index), to: &(Slot, Index)) {
    let (source, target) = (k.index("from", &from.1), k.index("to", &to.1));
    k.for_range("b", 0, 64, |k, b| k.store_word(to.0, &target + b * 2, Word::Const(0), Width::Full));
    k.for_range("w", 0, 64, |k, w| {
        let own = k.word("own", Word::Shl(Box::new(Word::Const(1)), Box::new(w.clone())));
        k.each_bit("b", load_word(from.0, &source + w * 2, Width::Full), |k, b| {
            let at = k.index("at", &target + b * 2);
            let old = load_word(to.0, &at, Width::Full);
            k.store_word(to.0, &at, Word::Or(Box::new(old), Box::new(Word::Reg(own))), Width::Full);
        });
    });
}
