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

/// The mnemonics of instructions of a graph's text that `holds` picks by their whole line.
fn mnemonics(ir: &str, holds: impl Fn(&str) -> bool) -> Vec<&str> {
    let lines = ir.lines().filter(|line| holds(line));
    lines.filter_map(|line| line.split(" = ").nth(1)?.split_whitespace().next()).collect()
}

fn check(path: &str, mode: Mode) {
    let (model, _) = model(path, &[]);
    let ir = compiled(path, &[], mode, &[Emit::Ir]).emitted.remove(0).text;
    let products = spike_fed(&model);
    assert!(!products.is_empty(), "{path} has products of spikes");
    for name in &products {
        // The weight may be folded with a norm and laid out anew; the product reads it under a name that begins so.
        let weight = format!(", %{name}.weight");
        let forward = |m: &&str| !m.starts_with("fold.") && !m.contains("grad");
        let found: Vec<&str> =
            mnemonics(&ir, |line| line.contains(&weight)).into_iter().filter(forward).collect();
        // The backward pass may compute the sum again instead of keeping it.
        let most = if mode == Mode::Train { 2 } else { 1 };
        assert!((1..=most).contains(&found.len()), "{path}: `{name}` is {found:?}");
        assert!(found.iter().all(|m| m.ends_with(".masked_add")), "{path}: `{name}` is {found:?}");
        if mode == Mode::Train {
            let gradient = format!("%{name}.dw ");
            let found = mnemonics(&ir, |line| line.trim_start().starts_with(&gradient));
            assert!(
                found[0].ends_with(".masked_grad_weight"),
                "{path}: the gradient of `{name}` is {found:?}"
            );
        }
    }
}

#[test]
fn every_spike_fed_product_is_a_masked_add() {
    for name in ["digits", "lif_mlp", "resnet19", "resnet34", "sew_resnet34", "ms_resnet18", "sdt", "statten"]
    {
        let path = &format!("models/{name}.snn");
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
