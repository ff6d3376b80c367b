//! `snnc train`: from a model and a data set to weights.

use crate::cli::TrainArgs;
use crate::failure::Failure;
use crate::model::{self, Loaded};
use crate::output;
use serde_json::json;
use snnc_compiler::Mode;
use snnc_compiler::front::Kind;
use snnc_compiler::plan::Recipe;
use snnc_runtime::data::{self, Dataset, Request};
use snnc_runtime::{TrainOptions, TrainReport, progress};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Trains and reports.
pub fn run(args: &TrainArgs, as_json: bool) -> Result<(), Failure> {
    let start = Instant::now();
    let loaded = model::load(&args.model)?;
    let data = open_data(&loaded, args.data.as_deref())?;
    let samples = limit(args.limit).unwrap_or(usize::MAX).min(data.train.len());
    let (batch, threads) = (limit(args.batch), args.threads.count());
    let mut train = model::session(&loaded, Mode::Train, batch, samples, threads)?;
    let mut infer = model::session(&loaded, Mode::Infer, batch, data.test.len(), threads)?;
    let out = args.out.clone().unwrap_or_else(|| free_folder(&loaded.model.name));
    output::note(&format!(
        "{}: {} parameters; {}: {samples} + {} samples; {} threads; run in {}",
        loaded.model.name,
        loaded.model.parameters,
        data.name,
        data.test.len(),
        train.threads(),
        out.display()
    ));
    let options = TrainOptions {
        seed: args.seed,
        limit: limit(args.limit),
        test_limit: limit(args.test_limit),
        out: Some(out.clone()),
        ..TrainOptions::of(&recipe(&train.plan().recipe, args))
    };
    let mut progress = progress::for_stderr();
    let report = snnc_runtime::train(&mut train, &mut infer, &data, &options, progress.as_mut())?;
    keep_model(&loaded, &out)?;
    let seconds = start.elapsed().as_secs_f64();
    if as_json {
        output::json(&summary(&report, seconds, &out))
    } else {
        output::text(&text(&report, seconds, &out))
    }
}

/// The data set the command names, or the model's own; with values from 0 to 1 where the model encodes its input.
pub fn open_data(loaded: &Loaded, named: Option<&str>) -> Result<Dataset, Failure> {
    match named.or(loaded.model.recipe.data.as_deref()) {
        Some(name) => {
            let data = data::open_for(name, &request(loaded))?;
            Ok(if loaded.model.input.encoder.is_some() { data.unnormalised() } else { data })
        }
        None => Err(Failure::User(format!(
            "the model {} names no data set\n  help: give one, as `--data digits` or `--data FOLDER`",
            loaded.model.name
        ))),
    }
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

/// The model's recipe with what the command overrides.
fn recipe(of_model: &Recipe, args: &TrainArgs) -> Recipe {
    let mut recipe = of_model.clone();
    recipe.epochs = limit(args.epochs).unwrap_or(recipe.epochs);
    recipe.batch = limit(args.batch).unwrap_or(recipe.batch);
    recipe.optimizer.set_lr(args.lr.unwrap_or(recipe.optimizer.lr()));
    recipe
}

/// Writes what the weights belong to, `model.json`: the parameters and the text of every file.
fn keep_model(loaded: &Loaded, out: &Path) -> Result<(), Failure> {
    let pairs = |all: &mut dyn Iterator<Item = (&str, &str)>| {
        all.map(|(name, text)| (name.to_owned(), json!(text))).collect::<serde_json::Map<_, _>>()
    };
    let params = pairs(&mut loaded.model.params.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let files = loaded.sources.files().iter();
    let sources = pairs(&mut files.map(|file| (file.name.as_str(), file.text.as_str())));
    let value =
        json!({"name": loaded.model.name, "entry": loaded.entry, "params": params, "sources": sources});
    output::file(&out.join("model.json"), format!("{value:#}\n").as_bytes())
}

/// `runs/<name>`, with a number where that is taken.
fn free_folder(name: &str) -> PathBuf {
    let base = Path::new("runs").join(name);
    let numbered = (2u32..).map(|n| Path::new("runs").join(format!("{name}-{n}")));
    std::iter::once(base.clone()).chain(numbered).find(|folder| !folder.exists()).unwrap_or(base)
}

fn summary(report: &TrainReport, seconds: f64, out: &Path) -> serde_json::Value {
    json!({
        "test_accuracy": report.last.test_accuracy,
        "test_loss": report.last.test_loss,
        "samples": report.last.samples,
        "images_per_second": report.train_images_per_second,
        "peak_bytes": report.train_peak_bytes,
        "firing_rates": report.last.firing_rates,
        "best_accuracy": report.best_accuracy,
        "epochs": report.epochs,
        "seconds": seconds,
        "out": out.to_string_lossy(),
        "history": report.history,
    })
}

fn text(report: &TrainReport, seconds: f64, out: &Path) -> String {
    format!(
        "{} epochs in {seconds:.1} s, {:.0} images/s, {:.1} MiB, weights in {}\ntest accuracy {:.2} % (loss {:.4}, {} samples)\n",
        report.epochs,
        report.train_images_per_second,
        report.train_peak_bytes as f64 / f64::from(1 << 20),
        out.join("last.safetensors").display(),
        report.last.test_accuracy * 100.0,
        report.last.test_loss,
        report.last.samples,
    )
}
