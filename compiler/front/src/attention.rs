//! Attention and what its relatives are made of: gates of spikes (`and`, `and not`) and sums.
//!
//! ```text
//! attention(q, k, v, over: space, heads: 2)                  ; counts
//! q and (k and v |> sum(space) |> lif(threshold: 0.5))       ; spike-driven self-attention
//! k and (q |> sum(channels) |> lif(threshold: 0.5))          ; one bit for each token
//! ```

use crate::args::Range;
use crate::ast::{Call, Expr, ExprKind};
use crate::diagnostic::Diagnostic;
use crate::eval::{Expander, join, no_time};
use crate::layers::Spec;
use crate::model::{Layer, Node};
use crate::shape::{Activation, Kind, MAX_EXTENT, Shape};
use crate::slug::Slug;
use crate::span::Span;
use crate::value::Value;
use snnc_ir::{Attention, Order, Over};

/// The firing rate of queries, keys and values that `scale: auto` expects.
const EXPECTED_RATE: f64 = 0.15;

/// An attention before it meets its tensors.
#[derive(Clone)]
pub(crate) struct AttentionSpec {
    over: Over,
    heads: usize,
    heads_span: Span,
    causal: bool,
    /// The factor; `None` is chosen by the size of the sums.
    scale: Option<f32>,
    order: Order,
}

