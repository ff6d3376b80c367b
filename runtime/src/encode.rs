//! Encoders: a sample of real numbers becomes spikes, timestep by timestep.
//!
//! ```text
//! 0.7 |> poisson                 1 0 1 1     ; one random number for each timestep and value
//! 0.7 |> latency                 0 1 0 0     ; round(3 · 0.3) = 1
//! 0.7 |> phase                   1 0 1 1     ; 0.7 = 0.10110011… in binary
//! 0.7, 0.9, 0.9, 1.0 |> delta    1 1 0 1     ; with a threshold of 0.1
//! ```
//!
//! Invariant: the spikes of a sample depend on (seed, pass, sample) and its values alone, not on its batch.

use crate::rng::{Purpose, Rng};
use snnc_plan::Encoder;

/// What the random numbers of encoded samples are drawn for, beside the sample's index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Draws {
    /// The seed of a run.
    pub seed: u64,
    /// The epoch of training, or [`Draws::EVALUATION`].
    pub pass: u32,
}

impl Draws {
    /// The pass of everything that is not training.
    pub const EVALUATION: u32 = u32::MAX;

    /// What evaluations draw: the same spikes each time, whatever seed a run had.
    pub fn evaluation() -> Draws {
        Draws::evaluation_of(0)
    }

    /// Of an evaluation with another seed.
    pub fn evaluation_of(seed: u64) -> Draws {
        Draws { seed, pass: Draws::EVALUATION }
    }

    /// What an epoch of training draws.
    pub fn training(seed: u64, epoch: usize) -> Draws {
        Draws { seed, pass: (epoch as u32).min(Draws::EVALUATION - 1) }
    }

    fn of_sample(self, sample: usize) -> Rng {
        Rng::new(self.seed, Purpose::Encode, u64::from(self.pass) << 32 | sample as u64 & 0xffff_ffff)
    }
}

/// Writes the spikes, 0 or 1, of one sample; `row(t)` is the timestep's first place in `to`.
pub fn encode(
    (encoder, steps): (Encoder, usize),
    values: &[f32],
    (draws, sample): (Draws, usize),
    to: &mut [f32],
    row: impl Fn(usize) -> usize,
) {
    let part = if encoder.takes_time() { values.len() / steps } else { values.len() };
    let mut rng = draws.of_sample(sample);
    let spike = |fires: bool| f32::from(u8::from(fires));
    for t in 0..steps {
        let to = &mut to[row(t)..][..part];
        match encoder {
            Encoder::Poisson => {
                to.iter_mut().zip(values).for_each(|(to, &x)| *to = spike(rng.uniform() < x));
            }
            Encoder::Phase => to.iter_mut().zip(values).for_each(|(to, &x)| *to = spike(digit(x, t))),
            Encoder::Delta { threshold } => {
                let frame = &values[t * part..][..part];
                let before = |i: usize| if t > 0 { values[(t - 1) * part + i] } else { 0.0 };
                let each = to.iter_mut().zip(frame).enumerate();
                each.for_each(|(i, (to, &x))| *to = spike(x - before(i) >= threshold));
            }
            Encoder::Latency { .. } => to.fill(0.0),
        }
    }
    if let Encoder::Latency { log, zero_fires } = encoder {
        for (i, &x) in values.iter().enumerate() {
            if x > 0.0 || zero_fires {
                to[row(firing_time(x, steps, log)) + i] = 1.0;
            }
        }
    }
}

/// Binary digit `t mod 8` of a value from 0 to 1, the most significant first.
fn digit(x: f32, t: usize) -> bool {
    let byte = (x.clamp(0.0, 1.0) * 256.0).min(255.0) as u8;
    byte >> (7 - t % 8) & 1 == 1
}

