//! Products with spikes by what neurons fire at several timesteps together: its rows are added once for all of them.
//!
//! ```text
//! bits, a word at a time            walks                          then
//! 0123 = s0 & s1 & s2 & s3          sums[0123] += rows of 0123
//! 01   = s0 & s1 ^ 0123             sums[01]   += rows of 01       sums[01] += sums[0123]
//! 0    = s0 ^ s0 & s1               sums[0]    += rows of 0        sums[0]  += sums[01]
//! 1, 23, 2, 3                       …                              …
//! ```
//!
//! A neuron that fires at all of four timesteps gives one row, one that fires at three of them two. The walks are those over
//! timesteps, of which there are seven then.

use super::conv::{Block, MaskedConv};
use super::patterns::groups;
use super::view::WideTile;
use crate::body::{Index, Row, Slot, Width, Word};
use crate::build::{Builder, load, load_word};
use std::ops::Range;

/// Timesteps that are walked together.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Together {
    steps: Range<usize>,
    /// The number of the walk: that of a single timestep is its own, the others follow.
    walk: usize,
    /// The walk over more timesteps that has a part of their spikes.
    above: Option<usize>,
}

/// All timesteps of each group, their halves, and so on to single ones; each after the one above it.
fn together(steps: usize) -> Vec<Together> {
    let mut all = Vec::new();
    let mut next = steps;
    for (first, count) in groups(steps) {
        split(first..first + count, None, &mut next, &mut all);
    }
    all
}

fn split(steps: Range<usize>, above: Option<usize>, next: &mut usize, all: &mut Vec<Together>) {
    if steps.len() == 1 {
        all.push(Together { walk: steps.start, steps, above });
        return;
    }
    let (walk, middle) = (*next, steps.start + steps.len() / 2);
    *next += 1;
    all.push(Together { steps: steps.clone(), walk, above });
    split(steps.start..middle, Some(walk), next, all);
    split(middle..steps.end, Some(walk), next, all);
}

/// Walks in the place of so many timesteps.
pub fn walks(steps: usize) -> usize {
    together(steps).len()
}

impl MaskedConv {
    /// Scratch memory for the bits of a block.
    pub(super) fn shared_room(&self, k: &mut Builder, block: &Block) -> Slot {
        k.scratch_words("together", walks(block.steps) * self.shared_stride(block) / 2)
    }

    /// Units of four bytes from the bits of one image of a block to the next.
    fn image_stride(&self, block: &Block) -> usize {
        self.input_rows(block.rows) * self.x.shape.width * self.x.shape.stride()
    }

    /// The same from one walk to the next.
    fn shared_stride(&self, block: &Block) -> usize {
        block.images * self.image_stride(block)
    }

    /// Where the bits of an image begin at a walk, as if all of its rows were there.
    pub(super) fn shared_image(&self, block: &Block, walk: &Index, image: &Index) -> Index {
        let (first, _) = self.seen_rows(block);
        let line = self.x.shape.width * self.x.shape.stride();
        walk * self.shared_stride(block) + image * self.image_stride(block) - first * line
    }

    /// Makes the bits of a block.
    pub(super) fn share(&self, k: &mut Builder, bits: Slot, block: &Block) {
        let shape = self.x.shape;
        let (first, end) = self.seen_rows(block);
        let first = k.index("first", first);
        let words = k.index("words", (end - &first) * (shape.width * shape.words()));
        k.for_range("image", 0, &block.count, |k, image| {
            let from: Vec<Index> = (0..block.steps)
                .map(|t| {
                    let input = shape.image(&t.into(), &(&block.first + &image));
                    k.index("from", input + &first * (shape.width * shape.stride()))
                })
                .collect();
            let to = k.index("to", &image * self.image_stride(block));
            k.for_range("word", 0, &words, |k, word| {
                let load = |from: &Index| load_word(self.x.slot, from + &word * 2, Width::Full);
                let mut own = vec![Word::Const(0); block.steps];
                let mut all = vec![None; walks(block.steps)];
                for Together { steps, walk, above } in together(block.steps) {
                    if above.is_none() {
                        // Those of a group of timesteps, so that few are in registers.
                        steps.clone().for_each(|t| own[t] = Word::Reg(k.word("own", load(&from[t]))));
                    }
                    let both = |a: Word, b: &Word| Word::And(Box::new(a), Box::new(b.clone()));
                    let (one, others) = (own[steps.start].clone(), &own[steps.start + 1..steps.end]);
                    let at_all = Word::Reg(k.word("all", others.iter().fold(one, both)));
                    let only = match above.and_then(|walk| all[walk].clone()) {
                        Some(above) => Word::Xor(Box::new(at_all.clone()), Box::new(above)),
                        None => at_all.clone(),
                    };
                    let at = &to + &word * 2 + walk * self.shared_stride(block);
                    k.store_word(bits, at, only, Width::Full);
                    all[walk] = Some(at_all);
                }
            });
        });
    }

    /// Adds to the sums of each timestep those of all walks that it has a part in.
    pub(super) fn join(&self, k: &mut Builder, sums: Slot, block: &Block, tile: &WideTile) {
        let positions = k.index("positions", block.positions());
        tile.each_part(k, |k, part, lane| {
            k.for_range("p", 0, &positions, |k, p| {
                let at = k.index("at", p * block.lanes + lane);
                let mut all = vec![None; walks(block.steps)];
                for Together { steps, walk, above } in together(block.steps) {
                    let own = &at + walk * block.time_stride();
                    let sum = load(sums, own.clone(), part.n);
                    let sum = match above.and_then(|walk| all[walk]) {
                        Some(above) => sum + Row::Reg(above),
                        None => sum,
                    };
                    let sum = k.row("sum", part.n, sum);
                    if steps.len() == 1 {
                        k.store(sums, own, Row::Reg(sum));
                    }
                    all[walk] = Some(sum);
                }
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timesteps_are_halved() {
        let of = |steps| {
            together(steps).into_iter().map(|own| (own.steps, own.walk, own.above)).collect::<Vec<_>>()
        };
        assert_eq!(of(2), [(0..2, 2, None), (0..1, 0, Some(2)), (1..2, 1, Some(2))]);
        assert_eq!(
            of(4),
            [
                (0..4, 4, None),
                (0..2, 5, Some(4)),
                (0..1, 0, Some(5)),
                (1..2, 1, Some(5)),
                (2..4, 6, Some(4)),
                (2..3, 2, Some(6)),
                (3..4, 3, Some(6)),
            ]
        );
    }

    #[test]
    fn each_timestep_is_walked_and_each_walk_has_its_place() {
        for steps in 2..20 {
            let all = together(steps);
            let mut walks: Vec<usize> = all.iter().map(|own| own.walk).collect();
            walks.sort_unstable();
            assert_eq!(walks, (0..all.len()).collect::<Vec<_>>());
            let singles = all.iter().filter(|own| own.steps.len() == 1);
            assert_eq!(singles.map(|own| (own.steps.start, own.walk)).collect::<Vec<_>>(), {
                (0..steps).map(|t| (t, t)).collect::<Vec<_>>()
            });
        }
    }
}
