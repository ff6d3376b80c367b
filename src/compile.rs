//! `snnc compile`: machine code for inference, training or both, and any stage on the way.

use crate::cli::{CompileArgs, ModeArg, OfLayer};
use crate::failure::Failure;
use crate::{model, output};
use serde_json::{Value, json};
use snnc_compiler::{Activities, Activity, Compiled, Emit, Forms, Mode, Options, check_layers};
use std::collections::BTreeMap;
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
            activities: activities(args),
            forms: forms(args),
            ..Options::new(mode)
        };
        let compiled = model::compile(&loaded, &options)?;
        check_layers(&options.activities, &compiled.executable.plan).map_err(Failure::User)?;
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

/// What is said of all layers that are not named, and of those that are: the last counts.
fn by_layer<T: Clone>(said: &[OfLayer<T>]) -> (Option<T>, BTreeMap<String, T>) {
    let (mut rest, mut layers) = (None, BTreeMap::new());
    for OfLayer { layer, value } in said {
        match layer {
            Some(layer) => drop(layers.insert(layer.clone(), value.clone())),
            None => rest = Some(value.clone()),
        }
    }
    (rest, layers)
}

/// What neurons are expected to do.
fn activities(args: &CompileArgs) -> Activities {
    let (rest, layers) = by_layer(&args.firing_rate);
    let activity = |rate: f64| Activity::of_rate(rate as f32);
    let layers = layers.into_iter().map(|(layer, rate)| (layer, activity(rate))).collect();
    Activities { rest: rest.map_or_else(Activity::default, activity), layers }
}

/// The forms that are asked for.
fn forms(args: &CompileArgs) -> Forms {
    let (rest, layers) = by_layer(&args.form);
    Forms { rest, layers }
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
