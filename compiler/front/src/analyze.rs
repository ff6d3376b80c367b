//! From sources to a checked model: parameters with their overrides, neurons, the network, the recipe.

use crate::ast::{Expr, Input as InputItem, Network};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::eval::{Expander, join};
use crate::model::{Input, Layer, Model, Node, Recipe};
use crate::near::nearest;
use crate::program::{self, Program};
use crate::resolve;
use crate::shape::{Activation, Kind, MAX_EXTENT, Shape};
use crate::slug::Slug;
use crate::source::SourceMap;
use crate::value::Value;

/// The most timesteps.
const MAX_TIMESTEPS: usize = 4096;

/// Checks the model in `entry`, with parameters overridden by `defines` (name and value as written).
///
/// # Errors
/// Every fault that was found, in the order of the text.
pub fn analyze(
    sources: &SourceMap,
    entry: &str,
    defines: &[(String, String)],
) -> Result<Model, Vec<Diagnostic>> {
    let mut diagnostics = Diagnostics::default();
    let Some(file) = sources.find(entry) else {
        let reason = sources.failure(entry).unwrap_or("no such file");
        let message = format!("cannot read `{entry}`: {reason}");
        return Err(vec![Diagnostic::error(Slug::MissingFile, message)]);
    };
    let Some(program) = program::collect(sources, file, &mut diagnostics) else {
        return Err(diagnostics.finish());
    };
    resolve::check(&program, &mut diagnostics);
    let mut expander = Expander::new(&program, diagnostics);
    let model = expander.model(defines);
    let Expander { diagnostics, .. } = expander;
    let errors = diagnostics.has_errors();
    let found = diagnostics.finish();
    match model {
        Some(model) if !errors => Ok(Model { warnings: found, ..model }),
        Some(_) | None => Err(found),
    }
}

/// Parses a file and prints its syntax tree (`--emit ast`).
///
/// # Errors
/// The faults of the text.
pub fn syntax_tree(sources: &SourceMap, entry: &str) -> Result<crate::ast::File, Vec<Diagnostic>> {
    let mut diagnostics = Diagnostics::default();
    let Some(file) = sources.find(entry) else {
        let reason = sources.failure(entry).unwrap_or("no such file");
        let message = format!("cannot read `{entry}`: {reason}");
        return Err(vec![Diagnostic::error(Slug::MissingFile, message)]);
    };
    let tree = crate::parse::file(file, sources.text(file), &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics.finish());
    }
    Ok(tree.unwrap_or_default())
}

impl<'p> Expander<'p> {
    fn model(&mut self, defines: &[(String, String)]) -> Option<Model> {
        self.define_params(defines);
        let program: &'p Program = self.program;
        for neuron in &program.neurons {
            self.define_neuron(neuron);
        }
        let recipe = program.train.as_ref().map_or_else(Recipe::default, |train| self.recipe(train));
        let network = program.network.as_ref()?;
        // Recursion is reported by name already; expanding it would only run into the limits.
        if self.diagnostics.has(Slug::RecursiveBlock) {
            return None;
        }
        let timesteps = self.timesteps_of(network);
        self.timesteps = timesteps.unwrap_or(1);
        let input = self.input_of(network)?;
        let result = self.body(&network.body);
        let (node, classes) = self.result_of(result, &network.body.result)?;
        self.check_loss(&recipe.loss, program.train.as_ref());
        self.check_augment(&recipe.augment, &input, program.train.as_ref());
        self.check_requirements(&network.requires);
        // After a fault layers are missing, and what looks unused may not be.
        if self.diagnostics.has_errors() {
            return None;
        }
        self.drop_unused(node);
        let mut model = Model {
            name: network.name.text.clone(),
            timesteps: timesteps?,
            input,
            classes,
            nodes: std::mem::take(&mut self.nodes),
            layers: Vec::new(),
            parameters: 0,
            macs_per_timestep: 0,
            recipe,
            params: self.params.iter().map(|(name, value)| (name.clone(), value.to_string())).collect(),
            warnings: Vec::new(),
        };
        model.count();
        Some(model)
    }

