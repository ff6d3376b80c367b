//! Masks of one bit for several channels, and sums over such channels.
//!
//! ```text
//! mask bits[T4 B H8 W8 | C64], bits[T4 B H8 W8 | C2]      ; bit 0 for the first 32 channels, bit 1 for the others
//! ```
//!
//! Masks with a bit for each channel are element-wise work (`group.rs`).

use super::attention::{Bits, Lanes, lanes};
use super::view::{Chunks, Shape, View};
use super::{Draw, LowerError, Lowering, group};
use crate::body::{Compare, Fold, Index, Row, Width, Word};
use crate::build::{Builder, load, load_splat, load_word, popcount};
use snnc_ir::{Inst, Op};
use snnc_plan::Tasks;

/// Elements that a task takes.
const CHUNK: usize = 1 << 14;

/// The body for each place of the task, and the tasks.
fn each_place(
    k: &mut Builder,
    shape: &Shape,
    body: impl FnOnce(&mut Builder, (&Index, &Index, &Index)),
) -> Tasks {
    let chunks = Chunks::of(shape, CHUNK);
    let (b, begin, end) = chunks.of_task(k, shape);
    let end = k.index("p1", end);
    k.for_range("p", &begin, &end, |k, p| {
        k.for_range("t", 0, shape.steps(), |k, t| body(k, (&t, &b, &p)));
    });
    chunks.tasks(shape)
}

/// `mask x, s` and `mask.not x, s`.
pub fn mask(lowering: &mut Lowering<'_>, inst: Inst) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let [x, s] = [data.args[0], data.args[1]].map(|arg| Shape::of(lowering.graph.ty(arg)));
    if x?.channels == s?.channels {
        return group::single(lowering, inst);
    }
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let x = draw.read_view(lowering, data.args[0])?;
    let s = draw.read_view(lowering, data.args[1])?;
    let y = draw.write_view(lowering, data.results[0])?;
    if !s.shape.bits || x.shape.bits != y.shape.bits {
        return Err(LowerError(format!("%{name}: a mask is of packed spikes")));
    }
    let grouped = Grouped { x, s, y, not: data.op == Op::MaskNot };
    let shape = grouped.y.shape;
    let tasks = each_place(&mut draw.k, &shape, |k, (t, b, p)| {
        let [x, s, y] = [&grouped.x, &grouped.s, &grouped.y].map(|view| view.shape.position(t, b, p));
        let (x, s, y) = (k.index("x", x), k.index("s", s), k.index("y", y));
        if shape.bits { grouped.words(k, &x, &s, &y) } else { grouped.rows(k, &x, &s, &y) }
    });
    lowering.push_kernel(&name, draw, tasks);
    Ok(())
}

struct Grouped {
    x: View,
    s: View,
    y: View,
    not: bool,
}

impl Grouped {
    /// A group's bit, 0 or 1.
    fn bit(&self, s: &Index, group: &Index) -> Index {
        let word = load_word(self.s.slot, s + group.quotient(64) * 2, Width::Full);
        let down = Word::Shr(Box::new(word), Box::new(group.remainder(64)));
        popcount(Word::And(Box::new(down), Box::new(Word::Const(1))))
    }

    fn rows(&self, k: &mut Builder, x: &Index, s: &Index, y: &Index) {
        let each = self.y.shape.channels / self.s.shape.channels;
        k.for_range("group", 0, self.s.shape.channels, |k, group| {
            let bit = k.index("bit", self.bit(s, &group));
            for Lanes { first, n } in lanes(each) {
                let set = Row::FromIndex(Box::new(bit.clone()), n);
                let compare = if self.not { Compare::Lt } else { Compare::Gt };
                let kept = set.compare(compare, Row::constant(0.5, n));
                let row = load(self.x.slot, x + &group * each + first, n);
                k.store(self.y.slot, y + &group * each + first, kept.select(row, Row::constant(0.0, n)));
            }
        });
    }

    /// The groups of each word are known here, so their bits are joined by constants.
    fn words(&self, k: &mut Builder, x: &Index, s: &Index, y: &Index) {
        let channels = self.y.shape.channels;
        let each = channels / self.s.shape.channels;
        for word in 0..channels.div_ceil(64) {
            let end = channels.min(word * 64 + 64);
            let kept = k.word("kept", Word::Const(0));
            for group in word * 64 / each..end.div_ceil(each) {
                let from = (group * each).max(word * 64) - word * 64;
                let to = ((group + 1) * each).min(end) - word * 64;
                let range = (u64::MAX << from) & (u64::MAX >> (64 - to));
                k.when(Compare::Eq, self.bit(s, &group.into()), usize::from(!self.not), |k| {
                    k.set_word(kept, Word::Or(Box::new(Word::Reg(kept)), Box::new(Word::Const(range))));
                });
            }
            let bits = load_word(self.x.slot, x + word * 2, Width::Full);
            let bits = Word::And(Box::new(bits), Box::new(Word::Reg(kept)));
            k.store_word(self.y.slot, y + word * 2, bits, Width::Full);
        }
    }
}

/// `channel_sum x`.
pub fn channel_sum(lowering: &mut Lowering<'_>, inst: Inst, groups: usize) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let x = draw.read_view(lowering, data.args[0])?;
    let y = draw.write_view(lowering, data.results[0])?;
    let (from, each) = (x.shape, x.shape.channels / groups);
    let bits = if from.bits { Some(Bits::new(x.clone(), groups)?) } else { None };
    let tasks = each_place(&mut draw.k, &from, |k, (t, b, p)| {
        let to = k.index("to", y.shape.position(t, b, p));
        k.for_range("group", 0, groups, |k, group| {
            let sum = match &bits {
                Some(bits) => bits.count(k, (t, b, p), &group),
                None => {
                    let first = k.index("first", from.position(t, b, p) + &group * each);
                    sum_of(k, &x, &first, each)
                }
            };
            k.store(y.slot, &to + &group, sum);
        });
    });
    lowering.push_kernel(&name, draw, tasks);
    Ok(())
}

/// The sum of `n` successive numbers, as one lane.
fn sum_of(k: &mut Builder, x: &View, first: &Index, n: usize) -> Row {
    let sum = k.row("sum", 1, Row::constant(0.0, 1));
    for lanes in lanes(n) {
        let part = load(x.slot, first + lanes.first, lanes.n).fold(Fold::Sum);
        k.set(sum, Row::Reg(sum) + part);
    }
    Row::Reg(sum)
}

/// `channel_spread x`.
pub fn channel_spread(lowering: &mut Lowering<'_>, inst: Inst) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let x = draw.read_view(lowering, data.args[0])?;
    let y = draw.write_view(lowering, data.results[0])?;
    let (groups, each) = (x.shape.channels, y.shape.channels / x.shape.channels);
    let tasks = each_place(&mut draw.k, &y.shape, |k, (t, b, p)| {
        let (from, to) = (x.shape.position(t, b, p), y.shape.position(t, b, p));
        let (from, to) = (k.index("from", from), k.index("to", to));
        k.for_range("group", 0, groups, |k, group| {
            for Lanes { first, n } in lanes(each) {
                k.store(y.slot, &to + &group * each + first, load_splat(x.slot, &from + &group, n));
            }
        });
    });
    lowering.push_kernel(&name, draw, tasks);
    Ok(())
}
