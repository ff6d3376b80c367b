//! The checked model: layers in an order in which inputs precede users, every name, shape and constant known.

use crate::diagnostic::Diagnostic;
use crate::sample::Augment;
use crate::shape::{Activation, Kind, Shape};
use crate::span::Span;
use serde::Serialize;
use snnc_ir::{Attention, Constant, Conv, Form, Lif, Pool};
use std::fmt;

/// A checked model.
#[derive(Clone, Debug)]
pub struct Model {
    /// The network's name.
    pub name: String,
    /// Timesteps of a sample.
    pub timesteps: usize,
    /// The network's input.
    pub input: Input,
    /// Classes: the extent of the result.
    pub classes: usize,
    /// The layers; the first is the input, the last the result.
    pub nodes: Vec<Node>,
    /// One row per layer that the file names, for reports.
    pub layers: Vec<LayerRow>,
    /// Trained numbers.
    pub parameters: u64,
    /// Multiply-adds of one sample and timestep.
    pub macs_per_timestep: u64,
    /// How it is trained.
    pub recipe: Recipe,
    /// The file's parameters after overrides, in order.
    pub params: Vec<(String, String)>,
    /// Faults that do not stop the compilation.
    pub warnings: Vec<Diagnostic>,
}

/// The input of a network.
#[derive(Clone, PartialEq, Debug)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Extents of one sample at one timestep: channels, rows, columns, or features.
    pub shape: Shape,
    /// Whether the network sees a time axis; otherwise the input stands still.
    pub time: bool,
    /// What the network sees: real numbers or spikes.
    pub kind: Kind,
    /// What makes the spikes, where the samples are real numbers.
    pub encoder: Option<Encoder>,
}

/// How a sample of real numbers becomes spikes. `Display` is its text.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Encoder {
    /// Each timestep a spike with the value's probability.
    Poisson,
    /// One spike, the earlier the larger the value.
    Latency {
        /// The logarithmic form.
        log: bool,
        /// Whether a value of 0 fires at the last timestep, or never.
        zero_fires: bool,
    },
    /// The eight binary digits of the value, the most significant first.
    Phase,
    /// A spike where a frame exceeds the one before by the threshold.
    Delta {
        /// The threshold.
        threshold: f32,
    },
}

impl Encoder {
    /// Whether the samples bring their own time axis.
    pub fn takes_time(self) -> bool {
        match self {
            Encoder::Poisson | Encoder::Latency { .. } | Encoder::Phase => false,
            Encoder::Delta { .. } => true,
        }
    }
}

impl fmt::Display for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Encoder::Poisson => f.write_str("poisson"),
            Encoder::Latency { log, zero_fires } => {
                write!(f, "latency(log: {log}, zero_fires: {zero_fires})")
            }
            Encoder::Phase => f.write_str("phase"),
            Encoder::Delta { threshold } => write!(f, "delta(threshold: {threshold})"),
        }
    }
}

/// A layer of the expanded network.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// Its path: `stage1.0.unit.conv`.
    pub path: String,
    /// What it computes.
    pub layer: Layer,
    /// The positions of its inputs in [`Model::nodes`].
    pub inputs: Vec<usize>,
    /// The type of its result.
    pub output: Activation,
    /// Where the file asks for it.
    pub span: Span,
}

/// A neuron with its constants, and what of them is learned.
#[derive(Clone, PartialEq, Debug)]
pub struct NeuronLayer {
    /// The constants, learned ones at their initial values.
    pub lif: Lif,
    /// The numbers that are trained.
    pub trained: Vec<Trained>,
    /// Whether each channel trains its own.
    pub per_channel: bool,
}

/// A number that is trained in place of a field of a neuron.
#[derive(Clone, PartialEq, Debug)]
pub struct Trained {
    /// The field: `tau`, `decay`, `gain`, `threshold`. The parameter is called `w_tau`, ….
    pub field: &'static str,
    /// What the number begins with.
    pub init: f32,
    /// The constants it makes: the form's value times a factor.
    pub makes: Vec<(Constant, Form, f32)>,
}

