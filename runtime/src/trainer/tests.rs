//! Training a hand-made linear classifier on the digits.

use super::*;
use crate::checkpoint;
use crate::progress::Silent;
use crate::testing::{Folder, linear_model};
use serde_json::{Value, json};
use snnc_plan::{Optimizer, Recipe};

const BATCH: usize = 64;

struct Pair {
    train: Session,
    infer: Session,
}

fn pair(threads: usize) -> Result<Pair, Error> {
    let model = linear_model();
    Ok(Pair {
        train: Session::new(model.train, BATCH, threads)?,
        infer: Session::new(model.infer, 100, threads)?,
    })
}

fn options(epochs: usize) -> TrainOptions {
    let mut options = TrainOptions::of(&linear_model().train.plan.recipe);
    options.recipe.epochs = epochs;
    options.recipe.batch = BATCH;
    options
}

fn run(pair: &mut Pair, options: &TrainOptions) -> Result<TrainReport, Error> {
    let data = crate::data::open("digits")?;
    train(&mut pair.train, &mut pair.infer, &data, options, &mut Silent)
}

fn bits(session: &Session) -> Result<Vec<u32>, Error> {
    let mut all = Vec::new();
    for name in ["fc.weight", "fc.bias", "seen.running_mean"] {
        all.extend(session.param(name)?.iter().map(|v| v.to_bits()));
    }
    Ok(all)
}

#[test]
fn digits_are_learned_alike_by_one_and_two_threads() -> Result<(), Error> {
    let (mut one, mut two) = (pair(1)?, pair(2)?);
    let report = run(&mut one, &options(5))?;
    assert!(report.last.test_accuracy > 0.9, "{report:?}");
    assert!(report.history[4].train_loss < report.history[0].train_loss);
    assert_eq!((report.epochs, report.last.samples), (5, 355));
    let again = run(&mut two, &options(5))?;
    assert_eq!(bits(&one.train)?, bits(&two.train)?);
    assert_eq!(report.last.test_loss.to_bits(), again.last.test_loss.to_bits());
    assert_eq!(bits(&one.train)?, bits(&one.infer)?);
    let mut other = pair(1)?;
    run(&mut other, &TrainOptions { seed: 1, ..options(5) })?;
    assert_ne!(bits(&one.train)?, bits(&other.train)?);
    Ok(())
}

#[test]
fn a_resumed_run_is_the_same_run() -> Result<(), Error> {
    resumed_run("resume", |_| {})
}

#[test]
fn a_resumed_run_goes_on_with_moments_and_averages() -> Result<(), Error> {
    resumed_run("resume-adam", |recipe| {
        let (lr, beta1, beta2, eps, weight_decay) = (0.01, 0.9, 0.999, 1e-8, 0.01);
        recipe.optimizer = Optimizer::Adam { lr, beta1, beta2, eps, weight_decay, decoupled: true };
        (recipe.clip_norm, recipe.ema) = (Some(0.5), Some(0.9));
    })
}

