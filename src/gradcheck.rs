//! `snnc gradcheck`: the compiled backward pass of a model against the reference evaluator, and the gradient rules
//! against slopes of the loss, parameter by parameter.

use crate::cli::GradcheckArgs;
use crate::failure::Failure;
use crate::model::{self, Loaded};
use crate::output;
use serde::Serialize;
use serde_json::json;
use snnc_compiler::Mode;
use snnc_compiler::gradcheck::{Gradients, Reference, Slope, Values};
use snnc_runtime::rng::{Purpose, Rng};
use snnc_runtime::{Session, checkpoint, initialise};

/// Draws of inputs until no membrane is so near a threshold that rounding decides.
const DRAWS: u64 = 16;

/// The most multiply-adds that are evaluated one after the other: some minutes.
const MOST_WORK: u64 = 20_000_000_000;

/// How one parameter's gradients agree.
#[derive(Serialize)]
struct Row {
    parameter: String,
    /// Root mean square of the gradient.
    gradient: f64,
    /// The largest difference between machine code and evaluator, over the evaluator's largest element.
    compiled_error: f64,
    /// The difference between gradient and slope in the smooth network, over what a component is expected to be.
    slope_error: f64,
}

/// Checks and reports; fails where a difference exceeds the tolerance.
pub fn run(args: &GradcheckArgs, as_json: bool) -> Result<(), Failure> {
    let loaded = model::load(&args.model)?;
    let batch = args.batch as usize;
    refuse_too_large(&loaded, batch)?;
    let mut session = model::session(&loaded, Mode::Train, Some(batch), batch, args.threads.count())?;
    match &args.weights {
        Some(weights) => drop(checkpoint::load(weights, &mut session)?),
        None => initialise(&mut session, args.seed)?,
    }
    let reference = Reference::new(&loaded.model);
    let internal = |what: String| Failure::Internal(format!("the reference evaluator says: {what}"));
    let (values, expected) = clear_draw(args, &reference, &mut session).map_err(internal)?;
    session.run_forward()?;
    session.run_backward()?;
    let slopes = reference.slopes(batch, &values, args.seed).map_err(internal)?;
    let rows = rows(&session, &expected, &slopes)?;
    let worst = |of: fn(&Row) -> f64| rows.iter().map(of).fold(0.0, f64::max);
    let (compiled, slope) = (worst(|row| row.compiled_error), worst(|row| row.slope_error));
    let loss = session.loss()?;
    let passed = compiled <= args.tolerance && slope <= args.tolerance;
    let found = if as_json {
        format!(
            "{:#}\n",
            json!({
                "loss": loss, "reference_loss": expected.loss, "clear": expected.clear, "parameters": rows,
                "compiled_error": compiled, "slope_error": slope, "tolerance": args.tolerance, "passed": passed,
            })
        )
    } else {
        text(&rows, loss, &expected, (compiled, slope))
    };
    output::text(&found)?;
    if passed {
        return Ok(());
    }
    let hint = if expected.clear {
        "please report it with the model and the seed"
    } else {
        "membranes lie so near to their thresholds that rounding decides: try another --seed, or a smaller model"
    };
    let (worst, tolerance) = (compiled.max(slope), args.tolerance);
    Err(Failure::User(format!("gradients differ by {worst:.1e}, more than {tolerance:.1e}\n  help: {hint}")))
}

fn refuse_too_large(loaded: &Loaded, batch: usize) -> Result<(), Failure> {
    let model = &loaded.model;
    let once = model.macs_per_timestep.saturating_mul((model.timesteps * batch) as u64);
    // Forward and backward, and two points of a slope for each parameter.
    let passes = 6 + 2 * model.layers.iter().filter(|layer| layer.parameters > 0).count() as u64;
    if once.saturating_mul(passes) <= MOST_WORK {
        return Ok(());
    }
    Err(Failure::User(format!(
        "{} is too large to check: the reference evaluator would do {:.0} G multiply-adds\n  help: make it smaller with \
         -D (width, depth, image size), the rules and kernels are the same",
        model.name,
        once.saturating_mul(passes) as f64 * 1e-9
    )))
}

/// Sets inputs and labels, anew until the network is clear of thresholds; the last draw stays where none is.
fn clear_draw(
    args: &GradcheckArgs,
    reference: &Reference,
    session: &mut Session,
) -> Result<(Values, Gradients), String> {
    let batch = args.batch as usize;
    let mut draw = 0;
    loop {
        let seed = args.seed.wrapping_mul(DRAWS).wrapping_add(draw);
        let values = set(session, seed, batch).map_err(|error| error.to_string())?;
        let gradients = reference.gradients(batch, &values)?;
        draw += 1;
        if gradients.clear || draw == DRAWS {
            return Ok((values, gradients));
        }
    }
}

