//! Random graphs: units of convolution, norm and neuron, residual blocks, pools, a classifier.

use super::{RandomOptions, Rng};
use crate::entity::Value;
use crate::graph::{Graph, Mode, ParamKind, Stage};
use crate::op::{
    Compare, Constant, Conv, Form, Learned, Lif, Norm, Op, Penalty, Pool, Reset, Save, Stats, Surrogate,
};
use crate::types::{Axis, AxisName, Elem, Type};
use AxisName::{B, C, Ci, Co, H, Kh, Kw, T, W};

/// A small valid graph at stage `Logical`: names, params, element kinds and order as the front end gives
/// them. Equal seeds and options give equal graphs.
pub fn graph(seed: u64, options: RandomOptions) -> Graph {
    let mut builder = Builder::new(&format!("random{seed}"), seed, options);
    let mut x = builder.input();
    for n in 0..1 + builder.rng.below(options.blocks.max(1)) {
        x = builder.block(&format!("block{n}"), x);
    }
    builder.classifier(x);
    builder.graph
}

pub(super) struct Builder {
    pub graph: Graph,
    pub rng: Rng,
    options: RandomOptions,
    pub steps: usize,
}

impl Builder {
    pub fn new(name: &str, seed: u64, options: RandomOptions) -> Builder {
        let mut rng = Rng(seed);
        let steps = if options.long { 8 } else { 1 } + rng.below(4);
        let mut graph = Graph::new(name, options.mode);
        graph.stage = Stage::Logical;
        Builder { graph, rng, options, steps }
    }

    fn train(&self) -> bool {
        self.options.mode == Mode::Train
    }

    /// Appends an operation of one result; as in the front end everything but a neuron's result is f32.
    pub fn emit(&mut self, name: &str, op: Op, args: &[Value], hint: Option<&Type>) -> Value {
        let spikes = matches!(op, Op::Lif(_));
        let value = self.graph.emit(name, op, args, hint);
        if !spikes {
            let ty = self.graph.ty(value).with_elem(Elem::F32);
            self.graph.set_type(value, ty);
        }
        value
    }

    fn extent(&self, x: Value, name: AxisName) -> usize {
        self.graph.ty(x).extent(name)
    }

    pub fn is_map(&self, x: Value) -> bool {
        self.graph.ty(x).has(H)
    }

    /// A static image, repeated over time, or frames or spikes of their own time.
    pub fn input(&mut self) -> Value {
        let mut axes = vec![Axis::batch(), Axis::new(C, 1 + self.rng.below(3))];
        if self.rng.chance(80) {
            axes.extend([Axis::new(H, 3 + self.rng.below(4)), Axis::new(W, 3 + self.rng.below(4))]);
        }
        let still = Type::f32(axes);
        let moving = still.with_time(self.steps);
        match self.rng.below(4) {
            0 => self.graph.add_input("image", moving),
            1 => self.graph.add_input("image", moving.with_elem(Elem::Spike)),
            _still => {
                let image = self.graph.add_input("image", still);
                self.emit("image.repeated", Op::Broadcast, &[image], Some(&moving))
            }
        }
    }

    fn channels(&mut self) -> usize {
        // Mostly few; at times more than a tile of 32 and more than a word of 64.
        self.rng.pick(&[1, 2, 3, 4, 4, 5, 6, 8, 8, 33, 65])
    }

    pub fn block(&mut self, name: &str, x: Value) -> Value {
        match self.rng.below(8) {
            0 if self.is_map(x) => self.pool(&format!("{name}.pool"), x),
            1 | 2 => self.residual(name, x),
            3 => {
                // Spikes added to what came in: counts.
                let channels = self.extent(x, C);
                let y = self.unit(name, x, channels, 1);
                let y = self.lif(&format!("{name}.lif"), y);
                self.emit(&format!("{name}.add"), Op::Add, &[y, x], None)
            }
            4 => {
                let y = self.emit(&format!("{name}.scale"), Op::Scale(0.5), &[x], None);
                self.lif(&format!("{name}.lif"), y)
            }
            _unit => {
                let (channels, stride) = (self.channels(), 1 + self.rng.below(2));
                let y = self.unit(name, x, channels, stride);
                self.lif(&format!("{name}.lif"), y)
            }
        }
    }

