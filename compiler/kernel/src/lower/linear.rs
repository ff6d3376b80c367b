//! Matrix products of real values: dense steps. Masked ones are convolutions of one position (`conv.rs`).

use super::view::Shape;
use super::{LowerError, Lowering};
use snnc_ir::{Conv, Inst, Value};
use snnc_plan::{Dense, Step};

/// A matrix product as a convolution.
pub const AS_CONV: Conv = Conv { stride: 1, pad: 0 };

/// Rows per sample, input features, output features.
fn sizes(lowering: &Lowering<'_>, x: Value, y: Value) -> Result<(usize, usize, usize), LowerError> {
    let (x, y) = (Shape::of(lowering.graph.ty(x))?, Shape::of(lowering.graph.ty(y))?);
    Ok((y.steps(), x.channels, y.channels))
}

/// `x·wᵀ + bias`.
pub fn dense(lowering: &mut Lowering<'_>, inst: Inst) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let op = Dense::Linear {
        sizes: sizes(lowering, data.args[0], data.results[0])?,
        x: lowering.buffer(data.args[0])?,
        w: lowering.buffer(data.args[1])?,
        bias: data.args.get(2).map(|&b| lowering.buffer(b)).transpose()?,
        y: lowering.add_value(data.results[0])?,
    };
    let name = lowering.inst_name(inst);
    lowering.push_step(Step::Dense { name, op });
    Ok(())
}

/// `dy·w`.
pub fn dense_grad_input(lowering: &mut Lowering<'_>, inst: Inst) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let op = Dense::LinearGradInput {
        sizes: sizes(lowering, data.results[0], data.args[0])?,
        dy: lowering.buffer(data.args[0])?,
        w: lowering.buffer(data.args[1])?,
        dx: lowering.add_value(data.results[0])?,
    };
    let name = lowering.inst_name(inst);
    lowering.push_step(Step::Dense { name, op });
    Ok(())
}

/// `dyᵀ·x`.
pub fn dense_grad_weight(lowering: &mut Lowering<'_>, inst: Inst) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let op = Dense::LinearGradWeight {
        sizes: sizes(lowering, data.args[0], data.args[1])?,
        x: lowering.buffer(data.args[0])?,
        dy: lowering.buffer(data.args[1])?,
        dw: lowering.add_value(data.results[0])?,
    };
    let name = lowering.inst_name(inst);
    lowering.push_step(Step::Dense { name, op });
    Ok(())
}
