//! The run folder: what was asked for, on what machine, and how it went.
//!
//! ```text
//! runs/net/config.json          all that was asked for, the model's parameters and text included
//!          model.json           the model's parameters and text alone
//!          env.json             version, commit of the working directory, processor, threads, seed, hash of the data
//!          metrics.jsonl        one line per epoch; metrics.csv is the same as a table
//!          log.jsonl            what happened: begin, resume, epoch, warning, stop
//!          events.out.tfevents… for TensorBoard
//!          last.safetensors     what a run resumes from
//!          best.safetensors     parameters (averaged ones, where asked for) with the best test accuracy
//!          epoch-10.safetensors every so many epochs, where asked for
//! ```
//!
//! Invariant: the last checkpoint is written after all else of an epoch, so that records of a run that was killed are at
//! most ahead of it; a resumption cuts them.

use super::{Run, TrainOptions};
use crate::commit::commit;
use crate::data::Picture;
use crate::metrics::{EpochRecord, Histogram};
use crate::tensorboard::Events;
use crate::{Error, checkpoint, environment};
use serde_json::{Value, json};
use snnc_plan::Optimizer;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The checkpoint that a run resumes from.
const LAST: &str = "last.safetensors";
const BEST: &str = "best.safetensors";
const METRICS: &str = "metrics.jsonl";

/// A run folder under way.
pub(super) struct RunFolder {
    path: PathBuf,
    /// Lines of `metrics.jsonl`.
    lines: Vec<String>,
    log: File,
    events: Events,
}

impl RunFolder {
    /// Makes the folder of a run, or takes up that of the run which is resumed.
    pub fn begin(path: &Path, run: &Run<'_>) -> Result<RunFolder, Error> {
        let options = run.options;
        std::fs::create_dir_all(path).map_err(|e| Error::io(path, "create", e))?;
        let from = options.resume.as_ref().map(|file| file.parent().unwrap_or(Path::new("")));
        let in_place = from.is_some_and(|from| same(from, path));
        if !in_place && holds_run(path) {
            let help =
                format!("give another folder with `--out`, or go on with `--resume {}`", path.display());
            return Err(Error::User(format!("{} already holds a run\n  help: {help}", path.display())));
        }
        if in_place && !options.resume.as_ref().is_some_and(|file| file.ends_with(LAST)) {
            let help = "give a new folder with `--out`: the run's own goes on from its last checkpoint";
            return Err(Error::User(format!("{} would lose later epochs\n  help: {help}", path.display())));
        }
        let log = open_log(&path.join("log.jsonl"))?;
        remove_leftovers(path);
        let lines = from.map_or(Ok(Vec::new()), |from| lines(&from.join(METRICS), run.state.epoch))?;
        if let Some(from) = from.filter(|_| !in_place) {
            take_best(from, path, run.state.epoch)?;
        }
        let mut folder = RunFolder { lines, log, events: Events::create(path)?, path: path.to_path_buf() };
        folder.describe(run)?;
        folder.write_metrics()?;
        let event = if from.is_some() { "resume" } else { "begin" };
        let (epoch, step) = (run.state.epoch, run.state.step);
        folder.log(event, json!({"epoch": epoch, "step": step, "env": environment(run)}))?;
        Ok(folder)
    }

    /// The checkpoint that the run resumes from.
    pub fn last(&self) -> PathBuf {
        self.path.join(LAST)
    }

    /// The checkpoint of the best epoch.
    pub fn best(&self) -> PathBuf {
        self.path.join(BEST)
    }

    /// The checkpoint of an epoch.
    pub fn numbered(&self, epoch: usize) -> PathBuf {
        self.path.join(format!("epoch-{epoch}.safetensors"))
    }

    fn describe(&self, run: &Run<'_>) -> Result<(), Error> {
        let write = |file: &str, value: &Value| {
            checkpoint::write_atomically(&self.path.join(file), format!("{value:#}\n").as_bytes())
        };
        write("config.json", &config(run)?)?;
        write("env.json", &environment(run))?;
        match &run.options.model {
            Value::Null => Ok(()),
            model => write("model.json", model),
        }
    }

