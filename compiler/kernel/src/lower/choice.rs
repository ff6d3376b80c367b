//! How each product with spikes is done: the cheapest form at the rate that its input is expected to fire at, or the
//! one that was asked for.
//!
//! ```text
//! stem.conv    rate 0.02    walk       ; rows of the weight where a bit is set
//! head.conv    rate 0.60    grouped    ; sums of four rows, which bits look up
//! ```
//!
//! Forms add in different orders, so the choice is a part of what a run's bits depend on: it follows from the graph,
//! the expected activities and what was asked for, never from the machine.

use super::expected::Expected;
use super::grad_taps::Grid;
use super::grad_weight::whole_blocks;
use super::group::block_size;
use super::view::Shape;
use super::{LowerError, Settings, linear};
use crate::cost::{self, Work};
use crate::form::{Form, Forms};
use snnc_ir::{AxisName, Conv, Graph, Inst, Op, Value};
use snnc_plan::Activity;
use std::collections::HashMap;

/// Samples that are expected to share a task where they may: batches are larger, but one may be of a single sample.
const BATCH: usize = 8;

/// A product with spikes, and how it is done.
#[derive(Clone, PartialEq, Debug)]
pub struct Product {
    /// The path of its layer.
    pub layer: String,
    /// The name of the step that does it.
    pub step: String,
    /// What its input is expected to do.
    pub input: Activity,
    /// Its sizes.
    pub work: Work,
    /// Multiply-adds of a sample, as if it were dense.
    pub adds: u64,
    /// How it is done.
    pub form: Form,
}

/// The products of a graph.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Choices {
    /// In the order of the graph's instructions.
    pub products: Vec<Product>,
    places: HashMap<Inst, usize>,
    /// The forms of the gradients of their weights.
    gradients: HashMap<Inst, Form>,
}

impl Choices {
    /// The product of an instruction.
    pub(super) fn of(&self, inst: Inst) -> Result<&Product, LowerError> {
        let missing = || LowerError("a product without a form".to_string());
        self.places.get(&inst).map(|&at| &self.products[at]).ok_or_else(missing)
    }

    /// The form of the gradient of a weight.
    pub(super) fn of_gradient(&self, inst: Inst) -> Result<Form, LowerError> {
        let missing = || LowerError("a gradient without a form".to_string());
        self.gradients.get(&inst).copied().ok_or_else(missing)
    }
}

/// Chooses the form of each product with spikes of a packed graph.
///
/// # Errors
/// A product whose sizes cannot be read: a bug in the passes before.
pub fn choose(graph: &Graph, settings: &Settings) -> Result<Choices, LowerError> {
    let (forms, expected) = (&settings.forms, Expected::new(graph, &settings.activities));
    let mut choices = Choices::default();
    for &step in &graph.body {
        let inner = graph.inst(step).region.map_or(vec![step], |region| graph.region(region).body.clone());
        for inst in inner {
            if let Some(form) = gradient(graph, inst, &expected, forms)? {
                choices.gradients.insert(inst, form);
            }
            if let Some(product) = product(graph, step, inst, &expected)? {
                let form = forms.layers.get(&product.layer).copied().or(forms.rest);
                let chosen = || cost::cheapest(Form::CHOSEN, product.input, &product.work);
                let form = form.or_else(chosen).unwrap_or(Form::Walk);
                // Without a second timestep nothing repeats.
                let form = if matches!(form, Form::Patterns | Form::Shared) && product.work.steps < 2 {
                    Form::Walk
                } else {
                    form
                };
                choices.places.insert(inst, choices.products.len());
                choices.products.push(Product { form, ..product });
            }
        }
    }
    Ok(choices)
}

/// Says which of the layers whose form was asked for has no product with spikes.
///
/// # Errors
/// The first such layer, and those that there are.
pub fn check_forms(forms: &Forms, products: &[Product]) -> Result<(), String> {
    let has = |layer: &String| products.iter().any(|product| product.layer == *layer);
    match forms.layers.keys().find(|layer| !has(layer)) {
        None => Ok(()),
        Some(layer) => {
            let mut known: Vec<&str> = products.iter().map(|product| product.layer.as_str()).collect();
            known.sort_unstable();
            known.dedup();
            let known = if known.is_empty() { "none".to_string() } else { known.join(", ") };
            Err(format!("`{layer}` is no product with spikes; there are: {known}"))
        }
    }
}

