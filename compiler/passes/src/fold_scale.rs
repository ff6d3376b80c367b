//! `fold-scale`: a power of two before a neuron becomes part of its threshold.
//!
//! ```text
//! %o : f32[…] = attention %q, %k, %v {… scale=0.25 …}            ; before
//! %y : spike[…] = lif %o {… threshold=0.5 …}
//! %o : i32[…] = attention %q, %k, %v {… scale=1 …}               ; after
//! %y : spike[…] = lif %o {… threshold=2 …}
//! ```
//!
//! Gains: attention's counts reach their neuron as whole numbers, without a multiplication. A neuron that rests
//! at 0 is homogeneous: k times the input and k times the threshold give the same spikes, to the last bit
//! when k is a power of two.
//! Needs and leaves: logical, inference only: in training the surrogate's width would change too.
//! Stops at: other factors, a reset to another value than 0, a constant current, a learned current or threshold, a
//! scale with another use.

use crate::pass::{Pass, Run};
use snnc_ir::{Attention, Elem, Graph, Inst, Lif, Mode, Op, Reset, Stage};

/// The pass.
pub const PASS: Pass = Pass {
    name: "fold-scale",
    needs: Stage::Logical,
    leaves: Stage::Logical,
    optional: true,
    run: Run::Always(run),
};

fn run(graph: &mut Graph) {
    if graph.mode == Mode::Train {
        return;
    }
    let uses = graph.use_counts();
    for inst in graph.body.clone() {
        let Op::Lif(lif) = graph.inst(inst).op else { continue };
        let x = graph.inst(inst).args[0];
        let Some(maker) = graph.def_inst(x) else { continue };
        if uses[x.index()] == 1
            && let Some(threshold) = folded(graph, maker, &lif)
        {
            unscale(graph, maker);
            graph.inst_mut(inst).op = Op::Lif(Lif { threshold, ..lif });
        }
    }
}

/// The neuron's threshold without the factor that its input is made with.
fn folded(graph: &Graph, maker: Inst, lif: &Lif) -> Option<f32> {
    let Op::Attention(Attention { scale, .. }) = graph.inst(maker).op else { return None };
    let rests_at_zero = match lif.reset {
        Reset::Hard(value) => value == 0.0,
        Reset::Soft | Reset::None => true,
    };
    let threshold = lif.threshold / scale;
    let exact = scale > 0.0 && scale.is_normal() && scale.to_bits() & 0x007f_ffff == 0;
    let fits = threshold.is_normal() && threshold * scale == lif.threshold;
    // Where these are learned the attributes say nothing.
    let constant = !lif.learned.current && !lif.learned.threshold && lif.current == 0.0;
    (scale != 1.0 && exact && fits && rests_at_zero && constant).then_some(threshold)
}

/// Attention without its factor: counts, where its operands are spikes.
fn unscale(graph: &mut Graph, maker: Inst) {
    let data = graph.inst(maker);
    let Op::Attention(attention) = data.op else { return };
    let counts = data.args.iter().all(|&arg| graph.ty(arg).elem.is_binary());
    let result = data.results[0];
    graph.inst_mut(maker).op = Op::Attention(Attention { scale: 1.0, ..attention });
    if counts {
        let ty = graph.ty(result).with_elem(Elem::I32);
        graph.set_type(result, ty);
    }
}
