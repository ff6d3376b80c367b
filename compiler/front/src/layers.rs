//! The layers: their arguments, the range of each, and the shapes they take and give.

use crate::args::Range;
use crate::ast::{Call, Expr};
use crate::attention::AttentionSpec;
use crate::diagnostic::Diagnostic;
use crate::eval::{Expander, no_time};
use crate::expand::Slot;
use crate::model::{Layer, NeuronLayer, Node};
use crate::shape::{Activation, Kind, MAX_ELEMENTS, MAX_EXTENT, Shape, positions};
use crate::slug::Slug;
use crate::span::Span;
use crate::value::Value;
use snnc_ir::{Conv, Pool};

/// The arguments of a layer, the tensor first.
pub(crate) struct Signature {
    pub name: &'static str,
    /// Names, and whether they must be given.
    pub formals: &'static [(&'static str, bool)],
    /// How many of them are tensors.
    pub tensors: usize,
    kind: LayerKind,
}

#[derive(Clone, Copy)]
enum LayerKind {
    Conv,
    Linear,
    Norm,
    MaxPool,
    AvgPool,
    Flatten,
    Mean,
    Sum,
    Attention,
    StepGate,
}

const POOL: &[(&str, bool)] = &[("x", true), ("kernel", true), ("stride", false), ("pad", false)];

/// Every layer.
pub(crate) const SIGNATURES: [Signature; 10] = [
    Signature {
        name: "conv",
        formals: &[
            ("x", true),
            ("channels", true),
            ("kernel", false),
            ("stride", false),
            ("pad", false),
            ("bias", false),
        ],
        tensors: 1,
        kind: LayerKind::Conv,
    },
    Signature {
        name: "linear",
        formals: &[("x", true), ("features", true), ("bias", false)],
        tensors: 1,
        kind: LayerKind::Linear,
    },
    Signature {
        name: "norm",
        formals: &[
            ("x", true),
            ("eps", false),
            ("momentum", false),
            ("threshold_dependent", false),
            ("threshold", false),
            ("gain", false),
            ("step_scale", false),
        ],
        tensors: 1,
        kind: LayerKind::Norm,
    },
    Signature { name: "max_pool", formals: POOL, tensors: 1, kind: LayerKind::MaxPool },
    Signature { name: "avg_pool", formals: POOL, tensors: 1, kind: LayerKind::AvgPool },
    Signature { name: "flatten", formals: &[("x", true)], tensors: 1, kind: LayerKind::Flatten },
    Signature { name: "mean", formals: &[("x", true), ("over", true)], tensors: 1, kind: LayerKind::Mean },
    Signature {
        name: "sum",
        formals: &[("x", true), ("over", true), ("groups", false)],
        tensors: 1,
        kind: LayerKind::Sum,
    },
    Signature {
        name: "attention",
        formals: &[
            ("q", true),
            ("k", true),
            ("v", true),
            ("over", true),
            ("heads", false),
            ("causal", false),
            ("scale", false),
            ("order", false),
        ],
        tensors: 3,
        kind: LayerKind::Attention,
    },
    Signature { name: "step_gate", formals: &[("x", true)], tensors: 1, kind: LayerKind::StepGate },
];

/// A layer with its constants, before it meets a tensor.
#[derive(Clone)]
pub(crate) enum Spec {
    Conv { channels: usize, kernel: usize, geometry: Conv, bias: bool },
    Linear { features: usize, bias: bool },
    Norm { eps: f32, momentum: f32, scale: f32, gain: f32, steps: bool },
    Pool { average: bool, pool: Pool },
    GlobalAverage,
    Flatten,
    Mean,
    SumSpace,
    SumTime,
    SumChannels(usize),
    Attention(AttentionSpec),
    StepGate,
    Neuron(NeuronLayer),
}

/// The largest kernel.
const MAX_KERNEL: usize = 1024;

