//! `snnc energy`: the worked examples of the literature, and spikes that are counted where they are read.

#[path = "support/command.rs"]
mod command;

use command::{Folder, snnc};
use serde_json::Value;

fn energy(file: &str, defines: &[&str], more: &[&str]) -> Value {
    let path = format!("models/{file}.snn");
    let mut args = vec!["energy", &path, "--json"];
    defines.iter().for_each(|define| args.extend(["-D", define]));
    args.extend(more);
    snnc(&args).json()
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("no {key}"))
}

#[track_caller]
fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} instead of {expected}");
}

#[test]
fn resnet19_costs_what_the_literature_says() {
    let rows = [
        ("0.05", 0.443, 0.431),
        ("0.10", 0.886, 0.830),
        ("0.15", 1.329, 1.229),
        ("0.20", 1.772, 1.627),
        ("0.25", 2.215, 2.026),
    ];
    for (rate, sops, millijoules) in rows {
        let repeated = energy("resnet19", &[], &["--rate", rate, "--stem", "repeated"]);
        near(number(&repeated, "sops") * 1e-9, sops, 5.1e-4);
        near(number(&repeated, "energy_mj"), millijoules, 5.1e-4);
        near(number(&repeated, "ann_mj"), 10.196, 5e-4);
        let once = energy("resnet19", &[], &["--rate", rate]);
        near(number(&repeated, "energy_mj") - number(&once, "energy_mj"), 0.0244, 1e-4);
    }
}

#[test]
fn other_networks_cost_what_the_literature_says() {
    let both = |file: &str, defines: &[&str], rate: &str| {
        let once = energy(file, defines, &["--rate", rate]);
        let repeated = energy(file, defines, &["--rate", rate, "--stem", "repeated"]);
        (number(&once, "energy_mj"), number(&repeated, "energy_mj"), number(&once, "ann_mj"))
    };
    let (once, repeated, ann) = both("resnet34", &[], "0.1");
    near(once, 1.819, 6e-4);
    near(repeated, 3.448, 6e-4);
    near(ann, 16.853, 6e-4);
    near(both("resnet19", &["variant=C"], "0.1").2, 10.512, 6e-4);
    let (once, repeated, ann) = both("sdt", &[], "0.1");
    near(once, 0.452, 6e-4);
    near(repeated, 0.476, 6e-4);
    near(ann, 5.681, 6e-4);
    // Rates as they follow from published numbers of operations: 6.50 and 3.88 G.
    near(both("resnet34", &["steps=6"], "0.3055").0, 6.393, 2e-3);
    near(both("sew_resnet34", &[], "0.2736").0, 4.035, 2e-3);
    // Each kind of attention in ResNet-19: 20 M additions of its projections.
    let plain = energy("resnet19", &[], &["--rate", "0.1"]);
    let spatial = energy("resnet19", &["spatial=true"], &["--rate", "0.1"]);
    let attention = number(&spatial, "attention_mj");
    near(number(&spatial, "energy_mj") - number(&plain, "energy_mj") - attention, 0.018, 5e-4);
    assert!(attention > 0.0 && attention < 0.0132, "{attention}");
}

#[test]
fn conventions_are_switches() {
    let of = |more: &[&str]| energy("sew_resnet34", &["size=32"], &[&["--rate", "0.1"][..], more].concat());
    let (add, multiply) = (of(&[]), of(&["--counts", "multiply"]));
    assert!(number(&multiply, "mac_operations") > 2.0 * number(&add, "mac_operations"));
    assert!(number(&multiply, "energy_mj") > number(&add, "energy_mj"));
    let cheap = of(&["--mac-pj", "0", "--ac-pj", "1"]);
    near(number(&cheap, "energy_mj"), number(&add, "sops") * 1e-9, 1e-9);
    let membrane = |more: &[&str]| energy("ms_resnet18", &[], &[&["--rate", "0.1"][..], more].concat());
    let (all, ignored) = (membrane(&[]), membrane(&["--ignore-real"]));
    assert!(number(&all, "mac_operations") > number(&ignored, "mac_operations"));
    // At a border a spike reaches fewer outputs than the mean.
    assert!(number(&add, "sops_exact") < number(&add, "sops"));
}

#[test]
fn spikes_are_counted_where_they_are_read() {
    let folder = Folder::new("energy");
    let (run, file) = (folder.file("run"), folder.file("plain.json"));
    snnc(&["train", "models/digits.snn", "--epochs", "1", "--out", &run]).succeeds();
    let weights = format!("{run}/last.safetensors");
    let counted = energy("digits", &[], &["--weights", &weights, "--limit", "50"]);
    let rates = snnc(&["eval", "models/digits.snn", "--weights", &weights, "--limit", "50", "--json"]).json();
    let layers = counted["layers"].as_array().expect("layers");
    let row = |layer: &str| layers.iter().find(|row| row["layer"] == layer).expect("a layer");
    // What a layer reads is what the neurons before it fire.
    let fired = rates["firing_rates"]["stem.unit.lif"].as_f64().expect("a rate");
    near(row("body.unit.conv")["rate"].as_f64().expect("a rate"), fired, 1e-9);
    assert_eq!(row("stem.unit.conv")["class"], "mac");
    let sum: f64 = layers.iter().map(|row| row["energy_nj"].as_f64().expect("energy")).sum();
    near(sum * 1e-6, number(&counted, "energy_mj"), 1e-9);
    std::fs::write(&file, counted.to_string()).expect("written");
    let more = ["--weights", &weights, "--limit", "50", "--baseline", &file];
    let compared = &energy("digits", &[], &more)["baseline"];
    assert_eq!((number(compared, "difference_mj"), number(compared, "added_mj")), (0.0, 0.0));
    let text = snnc(&["energy", "models/digits.snn", "--weights", &weights, "--limit", "50"]);
    assert!(text.succeeds().stdout.contains("without spikes"));
}

#[test]
fn faults_are_told() {
    let file = "models/digits.snn";
    assert_eq!(snnc(&["energy", file]).code, 2, "neither weights nor a rate");
    assert_eq!(snnc(&["energy", file, "--rate", "1.5"]).code, 2);
    assert_eq!(snnc(&["energy", file, "--rate", "0.1", "--mac-pj", "nan"]).code, 2);
    let run = snnc(&["energy", file, "--rate", "0.1", "--baseline", "Cargo.toml"]);
    assert_eq!(run.code, 3);
    assert!(run.stderr.contains("Cargo.toml"), "{}", run.stderr);
}
