//! The syntax tree: what the file says, a span on every node, nothing resolved.
//!
//! Chains (`a + b + c`, `x |> f |> g`) are lists, not nests: the tree is as deep as the brackets of the text,
//! which are limited, so that recursion over it is safe.

use crate::span::Span;

/// A name where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// A file.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct File {
    /// What it holds, in order.
    pub items: Vec<Item>,
}

/// What stands at the top level.
#[derive(Clone, PartialEq, Debug)]
pub enum Item {
    /// `include "blocks.snn"`.
    Include(Include),
    /// `param width = 64`.
    Param(Param),
    /// `neuron lif = LIF(…)`.
    Neuron(Neuron),
    /// `block unit(x) { … }`.
    Block(Block),
    /// `network digits { … }`.
    Network(Network),
    /// `train { … }`.
    Train(Train),
}

/// The items of another file.
#[derive(Clone, PartialEq, Debug)]
pub struct Include {
    /// The path as written.
    pub path: String,
    /// The path's place.
    pub span: Span,
}

/// A parameter of the file.
#[derive(Clone, PartialEq, Debug)]
pub struct Param {
    /// Its name.
    pub name: Name,
    /// Its default.
    pub value: Expr,
}

/// A named neuron.
#[derive(Clone, PartialEq, Debug)]
pub struct Neuron {
    /// Its name.
    pub name: Name,
    /// The model or neuron it is made from, with the fields that differ.
    pub base: Call,
}

/// A function of tensors and numbers.
#[derive(Clone, PartialEq, Debug)]
pub struct Block {
    /// Its name.
    pub name: Name,
    /// Its arguments.
    pub formals: Vec<Formal>,
    /// What it computes.
    pub body: Body,
}

/// An argument of a block.
#[derive(Clone, PartialEq, Debug)]
pub struct Formal {
    /// Its name.
    pub name: Name,
    /// Its default.
    pub default: Option<Expr>,
}

/// Bindings and a result.
#[derive(Clone, PartialEq, Debug)]
pub struct Body {
    /// The bindings, in order.
    pub bindings: Vec<Binding>,
    /// The result.
    pub result: Box<Expr>,
}

/// `let y = …`.
#[derive(Clone, PartialEq, Debug)]
pub struct Binding {
    /// Its name.
    pub name: Name,
    /// Its value.
    pub value: Expr,
}

/// A network.
#[derive(Clone, PartialEq, Debug)]
pub struct Network {
    /// Its name.
    pub name: Name,
    /// Each `timesteps` that is written; one is expected.
    pub timesteps: Vec<Expr>,
    /// Each `input` that is written; one is expected.
    pub inputs: Vec<Input>,
    /// What is to be proved of it: `spike_driven`.
    pub requires: Vec<Name>,
    /// What it computes.
    pub body: Body,
}

/// `input image: f32[3, 32, 32]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Input {
    /// Its name.
    pub name: Name,
    /// `f32` or `spike`.
    pub elem: Name,
    /// Its axes; the word `time` stands for the time axis.
    pub axes: Vec<Expr>,
    /// What the samples go through; one at most is expected.
    pub encoders: Vec<Call>,
    /// The whole declaration.
    pub span: Span,
}

/// The settings of the training.
#[derive(Clone, PartialEq, Debug)]
pub struct Train {
    /// In order.
    pub fields: Vec<Field>,
    /// The whole block.
    pub span: Span,
}

/// One setting.
#[derive(Clone, PartialEq, Debug)]
pub struct Field {
    /// Its name.
    pub name: Name,
    /// Its value.
    pub value: Expr,
}

/// An expression.
#[derive(Clone, PartialEq, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its place.
    pub span: Span,
}

/// The forms of expressions.
#[derive(Clone, PartialEq, Debug)]
pub enum ExprKind {
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Text in quotes.
    Text(String),
    /// A number that does not fit: already reported.
    Invalid,
    /// A name.
    Name(String),
    /// `x.channels`.
    Member(Box<Expr>, Name),
    /// `conv(64)`.
    Call(Call),
    /// `if … else …`: conditions with their bodies, and the last `else`.
    If(Vec<(Expr, Body)>, Body),
    /// A sign or `not`, applied this many times.
    Unary(UnaryOp, usize, Box<Expr>),
    /// Operators of one level, from left to right.
    Chain(Box<Expr>, Vec<(BinaryOp, Expr)>),
    /// `x |> f |> g`.
    Pipe(Box<Expr>, Vec<Step>),
}

/// Operators of one operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnaryOp {
    /// `-`.
    Minus,
    /// `not`.
    Not,
}

/// Operators of two operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BinaryOp {
    /// `+`.
    Add,
    /// `-`.
    Sub,
    /// `*`.
    Mul,
    /// `/`.
    Div,
    /// `%`.
    Rem,
    /// `==`.
    Eq,
    /// `!=`.
    Ne,
    /// `<`.
    Lt,
    /// `<=`.
    Le,
    /// `>`.
    Gt,
    /// `>=`.
    Ge,
    /// `and`.
    And,
    /// `or`.
    Or,
}

impl BinaryOp {
    /// Every operator with its text form.
    pub const ALL: [(BinaryOp, &'static str); 13] = [
        (BinaryOp::Add, "+"),
        (BinaryOp::Sub, "-"),
        (BinaryOp::Mul, "*"),
        (BinaryOp::Div, "/"),
        (BinaryOp::Rem, "%"),
        (BinaryOp::Eq, "=="),
        (BinaryOp::Ne, "!="),
        (BinaryOp::Lt, "<"),
        (BinaryOp::Le, "<="),
        (BinaryOp::Gt, ">"),
        (BinaryOp::Ge, ">="),
        (BinaryOp::And, "and"),
        (BinaryOp::Or, "or"),
    ];

    /// The text form.
    pub fn as_str(self) -> &'static str {
        BinaryOp::ALL.iter().find(|(op, _)| *op == self).map_or("", |(_, text)| text)
    }
}

/// A step of a pipe.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// The counts of `repeat`, outermost first.
    pub repeats: Vec<Expr>,
    /// What the value enters.
    pub call: Call,
}

/// A call; without parentheses it is a bare name.
#[derive(Clone, PartialEq, Debug)]
pub struct Call {
    /// What is called.
    pub name: Name,
    /// The arguments.
    pub args: Vec<Arg>,
    /// The whole call.
    pub span: Span,
}

/// An argument.
#[derive(Clone, PartialEq, Debug)]
pub struct Arg {
    /// The formal's name, where it is written.
    pub name: Option<Name>,
    /// The value.
    pub value: Expr,
}

impl Expr {
    /// The bare name that this expression is, if it is one: words such as `global` or `time`.
    pub fn as_name(&self) -> Option<&str> {
        match &self.kind {
            ExprKind::Name(name) => Some(name),
            ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Bool(_)
            | ExprKind::Text(_)
            | ExprKind::Invalid
            | ExprKind::Member(..)
            | ExprKind::Call(_)
            | ExprKind::If(..)
            | ExprKind::Unary(..)
            | ExprKind::Chain(..)
            | ExprKind::Pipe(..) => None,
        }
    }

    /// This expression as a call: a bare name is a call without arguments.
    pub fn as_call(&self) -> Option<Call> {
        if let ExprKind::Call(call) = &self.kind {
            return Some(call.clone());
        }
        let name = Name { text: self.as_name()?.to_string(), span: self.span };
        Some(Call { name, args: Vec::new(), span: self.span })
    }
}
