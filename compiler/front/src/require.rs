//! `require spike_driven`: proof that no product but those that encode the input multiplies real activations.
//!
//! A product is a convolution or a matrix product. It may read spikes, counts, and averages of spikes, whose sums
//! are additions of weights with one factor at the end; and the encoding layers may read the input itself.

use crate::ast::Name;
use crate::diagnostic::Diagnostic;
use crate::eval::Expander;
use crate::model::{Layer, Node};
use crate::resolve;
use crate::shape::Kind;
use crate::slug::Slug;

/// What can be required.
const REQUIREMENTS: [&str; 1] = ["spike_driven"];

/// What an activation is made of.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    /// Spikes, or sums and averages of some.
    Spikes,
    /// The input, before any product.
    Input,
    /// Anything else.
    Real,
}

impl<'p> Expander<'p> {
    /// Reports what the requirements of the network forbid.
    pub(crate) fn check_requirements(&mut self, requires: &'p [Name]) {
        for name in requires {
            if REQUIREMENTS.contains(&name.text.as_str()) {
                self.spike_driven(name);
            } else {
                let diagnostic = resolve::unknown(&name.text, name.span, REQUIREMENTS);
                self.error(diagnostic.help("write `require spike_driven`"));
            }
        }
    }

    fn spike_driven(&mut self, required: &Name) {
        let mut sources: Vec<Source> = Vec::with_capacity(self.nodes.len());
        let mut faults = Vec::new();
        for node in &self.nodes {
            if is_product(node) && node.inputs.iter().any(|&input| sources[input] == Source::Real) {
                let from = &self.nodes[node.inputs[0]];
                let message = format!("`{}` multiplies real-valued activations", node.layer.word());
                faults.push(
                    Diagnostic::error(Slug::NotSpikeDriven, message)
                        .at(node.span, format!("`{}` is not driven by spikes", node.path))
                        .with(from.span, "real values come from here")
                        .with(required.span, "required here")
                        .help("put a neuron before it: `|> lif`"),
                );
            }
            sources.push(source(node, &sources));
        }
        for fault in faults {
            self.error(fault);
        }
    }
}

fn is_product(node: &Node) -> bool {
    matches!(node.layer, Layer::Conv { .. } | Layer::Linear { .. })
}

/// What a layer's result is made of, where its inputs are known.
fn source(node: &Node, sources: &[Source]) -> Source {
    let inputs = || node.inputs.iter().map(|&input| sources[input]);
    match (node.output.kind, &node.layer) {
        (Kind::Spikes | Kind::Counts, _) => Source::Spikes,
        (Kind::Real, Layer::Input) => Source::Input,
        (Kind::Real, Layer::Conv { .. } | Layer::Linear { .. } | Layer::Neuron(_)) => Source::Real,
        // A norm or a factor of its own at each timestep makes sums of spikes real, but leaves the input itself.
        (Kind::Real, Layer::Norm { .. } | Layer::StepGate) => {
            if inputs().all(|source| source == Source::Input) { Source::Input } else { Source::Real }
        }
        (
            Kind::Real,
            Layer::Broadcast
            | Layer::MaxPool(_)
            | Layer::AvgPool(_)
            | Layer::Flatten
            | Layer::Add
            | Layer::Attention(_)
            | Layer::Mask { .. }
            | Layer::SumSpace
            | Layer::SumTime
            | Layer::SumChannels(_)
            | Layer::Mean,
        ) => joined(inputs()),
    }
}

/// What a linear combination is made of: spikes beside the input are real.
fn joined(mut sources: impl Iterator<Item = Source>) -> Source {
    let first = sources.next().unwrap_or(Source::Real);
    if sources.all(|source| source == first) { first } else { Source::Real }
}
