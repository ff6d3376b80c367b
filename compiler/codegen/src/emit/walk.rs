//! What a target has functions of its own for, as calls of them: walks over set bits, tables, curves.

use super::Emitter;
use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, InstBuilder, Signature, UserExternalName, Value, types,
};
use snnc_kernel::body::{
    Current, Curve, Fire, Groups, Index, Lookup, Map, OverTime, PatternLists, PatternWalk, Run, Slot,
    TapWalk, Walk, WindowWalk,
};

/// The numbers under which the module knows the functions.
#[derive(Clone, Copy)]
pub(crate) struct WideNames {
    /// `AddRows`.
    pub(crate) add_rows: u32,
    /// `AddWindow`.
    pub(crate) add_window: u32,
    /// `Fire`.
    pub(crate) fire: u32,
    pub(crate) fire_above: u32,
    /// `AddTaps`.
    pub(crate) add_taps: u32,
    /// `DotRows`.
    pub(crate) dot_rows: u32,
    /// `ListPatterns`.
    pub(crate) list_patterns: u32,
    /// `AddPatterns`.
    pub(crate) add_patterns: u32,
    /// `SumGroups`.
    pub(crate) sum_groups: u32,
    /// `AddGroups`.
    pub(crate) add_groups: u32,
    /// `Map`, the exponential and the logistic function.
    pub(crate) exp: u32,
    pub(crate) sigmoid: u32,
    /// `Turn`.
    pub(crate) turn: u32,
}

/// Arguments of `wide::WalkFn`.
pub(crate) const WALK_ARGUMENTS: usize = 11;
/// Arguments of `wide::WindowFn`.
pub(crate) const WINDOW_ARGUMENTS: usize = 15;
/// Arguments of `wide::FireFn`.
pub(crate) const FIRE_ARGUMENTS: usize = 19;
/// Arguments of `wide::TapsFn`.
pub(crate) const TAPS_ARGUMENTS: usize = 18;
/// Arguments of `wide::ListPatternsFn`.
pub(crate) const LIST_ARGUMENTS: usize = 8;
/// Arguments of `wide::PatternsFn`.
pub(crate) const PATTERNS_ARGUMENTS: usize = 14;
/// Arguments of `wide::SumFn`.
pub(crate) const SUM_ARGUMENTS: usize = 5;
/// Arguments of `wide::LookupFn`.
pub(crate) const LOOKUP_ARGUMENTS: usize = 8;
/// Arguments of `wide::MapFn`.
pub(crate) const MAP_ARGUMENTS: usize = 3;
/// Arguments of `wide::TurnFn`.
pub(crate) const TURN_ARGUMENTS: usize = 2;

impl Emitter<'_, '_> {
    /// A walk, with the run of what rows are multiplied with where they are.
    pub(super) fn walk(&mut self, function: u32, walk: &Walk, with: Option<&Run>) {
        let count = self.index(&walk.count.max(0));
        let constants = [walk.words, walk.lanes].map(|n| self.constant(n as i64));
        let mut arguments = vec![count];
        arguments.extend(constants);
        // Where nothing is multiplied, what stands for it is not read.
        for run in [&walk.bits, &walk.rows, &walk.sums, with.unwrap_or(&walk.rows)] {
            arguments.push(self.pointer(run.slot, &run.at));
            arguments.push(self.constant(run.step));
        }
        self.call_wide(function, &arguments);
    }

    /// A walk over what positions see.
    pub(super) fn add_window(&mut self, function: u32, window: &WindowWalk) {
        let walk = &window.walk;
        let mut arguments = vec![self.index(&walk.count.max(0))];
        arguments.extend([walk.words, walk.lanes].map(|n| self.constant(n as i64)));
        for (run, steps) in [(&walk.bits, window.bits), (&walk.rows, window.rows)] {
            arguments.push(self.pointer(run.slot, &run.at));
            arguments.extend([run.step, steps[0], steps[1]].map(|n| self.constant(n)));
        }
        arguments.push(self.pointer(walk.sums.slot, &walk.sums.at));
        arguments.push(self.constant(walk.sums.step));
        arguments.extend(window.taps.iter().map(|taps| self.index(&taps.max(0))).collect::<Vec<_>>());
        self.call_wide(function, &arguments);
    }

    /// Neurons through time. What stands for a current that is not there is not read.
    pub(super) fn fire(&mut self, function: u32, fire: &Fire) {
        let mut arguments = vec![self.index(&fire.count.max(0))];
        arguments.extend([fire.lanes, fire.steps].map(|n| self.constant(n as i64)));
        let first = &fire.currents[0];
        let second = fire.currents.get(1);
        let (run, time) = &fire.spikes;
        let kind = |current: Option<&(Current, Run, Index)>| match current {
            None => 0,
            Some((Current::Numbers, ..)) => 1,
            Some((Current::Bits, ..)) => 2,
        };
        for (run, time) in
            [(&first.1, &first.2), (&second.unwrap_or(first).1, &second.unwrap_or(first).2), (run, time)]
        {
            arguments.push(self.pointer(run.slot, &run.at));
            arguments.push(self.constant(run.step));
            arguments.push(self.index(time));
        }
        arguments.extend([kind(Some(first)), kind(second)].map(|n| self.constant(n)));
        arguments.extend(fire.constants.map(|bits| self.constant(i64::from(bits))));
        self.call_wide(function, &arguments);
    }