    /// Evaluates parameters in order, each replaced by its override.
    fn define_params(&mut self, defines: &[(String, String)]) {
        let program: &'p Program = self.program;
        for param in &program.params {
            let name = param.name.text.as_str();
            let default = self.eval(&param.value);
            // The last of several counts, as with other compilers.
            let define = defines.iter().rev().find(|(define, _)| define == name);
            let value = match define {
                Some((_, text)) => overridden(&default, text).unwrap_or_else(|expected| {
                    let message = format!("`-D {name}={text}` does not fit: {expected} is expected");
                    let diagnostic = Diagnostic::error(Slug::BadDefine, message);
                    self.error(
                        diagnostic.at(param.value.span, format!("the default is {}", default.describe())),
                    )
                }),
                None => default,
            };
            let value = match value {
                Value::Tensor(_) => Value::Poison,
                Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Text(_) | Value::Poison => value,
            };
            self.params.push((param.name.text.clone(), value));
        }
        let names = || program.params.iter().map(|param| param.name.text.as_str());
        for (name, text) in defines.iter().filter(|(name, _)| !names().any(|known| known == name)) {
            let message = format!("`-D {name}={text}` names no parameter of the model");
            let diagnostic = Diagnostic::error(Slug::UnknownParameter, message);
            self.error(match nearest(name, names()) {
                Some(near) => diagnostic.help(format!("write `-D {near}={text}`")),
                None => {
                    diagnostic.help(format!("its parameters are: {}", names().collect::<Vec<_>>().join(", ")))
                }
            });
        }
    }

    fn timesteps_of(&mut self, network: &'p Network) -> Option<usize> {
        let [first, rest @ ..] = network.timesteps.as_slice() else {
            self.missing_field(network, "timesteps", "timesteps 4");
            return None;
        };
        if let Some(second) = rest.first() {
            let diagnostic = Diagnostic::error(Slug::DuplicateSection, "a network has one `timesteps`");
            self.error(diagnostic.at(second.span, "given again").with(first.span, "first given here"));
        }
        let value = self.eval(first);
        self.int(value, first.span, "`timesteps`", 1, MAX_TIMESTEPS)
    }

    fn missing_field(&mut self, network: &Network, field: &str, example: &str) {
        let message = format!("network `{}` lacks `{field}`", network.name.text);
        let diagnostic = Diagnostic::error(Slug::MissingField, message);
        self.error(diagnostic.at(network.name.span, "").help(format!("add `{example}` as its first line")));
    }

    /// The input's node, and its repetition in time where it stands still.
    fn input_of(&mut self, network: &'p Network) -> Option<Input> {
        let [first, rest @ ..] = network.inputs.as_slice() else {
            self.missing_field(network, "input", "input image: f32[3, 32, 32]");
            return None;
        };
        if let Some(second) = rest.first() {
            let diagnostic = Diagnostic::error(Slug::DuplicateSection, "a network has one `input`");
            self.error(diagnostic.at(second.span, "a second one").with(first.span, "the first one"));
        }
        let input = self.input_type(first)?;
        let input = self.encoded(first, input);
        // These names are taken by the values that every graph has.
        for name in [input.name.as_str(), "labels", "loss"] {
            self.claim(name);
        }
        let time = input.time.then_some(self.timesteps);
        let output = Activation { shape: input.shape, time, kind: input.kind };
        let path = input.name.clone();
        let node =
            Node { path: path.clone(), layer: Layer::Input, inputs: Vec::new(), output, span: first.span };
        let mut value = self.push(node);
        if let (false, Value::Tensor(node)) = (input.time, &value) {
            let output = Activation { time: Some(self.timesteps), ..output };
            let path = join(&path, "broadcast");
            value = self.push(Node {
                path,
                layer: Layer::Broadcast,
                inputs: vec![*node],
                output,
                span: first.span,
            });
        }
        self.frame.vars.push((input.name.clone(), value));
        Some(input)
    }

