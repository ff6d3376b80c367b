//! Which loop over the pieces of time each instruction of the backward part stands in.
//!
//! ```text
//! loop 1:  z2 again, dz2, dw2, ds1, du1, z1 again, and the sums of norm 1          reads du2
//! loop 2:  z2 again, dz2, ds1, du1 once more, z1 again, dz1, dw1, dx1, dx1 + du2    reads du2
//! ```
//!
//! A loop ends where sums over all timesteps are read. What one loop makes and a later one reads is kept in between,
//! or made again: where all that it is made of is kept for the later loop anyway, or takes less. Only what the loop just before
//! could make is made again, so nothing is made more than a few times. Loops are filled from the last to the first, each with
//! what the later ones read.

use crate::checkpoint::{Recomputed, Recomputes};
use snnc_ir::{AxisName, Elem, Graph, Inst, Op, TimeClass, Value};
use std::collections::{BTreeSet, HashMap, HashSet};

/// A value that takes no more than this part of the largest one stays whole.
const SMALL: usize = 4;

/// How an instruction goes through time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Piece by piece.
    Each,
    /// Its results are sums over pieces.
    Summed,
    /// All timesteps at once.
    Whole,
}

/// The loops of a backward part.
pub(super) struct Loops {
    /// The backward part.
    pub insts: Vec<Inst>,
    /// Timesteps.
    pub steps: usize,
    /// Values of pieces that are also read whole.
    pub joined: HashSet<Value>,
    kinds: Vec<Kind>,
    /// The first loop that an instruction can stand in; what is whole stands in front of it.
    levels: Vec<usize>,
    /// The instructions of each loop.
    filled: Vec<BTreeSet<usize>>,
    /// What is made in another loop than the one that first could, to be read there.
    late: BTreeSet<usize>,
}

impl Loops {
    /// Those of a graph with a loss and enough timesteps; the values of these names are not made again.
    pub fn of(graph: &Graph, kept: &BTreeSet<String>) -> Option<Loops> {
        let loss = graph.outputs.last().and_then(|&loss| graph.def_inst(loss))?;
        let at = graph.body.iter().position(|&inst| inst == loss)?;
        let insts = graph.body[at + 1..].to_vec();
        let results = insts.iter().flat_map(|&inst| &graph.inst(inst).results);
        let steps = results.filter_map(|&value| graph.ty(value).axis(AxisName::T)?.extent).max()?;
        if steps < super::LEAST {
            return None;
        }
        let mut loops = Loops {
            insts,
            steps,
            joined: HashSet::new(),
            kinds: Vec::new(),
            levels: Vec::new(),
            filled: Vec::new(),
            late: BTreeSet::new(),
        };
        loops.find_kinds(graph);
        loops.find_levels(graph);
        Fill::new(graph, &mut loops, kept).all();
        Some(loops)
    }

    /// How many loops there are, with one behind the last.
    pub fn count(&self) -> usize {
        self.filled.len()
    }

    /// The instructions of a loop, and those in front of it, in order.
    pub fn at(&self, level: usize) -> Vec<(Inst, Kind)> {
        self.filled[level].iter().map(|&at| (self.insts[at], self.kinds[at])).collect()
    }

    /// Whether pieces can be taken of a value.
    pub fn has_time(&self, graph: &Graph, value: Value) -> bool {
        let ty = graph.ty(value);
        ty.is_batched() && ty.extent(AxisName::T) == self.steps
    }

    /// What is made twice; its work is counted as that of one operation an element.
    pub fn recomputed(&self, graph: &Graph) -> Vec<Recomputed> {
        let twice = |at: &&usize| self.filled.iter().filter(|filled| filled.contains(at)).count() > 1;
        let entry = |&at: &usize| {
            let result = graph.inst(self.insts[at]).results[0];
            let (name, elements) = (graph.name(result).to_string(), graph.ty(result).elements_per_sample());
            let (bytes, work) = (elements * 4, elements as u64);
            Recomputed { copy: name.clone(), name, bytes, work, what: Recomputes::Gradient }
        };
        self.late.iter().filter(twice).map(entry).collect()
    }

    /// What makes or reads large values goes in pieces: by their sizes alone, which are the same whatever is computed again.
    fn find_kinds(&mut self, graph: &Graph) {
        let size = |value: &Value| match self.has_time(graph, *value) && graph.ty(*value).elem == Elem::F32 {
            true => graph.ty(*value).elements_per_sample(),
            false => 0,
        };
        let made = graph.body.iter().flat_map(|&inst| &graph.inst(inst).results);
        let largest = made.map(size).max().unwrap_or(0);
        let kind = |&inst: &Inst| {
            let data = graph.inst(inst);
            let pays = data.args.iter().chain(&data.results).any(|value| size(value) * SMALL > largest);
            if pays { self.kind(graph, inst) } else { Kind::Whole }
        };
        self.kinds = self.insts.iter().map(kind).collect();
    }

