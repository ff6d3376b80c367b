//! Samples that are mixed, from the `train` block to the loss, and runs with them.

#[path = "support/command.rs"]
mod command;
#[path = "support/compiled.rs"]
mod compiled;

use command::{Folder, snnc};
use compiled::{close, session_of};
use snnc_compiler::Mode;
use snnc_runtime::{Session, initialise};

/// The digits model with this recipe.
fn digits(loss: &str, augment: &str) -> String {
    let text = std::fs::read_to_string("models/digits.snn").expect("the model");
    text.replace("cross_entropy", loss).replace("    data ", &format!("    augment   {augment}\n    data "))
}

/// Loss and gradients of four images.
fn step(session: &mut Session) -> (f32, Vec<f32>) {
    session.run_forward().expect("forward");
    session.run_backward().expect("backward");
    let names: Vec<String> = session.plan().params.iter().map(|spec| spec.name.clone()).collect();
    let gradients = names.iter().filter_map(|name| session.grad(name).ok()).flatten().copied().collect();
    (session.loss().expect("a loss"), gradients)
}

fn ready(text: &str) -> Session {
    let mut session = session_of(text, Mode::Train, 4);
    initialise(&mut session, 3).expect("first values");
    let images = command::images(4);
    let fill = |slot: usize, to: &mut [f32]| {
        to.copy_from_slice(&images[slot * 64..][..64]);
        Ok(())
    };
    session.set_inputs(4, fill).expect("images");
    session
}

/// With labels y and z and the share λ of y: loss and gradients are λ·those of y + (1 − λ)·those of z.
#[test]
fn a_mixed_loss_is_that_of_both_labels_by_their_shares() {
    let (first, second, share) = ([0, 1, 2, 3], [4, 1, 0, 9], 0.25);
    for loss in ["cross_entropy", "cross_entropy(smoothing: 0.1)", "tet(lambda: 0.1, smoothing: 0.2)"] {
        let (mut plain, mut mixed) = (ready(&digits(loss, "flip")), ready(&digits(loss, "mixup + cutmix")));
        assert_eq!((plain.plan().inputs.len(), mixed.plan().inputs.len()), (2, 4));
        let mut of = |labels: &[i32]| {
            plain.set_labels(labels).expect("labels");
            step(&mut plain)
        };
        let (one, other) = (of(&first), of(&second));
        // One label alone gives the bits of the network that is not mixed.
        mixed.set_labels(&first).expect("labels");
        assert_eq!(step(&mut mixed), one, "{loss}");
        mixed.set_mixes(&second, &[share; 4]).expect("mixes");
        let found = step(&mut mixed);
        let sum = |a: f32, b: f32| share * a + (1.0 - share) * b;
        close(loss, &[found.0], &[sum(one.0, other.0)], 1e-6);
        let expected: Vec<f32> = one.1.iter().zip(&other.1).map(|(a, b)| sum(*a, *b)).collect();
        close(loss, &found.1, &expected, 1e-5);
    }
}

#[test]
fn labels_and_shares_that_do_not_fit_are_told() {
    let (mut plain, mut mixed) =
        (ready(&digits("cross_entropy", "flip")), ready(&digits("cross_entropy", "mixup")));
    let fault = |result: Result<(), snnc_runtime::Error>| result.expect_err("a fault").to_string();
    assert!(fault(plain.set_mixes(&[0; 4], &[1.0; 4])).contains("not compiled for samples of two labels"));
    assert!(fault(mixed.set_mixes(&[0, 1, 2, 10], &[1.0; 4])).contains("label 10 is not one of"));
    assert!(fault(mixed.set_mixes(&[0; 3], &[1.0; 4])).contains("3 labels were given for 4 samples"));
    assert!(fault(mixed.set_mixes(&[0; 4], &[1.0; 3])).contains("3 shares were given for 4 samples"));
    assert!(fault(mixed.set_mixes(&[0; 4], &[0.5, 1.5, 0.0, 1.0])).contains("the share 1.5"));
    assert!(fault(mixed.set_mixes(&[0; 4], &[f32::NAN; 4])).contains("the share NaN"));
}

