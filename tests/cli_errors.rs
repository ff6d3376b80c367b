//! Bad input: a message of at most one screen that names the file and what would help, the exit code of its kind,
//! and nothing overwritten.

#[path = "support/command.rs"]
mod command;

use command::{Folder, floats, images, labels, snnc};
use snnc_runtime::checkpoint::{Tensor, read_tensors, write_tensors};
use std::path::Path;

const MODEL: &str = "models/digits.snn";

#[test]
fn the_command_line() {
    snnc(&[]).fails(2, &["Usage"]);
    snnc(&["check"]).fails(2, &["FILE"]);
    snnc(&["chek", MODEL]).fails(2, &["check"]);
    snnc(&["check", MODEL, "-D", "width"]).fails(2, &["NAME=VALUE"]);
    snnc(&["compile", MODEL, "--emit", "irr"]).fails(2, &["irr"]);
    snnc(&["compile", MODEL, "--firing-rate", "body.unit.lif=1.5"]).fails(2, &["from 0 to 1"]);
    snnc(&["compile", MODEL, "--firing-rate", "body.lif=0.5"]).fails(1, &["`body.lif`", "body.unit.lif"]);
    snnc(&["compile", MODEL, "--fires", "body.unit.lif=1.5"]).fails(2, &["share of neurons", "from 0 to 1"]);
    snnc(&["compile", MODEL, "--fires", "many"]).fails(2, &["'many'", "--fires"]);
    snnc(&["compile", MODEL, "--fires", "body.lif=0.5"]).fails(1, &["`body.lif`", "body.unit.lif"]);
    snnc(&["compile", MODEL, "--fires", "body.unit.lif=0.1"])
        .fails(1, &["`body.unit.lif`", "from 0.15 to 0.6"]);
    snnc(&["compile", MODEL, "--fires", "0.3", "--firing-rate", "0.05"])
        .fails(1, &["0.3", "from 0.05 to 0.2"]);
    snnc(&["compile", MODEL, "--form", "head=patterns"]).fails(1, &["`head`", "head.linear"]);
    snnc(&["compile", MODEL, "--form", "head.linear=wide"]).fails(2, &["`wide`", "walk"]);
    snnc(&["compile", MODEL, "--form", "head=walk"]).fails(1, &["`head`", "head.linear"]);
    snnc(&["compile", MODEL, "--emit", "ir:after=nothing"]).fails(2, &["nothing"]);
    for bad in [
        ["--batch", "0"],
        ["--epochs", "0"],
        ["--lr", "-1"],
        ["--lr", "nan"],
        ["--threads", "0"],
        ["--limit", "0"],
    ] {
        snnc(&[&["train", MODEL][..], &bad].concat()).fails(2, &[bad[0]]);
    }
}

#[test]
fn models() {
    let folder = Folder::new("models");
    snnc(&["check", &folder.file("none.snn")]).fails(3, &["none.snn", "cannot read"]);
    snnc(&["check", &folder.path().to_string_lossy()]).fails(3, &["cannot read"]);
    snnc(&["check", &folder.write("binary.snn", [0xff, 0xfe, 0x00])]).fails(3, &["binary.snn", "UTF-8"]);
    snnc(&["check", &folder.write("empty.snn", "")]).fails(1, &["error["]);
    snnc(&["check", MODEL, "-D", "widht=8"]).fails(1, &["widht", "width"]);
    snnc(&["check", MODEL, "-D", "width=much"]).fails(1, &["width", "much"]);
    snnc(&["train", MODEL, "-D", "width=0"]).fails(1, &["error["]);
    let two = "network n { timesteps 2 input x: f32[3, 8, 8] x |> conv(4, kernel: 9) |> liff |> linear(3) }";
    let run = snnc(&["check", &folder.write("two.snn", two)]);
    run.fails(1, &["two.snn:1:"]);
    snnc(&["compile", MODEL, "--skip", "nothing"]).fails(1, &["no pass `nothing`"]);
    snnc(&["compile", MODEL, "--skip", "layout"]).fails(1, &["`layout` cannot be skipped"]);
}

#[test]
fn data_sets() {
    let folder = Folder::new("data");
    let train = |data: &str| snnc(&["train", MODEL, "--data", data, "--out", &folder.file("run")]);
    train("digitz").fails(3, &["digitz", "digits"]);
    let empty = Folder::new("data-empty");
    train(&empty.file("")).fails(3, &["no data set"]);
    let cifar = Folder::new("data-cifar");
    let record = |label: u8| [&[label][..], &[0; 3072]].concat();
    cifar.write("data_batch_1.bin", record(3));
    train(&cifar.file("")).fails(3, &["test_batch.bin"]);
    cifar.write("test_batch.bin", &record(3)[..3000]);
    train(&cifar.file("")).fails(3, &["test_batch.bin", "3000 bytes", "help"]);
    cifar.write("test_batch.bin", record(12));
    train(&cifar.file("")).fails(3, &["label 12"]);
    cifar.write("test_batch.bin", record(3));
    train(&cifar.file("")).fails(1, &["[3, 32, 32]", "[1, 8, 8]"]);
    snnc(&["train", "models/lif_mlp.snn"]).fails(1, &["--data"]);
    assert!(!folder.list().contains(&"run".to_owned()), "no run was begun");
}

