//! The plan: what the compiler hands to the runtime. Plain data: buffers, steps, parameters, machine code.
//!
//! ```text
//! plan @digits mode=train arena fixed=184320 per_sample=90112 level=8192 above=36864
//!   prepare                       ; after a change of the parameters
//!     kernel 0 (stem.conv.weight -> stem.conv.weight.r) tasks 1
//!   forward
//!     dense conv2d (image, stem.conv.weight.r -> stem.conv)
//!     kernel 3 (stem.conv, … -> stem.lif, stem.lif.win) tasks 8 per sample
//!     count stem.lif
//!   backward
//!     …
//! ```
//!
//! Invariant: two buffers whose lifetimes overlap do not overlap in the arena (`assign_buffers` makes it so,
//! `Plan::check` proves it for a plan).

#![forbid(unsafe_code)]

mod abi;
mod activity;
mod augment;
mod buffer;
mod check;
mod encoder;
mod print;
mod recipe;
mod step;
mod tap;

pub use abi::{Executable, KernelArgs, KernelFn};
pub use activity::{Activities, Activity, FIRING_RATE};
pub use augment::{Augment, Normalization, Policy, SplitBy, augment_text};
pub use buffer::{ALIGN, Arena, Buffer, BufferId, ElemKind, Place};
pub use check::PlanError;
pub use encoder::Encoder;
pub use recipe::{Decay, Init, Optimizer, Recipe, Schedule};
pub use step::{ConvGeometry, Dense, KernelStep, Step, Tasks};
pub use tap::{AttentionCost, Reach, Tap, TapElements, TapRole};

/// What a parameter is for; decides how it is initialised and which optimiser group it is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParamRole {
    /// A convolution's or a matrix product's weight.
    Weight,
    /// A bias of a product.
    Bias,
    /// A norm's gain.
    Gain,
    /// A norm's bias.
    Shift,
    /// A norm's running mean: not trained.
    RunningMean,
    /// A norm's running variance: not trained.
    RunningVar,
    /// The number behind a learned constant of a neuron: trained, and never decayed.
    Neuron,
}

impl ParamRole {
    /// Whether the optimiser changes it.
    pub fn is_trained(self) -> bool {
        !matches!(self, ParamRole::RunningMean | ParamRole::RunningVar)
    }
}

/// A parameter (or running statistic) as a checkpoint holds it: f32, row-major, axes as in PyTorch.
#[derive(Clone, PartialEq, Debug)]
pub struct ParamSpec {
    /// The path, `stem.conv.weight`.
    pub name: String,
    /// Extents, `[Co, Ci, Kh, Kw]` for a convolution.
    pub shape: Vec<usize>,
    /// The role.
    pub role: ParamRole,
    /// The first value of every element, where the model says another than the role begins with.
    pub init: Option<f32>,
    /// Inputs of one output: what the default initialisation scales by. For a bias, that of its product.
    pub fan_in: usize,
    /// Where the values live.
    pub buffer: BufferId,
    /// Where the backward pass leaves the gradient (training, trained parameters).
    pub grad: Option<BufferId>,
    /// Where the forward pass leaves the next value (training, running statistics).
    pub update: Option<BufferId>,
}

impl ParamSpec {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An input: what the user gives, for one sample.
#[derive(Clone, PartialEq, Debug)]
pub struct InputSpec {
    /// The name.
    pub name: String,
    /// Extents of one sample, `[3, 32, 32]`; with its own time axis `[T, 2, 34, 34]`.
    pub shape: Vec<usize>,
    /// Whether the first axis of `shape` is time; the buffer is then `[T, B, …]`, else `[B, …]`.
    pub has_time: bool,
    /// Whether every element must be 0 or 1.
    pub spikes: bool,
    /// What turns a sample into spikes, at so many timesteps: the buffer is then `[T, B, …]` in any case.
    pub encoder: Option<(Encoder, usize)>,
    /// Where it lives: f32, or i32 for labels.
    pub buffer: BufferId,
}

impl InputSpec {
    /// Numbers of one sample as the user gives it.
    pub fn sample_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Timesteps in the buffer; 1 for an input that stands still.
    pub fn steps(&self) -> usize {
        match self.encoder {
            Some((_, steps)) => steps,
            None if self.has_time => self.shape[0],
            None => 1,
        }
    }

