//! Small networks in all combinations of layers, as the front end would lower them, and numbers to run them.

use snnc_ir::interp::{Env, Tensor, run};
use snnc_ir::{
    Axis, AxisName, Compare, Conv, Elem, Graph, Learned, Lif, Mode, Norm, Op, ParamKind, Pool, Reset, Save,
    Stats, Surrogate, Type, Value,
};
use std::collections::{BTreeMap, HashMap};

/// A counter-based generator (splitmix64): the same networks on every machine.
pub struct Random(pub u64);

impl Random {
    /// The next word.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.word() % n as u64) as usize
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Uniform in (−1, 1).
    pub fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// Builds one network layer by layer.
pub struct Net {
    /// The graph so far.
    pub graph: Graph,
    /// Timesteps.
    pub steps: usize,
    lif: Lif,
}

impl Net {
    /// An empty network.
    pub fn new(mode: Mode, steps: usize, lif: Lif) -> Net {
        Net { graph: Graph::new("net", mode), steps, lif }
    }

    /// An image that is the same at every timestep, repeated.
    pub fn image(&mut self, channels: usize, size: usize) -> Value {
        let ty = map(channels, size);
        let all = ty.with_time(self.steps);
        let image = self.graph.add_input("image", ty);
        self.graph.emit("image.t", Op::Broadcast, &[image], Some(&all))
    }

    /// An input with its own time axis.
    pub fn frames(&mut self, elem: Elem, channels: usize, size: usize) -> Value {
        let ty = map(channels, size).with_time(self.steps).with_elem(elem);
        self.graph.add_input("frames", ty)
    }

    /// A convolution.
    pub fn conv(
        &mut self,
        name: &str,
        x: Value,
        channels: usize,
        kernel: usize,
        conv: Conv,
        bias: bool,
    ) -> Value {
        let ci = self.graph.ty(x).extent(AxisName::C);
        let axes =
            [(AxisName::Co, channels), (AxisName::Ci, ci), (AxisName::Kh, kernel), (AxisName::Kw, kernel)];
        let ty = Type::f32(axes.map(|(name, extent)| Axis::new(name, extent)).to_vec());
        let mut args = vec![x, self.graph.add_param(&format!("{name}.weight"), ty, ParamKind::Weight)];
        if bias {
            args.push(self.vector(&format!("{name}.bias"), channels, ParamKind::Bias));
        }
        self.graph.emit(name, Op::Conv2d(conv), &args, None)
    }

    /// A matrix product with a bias.
    pub fn linear(&mut self, name: &str, x: Value, features: usize) -> Value {
        let ci = self.graph.ty(x).extent(AxisName::C);
        let ty = Type::f32(vec![Axis::new(AxisName::Co, features), Axis::new(AxisName::Ci, ci)]);
        let weight = self.graph.add_param(&format!("{name}.weight"), ty, ParamKind::Weight);
        let bias = self.vector(&format!("{name}.bias"), features, ParamKind::Bias);
        self.graph.emit(name, Op::Linear, &[x, weight, bias], None)
    }

    /// A batch norm, in the form of the mode.
    pub fn norm(&mut self, name: &str, x: Value, scale: f32) -> Value {
        let channels = self.graph.ty(x).extent(AxisName::C);
        let mut vector = |suffix: &str, kind| self.vector(&format!("{name}.{suffix}"), channels, kind);
        let gain = vector("weight", ParamKind::Gain);
        let bias = vector("bias", ParamKind::Shift);
        let mean = vector("running_mean", ParamKind::RunningMean);
        let var = vector("running_var", ParamKind::RunningVar);
        let norm = Norm { eps: 1e-5, scale };
        if self.graph.mode == Mode::Infer {
            return self.graph.emit(name, Op::BatchNorm(norm), &[x, gain, bias, mean, var], None);
        }
        let stats = Op::BnStats(Stats { eps: 1e-5, momentum: 0.1, repeat: 1 });
        let names = ["mu", "rstd", "mean.next", "var.next"].map(|suffix| format!("{name}.{suffix}"));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let made = self.graph.emit_many(&names, stats, &[x, mean, var], None);
        self.graph.updates.extend([(mean, made[2]), (var, made[3])]);
        self.graph.emit(name, Op::BnApply(norm), &[x, made[0], made[1], gain, bias], None)
    }

