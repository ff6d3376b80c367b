//! The walls: which crate may import which, no cycles among the modules of a crate, files and functions of a
//! size that can be read, no path of anyone's machine in the repository.
//!
//! `cargo test --test layering -- --nocapture` prints the ten longest files and functions.

#[path = "support/source.rs"]
mod source;

use serde_json::Value;
use source::{blank, crate_names, files, functions, heads, root, without_tests};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every crate, its folder below the root, and the crates of ours it may import. What a test alone imports is
/// free, but no crate may import one of a higher row even there.
const WALLS: &[(&str, &str, &[&str])] = &[
    ("snnc-grammar", "grammar", &[]),
    ("snnc-ir", "compiler/ir", &[]),
    ("snnc-plan", "compiler/plan", &[]),
    ("snnc-front", "compiler/front", &["snnc-grammar", "snnc-ir"]),
    ("snnc-passes", "compiler/passes", &["snnc-ir"]),
    ("snnc-kernel", "compiler/kernel", &["snnc-ir", "snnc-plan"]),
    ("snnc-runtime", "runtime", &["snnc-plan"]),
    ("snnc-codegen", "compiler/codegen", &["snnc-kernel", "snnc-plan"]),
    (
        "snnc-compiler",
        "compiler/driver",
        &["snnc-front", "snnc-passes", "snnc-kernel", "snnc-codegen", "snnc-ir", "snnc-plan"],
    ),
    ("snnc", "", &["snnc-compiler", "snnc-runtime"]),
];

/// Modules that are one thing in several files and name each other; every other module has its place in an order.
const KNOTS: &[(&str, &[&str])] = &[
    // An operation says in which stages of a graph it may stand.
    ("snnc-ir", &["graph", "op"]),
    // Diagnostics point into sources, which are parsed for what they include, which has faults to tell.
    ("snnc-front", &["diagnostic", "parse", "source", "syntax"]),
    // The evaluator: blocks call layers and neurons, whose arguments are expressions.
    ("snnc-front", &["args", "attention", "eval", "expand", "layers", "neuron", "resolve"]),
    // Buffers are placed on the draft that lowering makes.
    ("snnc-kernel", &["assign_buffers", "lower"]),
    // The target's errors are those of code generation.
    ("snnc-codegen", &["code", "isa"]),
];

const LONGEST_FILE: usize = 600;
const LONGEST_FUNCTION: usize = 100;

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--locked", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn crates_import_downwards_only() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    let rank = |name: &str| WALLS.iter().position(|(n, _, _)| *n == name);
    let mut broken = Vec::new();
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let Some(own) = rank(name) else {
            broken.push(format!("crate `{name}` is not in the table of walls"));
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let target = dependency["name"].as_str().expect("a name");
            let Some(theirs) = rank(target) else { continue };
            let allowed = match dependency["kind"].as_str() {
                Some("dev") => theirs < own,
                Some(_) | None => WALLS[own].2.contains(&target),
            };
            if !allowed {
                broken.push(format!("`{name}` may not import `{target}`"));
            }
        }
    }
    assert_eq!(packages.len(), WALLS.len(), "the table of walls names every crate");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn cranelift_is_seen_by_codegen_alone() {
    for package in metadata()["packages"].as_array().expect("packages") {
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let target = dependency["name"].as_str().expect("a name");
            let allowed = !target.starts_with("cranelift") || package["name"] == "snnc-codegen";
            assert!(allowed, "{} imports {target}", package["name"]);
        }
    }
}