/// What a layer computes.
#[derive(Clone, PartialEq, Debug)]
pub enum Layer {
    /// The input.
    Input,
    /// The input, repeated over the timesteps.
    Broadcast,
    /// A convolution.
    Conv {
        /// Output channels.
        channels: usize,
        /// Rows and columns of the kernel.
        kernel: usize,
        /// Stride and padding.
        geometry: Conv,
        /// Whether a bias is added.
        bias: bool,
    },
    /// A matrix product.
    Linear {
        /// Output features.
        features: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// A batch norm over all axes but the channels.
    Norm {
        /// Added to the variance.
        eps: f32,
        /// Weight of a batch in the running statistics.
        momentum: f32,
        /// 1, or `α·V_th` of a threshold-dependent norm.
        scale: f32,
        /// What the gain begins with.
        gain: f32,
        /// Whether each timestep has a trained factor.
        steps: bool,
    },
    /// A neuron.
    Neuron(NeuronLayer),
    /// The maximum of windows.
    MaxPool(Pool),
    /// The mean of windows.
    AvgPool(Pool),
    /// Maps to features.
    Flatten,
    /// A sum of two tensors.
    Add,
    /// Attention between spikes: queries, keys, values.
    Attention(Attention),
    /// The first tensor where the second one, spikes, fires; with `not`, where it does not.
    Mask {
        /// Whether silence lets through.
        not: bool,
    },
    /// The sum over rows and columns.
    SumSpace,
    /// The sum over time.
    SumTime,
    /// The sum over each of so many groups of successive channels.
    SumChannels(usize),
    /// Each timestep times a trained number.
    StepGate,
    /// The mean over time.
    Mean,
}

impl Layer {
    /// The word for it in the language.
    pub fn word(&self) -> &'static str {
        match self {
            Layer::Input => "input",
            Layer::Broadcast => "broadcast",
            Layer::Conv { .. } => "conv",
            Layer::Linear { .. } => "linear",
            Layer::Norm { .. } => "norm",
            Layer::Neuron(_) => "lif",
            Layer::MaxPool(_) => "max_pool",
            Layer::AvgPool(_) => "avg_pool",
            Layer::Flatten => "flatten",
            Layer::Add => "add",
            Layer::Attention(_) => "attention",
            Layer::Mask { not: false } => "and",
            Layer::Mask { not: true } => "and_not",
            Layer::SumSpace | Layer::SumTime | Layer::SumChannels(_) => "sum",
            Layer::StepGate => "step_gate",
            Layer::Mean => "mean",
        }
    }
}

/// A row of the report on a model.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LayerRow {
    /// The layer's path.
    pub name: String,
    /// What it computes, in a word.
    pub kind: String,
    /// The type of its result, as the IR writes it.
    pub output: String,
    /// Trained numbers.
    pub parameters: u64,
    /// Multiply-adds of one sample and timestep.
    pub macs_per_timestep: u64,
    /// What comes in.
    pub input: Kind,
}

/// How a model is trained.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Recipe {
    /// The loss.
    pub loss: Loss,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Whether norms, biases and constants of neurons decay too.
    pub decay_all: bool,
    /// The largest norm of all gradients together.
    pub clip_norm: Option<f64>,
    /// The weight of the last average of parameters, where they are averaged.
    pub ema: Option<f64>,
    /// The learning rate over epochs.
    pub schedule: Schedule,
    /// Samples of a step.
    pub batch: usize,
    /// What weights begin with.
    pub init: Init,
    /// The data set to train on where the command names none.
    pub data: Option<String>,
    /// How samples are varied and made ready, in order.
    pub augment: Vec<Augment>,
}

impl Default for Recipe {
    /// What a file without `train` gets.
    fn default() -> Recipe {
        Recipe {
            loss: Loss::cross_entropy(),
            optimizer: Optimizer::Sgd { lr: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.0 },
            decay_all: false,
            clip_norm: None,
            ema: None,
            schedule: Schedule::Cosine { epochs: 30, warmup: 0, min_lr: 0.0 },
            batch: 64,
            init: Init::Default,
            data: None,
            augment: Vec::new(),
        }
    }
}

/// The loss: a sum of weighted terms, one of which compares logits with labels. `Display` is its text.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Loss {
    /// Each term with its weight, 0 or above.
    pub terms: Vec<(f64, LossTerm)>,
}

/// A term of the loss.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LossTerm {
    /// Cross-entropy of the mean logits over time.
    CrossEntropy {
        /// What of the target is spread evenly over all classes, 0 to below 1.
        smoothing: f64,
    },
    /// Temporal efficient training: the cross-entropy of each timestep's logits, and their distance from a target.
    Tet {
        /// The weight of the distance, 0 to 1; the cross-entropy has the rest.
        lambda: f64,
        /// What each logit is drawn to.
        target: f64,
        /// As in the cross-entropy.
        smoothing: f64,
    },
    /// A penalty on the firing rates, summed over layers.
    SpikeRate(RateForm),
    /// Spikes weighted by the multiply-adds they cause, as a part of the most there could be.
    SynapticOperations,
}