    /// Adds an epoch to all records.
    pub fn record(
        &mut self,
        record: &EpochRecord,
        neurons: &[(String, Histogram)],
        warnings: &[String],
    ) -> Result<(), Error> {
        let value = serde_json::to_value(record).map_err(|e| Error::Internal(e.to_string()))?;
        self.lines.push(serde_json::to_string(record).map_err(|e| Error::Internal(e.to_string()))?);
        self.write_metrics()?;
        self.log("epoch", value)?;
        warnings
            .iter()
            .try_for_each(|text| self.log("warning", json!({"epoch": record.epoch, "text": text})))?;
        let histograms: Vec<_> =
            neurons.iter().map(|(layer, spread)| (format!("neuron_rates/{layer}"), spread.clone())).collect();
        self.events.add(record.epoch as u64, &scalars(record), &histograms)
    }

    /// Adds a picture of the first batch, as the network sees it, to what TensorBoard shows.
    pub fn picture(&mut self, picture: &Picture) -> Result<(), Error> {
        self.events.add_picture(0, "samples/first_batch", picture)
    }

    /// Adds a line to what happened.
    pub fn log(&mut self, event: &str, mut value: Value) -> Result<(), Error> {
        value["event"] = json!(event);
        value["time"] = json!(environment::now());
        let path = self.path.join("log.jsonl");
        self.log.write_all(format!("{value}\n").as_bytes()).map_err(|e| Error::io(&path, "write", e))
    }

    fn write_metrics(&self) -> Result<(), Error> {
        let path = self.path.join(METRICS);
        let text: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        checkpoint::write_atomically(&path, text.as_bytes())?;
        let records = parse(&path, &self.lines)?;
        checkpoint::write_atomically(&self.path.join("metrics.csv"), table(&records).as_bytes())
    }
}

/// The records of a run folder, an epoch each.
///
/// # Errors
/// [`Error::Io`]; [`Error::Data`] where a line is no record.
pub fn read_records(folder: &Path) -> Result<Vec<EpochRecord>, Error> {
    let path = folder.join(METRICS);
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, "read", e))?;
    parse(&path, &text.lines().map(str::to_string).collect::<Vec<_>>())
}

fn parse(path: &Path, lines: &[String]) -> Result<Vec<EpochRecord>, Error> {
    let record = |(at, line): (usize, &String)| {
        let bad =
            |e| Error::Data(format!("{}, line {}: not the record of an epoch: {e}", path.display(), at + 1));
        serde_json::from_str(line).map_err(bad)
    };
    lines.iter().enumerate().map(record).collect()
}

/// Whether two paths are one folder.
fn same(a: &Path, b: &Path) -> bool {
    let full =
        |path: &Path| if path == Path::new("") { Path::new(".").canonicalize() } else { path.canonicalize() };
    matches!((full(a), full(b)), (Ok(a), Ok(b)) if a == b)
}

/// Whether a folder has something that a run would lose. One that was killed before its first checkpoint has nothing.
fn holds_run(path: &Path) -> bool {
    let filled = |file: &str| std::fs::metadata(path.join(file)).is_ok_and(|found| found.len() > 0);
    [LAST, BEST, METRICS].into_iter().any(filled)
}

/// Files that a run which was killed had not yet renamed.
fn remove_leftovers(path: &Path) {
    let Ok(entries) = std::fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') && name.ends_with(checkpoint::TEMPORARY) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The first `count` lines of a run's records; none where there is no such file.
fn lines(path: &Path, count: usize) -> Result<Vec<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().take(count).map(str::to_string).collect()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::io(path, "read", e)),
    }
}

/// Takes over the best checkpoint of the run that this one branches off from, if it is of an epoch that they share.
fn take_best(from: &Path, to: &Path, epoch: usize) -> Result<(), Error> {
    let best = from.join(BEST);
    if !best.exists() || checkpoint::read_metadata(&best)?["epoch"].as_u64() > Some(epoch as u64) {
        return Ok(());
    }
    let bytes = std::fs::read(&best).map_err(|e| Error::io(&best, "read", e))?;
    checkpoint::write_atomically(&to.join(BEST), &bytes)
}

/// Opens the log to add lines, for this process alone; a line that a killed run left unfinished is ended.
fn open_log(path: &Path) -> Result<File, Error> {
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(path)
        .map_err(|e| Error::io(path, "create", e))?;
    // The system gives the lock back when the process ends, however it ends. Not every file system has locks.
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        let folder = path.parent().unwrap_or(path).display();
        let help = "wait for it, stop it, or give another folder with `--out`";
        return Err(Error::User(format!("another process is at work on {folder}\n  help: {help}")));
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(|e| Error::io(path, "read", e))?;
    if text.last().is_some_and(|&last| last != b'\n') {
        file.write_all(b"\n").map_err(|e| Error::io(path, "write", e))?;
    }
    Ok(file)
}

