//! Reductions and the loss.

use super::Operand;
use super::conv::zeros;
use super::view::offsets;
use crate::types::Type;

pub fn sum(x: Operand, ty: &Type, batch: usize) -> Vec<f64> {
    let mut sums = zeros(ty, batch);
    for (&x, at) in x.data.iter().zip(offsets(x.ty, ty, batch)) {
        sums[at] += x;
    }
    sums
}

pub fn mean(x: Operand, ty: &Type, batch: usize) -> Vec<f64> {
    let sums = sum(x, ty, batch);
    let count = (x.data.len() / sums.len().max(1)) as f64;
    sums.into_iter().map(|sum| sum / count).collect()
}

/// The softmax of each sample, and the class it should be.
fn softmax(args: &[Operand], batch: usize) -> Result<Vec<(Vec<f64>, usize)>, String> {
    let (logits, labels) = (args[0].data, args[1].data);
    let classes = logits.len() / batch.max(1);
    let mut samples = Vec::new();
    for (row, &label) in logits.chunks(classes.max(1)).zip(labels) {
        let class = label as usize;
        if class as f64 != label || class >= classes {
            return Err(format!("the label {label} is none of {classes} classes"));
        }
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let exps: Vec<f64> = row.iter().map(|x| (x - largest).exp()).collect();
        let total: f64 = exps.iter().sum();
        samples.push((exps.into_iter().map(|x| x / total).collect(), class));
    }
    Ok(samples)
}

pub fn cross_entropy(args: &[Operand], batch: usize) -> Result<f64, String> {
    let samples = softmax(args, batch)?;
    Ok(samples.iter().map(|(p, class)| -p[*class].ln()).sum::<f64>() / batch as f64)
}

pub fn cross_entropy_grad(args: &[Operand], batch: usize) -> Result<Vec<f64>, String> {
    let mut grad = Vec::with_capacity(args[0].data.len());
    for (p, class) in softmax(args, batch)? {
        let onehot = |c: usize| f64::from(u8::from(c == class));
        grad.extend(p.iter().enumerate().map(|(c, p)| (p - onehot(c)) / batch as f64));
    }
    Ok(grad)
}
