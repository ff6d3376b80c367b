//! Mixes the samples of a batch, each with another one: what the network sees then has two labels.
//!
//! ```text
//! mixup    λ·sample + (1 − λ)·other                     share of the label λ
//! cutmix   the sample, a rectangle of it from the other  share of the label: what is left of the area
//! ```
//!
//! λ is of the distribution Beta(α, α), drawn for each sample anew, as are partner and rectangle. A sample is mixed once at
//! most: by the first operation of the list whose chance comes.
//!
//! Invariant: a mixed sample depends on (seed, epoch, index, place of the operation in the list) and on the samples of its
//! batch, which epoch and step decide; never on threads.

use super::Grid;
use crate::rng::{Draw, Rng};
use snnc_plan::{Augment, InputSpec};

/// The second labels of a batch, and the share of each first one.
#[derive(Clone, PartialEq, Debug)]
pub struct Mixed {
    /// The class of each sample's partner; its own where it is not mixed.
    pub others: Vec<i32>,
    /// The share of each sample's own class, 0 to 1.
    pub shares: Vec<f32>,
}

/// The operations of a list that mix, in one epoch.
#[derive(Clone, Debug)]
pub struct Mixing {
    ops: Vec<(usize, Augment)>,
    grid: Grid,
    seed: u64,
    epoch: usize,
}

impl Mixing {
    /// Those of a list on samples of this input; `None` where there are none.
    pub fn of(list: &[Augment], input: &InputSpec, seed: u64, epoch: usize) -> Option<Mixing> {
        let ops: Vec<_> = list.iter().copied().enumerate().filter(|(_, op)| op.mixes()).collect();
        (!ops.is_empty()).then(|| Mixing { ops, grid: Grid::of(&input.shape), seed, epoch })
    }

    /// Mixes samples that lie one after the other, `indices` in their split.
    pub fn apply(&self, indices: &[usize], labels: &[i32], values: &mut [f32]) -> Mixed {
        let n = indices.len();
        let mut mixed = Mixed { others: labels.to_vec(), shares: vec![1.0; n] };
        let len = values.len() / n.max(1);
        if n < 2 || len == 0 {
            return mixed;
        }
        let old = values.to_vec();
        for (slot, to) in values.chunks_exact_mut(len).enumerate() {
            let draw = Draw { seed: self.seed, epoch: self.epoch, sample: indices[slot] };
            let Some((other, share)) = self.mix(draw, slot, n, to, |other| &old[other * len..][..len]) else {
                continue;
            };
            (mixed.others[slot], mixed.shares[slot]) = (labels[other], share);
        }
        mixed
    }

    /// Mixes one sample; its partner's slot and its own share.
    fn mix<'a>(
        &self,
        draw: Draw,
        slot: usize,
        n: usize,
        to: &mut [f32],
        of: impl Fn(usize) -> &'a [f32],
    ) -> Option<(usize, f32)> {
        for &(at, op) in &self.ops {
            let (Augment::Mixup { alpha, p } | Augment::CutMix { alpha, p }) = op else { continue };
            let rng = &mut draw.rng(at);
            if f64::from(rng.uniform()) >= p {
                continue;
            }
            let other = (slot + 1 + rng.below(n - 1)) % n;
            let kept = beta(alpha, rng);
            let share = if matches!(op, Augment::Mixup { .. }) {
                blend(to, of(other), kept as f32)
            } else {
                patch(to, of(other), self.grid, kept, rng)
            };
            return Some((other, share));
        }
        None
    }
}

/// `share·to + (1 − share)·other`; the share.
fn blend(to: &mut [f32], other: &[f32], share: f32) -> f32 {
    to.iter_mut().zip(other).for_each(|(to, other)| *to = share * *to + (1.0 - share) * other);
    share
}

