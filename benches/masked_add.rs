//! The masked add against the dense product of the `gemm` crate, over firing rates: 8,192 rows of 1,152 spikes times
//! a weight of 1,152×128. Throughput is in dense multiply-adds, so that both can be compared.
//!
//! The time is that of the product's own step, by the session's profile: packing the input is not counted.

#[path = "../tests/support/compiled.rs"]
mod compiled;

use compiled::session_of;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use snnc_compiler::Mode;
use snnc_runtime::rng::{Purpose, Rng};
use snnc_runtime::{Session, initialise};
use std::time::Duration;

const STEPS: usize = 4;
const BATCH: usize = 2048;
const INPUT: usize = 1152;
const OUTPUT: usize = 128;

fn session(kind: &str, rate: f32) -> Session {
    let text = format!(
        "network product {{ timesteps {STEPS} input x: {kind}[time, {INPUT}]
           let y = x |> linear({OUTPUT}, bias: false)
           y |> mean(time) }}"
    );
    let mut session = session_of(&text, Mode::Infer, BATCH);
    initialise(&mut session, 0).expect("weights");
    let fill = |slot: usize, to: &mut [f32]| {
        let mut rng = Rng::new(1, Purpose::Shuffle, slot as u64);
        to.iter_mut().for_each(|v| *v = if rng.uniform() < rate { 1.0 } else { 0.0 });
        Ok(())
    };
    session.set_inputs(BATCH, fill).expect("inputs");
    session
}

/// The time of the product's step in `runs` runs.
fn product(session: &mut Session, runs: u64) -> Duration {
    session.start_profile();
    for _ in 0..runs {
        session.run_forward().expect("forward");
    }
    session.profile().iter().filter(|row| row.name == "y.linear").map(|row| row.total).sum()
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("product");
    group.throughput(Throughput::Elements((STEPS * BATCH * INPUT * OUTPUT) as u64)).sample_size(10);
    for percent in [1, 2, 5, 10, 15, 20, 30, 50] {
        let mut session = session("spike", percent as f32 / 100.0);
        group.bench_function(BenchmarkId::new("masked_add", format!("{percent}%")), |b| {
            b.iter_custom(|runs| product(&mut session, runs));
        });
    }
    let mut session = session("f32", 0.1);
    group.bench_function("gemm", |b| b.iter_custom(|runs| product(&mut session, runs)));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
