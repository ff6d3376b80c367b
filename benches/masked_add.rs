//! The forms of a product with spikes over firing rates, on one convolution and one thread: multiply-adds a cycle, as if
//! the product were dense, so that all can be compared; behind each what the cost model says.
//!
//! ```text
//! cargo bench --bench masked_add -- [vectors=512|256|128] [inputs=128] [outputs=128] [size=16] [batch=2] [repeats=2.4] \
//!     [gradient=1]
//! ```
//!
//! With `gradient=1` it is the gradient of the weight that is measured, which no dense form has.
//!
//! A neuron that fires does so `repeats` times in four timesteps, as those of trained networks do 2.2 to 2.8 times.
//! The time is that of the product's own steps at their best, by the session's profile: what expands bits for the dense
//! form counts, packing the input does not. A cycle is what a chain of dependent additions takes for one.

#[path = "../tests/support/clock.rs"]
mod clock;

use snnc_compiler::front::{SourceMap, analyze};
use snnc_compiler::{
    Activities, Activity, Form, Forms, Mode, Options, Product, Vectors, compile, cycles_per_add,
    cycles_per_mirrored_add,
};
use snnc_runtime::rng::{Purpose, Rng};
use snnc_runtime::{Session, initialise};

/// Timesteps.
const STEPS: usize = 4;
/// Runs of which the best counts.
const RUNS: usize = 15;
/// The layer, whose product stands alone.
const LAYER: &str = "y.conv";

/// What is measured.
struct Sizes {
    vectors: usize,
    inputs: usize,
    outputs: usize,
    size: usize,
    batch: usize,
    /// Whether the gradient of the weight is measured.
    gradient: usize,
    /// Spikes of a neuron that fires.
    repeats: f32,
}

impl Sizes {
    fn from_arguments() -> Sizes {
        let mut sizes =
            Sizes { vectors: 512, inputs: 128, outputs: 128, size: 16, batch: 2, gradient: 0, repeats: 2.4 };
        for (name, value) in
            std::env::args().filter_map(|a| a.split_once('=').map(|(n, v)| (n.into(), v.into())))
        {
            let (name, value): (String, String) = (name, value);
            if name == "repeats" {
                sizes.repeats = value.parse().expect("a number");
                continue;
            }
            let value = value.parse().expect("a number");
            match name.as_str() {
                "vectors" => sizes.vectors = value,
                "inputs" => sizes.inputs = value,
                "outputs" => sizes.outputs = value,
                "size" => sizes.size = value,
                "batch" => sizes.batch = value,
                "gradient" => sizes.gradient = value,
                other => panic!("`{other}` is no size"),
            }
        }
        sizes
    }

    /// What neurons do at a firing rate: above that of `repeats`, all fire.
    fn activity(&self, rate: f32) -> Activity {
        Activity { rate, fires: Some((rate * STEPS as f32 / self.repeats).min(1.0)) }
    }

    /// The chance of a spike at a timestep with which neurons that have one at all have `repeats`.
    fn rate_of_firing(&self) -> f32 {
        let spikes = |q: f32| STEPS as f32 * q / (1.0 - (1.0 - q).powi(STEPS as i32));
        let (mut low, mut high) = (1e-6, 1.0);
        for _ in 0..30 {
            let q = (low + high) / 2.0;
            (low, high) = if spikes(q) < self.repeats { (q, high) } else { (low, q) };
        }
        low
    }

    /// A session whose product has the form, its product and what the cost model says of it.
    fn session(&self, form: Form, rate: f32) -> (Session, Product, f64) {
        let Sizes { inputs, outputs, size, batch, .. } = *self;
        let activity = self.activity(rate);
        let text = format!(
            "network product {{ timesteps {STEPS} input x: spike[time, {inputs}, {size}, {size}]
               let y = x |> conv({outputs}, kernel: 3, pad: 1, bias: false)
               y |> max_pool({size}) |> flatten |> mean(time) }}"
        );
        let sources = SourceMap::single("inline.snn", &text);
        let model = analyze(&sources, "inline.snn", &[]).expect("a model");
        let vectors = match self.vectors {
            512 => Vectors::Widest,
            256 => Vectors::Middle,
            _ => Vectors::Portable,
        };
        let forms = Forms { rest: Some(form), ..Forms::default() };
        let options = Options {
            activities: Activities { rest: activity, ..Activities::default() },
            forms,
            vectors,
            skip: vec!["checkpoint".into()],
            ..Options::new(if self.gradient > 0 { Mode::Train } else { Mode::Infer })
        };
        let compiled = compile(&model, &sources, "inline.snn", &options).expect("it compiles");
        let product = compiled.products[0].clone();
        assert_eq!(product.layer, LAYER);
        let predicted = match self.gradient {
            0 => cycles_per_add(form, activity, &product.work, compiled.vector),
            _ => cycles_per_mirrored_add(form, activity, &product.work),
        };
        let mut session = Session::new(compiled.executable, batch, 1).expect("memory");
        initialise(&mut session, 0).expect("weights");
        let fill = |slot: usize, to: &mut [f32]| {
            let mut rng = Rng::new(1, Purpose::Shuffle, slot as u64);
            let (each, of_firing) = (to.len() / STEPS, self.rate_of_firing());
            for neuron in 0..each {
                // One that fires is drawn until it has a spike.
                let fires = rng.uniform() < activity.fires.unwrap_or_default();
                let mut spikes = [false; STEPS];
                while fires && spikes == [false; STEPS] {
                    spikes = spikes.map(|_| rng.uniform() < of_firing);
                }
                spikes.iter().enumerate().for_each(|(t, s)| to[t * each + neuron] = f32::from(u8::from(*s)));
            }
            Ok(())
        };
        session.set_inputs(batch, fill).expect("inputs");
        if self.gradient > 0 {
            session.set_labels(&vec![0; batch]).expect("labels");
        }
        (session, product, 1.0 / predicted)
    }

    /// Multiply-adds a cycle of a form, measured and predicted.
    fn measure(&self, form: Form, rate: f32) -> (f64, f64) {
        let (mut session, product, predicted) = self.session(form, rate);
        session.run_forward().expect("forward");
        let mut best = f64::INFINITY;
        let cycle = clock::cycle();
        for _ in 0..RUNS {
            session.start_profile();
            session.run_forward().expect("forward");
            let gradient = format!("{LAYER}.dw");
            if self.gradient > 0 {
                session.run_backward().expect("backward");
            }
            let rows = session.profile();
            let is_own = |name: &str| match self.gradient {
                0 => name == product.layer || name == product.step,
                _ => name == gradient,
            };
            let own = rows.iter().filter(|row| is_own(&row.name));
            best = best.min(own.map(|row| row.total.as_secs_f64()).sum());
        }
        (product.adds as f64 * self.batch as f64 / (best / cycle), predicted)
    }
}

fn main() {
    let sizes = Sizes::from_arguments();
    println!("multiply-adds a cycle, measured and (predicted), vectors of {} bits", sizes.vectors);
    print!("rate");
    let forms = if sizes.gradient > 0 { &Form::OF_GRADIENTS[..] } else { &Form::ALL[..] };
    forms.iter().for_each(|form| print!("{form:>18}"));
    println!();
    for percent in [1, 2, 5, 10, 15, 20, 25, 30, 40, 50, 60] {
        print!("{percent:3}%");
        for &form in forms {
            let (measured, predicted) = sizes.measure(form, percent as f32 / 100.0);
            print!("{:>18}", format!("{measured:.1} ({predicted:.1})"));
        }
        println!();
    }
}
