//! Values for a graph: small dyadic numbers, so that sums are exact in f32 in any order.
//!
//! Where a graph leaves that lattice (batch statistics, means over odd counts), no membrane may come close
//! to its threshold or to an edge of its surrogate: other values are drawn until none does.

use super::Rng;
use crate::entity::{Inst, Value};
use crate::graph::{Def, Graph, ParamKind};
use crate::interp::{Env, Tensor, run};
use crate::op::{Lif, Op};
use crate::types::{AxisName, Elem, Type};
use std::collections::HashMap;

/// How near a membrane may come to where f32 and f64 may differ in kind.
const MARGIN: f64 = 2e-5;
/// On this lattice sums of a small network are exact in f32.
const LATTICE: f64 = 131_072.0;
const ATTEMPTS: u64 = 64;

/// Parameters and inputs of a graph by name, for a batch of this size, from a seed.
///
/// The rule above is kept for graphs with whole neurons (`Logical`, `Masked`). If no draw keeps it, the last
/// is returned.
pub fn values(graph: &Graph, seed: u64, batch: usize) -> HashMap<String, Tensor> {
    let last = seed.wrapping_mul(ATTEMPTS).wrapping_add(ATTEMPTS - 1);
    robust(graph, seed, batch, element).unwrap_or_else(|| draw(graph, last, batch, element))
}

/// Values as training leaves them instead of a lattice, for networks whose norms leave the lattice anyway: nothing where
/// no draw keeps membranes clear of thresholds and edges.
pub fn real_values(graph: &Graph, seed: u64, batch: usize) -> Option<HashMap<String, Tensor>> {
    robust(graph, seed, batch, real_element)
}

/// How a number of a value is drawn: what the value is, its type, and the classes of the loss.
type Draw = fn(&mut Rng, Def, &Type, usize) -> f64;

fn robust(graph: &Graph, seed: u64, batch: usize, element: Draw) -> Option<HashMap<String, Tensor>> {
    let mut env = Env { batch, values: HashMap::new(), smooth: false };
    for attempt in 0..ATTEMPTS {
        env.values = draw(graph, seed.wrapping_mul(ATTEMPTS).wrapping_add(attempt), batch, element);
        if clear_of_thresholds(graph, &env) {
            return Some(env.values);
        }
    }
    None
}

fn draw(graph: &Graph, seed: u64, batch: usize, element: Draw) -> HashMap<String, Tensor> {
    let mut rng = Rng(seed);
    let classes = classes(graph);
    let given = graph.params.iter().chain(&graph.inputs);
    given
        .map(|&value| {
            let ty = graph.ty(value);
            let mut tensor = Tensor::zeros(ty, batch);
            for x in &mut tensor.data {
                *x = element(&mut rng, graph.value(value).def, ty, classes);
            }
            (graph.name(value).to_string(), tensor)
        })
        .collect()
}

fn element(rng: &mut Rng, def: Def, ty: &Type, classes: usize) -> f64 {
    // A fraction with this denominator, between −limit and limit.
    let mut fraction =
        |limit: usize, denominator: f64| (rng.below(2 * limit + 1) as f64 - limit as f64) / denominator;
    match def {
        Def::Param(ParamKind::Weight) => fraction(6, 8.0),
        Def::Param(ParamKind::Bias | ParamKind::Shift) => fraction(3, 4.0),
        Def::Param(ParamKind::Gain) => fraction(1, 2.0) + 1.0,
        // Constants from 0.29 to 0.88 in the sigmoid form, from 0.35 to 2.1 in the softplus form.
        Def::Param(ParamKind::Neuron) => fraction(11, 8.0) + 0.5,
        Def::Param(ParamKind::RunningMean) => fraction(2, 4.0),
        // With an eps of ¼ the deviation is 1 or 2.
        Def::Param(ParamKind::RunningVar) => rng.pick(&[0.75, 0.75, 3.75]),
        Def::Input | Def::Result(..) | Def::Arg(..) => match ty.elem {
            // The shares of labels.
            Elem::F32 if ty.axes.len() == 1 => rng.below(5) as f64 / 4.0,
            Elem::F32 => fraction(6, 4.0),
            Elem::I32 => rng.below(classes) as f64,
            Elem::Spike | Elem::Bits => f64::from(u8::from(rng.chance(35))),
        },
    }
}

fn real_element(rng: &mut Rng, def: Def, ty: &Type, classes: usize) -> f64 {
    // An f32 between −1 and 1.
    let mut unit = || f64::from((rng.next() >> 40) as f32 / 8_388_608.0 - 1.0);
    match def {
        Def::Param(ParamKind::Weight) => {
            let fan_in: usize = ty.axes.iter().skip(1).filter_map(|axis| axis.extent).product();
            // Twice the deviation that keeps a sum's: half of what enters are not spikes.
            f64::from((unit() * (12.0 / fan_in as f64).sqrt()) as f32)
        }
        Def::Param(ParamKind::Bias | ParamKind::Shift | ParamKind::RunningMean) => unit() / 2.0,
        Def::Param(ParamKind::Gain) => f64::from(1.0 + unit() as f32 / 2.0),
        Def::Param(ParamKind::Neuron) => f64::from(0.5 + unit() as f32),
        Def::Param(ParamKind::RunningVar) => f64::from(1.0 + unit() as f32 / 2.0),
        Def::Input | Def::Result(..) | Def::Arg(..) => match ty.elem {
            Elem::F32 if ty.axes.len() == 1 => unit().abs(),
            Elem::F32 => 2.0 * unit(),
            Elem::I32 => rng.below(classes) as f64,
            Elem::Spike | Elem::Bits => f64::from(u8::from(rng.chance(35))),
        },
    }
}

/// The classes of the loss's logits.
fn classes(graph: &Graph) -> usize {
    let losses = graph.body.iter().filter(|&&inst| matches!(graph.inst(inst).op, Op::CrossEntropy(_)));
    losses.map(|&inst| graph.ty(graph.inst(inst).args[0]).extent(AxisName::C)).next().unwrap_or(1)
}

/// Whether no membrane of whole neurons is so near its threshold, or an edge of its surrogate, that f32 and f64 could
/// differ in kind.
pub fn clear_of_thresholds(graph: &Graph, env: &Env) -> bool {
    let Ok(values) = run(graph, env) else { return true };
    graph.body.iter().all(|&inst| {
        let Op::Lif(lif) = &graph.inst(inst).op else { return true };
        neuron_is_robust(graph, inst, lif, &values, env.batch)
    })
}

fn neuron_is_robust(
    graph: &Graph,
    inst: Inst,
    lif: &Lif,
    values: &HashMap<String, Tensor>,
    batch: usize,
) -> bool {
    let data = graph.inst(inst);
    let operand = |&arg: &Value| (graph.ty(arg), values[graph.name(arg)].data.as_slice());
    let args: Vec<(&Type, &[f64])> = data.args.iter().map(operand).collect();
    let edge = f64::from(lif.surrogate.edge());
    // Learned constants are not on the lattice; nor is what batch statistics scale, though single elements may be.
    let exact = args.len() == 1 && args[0].1.iter().all(|&x| is_exact(x));
    crate::interp::excess(&data.op, lif, &args, batch).into_iter().all(|u| {
        let clear = u.abs() > MARGIN && (u.abs() - edge).abs() > MARGIN;
        clear || (exact && is_exact(u))
    })
}

fn is_exact(x: f64) -> bool {
    (x * LATTICE).fract() == 0.0 && x.abs() < 64.0
}
