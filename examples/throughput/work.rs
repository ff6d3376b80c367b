//! What is timed: an inference, a training step, or the steps of the neuron alone.

use crate::{IMAGES, rates_of, resident};
use serde_json::{Value, json};
use snnc_compiler::front::{SourceMap, analyze, render};
use snnc_compiler::plan::Optimizer;
use snnc_compiler::{Activities, FIRING_RATE, Memory, Mode, Options, compile};
use snnc_runtime::checkpoint::{Tensor, read_tensors};
use snnc_runtime::optim::{Decay, Pace, Rule};
use snnc_runtime::rng::{Purpose, Rng};
use snnc_runtime::{Session, initialise, measured};
use std::path::Path;
use std::time::Instant;

/// Stochastic gradient descent with momentum, as every side does it.
const OPTIMIZER: Optimizer = Optimizer::Sgd { lr: 1e-7, momentum: 0.9, nesterov: false, weight_decay: 0.0 };

/// The part of the work that a step stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// From images to logits.
    Infer,
    /// Forward, backward, update.
    Train,
    /// The neuron of `benches/peers/lif.snn`, forward.
    LifForward,
    /// The neuron of `benches/peers/lif.snn`, forward and backward.
    Lif,
}

impl Part {
    /// The part of a name.
    pub fn named(name: &str) -> Option<Part> {
        [
            ("infer", Part::Infer),
            ("train", Part::Train),
            ("lif-forward", Part::LifForward),
            ("lif", Part::Lif),
        ]
        .into_iter()
        .find_map(|(known, part)| (known == name).then_some(part))
    }

    fn mode(self) -> Mode {
        match self {
            Part::Infer => Mode::Infer,
            Part::Train | Part::LifForward | Part::Lif => Mode::Train,
        }
    }
}

/// Words of the form `name=value`; what is not taken overrides parameters of the model.
pub struct Arguments(Vec<(String, String)>);

impl Arguments {
    /// The words that have the form.
    pub fn new(words: &[&str]) -> Arguments {
        let pair = |word: &&str| word.split_once('=').map(|(name, value)| (name.into(), value.into()));
        Arguments(words.iter().filter_map(pair).collect())
    }

    /// A number that is the program's own.
    pub fn take(&mut self, name: &str) -> Option<f64> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1.parse().unwrap_or_else(|_| panic!("{name} is a number")))
    }
}

/// A model's file as a session, laid out for what its neurons were measured to do, or else for a firing rate; and the bytes
/// resident when it was compiled and nothing more.
pub fn session(
    file: &str,
    arguments: &mut Arguments,
    mode: Mode,
    batch: usize,
    measured: Option<Activities>,
) -> (Session, u64) {
    let threads = arguments.take("threads").unwrap_or(0.0) as usize;
    let firing_rate = arguments.take("rate").map_or(FIRING_RATE, |rate| rate as f32);
    let activities = measured.unwrap_or_else(|| Activities::uniform(firing_rate));
    let ample = arguments.take("ample").is_some_and(|ample| ample > 0.0);
    let memory = if ample { Memory::Within(usize::MAX) } else { Memory::Least };
    let sources = SourceMap::load(file, &mut |name| std::fs::read_to_string(name).map_err(|e| e.to_string()));
    let model =
        analyze(&sources, file, &arguments.0).unwrap_or_else(|e| panic!("{}", render(&sources, &e, false)));
    let options =
        Options { activities, memory, batch: Some(batch), hands_gradients: true, ..Options::new(mode) };
    let compiled = compile(&model, &sources, file, &options).expect("it compiles");
    let before = resident::now();
    (Session::new(compiled.executable, batch, threads).expect("memory"), before)
}

/// A session with its optimiser.
pub struct Work {
    session: Session,
    rule: Rule,
    part: Part,
    batch: usize,
    compile_seconds: f64,
    /// Bytes resident before the session was made: what the process has in any case, as a peer has between steps.
    before: u64,
}

impl Work {
    /// Compiles a file and sets parameters and images of a state; `-` stands for random numbers.
    pub fn new(file: &str, state: &str, part: Part, mut arguments: Arguments) -> Work {
        let batch = arguments.take("batch").expect("batch=N") as usize;
        let measured = match part {
            Part::Infer | Part::Train => measured(Path::new(state)).expect("a state"),
            Part::LifForward | Part::Lif => None,
        };
        let start = Instant::now();
        let (mut session, before) = session(file, &mut arguments, part.mode(), batch, measured);
        let compile_seconds = start.elapsed().as_secs_f64();
        match part {
            Part::Infer | Part::Train => {
                set(&mut session, &read_tensors(Path::new(state)).expect("a state"), batch)
            }
            Part::LifForward | Part::Lif => currents(&mut session, batch),
        }
        if part != Part::Infer {
            session.set_labels(&(0..batch as i32).map(|i| i % 10).collect::<Vec<_>>()).expect("labels");
        }
        let rule = Rule::new(OPTIMIZER, Decay::All, session.plan().params.len());
        resident::forget_peak();
        Work { session, rule, part, batch, compile_seconds, before }
    }

