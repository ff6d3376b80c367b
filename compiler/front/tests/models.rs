//! The models of the repository: they check, their sizes are those of the literature and of `models/README.md`.

use snnc_front::{Model, SourceMap, analyze, render};

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
