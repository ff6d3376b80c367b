//! Compiles a model and trains it from a program of one's own: `cargo run --release --example digits`.

use snnc_compiler::front::{SourceMap, analyze, render};
use snnc_compiler::{Mode, Options, compile};
use snnc_runtime::progress::Silent;
use snnc_runtime::{Session, TrainOptions, data, train};
use std::error::Error;

const MODEL: &str = "
neuron lif = LIF(decay: 0.5, threshold: 1.0, reset: hard(0.0), surrogate: rectangle(width: 1.0))

network mlp {
    timesteps 4
    input image: f32[1, 8, 8]
    image |> flatten |> linear(128) |> norm |> lif |> linear(10) |> mean(time)
}

train {
    loss      cross_entropy
    optimizer sgd(lr: 0.1, momentum: 0.9)
    schedule  cosine(epochs: 10)
    batch     32
}
";

fn main() -> Result<(), Box<dyn Error>> {
    let sources = SourceMap::single("mlp.snn", MODEL);
    let model = analyze(&sources, "mlp.snn", &[]).map_err(|faults| render(&sources, &faults, false))?;
    let session = |mode| -> Result<Session, Box<dyn Error>> {
        let compiled = compile(&model, &sources, "mlp.snn", &Options::new(mode))?;
        Ok(Session::new(compiled.executable, model.recipe.batch, 0)?)
    };
    let (mut learner, mut tester) = (session(Mode::Train)?, session(Mode::Infer)?);
    let options = TrainOptions::of(&learner.plan().recipe.clone());
    let report = train(&mut learner, &mut tester, &data::open("digits")?, &options, &mut Silent)?;
    println!("test accuracy {:.2} %", report.last.test_accuracy * 100.0);
    for (layer, rate) in &report.last.firing_rates.0 {
        println!("firing rate {rate:.3}  {layer}");
    }
    Ok(())
}