impl<'p> Expander<'p> {
    /// `over, heads, causal, scale, order` of an attention.
    pub(crate) fn attention_spec(
        &mut self,
        call: &'p Call,
        [over, heads, causal, scale, order]: [Option<&'p Expr>; 5],
    ) -> Option<Spec> {
        let over_span = over?.span;
        let over = self.over(over?);
        let heads_span = heads.map_or(call.span, |heads| heads.span);
        let heads = self.int_arg(heads, "`heads`", 1, MAX_EXTENT, 1);
        let causal_span = causal.map_or(call.span, |causal| causal.span);
        let causal = self.bool_arg(causal, "`causal`", false);
        let scale = match scale {
            Some(scale) if scale.as_name() == Some("auto") => Some(None),
            scale => self.real_arg(scale, "`scale`", Range::Positive, 1.0).map(|scale| Some(scale as f32)),
        };
        let order = order.map_or(Some(Order::Auto), |order| {
            Some(match self.word(order, "order", &["auto", "kv_first", "qk_first"])? {
                "auto" => Order::Auto,
                "kv_first" => Order::KvFirst,
                _ => Order::QkFirst,
            })
        });
        let (over, causal) = (over?, causal?);
        if causal && over == Over::Space {
            let message = "`causal` orders timesteps, but `over: space` looks at each timestep alone";
            let diagnostic = Diagnostic::error(Slug::BadValue, message)
                .at(causal_span, "has no effect")
                .with(over_span, "each timestep alone")
                .help("leave `causal` out, or attend over `time` or `space_time(chunk: …)`");
            self.error(diagnostic);
            return None;
        }
        let (heads, scale, order) = (heads?, scale?, order?);
        Some(Spec::Attention(AttentionSpec { over, heads, heads_span, causal, scale, order }))
    }

    /// `space`, `time` or `space_time(chunk: n)`.
    fn over(&mut self, arg: &'p Expr) -> Option<Over> {
        if let ExprKind::Call(call) = &arg.kind
            && call.name.text == "space_time"
        {
            let args = self.settings(call, &["chunk"], 1)?;
            let chunk = self.int_arg(args[0], "`chunk`", 1, MAX_EXTENT, 1)?;
            if !self.timesteps.is_multiple_of(chunk) {
                let message =
                    format!("a chunk divides the timesteps: {chunk} does not divide {}", self.timesteps);
                let diagnostic = Diagnostic::error(Slug::BadValue, message).at(call.span, "");
                let divisors = (1..=self.timesteps).filter(|n| self.timesteps.is_multiple_of(*n));
                let divisors: Vec<String> = divisors.map(|n| n.to_string()).collect();
                self.error(diagnostic.help(format!("the chunk is one of: {}", divisors.join(", "))));
                return None;
            }
            return Some(Over::SpaceTime(chunk));
        }
        let help = "write `over: space`, `over: time` or `over: space_time(chunk: n)`";
        match arg.as_name() {
            Some("space") => return Some(Over::Space),
            Some("time") => return Some(Over::Time),
            _ => {}
        }
        let message = "`over` is the axes along which tokens see each other";
        self.error(Diagnostic::error(Slug::BadValue, message).at(arg.span, "").help(help));
        None
    }

    /// `over` and `groups` of a sum.
    pub(crate) fn sum_spec(&mut self, [over, groups]: [Option<&'p Expr>; 2]) -> Option<Spec> {
        let spec = match self.word(over?, "sum", &["space", "time", "channels"])? {
            "space" => Spec::SumSpace,
            "time" => Spec::SumTime,
            _ => return Some(Spec::SumChannels(self.int_arg(groups, "`groups`", 1, MAX_EXTENT, 1)?)),
        };
        if let Some(groups) = groups {
            let message = "`groups` belongs to a sum over channels";
            let diagnostic = Diagnostic::error(Slug::UnknownArgument, message).at(groups.span, "");
            self.error(diagnostic.help("write `sum(channels, groups: …)`"));
            return None;
        }
        Some(spec)
    }

    /// The shape that a sum over groups of channels leaves.
    pub(crate) fn grouped(&mut self, groups: usize, input: usize, call: &Call) -> Option<Shape> {
        let (shape, span) = (self.nodes[input].output.shape, self.nodes[input].span);
        let channels = shape.channels();
        if channels.is_multiple_of(groups) {
            return Some(shape.with_channels(groups));
        }
        let message = format!("groups divide the channels: {groups} does not divide {channels}");
        let diagnostic = Diagnostic::error(Slug::ChannelMismatch, message).at(call.span, "");
        self.error(diagnostic.with(span, format!("{channels} channels come from here")));
        None
    }

    /// Applies attention to queries, keys and values.
    pub(crate) fn attention(
        &mut self,
        spec: &AttentionSpec,
        inputs: Vec<usize>,
        path: String,
        call: &Call,
    ) -> Value {
        let &[q, k, v] = inputs.as_slice() else { return Value::Poison };
        for (name, node) in [("q", q), ("k", k), ("v", v)] {
            if self.nodes[node].output.kind != Kind::Spikes {
                return self.no_spikes(
                    &format!("`attention` is between spikes, but `{name}` is"),
                    node,
                    call.span,
                );
            }
        }
        let (of_q, of_k, of_v) = (self.nodes[q].output, self.nodes[k].output, self.nodes[v].output);
        if of_q.shape.channels() != of_k.shape.channels() {
            return self.unequal_channels((q, k), call);
        }
        for (name, node, of) in [("k", k, of_k), ("v", v, of_v)] {
            if of.shape.with_channels(1) != of_q.shape.with_channels(1) {
                return self.unequal_positions((q, node), name, call);
            }
        }
        for (of, node) in [(of_q, q), (of_v, v)] {
            if !of.shape.channels().is_multiple_of(spec.heads) {
                return self.uneven_heads(spec, of.shape.channels(), node);
            }
        }
        let group = Attention {
            over: spec.over,
            causal: spec.causal,
            scale: 1.0,
            order: spec.order,
            heads: spec.heads,
        };
        let (steps, positions) = group.group(self.timesteps, of_q.shape.positions());
        let sums = (of_q.shape.channels() / spec.heads) as f64 * (steps * positions) as f64;
        let scale = spec.scale.unwrap_or_else(|| expected_scale(sums));
        let kind = if scale == 1.0 { Kind::Counts } else { Kind::Real };
        let layer = Layer::Attention(Attention { scale, ..group });
        self.push(Node { path, layer, inputs, output: Activation { kind, ..of_v }, span: call.span })
    }

    fn no_spikes(&mut self, what: &str, node: usize, span: Span) -> Value {
        let kind = match self.nodes[node].output.kind {
            Kind::Spikes => "spikes",
            Kind::Counts => "counts",
            Kind::Real => "real numbers",
        };
        let diagnostic = Diagnostic::error(Slug::NeedsSpikes, format!("{what} {kind}"))
            .at(span, "")
            .with(self.nodes[node].span, format!("{kind} come from here"))
            .help("put a neuron behind it: `|> lif`");
        self.error(diagnostic)
    }

    fn unequal_channels(&mut self, (q, k): (usize, usize), call: &Call) -> Value {
        let [of_q, of_k] = [q, k].map(|node| self.nodes[node].output.shape.channels());
        let message = format!("`attention` needs equal channels in `q` and `k`, found {of_q} and {of_k}");
        let diagnostic = Diagnostic::error(Slug::ChannelMismatch, message)
            .at(call.span, format!("expected {of_q}"))
            .with(self.nodes[q].span, format!("{of_q} channels come from here"))
            .with(self.nodes[k].span, format!("{of_k} channels come from here"))
            .help(format!("make `k` of {of_q} channels"));
        self.error(diagnostic)
    }

    fn unequal_positions(&mut self, (q, other): (usize, usize), name: &str, call: &Call) -> Value {
        let [of_q, found] = [q, other].map(|node| self.nodes[node].output.shape);
        let message =
            format!("`attention` needs equal rows and columns in `q` and `{name}`, found {of_q} and {found}");
        let diagnostic = Diagnostic::error(Slug::ShapeMismatch, message)
            .at(call.span, "")
            .with(self.nodes[q].span, format!("{of_q} comes from here"))
            .with(self.nodes[other].span, format!("{found} comes from here"));
        self.error(diagnostic.help("make queries, keys and values from one map"))
    }

    fn uneven_heads(&mut self, spec: &AttentionSpec, channels: usize, node: usize) -> Value {
        let heads = spec.heads;
        let message = format!("heads divide the channels: {heads} does not divide {channels}");
        let diagnostic = Diagnostic::error(Slug::ChannelMismatch, message)
            .at(spec.heads_span, "")
            .with(self.nodes[node].span, format!("{channels} channels come from here"));
        let near = (1..=heads).rev().find(|n| channels.is_multiple_of(*n)).unwrap_or(1);
        self.error(diagnostic.help(format!("write `heads: {near}`")))
    }

    /// `x and g`, and with `not` `x and not g`: x where the spikes g fire, or where they do not.
    pub(crate) fn gate(
        &mut self,
        (x, x_span): (usize, Span),
        (g, g_span): (Value, Span),
        not: bool,
    ) -> Value {
        let word = if not { "and not" } else { "and" };
        let g = match g {
            Value::Tensor(g) => g,
            Value::Poison => return Value::Poison,
            other => {
                let message =
                    format!("`{word}` of a tensor needs spikes beside it, found {}", other.describe());
                return self.error(Diagnostic::error(Slug::WrongKind, message).at(g_span, ""));
            }
        };
        let (of_x, of_g) = (self.nodes[x].output, self.nodes[g].output);
        if of_x.time.is_none() || of_g.time.is_none() {
            return self.error(no_time(word, g_span));
        }
        let fits = |x: Activation, g: Activation| g.kind == Kind::Spikes && covers(x.shape, g.shape);
        // `g and x` is `x and g`.
        let (x, g) = if !not && !fits(of_x, of_g) && fits(of_g, of_x) { (g, x) } else { (x, g) };
        let (of_x, of_g) = (self.nodes[x].output, self.nodes[g].output);
        if of_g.kind != Kind::Spikes {
            return self.no_spikes(&format!("`{word}` needs spikes on its right, but it has"), g, g_span);
        }
        if !covers(of_x.shape, of_g.shape) {
            let message = format!("`{word}` needs shapes that fit, found {} and {}", of_x.shape, of_g.shape);
            let help = "the right side has the shape of the left, or fewer channels that divide it, \
                        or no rows and columns";
            let diagnostic = Diagnostic::error(Slug::ShapeMismatch, message)
                .at(g_span, "")
                .with(self.nodes[x].span, format!("{} comes from here", of_x.shape))
                .with(self.nodes[g].span, format!("{} comes from here", of_g.shape));
            return self.error(diagnostic.help(help));
        }
        let segment = self.claim(if not { "and_not" } else { "and" });
        let path = join(&self.frame.path, &segment);
        let layer = Layer::Mask { not };
        self.push(Node { path, layer, inputs: vec![x, g], output: of_x, span: x_span.to(g_span) })
    }
}

/// Whether a gate of one shape stands for each element of a tensor of another.
fn covers(x: Shape, gate: Shape) -> bool {
    let divides = x.channels().is_multiple_of(gate.channels());
    let positions = match gate {
        Shape::Features(_) => true,
        Shape::Map { .. } => gate.with_channels(1) == x.with_channels(1),
    };
    divides && positions
}

/// `2^−k`, the power of two nearest to 1 over what a sum is expected to be with independent spikes; at most 1.
fn expected_scale(sums: f64) -> f32 {
    let expected = sums * EXPECTED_RATE.powi(3);
    (-expected.log2().round().max(0.0)).exp2() as f32
}
