//! `fold-norm`: a norm with fixed statistics becomes part of the product before it.
//!
//! ```text
//! %conv : f32[…] = conv2d %x, %w {…}                                      ; before
//! %norm : f32[…] = batch_norm %conv, %gain, %bias, %mean, %var {eps=1e-5}
//! %w.fold    : f32[…] = fold.weight %w, %gain, %var {eps=1e-5}            ; after
//! %bias.fold : f32[…] = fold.bias %gain, %bias, %mean, %var {eps=1e-5}
//! %norm : f32[…] = conv2d %x, %w.fold, %bias.fold {…}
//! ```
//!
//! Gains: no pass over the activation; the folds are per weight and done once per model.
//! Needs and leaves: logical, inference only. Stops at: a product with another use, a norm without a product.

use crate::pass::{Pass, Run};
use snnc_ir::{Graph, Inst, Mode, Norm, Op, Stage, Value};

/// The pass.
pub const PASS: Pass = Pass {
    name: "fold-norm",
    needs: Stage::Logical,
    leaves: Stage::Logical,
    optional: true,
    run: Run::Always(run),
};

fn run(graph: &mut Graph) {
    // In training the statistics are those of the batch.
    if graph.mode == Mode::Train {
        return;
    }
    let uses = graph.use_counts();
    let mut body = Vec::with_capacity(graph.body.len());
    for inst in std::mem::take(&mut graph.body) {
        if let Some((norm, product)) = foldable(graph, inst, &uses) {
            body.retain(|&other| other != product);
            fold(graph, inst, norm, product, &mut body);
        }
        body.push(inst);
    }
    graph.body = body;
}

/// The norm's constants and the product before it, when nothing else uses that product.
fn foldable(graph: &Graph, inst: Inst, uses: &[usize]) -> Option<(Norm, Inst)> {
    let data = graph.inst(inst);
    let Op::BatchNorm(norm) = data.op else { return None };
    let product = graph.def_inst(data.args[0])?;
    let is_product = matches!(graph.inst(product).op, Op::Conv2d(_) | Op::Linear);
    (is_product && uses[data.args[0].index()] == 1).then_some((norm, product))
}

/// Makes the norm the folded product, so that users and names stay.
fn fold(graph: &mut Graph, inst: Inst, norm: Norm, product: Inst, body: &mut Vec<Inst>) {
    let &[_, gain, bias, mean, var] = graph.inst(inst).args.as_slice() else { return };
    let data = graph.inst(product).clone();
    let weight = data.args[1];
    let mut emit = |op, args: &[Value], like: Value| {
        let name = format!("{}.fold", graph.name(like));
        let made = graph.make_inst(op, args, &[(&name, graph.ty(like).clone())]);
        body.push(made);
        graph.inst(made).results[0]
    };
    let folded_weight = emit(Op::FoldWeight(norm), &[weight, gain, var], weight);
    let mut terms = vec![gain, bias, mean, var];
    terms.extend(data.args.get(2));
    let folded_bias = emit(Op::FoldBias(norm), &terms, bias);
    graph.replace_inst(inst, data.op, &[data.args[0], folded_weight, folded_bias], None);
}