/// Stopped within an epoch and at its end, with other numbers of threads: the same bytes.
fn resumed_run(folder: &str, change: fn(&mut Recipe)) -> Result<(), Error> {
    let folder = Folder::new(folder)?;
    let mut whole = pair(2)?;
    let cosine = |run: &str| {
        let mut options = options(4);
        options.recipe.schedule = snnc_plan::Schedule::Cosine { min_lr: 0.0 };
        change(&mut options.recipe);
        options.limit = Some(200);
        options.out = Some(folder.file(run));
        options
    };
    run(&mut whole, &cosine("whole"))?;
    let data = crate::data::open("digits")?;
    let last = folder.file("parts").join("last.safetensors");
    // Four steps and four batches of a test make an epoch: stopped in the first, in the second, in its test, and in the
    // third.
    for (calls, stop) in [2, 7, 4, 6].into_iter().enumerate() {
        let mut parts = pair(1 + calls % 2)?;
        let resume = (calls > 0).then(|| last.clone());
        let options = TrainOptions { resume, ..cosine("parts") };
        let mut stop = StopAfter { steps: stop, done: 0 };
        let stopped = train(&mut parts.train, &mut parts.infer, &data, &options, &mut stop);
        assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
    }
    let metadata = checkpoint::read_metadata(&last)?;
    assert_eq!((&metadata["epoch"], &metadata["step"]), (&json!(2), &json!(2)));
    let smaller = TrainOptions { resume: Some(last.clone()), ..cosine("parts") };
    let smaller = TrainOptions { recipe: Recipe { batch: 32, ..smaller.recipe.clone() }, ..smaller };
    assert!(run(&mut pair(1)?, &smaller).is_err_and(|e| e.to_string().contains("a batch of 64")));
    let mut fresh = pair(2)?;
    let resumed = TrainOptions { resume: Some(last.clone()), ..cosine("parts") };
    assert_eq!(run(&mut fresh, &resumed)?.epochs, 4);
    assert_eq!(bits(&whole.train)?, bits(&fresh.train)?);
    let read = |run: &str, file: &str| {
        let path = folder.file(run).join(file);
        std::fs::read(&path).map_err(|e| Error::io(&path, "read", e))
    };
    assert_eq!(read("whole", "last.safetensors")?, read("parts", "last.safetensors")?);
    assert_eq!(read("whole", "best.safetensors")?, read("parts", "best.safetensors")?);
    let (one, two) = (read_records(&folder.file("whole"))?, read_records(&folder.file("parts"))?);
    let measured = |all: &[EpochRecord]| -> Vec<_> {
        let kept =
            |r: &EpochRecord| (r.epoch, r.train_loss, r.train_accuracy, r.test_loss, r.grad_norm, r.best);
        all.iter().map(kept).collect()
    };
    assert_eq!(measured(&one), measured(&two));
    let other = TrainOptions { seed: 9, resume: Some(last.clone()), ..cosine("parts") };
    assert!(run(&mut fresh, &other).is_err_and(|e| e.to_string().contains("resume it with seed 0")));
    let fewer = Dataset { train: data.test.clone(), ..data.clone() };
    let other = train(&mut fresh.train, &mut fresh.infer, &fewer, &resumed, &mut Silent);
    assert!(other.is_err_and(|e| e.to_string().contains("a run with other data")));
    Ok(())
}

struct StopAfter {
    steps: usize,
    done: usize,
}

impl Progress for StopAfter {
    fn begin(&mut self, _title: &str, _samples: usize) {}
    fn advance(&mut self, _pulse: &Pulse) {
        self.done += 1;
    }
    fn end(&mut self) {}
    fn epoch(&mut self, _record: &EpochRecord, _epochs: usize) {}
    fn stopped(&self) -> bool {
        self.done == self.steps
    }
}

#[test]
fn a_numbered_checkpoint_branches_off_into_another_folder() -> Result<(), Error> {
    let folder = Folder::new("branch")?;
    let asked = |out: &str| TrainOptions {
        out: Some(folder.file(out)),
        save_every: Some(2),
        limit: Some(128),
        test_limit: Some(64),
        ..options(4)
    };
    let (mut first, mut second) = (pair(1)?, pair(1)?);
    run(&mut first, &asked("first"))?;
    assert!(!folder.file("first").join("epoch-1.safetensors").exists());
    let resume = Some(folder.file("first").join("epoch-2.safetensors"));
    let in_place = run(&mut second, &TrainOptions { resume: resume.clone(), ..asked("first") });
    assert!(in_place.is_err_and(|e| e.to_string().contains("would lose later epochs")));
    assert_eq!(run(&mut second, &TrainOptions { resume, ..asked("second") })?.epochs, 4);
    assert_eq!(bits(&first.train)?, bits(&second.train)?);
    assert_eq!(read_records(&folder.file("second"))?.len(), 4);
    assert!(folder.file("second").join("best.safetensors").exists());
    Ok(())
}

