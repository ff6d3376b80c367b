//! Kernels are compiled for what neurons were measured to do: after the first epoch, on resume, and for a checkpoint.

#[path = "support/command.rs"]
mod command;

use command::{Folder, snnc};
use serde_json::{Value, json};

const DIGITS: &str = "models/digits.snn";

/// Trains digits into a folder.
fn train(folder: &Folder, run: &str, extra: &[&str]) -> command::Run {
    let out = folder.file(run);
    snnc(&[&["train", DIGITS, "--out", &out, "--json"], extra].concat())
}

/// The metadata and the bytes of the tensors of a run's checkpoint.
fn checkpoint(folder: &Folder, run: &str, name: &str) -> (Value, Vec<u8>) {
    let bytes = std::fs::read(folder.path().join(run).join(name)).expect("a checkpoint");
    let (len, rest) = bytes.split_at(8);
    let (header, tensors) = rest.split_at(u64::from_le_bytes(len.try_into().expect("8 bytes")) as usize);
    let header: Value = serde_json::from_slice(header).expect("a header");
    let metadata = header["__metadata__"]["snnc"].as_str().expect("metadata");
    (serde_json::from_str(metadata).expect("JSON"), tensors.to_vec())
}

/// Rates and shares of an epoch's record as metadata has them: of single precision.
fn as_kept(record: &Value) -> Value {
    let share = |key: &str, layer: &str| record[key][layer].as_f64().expect("a share") as f32;
    let layers = record["firing_rates"].as_object().expect("rates").keys();
    let kept = |layer: &str| json!({ "rate": share("firing_rates", layer), "fires": share("fires", layer) });
    layers.map(|layer| (layer.clone(), kept(layer))).collect()
}

#[test]
fn the_first_epoch_decides_what_kernels_are_compiled_for() {
    let folder = Folder::new("guided");
    // Neurons of a low threshold fire so often that other forms are the cheapest.
    let model = std::fs::read_to_string(DIGITS).expect("a model");
    assert!(model.contains("threshold: 1.0"));
    let eager = folder.file("eager.snn");
    std::fs::write(&eager, model.replace("threshold: 1.0", "threshold: 0.3")).expect("written");
    let train = |folder: &Folder, run: &str, extra: &[&str]| {
        let out = folder.file(run);
        snnc(&[&["train", &eager, "--out", &out, "--json", "--epochs", "3"], extra].concat())
    };
    let found = train(&folder, "run", &[]).json();
    let (metadata, tensors) = checkpoint(&folder, "run", "last.safetensors");
    let epochs = found["history"].as_array().expect("epochs");
    assert_eq!(metadata["activities"], as_kept(&epochs[0]));
    let best = epochs.iter().rev().find(|epoch| epoch["best"] == true).expect("a best epoch");
    let (of_best, _) = checkpoint(&folder, "run", "best.safetensors");
    assert_eq!(of_best["activities"], as_kept(best));
    // Another form adds in another order: with the rates of before it is another run.
    train(&folder, "told", &["--firing-rate", "0.15"]).json();
    let (told, others) = checkpoint(&folder, "told", "last.safetensors");
    assert!(told["activities"].is_null() && others != tensors);
    // The first epoch is the same in both.
    let one = |run: &str, extra: &[&str]| {
        train(&folder, run, &[&["--stop-after", "1"], extra].concat()).fails(130, &["stopped"]);
        checkpoint(&folder, run, "last.safetensors").1
    };
    assert!(one("one", &[]) == one("told-one", &["--firing-rate", "0.15"]));
}

