//! A case that PyTorch computed: its tensors by name, and which of them belong to our parameters.

#![allow(dead_code)] // Each test uses a part of it.

use safetensors::SafeTensors;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Names of blocks on the way to our parameters, which the cases do not have.
const UNNAMED: [&str; 9] =
    ["unit", "basic", "membrane", "membrane_unit", "project", "conv_norm", "point", "attend", "mlp"];
/// Bindings of the models in `models/blocks` that the cases call otherwise.
const RENAMED: [(&str, &str); 3] = [("first", "c1"), ("second", "c2"), ("skip", "down")];
/// The binding of a block's output.
const OUTPUT: &str = "y";

/// Gradients of biases before a norm: mathematically zero, so what is left of them is rounding alone.
pub const ZERO_GRADIENTS: [&str; 4] = ["param.proj.b", "param.a.proj.b", "param.m.fc1.b", "param.m.fc2.b"];

/// The folder of the cases.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reference")
}

/// The tensors of a case by name, with their shapes.
pub struct Case(HashMap<String, (Vec<usize>, Vec<f32>)>);

impl Case {
    pub fn load(name: &str) -> Case {
        let bytes = std::fs::read(folder().join(format!("{name}.safetensors"))).expect("a fixture");
        let file = SafeTensors::deserialize(&bytes).expect("safetensors");
        let tensor = |view: safetensors::tensor::TensorView<'_>| {
            let words = view.data().chunks_exact(4);
            (view.shape().to_vec(), words.map(|w| f32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect())
        };
        Case(file.iter().map(|(name, view)| (name.to_string(), tensor(view))).collect())
    }

    fn tensor(&self, key: &str) -> &(Vec<usize>, Vec<f32>) {
        self.0.get(key).unwrap_or_else(|| panic!("the case has no {key}"))
    }

    pub fn get(&self, key: &str) -> &[f32] {
        &self.tensor(key).1
    }

    pub fn shape(&self, key: &str) -> &[usize] {
        &self.tensor(key).0
    }

    /// The names of all tensors that begin with `prefix`.
    pub fn keys(&self, prefix: &str) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(move |key| key.starts_with(prefix))
    }

    pub fn labels(&self) -> Vec<i32> {
        self.get("in.y").iter().map(|y| *y as i32).collect()
    }

    /// `[T, B, n]` as samples of `[T, n]`; an image `[B, …]` as it is.
    pub fn samples(&self, key: &str, timed: bool) -> Vec<Vec<f32>> {
        let (shape, data) = self.tensor(key);
        let (steps, batch) = if timed { (shape[0], shape[1]) } else { (1, shape[0]) };
        samples(data, steps, batch)
    }

    /// The mean over time of `[T, B, n]`.
    pub fn mean_over_time(&self, key: &str) -> Vec<f32> {
        let (shape, data) = self.tensor(key);
        let rest = data.len() / shape[0];
        (0..rest).map(|i| data.iter().skip(i).step_by(rest).sum::<f32>() / shape[0] as f32).collect()
    }
}

/// `[T, B, n]` as samples of `[T, n]`.
pub fn samples(data: &[f32], steps: usize, batch: usize) -> Vec<Vec<f32>> {
    let part = data.len() / steps / batch;
    let sample =
        |b: usize| (0..steps).flat_map(move |t| data[(t * batch + b) * part..][..part].iter().copied());
    (0..batch).map(|b| sample(b).collect()).collect()
}

/// The case's tensor of one of our parameters: that of `b0.basic.c1.unit.conv.weight` is `param.b0.c1.w`.
///
/// A binding of a model has the name of the case's layer.
pub fn of_case(path: &str) -> String {
    let known = |word: &&str| *word != OUTPUT && !UNNAMED.contains(word);
    let renamed = |word| RENAMED.iter().find(|(ours, _)| *ours == word).map_or(word, |(_, theirs)| *theirs);
    let mut words: Vec<&str> = path.split('.').filter(known).map(renamed).collect();
    let (field, kind) = (words.pop().expect("a field"), words.pop().expect("a layer"));
    let layer = words.join(".");
    match (kind, field) {
        ("norm", "weight") => format!("param.{layer}.gamma"),
        ("norm", "bias") => format!("param.{layer}.beta"),
        ("norm", "running_mean") => format!("buf.{layer}.rm"),
        ("norm", "running_var") => format!("buf.{layer}.rv"),
        (_, "weight") => format!("param.{layer}.w"),
        (_, "bias") => format!("param.{layer}.b"),
        other => panic!("an unknown parameter {other:?}"),
    }
}

/// The largest difference of two tensors, relative to the largest expected value.
pub fn deviation(what: &str, found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len(), "{what}: other length");
    let scale = expected.iter().fold(1e-3f32, |top, v| top.max(v.abs()));
    assert!(found.iter().all(|v| v.is_finite()), "{what} is not finite");
    found.iter().zip(expected).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs())) / scale
}

/// The deviation of the gradient of the case's parameter `theirs`; fails where it is over `tolerance`.
///
/// A gradient that is zero has no size of its own: its distance from 0 counts in parts of the gradient of the weight
/// beside it, which is a sum over the same places.
pub fn check_gradient(found: &[f32], case: &Case, theirs: &str, tolerance: f32) -> f32 {
    if !ZERO_GRADIENTS.contains(&theirs) {
        return check(theirs, found, case.get(&format!("grad.{theirs}")), tolerance);
    }
    let weight = case.get(&format!("grad.{}.w", theirs.trim_end_matches(".b")));
    let largest = |values: &[f32]| values.iter().fold(0.0f32, |top, v| top.max(v.abs()));
    let (left, scale) = (largest(found), largest(weight));
    println!("    {theirs}: {left:e} instead of 0; the weight's are up to {scale}");
    assert!(left <= tolerance * scale, "{theirs}: the gradient is {left}, not 0");
    left / scale
}

/// The deviation; fails where it is over `tolerance`.
pub fn check(what: &str, found: &[f32], expected: &[f32], tolerance: f32) -> f32 {
    let error = deviation(what, found, expected);
    assert!(error <= tolerance, "{what} deviates by {error} of its largest value");
    error
}
