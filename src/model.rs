//! From the arguments to a checked model, and from there to machine code.

use crate::cli::ModelArgs;
use crate::failure::Failure;
use crate::{output, panic};
use snnc_compiler::front::{self, Model, SourceMap};
use snnc_compiler::{CompileError, Compiled, Mode, Options};
use snnc_runtime::data::Dataset;
use snnc_runtime::{Session, measured};
use std::io::Read;
use std::path::Path;

/// A model with the sources it came from.
pub struct Loaded {
    /// The files.
    pub sources: SourceMap,
    /// The entry's name in them.
    pub entry: String,
    /// The model.
    pub model: Model,
}

/// Reads and checks the model; warnings go to stderr.
pub fn load(args: &ModelArgs) -> Result<Loaded, Failure> {
    let entry = args.file.to_string_lossy().into_owned();
    let sources = SourceMap::load(&entry, &mut |name| read(Path::new(name)));
    if let Some(reason) = sources.failure(&entry) {
        return Err(Failure::File(format!("cannot read {}: {reason}", args.file.display())));
    }
    panic::remember_input(sources.files().iter().map(|file| file.text.as_str()));
    match front::analyze(&sources, &entry, &args.define) {
        Ok(model) => {
            let warnings = front::render(&sources, &model.warnings, stderr_has_color());
            if !warnings.is_empty() {
                output::note(warnings.trim_end());
            }
            Ok(Loaded { sources, entry, model })
        }
        Err(diagnostics) => {
            let count = diagnostics.iter().filter(|d| d.severity == front::Severity::Error).count();
            let mut text = front::render(&sources, &diagnostics, stderr_has_color());
            let errors = if count == 1 { "1 error".to_owned() } else { format!("{count} errors") };
            text.push_str(&format!("{}: {errors}\n", args.file.display()));
            Err(Failure::Model(text))
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let too_large = |len: u64| len > front::source::MAX_FILE as u64;
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.is_file() && too_large(metadata.len()) {
        return Err(format!(
            "it has {} bytes; a model has at most {}",
            metadata.len(),
            front::source::MAX_FILE
        ));
    }
    // A device may have no end.
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(front::source::MAX_FILE as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if too_large(bytes.len() as u64) {
        return Err(format!("a model has at most {} bytes", front::source::MAX_FILE));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// Whether diagnostics are coloured.
fn stderr_has_color() -> bool {
    anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

/// Whether training hands each gradient to the optimiser within the backward pass. Those that are clipped together must all
/// be there.
pub fn hands_gradients(loaded: &Loaded) -> bool {
    snnc_compiler::recipe_of(&loaded.model.recipe).clip_norm.is_none()
}

/// Compiles for one mode.
pub fn compile(loaded: &Loaded, options: &Options) -> Result<Compiled, Failure> {
    let result = snnc_compiler::compile(&loaded.model, &loaded.sources, &loaded.entry, options);
    result.map_err(|error| match error {
        CompileError::Diagnostics(diagnostics) => {
            Failure::Model(front::render(&loaded.sources, &diagnostics, stderr_has_color()))
        }
        CompileError::Options(what) => Failure::User(what),
        CompileError::Internal(what) => Failure::Internal(what),
    })
}

/// A mode's machine code with the memory for batches of up to `batch` samples; the model's own size for `None`,
/// and never more than `samples`.
pub fn session(
    loaded: &Loaded,
    mode: Mode,
    batch: Option<usize>,
    samples: usize,
    threads: usize,
) -> Result<Session, Failure> {
    session_with(loaded, &Options::new(mode), batch, samples, threads)
}

/// As [`session`], for what the neurons of a checkpoint were measured to do.
pub fn session_of(
    loaded: &Loaded,
    (mode, weights): (Mode, &Path),
    batch: Option<usize>,
    samples: usize,
    threads: usize,
) -> Result<Session, Failure> {
    session_with(loaded, &options_of(mode, weights), batch, samples, threads)
}

/// Options for the weights of a checkpoint. A file that cannot be read is told of where its weights are loaded.
pub fn options_of(mode: Mode, weights: &Path) -> Options {
    let activities = measured(weights).ok().flatten().unwrap_or_default();
    Options { activities, ..Options::new(mode) }
}

/// As [`session`], compiled with these options.
pub fn session_with(
    loaded: &Loaded,
    options: &Options,
    batch: Option<usize>,
    samples: usize,
    threads: usize,
) -> Result<Session, Failure> {
    let compiled = compile(loaded, options)?;
    let batch = batch.unwrap_or(loaded.model.recipe.batch).min(samples).max(1);
    Ok(Session::new(compiled.executable, batch, threads)?)
}

/// Whether a data set's samples and classes are the model's.
pub fn fits(data: &Dataset, session: &Session) -> Result<(), Failure> {
    let plan = session.plan();
    let input = &plan.inputs[0];
    let (name, model) = (&data.name, &plan.name);
    if data.shape != input.shape {
        let (found, wanted) = (&data.shape, &input.shape);
        return Err(Failure::User(format!(
            "data set {name} has samples of shape {found:?}, the input of {model} has {wanted:?}"
        )));
    }
    if data.classes > plan.classes {
        let (found, wanted) = (data.classes, plan.classes);
        return Err(Failure::User(format!("data set {name} has {found} classes, {model} has {wanted}")));
    }
    Ok(())
}