/// The product of an instruction, if it is one, with the first form.
fn product(
    graph: &Graph,
    step: Inst,
    inst: Inst,
    expected: &Expected<'_>,
) -> Result<Option<Product>, LowerError> {
    let data = graph.inst(inst);
    let Some(conv) = spike_product(&data.op) else { return Ok(None) };
    let (weight, result) = (graph.ty(data.args[1]), graph.inst(step).results[0]);
    let output = Shape::of(graph.ty(result))?;
    let (rows, images) = block_size(&output, true);
    let taps = weight.extent(AxisName::Kh) * weight.extent(AxisName::Kw);
    let work = Work {
        inputs: weight.extent(AxisName::Ci),
        taps,
        stride: conv.stride,
        outputs: weight.extent(AxisName::Co),
        steps: input_steps(graph, step, data.args[0])?,
        positions: output.steps() * images.min(BATCH) * rows * output.width,
    };
    let all = output.steps() * output.positions();
    Ok(Some(Product {
        layer: layer(graph, data.args[1]),
        step: graph.name(result).to_string(),
        input: expected.of(data.args[0]),
        adds: (all * work.inputs * taps * work.outputs) as u64,
        work,
        form: Form::Walk,
    }))
}

/// Timesteps of a product's input: an argument of a scan's region stands for a value with all of them.
fn input_steps(graph: &Graph, step: Inst, input: Value) -> Result<usize, LowerError> {
    let data = graph.inst(step);
    let args = data.region.map_or(&[][..], |region| &graph.region(region).args);
    let slice = args.iter().zip(&data.args).find(|(arg, _)| **arg == input);
    Ok(Shape::of(graph.ty(slice.map_or(input, |(_, whole)| *whole)))?.steps())
}

/// The form of the gradient of a weight, if the instruction is one: bits are those of a block of positions, which all
/// channels and taps of a row use. What is asked for the layer counts where it can be done so; there is no dense one.
fn gradient(
    graph: &Graph,
    inst: Inst,
    expected: &Expected<'_>,
    forms: &Forms,
) -> Result<Option<Form>, LowerError> {
    let data = graph.inst(inst);
    let conv = match &data.op {
        Op::Conv2dMaskedGradWeight(conv) => *conv,
        Op::LinearMaskedGradWeight => linear::AS_CONV,
        _no_gradient_of_a_weight => return Ok(None),
    };
    let (x, dy) = (Shape::of(graph.ty(data.args[0]))?, Shape::of(graph.ty(data.args[1]))?);
    let weight = graph.ty(data.results[0]);
    let kernel = (weight.extent(AxisName::Kh), weight.extent(AxisName::Kw));
    let (input, steps) = (expected.of(data.args[0]), x.steps());
    let on_grid = Grid::of(&x, &dy, kernel, conv).is_some();
    let block = whole_blocks(&x, &dy);
    let can = |form: &Form| match form {
        Form::Walk => true,
        Form::Patterns => on_grid && steps > 1,
        Form::Grouped => block.is_some(),
        Form::Dense | Form::Shared => false,
    };
    let inputs = weight.extent(AxisName::Ci);
    let all = Work {
        inputs,
        taps: kernel.0 * kernel.1,
        stride: 1,
        outputs: weight.extent(AxisName::Co),
        steps,
        positions: inputs.min(64) * kernel.1,
    };
    // Off the grid, a block's positions stand where input channels do in the forward product.
    let of_block = Work { inputs: block.unwrap_or(inputs), taps: 1, steps: 1, ..all };
    let cost = |form: &Form| match on_grid {
        true => cost::cycles_per_mirrored_add(*form, input, &all),
        false => cost::cycles_per_add(*form, input, &of_block, cost::CHOSEN_FOR),
    };
    let cheapest = Form::OF_GRADIENTS.into_iter().filter(can).min_by(|a, b| cost(a).total_cmp(&cost(b)));
    let of = graph.grads.iter().find(|(_, gradient)| *gradient == data.results[0]);
    let asked = of.and_then(|(param, _)| forms.layers.get(&layer(graph, *param)).copied()).or(forms.rest);
    Ok(asked.filter(can).or(cheapest))
}

/// The geometry of a product with spikes whose form is chosen.
pub fn spike_product(op: &Op) -> Option<Conv> {
    match op {
        Op::Conv2dMaskedAdd(attrs) => Some(*attrs),
        Op::LinearMaskedAdd => Some(linear::AS_CONV),
        _no_product_with_spikes => None,
    }
}

/// A layer's path is that of its weight, which folding and laying out anew leave at the beginning of the name.
pub fn layer(graph: &Graph, weight: Value) -> String {
    let weight = graph.name(weight);
    weight.rsplit_once(".weight").map_or(weight, |(layer, _)| layer).to_string()
}
