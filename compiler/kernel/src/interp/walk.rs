//! Walks over set bits and lookups in tables, one addition after the other.

use super::{Machine, Run as Outcome, halves};
use crate::body::{
    Current, Curve, ENTRIES, Fire, GROUP, Groups, Lookup, Map, OverTime, PARTS, Run, Slot, TapWalk, Walk,
    WindowWalk, entry,
};
use crate::math;

impl Machine<'_, '_> {
    /// `sums[i] += rows[k]`.
    pub(super) fn add_rows(&mut self, walk: &Walk) -> Outcome {
        for i in 0..self.index(&walk.count)? {
            let at = self.piece(&walk.sums, i)?;
            let mut sums = self.numbers(walk.sums.slot, at, walk.lanes)?;
            for k in self.set_bits(walk, i)? {
                let row = self.numbers(walk.rows.slot, self.piece(&walk.rows, k)?, walk.lanes)?;
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
            self.store(walk.sums.slot, at, &sums)?;
        }
        Ok(())
    }

    /// Neuron after neuron.
    pub(super) fn fire(&mut self, fire: &Fire) -> Outcome {
        let [decay, gain, threshold, reset, first] = fire.constants.map(f32::from_bits);
        for i in 0..self.index(&fire.count)? {
            let mut v = vec![first; fire.lanes];
            for t in 0..fire.steps as i64 {
                let mut spikes = vec![0u64; fire.lanes.div_ceil(64)];
                for (lane, (v, x)) in v.iter_mut().zip(self.currents(fire, i, t)?).enumerate() {
                    let h = *v * decay + x * gain;
                    let fired = if fire.above { h > threshold } else { h >= threshold };
                    spikes[lane / 64] |= u64::from(fired) << (lane % 64);
                    *v = if fired { reset } else { h };
                }
                let (run, time) = &fire.spikes;
                let at = self.piece(run, i)? + t * self.index(time)?;
                for (number, word) in spikes.into_iter().enumerate() {
                    self.write(run.slot, at + 2 * number as i64, &halves(word))?;
                }
            }
        }
        Ok(())
    }

    /// What a position's neurons get at a timestep.
    fn currents(&self, fire: &Fire, i: i64, t: i64) -> Outcome<Vec<f32>> {
        let mut sums: Option<Vec<f32>> = None;
        for (current, run, time) in &fire.currents {
            let at = self.piece(run, i)? + t * self.index(time)?;
            let own: Vec<f32> = match current {
                Current::Numbers => self.numbers(run.slot, at, fire.lanes)?,
                Current::Bits => {
                    let words = self.words(run.slot, at, fire.lanes.div_ceil(64))?;
                    let bit = |lane: usize| (words[lane / 64] >> (lane % 64) & 1) as u8;
                    (0..fire.lanes).map(|lane| f32::from(bit(lane))).collect()
                }
            };
            sums = Some(match sums {
                None => own,
                Some(sums) => sums.into_iter().zip(own).map(|(a, b)| a + b).collect(),
            });
        }
        Ok(sums.unwrap_or_default())
    }

    /// `sums[i] += rows[tap, k]`.
    pub(super) fn add_window(&mut self, window: &WindowWalk) -> Outcome {
        let walk = &window.walk;
        let [rows, columns] = [self.index(&window.taps[0])?, self.index(&window.taps[1])?];
        for i in 0..self.index(&walk.count)? {
            let at = self.piece(&walk.sums, i)?;
            let mut sums = self.numbers(walk.sums.slot, at, walk.lanes)?;
            for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                let from = self.piece(&walk.bits, i)? + y * window.bits[0] + x * window.bits[1];
                for k in self.set_bits_at(walk, from)? {
                    let row = self.piece(&walk.rows, k)? + y * window.rows[0] + x * window.rows[1];
                    let row = self.numbers(walk.rows.slot, row, walk.lanes)?;
                    sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
                }
            }
            self.store(walk.sums.slot, at, &sums)?;
        }
        Ok(())
    }

    /// `sums[i, tap] += rows[tap, k]`.
    pub(super) fn add_taps(&mut self, taps: &TapWalk) -> Outcome {
        let (walk, [rows, columns]) = (&taps.walk, taps.taps);
        for i in 0..self.index(&walk.count)? {
            let chosen = self.chosen_rows(taps, i)?;
            for tap in 0..rows * columns {
                let (y, x) = ((tap / columns) as i64, (tap % columns) as i64);
                let at = self.piece(&walk.sums, i)? + tap as i64 * taps.apart;
                let mut sums = self.numbers(walk.sums.slot, at, walk.lanes)?;
                for row in &chosen {
                    let row = row + y * taps.steps[0] + x * taps.steps[1];
                    let row = self.numbers(walk.rows.slot, row, walk.lanes)?;
                    sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
                }
                self.store(walk.sums.slot, at, &sums)?;
            }
        }
        Ok(())
    }

    /// Where the rows of the first tap are that a position's bits choose.
    fn chosen_rows(&self, taps: &TapWalk, position: i64) -> Outcome<Vec<i64>> {
        let (walk, from) = (&taps.walk, self.piece(&taps.walk.bits, position)?);
        let over = taps.over.unwrap_or(OverTime { steps: 1, words: 0, pattern: 0 });
        let mut chosen = Vec::new();
        for number in 0..walk.words as i64 {
            let word = |t: usize| {
                let at = from + number * taps.word + t as i64 * over.words;
                Ok(self.words(walk.bits.slot, at, 1)?[0])
            };
            let words = (0..over.steps).map(word).collect::<Outcome<Vec<u64>>>()?;
            for bit in 0..64 {
                let pattern =
                    words.iter().rev().fold(0, |pattern, word| pattern << 1 | (word >> bit & 1) as i64);
                if pattern != 0 {
                    chosen.push(self.piece(&walk.rows, number * 64 + bit)? + pattern * over.pattern);
                }
            }
        }
        Ok(chosen)
    }

