//! Lists of neurons by pattern, and walks over them.

use super::{Machine, Run as Outcome};
use crate::body::{Grid, PatternLists, PatternWalk};

impl Machine<'_, '_> {
    /// Counts of the patterns up to each, and the neurons of each.
    pub(super) fn list_patterns(&mut self, lists: &PatternLists) -> Outcome {
        let (patterns, time) = (1usize << lists.steps, self.index(&lists.time)?);
        for i in 0..self.index(&lists.count)? {
            let from = self.piece(&lists.bits, i)?;
            let of_step = |t: usize| self.words(lists.bits.slot, from + t as i64 * time, lists.words);
            let words: Vec<Vec<u64>> = (0..lists.steps).map(of_step).collect::<Outcome<_>>()?;
            let fires = |words: &[u64], neuron: usize| words[neuron / 64] >> (neuron % 64) & 1 == 1;
            let pattern = |neuron: usize| -> usize {
                words.iter().enumerate().map(|(t, words)| usize::from(fires(words, neuron)) << t).sum()
            };
            let (mut ends, mut neurons) = (vec![0], Vec::new());
            for wanted in 1..patterns {
                let all = 0..lists.words * 64;
                neurons.extend(all.filter(|&neuron| pattern(neuron) == wanted).map(|neuron| neuron as u32));
                ends.push(neurons.len() as u32);
            }
            ends.extend(neurons);
            self.write(lists.lists.slot, self.piece(&lists.lists, i)?, &ends)?;
        }
        Ok(())
    }

    /// `sums[t] += Σ rows[k]`, pattern after pattern.
    pub(super) fn add_patterns(&mut self, walk: &PatternWalk) -> Outcome {
        let [rows, columns] = [self.index(&walk.taps[0])?, self.index(&walk.taps[1])?];
        let mut listed = 0;
        for pattern in 1..1i64 << walk.steps {
            let mut sum = vec![0.0; walk.lanes];
            for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                let (lists, tap) = (self.tap(&walk.lists, y, x)?, self.tap(&walk.rows, y, x)?);
                let number = |at: i64| self.read::<1>(walk.lists.slot, at, 1).map(|[n]| i64::from(n));
                let numbers = lists + (1 << walk.steps);
                for j in number(lists + pattern - 1)?..number(lists + pattern)? {
                    listed += 1;
                    let row =
                        self.numbers(walk.rows.slot, tap + number(numbers + j)? * walk.row, walk.lanes)?;
                    sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
                }
            }
            for t in (0..walk.steps as i64).filter(|t| pattern >> t & 1 == 1) {
                let at = self.piece(&walk.sums, t)?;
                let mut sums = self.numbers(walk.sums.slot, at, walk.lanes)?;
                sums.iter_mut().zip(&sum).for_each(|(total, x)| *total += x);
                self.store(walk.sums.slot, at, &sums)?;
            }
        }
        if listed > walk.most {
            return Err(format!("{listed} neurons are listed where {} are the most", walk.most));
        }
        Ok(())
    }

    fn tap(&self, grid: &Grid, y: i64, x: i64) -> Outcome<i64> {
        let at = self.index(&grid.at)?;
        let [rows, columns] = grid.steps;
        let place = y.checked_mul(rows).zip(x.checked_mul(columns));
        let place = place.and_then(|(y, x)| at.checked_add(y)?.checked_add(x));
        place.ok_or_else(|| "an index overflows".to_string())
    }
}
