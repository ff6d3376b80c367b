//! The neuron behind a norm, in training: forward with the norm's application and backward with the sums of its gradient, which
//! are fused with it, over 4 timesteps and 32 samples of 64×32×32 neurons. Throughput is in neuron updates.

#[path = "../tests/support/compiled.rs"]
mod compiled;

use compiled::session_of;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use snnc_compiler::Mode;
use snnc_runtime::rng::{Purpose, Rng};
use snnc_runtime::{Phase, Session, initialise};
use std::time::Duration;

const STEPS: usize = 4;
const BATCH: usize = 32;

fn session(reset: &str, surrogate: &str) -> Session {
    let text = format!(
        "neuron lif = LIF(decay: 0.5, threshold: 1.0, reset: {reset}, detach_reset: true, surrogate: {surrogate})
         network single {{ timesteps {STEPS} input x: f32[time, 64, 32, 32]
           let n = x |> norm |> lif
           n |> avg_pool(global) |> linear(10) |> mean(time) }}"
    );
    let mut session = session_of(&text, Mode::Train, BATCH);
    initialise(&mut session, 0).expect("weights");
    let fill = |slot: usize, to: &mut [f32]| {
        let mut rng = Rng::new(1, Purpose::Shuffle, slot as u64);
        to.iter_mut().for_each(|v| *v = 4.0 * rng.uniform() - 2.0);
        Ok(())
    };
    session.set_inputs(BATCH, fill).expect("inputs");
    session.set_labels(&[0; BATCH]).expect("labels");
    session
}

/// The time of the neuron's steps of a phase in `runs` runs.
fn neuron(session: &mut Session, phase: Phase, runs: u64) -> Duration {
    session.start_profile();
    for _ in 0..runs {
        session.run_forward().expect("forward");
        session.run_backward().expect("backward");
    }
    let own = |name: &str| name.starts_with("n.lif") || name.starts_with("n.norm.dx");
    let rows =
        session.profile().iter().filter(|row| row.phase == phase && row.kind == "kernel" && own(&row.name));
    rows.map(|row| row.total).sum()
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("lif");
    group.throughput(Throughput::Elements((STEPS * BATCH * 64 * 32 * 32) as u64)).sample_size(10);
    for (name, reset, surrogate) in
        [("rectangle", "hard(0.0)", "rectangle(width: 1.0)"), ("atan", "soft", "atan(alpha: 2.0)")]
    {
        let mut session = session(reset, surrogate);
        for (part, phase) in [("forward", Phase::Forward), ("backward", Phase::Backward)] {
            group.bench_function(format!("{part}/{name}"), |b| {
                b.iter_custom(|runs| neuron(&mut session, phase, runs));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
