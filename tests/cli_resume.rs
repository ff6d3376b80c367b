//! `snnc train`: stopped and resumed runs are the same run, whole and to the byte.

#[path = "support/command.rs"]
mod command;

use command::{Folder, snnc};

const MODEL: &str = "models/digits.snn";

/// A short run.
const SHORT: [&str; 6] = ["--limit", "200", "--test-limit", "64", "--batch", "40"];

fn train(extra: &[&str]) -> command::Run {
    snnc(&[&["train", MODEL], extra].concat())
}

fn bytes(folder: &Folder, file: &str) -> Vec<u8> {
    std::fs::read(folder.path().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

#[test]
fn four_epochs_are_two_and_two_for_one_and_two_threads() {
    let folder = Folder::new("resume");
    let whole = folder.file("whole");
    let asked = ["--epochs", "4", "--seed", "5", "--lr", "0.05", "-D", "width=8", "-D", "steps=3"];
    train(&[&["--out", &whole, "--threads", "2"], &SHORT[..], &asked].concat()).succeeds();
    for threads in ["1", "2"] {
        let name = format!("parts{threads}");
        let out = folder.file(&name);
        let first =
            [&["--out", &out, "--threads", threads, "--stop-after", "2"], &SHORT[..], &asked].concat();
        train(&first)
            .fails(130, &["2/4", "go on with `snnc train models/digits.snn --resume", "interrupted"]);
        // What the run was asked for need not be said again.
        let result = snnc(&["train", MODEL, "--resume", &out, "--threads", threads, "--json"]).json();
        assert_eq!((&result["epochs"], result["history"].as_array().map(Vec::len)), (&4.into(), Some(2)));
        for file in ["last.safetensors", "best.safetensors"] {
            let same = bytes(&folder, &format!("{name}/{file}")) == bytes(&folder, &format!("whole/{file}"));
            assert!(same, "{file} with {threads} threads");
        }
        let table = String::from_utf8(bytes(&folder, &format!("{name}/metrics.csv"))).expect("text");
        assert_eq!(table.lines().count(), 5, "{table}");
    }
}

#[test]
fn a_run_goes_on_with_the_memory_that_it_was_given() {
    let folder = Folder::new("resumed-memory");
    let run = |name: &str, extra: &[&str]| {
        train(&[&["--out", &folder.file(name), "--epochs", "2", "--json"], &SHORT[..], extra].concat())
    };
    let (least, ample) = (run("least", &[]).json(), run("ample", &["--memory", "2G"]).json());
    assert!(least["peak_bytes"].as_u64() < ample["peak_bytes"].as_u64(), "{least} {ample}");
    run("parts", &["--memory", "2G", "--stop-after", "1"]).fails(130, &["interrupted"]);
    let resumed = snnc(&["train", MODEL, "--resume", &folder.file("parts"), "--json"]).json();
    assert_eq!(resumed["peak_bytes"], ample["peak_bytes"]);
}

#[test]
fn a_run_may_be_given_more_epochs() {
    let folder = Folder::new("more");
    let text = std::fs::read_to_string(MODEL).expect("the model");
    let model =
        folder.write("constant.snn", text.replace("cosine(epochs: epochs)", "constant(epochs: epochs)"));
    let run = |out: &str, extra: &[&str]| {
        let args = ["train", model.as_str(), "--out", &folder.file(out)].map(str::to_owned);
        let args: Vec<&str> =
            args.iter().map(String::as_str).chain(SHORT).chain(extra.iter().copied()).collect();
        snnc(&args)
    };
    run("whole", &["--epochs", "4"]).succeeds();
    run("parts", &["--epochs", "2"]).succeeds();
    let done = snnc(&["train", &model, "--resume", &folder.file("parts")]);
    assert!(done.succeeds().stderr.contains("the run had its 2 epochs"), "{}", done.stderr);
    assert!(!done.stderr.contains("text is not that of the run"), "{}", done.stderr);
    snnc(&["train", &model, "--resume", &folder.file("parts"), "--epochs", "4"]).succeeds();
    assert_eq!(bytes(&folder, "parts/last.safetensors"), bytes(&folder, "whole/last.safetensors"));
    // Another model of the same parameters is another run.
    let changed = text.replace("decay: 0.5", "decay: 0.6");
    let changed = folder.write("changed.snn", changed);
    let other = snnc(&["train", &changed, "--resume", &folder.file("parts"), "--epochs", "4"]);
    assert!(other.succeeds().stderr.contains("the model's text is not that of the run"), "{}", other.stderr);
}

#[test]
fn auto_begins_a_run_or_goes_on_with_it() {
    let folder = Folder::new("auto");
    let out = folder.file("run");
    let once = || {
        train(
            &[&["--resume", "auto", "--out", &out, "--epochs", "2", "--stop-after", "1"], &SHORT[..]]
                .concat(),
        )
    };
    let first = once();
    first.fails(130, &["a new one begins", "1/2"]);
    // What ends as it was to end was not stopped.
    let second = once();
    assert!(second.succeeds().stderr.contains("2/2"), "{}", second.stderr);
    assert!(once().succeeds().stderr.contains("the run had its 2 epochs"));
}

#[test]
fn what_cannot_be_resumed_is_told() {
    let folder = Folder::new("no-resume");
    let out = folder.file("run");
    train(&["--resume", &folder.file("none")]).fails(3, &["no run to resume", "auto"]);
    train(&["--resume", &folder.file("")]).fails(3, &["no run to resume"]);
    train(
        &[&["--out", &out, "--epochs", "2", "--stop-after", "1", "--save-every", "1"], &SHORT[..]].concat(),
    )
    .fails(130, &["1/2"]);
    let numbered = format!("{out}/epoch-1.safetensors");
    train(&["--resume", &numbered]).fails(1, &["would lose later epochs", "--out"]);
    train(&["--resume", &numbered, "--out", &folder.file("branch")]).succeeds();
    let best = format!("{out}/best.safetensors");
    train(&["--resume", &best, "--out", &folder.file("best")]).fails(1, &["holds weights", "--from"]);
    train(&["--resume", &out, "--seed", "1"]).fails(1, &["another seed", "resume it with seed 0"]);
    train(&["--resume", &out, "-D", "width=8"]).fails(3, &["does not fit the model"]);
    train(&["--resume", &out, "--from", &numbered]).fails(2, &["--from"]);
    train(&[&["--out", &out], &SHORT[..]].concat()).fails(1, &["already holds a run", "--resume"]);
    // A run that was killed before its first checkpoint has lost nothing: it begins again.
    std::fs::remove_file(format!("{out}/last.safetensors")).expect("removed");
    std::fs::remove_file(format!("{out}/best.safetensors")).expect("removed");
    std::fs::write(format!("{out}/metrics.jsonl"), "").expect("written");
    assert_eq!(snnc(&["train", MODEL, "--resume", &out, "--json"]).json()["epochs"], 2);
}

#[test]
fn weights_of_a_checkpoint_begin_a_new_run() {
    let folder = Folder::new("from");
    let weights = folder.file("w.safetensors");
    snnc(&["init", MODEL, "--seed", "0", "-o", &weights]).succeeds();
    let run = |out: &str, extra: &[&str]| {
        train(&[&["--out", &folder.file(out), "--epochs", "1"], &SHORT[..], extra].concat()).succeeds();
    };
    run("drawn", &[]);
    run("given", &["--from", &weights]);
    assert_eq!(bytes(&folder, "drawn/last.safetensors"), bytes(&folder, "given/last.safetensors"));
}

#[test]
fn encoded_samples_are_drawn_alike_before_and_after_a_stop() {
    let folder = Folder::new("encoded");
    let text = std::fs::read_to_string(MODEL).expect("the model");
    let model =
        folder.write("poisson.snn", text.replace("image: f32[1, 8, 8]", "image: f32[1, 8, 8] |> poisson"));
    let run = |out: &str, extra: &[&str]| {
        let out = folder.file(out);
        snnc(&[&["train", &model, "--out", &out, "--epochs", "2"], &SHORT[..], extra].concat())
    };
    run("whole", &["--threads", "1"]).succeeds();
    run("parts", &["--stop-after", "1", "--threads", "2"]).fails(130, &["1/2"]);
    snnc(&["train", &model, "--resume", &folder.file("parts")]).succeeds();
    assert_eq!(bytes(&folder, "parts/last.safetensors"), bytes(&folder, "whole/last.safetensors"));
}