    fn residual(&mut self, name: &str, x: Value) -> Value {
        let channels = self.extent(x, C);
        let y = self.unit(&format!("{name}.a"), x, channels, 1);
        let y = self.lif(&format!("{name}.a.lif"), y);
        let y = self.unit(&format!("{name}.b"), y, channels, 1);
        let skip = if self.rng.chance(50) { self.unit(&format!("{name}.skip"), x, channels, 1) } else { x };
        let sum = self.emit(&format!("{name}.add"), Op::Add, &[y, skip], None);
        self.lif(&format!("{name}.lif"), sum)
    }

    /// A product and perhaps a norm. With a stride of 1 the extents stay.
    pub fn unit(&mut self, name: &str, x: Value, channels: usize, stride: usize) -> Value {
        let y = if self.is_map(x) {
            self.conv(&format!("{name}.conv"), x, channels, stride)
        } else {
            self.linear(&format!("{name}.linear"), x, channels)
        };
        if !self.rng.chance(65) {
            return y;
        }
        let y = self.norm(&format!("{name}.norm"), y);
        if self.rng.chance(15) { self.step_scale(&format!("{name}.steps"), y) } else { y }
    }

    fn step_scale(&mut self, name: &str, x: Value) -> Value {
        let ty = Type::f32(vec![Axis::new(T, self.steps)]);
        let p = self.graph.add_param(&format!("{name}.weight"), ty, ParamKind::Gain);
        self.emit(name, Op::StepScale, &[x, p], None)
    }

    fn conv(&mut self, name: &str, x: Value, channels: usize, stride: usize) -> Value {
        let kernel = self.rng.pick(&[1, 3, 3]);
        let axes = [(Co, channels), (Ci, self.extent(x, C)), (Kh, kernel), (Kw, kernel)];
        let op = Op::Conv2d(Conv { stride, pad: kernel / 2 });
        self.product(name, op, x, &axes)
    }

    fn linear(&mut self, name: &str, x: Value, channels: usize) -> Value {
        let axes = [(Co, channels), (Ci, self.extent(x, C))];
        self.product(name, Op::Linear, x, &axes)
    }

    fn product(&mut self, name: &str, op: Op, x: Value, axes: &[(AxisName, usize)]) -> Value {
        let ty = Type::f32(axes.iter().map(|&(name, extent)| Axis::new(name, extent)).collect());
        let mut args = vec![x, self.graph.add_param(&format!("{name}.weight"), ty, ParamKind::Weight)];
        if self.rng.chance(40) {
            args.push(self.vector(&format!("{name}.bias"), axes[0].1, ParamKind::Bias));
        }
        self.emit(name, op, &args, None)
    }

    fn vector(&mut self, name: &str, channels: usize, kind: ParamKind) -> Value {
        self.graph.add_param(name, Type::f32(vec![Axis::new(C, channels)]), kind)
    }

    fn norm(&mut self, name: &str, x: Value) -> Value {
        let channels = self.extent(x, C);
        let gain = self.vector(&format!("{name}.weight"), channels, ParamKind::Gain);
        let bias = self.vector(&format!("{name}.bias"), channels, ParamKind::Shift);
        let mean = self.vector(&format!("{name}.running_mean"), channels, ParamKind::RunningMean);
        let var = self.vector(&format!("{name}.running_var"), channels, ParamKind::RunningVar);
        // With this eps and the variances of `values` the factor is exact at inference.
        let (eps, scale) = (0.25, self.rng.pick(&[1.0, 1.0, 0.5]));
        if !self.train() {
            return self.emit(name, Op::BatchNorm(Norm { eps, scale }), &[x, gain, bias, mean, var], None);
        }
        let names =
            ["mu", "rstd", "running_mean.next", "running_var.next"].map(|last| format!("{name}.{last}"));
        let names = names.each_ref().map(String::as_str);
        let stats = Op::BnStats(Stats { eps, momentum: 0.1, repeat: 1 });
        let made = self.graph.emit_many(&names, stats, &[x, mean, var], None);
        self.graph.updates.extend([(mean, made[2]), (var, made[3])]);
        self.emit(name, Op::BnApply(Norm { eps, scale }), &[x, made[0], made[1], gain, bias], None)
    }

