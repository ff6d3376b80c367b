//! Runs compiled plans and trains them: arena, executor, optimisers, data, checkpoints.
//!
//! ```text
//! Executable ──Session::new──▶ Session ──run_forward, run_backward──▶ logits, loss, gradients
//! Session (train) + Session (infer) + Dataset ──train──▶ TrainReport, run directory
//! Session (infer) + Split ──energy::measure──▶ Counts ──▶ Energy
//! Session (infer) + Split ──evaluate──▶ Evaluation      Session (infer) + Array ──predict──▶ logits
//! ```
//!
//! Invariants:
//! 1. the result of a step is the same bits for any number of threads: work is split at places that depend on
//!    sizes alone, and sums of parts are made in a fixed order;
//! 2. random numbers depend on (seed, purpose, key) alone, never on the order in which they are drawn;
//! 3. unsafe code is in `arena`, `call` and `matmul` only (and in kernels written for tests).

#![deny(unsafe_code)]

mod arena;
pub mod augment;
mod call;
pub mod checkpoint;
mod commit;
pub mod curves;
pub mod data;
mod dense;
mod encode;
pub mod energy;
mod environment;
mod error;
mod evaluate;
mod gradient;
mod health;
mod init;
mod loader;
mod matmul;
pub mod memory;
mod metrics;
pub mod npy;
pub mod optim;
mod profile;
pub mod progress;
pub mod rng;
mod session;
mod tensorboard;
mod trainer;
mod workers;

#[cfg(test)]
mod testing;

pub use encode::Draws;
pub use error::Error;
pub use evaluate::{Evaluation, evaluate, predict};
pub use gradient::differentiate;
pub use init::initialise;
pub use metrics::{EpochRecord, FiringRates, Histogram, Pulse, Tally, Times};
pub use profile::{Phase, StepTime};
pub use session::Session;
pub use trainer::{
    Asked, Budget, DryRun, Recompile, TrainOptions, TrainReport, dry_run, measured, read_records, train,
    train_guided,
};
