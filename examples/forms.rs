//! The forms of products with spikes in turn, on trained weights and test samples:
//! `cargo run --release --example forms -- FILE CHECKPOINT DATA BATCH [vectors=BITS] [name=value …]`.
//!
//! Prints what the neurons of each layer do, and for each layer with a product the least time of its step in each form
//! over some rounds; then the sums, and what the cost model chooses if it knows the rates alone, or the activities. One thread.

use snnc_compiler::front::{SourceMap, analyze, render};
use snnc_compiler::{Activities, Form, Forms, Mode, Options, Product, Vectors, compile, recipe_of};
use snnc_runtime::data::{Request, open_for};
use snnc_runtime::{Session, checkpoint};

/// Rounds of which the least time counts.
const ROUNDS: usize = 60;

/// A way to compile, and what it took.
struct Way {
    name: String,
    session: Session,
    products: Vec<Product>,
    /// Seconds of each step, by its place.
    best: Vec<f64>,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, weights, data, batch, defines @ ..] = args.as_slice() else {
        eprintln!("usage: forms FILE CHECKPOINT DATA BATCH [vectors=BITS] [name=value …]");
        std::process::exit(2);
    };
    let batch: usize = batch.parse().expect("BATCH is a number");
    let pairs = defines.iter().filter_map(|d| d.split_once('='));
    let (own, defines): (Vec<_>, Vec<_>) = pairs.partition(|(name, _)| *name == "vectors");
    let vectors = match own.first().map(|(_, bits)| *bits) {
        None | Some("512") => Vectors::Widest,
        Some("256") => Vectors::Middle,
        Some(_) => Vectors::Portable,
    };
    let defines: Vec<(String, String)> = defines.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
    let sources = SourceMap::load(file, &mut |name| std::fs::read_to_string(name).map_err(|e| e.to_string()));
    let model =
        analyze(&sources, file, &defines).unwrap_or_else(|e| panic!("{}", render(&sources, &e, false)));
    let request = Request { augment: recipe_of(&model.recipe).augment, ..Request::default() };
    let test = open_for(data, &request).expect("a data set").test;
    let way = |name: &str, activities: &Activities, form: Option<Form>| {
        let forms = Forms { rest: form, ..Forms::default() };
        let options = Options { activities: activities.clone(), forms, vectors, ..Options::new(Mode::Infer) };
        let compiled = compile(&model, &sources, file, &options).expect("it compiles");
        let products = compiled.products;
        let mut session = Session::new(compiled.executable, batch, 1).expect("memory");
        checkpoint::load(weights.as_ref(), &mut session).expect("the weights of this model");
        session.set_inputs(batch, |slot, to| test.write_sample(slot, to)).expect("samples");
        Way { name: name.to_string(), session, products, best: Vec::new() }
    };
    let mut first = way("", &Activities::default(), None);
    first.session.watch_patterns(true);
    first.session.run_forward().expect("forward");
    describe(&first.session);
    let known = first.session.activities();
    let mut ways: Vec<Way> = Form::CHOSEN.iter().map(|form| way(form.name(), &known, Some(*form))).collect();
    let mut rates = known.clone();
    rates.layers.values_mut().for_each(|activity| activity.fires = None);
    ways.push(way("by rate", &rates, None));
    ways.push(way("chosen", &known, None));
    for _ in 0..ROUNDS {
        ways.iter_mut().for_each(Way::run);
    }
    compare(&ways, batch);
}

impl Way {
    fn run(&mut self) {
        self.session.start_profile();
        self.session.run_forward().expect("forward");
        let rows = self.session.profile();
        let seconds: Vec<f64> = rows.iter().map(|row| row.total.as_secs_f64()).collect();
        match self.best.is_empty() {
            true => self.best = seconds,
            false => self.best.iter_mut().zip(seconds).for_each(|(best, own)| *best = best.min(own)),
        }
    }

    /// The time of a step, of all its rows together.
    fn of(&self, step: &str) -> f64 {
        let rows = self.session.profile().iter().zip(&self.best);
        rows.filter(|(row, _)| row.name == step && row.kind != "count").map(|(_, best)| best).sum()
    }
}

fn describe(session: &Session) {
    println!("  rate  fires  spikes of one that fires  share of each number of spikes  layer");
    let activities = session.activities().layers;
    for (layer, patterns) in session.patterns() {
        let (rate, fires) = (activities[&layer].rate, activities[&layer].fires.unwrap_or_default());
        let steps = patterns.len().max(2).ilog2();
        let all: u64 = patterns.iter().skip(1).sum();
        let share = |n: u32| {
            let own = patterns.iter().enumerate().filter(|(pattern, _)| pattern.count_ones() == n);
            own.map(|(_, count)| *count).sum::<u64>() as f64 / all.max(1) as f64
        };
        let shares: Vec<String> = (1..=steps).map(|n| format!("{:.2}", share(n))).collect();
        let repeats = rate * steps as f32 / fires.max(1e-9);
        println!("{rate:6.3} {fires:6.3} {repeats:25.2}  {:30}  {layer}", shares.join(" "));
    }
}

fn compare(ways: &[Way], batch: usize) {
    println!();
    ways.iter().for_each(|way| print!("{:>12}", way.name));
    println!("  ms of a step with products");
    let mut steps: Vec<&str> = ways[0].products.iter().map(|product| product.step.as_str()).collect();
    steps.dedup();
    for step in steps {
        ways.iter().for_each(|way| print!("{:12.3}", way.of(step) * 1e3));
        let chosen = ways.iter().flat_map(|way| way.products.iter().filter(|_| way.name == "chosen"));
        let forms: Vec<&str> = chosen.filter(|p| p.step == step).map(|p| p.form.name()).collect();
        println!("  {step} ({})", forms.join(", "));
    }
    let all: Vec<f64> = ways.iter().map(|way| way.best.iter().sum()).collect();
    all.iter().for_each(|seconds| print!("{:12.3}", seconds * 1e3));
    println!("  all steps, each at its least");
    all.iter().for_each(|seconds| print!("{:12.1}", batch as f64 / seconds));
    println!("  images a second");
}
