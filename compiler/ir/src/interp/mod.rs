//! The reference evaluator: every operation at every stage by its equation, in f64, one element after the other.
//!
//! It is the oracle of all tests, so it prefers the plain loop to the quick one. Spikes, bits and counts are
//! numbers; bits stand unpacked as 0 and 1 and a tiled axis is just its axis, so a value has the same elements
//! at every stage but for the order of its axes. Attributes are f32 and enter as such.

mod attention;
mod conv;
mod neuron;
mod norm;
mod pool;
mod reduce;
mod shape;
mod view;

#[cfg(test)]
mod tests;

use crate::entity::{Inst, Region, Value};
use crate::graph::Graph;
use crate::op::{Lif, Op};
use crate::types::{AxisName, Type};
use crate::verify::verify;
use neuron::Neuron;
use std::collections::HashMap;
use std::rc::Rc;

/// Numbers in the order of axes of a value's type.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Tensor {
    /// The extents, outermost first; `Type::dims(batch)`.
    pub dims: Vec<usize>,
    /// The elements, the last axis fastest.
    pub data: Vec<f64>,
}

impl Tensor {
    /// A tensor of these extents; `data` has their product of elements.
    pub fn new(dims: Vec<usize>, data: Vec<f64>) -> Tensor {
        Tensor { dims, data }
    }

    /// Zeros of a type's extents.
    pub fn zeros(ty: &Type, batch: usize) -> Tensor {
        let dims = ty.dims(batch);
        let count = dims.iter().product();
        Tensor { dims, data: vec![0.0; count] }
    }
}

/// What a graph is run with.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Env {
    /// The extent of the batch axis.
    pub batch: usize,
    /// Parameters and inputs by name.
    pub values: HashMap<String, Tensor>,
    /// Whether a neuron fires the surrogate's primitive at `membrane − threshold` instead of 0 or 1. The
    /// network is then smooth, and its finite differences are what the gradients must be: those through the
    /// reset too, where a neuron does not detach it.
    pub smooth: bool,
}

/// Every value of the body, parameters and inputs included, by name.
///
/// The graph is verified first. Errors: the verifier's, a missing or misshapen parameter or input, a label
/// that is no class.
pub fn run(graph: &Graph, env: &Env) -> Result<HashMap<String, Tensor>, String> {
    verify(graph).map_err(|errors| errors.to_string())?;
    let mut machine = Machine { graph, env, data: vec![None; graph.value_count()] };
    for &value in graph.params.iter().chain(&graph.inputs) {
        let data = machine.given(value)?;
        machine.data[value.index()] = Some(Rc::new(data));
    }
    for &inst in &graph.body {
        match graph.inst(inst).region {
            Some(region) => machine.scan(inst, region)?,
            None => machine.instruction(inst)?,
        }
    }
    Ok(machine.results())
}

/// How far each membrane of a `lif` lies above its threshold, from its operands with their types: margins of
/// tests.
pub(crate) fn excess(op: &Op, lif: &Lif, args: &[(&Type, &[f64])], batch: usize) -> Vec<f64> {
    let args: Vec<Operand> = args.iter().map(|&(ty, data)| Operand { ty, data }).collect();
    neuron::excess(&Neuron::new(op, lif, &args, batch), args[0])
}

/// An operand: its type and its elements.
#[derive(Clone, Copy)]
struct Operand<'a> {
    ty: &'a Type,
    data: &'a [f64],
}

/// What operations need beside operands.
#[derive(Clone, Copy)]
struct Context {
    batch: usize,
    smooth: bool,
}

struct Machine<'a> {
    graph: &'a Graph,
    env: &'a Env,
    data: Vec<Option<Rc<Vec<f64>>>>,
}