    pub fn lif(&mut self, name: &str, x: Value) -> Value {
        let smooth = [
            Surrogate::Sigmoid(4.0),
            Surrogate::Atan(2.0),
            Surrogate::Sigmoid(2.0),
            Surrogate::Erf(1.0),
            Surrogate::SoftSign(1.0),
        ];
        let all = [
            Surrogate::Rectangle(1.0),
            Surrogate::Rectangle(2.0),
            Surrogate::Rectangle(0.5),
            Surrogate::Triangle(1.0),
            Surrogate::Sigmoid(4.0),
            Surrogate::Atan(2.0),
            Surrogate::PiecewiseExp(1.0),
            Surrogate::SoftSign(2.0),
            Surrogate::SuperSpike(1.0),
            Surrogate::FastSigmoid(4.0),
            Surrogate::Erf(2.0),
            Surrogate::Tanh(3.0),
        ];
        let surrogate = if self.options.smooth { self.rng.pick(&smooth) } else { self.rng.pick(&all) };
        let resets = [Reset::Hard(0.0), Reset::Hard(0.0), Reset::Hard(-0.25), Reset::Soft, Reset::None];
        let learns = self.rng.chance(30);
        let mut learned = Learned::NOTHING;
        for (constant, _) in Constant::ALL {
            learned = if learns && self.rng.chance(50) { learned.with(constant) } else { learned };
        }
        let lif = Lif {
            decay: self.rng.pick(&[0.5, 0.5, 0.25, 0.75, 1.0]),
            gain: self.rng.pick(&[1.0, 1.0, 0.5]),
            current: self.rng.pick(&[0.0, 0.0, 0.0625]),
            threshold: self.rng.pick(&[1.0, 1.0, 0.5]),
            reset: self.rng.pick(&resets),
            detach: !self.options.smooth && self.rng.chance(70),
            compare: self.rng.pick(&[Compare::Ge, Compare::Gt]),
            surrogate,
            learned,
            save: Save::Nothing,
        };
        let mut args = vec![x];
        args.extend(self.learned(name, x, learned));
        self.emit(name, Op::Lif(lif), &args, None)
    }

    /// The learned constants of a neuron on `x`, per layer or per channel.
    fn learned(&mut self, name: &str, x: Value, learned: Learned) -> Vec<Value> {
        let numbers = if self.rng.chance(50) { 1 } else { self.extent(x, C) };
        let mut made = Vec::new();
        for (constant, word) in Constant::ALL.into_iter().filter(|(constant, _)| learned.has(*constant)) {
            let w = self.vector(&format!("{name}.w_{word}"), numbers, ParamKind::Neuron);
            let form = match constant {
                Constant::Decay => self.rng.pick(&[Form::Sigmoid, Form::Complement]),
                Constant::Gain => self.rng.pick(&[Form::Softplus, Form::Sigmoid]),
                Constant::Current => Form::Complement,
                Constant::Threshold => Form::Softplus,
            };
            let value = self.emit(&format!("{name}.{word}"), Op::NeuronConstant(form), &[w], None);
            made.push(match constant {
                Constant::Current => self.emit(&format!("{name}.rest"), Op::Scale(0.125), &[value], None),
                Constant::Decay | Constant::Gain | Constant::Threshold => value,
            });
        }
        made
    }

    fn pool(&mut self, name: &str, x: Value) -> Value {
        let (rows, columns) = (self.extent(x, H), self.extent(x, W));
        let (kernel, pad) = match (self.rng.below(3), rows.min(columns)) {
            (_, 1) => ((1, 1), 0),
            (0, _) => ((2, 2), 1),
            (1, 3..) => ((3, 2), 0),
            (_, _) => ((2, 2), 0),
        };
        let pool = Pool { kernel, stride: 1 + self.rng.below(2), pad };
        let maximum = !self.options.smooth && self.rng.chance(60);
        let op = if maximum { Op::MaxPool(pool) } else { Op::AvgPool(pool) };
        self.emit(name, op, &[x], None)
    }

