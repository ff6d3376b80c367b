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

/// Parameters and multiply-adds of one timestep of a model.
fn size(file: &str, defines: &[(&str, &str)]) -> (u64, u64) {
    let model = check(file, defines);
    (model.parameters, model.macs_per_timestep)
}

#[test]
fn resnets_have_the_published_sizes() {
    let resnet19 = |variant, classes| size("resnet19.snn", &[("variant", variant), ("classes", classes)]);
    assert_eq!(resnet19("A", "10"), (12_630_858, 2_216_495_616));
    assert_eq!(resnet19("A", "100"), (12_653_988, 2_216_518_656));
    assert_eq!((resnet19("B", "10").0, resnet19("B", "100").0), (14_664_074, 14_687_204));
    assert_eq!(resnet19("C", "10"), (12_569_226, 2_285_245_440));
    assert_eq!(resnet19("C", "100"), (12_615_396, 2_285_291_520));
    assert_eq!(resnet19("D", "10"), (12_502_090, 2_216_367_104));
    assert_eq!(resnet19("D", "100"), (12_548_260, 2_216_413_184));
    assert_eq!(size("ms_resnet18.snn", &[]), resnet19("D", "10"));
    assert_eq!(size("resnet34.snn", &[]), (21_797_672, 3_663_761_408));
    assert_eq!(size("sew_resnet34.snn", &[]), (21_797_672, 3_663_761_408));
    assert_eq!(size("ms_resnet34.snn", &[]), (21_801_896, 3_676_606_464));
}

#[test]
fn transformers_have_the_published_sizes() {
    // The published counts of Spikformer hold 4 numbers a channel and block that are never used, those of SDT and
    // STAtten 64 a block.
    assert_eq!(size("spikformer.snn", &[]), (9_330_874 - 4 * 4 * 384, 921_456_384));
    assert_eq!(size("spikformer.snn", &[("classes", "100")]).0, 9_365_524 - 4 * 4 * 384);
    assert_eq!(size("spikformer.snn", &[("depth", "2")]).0, 5_768_122 - 2 * 4 * 384);
    assert_eq!(size("spikformer.snn", &[("dim", "256"), ("heads", "8")]).0, 4_159_274 - 4 * 4 * 256);
    for file in ["sdt.snn", "statten.snn"] {
        let cifar = |dim, classes| size(file, &[("dim", dim), ("classes", classes)]);
        assert_eq!(cifar("512", "10"), (10_233_546 - 128, 1_234_899_968));
        assert_eq!(cifar("512", "100"), (10_279_716 - 128, 1_234_946_048));
        assert_eq!((cifar("256", "10").0, cifar("256", "100").0), (2_567_082 - 128, 2_590_212 - 128));
        let imagenet = |depth, dim| {
            let size = [("depth", depth), ("dim", dim), ("size", "224"), ("pools", "4"), ("classes", "1000")];
            self::size(file, &size)
        };
        assert_eq!(imagenet("8", "384"), (16_816_536 - 512, 4_660_730_880));
        assert_eq!(imagenet("6", "512").0, 23_373_736 - 384);
        assert_eq!(imagenet("8", "512").0, 29_689_896 - 512);
        assert_eq!(imagenet("10", "512").0, 36_006_056 - 640);
        assert_eq!(imagenet("8", "768"), (66_339_144 - 512, 18_512_099_328));
    }
}

#[test]
fn attention_adds_what_its_projections_have() {
    let with = |file: &str, spatial, temporal| size(file, &[("spatial", spatial), ("temporal", temporal)]);
    let added = |file: &str, (parameters, macs): (u64, u64)| {
        let plain = size(file, &[]);
        (parameters - plain.0, macs - plain.1)
    };
    for (file, parameters, macs) in
        [("resnet19.snn", 347_200, 3 * 16_777_216), ("resnet34.snn", 351_520, 4 * 12_845_056)]
    {
        assert_eq!(added(file, with(file, "true", "false")), (parameters, macs), "{file}");
        assert_eq!(added(file, with(file, "false", "true")), (parameters, macs), "{file}");
        assert_eq!(added(file, with(file, "true", "true")), (2 * parameters, 2 * macs), "{file}");
    }
}

#[test]
fn an_imagenet_model_is_checked_in_less_than_a_second() {
    let start = std::time::Instant::now();
    check("sdt.snn", &[("dim", "768"), ("depth", "8"), ("size", "224"), ("pools", "4"), ("classes", "1000")]);
    assert!(start.elapsed().as_secs_f64() < 1.0);
}

#[test]
fn the_rows_of_the_readme_are_true() {
    let readme = include_str!("../../../models/README.md");
    let mut wrong = Vec::new();
    let rows: Vec<&str> =
        readme.lines().filter(|line| line.starts_with("| `") && line.contains(".snn` |")).collect();
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
    assert_eq!(rows.len(), 46);
}

/// The files of the models themselves; what they share stands in a folder.
fn files() -> Vec<String> {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models")).expect("models");
    let names = folder.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    names.filter(|name| name.ends_with(".snn")).collect()
}

#[test]
fn every_model_lowers_in_both_modes() {
    for file in files() {
        let model = check(&file, &[]);
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
