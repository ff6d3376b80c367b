//! A block as machine code with a given gradient of its output, though a compiled graph has one input and one loss.
//!
//! The input's channels are those of the block's input, those of the gradient, and one for each place (timestep,
//! sample, row, column) that is 1 there and 0 elsewhere. Convolutions of one position select the first two:
//!
//! ```text
//! %x    = conv2d %wide, %select.x          ; the gradient of %select.x at a place's channel is that of %x there
//! %g    = conv2d %wide, %select.g
//! %y    = the block of %x
//! %loss = N/4·mean((%g + %y)²) − N/4·mean((%g − %y)²)      ; = sum(%y·%g), whose gradient for %y is %g
//! ```
//!
//! The logits are the output at one timestep, which a factor for each timestep picks.

use crate::case::samples;
use snnc_compiler::plan::Recipe;
use snnc_compiler::{Options, compile_graph};
use snnc_ir::{
    Axis, AxisName, Compare, Conv, Elem, Graph, Learned, Lif, Mode, Op, ParamKind, Penalty, Reset, Save,
    Surrogate, Type, Value,
};
use snnc_runtime::Session;
use std::collections::HashMap;

const SELECT_X: &str = "select.x";
const SELECT_G: &str = "select.g";
const PICK: &str = "pick";

/// A neuron that copies spikes, so that the block has spikes at its input: both 0 and 1 lie within the rectangle,
/// whose height is [`SLOPE`].
const COPY: Lif = Lif {
    decay: 0.0,
    gain: 1.0,
    current: 0.0,
    threshold: 0.5,
    reset: Reset::None,
    detach: true,
    compare: Compare::Ge,
    surrogate: Surrogate::Rectangle(2.0),
    learned: Learned::NOTHING,
    save: Save::Nothing,
};
const SLOPE: f32 = 0.5;

/// The compiled block, its inputs set.
pub struct Wide {
    pub session: Session,
    x: Layout,
    g: Layout,
    /// The slope of what stands before the block.
    slope: f32,
}

/// The extents of a tensor `[T, B, C, H, W]`.
#[derive(Clone, Copy)]
struct Layout {
    steps: usize,
    batch: usize,
    channels: usize,
    rows: usize,
    columns: usize,
}

impl Layout {
    fn of(ty: &Type, batch: usize) -> Layout {
        let extent = |name| ty.extent(name);
        let (steps, channels) = (extent(AxisName::T), extent(AxisName::C));
        Layout { steps, batch, channels, rows: extent(AxisName::H), columns: extent(AxisName::W) }
    }

    fn places(&self) -> usize {
        self.steps * self.batch * self.rows * self.columns
    }

    fn ty(&self) -> Type {
        let named = [(AxisName::C, self.channels), (AxisName::H, self.rows), (AxisName::W, self.columns)];
        let mut axes = vec![Axis::new(AxisName::T, self.steps), Axis::batch()];
        axes.extend(named.map(|(name, extent)| Axis::new(name, extent)));
        Type::f32(axes)
    }

    /// Where an element is.
    fn at(&self, image: usize, channel: usize, row: usize, column: usize) -> usize {
        ((image * self.channels + channel) * self.rows + row) * self.columns + column
    }
}

impl Wide {
    /// Compiles `block`, a logical graph of one input and one output, and sets both; parameters are the caller's.
    pub fn new(block: &Graph, x: &[f32], g: &[f32], batch: usize) -> Wide {
        let of = |value| Layout::of(block.ty(value), batch);
        let (from, to) = (of(block.inputs[0]), of(block.outputs[0]));
        let spikes = block.ty(block.inputs[0]).elem == Elem::Spike;
        let graph = widened(block, (from, to), spikes);
        let options = Options { verify: true, ..Options::new(Mode::Train) };
        let compiled = compile_graph(graph, Recipe::default(), &options).unwrap_or_else(|e| panic!("{e}"));
        let session = Session::new(compiled.executable, batch, 2).expect("it fits");
        let mut wide = Wide { session, x: from, g: to, slope: if spikes { SLOPE } else { 1.0 } };
        wide.set(SELECT_X, &selection(from.channels, 0, width(from, to)));
        wide.set(SELECT_G, &selection(to.channels, from.channels, width(from, to)));
        let images = samples(&wide_input((from, x), (to, g)), from.steps, batch);
        let fill = |slot: usize, to: &mut [f32]| {
            to.copy_from_slice(&images[slot]);
            Ok(())
        };
        wide.session.set_inputs(batch, fill).expect("inputs");
        wide
    }

    fn set(&mut self, name: &str, values: &[f32]) {
        self.session.set_param(name, values).unwrap_or_else(|e| panic!("{name}: {e}"));
    }

    /// Runs the forward part for each timestep: the block's output, `[T, B, C, H, W]`.
    pub fn output(&mut self) -> Vec<f32> {
        let steps = self.x.steps;
        let mut all = Vec::new();
        for t in 0..steps {
            let pick: Vec<f32> = (0..steps).map(|step| f32::from(u8::from(step == t))).collect();
            self.set(PICK, &pick);
            self.session.run_forward().expect("forward");
            all.extend_from_slice(self.session.logits().expect("logits"));
        }
        all
    }

