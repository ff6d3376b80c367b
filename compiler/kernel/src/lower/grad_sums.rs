//! What a batch norm's gradient reads of all its elements: the sums of `dy` and of `dy · x̂`.
//!
//! ```text
//! partial (a task some positions of a sample):  sum += dy[t];  dot += dy[t] * (x[t] - mu)  for t down, of each channel
//! combine (a task a tile):                      partial sums in order;  dot * rstd
//! ```
//!
//! Where the gradient of neurons is what the norm's gradient begins with, their kernel has each `dy` in registers and makes the
//! partial sums too. Invariant: they are those that a kernel of their own makes, bit by bit, so that what is computed again,
//! which decides whether `x` is there in time, changes none.

use super::in_place::Uses;
use super::view::{Chunks, Frame, Shape, TILE, Tile, View, each_tile, one_tile};
use super::{Draw, LowerError, Lowering};
use crate::body::{Index, Reg, Row, Slot, SlotElem};
use crate::build::{Builder, load};
use snnc_ir::{Graph, Inst, Op, Save, Value};
use snnc_plan::{BufferId, ElemKind, Tasks};
use std::collections::{HashMap, HashSet};

/// The partial sums of a norm, while the kernel that makes them is drawn.
#[derive(Debug)]
pub struct Sums {
    inst: Inst,
    x: View,
    mu: View,
    /// Two rows of channels for each task.
    buffer: BufferId,
    out: Slot,
    shape: Shape,
}

impl Sums {
    /// Those of a `bn.grad_sums dy, x, mu, rstd`.
    pub fn of(lowering: &mut Lowering<'_>, draw: &mut Draw, inst: Inst) -> Result<Sums, LowerError> {
        let args = &lowering.graph.inst(inst).args;
        let shape = Shape::of(lowering.graph.ty(args[0]))?;
        let (x, mu) = (draw.read_view(lowering, args[1])?, draw.read_view(lowering, args[2])?);
        let name = format!("{}.partial", lowering.inst_name(inst));
        let bytes = Chunks::of(&shape, Chunks::ELEMENTS).count * 2 * shape.channels * 4;
        let buffer = lowering.add_draft(&name, ElemKind::F32, bytes, shape.batched);
        Ok(Sums { inst, x, mu, buffer, out: draw.write(buffer, SlotElem::F32), shape })
    }

    /// Offset of a row of a task's tile: 0 is that of `dy`, 1 that of its products.
    fn at(&self, task: &Index, row: usize, tile: &Tile) -> Index {
        (task * 2 + row) * self.shape.channels + &tile.index * TILE
    }

    /// Begins a task.
    pub fn zero(&self, k: &mut Builder) {
        each_tile(k, self.shape.channels, |k, tile| {
            for row in 0..2 {
                k.store(self.out, self.at(&Index::Task, row, &tile), Row::constant(0.0, tile.n));
            }
        });
    }

    /// The sums of a task so far, for a tile of a position.
    pub fn take_up(&self, k: &mut Builder, tile: &Tile) -> [Reg; 2] {
        [(0, "sum"), (1, "dot")].map(|(row, name)| {
            let own = load(self.out, self.at(&Index::Task, row, tile), tile.n);
            k.row(name, tile.n, own)
        })
    }

    /// Adds a row of `dy`.
    pub fn add(&self, k: &mut Builder, [sum, dot]: [Reg; 2], dy: Reg, frame: &Frame) {
        let channel = Frame::of_channels(&frame.tile);
        let centred = self.x.row(frame) - self.mu.row(&channel);
        k.set(sum, Row::Reg(sum) + Row::Reg(dy));
        k.set(dot, Row::Reg(dot) + Row::Reg(dy) * centred);
    }

    /// Puts them down.
    pub fn put_down(&self, k: &mut Builder, sums: [Reg; 2], tile: &Tile) {
        for (row, sum) in sums.into_iter().enumerate() {
            k.store(self.out, self.at(&Index::Task, row, tile), Row::Reg(sum));
        }
    }

