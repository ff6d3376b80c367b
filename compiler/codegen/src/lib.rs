//! From kernel IR to machine code through Cranelift.
//!
//! ```text
//! each_bit i of word { acc = acc + load w[i*32] }
//!
//!   tzcnt  rdx, rcx                 ; the lowest set bit
//!   blsr   rcx, rcx
//!   shl    rdx, 7
//!   vaddps xmm0, xmm0, [r9+rdx]     ; a row of 32 channels is eight vectors of four
//!   …
//! ```
//!
//! It does not choose: tiles, orders and what stays in registers are settled in the kernel IR. Here a row becomes
//! vectors of four lanes and scalars for the rest, and index sums are ordered so that loops keep only their own part.
//!
//! Invariant: results are the same bits as the kernel interpreter's (NaN aside): no contraction, no reassociation.

#![deny(unsafe_op_in_unsafe_fn)]

mod code;
mod emit;
mod isa;
mod wide;

pub use code::{Code, CodegenError, Options, RunError, Vectors, compile, run_as, run_both};
