//! The side of `snnc` in the comparison of `benches/peers`, which says what is compared and how.
//!
//! ```text
//! throughput prepare FILE STATE rate=R [qkv=R] images=N [name=value …]
//!     random weights whose layers fire at a rate, images, and what neurons do then: a safetensors file, for every side the
//!     same
//! throughput trained FILE STATE CHECKPOINT DATA images=N [name=value …]
//!     the weights of a training run, and the first test images of its data set
//! throughput serve FILE STATE infer|train batch=N [threads=N] [rate=R] [ample=1] [name=value …]
//!     with kernels compiled for what the state says that neurons do, else for a rate, and with as much memory as a
//!     training step can use, or the least; answers `run SECONDS` and `memory` on stdin with one line of JSON; the first
//!     line says what it runs
//! throughput serve benches/peers/lif.snn - lif|lif-forward batch=N [threads=N]
//!     the same for the neuron alone
//! ```

#[path = "../../tests/support/rates.rs"]
mod rates;
mod resident;
mod work;

use serde_json::{Value, json};
use snnc_compiler::plan::{Activity, ParamSpec};
use snnc_compiler::{Activities, Mode};
use snnc_runtime::checkpoint::{Tensor, load, write_tensors};
use snnc_runtime::data::{Request, open_for};
use snnc_runtime::rng::{Purpose, Rng};
use snnc_runtime::{Session, initialise};
use std::io::BufRead;
use std::path::Path;
use std::time::Instant;
use work::{Arguments, Part, Work, session};

/// The images among the tensors of a state.
const IMAGES: &str = "bench.images";
/// Images that rates are set on.
const CALIBRATION: usize = 8;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["prepare", file, state, rest @ ..] => prepare(file, Path::new(state), Arguments::new(rest)),
        ["trained", file, state, checkpoint, data, rest @ ..] => {
            trained(file, Path::new(state), (Path::new(checkpoint), data), Arguments::new(rest));
        }
        ["serve", file, state, part, rest @ ..] => {
            let part = Part::named(part).unwrap_or_else(|| panic!("no part `{part}`"));
            serve(Work::new(file, state, part, Arguments::new(rest)));
        }
        _ => {
            eprintln!("usage: throughput prepare|trained|serve FILE STATE …, as its first lines say");
            std::process::exit(2);
        }
    }
}

/// Writes weights whose layers fire at a rate, and images.
fn prepare(file: &str, state: &Path, mut arguments: Arguments) {
    let rate = arguments.take("rate").expect("rate=R");
    let qkv = arguments.take("qkv").unwrap_or(rate);
    let images = arguments.take("images").expect("images=N") as usize;
    let (mut session, _) = session(file, &mut arguments, Mode::Train, CALIBRATION, None);
    initialise(&mut session, 0).expect("weights");
    rates::vary(&mut session);
    let shape = session.plan().inputs[0].shape.clone();
    let length: usize = shape.iter().product();
    let all: Vec<f32> = (0..images as u64).flat_map(|key| image(&shape, key)).collect();
    let fill = |slot: usize, to: &mut [f32]| {
        to.copy_from_slice(&all[slot % images * length..][..length]);
        Ok(())
    };
    session.set_inputs(CALIBRATION, fill).expect("inputs");
    session.set_labels(&[0; CALIBRATION]).expect("labels");
    let of_attention = |layer: &str| [".q.lif", ".k.lif", ".v.lif"].iter().any(|end| layer.ends_with(end));
    rates::calibrate(&mut session, |layer| if of_attention(layer) { qkv } else { rate });
    let activities = noted(&session.activities());
    write(state, &session, (shape, all), &json!({ "rate": rate, "qkv": qkv, "activities": activities }));
    println!("{}", json!({ "state": state, "rates": rates_of(&session.firing_rates().0) }));
}

/// What neurons do, as a training run notes it after its first epoch.
fn noted(activities: &Activities) -> Value {
    let one = |(layer, activity): (&String, &Activity)| {
        (layer.clone(), json!({ "rate": activity.rate, "fires": activity.fires }))
    };
    activities.layers.iter().map(one).collect()
}

