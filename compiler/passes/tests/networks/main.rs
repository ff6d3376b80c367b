//! Random networks through the pipelines: results stay, and gradients are slopes.

mod gradients;
mod semantics;
mod support;
