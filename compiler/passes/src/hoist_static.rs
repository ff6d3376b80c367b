//! `hoist-static`: what is the same at every timestep is computed once.
//!
//! ```text
//! %x.t  : f32[T4 B C3 H32 W32]  = broadcast %x                       ; before
//! %conv : f32[T4 B C64 H32 W32] = conv2d %x.t, %w {…}
//! %conv : f32[B C64 H32 W32]    = conv2d %x, %w {…}                  ; after
//! %conv.all : f32[T4 B C64 H32 W32] = broadcast %conv
//! ```
//!
//! Gains: the first convolution of a static image, its norm and their gradients cost 1/T.
//! Needs and leaves: logical, before autodiff. Moves `broadcast` down past every operation that looks at each
//! timestep alone, and into `bn.stats`, whose `repeat` then counts the timesteps.
//! Stops at: neurons, reductions over time, and operands that do change in time.

use crate::pass::{Pass, Run};
use snnc_ir::{AxisName, Graph, Inst, InstData, Op, Stage, TimeClass, Value};
use std::collections::HashMap;

/// The pass.
pub const PASS: Pass = Pass {
    name: "hoist-static",
    needs: Stage::Logical,
    leaves: Stage::Logical,
    optional: true,
    run: Run::Always(run),
};

fn run(graph: &mut Graph) {
    let mut hoist = Hoist::default();
    for inst in std::mem::take(&mut graph.body) {
        hoist.visit(graph, inst);
    }
    hoist.finish(graph);
    graph.body = hoist.body;
}

#[derive(Default)]
struct Hoist {
    /// Values that users see with time: the value without time that they repeat.
    still: HashMap<Value, Value>,
    /// Results that lost their time axis: the timesteps they stood for.
    steps: HashMap<Value, usize>,
    /// Broadcasts of those, made where a user needs time after all.
    spread: HashMap<Value, Value>,
    body: Vec<Inst>,
}

impl Hoist {
    fn visit(&mut self, graph: &mut Graph, inst: Inst) {
        let data = graph.inst(inst).clone();
        if data.op == Op::Broadcast {
            self.still.insert(data.results[0], data.args[0]);
        } else if let Some(steps) = self.movable(graph, &data) {
            self.hoist(graph, inst, data, steps);
        } else {
            let args: Vec<Value> = data.args.iter().map(|&arg| self.with_time(graph, arg)).collect();
            graph.inst_mut(inst).args = args;
        }
        self.body.push(inst);
    }

    /// The timesteps, when all operands that have time repeat one value and the operation may do without.
    fn movable(&self, graph: &Graph, data: &InstData) -> Option<usize> {
        let per_step = data.op.info().time == TimeClass::Each && graph.ty(data.results[0]).has(AxisName::T);
        if !per_step && !matches!(data.op, Op::BnStats(_)) {
            return None;
        }
        let timed = |arg: &&Value| graph.ty(**arg).has(AxisName::T) || self.steps.contains_key(arg);
        let timed: Vec<Value> = data.args.iter().filter(timed).copied().collect();
        let first = *timed.first()?;
        let repeats = timed.iter().all(|arg| self.still.contains_key(arg));
        repeats.then(|| self.steps.get(&first).copied().unwrap_or(graph.ty(first).extent(AxisName::T)))
    }

    fn hoist(&mut self, graph: &mut Graph, inst: Inst, data: InstData, steps: usize) {
        let args: Vec<Value> =
            data.args.iter().map(|arg| self.still.get(arg).copied().unwrap_or(*arg)).collect();
        graph.inst_mut(inst).args = args;
        if let Op::BnStats(stats) = &mut graph.inst_mut(inst).op {
            stats.repeat *= steps;
            return;
        }
        for result in data.results {
            let ty = graph.ty(result).without(AxisName::T);
            graph.set_type(result, ty);
            self.still.insert(result, result);
            self.steps.insert(result, steps);
        }
    }

    /// The value with its time axis.
    fn with_time(&mut self, graph: &mut Graph, value: Value) -> Value {
        let Some(&steps) = self.steps.get(&value) else { return value };
        if let Some(&spread) = self.spread.get(&value) {
            return spread;
        }
        let ty = graph.ty(value).with_time(steps);
        let name = format!("{}.all", graph.name(value));
        let inst = graph.make_inst(Op::Broadcast, &[value], &[(&name, ty)]);
        self.body.push(inst);
        let spread = graph.inst(inst).results[0];
        self.spread.insert(value, spread);
        spread
    }

    /// Outputs keep their types.
    fn finish(&mut self, graph: &mut Graph) {
        let outputs = graph.outputs.clone();
        graph.outputs = outputs.into_iter().map(|value| self.with_time(graph, value)).collect();
    }
}
