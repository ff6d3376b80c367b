//! `snnc train`: from a model and a data set to weights.

use crate::cli::TrainArgs;
use crate::failure::Failure;
use crate::model::{self, Loaded};
use crate::resume::{self, Earlier};
use crate::{output, signals};
use serde_json::{Value, json};
use snnc_compiler::front::Kind;
use snnc_compiler::plan::{Augment, Executable, Normalization, Plan, Recipe};
use snnc_compiler::{Activities, Memory, Mode, Options};
use snnc_runtime::data::{self, Dataset, Request, Split};
use snnc_runtime::{
    Asked, Budget, DryRun, Error, Session, Times, TrainOptions, TrainReport, measured, memory, progress,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Trains and reports.
pub fn run(args: &TrainArgs, as_json: bool) -> Result<(), Failure> {
    let start = Instant::now();
    let stop = signals::stop_flag()?;
    let (args, loaded, earlier) = load(args)?;
    let data = open_data(&loaded, args.data.as_deref())?;
    let expected = activities(&args, earlier.as_ref())?;
    let (train, infer, planned) = code(&loaded, &args, &data, &expected)?;
    let batches = batches(&recipe(&train.plan.recipe, &args), &args, &data);
    let mut train = Session::new(train, batches.0, args.threads.count())?;
    let mut infer = Session::new(infer, batches.1, args.threads.count())?;
    let options = options(&args, &loaded, &train, earlier.as_ref());
    if args.dry_run {
        let found = snnc_runtime::dry_run(&mut train, &infer, &data, &options)?;
        return if as_json { output::json(&json!(found)) } else { output::text(&estimate(&found, &options)) };
    }
    let out = options.out.clone().unwrap_or_default();
    output::note(&format!(
        "{}: {} parameters; {}: {} + {} samples; {} threads; {:.0} MiB of memory; run in {}",
        loaded.model.name,
        loaded.model.parameters,
        data.name,
        limit(args.limit).unwrap_or(usize::MAX).min(data.train.len()),
        limit(args.test_limit).unwrap_or(usize::MAX).min(data.test.len()),
        train.threads(),
        mebibytes(planned.total()),
        out.display()
    ));
    let mut progress = progress::for_run(stop, Duration::from_secs(args.log_seconds.into()));
    let recompile = &mut |found: &Activities| recompiled(&loaded, &args, &data, found);
    let result =
        snnc_runtime::train_guided(&mut train, &mut infer, &data, &options, recompile, progress.as_mut());
    if let Err(Error::Interrupted) = &result {
        let (file, out) = (args.model.file.display(), out.display());
        output::note(&format!("stopped; go on with `snnc train {file} --resume {out}`"));
    }
    let report = result?;
    if report.history.is_empty() {
        let epochs = report.epochs;
        output::note(&format!("the run had its {epochs} epochs: give `--epochs` with more to go on"));
    }
    let seconds = start.elapsed().as_secs_f64();
    if as_json {
        output::json(&summary(&report, seconds, &out))
    } else {
        output::text(&text(&report, seconds, &out))
    }
}

/// The arguments with those of an earlier run, the model, and that run.
fn load(args: &TrainArgs) -> Result<(TrainArgs, Loaded, Option<Earlier>), Failure> {
    let Some(named) = &args.resume else { return Ok((args.clone(), model::load(&args.model)?, None)) };
    let loaded = model::load(&args.model)?;
    let Some(earlier) = resume::find(named, &loaded.model.name, args.out.as_deref())? else {
        return Ok((args.clone(), loaded, None));
    };
    let merged = resume::merged(args, &earlier.config);
    let loaded = if merged.model.define == args.model.define { loaded } else { model::load(&merged.model)? };
    let (kept, now) = (&earlier.config["source"]["sources"], &source(&loaded)["sources"]);
    let texts = |value: &Value| value.as_object().map(|all| all.values().cloned().collect::<Vec<_>>());
    if kept.is_object() && texts(kept) != texts(now) {
        output::note("warning: the model's text is not that of the run: what follows is another run");
    }
    Ok((merged, loaded, Some(earlier)))
}

/// The data set the command names, or the model's own; with values from 0 to 1 where the model encodes its input.
pub fn open_data(loaded: &Loaded, named: Option<&str>) -> Result<Dataset, Failure> {
    match named.or(loaded.model.recipe.data.as_deref()) {
        Some(name) => {
            let request = request(loaded);
            encodes_plain_values(loaded, &request)?;
            let data = data::open_for(name, &request)?;
            Ok(if loaded.model.input.encoder.is_some() { data.unnormalised() } else { data })
        }
        None => Err(Failure::User(format!(
            "the model {} names no data set\n  help: give one, as `--data digits` or `--data FOLDER`",
            loaded.model.name
        ))),
    }
}

/// An encoder takes values from 0 to 1: a `normalize` before it would be a mistake.
fn encodes_plain_values(loaded: &Loaded, request: &Request) -> Result<(), Failure> {
    let Some(encoder) = loaded.model.input.encoder else { return Ok(()) };
    let plain = |op: &Augment| !matches!(op, Augment::Normalize(by) if *by != Normalization::None);
    if request.augment.iter().all(plain) {
        return Ok(());
    }
    let text = format!("`normalize` stands before the encoder {encoder}, which takes values from 0 to 1");
    Err(Failure::User(format!("{text}\n  help: take `normalize` out of `augment`")))
}

/// What the model asks of its samples.
pub fn request(loaded: &Loaded) -> Request {
    let (model, input) = (&loaded.model, &loaded.model.input);
    // An encoder takes real numbers, and makes the time axis itself unless it reads changes over time.
    let time = input.encoder.map_or(input.time, |encoder| encoder.takes_time());
    let steps = time.then_some(model.timesteps);
    Request {
        shape: Some(steps.into_iter().chain(input.shape.dims()).collect()),
        spikes: input.encoder.is_none() && input.kind == Kind::Spikes,
        frames: None,
        augment: snnc_compiler::recipe_of(&model.recipe).augment,
    }
}

/// A limit as the runtime has it.
pub fn limit(limit: Option<u32>) -> Option<usize> {
    limit.map(|n| n as usize)
}

/// The code that trains and that evaluates, once it is known that both fit into the memory, with what they take. Where a
/// limit is given, as much lives on to the backward part as it allows.
fn code(
    loaded: &Loaded,
    args: &TrainArgs,
    data: &Dataset,
    activities: &Activities,
) -> Result<(Executable, Executable, Budget), Failure> {
    let recipe = recipe(&snnc_compiler::recipe_of(&loaded.model.recipe), args);
    let (batches, threads, data_bytes) = (batches(&recipe, args, data), args.threads.count(), data.bytes());
    let options = |mode, memory| Options {
        batch: Some(if mode == Mode::Train { batches.0 } else { batches.1 }),
        activities: activities.clone(),
        forms: args.products.forms(),
        hands_gradients: model::hands_gradients(loaded),
        memory,
        ..Options::new(mode)
    };
    let mut train = model::compile(loaded, &options(Mode::Train, Memory::Least))?.executable;
    args.products.check(&train.plan)?;
    let infer = model::compile(loaded, &options(Mode::Infer, Memory::Least))?.executable;
    let budget = |train: &Plan| {
        let asked = Asked { plans: (train, &infer.plan), recipe: &recipe, batches, threads, data_bytes };
        Budget::refuse_too_large(&asked, args.memory)
    };
    let mut planned = budget(&train.plan)?;
    if let Some(limit) = args.memory {
        let most = planned.arena(&train.plan, batches.0, limit);
        train = model::compile(loaded, &options(Mode::Train, Memory::Within(most)))?.executable;
        planned = budget(&train.plan)?;
    }
    Ok((train, infer, planned))
}

/// The largest batches of training and evaluation.
fn batches(recipe: &Recipe, args: &TrainArgs, data: &Dataset) -> (usize, usize) {
    let fitting = |most: Option<u32>, split: &Split| {
        recipe.batch.min(limit(most).unwrap_or(usize::MAX)).min(split.len()).max(1)
    };
    (fitting(args.limit, &data.train), fitting(args.test_limit, &data.test))
}

/// What the neurons are expected to do: as the command says, or as the run has measured.
fn activities(args: &TrainArgs, earlier: Option<&Earlier>) -> Result<Activities, Failure> {
    let checkpoint = earlier.and_then(|earlier| earlier.checkpoint.as_ref());
    let measured = match checkpoint {
        Some(checkpoint) if !args.products.tell_activities() => measured(checkpoint)?,
        _ => None,
    };
    Ok(measured.unwrap_or_else(|| args.products.activities()))
}

/// The code for what the first epoch has measured, where the command does not say what neurons do.
fn recompiled(
    loaded: &Loaded,
    args: &TrainArgs,
    data: &Dataset,
    measured: &Activities,
) -> Result<Option<(Executable, Executable)>, Error> {
    if args.products.tell_activities() {
        return Ok(None);
    }
    match code(loaded, args, data, measured) {
        Ok((train, infer, _)) => Ok(Some((train, infer))),
        // What there is fits.
        Err(Failure::Runtime(Error::Memory { .. })) => Ok(None),
        Err(Failure::Runtime(error)) => Err(error),
        Err(Failure::Model(what) | Failure::User(what) | Failure::File(what) | Failure::Internal(what)) => {
            Err(Error::Internal(what))
        }
    }
}

fn options(args: &TrainArgs, loaded: &Loaded, train: &Session, earlier: Option<&Earlier>) -> TrainOptions {
    let out = args.out.clone().or_else(|| earlier.map(|earlier| earlier.folder.clone()));
    TrainOptions {
        seed: args.seed.unwrap_or(0),
        limit: limit(args.limit),
        test_limit: limit(args.test_limit),
        out: Some(out.unwrap_or_else(|| free_folder(&loaded.model.name))),
        from: args.from.clone(),
        resume: earlier.and_then(|earlier| earlier.checkpoint.clone()),
        stop_after: limit(args.stop_after),
        save_every: limit(args.save_every),
        save_pause: Duration::from_secs(u64::from(args.save_minutes) * 60),
        settings: resume::settings(args),
        model: source(loaded),
        ..TrainOptions::of(&recipe(&train.plan().recipe, args))
    }
}

/// The model's recipe with what the command overrides.
fn recipe(of_model: &Recipe, args: &TrainArgs) -> Recipe {
    let mut recipe = of_model.clone();
    recipe.epochs = limit(args.epochs).unwrap_or(recipe.epochs);
    recipe.batch = limit(args.batch).unwrap_or(recipe.batch);
    recipe.optimizer.set_lr(args.lr.unwrap_or(recipe.optimizer.lr()));
    recipe
}

/// What the weights belong to: the parameters and the text of every file.
fn source(loaded: &Loaded) -> Value {
    let pairs = |all: &mut dyn Iterator<Item = (&str, &str)>| {
        all.map(|(name, text)| (name.to_owned(), json!(text))).collect::<serde_json::Map<_, _>>()
    };
    let params = pairs(&mut loaded.model.params.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let files = loaded.sources.files().iter();
    let sources = pairs(&mut files.map(|file| (file.name.as_str(), file.text.as_str())));
    json!({"name": loaded.model.name, "entry": loaded.entry, "params": params, "sources": sources})
}

/// `runs/<name>`, with a number where that is taken.
fn free_folder(name: &str) -> PathBuf {
    let base = Path::new("runs").join(name);
    let numbered = (2u32..).map(|n| Path::new("runs").join(format!("{name}-{n}")));
    std::iter::once(base.clone()).chain(numbered).find(|folder| !folder.exists()).unwrap_or(base)
}

fn summary(report: &TrainReport, seconds: f64, out: &Path) -> Value {
    json!({
        "test_accuracy": report.last.test_accuracy,
        "test_top5": report.last.test_top5,
        "test_loss": report.last.test_loss,
        "samples": report.last.samples,
        "images_per_second": report.train_images_per_second,
        "peak_bytes": report.train_peak_bytes,
        "resident_bytes": memory::resident(),
        "firing_rates": report.last.firing_rates,
        "best_accuracy": report.best_accuracy,
        "epochs": report.epochs,
        "seconds": seconds,
        "out": out.to_string_lossy(),
        "history": report.history,
        "warnings": report.warnings,
    })
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn text(report: &TrainReport, seconds: f64, out: &Path) -> String {
    let times = report.history.iter().fold(Times::default(), |all, record| all + record.times);
    format!(
        "{} epochs in {seconds:.1} s, {:.0} images/s, {:.1} MiB, weights in {}\ntime of training: {}\ntest accuracy {:.2} % (loss {:.4}, {} samples)\n",
        report.epochs,
        report.train_images_per_second,
        mebibytes(report.train_peak_bytes),
        out.join("last.safetensors").display(),
        times.split(),
        report.last.test_accuracy * 100.0,
        report.last.test_loss,
        report.last.samples,
    )
}

/// What a dry run found.
fn estimate(found: &DryRun, options: &TrainOptions) -> String {
    let (memory, step) = (&found.memory, &found.step_seconds);
    let whole = step.data + step.forward + step.backward + step.update;
    let available =
        found.available_bytes.map_or_else(|| "unknown".to_owned(), |b| format!("{:.1} MiB", mebibytes(b)));
    let rate =
        found.firing_rate.map_or_else(String::new, |rate| format!(", firing rate {:.1} %", rate * 100.0));
    format!(
        "memory  {:.1} MiB: training {:.1}, test {:.1}, optimiser {:.1}, batches {:.1}, data {:.1}, process {:.1}; \
         available {available}\n\
         step    {:.1} ms for {} samples, {:.1} images/s: {}\n\
         time    {} an epoch of {} steps, {} for {} epochs, tests not counted\n\
         loss    {:.4}, norm of the gradients {:.4}{rate}\n",
        mebibytes(found.peak_bytes),
        mebibytes(memory.train_bytes),
        mebibytes(memory.test_bytes),
        mebibytes(memory.optimizer_bytes),
        mebibytes(memory.loader_bytes),
        mebibytes(memory.data_bytes),
        mebibytes(memory.process_bytes),
        whole * 1e3,
        found.batch,
        found.batch as f64 / whole.max(1e-9),
        step.split(),
        progress::duration(found.epoch_seconds),
        found.steps,
        progress::duration(found.run_seconds),
        options.recipe.epochs,
        found.loss,
        found.grad_norm,
    )
}
