//! The text form, `.snnir`: one instruction a line, its types before `=`, attributes in braces.
//!
//! ```text
//! graph @net stage=fused mode=train {
//!   param %w : f32[Co8 Ci4 Kh3 Kw3] weight
//!   input %x : spike[T4 B C4 H8 W8]
//!   %conv : f32[T4 B C8 H8 W8] = conv2d.masked_add %x, %w {stride=1, pad=1}
//!   %s, %win : spike[T4 B C8 H8 W8], spike[T4 B C8 H8 W8] = scan t in T4 slice (%c : f32[B C8 H8 W8] = %conv) carry (%v : f32[B C8 H8 W8] = 0) {
//!     %h : f32[B C8 H8 W8] = lif.charge %v, %c {decay=0.5, gain=1, current=0}
//!     %f : spike[B C8 H8 W8] = lif.fire %h {threshold=1, compare=ge}
//!     %i : spike[B C8 H8 W8] = lif.window %h {threshold=1, surrogate=rect(1)}
//!     %n : f32[B C8 H8 W8] = lif.reset %h, %f {reset=hard(0)}
//!     yield %f, %i carry %n
//!   }
//!   output %s
//!   grad %w = %w.grad
//!   update %running_mean = %running_mean.next
//! }
//! ```
//!
//! What is printed parses back to the same graph, and nothing is aligned over lines, so that an operation
//! added elsewhere changes no other line. `;` starts a comment. The parser takes any well-formed line: whether
//! the graph is right is the verifier's question.

mod attributes;
mod cursor;
mod lexer;
mod parse;
mod print;

pub use parse::{ParseError, parse, parse_type};
pub use print::print;
pub(crate) use print::{instruction, stage_name};

#[cfg(test)]
mod tests;
