//! Which operand an element-wise instruction may write its result over: one that nobody reads afterwards.
//!
//! ```text
//! %dx : f32[T4 B H8 W8 C64] = bn.grad_input %dy, %y, …      ; the last reader of %y: %dx takes its buffer
//! ```
//!
//! Each row is read before the same row is written, so one buffer serves both. The kernel then has one slot for the two
//! (written, and read too), so that no load is taken for one of memory that does not change.

use super::Lowering;
use snnc_ir::{Def, Elem, Graph, Inst, Value};
use snnc_plan::BufferId;
use std::collections::HashMap;

/// Where values are read for the last time: twice the positions in the body, so that there is room between them.
pub(crate) struct Uses {
    last: HashMap<Value, usize>,
    at: HashMap<Inst, usize>,
}

impl Uses {
    /// Of a graph; where values are tapped, each is read to the end.
    pub fn of(graph: &Graph, taps: bool) -> Uses {
        let (mut last, mut at) = (HashMap::new(), HashMap::new());
        for (n, &inst) in graph.body.iter().enumerate() {
            let n = 2 * n;
            at.insert(inst, n);
            let inner = graph.inst(inst).region.map(|region| graph.region(region).body.clone());
            for reader in inner.unwrap_or_default().into_iter().chain([inst]) {
                last.extend(graph.inst(reader).args.iter().map(|&arg| (arg, n)));
            }
        }
        let results = graph.grads.iter().chain(&graph.updates).map(|(_, value)| *value);
        let kept = results.chain(graph.outputs.iter().copied());
        let kept: Vec<Value> = if taps { last.keys().copied().chain(kept).collect() } else { kept.collect() };
        last.extend(kept.into_iter().map(|value| (value, usize::MAX)));
        Uses { last, at }
    }

    /// An instruction stands just before another now.
    pub fn put_before(&mut self, graph: &Graph, inst: Inst, reader: Inst) {
        let Some(now) = self.at.get(&reader).map(|reader| reader - 1) else { return };
        self.at.insert(inst, now);
        for &arg in &graph.inst(inst).args {
            self.last.entry(arg).and_modify(|last| *last = now.max(*last));
        }
    }
}

impl Lowering<'_> {
    /// Whether the first result of an instruction may take the buffer of an operand.
    pub fn may_overwrite(&self, inst: Inst, operand: Value) -> bool {
        let (graph, uses) = (self.graph, &self.uses);
        let (from, to) = (graph.ty(operand), graph.ty(graph.inst(inst).results[0]));
        let numbers = from.elem == Elem::F32 && from == to;
        let Some(buffer) = self.buffer_of.get(&operand).filter(|_| numbers && to.is_batched()) else {
            return false;
        };
        let now = uses.at.get(&inst).copied().unwrap_or(0);
        // All values of the buffer: a reshaped one shares that of its operand, a piece is a part of it.
        let whole = |other: &BufferId| self.drafts[other.index()].part_of.map_or(*other, |(whole, _)| whole);
        let mut sharing =
            self.buffer_of.iter().filter(|(_, other)| whole(other) == *buffer).map(|(value, _)| *value);
        self.drafts[buffer.index()].part_of.is_none()
            && sharing.all(|value| {
                let made = matches!(graph.value(value).def, Def::Result(..));
                made && uses.last.get(&value).is_none_or(|&last| last <= now)
            })
    }
}
