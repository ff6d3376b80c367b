//! `snnc compile`: machine code for inference, training or both, and any stage on the way.

use crate::cli::{CompileArgs, ModeArg};
use crate::failure::Failure;
use crate::model::{self, Loaded};
use crate::output;
use serde_json::{Value, json};
use snnc_compiler::plan::Plan;
use snnc_compiler::{Compiled, Emit, Memory, Mode, Options};
use snnc_runtime::{Error, Session};
use std::path::Path;

/// Compiles the model and shows what was asked for.
pub fn run(args: &CompileArgs, as_json: bool) -> Result<(), Failure> {
    let loaded = model::load(&args.model)?;
    let modes: &[Mode] = match args.mode {
        ModeArg::Infer => &[Mode::Infer],
        ModeArg::Train => &[Mode::Train],
        ModeArg::Both => &[Mode::Infer, Mode::Train],
    };
    let mut results = Vec::new();
    for (at, &mode) in modes.iter().enumerate() {
        // The syntax tree and the model are the same in both modes.
        let shown = |emit: &&Emit| at == 0 || !matches!(emit, Emit::Ast | Emit::Model);
        let emit = args.emit.iter().filter(shown).cloned().collect();
        let options = Options {
            skip: args.skip.clone(),
            emit,
            verify: args.verify,
            activities: args.products.activities(),
            forms: args.products.forms(),
            hands_gradients: model::hands_gradients(&loaded),
            ..Options::new(mode)
        };
        let compiled = within(&loaded, options, args)?;
        args.products.check(&compiled.executable.plan)?;
        results.push((mode, compiled));
    }
    let stages = stages(&loaded.model.name, &results);
    if let Some(folder) = &args.output {
        write_stages(folder, &stages)?;
    }
    if as_json {
        return output::json(&summary(&loaded.model.name, &results, &stages, args.output.as_deref()));
    }
    let mut text = String::new();
    if args.output.is_none() {
        for stage in &stages {
            if stages.len() > 1 {
                text.push_str(&format!("; {}\n", stage.file));
            }
            text.push_str(&stage.text);
            if !stage.text.ends_with('\n') {
                text.push('\n');
            }
        }
    }
    output::text(&text)?;
    for (mode, compiled) in &results {
        output::note(&line(&loaded.model.name, *mode, compiled));
    }
    Ok(())
}

/// Compiles, for a batch that fits into the memory that is given: in training as much lives on to the backward part as
/// it allows.
fn within(loaded: &Loaded, options: Options, args: &CompileArgs) -> Result<Compiled, Failure> {
    let batch = args.batch.map_or(loaded.model.recipe.batch, |n| n as usize);
    let options = Options { batch: Some(batch), ..options };
    let compiled = model::compile(loaded, &options)?;
    let Some(limit) = args.memory else { return Ok(compiled) };
    let threads = args.threads.count();
    let plan = &compiled.executable.plan;
    let needed = refuse_too_large(plan, batch, threads, limit)?;
    if options.mode == Mode::Infer {
        return Ok(compiled);
    }
    let arena = plan.arena.bytes(batch).unwrap_or(0) as u64;
    let most = (limit - (needed - arena)) as usize;
    let compiled = model::compile(loaded, &Options { memory: Memory::Within(most), ..options })?;
    refuse_too_large(&compiled.executable.plan, batch, threads, limit)?;
    Ok(compiled)
}

/// Bytes of a session; an error where they are more than the limit, with the batch that would fit.
fn refuse_too_large(plan: &Plan, batch: usize, threads: usize, limit: u64) -> Result<u64, Failure> {
    let needed = |batch| Session::bytes_needed(plan, batch, threads);
    let all = needed(batch)?;
    if all <= limit {
        return Ok(all);
    }
    let fits = |batch: &usize| needed(*batch).is_ok_and(|bytes| bytes <= limit);
    let enough = format!("`--memory {}M`", all.div_ceil(1 << 20));
    let help = match (1..batch).rev().find(fits) {
        Some(smaller) => format!("a batch of {smaller} fits: give `--batch {smaller}`, or {enough}"),
        None => format!("not even a batch of 1 fits: give {enough}, fewer timesteps or smaller layers"),
    };
    Err(Error::Memory { needed: all, available: limit, help }.into())
}

