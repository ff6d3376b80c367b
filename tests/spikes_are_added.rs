//! The claim that spikes are added, not multiplied, on the graphs that are compiled.

#[path = "support/compiled.rs"]
mod compiled;

use compiled::{compiled, model};
use snnc_compiler::front::{Kind, Model};
use snnc_compiler::{Emit, Mode};

/// The names of the products whose input is spikes.
fn spike_fed(model: &Model) -> Vec<String> {
    let product = |kind: &str| kind == "conv" || kind == "linear";
    model
        .layers
        .iter()
        .filter(|l| product(&l.kind) && l.input == Kind::Spikes)
        .map(|l| l.name.clone())
        .collect()
}

/// The mnemonic of the instruction that makes `%name` in the text of a graph.
fn mnemonic<'a>(ir: &'a str, name: &str) -> Option<&'a str> {
    let start = format!("%{name} ");
    let line =
        ir.lines().map(str::trim_start).find(|line| line.starts_with(&start) && line.contains(" = "))?;
    line.split(" = ").nth(1)?.split_whitespace().next()
}

fn check(path: &str, mode: Mode) {
    let (model, _) = model(path, &[]);
    let ir = compiled(path, &[], mode, &[Emit::Ir]).emitted.remove(0).text;
    let products = spike_fed(&model);
    assert!(!products.is_empty() || path.contains("mlp"), "{path} has products of spikes");
    for name in &products {
        let found = mnemonic(&ir, name);
        let added = found.is_some_and(|m| m.ends_with(".masked_add"));
        assert!(added, "{path}: `{name}` is {found:?} in\n{ir}");
    }
    let masked = ir.matches(".masked_add ").count();
    assert!(
        masked >= products.len(),
        "{path}: {masked} masked adds for {} products of spikes",
        products.len()
    );
}

#[test]
fn every_spike_fed_product_is_a_masked_add() {
    for path in ["models/digits.snn", "models/lif_mlp.snn", "models/resnet19.snn"] {
        check(path, Mode::Infer);
        check(path, Mode::Train);
    }
}

#[test]
fn resnet19_has_one_dense_convolution_and_one_dense_matrix_product() {
    // The stem reads the image, the first linear layer an average of spikes; all else reads spikes.
    let ir = compiled("models/resnet19.snn", &[], Mode::Infer, &[Emit::Ir]).emitted.remove(0).text;
    assert_eq!((ir.matches("= conv2d ").count(), ir.matches("= linear ").count()), (1, 1), "{ir}");
    assert!(!ir.contains("= lif "), "every neuron is fused into a scan");
}
