//! Batch norms: the operand and vectors per channel.

use super::{channel_vector, expect_axes, expect_channel_vector, expect_real, extent};
use crate::types::{Axis, AxisName, Elem, Type};

/// Checks that all of `vectors` are per channel of `x`; gives the channels.
fn channels_of(x: &Type, vectors: &[&Type], names: &[&str]) -> Result<usize, String> {
    let channels = extent(x, AxisName::C, "input")?;
    for (vector, name) in vectors.iter().zip(names) {
        expect_channel_vector(vector, channels, name)?;
    }
    Ok(channels)
}

/// `batch_norm` and `bn.apply`: four vectors, the order of which does not matter to the types.
pub fn affine(args: &[&Type]) -> Result<Type, String> {
    let names = ["its first vector", "its second vector", "its third vector", "its fourth vector"];
    channels_of(args[0], &args[1..], &names)?;
    Ok(args[0].with_elem(Elem::F32))
}

pub fn stats(args: &[&Type]) -> Result<Vec<Type>, String> {
    let channels = channels_of(args[0], &args[1..], &["mean", "variance"])?;
    Ok(vec![channel_vector(channels); 4])
}

pub fn grad_sums(args: &[&Type]) -> Result<Vec<Type>, String> {
    expect_real(args[0], "gradient")?;
    expect_axes(args[0], args[1], "gradient")?;
    let channels = channels_of(args[1], &args[2..], &["mu", "rstd"])?;
    Ok(vec![channel_vector(channels); 2])
}

pub fn grad_input(args: &[&Type]) -> Result<Type, String> {
    expect_real(args[0], "gradient")?;
    expect_axes(args[0], args[1], "gradient")?;
    channels_of(args[1], &args[2..], &["mu", "rstd", "gain", "sum_dy", "sum_dy_xhat"])?;
    Ok(args[0].clone())
}

pub fn fold_weight(args: &[&Type]) -> Result<Type, String> {
    expect_real(args[0], "weight")?;
    let channels = extent(args[0], AxisName::Co, "weight")?;
    expect_channel_vector(args[1], channels, "gain")?;
    expect_channel_vector(args[2], channels, "variance")?;
    Ok(args[0].clone())
}

pub fn fold_bias(args: &[&Type]) -> Result<Type, String> {
    let channels = channels_of(args[0], args, &["gain", "bias", "mean", "variance", "the product's bias"])?;
    Ok(channel_vector(channels))
}

/// One number per timestep of `x`; inside a scan, where x has lost its time axis, the one of the timestep.
pub fn step_scale(args: &[&Type]) -> Result<Type, String> {
    let steps: Vec<Axis> = args[0].axis(AxisName::T).into_iter().collect();
    expect_axes(args[1], &Type::f32(steps), "scale")?;
    expect_real(args[1], "scale")?;
    Ok(args[0].with_elem(Elem::F32))
}

pub fn step_scale_grad(args: &[&Type]) -> Result<Type, String> {
    expect_real(args[0], "gradient")?;
    expect_axes(args[0], args[1], "gradient")?;
    let steps = extent(args[0], AxisName::T, "gradient")?;
    Ok(Type::f32(vec![Axis::new(AxisName::T, steps)]))
}