impl<'p> Expander<'p> {
    /// Evaluates the arguments of a layer, behind its tensors.
    pub fn spec(&mut self, signature: &Signature, call: &'p Call, slots: Vec<Slot<'p>>) -> Option<Spec> {
        let written: Vec<Option<&'p Expr>> = slots
            .into_iter()
            .map(|slot| match slot {
                Slot::Written(expr) => Some(expr),
                Slot::Piped(_) | Slot::Empty => None,
            })
            .collect();
        let arg = |n: usize| written.get(n).copied().flatten();
        match signature.kind {
            LayerKind::Conv => {
                let channels = self.int_arg(arg(0), "`channels`", 1, MAX_EXTENT, 1);
                let kernel = self.int_arg(arg(1), "`kernel`", 1, MAX_KERNEL, 3);
                let stride = self.int_arg(arg(2), "`stride`", 1, MAX_KERNEL, 1);
                let pad = self.int_arg(arg(3), "`pad`", 0, MAX_KERNEL, 0);
                let bias = self.bool_arg(arg(4), "`bias`", true);
                let geometry = Conv { stride: stride?, pad: pad? };
                Some(Spec::Conv { channels: channels?, kernel: kernel?, geometry, bias: bias? })
            }
            LayerKind::Linear => {
                let features = self.int_arg(arg(0), "`features`", 1, MAX_EXTENT, 1);
                let bias = self.bool_arg(arg(1), "`bias`", true);
                Some(Spec::Linear { features: features?, bias: bias? })
            }
            LayerKind::Norm => self.norm_spec(call, [arg(0), arg(1), arg(2), arg(3), arg(4), arg(5)]),
            LayerKind::AvgPool if arg(0).and_then(Expr::as_name) == Some("global") => {
                match arg(1).or(arg(2)) {
                    Some(extra) => {
                        let message = "a global average has no stride and no border";
                        self.error(Diagnostic::error(Slug::UnknownArgument, message).at(extra.span, ""));
                        None
                    }
                    None => Some(Spec::GlobalAverage),
                }
            }
            LayerKind::MaxPool | LayerKind::AvgPool => {
                let average = matches!(signature.kind, LayerKind::AvgPool);
                let kernel = self.int_arg(arg(0), "`kernel`", 1, MAX_KERNEL, 1)?;
                let stride = self.int_arg(arg(1), "`stride`", 1, MAX_KERNEL, kernel);
                // A window inside the border would have no maximum.
                let pad = self.int_arg(arg(2), "`pad` (at most half the kernel)", 0, kernel / 2, 0);
                let pool = Pool { kernel: (kernel, kernel), stride: stride?, pad: pad? };
                Some(Spec::Pool { average, pool })
            }
            LayerKind::Flatten => Some(Spec::Flatten),
            LayerKind::Mean => {
                let over = arg(0)?;
                if over.as_name() == Some("time") {
                    return Some(Spec::Mean);
                }
                let message = "`mean` is taken over `time`";
                self.error(
                    Diagnostic::error(Slug::BadValue, message).at(over.span, "").help("write `mean(time)`"),
                );
                None
            }
            LayerKind::Sum => self.sum_spec([arg(0), arg(1)]),
            LayerKind::Attention => self.attention_spec(call, [arg(0), arg(1), arg(2), arg(3), arg(4)]),
            LayerKind::StepGate => Some(Spec::StepGate),
        }
    }