/// A stage to show.
struct Stage {
    /// The name of its file.
    file: String,
    /// Its text.
    text: String,
}

fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Infer => "infer",
        Mode::Train => "train",
    }
}

fn stages(network: &str, results: &[(Mode, Compiled)]) -> Vec<Stage> {
    let mut stages = Vec::new();
    for (mode, compiled) in results {
        for emitted in &compiled.emitted {
            let mode = word(*mode);
            let file = match emitted.name.as_str() {
                name @ ("ast" | "model") => format!("{network}.{name}.txt"),
                name if name.starts_with("ir") => format!("{network}.{mode}.{name}.snnir"),
                "asm" => format!("{network}.{mode}.s"),
                name @ "report" => format!("{network}.{mode}.{name}.txt"),
                name => format!("{network}.{mode}.{name}"),
            };
            stages.push(Stage { file, text: emitted.text.clone() });
        }
    }
    stages
}

fn write_stages(folder: &Path, stages: &[Stage]) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::File(format!("cannot create {}: {error}", folder.display())))?;
    for stage in stages {
        let path = folder.join(&stage.file);
        output::file(&path, stage.text.as_bytes())?;
        output::note(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// What one mode came to, in a line.
fn line(network: &str, mode: Mode, compiled: &Compiled) -> String {
    let code: usize = compiled.kernels.iter().map(|kernel| kernel.code_bytes).sum();
    let arena = &compiled.executable.plan.arena;
    format!(
        "{network} for {}: {:.2} s, {} kernels, {} KiB of machine code, {:.1} MiB + {:.2} MiB per sample",
        word(mode),
        compiled.seconds,
        compiled.kernels.len(),
        code.div_ceil(1024),
        mebibytes(arena.fixed),
        mebibytes(arena.per_sample),
    )
}

fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

fn summary(network: &str, results: &[(Mode, Compiled)], stages: &[Stage], folder: Option<&Path>) -> Value {
    let mut passes = Vec::new();
    let mut kernels = Vec::new();
    let mut modes = Vec::new();
    for (mode, compiled) in results {
        let mode = word(*mode);
        passes.extend(compiled.passes.iter().map(|pass| {
            json!({
                "mode": mode,
                "name": pass.name,
                "seconds": pass.seconds,
                "insts_before": pass.insts_before,
                "insts_after": pass.insts_after,
            })
        }));
        kernels.extend(compiled.kernels.iter().map(|kernel| {
            json!({
                "mode": mode,
                "name": kernel.name,
                "steps": kernel.steps,
                "scratch_bytes": kernel.scratch_bytes,
                "code_bytes": kernel.code_bytes,
            })
        }));
        let arena = &compiled.executable.plan.arena;
        modes.push(json!({
            "mode": mode,
            "seconds": compiled.seconds,
            "arena_fixed_bytes": arena.fixed,
            "arena_bytes_per_sample": arena.per_sample,
            "arena_level_bytes_per_sample": arena.level,
            "arena_above_bytes": arena.above,
        }));
    }
    let emitted: Vec<Value> = stages
        .iter()
        .map(|stage| match folder {
            Some(folder) => json!({"name": stage.file, "path": folder.join(&stage.file).to_string_lossy()}),
            None => json!({"name": stage.file, "text": stage.text}),
        })
        .collect();
    json!({
        "name": network,
        "seconds": results.iter().map(|(_, compiled)| compiled.seconds).sum::<f64>(),
        "passes": passes,
        "kernels": kernels,
        "modes": modes,
        "emitted": emitted,
    })
}
