//! Counting what taps hold: events, and the additions that they cause.

use crate::data::Split;
use crate::progress::Progress;
use crate::{Error, Session};
use snnc_plan::{AttentionCost, Plan, Reach, Tap, TapElements, TapRole};

/// What the layers of a network read, over so many samples.
#[derive(Clone, PartialEq, Debug)]
pub struct Counts {
    /// Samples.
    pub samples: usize,
    /// Timesteps of a sample.
    pub timesteps: usize,
    /// Neurons of one timestep.
    pub neurons: usize,
    /// Bytes of the parameters.
    pub parameter_bytes: u64,
    /// Each product and each attention, in order.
    pub layers: Vec<LayerCount>,
}

/// What one layer reads.
#[derive(Clone, PartialEq, Debug)]
pub struct LayerCount {
    /// Its path.
    pub layer: String,
    /// What it reads.
    pub elements: TapElements,
    /// Whether it is an attention, whose operands are all spikes.
    pub attention: bool,
    /// Multiply-adds of one sample and timestep; of an attention the additions if every bit were set.
    pub macs: u64,
    /// Timesteps at which its input is computed: 1 where it stands still.
    pub steps: usize,
    /// The mean value of its input.
    pub rate: f64,
    /// Additions of one sample: each spike or count times the outputs it reaches.
    pub exact: f64,
    /// Bytes of its input for one sample, packed as it is.
    pub input_bytes: u64,
}

/// Runs the first `limit` samples (or all) and counts.
///
/// # Errors
/// [`Error::User`] where the split is empty or the session has no taps; [`Error::Interrupted`].
pub fn measure(
    session: &mut Session,
    split: &Split,
    limit: Option<usize>,
    progress: &mut dyn Progress,
) -> Result<Counts, Error> {
    let samples = limit.unwrap_or(usize::MAX).min(split.len());
    if samples == 0 {
        return Err(Error::User("there are no samples to count".to_string()));
    }
    let taps = session.plan().taps.clone();
    let mut sums = vec![Sum::default(); taps.len()];
    let mut first = 0;
    progress.begin("count", samples);
    while first < samples {
        let count = session.max_batch().min(samples - first);
        let indices: Vec<usize> = (first..first + count).collect();
        session.set_samples(&indices, |sample, to| split.write_sample(sample, to))?;
        session.run_forward()?;
        for (at, tap) in taps.iter().enumerate() {
            add(session, &taps[at..], tap, count, &mut sums[at])?;
        }
        first += count;
        if progress.stopped() {
            return Err(Error::Interrupted);
        }
    }
    progress.end();
    let layers = layers(&taps, |at, tap| {
        let all = (samples * tap.steps * tap.elements()) as f64;
        (sums[at].events / all, sums[at].additions / samples as f64)
    });
    Ok(counts(session.plan(), samples, layers))
}

/// What the layers would read if each of their inputs had this mean value at every place.
pub fn uniform(plan: &Plan, rate: f64) -> Counts {
    let layers = layers(&plan.taps, |_, tap| {
        let additions = match tap.role {
            TapRole::Product(reach) => {
                let places = (0..tap.height * tap.width)
                    .map(|p| reach.fan_out(p / tap.width, p % tap.width) as f64)
                    .sum::<f64>();
                rate * (tap.steps * tap.channels) as f64 * places
            }
            // Independent spikes: a key and a value meet at the square of the rate.
            TapRole::Queries(cost) => {
                let (bound, tokens) = (attention_bound(tap, &cost) as f64, tap.steps as f64);
                tokens * bound * if cost.kv_first { (rate * rate + rate) / 2.0 } else { rate * rate }
            }
            TapRole::Keys | TapRole::Values => 0.0,
        };
        (rate, additions)
    });
    counts(plan, 1, layers)
}

fn counts(plan: &Plan, samples: usize, layers: Vec<LayerCount>) -> Counts {
    Counts {
        samples,
        timesteps: plan.timesteps,
        neurons: plan.probes.iter().filter(|probe| !probe.pooled).map(|probe| probe.neurons).sum(),
        parameter_bytes: plan.params.iter().map(|spec| spec.len() as u64 * 4).sum(),
        layers,
    }
}

