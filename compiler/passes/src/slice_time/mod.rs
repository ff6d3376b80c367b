//! `slice-time`: the backward part goes through time in pieces, from the last to the first.
//!
//! ```text
//! %dz : f32[T16 …] = bn.grad_input %dy, …            ; before: one value after the other, each over all timesteps
//! %dx : f32[T16 …] = conv2d.sampled_grad_input %dz, …
//! %dw : f32[Co8 …] = conv2d.masked_grad_weight %s, %dz
//! …                                                  ; after: a loop over pieces, here its first turn
//! %dz.t15 : f32[T1 …] = bn.grad_input %dy.t15, …
//! %dx.t15 : f32[T1 …] = conv2d.sampled_grad_input %dz.t15, …
//! %s.t15  : spike[T1 …] = piece %s {from=15, steps=1}
//! %dw.t15 : f32[Co8 …] = conv2d.masked_grad_weight %s.t15, %dz.t15
//! ```
//!
//! Gains: memory that hardly grows with time. Of what only the same loop reads, one piece is alive; the pieces of a gradient
//! that a later loop reads take the place of those it is made of. Costs: more and smaller steps, and what two loops read and
//! the first can make from what lives anyway is made twice ([`loops`]).
//! A norm's gradient needs sums over all timesteps, so they end a loop. Sums of pieces are added from the last piece on: other
//! bits than those of one sum, and the same ones whatever is kept.
//! Values that are named are kept from one loop to the next. Needs and leaves: masked, behind `checkpoint`. Stops at: networks of
//! fewer than [`LEAST`] timesteps; operations that need whole sequences get them joined.

mod loops;

use crate::checkpoint::Recomputed;
use crate::pass::{Pass, Run};
use loops::{Kind, Loops};
use snnc_ir::{Graph, Inst, Op, Piece, Stage, Type, Value};
use std::collections::{BTreeSet, HashMap};

/// The pass.
pub const PASS: Pass = Pass {
    name: "slice-time",
    needs: Stage::Masked,
    leaves: Stage::Masked,
    optional: true,
    run: Run::Except(run),
};

/// The fewest timesteps that are taken in pieces: below, a step's memory is small.
pub const LEAST: usize = 8;

/// The most pieces.
pub const PIECES: usize = 16;

fn run(graph: &mut Graph, kept: &BTreeSet<String>) {
    let Some(loops) = Loops::of(graph, kept) else { return };
    graph.body.truncate(graph.body.len() - loops.insts.len());
    let each = loops.steps.div_ceil(PIECES);
    let starts = (0..loops.steps).step_by(each).rev();
    let pieces = starts.map(|from| Piece { from, steps: each.min(loops.steps - from) }).collect();
    let mut slicer = Slicer { graph, loops, pieces, whole: HashMap::new(), parts: HashMap::new() };
    (0..slicer.loops.count()).for_each(|level| slicer.turn(level));
    let whole = slicer.whole;
    let ends = graph.outputs.iter_mut();
    ends.chain(graph.grads.iter_mut().chain(&mut graph.updates).map(|(_, value)| value)).for_each(|value| {
        *value = whole.get(value).copied().unwrap_or(*value);
    });
}

/// What the pass makes twice of a graph that it has not run on yet.
pub fn recomputed(graph: &Graph, kept: &BTreeSet<String>) -> Vec<Recomputed> {
    Loops::of(graph, kept).map_or(Vec::new(), |loops| loops.recomputed(graph))
}

struct Slicer<'g> {
    graph: &'g mut Graph,
    loops: Loops,
    /// From the last to the first.
    pieces: Vec<Piece>,
    /// What stands for a value that is no piece of another: sums of all pieces, and results of whole instructions.
    whole: HashMap<Value, Value>,
    /// The newest piece of a value, by its first timestep.
    parts: HashMap<(Value, usize), Value>,
}

