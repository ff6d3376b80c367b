//! Walks over set bits: the functions of wide vectors, their loops of 128 bits and the interpreter give the same bits.

mod common;

use common::{Random, numbers};
use proptest::prelude::*;
use snnc_codegen::{Vectors, run_as};
use snnc_kernel::body::{
    Current, Curve, ENTRIES, Fire, GROUP, Groups, Index, Kernel, Lookup, MAX_LANES, MAX_STEPS, MAX_WORDS,
    Map, OverTime, PARTS, Run, SlotElem, TapWalk, Walk, WindowWalk, entry,
};
use snnc_kernel::build::Builder;

/// Sizes of a walk: positions, words of each, lanes, and what lies between one piece and the next.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    count: usize,
    words: usize,
    lanes: usize,
    gap: usize,
    dots: bool,
}

impl Sizes {
    /// Elements from the sums of one position (or bit) to the next one's, and how many a task has.
    fn sums(&self) -> (usize, usize) {
        let bits = self.words * 64 * self.count;
        if self.dots { (PARTS + self.gap, bits) } else { (self.lanes + self.gap, self.count) }
    }

    /// Two tasks, each with its own positions and sums and the rows of both.
    fn kernel(&self) -> Kernel {
        let mut k = Builder::new("walk");
        let (x, w) = (k.read("x", SlotElem::Bits), k.read("w", SlotElem::F32));
        let (with, sums) = (k.read("with", SlotElem::F32), k.write("sums", SlotElem::F32));
        let run = |slot, step: usize, pieces: usize| Run {
            slot,
            at: Index::Task * (step * pieces),
            step: step as i64,
        };
        let walk = Walk {
            count: self.count.into(),
            words: self.words,
            bits: run(x, 2 * (self.words + self.gap % 3), self.count),
            rows: run(w, self.lanes + self.gap, 0),
            lanes: self.lanes,
            sums: run(sums, self.sums().0, self.sums().1),
        };
        if self.dots {
            k.dot_rows(walk, run(with, self.lanes, self.count));
        } else {
            k.add_rows(walk);
        }
        k.finish()
    }

    fn buffers(&self, seed: u64, rate: usize) -> Vec<Vec<u32>> {
        let mut random = Random(seed);
        let positions = 2 * self.count;
        let bits = positions * 2 * (self.words + 2);
        let mut word = |_| (0..32).fold(0u32, |w, bit| w | u32::from(random.below(100) < rate) << bit);
        vec![
            (0..bits).map(&mut word).collect(),
            numbers(seed, self.words * 64 * (self.lanes + self.gap)),
            numbers(!seed, positions * self.lanes),
            numbers(seed ^ 5, 2 * self.sums().0 * self.sums().1),
        ]
    }
}

/// Equal bits, or NaN both.
fn same(kernel: &Kernel, buffers: &[Vec<u32>], vectors: Vectors) {
    let mut found = buffers.to_vec();
    let expected = run_as(kernel, &mut found, 1, 0..2, vectors).unwrap_or_else(|e| panic!("{e}\n{kernel}"));
    for (slot, (expected, found)) in expected.iter().zip(&found).enumerate() {
        let bits = slot == 0;
        let nan = |word: &u32| !bits && f32::from_bits(*word).is_nan();
        let at = expected.iter().zip(found).position(|(a, b)| a != b && !(nan(a) && nan(b)));
        assert!(at.is_none(), "{vectors:?}: slot {slot} differs at {at:?}\n{kernel}");
    }
}

const ALL: [Vectors; 3] = [Vectors::Widest, Vectors::Middle, Vectors::Portable];

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]
    #[test]
    fn all_vectors_agree(
        seed: u64,
        count in 0usize..5,
        words in 1usize..=MAX_WORDS,
        lanes in 1usize..=MAX_LANES,
        gap in 0usize..20,
        rate in 0usize..=100,
        dots: bool,
    ) {
        let sizes = Sizes { count, words, lanes, gap, dots };
        for vectors in ALL {
            same(&sizes.kernel(), &sizes.buffers(seed, rate), vectors);
        }
    }
}