    fn input_type(&mut self, input: &'p InputItem) -> Option<Input> {
        let kind = match input.elem.text.as_str() {
            "f32" => Kind::Real,
            "spike" => Kind::Spikes,
            other => {
                let message = format!("an input is `f32` or `spike`, found `{other}`");
                self.error(Diagnostic::error(Slug::BadInput, message).at(input.elem.span, ""));
                return None;
            }
        };
        let time = input.axes.first().and_then(Expr::as_name) == Some("time");
        let axes = &input.axes[usize::from(time)..];
        let extents: Vec<Option<usize>> = axes.iter().map(|axis| self.extent(axis)).collect();
        let extents: Vec<usize> = extents.into_iter().collect::<Option<_>>()?;
        let shape = match *extents.as_slice() {
            [features] => Shape::Features(features),
            [channels, height, width] => Shape::Map { channels, height, width },
            _ => {
                let message = format!("an input has 1 or 3 axes besides `time`, found {}", extents.len());
                let diagnostic = Diagnostic::error(Slug::BadInput, message).at(input.span, "");
                self.error(diagnostic.help("write `[features]` or `[channels, height, width]`"));
                return None;
            }
        };
        if kind == Kind::Spikes && !time {
            let diagnostic = Diagnostic::error(Slug::BadInput, "spikes bring their own time axis");
            let diagnostic = diagnostic.at(input.span, "no time axis");
            self.error(diagnostic.help(format!("write `{}: spike[time, …]`", input.name.text)));
            return None;
        }
        Some(Input { name: input.name.text.clone(), shape, time, kind, encoder: None })
    }

    fn extent(&mut self, axis: &'p Expr) -> Option<usize> {
        if axis.as_name() == Some("time") {
            let diagnostic = Diagnostic::error(Slug::BadInput, "`time` is the first axis");
            self.error(diagnostic.at(axis.span, "not the first"));
            return None;
        }
        let value = self.eval(axis);
        self.int(value, axis.span, "an extent", 1, MAX_EXTENT)
    }

    /// The node of the result, and its classes.
    fn result_of(&mut self, result: Value, expr: &Expr) -> Option<(usize, usize)> {
        let node = match result {
            Value::Tensor(node) => node,
            Value::Poison => return None,
            other => {
                let message = format!("the network's result is a tensor, found {}", other.describe());
                self.error(Diagnostic::error(Slug::BadResult, message).at(expr.span, ""));
                return None;
            }
        };
        let output = self.nodes[node].output;
        let span = self.nodes[node].span;
        let (found, help) = match (output.time, output.shape) {
            (None, Shape::Features(classes)) => return Some((node, classes)),
            (Some(_), Shape::Features(_)) => ("a time axis", "end the network with `|> mean(time)`"),
            (_, Shape::Map { .. }) => {
                ("rows and columns", "end the network with `|> flatten |> linear(classes) |> mean(time)`")
            }
        };
        let message = format!("the network's result is one number per class, but has {found}");
        self.error(Diagnostic::error(Slug::BadResult, message).at(span, "the result").help(help));
        None
    }

    /// Removes layers that the result does not need, with a warning; the input stays, the result is last then.
    fn drop_unused(&mut self, result: usize) {
        let mut used = vec![false; self.nodes.len()];
        let mut renumbered = Vec::with_capacity(used.len());
        used[result] = true;
        for at in (0..self.nodes.len()).rev().filter(|&at| at > 0) {
            if used[at] {
                self.nodes[at].inputs.iter().for_each(|&input| used[input] = true);
            }
        }
        if let Some(first) = used.first_mut() {
            *first = true;
        }
        let mut kept = 0;
        for &used in &used {
            renumbered.push(kept);
            kept += usize::from(used);
        }
        let nodes = std::mem::take(&mut self.nodes);
        for (at, mut node) in nodes.into_iter().enumerate() {
            if used[at] {
                node.inputs.iter_mut().for_each(|input| *input = renumbered[*input]);
                self.nodes.push(node);
            } else if node.layer != Layer::Broadcast {
                let message = format!("layer `{}` does not contribute to the result", node.path);
                let diagnostic = Diagnostic::warning(Slug::UnusedLayer, message);
                self.error(diagnostic.at(node.span, "left out"));
            }
        }
    }
}

/// The value of `-D name=text`, where the default's kind allows it; otherwise what is expected.
fn overridden(default: &Value, text: &str) -> Result<Value, &'static str> {
    let text = text.trim();
    match default {
        Value::Int(_) => text.parse().map(Value::Int).map_err(|_| "a whole number"),
        Value::Float(_) => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Value::Float(value)),
            Ok(_) | Err(_) => Err("a number"),
        },
        Value::Bool(_) => text.parse().map(Value::Bool).map_err(|_| "`true` or `false`"),
        Value::Text(_) => Ok(Value::Text(text.to_string())),
        Value::Tensor(_) | Value::Poison => Ok(Value::Poison),
    }
}
