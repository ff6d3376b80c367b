//! Runs each pass over its cases, `tests/cases/passes/<pass>/*.snnir`, and compares before and after with the
//! snapshot that stands beside each case.

use snnc_ir::text::{parse, print};
use snnc_ir::verify::verify;
use snnc_ir::{Graph, Stage};
use snnc_passes::pipeline::{INFER, TRAIN};
use snnc_passes::{Pass, Settings, run_pipeline};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/passes").join(name)
}

/// The cases of a folder, in order of their names.
fn cases(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut cases: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "snnir")).collect();
    cases.sort();
    cases
}

fn read(case: &Path) -> Graph {
    let text = std::fs::read_to_string(case).expect("the case can be read");
    let graph = parse(&text).unwrap_or_else(|error| panic!("{}: {error}", case.display()));
    verify(&graph).unwrap_or_else(|errors| panic!("{}:\n{errors}", case.display()));
    graph
}

/// What the line `; keep NAME …` of a case names.
fn kept(case: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(case).expect("the case can be read");
    let named = text.lines().filter_map(|line| line.strip_prefix("; keep "));
    named.flat_map(str::split_whitespace).map(str::to_string).collect()
}

/// `conv2d 2 -> 0, scan 0 -> 1`: operations whose number changed, of all scans' bodies too.
fn changes(before: &Graph, after: &Graph) -> String {
    let count = |graph: &Graph| {
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        for inst in graph.all_insts() {
            *counts.entry(graph.inst(inst).op.info().mnemonic).or_default() += 1;
        }
        counts
    };
    let (old, new) = (count(before), count(after));
    let names: BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
    let number = |counts: &BTreeMap<&'static str, usize>, name: &str| counts.get(name).copied().unwrap_or(0);
    let changed = names.into_iter().filter(|name| number(&old, name) != number(&new, name));
    let rows: Vec<String> =
        changed.map(|name| format!("{name} {} -> {}", number(&old, name), number(&new, name))).collect();
    if rows.is_empty() { "none".to_string() } else { rows.join(", ") }
}

fn compare(case: &Path, before: &Graph, after: &Graph) {
    let (old, new) = (print(before), print(after));
    let body = |text: &str| text.split_once('\n').map(|(_, body)| body.to_string());
    let shown = if body(&old) == body(&new) { "; unchanged\n" } else { &new };
    let inside = |graph: &Graph| graph.all_insts().len() - graph.body.len();
    let scans = format!("inside scans {} -> {}", inside(before), inside(after));
    let text = format!("{old}\n{shown}\n; changes: {}; {scans}", changes(before, after));
    let name = case.file_stem().expect("a case has a name").to_string_lossy().to_string();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(case.parent().expect("a case is in a folder"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// The pass of this name that runs at this stage.
fn pass(name: &str, stage: Stage) -> &'static Pass {
    let all = || INFER.iter().chain(TRAIN).filter(|pass| pass.name == name);
    let fits = |pass: &&&Pass| pass.needs == stage;
    all().find(|pass| fits(&pass)).unwrap_or_else(|| panic!("`{name}` does not run at this stage"))
}

fn check(name: &str) {
    let cases = cases(&folder(name));
    assert!(cases.len() >= 2, "`{name}` needs a case where it fires and one where it does not");
    for case in cases {
        let before = read(&case);
        let mut after = before.clone();
        pass(name, before.stage).apply_except(&mut after, &kept(&case));
        verify(&after).unwrap_or_else(|errors| panic!("{}:\n{errors}\n{}", case.display(), print(&after)));
        compare(&case, &before, &after);
    }
}

macro_rules! passes {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            check($name);
        })*

        #[test]
        fn every_pass_has_cases() {
            for pass in INFER.iter().chain(TRAIN) {
                assert!([$($name),*].contains(&pass.name), "`{}` is not tested", pass.name);
            }
        }
    };
}

passes! {
    infer_spikes: "infer-spikes",
    hoist_static: "hoist-static",
    fold_norm: "fold-norm",
    fold_scale: "fold-scale",
    reassociate_attention: "reassociate-attention",
    simplify: "simplify",
    cse: "cse",
    dce: "dce",
    autodiff: "autodiff",
    spike_matmul: "spike-matmul",
    sample_dx: "sample-dx",
    checkpoint: "checkpoint",
    slice_time: "slice-time",
    fuse_lif: "fuse-lif",
    fuse_time: "fuse-time",
    layout: "layout",
    pack_spikes: "pack-spikes",
}

#[test]
fn whole_pipelines() {
    for case in cases(&folder("pipeline")) {
        let before = read(&case);
        let mut after = before.clone();
        let mut seen = 0;
        let run = run_pipeline(&mut after, &Settings::default(), &mut |_, _| seen += 1);
        let records = run.unwrap_or_else(|error| panic!("{}: {error}", case.display()));
        assert_eq!(records.len(), seen);
        compare(&case, &before, &after);
    }
}