#[test]
fn gradients_of_mixed_samples_are_the_slopes_of_their_loss() {
    let folder = Folder::new("mix-gradcheck");
    for (name, loss) in [("ce.snn", "cross_entropy(smoothing: 0.1)"), ("tet.snn", "tet(lambda: 0.2)")] {
        let file = folder.write(name, digits(loss, "cutmix"));
        let report = snnc(&["gradcheck", &file, "-D", "width=4", "--batch", "3", "--json"]).json();
        assert!(report["compiled_error"].as_f64().expect("a number") < 1e-4, "{report:#}");
        assert!(report["slope_error"].as_f64().expect("a number") < 1e-4, "{report:#}");
    }
}

#[test]
fn the_recipe_of_gac_mixes_half_of_the_samples() {
    let small = [("variant", "D"), ("stem", "4"), ("width", "8"), ("size", "16")];
    let plan = |mixed: &str| {
        let defines = [&small[..], &[("mixed", mixed)]].concat();
        compiled::session("models/resnet19.snn", &defines, Mode::Train, 1).plan().clone()
    };
    let (plain, mixed) = (plan("false"), plan("true"));
    assert_eq!((plain.mixes(), mixed.mixes()), (false, true));
    assert_eq!((mixed.recipe.batch, mixed.recipe.epochs), (64, 250));
    let list = snnc_compiler::plan::augment_text(&mixed.recipe.augment);
    assert_eq!(list, "pad_crop(4) + flip(0.5) + cutmix(alpha: 1, p: 0.5)");
}

#[test]
fn a_dry_run_counts_the_memory_of_mixing() {
    let folder = Folder::new("mix-dry");
    let bytes = |augment: &str| {
        let model = folder.write("a.snn", digits("cross_entropy", augment));
        let told = snnc(&["train", &model, "--dry-run", "--threads", "1", "--json"]).json();
        told["memory"]["loader_bytes"].as_u64().expect("a number")
    };
    // A loader reads the next batch of 32 images while one is used; of mixed ones it also has those it began with.
    assert_eq!((bytes("flip"), bytes("mixup")), (2 * 32 * 64 * 4, 3 * 32 * 64 * 4));
}

/// The same bytes for any number of threads, and for a run in two parts. (`loader.rs` has a test of parts of an epoch.)
#[test]
fn runs_with_mixed_samples_are_the_same_whatever_happens_to_them() {
    let folder = Folder::new("mix-resume");
    let model = folder.write("mixed.snn", digits("cross_entropy", "mixup(0.4, p: 0.5) + cutmix"));
    let asked = ["--epochs", "3", "--limit", "200", "--test-limit", "64", "--batch", "40"];
    let run = |out: &str, extra: &[&str]| {
        let out = folder.file(out);
        snnc(&[&["train", model.as_str(), "--out", &out, "--json"], &asked[..], extra].concat())
    };
    let last =
        |out: &str| std::fs::read(folder.file(&format!("{out}/last.safetensors"))).expect("a checkpoint");
    let whole = run("whole", &["--threads", "2"]).json();
    run("one", &["--threads", "1"]).json();
    assert!(last("whole") == last("one"), "threads change nothing");
    run("parts", &["--stop-after", "1"]).fails(130, &["go on with"]);
    let parts = folder.file("parts");
    snnc(&["train", &model, "--resume", &parts, "--threads", "1", "--json"]).json();
    assert!(last("whole") == last("parts"), "a stop changes nothing");
    assert!(run("other", &["--seed", "6"]).code == 0 && last("whole") != last("other"));
    // Accuracy on mixed samples is a share, not a number of samples.
    let accuracy = whole["history"][0]["train_accuracy"].as_f64().expect("a number") * 200.0;
    assert!(accuracy > 10.0 && (accuracy - accuracy.round()).abs() > 1e-6, "{accuracy}");
    let config = std::fs::read_to_string(folder.file("whole/config.json")).expect("the config");
    assert!(config.contains("mixup(alpha: 0.4, p: 0.5) + cutmix(alpha: 1, p: 1)"), "{config}");
}
