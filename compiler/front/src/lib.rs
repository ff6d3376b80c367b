//! From the text of a model to a checked model and its tensor IR.
//!
//! ```text
//! SourceMap ──parse──▶ ast::File ──program, resolve──▶ names known
//!           ──eval, expand, layers──▶ Model ──lower──▶ snnc_ir::Graph
//! ```
//!
//! Whatever the text, the answer is a model or diagnostics: every number is checked, every recursion and
//! every count has a limit.

#![forbid(unsafe_code)]

pub mod ast;
pub mod diagnostic;
pub mod lower;
pub mod model;
pub mod sample;
pub mod shape;
pub mod slug;
pub mod source;
pub mod span;
mod style;
mod surrogate;

mod analyze;
mod args;
mod ast_print;
mod attention;
mod augment;
mod encoder;
mod eval;
mod expand;
mod layers;
mod loss;
mod near;
mod neuron;
mod parse;
mod program;
mod recipe;
mod require;
mod resolve;
mod syntax;
mod value;

pub use analyze::{analyze, syntax_tree};
pub use diagnostic::{Diagnostic, Label, Severity, render};
pub use eval::MAX_LAYERS;
pub use lower::to_graph;
pub use model::{
    Encoder, Init, Input, Layer, LayerRow, Loss, LossTerm, Model, NeuronLayer, Node, Optimizer, RateForm,
    Recipe, Schedule,
};
pub use sample::{Augment, Normalization, Policy, SplitBy};
pub use shape::{Activation, Kind, Shape};
pub use slug::Slug;
pub use source::{SourceFile, SourceMap};
pub use span::{FileId, Span};
