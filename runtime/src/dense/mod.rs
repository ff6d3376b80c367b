//! Dense products, by the `gemm` crate over chunks whose sizes depend on the product and the batch alone.

mod columns;
mod conv;
mod linear;
#[cfg(test)]
mod tests;
mod winograd;

use crate::Error;
use crate::arena::{Arena, Span, span};
use crate::workers::Workers;
use columns::Window;
use conv::InputGradient;
use snnc_plan::{BufferId, Dense, Plan};

/// What a step may use.
pub struct Context<'a> {
    /// Where buffers are described.
    pub plan: &'a Plan,
    /// Where they live.
    pub arena: &'a mut Arena,
    /// Memory that a product may use for itself: [`shared_floats`].
    pub shared: &'a mut Vec<f32>,
    /// Who computes, with [`scratch_floats`] for each.
    pub workers: &'a Workers,
    /// Samples of this step.
    pub batch: usize,
}

impl Context<'_> {
    /// Where a buffer lies now.
    pub fn span(&self, id: BufferId) -> Span {
        span(self.plan, id, self.batch)
    }
}

/// Scratch memory of one thread for a product, in floats.
pub fn scratch_floats(op: &Dense) -> usize {
    match op {
        Dense::Conv { geometry, .. } | Dense::ConvGradWeight { geometry, .. } => {
            Window::forward(geometry).chunk_floats()
        }
        Dense::ConvGradInput { geometry, .. } => match InputGradient::of(geometry) {
            InputGradient::Tiles(window) => winograd::task_floats(&window, geometry.input.0),
            InputGradient::Turned(window) => window.chunk_floats(),
            InputGradient::Scattered => Window::forward(geometry).chunk_floats(),
        },
        Dense::Linear { .. } | Dense::LinearGradInput { .. } | Dense::LinearGradWeight { .. } => 0,
    }
}

/// Memory shared by all threads for a product, in floats.
pub fn shared_floats(op: &Dense, batch: usize) -> usize {
    match op {
        Dense::ConvGradInput { geometry, .. } => match InputGradient::of(geometry) {
            InputGradient::Tiles(window) => winograd::weight_floats(&window, geometry.input.0),
            InputGradient::Turned(_) => geometry.output.0 * Window::forward(geometry).depth(),
            InputGradient::Scattered => 0,
        },
        Dense::ConvGradWeight { geometry, images, .. } => {
            conv::groups(geometry, images * batch) * geometry.output.0 * Window::forward(geometry).depth()
        }
        Dense::Conv { .. }
        | Dense::Linear { .. }
        | Dense::LinearGradInput { .. }
        | Dense::LinearGradWeight { .. } => 0,
    }
}

/// Computes a product.
pub fn run(op: &Dense, context: &mut Context<'_>) -> Result<(), Error> {
    match *op {
        Dense::Conv { ref geometry, images, x, w, bias, y } => {
            conv::forward(context, geometry, images, (x, w, bias), y)
        }
        Dense::ConvGradInput { ref geometry, images, dy, w, dx } => {
            conv::grad_input(context, geometry, images, (dy, w), dx)
        }
        Dense::ConvGradWeight { ref geometry, images, x, dy, dw } => {
            conv::grad_weight(context, geometry, images, (x, dy), dw)
        }
        Dense::Linear { sizes, x, w, bias, y } => linear::forward(context, sizes, (x, w, bias), y),
        Dense::LinearGradInput { sizes, dy, w, dx } => linear::grad_input(context, sizes, (dy, w), dx),
        Dense::LinearGradWeight { sizes, x, dy, dw } => linear::grad_weight(context, sizes, (x, dy), dw),
    }
}

/// The first `len` values of a buffer, which may be padded behind them.
fn take(values: &[f32], len: usize) -> Result<&[f32], Error> {
    let found = values.len();
    values.get(..len).ok_or_else(|| Error::Internal(format!("a dense product needs {len} values of {found}")))
}

/// As [`take`], to write.
fn take_mut(values: &mut [f32], len: usize) -> Result<&mut [f32], Error> {
    let found = values.len();
    values
        .get_mut(..len)
        .ok_or_else(|| Error::Internal(format!("a dense product needs {len} values of {found}")))
}

/// Sets each row to the bias.
fn fill_rows(rows: &mut [f32], bias: Option<&[f32]>) {
    if let Some(bias) = bias {
        rows.chunks_exact_mut(bias.len().max(1)).for_each(|row| row.copy_from_slice(bias));
    }
}
