//! `checkpoint`: the backward pass computes a sum of spikes, or of few inputs, again instead of keeping it.
//!
//! ```text
//! %y  : f32[T4 B C64 H16 W16] = conv2d.masked_add %s, %w {…}      ; forward: bn.stats and bn.apply read %y
//! …                                                               ; before: %y lives until here
//! %y.again : f32[T4 B C64 H16 W16] = conv2d.masked_add %s, %w {…} ; after: %y dies in the forward pass
//! %sums, … = bn.grad_sums %d, %y.again, …
//! ```
//!
//! Gains: memory that hardly grows with time. What is left of a neuron between forward and backward are two
//! bits a timestep, not the 32 of the current that the norm's gradient reads. The operands are bits, or an image's few
//! channels, that the weight's gradient keeps alive anyway. Costs: one more product a layer.
//! A norm's result that the gradient of a scale per timestep reads is computed again in the same way, and so are the membranes
//! that the gradient of a smooth surrogate reads, where their current is.
//! Values that are named are left alone: who plans the memory knows which may live on without raising its peak.
//! Needs: masked, after the last cse, which would undo it. Leaves: masked. Stops at: dense products of more than
//! [`FEW`] inputs, and values that the backward pass does not read.

use crate::pass::{Pass, Run};
use snnc_ir::{AxisName, Graph, Inst, Op, Save, Stage, Type, Value};
use std::collections::{BTreeSet, HashMap};

/// What the name of a copy ends with.
const AGAIN: &str = ".again";

/// The most inputs of an output of a dense product that costs no more than a masked addition of a usual layer: 1152 inputs
/// of which 15 % are set are as many. A kernel of 7 by 7 has 147 in an image of three channels.
pub const FEW: usize = 160;

/// The pass.
pub const PASS: Pass = Pass {
    name: "checkpoint",
    needs: Stage::Masked,
    leaves: Stage::Masked,
    optional: true,
    run: Run::Except(run),
};

/// A value that the backward part computes again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recomputed {
    /// Its name in the forward part.
    pub name: String,
    /// The name of its copy.
    pub copy: String,
    /// Bytes of a sample.
    pub bytes: usize,
    /// Additions of a sample if every spike were set.
    pub work: u64,
    /// What it is.
    pub what: Recomputes,
}

/// Kinds of what the backward part computes again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recomputes {
    /// A sum of spikes or of few inputs, or an affine map of one.
    Sum,
    /// A neuron's membranes.
    Membrane,
    /// A gradient that two loops over time read ([`crate::slice_time`]).
    Gradient,
}

fn run(graph: &mut Graph, kept: &BTreeSet<String>) {
    let Some(loss) = graph.outputs.last().and_then(|&loss| graph.def_inst(loss)) else { return };
    let Some(at) = graph.body.iter().position(|&inst| inst == loss) else { return };
    let backward = graph.body.split_off(at + 1);
    let mut checkpoint = Checkpoint { cheap: HashMap::new(), again: HashMap::new() };
    for &inst in &graph.body {
        let data = graph.inst(inst);
        let Some(n) = cheap_result(graph, inst) else { continue };
        // A current that is not computed again would live on instead of its membranes.
        let follows = matches!(data.op, Op::Lif(_) | Op::Broadcast);
        let pays = !follows || checkpoint.cheap.contains_key(&data.args[0]);
        if pays && !kept.contains(graph.name(data.results[n])) {
            checkpoint.cheap.insert(data.results[n], (inst, n));
        }
    }
    for inst in backward {
        let args = graph.inst(inst).args.clone();
        graph.inst_mut(inst).args = checkpoint.read_again(graph, args);
        graph.body.push(inst);
    }
}

/// What the pass computes again in a graph that it has run on, in the order of the backward part: no gradient is one of
/// the operations that it copies.
pub fn recomputed(graph: &Graph) -> Vec<Recomputed> {
    let loss = graph.outputs.last().and_then(|&loss| graph.def_inst(loss));
    let after = graph.body.iter().skip_while(|&&inst| Some(inst) != loss);
    after.copied().filter_map(|inst| copied(graph, inst)).collect()
}

fn copied(graph: &Graph, inst: Inst) -> Option<Recomputed> {
    let data = graph.inst(inst);
    let result = data.results[cheap_result(graph, inst)?];
    let (copy, elements) = (graph.name(result), graph.ty(result).elements_per_sample());
    let (inputs, what) = match &data.op {
        // A product adds a row of its weight for each input of each output.
        Op::Conv2d(_) | Op::Conv2dMaskedAdd(_) | Op::LinearMaskedAdd => {
            (inputs_of_output(graph, data.args[1]), Recomputes::Sum)
        }
        // The norm before it is computed again too: where one of the two is kept, it has to be the membranes.
        Op::Lif(_) => (2, Recomputes::Membrane),
        _affine => (1, Recomputes::Sum),
    };
    let name = copy.strip_suffix(AGAIN)?.to_string();
    let work = elements as u64 * inputs as u64;
    Some(Recomputed { name, copy: copy.to_string(), bytes: elements * 4, work, what })
}

/// How many inputs each output of a weight has.
fn inputs_of_output(graph: &Graph, weight: Value) -> usize {
    let weight = graph.ty(weight);
    weight.elements_per_sample() / weight.extent(AxisName::Co).max(1)
}

/// Which result of an instruction is cheap: a sum of rows where a spike is set, or of few inputs, an affine map of such sums, or
/// membranes.
fn cheap_result(graph: &Graph, inst: Inst) -> Option<usize> {
    let data = graph.inst(inst);
    match data.op {
        Op::Conv2dMaskedAdd(_) | Op::LinearMaskedAdd | Op::BnApply(_) | Op::Broadcast => Some(0),
        Op::Conv2d(_) => (inputs_of_output(graph, data.args[1]) <= FEW).then_some(0),
        Op::Lif(lif) => (lif.save == Save::Membrane).then_some(1),
        _ => None,
    }
}

struct Checkpoint {
    /// Results of the forward pass that are cheap, with their makers and which of its results each is.
    cheap: HashMap<Value, (Inst, usize)>,
    /// Their copies in the backward pass.
    again: HashMap<Value, Value>,
}

impl Checkpoint {
    /// Operands of the backward pass with the cheap ones replaced by copies at the end of the body.
    fn read_again(&mut self, graph: &mut Graph, args: Vec<Value>) -> Vec<Value> {
        args.into_iter().map(|arg| self.compute_again(graph, arg)).collect()
    }

    fn compute_again(&mut self, graph: &mut Graph, value: Value) -> Value {
        if let Some(&copy) = self.again.get(&value) {
            return copy;
        }
        let Some(&(maker, n)) = self.cheap.get(&value) else { return value };
        let data = graph.inst(maker).clone();
        let args = self.read_again(graph, data.args);
        let copies: Vec<(String, Type)> = data
            .results
            .iter()
            .map(|&result| (format!("{}{AGAIN}", graph.name(result)), graph.ty(result).clone()))
            .collect();
        let named: Vec<(&str, Type)> = copies.iter().map(|(name, ty)| (name.as_str(), ty.clone())).collect();
        let copy = graph.push_many(data.op, &args, &named)[n];
        self.again.insert(value, copy);
        copy
    }
}
