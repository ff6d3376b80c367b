//! The operations: one closed enum, its attributes by family, and the table of facts about each.

mod attention;
mod neuron;
mod surrogate;
mod table;

pub use attention::{Attention, Order, Over};
pub use neuron::{Compare, Constant, Form, Learned, Lif, Reset, Save};
pub use surrogate::Surrogate;
pub use table::{Family, OpInfo, TimeClass};

use crate::types::AxisName;

/// Geometry of a convolution: the same on both sides and both axes. The kernel's size is that of its weight.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Conv {
    /// Step between output positions.
    pub stride: usize,
    /// Zeros added on each side.
    pub pad: usize,
}

/// Geometry of a pooling window.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Pool {
    /// Rows and columns of the window.
    pub kernel: (usize, usize),
    /// Step between windows.
    pub stride: usize,
    /// Border of each side: −∞ for a maximum, zeros that count for an average.
    pub pad: usize,
}

/// Constants of a batch norm.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Norm {
    /// Added to the variance.
    pub eps: f32,
    /// Multiplies the normalised value before gain and bias: 1, or `α·V_th` of a threshold-dependent norm.
    pub scale: f32,
}

/// Constants of the batch statistics.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Stats {
    /// Added to the variance.
    pub eps: f32,
    /// Weight of the batch in the running statistics.
    pub momentum: f32,
    /// How many times the operand stands for itself in time (`hoist-static`): enters `n/(n−1)` only.
    pub repeat: usize,
}

/// Successive timesteps of a value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Piece {
    /// The first timestep.
    pub from: usize,
    /// How many there are.
    pub steps: usize,
}

/// A measure of a tensor's values: the mean of a function of each.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Penalty {
    /// The value itself.
    Mean,
    /// `(x − at)²`.
    Square(f32),
    /// `max(0, x − at)²`.
    Above(f32),
    /// `max(0, at − x)²`.
    Below(f32),
}

