//! `snnc check` and `snnc compile` on the models that come with snnc.

#[path = "support/command.rs"]
mod command;

use command::{Folder, snnc};

#[test]
fn resnet19_has_the_published_counts() {
    let ten = snnc(&["check", "models/resnet19.snn", "--json"]).json();
    assert_eq!(ten["parameters"], 12_630_858);
    assert_eq!(ten["macs_per_timestep"], 2_216_495_616u64);
    let hundred = snnc(&["check", "models/resnet19.snn", "-D", "classes=100", "--json"]).json();
    assert_eq!(hundred["parameters"], 12_653_988);
    assert_eq!(hundred["macs_per_timestep"], 2_216_518_656u64);
    let small = ["-D", "stem=16", "-D", "width=32", "-D", "hidden=64"];
    let small = snnc(&[&["check", "models/resnet19.snn", "--json"][..], &small].concat()).json();
    assert_eq!(small["parameters"], 792_282);
}

#[test]
fn every_model_is_checked_and_compiled() {
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/models")).expect("models") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        if name.ends_with(".snn") {
            let path = format!("models/{name}");
            let checked = snnc(&["check", &path, "--json"]).json();
            let layers = checked["layers"].as_array().expect("layers");
            let sum: u64 = layers.iter().map(|layer| layer["parameters"].as_u64().expect("a number")).sum();
            assert_eq!(checked["parameters"], sum);
            let compiled = snnc(&["compile", &path, "--json"]).json();
            assert!(!compiled["kernels"].as_array().expect("kernels").is_empty());
        }
    }
}

#[test]
fn a_line_per_layer_tells_what_comes_in() {
    let run = snnc(&["check", "models/digits.snn"]);
    let lines: Vec<&str> = run.succeeds().stdout.lines().collect();
    let line = |name: &str| {
        let line = lines.iter().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line("stem.unit.conv").last().map(String::as_str), Some("real"));
    assert_eq!(line("body.unit.conv").last().map(String::as_str), Some("spikes"));
    assert!(lines.last().is_some_and(|last| last.contains("25,978 parameters")), "{}", run.stdout);
}

#[test]
fn every_stage_can_be_shown() {
    let all = "ast,model,ir,ir:after=autodiff,kernel,clif,asm,plan,report";
    let run = snnc(&["compile", "models/digits.snn", "--mode", "train", "--emit", all]);
    let parts = [
        "network digits",
        "graph @digits stage=packed mode=train",
        "stage=logical",
        "function",
        "plan @digits",
    ];
    for part in parts {
        assert!(run.succeeds().stdout.contains(part), "no `{part}`");
    }
    let folder = Folder::new("stages");
    let out = folder.file("out");
    let run = snnc(&["compile", "models/digits.snn", "--emit", "ir,plan,ast", "-o", &out]);
    assert!(run.succeeds().stdout.is_empty(), "{}", run.stdout);
    let mut names: Vec<String> = std::fs::read_dir(&out)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let expected = [
        "digits.ast.txt",
        "digits.infer.ir.snnir",
        "digits.infer.plan",
        "digits.train.ir.snnir",
        "digits.train.plan",
    ];
    assert_eq!(names, expected);
}

#[test]
fn the_report_tells_the_order_of_attention() {
    let switches = ["-D", "spatial=true", "-D", "temporal=true", "--emit", "report"];
    let run = snnc(&[&["compile", "models/resnet19.snn"][..], &switches].concat());
    let report = &run.succeeds().stdout;
    let rows: Vec<Vec<&str>> = report
        .lines()
        .filter(|line| line.contains("_attention.y"))
        .map(|line| line.split_whitespace().collect())
        .filter(|row: &Vec<&str>| row[1] == "first")
        .collect();
    // One head of 32 channels: 1024 tokens of a timestep, and 4 timesteps of a place; the formulas of both orders.
    let (space, time) = (["kv", "first", "8388608", "268435456"], ["qk", "first", "8388608", "1048576"]);
    assert_eq!((&rows[0][..4], &rows[1][..4]), (&space[..], &time[..]), "{report}");
    assert_eq!(rows.len(), 12, "six for inference, six for training");
}

