//! From the checked model to the tensor IR at stage `logical`, names kept.
//!
//! ```text
//! param %stem.conv.weight : f32[Co16 Ci1 Kh3 Kw3]
//! input %image            : f32[B C1 H8 W8]
//! %image.broadcast        : f32[T4 B C1 H8 W8]  = broadcast %image
//! %stem.conv              : f32[T4 B C16 H8 W8] = conv2d %image.broadcast, %stem.conv.weight {stride=1, pad=1}
//! ```
//!
//! In training a norm is two operations, since its statistics need the whole batch, and the labels and the
//! loss are added. Element kinds are the widest (`f32`) except where spikes are made: passes refine them.

mod loss;

use crate::diagnostic::Diagnostic;
use crate::model::{Layer, Model, NeuronLayer, Node};
use crate::shape::Kind;
use crate::slug::Slug;
use snnc_ir::{Axis, AxisName, Elem, Graph, Mode, Norm, Op, ParamKind, Stats, Type, Value};

/// The graph of a model.
///
/// # Errors
/// A neuron with learned constants: they are checked, but not trained yet.
pub fn to_graph(model: &Model, mode: Mode) -> Result<Graph, Vec<Diagnostic>> {
    let learned: Vec<Diagnostic> = model.nodes.iter().filter_map(learned).collect();
    if !learned.is_empty() {
        return Err(learned);
    }
    let mut lowering = Lowering { model, graph: Graph::new(&model.name, mode), values: Vec::new() };
    for node in &model.nodes {
        let value = lowering.node(node);
        lowering.values.push(value);
    }
    lowering.finish();
    Ok(lowering.graph)
}

/// The fault of a neuron that learns, once per place.
fn learned(node: &Node) -> Option<Diagnostic> {
    let Layer::Neuron(NeuronLayer { learned, .. }) = &node.layer else { return None };
    let fields = learned.first()?;
    let message = format!("neuron `{}` learns its `{fields}`, which cannot be compiled yet", node.path);
    Some(
        Diagnostic::error(Slug::LearnedNeuron, message)
            .at(node.span, "applied here")
            .help("write the number without `learn(…)` to keep it fixed"),
    )
}

struct Lowering<'a> {
    model: &'a Model,
    graph: Graph,
    /// The value of each node so far.
    values: Vec<Value>,
}

impl Lowering<'_> {
    fn node(&mut self, node: &Node) -> Value {
        let args: Vec<Value> = node.inputs.iter().map(|&input| self.values[input]).collect();
        let ty = match (&node.layer, node.output.kind) {
            (Layer::Neuron(_), _) | (Layer::Input, Kind::Spikes) => node.output.ty(Elem::Spike),
            (_, Kind::Spikes | Kind::Counts | Kind::Real) => node.output.ty(Elem::F32),
        };
        let op = match &node.layer {
            Layer::Input => return self.graph.add_input(&node.path, ty),
            Layer::Conv { channels, kernel, geometry, bias } => {
                let inner = self.model.entering(node).shape.channels();
                let axes = [
                    (AxisName::Co, *channels),
                    (AxisName::Ci, inner),
                    (AxisName::Kh, *kernel),
                    (AxisName::Kw, *kernel),
                ];
                return self.product(node, Op::Conv2d(*geometry), args, &axes, *bias, ty);
            }
            Layer::Linear { features, bias } => {
                let inner = self.model.entering(node).shape.channels();
                let axes = [(AxisName::Co, *features), (AxisName::Ci, inner)];
                return self.product(node, Op::Linear, args, &axes, *bias, ty);
            }
            Layer::Norm { eps, momentum, scale } => {
                let norm = Norm { eps: *eps, scale: *scale };
                return self.norm(node, norm, *momentum, args[0], ty);
            }
            Layer::Broadcast => Op::Broadcast,
            Layer::Neuron(neuron) => Op::Lif(neuron.lif),
            Layer::MaxPool(pool) => Op::MaxPool(*pool),
            Layer::AvgPool(pool) => Op::AvgPool(*pool),
            Layer::Flatten => Op::Flatten,
            Layer::Add => Op::Add,
            Layer::Mean => Op::Mean(vec![AxisName::T]),
        };
        self.graph.push(&node.path, op, &args, ty)
    }

    /// A convolution or a matrix product with its parameters; the first axis of the weight is the output.
    fn product(
        &mut self,
        node: &Node,
        op: Op,
        mut args: Vec<Value>,
        axes: &[(AxisName, usize)],
        bias: bool,
        ty: Type,
    ) -> Value {
        let weight = Type::f32(axes.iter().map(|&(name, extent)| Axis::new(name, extent)).collect());
        args.push(self.graph.add_param(&format!("{}.weight", node.path), weight, ParamKind::Weight));
        if bias {
            args.push(self.per_channel(node, "bias", axes[0].1, ParamKind::Bias));
        }
        self.graph.push(&node.path, op, &args, ty)
    }

    fn per_channel(&mut self, node: &Node, name: &str, channels: usize, kind: ParamKind) -> Value {
        let ty = Type::f32(vec![Axis::new(AxisName::C, channels)]);
        self.graph.add_param(&format!("{}.{name}", node.path), ty, kind)
    }

    fn norm(&mut self, node: &Node, norm: Norm, momentum: f32, x: Value, ty: Type) -> Value {
        let channels = node.output.shape.channels();
        let gain = self.per_channel(node, "weight", channels, ParamKind::Gain);
        let bias = self.per_channel(node, "bias", channels, ParamKind::Shift);
        let mean = self.per_channel(node, "running_mean", channels, ParamKind::RunningMean);
        let var = self.per_channel(node, "running_var", channels, ParamKind::RunningVar);
        match self.graph.mode {
            Mode::Infer => self.graph.push(&node.path, Op::BatchNorm(norm), &[x, gain, bias, mean, var], ty),
            Mode::Train => {
                let stats = Op::BnStats(Stats { eps: norm.eps, momentum, repeat: 1 });
                let row = Type::f32(vec![Axis::new(AxisName::C, channels)]);
                let names = ["mu", "rstd", "running_mean.next", "running_var.next"]
                    .map(|name| format!("{}.{name}", node.path));
                let results: Vec<(&str, Type)> = names.iter().map(|name| (&**name, row.clone())).collect();
                let made = self.graph.push_many(stats, &[x, mean, var], &results);
                self.graph.updates.extend([(mean, made[2]), (var, made[3])]);
                self.graph.push(&node.path, Op::BnApply(norm), &[x, made[0], made[1], gain, bias], ty)
            }
        }
    }

    /// The outputs; in training also the labels and the loss.
    fn finish(&mut self) {
        let Some(&logits) = self.values.last() else { return };
        self.graph.outputs.push(logits);
        match self.graph.mode {
            Mode::Infer => {}
            Mode::Train => {
                let labels = self.graph.add_input("labels", Type::new(Elem::I32, vec![Axis::batch()]));
                let loss = self.loss(logits, labels);
                self.graph.outputs.push(loss);
            }
        }
    }
}
