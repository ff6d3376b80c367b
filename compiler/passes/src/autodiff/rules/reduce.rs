//! Reductions and the loss: a gradient is spread over the axes that vanished.

use super::super::{Step, Sweep};
use AxisName::{C, H, T, W};
use snnc_ir::{Axis, AxisName, InstData, Op, Penalty, Pool, Value};

/// The start of the sweep: the gradient of the loss for itself is 1. A loss is a weighted sum of terms, whose
/// weights are known here: each term's gradient is scaled once.
///
/// # Panics
///
/// When a term is neither a cross-entropy nor a penalty: the front end has no other.
pub fn loss(sweep: &mut Sweep, loss: &InstData) {
    let mut terms = vec![(loss.clone(), 1.0f32)];
    while let Some((data, weight)) = terms.pop() {
        let parts = match &data.op {
            Op::Add => data.args.iter().map(|&arg| (arg, weight)).collect(),
            Op::Scale(by) => vec![(data.args[0], weight * *by)],
            _a_term => Vec::new(),
        };
        if parts.is_empty() {
            term(sweep, &data, weight);
        }
        for (part, weight) in parts {
            let made = sweep.graph.def_inst(part).expect("a loss is made of operations");
            terms.push((sweep.graph.inst(made).clone(), weight));
        }
    }
}

fn term(sweep: &mut Sweep, data: &InstData, weight: f32) {
    if !sweep.wants(data.args[0]) {
        return;
    }
    let op = if let Op::CrossEntropy(smoothing) = data.op {
        Op::CrossEntropyGrad(smoothing)
    } else if let Op::Penalty(measure) = data.op {
        Op::PenaltyGrad(measure)
    } else {
        panic!("`{}` is no term of a loss", data.op.info().mnemonic)
    };
    let dx = sweep.emit(data.results[0], "dx", op, &data.args, None);
    let dx = sweep.scaled(data.results[0], "dx.weighted", dx, weight);
    sweep.give(data.args[0], dx);
}

/// A penalty whose value is used by another.
pub fn penalty(sweep: &mut Sweep, step: &Step, measure: Penalty) {
    let x = step.x();
    if sweep.wants(x) {
        let dx = sweep.emit(step.data.results[0], "dx", Op::PenaltyGrad(measure), &[x, step.dy], None);
        sweep.give(x, dx);
    }
}

/// The gradient of a product's bias: the sum of dy over all axes but the channels'.
pub fn give_bias(sweep: &mut Sweep, step: &Step) {
    let Some(&bias) = step.data.args.get(2) else { return };
    if sweep.wants(bias) {
        let axes = &sweep.graph.ty(step.dy).axes;
        let over = axes.iter().map(|axis| axis.name).filter(|&name| name != C).collect();
        let db = sweep.emit(step.data.results[0], "db", Op::Sum(over), &[step.dy], None);
        sweep.give(bias, db);
    }
}

pub fn sum(sweep: &mut Sweep, step: &Step, over: &[AxisName]) {
    let ty = sweep.grad_type(step.x());
    // A window's gradient is an average, so the sum over rows and columns takes it times their number.
    let by = if over.contains(&H) { ty.extent(H) * ty.extent(W) } else { 1 };
    spread(sweep, step, over, by as f32);
}

pub fn mean(sweep: &mut Sweep, step: &Step, over: &[AxisName]) {
    let steps = if over.contains(&T) { sweep.graph.ty(step.x()).extent(T) } else { 1 };
    spread(sweep, step, over, 1.0 / steps as f32);
}

/// Gives x `by·dy`, averaged over rows and columns if they vanished and repeated over time if that did.
///
/// # Panics
///
/// On a reduction over the batch, the channels, or one of rows and columns: the front end has none.
fn spread(sweep: &mut Sweep, step: &Step, over: &[AxisName], by: f32) {
    let (y, x) = (step.data.results[0], step.x());
    if !sweep.wants(x) {
        return;
    }
    let known = over.iter().all(|name| [T, H, W].contains(name)) && over.contains(&H) == over.contains(&W);
    assert!(known, "a reduction over {over:?} has no gradient rule");
    let mut grad = sweep.scaled(y, "dscale", step.dy, by);
    if over.contains(&H) {
        grad = spread_positions(sweep, step, grad);
    }
    if over.contains(&T) {
        let ty = sweep.grad_type(x);
        grad = sweep.emit(y, "dx", Op::Broadcast, &[grad], Some(&ty));
    }
    sweep.give(x, grad);
}

/// Features as a map of one position, and from there as the gradient of one window over the whole map.
fn spread_positions(sweep: &mut Sweep, step: &Step, grad: Value) -> Value {
    let y = step.data.results[0];
    let map = sweep.grad_type(step.x());
    let (rows, columns) = (map.extent(H), map.extent(W));
    let mut map = if sweep.graph.ty(grad).has(T) { map } else { map.without(T) };
    let mut point = map.clone();
    point.axes.retain(|axis| axis.name != H && axis.name != W);
    point.axes.extend([Axis::new(H, 1), Axis::new(W, 1)]);
    map.axes.retain(|axis| axis.name != H && axis.name != W);
    map.axes.extend([Axis::new(H, rows), Axis::new(W, columns)]);
    let at_point = sweep.emit(y, "dpoint", Op::Unflatten, &[grad], Some(&point));
    let pool = Pool { kernel: (rows, columns), stride: 1, pad: 0 };
    sweep.emit(y, "dmap", Op::AvgPoolGrad(pool), &[at_point], Some(&map))
}
