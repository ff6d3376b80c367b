//! The table of gradient rules, one for each operation that a logical training graph may hold.

pub mod attention;
pub mod conv;
pub mod linear;
pub mod neuron;
pub mod norm;
pub mod pointwise;
pub mod pool;
pub mod reduce;
pub mod shape;

use super::{Step, Sweep};
use snnc_ir::Op;

/// Gives the operands of one instruction their gradients.
///
/// # Panics
///
/// On an operation that only other passes make, or that only inference has: the graph is not what this pass
/// needs.
pub fn apply(sweep: &mut Sweep, step: &Step) {
    match &step.data.op {
        Op::Conv2d(conv) => conv::conv2d(sweep, step, *conv),
        Op::Linear => linear::linear(sweep, step),
        Op::BnApply(norm) => norm::apply(sweep, step, *norm),
        Op::StepScale => norm::step_scale(sweep, step),
        Op::Lif(lif) => neuron::lif(sweep, step, *lif),
        Op::NeuronConstant(form) => neuron::constant(sweep, step, *form),
        Op::MaxPool(pool) => pool::max(sweep, step, *pool),
        Op::AvgPool(pool) => pool::avg(sweep, step, *pool),
        Op::Sum(over) => reduce::sum(sweep, step, over),
        Op::Mean(over) => reduce::mean(sweep, step, over),
        Op::Flatten => shape::flatten(sweep, step),
        Op::Unflatten => shape::unflatten(sweep, step),
        Op::Broadcast => shape::broadcast(sweep, step),
        Op::Attention(attributes) => attention::attention(sweep, step, *attributes),
        Op::Mask => attention::mask(sweep, step, false),
        Op::MaskNot => attention::mask(sweep, step, true),
        Op::ChannelSum(_) => attention::channel_sum(sweep, step),
        Op::ChannelSpread => attention::channel_spread(sweep, step),
        Op::Add => pointwise::add(sweep, step),
        Op::Scale(by) => pointwise::scale(sweep, step, *by),
        // Its gradient is part of `bn.grad_input`, and running statistics carry none.
        Op::BnStats(_) => {}
        Op::CrossEntropy(_) => panic!("a cross-entropy has a gradient only as a term of the last output"),
        Op::Penalty(measure) => reduce::penalty(sweep, step, *measure),
        Op::Conv2dGradInput(_)
        | Op::Conv2dGradWeight(_)
        | Op::LinearGradInput
        | Op::LinearGradWeight
        | Op::BnGradSums
        | Op::BnGradInput(..)
        | Op::StepScaleGrad
        | Op::LifGrad(_)
        | Op::NeuronConstantGrad(_)
        | Op::AttentionGrad(_)
        | Op::MaxPoolGrad(_)
        | Op::AvgPoolGrad(_)
        | Op::CrossEntropyGrad(_)
        | Op::PenaltyGrad(_) => no_rule(step, "it is a gradient itself"),
        Op::BatchNorm(_) | Op::FoldWeight(_) | Op::FoldBias(_) => no_rule(step, "it belongs to inference"),
        Op::Conv2dMaskedAdd(_)
        | Op::Conv2dMaskedGradWeight(_)
        | Op::Conv2dSampledGradInput(_)
        | Op::LinearMaskedAdd
        | Op::LinearMaskedGradWeight
        | Op::LifCharge(_)
        | Op::LifFire(_)
        | Op::LifWindow(_)
        | Op::LifReset(_)
        | Op::Relayout
        | Op::Pack
        | Op::Unpack
        | Op::Piece(_)
        | Op::Join
        | Op::Scan => no_rule(step, "it is made by a later pass"),
    }
}

fn no_rule(step: &Step, why: &str) -> ! {
    panic!("`{}` has no gradient rule: {why}", step.data.op.info().mnemonic)
}