    /// Numbers of one sample in the buffer.
    pub fn buffer_len(&self) -> usize {
        let of_steps = if self.has_time { 1 } else { self.steps() };
        self.sample_len() * of_steps
    }

    /// Puts an encoder before an input of spikes: the user gives real numbers, without time where the encoder makes it.
    pub fn encode(&mut self, encoder: Encoder) {
        self.encoder = Some((encoder, self.steps()));
        self.spikes = false;
        if !encoder.takes_time() && self.has_time {
            self.shape.remove(0);
            self.has_time = false;
        }
    }
}

/// A spike tensor whose firing rate a `count` step measures.
#[derive(Clone, PartialEq, Debug)]
pub struct Probe {
    /// The neuron layer's path.
    pub layer: String,
    /// Neurons of one sample and timestep.
    pub neurons: usize,
    /// 64-bit words that hold them: the buffer's padding behind the last sample is not counted.
    pub words: usize,
    /// Timesteps.
    pub steps: usize,
    /// Whether these are no neurons but pools of their spikes, counted for what products with them are to expect.
    pub pooled: bool,
}

/// What the compiler says about one kernel, for reports.
#[derive(Clone, PartialEq, Debug)]
pub struct KernelInfo {
    /// The name of the layer it was first made for.
    pub name: String,
    /// Scratch memory of one thread, in bytes.
    pub scratch: usize,
}

/// What a model is compiled for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlanMode {
    /// Forward with running statistics.
    Infer,
    /// Forward with batch statistics, loss and gradients.
    Train,
}

/// Everything the runtime needs but the machine code.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// The network's name.
    pub name: String,
    /// What it is compiled for.
    pub mode: PlanMode,
    /// Timesteps.
    pub timesteps: usize,
    /// Classes: length of a row of logits.
    pub classes: usize,
    /// Parameters in the order of the model.
    pub params: Vec<ParamSpec>,
    /// The image (first), and in training the labels (second). Where samples are mixed, also second labels (third) and
    /// the shares of the first ones (fourth).
    pub inputs: Vec<InputSpec>,
    /// Logits `[B, classes]`.
    pub logits: BufferId,
    /// The mean loss over the batch, one f32 (training).
    pub loss: Option<BufferId>,
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// Sizes of the memory.
    pub arena: Arena,
    /// Kernels, in the order of the machine code's functions.
    pub kernels: Vec<KernelInfo>,
    /// Runs after each change of the parameters: folded and relaid weights.
    pub prepare: Vec<Step>,
    /// From input to logits (and loss).
    pub forward: Vec<Step>,
    /// From loss to gradients.
    pub backward: Vec<Step>,
    /// Spike tensors that are counted.
    pub probes: Vec<Probe>,
    /// What products and attentions read, where it was asked for.
    pub taps: Vec<Tap>,
    /// How to train, if the model says.
    pub recipe: Recipe,
}

impl Plan {
    /// Whether each gradient is handed to the optimiser within the backward pass, and not kept.
    pub fn hands_gradients(&self) -> bool {
        self.backward.iter().any(|step| matches!(step, Step::Update { .. }))
    }

    /// Number of trained values.
    pub fn parameters(&self) -> u64 {
        self.params.iter().filter(|p| p.role.is_trained()).map(|p| p.len() as u64).sum()
    }

    /// Whether a sample of training has two labels.
    pub fn mixes(&self) -> bool {
        self.inputs.len() == 4
    }

    /// A buffer.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.index()]
    }

    /// Scratch memory that each thread needs, in bytes.
    pub fn scratch(&self) -> usize {
        self.kernels.iter().map(|k| k.scratch).max().unwrap_or(0)
    }
}