/// A penalty of a layer's firing rates; r is a neuron's rate in one sample, averages are over neurons and samples.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RateForm {
    /// The mean of r.
    Mean,
    /// Half the mean of r².
    Square,
    /// The squared distance of the mean of r from a rate.
    Target(f64),
    /// The mean of `max(0, r − bound)²`.
    Above(f64),
    /// The mean of `max(0, bound − r)²`.
    Below(f64),
}

/// What weights begin with.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// As PyTorch's layers: uniform in ±1/√fan_in.
    Default,
    /// Convolutions: normal with the variance 2/(output channels · k²).
    KaimingFanOut,
    /// Convolutions: normal, their biases 0.
    Normal {
        /// The deviation.
        std: f64,
        /// Whether matrix products too.
        linear: bool,
    },
}

/// The optimiser.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Stochastic gradient descent in PyTorch's form.
    Sgd {
        /// The learning rate before the schedule.
        lr: f64,
        /// The weight of the last direction.
        momentum: f64,
        /// Whether to look ahead.
        nesterov: bool,
        /// L2 decay, added to the gradient.
        weight_decay: f64,
    },
    /// Adam, and AdamW, in PyTorch's form.
    Adam {
        /// The learning rate before the schedule.
        lr: f64,
        /// The weight of the last first moment.
        beta1: f64,
        /// The weight of the last second moment.
        beta2: f64,
        /// Added to the root of the second moment.
        eps: f64,
        /// The decay.
        weight_decay: f64,
        /// Whether the decay acts on the parameter (AdamW) instead of its gradient.
        decoupled: bool,
    },
}

/// The learning rate over epochs; warm-up is linear and part of the epochs.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Half a cosine down to `min_lr`.
    Cosine {
        /// Epochs.
        epochs: usize,
        /// Epochs of warm-up.
        warmup: usize,
        /// The learning rate at the end.
        min_lr: f64,
    },
    /// Times `gamma` after each `every` epochs.
    Step {
        /// Epochs.
        epochs: usize,
        /// Epochs between two drops.
        every: usize,
        /// The factor of a drop.
        gamma: f64,
        /// Epochs of warm-up.
        warmup: usize,
    },
    /// Always the same.
    Constant {
        /// Epochs.
        epochs: usize,
    },
}

impl Model {
    /// The type that enters a layer (its first input), or its own for the input.
    pub fn entering(&self, node: &Node) -> Activation {
        node.inputs.first().map_or(node.output, |&input| self.nodes[input].output)
    }

    /// Trained numbers of a layer.
    pub fn parameters_of(&self, node: &Node) -> u64 {
        let fan_in = self.entering(node).shape.channels() as u64;
        match &node.layer {
            Layer::Conv { channels, kernel, bias, .. } => {
                let (channels, kernel) = (*channels as u64, *kernel as u64);
                channels * fan_in * kernel * kernel + u64::from(*bias) * channels
            }
            Layer::Linear { features, bias } => *features as u64 * (fan_in + u64::from(*bias)),
            Layer::Norm { steps, .. } => {
                let steps = if *steps { self.timesteps as u64 } else { 0 };
                2 * fan_in + steps
            }
            Layer::Neuron(neuron) => {
                let each = if neuron.per_channel { fan_in } else { 1 };
                neuron.trained.len() as u64 * each
            }
            Layer::StepGate => self.timesteps as u64,
            Layer::Input
            | Layer::Broadcast
            | Layer::MaxPool(_)
            | Layer::AvgPool(_)
            | Layer::Flatten
            | Layer::Add
            | Layer::Attention(_)
            | Layer::Mask { .. }
            | Layer::SumSpace
            | Layer::SumTime
            | Layer::SumChannels(_)
            | Layer::Mean => 0,
        }
    }

    /// Multiply-adds of a layer for one sample and timestep.
    pub fn macs_of(&self, node: &Node) -> u64 {
        let fan_in = self.entering(node).shape.channels() as u64;
        match &node.layer {
            Layer::Conv { kernel, .. } => {
                (fan_in * *kernel as u64 * *kernel as u64).saturating_mul(node.output.shape.elements())
            }
            Layer::Linear { features, .. } => fan_in * *features as u64,
            Layer::Input
            | Layer::Broadcast
            | Layer::Norm { .. }
            | Layer::Neuron(_)
            | Layer::MaxPool(_)
            | Layer::AvgPool(_)
            | Layer::Flatten
            | Layer::Add
            | Layer::Attention(_)
            | Layer::Mask { .. }
            | Layer::SumSpace
            | Layer::SumTime
            | Layer::SumChannels(_)
            | Layer::StepGate
            | Layer::Mean => 0,
        }
    }