/// The layers of taps; `of` gives the mean value and the additions of a sample. Keys and values count with the queries.
fn layers(taps: &[Tap], of: impl Fn(usize, &Tap) -> (f64, f64)) -> Vec<LayerCount> {
    let mut layers = Vec::new();
    for (at, tap) in taps.iter().enumerate() {
        let (attention, macs) = match tap.role {
            TapRole::Product(reach) => (false, reach.macs(tap.channels)),
            TapRole::Queries(cost) => (true, attention_bound(tap, &cost)),
            TapRole::Keys | TapRole::Values => continue,
        };
        let (rate, exact) = of(at, tap);
        let operands = if attention { &taps[at..(at + 3).min(taps.len())] } else { &taps[at..=at] };
        let bytes = |tap: &Tap| (tap.steps * tap.height * tap.width * tap.stride() * 4) as u64;
        layers.push(LayerCount {
            layer: tap.layer.clone(),
            elements: tap.elements,
            attention,
            macs,
            steps: tap.steps,
            rate,
            exact,
            input_bytes: operands.iter().map(bytes).sum(),
        });
    }
    layers
}

/// Additions of one sample and timestep if every bit were set, with values of as many channels as keys.
fn attention_bound(tap: &Tap, cost: &AttentionCost) -> u64 {
    let (steps, positions) = cost.group;
    let seen = if cost.causal { (steps + 1) as f64 / 2.0 } else { steps as f64 };
    let tokens = (tap.height * tap.width) as u64;
    let width = if cost.kv_first { (tap.channels / cost.heads) as f64 } else { seen * positions as f64 };
    2 * (tokens as f64 * tap.channels as f64 * width) as u64
}

/// Sums over samples.
#[derive(Clone, Copy, Default)]
struct Sum {
    /// Spikes, or the values of counts.
    events: f64,
    additions: f64,
}

fn add(session: &Session, taps: &[Tap], tap: &Tap, samples: usize, sum: &mut Sum) -> Result<(), Error> {
    match tap.role {
        TapRole::Product(reach) => add_product(session, tap, &reach, samples, sum),
        TapRole::Queries(cost) => {
            let [q, k, v, ..] = taps else {
                return Err(Error::Internal(format!("`{}` lacks taps of keys and values", tap.layer)));
            };
            let tokens = [q, k, v].map(|tap| Tokens::read(session, tap, &cost, samples));
            let [q, k, v] = tokens;
            let (q, k, v) = (q?, k?, v?);
            sum.events += q.counts.iter().sum::<u32>() as f64;
            sum.additions += attention_additions(&q, &k, &v, &cost);
            Ok(())
        }
        TapRole::Keys | TapRole::Values => Ok(()),
    }
}

/// Each position's events times the outputs that they reach; real values count as they are needed: all of them.
fn add_product(
    session: &Session,
    tap: &Tap,
    reach: &Reach,
    samples: usize,
    sum: &mut Sum,
) -> Result<(), Error> {
    let positions = tap.height * tap.width;
    let fan_out: Vec<f64> =
        (0..positions).map(|p| reach.fan_out(p / tap.width, p % tap.width) as f64).collect();
    let rows = tap.steps * samples * positions;
    let mut tally = |row: usize, events: f64| {
        sum.events += events;
        sum.additions += events * fan_out[row % positions];
    };
    match tap.elements {
        TapElements::Spikes => {
            let words = session.tap_words(tap, rows * tap.stride() / 2)?;
            for (row, words) in words.chunks_exact(tap.stride() / 2).enumerate() {
                tally(row, words.iter().map(|word| word.count_ones()).sum::<u32>() as f64);
            }
        }
        TapElements::Counts => {
            let values = session.tap_values(tap, rows * tap.channels)?;
            for (row, values) in values.chunks_exact(tap.channels).enumerate() {
                tally(row, values.iter().map(|value| f64::from(*value)).sum());
            }
        }
        TapElements::Real => (0..rows).for_each(|row| tally(row, tap.channels as f64)),
    }
    Ok(())
}

/// The packed channels of the tokens of a tap, `[steps B position head]`, and how many of them are set.
struct Tokens {
    bits: Vec<Vec<u64>>,
    counts: Vec<u32>,
    /// Channels of a head.
    width: u32,
    steps: usize,
    samples: usize,
    positions: usize,
    heads: usize,
}

impl Tokens {
    fn read(session: &Session, tap: &Tap, cost: &AttentionCost, samples: usize) -> Result<Tokens, Error> {
        let positions = tap.height * tap.width;
        let stride = tap.stride() / 2;
        let words = session.tap_words(tap, tap.steps * samples * positions * stride)?;
        let width = tap.channels / cost.heads;
        let mut bits = Vec::with_capacity(words.len() / stride * cost.heads);
        for row in words.chunks_exact(stride) {
            for head in 0..cost.heads {
                bits.push(cut(row, head * width, width));
            }
        }
        let counts = bits.iter().map(|bits| bits.iter().map(|word| word.count_ones()).sum()).collect();
        let (steps, heads) = (tap.steps, cost.heads);
        Ok(Tokens { bits, counts, width: width as u32, steps, samples, positions, heads })
    }

