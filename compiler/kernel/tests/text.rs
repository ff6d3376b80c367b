//! The text form of kernels.

use SlotElem::{Bits, F32, I32};
use snnc_kernel::body::{Arith, Compare, Fold, Index, Mask, Row, SlotElem, Unary, Width, Word};
use snnc_kernel::build::{Builder, load, load_splat, load_word, mask_of, popcount, word_of};

#[test]
fn a_masked_product_and_a_neuron() {
    let mut k = Builder::new("stem.conv");
    let (x, w, s) = (k.read("x", Bits), k.read("w", F32), k.write("s", Bits));
    let v = k.row("v", 32, Row::constant(0.0, 32));
    k.for_range("t", 0, 4, |k, t| {
        let acc = k.row("acc", 32, Row::constant(0.0, 32));
        let at = (&t * 256 + Index::Task) * 2;
        k.each_bit("ci", load_word(x, at.clone(), Width::Full), |k, ci| {
            k.set(acc, Row::Reg(acc) + load(w, ci * 32, 32));
        });
        k.set(v, Row::Reg(v) * Row::constant(0.5, 32) + Row::Reg(acc));
        let fired = k.mask("fired", 32, Row::Reg(v).compare(Compare::Ge, Row::constant(1.0, 32)));
        k.store_word(s, at, word_of(Mask::Reg(fired)), Width::Half);
        k.set(v, Mask::Reg(fired).select(Row::constant(0.0, 32), Row::Reg(v)));
    });
    insta::assert_snapshot!(k.finish(), @r"
    kernel @stem.conv (x: bits read, w: f32 read, s: bits write) {
      v : f32[32] = 0
      for t in 0..4 {
        acc : f32[32] = 0
        each_bit ci of load64 x[(t*256 + task)*2] {
          acc = acc + load w[ci*32]
        }
        v = v * 0.5 + acc
        fired : mask[32] = (v >= 1)
        store32 s[(t*256 + task)*2] = bits(fired)
        v = select(fired, 0, v)
      }
    }
    ");
}

#[test]
fn every_statement_and_expression() {
    let mut k = Builder::new("all");
    let (labels, a, y) = (k.read("labels", I32), k.read("x", F32), k.write("x", F32));
    let (bits, sums) = (k.write("bits", Bits), k.scratch("sums", 64));
    let i = k.index("i", (Index::Task - (Index::Batch - 1)) * (Index::Batch + 2));
    let word = k.word("w", Word::Shl(Box::new(Word::Const(255)), Box::new(i.remainder(64))));
    k.set_word(word, Word::Xor(Box::new(Word::Reg(word)), Box::new(load_word(bits, 3, Width::Half))));
    k.for_step("p", 0, Index::Batch * 4, 4, |k, p| {
        let label = Index::Label(labels, Box::new(p.clone()));
        let row = load(a, (&p + 1) * 10, 10) - (load_splat(a, p.max(0).min(9), 10) - load(sums, p, 10));
        let row =
            row.fold(Fold::Sum).splat(10) / (Row::FromIndex(Box::new(label), 10) * Row::constant(-0.5, 10));
        k.store(y, Index::Task * 10, row.unary(Unary::Exp));
        k.store(y, popcount(Word::Reg(word)) * 2, Row::constant(1.0, 1));
    });
    k.for_down("p", 0, 4, |k, p| {
        k.when(Compare::Lt, p.quotient(3), 2, |k| {
            let mask = mask_of(Word::Reg(word), 7).and(!mask_of(Word::Const(9), 7));
            let least =
                Row::Arith(Arith::Min, Box::new(load(a, 0, 7)), Box::new(load(a, 7, 7).unary(Unary::Neg)));
            k.store(sums, p, mask.to_row(7) + least);
        });
    });
    insta::assert_snapshot!(k.finish(), @r"
    kernel @all (labels: i32 read, x: f32 read, x.1: f32 write, bits: bits write, sums: f32 scratch 64) {
      i : index = (task - (batch - 1))*(batch + 2)
      w : u64 = (0xff << (i%64))
      w = (w ^ load32 bits[3])
      for p in 0..(batch*4) step 4 {
        store x.1[task*10] : f32[10] = exp(splat(sum[10](load x[(p + 1)*10] - (splat x[min(max(p, 0), 9)] - load sums[p]))) / (f32(label labels[p]) * -0.5))
        store x.1[popcount(w)*2] : f32[1] = 1
      }
      for p.1 in 0..4 down {
        if p.1/3 < 2 {
          store sums[p.1] : f32[7] = select((lanes(w) & !lanes(0x9)), 1, 0) + min(load x[0], -(load x[7]))
        }
      }
    }
    ");
}
