//! From a model's file to a session that can run, and comparison of numbers.

#![allow(dead_code)] // Each test uses a part of it.

use snnc_compiler::front::{Model, SourceMap, analyze, render};
use snnc_compiler::{Compiled, Emit, Mode, Options, compile};
use snnc_runtime::Session;
use std::path::Path;

/// A file of this repository as a checked model.
pub fn model(path: &str, defines: &[(&str, &str)]) -> (Model, SourceMap) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = &mut |name: &str| std::fs::read_to_string(root.join(name)).map_err(|e| e.to_string());
    let sources = SourceMap::load(path, read);
    let defines: Vec<(String, String)> =
        defines.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    match analyze(&sources, path, &defines) {
        Ok(model) => (model, sources),
        Err(faults) => panic!("{path}:\n{}", render(&sources, &faults, false)),
    }
}

/// The text of a model, compiled for a mode, with memory and threads for `batch` samples.
pub fn session_of(text: &str, mode: Mode, batch: usize) -> Session {
    let sources = SourceMap::single("inline.snn", text);
    let model = match analyze(&sources, "inline.snn", &[]) {
        Ok(model) => model,
        Err(faults) => panic!("{}", render(&sources, &faults, false)),
    };
    let compiled = compile(&model, &sources, "inline.snn", &Options::new(mode)).expect("it compiles");
    Session::new(compiled.executable, batch, 0).expect("it fits")
}

/// The model compiled for a mode, with stages to look at.
pub fn compiled(path: &str, defines: &[(&str, &str)], mode: Mode, emit: &[Emit]) -> Compiled {
    let (model, sources) = model(path, defines);
    let options = Options { emit: emit.to_vec(), ..Options::new(mode) };
    compile(&model, &sources, path, &options).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A session of the model for batches up to `batch`.
pub fn session(path: &str, defines: &[(&str, &str)], mode: Mode, batch: usize) -> Session {
    let compiled = compiled(path, defines, mode, &[]);
    Session::new(compiled.executable, batch, 2).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A session of a repository's file with some of its text, or of the files it includes, replaced.
pub fn session_with(
    path: &str,
    defines: &[(&str, &str)],
    changes: &[(&str, &str)],
    mode: Mode,
    batch: usize,
) -> Session {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing: Vec<&str> = changes.iter().map(|(old, _)| *old).collect();
    let read = &mut |name: &str| {
        let mut text = std::fs::read_to_string(root.join(name)).map_err(|e| e.to_string())?;
        for (old, new) in changes {
            missing.retain(|other| other != old || !text.contains(old));
            text = text.replace(old, new);
        }
        Ok(text)
    };
    let sources = SourceMap::load(path, read);
    assert!(missing.is_empty(), "{path} has no {missing:?}");
    let defines: Vec<_> = defines.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    let model =
        analyze(&sources, path, &defines).unwrap_or_else(|f| panic!("{}", render(&sources, &f, false)));
    let compiled =
        compile(&model, &sources, path, &Options::new(mode)).unwrap_or_else(|e| panic!("{path}: {e}"));
    Session::new(compiled.executable, batch, 2).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Fails unless `found` is within `tolerance` of `expected`, relative to the largest expected value.
pub fn close(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}: other length");
    let scale = expected.iter().fold(1e-3f32, |top, v| top.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * scale, "{what}[{i}]: {a} instead of {b} (scale {scale})");
    }
}
