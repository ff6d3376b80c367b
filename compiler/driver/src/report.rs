//! `--emit report`: operations by kind, passes with their time, kernels and memory.

use crate::{KernelRecord, PassRecord, Product, Recomputed, Vector, cycles_per_add};
use snnc_ir::{Attention, AxisName, Graph, Inst, Op, Order};
use snnc_plan::Plan;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What kernels were made for, and how long it took.
pub struct Built<'a> {
    /// The vectors of products with spikes.
    pub vector: Vector,
    /// Those products.
    pub products: &'a [Product],
    /// Seconds of the whole compilation.
    pub seconds: f64,
    /// What the backward part computes again.
    pub recomputed: &'a [Recomputed],
    /// How many sums of spikes live on instead.
    pub forgone: usize,
}

/// The report's text.
pub fn text(
    graph: &Graph,
    plan: &Plan,
    passes: &[PassRecord],
    kernels: &[KernelRecord],
    built: &Built<'_>,
) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut out, graph, plan, passes, kernels, built);
    out
}

fn write_all(
    out: &mut String,
    graph: &Graph,
    plan: &Plan,
    passes: &[PassRecord],
    kernels: &[KernelRecord],
    built: &Built<'_>,
) -> std::fmt::Result {
    let mebibytes = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    writeln!(out, "network {}: {} parameters, {} timesteps", plan.name, plan.parameters(), plan.timesteps)?;
    writeln!(
        out,
        "memory: {:.2} MiB + the larger of {:.3} MiB per sample, and {:.3} MiB per sample + {:.2} MiB; \
         {:.2} MiB scratch per thread",
        mebibytes(plan.arena.fixed),
        mebibytes(plan.arena.per_sample),
        mebibytes(plan.arena.level),
        mebibytes(plan.arena.above),
        mebibytes(plan.scratch())
    )?;
    writeln!(
        out,
        "steps: {} prepare, {} forward, {} backward",
        plan.prepare.len(),
        plan.forward.len(),
        plan.backward.len()
    )?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for inst in graph.all_insts() {
        *counts.entry(graph.inst(inst).op.info().mnemonic).or_default() += 1;
    }
    writeln!(out, "\noperations")?;
    for (mnemonic, count) in counts {
        writeln!(out, "  {count:5} {mnemonic}")?;
    }
    attentions(out, graph)?;
    recomputed(out, built)?;
    writeln!(out, "\npasses                      ms   before  after")?;
    for pass in passes {
        let (name, ms) = (pass.name, pass.seconds * 1e3);
        writeln!(out, "  {name:20} {ms:8.2} {:8} {:6}", pass.insts_before, pass.insts_after)?;
    }
    products(out, built)?;
    writeln!(out, "\nkernels                                   steps    code  scratch  form")?;
    for kernel in kernels {
        let (name, steps, form) = (&kernel.name, kernel.steps, &kernel.form);
        let row = format!("  {name:38} {steps:6} {:7} {:8}  {form}", kernel.code_bytes, kernel.scratch_bytes);
        writeln!(out, "{}", row.trim_end())?;
    }
    writeln!(out, "\ncompiled in {:.3} s", built.seconds)
}

/// What is computed again, and the bytes of a sample that need not live until then.
fn recomputed(out: &mut String, built: &Built<'_>) -> std::fmt::Result {
    if built.recomputed.is_empty() && built.forgone == 0 {
        return Ok(());
    }
    let kibibytes = |bytes: usize| bytes.div_ceil(1024);
    let all = kibibytes(built.recomputed.iter().map(|sum| sum.bytes).sum());
    writeln!(
        out,
        "\ncomputed again in the backward part: {} values, {all} KiB per sample not kept; {} more are kept",
        built.recomputed.len(),
        built.forgone
    )?;
    for sum in built.recomputed {
        let mega = sum.work as f64 * 1e-6;
        writeln!(out, "  {:8} KiB {mega:10.1} M additions at most  {}", kibibytes(sum.bytes), sum.name)?;
    }
    Ok(())
}

/// The form of each product with spikes, beside what was expected of its input and what it should take.
fn products(out: &mut String, built: &Built<'_>) -> std::fmt::Result {
    if built.products.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nproducts with spikes, for vectors of {}; adds as if all bits were set", built.vector)?;
    writeln!(out, "  form       rate   fires  adds/cycle   Madds/sample  layer")?;
    for product in built.products {
        let Product { layer, form, input, adds, work, .. } = product;
        let fast = 1.0 / cycles_per_add(*form, *input, work, built.vector);
        let adds = *adds as f64 / 1e6;
        let fires = input.fires.map_or("-".to_string(), |fires| format!("{fires:.3}"));
        writeln!(out, "  {form:8} {:6.3} {fires:>7} {fast:11.1} {adds:14.2}  {layer}", input.rate)?;
    }
    Ok(())
}

/// The order of each attention's products, beside what both would cost.
fn attentions(out: &mut String, graph: &Graph) -> std::fmt::Result {
    let made = |inst: Inst| match graph.inst(inst).op {
        Op::Attention(attention) => Some((inst, attention)),
        _ => None,
    };
    let found: Vec<(Inst, Attention)> = graph.all_insts().into_iter().filter_map(made).collect();
    if found.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nattention, with additions per sample if every bit were set")?;
    writeln!(out, "  order         kv first     qk first  layer")?;
    for (inst, attention) in found {
        let data = graph.inst(inst);
        let (kv_first, qk_first) = costs(graph, inst, &attention);
        let order = match attention.order {
            Order::KvFirst => "kv first",
            Order::QkFirst | Order::Auto => "qk first",
        };
        let name = graph.name(data.results[0]);
        writeln!(out, "  {order:9} {kv_first:12} {qk_first:12}  {name}")?;
    }
    Ok(())
}

/// Additions of a sample in both orders: those of one head and group, times their number.
fn costs(graph: &Graph, inst: Inst, attention: &Attention) -> (u64, u64) {
    let data = graph.inst(inst);
    let (q, v) = (graph.ty(data.args[0]), graph.ty(data.args[2]));
    let (steps, positions) = (q.extent(AxisName::T), q.extent(AxisName::H) * q.extent(AxisName::W));
    let group = attention.group(steps, positions);
    let groups = (steps / group.0 * (positions / group.1) * attention.heads) as u64;
    let channels = [q, v].map(|ty| ty.extent(AxisName::C) / attention.heads);
    let (kv_first, qk_first) = attention.additions(group, channels.into());
    (kv_first * groups, qk_first * groups)
}
