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
//! loss are added; where samples are mixed, a second label and the share of the first. Element kinds are the widest (`f32`) except where spikes are made: passes refine them.

mod loss;

use crate::model::{Layer, Model, NeuronLayer, Node, Trained};
use crate::sample::Augment;
use crate::shape::{Kind, Shape};
use snnc_ir::{Axis, AxisName, Constant, Elem, Graph, Mode, Norm, Op, ParamKind, Stats, Type, Value};

/// The graph of a model.
pub fn to_graph(model: &Model, mode: Mode) -> Graph {
    let mut lowering = Lowering { model, graph: Graph::new(&model.name, mode), values: Vec::new() };
    for node in &model.nodes {
        let value = lowering.node(node);
        lowering.values.push(value);
    }
    lowering.finish();
    lowering.graph
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
            Layer::Norm { eps, momentum, scale, gain, steps } => {
                let norm = Norm { eps: *eps, scale: *scale };
                if !steps {
                    return self.norm(node, &node.path, (norm, *momentum, *gain), args[0], ty);
                }
                let name = format!("{}.norm", node.path);
                let y = self.norm(node, &name, (norm, *momentum, *gain), args[0], ty.clone());
                return self.step_scale(node, y, ty);
            }
            Layer::Broadcast => Op::Broadcast,
            Layer::Neuron(neuron) => return self.neuron(node, neuron, args[0], ty),
            Layer::MaxPool(pool) => Op::MaxPool(*pool),
            Layer::AvgPool(pool) => Op::AvgPool(*pool),
            // Features are flat already.
            Layer::Flatten if matches!(self.model.entering(node).shape, Shape::Features(_)) => {
                return args[0];
            }
            Layer::Flatten => Op::Flatten,
            Layer::Add => Op::Add,
            Layer::Attention(attention) => Op::Attention(*attention),
            Layer::Mask { not } => {
                if *not {
                    Op::MaskNot
                } else {
                    Op::Mask
                }
            }
            Layer::SumSpace => Op::Sum(vec![AxisName::H, AxisName::W]),
            Layer::SumTime => Op::Sum(vec![AxisName::T]),
            Layer::SumChannels(groups) => Op::ChannelSum(*groups),
            Layer::StepGate => return self.step_scale(node, args[0], ty),
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

    /// A norm called `name`: its constants, the momentum of its statistics, the first value of its gain.
    fn norm(
        &mut self,
        node: &Node,
        name: &str,
        (norm, momentum, first): (Norm, f32, f32),
        x: Value,
        ty: Type,
    ) -> Value {
        let channels = node.output.shape.channels();
        let gain = self.per_channel(node, "weight", channels, ParamKind::Gain);
        if first != 1.0 {
            self.graph.set_init(gain, first);
        }
        let bias = self.per_channel(node, "bias", channels, ParamKind::Shift);
        let mean = self.per_channel(node, "running_mean", channels, ParamKind::RunningMean);
        let var = self.per_channel(node, "running_var", channels, ParamKind::RunningVar);
        match self.graph.mode {
            Mode::Infer => self.graph.push(name, Op::BatchNorm(norm), &[x, gain, bias, mean, var], ty),
            Mode::Train => {
                let stats = Op::BnStats(Stats { eps: norm.eps, momentum, repeat: 1 });
                let row = Type::f32(vec![Axis::new(AxisName::C, channels)]);
                let names = ["mu", "rstd", "running_mean.next", "running_var.next"]
                    .map(|name| format!("{}.{name}", node.path));
                let results: Vec<(&str, Type)> = names.iter().map(|name| (&**name, row.clone())).collect();
                let made = self.graph.push_many(stats, &[x, mean, var], &results);
                self.graph.updates.extend([(mean, made[2]), (var, made[3])]);
                self.graph.push(name, Op::BnApply(norm), &[x, made[0], made[1], gain, bias], ty)
            }
        }
    }

    /// The trained factor of each timestep; they begin with 1.
    fn step_scale(&mut self, node: &Node, x: Value, ty: Type) -> Value {
        let steps = Type::f32(ty.axis(AxisName::T).into_iter().collect());
        let p = self.graph.add_param(&format!("{}.step_scale", node.path), steps, ParamKind::Gain);
        self.graph.push(&node.path, Op::StepScale, &[x, p], ty)
    }

    /// A neuron; what is learned of it is made from trained numbers, `<path>.w_<field>`.
    fn neuron(&mut self, node: &Node, neuron: &NeuronLayer, x: Value, ty: Type) -> Value {
        let numbers = if neuron.per_channel { node.output.shape.channels() } else { 1 };
        let row = Type::f32(vec![Axis::new(AxisName::C, numbers)]);
        let mut made = Vec::new();
        for Trained { field, init, makes } in &neuron.trained {
            let w = self.per_channel(node, &format!("w_{field}"), numbers, ParamKind::Neuron);
            self.graph.set_init(w, *init);
            for &(constant, form, by) in makes {
                let name = Constant::ALL.iter().find(|(known, _)| *known == constant).map_or("", |(_, n)| n);
                let name = format!("{}.{name}", node.path);
                let mut value = self.graph.push(&name, Op::NeuronConstant(form), &[w], row.clone());
                if by != 1.0 {
                    value = self.graph.push(&name, Op::Scale(by), &[value], row.clone());
                }
                made.push((constant, value));
            }
        }
        let mut args = vec![x];
        for constant in neuron.lif.learned.constants() {
            args.extend(made.iter().filter(|(of, _)| *of == constant).map(|(_, value)| *value));
        }
        self.graph.push(&node.path, Op::Lif(neuron.lif), &args, ty)
    }

    /// The outputs; in training also the labels and the loss.
    fn finish(&mut self) {
        let Some(&logits) = self.values.last() else { return };
        self.graph.outputs.push(logits);
        match self.graph.mode {
            Mode::Infer => {}
            Mode::Train => {
                let ty = Type::new(Elem::I32, vec![Axis::batch()]);
                let mut labels = vec![self.graph.add_input("labels", ty.clone())];
                if self.model.recipe.augment.iter().any(Augment::mixes) {
                    labels.push(self.graph.add_input("other_labels", ty));
                    labels.push(self.graph.add_input("shares", Type::f32(vec![Axis::batch()])));
                }
                let loss = self.loss(logits, &labels);
                self.graph.outputs.push(loss);
            }
        }
    }
}
