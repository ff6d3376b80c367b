//! Taps: what each product and each attention of the forward pass reads.
//!
//! ```text
//! %conv : f32[T4 B H8 W8 C64] = conv2d.masked_add %lif, %conv.weight.fold.add {…}   ->  tap conv: spikes of %lif
//! ```

use super::choice::layer;
use super::view::Shape;
use super::{LowerError, Lowering, linear};
use snnc_ir::{Attention, AxisName, Conv, Elem, Graph, Inst, Op, Order, Value};
use snnc_plan::{AttentionCost, Reach, Tap, TapElements, TapRole};
use std::collections::HashMap;

/// The taps of all instructions that have a buffer for what they read, in order.
pub fn taps(lowering: &Lowering<'_>) -> Result<Vec<Tap>, LowerError> {
    let graph = lowering.graph;
    let slices = slices(graph);
    let mut taps = Vec::new();
    for inst in graph.all_insts() {
        let data = graph.inst(inst);
        let outer = |at: usize| slices.get(&data.args[at]).copied().unwrap_or(data.args[at]);
        let mut tap = |value: Value, layer: String, role: TapRole| -> Result<(), LowerError> {
            taps.push(made(lowering, value, layer, role)?);
            Ok(())
        };
        match &data.op {
            Op::Conv2d(conv) | Op::Conv2dMaskedAdd(conv) => {
                tap(outer(0), layer(graph, data.args[1]), TapRole::Product(reach(graph, inst, *conv)))?;
            }
            Op::Linear | Op::LinearMaskedAdd => {
                tap(
                    outer(0),
                    layer(graph, data.args[1]),
                    TapRole::Product(reach(graph, inst, linear::AS_CONV)),
                )?;
            }
            Op::Attention(attention) => {
                let name = lowering.inst_name(inst);
                let queries = TapRole::Queries(cost(graph, inst, attention));
                for (at, role) in [queries, TapRole::Keys, TapRole::Values].into_iter().enumerate() {
                    tap(outer(at), name.clone(), role)?;
                }
            }
            _no_product => {}
        }
    }
    Ok(taps)
}

/// The value that each region's slice is a timestep of.
fn slices(graph: &Graph) -> HashMap<Value, Value> {
    let mut slices = HashMap::new();
    for &inst in &graph.body {
        let data = graph.inst(inst);
        if let Some(region) = data.region {
            slices.extend(graph.region(region).args.iter().copied().zip(data.args.iter().copied()));
        }
    }
    slices
}

fn made(lowering: &Lowering<'_>, value: Value, layer: String, role: TapRole) -> Result<Tap, LowerError> {
    let shape = Shape::of(lowering.graph.ty(value))?;
    let elements = match lowering.graph.ty(value).elem {
        Elem::Bits => TapElements::Spikes,
        Elem::F32 | Elem::I32 | Elem::Spike if sums_spikes(lowering.graph, value) => TapElements::Counts,
        Elem::F32 | Elem::I32 | Elem::Spike => TapElements::Real,
    };
    Ok(Tap {
        layer,
        role,
        elements,
        buffer: lowering.buffer(value)?,
        steps: shape.steps(),
        channels: shape.channels,
        height: shape.height,
        width: shape.width,
    })
}

/// Whether a value is made of spikes by sums and constant factors alone.
fn sums_spikes(graph: &Graph, value: Value) -> bool {
    if graph.ty(value).elem != Elem::F32 {
        return true;
    }
    let Some(maker) = graph.def_inst(value) else { return false };
    let data = graph.inst(maker);
    let linear = matches!(
        data.op,
        Op::AvgPool(_) | Op::Flatten | Op::Add | Op::Unpack | Op::Sum(_) | Op::ChannelSum(_) | Op::Broadcast
    );
    linear && data.args.iter().all(|&arg| sums_spikes(graph, arg))
}

fn reach(graph: &Graph, inst: Inst, conv: Conv) -> Reach {
    let data = graph.inst(inst);
    let (weight, y) = (graph.ty(data.args[1]), graph.ty(data.results[0]));
    Reach {
        kernel: (weight.extent(AxisName::Kh), weight.extent(AxisName::Kw)),
        stride: conv.stride,
        pad: conv.pad,
        output: (y.extent(AxisName::C), y.extent(AxisName::H), y.extent(AxisName::W)),
    }
}

fn cost(graph: &Graph, inst: Inst, attention: &Attention) -> AttentionCost {
    let q = graph.ty(graph.inst(inst).args[0]);
    let (steps, positions) = (q.extent(AxisName::T), q.extent(AxisName::H) * q.extent(AxisName::W));
    AttentionCost {
        heads: attention.heads,
        group: attention.group(steps, positions),
        kv_first: attention.order == Order::KvFirst,
        causal: attention.causal,
    }
}
