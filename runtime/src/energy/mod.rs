//! What an inference costs: spikes are counted where products and attentions read them, and priced by a convention.
//!
//! ```text
//! Session (infer, with taps) + Split ──measure──▶ Measured ──Energy::of──▶ rows, totals
//! ```
//!
//! Equations: with MAC(l) multiply-adds of one timestep and rate(l) the mean value of the layer's input,
//! `SOP(l) = T·rate(l)·MAC(l)` (statistical) and `SOP*(l)` the sum of the fan-out of each spike (exact, aware of
//! borders); `E = e_mac·MACs + e_ac·SOPs`, against `e_mac·ΣMAC` of the network of the same shape without spikes.

mod count;
mod report;

pub use count::{Counts, LayerCount, measure, uniform};
pub use report::{Class, Convention, Energy, Row, Stem};