impl Machine<'_> {
    /// The elements of a parameter or input.
    fn given(&self, value: Value) -> Result<Vec<f64>, String> {
        let (name, ty) = (self.graph.name(value), self.graph.ty(value));
        let tensor = self.env.values.get(name).ok_or_else(|| format!("%{name} is not given"))?;
        let dims = ty.dims(self.env.batch);
        if tensor.dims != dims || tensor.data.len() != dims.iter().product::<usize>() {
            return Err(format!("%{name} : {ty} needs the extents {dims:?}, has {:?}", tensor.dims));
        }
        Ok(tensor.data.clone())
    }

    /// The elements of a value; the verifier has seen that it is defined.
    fn get(&self, value: Value) -> Rc<Vec<f64>> {
        self.data[value.index()].clone().expect("operands precede users")
    }

    fn set(&mut self, value: Value, data: Vec<f64>) {
        self.data[value.index()] = Some(Rc::new(data));
    }

    fn instruction(&mut self, inst: Inst) -> Result<(), String> {
        let graph = self.graph;
        let inst = graph.inst(inst);
        let held: Vec<Rc<Vec<f64>>> = inst.args.iter().map(|&arg| self.get(arg)).collect();
        let args: Vec<Operand> =
            inst.args.iter().zip(&held).map(|(&arg, data)| Operand { ty: graph.ty(arg), data }).collect();
        let results: Vec<&Type> = inst.results.iter().map(|&result| graph.ty(result)).collect();
        let context = Context { batch: self.env.batch, smooth: self.env.smooth };
        let data = evaluate(&inst.op, &args, &results, context)?;
        for (&result, data) in inst.results.iter().zip(data) {
            self.set(result, data);
        }
        Ok(())
    }

    fn scan(&mut self, inst: Inst, region: Region) -> Result<(), String> {
        let graph = self.graph;
        let (inst, region) = (graph.inst(inst), graph.region(region));
        let (slices, carries) = region.args.split_at(region.slices());
        let whole: Vec<Rc<Vec<f64>>> = inst.args.iter().map(|&arg| self.get(arg)).collect();
        for (&carry, &init) in carries.iter().zip(&region.init) {
            let count: usize = graph.ty(carry).dims(self.env.batch).iter().product();
            self.set(carry, vec![f64::from(init); count]);
        }
        let mut stacked = vec![Vec::new(); region.yields.len()];
        for t in 0..region.steps {
            for (&slice, whole) in slices.iter().zip(&whole) {
                let length = whole.len() / region.steps;
                self.set(slice, whole[t * length..(t + 1) * length].to_vec());
            }
            for &inner in &region.body {
                self.instruction(inner)?;
            }
            for (stack, &value) in stacked.iter_mut().zip(&region.yields) {
                stack.extend_from_slice(&self.get(value));
            }
            // All next values are read before any is written: they may be carried values themselves.
            let next: Vec<_> = region.next.iter().map(|&value| self.get(value)).collect();
            for (&carry, data) in carries.iter().zip(next) {
                self.data[carry.index()] = Some(data);
            }
        }
        for (&result, data) in inst.results.iter().zip(stacked) {
            self.set(result, data);
        }
        Ok(())
    }

    /// The values that the body defines; those of regions are of no one timestep.
    fn results(self) -> HashMap<String, Tensor> {
        let graph = self.graph;
        let made = graph.body.iter().flat_map(|&inst| &graph.inst(inst).results);
        let all = graph.params.iter().chain(&graph.inputs).chain(made);
        all.map(|&value| {
            let dims = graph.ty(value).dims(self.env.batch);
            (graph.name(value).to_string(), Tensor { dims, data: self.get(value).to_vec() })
        })
        .collect()
    }
}

