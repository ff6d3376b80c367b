//! What the tests of machine code share.

#![allow(dead_code)] // Each test uses a part of it.

use snnc_codegen::run_both;
use snnc_kernel::body::{Access, Kernel, SlotElem};
use std::ops::Range;

/// Runs the kernel both ways and compares every buffer: equal bits, or NaN both. Returns the buffers.
pub fn agree(
    kernel: &Kernel,
    mut buffers: Vec<Vec<u32>>,
    batch: usize,
    tasks: Range<usize>,
) -> Vec<Vec<u32>> {
    let expected = run_both(kernel, &mut buffers, batch, tasks).unwrap_or_else(|e| panic!("{e}\n{kernel}"));
    let slots = kernel.slots.iter().filter(|s| !matches!(s.access, Access::Scratch(_)));
    for ((slot, expected), found) in slots.zip(&expected).zip(&buffers) {
        for (at, (expected, found)) in expected.iter().zip(found).enumerate() {
            let nan = |word: u32| slot.elem == SlotElem::F32 && f32::from_bits(word).is_nan();
            let same = expected == found || nan(*expected) && nan(*found);
            assert!(same, "{}[{at}] is {found:#x}, expected {expected:#x}\n{kernel}", slot.name);
        }
    }
    buffers
}

/// Numbers as words.
pub fn words(values: impl IntoIterator<Item = f32>) -> Vec<u32> {
    values.into_iter().map(f32::to_bits).collect()
}

/// Small quarters, zeros of both signs, and now and then what is not finite: `n` of them.
pub fn numbers(seed: u64, n: usize) -> Vec<u32> {
    let mut random = Random(seed);
    let number = |random: &mut Random| match random.below(24) {
        0 => -0.0,
        1 => f32::INFINITY,
        2 => f32::NAN,
        3 => 1e-40,
        _ => random.below(33) as f32 * 0.25 - 4.0,
    };
    words((0..n).map(|_| number(&mut random)))
}

/// A sequence of numbers from a seed (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }
}
