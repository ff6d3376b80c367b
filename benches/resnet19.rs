//! Spiking ResNet-19, T = 4: inference and a training step (forward, backward, update), full size and a sixteenth.
//! Throughput is in images. Firing rates are those of fresh weights with batch statistics.

#[path = "../tests/support/compiled.rs"]
mod compiled;

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

/// A training session after one step: its running statistics are those of a batch.
fn trained(defines: &[(&str, &str)], batch: usize) -> Session {
    let mut session = session(MODEL, defines, Mode::Train, batch);
    initialise(&mut session, 0).expect("weights");
    fill(&mut session, batch);
    session.set_labels(&vec![0; batch]).expect("labels");
    // The running statistics approach the batch's by a tenth a step.
    for _ in 0..20 {
        session.run_forward().expect("forward");
        session.apply_updates().expect("statistics");
    }
    session
}

fn step(session: &mut Session) {
    session.run_forward().expect("forward");
    session.apply_updates().expect("statistics");
    session.run_backward().expect("backward");
    let change = |_: usize, _: &_, values: &mut [f32], gradient: &[f32]| {
        values.iter_mut().zip(gradient).for_each(|(v, g)| *v -= 1e-6 * g);
        Ok(())
    };
    session.change_params(change).expect("a step");
}

fn bench(c: &mut Criterion) {
    let small: &[(&str, &str)] = &[("stem", "16"), ("width", "32"), ("hidden", "64")];
    for (name, defines, batch) in [("small", small, 32), ("full", &[], 4)] {
        let mut group = c.benchmark_group(format!("resnet19/{name}"));
        group.throughput(Throughput::Elements(batch as u64)).sample_size(10);
        let mut train = trained(defines, batch);
        let mut infer = session(MODEL, defines, Mode::Infer, batch);
        infer.copy_params(&train).expect("the same parameters");
        fill(&mut infer, batch);
        group.bench_function("inference", |b| b.iter(|| infer.run_forward().expect("forward")));
        group.bench_function("training_step", |b| b.iter(|| step(&mut train)));
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
