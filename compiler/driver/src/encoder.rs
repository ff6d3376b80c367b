//! The input's encoder, as the plan carries it: no graph knows of it, the network's input is spikes there.

use snnc_front::{Encoder, Model};
use snnc_plan as plan;

/// The plan's form of a model's encoder.
pub fn of(model: &Model) -> Option<plan::Encoder> {
    Some(match model.input.encoder? {
        Encoder::Poisson => plan::Encoder::Poisson,
        Encoder::Latency { log, zero_fires } => plan::Encoder::Latency { log, zero_fires },
        Encoder::Phase => plan::Encoder::Phase,
        Encoder::Delta { threshold } => plan::Encoder::Delta { threshold },
    })
}