    /// `sums[j] += rows[k] . with[i]`, in partial sums.
    pub(super) fn dot_rows(&mut self, walk: &Walk, with: &Run) -> Outcome {
        let mut j = 0;
        for i in 0..self.index(&walk.count)? {
            let other = self.numbers(with.slot, self.piece(with, i)?, walk.lanes)?;
            for k in self.set_bits(walk, i)? {
                let at = self.piece(&walk.sums, j)?;
                j += 1;
                let mut sums = self.numbers(walk.sums.slot, at, PARTS)?;
                let row = self.numbers(walk.rows.slot, self.piece(&walk.rows, k)?, walk.lanes)?;
                for (lane, (x, y)) in row.iter().zip(&other).enumerate() {
                    sums[lane % PARTS] += x * y;
                }
                self.store(walk.sums.slot, at, &sums)?;
            }
        }
        Ok(())
    }

    /// Entry after entry: each is one with a row less, and that row.
    pub(super) fn sum_groups(&mut self, groups: &Groups) -> Outcome {
        let (lanes, begin) = (groups.lanes, self.index(&groups.table.1)?);
        for group in 0..groups.count.div_ceil(GROUP) {
            let mut entries = vec![vec![0.0; lanes]];
            for b in 0..GROUP {
                let row = match group * GROUP + b {
                    k if k < groups.count => {
                        self.numbers(groups.rows.slot, self.piece(&groups.rows, k as i64)?, lanes)?
                    }
                    _ => vec![0.0; lanes],
                };
                let with = |sum: &Vec<f32>| sum.iter().zip(&row).map(|(x, y)| x + y).collect();
                let more: Vec<Vec<f32>> = entries.iter().map(with).collect();
                entries.extend(more);
            }
            for (m, sum) in entries.iter().enumerate() {
                let at = begin + ((group * ENTRIES + m) * entry(lanes)) as i64;
                self.store(groups.table.0, at, sum)?;
            }
        }
        Ok(())
    }

    /// `sums[i] += table[g, m]`.
    pub(super) fn add_groups(&mut self, lookup: &Lookup) -> Outcome {
        let (lanes, begin) = (lookup.lanes, self.index(&lookup.table.1)?);
        for i in 0..self.index(&lookup.count)? {
            let words = lookup.groups.div_ceil(64 / GROUP);
            let words = self.words(lookup.bits.slot, self.piece(&lookup.bits, i)?, words)?;
            let at = self.piece(&lookup.sums, i)?;
            let mut sums = self.numbers(lookup.sums.slot, at, lanes)?;
            for group in 0..lookup.groups {
                let (word, shift) = (group * GROUP / 64, group * GROUP % 64);
                let m = (words[word] >> shift) as usize % ENTRIES;
                let entry = begin + ((group * ENTRIES + m) * entry(lanes)) as i64;
                let entry = self.numbers(lookup.table.0, entry, lanes)?;
                sums.iter_mut().zip(entry).for_each(|(sum, x)| *sum += x);
            }
            self.store(lookup.sums.slot, at, &sums)?;
        }
        Ok(())
    }

    /// `to[i] = curve(from[i])`.
    pub(super) fn map(&mut self, Map { curve, count, from, to }: &Map) -> Outcome {
        let curve = match curve {
            Curve::Exp => math::exp,
            Curve::Sigmoid => math::sigmoid,
        };
        let numbers = self.numbers(from.0, self.index(&from.1)?, *count)?;
        let values: Vec<f32> = numbers.into_iter().map(curve).collect();
        self.store(to.0, self.index(&to.1)?, &values)
    }

    pub(super) fn piece(&self, run: &Run, number: i64) -> Outcome<i64> {
        let at = self.index(&run.at)?;
        let moved = run.step.checked_mul(number).and_then(|by| at.checked_add(by));
        moved.ok_or_else(|| "an index overflows".to_string())
    }

    /// The set bits of a position, from the lowest.
    fn set_bits(&self, walk: &Walk, position: i64) -> Outcome<Vec<i64>> {
        self.set_bits_at(walk, self.piece(&walk.bits, position)?)
    }

    /// Those of the words from one on.
    fn set_bits_at(&self, walk: &Walk, at: i64) -> Outcome<Vec<i64>> {
        let words = self.words(walk.bits.slot, at, walk.words)?;
        let of_word = |(number, word): (usize, u64)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| (number * 64 + bit) as i64)
        };
        Ok(words.into_iter().enumerate().flat_map(of_word).collect())
    }

    pub(super) fn words(&self, slot: Slot, at: i64, n: usize) -> Outcome<Vec<u64>> {
        let word = |number: usize| {
            let [low, high]: [u32; 2] = self.read(slot, at + 2 * number as i64, 2)?;
            Ok(u64::from(low) | u64::from(high) << 32)
        };
        (0..n).map(word).collect()
    }

    pub(super) fn numbers(&self, slot: Slot, at: i64, n: usize) -> Outcome<Vec<f32>> {
        let number = |lane: usize| Ok(f32::from_bits(self.read::<1>(slot, at + lane as i64, 1)?[0]));
        (0..n).map(number).collect()
    }

    pub(super) fn store(&mut self, slot: Slot, at: i64, numbers: &[f32]) -> Outcome {
        let words: Vec<u32> = numbers.iter().map(|x| x.to_bits()).collect();
        self.write(slot, at, &words)
    }
}
