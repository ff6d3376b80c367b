//! Questions about a whole graph: its instructions in order, and who uses what.

use super::Graph;
use crate::entity::{Inst, Value};
use std::collections::HashMap;

impl Graph {
    /// The value of this name, where names are looked up once (tests, checkpoints).
    pub fn find(&self, name: &str) -> Option<Value> {
        self.values.iter().position(|data| data.name == name).map(|i| Value(i as u32))
    }

    /// All instructions in order, those of a scan's region before the scan itself.
    pub fn all_insts(&self) -> Vec<Inst> {
        let mut all = Vec::with_capacity(self.insts.len());
        for &inst in &self.body {
            if let Some(region) = self.inst(inst).region {
                all.extend(self.region(region).body.iter().copied());
            }
            all.push(inst);
        }
        all
    }

    /// Every use of a value that keeps it alive: operands, yields, carried values, outputs, gradients, updates.
    pub fn use_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.values.len()];
        let mut count = |value: &Value| counts[value.index()] += 1;
        for inst in self.all_insts() {
            self.inst(inst).args.iter().for_each(&mut count);
            if let Some(region) = self.inst(inst).region {
                let region = self.region(region);
                region.yields.iter().chain(&region.next).for_each(&mut count);
            }
        }
        self.outputs.iter().for_each(&mut count);
        self.grads.iter().chain(&self.updates).for_each(|(_, value)| count(value));
        counts
    }

    /// Replaces uses of values by others everywhere (not parameters' own entries). Chains are followed.
    pub fn replace_uses(&mut self, map: &HashMap<Value, Value>) {
        let follow = |value: Value| {
            let mut value = value;
            while let Some(&next) = map.get(&value) {
                value = next;
            }
            value
        };
        let replace = |value: &mut Value| *value = follow(*value);
        for inst in &mut self.insts {
            inst.args.iter_mut().for_each(replace);
        }
        for region in &mut self.regions {
            region.yields.iter_mut().chain(&mut region.next).for_each(replace);
        }
        self.outputs.iter_mut().for_each(replace);
        self.grads.iter_mut().chain(&mut self.updates).for_each(|(_, value)| replace(value));
    }

    /// Counts instructions by mnemonic, scans' bodies included: what tests of passes compare.
    pub fn count(&self, mnemonic: &str) -> usize {
        self.all_insts().into_iter().filter(|&inst| self.inst(inst).op.info().mnemonic == mnemonic).count()
    }
}
