//! Batch norms. `xhat = (x − mu)·rstd`; vectors are per channel.

use super::view::offsets;
use super::{Operand, extent};
use crate::op::{Norm, Stats};
use crate::types::AxisName;

/// The channel of each element of `x`; `vector` is any vector per channel.
fn channels(x: Operand, vector: Operand, batch: usize) -> Vec<usize> {
    offsets(x.ty, vector.ty, batch)
}

/// `(x − mean)·rstd·gain·scale + bias` for vectors in this order.
fn affine(norm: &Norm, x: Operand, vectors: [&[f64]; 4], channels: &[usize]) -> Vec<f64> {
    let [mean, rstd, gain, bias] = vectors;
    let scale = f64::from(norm.scale);
    x.data.iter().zip(channels).map(|(&x, &c)| gain[c] * scale * (x - mean[c]) * rstd[c] + bias[c]).collect()
}

fn rstd(var: &[f64], eps: f32) -> Vec<f64> {
    var.iter().map(|var| 1.0 / (var + f64::from(eps)).sqrt()).collect()
}

pub fn batch_norm(norm: &Norm, args: &[Operand], batch: usize) -> Vec<f64> {
    let [x, gain, bias, mean, var] = [0, 1, 2, 3, 4].map(|n| args[n]);
    let rstd = rstd(var.data, norm.eps);
    affine(norm, x, [mean.data, &rstd, gain.data, bias.data], &channels(x, gain, batch))
}

pub fn apply(norm: &Norm, args: &[Operand], batch: usize) -> Vec<f64> {
    let [x, mu, rstd, gain, bias] = [0, 1, 2, 3, 4].map(|n| args[n]);
    affine(norm, x, [mu.data, rstd.data, gain.data, bias.data], &channels(x, gain, batch))
}

/// Sums per channel of `f` at each element and its channel.
fn sums(channels: &[usize], count: usize, f: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let mut sums = vec![0.0; count];
    for (at, &c) in channels.iter().enumerate() {
        sums[c] += f(at, c);
    }
    sums
}

/// Elements per channel.
fn population(x: Operand, batch: usize) -> f64 {
    (x.data.len() / extent(x.ty, AxisName::C, batch)) as f64
}

pub fn stats(stats: &Stats, args: &[Operand], batch: usize) -> Vec<Vec<f64>> {
    let [x, mean, var] = [args[0], args[1], args[2]];
    let channels = channels(x, mean, batch);
    let count = population(x, batch);
    let per_channel = |f: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
        sums(&channels, mean.data.len(), f).into_iter().map(|sum| sum / count).collect()
    };
    let mu = per_channel(&|at, _| x.data[at]);
    let batch_var = per_channel(&|at, c| (x.data[at] - mu[c]).powi(2));
    // The running variance is unbiased; a single sample has no variance to correct.
    let n = count * stats.repeat as f64;
    let unbiased = if n > 1.0 { n / (n - 1.0) } else { 1.0 };
    let momentum = f64::from(stats.momentum);
    let running = |old: &[f64], new: &[f64], factor: f64| -> Vec<f64> {
        old.iter().zip(new).map(|(old, new)| (1.0 - momentum) * old + momentum * factor * new).collect()
    };
    let (next_mean, next_var) = (running(mean.data, &mu, 1.0), running(var.data, &batch_var, unbiased));
    vec![mu, rstd(&batch_var, stats.eps), next_mean, next_var]
}

pub fn grad_sums(args: &[Operand], batch: usize) -> Vec<Vec<f64>> {
    let [dy, x, mu, rstd] = [0, 1, 2, 3].map(|n| args[n]);
    let channels = channels(x, mu, batch);
    let xhat = |at: usize, c: usize| (x.data[at] - mu.data[c]) * rstd.data[c];
    vec![
        sums(&channels, mu.data.len(), |at, _| dy.data[at]),
        sums(&channels, mu.data.len(), |at, c| dy.data[at] * xhat(at, c)),
    ]
}

/// `dx = gain·scale·rstd·(dy − sum_dy/n − xhat·sum_dy_xhat/n)`.
pub fn grad_input(norm: &Norm, over: usize, args: &[Operand], batch: usize) -> Vec<f64> {
    let [dy, x, mu, rstd, gain, sum_dy, sum_dy_xhat] = [0, 1, 2, 3, 4, 5, 6].map(|n| args[n]);
    let (own, scale) = (extent(x.ty, AxisName::T, batch), f64::from(norm.scale));
    let n = population(x, batch) * if over == 0 { 1.0 } else { over as f64 / own as f64 };
    let channels = channels(x, mu, batch);
    channels
        .iter()
        .enumerate()
        .map(|(at, &c)| {
            let xhat = (x.data[at] - mu.data[c]) * rstd.data[c];
            let centred = dy.data[at] - sum_dy.data[c] / n - xhat * sum_dy_xhat.data[c] / n;
            gain.data[c] * scale * rstd.data[c] * centred
        })
        .collect()
}

pub fn fold_weight(norm: &Norm, args: &[Operand], batch: usize) -> Vec<f64> {
    let [w, gain, var] = [args[0], args[1], args[2]];
    let rstd = rstd(var.data, norm.eps);
    // The position of each element's output channel: offsets into the weight's own Co axis alone.
    let axis = w.ty.axis(AxisName::Co).expect("the verifier has seen Co");
    let outputs = crate::types::Type::f32(vec![axis]);
    let channels = offsets(w.ty, &outputs, batch);
    w.data.iter().zip(channels).map(|(&w, c)| w * gain.data[c] * f64::from(norm.scale) * rstd[c]).collect()
}

pub fn fold_bias(norm: &Norm, args: &[Operand]) -> Vec<f64> {
    let [gain, bias, mean, var] = [0, 1, 2, 3].map(|n| args[n].data);
    let rstd = rstd(var, norm.eps);
    let product_bias = |c: usize| args.get(4).map_or(0.0, |b| b.data[c]);
    (0..gain.len())
        .map(|c| (product_bias(c) - mean[c]) * gain[c] * f64::from(norm.scale) * rstd[c] + bias[c])
        .collect()
}

/// The timestep of each element; `steps` has one number per timestep.
fn timesteps(x: Operand, steps: Operand, batch: usize) -> Vec<usize> {
    offsets(x.ty, steps.ty, batch)
}

pub fn step_scale(args: &[Operand], batch: usize) -> Vec<f64> {
    let (x, p) = (args[0], args[1]);
    x.data.iter().zip(timesteps(x, p, batch)).map(|(&x, t)| p.data[t] * x).collect()
}

pub fn step_scale_grad(args: &[Operand], batch: usize) -> Vec<f64> {
    let (dy, x) = (args[0], args[1]);
    let steps = extent(x.ty, AxisName::T, batch);
    let per_step = x.data.len() / steps;
    sums(&(0..x.data.len()).map(|at| at / per_step).collect::<Vec<_>>(), steps, |at, _| {
        dy.data[at] * x.data[at]
    })
}
