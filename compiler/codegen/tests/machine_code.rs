//! What the machine code of the hottest loops looks like.

use snnc_codegen::{Options, compile};
use snnc_kernel::body::{Kernel, SlotElem, Width};
use snnc_kernel::build::{Builder, load, load_word};

/// `acc = acc + load w[(base + i)*32]` for each set bit: a masked matrix product.
fn masked_add() -> Kernel {
    let mut k = Builder::new("masked_add");
    let (x, w, y) = (k.read("x", SlotElem::Bits), k.read("w", SlotElem::F32), k.write("y", SlotElem::F32));
    k.for_range("p", 0, 64, |k, p| {
        let acc = k.row("acc", 32, snnc_kernel::body::Row::constant(0.0, 32));
        k.for_range("block", 0, 2, |k, block| {
            let word = load_word(x, (snnc_kernel::body::Index::Task * 64 + &p) * 4 + &block * 2, Width::Full);
            k.each_bit("i", word, |k, i| {
                let row = load(w, (&block * 64 + i) * 32, 32);
                k.set(acc, snnc_kernel::body::Row::Reg(acc) + row);
            });
        });
        k.store(y, (snnc_kernel::body::Index::Task * 64 + p) * 32, snnc_kernel::body::Row::Reg(acc));
    });
    k.finish()
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_masked_add_is_eight_additions_from_memory() {
    let code = compile(&[masked_add()], &Options { emit_clif: true, emit_asm: true }).expect("compiles");
    println!("{}\n{}", code.clif[0], code.asm[0]);
}
