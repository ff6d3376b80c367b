//! Reductions and the loss.

use super::conv::zeros;
use super::view::offsets;
use super::{Operand, extent};
use crate::op::Penalty;
use crate::types::{AxisName, Type};

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

/// The softmax of a row of logits, and what it should be.
type Compared = (Vec<f64>, Vec<f64>);

fn softmax(smoothing: f32, args: &[Operand], batch: usize) -> Result<Vec<Compared>, String> {
    let (logits, labels) = (args[0].data, args[1].data);
    let steps = extent(args[0].ty, AxisName::T, batch);
    let classes = logits.len() / (batch * steps).max(1);
    let smoothing = f64::from(smoothing);
    let mut rows = Vec::new();
    for (row, sample) in logits.chunks(classes.max(1)).zip((0..labels.len()).cycle()) {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let exps: Vec<f64> = row.iter().map(|x| (x - largest).exp()).collect();
        let total: f64 = exps.iter().sum();
        let mut target = vec![smoothing / classes as f64; classes];
        let pairs = match args.get(2).zip(args.get(3)) {
            Some((others, shares)) => {
                let share = shares.data[sample];
                vec![(labels[sample], share), (others.data[sample], 1.0 - share)]
            }
            None => vec![(labels[sample], 1.0)],
        };
        for (label, share) in pairs {
            let class = label as usize;
            if class as f64 != label || class >= classes {
                return Err(format!("the label {label} is none of {classes} classes"));
            }
            target[class] += (1.0 - smoothing) * share;
        }
        rows.push((exps.into_iter().map(|x| x / total).collect(), target));
    }
    Ok(rows)
}

pub fn cross_entropy(smoothing: f32, args: &[Operand], batch: usize) -> Result<f64, String> {
    let rows = softmax(smoothing, args, batch)?;
    let count = rows.len() as f64;
    let part = |(p, target): Compared| p.iter().zip(target).map(|(p, y)| -y * p.ln()).sum::<f64>();
    Ok(rows.into_iter().map(part).sum::<f64>() / count)
}

pub fn cross_entropy_grad(smoothing: f32, args: &[Operand], batch: usize) -> Result<Vec<f64>, String> {
    let rows = softmax(smoothing, args, batch)?;
    let count = rows.len() as f64;
    let grad =
        |(p, target): Compared| p.into_iter().zip(target).map(|(p, y)| (p - y) / count).collect::<Vec<f64>>();
    Ok(rows.into_iter().flat_map(grad).collect())
}

pub fn penalty(measure: Penalty, x: Operand) -> f64 {
    let of = |&x: &f64| match measure {
        Penalty::Mean => x,
        Penalty::Square(at) => (x - f64::from(at)).powi(2),
        Penalty::Above(at) => (x - f64::from(at)).max(0.0).powi(2),
        Penalty::Below(at) => (f64::from(at) - x).max(0.0).powi(2),
    };
    x.data.iter().map(of).sum::<f64>() / x.data.len() as f64
}

pub fn penalty_grad(measure: Penalty, args: &[Operand]) -> Vec<f64> {
    let slope = |x: f64| match measure {
        Penalty::Mean => 1.0,
        Penalty::Square(at) => 2.0 * (x - f64::from(at)),
        Penalty::Above(at) => 2.0 * (x - f64::from(at)).max(0.0),
        Penalty::Below(at) => -2.0 * (f64::from(at) - x).max(0.0),
    };
    let dy = args.get(1).map_or(1.0, |dy| dy.data[0]);
    let share = dy / args[0].data.len() as f64;
    args[0].data.iter().map(|&x| slope(x) * share).collect()
}