/// Random samples and labels, two of them where samples are mixed; everything that the network reads by name.
fn set(session: &mut Session, seed: u64, batch: usize) -> Result<Values, snnc_runtime::Error> {
    let (input, classes) = (&session.plan().inputs[0], session.plan().classes);
    let (spikes, encoded) = (input.spikes, input.encoder.is_some());
    session.set_inputs(batch, |slot, to| {
        let mut rng = Rng::new(seed, Purpose::Check, slot as u64);
        to.iter_mut().for_each(|to| {
            let uniform = rng.uniform();
            *to = match (spikes, encoded) {
                (true, _) => f32::from(u8::from(uniform < 0.35)),
                (false, true) => uniform,
                (false, false) => 3.4 * uniform - 1.7,
            };
        });
        Ok(())
    })?;
    let mut rng = Rng::new(seed, Purpose::Check, u64::MAX);
    let labels: Vec<i32> = (0..batch).map(|_| rng.below(classes) as i32).collect();
    session.set_labels(&labels)?;
    let mut values = Values::new();
    for spec in &session.plan().params {
        values.insert(spec.name.clone(), session.param(&spec.name)?.to_vec());
    }
    values.insert(session.plan().inputs[0].name.clone(), session.inputs()?.to_vec());
    let numbers = |labels: &[i32]| labels.iter().map(|&label| label as f32).collect();
    values.insert("labels".to_owned(), numbers(&labels));
    if let [_, _, second, share] = session.plan().inputs.as_slice() {
        let (second, share) = (second.name.clone(), share.name.clone());
        let others: Vec<i32> = (0..batch).map(|_| rng.below(classes) as i32).collect();
        let shares: Vec<f32> = (0..batch).map(|_| rng.uniform()).collect();
        session.set_mixes(&others, &shares)?;
        values.insert(second, numbers(&others));
        values.insert(share, shares);
    }
    Ok(values)
}

fn rows(session: &Session, expected: &Gradients, slopes: &[Slope]) -> Result<Vec<Row>, Failure> {
    let largest = |values: &[f64]| values.iter().fold(0.0f64, |top, value| top.max(value.abs()));
    // A gradient that is mathematically zero, as that of a bias before a norm, is compared with the others.
    let all = expected.of.iter().map(|(_, gradient)| largest(gradient)).fold(0.0, f64::max);
    let smooth = slopes.iter().map(|slope| slope.scale).fold(0.0, f64::max);
    let mut rows = Vec::new();
    for ((parameter, gradient), slope) in expected.of.iter().zip(slopes) {
        let found = session.grad(parameter)?;
        let differences: Vec<f64> =
            found.iter().zip(gradient).map(|(found, expected)| f64::from(*found) - expected).collect();
        let square: f64 = gradient.iter().map(|g| g * g).sum();
        rows.push(Row {
            parameter: parameter.clone(),
            gradient: (square / gradient.len() as f64).sqrt(),
            compiled_error: over(largest(&differences), largest(gradient).max(all * 1e-2)),
            slope_error: over((slope.slope - slope.gradient).abs(), slope.scale.max(smooth * 1e-2)),
        });
    }
    Ok(rows)
}

fn over(difference: f64, scale: f64) -> f64 {
    if difference == 0.0 { 0.0 } else { difference / scale.max(f64::MIN_POSITIVE) }
}

fn text(rows: &[Row], loss: f32, expected: &Gradients, (compiled, slope): (f64, f64)) -> String {
    let width = rows.iter().map(|row| row.parameter.len()).max().unwrap_or(0).max("parameter".len());
    let mut text = format!("{:width$}  gradient  compiled    slope\n", "parameter");
    for row in rows {
        let (gradient, compiled, slope) = (row.gradient, row.compiled_error, row.slope_error);
        text.push_str(&format!("{:width$}  {gradient:8.1e}  {compiled:8.1e} {slope:8.1e}\n", row.parameter));
    }
    let silent = rows.iter().filter(|row| row.gradient == 0.0).count();
    if silent > 0 {
        text.push_str(&format!(
            "{silent} of {} parameters have no gradient: a layer is silent\n",
            rows.len()
        ));
    }
    text.push_str(&format!("loss {loss}, in the reference evaluator {}\n", expected.loss));
    text.push_str(&format!("largest differences: compiled {compiled:.1e}, slope {slope:.1e}\n"));
    text
}
