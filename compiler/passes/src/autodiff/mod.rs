//! `autodiff`: the gradient of the loss for every trained parameter, behind the forward pass.
//!
//! ```text
//! %lif : spike[T4 B C8] = lif %fc {… save=none}                         ; before
//! %lif, %lif.win : spike[T4 B C8], spike[T4 B C8] = lif %fc {… save=window}    ; after
//! …
//! %lif.dx : f32[T4 B C8]  = lif.grad %d, %lif, %lif.win {… save=window}
//! %fc.dw  : f32[Co8 Ci16] = linear.grad_weight %x, %lif.dx
//! grad %fc.weight = %fc.dw
//! ```
//!
//! Gains: training. Forward and backward stand in one graph, so what the forward pass saves is what lives
//! across, and each rule asks for the least: a rectangle's window bit where the membrane is not needed.
//! Needs and leaves: logical, training only; the loss is the last output.
//! Stops at: values that depend on no trained parameter, such as the image. A parameter that the loss does not
//! depend on gets no gradient.
//!
//! [`from_value`] is the same sweep begun at any value: what tests compare parts of networks with.

mod rules;

use crate::pass::{Pass, Run};
use snnc_ir::{Def, Graph, Inst, InstData, Mode, Op, Stage, Type, Value};
use std::collections::HashMap;

/// The pass.
pub const PASS: Pass = Pass {
    name: "autodiff",
    needs: Stage::Logical,
    leaves: Stage::Logical,
    optional: false,
    run: Run::Always(run),
};

fn run(graph: &mut Graph) {
    if graph.mode == Mode::Infer {
        return;
    }
    let Some(&loss) = graph.outputs.last() else { return };
    let mut sweep = Sweep::new(graph, &[]);
    sweep.begin_at_loss(loss);
    sweep.finish(&[]);
}

/// Appends the gradients of `sum(from · gradient)` for every trained parameter and for `inputs`, and lists them in
/// `graph.grads`: the sweep of the pass, begun at a value with a given gradient instead of at the loss.
///
/// `from` is an activation; `gradient` is real, of the axes of `from`, and often a further input. It counts as a
/// constant: a parameter that it depends on gets nothing through it.
///
/// - Invariant: an input or parameter that `from` does not depend on gets no gradient, and what else uses `from`
///   adds none.
/// - Invariant: outputs and updates stay as they are; results of the forward part only gain what gradients save.
///
/// # Panics
///
/// When the graph is not a logical one for training without gradients, `from` is no activation, `gradient` has
/// other axes or is not real, or one of `inputs` is no input.
pub fn from_value(graph: &mut Graph, from: Value, gradient: Value, inputs: &[Value]) {
    assert_eq!(
        (graph.stage, graph.mode),
        (Stage::Logical, Mode::Train),
        "needs a logical graph for training"
    );
    assert!(graph.grads.is_empty(), "the graph has gradients");
    assert!(graph.ty(from).is_batched(), "only an activation has a gradient of its own");
    assert!(inputs.iter().all(|input| graph.inputs.contains(input)), "gradients are of inputs of the graph");
    let mut sweep = Sweep::new(graph, inputs);
    assert_eq!(*sweep.graph.ty(gradient), sweep.grad_type(from), "a gradient has the axes of its value");
    sweep.give(from, gradient);
    sweep.finish(inputs);
}

/// For each value, whether it depends on a trained parameter or on one of `inputs`.
fn dependent(graph: &Graph, inputs: &[Value]) -> Vec<bool> {
    let mut depends = vec![false; graph.value_count()];
    for &param in &graph.params {
        depends[param.index()] = matches!(graph.value(param).def, Def::Param(kind) if kind.is_trained());
    }
    inputs.iter().for_each(|input| depends[input.index()] = true);
    for &inst in &graph.body {
        let data = graph.inst(inst);
        let any = data.args.iter().any(|arg| depends[arg.index()]);
        data.results.iter().for_each(|result| depends[result.index()] = any);
    }
    depends
}

/// The reverse sweep: what the rules read and write.
struct Sweep<'a> {
    graph: &'a mut Graph,
    wanted: Vec<bool>,
    /// The instructions to go through, from last to first.
    forward: Vec<Inst>,
    /// The gradients that a value's users gave it so far.
    parts: HashMap<Value, Vec<Value>>,
}

/// A forward instruction and the gradient of its first result.
struct Step {
    inst: Inst,
    data: InstData,
    dy: Value,
}

impl Step {
    fn x(&self) -> Value {
        self.data.args[0]
    }
}

impl<'a> Sweep<'a> {
    /// A sweep of everything that stands in the graph now, for its trained parameters and `inputs`.
    fn new(graph: &'a mut Graph, inputs: &[Value]) -> Sweep<'a> {
        let (wanted, forward) = (dependent(graph, inputs), graph.body.clone());
        Sweep { graph, wanted, forward, parts: HashMap::new() }
    }

    /// Gives the operands of the loss's terms their gradients.
    fn begin_at_loss(&mut self, loss: Value) {
        if let Some(made) = self.graph.def_inst(loss).filter(|_| self.wants(loss)) {
            rules::reduce::loss(self, &self.graph.inst(made).clone());
        }
    }

    /// Goes back to parameters and `inputs`, and lists what each was given.
    fn finish(mut self, inputs: &[Value]) {
        // Users come after operands, so a value's gradient is complete when its maker is reached.
        for inst in std::mem::take(&mut self.forward).into_iter().rev() {
            self.visit(inst);
        }
        for of in self.graph.params.iter().chain(inputs).copied().collect::<Vec<Value>>() {
            if let Some(grad) = self.total(of) {
                self.graph.grads.push((of, grad));
            }
        }
    }

    fn visit(&mut self, inst: Inst) {
        let data = self.graph.inst(inst).clone();
        if let Some(dy) = self.total(data.results[0]) {
            rules::apply(self, &Step { inst, data, dy });
        }
    }

    /// Whether the gradient of a value is needed.
    fn wants(&self, value: Value) -> bool {
        self.wanted[value.index()]
    }

    /// Adds to a value's gradient.
    fn give(&mut self, value: Value, grad: Value) {
        if self.wants(value) {
            self.parts.entry(value).or_default().push(grad);
        }
    }

    /// The sum of what the users gave; none when the loss does not depend on the value.
    fn total(&mut self, value: Value) -> Option<Value> {
        let parts = self.parts.remove(&value)?;
        let name = format!("{}.d", self.graph.name(value));
        parts.into_iter().reduce(|sum, part| self.graph.emit(&name, Op::Add, &[sum, part], None))
    }

    /// Appends an instruction named after a forward value: `%stem.conv.dw`.
    fn emit(&mut self, of: Value, suffix: &str, op: Op, args: &[Value], hint: Option<&Type>) -> Value {
        let name = format!("{}.{suffix}", self.graph.name(of));
        self.graph.emit(&name, op, args, hint)
    }

    /// `value · by`.
    fn scaled(&mut self, of: Value, suffix: &str, value: Value, by: f32) -> Value {
        if by == 1.0 { value } else { self.emit(of, suffix, Op::Scale(by), &[value], None) }
    }

    /// The type of a value, real-valued: that of its gradient.
    fn grad_type(&self, value: Value) -> Type {
        self.graph.ty(value).with_elem(snnc_ir::Elem::F32)
    }
}
