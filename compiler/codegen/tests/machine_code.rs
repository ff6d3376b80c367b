//! What the machine code of the hottest loop looks like.

use snnc_codegen::{Options, compile};
use snnc_kernel::body::{Index, Kernel, Row, SlotElem, Width};
use snnc_kernel::build::{Builder, load, load_word};

/// `acc = acc + load w[(block*64 + i)*32]` for each set bit: a masked matrix product.
fn masked_add() -> Kernel {
    let mut k = Builder::new("masked_add");
    let (x, w, y) = (k.read("x", SlotElem::Bits), k.read("w", SlotElem::F32), k.write("y", SlotElem::F32));
    k.for_range("p", 0, 64, |k, p| {
        let acc = k.row("acc", 32, Row::constant(0.0, 32));
        k.for_range("block", 0, 2, |k, block| {
            let word = load_word(x, (Index::Task * 64 + &p) * 4 + &block * 2, Width::Full);
            k.each_bit("i", word, |k, i| {
                k.set(acc, Row::Reg(acc) + load(w, (&block * 64 + i) * 32, 32));
            });
        });
        k.store(y, (Index::Task * 64 + p) * 32, Row::Reg(acc));
    });
    k.finish()
}

/// The instructions between the lowest bit's search and the jump back.
#[cfg(target_arch = "x86_64")]
fn inner_loop(asm: &str) -> Vec<&str> {
    let lines: Vec<&str> = asm.lines().map(str::trim).collect();
    let bit =
        lines.iter().position(|l| l.starts_with("tzcnt") || l.starts_with("bsf")).expect("a bit is searched");
    let length = lines[bit..].iter().position(|l| l.starts_with("jmp")).expect("the loop jumps back");
    lines[bit..bit + length].to_vec()
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_masked_add_is_eight_additions_from_memory() {
    let code = compile(&[masked_add()], &Options { emit_asm: true, ..Options::default() }).expect("compiles");
    let body = inner_loop(&code.asm[0]);
    if !std::is_x86_feature_detected!("avx") {
        return;
    }
    let additions = body.iter().filter(|l| l.starts_with("vaddps") && l.contains("(%r")).count();
    assert_eq!(additions, 8, "{}", code.asm[0]);
    assert!(body.len() <= 14, "{}", code.asm[0]);
    assert!(!body.iter().any(|l| l.contains("(%rsp)")), "nothing is spilled: {}", code.asm[0]);
}
