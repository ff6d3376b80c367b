//! Lists of neurons by pattern and walks over them: the functions of wide vectors, their loops of 128 bits and the
//! interpreter give the same bits.

mod common;

use common::{Random, numbers};
use proptest::prelude::*;
use snnc_codegen::{Vectors, run_as};
use snnc_kernel::body::{
    Grid, Index, Kernel, MAX_LANES, MAX_STEPS, PatternLists, PatternWalk, Run, SlotElem, Stmt,
};
use snnc_kernel::build::Builder;
use snnc_kernel::interp;

/// An image of positions, a kernel that sees some of them, and what lies between one piece and the next.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    steps: usize,
    words: usize,
    lanes: usize,
    taps: [usize; 2],
    gap: usize,
}

/// Rows and columns of the image.
const IMAGE: [usize; 2] = [3, 4];

impl Sizes {
    fn positions(&self) -> usize {
        IMAGE[0] * IMAGE[1]
    }

    /// Elements of a position's lists.
    fn lists(&self) -> usize {
        (1 << self.steps) + self.words * 64 + self.gap
    }

    /// Elements of a position's words.
    fn bits(&self) -> usize {
        2 * (self.words + self.gap % 3)
    }

    /// Lists of all positions, then the sums of one output for each task: it sees the taps from column `task` on.
    fn kernel(&self) -> Kernel {
        let mut k = Builder::new("patterns");
        let (x, w) = (k.read("x", SlotElem::Bits), k.read("w", SlotElem::F32));
        let sums = k.write("sums", SlotElem::F32);
        let most = self.taps[0] * self.taps[1] * self.words * 64;
        let lists = k.scratch_words("lists", (self.lists() * self.positions()).div_ceil(2));
        let order = k.scratch_words("order", PatternWalk::order_len(self.steps, most).div_ceil(2));
        let bits = self.bits();
        k.list_patterns(PatternLists {
            count: self.positions().into(),
            words: self.words,
            steps: self.steps,
            bits: Run { slot: x, at: 0.into(), step: bits as i64 },
            time: (bits * self.positions()).into(),
            lists: Run { slot: lists, at: 0.into(), step: self.lists() as i64 },
        });
        let row = self.lanes + self.gap;
        let tap = (64 * self.words * row) as i64;
        k.add_patterns(PatternWalk {
            steps: self.steps,
            taps: self.taps.map(Index::from),
            lists: Grid {
                slot: lists,
                at: Index::Task * self.lists(),
                steps: [(IMAGE[1] * self.lists()) as i64, self.lists() as i64],
            },
            rows: Grid { slot: w, at: 0.into(), steps: [tap * self.taps[1] as i64, tap] },
            row: row as i64,
            lanes: self.lanes,
            sums: Run { slot: sums, at: Index::Task * (self.steps * row), step: row as i64 },
            most,
            order,
        });
        k.finish()
    }

    fn buffers(&self, seed: u64, rate: usize) -> Vec<Vec<u32>> {
        let mut random = Random(seed);
        let mut word = |_| (0..32).fold(0u32, |w, bit| w | u32::from(random.below(100) < rate) << bit);
        let row = self.lanes + self.gap;
        vec![
            (0..self.bits() * self.positions() * self.steps).map(&mut word).collect(),
            numbers(seed, self.taps[0] * self.taps[1] * self.words * 64 * row),
            numbers(!seed, 2 * self.steps * row),
        ]
    }
}

/// Equal bits, or NaN both.
fn same(kernel: &Kernel, buffers: &[Vec<u32>], tasks: usize, vectors: Vectors) {
    let mut found = buffers.to_vec();
    let expected =
        run_as(kernel, &mut found, 1, 0..tasks, vectors).unwrap_or_else(|e| panic!("{e}\n{kernel}"));
    for (slot, (expected, found)) in expected.iter().zip(&found).enumerate() {
        let nan = |word: &u32| slot > 0 && f32::from_bits(*word).is_nan();
        let at = expected.iter().zip(found).position(|(a, b)| a != b && !(nan(a) && nan(b)));
        assert!(at.is_none(), "{vectors:?}: slot {slot} differs at {at:?}\n{kernel}");
    }
}

