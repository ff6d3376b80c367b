//! Expressions at compile time: numbers are computed, tensors become nodes of the model.
//!
//! Every evaluation counts against limits of depth and work, so that no text, however malicious, overflows
//! the stack or runs for ever.

use crate::ast::{BinaryOp, Body, Expr, ExprKind, Name, UnaryOp};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Layer, Node};
use crate::program::Program;
use crate::resolve;
use crate::shape::{Activation, MAX_ELEMENTS, Shape};
use crate::slug::Slug;
use crate::span::Span;
use crate::style::Style;
use crate::value::{Value, binary, unary};
use std::collections::HashMap;

/// How deep evaluations may nest, over all block calls.
const MAX_DEPTH: usize = 200;

/// How many expressions are evaluated.
const MAX_WORK: usize = 2_000_000;

/// The largest number of layers of a model.
pub const MAX_LAYERS: usize = 100_000;

/// The longest path of a layer, in bytes.
const MAX_PATH: usize = 500;

/// The state of an expansion.
pub(crate) struct Expander<'p> {
    pub program: &'p Program,
    pub diagnostics: Diagnostics,
    /// The file's parameters after overrides.
    pub params: Vec<(String, Value)>,
    /// Named neurons.
    pub neurons: HashMap<String, Option<Style>>,
    /// The layers so far.
    pub nodes: Vec<Node>,
    /// Timesteps of the network.
    pub timesteps: usize,
    pub(crate) frame: Frame,
    /// Names in use, with how often each was asked for.
    claimed: HashMap<String, usize>,
    depth: usize,
    work: usize,
    /// Whether a limit was hit: everything after it is silent.
    pub stopped: bool,
}

/// What the body that is being evaluated sees.
#[derive(Default)]
pub(crate) struct Frame {
    /// Arguments and bindings.
    pub vars: Vec<(String, Value)>,
    /// The path of the layers that are made here.
    pub path: String,
    /// Whether the path ends in the name of a binding.
    pub bound: bool,
    /// The call of the block whose body this is.
    pub site: Option<(Span, String)>,
}

impl<'p> Expander<'p> {
    pub fn new(program: &'p Program, diagnostics: Diagnostics) -> Expander<'p> {
        Expander {
            program,
            diagnostics,
            params: Vec::new(),
            neurons: HashMap::new(),
            nodes: Vec::new(),
            timesteps: 1,
            frame: Frame::default(),
            claimed: HashMap::new(),
            depth: 0,
            work: 0,
            stopped: false,
        }
    }

    /// Reports a fault; inside a block it also says from where the block was called.
    pub fn error(&mut self, diagnostic: Diagnostic) -> Value {
        if !self.stopped {
            self.diagnostics.push(match &self.frame.site {
                Some((span, block)) => diagnostic.with(*span, format!("in this call of `{block}`")),
                None => diagnostic,
            });
        }
        Value::Poison
    }

    /// Reports a fault after which nothing more is evaluated.
    pub fn stop(&mut self, diagnostic: Diagnostic) -> Value {
        self.error(diagnostic);
        self.stopped = true;
        Value::Poison
    }

    /// The value of an expression.
    pub fn eval(&mut self, expr: &'p Expr) -> Value {
        self.work += 1;
        if self.stopped {
            return Value::Poison;
        }
        if self.work > MAX_WORK {
            return self.stop(too_much(expr.span));
        }
        if self.depth >= MAX_DEPTH {
            return self.stop(too_deep(expr.span));
        }
        self.depth += 1;
        let value = self.eval_kind(expr);
        self.depth -= 1;
        value
    }

    fn eval_kind(&mut self, expr: &'p Expr) -> Value {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Int(value) => Value::Int(*value),
            ExprKind::Float(value) => Value::Float(*value),
            ExprKind::Bool(value) => Value::Bool(*value),
            ExprKind::Text(value) => Value::Text(value.clone()),
            ExprKind::Invalid => Value::Poison,
            ExprKind::Name(name) => self.name(name, span),
            ExprKind::Member(base, member) => self.member(base, member),
            ExprKind::Call(call) => self.call(call, None, &[]),
            ExprKind::If(arms, otherwise) => self.conditional(arms, otherwise),
            ExprKind::Unary(op, count, operand) => {
                let operand = self.eval(operand);
                unary(*op, *count, operand).unwrap_or_else(|fault| self.fault(fault, span))
            }
            ExprKind::Chain(first, rest) => self.chain(first, rest),
            ExprKind::Pipe(first, steps) => {
                let (mut value, mut from) = (self.eval(first), first.span);
                for step in steps {
                    value = self.call(&step.call, Some((value, from)), &step.repeats);
                    from = step.call.span;
                }
                value
            }
        }
    }

    fn fault(&mut self, (slug, message): (Slug, String), span: Span) -> Value {
        self.error(Diagnostic::error(slug, message).at(span, ""))
    }

