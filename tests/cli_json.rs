//! Stdout carries results alone: with `--json` one object with the documented keys.

#[path = "support/command.rs"]
mod command;

use command::{Folder, command, floats, images, labels, snnc};
use serde_json::Value;
use std::process::Stdio;

const MODEL: &str = "models/digits.snn";

fn has(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some_and(|v| !v.is_null()), "no `{key}` in {value:#}");
    }
}

#[test]
fn check_and_compile() {
    let check = snnc(&["check", MODEL, "--json"]).json();
    has(
        &check,
        &["name", "timesteps", "classes", "parameters", "macs_per_timestep", "layers", "params", "warnings"],
    );
    has(&check["layers"][0], &["name", "kind", "output", "parameters", "macs_per_timestep", "input"]);
    assert_eq!((&check["layers"][0]["input"], &check["params"]["width"]), (&"real".into(), &"16".into()));
    let compile = snnc(&["compile", MODEL, "--emit", "ir", "--json"]).json();
    has(&compile, &["name", "seconds", "passes", "kernels", "modes", "emitted"]);
    has(&compile["passes"][0], &["mode", "name", "seconds", "insts_before", "insts_after"]);
    has(&compile["kernels"][0], &["mode", "name", "steps", "scratch_bytes", "code_bytes"]);
    has(
        &compile["modes"][1],
        &[
            "mode",
            "seconds",
            "arena_fixed_bytes",
            "arena_bytes_per_sample",
            "arena_level_bytes_per_sample",
            "arena_above_bytes",
        ],
    );
    has(&compile["emitted"][0], &["name", "text"]);
}

#[test]
fn what_runs_a_network() {
    let folder = Folder::new("json");
    let (out, weights) = (folder.file("run"), folder.file("w.safetensors"));
    let init = snnc(&["init", MODEL, "-o", &weights, "--json"]).json();
    has(&init, &["output", "tensors", "parameters", "seed"]);
    let limits = ["--epochs", "1", "--limit", "64", "--test-limit", "32", "--json"];
    let train = snnc(&[&["train", MODEL, "--out", &out][..], &limits].concat()).json();
    let common = ["samples", "images_per_second", "peak_bytes", "firing_rates"];
    has(&train, &common);
    has(&train, &["test_accuracy", "test_loss", "best_accuracy", "epochs", "seconds", "out", "history"]);
    let rates = train["firing_rates"].as_object().expect("rates by layer");
    assert!(rates.contains_key("body.unit.lif") && rates.values().all(|rate| rate.as_f64() <= Some(1.0)));
    let eval = snnc(&["eval", MODEL, "--weights", &weights, "--limit", "50", "--json"]).json();
    has(&eval, &common);
    has(&eval, &["test_accuracy", "test_loss"]);
    let share = |key: &str| eval[key]["body.unit.lif"].as_f64().unwrap_or(-1.0);
    let (rate, fires) = (share("firing_rates"), share("fires"));
    assert!(rate <= fires && fires <= 1.0, "{fires} fire at all, {rate} at a timestep");
    assert_eq!(eval["samples"], 50);
    let x = folder.write("x.npy", floats(&[2, 1, 8, 8], &images(2)));
    let y = folder.write("y.npy", labels(&[1, 2]));
    let (logits, grads) = (folder.file("l.npy"), folder.file("g.safetensors"));
    let files = ["--weights", &weights, "--input", &x, "--json"];
    let infer = snnc(&[&["infer", MODEL, "--output", &logits][..], &files].concat()).json();
    has(&infer, &common);
    has(&infer, &["classes", "output", "seconds"]);
    let grad = snnc(&[&["grad", MODEL, "--labels", &y, "--output", &grads][..], &files].concat()).json();
    has(&grad, &common);
    has(&grad, &["loss", "gradients", "output", "seconds"]);
}

#[test]
fn colours_are_for_those_who_want_them() {
    let folder = Folder::new("colour");
    let path = folder.write("bad.snn", "network bad { }");
    let plain = snnc(&["check", &path]);
    assert!(plain.code == 1 && !plain.stderr.contains('\u{1b}'), "{}", plain.stderr);
    let always = snnc(&["check", &path, "--color", "always"]);
    assert!(always.stderr.contains('\u{1b}'), "{}", always.stderr);
    let output = command(&["check", &path]).env("NO_COLOR", "1").output().expect("a run");
    assert!(!output.stderr.contains(&0x1b));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = command(&["compile", "models/resnet19.snn", "--emit", "ir,plan,kernel"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("an end");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !stderr.contains("panicked"), "{stderr}");
}
