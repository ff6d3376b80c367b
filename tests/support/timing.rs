//! Sessions of a model whose layers fire at a rate, and the time of their steps: what examples measure with.

#![allow(dead_code)] // Each user takes a part of it.

use crate::rates;
use snnc_compiler::front::{SourceMap, analyze, render};
use snnc_compiler::{
    Activities, Compiled, FIRING_RATE, Form, Forms, KernelRecord, Mode, Options, Product, Vector, Vectors,
    compile,
};
use snnc_runtime::{Session, StepTime, initialise};

/// What [`Asked::new`] reads behind the file and the batch.
pub const USAGE: &str = "[rate=R] [threads=N] [vectors=BITS] [form=FORM] [skip=PASS] [name=value …]";

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The model's file.
    pub file: String,
    /// Samples.
    pub batch: usize,
    /// The rate at which layers shall fire; as they do where there is none.
    pub rate: Option<f64>,
    /// Threads; 0 for all.
    pub threads: usize,
    /// The vectors of products with spikes.
    pub vectors: Vectors,
    /// The form of all products.
    pub form: Option<Form>,
    /// A pass to leave out.
    pub skip: Vec<String>,
    /// Parameters of the model.
    pub defines: Vec<(String, String)>,
}

/// A session and what the compiler said of it.
pub struct Timed {
    /// The session.
    pub session: Session,
    /// The products with spikes.
    pub products: Vec<Product>,
    /// Their vectors.
    pub vector: Vector,
    /// The kernels, in the order of the plan's numbers.
    pub kernels: Vec<KernelRecord>,
}

impl Asked {
    /// A model's file as it is, at a rate.
    pub fn of(file: &str, batch: usize, rate: f64) -> Asked {
        Asked {
            file: file.to_string(),
            batch,
            rate: Some(rate),
            threads: 0,
            vectors: Vectors::Widest,
            form: None,
            skip: Vec::new(),
            defines: Vec::new(),
        }
    }

    /// From `FILE BATCH name=value …`; nothing where these are missing.
    pub fn new(args: &[String]) -> Option<Asked> {
        let [file, batch, rest @ ..] = args else { return None };
        let mut asked = Asked::of(file, batch.parse().expect("BATCH is a number"), 0.0);
        asked.rate = None;
        for (name, value) in rest.iter().filter_map(|word| word.split_once('=')) {
            let number = || value.parse::<f64>().expect("a number");
            match name {
                "rate" => asked.rate = Some(number()),
                "threads" => asked.threads = number() as usize,
                "form" => asked.form = Some(value.parse().expect("a form")),
                "skip" => asked.skip.push(value.to_string()),
                "vectors" => {
                    asked.vectors = match number() as usize {
                        512 => Vectors::Widest,
                        256 => Vectors::Middle,
                        _ => Vectors::Portable,
                    }
                }
                _parameter => asked.defines.push((name.to_string(), value.to_string())),
            }
        }
        Some(asked)
    }

    /// The model compiled for a mode; with `taps` the plan says what its products read.
    pub fn compiled(&self, mode: Mode, taps: bool) -> Compiled {
        let read = &mut |name: &str| std::fs::read_to_string(name).map_err(|e| e.to_string());
        let sources = SourceMap::load(&self.file, read);
        let model = analyze(&sources, &self.file, &self.defines)
            .unwrap_or_else(|e| panic!("{}", render(&sources, &e, false)));
        let firing_rate = self.rate.map_or(FIRING_RATE, |rate| rate as f32);
        let forms = Forms { rest: self.form, ..Forms::default() };
        let activities = Activities::uniform(firing_rate);
        let (vectors, skip) = (self.vectors, self.skip.clone());
        let options = Options { activities, forms, vectors, skip, taps, ..Options::new(mode) };
        compile(&model, &sources, &self.file, &options).expect("it compiles")
    }

    /// A session of a mode, with its inputs.
    pub fn session(&self, mode: Mode) -> Timed {
        let Compiled { executable, products, vector, kernels, .. } = self.compiled(mode, false);
        let mut session = Session::new(executable, self.batch, self.threads).expect("memory");
        fill(&mut session, self.batch);
        if mode == Mode::Train {
            label(&mut session, self.batch);
        }
        Timed { session, products, vector, kernels }
    }

    /// Sessions of training and of inference with the same parameters, whose layers fire at the rate.
    pub fn pair(&self) -> (Timed, Timed) {
        self.pair_by(self.batch)
    }

    /// The same, for which rates are set on the first `samples` of the batch.
    pub fn pair_by(&self, samples: usize) -> (Timed, Timed) {
        let (train, mut infer) = (self.train_by(samples), self.session(Mode::Infer));
        infer.session.copy_params(&train.session).expect("the same parameters");
        fill(&mut infer.session, samples);
        if let Some(rate) = self.rate {
            rates::calibrate(&mut infer.session, |_| rate);
        }
        fill(&mut infer.session, self.batch);
        (train, infer)
    }

    /// The session of training alone.
    pub fn train_by(&self, samples: usize) -> Timed {
        let mut train = self.session(Mode::Train);
        initialise(&mut train.session, 0).expect("weights");
        fill(&mut train.session, samples);
        label(&mut train.session, samples);
        match self.rate {
            Some(rate) => {
                rates::vary(&mut train.session);
                rates::calibrate(&mut train.session, |_| rate);
            }
            None => train.session.run_forward().expect("forward"),
        }
        fill(&mut train.session, self.batch);
        label(&mut train.session, self.batch);
        train
    }
}

/// Sets images. Any fixed pattern will do: rates are printed.
pub fn fill(session: &mut Session, batch: usize) {
    let image = |slot: usize, to: &mut [f32]| {
        let wave = |i: usize| ((i * 37 + slot * 101) as f32 * 0.01).sin() * 1.5;
        to.iter_mut().enumerate().for_each(|(i, x)| *x = wave(i));
        Ok(())
    };
    session.set_inputs(batch, image).expect("inputs");
}

fn label(session: &mut Session, batch: usize) {
    session.set_labels(&(0..batch as i32).map(|i| i % 10).collect::<Vec<_>>()).expect("labels");
}

/// An inference, or forward and backward.
pub fn step(session: &mut Session, mode: Mode) {
    session.run_forward().expect("forward");
    if mode == Mode::Train {
        session.run_backward().expect("backward");
    }
}

/// Keeps each step's shortest time, so that what else the machine does matters less.
pub fn keep_best(best: &mut Vec<StepTime>, times: &[StepTime]) {
    if best.is_empty() {
        best.extend_from_slice(times);
    }
    for (best, time) in best.iter_mut().zip(times) {
        best.total = best.total.min(time.total);
    }
}

/// What a step's name ends with: the same for all layers of a kind.
pub fn ending(name: &str) -> String {
    let end: Vec<&str> = name.rsplit('.').take(2).filter(|part| part.parse::<u32>().is_err()).collect();
    end.into_iter().rev().collect::<Vec<_>>().join(".")
}
