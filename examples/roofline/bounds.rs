//! What each step of a training plan has to do, and how long that takes at least.

use crate::peaks::{Core, Memory};
use crate::timing::Timed;
use snnc_compiler::plan::{
    Buffer, BufferId, ConvGeometry, Dense, ElemKind, KernelStep, Place, Plan, Step, Tap, TapRole,
};
use snnc_compiler::{Form, Product, added_share};
use snnc_runtime::Session;
use std::collections::HashMap;

/// What limits a step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Limit {
    /// Additions, each of a number loaded from the first cache.
    Adds,
    /// Multiplications and additions, each pair with a number loaded from the first cache.
    Dots,
    /// Multiply-adds.
    Fmas,
    /// Bytes of memory.
    Bytes,
}

impl Limit {
    /// What is counted.
    pub fn unit(self) -> &'static str {
        match self {
            Limit::Adds => "adds",
            Limit::Dots => "multiply-adds of loads",
            Limit::Fmas => "multiply-adds",
            Limit::Bytes => "bytes",
        }
    }
}

/// The work of a step, in the unit of its limit.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// What kind of numbers they are.
    pub limit: Limit,
    /// Their count.
    pub count: f64,
}

/// The machine at the number of threads and the vectors of a session.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// With the vectors of products with spikes.
    pub core: Core,
    /// With the widest, which dense products take.
    pub widest: Core,
    /// Memory.
    pub memory: Memory,
}

impl Machine {
    /// Units a second at most.
    pub fn rate(&self, limit: Limit) -> f64 {
        let threads = self.memory.threads as f64;
        match limit {
            Limit::Adds | Limit::Dots => self.core.loaded * threads,
            Limit::Fmas => self.widest.fmas * threads,
            Limit::Bytes => self.memory.read.max(self.memory.copied),
        }
    }

    /// The least time of some work.
    pub fn seconds(&self, work: Work) -> f64 {
        work.count / self.rate(work.limit)
    }
}

/// The works of each step in the order of the plan; the one that takes longest is the bound. Call it after a forward
/// pass, when the spikes and windows that the backward part reads are there.
pub fn works(timed: &Timed, insides: &HashMap<String, f64>, batch: usize) -> Vec<[Work; 2]> {
    let counts = Counts { timed, insides, batch: batch as f64 };
    let plan = timed.session.plan();
    let steps = plan.prepare.iter().chain(&plan.forward).chain(&plan.backward);
    steps.map(|step| [counts.arithmetic(step), counts.bytes(step)]).collect()
}

struct Counts<'a> {
    timed: &'a Timed,
    insides: &'a HashMap<String, f64>,
    batch: f64,
}

impl Counts<'_> {
    /// Each buffer that the step is given, once.
    fn bytes(&self, step: &Step) -> Work {
        let plan = self.timed.session.plan();
        let size = |id: BufferId| match plan.buffer(id) {
            Buffer { place: Place::Fixed(_) | Place::Above(_), bytes, .. } => *bytes as f64,
            Buffer { place: Place::PerSample(_), bytes, .. } => *bytes as f64 * self.batch,
        };
        Work { limit: Limit::Bytes, count: step.touches().into_iter().map(size).sum() }
    }

    fn arithmetic(&self, step: &Step) -> Work {
        match step {
            Step::Kernel(kernel) => self.kernel(kernel),
            Step::Dense { name, op } => {
                Work { limit: Limit::Fmas, count: self.multiply_adds(op) * self.inside(layer_of(name)) }
            }
            Step::Count { .. } | Step::Update { .. } => Work { limit: Limit::Adds, count: 0.0 },
        }
    }

    fn kernel(&self, step: &KernelStep) -> Work {
        let form = self.timed.kernels[step.kernel].form.as_str();
        let limit = if form.starts_with("sampled dot") { Limit::Dots } else { Limit::Adds };
        if form.is_empty() {
            return Work { limit, count: 0.0 };
        }
        let forms = [("grouped", Form::Grouped), ("pattern", Form::Patterns), ("shared", Form::Shared)];
        let expected = forms.into_iter().find(|(name, _)| form.contains(name));
        let share = |product: &Product| match expected {
            Some((_, form)) => added_share(form, product.input, product.work.steps),
            None => self.share(step, product),
        };
        let of_step = self.products(step);
        let count =
            of_step.iter().map(|p| p.adds as f64 * self.inside(&p.layer) * share(p) * self.batch).sum();
        Work { limit, count }
    }

    /// The products of a step, or that whose gradient it is.
    fn products(&self, step: &KernelStep) -> Vec<&Product> {
        let all = &self.timed.products;
        let own: Vec<&Product> =
            all.iter().filter(|p| p.step == step.name && p.form != Form::Dense).collect();
        if !own.is_empty() {
            return own;
        }
        all.iter().find(|p| p.layer == layer_of(&step.name)).into_iter().collect()
    }

    /// The part of a layer's taps that lie inside the image.
    fn inside(&self, layer: &str) -> f64 {
        self.insides.get(layer).copied().unwrap_or(1.0)
    }

    /// The share of the bits that the step walks over which are set: of its window, or of its input.
    fn share(&self, step: &KernelStep, product: &Product) -> f64 {
        let session = &self.timed.session;
        let plan = session.plan();
        let now = plan.prepare.len() + plan.forward.len();
        let is_there = |id: &&BufferId| {
            let buffer = plan.buffer(**id);
            buffer.elem == ElemKind::Bits && buffer.live.0 < now && buffer.live.1 >= now
        };
        let bits = step.args.iter().find(is_there).map(|&id| set_share(session, id, self.batch));
        bits.unwrap_or(f64::from(product.input.rate))
    }

    fn multiply_adds(&self, op: &Dense) -> f64 {
        let of_conv = |geometry: &ConvGeometry, images: usize| {
            let ConvGeometry { input, output, kernel, .. } = geometry;
            (images * input.0 * output.0 * output.1 * output.2 * kernel.0 * kernel.1) as f64
        };
        let each = match op {
            Dense::Conv { geometry, images, .. }
            | Dense::ConvGradInput { geometry, images, .. }
            | Dense::ConvGradWeight { geometry, images, .. } => of_conv(geometry, *images),
            Dense::Linear { sizes, .. }
            | Dense::LinearGradInput { sizes, .. }
            | Dense::LinearGradWeight { sizes, .. } => (sizes.0 * sizes.1 * sizes.2) as f64,
        };
        each * self.batch
    }
}

/// The layer that a step is for: a gradient's name has an end more.
fn layer_of(step: &str) -> &str {
    [".dx", ".dw"].iter().find_map(|end| step.strip_suffix(end)).unwrap_or(step)
}

/// Set bits of all that a buffer has room for: channels are whole words in the models that are measured.
fn set_share(session: &Session, id: BufferId, batch: f64) -> f64 {
    let bits = session.plan().buffer(id).bytes as f64 * 8.0 * batch;
    session.set_bits(id).expect("a buffer of bits") as f64 / bits
}

/// The part of each product's taps that lie inside the image, by layer.
pub fn insides(plan: &Plan) -> HashMap<String, f64> {
    let share = |tap: &Tap| match tap.role {
        TapRole::Product(reach) => {
            let places = (0..tap.height * tap.width).map(|p| (p / tap.width, p % tap.width));
            let reached: u64 = places.map(|(row, column)| reach.fan_out(row, column)).sum();
            Some((tap.layer.clone(), reached as f64 / reach.macs(1) as f64))
        }
        TapRole::Queries(_) | TapRole::Keys | TapRole::Values => None,
    };
    plan.taps.iter().filter_map(share).collect()
}