/// The timestep at which a value fires once; halves are rounded up.
fn firing_time(x: f32, steps: usize, log: bool) -> usize {
    let (x, last) = (f64::from(x.clamp(0.0, 1.0)), (steps - 1) as f64);
    let time = if log {
        // (T − 1) − ln(αx + 1) with α = e^(T−1) − 1, in a form that does not overflow.
        -(x + (1.0 - x) * (-last).exp()).ln()
    } else {
        last * (1.0 - x)
    };
    time.min(last).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spikes(encoder: Encoder, steps: usize, values: &[f32], draws: Draws, sample: usize) -> Vec<Vec<f32>> {
        let part = if encoder.takes_time() { values.len() / steps } else { values.len() };
        let mut to = vec![f32::NAN; steps * part];
        encode((encoder, steps), values, (draws, sample), &mut to, |t| t * part);
        to.chunks(part).map(<[f32]>::to_vec).collect()
    }

    /// The timestep at which each value fires.
    fn times(log: bool, zero_fires: bool, steps: usize, values: &[f32]) -> Vec<Option<usize>> {
        let encoder = Encoder::Latency { log, zero_fires };
        let rows = spikes(encoder, steps, values, Draws::evaluation(), 0);
        let fired = |i: usize| (0..steps).filter(|&t| rows[t][i] == 1.0).collect::<Vec<_>>();
        let all: Vec<Vec<usize>> = (0..values.len()).map(fired).collect();
        assert!(all.iter().all(|fired| fired.len() < 2), "one spike at most: {all:?}");
        all.into_iter().map(|fired| fired.first().copied()).collect()
    }

    #[test]
    fn poisson_fires_with_the_values_probability() {
        let values = [0.0, 0.1, 0.25, 0.5, 0.9, 1.0, 2.0, -1.0];
        let steps = 4000;
        for sample in 0..3 {
            let rows = spikes(Encoder::Poisson, steps, &values, Draws::training(7, 0), sample);
            for (i, x) in values.iter().enumerate() {
                let rate = rows.iter().map(|row| f64::from(row[i])).sum::<f64>() / steps as f64;
                let p = f64::from(x.clamp(0.0, 1.0));
                // Five deviations of the mean of so many draws.
                let bound = 5.0 * (p * (1.0 - p) / steps as f64).sqrt();
                assert!((rate - p).abs() <= bound, "{x} fired at {rate}");
            }
        }
    }

    #[test]
    fn every_seed_pass_and_sample_has_its_own_spikes() {
        let values = [0.5; 64];
        let of = |draws, sample| spikes(Encoder::Poisson, 4, &values, draws, sample);
        let first = of(Draws::training(1, 0), 0);
        assert_eq!(first, of(Draws::training(1, 0), 0));
        let others = [
            of(Draws::training(2, 0), 0),
            of(Draws::training(1, 1), 0),
            of(Draws::training(1, 0), 1),
            of(Draws::evaluation(), 0),
        ];
        assert!(others.iter().all(|other| *other != first));
        assert_ne!(first[0], first[1], "every timestep is drawn anew");
    }

    #[test]
    fn latency_has_its_table_of_firing_times() {
        let some = |times: [usize; 5]| times.map(Some).to_vec();
        let values = [0.0, 0.25, 0.5, 0.75, 1.0];
        assert_eq!(times(false, true, 5, &values), some([4, 3, 2, 1, 0]));
        // 3 · (1 − x) = 3, 2.25, 1.5, 0.75, 0.
        assert_eq!(times(false, true, 4, &values), some([3, 2, 2, 1, 0]));
        // 3 − ln(19.0855 x + 1) = 3, 1.2471, 0.6445, 0.2712, 0.
        assert_eq!(times(true, true, 4, &values), some([3, 1, 1, 0, 0]));
        // 7 − ln(1095.633 x + 1) = 7, 4.5096, 2.2944, 0.6922, 0.
        assert_eq!(times(true, true, 8, &[0.0, 0.0101, 0.1, 0.5, 1.0]), some([7, 5, 2, 1, 0]));
        assert_eq!(times(true, false, 4, &[0.0, 1.0]), [None, Some(0)]);
        assert_eq!(times(false, false, 4, &[0.0, -1.0, 7.0]), [None, None, Some(0)]);
        assert_eq!(times(false, true, 1, &[0.0, 0.3, 1.0]), [Some(0); 3]);
    }

    #[test]
    fn the_logarithmic_form_is_the_published_one_and_does_not_overflow() {
        for steps in [2, 4, 10, 50] {
            for value in 0..=1000 {
                let x = value as f32 / 1000.0;
                let last = (steps - 1) as f64;
                let exact = last - ((last.exp() - 1.0) * f64::from(x) + 1.0).ln();
                let found = firing_time(x, steps, true) as f64;
                assert!((found - exact).abs() <= 0.5 + 1e-9, "{x} at {found}, not {exact}");
            }
        }
        assert_eq!([0.0, 0.5, 1.0].map(|x| firing_time(x, 4096, true)), [4095, 1, 0]);
    }

    #[test]
    fn phase_gives_the_bits_of_a_byte() {
        for byte in 0..=255u8 {
            let rows = spikes(Encoder::Phase, 10, &[f32::from(byte) / 255.0], Draws::evaluation(), 0);
            let bits: Vec<f32> = (0..10).map(|t| f32::from(byte >> (7 - t % 8) & 1)).collect();
            assert_eq!(rows.concat(), bits, "{byte}");
        }
        let rows = spikes(Encoder::Phase, 4, &[0.7, 3.0, -1.0], Draws::evaluation(), 0);
        assert_eq!(rows, [[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 0.0]]);
    }

    #[test]
    fn delta_fires_where_a_frame_rises() {
        let encoder = Encoder::Delta { threshold: 0.25 };
        let frames = [0.25, 0.0, 0.5, 0.125, 0.5, 0.5, 1.0, 0.25];
        let rows = spikes(encoder, 4, &frames, Draws::evaluation(), 0);
        assert_eq!(rows, [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]);
    }
}
