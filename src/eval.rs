//! `snnc eval`: accuracy, loss and firing rates of a trained model.

use crate::cli::EvalArgs;
use crate::failure::Failure;
use crate::train::{limit, open_data};
use crate::{model, output};
use serde_json::json;
use snnc_compiler::Mode;
use snnc_runtime::{Evaluation, checkpoint, progress};

/// Evaluates and reports.
pub fn run(args: &EvalArgs, as_json: bool) -> Result<(), Failure> {
    let loaded = model::load(&args.model)?;
    let data = open_data(&loaded, args.data.as_deref())?;
    let samples = limit(args.limit).unwrap_or(usize::MAX).min(data.test.len());
    let mut session = model::session_of(
        &loaded,
        (Mode::Infer, &args.weights),
        limit(args.batch),
        samples,
        args.threads.count(),
    )?;
    model::fits(&data, &session)?;
    checkpoint::load(&args.weights, &mut session)?;
    let mut progress = progress::for_stderr();
    let result = snnc_runtime::evaluate(&mut session, &data.test, limit(args.limit), progress.as_mut())?;
    if as_json { output::json(&json!(result)) } else { output::text(&text(&result)) }
}

fn text(result: &Evaluation) -> String {
    let mut text = String::new();
    for (layer, rate) in &result.firing_rates.0 {
        text.push_str(&format!("firing rate {rate:.4}  {layer}\n"));
    }
    text.push_str(&format!(
        "{:.0} images/s, {:.1} MiB\ntest accuracy {:.2} % (loss {:.4}, {} samples)\n",
        result.images_per_second,
        result.peak_bytes as f64 / f64::from(1 << 20),
        result.test_accuracy * 100.0,
        result.test_loss,
        result.samples,
    ));
    text
}
