//! Result types of every operation, from its operands.
//!
//! ```text
//! conv2d f32[T4 B C64 H16 W16], f32[Co128 Ci64 Kh3 Kw3] {stride=1 pad=1}   gives   f32[T4 B C128 H16 W16]
//! conv2d f32[T4 B H16 W16 C64], f32[Co128 Kh3 Kw3 Ci64] {stride=1 pad=1}   gives   f32[T4 B H16 W16 C128]
//! ```
//!
//! Axes are found by name, so every storage order is accepted; a result keeps the order of the operand it
//! comes from. Element kinds are inferred as narrowly as the operands allow: a maximum of spikes is a spike,
//! a sum of spikes is a count. [`accepts`] says which declared type may stand for an inferred one.

mod attention;
mod conv;
mod neuron;
mod norm;
mod pool;
mod reduce;
mod shape;

use crate::op::Op;
use crate::types::{Axis, AxisName, Elem, Type};

/// The result types of `op` on operands of these types.
///
/// `hint` is the declared type of the first result. It is needed where the operands leave extents open
/// (`conv2d.grad_input`, `conv2d.grad_weight`, `avg_pool.grad`, `unflatten`, `broadcast`, `relayout`,
/// `channel_spread`) and ignored elsewhere. The error names the operand that does not fit; a scan's results are those of its
/// region, so asking for them is an error too.
pub fn result_types(op: &Op, args: &[&Type], hint: Option<&Type>) -> Result<Vec<Type>, String> {
    let info = op.info();
    let (least, most) = info.operands;
    if args.len() < least || args.len() > most {
        return Err(format!("takes {}, has {}", count_text(least, most, "operand"), args.len()));
    }
    if info.binary && !args[0].elem.is_binary() {
        return Err(format!("needs spikes as its first operand, has {}", args[0]));
    }
    infer(op, args, hint)
}

fn infer(op: &Op, args: &[&Type], hint: Option<&Type>) -> Result<Vec<Type>, String> {
    match op {
        Op::Conv2d(geometry) | Op::Conv2dMaskedAdd(geometry) => one(conv::conv(*geometry, args)),
        Op::Conv2dGradInput(geometry) => one(conv::grad_input(*geometry, args, hint)),
        Op::Conv2dSampledGradInput(geometry) => one(conv::sampled_grad_input(*geometry, args)),
        Op::Conv2dGradWeight(geometry) | Op::Conv2dMaskedGradWeight(geometry) => {
            one(conv::grad_weight(*geometry, args, hint))
        }
        Op::Linear | Op::LinearMaskedAdd => one(conv::linear(args)),
        Op::LinearGradInput => one(conv::linear_grad_input(args)),
        Op::LinearGradWeight | Op::LinearMaskedGradWeight => one(conv::linear_grad_weight(args)),
        Op::BatchNorm(_) | Op::BnApply(_) => one(norm::affine(args)),
        Op::BnStats(_) => norm::stats(args),
        Op::BnGradSums => norm::grad_sums(args),
        Op::BnGradInput(..) => one(norm::grad_input(args)),
        Op::FoldWeight(_) => one(norm::fold_weight(args)),
        Op::FoldBias(_) => one(norm::fold_bias(args)),
        Op::StepScale => one(norm::step_scale(args)),
        Op::StepScaleGrad => one(norm::step_scale_grad(args)),
        Op::Lif(_)
        | Op::LifGrad(_)
        | Op::LifCharge(_)
        | Op::LifFire(_)
        | Op::LifWindow(_)
        | Op::LifReset(_) => neuron::infer(op, args),
        Op::NeuronConstant(_) | Op::NeuronConstantGrad(_) => one(neuron::constant(args)),
        Op::MaxPool(window) => one(pool::max(*window, args)),
        Op::MaxPoolGrad(window) => one(pool::max_grad(*window, args)),
        Op::AvgPool(window) => one(pool::avg(*window, args)),
        Op::AvgPoolGrad(window) => one(pool::avg_grad(*window, args, hint)),
        Op::Sum(over) => one(reduce::sum(over, args)),
        Op::Mean(over) => one(reduce::mean(over, args)),
        Op::CrossEntropy(_) => one(reduce::cross_entropy(args)),
        Op::CrossEntropyGrad(_) => one(reduce::cross_entropy_grad(args)),
        Op::Penalty(_) => one(reduce::penalty(args)),
        Op::PenaltyGrad(_) => one(reduce::penalty_grad(args)),
        Op::Flatten => one(shape::flatten(args)),
        Op::Unflatten => one(shape::unflatten(args, hint)),
        Op::Broadcast => one(shape::broadcast(args, hint)),
        Op::Relayout => one(shape::relayout(args, hint)),
        Op::Pack => one(shape::pack(args)),
        Op::Unpack => one(shape::unpack(args)),
        Op::Piece(piece) => one(shape::piece(*piece, args)),
        Op::Join => one(shape::join(args)),
        Op::Attention(attributes) => one(attention::attention(attributes, args)),
        Op::AttentionGrad(attributes) => attention::grad(attributes, args),
        Op::Mask | Op::MaskNot => one(attention::mask(args)),
        Op::ChannelSum(groups) => one(attention::channel_sum(*groups, args)),
        Op::ChannelSpread => one(attention::channel_spread(args, hint)),
        Op::Add => one(reduce::add(args)),
        Op::Scale(_) => Ok(vec![args[0].with_elem(Elem::F32)]),
        Op::Scan => Err("the results of a scan are those that its region yields".to_string()),
    }
}

