//! `snnc train`: what is told before a run, while it goes wrong, and after it.

#[path = "support/command.rs"]
mod command;

use command::{Folder, floats, labels, snnc};

const MODEL: &str = "models/digits.snn";
const SHORT: [&str; 6] = ["--limit", "200", "--test-limit", "64", "--epochs", "1"];

fn train(extra: &[&str]) -> command::Run {
    snnc(&[&["train", MODEL], &SHORT[..], extra].concat())
}

#[test]
fn a_dry_run_tells_memory_and_time_and_writes_nothing() {
    let folder = Folder::new("dry");
    let out = folder.file("run");
    let found = train(&["--dry-run", "--out", &out, "--json"]).json();
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    for key in ["peak_bytes", "batch", "loss", "grad_norm", "steps", "epoch_seconds", "run_seconds"] {
        assert!(number(&found[key]) > 0.0, "{key}: {found:#}");
    }
    assert_eq!((&found["steps"], &found["batch"]), (&7.into(), &32.into()));
    let parts =
        ["train_bytes", "test_bytes", "optimizer_bytes", "loader_bytes", "data_bytes", "process_bytes"];
    let sum: f64 = parts.iter().map(|part| number(&found["memory"][part])).sum();
    assert_eq!(sum, number(&found["peak_bytes"]));
    let text = train(&["--dry-run", "--out", &out]);
    assert!(text.succeeds().stdout.starts_with("memory "), "{}", text.stdout);
    assert!(folder.list().is_empty());
}

#[test]
fn a_run_that_does_not_fit_is_refused_with_what_would() {
    let folder = Folder::new("large");
    let limited = |memory: &str| train(&["--memory", memory, "--out", &folder.file("run"), "--batch", "100"]);
    let half = train(&["--dry-run", "--batch", "50", "--json"]).json()["peak_bytes"].to_string();
    let refused = limited(&half);
    refused.fails(1, &["MiB of memory", "help: a batch of ", "the machine has enough for `--memory "]);
    let batch =
        refused.stderr.split("--batch ").nth(1).and_then(|rest| rest.split('`').next()).expect("a batch");
    let again = |batch: &str| train(&["--memory", &half, "--out", &folder.file(batch), "--batch", batch]);
    assert!((50..100).contains(&batch.parse::<u32>().expect("a number")), "{batch}");
    again(batch).succeeds();
    let more = (batch.parse::<u32>().expect("a number") + 1).to_string();
    again(&more).fails(1, &["help: a batch of "]);
    limited("1M").fails(1, &["not even a batch of 1 fits"]);
    assert!(!folder.list().contains(&"run".to_owned()));
}

#[test]
fn a_loss_that_is_no_number_names_its_layer_and_keeps_what_was() {
    let folder = Folder::new("nan");
    let out = folder.file("run");
    let wild = train(&["--lr", "1e38", "--out", &out]);
    wild.fails(
        1,
        &["in epoch 1, step ", "is the first with values that are not finite", "last.safetensors", "help"],
    );
    let eval = ["eval", MODEL, "--weights", &format!("{out}/last.safetensors"), "--limit", "10"];
    snnc(&eval).succeeds();
    let log = std::fs::read_to_string(format!("{out}/log.jsonl")).expect("a log");
    assert!(log.lines().last().is_some_and(|line| line.contains("\"event\":\"stop\"")), "{log}");
}

#[test]
fn a_faulty_sample_is_named_and_the_steps_before_it_are_kept() {
    let folder = Folder::new("faulty");
    let model = folder.write(
        "events.snn",
        "neuron lif = LIF(tau: 2.0)\n\
         network events { timesteps 2 input x: spike[time, 8] x |> linear(16) |> lif |> linear(3) |> mean(time) }\n\
         train { loss cross_entropy optimizer sgd(lr: 0.1) schedule constant(epochs: 1) batch 8 }",
    );
    let classes: Vec<i64> = (0..96).map(|i| i % 3).collect();
    let mut values: Vec<f32> = (0..2 * 96 * 8).map(|i| f32::from(u8::from(i % 3 == 0))).collect();
    let good = floats(&[2, 96, 8], &values);
    // The second timestep of sample 77.
    values[(96 + 77) * 8 + 5] = 0.5;
    folder.write("train_x.npy", floats(&[2, 96, 8], &values));
    folder.write("test_x.npy", good);
    folder.write("train_y.npy", labels(&classes));
    folder.write("test_y.npy", labels(&classes));
    let (data, out) = (folder.file(""), folder.file("run"));
    // With this seed it is not in the first batch.
    let faulty = snnc(&["train", &model, "--data", &data, "--out", &out, "--seed", "2"]);
    faulty.fails(3, &["training sample 77 of input `x` holds 0.5", "spikes are 0 or 1"]);
    let last = folder.path().join("run/last.safetensors");
    let state = snnc_runtime::checkpoint::read_metadata(&last).expect("the state before it");
    assert!(state["step"].as_u64() > Some(0), "{state}");
}