/// An operation. Operands, results and facts of each stand in `table.rs`; equations in `interp/`.
#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    // conv.rs
    /// `conv2d x, w [, b]`: cross-correlation, x `[.. C H W]`, w `[Co Ci Kh Kw]`.
    Conv2d(Conv),
    /// `conv2d.grad_input dy, w`: the result type gives the input's extents.
    Conv2dGradInput(Conv),
    /// `conv2d.grad_weight x, dy`.
    Conv2dGradWeight(Conv),
    /// `conv2d.masked_add x, w [, b]`: x binary; rows of w are added where a bit is set.
    Conv2dMaskedAdd(Conv),
    /// `conv2d.masked_grad_weight x, dy`: x binary; rows of dy are added where a bit is set.
    Conv2dMaskedGradWeight(Conv),
    /// `conv2d.sampled_grad_input dy, w, window`: the gradient of the input where the window is open, 0 elsewhere.
    Conv2dSampledGradInput(Conv),

    // linear.rs
    /// `linear x, w [, b]`: x `[.. C]`, w `[Co Ci]`.
    Linear,
    /// `linear.grad_input dy, w`.
    LinearGradInput,
    /// `linear.grad_weight x, dy`.
    LinearGradWeight,
    /// `linear.masked_add x, w [, b]`: x binary.
    LinearMaskedAdd,
    /// `linear.masked_grad_weight x, dy`: x binary.
    LinearMaskedGradWeight,

    // norm.rs
    /// `batch_norm x, gain, bias, mean, var`: inference, running statistics.
    BatchNorm(Norm),
    /// `bn.stats x, mean, var -> mu, rstd, mean', var'`: batch statistics per channel over all other axes,
    /// `rstd = 1/√(var + eps)`, and the running statistics after this batch.
    BnStats(Stats),
    /// `bn.apply x, mu, rstd, gain, bias`: `gain·scale·(x − mu)·rstd + bias`.
    BnApply(Norm),
    /// `bn.grad_sums dy, x, mu, rstd -> sum_dy, sum_dy_xhat`, per channel; `xhat = (x − mu)·rstd`.
    BnGradSums,
    /// `bn.grad_input dy, x, mu, rstd, gain, sum_dy, sum_dy_xhat`: the gradient through the statistics too, which were
    /// over so many timesteps; over those of x where that is 0.
    BnGradInput(Norm, usize),
    /// `fold.weight w, gain, var`: `w·gain·scale/√(var + eps)` per output channel.
    FoldWeight(Norm),
    /// `fold.bias gain, bias, mean, var [, b]`: `(b − mean)·gain·scale/√(var + eps) + bias`.
    FoldBias(Norm),

    /// `step_scale x, p`: `p[t]·x[t]`, p `[T]`.
    StepScale,
    /// `step_scale.grad dy, x`: the gradient of p, a sum over all axes but T.
    StepScaleGrad,

    // neuron.rs; each takes the learned constants that it reads (`Op::constants`) as further operands
    /// `lif x -> s [, window | membrane]` over all timesteps, by `save`.
    Lif(Lif),
    /// `lif.grad ds, s, window` or `lif.grad ds, membrane`, by `save`: the gradients of x and of each learned
    /// constant. Without learned constants a further operand may be the gradient of x at the timesteps that follow.
    LifGrad(Lif),
    /// `lif.charge v, x`: `a·v + b·x + c`.
    LifCharge(Lif),
    /// `lif.fire h`: spikes.
    LifFire(Lif),
    /// `lif.window h`: whether the surrogate's derivative is not 0, as a bit.
    LifWindow(Lif),
    /// `lif.reset h, s`: the membrane after the spike.
    LifReset(Lif),
    /// `neuron.constant w`: a constant of trained numbers, element by element.
    NeuronConstant(Form),
    /// `neuron.constant.grad dy, w`.
    NeuronConstantGrad(Form),

    // pool.rs
    /// `max_pool x`.
    MaxPool(Pool),
    /// `max_pool.grad dy, x`: to the first maximum in row-major order of each window.
    MaxPoolGrad(Pool),
    /// `avg_pool x`: padding counts.
    AvgPool(Pool),
    /// `avg_pool.grad dy`.
    AvgPoolGrad(Pool),

    // reduce.rs
    /// `sum x {over=…}`: the axes vanish.
    Sum(Vec<AxisName>),
    /// `mean x {over=…}`: the axes vanish.
    Mean(Vec<AxisName>),
    /// `cross_entropy logits, labels [, others, shares] {smoothing=…}`: mean over the batch and over time where logits
    /// have it, a scalar; logits `[B C]` or `[T B C]`, labels and others `i32[B]`, shares `f32[B]`. With smoothing ε the
    /// target is `(1 − ε)·onehot + ε/C`; with two labels the onehot is `share·label + (1 − share)·other`.
    CrossEntropy(f32),
    /// `cross_entropy.grad logits, labels [, others, shares]`: `(softmax − target)/(T·B)`.
    CrossEntropyGrad(f32),
    /// `penalty x {measure=…}`: the mean of the measure over all elements, a scalar.
    Penalty(Penalty),
    /// `penalty.grad x [, dy]`: the measure's derivative over the number of elements, times the scalar dy (1 without).
    PenaltyGrad(Penalty),

    // shape.rs
    /// `flatten x`: `[.. C H W]` to `[.. C]`, C outermost, whatever the storage order.
    Flatten,
    /// `unflatten x`: the result type gives the extents.
    Unflatten,
    /// `broadcast x`: repeats x along the time axis that the result has and x has not.
    Broadcast,
    /// `relayout x`: the same elements in the result type's order of axes (and tiles).
    Relayout,
    /// `pack x`: spikes (stored as 0.0 and 1.0) to bits.
    Pack,
    /// `unpack x`: bits to f32 0.0 and 1.0.
    Unpack,
    /// `piece x {from=…, steps=…}`: some successive timesteps.
    Piece(Piece),
    /// `join x, y, …`: the timesteps of all operands one after the other.
    Join,

    // attention.rs
    /// `attention q, k, v`: for each token the values of its group, weighted by how many bits its query and
    /// their keys share; q and k of the same axes, v too but for the number of its channels.
    Attention(Attention),
    /// `attention.grad dy, q, k, v -> dq, dk, dv`.
    AttentionGrad(Attention),
    /// `mask x, s`: x where s is set, 0 elsewhere; of two spikes their conjunction. An axis that s lacks is
    /// repeated, and the channels of s divide those of x: each stands for as many successive ones.
    Mask,
    /// `mask.not x, s`: x where s is not set.
    MaskNot,
    /// `channel_sum x {groups=…}`: the sum of each group of successive channels.
    ChannelSum(usize),
    /// `channel_spread x`: each channel repeated; the result type says how often.
    ChannelSpread,

    // pointwise.rs
    /// `add a, b`.
    Add,
    /// `scale x {by=…}`.
    Scale(f32),

    // control
    /// `scan t in T (slices) (carries)`: see `graph::RegionData`.
    Scan,
}