    /// Fills the rows and the totals from the nodes.
    pub(crate) fn count(&mut self) {
        let shown = |node: &&Node| !matches!(node.layer, Layer::Input | Layer::Broadcast);
        let row = |node: &Node| LayerRow {
            name: node.path.clone(),
            kind: node.layer.word().to_string(),
            output: node.output.ty(node.output.kind.elem()).to_string(),
            parameters: self.parameters_of(node),
            macs_per_timestep: self.macs_of(node),
            input: self.entering(node).kind,
        };
        self.layers = self.nodes.iter().filter(shown).map(row).collect();
        let total = |of: fn(&LayerRow) -> u64| self.layers.iter().map(of).fold(0, u64::saturating_add);
        self.parameters = total(|row| row.parameters);
        self.macs_per_timestep = total(|row| row.macs_per_timestep);
    }
}

impl fmt::Display for Model {
    /// The text of `--emit model`: a head and one line per node.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "model {} timesteps={} classes={}", self.name, self.timesteps, self.classes)?;
        for (name, value) in &self.params {
            writeln!(f, "  param {name} = {value}")?;
        }
        for node in &self.nodes {
            let from: Vec<&str> = node.inputs.iter().map(|&input| self.nodes[input].path.as_str()).collect();
            let ty = node.output.ty(node.output.kind.elem());
            write!(f, "  {} : {ty} = {}", node.path, node.layer.word())?;
            if !from.is_empty() {
                write!(f, " {}", from.join(", "))?;
            }
            if let (Layer::Input, Some(encoder)) = (&node.layer, self.input.encoder) {
                write!(f, " |> {encoder}")?;
            }
            writeln!(f, "{}", Constants(&node.layer))?;
        }
        writeln!(f, "  parameters {} macs_per_timestep {}", self.parameters, self.macs_per_timestep)?;
        writeln!(f, "  {:?}", self.recipe)
    }
}

/// The constants of a layer in braces.
struct Constants<'a>(&'a Layer);

impl fmt::Display for Constants<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Layer::Input
            | Layer::Broadcast
            | Layer::Flatten
            | Layer::Add
            | Layer::Mask { .. }
            | Layer::SumSpace
            | Layer::SumTime
            | Layer::StepGate
            | Layer::Mean => Ok(()),
            Layer::SumChannels(groups) => write!(f, " {{groups={groups}}}"),
            Layer::Attention(attention) => {
                let Attention { over, causal, scale, order, heads } = attention;
                write!(
                    f,
                    " {{over={over:?}, causal={causal}, scale={scale}, order={order:?}, heads={heads}}}"
                )
            }
            Layer::Conv { kernel, geometry, bias, .. } => {
                let Conv { stride, pad } = geometry;
                write!(f, " {{kernel={kernel}, stride={stride}, pad={pad}, bias={bias}}}")
            }
            Layer::Linear { bias, .. } => write!(f, " {{bias={bias}}}"),
            Layer::Norm { eps, momentum, scale, gain, steps } => {
                write!(f, " {{eps={eps}, momentum={momentum}, scale={scale}")?;
                if *gain != 1.0 {
                    write!(f, ", gain={gain}")?;
                }
                f.write_str(if *steps { ", step_scale}" } else { "}" })
            }
            Layer::Neuron(neuron) => {
                let Lif { decay, gain, current, threshold, reset, detach, compare, surrogate, .. } =
                    neuron.lif;
                write!(f, " {{decay={decay}, gain={gain}, current={current}, threshold={threshold}")?;
                write!(
                    f,
                    ", reset={reset:?}, detach={detach}, compare={compare:?}, surrogate={surrogate:?}"
                )?;
                if !neuron.trained.is_empty() {
                    let per = if neuron.per_channel { "channel" } else { "layer" };
                    let fields: Vec<&str> = neuron.trained.iter().map(|trained| trained.field).collect();
                    write!(f, ", learn={} per {per}", fields.join("+"))?;
                }
                f.write_str("}")
            }
            Layer::MaxPool(pool) | Layer::AvgPool(pool) => {
                let Pool { kernel: (rows, columns), stride, pad } = pool;
                write!(f, " {{kernel={rows}x{columns}, stride={stride}, pad={pad}}}")
            }
        }
    }
}
