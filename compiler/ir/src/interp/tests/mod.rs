//! The evaluator against published numbers, finite differences and small cases worked by hand.

mod attention;
mod golden;
mod learned;
mod ops;
mod smooth;

use super::{Env, Tensor, run};
use crate::text::parse;
use std::collections::HashMap;

/// Runs a graph in text with a batch and values `(name, extents, elements)`.
fn run_text(text: &str, batch: usize, values: &[(&str, &[usize], &[f64])]) -> HashMap<String, Tensor> {
    let graph = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let tensors = values
        .iter()
        .map(|&(name, dims, data)| (name.to_string(), Tensor::new(dims.to_vec(), data.to_vec())));
    let env = Env { batch, values: tensors.collect(), smooth: false };
    run(&graph, &env).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found_at, expected_at) in found.iter().zip(expected) {
        let close = (found_at - expected_at).abs() <= tolerance;
        assert!(close, "expected {expected:?}\nfound    {found:?}");
    }
}
