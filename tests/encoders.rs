//! Encoders from the file to training: the spikes of a sample are its own, whatever the batch and the threads; what
//! the command does with them.

#[path = "support/command.rs"]
mod command;
#[path = "support/compiled.rs"]
mod compiled;

use command::{Folder, floats, images, labels, read_floats, snnc};
use compiled::session_of;
use snnc_compiler::Mode;
use snnc_compiler::plan::{Optimizer, Recipe};
use snnc_runtime::checkpoint::{Tensor, write_tensors};
use snnc_runtime::progress::{Progress, Silent};
use snnc_runtime::{Draws, EpochRecord, Pulse, Session, TrainOptions, data, train};

/// A small network behind an encoder.
fn text(encoder: &str) -> String {
    format!(
        "neuron lif = LIF(tau: 2.0, decay_input: false, detach_reset: true, surrogate: rectangle)
         network coded {{
             timesteps 8
             input image: f32[1, 8, 8] |> {encoder}
             image |> conv(16, kernel: 3, pad: 1, bias: false) |> norm |> lif |> max_pool(2)
                   |> flatten |> linear(10) |> mean(time)
         }}
         train {{ optimizer sgd(lr: 0.05, momentum: 0.9) schedule cosine(epochs: 6) batch 32 data digits }}"
    )
}

/// Sums of the input's spikes for each timestep and pixel: a product with ones gives them as logits.
fn spikes_of(encoder: &str, input: &str, steps: usize, samples: &[&[f32]], numbers: &[usize]) -> Vec<f32> {
    let text = format!(
        "network seen {{ timesteps {steps} input x: f32[{input}] |> {encoder}
                         x |> linear(2, bias: false) |> mean(time) }}"
    );
    let mut session = session_of(&text, Mode::Infer, samples.len());
    let inner = session.plan().params[0].len() / 2;
    // The first class counts the first pixel, the second all of them.
    let weight: Vec<f32> =
        (0..2 * inner).map(|i| if i == 0 || i >= inner { steps as f32 } else { 0.0 }).collect();
    let name = session.plan().params[0].name.clone();
    session.set_param(&name, &weight).expect("a weight");
    session.set_draws(Draws::training(5, 3));
    let of = |sample: usize| samples[numbers.iter().position(|&n| n == sample).expect("a sample")];
    session
        .set_samples(numbers, |sample, to| {
            to.copy_from_slice(of(sample));
            Ok(())
        })
        .expect("inputs");
    session.run_forward().expect("forward");
    session.logits().expect("logits").to_vec()
}

#[test]
fn the_network_sees_the_encoders_spikes() {
    // Digits of 1, 0, 0.5 and 0.7 in four timesteps: 1111, 0000, 1000, 1011.
    assert_eq!(spikes_of("phase", "4", 4, &[&[1.0, 0.0, 0.5, 0.7]], &[0]), [4.0, 8.0]);
    assert_eq!(spikes_of("latency(zero_fires: false)", "3", 6, &[&[0.3, 0.0, 1.0]], &[0]), [1.0, 2.0]);
    assert_eq!(spikes_of("latency", "3", 6, &[&[0.3, 0.0, 1.0]], &[0]), [1.0, 3.0]);
    // Frames of two pixels: the first rises twice, the second once.
    let frames = [0.0, 0.5, 0.25, 0.5, 0.5, 0.0];
    assert_eq!(spikes_of("delta(threshold: 0.25)", "time, 2", 3, &[&frames], &[0]), [2.0, 3.0]);
}

#[test]
fn spikes_depend_on_the_sample_and_not_on_its_batch() {
    let (a, b) = ([0.4; 20], [0.6; 20]);
    let alone = |x: &[f32; 20], n| spikes_of("poisson", "20", 16, &[x], &[n]);
    let both = spikes_of("poisson", "20", 16, &[&b, &a], &[9, 4]);
    assert_eq!(both, [alone(&b, 9), alone(&a, 4)].concat());
    assert_ne!(alone(&a, 4), alone(&a, 5));
    let rate = f64::from(both[3]) / (16.0 * 20.0);
    assert!((rate - 0.4).abs() < 0.14, "{rate}"); // Five deviations.
}

/// Takes the mean loss of every batch of training.
#[derive(Default)]
struct Losses {
    training: bool,
    before: f64,
    batches: Vec<f64>,
    epochs: Vec<f64>,
}

impl Progress for Losses {
    fn begin(&mut self, title: &str, _samples: usize) {
        (self.training, self.before) = (title.starts_with("epoch"), 0.0);
    }

    fn advance(&mut self, so_far: &Pulse) {
        if self.training {
            self.batches.push(so_far.tally.loss - self.before);
            self.before = so_far.tally.loss;
        }
    }

    fn end(&mut self) {}

    fn epoch(&mut self, record: &EpochRecord, _epochs: usize) {
        self.epochs.push(record.train_loss);
    }
}

