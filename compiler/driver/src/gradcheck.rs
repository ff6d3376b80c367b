//! A model's gradients without its kernels: in the reference evaluator, and as slopes of the loss.
//!
//! ```text
//! Model ──to_graph, autodiff──▶ Graph ──interpreter──▶ loss, gradients         (spikes as they are)
//! the same, neurons smooth   ──interpreter──▶ gradients, (L(w + h·d) − L(w − h·d)) / 2h
//! ```
//!
//! A network that spikes has no slopes, so there each neuron fires its surrogate's primitive instead of 0 or 1. What a
//! detached reset leaves out is no slope either, so there resets are not detached.

use snnc_front::Model;
use snnc_ir::interp::{Env, Tensor, run};
use snnc_ir::random::clear_of_thresholds;
use snnc_ir::{Graph, Lif, Mode, Op, Type, Value};
use std::collections::HashMap;

/// Half the way between the two points of a slope: small, so that the kinks of rectangles are rarely between them.
const STEP: f64 = 1e-6;

/// The training graph of a model, with its gradients, for the reference evaluator.
pub struct Reference {
    graph: Graph,
    smooth: Graph,
}

/// A loss with the gradients of parameters.
#[derive(Clone, PartialEq, Debug)]
pub struct Gradients {
    /// The loss.
    pub loss: f64,
    /// Each trained parameter's gradient by its path, row-major.
    pub of: Vec<(String, Vec<f64>)>,
    /// Whether no membrane is so near its threshold, or the edge of its surrogate, that rounding could decide.
    pub clear: bool,
}

/// A gradient beside a slope, along one direction of one parameter.
#[derive(Clone, PartialEq, Debug)]
pub struct Slope {
    /// The parameter's path.
    pub parameter: String,
    /// The gradient's component along the direction.
    pub gradient: f64,
    /// The slope of the loss.
    pub slope: f64,
    /// The root mean square of the gradient: what a component is expected to be.
    pub scale: f64,
}

impl Reference {
    /// The graphs of a model.
    pub fn new(model: &Model) -> Reference {
        let forward = snnc_front::to_graph(model, Mode::Train);
        let mut smooth = forward.clone();
        for inst in smooth.body.clone() {
            if let Op::Lif(lif) = smooth.inst(inst).op {
                smooth.inst_mut(inst).op = Op::Lif(Lif { detach: false, ..lif });
            }
        }
        Reference { graph: differentiated(forward), smooth: differentiated(smooth) }
    }

    /// The first input's extents for a batch, outermost first: `[T B …]` where it has time.
    pub fn input_dims(&self, batch: usize) -> Vec<usize> {
        self.graph.inputs.first().map_or_else(Vec::new, |&input| self.graph.ty(input).dims(batch))
    }

    /// Loss and gradients as they are trained with; `values` holds parameters, the input and `labels` by name.
    ///
    /// # Errors
    /// The evaluator's: a value that is missing or of another size.
    pub fn gradients(&self, batch: usize, values: &Values) -> Result<Gradients, String> {
        let env = env(&self.graph, batch, values, false)?;
        let clear = clear_of_thresholds(&self.graph, &env);
        let found = run(&self.graph, &env)?;
        Ok(Gradients { loss: loss(&self.graph, &found), of: gradients(&self.graph, &found), clear })
    }

    /// For each trained parameter the gradient of the smooth network along a direction, and the slope there.
    ///
    /// # Errors
    /// As [`Reference::gradients`].
    pub fn slopes(&self, batch: usize, values: &Values, seed: u64) -> Result<Vec<Slope>, String> {
        let env = env(&self.smooth, batch, values, true)?;
        let found = run(&self.smooth, &env)?;
        let mut slopes = Vec::new();
        for (parameter, gradient) in gradients(&self.smooth, &found) {
            let direction = direction(seed, &parameter, gradient.len());
            let mut env = env.clone();
            let mut at = |by: f64| -> Result<f64, String> {
                let start = &found[&parameter].data;
                let moved = start.iter().zip(&direction).map(|(w, d)| w + by * d).collect();
                env.values.get_mut(&parameter).expect("it has a gradient").data = moved;
                Ok(loss(&self.smooth, &run(&self.smooth, &env)?))
            };
            let slope = (at(STEP)? - at(-STEP)?) / (2.0 * STEP);
            let along = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            let square: f64 = gradient.iter().map(|g| g * g).sum();
            let scale = (square / gradient.len() as f64).sqrt();
            slopes.push(Slope { parameter, gradient: along, slope, scale });
        }
        Ok(slopes)
    }
}

/// Numbers by name.
pub type Values = HashMap<String, Vec<f32>>;

fn differentiated(mut graph: Graph) -> Graph {
    snnc_passes::autodiff::PASS.apply(&mut graph);
    graph
}

fn env(graph: &Graph, batch: usize, values: &Values, smooth: bool) -> Result<Env, String> {
    let mut env = Env { batch, values: HashMap::new(), smooth };
    for &value in graph.params.iter().chain(&graph.inputs) {
        let (name, ty): (&str, &Type) = (graph.name(value), graph.ty(value));
        let given = values.get(name).ok_or_else(|| format!("no values of `{name}`"))?;
        let tensor = Tensor::new(ty.dims(batch), given.iter().map(|&x| f64::from(x)).collect());
        env.values.insert(name.to_string(), tensor);
    }
    Ok(env)
}

fn loss(graph: &Graph, found: &HashMap<String, Tensor>) -> f64 {
    graph.outputs.last().map_or(f64::NAN, |&loss| found[graph.name(loss)].data[0])
}

fn gradients(graph: &Graph, found: &HashMap<String, Tensor>) -> Vec<(String, Vec<f64>)> {
    let of = |&(param, grad): &(Value, Value)| {
        (graph.name(param).to_string(), found[graph.name(grad)].data.clone())
    };
    graph.grads.iter().map(of).collect()
}

/// A direction of length 1 with equal parts in all elements, their signs from the seed and the name.
fn direction(seed: u64, name: &str, len: usize) -> Vec<f64> {
    let mut state = name.bytes().fold(seed ^ 0x9E37_79B9_7F4A_7C15, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3).rotate_left(23)
    });
    let part = 1.0 / (len as f64).sqrt();
    let mut signs = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if state >> 63 == 0 { part } else { -part }
    };
    (0..len).map(|_| signs()).collect()
}