    /// Features, perhaps a hidden layer, logits per timestep and their mean; in training the loss.
    pub fn classifier(&mut self, x: Value) {
        let mut x = x;
        if self.is_map(x) {
            let op = if self.rng.chance(50) { Op::Flatten } else { Op::Mean(vec![H, W]) };
            x = self.emit("features", op, &[x], None);
        }
        if self.rng.chance(40) {
            let channels = self.channels();
            let hidden = self.unit("hidden", x, channels, 1);
            x = self.lif("hidden.lif", hidden);
        }
        let classes = 2 + self.rng.below(4);
        let o = self.linear("head", x, classes);
        let logits = self.emit("logits", Op::Mean(vec![T]), &[o], None);
        self.graph.outputs.push(logits);
        if self.train() {
            let labels = self.graph.add_input("labels", Type::new(Elem::I32, vec![Axis::batch()]));
            debug_assert!(self.graph.ty(logits).has(B));
            let loss = self.loss(logits, o, labels);
            self.graph.outputs.push(loss);
        }
    }

    /// A cross-entropy of the mean or of every timestep, with one label or two, and perhaps penalties of the firing rates
    /// and logits.
    fn loss(&mut self, logits: Value, each: Value, labels: Value) -> Value {
        let smoothing = self.rng.pick(&[0.0, 0.0, 0.25]);
        let of = if self.rng.chance(60) { logits } else { each };
        let mut args = vec![of, labels];
        if self.rng.chance(30) {
            args.push(self.graph.add_input("other_labels", Type::new(Elem::I32, vec![Axis::batch()])));
            args.push(self.graph.add_input("shares", Type::f32(vec![Axis::batch()])));
        }
        let mut terms = vec![(Op::CrossEntropy(smoothing), args, 1.0)];
        if self.rng.chance(30) {
            terms.push((Op::Penalty(Penalty::Square(1.0)), vec![each], 0.5));
        }
        let spikes: Vec<Value> = self.neurons();
        if !spikes.is_empty() && self.rng.chance(50) {
            for layer in spikes {
                let name = format!("{}.rate", self.graph.name(layer));
                let rate = self.emit(&name, Op::Mean(vec![T]), &[layer], None);
                terms.push(self.rate_term(rate));
            }
        }
        if let [(op, args, _)] = terms.as_slice() {
            return self.emit("loss", op.clone(), args, None);
        }
        let mut total = None;
        for (n, (op, args, weight)) in terms.into_iter().enumerate() {
            let term = self.emit(&format!("loss.{n}"), op, &args, None);
            let term = self.emit(&format!("loss.{n}.weighted"), Op::Scale(weight), &[term], None);
            total = Some(match total {
                Some(sum) => self.emit(&format!("loss.{n}.sum"), Op::Add, &[sum, term], None),
                None => term,
            });
        }
        let total = total.expect("there are two terms or more");
        self.emit("loss", Op::Scale(1.5), &[total], None)
    }

    fn rate_term(&mut self, rate: Value) -> (Op, Vec<Value>, f32) {
        let measures = [Penalty::Mean, Penalty::Square(0.0), Penalty::Above(0.15), Penalty::Below(0.35)];
        match self.rng.below(5) {
            4 => {
                let name = format!("{}.mean", self.graph.name(rate));
                let mean = self.emit(&name, Op::Penalty(Penalty::Mean), &[rate], None);
                (Op::Penalty(Penalty::Square(0.15)), vec![mean], 0.5)
            }
            n => (Op::Penalty(measures[n]), vec![rate], 0.25),
        }
    }

    /// The spikes of every neuron.
    fn neurons(&self) -> Vec<Value> {
        let insts = self.graph.body.iter().map(|&inst| self.graph.inst(inst));
        insts.filter(|data| matches!(data.op, Op::Lif(_))).map(|data| data.results[0]).collect()
    }
}
