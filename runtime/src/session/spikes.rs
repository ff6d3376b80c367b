//! Spikes of each layer while a session runs: how many, how many neurons fired at all, and at which timesteps.

use pulp::Arch;
use rayon::prelude::*;
use snnc_plan::Probe;
use std::ops::Range;

/// The most timesteps whose patterns are counted: 255 numbers a layer.
const MAX_STEPS: usize = 8;
/// Words of one timestep that a thread counts at once.
const CHUNK: usize = 1 << 12;

/// Words of one timestep whose neurons are followed over time at once.
const BLOCK: usize = 256;

/// What a step of a plan counted.
#[derive(Clone, Copy, Default)]
struct Count {
    spikes: u64,
    fired: u64,
}

/// Counts words of one timestep, with those that stand at their place at the others, `each` words on.
#[inline(always)]
fn counted(words: &[u64], each: usize, range: Range<usize>) -> Count {
    let mut sum = Count::default();
    for first in range.clone().step_by(BLOCK) {
        let length = BLOCK.min(range.end - first);
        let mut any = [0; BLOCK];
        for step in words[first..].chunks(each) {
            for (any, word) in any.iter_mut().zip(&step[..length]) {
                *any |= word;
                sum.spikes += u64::from(word.count_ones());
            }
        }
        sum.fired += any.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
    }
    sum
}

/// Counts by probe.
pub(super) struct Tally {
    /// What counts the bits of a word: an instruction, where the machine has it.
    arch: Arch,
    /// Spikes.
    spikes: Vec<u64>,
    /// Neurons that fired at one timestep at least, once for each sample.
    fired: Vec<u64>,
    /// Neurons, once for each sample.
    neurons: Vec<u64>,
    /// Neurons of each pattern over time, while they are counted: bit t is set where the neuron fired at timestep t.
    patterns: Option<Vec<Vec<u64>>>,
}

impl Tally {
    pub fn new(probes: usize) -> Tally {
        let zeros = vec![0; probes];
        Tally {
            arch: Arch::new(),
            spikes: zeros.clone(),
            fired: zeros.clone(),
            neurons: zeros,
            patterns: None,
        }
    }

    pub fn reset(&mut self) {
        let lists = [&mut self.spikes, &mut self.fired, &mut self.neurons];
        lists.into_iter().for_each(|counts| counts.fill(0));
        self.patterns.iter_mut().flatten().for_each(|counts| counts.fill(0));
    }

    /// Begins to count patterns, or ends it. Layers of too many timesteps have none.
    pub fn watch_patterns(&mut self, probes: &[Probe], on: bool) {
        let room = |probe: &Probe| vec![0; if probe.steps <= MAX_STEPS { 1 << probe.steps } else { 0 }];
        self.patterns = on.then(|| probes.iter().map(room).collect());
    }

    /// Counts the words of a probe, those of all samples for one timestep after the other.
    pub fn count(&mut self, number: usize, probe: &Probe, words: &[u64]) {
        let Some(each) = words.len().checked_div(probe.steps).filter(|each| *each > 0) else { return };
        let count =
            |first: usize| self.arch.dispatch(|| counted(words, each, first..(first + CHUNK).min(each)));
        let both = |a: Count, b: Count| Count { spikes: a.spikes + b.spikes, fired: a.fired + b.fired };
        let chunks = (0..each).into_par_iter().step_by(CHUNK);
        let found = chunks.map(count).reduce(Count::default, both);
        self.spikes[number] += found.spikes;
        self.fired[number] += found.fired;
        if let Some(patterns) = self.patterns.as_mut().map(|all| &mut all[number]).filter(|p| !p.is_empty()) {
            count_patterns(patterns, words, each);
        }
    }

    pub fn add_samples(&mut self, probes: &[Probe], samples: usize) {
        for (neurons, probe) in self.neurons.iter_mut().zip(probes) {
            *neurons += (probe.neurons * samples) as u64;
        }
    }

    /// Spikes per neuron and timestep, and the share of neurons that fire at all, by probe.
    pub fn shares(&self, probes: &[Probe]) -> Vec<(f64, f64)> {
        let share = |(number, probe): (usize, &Probe)| {
            let neurons = self.neurons[number].max(1) as f64;
            let steps = probe.steps.max(1) as f64;
            (self.spikes[number] as f64 / (neurons * steps), self.fired[number] as f64 / neurons)
        };
        probes.iter().enumerate().map(share).collect()
    }

    /// Neurons of each pattern by probe, those that never fired at 0; `None` where they are not counted.
    pub fn patterns(&self) -> Option<Vec<Vec<u64>>> {
        let of = |(number, counts): (usize, &Vec<u64>)| {
            let mut counts = counts.clone();
            if let Some(silent) = counts.first_mut() {
                *silent = self.neurons[number] - self.fired[number];
            }
            counts
        };
        self.patterns.as_ref().map(|all| all.iter().enumerate().map(of).collect())
    }
}

/// Neuron after neuron that fires.
fn count_patterns(patterns: &mut [u64], words: &[u64], each: usize) {
    for at in 0..each {
        let own = words[at..].iter().step_by(each);
        let mut any = own.clone().fold(0, |any, word| any | word);
        while any != 0 {
            let bit = any.trailing_zeros();
            let pattern =
                own.clone().enumerate().map(|(t, word)| ((word >> bit & 1) as usize) << t).sum::<usize>();
            patterns[pattern] += 1;
            any &= any - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of two samples at three timesteps, of 70 neurons, more than a thread counts at once in the larger layer.
    #[test]
    fn spikes_are_counted_as_one_by_one() {
        for positions in [1, CHUNK + 3] {
            let (steps, words, samples) = (3, 2, 2);
            let each = positions * words * samples;
            let mut state = 7u64;
            let mut word = |at: usize| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let bits = (state >> 7) & (state >> 29) & (state >> 13);
                if at % words == 1 { bits & 63 } else { bits }
            };
            let all: Vec<u64> = (0..each * steps).map(&mut word).collect();
            let layer = "a".to_string();
            let probe =
                Probe { layer, words: positions * words, neurons: positions * 70, steps, pooled: false };
            let probes = [probe];
            let mut tally = Tally::new(1);
            tally.watch_patterns(&probes, true);
            // Twice the same: shares are those of one, counts twice as many.
            for _ in 0..2 {
                tally.count(0, &probes[0], &all);
                tally.add_samples(&probes, samples);
            }
            let mut expected = [0u64; 8];
            for (at, bit) in (0..each).flat_map(|at| (0..64).map(move |bit| (at, bit))) {
                let fires = |t: usize| (all[t * each + at] >> bit & 1) as usize;
                if at % words == 0 || bit < 6 {
                    expected[fires(0) + 2 * fires(1) + 4 * fires(2)] += 2;
                }
            }
            assert_eq!(tally.patterns(), Some(vec![expected.to_vec()]));
            let neurons = (2 * samples * positions * 70) as f64;
            let spikes: u64 = expected.iter().enumerate().map(|(p, n)| u64::from(p.count_ones()) * n).sum();
            let fired: u64 = expected[1..].iter().sum();
            assert_eq!(tally.shares(&probes), [(spikes as f64 / (neurons * 3.0), fired as f64 / neurons)]);
            tally.reset();
            assert_eq!(tally.shares(&probes), [(0.0, 0.0)]);
        }
    }
}
