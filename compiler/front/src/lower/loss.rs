//! The loss in the tensor IR: a sum of scaled scalars.
//!
//! ```text
//! %loss.rate.lif : f32[B C64] = mean %lif {over=[T]}
//! %loss.part     : f32[]      = cross_entropy %logits, %labels
//! %loss.term     : f32[]      = penalty %loss.rate.lif {measure=mean}
//! %loss.part.2   : f32[]      = scale %loss.term {by=1e-4}
//! %loss          : f32[]      = add %loss.part, %loss.part.2
//! ```

use super::Lowering;
use crate::model::{Layer, LossTerm, Model, RateForm};
use crate::shape::Kind;
use snnc_ir::{AxisName, Op, Penalty, Value};
use std::collections::HashSet;

/// A scalar of the loss, its operation not yet made, and what it is multiplied by.
type Weighted = (Op, Vec<Value>, f64);

impl Lowering<'_> {
    /// The loss of the model's recipe; `logits` are those of the result, the mean over time. `labels` are one value, or
    /// with second labels and shares three.
    pub(super) fn loss(&mut self, logits: Value, labels: &[Value]) -> Value {
        let mut parts: Vec<Weighted> = Vec::new();
        for (weight, term) in self.model.recipe.loss.terms.clone() {
            let made = match term {
                LossTerm::CrossEntropy { smoothing } => {
                    vec![(Op::CrossEntropy(smoothing as f32), [&[logits], labels].concat(), 1.0)]
                }
                LossTerm::Tet { lambda, target, smoothing } => {
                    self.tet(logits, labels, lambda, target as f32, smoothing as f32)
                }
                LossTerm::SpikeRate(form) => self.spike_rates(form),
                LossTerm::SynapticOperations => self.synaptic_operations(),
            };
            parts.extend(made.into_iter().map(|(op, args, by)| (op, args, by * weight)));
        }
        if parts.iter().any(|part| part.2 != 0.0) {
            parts.retain(|part| part.2 != 0.0);
        }
        self.weighted_sum(parts)
    }

    /// The sum; its last operation makes the value `loss`.
    fn weighted_sum(&mut self, mut parts: Vec<Weighted>) -> Value {
        let Some((op, args, by)) = parts.pop() else { unreachable!("a loss has a term that compares") };
        let mut sum: Option<Value> = None;
        for (op, args, by) in parts {
            let part = self.weighted("loss.part", op, &args, by);
            sum = Some(match sum {
                Some(sum) => self.scalar("loss.sum", Op::Add, &[sum, part]),
                None => part,
            });
        }
        match sum {
            Some(sum) => {
                let last = self.weighted("loss.part", op, &args, by);
                self.scalar("loss", Op::Add, &[sum, last])
            }
            None => self.weighted("loss", op, &args, by),
        }
    }

    /// A scalar times its weight, under this name.
    fn weighted(&mut self, name: &str, op: Op, args: &[Value], by: f64) -> Value {
        if by == 1.0 {
            return self.scalar(name, op, args);
        }
        let term = self.scalar("loss.term", op, args);
        self.scalar(name, Op::Scale(by as f32), &[term])
    }

    fn scalar(&mut self, name: &str, op: Op, args: &[Value]) -> Value {
        self.graph.emit(name, op, args, None)
    }

    /// `(1 − λ)·mean_t CE(o_t) + λ·mean (o − φ)²`, with the logits of each timestep.
    fn tet(
        &mut self,
        logits: Value,
        labels: &[Value],
        lambda: f64,
        target: f32,
        smoothing: f32,
    ) -> Vec<Weighted> {
        let each = match self.model.nodes.last().and_then(|node| node.inputs.first()) {
            Some(&input) => self.values[input],
            None => logits,
        };
        vec![
            (Op::CrossEntropy(smoothing), [&[each], labels].concat(), 1.0 - lambda),
            (Op::Penalty(Penalty::Square(target)), vec![each], lambda),
        ]
    }

    /// The firing rate of each neuron of a layer: its mean over time.
    fn rate(&mut self, node: usize) -> Value {
        let name = format!("loss.rate.{}", self.model.nodes[node].path);
        // Terms that ask for it again make an equal instruction, which `cse` removes.
        self.graph.emit(&name, Op::Mean(vec![AxisName::T]), &[self.values[node]], None)
    }

    fn spike_rates(&mut self, form: RateForm) -> Vec<Weighted> {
        let mut parts = Vec::new();
        for node in neurons(self.model) {
            let rate = self.rate(node);
            parts.push(match form {
                RateForm::Mean => (Op::Penalty(Penalty::Mean), vec![rate], 1.0),
                RateForm::Square => (Op::Penalty(Penalty::Square(0.0)), vec![rate], 0.5),
                RateForm::Above(bound) => (Op::Penalty(Penalty::Above(bound as f32)), vec![rate], 1.0),
                RateForm::Below(bound) => (Op::Penalty(Penalty::Below(bound as f32)), vec![rate], 1.0),
                RateForm::Target(target) => {
                    let mean = self.scalar("loss.mean", Op::Penalty(Penalty::Mean), &[rate]);
                    (Op::Penalty(Penalty::Square(target as f32)), vec![mean], 1.0)
                }
            });
        }
        parts
    }

    /// Firing rates weighted by the multiply-adds that read the spikes: the part of all synaptic operations that
    /// is done, `Σ_l fanout_l·Σs / Σ_l fanout_l·n_l·T·B`.
    fn synaptic_operations(&mut self) -> Vec<Weighted> {
        let macs = fed_macs(self.model);
        let total = macs.iter().fold(0u64, |sum, &macs| sum.saturating_add(macs));
        let mut parts = Vec::new();
        for node in neurons(self.model).filter(|&node| macs[node] > 0) {
            let rate = self.rate(node);
            parts.push((Op::Penalty(Penalty::Mean), vec![rate], macs[node] as f64 / total as f64));
        }
        parts
    }
}

/// The layers of neurons.
fn neurons(model: &Model) -> impl Iterator<Item = usize> + use<'_> {
    model.nodes.iter().enumerate().filter(|(_, n)| matches!(n.layer, Layer::Neuron(_))).map(|(at, _)| at)
}

/// For each layer of neurons the multiply-adds of all products that read its spikes, directly or through layers
/// that keep spikes or counts; 0 for other layers.
fn fed_macs(model: &Model) -> Vec<u64> {
    let mut macs = vec![0u64; model.nodes.len()];
    for node in &model.nodes {
        let cost = model.macs_of(node);
        let (mut open, mut seen) = (node.inputs.clone(), HashSet::new());
        while let Some(at) = open.pop() {
            let source = &model.nodes[at];
            if cost == 0 || source.output.kind == Kind::Real || !seen.insert(at) {
                continue;
            }
            match source.layer {
                Layer::Neuron(_) => macs[at] = macs[at].saturating_add(cost),
                _ if model.macs_of(source) == 0 => open.extend(&source.inputs),
                _ => {}
            }
        }
    }
    macs
}