/// A rectangle of the sample's proportions, its centre anywhere, cut at the border, from the other on every plane; what is
/// left of the area.
fn patch(to: &mut [f32], other: &[f32], grid: Grid, kept: f64, rng: &mut Rng) -> f32 {
    let side = (1.0 - kept).max(0.0).sqrt();
    let mut range = |n: usize| {
        let (half, centre) = ((side * n as f64) as usize / 2, rng.below(n));
        centre.saturating_sub(half)..(centre + half).min(n)
    };
    let (rows, columns) = (range(grid.height), range(grid.width));
    let planes = to.chunks_exact_mut(grid.area().max(1)).zip(other.chunks_exact(grid.area().max(1)));
    for (to, other) in planes {
        for row in rows.clone() {
            let range = row * grid.width + columns.start..row * grid.width + columns.end;
            to[range.clone()].copy_from_slice(&other[range]);
        }
    }
    1.0 - (rows.len() * columns.len()) as f32 / grid.area().max(1) as f32
}

/// A number of the distribution Beta(α, α). In logarithms: with a small α both parts are often below what f64 holds.
fn beta(alpha: f64, rng: &mut Rng) -> f64 {
    let (a, b) = (log_gamma_variate(alpha, rng), log_gamma_variate(alpha, rng));
    1.0 / (1.0 + (b - a).exp())
}

