//! `snnc infer`: the logits of samples in a `.npy` file.

use crate::cli::InferArgs;
use crate::failure::Failure;
use crate::train::limit;
use crate::{model, output};
use serde_json::json;
use snnc_compiler::Mode;
use snnc_runtime::{Draws, checkpoint, npy, predict};
use std::time::Instant;

/// Computes and writes the logits.
pub fn run(args: &InferArgs, as_json: bool) -> Result<(), Failure> {
    let loaded = model::load(&args.model)?;
    output::writable(&args.output)?;
    let samples = npy::read(&args.input)?;
    // The samples are along the first axis, or along the second behind time.
    let most = samples.shape.iter().take(2).copied().max().unwrap_or(1);
    let mut session = model::session_of(
        &loaded,
        (Mode::Infer, &args.weights),
        limit(args.batch),
        most,
        args.threads.count(),
    )?;
    checkpoint::load(&args.weights, &mut session)?;
    session.set_draws(Draws::evaluation_of(args.seed));
    let start = Instant::now();
    let logits = predict(&mut session, &samples)?;
    let seconds = start.elapsed().as_secs_f64();
    npy::write(&args.output, &logits.shape, &logits.data)?;
    let (count, classes) = (logits.shape[0], logits.shape[1]);
    let speed = count as f64 / seconds.max(1e-9);
    if as_json {
        return output::json(&json!({
            "samples": count,
            "classes": classes,
            "output": args.output.to_string_lossy(),
            "seconds": seconds,
            "images_per_second": speed,
            "peak_bytes": session.peak_bytes(),
            "firing_rates": session.firing_rates(),
            "fires": session.fires(),
        }));
    }
    let path = args.output.display();
    output::text(&format!("{count} × {classes} logits in {path}, {speed:.1} images/s\n"))
}