#[test]
fn whole_vectors_and_full_words() {
    for lanes in [16, 32, 64, 96, 112, 128] {
        for dots in [false, true] {
            let sizes = Sizes { count: 3, words: MAX_WORDS, lanes, gap: 0, dots };
            for vectors in ALL {
                same(&sizes.kernel(), &sizes.buffers(7, 100), vectors);
            }
        }
    }
}

/// Sizes of a walk over taps: positions, words of each, lanes, taps, and what lies between one piece and the next.
#[derive(Clone, Copy, Debug)]
struct Taps {
    count: usize,
    words: usize,
    lanes: usize,
    taps: [usize; 2],
    gap: usize,
    /// Timesteps that are walked together.
    steps: usize,
}

impl Taps {
    /// Elements from one line of rows to the next, from one tap's sums to the next one's, and to the next position's.
    fn steps(&self) -> (usize, usize, usize) {
        let [rows, columns] = self.taps;
        let (line, apart) = (5 * (self.lanes + self.gap), self.lanes + self.gap % 4);
        (line, apart, rows * columns * apart + self.gap % 3)
    }

    /// Two tasks, each with its own positions and sums; the words of a position lie one position's apart.
    fn kernel(&self) -> Kernel {
        let mut k = Builder::new("taps");
        let (x, w) = (k.read("x", SlotElem::Bits), k.read("w", SlotElem::F32));
        let sums = k.write("sums", SlotElem::F32);
        let (line, apart, each) = self.steps();
        let run = |slot, step: usize, pieces: usize| Run {
            slot,
            at: Index::Task * (step * pieces),
            step: step as i64,
        };
        let bits = Run { at: Index::Task * (2 * self.count * self.words), ..run(x, 2, 0) };
        k.add_taps(TapWalk {
            walk: Walk {
                count: self.count.into(),
                words: self.words,
                bits,
                rows: run(w, self.lanes + self.gap, 0),
                lanes: self.lanes,
                sums: run(sums, each, self.count),
            },
            word: (2 * self.count) as i64,
            taps: self.taps,
            steps: [line as i64, (self.lanes + self.gap) as i64],
            apart: apart as i64,
            over: (self.steps > 1).then_some(OverTime {
                steps: self.steps,
                words: (4 * self.count * self.words) as i64,
                pattern: (self.lanes + self.gap) as i64,
            }),
        });
        k.finish()
    }

    fn buffers(&self, seed: u64, rate: usize) -> Vec<Vec<u32>> {
        let ((line, _, each), [rows, columns]) = (self.steps(), self.taps);
        let mut random = Random(seed);
        let mut word = |_| (0..32).fold(0u32, |w, bit| w | u32::from(random.below(100) < rate) << bit);
        let row = self.lanes + self.gap;
        vec![
            (0..4 * self.count * self.words * self.steps).map(&mut word).collect(),
            numbers(seed, (self.words * 64 + columns + 16) * row + rows * line),
            numbers(seed ^ 5, 2 * self.count * each),
        ]
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]
    #[test]
    fn all_vectors_agree_on_taps(
        seed: u64,
        count in 0usize..5,
        words in 1usize..=MAX_WORDS,
        lanes in 1usize..=MAX_LANES,
        square: bool,
        rows in 1usize..=4,
        columns in 1usize..=5,
        gap in 0usize..20,
        steps in 1usize..=MAX_STEPS,
        rate in 0usize..=100,
    ) {
        let taps = if square { [3, 3] } else { [rows, columns] };
        let walk = Taps { count, words, lanes, taps, gap, steps };
        for vectors in ALL {
            same(&walk.kernel(), &walk.buffers(seed, rate), vectors);
        }
    }
}