/// Samples of equal values in batches that change nothing: only the spikes can differ.
#[test]
fn each_sample_of_each_epoch_has_spikes_of_its_own() {
    let folder = Folder::new("coded-equal");
    for part in ["train", "test"] {
        folder.write(&format!("{part}_x.npy"), floats(&[64, 30], &[0.5; 64 * 30]));
        folder.write(&format!("{part}_y.npy"), labels(&[1; 64]));
    }
    let text = "network equal { timesteps 4 input x: f32[30] |> poisson x |> linear(3) |> mean(time) }";
    let data = data::open(&folder.path().to_string_lossy()).expect("arrays");
    let (mut fit, mut infer) = sessions(text);
    let still = Optimizer::Sgd { lr: 0.0, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    let recipe = Recipe { epochs: 2, batch: 16, optimizer: still, ..fit.plan().recipe.clone() };
    let mut losses = Losses::default();
    train(&mut fit, &mut infer, &data, &TrainOptions::of(&recipe), &mut losses).expect("it trains");
    let distinct = |all: &[f64]| {
        let mut bits: Vec<u64> = all.iter().map(|loss| loss.to_bits()).collect();
        bits.sort_unstable();
        bits.dedup();
        bits.len()
    };
    assert_eq!((losses.batches.len(), distinct(&losses.batches)), (8, 8), "{:?}", losses.batches);
    assert_eq!(distinct(&losses.epochs), 2, "{:?}", losses.epochs);
}

#[test]
fn frames_of_a_file_are_compared_over_time() {
    let folder = Folder::new("coded-delta");
    let text = "network frames { timesteps 3 input x: f32[time, 2] |> delta(threshold: 0.25)
                                 x |> linear(2, bias: false) |> sum(time) }";
    let model = folder.write("frames.snn", text);
    let weights = folder.file("w.safetensors");
    let weight = Tensor { name: "linear.weight".into(), shape: vec![2, 2], data: vec![1.0, 0.0, 0.0, 1.0] };
    write_tensors(std::path::Path::new(&weights), &[weight], &serde_json::Value::Null).expect("written");
    // Time, samples, pixels: the second sample is the first one upside down.
    let values = [0.0, 0.5, 1.0, 0.5, 0.25, 0.5, 0.75, 0.5, 0.5, 0.0, 0.5, 1.0];
    let x = folder.write("x.npy", floats(&[3, 2, 2], &values));
    let out = folder.file("out.npy");
    snnc(&["infer", &model, "--weights", &weights, "--input", &x, "--output", &out]).succeeds();
    assert_eq!(read_floats(&out), (vec![2, 2], vec![2.0, 1.0, 1.0, 2.0]));
}

fn sessions(text: &str) -> (Session, Session) {
    (session_of(text, Mode::Train, 32), session_of(text, Mode::Infer, 32))
}

#[test]
fn a_resumed_run_draws_the_same_spikes() {
    let folder = Folder::new("coded-resume");
    let text = text("poisson");
    let data = data::open("digits").expect("digits").unnormalised();
    let run = |name: &str, epochs: usize, from: Option<&str>| {
        let (mut fit, mut infer) = sessions(&text);
        let recipe: Recipe = Recipe { epochs, ..fit.plan().recipe.clone() };
        let options = TrainOptions {
            limit: Some(320),
            test_limit: Some(64),
            seed: 4,
            out: Some(folder.path().join(name)),
            resume: from.map(|name| folder.path().join(name).join("last.safetensors")),
            ..TrainOptions::of(&Recipe { schedule: snnc_compiler::plan::Schedule::Constant, ..recipe })
        };
        train(&mut fit, &mut infer, &data, &options, &mut Silent).expect("it trains");
        std::fs::read(folder.path().join(name).join("last.safetensors")).expect("weights")
    };
    let whole = run("whole", 3, None);
    run("parts", 2, None);
    assert!(whole == run("parts", 3, Some("parts")), "a resumed run differs");
}

#[test]
fn digits_are_learned_from_poisson_spikes_with_any_number_of_threads() {
    let folder = Folder::new("coded-train");
    let model = folder.write("coded.snn", text("poisson"));
    let run = |threads: &str| {
        let out = folder.file(&format!("run{threads}"));
        let result = snnc(&["train", &model, "--threads", threads, "--out", &out, "--json"]).json();
        let accuracy = result["test_accuracy"].as_f64().expect("a number");
        (accuracy, std::fs::read(format!("{out}/last.safetensors")).expect("weights"))
    };
    let (accuracy, one) = run("1");
    assert!(accuracy >= 0.85, "{accuracy}");
    assert!(one == run("2").1, "threads change a bit");
    let weights = folder.file("run1/last.safetensors");
    let eval = |batch: &str| {
        let result = snnc(&["eval", &model, "--weights", &weights, "--batch", batch, "--json"]).json();
        result["test_accuracy"].as_f64().expect("a number")
    };
    assert_eq!([eval("32"), eval("7")], [accuracy; 2], "an evaluation draws the same spikes each time");
    let energy = |batch: &str| {
        let args = ["energy", &model, "--weights", &weights, "--limit", "40", "--batch", batch, "--json"];
        snnc(&args).json()["layers"][0].clone()
    };
    let layer = energy("32");
    assert_eq!(layer, energy("7"));
    assert_eq!((&layer["class"], &layer["mac_operations"]), (&"ac".into(), &0.0.into()), "{layer}");
    // The mean of the digits' pixels.
    assert!(layer["rate"].as_f64().is_some_and(|rate| (0.28..0.33).contains(&rate)), "{layer}");
}

