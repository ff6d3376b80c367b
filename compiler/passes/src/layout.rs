//! `layout`: channels become the innermost axis, weights get the order their kernels read.
//!
//! ```text
//! %y : f32[T4 B C128 H16 W16] = conv2d.masked_add %s, %w {…}            ; before, %w : f32[Co128 Ci64 Kh3 Kw3]
//! %w.add : f32[Kh3 Kw3 Ci64 Co128/32] = relayout %w                     ; after
//! %y : f32[T4 B H16 W16 C128] = conv2d.masked_add %s, %w.add {…}
//! ```
//!
//! Gains: a row of channels is one vector; a masked addition reads weight rows of 128 output channels that stay
//! in the nearest cache for a block of input channels; a dense product reads `[Co Kh Kw Ci]` as a matrix.
//! Needs and leaves: fused. Parameters and inputs keep the types the user sees: a `relayout` follows them.
//! Gradients of weights keep the parameter's type, for the optimiser. Stops at: values without channels.

use crate::pass::{Pass, Run};
use snnc_ir::{Axis, AxisName, Def, Graph, Inst, Op, Stage, Type, Value};
use std::collections::HashMap;

/// The pass.
pub const PASS: Pass = Pass {
    name: "layout",
    needs: Stage::Fused,
    leaves: Stage::Fused,
    optional: false,
    run: Run::Always(run),
};

/// Output channels in one tile of a masked addition's weight: what the widest vectors keep in registers.
pub const TILE: usize = 128;

fn run(graph: &mut Graph) {
    for value in (0..graph.value_count()).map(|n| Value(n as u32)) {
        match graph.value(value).def {
            Def::Param(_) | Def::Input => {}
            Def::Result(..) | Def::Arg(..) => {
                let ty = channels_last(graph.ty(value));
                graph.set_type(value, ty);
            }
        }
    }
    relayout_weights(graph);
    relayout_inputs(graph);
}

/// The type with its channels innermost; weights and vectors stay as they are.
fn channels_last(ty: &Type) -> Type {
    let rank = |axis: &Axis| match axis.name {
        AxisName::T => 0,
        AxisName::B => 1,
        AxisName::H => 2,
        AxisName::W => 3,
        AxisName::C => 4,
        AxisName::Co | AxisName::Ci | AxisName::Kh | AxisName::Kw => 5,
    };
    let mut axes = ty.axes.clone();
    axes.sort_by_key(rank);
    Type::new(ty.elem, axes)
}

fn relayout_inputs(graph: &mut Graph) {
    for input in graph.inputs.clone().into_iter().rev() {
        let ty = channels_last(graph.ty(input));
        if ty == *graph.ty(input) {
            continue;
        }
        let name = format!("{}.last", graph.name(input));
        let inst = graph.make_inst(Op::Relayout, &[], &[(&name, ty)]);
        graph.replace_uses(&HashMap::from([(input, graph.inst(inst).results[0])]));
        graph.inst_mut(inst).args.push(input);
        graph.body.insert(0, inst);
    }
}

fn relayout_weights(graph: &mut Graph) {
    let mut made: HashMap<(Value, Type), Value> = HashMap::new();
    let mut body = Vec::with_capacity(graph.body.len());
    for inst in std::mem::take(&mut graph.body) {
        let inner = graph.inst(inst).region.map(|region| graph.region(region).body.clone());
        for user in inner.unwrap_or_default().into_iter().chain([inst]) {
            let Some((suffix, ty)) = weight_layout(graph, user) else { continue };
            let weight = graph.inst(user).args[1];
            let laid = *made.entry((weight, ty.clone())).or_insert_with(|| {
                let name = format!("{}.{suffix}", graph.name(weight));
                let relayout = graph.make_inst(Op::Relayout, &[weight], &[(&name, ty)]);
                // In front of the whole scan: once, not at every timestep.
                body.push(relayout);
                graph.inst(relayout).results[0]
            });
            graph.inst_mut(user).args[1] = laid;
        }
        body.push(inst);
    }
    graph.body = body;
}

/// The suffix of the name and the type that an instruction wants its weight, the second operand, in.
fn weight_layout(graph: &Graph, inst: Inst) -> Option<(&'static str, Type)> {
    use AxisName::{Ci, Co, Kh, Kw};
    let data = graph.inst(inst);
    let dense_conv = matches!(data.op, Op::Conv2d(_) | Op::Conv2dGradInput(_));
    let walked = matches!(data.op, Op::Conv2dMaskedAdd(_) | Op::Conv2dSampledGradInput(_));
    let (suffix, order): (_, &[AxisName]) = if walked {
        ("add", &[Kh, Kw, Ci, Co])
    } else if data.op == Op::LinearMaskedAdd {
        ("add", &[Ci, Co])
    } else if dense_conv {
        ("dense", &[Co, Kh, Kw, Ci])
    } else {
        return None;
    };
    let ty = graph.ty(data.args[1]);
    let mut axes: Vec<Axis> = order.iter().filter_map(|&name| ty.axis(name)).collect();
    if suffix == "add" {
        axes.iter_mut().filter(|axis| axis.name == Co).for_each(|axis| axis.tile = TILE);
    }
    Some((suffix, Type::f32(axes)))
}