/// Sizes of a walk over windows: positions, words of each, words from one to the next (those of the taps beside it lie
/// `words` apart), lanes, taps, what lies between one piece and the next, and whether only the lower halves of words have
/// bits, as with 32 channels.
#[derive(Clone, Copy, Debug)]
struct Window {
    count: usize,
    words: usize,
    step: usize,
    lanes: usize,
    taps: [usize; 2],
    gap: usize,
    half: bool,
}

impl Window {
    /// Elements from the words of one line of positions to the next, and from the rows of one line of taps to the next.
    fn lines(&self) -> (usize, usize) {
        let [_, columns] = self.taps;
        let words = self.step * self.count + self.words * (columns + self.gap % 3);
        (2 * words, self.tap() * columns + 2 * (self.gap % 2))
    }

    /// Elements of the rows of a tap.
    fn tap(&self) -> usize {
        64 * self.words * (self.lanes + self.gap)
    }

    /// Two tasks, of which the second has a line of taps less.
    fn kernel(&self) -> Kernel {
        let mut k = Builder::new("window");
        let (x, w) = (k.read("x", SlotElem::Bits), k.read("w", SlotElem::F32));
        let sums = k.write("sums", SlotElem::F32);
        let (line, rows) = self.lines();
        let (word, each) = (2 * self.words as i64, self.lanes + self.gap % 4);
        k.add_window(WindowWalk {
            walk: Walk {
                count: self.count.into(),
                words: self.words,
                bits: Run { slot: x, at: Index::Task * 2, step: 2 * self.step as i64 },
                rows: Run { slot: w, at: 0.into(), step: (self.lanes + self.gap) as i64 },
                lanes: self.lanes,
                sums: Run { slot: sums, at: Index::Task * (each * self.count), step: each as i64 },
            },
            taps: [Index::from(self.taps[0]) - Index::Task, self.taps[1].into()],
            bits: [line as i64, word],
            rows: [rows as i64, self.tap() as i64],
        });
        k.finish()
    }

    fn buffers(&self, seed: u64, rate: usize) -> Vec<Vec<u32>> {
        let (line, rows) = self.lines();
        let mut random = Random(seed);
        let mut word = |at: usize| {
            let empty = self.half && at % 2 == 1;
            (0..32).fold(0u32, |w, bit| w | u32::from(!empty && random.below(100) < rate) << bit)
        };
        let each = self.lanes + self.gap % 4;
        vec![
            (0..line * self.taps[0] + 2).map(&mut word).collect(),
            numbers(seed, rows * self.taps[0] + self.tap()),
            numbers(seed ^ 5, 2 * self.count * each),
        ]
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]
    #[test]
    fn all_vectors_agree_on_windows(
        seed: u64,
        count in 0usize..12,
        words in 1usize..=2,
        step in 1usize..=4,
        lanes in 1usize..=MAX_LANES,
        square: bool,
        rows in 1usize..=4,
        columns in 1usize..=5,
        gap in 0usize..20,
        half: bool,
        rate in 0usize..=100,
    ) {
        let taps = if square { [3, 3] } else { [rows, columns] };
        let window = Window { count, words, step, lanes, taps, gap, half };
        for vectors in ALL {
            same(&window.kernel(), &window.buffers(seed, rate), vectors);
        }
    }
}

/// Sizes of neurons through time: positions, neurons of each, timesteps, their currents, and what lies between one piece and the
/// next.
#[derive(Clone, Debug)]
struct Neurons {
    count: usize,
    lanes: usize,
    steps: usize,
    currents: Vec<Current>,
    gap: usize,
    above: bool,
}

impl Neurons {
    /// Elements from one position to the next, of numbers and of bits.
    fn each(&self) -> (usize, usize) {
        (self.lanes + self.gap % 5, 2 * (self.lanes.div_ceil(64) + self.gap % 3))
    }