    fn name(&mut self, name: &str, span: Span) -> Value {
        let local = self.frame.vars.iter().rev().find(|(local, _)| local == name);
        if let Some((_, value)) = local.or_else(|| self.params.iter().find(|(param, _)| param == name)) {
            return value.clone();
        }
        if let Some(param) = self.program.params.iter().find(|param| param.name.text == name) {
            let message = format!("parameter `{name}` is used before its line");
            return self.error(
                Diagnostic::error(Slug::UnknownName, message)
                    .at(span, "not yet known here")
                    .with(param.name.span, "defined here")
                    .help("move the parameter up"),
            );
        }
        let names = self.frame.vars.iter().chain(&self.params).map(|(name, _)| name.as_str());
        let diagnostic = resolve::unknown(name, span, names);
        self.error(diagnostic)
    }

    fn member(&mut self, base: &'p Expr, member: &Name) -> Value {
        let node = match self.eval(base) {
            Value::Tensor(node) => node,
            Value::Poison => return Value::Poison,
            other => {
                let message = format!("`.{}` needs a tensor, found {}", member.text, other.describe());
                return self.error(Diagnostic::error(Slug::WrongKind, message).at(base.span, ""));
            }
        };
        let shape = self.nodes[node].output.shape;
        let extent = match (member.text.as_str(), shape) {
            ("channels", shape) => shape.channels(),
            ("height", Shape::Map { height, .. }) => height,
            ("width", Shape::Map { width, .. }) => width,
            ("height" | "width", Shape::Features(_)) => {
                let message = format!("`.{}` needs rows and columns, found features", member.text);
                let diagnostic = Diagnostic::error(Slug::NeedsMap, message).at(member.span, "");
                return self
                    .error(diagnostic.with(self.nodes[node].span, format!("{shape} comes from here")));
            }
            (other, _) => {
                let diagnostic = resolve::unknown(other, member.span, ["channels", "height", "width"]);
                return self.error(diagnostic);
            }
        };
        Value::Int(extent as i64)
    }

    fn conditional(&mut self, arms: &'p [(Expr, Body)], otherwise: &'p Body) -> Value {
        match self.chosen(arms, otherwise) {
            Some(body) => self.body(body),
            None => Value::Poison,
        }
    }