    /// One step; its seconds.
    pub fn step(&mut self) -> f64 {
        let start = Instant::now();
        match self.part {
            Part::Infer => self.session.run_forward().expect("forward"),
            Part::Train => self.train(),
            Part::LifForward | Part::Lif => return self.neuron(),
        }
        start.elapsed().as_secs_f64()
    }

    fn train(&mut self) {
        let (session, rule) = (&mut self.session, &mut self.rule);
        session.run_forward().expect("forward");
        session.apply_updates().expect("statistics");
        rule.begin_step();
        let pace = Pace { lr: 1e-7, clip: 1.0 };
        session
            .run_backward_handing(&mut |i, spec, values, (grad, _)| {
                rule.step(i, spec.role, values, grad, pace)
            })
            .expect("backward");
    }

    /// A whole step, of which the neuron's time counts.
    fn neuron(&mut self) -> f64 {
        self.session.start_profile();
        self.session.run_forward().expect("forward");
        let own: &[&str] = match self.part {
            Part::LifForward => &["n.lif"],
            Part::Infer | Part::Train | Part::Lif => {
                self.session.run_backward().expect("backward");
                &["n.lif", "n.lif.dx"]
            }
        };
        let kernels = self.session.profile().iter().filter(|row| row.kind == "kernel");
        let rows: Vec<_> = kernels.filter(|row| row.calls > 0 && own.contains(&row.name.as_str())).collect();
        assert_eq!(rows.len(), own.len(), "the neuron's steps of the plan have other names");
        rows.iter().map(|row| row.total.as_secs_f64()).sum()
    }

    /// What is run, with the rate of each layer and the logits of a first step.
    pub fn describe(&self) -> Value {
        json!({
            "part": format!("{:?}", self.part),
            "batch": self.batch,
            "threads": self.session.threads(),
            "first_seconds": self.compile_seconds,
            "rates": rates_of(&self.session.firing_rates().0),
            "logits": self.session.logits().expect("logits"),
        })
    }

    /// Bytes beyond weights and optimiser: what the plan says, and what the system saw.
    pub fn memory(&mut self) -> Value {
        self.step();
        let specs = self.session.plan().params.iter();
        let (mut weights, mut trained) = (0, 0);
        for spec in specs {
            weights += 4 * spec.len() as u64;
            trained += if spec.role.is_trained() { 4 * spec.len() as u64 } else { 0 };
        }
        let seen = resident::peak().saturating_sub(self.before + weights + trained);
        json!({ "planned": self.session.peak_bytes() - weights, "resident": seen, "weights": weights })
    }
}

/// Parameters and images of a state.
fn set(session: &mut Session, state: &[Tensor], batch: usize) {
    let named = |name: &str| state.iter().find(|t| t.name == name).unwrap_or_else(|| panic!("no `{name}`"));
    let specs = session.plan().params.clone();
    for spec in specs {
        let tensor = named(&spec.name);
        assert_eq!(tensor.shape, spec.shape, "{}", spec.name);
        session.set_param(&spec.name, &tensor.data).expect("a parameter");
    }
    let images = named(IMAGES);
    let length = images.data.len() / images.shape[0];
    assert!(batch <= images.shape[0], "the state has {} images", images.shape[0]);
    let image = |slot: usize, to: &mut [f32]| {
        to.copy_from_slice(&images.data[slot * length..][..length]);
        Ok(())
    };
    session.set_inputs(batch, image).expect("inputs");
}

/// Currents of mean 0.2 and variance 1 at each neuron and timestep.
fn currents(session: &mut Session, batch: usize) {
    initialise(session, 0).expect("weights");
    let spec =
        session.plan().params.iter().find(|spec| spec.name == "n.conv.weight").expect("the convolution");
    let channels = spec.shape[0];
    let same: Vec<f32> =
        (0..spec.len()).map(|at| if at / channels == at % channels { 1.0 } else { 0.0 }).collect();
    session.set_param("n.conv.weight", &same).expect("weights");
    session.set_param("n.conv.bias", &vec![0.2; channels]).expect("a bias");
    let fill = |slot: usize, to: &mut [f32]| {
        let mut rng = Rng::new(0, Purpose::Test, slot as u64);
        to.iter_mut().for_each(|v| *v = 3f32.sqrt() * (2.0 * rng.uniform() - 1.0));
        Ok(())
    };
    session.set_inputs(batch, fill).expect("inputs");
}
