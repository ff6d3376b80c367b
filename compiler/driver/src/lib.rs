//! The compiler: a checked model in, a plan with machine code out.
//!
//! ```text
//! Model ──to_graph──▶ Graph ──passes──▶ packed Graph ──lower──▶ Plan + kernels ──codegen──▶ Executable
//! ```
//!
//! It only connects the rooms and keeps the time; decisions are made in them.

#![forbid(unsafe_code)]

mod emit;
mod encoder;
pub mod gradcheck;
mod memory;
mod recipe;
mod report;

pub use emit::{Emit, Emitted};
pub use memory::Memory;
pub use recipe::of as recipe_of;
pub use snnc_codegen::Vectors;
pub use snnc_front as front;
pub use snnc_ir::Mode;
pub use snnc_kernel::cost::{Vector, Work, added_share, cycles_per_add, cycles_per_mirrored_add};
pub use snnc_kernel::{Form, Forms, Product};
pub use snnc_passes::PassRecord;
pub use snnc_passes::checkpoint::Recomputed;
pub use snnc_plan as plan;
pub use snnc_plan::{Activities, Activity, FIRING_RATE};

use snnc_codegen::Code;
use snnc_front::{Diagnostic, Model, SourceMap};
use snnc_ir::Graph;
use snnc_kernel::body::Kernel;
use snnc_passes::checkpoint::Recomputes;
use snnc_passes::{PipelineError, Settings, checkpoint, slice_time};
use snnc_plan::{Executable, Plan, Step};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Instant;

/// What to compile for, and what to show of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// Inference or training.
    pub mode: Mode,
    /// Passes to leave out, by name.
    pub skip: Vec<String>,
    /// Stages to print.
    pub emit: Vec<Emit>,
    /// Whether to verify the graph after each pass; debug builds always do.
    pub verify: bool,
    /// Whether what products and attentions read is kept to be counted ([`plan::Plan::taps`]).
    pub taps: bool,
    /// Whether training hands each gradient over as soon as it is complete ([`plan::Step::Update`]), and keeps none.
    pub hands_gradients: bool,
    /// What neurons are expected to do: products with spikes are chosen and laid out for it, at anything else they are as
    /// right and a little slower. What a run's bits depend on, with `forms`.
    pub activities: Activities,
    /// The forms of products with spikes that are asked for, in the place of the cheapest.
    pub forms: Forms,
    /// The vectors of products with spikes: all give the same bits.
    pub vectors: Vectors,
    /// What training may take for parameters, gradients and the activations of a batch: what does not fit is computed
    /// again, to the same bits.
    pub memory: Memory,
    /// The samples of a batch for which the memory is laid out; those of the recipe where it is not given. Right at any
    /// number.
    pub batch: Option<usize>,
}

impl Options {
    /// Plain compilation for a mode.
    pub fn new(mode: Mode) -> Options {
        Options {
            mode,
            skip: Vec::new(),
            emit: Vec::new(),
            verify: false,
            taps: false,
            hands_gradients: false,
            activities: Activities::default(),
            forms: Forms::default(),
            vectors: Vectors::default(),
            memory: Memory::default(),
            batch: None,
        }
    }
}

/// Why a model was not compiled.
#[derive(Clone, Debug)]
pub enum CompileError {
    /// The model is at fault.
    Diagnostics(Vec<Diagnostic>),
    /// The options are at fault: a pass that does not exist, or cannot be left out; the form of a layer that has no
    /// product with spikes.
    Options(String),
    /// The compiler is at fault, or this machine has no code generator.
    Internal(String),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompileError::Diagnostics(all) => {
                all.iter().try_for_each(|d| writeln!(f, "error[{}]: {}", d.slug, d.message))
            }
            CompileError::Options(what) | CompileError::Internal(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for CompileError {}

/// A kernel of a compiled model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelRecord {
    /// The layer it was first made for.
    pub name: String,
    /// Steps that call it.
    pub steps: usize,
    /// Scratch memory of one thread, in bytes.
    pub scratch_bytes: usize,
    /// Machine code, in bytes.
    pub code_bytes: usize,
    /// How a product with spikes is done, `masked add 64x128` for blocks of 64 inputs and 128 outputs; empty for other
    /// kernels.
    pub form: String,
}

/// A compiled model.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The plan and its machine code.
    pub executable: Executable,
    /// Wall time of the compilation.
    pub seconds: f64,
    /// The passes in the order they ran.
    pub passes: Vec<PassRecord>,
    /// The kernels.
    pub kernels: Vec<KernelRecord>,
    /// The products with spikes, and how they are done.
    pub products: Vec<Product>,
    /// The vectors of their kernels.
    pub vector: Vector,
    /// The stages asked for, in the order asked.
    pub emitted: Vec<Emitted>,
    /// What the backward part computes again.
    pub recomputed: Vec<Recomputed>,
}

