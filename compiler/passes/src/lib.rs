//! Passes over the tensor IR and the pipelines that list them.
//!
//! ```text
//! graph (logical)  --run_pipeline-->  graph (packed)
//! ```
//!
//! One pass is one file; `pipeline.rs` lists them, `manager.rs` runs the lists. A pass cannot fail: mistakes
//! of users end in the front end, and a broken graph is a bug that the verifier names together with the pass.

#![forbid(unsafe_code)]

pub mod autodiff;
pub mod checkpoint;
pub mod cse;
pub mod dce;
pub mod fold_norm;
pub mod fold_scale;
pub mod fuse_lif;
pub mod fuse_time;
pub mod hoist_static;
pub mod infer_spikes;
pub mod layout;
pub mod manager;
pub mod pack_spikes;
pub mod pass;
pub mod pipeline;
pub mod reassociate_attention;
pub mod sample_dx;
pub mod simplify;
pub mod slice_time;
pub mod spike_matmul;

pub use manager::{PassRecord, PipelineError, Settings, run_pipeline};
pub use pass::{Pass, Run};
