//! `sample-dx`: a gradient that only neurons with an open window read is computed only where the window is open.
//!
//! ```text
//! %dx   : f32[T4 B C64 H16 W16] = conv2d.grad_input %dy, %w {…}                       ; before
//! %sum  : f32[T4 B C64 H16 W16] = add %dx, %skip
//! %lif.dx : f32[T4 B C64 H16 W16] = lif.grad %sum, %lif, %lif.win {…}
//! %dx   : f32[T4 B C64 H16 W16] = conv2d.sampled_grad_input %dy, %w, %lif.win {…}     ; after
//! ```
//!
//! Gains: a rectangular surrogate multiplies the gradient of a spike by 0 outside its window, and only 16 to 25 % of the
//! membranes lie inside: the rest of the largest dense product of training is not computed. Costs: dot products of rows
//! instead of a blocked matrix product; above a share of about 40 % that would be slower.
//! Needs and leaves: masked. Follows additions, as those of a residual block's two branches: all that leaves them must
//! come to neurons of one window. Stops at: other readers, as a pool or a norm, surrogates without a window bit, and
//! gradients that are results.

use crate::pass::{Pass, Run};
use snnc_ir::{Graph, Inst, Op, Save, Stage, Value};
use std::collections::HashMap;

/// The pass.
pub const PASS: Pass = Pass {
    name: "sample-dx",
    needs: Stage::Masked,
    leaves: Stage::Masked,
    optional: true,
    run: Run::Always(run),
};

fn run(graph: &mut Graph) {
    let windows = windows(graph);
    for inst in graph.body.clone() {
        let data = graph.inst(inst);
        let Op::Conv2dGradInput(conv) = data.op else { continue };
        let Some(Reader::Window(window)) = windows.get(&data.results[0]) else { continue };
        let args = [data.args.clone(), vec![*window]].concat();
        graph.replace_inst(inst, Op::Conv2dSampledGradInput(conv), &args, None);
    }
}

/// Who reads a value.
#[derive(Clone, Copy, PartialEq)]
enum Reader {
    /// Gradients of neurons whose window this is, and nobody else.
    Window(Value),
    /// Somebody who needs all of it.
    Whole,
}

/// The readers of all values that have any, from the last instruction up.
fn windows(graph: &Graph) -> HashMap<Value, Reader> {
    let mut readers = HashMap::new();
    let results =
        graph.outputs.iter().chain(graph.grads.iter().chain(&graph.updates).map(|(_, value)| value));
    for &result in results {
        readers.insert(result, Reader::Whole);
    }
    for &inst in graph.body.iter().rev() {
        for (n, &arg) in graph.inst(inst).args.iter().enumerate() {
            let own = reader(graph, inst, n, &readers);
            readers.entry(arg).and_modify(|known| *known = known.and(own)).or_insert(own);
        }
    }
    readers
}

impl Reader {
    fn and(self, other: Reader) -> Reader {
        if self == other { self } else { Reader::Whole }
    }
}

/// What an instruction needs of its operand of this number.
fn reader(graph: &Graph, inst: Inst, operand: usize, readers: &HashMap<Value, Reader>) -> Reader {
    let data = graph.inst(inst);
    if let Op::LifGrad(lif) = data.op {
        let sampled = operand == 0 && lif.save == Save::Window;
        return if sampled { Reader::Window(data.args[2]) } else { Reader::Whole };
    }
    if data.op == Op::Add {
        return readers.get(&data.results[0]).copied().unwrap_or(Reader::Whole);
    }
    Reader::Whole
}