impl Slicer<'_> {
    /// What stands in front of a loop, and the loop.
    fn turn(&mut self, level: usize) {
        let insts = self.loops.at(level);
        for &(inst, _) in insts.iter().filter(|(_, kind)| *kind == Kind::Whole) {
            self.put_whole(inst);
        }
        for n in 0..self.pieces.len() {
            for &(inst, kind) in &insts {
                match kind {
                    Kind::Each => self.put_piece(inst, n),
                    Kind::Summed => self.put_sum(inst, n),
                    Kind::Whole => {}
                }
            }
        }
        for (inst, _) in insts.into_iter().filter(|(_, kind)| *kind == Kind::Each) {
            let results = self.graph.inst(inst).results.clone();
            let joined =
                |result: &Value| self.loops.joined.contains(result) && !self.whole.contains_key(result);
            for result in results.into_iter().filter(joined).collect::<Vec<_>>() {
                self.join(result);
            }
        }
    }

    /// An instruction that needs all timesteps at once.
    fn put_whole(&mut self, inst: Inst) {
        let args = self.graph.inst(inst).args.clone();
        let args = args.iter().map(|arg| self.whole.get(arg).copied().unwrap_or(*arg)).collect();
        self.graph.inst_mut(inst).args = args;
        self.graph.body.push(inst);
    }

    /// A piece of what is made timestep by timestep.
    fn put_piece(&mut self, inst: Inst, n: usize) {
        let piece = self.pieces[n];
        let data = self.graph.inst(inst).clone();
        let mut args = self.args(inst, piece);
        if let (Op::LifGrad(_), Some(after)) = (&data.op, n.checked_sub(1)) {
            args.push(self.parts[&(data.results[0], self.pieces[after].from)]);
        }
        let op = match data.op {
            Op::BnGradInput(norm, 0) => Op::BnGradInput(norm, self.loops.steps),
            op => op,
        };
        let results = self.push(op, &args, &data.results, (piece, true));
        for (of, part) in data.results.into_iter().zip(results) {
            self.parts.insert((of, piece.from), part);
        }
    }

    /// What a piece adds to sums over time.
    fn put_sum(&mut self, inst: Inst, n: usize) {
        let piece = self.pieces[n];
        let data = self.graph.inst(inst).clone();
        let args = self.args(inst, piece);
        let results = self.push(data.op, &args, &data.results, (piece, false));
        for (of, part) in data.results.into_iter().zip(results) {
            let sum = match self.whole.get(&of) {
                Some(&so_far) => self.push(Op::Add, &[so_far, part], &[of], (piece, false))[0],
                None => part,
            };
            self.whole.insert(of, sum);
        }
    }

    /// Appends an instruction whose results are those of another, or pieces of them.
    fn push(
        &mut self,
        op: Op,
        args: &[Value],
        like: &[Value],
        (piece, is_piece): (Piece, bool),
    ) -> Vec<Value> {
        let graph = &mut self.graph;
        let results: Vec<(String, Type)> = like
            .iter()
            .map(|&of| {
                let ty = graph.ty(of);
                let ty = if is_piece { ty.with_time(piece.steps) } else { ty.clone() };
                (format!("{}.t{}", graph.name(of), piece.from), ty)
            })
            .collect();
        let named: Vec<(&str, Type)> = results.iter().map(|(name, ty)| (name.as_str(), ty.clone())).collect();
        graph.push_many(op, args, &named)
    }

    /// The operands of a piece of an instruction.
    fn args(&mut self, inst: Inst, piece: Piece) -> Vec<Value> {
        let args = self.graph.inst(inst).args.clone();
        args.into_iter().map(|arg| self.part(arg, piece)).collect()
    }

    /// A piece of a value that has time, else the value.
    fn part(&mut self, value: Value, piece: Piece) -> Value {
        if let Some(&part) = self.parts.get(&(value, piece.from)) {
            return part;
        }
        let whole = self.whole.get(&value).copied().unwrap_or(value);
        if !self.loops.has_time(self.graph, value) {
            return whole;
        }
        let part = self.push(Op::Piece(piece), &[whole], &[value], (piece, true))[0];
        self.parts.insert((value, piece.from), part);
        part
    }

    fn join(&mut self, value: Value) {
        let in_order = self.pieces.iter().rev();
        let parts: Vec<Value> = in_order.map(|piece| self.parts[&(value, piece.from)]).collect();
        let (name, ty) = (format!("{}.all", self.graph.name(value)), self.graph.ty(value).clone());
        let whole = self.graph.push(&name, Op::Join, &parts, ty);
        self.whole.insert(value, whole);
    }
}
