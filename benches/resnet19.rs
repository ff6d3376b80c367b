//! Spiking ResNet-19, T = 4: inference and a training step (forward, backward, update), full size with a stem of 128 at
//! firing rates of 5 and 15 % in every layer, and a small one. Throughput is in images.
//!
//! Rates are forced: the shifts of the norms are moved until every layer fires so often.

#[path = "../tests/support/compiled.rs"]
mod compiled;
#[path = "../tests/support/rates.rs"]
mod rates;

use compiled::session;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use snnc_compiler::Mode;
use snnc_runtime::rng::{Purpose, Rng};
use snnc_runtime::{Session, initialise};

const MODEL: &str = "models/resnet19.snn";

fn fill(session: &mut Session, batch: usize) {
    let image = |slot: usize, to: &mut [f32]| {
        let mut rng = Rng::new(1, Purpose::Shuffle, slot as u64);
        to.iter_mut().for_each(|v| *v = 3.4 * rng.uniform() - 1.7);
        Ok(())
    };
    session.set_inputs(batch, image).expect("inputs");
}

/// A training and an inference session whose layers fire at a rate.
fn sessions(defines: &[(&str, &str)], batch: usize, rate: f64) -> (Session, Session) {
    let mut train = session(MODEL, defines, Mode::Train, batch);
    initialise(&mut train, 0).expect("weights");
    fill(&mut train, batch);
    train.set_labels(&vec![0; batch]).expect("labels");
    rates::vary(&mut train);
    rates::calibrate(&mut train, |_| rate);
    let mut infer = session(MODEL, defines, Mode::Infer, batch);
    infer.copy_params(&train).expect("the same parameters");
    fill(&mut infer, batch);
    rates::calibrate(&mut infer, |_| rate);
    println!("mean rates {:.3} in training, {:.3} in inference", rates::mean(&train), rates::mean(&infer));
    (train, infer)
}

fn step(session: &mut Session) {
    session.run_forward().expect("forward");
    session.apply_updates().expect("statistics");
    session.run_backward().expect("backward");
    let change = |_: usize, _: &_, values: &mut [f32], gradient: &[f32]| {
        values.iter_mut().zip(gradient).for_each(|(v, g)| *v -= 1e-9 * g);
        Ok(())
    };
    session.change_params(change).expect("a step");
}

fn bench(c: &mut Criterion) {
    let small: &[(&str, &str)] = &[("stem", "16"), ("width", "32"), ("hidden", "64")];
    let full: &[(&str, &str)] = &[("stem", "128")];
    for (name, defines, batch, percent) in
        [("small", small, 32, 15), ("full", full, 8, 15), ("full", full, 8, 5)]
    {
        let mut group = c.benchmark_group(format!("resnet19/{name}/{percent}%"));
        group.throughput(Throughput::Elements(batch as u64)).sample_size(10);
        let (mut train, mut infer) = sessions(defines, batch, f64::from(percent) / 100.0);
        group.bench_function("inference", |b| b.iter(|| infer.run_forward().expect("forward")));
        group.bench_function("training_step", |b| b.iter(|| step(&mut train)));
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
