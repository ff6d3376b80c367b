//! `pack-spikes`: spikes become bits, 64 channels to a word.
//!
//! ```text
//! %lif : spike[T4 B H16 W16 C128] = scan … { … %s : spike[B H16 W16 C128] = lif.fire %h {…} … }    ; before
//! %lif : bits[T4 B H16 W16 | C128] = scan … { … %s : bits[B H16 W16 | C128] = lif.fire %h {…} … }  ; after
//! ```
//!
//! Gains: spikes and window bits take 1/32 of the memory, and a masked addition reads 64 of them at once.
//! Needs: fused, channels innermost. Leaves: packed. A spike input is packed once; operations that cannot
//! read or write bits get `unpack` and `pack` around them: real arithmetic on spikes, and the flattening of a
//! feature map, which moves channels between words.
//! Stops at: counts and real values.

use crate::pass::{Pass, Run};
use snnc_ir::{AxisName, Def, Elem, Graph, Inst, Op, Stage, Type, Value};
use std::collections::HashMap;

/// The pass.
pub const PASS: Pass = Pass {
    name: "pack-spikes",
    needs: Stage::Fused,
    leaves: Stage::Packed,
    optional: false,
    run: Run::Always(run),
};

fn run(graph: &mut Graph) {
    for value in (0..graph.value_count()).map(|n| Value(n as u32)) {
        if graph.ty(value).elem == Elem::Spike && graph.value(value).def != Def::Input {
            let ty = graph.ty(value).with_elem(Elem::Bits);
            graph.set_type(value, ty);
        }
    }
    for inst in graph.body.clone() {
        if let Some(region) = graph.inst(inst).region {
            let body = graph.region(region).body.clone();
            graph.region_mut(region).body = wrap_all(graph, body);
        }
    }
    let body = std::mem::take(&mut graph.body);
    graph.body = wrap_all(graph, body);
    pack_inputs(graph);
}

/// Packs a spike input once, after its relayout if it has one. Inputs are stored as numbers, so the relayout
/// moves numbers.
fn pack_inputs(graph: &mut Graph) {
    for input in graph.inputs.clone() {
        if graph.ty(input).elem != Elem::Spike {
            continue;
        }
        let of_input = |inst: &&Inst| {
            let data = graph.inst(**inst);
            data.op == Op::Relayout && data.args == [input]
        };
        let relayout = graph.body.iter().find(of_input).copied();
        let stored = relayout.map_or(input, |inst| graph.inst(inst).results[0]);
        if relayout.is_some() {
            let ty = graph.ty(stored).with_elem(Elem::F32);
            graph.set_type(stored, ty);
        }
        let ty = graph.ty(stored).with_elem(Elem::Bits);
        let name = format!("{}.bits", graph.name(input));
        let pack = graph.make_inst(Op::Pack, &[], &[(&name, ty)]);
        graph.replace_uses(&HashMap::from([(stored, graph.inst(pack).results[0])]));
        graph.inst_mut(pack).args.push(stored);
        let after = relayout.and_then(|inst| graph.body.iter().position(|&other| other == inst));
        graph.body.insert(after.map_or(0, |at| at + 1), pack);
    }
}

/// The body with `unpack` and `pack` around the instructions that need them.
fn wrap_all(graph: &mut Graph, body: Vec<Inst>) -> Vec<Inst> {
    let mut wrapped = Vec::with_capacity(body.len());
    let mut unpacked: HashMap<Value, Value> = HashMap::new();
    for inst in body {
        if works_on_bits(graph, inst) {
            wrapped.push(inst);
            continue;
        }
        for n in 0..graph.inst(inst).args.len() {
            let arg = graph.inst(inst).args[n];
            if graph.ty(arg).elem.is_binary() {
                let real = *unpacked.entry(arg).or_insert_with(|| unpack(graph, arg, &mut wrapped));
                graph.inst_mut(inst).args[n] = real;
            }
        }
        wrapped.extend(pack_result(graph, inst));
    }
    wrapped
}

fn unpack(graph: &mut Graph, bits: Value, body: &mut Vec<Inst>) -> Value {
    let name = format!("{}.f", graph.name(bits));
    let ty = graph.ty(bits).with_elem(Elem::F32);
    let inst = graph.make_inst(Op::Unpack, &[bits], &[(&name, ty)]);
    body.push(inst);
    graph.inst(inst).results[0]
}

/// The instruction, and a `pack` behind it when its result should be bits. The result keeps its name, so it is
/// the instruction that is made anew.
fn pack_result(graph: &mut Graph, inst: Inst) -> Vec<Inst> {
    let data = graph.inst(inst).clone();
    let result = data.results[0];
    if graph.ty(result).elem != Elem::Bits {
        return vec![inst];
    }
    let name = format!("{}.f", graph.name(result));
    let ty = graph.ty(result).with_elem(Elem::F32);
    let real = graph.make_inst(data.op, &data.args, &[(&name, ty)]);
    graph.replace_inst(inst, Op::Pack, &[graph.inst(real).results[0]], None);
    vec![real, inst]
}

/// Whether the instruction's kernel reads its binary operands, and writes its binary results, as bits.
fn works_on_bits(graph: &Graph, inst: Inst) -> bool {
    let data = graph.inst(inst);
    let makes_bits = matches!(data.op, Op::LifFire(_) | Op::LifWindow(_) | Op::Pack | Op::Relayout);
    let reshapes = matches!(data.op, Op::Flatten | Op::Unflatten);
    let one_position = data.args.iter().chain(&data.results).all(|&value| is_one_position(graph.ty(value)));
    makes_bits || data.op.reads_bits() && (one_position || !reshapes)
}

/// Whether the feature map is one position, so that flattening it is a view of the same words.
fn is_one_position(ty: &Type) -> bool {
    ty.extent(AxisName::H) * ty.extent(AxisName::W) == 1
}
