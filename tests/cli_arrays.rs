//! `snnc init`, `infer` and `grad`: arrays in, arrays out.

#[path = "support/command.rs"]
mod command;

use command::{Folder, floats, images, labels, read_floats, snnc};
use snnc_runtime::checkpoint::{Tensor, read_tensors, write_tensors};
use std::path::Path;

const MODEL: &str = "models/digits.snn";

/// Fresh weights in a folder.
fn weights(folder: &Folder, seed: &str) -> String {
    let path = folder.file(&format!("w{seed}.safetensors"));
    snnc(&["init", MODEL, "--seed", seed, "-o", &path]).succeeds();
    path
}

fn tensors(path: &str) -> Vec<Tensor> {
    read_tensors(Path::new(path)).expect("tensors")
}

#[test]
fn first_weights_depend_on_the_seed_alone() {
    let folder = Folder::new("init");
    let (one, two) = (weights(&folder, "1"), weights(&folder, "2"));
    let read = |path: &str| std::fs::read(path).expect("weights");
    let first = read(&one);
    weights(&folder, "1");
    assert_eq!(first, read(&one));
    assert_ne!(first, read(&two));
    let names: Vec<String> = tensors(&one).into_iter().map(|t| t.name).collect();
    assert!(names.contains(&"body.unit.conv.weight".to_owned()), "{names:?}");
}

#[test]
fn logits_do_not_depend_on_batch_or_threads() {
    let folder = Folder::new("infer");
    let weights = weights(&folder, "1");
    let input = folder.write("x.npy", floats(&[5, 1, 8, 8], &images(5)));
    let run = |name: &str, batch: &str, threads: &str| {
        let output = folder.file(name);
        let args = ["infer", MODEL, "--weights", &weights, "--input", &input, "--output", &output];
        let result = snnc(&[&args[..], &["--batch", batch, "--threads", threads, "--json"]].concat()).json();
        assert_eq!((&result["samples"], &result["classes"]), (&5.into(), &10.into()));
        read_floats(&output)
    };
    let all = run("a.npy", "5", "2");
    assert_eq!(all.0, [5, 10]);
    assert_eq!(all, run("b.npy", "1", "1"));
    assert_eq!(all, run("c.npy", "2", "2"));
}

/// Loss and gradients of the images with labels 0, 1, 2, …
fn gradients(folder: &Folder, weights: &str, count: usize) -> (f64, Vec<Tensor>) {
    let input = folder.write("x.npy", floats(&[count, 1, 8, 8], &images(count)));
    let classes: Vec<i64> = (0..count as i64).collect();
    let classes = folder.write("y.npy", labels(&classes));
    let (output, loss) = (folder.file("g.safetensors"), folder.file("loss.json"));
    let args =
        ["grad", MODEL, "--weights", weights, "--input", &input, "--labels", &classes, "--output", &output];
    let result = snnc(&[&args[..], &["--loss-output", &loss, "--json"]].concat()).json();
    let written = std::fs::read_to_string(&loss).expect("a loss");
    let written: serde_json::Value = serde_json::from_str(&written).expect("JSON");
    assert_eq!(written["loss"], result["loss"]);
    (written["loss"].as_f64().expect("a number"), tensors(&output))
}

#[test]
fn every_trained_parameter_has_a_gradient_of_its_shape() {
    let folder = Folder::new("grad");
    let weights = weights(&folder, "3");
    let before = std::fs::read(&weights).expect("weights");
    let (loss, gradients) = gradients(&folder, &weights, 4);
    assert!((1.5..3.5).contains(&loss), "{loss} is near ln 10");
    let trained: Vec<Tensor> =
        tensors(&weights).into_iter().filter(|t| !t.name.contains(".running_")).collect();
    let shapes = |all: &[Tensor]| all.iter().map(|t| (t.name.clone(), t.shape.clone())).collect::<Vec<_>>();
    assert_eq!(shapes(&trained), shapes(&gradients));
    assert!(gradients.iter().all(|t| t.data.iter().all(|v| v.is_finite())));
    assert_eq!(before, std::fs::read(&weights).expect("weights"), "the weights stay as they are");
}

#[test]
fn the_gradient_of_the_last_bias_is_the_slope_of_the_loss() {
    // The loss is smooth in the last layer, so finite differences apply without a smoothed network.
    let folder = Folder::new("slope");
    let weights = weights(&folder, "4");
    let (_, found) = gradients(&folder, &weights, 6);
    let found = &found.iter().find(|t| t.name == "head.linear.bias").expect("a gradient").data;
    let shifted = |class: usize, by: f32| {
        let mut all = tensors(&weights);
        all.iter_mut().find(|t| t.name == "head.linear.bias").expect("a bias").data[class] += by;
        let path = folder.file("shifted.safetensors");
        write_tensors(Path::new(&path), &all, &serde_json::Value::Null).expect("written");
        gradients(&folder, &path, 6).0
    };
    for class in [0, 3, 9] {
        let slope = (shifted(class, 0.05) - shifted(class, -0.05)) / 0.1;
        assert!((slope - f64::from(found[class])).abs() < 1e-3, "{class}: {slope} and {}", found[class]);
    }
}
