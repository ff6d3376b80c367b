//! Cranelift's IR of a small kernel, as the code generator hands it over.

use snnc_codegen::{Options, compile};
use snnc_kernel::body::{Row, SlotElem, Word};
use snnc_kernel::build::{Builder, load, mask_of};

/// Without the first line, which names the machine's calling convention.
fn clif(k: Builder) -> String {
    let code = compile(&[k.finish()], &Options { emit_clif: true, emit_asm: false }).expect("compiles");
    code.clif[0].lines().skip(1).collect::<Vec<_>>().join("\n")
}

/// Five lanes are a vector and a scalar; a choice against zero is an `and`; the constant of the offset is in the
/// instruction.
#[test]
fn a_row_of_five_lanes() {
    let mut k = Builder::new("five");
    let (x, y) = (k.read("x", SlotElem::F32), k.write("y", SlotElem::F32));
    let row = mask_of(Word::Const(0b10101), 5).select(load(x, 7, 5), Row::constant(0.0, 5));
    k.store(y, 3, row);
    insta::assert_snapshot!(clif(k), @r#"
        region0 = 1 "read"
        region1 = 2 "written"
        const0 = 0x00000008000000040000000200000001

    block0(v0: i64, v1: i64, v2: i64):
        v3 = load.i64 notrap aligned readonly can_move region0 v0
        v4 = load.i64 notrap aligned readonly can_move region0 v0+8
        v5 = load.i64 notrap aligned readonly can_move region0 v0+16
        v6 = load.i64 notrap aligned readonly can_move region0 v3
        v7 = load.i64 notrap aligned readonly can_move region0 v3+8
        v8 = icmp ult v1, v2
        brif v8, block3, block2

    block3:
        jump block1(v1)

    block1(v9: i64):
        v10 = iconst.i64 21
        v11 = ireduce.i32 v10  ; v10 = 21
        v12 = splat.i32x4 v11
        v13 = vconst.i32x4 const0
        v14 = band v12, v13  ; v13 = const0
        v15 = icmp eq v14, v13  ; v13 = const0
        v16 = load.f32x4 notrap readonly region0 v6+28
        v17 = bitcast.i32x4 little v16
        v18 = band v17, v15
        v19 = bitcast.f32x4 little v18
        v20 = iconst.i64 4
        v21 = ushr v10, v20  ; v10 = 21, v20 = 4
        v22 = iconst.i64 1
        v23 = band v21, v22  ; v22 = 1
        v24 = bmask.i32 v23
        v25 = load.f32 notrap readonly region0 v6+44
        v26 = f32const 0.0
        v27 = select v24, v25, v26  ; v26 = 0.0
        store notrap region1 v19, v7+12
        store notrap region1 v27, v7+28
        v28 = iconst.i64 1
        v29 = iadd v9, v28  ; v28 = 1
        v30 = icmp ult v29, v2
        brif v30, block1(v29), block2

    block2:
        return
    }
    "#);
}