#[test]
fn every_encoder_is_checked_compiled_run_and_differentiated() {
    let folder = Folder::new("coded-command");
    let x = folder.write("x.npy", floats(&[5, 1, 8, 8], &images(5)));
    let y = folder.write("y.npy", labels(&[0, 1, 2, 3, 4]));
    for encoder in ["poisson", "latency", "latency(log: true, zero_fires: false)", "phase"] {
        let model = folder.write("coded.snn", text(encoder));
        let checked = snnc(&["check", &model, "--json"]).json();
        assert_eq!(checked["layers"][0]["input"], "spikes");
        assert!(checked["encoder"].as_str().is_some_and(|found| encoder.starts_with(&found[..5])));
        let shown = snnc(&["compile", &model, "--emit", "ast,model,ir,plan"]);
        let word = encoder.split('(').next().unwrap_or(encoder);
        let line = format!("image : spike[T8 B C1 H8 W8] = input |> {word}");
        assert!(shown.succeeds().stdout.contains(&line), "{}", shown.stdout);
        assert!(shown.stdout.contains("input image : [1, 8, 8] encoded "), "{}", shown.stdout);
        let weights = folder.file("w.safetensors");
        snnc(&["init", &model, "--seed", "1", "-o", &weights]).succeeds();
        let logits = |batch: &str, threads: &str| {
            let out = folder.file("out.npy");
            let args = ["infer", &model, "--weights", &weights, "--input", &x, "--output", &out];
            snnc(&[&args[..], &["--batch", batch, "--threads", threads]].concat()).succeeds();
            read_floats(&out)
        };
        assert_eq!(logits("5", "1").0, [5, 10]);
        assert_eq!(logits("5", "1"), logits("2", "2"), "{encoder}");
        let grads = folder.file("g.safetensors");
        let args = ["grad", &model, "--weights", &weights, "--input", &x, "--labels", &y, "--output", &grads];
        let loss = || snnc(&[&args[..], &["--json"]].concat()).json()["loss"].as_f64().expect("a loss");
        assert!(loss().is_finite() && loss() == loss());
        snnc(&["gradcheck", &model]).succeeds();
    }
}

#[test]
fn a_seed_decides_the_spikes_of_infer_and_grad() {
    let folder = Folder::new("coded-seed");
    let model = folder.write("coded.snn", text("poisson"));
    let weights = folder.file("w.safetensors");
    snnc(&["init", &model, "--seed", "1", "-o", &weights]).succeeds();
    let x = folder.write("x.npy", floats(&[3, 1, 8, 8], &images(3)));
    let y = folder.write("y.npy", command::labels(&[1, 2, 3]));
    let run = |command: &str, extra: &[&str]| {
        let out = folder.file("out");
        let args = [command, model.as_str(), "--weights", &weights, "--input", &x, "--output", &out];
        let labels: &[&str] = if command == "grad" { &["--labels", &y] } else { &[] };
        snnc(&[&args[..], labels, extra].concat()).succeeds();
        std::fs::read(&out).expect("a result")
    };
    for command in ["infer", "grad"] {
        let plain = run(command, &[]);
        assert_eq!(plain, run(command, &["--seed", "0"]), "{command}");
        assert_ne!(plain, run(command, &["--seed", "7"]), "{command}");
        assert_eq!(
            run(command, &["--seed", "7"]),
            run(command, &["--seed", "7", "--threads", "1"]),
            "{command}"
        );
    }
}

#[test]
fn bad_samples_are_named() {
    let folder = Folder::new("coded-bad");
    let model = folder.write("coded.snn", text("poisson"));
    let weights = folder.file("w.safetensors");
    snnc(&["init", &model, "--seed", "1", "-o", &weights]).succeeds();
    let mut values = images(3);
    values[64 + 5] = f32::NAN;
    let x = folder.write("x.npy", floats(&[3, 1, 8, 8], &values));
    let out = folder.file("out.npy");
    let args = ["infer", &model, "--weights", &weights, "--input", &x, "--output", &out, "--batch", "1"];
    snnc(&args).fails(3, &["x.npy: value 69 is NaN"]);
    let mut session = session_of(&text("poisson"), Mode::Infer, 2);
    let fill = |sample: usize, to: &mut [f32]| {
        to.copy_from_slice(&values[(sample - 6) * 64..][..64]);
        Ok(())
    };
    let error = session.set_samples(&[6, 7], fill).expect_err("a sample is no number");
    assert!(error.to_string().contains("sample 7 of input `image` holds NaN"), "{error}");
    // The input is the image, not its spikes.
    let x = folder.write("x.npy", floats(&[8, 3, 1, 8, 8], &images(24)));
    let args = ["infer", &model, "--weights", &weights, "--input", &x, "--output", &out];
    snnc(&args).fails(3, &["the input `image` has shape [N, 1, 8, 8]"]);
}
