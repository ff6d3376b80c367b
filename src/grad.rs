//! `snnc grad`: the loss and every gradient of one batch, to compare with another framework.

use crate::cli::GradArgs;
use crate::failure::Failure;
use crate::{model, output};
use serde_json::json;
use snnc_compiler::Mode;
use snnc_runtime::{Draws, checkpoint, differentiate, npy};
use std::time::Instant;

/// Computes and writes loss and gradients.
pub fn run(args: &GradArgs, as_json: bool) -> Result<(), Failure> {
    let loaded = model::load(&args.model)?;
    for path in [Some(&args.output), args.loss_output.as_ref()].into_iter().flatten() {
        output::writable(path)?;
    }
    let samples = npy::read(&args.input)?;
    let labels = npy::read_labels(&args.labels)?;
    if labels.is_empty() {
        return Err(Failure::File(format!("{} holds no labels", args.labels.display())));
    }
    let mut session = model::session_of(
        &loaded,
        (Mode::Train, &args.weights),
        Some(labels.len()),
        labels.len(),
        args.threads.count(),
    )?;
    checkpoint::load(&args.weights, &mut session)?;
    session.set_draws(Draws::evaluation_of(args.seed));
    let start = Instant::now();
    let (loss, gradients) = differentiate(&mut session, &samples, &labels)?;
    let seconds = start.elapsed().as_secs_f64();
    let metadata = json!({"model": loaded.model.name, "loss": loss, "samples": labels.len()});
    checkpoint::write_tensors(&args.output, &gradients, &metadata)?;
    if let Some(path) = &args.loss_output {
        output::file(path, format!("{}\n", json!({"loss": loss})).as_bytes())?;
    }
    if as_json {
        return output::json(&json!({
            "loss": loss,
            "samples": labels.len(),
            "gradients": gradients.len(),
            "output": args.output.to_string_lossy(),
            "seconds": seconds,
            "images_per_second": labels.len() as f64 / seconds.max(1e-9),
            "peak_bytes": session.peak_bytes(),
            "firing_rates": session.firing_rates(),
        }));
    }
    let path = args.output.display();
    output::text(&format!("loss {loss}, {} gradients in {path}\n", gradients.len()))
}