    /// The gradient of the block's input after a backward pass, `[T, B, C, H, W]`.
    pub fn input_gradient(&self) -> Vec<f32> {
        let (x, width) = (self.x, width(self.x, self.g));
        let found = self.session.grad(SELECT_X).expect("a gradient");
        let first = x.channels + self.g.channels;
        let area = x.rows * x.columns;
        let element = |i: usize| {
            let (image, channel, position) = (i / area / x.channels, i / area % x.channels, i % area);
            found[channel * width + first + image * area + position] / self.slope
        };
        (0..x.places() * x.channels).map(element).collect()
    }
}

/// The channels of the wide input.
fn width(x: Layout, g: Layout) -> usize {
    x.channels + g.channels + x.places()
}

/// `[Co, width, 1, 1]`: channel n is channel `first + n` of the wide input.
fn selection(channels: usize, first: usize, width: usize) -> Vec<f32> {
    let mut weight = vec![0.0; channels * width];
    (0..channels).for_each(|n| weight[n * width + first + n] = 1.0);
    weight
}

/// The gradient's rows and columns stand where a convolution with a stride finds them.
fn wide_input((from, x): (Layout, &[f32]), (to, g): (Layout, &[f32])) -> Vec<f32> {
    let wide = Layout { channels: width(from, to), ..from };
    let mut data = vec![0.0; wide.places() * wide.channels];
    let stride = from.rows.div_ceil(to.rows);
    for image in 0..from.steps * from.batch {
        for (row, column) in (0..from.rows).flat_map(|row| (0..from.columns).map(move |column| (row, column)))
        {
            for channel in 0..from.channels {
                data[wide.at(image, channel, row, column)] = x[from.at(image, channel, row, column)];
            }
            let place = (image * from.rows + row) * from.columns + column;
            data[wide.at(image, from.channels + to.channels + place, row, column)] = 1.0;
        }
        for (row, column) in (0..to.rows).flat_map(|row| (0..to.columns).map(move |column| (row, column))) {
            for channel in 0..to.channels {
                let at = wide.at(image, from.channels + channel, row * stride, column * stride);
                data[at] = g[to.at(image, channel, row, column)];
            }
        }
    }
    data
}

/// The block between the wide input and the loss.
fn widened(block: &Graph, (from, to): (Layout, Layout), spikes: bool) -> Graph {
    let mut graph = block.clone();
    let (x, y) = (graph.inputs.remove(0), graph.outputs[0]);
    let inside = std::mem::take(&mut graph.body);
    let width = width(from, to);
    let wide = graph.add_input("wide", Layout { channels: width, ..from }.ty());
    let stride = from.rows.div_ceil(to.rows);
    let mut real = select(&mut graph, SELECT_X, wide, from.channels, 1);
    let g = select(&mut graph, SELECT_G, wide, to.channels, stride);
    if spikes {
        let ty = graph.ty(x).clone();
        real = graph.push("copy", Op::Lif(COPY), &[real], ty);
    }
    graph.body.extend(inside);
    graph.replace_uses(&HashMap::from([(x, real)]));
    let logits = picked(&mut graph, y);
    let loss = product(&mut graph, y, g, to.places() * to.channels);
    graph.outputs = vec![logits, loss];
    graph
}

/// Channels of the wide input.
fn select(graph: &mut Graph, name: &str, wide: Value, channels: usize, stride: usize) -> Value {
    let extents = [
        (AxisName::Co, channels),
        (AxisName::Ci, graph.ty(wide).extent(AxisName::C)),
        (AxisName::Kh, 1),
        (AxisName::Kw, 1),
    ];
    let ty = Type::f32(extents.map(|(name, extent)| Axis::new(name, extent)).to_vec());
    let weight = graph.add_param(name, ty, ParamKind::Weight);
    graph.emit(&format!("{name}.conv"), Op::Conv2d(Conv { stride, pad: 0 }), &[wide, weight], None)
}

/// The output at one timestep as features.
fn picked(graph: &mut Graph, y: Value) -> Value {
    let steps = Axis::new(AxisName::T, graph.ty(y).extent(AxisName::T));
    let pick = graph.add_param(PICK, Type::f32(vec![steps]), ParamKind::Gain);
    let scaled = graph.emit("pick.scaled", Op::StepScale, &[y, pick], None);
    let sum = graph.emit("pick.sum", Op::Sum(vec![AxisName::T]), &[scaled], None);
    graph.emit("logits", Op::Flatten, &[sum], None)
}

/// `sum(y·g)` over n elements, from squares.
fn product(graph: &mut Graph, y: Value, g: Value, n: usize) -> Value {
    let minus = graph.emit("loss.minus", Op::Scale(-1.0), &[y], None);
    let terms = [(y, 0.25), (minus, -0.25)].map(|(y, by)| {
        let sum = graph.emit("loss.sum", Op::Add, &[g, y], None);
        let mean = graph.emit("loss.mean", Op::Penalty(Penalty::Square(0.0)), &[sum], None);
        graph.emit("loss.term", Op::Scale(by * n as f32), &[mean], None)
    });
    graph.emit("loss", Op::Add, &terms, None)
}
