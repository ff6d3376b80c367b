//! The side of `snnc` in the comparison of `benches/peers`, which says what is compared and how.
//!
//! ```text
//! throughput prepare FILE STATE rate=R [qkv=R] images=N [name=value …]
//!     random weights whose layers fire at a rate, and images: a safetensors file, for every side the same
//! throughput serve FILE STATE infer|train batch=N [threads=N] [rate=R] [name=value …]
//!     with kernels laid out for a rate; answers `run SECONDS` and `memory` on stdin with one line of JSON; the first line says what it runs
//! throughput serve benches/peers/lif.snn - lif|lif-forward batch=N [threads=N]
//!     the same for the neuron alone
//! ```

#[path = "../../tests/support/rates.rs"]
mod rates;
mod resident;
mod work;

use serde_json::{Value, json};
use snnc_compiler::Mode;
use snnc_runtime::checkpoint::{Tensor, write_tensors};
use snnc_runtime::initialise;
use snnc_runtime::rng::{Purpose, Rng};
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
        ["serve", file, state, part, rest @ ..] => {
            let part = Part::named(part).unwrap_or_else(|| panic!("no part `{part}`"));
            serve(Work::new(file, state, part, Arguments::new(rest)));
        }
        _ => {
            eprintln!("usage: throughput prepare FILE STATE … | throughput serve FILE STATE PART …");
            std::process::exit(2);
        }
    }
}

/// Writes weights whose layers fire at a rate, and images.
fn prepare(file: &str, state: &Path, mut arguments: Arguments) {
    let rate = arguments.take("rate").expect("rate=R");
    let qkv = arguments.take("qkv").unwrap_or(rate);
    let images = arguments.take("images").expect("images=N") as usize;
    let mut session = session(file, &mut arguments, Mode::Train, CALIBRATION);
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
    let mut tensors: Vec<Tensor> = Vec::new();
    for spec in &session.plan().params {
        let data = session.param(&spec.name).expect("a parameter").to_vec();
        tensors.push(Tensor { name: spec.name.clone(), shape: spec.shape.clone(), data });
    }
    let shape = std::iter::once(images).chain(shape).collect();
    tensors.push(Tensor { name: IMAGES.into(), shape, data: all });
    write_tensors(state, &tensors, &json!({ "rate": rate, "qkv": qkv })).expect("the state");
    println!("{}", json!({ "state": state, "rates": rates_of(&session.firing_rates().0) }));
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