    /// Two tasks, each with its own positions.
    fn kernel(&self) -> Kernel {
        let mut k = Builder::new("neurons");
        let numbers = [k.read("x", SlotElem::F32), k.read("y", SlotElem::F32)];
        let (bits, spikes) = (k.read("z", SlotElem::Bits), k.write("s", SlotElem::Bits));
        let (number, bit) = self.each();
        let over = |slot, each: usize| {
            let run = Run { slot, at: Index::Task * (each * self.count), step: each as i64 };
            (run, Index::from(2 * each * self.count))
        };
        let currents = self.currents.iter().enumerate().map(|(i, current)| {
            let (run, time) = match current {
                Current::Numbers => over(numbers[i], number),
                Current::Bits => over(bits, bit),
            };
            (*current, run, time)
        });
        k.fire(Fire {
            count: self.count.into(),
            lanes: self.lanes,
            steps: self.steps,
            currents: currents.collect(),
            spikes: over(spikes, bit),
            constants: [0.75f32, 0.5, 0.25, -0.125, 0.0625].map(f32::to_bits),
            above: self.above,
        });
        k.finish()
    }

    fn buffers(&self, seed: u64) -> Vec<Vec<u32>> {
        let ((number, bit), all) = (self.each(), 2 * self.count * self.steps);
        let mut random = Random(seed);
        let words = (0..all * bit).map(|_| random.below(1 << 32) as u32).collect();
        vec![numbers(seed, all * number), numbers(seed ^ 3, all * number), words, vec![u32::MAX; all * bit]]
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]
    #[test]
    fn all_vectors_agree_on_neurons(
        seed: u64,
        count in 0usize..4,
        lanes in 1usize..=MAX_LANES,
        steps in 1usize..=6,
        bits in prop::collection::vec(any::<bool>(), 1..=2),
        gap in 0usize..20,
        above: bool,
    ) {
        let currents = bits.iter().map(|&bits| if bits { Current::Bits } else { Current::Numbers }).collect();
        let neurons = Neurons { count, lanes, steps, currents, gap, above };
        for vectors in ALL {
            same(&neurons.kernel(), &neurons.buffers(seed), vectors);
        }
    }
}

#[test]
fn nine_taps_of_few_channels() {
    for (lanes, half) in [(8, false), (16, false), (32, true), (64, true), (128, true)] {
        for (rate, step) in [0, 15, 100].into_iter().flat_map(|rate| [(rate, 1), (rate, 2)]) {
            // A long row of positions.
            let window = Window { count: 64, words: 1, step, lanes, taps: [3, 3], gap: 0, half };
            for vectors in ALL {
                same(&window.kernel(), &window.buffers(11, rate), vectors);
            }
        }
    }
}

#[test]
fn nine_taps_of_whole_vectors() {
    for (lanes, steps) in [8, 16, 32, 48, 128].into_iter().flat_map(|lanes| [(lanes, 1), (lanes, 4)]) {
        let walk = Taps { count: 3, words: MAX_WORDS, lanes, taps: [3, 3], gap: 0, steps };
        for (vectors, rate) in ALL.into_iter().flat_map(|vectors| [(vectors, 30), (vectors, 100)]) {
            same(&walk.kernel(), &walk.buffers(9, rate), vectors);
        }
    }
}

/// Sizes of a table and of the lookups in it: positions, rows of the groups, lanes, and what lies between one piece and
/// the next.
#[derive(Clone, Copy, Debug)]
struct Tables {
    count: usize,
    rows: usize,
    lanes: usize,
    gap: usize,
}

impl Tables {
    /// Two tasks: each makes the table, and looks up its own positions.
    fn kernel(&self) -> Kernel {
        let Tables { count, rows, lanes, gap } = *self;
        let mut k = Builder::new("tables");
        let (x, w) = (k.read("x", SlotElem::Bits), k.read("w", SlotElem::F32));
        let sums = k.write("sums", SlotElem::F32);
        let groups = rows.div_ceil(GROUP);
        let table = k.scratch("table", 16 + groups * ENTRIES * entry(lanes));
        let run = |slot, step: usize, pieces: usize| Run {
            slot,
            at: Index::Task * (step * pieces),
            step: step as i64,
        };
        k.sum_groups(Groups { count: rows, rows: run(w, lanes + gap, 0), lanes, table: (table, 16.into()) });
        k.add_groups(Lookup {
            count: count.into(),
            groups,
            bits: run(x, 2 * (rows.div_ceil(64) + gap % 3), count),
            table: (table, 16.into()),
            lanes,
            sums: run(sums, lanes + gap, count),
        });
        k.finish()
    }