const ALL: [Vectors; 3] = [Vectors::Widest, Vectors::Middle, Vectors::Portable];

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn all_vectors_agree(
        seed: u64,
        steps in 2usize..=MAX_STEPS,
        words in 1usize..=3,
        lanes in 1usize..=MAX_LANES,
        taps in [0usize..=3, 1usize..=3],
        gap in 0usize..20,
        rate in 0usize..=100,
    ) {
        let sizes = Sizes { steps, words, lanes, taps, gap };
        for vectors in ALL {
            same(&sizes.kernel(), &sizes.buffers(seed, rate), 2, vectors);
        }
    }
}

#[test]
fn whole_vectors_and_full_words() {
    for (lanes, rate) in [(16, 100), (32, 0), (64, 95), (96, 50), (112, 10), (128, 100)] {
        for steps in 2..=MAX_STEPS {
            let sizes = Sizes { steps, words: 2, lanes, taps: [3, 3], gap: 0 };
            for vectors in ALL {
                same(&sizes.kernel(), &sizes.buffers(7, rate), 2, vectors);
            }
        }
    }
}

/// What lists hold is what each target writes, not only what walks make of it.
#[test]
fn lists_are_the_same_everywhere() {
    let mut k = Builder::new("lists");
    let (x, y) = (k.read("x", SlotElem::Bits), k.write("y", SlotElem::Bits));
    let step = 16 + 128;
    k.list_patterns(PatternLists {
        count: 5.into(),
        words: 2,
        steps: 4,
        bits: Run { slot: x, at: 0.into(), step: 4 },
        time: 20.into(),
        lists: Run { slot: y, at: 0.into(), step },
    });
    let kernel = k.finish();
    let mut random = Random(9);
    for rounds in 0..4 {
        let word = |random: &mut Random| (0..rounds).fold(u64::MAX, |w, _| w & random.bits()) as u32;
        let buffers = vec![(0..80).map(|_| word(&mut random)).collect(), vec![77; 5 * step as usize]];
        for vectors in ALL {
            same(&kernel, &buffers, 1, vectors);
        }
    }
}

/// The sums are those of a walk through every timestep.
#[test]
fn patterns_add_what_timesteps_add() {
    let sizes = Sizes { steps: 4, words: 1, lanes: 3, taps: [1, 2], gap: 0 };
    let mut buffers = sizes.buffers(3, 40);
    let exact = |i: usize| ((i * 7 % 31) as f32 - 15.0).to_bits();
    buffers[1].iter_mut().enumerate().for_each(|(i, x)| *x = exact(i));
    buffers[2].iter_mut().for_each(|x| *x = 0);
    let spikes = buffers[0].clone();
    let expected = |t: usize, lane: usize| -> f32 {
        let fires =
            |tap: usize, neuron: usize| spikes[(t * 12 + tap) * 2 + neuron / 32] >> (neuron % 32) & 1 == 1;
        let row = |tap: usize, neuron: usize| f32::from_bits(exact((tap * 64 + neuron) * 3 + lane));
        let all = (0..2).flat_map(|tap| (0..64).map(move |neuron| (tap, neuron)));
        all.filter(|&(tap, neuron)| fires(tap, neuron)).map(|(tap, neuron)| row(tap, neuron)).sum()
    };
    run_as(&sizes.kernel(), &mut buffers, 1, 0..1, Vectors::Widest).unwrap_or_else(|e| panic!("{e}"));
    for (t, lane) in (0..4).flat_map(|t| (0..3).map(move |lane| (t, lane))) {
        assert_eq!(f32::from_bits(buffers[2][t * 3 + lane]), expected(t, lane), "timestep {t}, lane {lane}");
    }
}

/// The room for the order is never overrun.
#[test]
fn more_neurons_than_promised_are_an_error() {
    let sizes = Sizes { steps: 2, words: 1, lanes: 1, taps: [1, 1], gap: 0 };
    let mut kernel = sizes.kernel();
    for stmt in &mut kernel.body {
        if let Stmt::AddPatterns(walk) = stmt {
            walk.most = 3;
        }
    }
    let error = interp::run(&kernel, &mut sizes.buffers(1, 100), 1, 0..1);
    let error = error.map_err(|e| e.to_string());
    assert_eq!(
        error,
        Err("kernel @patterns: task 0: 64 neurons are listed where 3 are the most".to_string())
    );
}