/// Every Rust file of the repository.
fn rust_files() -> Vec<PathBuf> {
    files(&root()).into_iter().filter(|p| p.extension().is_some_and(|e| e == "rs")).collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Whether a file holds only tests, benches or examples.
fn is_test(path: &Path) -> bool {
    let name = shown(path);
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    stem == "tests"
        || ["tests/", "benches/", "examples/"]
            .iter()
            .any(|d| name.starts_with(d) || name.contains(&format!("/{d}")))
}

#[test]
fn files_and_functions_can_be_read() {
    let mut lengths = Vec::new();
    let mut bodies = Vec::new();
    for path in rust_files() {
        let text = std::fs::read_to_string(&path).expect("a source file");
        let code = blank(&text);
        let code = without_tests(&code);
        if is_test(&path) {
            continue;
        }
        lengths.push((code.lines().count(), shown(&path)));
        bodies.extend(
            functions(code).into_iter().map(|(name, line, n)| (n, format!("{name} {}:{line}", shown(&path)))),
        );
    }
    lengths.sort_by(|a, b| b.cmp(a));
    bodies.sort_by(|a, b| b.cmp(a));
    println!("longest files, without their tests:");
    lengths.iter().take(10).for_each(|(n, path)| println!("  {n:5} {path}"));
    println!("longest functions:");
    bodies.iter().take(10).for_each(|(n, path)| println!("  {n:5} {path}"));
    let long = |all: &[(usize, String)], limit| {
        all.iter().filter(|(n, _)| *n > limit).map(|(n, p)| format!("{p}: {n} lines")).collect::<Vec<_>>()
    };
    let files = long(&lengths, LONGEST_FILE);
    assert!(files.is_empty(), "files over {LONGEST_FILE} lines:\n{}", files.join("\n"));
    let functions = long(&bodies, LONGEST_FUNCTION);
    assert!(functions.is_empty(), "functions over {LONGEST_FUNCTION} lines:\n{}", functions.join("\n"));
}

/// Where unsafe code may stand: machine code is called, memory is shared among threads, the type of a kernel, and the
/// functions of wide vectors, which read and write where a kernel points.
const UNSAFE: &[&str] = &[
    "compiler/codegen/src/code.rs",
    "compiler/codegen/src/wide/avx2.rs",
    "compiler/codegen/src/wide/avx2/groups.rs",
    "compiler/codegen/src/wide/avx2/patterns.rs",
    "compiler/codegen/src/wide/avx2/taps.rs",
    "compiler/codegen/src/wide/avx2/window.rs",
    "compiler/codegen/src/wide/avx512.rs",
    "compiler/codegen/src/wide/avx512/groups.rs",
    "compiler/codegen/src/wide/avx512/patterns.rs",
    "compiler/codegen/src/wide/avx512/taps.rs",
    "compiler/codegen/src/wide/avx512/window.rs",
    "compiler/codegen/src/wide/bits.rs",
    "compiler/codegen/src/wide/curves.rs",
    "compiler/codegen/src/wide/fire.rs",
    "compiler/codegen/src/wide/mod.rs",
    "compiler/codegen/src/wide/patterns.rs",
    "compiler/codegen/src/wide/taps.rs",
    "compiler/plan/src/abi.rs",
    "runtime/src/arena.rs",
    "runtime/src/call.rs",
    "runtime/src/matmul.rs",
];

#[test]
fn unsafe_code_stands_in_few_files() {
    let kernels_for_tests =
        |name: &str| name.starts_with("runtime/src/testing/") || name.ends_with("/tests.rs");
    for path in rust_files() {
        let (name, text) = (shown(&path), std::fs::read_to_string(&path).expect("a source file"));
        let found =
            blank(&text).split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
        assert!(
            !found || UNSAFE.contains(&name.as_str()) || kernels_for_tests(&name),
            "unsafe code in {name}"
        );
    }
}

/// The top-level modules of a crate, each with the top-level modules that it names.
fn module_graph(src: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let lib = blank(&std::fs::read_to_string(src.join("lib.rs")).unwrap_or_default());
    // `pub use types::{Elem, Type}` lets a module write `crate::Type`: that is a use of `types`.
    let mut home: BTreeMap<String, String> = BTreeMap::new();
    for statement in lib.split(';').filter_map(|s| s.split("use ").nth(1)) {
        if let Some((module, tree)) = statement.trim().split_once("::") {
            let tree = tree.trim();
            let names = if tree.starts_with('{') {
                heads(tree)
            } else {
                tree.rsplit("::").next().into_iter().map(str::to_owned).collect()
            };
            home.extend(names.into_iter().map(|name| (name, module.to_owned())));
        }
    }
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files(src).into_iter().filter(|p| p.extension().is_some_and(|e| e == "rs") && !is_test(p)) {
        let inner = path.strip_prefix(src).expect("below src");
        let top = inner.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
        let module = top.trim_end_matches(".rs").to_owned();
        if module == "lib" || module == "main" || inner.components().any(|c| c.as_os_str() == "tests") {
            continue;
        }
        let code = blank(&std::fs::read_to_string(&path).expect("a source file"));
        let names = crate_names(without_tests(&code));
        graph
            .entry(module)
            .or_default()
            .extend(names.into_iter().map(|n| home.get(&n).cloned().unwrap_or(n)));
    }
    let modules: BTreeSet<String> = graph.keys().cloned().collect();
    for (module, uses) in &mut graph {
        uses.retain(|name| modules.contains(name) && name != module);
    }
    graph
}

/// Groups of modules each of which reaches all others of its group: cycles.
fn knots(graph: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<BTreeSet<String>> {
    let mut reach = graph.clone();
    for _ in 0..graph.len() {
        for module in graph.keys() {
            let further: Vec<String> = reach[module].iter().flat_map(|m| reach[m].iter().cloned()).collect();
            reach.get_mut(module).expect("a module").extend(further);
        }
    }
    let together = |a: &String| -> BTreeSet<String> {
        reach[a].iter().filter(|b| reach[*b].contains(a)).cloned().collect()
    };
    graph.keys().map(together).filter(|knot| !knot.is_empty()).collect()
}

#[test]
fn modules_of_a_crate_have_an_order() {
    let found: BTreeSet<(String, BTreeSet<String>)> = WALLS
        .iter()
        .flat_map(|(name, folder, _)| {
            knots(&module_graph(&root().join(folder).join("src"))).into_iter().map(|k| (name.to_string(), k))
        })
        .collect();
    let within = |(name, knot): &(String, BTreeSet<String>), (known, modules): &(&str, &[&str])| {
        name == known && knot.iter().all(|module| modules.contains(&module.as_str()))
    };
    let new: Vec<_> = found.iter().filter(|knot| !KNOTS.iter().any(|known| within(knot, known))).collect();
    assert!(new.is_empty(), "modules that import each other in a circle: {new:#?}");
    let stale: Vec<_> = KNOTS.iter().filter(|known| !found.iter().any(|knot| within(knot, known))).collect();
    assert!(stale.is_empty(), "no longer a circle, take it off KNOTS: {stale:#?}");
}

#[test]
fn no_file_names_a_path_of_a_machine() {
    // Written in two parts, so that this file passes.
    let machine = [["/wo", "rk/"], ["/tm", "p/"], ["/ho", "me/"], ["/ro", "ot/"]].map(|parts| parts.concat());
    let mut found = Vec::new();
    for path in files(&root()) {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            if machine.iter().any(|m| line.contains(m.as_str())) {
                found.push(format!("{}:{}: {line}", shown(&path), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "paths of a machine:\n{}", found.join("\n"));
}

#[test]
fn the_reader_of_source_sees_code_alone() {
    let source =
        "fn a() {\n  let s = \"fn b() { }\"; // fn c() { }\n  let c = '{';\n}\nfn d<'x>(v: &'x [u8; 3]);\n";
    assert_eq!(functions(&blank(source)), [("a".to_owned(), 1, 4)]);
    assert_eq!(crate_names("use crate::{a, b::{c, d}, e};\nlet x = crate::f::g();"), ["a", "b", "e", "f"]);
}
