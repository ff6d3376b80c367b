//! Loading a case, running a graph on it, comparing.

use safetensors::SafeTensors;
use snnc_ir::interp::{Env, Tensor, run};
use snnc_ir::text::parse;
use std::collections::HashMap;
use std::path::Path;

/// The tensors of one case by name.
pub struct Case {
    name: String,
    tensors: HashMap<String, Tensor>,
}

impl Case {
    pub fn load(name: &str) -> Case {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/reference");
        let bytes = std::fs::read(folder.join(format!("{name}.safetensors"))).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = file.iter().map(|(key, view)| {
            let words = view.data().chunks_exact(4);
            let data = words.map(|w| f64::from(f32::from_le_bytes([w[0], w[1], w[2], w[3]])));
            (key.to_string(), Tensor::new(view.shape().to_vec(), data.collect()))
        });
        Case { name: name.to_string(), tensors: tensors.collect() }
    }

    pub fn tensor(&self, key: &str) -> &Tensor {
        self.tensors.get(key).unwrap_or_else(|| panic!("{} has no {key}", self.name))
    }

    pub fn data(&self, key: &str) -> &[f64] {
        &self.tensor(key).data
    }

    /// Runs a graph in text on tensors of the case, named `(value, key)`.
    pub fn run(&self, text: &str, batch: usize, given: &[(&str, &str)]) -> Results<'_> {
        self.run_with(text, batch, given.iter().map(|&(value, key)| (value, self.tensor(key).clone())))
    }

    pub fn run_with<'a>(
        &self,
        text: &str,
        batch: usize,
        given: impl Iterator<Item = (&'a str, Tensor)>,
    ) -> Results<'_> {
        let graph = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let values = given.map(|(value, tensor)| (value.to_string(), tensor)).collect();
        let values = run(&graph, &Env { batch, values, smooth: false });
        Results { case: self, values: values.unwrap_or_else(|error| panic!("{}: {error}", self.name)) }
    }
}

/// What a run made.
pub struct Results<'a> {
    case: &'a Case,
    pub values: HashMap<String, Tensor>,
}

impl Results<'_> {
    /// A value against a tensor of the case, within the rounding of its f32.
    #[track_caller]
    pub fn near(&self, value: &str, key: &str) {
        near(&self.values[value].data, self.case.data(key), &format!("{} {key}", self.case.name));
    }

    /// A value that must be the same: spikes.
    #[track_caller]
    pub fn equal(&self, value: &str, key: &str) {
        assert_eq!(self.values[value].data, self.case.data(key), "{} {key}", self.case.name);
    }
}

#[track_caller]
pub fn near(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let close = (found - expected).abs() <= 3e-6 * (1.0 + expected.abs());
        assert!(close, "{what}[{at}]: expected {expected}, found {found}");
    }
}