/// The results of one operation on operands that the verifier has accepted.
fn evaluate(op: &Op, args: &[Operand], results: &[&Type], context: Context) -> Result<Vec<Vec<f64>>, String> {
    let (Context { batch, smooth }, ty) = (context, results[0]);
    Ok(match op {
        Op::Conv2d(geometry) | Op::Conv2dMaskedAdd(geometry) => {
            vec![conv::forward(*geometry, args, ty, batch)]
        }
        Op::Conv2dGradInput(geometry) => vec![conv::grad_input(*geometry, args, ty, batch)],
        Op::Conv2dSampledGradInput(geometry) => vec![conv::sampled_grad_input(*geometry, args, ty, batch)],
        Op::Conv2dGradWeight(geometry) | Op::Conv2dMaskedGradWeight(geometry) => {
            vec![conv::grad_weight(*geometry, args, ty, batch)]
        }
        // A matrix product is a convolution of one position: axes that are not there have the extent 1.
        Op::Linear | Op::LinearMaskedAdd => vec![conv::forward(conv::POINT, args, ty, batch)],
        Op::LinearGradInput => vec![conv::grad_input(conv::POINT, args, ty, batch)],
        Op::LinearGradWeight | Op::LinearMaskedGradWeight => {
            vec![conv::grad_weight(conv::POINT, args, ty, batch)]
        }
        Op::BatchNorm(constants) => vec![norm::batch_norm(constants, args, batch)],
        Op::BnStats(constants) => norm::stats(constants, args, batch),
        Op::BnApply(constants) => vec![norm::apply(constants, args, batch)],
        Op::BnGradSums => norm::grad_sums(args, batch),
        Op::BnGradInput(constants, over) => vec![norm::grad_input(constants, *over, args, batch)],
        Op::FoldWeight(constants) => vec![norm::fold_weight(constants, args, batch)],
        Op::FoldBias(constants) => vec![norm::fold_bias(constants, args)],
        Op::StepScale => vec![norm::step_scale(args, batch)],
        Op::StepScaleGrad => vec![norm::step_scale_grad(args, batch)],
        Op::Lif(lif) => neuron::lif(&Neuron::new(op, lif, args, batch), args[0], smooth),
        Op::LifGrad(lif) => neuron::grad(&Neuron::new(op, lif, args, batch), args, smooth),
        Op::LifCharge(lif) => vec![neuron::charge(&Neuron::new(op, lif, args, batch), args)],
        Op::LifFire(lif) => vec![neuron::fire(&Neuron::new(op, lif, args, batch), args[0], smooth)],
        Op::LifWindow(lif) => vec![neuron::window(&Neuron::new(op, lif, args, batch), args[0])],
        Op::LifReset(lif) => vec![neuron::reset(&Neuron::new(op, lif, args, batch), args)],
        Op::NeuronConstant(form) => vec![neuron::constant(*form, args[0])],
        Op::NeuronConstantGrad(form) => vec![neuron::constant_grad(*form, args)],
        Op::MaxPool(window) => vec![pool::max(*window, args[0], ty, batch)],
        Op::MaxPoolGrad(window) => vec![pool::max_grad(*window, args, batch)],
        Op::AvgPool(window) => vec![pool::avg(*window, args[0], ty, batch)],
        Op::AvgPoolGrad(window) => vec![pool::avg_grad(*window, args[0], ty, batch)],
        Op::Sum(_) => vec![reduce::sum(args[0], ty, batch)],
        Op::Mean(_) => vec![reduce::mean(args[0], ty, batch)],
        Op::CrossEntropy(smoothing) => vec![vec![reduce::cross_entropy(*smoothing, args, batch)?]],
        Op::CrossEntropyGrad(smoothing) => vec![reduce::cross_entropy_grad(*smoothing, args, batch)?],
        Op::Penalty(measure) => vec![vec![reduce::penalty(*measure, args[0])]],
        Op::PenaltyGrad(measure) => vec![reduce::penalty_grad(*measure, args)],
        Op::Flatten => vec![shape::flatten(args[0], ty, batch)],
        Op::Unflatten => vec![shape::unflatten(args[0], ty, batch)],
        Op::Broadcast | Op::Relayout => vec![shape::rearrange(args[0], ty, batch)],
        Op::Pack | Op::Unpack => vec![args[0].data.to_vec()],
        Op::Piece(piece) => vec![shape::piece(*piece, args[0])],
        Op::Join => vec![args.iter().flat_map(|x| x.data).copied().collect()],
        Op::Attention(attributes) => vec![attention::forward(attributes, args, ty, batch)],
        Op::AttentionGrad(attributes) => attention::grad(attributes, args, batch),
        Op::Mask => vec![attention::mask(args, batch, |s| s)],
        Op::MaskNot => vec![attention::mask(args, batch, |s| 1.0 - s)],
        Op::ChannelSum(_) => vec![attention::channel_sum(args[0], ty, batch)],
        Op::ChannelSpread => vec![attention::channel_spread(args[0], ty, batch)],
        Op::Add => vec![zip(args, |a, b| a + b)],
        Op::Scale(by) => vec![args[0].data.iter().map(|&x| f64::from(*by) * x).collect()],
        Op::Scan => return Err("a scan stands in the body of a graph only".to_string()),
    })
}

fn zip(args: &[Operand], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    args[0].data.iter().zip(args[1].data).map(|(&a, &b)| f(a, b)).collect()
}

/// The extent of an axis, 1 when there is none.
fn extent(ty: &Type, name: AxisName, batch: usize) -> usize {
    ty.axis(name).map_or(1, |axis| axis.extent.unwrap_or(batch))
}