#[test]
fn silent_and_saturated_layers_are_warned_of() {
    let folder = Folder::new("silent");
    let text = std::fs::read_to_string(MODEL).expect("the model");
    let model = |name: &str, threshold: &str| {
        folder.write(name, text.replace("threshold: 1.0", &format!("threshold: {threshold}")))
    };
    let run = |model: &str| {
        let out = format!("{model}.run");
        let result = snnc(&[&["train", model, "--out", &out, "--json"][..], &SHORT].concat());
        (result.json()["warnings"].as_array().expect("warnings").clone(), result.stderr)
    };
    let (warnings, stderr) = run(&model("high.snn", "1000.0"));
    for said in [
        "`stem.unit.lif` never fired",
        "no gradient reached `stem.unit.conv.weight`",
        "help: lower its threshold",
    ] {
        assert!(stderr.contains(said), "{said}: {stderr}");
    }
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    let network = "neuron lif = LIF(tau: 2.0, threshold: 0.001)\n\
         network n { timesteps 2 input image: f32[1, 8, 8] \
         let gray = image |> avg_pool(4) |> lif gray |> flatten |> linear(10) |> mean(time) }\n\
         train { loss cross_entropy optimizer sgd(lr: 0.1) schedule constant(epochs: 1) batch 32 data digits }";
    let (_, stderr) = run(&folder.write("low.snn", network));
    assert!(
        stderr.contains("`gray.lif` fired in 100 %") && stderr.contains("raise its threshold"),
        "{stderr}"
    );
    let good = snnc(&["train", MODEL, "--epochs", "1", "--out", &folder.file("good"), "--json"]).json();
    assert_eq!(good["warnings"].as_array().map(Vec::len), Some(0), "{}", good["warnings"]);
}

#[test]
fn curves_are_drawn() {
    let folder = Folder::new("plot");
    let out = folder.file("run");
    train(&["--out", &out]).succeeds();
    let drawn = snnc(&["plot", &out, "--json"]).json();
    assert_eq!((&drawn["epochs"], &drawn["output"]), (&1.into(), &format!("{out}/curves.svg").into()));
    let other = folder.file("other.svg");
    snnc(&["plot", &out, "-o", &other]).succeeds();
    let svg = std::fs::read_to_string(&other).expect("a drawing");
    assert!(svg.starts_with("<svg ") && svg.contains("body.unit.lif"), "{svg}");
    snnc(&["plot", &out, "-o", &folder.file("other.png")]).fails(1, &["other.png", "SVG"]);
    snnc(&["plot", &folder.file("none")]).fails(3, &["metrics.jsonl"]);
}

#[test]
fn a_run_folder_holds_all_that_is_needed_to_know_it_again() {
    let folder = Folder::new("folder");
    let out = folder.file("run");
    train(&["--out", &out, "--save-every", "1", "-D", "width=8"]).succeeds();
    let json = |file: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(format!("{out}/{file}")).expect(file)).expect(file)
    };
    let config = json("config.json");
    assert_eq!(
        (&config["settings"]["params"]["width"], &config["source"]["params"]["width"]),
        (&"8".into(), &"8".into())
    );
    let text = std::fs::read_to_string(MODEL).expect("the model");
    assert_eq!(config["source"]["sources"][MODEL], text);
    assert_eq!(json("model.json"), config["source"]);
    let env = json("env.json");
    assert_eq!((&env["seed"], &env["data"]), (&0.into(), &"digits".into()));
    assert_eq!(env["data_hash"].as_str().map(str::len), Some(16));
    // Tests run in the folder of the sources, which may be a repository.
    let commit = &env["commit"];
    assert!(commit.is_null() || commit.as_str().is_some_and(|hash| hash.len() >= 40), "{commit}");
    assert!(commit.is_string() || !std::path::Path::new(".git").exists());
    let names: Vec<String> = std::fs::read_dir(&out)
        .expect("listed")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    for name in [
        "best.safetensors",
        "epoch-1.safetensors",
        "last.safetensors",
        "log.jsonl",
        "metrics.csv",
        "metrics.jsonl",
    ] {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
    assert!(names.iter().any(|name| name.starts_with("events.out.tfevents.")), "{names:?}");
}