/// The logarithm of a number of the distribution Gamma(α, 1) (Marsaglia and Tsang, 2000).
fn log_gamma_variate(alpha: f64, rng: &mut Rng) -> f64 {
    let positive = |rng: &mut Rng| 1.0 - f64::from(rng.uniform());
    if alpha < 1.0 {
        let root = positive(rng).ln() / alpha;
        return log_gamma_variate(alpha + 1.0, rng) + root;
    }
    let d = alpha - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = f64::from(rng.normal());
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && positive(rng).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return (d * v).ln();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;
    use snnc_plan::BufferId;

    fn input(shape: &[usize]) -> InputSpec {
        let (name, shape, buffer) = ("image".to_string(), shape.to_vec(), BufferId(0));
        InputSpec { name, shape, has_time: false, spikes: false, encoder: None, buffer }
    }

    fn mixing(list: &[Augment], shape: &[usize]) -> Mixing {
        Mixing::of(list, &input(shape), 3, 2).expect("something that mixes")
    }

    /// Samples of two planes of 4×4 that each hold one number: what is seen tells where it is from.
    fn batch(indices: &[usize]) -> Vec<f32> {
        indices.iter().flat_map(|&index| [index as f32; 32]).collect()
    }

    const MIXUP: Augment = Augment::Mixup { alpha: 0.4, p: 1.0 };
    const CUTMIX: Augment = Augment::CutMix { alpha: 1.0, p: 1.0 };
    const SHAPE: [usize; 3] = [2, 4, 4];
    const INDICES: [usize; 6] = [10, 21, 32, 43, 54, 65];
    const LABELS: [i32; 6] = [0, 1, 2, 3, 4, 5];

    #[test]
    fn values_and_labels_are_mixed_by_the_same_shares() {
        for op in [MIXUP, CUTMIX] {
            let mut values = batch(&INDICES);
            let mixed = mixing(&[Augment::Flip { p: 0.5 }, op], &SHAPE).apply(&INDICES, &LABELS, &mut values);
            for (slot, sample) in values.chunks_exact(32).enumerate() {
                let (other, share) = (mixed.others[slot], mixed.shares[slot]);
                assert_ne!(other, LABELS[slot], "nothing is mixed with itself");
                let (own, other) = (INDICES[slot] as f32, INDICES[other as usize] as f32);
                for plane in sample.chunks_exact(16) {
                    let mean = plane.iter().sum::<f32>() / 16.0;
                    assert!((mean - share * own - (1.0 - share) * other).abs() < 1e-4, "{op}: {plane:?}");
                    let pure = plane.iter().all(|v| *v == own || *v == other);
                    assert!(pure || op == MIXUP, "{op}: {plane:?}");
                }
            }
            assert!(mixed.shares.iter().any(|share| *share != mixed.shares[0]), "each draws its own");
        }
    }

    #[test]
    fn a_patch_is_a_rectangle_of_the_same_place_on_every_plane() {
        let (mut to, mut rng) = (vec![0.0; 2 * 30], Rng::new(1, Purpose::Test, 0));
        let other: Vec<f32> = (0..60).map(|v| v as f32 + 1.0).collect();
        let grid = Grid { planes: 2, height: 5, width: 6 };
        let share = patch(&mut to, &other, grid, 0.5, &mut rng);
        let taken: Vec<usize> = (0..60).filter(|&at| to[at] != 0.0).collect();
        assert!(taken.iter().all(|&at| to[at] == other[at]) && !taken.is_empty());
        let (first, second): (Vec<usize>, Vec<usize>) = taken.iter().partition(|&&at| at < 30);
        assert_eq!(first, second.iter().map(|at| at - 30).collect::<Vec<_>>());
        let columns: Vec<usize> =
            first.iter().filter(|&at| at / 6 == first[0] / 6).map(|at| at % 6).collect();
        assert!(first.iter().all(|at| columns.contains(&(at % 6))) && first.len() % columns.len() == 0);
        assert!((share - (1.0 - first.len() as f32 / 30.0)).abs() < 1e-6);
        // Nothing is taken where all is kept.
        assert_eq!(patch(&mut to.clone(), &other, grid, 1.0, &mut rng), 1.0);
    }

    #[test]
    fn chances_come_in_the_order_of_the_list() {
        let indices: Vec<usize> = (0..400).collect();
        let labels: Vec<i32> = (0..400).collect();
        let run = |list: &[Augment]| mixing(list, &SHAPE).apply(&indices, &labels, &mut batch(&indices));
        let rare = run(&[Augment::CutMix { alpha: 1.0, p: 0.25 }]);
        let count = rare.others.iter().zip(&labels).filter(|(a, b)| a != b).count();
        assert!((70..130).contains(&count), "{count} of 400 at a chance of a quarter");
        assert_eq!(run(&[MIXUP, CUTMIX]), run(&[MIXUP]));
        let both = run(&[Augment::Mixup { alpha: 0.4, p: 0.5 }, CUTMIX]);
        assert!(both.others.iter().zip(&labels).all(|(a, b)| a != b));
        assert_eq!(run(&[Augment::Mixup { alpha: 0.4, p: 0.0 }]).shares, vec![1.0; 400]);
    }

    #[test]
    fn a_sample_alone_is_not_mixed_and_draws_differ_by_epoch() {
        let one = mixing(&[MIXUP], &SHAPE).apply(&[7], &[3], &mut batch(&[7]));
        assert_eq!(one, Mixed { others: vec![3], shares: vec![1.0] });
        let of = |epoch| {
            let mixing = Mixing::of(&[MIXUP], &input(&SHAPE), 3, epoch).expect("it mixes");
            mixing.apply(&INDICES, &LABELS, &mut batch(&INDICES))
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert!(Mixing::of(&[Augment::Flip { p: 0.5 }], &input(&SHAPE), 3, 0).is_none());
    }

    /// Mean and variance of Beta(α, α): ½ and 1/(4·(2α + 1)).
    #[test]
    fn shares_are_of_the_beta_distribution() {
        for alpha in [1e-3, 0.2, 1.0, 4.0] {
            let mut rng = Rng::new(9, Purpose::Test, 0);
            let draws: Vec<f64> = (0..20_000).map(|_| beta(alpha, &mut rng)).collect();
            assert!(draws.iter().all(|x| (0.0..=1.0).contains(x)));
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.02, "{alpha}: {mean}");
            assert!((variance / expected - 1.0).abs() < 0.04, "{alpha}: {variance}, not {expected}");
        }
    }
}
