//! Which run `--resume` means, and what that run was asked for.

use crate::cli::TrainArgs;
use crate::failure::Failure;
use crate::output;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The checkpoint in a run's folder that it goes on from.
const LAST: &str = "last.safetensors";

/// A run to go on with.
pub struct Earlier {
    /// The run's folder.
    pub folder: PathBuf,
    /// The checkpoint; none where the run was killed before its first.
    pub checkpoint: Option<PathBuf>,
    /// Its `config.json`; null where there is none.
    pub config: Value,
}

/// The run that `named` means: `auto` is the newest of a model's, and none where there is none.
pub fn find(named: &Path, model: &str, out: Option<&Path>) -> Result<Option<Earlier>, Failure> {
    if named != Path::new("auto") {
        return Ok(Some(explicit(named)?));
    }
    let folder = match out {
        Some(out) => Some(out.to_path_buf()),
        None => newest(model),
    };
    match folder.filter(|folder| folder.join(LAST).is_file()) {
        Some(folder) => Ok(Some(explicit(&folder)?)),
        None => {
            output::note("there is no run to resume: a new one begins");
            Ok(None)
        }
    }
}

fn explicit(named: &Path) -> Result<Earlier, Failure> {
    let (folder, checkpoint) = if named.is_dir() {
        (named.to_path_buf(), named.join(LAST))
    } else {
        (named.parent().unwrap_or(Path::new("")).to_path_buf(), named.to_path_buf())
    };
    let config = match std::fs::read_to_string(folder.join("config.json")) {
        Ok(text) => serde_json::from_str(&text).unwrap_or(Value::Null),
        Err(_) => Value::Null,
    };
    if checkpoint.is_file() {
        return Ok(Earlier { folder, checkpoint: Some(checkpoint), config });
    }
    if named.is_dir() && config != Value::Null {
        return Ok(Earlier { folder, checkpoint: None, config });
    }
    let help = "give the folder of a run, its last.safetensors, or `auto`";
    Err(Failure::File(format!("{} holds no run to resume\n  help: {help}", named.display())))
}

/// The folder among `runs/<name>`, `runs/<name>-2`, … whose checkpoint is the newest.
fn newest(model: &str) -> Option<PathBuf> {
    let is_ours = |name: &str| {
        let rest = name.strip_prefix(model);
        rest.is_some_and(|rest| {
            let number = rest.strip_prefix('-').unwrap_or_default();
            rest.is_empty() || (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
        })
    };
    let written = |folder: &Path| std::fs::metadata(folder.join(LAST)).and_then(|found| found.modified());
    let entries = std::fs::read_dir("runs").ok()?.flatten();
    entries
        .filter(|entry| is_ours(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .filter_map(|folder| Some((written(&folder).ok()?, folder)))
        .max_by_key(|(time, _): &(SystemTime, PathBuf)| *time)
        .map(|(_, folder)| folder)
}

/// What the command was asked for, as `config.json` keeps it.
pub fn settings(args: &TrainArgs) -> Value {
    let params: serde_json::Map<_, _> =
        args.model.define.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let mut settings = json!({
        "data": args.data,
        "epochs": args.epochs,
        "batch": args.batch,
        "lr": args.lr,
        "seed": args.seed.unwrap_or(0),
        "limit": args.limit,
        "test_limit": args.test_limit,
        "save_every": args.save_every,
        "memory": args.memory,
        "params": params,
    });
    args.products.settings().into_iter().for_each(|(name, value)| settings[name] = value);
    settings
}

/// The arguments, and where they are silent, what the run was asked for.
pub fn merged(args: &TrainArgs, config: &Value) -> TrainArgs {
    let kept = &config["settings"];
    let number = |key: &str| kept[key].as_u64().and_then(|n| u32::try_from(n).ok());
    let mut all = args.clone();
    all.data = all.data.or_else(|| kept["data"].as_str().map(str::to_owned));
    all.epochs = all.epochs.or_else(|| number("epochs"));
    all.batch = all.batch.or_else(|| number("batch"));
    all.lr = all.lr.or_else(|| kept["lr"].as_f64());
    all.seed = all.seed.or_else(|| kept["seed"].as_u64());
    all.limit = all.limit.or_else(|| number("limit"));
    all.test_limit = all.test_limit.or_else(|| number("test_limit"));
    all.save_every = all.save_every.or_else(|| number("save_every"));
    all.memory = all.memory.or_else(|| kept["memory"].as_u64());
    all.products.merge(kept);
    for (name, value) in kept["params"].as_object().into_iter().flatten() {
        let is_given = args.model.define.iter().any(|(given, _)| given == name);
        if let (false, Some(value)) = (is_given, value.as_str()) {
            all.model.define.push((name.clone(), value.to_owned()));
        }
    }
    // The order in which parameters were given means nothing.
    all.model.define.sort();
    all
}
