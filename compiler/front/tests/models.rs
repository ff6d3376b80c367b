//! The models of the repository: they check, their sizes are those of the literature and of `models/README.md`.

use snnc_front::{Model, SourceMap, analyze, render, to_graph};
use snnc_ir::Mode;
use snnc_ir::verify::verify;

fn check(file: &str, defines: &[(&str, &str)]) -> Model {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/");
    let read = &mut |name: &str| std::fs::read_to_string(format!("{root}{name}")).map_err(|e| e.to_string());
    let sources = SourceMap::load(file, read);
    let defines: Vec<_> = defines.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    analyze(&sources, file, &defines).unwrap_or_else(|errors| panic!("{}", render(&sources, &errors, false)))
}

#[test]
fn resnet19_has_the_published_size() {
    let model = check("resnet19.snn", &[]);
    assert_eq!((model.parameters, model.macs_per_timestep), (12_630_858, 2_216_495_616));
    let model = check("resnet19.snn", &[("classes", "100")]);
    assert_eq!((model.parameters, model.macs_per_timestep), (12_653_988, 2_216_518_656));
}

#[test]
fn the_rows_of_the_readme_are_true() {
    let readme = include_str!("../../../models/README.md");
    let mut wrong = Vec::new();
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `")).collect();
    for row in &rows {
        let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let defines: Vec<(&str, &str)> =
            cells[3].split_whitespace().filter_map(|d| d.split_once('=')).collect();
        let number = |cell: &str| cell.replace(',', "").parse::<u64>().expect("a number");
        let model = check(cells[1], &defines);
        assert!(model.warnings.is_empty(), "{row}");
        let found = (model.parameters, model.macs_per_timestep);
        if found != (number(cells[4]), number(cells[5])) {
            wrong.push(format!("{row} has {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(rows.len(), 11);
}

#[test]
fn every_model_lowers_in_both_modes() {
    for file in ["digits.snn", "lif_mlp.snn", "resnet19.snn"] {
        let model = check(file, &[]);
        for mode in [Mode::Infer, Mode::Train] {
            let graph = to_graph(&model, mode);
            verify(&graph).unwrap_or_else(|errors| panic!("{file}: {errors}"));
            for &value in graph.params.iter().chain(&graph.inputs) {
                assert!(!graph.name(value).is_empty());
            }
        }
    }
}

#[test]
fn resnet19_has_eighteen_neurons_and_the_products_of_the_literature() {
    let graph = to_graph(&check("resnet19.snn", &[]), Mode::Infer);
    let counts = ["lif", "conv2d", "linear", "add", "batch_norm"].map(|op| graph.count(op));
    assert_eq!(counts, [18, 20, 2, 8, 20]);
}