    fn norm_spec(
        &mut self,
        call: &'p Call,
        [eps, momentum, alpha, threshold, gain, steps]: [Option<&'p Expr>; 6],
    ) -> Option<Spec> {
        let eps = self.real_arg(eps, "`eps`", Range::Positive, 1e-5);
        let momentum = self.real_arg(momentum, "`momentum`", Range::Unit, 0.1);
        if let (None, Some(threshold)) = (alpha, threshold) {
            let message = "`threshold` of `norm` has no effect without `threshold_dependent`";
            let help = format!("write `{}(threshold_dependent: 1.0, threshold: …)`", call.name.text);
            self.error(Diagnostic::error(Slug::MissingArgument, message).at(threshold.span, "").help(help));
            return None;
        }
        let alpha = self.real_arg(alpha, "`threshold_dependent`", Range::Positive, 1.0);
        let threshold = self.real_arg(threshold, "`threshold`", Range::Positive, 1.0);
        let gain = self.real_arg(gain, "`gain`", Range::Any, 1.0);
        let steps = self.bool_arg(steps, "`step_scale`", false);
        let scale = (alpha? * threshold?) as f32;
        if !(scale.is_finite() && scale > 0.0) {
            let message = "the product of `threshold_dependent` and `threshold` is out of range";
            self.error(Diagnostic::error(Slug::BadValue, message).at(call.span, ""));
            return None;
        }
        let (eps, momentum, gain) = (eps? as f32, momentum? as f32, gain? as f32);
        Some(Spec::Norm { eps, momentum, scale, gain, steps: steps? })
    }

    /// Applies a layer to its tensors.
    pub fn layer(&mut self, spec: &Spec, values: Vec<Value>, path: String, call: &Call) -> Value {
        let Some(inputs) = self.tensors(values, call) else { return Value::Poison };
        if let Spec::Attention(attention) = spec {
            return self.attention(attention, inputs, path, call);
        }
        let from = self.nodes[inputs[0]].output;
        let Some((layer, input, output)) = self.shaped(spec, inputs[0], from, &path, call) else {
            return Value::Poison;
        };
        self.push(Node { path, layer, inputs: vec![input], output, span: call.span })
    }

    /// The nodes of values that must be tensors with a time axis.
    fn tensors(&mut self, values: Vec<Value>, call: &Call) -> Option<Vec<usize>> {
        let word = call.name.text.as_str();
        let mut nodes = Vec::with_capacity(values.len());
        for value in values {
            match value {
                Value::Tensor(node) if self.nodes[node].output.time.is_none() => {
                    self.error(no_time(word, call.span));
                    return None;
                }
                Value::Tensor(node) => nodes.push(node),
                Value::Poison => return None,
                other => {
                    let message = format!("`{word}` needs a tensor, found {}", other.describe());
                    self.error(Diagnostic::error(Slug::WrongKind, message).at(call.span, ""));
                    return None;
                }
            }
        }
        Some(nodes)
    }

    /// The layer, its input and its result's type, where the shapes fit.
    fn shaped(
        &mut self,
        spec: &Spec,
        input: usize,
        from: Activation,
        path: &str,
        call: &Call,
    ) -> Option<(Layer, usize, Activation)> {
        let real = Activation { kind: Kind::Real, ..from };
        Some(match spec {
            Spec::Conv { channels, kernel, geometry, bias } => {
                let (inner, height, width) = self.map(input, call)?;
                let weight = [*channels, inner, *kernel, *kernel];
                self.weight_fits(&weight, call.span)?;
                let window = Pool { kernel: (*kernel, *kernel), stride: geometry.stride, pad: geometry.pad };
                let shape = self.slide(window, *channels, (height, width), input, call)?;
                let (channels, kernel, bias) = (*channels, *kernel, *bias);
                (
                    Layer::Conv { channels, kernel, geometry: *geometry, bias },
                    input,
                    Activation { shape, ..real },
                )
            }
            Spec::Linear { features, bias } => {
                let input = self.flattened(input, path, call)?;
                self.weight_fits(&[*features, from.shape.channels()], call.span)?;
                let shape = Shape::Features(*features);
                (Layer::Linear { features: *features, bias: *bias }, input, Activation { shape, ..real })
            }
            &Spec::Norm { eps, momentum, scale, gain, steps } => {
                (Layer::Norm { eps, momentum, scale, gain, steps }, input, real)
            }
            Spec::Pool { average, pool } => {
                let (channels, height, width) = self.map(input, call)?;
                let shape = self.slide(*pool, channels, (height, width), input, call)?;
                if *average {
                    (Layer::AvgPool(*pool), input, Activation { shape, ..real })
                } else {
                    (Layer::MaxPool(*pool), input, Activation { shape, ..from })
                }
            }
            Spec::GlobalAverage => {
                let (channels, height, width) = self.map(input, call)?;
                let pool = Pool { kernel: (height, width), stride: height.max(width), pad: 0 };
                let shape = Shape::Map { channels, height: 1, width: 1 };
                (Layer::AvgPool(pool), input, Activation { shape, ..real })
            }
            Spec::Flatten => (Layer::Flatten, input, self.flat(from, call)?),
            Spec::Mean => (Layer::Mean, input, Activation { time: None, ..real }),
            Spec::SumTime => (Layer::SumTime, input, Activation { time: None, ..from.summed() }),
            Spec::SumSpace => {
                let (channels, ..) = self.map(input, call)?;
                let shape = Shape::Features(channels);
                (Layer::SumSpace, input, Activation { shape, ..from.summed() })
            }
            Spec::SumChannels(groups) => {
                let shape = self.grouped(*groups, input, call)?;
                (Layer::SumChannels(*groups), input, Activation { shape, ..from.summed() })
            }
            Spec::StepGate => (Layer::StepGate, input, real),
            // Its three tensors are checked together.
            Spec::Attention(_) => return None,
            Spec::Neuron(neuron) => {
                (Layer::Neuron(neuron.clone()), input, Activation { kind: Kind::Spikes, ..from })
            }
        })
    }

    /// Channels, rows and columns of a tensor that must have them.
    pub(crate) fn map(&mut self, input: usize, call: &Call) -> Option<(usize, usize, usize)> {
        match self.nodes[input].output.shape {
            Shape::Map { channels, height, width } => Some((channels, height, width)),
            shape @ Shape::Features(_) => {
                let message = format!("`{}` needs rows and columns, found features {shape}", call.name.text);
                let diagnostic = Diagnostic::error(Slug::NeedsMap, message).at(call.span, "");
                self.error(diagnostic.with(self.nodes[input].span, "features come from here"));
                None
            }
        }
    }

    /// The shape that a sliding window leaves.
    fn slide(
        &mut self,
        window: Pool,
        channels: usize,
        (height, width): (usize, usize),
        input: usize,
        call: &Call,
    ) -> Option<Shape> {
        let rows = positions(height, window.kernel.0, window.stride, window.pad);
        let columns = positions(width, window.kernel.1, window.stride, window.pad);
        let (Some(rows), Some(columns)) = (rows, columns) else {
            let kernel = window.kernel.0;
            let message = format!("a window of {kernel}×{kernel} is larger than {height}×{width}");
            let diagnostic = Diagnostic::error(Slug::WindowTooLarge, message)
                .at(call.span, format!("with a border of {}", window.pad))
                .with(self.nodes[input].span, format!("{height}×{width} comes from here"))
                .help("use a smaller kernel, more padding, or fewer strides before");
            self.error(diagnostic);
            return None;
        };
        if rows > MAX_EXTENT || columns > MAX_EXTENT {
            let message = format!("{rows}×{columns} positions are too many");
            self.error(Diagnostic::error(Slug::TooLarge, message).at(call.span, ""));
            return None;
        }
        Some(Shape::Map { channels, height: rows, width: columns })
    }

    fn weight_fits(&mut self, extents: &[usize], span: Span) -> Option<()> {
        let elements = extents.iter().try_fold(1u64, |total, &extent| total.checked_mul(extent as u64));
        if elements.is_some_and(|elements| elements <= MAX_ELEMENTS) {
            return Some(());
        }
        let message = format!("a weight of {extents:?} is too large");
        let at_most = format!("a weight has at most {MAX_ELEMENTS} elements");
        self.error(Diagnostic::error(Slug::TooLarge, message).at(span, at_most));
        None
    }

    /// The input of a matrix product: features, or a map of one position, which is flattened in passing.
    fn flattened(&mut self, input: usize, path: &str, call: &Call) -> Option<usize> {
        let output = self.nodes[input].output;
        match output.shape {
            Shape::Features(_) => Some(input),
            Shape::Map { channels, height: 1, width: 1 } => {
                let output = Activation { shape: Shape::Features(channels), ..output };
                let (path, span) = (format!("{path}.flatten"), call.span);
                match self.push(Node { path, layer: Layer::Flatten, inputs: vec![input], output, span }) {
                    Value::Tensor(node) => Some(node),
                    Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Text(_) | Value::Poison => None,
                }
            }
            shape @ Shape::Map { .. } => {
                let word = &call.name.text;
                let message = format!("`{word}` needs features, found a map {shape}");
                let diagnostic = Diagnostic::error(Slug::NeedsFlatten, message)
                    .at(call.span, "")
                    .with(self.nodes[input].span, "the map comes from here")
                    .help(format!("write `flatten |> {word}(…)`, or `avg_pool(global)` before it"));
                self.error(diagnostic);
                None
            }
        }
    }

    fn flat(&mut self, from: Activation, call: &Call) -> Option<Activation> {
        let features = from.shape.elements();
        if features > MAX_EXTENT as u64 {
            let message = format!("{features} features are too many");
            let at_most = format!("an axis has at most {MAX_EXTENT}");
            self.error(Diagnostic::error(Slug::TooLarge, message).at(call.span, at_most));
            return None;
        }
        Some(Activation { shape: Shape::Features(features as usize), ..from })
    }
}
