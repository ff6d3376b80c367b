//! The kernel IR: loops over rows of f32 and words of spike bits, and the lowering from the tensor IR.

#![forbid(unsafe_code)]

pub mod body;
pub mod build;
