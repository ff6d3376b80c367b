//! Random numbers by counting: Philox 4x32-10. A number depends on (seed, purpose, key, position) alone, so a run
//! is the same for any number of threads and can be resumed at any epoch.

/// What numbers are drawn for; each has its own sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// First values of parameters; the key is the hash of the parameter's path.
    Init,
    /// Order of the samples; the key is the epoch.
    Shuffle,
    /// Changes of a training sample; see [`Draw`].
    Augment,
    /// Spikes of an encoded sample; the key is the pass and the sample.
    Encode,
    /// Test data.
    Test,
    /// Samples that gradients are checked on; the key is the sample.
    Check,
}

impl Purpose {
    fn code(self) -> u32 {
        match self {
            Purpose::Init => 1,
            Purpose::Shuffle => 2,
            Purpose::Test => 3,
            Purpose::Check => 4,
            // Apart from the others, so that the numbers of old runs stay.
            Purpose::Encode => 16,
            Purpose::Augment => 17,
        }
    }
}

/// A sequence of random numbers.
#[derive(Clone, Debug)]
pub struct Rng {
    key: [u32; 2],
    block: u32,
    tail: [u32; 3],
    ready: [u32; 4],
    used: usize,
}

impl Rng {
    /// The sequence of a seed, a purpose and a key.
    pub fn new(seed: u64, purpose: Purpose, key: u64) -> Rng {
        let tail = [purpose.code(), key as u32, (key >> 32) as u32];
        Rng { key: [seed as u32, (seed >> 32) as u32], block: 0, tail, ready: [0; 4], used: 4 }
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        if self.used == 4 {
            let [a, b, c] = self.tail;
            self.ready = philox([self.block, a, b, c], self.key);
            self.block = self.block.wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.ready[self.used - 1]
    }

    /// Uniform in [0, 1), on a grid of 2⁻²⁴.
    pub fn uniform(&mut self) -> f32 {
        (self.bits() >> 8) as f32 * (1.0 / (1 << 24) as f32)
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller, 1958).
    pub fn normal(&mut self) -> f32 {
        let (radius, angle) = (1.0 - f64::from(self.uniform()), f64::from(self.uniform()));
        ((-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()) as f32
    }

    /// Uniform in `0..n`; the bias is below n / 2⁶⁴.
    pub fn below(&mut self, n: usize) -> usize {
        let wide = u64::from(self.bits()) << 32 | u64::from(self.bits());
        ((u128::from(wide) * n as u128) >> 64) as usize
    }

    /// A random order of `0..n`.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        (1..n).rev().for_each(|i| order.swap(i, self.below(i + 1)));
        order
    }
}

/// Which sample of which run is drawn: what its random changes depend on, and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Draw {
    /// The run's seed.
    pub seed: u64,
    /// The epoch, below 2²⁴.
    pub epoch: usize,
    /// The sample's index in its split, below 2³².
    pub sample: usize,
}

impl Draw {
    /// The numbers of the operation at place `op` of the list, below 256: those before it do not move them.
    pub fn rng(&self, op: usize) -> Rng {
        let key = (op as u64 & 0xff) << 56
            | (self.epoch as u64 & 0xff_ffff) << 32
            | self.sample as u64 & 0xffff_ffff;
        Rng::new(self.seed, Purpose::Augment, key)
    }
}

/// The FNV-1a hash of a name, as a key.
pub fn key_of(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Ten rounds of Philox 4x32 (Salmon and others, 2011).
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let low = u64::from(counter[0]) * 0xd251_1f53;
        let high = u64::from(counter[2]) * 0xcd9e_8d57;
        counter = [
            (high >> 32) as u32 ^ counter[1] ^ key[0],
            high as u32,
            (low >> 32) as u32 ^ counter[3] ^ key[1],
            low as u32,
        ];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_meets_the_published_vectors() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
        let counter = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344];
        let expected = [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1];
        assert_eq!(philox(counter, [0xa4093822, 0x299f31d0]), expected);
    }

    #[test]
    fn permutations_hold_each_number_once_and_differ_by_key() {
        let order = |key| Rng::new(7, Purpose::Shuffle, key).permutation(100);
        let mut sorted = order(0);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(order(1), order(1));
        assert_ne!(order(0), order(1));
    }

    #[test]
    fn draws_differ_by_seed_epoch_sample_and_operation() {
        let base = Draw { seed: 1, epoch: 2, sample: 3 };
        let first = |draw: Draw, op| draw.rng(op).bits();
        assert_eq!(first(base, 0), first(base, 0));
        let others = [
            first(Draw { seed: 2, ..base }, 0),
            first(Draw { epoch: 3, ..base }, 0),
            first(Draw { sample: 4, ..base }, 0),
            first(base, 1),
        ];
        assert!(others.iter().all(|&other| other != first(base, 0)));
    }

    #[test]
    fn uniform_numbers_fill_the_interval() {
        let mut rng = Rng::new(1, Purpose::Test, 0);
        let draws: Vec<f32> = (0..4000).map(|_| rng.uniform()).collect();
        assert!(draws.iter().all(|v| (0.0..1.0).contains(v)));
        assert!((draws.iter().sum::<f32>() / 4000.0 - 0.5).abs() < 0.02);
    }
}
