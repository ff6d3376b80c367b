//! The table of facts: what the verifier, the printer and the passes ask instead of naming operations.

use super::{Op, Over};
use crate::graph::Stage;

/// The family whose files hold an operation's interpreter, gradient rule and lowering.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// Convolutions.
    Conv,
    /// Matrix products.
    Linear,
    /// Batch norms.
    Norm,
    /// Neurons.
    Neuron,
    /// Pooling.
    Pool,
    /// Reductions and losses.
    Reduce,
    /// Shapes and layouts.
    Shape,
    /// Attention and masks.
    Attention,
    /// Element-wise arithmetic.
    Pointwise,
    /// Regions.
    Control,
}

/// What an operation needs of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeClass {
    /// Every timestep alone.
    Each,
    /// Step t needs what step t−1 left (or t+1, for a gradient).
    Carry,
    /// Needs all timesteps.
    Whole,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct OpInfo {
    /// The name in the text form.
    pub mnemonic: &'static str,
    /// The family.
    pub family: Family,
    /// What it needs of time.
    pub time: TimeClass,
    /// The first and the last stage it may stand in.
    pub stages: (Stage, Stage),
    /// The smallest and the largest number of operands.
    pub operands: (usize, usize),
    /// The smallest and the largest number of results.
    pub results: (usize, usize),
    /// Whether the first operand must be binary.
    pub binary: bool,
}

const fn row(
    mnemonic: &'static str,
    family: Family,
    time: TimeClass,
    stages: (Stage, Stage),
    operands: (usize, usize),
    results: (usize, usize),
) -> OpInfo {
    OpInfo { mnemonic, family, time, stages, operands, results, binary: false }
}

const fn binary(info: OpInfo) -> OpInfo {
    OpInfo { binary: true, ..info }
}

impl Op {
    /// The row of the table for this operation.
    pub fn info(&self) -> OpInfo {
        use Family as F;
        use TimeClass::{Carry, Each, Whole};
        const ANY: (Stage, Stage) = (Stage::Logical, Stage::Packed);
        const MASKED: (Stage, Stage) = (Stage::Masked, Stage::Packed);
        const FUSED: (Stage, Stage) = (Stage::Fused, Stage::Packed);
        const PACKED: (Stage, Stage) = (Stage::Packed, Stage::Packed);
        match self {
            Op::Conv2d(_) => row("conv2d", F::Conv, Each, ANY, (2, 3), (1, 1)),
            Op::Conv2dGradInput(_) => row("conv2d.grad_input", F::Conv, Each, ANY, (2, 2), (1, 1)),
            Op::Conv2dGradWeight(_) => row("conv2d.grad_weight", F::Conv, Whole, ANY, (2, 2), (1, 1)),
            Op::Conv2dMaskedAdd(_) => binary(row("conv2d.masked_add", F::Conv, Each, MASKED, (2, 3), (1, 1))),
            Op::Conv2dMaskedGradWeight(_) => {
                binary(row("conv2d.masked_grad_weight", F::Conv, Whole, MASKED, (2, 2), (1, 1)))
            }
            Op::Conv2dSampledGradInput(_) => {
                row("conv2d.sampled_grad_input", F::Conv, Each, MASKED, (3, 3), (1, 1))
            }
            Op::Linear => row("linear", F::Linear, Each, ANY, (2, 3), (1, 1)),
            Op::LinearGradInput => row("linear.grad_input", F::Linear, Each, ANY, (2, 2), (1, 1)),
            Op::LinearGradWeight => row("linear.grad_weight", F::Linear, Whole, ANY, (2, 2), (1, 1)),
            Op::LinearMaskedAdd => binary(row("linear.masked_add", F::Linear, Each, MASKED, (2, 3), (1, 1))),
            Op::LinearMaskedGradWeight => {
                binary(row("linear.masked_grad_weight", F::Linear, Whole, MASKED, (2, 2), (1, 1)))
            }
            Op::BatchNorm(_) => row("batch_norm", F::Norm, Each, ANY, (5, 5), (1, 1)),
            Op::BnStats(_) => row("bn.stats", F::Norm, Whole, ANY, (3, 3), (4, 4)),
            Op::BnApply(_) => row("bn.apply", F::Norm, Each, ANY, (5, 5), (1, 1)),
            Op::BnGradSums => row("bn.grad_sums", F::Norm, Whole, ANY, (4, 4), (2, 2)),
            Op::BnGradInput(..) => row("bn.grad_input", F::Norm, Each, ANY, (7, 7), (1, 1)),
            Op::FoldWeight(_) => row("fold.weight", F::Norm, Each, ANY, (3, 3), (1, 1)),
            Op::FoldBias(_) => row("fold.bias", F::Norm, Each, ANY, (4, 5), (1, 1)),
            Op::StepScale => row("step_scale", F::Norm, Each, ANY, (2, 2), (1, 1)),
            Op::StepScaleGrad => row("step_scale.grad", F::Norm, Whole, ANY, (2, 2), (1, 1)),
            Op::Lif(_) => row("lif", F::Neuron, Carry, (Stage::Logical, Stage::Masked), (1, 5), (1, 2)),
            Op::LifGrad(_) => row("lif.grad", F::Neuron, Carry, ANY, (2, 7), (1, 5)),
            Op::LifCharge(_) => row("lif.charge", F::Neuron, Each, FUSED, (2, 5), (1, 1)),
            Op::LifFire(_) => row("lif.fire", F::Neuron, Each, FUSED, (1, 2), (1, 1)),
            Op::LifWindow(_) => row("lif.window", F::Neuron, Each, FUSED, (1, 2), (1, 1)),
            Op::LifReset(_) => row("lif.reset", F::Neuron, Each, FUSED, (2, 3), (1, 1)),
            Op::NeuronConstant(_) => row("neuron.constant", F::Neuron, Each, ANY, (1, 1), (1, 1)),
            Op::NeuronConstantGrad(_) => row("neuron.constant.grad", F::Neuron, Each, ANY, (2, 2), (1, 1)),
            Op::MaxPool(_) => row("max_pool", F::Pool, Each, ANY, (1, 1), (1, 1)),
            Op::MaxPoolGrad(_) => row("max_pool.grad", F::Pool, Each, ANY, (2, 2), (1, 1)),
            Op::AvgPool(_) => row("avg_pool", F::Pool, Each, ANY, (1, 1), (1, 1)),
            Op::AvgPoolGrad(_) => row("avg_pool.grad", F::Pool, Each, ANY, (1, 1), (1, 1)),
            Op::Sum(_) => row("sum", F::Reduce, Whole, ANY, (1, 1), (1, 1)),
            Op::Mean(_) => row("mean", F::Reduce, Whole, ANY, (1, 1), (1, 1)),
            Op::CrossEntropy(_) => row("cross_entropy", F::Reduce, Whole, ANY, (2, 4), (1, 1)),
            Op::CrossEntropyGrad(_) => row("cross_entropy.grad", F::Reduce, Whole, ANY, (2, 4), (1, 1)),
            Op::Penalty(_) => row("penalty", F::Reduce, Whole, ANY, (1, 1), (1, 1)),
            Op::PenaltyGrad(_) => row("penalty.grad", F::Reduce, Whole, ANY, (1, 2), (1, 1)),
            Op::Flatten => row("flatten", F::Shape, Each, ANY, (1, 1), (1, 1)),
            Op::Unflatten => row("unflatten", F::Shape, Each, ANY, (1, 1), (1, 1)),
            Op::Broadcast => row("broadcast", F::Shape, Each, ANY, (1, 1), (1, 1)),
            Op::Relayout => row("relayout", F::Shape, Each, FUSED, (1, 1), (1, 1)),
            Op::Pack => row("pack", F::Shape, Each, PACKED, (1, 1), (1, 1)),
            Op::Unpack => row("unpack", F::Shape, Each, PACKED, (1, 1), (1, 1)),
            Op::Piece(_) => row("piece", F::Shape, Whole, MASKED, (1, 1), (1, 1)),
            Op::Join => row("join", F::Shape, Whole, MASKED, (1, usize::MAX), (1, 1)),
            Op::Attention(a) => row("attention", F::Attention, attention_time(a.over), ANY, (3, 3), (1, 1)),
            Op::AttentionGrad(a) => {
                row("attention.grad", F::Attention, attention_time(a.over), ANY, (4, 4), (3, 3))
            }
            Op::Mask => row("mask", F::Attention, Each, ANY, (2, 2), (1, 1)),
            Op::MaskNot => row("mask.not", F::Attention, Each, ANY, (2, 2), (1, 1)),
            Op::ChannelSum(_) => row("channel_sum", F::Attention, Each, ANY, (1, 1), (1, 1)),
            Op::ChannelSpread => row("channel_spread", F::Attention, Each, ANY, (1, 1), (1, 1)),
            Op::Add => row("add", F::Pointwise, Each, ANY, (2, 2), (1, 1)),
            Op::Scale(_) => row("scale", F::Pointwise, Each, ANY, (1, 1), (1, 1)),
            Op::Scan => row("scan", F::Control, Carry, FUSED, (0, usize::MAX), (1, usize::MAX)),
        }
    }