/// Compiles a checked model. `sources` and `entry` are where it came from (for `Emit::Ast`).
///
/// # Errors
/// Diagnostics for what cannot be compiled for this mode; the pass that cannot be left out; an internal error
/// where a stage breaks its own rules.
pub fn compile(
    model: &Model,
    sources: &SourceMap,
    entry: &str,
    options: &Options,
) -> Result<Compiled, CompileError> {
    let start = Instant::now();
    let graph = snnc_front::to_graph(model, options.mode);
    let mut shown = emit::Shown::new(&options.emit);
    shown.front(model, sources, entry)?;
    let encoder = encoder::of(model);
    finish(graph, (recipe::of(&model.recipe), encoder), options, shown, start)
}

/// Compiles a logical graph that no file stands for: what tests do with random networks.
///
/// # Errors
/// As [`compile`]; stages of the front end cannot be shown.
pub fn compile_graph(
    graph: Graph,
    recipe: plan::Recipe,
    options: &Options,
) -> Result<Compiled, CompileError> {
    finish(graph, (recipe, None), options, emit::Shown::new(&options.emit), Instant::now())
}

fn finish(
    graph: Graph,
    (recipe, encoder): (plan::Recipe, Option<plan::Encoder>),
    options: &Options,
    mut shown: emit::Shown<'_>,
    start: Instant,
) -> Result<Compiled, CompileError> {
    let internal = |what: String| CompileError::Internal(what);
    let mut lowered = lower_within(&graph, &recipe, options, &mut shown)?;
    let plan = &mut lowered.plan;
    if let (Some(encoder), Some(input)) = (encoder, plan.inputs.first_mut()) {
        input.encode(encoder);
    }
    let Lowered { graph, passes, recomputed, forgone, products, plan, kernels } = lowered;
    shown.graph(&graph);
    let code = snnc_codegen::compile(&kernels, &shown.codegen(options.vectors))
        .map_err(|error| internal(error.to_string()))?;
    let records = records(&plan, &kernels, &code);
    let seconds = start.elapsed().as_secs_f64();
    shown.back(&plan, &kernels, &code);
    let built =
        report::Built { vector: code.vector, products: &products, seconds, recomputed: &recomputed, forgone };
    shown.report(|| report::text(&graph, &plan, &passes, &records, &built));
    let executable = Executable { plan, functions: code.functions, code: code.keep };
    let (vector, emitted) = (code.vector, shown.finish());
    Ok(Compiled { executable, seconds, passes, kernels: records, products, vector, emitted, recomputed })
}

/// A graph behind its passes, with its plan.
struct Lowered {
    graph: Graph,
    passes: Vec<PassRecord>,
    /// What the backward part computes again.
    recomputed: Vec<Recomputed>,
    /// Sums of spikes that live on instead.
    forgone: usize,
    products: Vec<Product>,
    plan: Plan,
    kernels: Vec<Kernel>,
}

impl Lowered {
    /// The names of what is computed again of a kind.
    fn recomputed_of(&self, what: Recomputes) -> BTreeSet<String> {
        let of_kind = self.recomputed.iter().filter(|value| value.what == what);
        of_kind.map(|value| value.name.clone()).collect()
    }
}

/// Computes as little again as the memory allows.
fn lower_within(
    graph: &Graph,
    recipe: &plan::Recipe,
    options: &Options,
    shown: &mut emit::Shown<'_>,
) -> Result<Lowered, CompileError> {
    let batch = options.batch.unwrap_or(recipe.batch).max(1);
    let taken = |plan: &Plan| plan.arena.bytes(batch).unwrap_or(usize::MAX);
    let mut lower = |kept: BTreeSet<String>| lower_with(graph, recipe, options, kept, shown);
    let (mut least, mut always, mut is_last) = (lower(BTreeSet::new())?, BTreeSet::new(), true);
    // Membranes that are computed again lie beside the sums that they come from: of one layer that is larger than all else
    // it is less to keep them.
    let membranes = least.recomputed_of(Recomputes::Membrane);
    if !membranes.is_empty() {
        let found = lower(membranes.clone())?;
        is_last = taken(&found.plan) < taken(&least.plan);
        if is_last {
            (least, always) = (found, membranes);
        }
    }
    let most = match options.memory {
        Memory::Least => taken(&least.plan),
        Memory::Within(bytes) => bytes.max(taken(&least.plan)),
    };
    // Gradients that two loops over time read are all kept in between, or none.
    let twice = least.recomputed_of(Recomputes::Gradient);
    if !twice.is_empty() && most > taken(&least.plan) {
        let found = lower(&always | &twice)?;
        is_last = taken(&found.plan) <= most;
        if is_last {
            (least, always) = (found, &always | &twice);
        }
    }
    let mut aim = most;
    for attempt in 0..memory::ATTEMPTS {
        let kept = memory::keep(&least.plan, &least.recomputed, aim, batch);
        if kept.is_empty() && attempt == 0 && is_last {
            return Ok(least);
        }
        let found = lower(&kept | &always)?;
        let taken = taken(&found.plan);
        if taken <= most {
            return Ok(found);
        }
        aim = aim.saturating_sub(taken - most);
    }
    // What is shown is of the last run.
    lower(always)
}