    /// How an instruction can go through time.
    fn kind(&self, graph: &Graph, inst: Inst) -> Kind {
        let data = graph.inst(inst);
        let timed = |value: &Value| graph.ty(*value).has(AxisName::T);
        // What has another time than the network's, or no batch, has no pieces.
        let sliced = |value: &Value| !timed(value) || self.has_time(graph, *value);
        if !data.args.iter().chain(&data.results).all(sliced) {
            return Kind::Whole;
        }
        let each = match &data.op {
            // The gradient of a learned constant, or through a gain of 0, does not tell how a piece goes on.
            Op::LifGrad(lif) => data.op.constants().is_empty() && lif.gain != 0.0,
            op => op.info().time == TimeClass::Each,
        };
        let sums = match &data.op {
            Op::BnGradSums
            | Op::Conv2dGradWeight(_)
            | Op::Conv2dMaskedGradWeight(_)
            | Op::LinearGradWeight
            | Op::LinearMaskedGradWeight => data.args[..2].iter().all(timed),
            Op::Sum(over) => timed(&data.args[0]) && over.contains(&AxisName::T),
            _no_sum => false,
        };
        if sums {
            Kind::Summed
        } else if each && data.results.iter().all(timed) {
            Kind::Each
        } else {
            Kind::Whole
        }
    }

    fn find_levels(&mut self, graph: &Graph) {
        let mut ready: HashMap<Value, (usize, Kind)> = HashMap::new();
        for (at, &inst) in self.insts.iter().enumerate() {
            let (data, kind) = (graph.inst(inst), self.kinds[at]);
            let behind = |arg: &Value| match ready.get(arg) {
                None => 0,
                // A piece is there in the loop that makes it, all of a value behind that.
                Some(&(level, Kind::Each)) => level + usize::from(kind == Kind::Whole),
                Some(&(level, Kind::Summed)) => level + 1,
                Some(&(level, Kind::Whole)) => level,
            };
            let level = data.args.iter().map(behind).max().unwrap_or(0);
            if kind == Kind::Whole {
                let pieces = |arg: &&Value| matches!(ready.get(arg), Some((_, Kind::Each)));
                self.joined.extend(data.args.iter().filter(pieces));
            }
            ready.extend(data.results.iter().map(|&result| (result, (level, kind))));
            self.levels.push(level);
        }
        let ends =
            graph.outputs.iter().chain(graph.grads.iter().chain(&graph.updates).map(|(_, value)| value));
        self.joined.extend(ends.filter(|end| matches!(ready.get(end), Some((_, Kind::Each)))));
        self.filled = vec![BTreeSet::new(); self.levels.iter().max().map_or(0, |most| most + 1) + 1];
    }
}

/// The filling of loops.
struct Fill<'a> {
    graph: &'a Graph,
    loops: &'a mut Loops,
    kept: &'a BTreeSet<String>,
    /// The instructions of pieces that each instruction reads.
    reads: Vec<Vec<usize>>,
    /// Those that are made of the forward part alone, which is there in all loops.
    free: Vec<bool>,
}

/// What a loop makes, and what it reads of earlier ones.
#[derive(Default)]
struct Filled {
    made: BTreeSet<usize>,
    read: BTreeSet<usize>,
}