    /// A walk that serves all taps.
    pub(super) fn add_taps(&mut self, function: u32, taps: &TapWalk) {
        let walk = &taps.walk;
        let mut arguments = vec![self.index(&walk.count.max(0))];
        arguments.extend([walk.words, walk.lanes].map(|n| self.constant(n as i64)));
        arguments.push(self.pointer(walk.bits.slot, &walk.bits.at));
        arguments.extend([walk.bits.step, taps.word].map(|n| self.constant(n)));
        arguments.push(self.pointer(walk.rows.slot, &walk.rows.at));
        arguments.push(self.constant(walk.rows.step));
        arguments.push(self.pointer(walk.sums.slot, &walk.sums.at));
        arguments.push(self.constant(walk.sums.step));
        arguments.extend(taps.taps.map(|n| self.constant(n as i64)));
        arguments.extend([taps.steps[0], taps.steps[1], taps.apart].map(|n| self.constant(n)));
        let over = taps.over.unwrap_or(OverTime { steps: 1, words: 0, pattern: 0 });
        arguments.extend([over.steps as i64, over.words, over.pattern].map(|n| self.constant(n)));
        self.call_wide(function, &arguments);
    }

    /// Lists of neurons by pattern.
    pub(super) fn list_patterns(&mut self, function: u32, lists: &PatternLists) {
        let mut arguments = vec![self.index(&lists.count.max(0))];
        arguments.extend([lists.words, lists.steps].map(|n| self.constant(n as i64)));
        arguments.push(self.pointer(lists.bits.slot, &lists.bits.at));
        arguments.push(self.constant(lists.bits.step));
        arguments.push(self.index(&lists.time));
        arguments.push(self.pointer(lists.lists.slot, &lists.lists.at));
        arguments.push(self.constant(lists.lists.step));
        self.call_wide(function, &arguments);
    }

    /// A walk over listed neurons.
    pub(super) fn add_patterns(&mut self, function: u32, walk: &PatternWalk) {
        let mut arguments = vec![self.constant(walk.steps as i64)];
        arguments.extend(walk.taps.iter().map(|taps| self.index(&taps.max(0))));
        for grid in [&walk.lists, &walk.rows] {
            arguments.push(self.pointer(grid.slot, &grid.at));
            arguments.extend(grid.steps.map(|step| self.constant(step)));
        }
        arguments.extend([walk.row, walk.lanes as i64].map(|n| self.constant(n)));
        arguments.push(self.pointer(walk.sums.slot, &walk.sums.at));
        arguments.push(self.constant(walk.sums.step));
        arguments.push(self.pointer(walk.order, &Index::Const(0)));
        self.call_wide(function, &arguments);
    }

    /// The making of a table.
    pub(super) fn sum_groups(&mut self, function: u32, groups: &Groups) {
        let mut arguments = [groups.count, groups.lanes].map(|n| self.constant(n as i64)).to_vec();
        arguments.push(self.pointer(groups.rows.slot, &groups.rows.at));
        arguments.push(self.constant(groups.rows.step));
        arguments.push(self.pointer(groups.table.0, &groups.table.1));
        self.call_wide(function, &arguments);
    }

    /// Lookups in a table.
    pub(super) fn add_groups(&mut self, function: u32, lookup: &Lookup) {
        let mut arguments = vec![self.index(&lookup.count.max(0))];
        arguments.extend([lookup.groups, lookup.lanes].map(|n| self.constant(n as i64)));
        arguments.push(self.pointer(lookup.bits.slot, &lookup.bits.at));
        arguments.push(self.constant(lookup.bits.step));
        arguments.push(self.pointer(lookup.table.0, &lookup.table.1));
        arguments.push(self.pointer(lookup.sums.slot, &lookup.sums.at));
        arguments.push(self.constant(lookup.sums.step));
        self.call_wide(function, &arguments);
    }

    /// A curve of consecutive numbers.
    pub(super) fn map(&mut self, map: &Map) {
        let function = match map.curve {
            Curve::Exp => self.wide().exp,
            Curve::Sigmoid => self.wide().sigmoid,
        };
        let count = self.constant(map.count as i64);
        let arguments = [count, self.pointer(map.from.0, &map.from.1), self.pointer(map.to.0, &map.to.1)];
        self.call_wide(function, &arguments);
    }

    /// A turn of 64 words.
    pub(super) fn turn(&mut self, function: u32, from: &(Slot, Index), to: &(Slot, Index)) {
        let arguments = [self.pointer(from.0, &from.1), self.pointer(to.0, &to.1)];
        self.call_wide(function, &arguments);
    }

    fn pointer(&mut self, slot: Slot, at: &Index) -> Value {
        let address = self.address(slot, at, true);
        match address.offset {
            0 => address.base,
            offset => {
                let offset = self.constant(i64::from(offset));
                self.builder.ins().iadd(address.base, offset)
            }
        }
    }

    fn call_wide(&mut self, function: u32, arguments: &[Value]) {
        let mut signature = Signature::new(self.builder.func.signature.call_conv);
        signature.params.extend(arguments.iter().map(|_| AbiParam::new(types::I64)));
        let signature = self.builder.import_signature(signature);
        let name = UserExternalName { namespace: 0, index: function };
        let name = ExternalName::user(self.builder.func.declare_imported_user_function(name));
        let data = ExtFuncData { name, signature, colocated: false, patchable: false };
        let function = self.builder.import_function(data);
        self.builder.ins().call(function, arguments);
    }
}