fn lower_with(
    graph: &Graph,
    recipe: &plan::Recipe,
    options: &Options,
    kept: BTreeSet<String>,
    shown: &mut emit::Shown<'_>,
) -> Result<Lowered, CompileError> {
    let internal = |what: String| CompileError::Internal(what);
    let (mut graph, mut recomputed, forgone) = (graph.clone(), Vec::new(), kept.len());
    let settings = Settings { skip: options.skip.clone(), verify: options.verify, kept: kept.clone() };
    let mut observe = |pass: &'static str, graph: &Graph| {
        if pass == checkpoint::PASS.name {
            recomputed = checkpoint::recomputed(graph);
            if !options.skip.iter().any(|skipped| skipped == slice_time::PASS.name) {
                recomputed.extend(slice_time::recomputed(graph, &kept));
            }
        }
        shown.pass(pass, graph);
    };
    let passes =
        snnc_passes::run_pipeline(&mut graph, &settings, &mut observe).map_err(|error| match error {
            PipelineError::UnknownPass(_) | PipelineError::Required(_) => {
                CompileError::Options(error.to_string())
            }
            PipelineError::Broken { .. } => internal(error.to_string()),
        })?;
    let (activities, forms) = (options.activities.clone(), options.forms.clone());
    let Options { taps, hands_gradients, batch, .. } = *options;
    let settings = snnc_kernel::Settings { activities, forms, taps, hands_gradients, batch };
    let snnc_kernel::Lowered { plan, kernels, products } =
        snnc_kernel::lower(&graph, recipe.clone(), &settings).map_err(|error| internal(error.to_string()))?;
    snnc_kernel::check_forms(&settings.forms, &products).map_err(CompileError::Options)?;
    Ok(Lowered { graph, passes, recomputed, forgone, products, plan, kernels })
}

/// Whether all layers whose activity is told are layers of neurons, pools of their spikes, or an input, and can be as active as is told.
///
/// # Errors
/// The first layer that is neither, and those that there are; an activity that no neurons have.
pub fn check_layers(activities: &Activities, plan: &Plan) -> Result<(), String> {
    let known = plan.probes.iter().map(|probe| probe.layer.as_str());
    let known: Vec<&str> = known.chain(plan.inputs.first().map(|input| input.name.as_str())).collect();
    if let Some(layer) = activities.layers.keys().find(|layer| !known.contains(&layer.as_str())) {
        return Err(format!(
            "`{layer}` is no layer of neurons, nor a pool of their spikes; there are: {}",
            known.join(", ")
        ));
    }
    let rest = std::iter::once((None, &activities.rest));
    let layers = activities.layers.iter().map(|(layer, activity)| (Some(layer.as_str()), activity));
    rest.chain(layers).try_for_each(|(layer, activity)| check_activity(layer, activity, plan.timesteps))
}

/// Neurons that fire at a timestep fire at all, and each has a spike at least.
fn check_activity(layer: Option<&str>, activity: &Activity, steps: usize) -> Result<(), String> {
    let Activity { rate, fires: Some(fires) } = *activity else { return Ok(()) };
    let most = (rate * steps as f32).min(1.0);
    // Both may be rounded.
    if fires >= rate * (1.0 - ROUNDING) && fires <= most * (1.0 + ROUNDING) {
        return Ok(());
    }
    let of = layer.map_or("all layers".to_string(), |layer| format!("`{layer}`"));
    let [low, high] = [rate, most].map(|bound| (bound * 1e4).round() / 1e4);
    Err(format!(
        "no share of {fires} fires at all in {of}: at a firing rate of {rate} over {steps} timesteps it is from \
         {low} to {high}"
    ))
}

/// How far a share may be off its bounds, relative to them.
const ROUNDING: f32 = 0.02;

fn records(plan: &Plan, kernels: &[Kernel], code: &Code) -> Vec<KernelRecord> {
    let mut steps: HashMap<usize, usize> = HashMap::new();
    for step in plan.steps() {
        if let Step::Kernel(step) = step {
            *steps.entry(step.kernel).or_default() += 1;
        }
    }
    let record = |(i, kernel): (usize, &Kernel)| KernelRecord {
        name: kernel.name.clone(),
        steps: steps.get(&i).copied().unwrap_or(0),
        scratch_bytes: kernel.scratch_bytes(),
        code_bytes: code.sizes[i],
        form: snnc_kernel::form(kernel),
    };
    kernels.iter().enumerate().map(record).collect()
}
