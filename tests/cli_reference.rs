//! `snnc grad` against cases that PyTorch computed: weights, images and labels go in as files, loss and gradients
//! come out as files.

#[path = "support/case.rs"]
mod case;
#[path = "support/command.rs"]
mod command;

use case::{Case, check, check_gradient, of_case};
use command::{Folder, floats, labels, snnc};
use serde_json::Value;
use snnc_runtime::checkpoint::{read_tensors, write_tensors};
use std::path::Path;

/// Numbers agree with PyTorch's f32 to this part of a tensor's largest value.
const TOLERANCE: f32 = 1e-5;

#[test]
fn the_gradients_of_a_residual_network() {
    compare("tiny_resnet_ce_mean", "tests/models/tiny_resnet.snn");
}

#[test]
fn the_gradients_of_a_spiking_transformer() {
    compare("tiny_statten", "tests/models/tiny_statten.snn");
}

fn compare(name: &str, model: &str) {
    let case = Case::load(name);
    let folder = Folder::new(name);
    let weights = weights(&folder, model, &case);
    let input = folder.write("x.npy", floats(case.shape("in.img"), case.get("in.img")));
    let classes: Vec<i64> = case.labels().into_iter().map(i64::from).collect();
    let classes = folder.write("y.npy", labels(&classes));
    let (output, loss) = (folder.file("g.safetensors"), folder.file("loss.json"));
    let args = ["grad", model, "--weights", &weights, "--input", &input, "--labels", &classes];
    snnc(&[&args[..], &["--output", &output, "--loss-output", &loss]].concat()).succeeds();

    let written = std::fs::read_to_string(&loss).expect("a loss");
    let written: Value = serde_json::from_str(&written).expect("JSON");
    let found = written["loss"].as_f64().expect("a number") as f32;
    let loss = check("loss", &[found], case.get("out.loss"), TOLERANCE);
    let gradients = read_tensors(Path::new(&output)).expect("gradients");
    assert_eq!(gradients.len(), case.keys("grad.param.").count());
    let errors = gradients.iter().map(|tensor| {
        let theirs = of_case(&tensor.name);
        assert_eq!(tensor.shape, case.shape(&format!("grad.{theirs}")), "{}", tensor.name);
        check_gradient(&tensor.data, &case, &theirs, TOLERANCE)
    });
    let gradients = errors.fold(0.0, f32::max);
    println!("snnc grad, {name}: loss {loss:e} gradients {gradients:e}");
}

/// The case's parameters under the names of our model.
fn weights(folder: &Folder, model: &str, case: &Case) -> String {
    let path = folder.file("w.safetensors");
    snnc(&["init", model, "--seed", "1", "-o", &path]).succeeds();
    let mut tensors = read_tensors(Path::new(&path)).expect("tensors");
    for tensor in &mut tensors {
        let theirs = of_case(&tensor.name);
        assert_eq!(tensor.shape, case.shape(&theirs), "{}", tensor.name);
        tensor.data = case.get(&theirs).to_vec();
    }
    write_tensors(Path::new(&path), &tensors, &Value::Null).expect("written");
    path
}