    /// The body whose condition holds; nothing after a fault.
    pub fn chosen(&mut self, arms: &'p [(Expr, Body)], otherwise: &'p Body) -> Option<&'p Body> {
        for (condition, body) in arms {
            match self.eval(condition) {
                Value::Bool(true) => return Some(body),
                Value::Bool(false) => {}
                Value::Poison => return None,
                other => {
                    let message = format!("`if` needs a truth value, found {}", other.describe());
                    self.error(Diagnostic::error(Slug::WrongKind, message).at(condition.span, ""));
                    return None;
                }
            }
        }
        Some(otherwise)
    }

    /// Bindings, then the result; the bindings end with the body, the names they gave to layers stay.
    pub fn body(&mut self, body: &'p Body) -> Value {
        let outer = self.frame.vars.len();
        for binding in &body.bindings {
            let (path, bound) = (self.frame.path.clone(), self.frame.bound);
            let segment = self.claim(&binding.name.text);
            self.frame.path = join(&path, &segment);
            self.frame.bound = true;
            let value = self.eval(&binding.value);
            self.frame.path = path;
            self.frame.bound = bound;
            self.frame.vars.push((binding.name.text.clone(), value));
        }
        let result = self.eval(&body.result);
        self.frame.vars.truncate(outer);
        result
    }

    fn chain(&mut self, first: &'p Expr, rest: &'p [(BinaryOp, Expr)]) -> Value {
        let mut value = self.eval(first);
        let mut span = first.span;
        for (op, operand) in rest {
            // `false and …` and `true or …` are decided by their left side.
            let neutral = *op == BinaryOp::And;
            if matches!(op, BinaryOp::And | BinaryOp::Or) && value == Value::Bool(!neutral) {
                continue;
            }
            value = match (&value, &operand.kind) {
                (Value::Tensor(x), ExprKind::Unary(UnaryOp::Not, count, inner)) if neutral => {
                    let (x, gate) = (*x, self.eval(inner));
                    self.gate((x, span), (gate, operand.span), count % 2 == 1)
                }
                _ => {
                    let next = self.eval(operand);
                    self.join(*op, (value, span), (next, operand.span))
                }
            };
            span = span.to(operand.span);
        }
        value
    }

    /// Applies an operator of two operands, tensors or not.
    fn join(&mut self, op: BinaryOp, (a, a_span): (Value, Span), (b, b_span): (Value, Span)) -> Value {
        match (op, a, b) {
            (_, Value::Poison, _) | (_, _, Value::Poison) => Value::Poison,
            // What stands on the left did not decide: the right does.
            (BinaryOp::And | BinaryOp::Or, Value::Bool(_), Value::Bool(b)) => Value::Bool(b),
            (BinaryOp::Add, Value::Tensor(a), Value::Tensor(b)) => self.add((a, a_span), (b, b_span)),
            (BinaryOp::And, Value::Tensor(a), b) => self.gate((a, a_span), (b, b_span), false),
            (op, a, b) => {
                let tensor = matches!(a, Value::Tensor(_)) || matches!(b, Value::Tensor(_));
                let result = binary(op, &a, &b);
                result.unwrap_or_else(|(slug, message)| {
                    let diagnostic = Diagnostic::error(slug, message).at(a_span.to(b_span), "");
                    self.error(if tensor && op != BinaryOp::Add {
                        diagnostic.help("tensors are joined by `+`, `and` and `and not`")
                    } else {
                        diagnostic
                    })
                })
            }
        }
    }

    fn add(&mut self, (a, a_span): (usize, Span), (b, b_span): (usize, Span)) -> Value {
        let (left, right) = (&self.nodes[a], &self.nodes[b]);
        let (x, y) = (left.output, right.output);
        if x.shape != y.shape {
            let message = format!("`+` needs equal shapes, found {} and {}", x.shape, y.shape);
            let diagnostic = Diagnostic::error(Slug::ShapeMismatch, message)
                .at(b_span, format!("expected {}", x.shape))
                .with(left.span, format!("{} comes from here", x.shape))
                .with(right.span, format!("{} comes from here", y.shape))
                .help("bring one side to the other's shape, for example by a 1×1 `conv` with a stride");
            return self.error(diagnostic);
        }
        if x.time.is_none() || y.time.is_none() {
            return self.error(no_time("+", b_span));
        }
        let output = Activation { kind: x.kind.plus(y.kind), ..x };
        let segment = self.claim("add");
        let path = join(&self.frame.path, &segment);
        self.push(Node { path, layer: Layer::Add, inputs: vec![a, b], output, span: a_span.to(b_span) })
    }

    /// Adds a layer, within the limits of count, size and path.
    pub fn push(&mut self, node: Node) -> Value {
        if self.nodes.len() >= MAX_LAYERS {
            let message = format!("the model has more than {MAX_LAYERS} layers");
            return self.stop(Diagnostic::error(Slug::TooLarge, message).at(node.span, "at this layer"));
        }
        if node.path.len() > MAX_PATH {
            let message = format!("the path of a layer is longer than {MAX_PATH} letters");
            return self.stop(Diagnostic::error(Slug::TooDeep, message).at(node.span, "at this layer"));
        }
        if node.output.elements().is_none_or(|elements| elements > MAX_ELEMENTS) {
            let steps = node.output.time.unwrap_or(1);
            let message = format!("{} over {steps} timesteps is too large", node.output.shape);
            return self.error(
                Diagnostic::error(Slug::TooLarge, message)
                    .at(node.span, format!("a tensor has at most {MAX_ELEMENTS} elements per sample")),
            );
        }
        self.nodes.push(node);
        Value::Tensor(self.nodes.len() - 1)
    }

    /// A segment for `name` that no other layer, block call or binding of the same path has: `name`, then
    /// `name_2`, `name_3`, …
    pub fn claim(&mut self, name: &str) -> String {
        let base = join(&self.frame.path, name);
        let count = self.claimed.entry(base.clone()).or_insert(0);
        *count += 1;
        if *count == 1 {
            return name.to_string();
        }
        let mut n = *count;
        while self.claimed.contains_key(&format!("{base}_{n}")) {
            n += 1;
        }
        self.claimed.insert(base.clone(), n);
        self.claimed.insert(format!("{base}_{n}"), 1);
        format!("{name}_{n}")
    }
}

/// A path and one segment more.
pub(crate) fn join(path: &str, segment: &str) -> String {
    if path.is_empty() { segment.to_string() } else { format!("{path}.{segment}") }
}

/// The fault of a layer behind the mean over time.
pub(crate) fn no_time(what: &str, span: Span) -> Diagnostic {
    Diagnostic::error(Slug::NoTimeAxis, format!("`{what}` comes after `mean(time)`"))
        .at(span, "there is no time axis any more")
        .help("make `mean(time)` the last step of the network")
}

fn too_much(span: Span) -> Diagnostic {
    let message = format!("the model needs more than {MAX_WORK} evaluations");
    Diagnostic::error(Slug::TooLarge, message)
        .at(span, "reached here")
        .help("look for blocks that call each other many times over")
}

fn too_deep(span: Span) -> Diagnostic {
    let message = format!("calls and expressions nest deeper than {MAX_DEPTH} levels");
    Diagnostic::error(Slug::TooDeep, message)
        .at(span, "one level too many")
        .help("call fewer blocks from within blocks")
}
