//! Convolutions and matrix products.

use super::{
    expect_axes, expect_channel_vector, expect_real, extent, need_hint, window_positions, with_extent,
};
use crate::op::Conv;
use crate::types::{Axis, AxisName, Elem, Type};
use AxisName::{C, Ci, Co, H, Kh, Kw, W};

/// Output channels, input channels, rows and columns of a convolution's weight in any order of axes.
fn weight_extents(weight: &Type) -> Result<[usize; 4], String> {
    expect_real(weight, "weight")?;
    if weight.axes.len() != 4 {
        return Err(format!("needs the axes Co, Ci, Kh, Kw in its weight, has {weight}"));
    }
    let at = |name| extent(weight, name, "weight");
    Ok([at(Co)?, at(Ci)?, at(Kh)?, at(Kw)?])
}

/// Checks x's channels, gives `x` with the output's extents.
fn output(conv: Conv, x: &Type, [co, ci, kh, kw]: [usize; 4]) -> Result<Type, String> {
    let channels = extent(x, C, "input")?;
    if channels != ci {
        return Err(format!("needs equal channels in input and weight, has {channels} and {ci}"));
    }
    let rows = window_positions(extent(x, H, "input")?, kh, conv.stride, conv.pad)?;
    let columns = window_positions(extent(x, W, "input")?, kw, conv.stride, conv.pad)?;
    let y = with_extent(&with_extent(&with_extent(x, C, co), H, rows), W, columns);
    Ok(y.with_elem(Elem::F32))
}

pub fn conv(conv: Conv, args: &[&Type]) -> Result<Type, String> {
    let weight = weight_extents(args[1])?;
    if let Some(bias) = args.get(2) {
        expect_channel_vector(bias, weight[0], "bias")?;
    }
    output(conv, args[0], weight)
}

pub fn grad_input(conv: Conv, args: &[&Type], hint: Option<&Type>) -> Result<Type, String> {
    let (dy, hint) = (args[0], need_hint(hint)?);
    expect_real(dy, "gradient")?;
    let weight = weight_extents(args[1])?;
    let rows = extent(hint, H, "result")?;
    let columns = extent(hint, W, "result")?;
    let dx = with_extent(&with_extent(&with_extent(dy, C, weight[1]), H, rows), W, columns);
    expect_axes(dy, &output(conv, &dx, weight)?, "gradient")?;
    Ok(dx)
}

/// The window has the input's axes.
pub fn sampled_grad_input(conv: Conv, args: &[&Type]) -> Result<Type, String> {
    let (dy, window) = (args[0], args[2]);
    expect_real(dy, "gradient")?;
    expect_axes(dy, &output(conv, window, weight_extents(args[1])?)?, "gradient")?;
    Ok(window.with_elem(Elem::F32))
}

pub fn grad_weight(conv: Conv, args: &[&Type], hint: Option<&Type>) -> Result<Type, String> {
    let (x, dy, hint) = (args[0], args[1], need_hint(hint)?);
    expect_real(dy, "gradient")?;
    let (co, ci) = (extent(dy, C, "gradient")?, extent(x, C, "input")?);
    let (kh, kw) = (extent(hint, Kh, "result")?, extent(hint, Kw, "result")?);
    expect_axes(dy, &output(conv, x, [co, ci, kh, kw])?, "gradient")?;
    Ok(Type::f32(vec![Axis::new(Co, co), Axis::new(Ci, ci), Axis::new(Kh, kh), Axis::new(Kw, kw)]))
}

/// Output and input features of a matrix product's weight.
fn matrix_extents(weight: &Type) -> Result<[usize; 2], String> {
    expect_real(weight, "weight")?;
    if weight.axes.len() != 2 {
        return Err(format!("needs the axes Co, Ci in its weight, has {weight}"));
    }
    Ok([extent(weight, Co, "weight")?, extent(weight, Ci, "weight")?])
}

fn features(x: &Type, what: &str) -> Result<usize, String> {
    if x.has(H) || x.has(W) {
        return Err(format!("needs features without H and W in its {what}, has {x}"));
    }
    extent(x, C, what)
}

pub fn linear(args: &[&Type]) -> Result<Type, String> {
    let (x, [co, ci]) = (args[0], matrix_extents(args[1])?);
    if let Some(bias) = args.get(2) {
        expect_channel_vector(bias, co, "bias")?;
    }
    let channels = features(x, "input")?;
    if channels != ci {
        return Err(format!("needs equal channels in input and weight, has {channels} and {ci}"));
    }
    Ok(with_extent(x, C, co).with_elem(Elem::F32))
}

pub fn linear_grad_input(args: &[&Type]) -> Result<Type, String> {
    let (dy, [co, ci]) = (args[0], matrix_extents(args[1])?);
    expect_real(dy, "gradient")?;
    let channels = features(dy, "gradient")?;
    if channels != co {
        return Err(format!("needs equal channels in gradient and weight, has {channels} and {co}"));
    }
    Ok(with_extent(dy, C, ci))
}

pub fn linear_grad_weight(args: &[&Type]) -> Result<Type, String> {
    let (x, dy) = (args[0], args[1]);
    expect_real(dy, "gradient")?;
    let (ci, co) = (features(x, "input")?, features(dy, "gradient")?);
    expect_axes(dy, &with_extent(x, C, co), "gradient")?;
    Ok(Type::f32(vec![Axis::new(Co, co), Axis::new(Ci, ci)]))
}
