//! What a training step needs of its weights, only while it needs it.
//!
//! ```text
//! %w.add = relayout %w      before     all weights laid out, then forward, then backward, then all gradients
//! %y = masked_add %x, %w.add      after      laid out, read;  …  laid out again, read, the gradient, update %w;  …
//! ```
//!
//! A weight is laid out twice where both parts read it, which costs as much as reading it. Invariant: an update stands
//! behind the last step that reads its parameter or writes its gradient.

use super::{LowerError, Lowering};
use snnc_ir::{Graph, Inst, Value};
use snnc_plan::{ParamSpec, Step};
use std::collections::HashMap;

/// What is made of parameters alone.
#[derive(Default)]
pub(crate) struct Late {
    makers: HashMap<Value, Inst>,
    /// The section that a value was made in last.
    made: HashMap<Value, usize>,
}

impl Late {
    /// The results of these instructions.
    pub fn of(graph: &Graph, insts: &[Inst]) -> Late {
        let results =
            |inst: &Inst| graph.inst(*inst).results.iter().map(|&value| (value, *inst)).collect::<Vec<_>>();
        Late { makers: insts.iter().flat_map(results).collect(), made: HashMap::new() }
    }
}

impl Lowering<'_> {
    /// Makes what an instruction reads of parameters alone, once a section.
    pub fn make_read(&mut self, inst: Inst) -> Result<(), LowerError> {
        let graph = self.graph;
        let inner = graph.inst(inst).region.map(|region| graph.region(region).body.clone());
        for reader in inner.unwrap_or_default().into_iter().chain([inst]) {
            graph.inst(reader).args.iter().try_for_each(|&arg| self.make(arg))?;
        }
        Ok(())
    }

    /// Makes what is a result of the graph.
    pub fn make_results(&mut self) -> Result<(), LowerError> {
        let graph = self.graph;
        graph.grads.iter().chain(&graph.updates).try_for_each(|&(_, value)| self.make(value))
    }

    fn make(&mut self, value: Value) -> Result<(), LowerError> {
        let Some(&maker) = self.late.makers.get(&value) else { return Ok(()) };
        if self.late.made.get(&value) == Some(&self.section) {
            return Ok(());
        }
        self.make_read(maker)?;
        let section = self.section;
        self.late.made.extend(self.graph.inst(maker).results.iter().map(|&result| (result, section)));
        self.lower_inst(maker)
    }
}

/// Puts the update of each trained parameter behind the steps that read it or write its gradient.
pub(super) fn hand_over(params: &[ParamSpec], backward: &mut Vec<Step>) {
    let last = |id| backward.iter().rposition(|step| step.touches().contains(&id)).map_or(0, |at| at + 1);
    let update = |(param, spec): (usize, &ParamSpec)| {
        let (values, grad) = (spec.buffer, spec.grad?);
        Some((last(values).max(last(grad)), Step::Update { param, values, grad }))
    };
    let mut updates: Vec<(usize, Step)> = params.iter().enumerate().filter_map(update).collect();
    updates.sort_by_key(|&(at, _)| at);
    for (at, step) in updates.into_iter().rev() {
        backward.insert(at, step);
    }
}