    /// Sums the tasks' sums.
    pub fn combine(&self, lowering: &mut Lowering<'_>) -> Result<(), LowerError> {
        let data = lowering.graph.inst(self.inst);
        let name = lowering.inst_name(self.inst);
        let mut draw = Draw::new();
        let part = draw.read(self.buffer, SlotElem::F32);
        let rstd = draw.read_view(lowering, data.args[3])?;
        let results =
            [draw.write_view(lowering, data.results[0])?, draw.write_view(lowering, data.results[1])?];
        let count = Chunks::of(&self.shape, Chunks::ELEMENTS).count;
        let tasks = if self.shape.batched { Index::Batch * count } else { Index::from(count) };
        one_tile(&mut draw.k, &Index::Task, self.shape.channels, |k, tile| {
            let channel = Frame::of_channels(&tile);
            for (row, view) in results.iter().enumerate() {
                let sum = k.row("sum", tile.n, Row::constant(0.0, tile.n));
                k.for_range("part", 0, &tasks, |k, own| {
                    k.set(sum, Row::Reg(sum) + load(part, self.at(&own, row, &tile), tile.n));
                });
                let sum = if row == 0 { Row::Reg(sum) } else { Row::Reg(sum) * rstd.row(&channel) };
                view.store_row(k, &channel, sum);
            }
        });
        lowering.push_kernel(&name, draw, Tasks::fixed(self.shape.tiles()));
        Ok(())
    }
}

/// Lowers `bn.grad_sums` where it stands for itself.
pub fn alone(lowering: &mut Lowering<'_>, inst: Inst) -> Result<(), LowerError> {
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let dy = draw.read_view(lowering, lowering.graph.inst(inst).args[0])?;
    let sums = Sums::of(lowering, &mut draw, inst)?;
    let (shape, chunks) = (sums.shape, Chunks::of(&sums.shape, Chunks::ELEMENTS));
    let k = &mut draw.k;
    let (b, first, end) = chunks.of_task(k, &shape);
    sums.zero(k);
    k.for_range("p", first, end, |k, p| {
        each_tile(k, shape.channels, |k, tile| {
            let own = sums.take_up(k, &tile);
            k.for_down("t", 0, shape.steps(), |k, t| {
                let frame = Frame { t, b: b.clone(), p: p.clone(), tile: tile.clone() };
                let dy = k.row("dy", tile.n, dy.row(&frame));
                sums.add(k, own, dy, &frame);
            });
            sums.put_down(k, own, &tile);
        });
    });
    lowering.push_kernel(&name, draw, chunks.tasks(&shape));
    sums.combine(lowering)
}

/// The sums that gradients of neurons make.
#[derive(Debug, Default)]
pub struct Together {
    /// By the `lif.grad`.
    makers: HashMap<Inst, Vec<Inst>>,
    made: HashSet<Inst>,
}

impl Together {
    /// Puts gradients of neurons just before what reads them first, and finds the sums whose other operands are there by
    /// then. Membranes would live longer for it, window bits are few: gradients that read membranes stay where they are.
    pub fn of(graph: &Graph, insts: &mut [Inst], uses: &mut Uses) -> Together {
        let mut found = Together::default();
        for &grad in &graph.body {
            let data = graph.inst(grad);
            let Op::LifGrad(lif) = &data.op else { continue };
            let Some(from) = insts.iter().position(|&inst| inst == grad) else { continue };
            let dx = data.results[0];
            let reads = |inst: &Inst| graph.inst(*inst).args.iter().any(|arg| data.results.contains(arg));
            let first = insts[from + 1..].iter().position(reads).map_or(from, |behind| from + behind);
            let to = if lif.save == Save::Window { first } else { from };
            let is_there =
                |value: &Value| graph.def_inst(*value).is_none_or(|maker| !insts[to + 1..].contains(&maker));
            let is_made = |inst: &Inst| {
                let data = graph.inst(*inst);
                data.op == Op::BnGradSums && data.args[0] == dx && data.args[1..].iter().all(is_there)
            };
            let sums: Vec<Inst> = insts[from + 1..].iter().copied().filter(is_made).collect();
            if sums.is_empty() {
                continue;
            }
            if to > from {
                uses.put_before(graph, grad, insts[to + 1]);
                insts[from..=to].rotate_left(1);
            }
            found.made.extend(&sums);
            found.makers.insert(grad, sums);
        }
        found
    }