/// Writes the weights of a training run, and the first images of the test part.
fn trained(file: &str, state: &Path, (checkpoint, data): (&Path, &str), mut arguments: Arguments) {
    let images = arguments.take("images").expect("images=N") as usize;
    let (mut session, _) = session(file, &mut arguments, Mode::Infer, 1, None);
    let metadata = load(checkpoint, &mut session).unwrap_or_else(|e| panic!("{e}"));
    let plan = session.plan();
    let (shape, augment) = (plan.inputs[0].shape.clone(), plan.recipe.augment.clone());
    let request = Request { shape: Some(shape.clone()), augment, ..Request::default() };
    let samples = open_for(data, &request).unwrap_or_else(|e| panic!("{e}")).test;
    let length: usize = shape.iter().product();
    let mut all = vec![0.0; images * length];
    for (index, to) in all.chunks_exact_mut(length).enumerate() {
        samples.write_sample(index, to).unwrap_or_else(|e| panic!("{e}"));
    }
    write(state, &session, (shape, all), &metadata);
    println!("{}", json!({ "state": state, "accuracy": metadata["test_accuracy"] }));
}

/// Writes parameters and images.
fn write(state: &Path, session: &Session, (shape, images): (Vec<usize>, Vec<f32>), metadata: &Value) {
    let param = |spec: &ParamSpec| {
        let data = session.param(&spec.name).expect("a parameter").to_vec();
        Tensor { name: spec.name.clone(), shape: spec.shape.clone(), data }
    };
    let mut tensors: Vec<Tensor> = session.plan().params.iter().map(param).collect();
    let count = images.len() / shape.iter().product::<usize>();
    let shape = std::iter::once(count).chain(shape).collect();
    tensors.push(Tensor { name: IMAGES.into(), shape, data: images });
    write_tensors(state, &tensors, metadata).expect("the state");
}

/// An image of waves, the longer the stronger, as in photographs; mean 0, variance near 1.
fn image(shape: &[usize], key: u64) -> Vec<f32> {
    const WAVES: usize = 24;
    let [channels, rows, columns] = *shape else { panic!("an image has three axes, not {shape:?}") };
    let mut rng = Rng::new(0, Purpose::Test, key);
    let mut between = |low: f32, high: f32| low + (high - low) * rng.uniform();
    let mut values = vec![0.0; channels * rows * columns];
    for wave in 0..WAVES {
        let length = 0.5 + wave as f32 * 0.5;
        let (angle, phase) = (between(0.0, std::f32::consts::TAU), between(0.0, std::f32::consts::TAU));
        let (down, along) = (length * angle.sin() / rows as f32, length * angle.cos() / columns as f32);
        let colour: Vec<f32> = (0..channels).map(|_| between(0.6, 1.4) / (1.0 + 0.5 * wave as f32)).collect();
        for (i, value) in values.iter_mut().enumerate() {
            let (channel, row, column) = (i / rows / columns, i / columns % rows, i % columns);
            let at = std::f32::consts::TAU * (down * row as f32 + along * column as f32);
            *value += colour[channel] * (at + phase).sin();
        }
    }
    values
}

/// Answers until stdin ends.
fn serve(mut work: Work) {
    work.step();
    println!("{}", work.describe());
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a command");
        let answer = match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["run", seconds] => run(&mut work, seconds.parse().expect("seconds")),
            ["memory"] => work.memory(),
            _ => panic!("no command `{line}`"),
        };
        println!("{answer}");
    }
}

/// One step that does not count, then at least two that do.
fn run(work: &mut Work, seconds: f64) -> Value {
    work.step();
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < 2 || start.elapsed().as_secs_f64() < seconds {
        times.push(work.step());
    }
    json!({ "seconds": times })
}

fn rates_of(rates: &[(String, f64)]) -> Value {
    rates.iter().map(|(layer, rate)| (layer.clone(), json!((rate * 1e4).round() / 1e4))).collect()
}
