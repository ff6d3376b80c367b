//! Compile time, from the checked model to machine code.

#[path = "../tests/support/compiled.rs"]
mod compiled;

use compiled::model;
use criterion::{Criterion, criterion_group, criterion_main};
use snnc_compiler::{Mode, Options, compile};

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("compile");
    group.sample_size(20);
    for name in ["digits", "resnet19"] {
        let path = format!("models/{name}.snn");
        let (model, sources) = model(&path, &[]);
        for (word, mode) in [("infer", Mode::Infer), ("train", Mode::Train)] {
            let options = Options::new(mode);
            group.bench_function(format!("{name}/{word}"), |b| {
                b.iter(|| compile(&model, &sources, &path, &options).expect("it compiles"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