/// The first batch is drawn once a run, as it was trained on; a resumption has no first batch.
#[test]
fn the_first_batch_is_shown() -> Result<(), Error> {
    let folder = Folder::new("shown")?;
    let asked = |resume| TrainOptions {
        out: Some(folder.file("run")),
        resume,
        stop_after: Some(1),
        limit: Some(128),
        test_limit: Some(64),
        ..options(2)
    };
    let stopped = run(&mut pair(1)?, &asked(None));
    assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
    run(&mut pair(1)?, &asked(Some(folder.file("run").join("last.safetensors"))))?;
    let entries = std::fs::read_dir(folder.file("run")).map_err(|e| Error::io(folder.path(), "list", e))?;
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.to_string_lossy().contains("tfevents") {
            found.extend(crate::tensorboard::read(
                &std::fs::read(&path).map_err(|e| Error::io(&path, "read", e))?,
            ));
        }
    }
    assert_eq!(found.iter().filter(|(step, tag, _)| *step == 2 && tag == "loss/train").count(), 1);
    let pictures: Vec<_> =
        found.into_iter().filter_map(|(step, tag, picture)| Some((step, tag, picture?))).collect();
    let [(0, tag, picture)] = pictures.as_slice() else { panic!("{} pictures", pictures.len()) };
    let image = image::load_from_memory(&picture.png).map_err(|e| Error::Data(e.to_string()))?.into_rgb8();
    assert_eq!((tag.as_str(), image.dimensions()), ("samples/first_batch", (10 * 66, 7 * 66)));
    let (mut sample, data) = ([0.0; 64], crate::data::open("digits")?);
    let order = Rng::new(0, Purpose::Shuffle, 0).permutation(128);
    data.train.write_sample(order[12], &mut sample)?;
    for (pixel, value) in sample.iter().enumerate() {
        let (x, y) = (2 * 66 + 1 + pixel % 8 * 8, 66 + 1 + pixel / 8 * 8);
        assert_eq!(image.get_pixel(x as u32, y as u32).0, [(value * 255.0).round() as u8; 3]);
    }
    Ok(())
}

#[test]
fn a_long_epoch_is_saved_on_the_way() -> Result<(), Error> {
    /// Looks at the last checkpoint after each step of the first epoch.
    struct Watch(std::path::PathBuf, Vec<Option<u64>>);
    impl Progress for Watch {
        fn begin(&mut self, _title: &str, _samples: usize) {}
        fn advance(&mut self, _pulse: &Pulse) {
            let metadata = checkpoint::read_metadata(&self.0).unwrap_or_default();
            self.1.push(metadata["step"].as_u64());
        }
        fn end(&mut self) {}
        fn epoch(&mut self, _record: &EpochRecord, _epochs: usize) {}
    }
    let folder = Folder::new("long")?;
    let asked = |out: &str, pause| TrainOptions {
        out: Some(folder.file(out)),
        save_pause: std::time::Duration::from_secs(pause),
        limit: Some(256),
        test_limit: Some(1),
        ..options(1)
    };
    let data = crate::data::open("digits")?;
    for (pause, seen) in [(0, [0, 1, 2, 3, 4]), (600, [0, 0, 0, 0, 0])] {
        let (mut pair, out) = (pair(1)?, format!("run{pause}"));
        let mut watch = Watch(folder.file(&out).join("last.safetensors"), Vec::new());
        train(&mut pair.train, &mut pair.infer, &data, &asked(&out, pause), &mut watch)?;
        assert_eq!(watch.1, seen.map(Some), "{pause}");
    }
    Ok(())
}

