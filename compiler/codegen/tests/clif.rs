//! Cranelift's IR of a small kernel, as the code generator hands it over.

use snnc_codegen::{Options, compile};
use snnc_kernel::body::{Row, SlotElem, Word};
use snnc_kernel::build::{Builder, load, mask_of};

/// Without the first line, which names the machine's calling convention.
fn clif(k: Builder) -> String {
    let code = compile(&[k.finish()], &Options { emit_clif: true, ..Options::default() }).expect("compiles");
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
        v11 = iconcat.i64 v6, v6
        v12, v13 = isplit v11
        v14 = ireduce.i32 v10  ; v10 = 21
        v15 = splat.i32x4 v14
        v16 = vconst.i32x4 const0
        v17 = band v15, v16  ; v16 = const0
        v18 = icmp eq v17, v16  ; v16 = const0
        v19 = load.f32x4 notrap readonly can_move region0 v12+28
        v20 = bitcast.i32x4 little v19
        v21 = band v20, v18
        v22 = bitcast.f32x4 little v21
        v23 = iconst.i64 4
        v24 = ushr v10, v23  ; v10 = 21, v23 = 4
        v25 = iconst.i64 1
        v26 = band v24, v25  ; v25 = 1
        v27 = bmask.i32 v26
        v28 = load.f32 notrap readonly can_move region0 v12+44
        v29 = f32const 0.0
        v30 = select v27, v28, v29  ; v29 = 0.0
        store notrap region1 v22, v7+12
        store notrap region1 v30, v7+28
        v31 = iconst.i64 1
        v32 = iadd v9, v31  ; v31 = 1
        v33 = icmp ult v32, v2
        brif v33, block1(v32), block2

    block2:
        return
    }
    "#);
}