    /// The network's neuron.
    pub fn lif(&mut self, name: &str, x: Value) -> Value {
        self.graph.emit(name, Op::Lif(self.lif), &[x], None)
    }

    /// A pooling of windows of 2×2, its result as the front end types it.
    pub fn pool(&mut self, name: &str, x: Value, max: bool) -> Value {
        let pool = Pool { kernel: (2, 2), stride: 2, pad: 0 };
        self.real(name, if max { Op::MaxPool(pool) } else { Op::AvgPool(pool) }, &[x])
    }

    /// An operation whose result is f32, however narrow it could be.
    pub fn real(&mut self, name: &str, op: Op, args: &[Value]) -> Value {
        let value = self.graph.emit(name, op, args, None);
        let ty = self.graph.ty(value).with_elem(Elem::F32);
        self.graph.set_type(value, ty);
        value
    }

    /// The readout: logits, and in training the loss.
    pub fn finish(mut self, x: Value) -> Graph {
        let logits = self.graph.emit("logits", Op::Mean(vec![AxisName::T]), &[x], None);
        self.graph.outputs.push(logits);
        if self.graph.mode == Mode::Train {
            let labels = self.graph.add_input("labels", Type::new(Elem::I32, vec![Axis::batch()]));
            let loss = self.graph.emit("loss", Op::CrossEntropy(0.0), &[logits, labels], None);
            self.graph.outputs.push(loss);
        }
        self.graph
    }

