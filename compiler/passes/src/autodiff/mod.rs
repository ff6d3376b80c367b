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

mod rules;

use crate::pass::Pass;
use snnc_ir::{Def, Graph, Inst, InstData, Mode, Op, Stage, Type, Value};
use std::collections::HashMap;

/// The pass.
pub const PASS: Pass =
    Pass { name: "autodiff", needs: Stage::Logical, leaves: Stage::Logical, optional: false, run };

fn run(graph: &mut Graph) {
    if graph.mode == Mode::Infer {
        return;
    }
    let Some(&loss) = graph.outputs.last() else { return };
    let forward = graph.body.clone();
    let wanted = dependent(graph);
    let mut sweep = Sweep { graph, wanted, loss, parts: HashMap::new() };
    // Users come after operands, so a value's gradient is complete when its maker is reached.
    for &inst in forward.iter().rev() {
        sweep.visit(inst);
    }
    for param in sweep.graph.params.clone() {
        if let Some(grad) = sweep.total(param) {
            sweep.graph.grads.push((param, grad));
        }
    }
}

/// For each value, whether it depends on a trained parameter.
fn dependent(graph: &Graph) -> Vec<bool> {
    let mut depends = vec![false; graph.value_count()];
    for &param in &graph.params {
        depends[param.index()] = matches!(graph.value(param).def, Def::Param(kind) if kind.is_trained());
    }
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
    loss: Value,
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

impl Sweep<'_> {
    fn visit(&mut self, inst: Inst) {
        let data = self.graph.inst(inst).clone();
        let result = data.results[0];
        if !self.wanted[result.index()] {
            return;
        }
        if result == self.loss {
            rules::reduce::loss(self, &data);
        } else if let Some(dy) = self.total(result) {
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