#[test]
fn batches() {
    let folder = Folder::new("batch");
    let out = folder.file("run");
    let run = snnc(&["train", MODEL, "--batch", "5000", "--out", &out]);
    run.fails(1, &["batch of 5000", "1442", "--batch"]);
    snnc(&["train", MODEL, "--limit", "10", "--out", &out]).fails(1, &["batch of 32", "10 samples"]);
    assert!(folder.list().is_empty());
}

#[test]
fn memory() {
    // Terabytes: 26 MB for a sample of 32×32 pixels, a hundred samples of a million pixels.
    let folder = Folder::new("memory");
    let x = folder.write("x.npy", floats(&[1, 1, 8, 8], &images(1)));
    let y = folder.write("y.npy", labels(&[0; 100]));
    let output = folder.file("g.safetensors");
    let files = ["--weights", "none", "--input", &x, "--labels", &y, "--output", &output];
    let run = snnc(&[&["grad", "models/resnet19.snn", "-D", "size=1024"][..], &files].concat());
    run.fails(1, &["memory", "help"]);
}

#[test]
fn checkpoints() {
    let folder = Folder::new("checkpoints");
    let good = folder.file("good.safetensors");
    snnc(&["init", MODEL, "-o", &good]).succeeds();
    let eval = |weights: &str| snnc(&["eval", MODEL, "--weights", weights, "--limit", "1"]);
    eval(&folder.file("none.safetensors")).fails(3, &["none.safetensors"]);
    let bytes = std::fs::read(&good).expect("weights");
    eval(&folder.write("cut.safetensors", &bytes[..bytes.len() / 2])).fails(3, &["cut.safetensors"]);
    let changed = |name: &str, change: &dyn Fn(&mut Vec<Tensor>)| {
        let mut tensors = read_tensors(Path::new(&good)).expect("tensors");
        change(&mut tensors);
        write_tensors(Path::new(&folder.file(name)), &tensors, &serde_json::Value::Null).expect("written");
        folder.file(name)
    };
    eval(&changed("missing", &|all| drop(all.remove(0)))).fails(3, &["is missing"]);
    eval(&changed("extra", &|all| all[0].name = "other.weight".to_owned()))
        .fails(3, &["other.weight", "is missing"]);
    let reshape = |all: &mut Vec<Tensor>| {
        let tensor = all.iter_mut().find(|t| t.name == "head.linear.weight").expect("a weight");
        tensor.shape.reverse();
    };
    eval(&changed("shape", &reshape)).fails(3, &["head.linear.weight", "[256, 10]", "[10, 256]"]);
    eval(&changed("nan", &|all| all[0].data[0] = f32::NAN)).fails(3, &["not finite"]);
    let other = ["eval", MODEL, "-D", "width=8", "--weights", &good];
    snnc(&other).fails(3, &["does not fit the model"]);
}

#[test]
fn arrays_and_nothing_is_overwritten() {
    let folder = Folder::new("arrays");
    let weights = folder.file("w.safetensors");
    snnc(&["init", MODEL, "-o", &weights]).succeeds();
    let kept = folder.write("out.npy", "what was there");
    let infer = |input: &str, output: &str| {
        snnc(&["infer", MODEL, "--weights", &weights, "--input", input, "--output", output])
    };
    infer(&folder.file("none.npy"), &kept).fails(3, &["none.npy"]);
    infer(&folder.write("text.npy", "hello"), &kept).fails(3, &["text.npy", ".npy"]);
    let bytes = floats(&[2, 1, 8, 8], &images(2));
    infer(&folder.write("cut.npy", &bytes[..300]), &kept).fails(3, &["cut.npy"]);
    infer(&folder.write("shape.npy", floats(&[2, 64], &images(2))), &kept)
        .fails(3, &["[2, 64]", "[N, 1, 8, 8]"]);
    let mut values = images(2);
    values[7] = f32::INFINITY;
    infer(&folder.write("inf.npy", floats(&[2, 1, 8, 8], &values)), &kept).fails(3, &["finite"]);
    let x = folder.write("x.npy", bytes);
    infer(&x, &folder.file("none/out.npy")).fails(3, &["no directory"]);
    infer(&x, &folder.path().to_string_lossy()).fails(3, &["directory"]);
    let grad = |y: &str| {
        snnc(&["grad", MODEL, "--weights", &weights, "--input", &x, "--labels", y, "--output", &kept])
    };
    grad(&folder.write("y.npy", labels(&[1, 10]))).fails(3, &["label 10"]);
    grad(&folder.write("y.npy", labels(&[1, -1]))).fails(3, &["label -1"]);
    grad(&folder.write("y.npy", labels(&[1]))).fails(3, &["1 "]);
    grad(&folder.write("y.npy", labels(&[]))).fails(3, &["no labels"]);
    grad(&x).fails(3, &["labels"]);
    assert_eq!(std::fs::read(&kept).expect("the file"), b"what was there");
    let all = folder.list();
    assert!(!all.iter().any(|name| name.ends_with(".tmp") || name.ends_with(".part")), "{all:?}");
}