#[test]
fn the_report_tells_how_products_are_done() {
    let rates = ["--firing-rate", "stem.unit.lif=0.4,0.05", "--fires", "stem.unit.lif=0.7"];
    let switches = ["--form", "body.unit_2.conv=dense", "--emit", "report", "--mode", "infer"];
    let run = snnc(&[&["compile", "models/digits.snn"][..], &rates, &switches].concat());
    let rows = run.succeeds().stdout.lines().skip_while(|line| !line.starts_with("products with spikes"));
    let rows: Vec<Vec<&str>> = rows.skip(2).take(3).map(|row| row.split_whitespace().collect()).collect();
    let told: Vec<[&str; 4]> = rows.iter().map(|row| [row[5], row[0], row[1], row[2]]).collect();
    // The head reads what a pool takes of a layer that fires at 5 %; unsaid forms are chosen.
    let expected = [
        ["body.unit.conv", told[0][1], "0.400", "0.700"],
        ["body.unit_2.conv", "dense", "0.050", "-"],
        ["head.linear", "walk", "0.050", "-"],
    ];
    assert_eq!(told, expected, "{}", run.stdout);
}

/// Rows of the report's products: form, rate, share that fires, multiply-adds a cycle.
fn products(options: &[&str]) -> Vec<Vec<String>> {
    let run =
        snnc(&[&["compile", "models/digits.snn", "--emit", "report", "--mode", "infer"], options].concat());
    let rows = run.succeeds().stdout.lines().skip_while(|line| !line.starts_with("products with spikes"));
    rows.skip(2).take(3).map(|row| row.split_whitespace().map(String::from).collect()).collect()
}

#[test]
fn products_are_done_by_patterns_where_asked_and_where_spikes_repeat() {
    let asked = products(&["--form", "patterns"]);
    for row in &asked {
        let speed: f64 = row[3].parse().expect("a number");
        assert!(row[0] == "patterns" && row[2] == "-" && speed > 0.0 && speed.is_finite(), "{row:?}");
    }
    // The fewer neurons share the spikes, the fewer rows are added; of an unknown share the largest is expected.
    let wide = |said: &[&str]| -> f64 {
        let rows = products(&[&["-D", "width=128", "--form", "patterns"], said].concat());
        rows[0][3].parse().expect("a number")
    };
    let (unknown, all, repeating) = (wide(&[]), wide(&["--fires", "0.6"]), wide(&["--fires", "0.2"]));
    assert_eq!(unknown, all);
    assert!(repeating > 1.8 * all, "{repeating} where each repeats, {all} where none does");
    // What is said of a layer is joined with what is said of all: a rate here, a share there.
    let both = products(&["--fires", "stem.unit.lif=0.3,0.25", "--firing-rate", "stem.unit.lif=0.2,0.1"]);
    let told: Vec<[&str; 2]> = both.iter().map(|row| [row[1].as_str(), row[2].as_str()]).collect();
    assert_eq!(told, [["0.200", "0.300"], ["0.100", "0.250"], ["0.100", "0.250"]]);
}

#[test]
fn sums_are_shared_by_themselves_where_layers_are_wide_and_spikes_repeat() {
    let chosen = |fires: &[&str]| products(&[&["-D", "width=128", "--firing-rate", "0.25"], fires].concat());
    let forms =
        |rows: Vec<Vec<String>>| -> Vec<String> { rows.into_iter().map(|row| row[0].clone()).collect() };
    let (unknown, repeating) = (forms(chosen(&[])), forms(chosen(&["--fires", "0.25"])));
    assert!(!["patterns", "shared"].iter().any(|form| unknown.contains(&form.to_string())), "{unknown:?}");
    assert_eq!(repeating[0], "shared", "{repeating:?}");
}

#[test]
fn optional_passes_can_be_left_out() {
    for pass in [
        "hoist-static",
        "fold-norm",
        "fold-scale",
        "reassociate-attention",
        "simplify",
        "cse",
        "dce",
        "checkpoint",
        "fuse-time",
    ] {
        let run = snnc(&["compile", "models/digits.snn", "--skip", pass, "--verify", "--json"]);
        let passes = &run.json()["passes"];
        let ran = passes.as_array().expect("passes").iter().any(|row| row["name"] == pass);
        assert!(!ran, "{pass} ran");
    }
}

#[test]
fn the_samples_of_the_readme_are_true() {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("a readme");
    let sample = readme
        .split("```")
        .skip(1)
        .step_by(2)
        .find(|block| block.contains("network "))
        .expect("a model in the readme");
    let folder = Folder::new("readme");
    let path = folder.write("sample.snn", sample);
    snnc(&["compile", &path]).succeeds();
    for subcommand in ["check", "compile", "train", "eval", "infer", "grad", "init"] {
        let help = snnc(&[subcommand, "--help"]);
        assert!(readme.contains(&format!("snnc {subcommand}")), "{subcommand}");
        let row = format!("| `{subcommand}` |");
        assert!(
            readme.contains(&row) && help.succeeds().stdout.contains("JSON:"),
            "{subcommand} has no keys"
        );
    }
}