/// A product behind a pool is compiled for what the pool does; rates that are shown are those of neurons.
#[test]
fn pools_are_measured_as_neurons_are() {
    const NEURONS: &str = "stem.unit.lif";
    const POOL: &str = "stem.max_pool";
    let folder = Folder::new("guided-pool");
    let model = std::fs::read_to_string(DIGITS).expect("a model");
    let stem = "image |> unit(width)";
    assert!(model.contains(stem));
    let pooled =
        folder.write("pooled.snn", model.replace(stem, &format!("{stem} |> max_pool(2, stride: 2)")));
    let out = folder.file("run");
    let found = snnc(&["train", &pooled, "--out", &out, "--json", "--epochs", "2"]).json();
    let (metadata, _) = checkpoint(&folder, "run", "last.safetensors");
    let rate = |layer: &str, what: &str| metadata["activities"][layer][what].as_f64();
    let [Some(neurons), Some(pool)] = [NEURONS, POOL].map(|layer| rate(layer, "rate")) else {
        panic!("{}", metadata["activities"])
    };
    assert!(pool > neurons && pool < 4.0 * neurons && rate(POOL, "fires") >= Some(pool), "{neurons}, {pool}");
    let rates = found["history"][0]["firing_rates"].as_object().expect("rates");
    assert!(rates.contains_key(NEURONS) && !rates.contains_key(POOL));
    // It is a layer that can be told of.
    let told = format!("{POOL}=0.75");
    let report = snnc(&["compile", &pooled, "--emit", "report", "--firing-rate", &told]);
    let of_body = |line: &&str| line.ends_with("body.unit.conv");
    let line = report.succeeds().stdout.lines().find(of_body).expect("the product behind the pool");
    assert!(line.contains(" 0.750 "), "{line}");
}

#[test]
fn a_resumed_run_has_the_kernels_of_its_checkpoint() {
    let folder = Folder::new("guided-resume");
    let saved = |run: &str| std::fs::read(folder.path().join(run).join("last.safetensors")).expect("saved");
    train(&folder, "whole", &["--epochs", "4"]).json();
    train(&folder, "parts", &["--epochs", "4", "--stop-after", "1"]).fails(130, &["stopped"]);
    for stop in [&["--stop-after", "1"][..], &[]] {
        let parts = folder.file("parts");
        snnc(&[&["train", DIGITS, "--resume", &parts], stop].concat());
    }
    assert!(saved("parts") == saved("whole"), "other bits");
    // What was said of rates and forms belongs to the run.
    let said = ["--firing-rate", "stem.unit.lif=0.9,0.1", "--fires", "0.3,stem.unit.lif=1"];
    let said = [&said[..], &["--form", "head.linear=dense,body.unit.conv=patterns"]].concat();
    train(&folder, "said", &[&["--epochs", "2"], &said[..]].concat()).json();
    train(&folder, "again", &[&["--epochs", "2", "--stop-after", "1"], &said[..]].concat());
    snnc(&["train", DIGITS, "--resume", &folder.file("again")]).succeeds();
    assert!(saved("again") == saved("said"), "other bits");
}

#[test]
fn rates_and_forms_that_a_model_does_not_have_are_refused() {
    let folder = Folder::new("guided-bad");
    train(&folder, "a", &["--firing-rate", "nose=0.5"])
        .fails(1, &["`nose` is no layer of neurons", "stem.unit.lif"]);
    train(&folder, "b", &["--form", "nose=walk"])
        .fails(1, &["`nose` is no product with spikes", "head.linear"]);
    train(&folder, "c", &["--firing-rate", "1.5"]).fails(2, &["a firing rate is a number from 0 to 1"]);
    // A checkpoint that was written by others, with a rate that is none.
    train(&folder, "run", &["--epochs", "2", "--stop-after", "1"]).fails(130, &["stopped"]);
    let path = folder.path().join("run/last.safetensors");
    let bytes = std::fs::read(&path).expect("a checkpoint");
    let key = b"rate\\\":";
    let at = bytes.windows(key.len()).position(|part| part == key).expect("a rate") + key.len();
    let mut broken = bytes.clone();
    broken[at] = b'7';
    std::fs::write(&path, broken).expect("written");
    snnc(&["train", DIGITS, "--resume", &folder.file("run")]).fails(3, &["firing rate of `", "from 0 to 1"]);
}
