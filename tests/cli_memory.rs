//! `snnc train --memory`: what is planned is what the process takes, and a budget is met or refused.

#[path = "support/command.rs"]
mod command;

use command::{Folder, snnc};
use serde_json::Value;

const RESNET: &str = "models/resnet19.snn";

/// CIFAR-10 in small: so many samples of noise in each part.
fn cifar(folder: &Folder, samples: usize) -> String {
    std::fs::create_dir_all(folder.path().join("cifar")).expect("a folder");
    let byte = |i: usize| ((i * 2_654_435_761) >> 13) as u8;
    let record = |n: usize| std::iter::once((n % 10) as u8).chain((0..3072).map(move |i| byte(n * 3072 + i)));
    let all: Vec<u8> = (0..samples).flat_map(record).collect();
    for file in ["data_batch_1.bin", "test_batch.bin"] {
        folder.write(&format!("cifar/{file}"), &all);
    }
    folder.file("cifar")
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("{key} in {value:#}"))
}

/// Trains a small ResNet-19 for an epoch of one step and gives what the command told.
fn epoch(folder: &Folder, name: &str, (steps, batch): (usize, usize), extra: &[&str]) -> Value {
    let (data, out) = (cifar(folder, batch), folder.file(name));
    let (steps, batch) = (format!("steps={steps}"), batch.to_string());
    let args =
        ["train", RESNET, "--data", &data, "--out", &out, "--epochs", "1", "--batch", &batch, "--json"];
    let sizes = ["-D", "stem=16", "-D", "width=16", "-D", "hidden=32", "-D", &steps];
    snnc(&[&args[..], &sizes, extra].concat()).json()
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_takes_what_was_planned() {
    let folder = Folder::new("planned");
    for (name, size) in [("few", (4, 200)), ("many", (16, 64))] {
        let found = epoch(&folder, name, size, &[]);
        let (planned, taken) = (number(&found, "peak_bytes"), number(&found, "resident_bytes"));
        println!("{size:?}: {planned} planned, {taken} taken, {:.3}", planned / taken);
        assert!(taken > 200e6, "{taken}");
        assert!((planned / taken - 1.0).abs() < 0.1, "{size:?}: {planned} bytes were planned, {taken} taken");
    }
}

#[test]
fn a_budget_is_met_or_refused_and_changes_no_bit() {
    let folder = Folder::new("budget");
    let size = (4, 16);
    let least = epoch(&folder, "least", size, &[]);
    let planned = number(&least, "peak_bytes");
    let within = |factor: f64| format!("{}", (planned * factor) as u64);
    let saved = |name: &str| std::fs::read(folder.path().join(name).join("last.safetensors")).expect("saved");
    let mut taken = vec![planned];
    for (name, factor) in [("tight", 1.0), ("some", 1.15), ("ample", 4.0)] {
        let found = epoch(&folder, name, size, &["--memory", &within(factor)]);
        assert!(number(&found, "peak_bytes") <= planned * factor, "{name}");
        taken.push(number(&found, "peak_bytes"));
        assert!(saved(name) == saved("least"), "{name} is another run");
    }
    assert!(taken[1] == taken[0] && taken[2] > taken[1] && taken[3] > taken[2], "{taken:?}");
    let (data, memory) = (cifar(&folder, 16), within(0.95));
    let args = ["train", RESNET, "--data", &data, "--batch", "16", "--memory", &memory, "--out", &memory];
    let sizes = ["-D", "stem=16", "-D", "width=16", "-D", "hidden=32"];
    let refused = snnc(&[&args[..], &sizes].concat());
    refused.fails(1, &["a batch of ", "fits: give `--batch", "the machine has enough for `--memory "]);
}

#[test]
fn compile_keeps_within_a_budget_or_says_what_fits() {
    let compiled = |memory: &[&str]| {
        let args = ["compile", RESNET, "--mode", "train", "--emit", "report", "--threads", "1", "--json"];
        snnc(&[&args[..], memory].concat())
    };
    let bytes = |memory: &[&str]| {
        let found = compiled(memory).json();
        let report = found["emitted"][0]["text"].as_str().expect("a report").to_owned();
        assert_eq!(
            report.contains("computed again in the backward part: 0 values"),
            memory.contains(&"9GiB")
        );
        number(&found["modes"][0], "arena_bytes_per_sample")
    };
    let (least, some, all) = (bytes(&[]), bytes(&["--memory", "1500M"]), bytes(&["--memory", "9GiB"]));
    assert!(least < some && some < all, "{least} {some} {all}");
    assert!(some * 128.0 < 1500.0 * 1048576.0);
    compiled(&["--memory", "300M"]).fails(1, &["MiB of memory, 300.0 MiB is available", "or `--memory "]);
    compiled(&["--batch", "4"]).fails(2, &["--memory"]);
}