impl<'a> Fill<'a> {
    fn new(graph: &'a Graph, loops: &'a mut Loops, kept: &'a BTreeSet<String>) -> Fill<'a> {
        let mut makers = HashMap::new();
        let (mut reads, mut free) = (Vec::new(), Vec::new());
        for (at, &inst) in loops.insts.iter().enumerate() {
            let data = graph.inst(inst);
            let of: BTreeSet<usize> = data.args.iter().filter_map(|arg| makers.get(arg).copied()).collect();
            free.push(loops.kinds[at] == Kind::Each && of.iter().all(|&maker| free[maker]));
            let pieces = of.into_iter().filter(|&maker| loops.kinds[maker] == Kind::Each);
            reads.push(if loops.kinds[at] == Kind::Whole { Vec::new() } else { pieces.collect() });
            makers.extend(data.results.iter().map(|&result| (result, at)));
        }
        Fill { graph, loops, kept, reads, free }
    }

    fn all(&mut self) {
        let read_on: HashSet<Value> =
            self.loops.insts.iter().flat_map(|&inst| self.graph.inst(inst).args.clone()).collect();
        let mut later = BTreeSet::new();
        for level in (0..self.loops.count()).rev() {
            let here: Vec<usize> =
                (0..self.loops.insts.len()).filter(|&at| self.loops.levels[at] == level).collect();
            let results = |at: usize| &self.graph.inst(self.loops.insts[at]).results;
            let mut wanted: BTreeSet<usize> = later;
            let (mut put, mut last) = (Vec::new(), Vec::new());
            for &at in &here {
                match self.loops.kinds[at] {
                    Kind::Each if results(at).iter().any(|result| self.loops.joined.contains(result)) => {
                        wanted.insert(at);
                    }
                    Kind::Each => {}
                    Kind::Whole => put.push(at),
                    Kind::Summed if results(at).iter().any(|result| read_on.contains(result)) => {
                        wanted.extend(&self.reads[at]);
                        put.push(at);
                    }
                    Kind::Summed => last.push(at),
                }
            }
            self.loops.filled[level].extend(put);
            let mut filled = self.fill(level, &wanted);
            for at in last {
                let has = |made: &BTreeSet<usize>| self.reads[at].iter().all(|read| made.contains(read));
                let other = (level + 1..self.loops.count()).find(|&other| has(&self.loops.filled[other]));
                let place = if has(&filled.made) { level } else { other.unwrap_or(level) };
                if place == level && !has(&filled.made) {
                    wanted.extend(&self.reads[at]);
                    filled = self.fill(level, &wanted);
                }
                self.loops.filled[place].insert(at);
            }
            self.loops.filled[level].extend(filled.made);
            later = filled.read;
        }
    }

    /// Makes what is wanted in a loop with the least memory for what earlier loops leave to it.
    fn fill(&mut self, level: usize, wanted: &BTreeSet<usize>) -> Filled {
        let mut filled = Filled::default();
        wanted.iter().for_each(|&at| self.want(level, at, &mut filled));
        loop {
            let mut read: Vec<usize> = filled.read.iter().copied().collect();
            read.sort_by_key(|&at| std::cmp::Reverse(self.bytes(at)));
            let again = read.into_iter().find(|&at| {
                let name = self.graph.name(self.graph.inst(self.loops.insts[at]).results[0]);
                !self.kept.contains(name) && self.made_of(level, at, &filled) < self.bytes(at)
            });
            let Some(again) = again else { return filled };
            filled.read.remove(&again);
            self.loops.late.insert(again);
            self.make(level, again, &mut filled);
        }
    }

    /// Makes an instruction, or reads what an earlier loop made.
    fn want(&self, level: usize, at: usize, filled: &mut Filled) {
        if filled.made.contains(&at) {
            return;
        }
        if self.loops.levels[at] == level || self.free[at] {
            filled.made.insert(at);
            self.reads[at].iter().for_each(|&read| self.want(level, read, filled));
        } else {
            filled.read.insert(at);
        }
    }

    /// Makes an instruction, and what it is made of where that takes less than to read it.
    fn make(&self, level: usize, at: usize, filled: &mut Filled) {
        filled.made.insert(at);
        for &read in &self.reads[at] {
            if filled.made.contains(&read) || filled.read.contains(&read) {
                continue;
            }
            if self.made_of(level, read, filled) < self.bytes(read) {
                self.make(level, read, filled);
            } else {
                self.want(level, read, filled);
            }
        }
    }

    /// Bytes of a sample that must be kept for a loop to make an instruction in it.
    fn made_of(&self, level: usize, at: usize, filled: &Filled) -> usize {
        self.made_of_known(level, at, filled, &mut HashMap::new())
    }

    /// The same, where it is known already of some: what many residual branches share is asked for once.
    fn made_of_known(
        &self,
        level: usize,
        at: usize,
        filled: &Filled,
        known: &mut HashMap<usize, usize>,
    ) -> usize {
        if filled.made.contains(&at) {
            return 0;
        }
        if self.loops.levels[at] + 1 < level && !self.free[at] {
            return usize::MAX;
        }
        if let Some(&bytes) = known.get(&at) {
            return bytes;
        }
        let mut bytes = 0;
        for &read in self.reads[at].iter().filter(|read| !filled.read.contains(read)) {
            bytes += self.made_of_known(level, read, filled, known).min(self.bytes(read));
        }
        known.insert(at, bytes);
        bytes
    }

    fn bytes(&self, at: usize) -> usize {
        let results = &self.graph.inst(self.loops.insts[at]).results;
        results.iter().map(|&result| self.graph.ty(result).elements_per_sample() * 4).sum()
    }
}
