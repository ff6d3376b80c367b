//! The kernel IR: loops over rows of f32 and words of spike bits, and the lowering from the tensor IR.

#![forbid(unsafe_code)]

mod assign_buffers;
pub mod body;
pub mod build;
pub mod cost;
mod expand;
mod form;
pub mod interp;
mod lower;
pub mod math;
mod print;
pub mod verify;

pub use expand::expand;
pub use form::{Form, Forms, form};
pub use lower::{LowerError, Lowered, Product, Settings, check_forms, lower};