/// Whether a value may be declared as `declared` when `inferred` is what its operation gives: the same axes,
/// and a kind of element that is as wide or wider (`spike` and `bits` < `i32` < `f32`). Bits need the
/// channels innermost. `pack` and `unpack` say the storage itself, so there the kind must be equal.
pub fn accepts(op: &Op, inferred: &Type, declared: &Type) -> bool {
    let says_storage = matches!(op, Op::Pack | Op::Unpack);
    let elem_fits = if says_storage {
        inferred.elem == declared.elem
    } else {
        width(inferred.elem) <= width(declared.elem)
    };
    elem_fits && inferred.axes == declared.axes && (declared.elem != Elem::Bits || channels_last(declared))
}

fn width(elem: Elem) -> u8 {
    match elem {
        Elem::Spike | Elem::Bits => 0,
        Elem::I32 => 1,
        Elem::F32 => 2,
    }
}

/// Whether the innermost axis is the channels'.
pub fn channels_last(ty: &Type) -> bool {
    ty.axes.last().is_some_and(|axis| axis.name == AxisName::C)
}

/// `2 operands`, `2 to 3 operands`, `at least 1 operand`.
pub(crate) fn count_text(least: usize, most: usize, what: &str) -> String {
    let plural = if most == 1 { "" } else { "s" };
    if least == most {
        format!("{least} {what}{plural}")
    } else if most == usize::MAX {
        format!("at least {least} {what}{plural}")
    } else {
        format!("{least} to {most} {what}s")
    }
}

fn one(result: Result<Type, String>) -> Result<Vec<Type>, String> {
    result.map(|ty| vec![ty])
}

/// The extent of an axis that must be there and have one.
fn extent(ty: &Type, name: AxisName, what: &str) -> Result<usize, String> {
    match ty.axis(name).and_then(|axis| axis.extent) {
        Some(extent) => Ok(extent),
        None => Err(format!("needs the axis {name} in its {what}, has {ty}")),
    }
}

/// The type with another extent for one axis.
fn with_extent(ty: &Type, name: AxisName, extent: usize) -> Type {
    let mut ty = ty.clone();
    ty.axes.iter_mut().filter(|axis| axis.name == name).for_each(|axis| axis.extent = Some(extent));
    ty
}

/// A vector per channel: `f32[C128]`.
fn channel_vector(channels: usize) -> Type {
    Type::f32(vec![Axis::new(AxisName::C, channels)])
}

fn expect_channel_vector(ty: &Type, channels: usize, what: &str) -> Result<(), String> {
    let expected = channel_vector(channels);
    if *ty == expected {
        return Ok(());
    }
    Err(format!("needs {expected} as {what}, has {ty}"))
}

/// Two operands that must agree axis by axis, in one order.
fn expect_axes(ty: &Type, like: &Type, what: &str) -> Result<(), String> {
    if ty.axes == like.axes {
        return Ok(());
    }
    Err(format!("needs the axes of {like} in its {what}, has {ty}"))
}

fn expect_real(ty: &Type, what: &str) -> Result<(), String> {
    if ty.elem == Elem::F32 {
        return Ok(());
    }
    Err(format!("needs f32 in its {what}, has {ty}"))
}

fn need_hint(hint: Option<&Type>) -> Result<&Type, String> {
    hint.ok_or_else(|| "needs a declared result type: its operands leave the extents open".to_string())
}

/// Positions of a window sliding over `extent` cells: `(extent + 2·pad − kernel)/stride + 1`.
pub fn window_positions(extent: usize, kernel: usize, stride: usize, pad: usize) -> Result<usize, String> {
    if stride == 0 || kernel == 0 {
        return Err("needs a kernel and a stride of at least 1".to_string());
    }
    match (extent + 2 * pad).checked_sub(kernel) {
        Some(free) => Ok(free / stride + 1),
        None => Err(format!("a kernel of {kernel} does not fit into {extent} with pad {pad}")),
    }
}