/// The records as a table, a column for each layer's firing rate at the end.
fn table(records: &[EpochRecord]) -> String {
    let mut text = "epoch,lr,train_loss,train_accuracy,test_loss,test_accuracy,test_top5,best,grad_norm,firing_rate_min,\
                    firing_rate_mean,firing_rate_max,images_per_second,seconds,data_seconds,forward_seconds,\
                    backward_seconds,update_seconds,resident_bytes"
        .to_string();
    let layers: Vec<&String> =
        records.first().map_or(vec![], |r| r.firing_rates.0.iter().map(|(l, _)| l).collect());
    layers.iter().for_each(|layer| text += &format!(",rate:{layer}"));
    text.push('\n');
    for r in records {
        let (low, mean, high) = r.firing_rates.summary().unwrap_or_default();
        let numbers = [r.train_loss, r.train_accuracy, r.test_loss, r.test_accuracy, r.test_top5];
        text += &format!("{},{}", r.epoch, r.lr);
        numbers.iter().for_each(|v| text += &format!(",{v}"));
        text += &format!(",{},{},{low},{mean},{high}", u8::from(r.best), r.grad_norm);
        let t = r.times;
        let seconds = [r.images_per_second, r.seconds, t.data, t.forward, t.backward, t.update];
        seconds.iter().for_each(|v| text += &format!(",{v}"));
        text += &format!(",{}", r.resident_bytes.map_or_else(String::new, |bytes| bytes.to_string()));
        r.firing_rates.0.iter().for_each(|(_, rate)| text += &format!(",{rate}"));
        text.push('\n');
    }
    text
}

/// What TensorBoard shows of an epoch.
fn scalars(record: &EpochRecord) -> Vec<(String, f64)> {
    let r = record;
    let named = [
        ("loss/train", r.train_loss),
        ("loss/test", r.test_loss),
        ("accuracy/train", r.train_accuracy),
        ("accuracy/test", r.test_accuracy),
        ("accuracy/test_top5", r.test_top5),
        ("lr", r.lr),
        ("grad_norm", r.grad_norm),
        ("images_per_second", r.images_per_second),
    ];
    let rates = r.firing_rates.0.iter().map(|(layer, rate)| (format!("firing_rate/{layer}"), *rate));
    named.into_iter().map(|(tag, value)| (tag.to_string(), value)).chain(rates).collect()
}

/// What `env.json` says.
fn environment(run: &Run<'_>) -> Value {
    let mut all = environment::machine();
    // Of the folder that the command runs in: its models, and the program itself where it was built there.
    all["commit"] = json!(commit(Path::new(".")));
    all["threads"] = json!(run.train.threads());
    all["seed"] = json!(run.options.seed);
    all["data"] = json!(run.data.name);
    all["data_hash"] = json!(run.fingerprint);
    all
}

/// What `config.json` says.
fn config(run: &Run<'_>) -> Result<Value, Error> {
    let (plan, options, recipe): (_, &TrainOptions, _) = (run.train.plan(), run.options, &run.options.recipe);
    let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "model": plan.name,
        "timesteps": plan.timesteps,
        "parameters": plan.parameters(),
        "data": run.data.name,
        "train_samples": options.samples(run.data.train.len()),
        "test_samples": options.test_limit.unwrap_or(usize::MAX).min(run.data.test.len()),
        "loss": recipe.loss,
        "optimizer": optimizer_json(recipe.optimizer),
        "clip_norm": recipe.clip_norm,
        "ema": recipe.ema,
        "decay": format!("{:?}", options.decay),
        "schedule": format!("{:?}", recipe.schedule),
        "warmup": recipe.warmup,
        "epochs": recipe.epochs,
        "batch": recipe.batch,
        "init": format!("{:?}", recipe.init),
        "augment": snnc_plan::augment_text(&recipe.augment),
        "seed": options.seed,
        "from": text(&options.from),
        "resume": text(&options.resume),
        "threads": run.train.threads(),
        "peak_bytes": run.budget()?.total(),
        "settings": options.settings,
        "source": options.model,
    }))
}

fn optimizer_json(optimizer: Optimizer) -> Value {
    match optimizer {
        Optimizer::Sgd { lr, momentum, nesterov, weight_decay } => {
            json!({"sgd": {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}})
        }
        Optimizer::Adam { lr, beta1, beta2, eps, weight_decay, decoupled } => {
            let name = if decoupled { "adamw" } else { "adam" };
            json!({name: {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}})
        }
    }
}
