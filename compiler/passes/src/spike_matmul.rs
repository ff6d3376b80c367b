//! `spike-matmul`: products with spikes become masked additions.
//!
//! ```text
//! %y  : f32[T4 B C128 H16 W16] = conv2d %s, %w {…}                       ; before, %s : spike[…]
//! %dw : f32[Co128 Ci64 Kh3 Kw3] = conv2d.grad_weight %s, %dy {…}
//! %y  : f32[T4 B C128 H16 W16] = conv2d.masked_add %s, %w {…}            ; after
//! %dw : f32[Co128 Ci64 Kh3 Kw3] = conv2d.masked_grad_weight %s, %dy {…}
//! ```
//!
//! Gains: rows are added where a bit is set and nothing is multiplied. At firing rates below about 40 % that
//! is faster than the dense product, and real networks fire at 5–30 %.
//! Needs: logical. Leaves: masked. Stops at: operands that are counts or real, and gradients of inputs, whose
//! operands are real.

use crate::pass::{Pass, Run};
use snnc_ir::{Graph, Op, Stage};

/// The pass.
pub const PASS: Pass = Pass {
    name: "spike-matmul",
    needs: Stage::Logical,
    leaves: Stage::Masked,
    optional: true,
    run: Run::Always(run),
};

fn run(graph: &mut Graph) {
    for inst in graph.body.clone() {
        let data = graph.inst(inst);
        let binary = data.args.first().is_some_and(|&x| graph.ty(x).elem.is_binary());
        if !binary {
            continue;
        }
        if let Some(masked) = masked(&data.op) {
            graph.inst_mut(inst).op = masked;
        }
    }
}

/// The masked form of a product.
fn masked(op: &Op) -> Option<Op> {
    if let Op::Conv2d(conv) = op {
        return Some(Op::Conv2dMaskedAdd(*conv));
    }
    if let Op::Conv2dGradWeight(conv) = op {
        return Some(Op::Conv2dMaskedGradWeight(*conv));
    }
    let forms = [(Op::Linear, Op::LinearMaskedAdd), (Op::LinearGradWeight, Op::LinearMaskedGradWeight)];
    forms.into_iter().find(|(dense, _)| dense == op).map(|(_, masked)| masked)
}