    fn vector(&mut self, name: &str, channels: usize, kind: ParamKind) -> Value {
        self.graph.add_param(name, Type::f32(vec![Axis::new(AxisName::C, channels)]), kind)
    }
}

fn map(channels: usize, size: usize) -> Type {
    let extents = [(AxisName::C, channels), (AxisName::H, size), (AxisName::W, size)];
    let mut axes = vec![Axis::batch()];
    axes.extend(extents.map(|(name, extent)| Axis::new(name, extent)));
    Type::f32(axes)
}

/// A neuron of every surrogate, reset and comparison.
pub fn random_lif(random: &mut Random) -> Lif {
    Lif {
        decay: random.pick(&[0.5, 0.25, 1.0]),
        gain: random.pick(&[1.0, 0.5]),
        current: random.pick(&[0.0, 0.1]),
        threshold: random.pick(&[1.0, 0.5]),
        reset: random.pick(&[Reset::Hard(0.0), Reset::Hard(-0.25), Reset::Soft, Reset::None]),
        detach: random.below(2) == 0,
        compare: random.pick(&[Compare::Ge, Compare::Gt]),
        surrogate: random.pick(&[
            Surrogate::Rectangle(1.5),
            Surrogate::Triangle(1.0),
            Surrogate::Sigmoid(4.0),
            Surrogate::Atan(2.0),
        ]),
        learned: Learned::NOTHING,
        save: Save::Nothing,
    }
}

/// A residual network with random layers.
pub fn random_net(random: &mut Random, mode: Mode, lif: Lif) -> Graph {
    let mut net = Net::new(mode, 1 + random.below(4), lif);
    let scale = random.pick(&[1.0, std::f32::consts::FRAC_1_SQRT_2]);
    let mut x = match random.below(3) {
        0 => net.image(2, 5),
        1 => net.frames(Elem::F32, 2, 5),
        _ => net.frames(Elem::Spike, 2, 5),
    };
    let biased = random.below(2) == 0;
    x = net.conv("stem.conv", x, 3, 3, Conv { stride: 1, pad: 1 }, biased);
    if random.below(3) > 0 {
        x = net.norm("stem.norm", x, 1.0);
    }
    x = net.lif("stem.lif", x);
    if random.below(2) == 0 {
        x = net.pool("stem.pool", x, random.below(3) > 0);
    }
    for block in 0..1 + random.below(2) {
        x = random_block(random, &mut net, &format!("block.{block}"), x, scale);
    }
    x = random_head(random, &mut net, x);
    x = net.linear("fc", x, 4);
    net.finish(x)
}

fn random_block(random: &mut Random, net: &mut Net, name: &str, x: Value, scale: f32) -> Value {
    let stride = 1 + random.below(2);
    let mut y = net.conv(&format!("{name}.conv"), x, 3, 3, Conv { stride, pad: 1 }, false);
    y = net.norm(&format!("{name}.norm"), y, scale);
    let mut skip = x;
    if stride > 1 || random.below(3) == 0 {
        skip = net.conv(&format!("{name}.skip.conv"), x, 3, 1, Conv { stride, pad: 0 }, false);
        skip = net.norm(&format!("{name}.skip.norm"), skip, scale);
    }
    if random.below(4) == 0 {
        // The residual is added after the neuron: a count where the skip holds spikes.
        y = net.lif(&format!("{name}.lif"), y);
        return net.real(&format!("{name}.add"), Op::Add, &[y, skip]);
    }
    y = net.real(&format!("{name}.add"), Op::Add, &[y, skip]);
    net.lif(&format!("{name}.lif"), y)
}

fn random_head(random: &mut Random, net: &mut Net, x: Value) -> Value {
    let over = vec![AxisName::H, AxisName::W];
    match random.below(4) {
        0 => net.real("head", Op::Mean(over), &[x]),
        1 => net.real("head", Op::Sum(over), &[x]),
        2 => {
            let flat = net.real("flat", Op::Flatten, &[x]);
            let hidden = net.linear("hidden", flat, 5);
            net.lif("hidden.lif", hidden)
        }
        _ => {
            let flat = net.real("flat", Op::Flatten, &[x]);
            net.real("half", Op::Scale(0.5), &[flat])
        }
    }
}

/// Values for the parameters and inputs of a graph.
pub fn random_env(random: &mut Random, graph: &Graph, batch: usize) -> Env {
    let mut values = HashMap::new();
    for &value in graph.params.iter().chain(&graph.inputs) {
        let ty = graph.ty(value);
        let mut tensor = Tensor::zeros(ty, batch);
        let name = graph.name(value);
        for x in &mut tensor.data {
            let unit = random.unit();
            *x = match ty.elem {
                Elem::I32 => f64::from(u8::from(unit > 0.0)) + 2.0 * f64::from(u8::from(random.unit() > 0.0)),
                Elem::Spike | Elem::Bits => f64::from(u8::from(unit > 0.2)),
                Elem::F32 if name.ends_with("running_var") => 1.0 + 0.5 * unit,
                Elem::F32 if name.ends_with("norm.weight") => 1.0 + 0.3 * unit,
                Elem::F32 if name.ends_with("weight") => 1.1 * unit,
                Elem::F32 => unit,
            };
        }
        values.insert(name.to_string(), tensor);
    }
    Env { batch, values, smooth: false }
}

/// What a graph is for: outputs by place, gradients and updates by parameter, the axes of each in one order.
pub fn results(graph: &Graph, env: &Env) -> BTreeMap<String, Vec<f64>> {
    let values = run(graph, env).unwrap_or_else(|error| panic!("{error}\n{}", snnc_ir::text::print(graph)));
    let mut ends: Vec<(String, Value)> = Vec::new();
    ends.extend(graph.outputs.iter().enumerate().map(|(n, &value)| (format!("output {n}"), value)));
    ends.extend(graph.grads.iter().map(|&(of, value)| (format!("grad {}", graph.name(of)), value)));
    ends.extend(graph.updates.iter().map(|&(of, value)| (format!("update {}", graph.name(of)), value)));
    ends.into_iter()
        .map(|(end, value)| (end, in_order(graph.ty(value), &values[graph.name(value)])))
        .collect()
}

/// The elements with the axes sorted by name.
fn in_order(ty: &Type, tensor: &Tensor) -> Vec<f64> {
    let rank = tensor.dims.len();
    let mut strides = vec![1; rank];
    for axis in (1..rank).rev() {
        strides[axis - 1] = strides[axis] * tensor.dims[axis];
    }
    let mut order: Vec<usize> = (0..rank).collect();
    order.sort_by_key(|&axis| ty.axes[axis].name);
    let mut offsets = vec![0];
    for axis in order {
        let steps = (0..tensor.dims[axis]).map(|step| step * strides[axis]);
        let steps: Vec<usize> = steps.collect();
        offsets = offsets.iter().flat_map(|&offset| steps.iter().map(move |step| offset + step)).collect();
    }
    offsets.into_iter().map(|offset| tensor.data[offset]).collect()
}
