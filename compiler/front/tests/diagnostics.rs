//! Every diagnostic, rendered: a case is a file under `errors/`, named by the slug it is for.
//!
//! Lines that begin with `//! -D` give the command line, `//! file b.snn` begins a further file.

use snnc_front::{Diagnostic, Slug, SourceMap, analyze, render};
use std::collections::{BTreeMap, HashMap, HashSet};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/errors");

/// The cases by name.
fn cases() -> BTreeMap<String, String> {
    let mut cases = BTreeMap::new();
    for entry in std::fs::read_dir(ROOT).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "snn") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_string();
            cases.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
    cases
}

/// All diagnostics of a case: errors, or warnings and what the lowering says.
fn diagnose(name: &str, text: &str) -> (SourceMap, Vec<Diagnostic>) {
    let entry = format!("{name}.snn");
    let mut parts = text.split("//! file ");
    let mut files = HashMap::from([(entry.clone(), parts.next().unwrap().to_string())]);
    for part in parts {
        let (file, text) = part.split_once('\n').unwrap();
        files.insert(file.to_string(), text.to_string());
    }
    let defines: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("//! -D ")?.split_once('='))
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    let read = &mut |file: &str| files.get(file).cloned().ok_or("no such file".to_string());
    let sources = SourceMap::load(&entry, read);
    let found = match analyze(&sources, &entry, &defines) {
        Err(errors) => errors,
        Ok(model) => model.warnings,
    };
    (sources, found)
}

#[test]
fn every_diagnostic_reads_well() {
    for (name, text) in cases() {
        let (sources, found) = diagnose(&name, &text);
        let shown = if text.lines().count() > 40 { "" } else { text.as_str() };
        let rendered = render(&sources, &found, false);
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, format!("{shown}\n{rendered}"));
        });
    }
}

#[test]
fn every_slug_has_a_case_that_shows_it() {
    let cases = cases();
    for slug in Slug::ALL {
        let text = cases.get(slug.as_str()).unwrap_or_else(|| panic!("no case for {slug}"));
        let (_, found) = diagnose(slug.as_str(), text);
        assert!(found.iter().any(|diagnostic| diagnostic.slug == *slug), "{slug} is not reported");
    }
}

#[test]
fn the_errors_page_has_the_same_slugs() {
    let page = include_str!("../../../grammar/ERRORS.md");
    let listed: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let known: Vec<&str> = Slug::ALL.iter().map(|slug| slug.as_str()).collect();
    assert_eq!(listed, known);
    assert_eq!(known.iter().collect::<HashSet<_>>().len(), known.len());
}

#[test]
fn colour_only_adds_escapes() {
    let cases = cases();
    let (sources, found) = diagnose("shape-mismatch", &cases["shape-mismatch"]);
    let (plain, coloured) = (render(&sources, &found, false), render(&sources, &found, true));
    assert!(coloured.contains('\u{1b}') && !plain.contains('\u{1b}'));
}
