//! Words of spike bits.

use super::{Emitter, chunks};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use snnc_kernel::body::{Mask, Width, Word};

impl Emitter<'_, '_> {
    /// The value of a word.
    pub(super) fn word(&mut self, word: &Word) -> Value {
        match word {
            Word::Reg(reg) => self.get_scalar(*reg),
            Word::Const(bits) => self.constant(*bits as i64),
            Word::Load(slot, at, width) => {
                let address = self.address(*slot, at, true);
                let ins = self.builder.ins();
                match width {
                    Width::Half => ins.uload32(address.flags, address.base, address.offset),
                    Width::Full => ins.load(types::I64, address.flags, address.base, address.offset),
                }
            }
            Word::FromMask(mask) => self.word_of_mask(mask),
            Word::Number(index) => self.index(index),
            Word::And(a, b) => {
                let (a, b) = (self.word(a), self.word(b));
                self.builder.ins().band(a, b)
            }
            Word::Or(a, b) => {
                let (a, b) = (self.word(a), self.word(b));
                self.builder.ins().bor(a, b)
            }
            Word::Xor(a, b) => {
                let (a, b) = (self.word(a), self.word(b));
                self.builder.ins().bxor(a, b)
            }
            Word::Shl(word, by) => {
                let (word, by) = (self.word(word), self.index(by));
                self.builder.ins().ishl(word, by)
            }
            Word::Shr(word, by) => {
                let (word, by) = (self.word(word), self.index(by));
                self.builder.ins().ushr(word, by)
            }
        }
    }

    /// Gathers the lanes' signs. Four vectors are first narrowed to bytes, which has one gathering where four
    /// would be needed.
    fn word_of_mask(&mut self, mask: &Mask) -> Value {
        let n = self.kernel.mask_width(mask);
        let lanes = self.mask_lanes(mask);
        let values: Vec<Value> = chunks(n).map(|chunk| self.mask_chunk(&lanes, chunk)).collect();
        let (vectors, singles) = values.split_at(n / 4);
        let mut word = None;
        for (number, four) in vectors.chunks(4).enumerate() {
            if let [a, b, c, d] = *four {
                let low = self.builder.ins().snarrow(a, b);
                let high = self.builder.ins().snarrow(c, d);
                let bytes = self.builder.ins().snarrow(low, high);
                word = Some(self.place_bits(word, bytes, number * 16));
            } else {
                for (i, vector) in four.iter().enumerate() {
                    word = Some(self.place_bits(word, *vector, number * 16 + i * 4));
                }
            }
        }
        for (i, single) in singles.iter().enumerate() {
            let lane = (n / 4 * 4 + i) as i64;
            let wide = self.builder.ins().uextend(types::I64, *single);
            let bit = self.constant(1 << lane);
            let shift = self.constant(lane);
            let moved = self.builder.ins().ishl(wide, shift);
            let bit = self.builder.ins().band(moved, bit);
            word = Some(self.join(word, bit));
        }
        word.expect("a row has a lane")
    }

    fn place_bits(&mut self, word: Option<Value>, lanes: Value, at: usize) -> Value {
        let bits = self.builder.ins().vhigh_bits(types::I64, lanes);
        let shift = self.constant(at as i64);
        let bits = self.builder.ins().ishl(bits, shift);
        self.join(word, bits)
    }

    fn join(&mut self, word: Option<Value>, bits: Value) -> Value {
        match word {
            Some(word) => self.builder.ins().bor(word, bits),
            None => bits,
        }
    }
}
