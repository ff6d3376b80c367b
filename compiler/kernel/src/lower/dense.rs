//! A product with spikes as a dense one: the bits become numbers, and the runtime multiplies.
//!
//! ```text
//! %conv = conv2d.masked_add %x, %w.add        kernel  conv (x -> conv.spikes)            ; 0.0 and 1.0
//!                                       ->    dense   conv2d (conv.spikes, conv.weight -> conv.sums)
//! ```

use super::choice::spike_product;
use super::view::{Frame, Shape, View, each_tile};
use super::{Draw, LowerError, Lowering, conv, shape};
use crate::body::{Index, SlotElem};
use snnc_ir::{Axis, AxisName, Inst, Op, Type, Value};
use snnc_plan::{BufferId, Dense, ElemKind, Step, Tasks};
use std::collections::HashMap;

/// The result of a product with spikes, in memory. A slice of a scan is read from the whole value.
pub fn of_spikes(
    lowering: &mut Lowering<'_>,
    inst: Inst,
    slices: &HashMap<Value, Value>,
) -> Result<(BufferId, Shape), LowerError> {
    let graph = lowering.graph;
    let data = graph.inst(inst);
    let name = lowering.choices.of(inst)?.layer.clone();
    let x = slices.get(&data.args[0]).copied().unwrap_or(data.args[0]);
    let input = Shape::of(graph.ty(x))?;
    let result = Shape::of(graph.ty(data.results[0]))?;
    let output = Shape { time: input.time, ..result };
    let numbers = numbers(lowering, &name, x)?;
    let w = weight(lowering, &name, data.args[1])?;
    let bias = data.args.get(2).map(|&bias| lowering.buffer(bias)).transpose()?;
    let bytes = output.steps() * output.positions() * output.channels * 4;
    let y = lowering.add_draft(&format!("{name}.sums"), ElemKind::F32, bytes, output.batched);
    let op = match spike_product(&data.op) {
        Some(attrs) if matches!(data.op, Op::Conv2dMaskedAdd(_)) => {
            let weight = graph.ty(data.args[1]);
            let kernel = (weight.extent(AxisName::Kh), weight.extent(AxisName::Kw));
            let geometry = conv::geometry(&input, &output, kernel, attrs);
            Dense::Conv { geometry, images: output.steps(), x: numbers, w, bias, y }
        }
        _linear => {
            let sizes = (output.steps() * output.positions(), input.channels, output.channels);
            Dense::Linear { sizes, x: numbers, w, bias, y }
        }
    };
    lowering.push_step(Step::Dense { name, op });
    Ok((y, output))
}

/// A buffer of 0.0 and 1.0 where a value has bits.
fn numbers(lowering: &mut Lowering<'_>, name: &str, x: Value) -> Result<BufferId, LowerError> {
    let mut draw = Draw::new();
    let from = draw.read_view(lowering, x)?;
    let shape = Shape { bits: false, ..from.shape };
    let bytes = shape.steps() * shape.positions() * shape.channels * 4;
    let buffer = lowering.add_draft(&format!("{name}.spikes"), ElemKind::F32, bytes, shape.batched);
    let to = View { slot: draw.write(buffer, SlotElem::F32), shape };
    let k = &mut draw.k;
    let b = k.index("b", Index::Task.quotient(shape.steps()));
    let t = k.index("t", Index::Task.remainder(shape.steps()));
    k.for_range("p", 0, shape.positions(), |k, p| {
        each_tile(k, shape.channels, |k, tile| {
            let frame = Frame { t: t.clone(), b: b.clone(), p: p.clone(), tile };
            to.store_row(k, &frame, from.row(&frame));
        });
    });
    let steps = shape.steps();
    let tasks = if shape.batched { Tasks::per_samples(1, steps) } else { Tasks::fixed(steps) };
    lowering.push_kernel(name, draw, tasks);
    Ok(buffer)
}

/// The weight as dense products read it, from what was laid out for additions.
fn weight(lowering: &mut Lowering<'_>, name: &str, laid: Value) -> Result<BufferId, LowerError> {
    use AxisName::{Ci, Co, Kh, Kw};
    let graph = lowering.graph;
    let maker = graph.def_inst(laid).map(|inst| graph.inst(inst)).filter(|data| data.op == Op::Relayout);
    let Some(maker) = maker else {
        return Err(LowerError(format!("{name}: its weight is not laid out from a parameter")));
    };
    let (source, ty) = (maker.args[0], graph.ty(maker.args[0]));
    let axes: Vec<Axis> = [Co, Kh, Kw, Ci].iter().filter_map(|&axis| ty.axis(axis)).collect();
    let wanted = Type::f32(axes);
    if wanted == *ty {
        return lowering.buffer(source);
    }
    let elements = wanted.elements_per_sample();
    let buffer = lowering.add_draft(&format!("{name}.weight.dense"), ElemKind::F32, elements * 4, false);
    lowering.in_prepare(|lowering| shape::lay_out(lowering, name, source, &wanted, buffer))?;
    Ok(buffer)
}