    /// Whether the operation takes packed bits as they are; others need an `unpack` before them. `flatten`
    /// and `unflatten` do so for maps of one position only, which are a view.
    pub fn reads_bits(&self) -> bool {
        matches!(
            self,
            Op::Conv2dMaskedAdd(_)
                | Op::Conv2dMaskedGradWeight(_)
                | Op::Conv2dSampledGradInput(_)
                | Op::LinearMaskedAdd
                | Op::LinearMaskedGradWeight
                | Op::LifGrad(_)
                | Op::LifReset(_)
                | Op::MaxPool(_)
                | Op::MaxPoolGrad(_)
                | Op::AvgPool(_)
                | Op::Add
                | Op::Sum(_)
                | Op::Mean(_)
                | Op::Flatten
                | Op::Unflatten
                | Op::Attention(_)
                | Op::AttentionGrad(_)
                | Op::Mask
                | Op::MaskNot
                | Op::ChannelSum(_)
                | Op::Unpack
                | Op::Piece(_)
                | Op::Scan
        )
    }

    /// The operands that must be binary from the stage `Masked` on: their bits choose what
    /// is added.
    pub fn binary_operands(&self) -> std::ops::Range<usize> {
        if matches!(self, Op::Attention(_)) {
            0..3
        } else if matches!(self, Op::AttentionGrad(_)) {
            1..4
        } else if matches!(self, Op::Mask | Op::MaskNot) {
            1..2
        } else if matches!(self, Op::Conv2dSampledGradInput(_)) {
            2..3
        } else {
            0..0
        }
    }
}

/// Attention within one timestep is a matter of that timestep.
const fn attention_time(over: Over) -> TimeClass {
    match over {
        Over::Space => TimeClass::Each,
        Over::Time | Over::SpaceTime(_) => TimeClass::Whole,
    }
}