#[test]
fn what_a_run_takes_is_known_before_it_begins() -> Result<(), Error> {
    let (mut pair, recipe) = (pair(1)?, options(2).recipe);
    let plans = (linear_model().train.plan, linear_model().infer.plan);
    let plans = (&plans.0, &plans.1);
    let asked = Asked { plans, recipe: &recipe, batches: (BATCH, BATCH), threads: 1, data_bytes: 1000 };
    let budget = |limit| Budget::refuse_too_large(&asked, limit);
    let whole = budget(None)?;
    let message = |limit| budget(Some(limit)).map_or_else(|e| e.to_string(), |_| String::new());
    assert!(message(whole.total() - 1).contains("a batch of 63 fits: give `--batch 63`"));
    assert!(message(10).contains("not even a batch of 1 fits"));
    assert_eq!(budget(Some(whole.total()))?, whole);
    let data = crate::data::open("digits")?;
    let found = dry_run(&mut pair.train, &pair.infer, &data, &options(2))?;
    assert_eq!((found.batch, found.steps), (BATCH, 23));
    assert!(found.loss > 1.0 && found.grad_norm > 0.0 && found.run_seconds > found.epoch_seconds);
    Ok(())
}

#[test]
fn a_run_folder_holds_records_and_loadable_checkpoints() -> Result<(), Error> {
    let folder = Folder::new("run")?;
    let mut pair = pair(2)?;
    let asked = TrainOptions { out: Some(folder.file("run")), test_limit: Some(100), ..options(2) };
    let report = run(&mut pair, &asked)?;
    let text = |file: &str| {
        let path = folder.file("run").join(file);
        std::fs::read_to_string(&path).map_err(|e| Error::io(&path, "read", e))
    };
    let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|e| Error::Internal(e.to_string()));
    assert_eq!(json(&text("config.json")?)?["parameters"], 650);
    let metrics = text("metrics.jsonl")?;
    let second = json(metrics.lines().nth(1).unwrap_or_default())?;
    assert_eq!(second["test_accuracy"].as_f64(), Some(report.last.test_accuracy));
    assert!(second["firing_rates"]["bright"].as_f64().is_some_and(|rate| rate > 0.1));
    let mut fresh = Session::new(linear_model().infer, 100, 1)?;
    let metadata = checkpoint::load(&folder.file("run").join("best.safetensors"), &mut fresh)?;
    let data = crate::data::open("digits")?;
    let best = evaluate(&mut fresh, &data.test, Some(100), &mut Silent)?;
    assert_eq!(Some(best.test_accuracy), metadata["test_accuracy"].as_f64());
    assert!(run(&mut pair, &asked).is_err_and(|e| e.to_string().contains("already holds a run")));
    Ok(())
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_keeps_the_checkpoint() -> Result<(), Error> {
    let folder = Folder::new("diverged")?;
    let mut pair = pair(1)?;
    let out = Some(folder.file("run"));
    run(&mut pair, &TrainOptions { out: out.clone(), ..options(1) })?;
    let mut wild = options(3);
    (wild.recipe.optimizer, wild.out) =
        (Optimizer::Sgd { lr: 1e38, momentum: 0.9, nesterov: false, weight_decay: 0.0 }, out);
    wild.resume = Some(folder.file("run").join("last.safetensors"));
    let text = run(&mut pair, &wild).map_or_else(|e| e.to_string(), |_| String::new());
    assert!(text.contains("in epoch 2, step") && text.contains("last.safetensors"), "{text}");
    assert!(text.contains("is the first with values that are not finite"), "{text}");
    let mut fresh = Session::new(linear_model().infer, 1, 1)?;
    assert_eq!(checkpoint::load(&folder.file("run").join("last.safetensors"), &mut fresh)?["epoch"], 1);
    Ok(())
}

#[test]
fn what_does_not_fit_is_told() -> Result<(), Error> {
    let mut pair = pair(1)?;
    let mut data = crate::data::open("digits")?;
    let mut message = |data: &Dataset, options: &TrainOptions| {
        train(&mut pair.train, &mut pair.infer, data, options, &mut Silent)
            .map_or_else(|e| e.to_string(), |_| String::new())
    };
    let mut large = options(1);
    large.recipe.batch = 65;
    assert!(message(&data, &large).contains("1 to 64"));
    data.classes = 11;
    assert!(message(&data, &options(1)).contains("11 classes, the model 10"));
    data.shape = vec![64];
    assert!(message(&data, &options(1)).contains("samples of shape [64]"));
    Ok(())
}