    fn buffers(&self, seed: u64) -> Vec<Vec<u32>> {
        let Tables { count, rows, lanes, gap } = *self;
        let (mut random, words) = (Random(seed), rows.div_ceil(64));
        // Bits without a row are clear, as those of channels that a position does not have.
        let word = |random: &mut Random, n: usize| match rows.min(64 * (n % (words + gap % 3) + 1)) % 64 {
            0 => random.bits(),
            left => random.bits() & ((1 << left) - 1),
        };
        let bits = (0..2 * count * (words + gap % 3)).map(|n| word(&mut random, n));
        vec![
            bits.flat_map(|word| [word as u32, (word >> 32) as u32]).collect(),
            numbers(seed, rows * (lanes + gap)),
            numbers(seed ^ 5, 2 * count * (lanes + gap)),
        ]
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]
    #[test]
    fn all_vectors_agree_on_tables(
        seed: u64,
        count in 0usize..6,
        rows in 1usize..=MAX_WORDS * 64,
        lanes in 1usize..=MAX_LANES,
        gap in 0usize..20,
    ) {
        let tables = Tables { count, rows, lanes, gap };
        for vectors in ALL {
            same(&tables.kernel(), &tables.buffers(seed), vectors);
        }
    }
}

#[test]
fn tables_of_whole_vectors_and_words() {
    for (rows, lanes) in [(64, 32), (64, 128), (128, 16), (256, 64), (3, 32), (65, 48)] {
        let tables = Tables { count: 5, rows, lanes, gap: 0 };
        for vectors in ALL {
            same(&tables.kernel(), &tables.buffers(11), vectors);
        }
    }
}

/// Numbers of all sizes, the ends of the exponential's range and what is no number.
#[test]
fn curves_have_the_same_bits() {
    let ends = [
        0.0,
        -0.0,
        88.72,
        88.8,
        -103.9,
        -104.5,
        f32::MIN_POSITIVE,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
    ];
    for curve in [Curve::Exp, Curve::Sigmoid] {
        for count in [1, 4, 15, 16, 33, 128, 300] {
            let mut k = Builder::new("curve");
            let (x, y) = (k.read("x", SlotElem::F32), k.write("y", SlotElem::F32));
            k.map(Map { curve, count, from: (x, Index::Task * count), to: (y, Index::Task * count) });
            let number = |i: usize| ends.get(i).copied().unwrap_or((i as f32 - 200.0) * 0.37);
            let buffers = [(0..2 * count).map(|i| number(i).to_bits()).collect(), vec![7; 2 * count]];
            let kernel = k.finish();
            for vectors in ALL {
                same(&kernel, &buffers, vectors);
            }
        }
    }
}

#[test]
fn words_are_turned() {
    let mut k = Builder::new("turn");
    let (x, y) = (k.read("x", SlotElem::Bits), k.write("y", SlotElem::Bits));
    let t = k.scratch_words("t", 64);
    k.turn((t, 0.into()), (x, Index::Task * 128));
    k.turn((y, Index::Task * 128), (t, 0.into()));
    let twice = k.finish();
    let mut k = Builder::new("turn");
    let (x, y) = (k.read("x", SlotElem::Bits), k.write("y", SlotElem::Bits));
    k.turn((y, Index::Task * 128), (x, Index::Task * 128));
    let once = k.finish();
    let mut random = Random(3);
    let words: Vec<u32> = (0..256).map(|_| (random.bits() & random.bits()) as u32).collect();
    let buffers = vec![words.clone(), vec![7; 256]];
    for vectors in ALL {
        same(&once, &buffers, vectors);
        let mut found = buffers.clone();
        run_as(&twice, &mut found, 1, 0..2, vectors).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(found[1], words);
    }
}
