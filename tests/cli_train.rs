//! `snnc train`: learning, and the same bits whatever the number of threads.

#[path = "support/command.rs"]
mod command;

use command::{Folder, snnc};

const MODEL: &str = "models/digits.snn";

#[test]
fn digits_are_learned() {
    let folder = Folder::new("learn");
    let out = folder.file("run");
    let result = snnc(&["train", MODEL, "--epochs", "3", "--out", &out, "--json"]).json();
    let accuracy = result["test_accuracy"].as_f64().expect("a number");
    assert!(accuracy >= 0.96, "{accuracy}");
    // What was saved is what was measured.
    let weights = format!("{out}/last.safetensors");
    let again = snnc(&["eval", MODEL, "--weights", &weights, "--json"]).json();
    assert_eq!(again["test_accuracy"], result["test_accuracy"]);
    assert_eq!(again["test_loss"], result["test_loss"]);
}

#[test]
fn threads_do_not_change_a_bit() {
    let folder = Folder::new("threads");
    let run = |threads: &str, seed: &str| {
        let out = folder.file(&format!("run{threads}-{seed}"));
        let limits = ["--epochs", "1", "--limit", "200", "--test-limit", "100"];
        let args = ["train", MODEL, "--threads", threads, "--seed", seed, "--out", &out, "--json"];
        let result = snnc(&[&args[..], &limits].concat()).json();
        assert_eq!(result["samples"], 100);
        (std::fs::read(format!("{out}/last.safetensors")).expect("weights"), result["test_loss"].clone())
    };
    let one = run("1", "7");
    assert_eq!(one, run("2", "7"));
    assert_eq!(one, run("5", "7"));
    assert_ne!(one.0, run("2", "8").0);
}

#[test]
fn a_run_is_not_overwritten() {
    let folder = Folder::new("overwrite");
    let out = folder.file("run");
    let args = ["train", MODEL, "--epochs", "1", "--limit", "64", "--test-limit", "10", "--out", &out];
    let first = snnc(&args);
    assert!(first.succeeds().stdout.lines().last().is_some_and(|line| line.starts_with("test accuracy ")));
    let weights = std::fs::read(format!("{out}/last.safetensors")).expect("weights");
    snnc(&args).fails(1, &["already holds a run"]);
    assert_eq!(std::fs::read(format!("{out}/last.safetensors")).expect("weights"), weights);
}