    fn at(&self, t: usize, sample: usize, position: usize, head: usize) -> usize {
        ((t * self.samples + sample) * self.positions + position) * self.heads + head
    }
}

/// `width` bits from bit `from` on, in words of their own.
fn cut(row: &[u64], from: usize, width: usize) -> Vec<u64> {
    let bit = |at: usize| row[at / 64] >> (at % 64) & 1;
    let mut words = vec![0u64; width.div_ceil(64)];
    for i in 0..width {
        words[i / 64] |= bit(from + i) << (i % 64);
    }
    words
}

/// The additions that set bits cause, over all samples: with keys first `Σ|k||v| + Σ|q|·d`, with queries first
/// `Σ⟨q, k⟩ + Σ|v|` over the pairs that share a bit.
fn attention_additions(q: &Tokens, k: &Tokens, v: &Tokens, cost: &AttentionCost) -> f64 {
    if cost.kv_first {
        let meet: f64 = k.counts.iter().zip(&v.counts).map(|(k, v)| f64::from(*k) * f64::from(*v)).sum();
        let asked: f64 = q.counts.iter().map(|q| f64::from(*q) * f64::from(v.width)).sum();
        return meet + asked;
    }
    let (in_time, in_space) = cost.group;
    let mut total = 0.0;
    for sample in 0..q.samples {
        for head in 0..q.heads {
            for t0 in (0..q.steps).step_by(in_time) {
                for p0 in (0..q.positions).step_by(in_space) {
                    let places = || (t0..t0 + in_time).flat_map(|t| (p0..p0 + in_space).map(move |p| (t, p)));
                    for (i, j) in places().flat_map(|i| places().map(move |j| (i, j))) {
                        if !cost.causal || j.0 <= i.0 {
                            let (i, j) = (q.at(i.0, sample, i.1, head), k.at(j.0, sample, j.1, head));
                            total += pair(q, k, v, i, j);
                        }
                    }
                }
            }
        }
    }
    total
}

fn pair(q: &Tokens, k: &Tokens, v: &Tokens, i: usize, j: usize) -> f64 {
    let shared: u32 = q.bits[i].iter().zip(&k.bits[j]).map(|(q, k)| (q & k).count_ones()).sum();
    if shared == 0 { 0.0 } else { f64::from(shared) + f64::from(v.counts[j]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(rows: &[u64], steps: usize) -> Tokens {
        let bits: Vec<Vec<u64>> = rows.iter().map(|row| vec![*row]).collect();
        let counts = rows.iter().map(|row| row.count_ones()).collect();
        Tokens { bits, counts, width: 4, steps, samples: 1, positions: rows.len() / steps, heads: 1 }
    }

    fn cost(group: (usize, usize), kv_first: bool, causal: bool) -> AttentionCost {
        AttentionCost { heads: 1, group, kv_first, causal }
    }

    #[test]
    fn bits_cause_additions() {
        let (q, k, v) =
            (tokens(&[0b1101, 0b0000], 2), tokens(&[0b0101, 0b1111], 2), tokens(&[0b1001, 0b0111], 2));
        // |k||v|: 2·2 + 4·3; each of 3 query bits adds a row of 4.
        assert_eq!(attention_additions(&q, &k, &v, &cost((2, 1), true, false)), 16.0 + 12.0);
        // The first query shares 2 bits with the first key and 3 with the second; the second query shares none.
        assert_eq!(attention_additions(&q, &k, &v, &cost((2, 1), false, false)), 2.0 + 2.0 + 3.0 + 3.0);
        assert_eq!(attention_additions(&q, &k, &v, &cost((2, 1), false, true)), 2.0 + 2.0);
        assert_eq!(attention_additions(&q, &k, &v, &cost((1, 1), false, false)), 2.0 + 2.0);
    }

    #[test]
    fn heads_are_cut_across_words() {
        let row = [1u64 << 63 | 1, 0b101];
        assert_eq!(cut(&row, 60, 8), [0b0101_1000]);
        assert_eq!(cut(&row, 0, 64), [1u64 << 63 | 1]);
    }
}