    /// The sums that a gradient of neurons makes.
    pub fn made_by(&self, inst: Inst) -> Vec<Inst> {
        self.makers.get(&inst).cloned().unwrap_or_default()
    }

    /// Whether an instruction's sums are made with a gradient of neurons.
    pub fn has(&self, inst: Inst) -> bool {
        self.made.contains(&inst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snnc_ir::text::parse;

    /// The backward part in its order, with the sums that each gradient of neurons makes behind it.
    fn order(save: &str, body: &str) -> Vec<String> {
        let saved = match save {
            "window" => "%s, %win",
            _ => "%h",
        };
        let lif = format!(
            "lif.grad %dy, {saved} {{decay=0.5 gain=1 current=0 threshold=1 reset=hard(0) detach=true compare=ge \
             surrogate=rect(1) save={save}}}"
        );
        let text = format!(
            "graph @g stage=packed mode=infer {{
                input %dy : f32[T4 B H4 W4 C8] input %h : f32[T4 B H4 W4 C8] input %z : f32[T4 B H4 W4 C8]
                input %s : bits[T4 B H4 W4 | C8] input %win : bits[T4 B H4 W4 | C8]
                input %mu : f32[C8] input %rstd : f32[C8] {body} output %dy }}"
        );
        let text = text.replace("LIF", &lif).replace("VALUE", "f32[T4 B H4 W4 C8]");
        let text = text.replace("SUMS", "f32[C8], f32[C8] = bn.grad_sums");
        let graph = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut insts = graph.body.clone();
        let found = Together::of(&graph, &mut insts, &mut Uses::of(&graph, false));
        let name = |inst: &Inst| graph.name(graph.inst(*inst).results[0]).to_string();
        let with = |inst: &Inst| {
            let made = found.made_by(*inst);
            assert!(made.iter().all(|&sums| found.has(sums)));
            let made: Vec<String> = made.iter().map(name).collect();
            if made.is_empty() { name(inst) } else { format!("{}({})", name(inst), made.join(" ")) }
        };
        insts.iter().map(with).collect()
    }

    #[test]
    fn a_gradient_waits_for_what_is_computed_again_where_its_window_is_saved() {
        let body = "%dx : VALUE = LIF %x : VALUE = scale %z {by=2} %a, %b : SUMS %dx, %x, %mu, %rstd
            %again : VALUE = scale %z {by=3} %c, %d : SUMS %dx, %again, %mu, %rstd";
        assert_eq!(order("window", body), ["x", "dx(a)", "a", "again", "c"]);
        assert_eq!(order("membrane", body), ["dx", "x", "a", "again", "c"]);
    }

    #[test]
    fn sums_whose_operands_are_there_are_made_with_it() {
        let body = "%dx : VALUE = LIF %more : VALUE = add %dx, %z
            %a, %b : SUMS %dx, %h, %mu, %rstd %c, %d : SUMS %dx, %z, %mu, %rstd
            %e, %f : SUMS %more, %z, %mu, %rstd %g, %i : SUMS %z, %dx, %mu, %rstd";
        assert_eq!(order("window", body), ["dx(a c)", "more", "a", "c", "e", "g"]);
        assert_eq!(order("membrane", body), ["dx(a c)", "more", "a", "c", "e", "g"]);
        assert_eq!(order("window", "%dx : VALUE = LIF %y : VALUE = scale %z {by=2}"), ["dx", "y"]);
    }
}
