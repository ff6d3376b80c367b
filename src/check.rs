//! `snnc check`: one line per layer.

use crate::cli::CheckArgs;
use crate::failure::Failure;
use crate::{model, output};
use serde_json::json;
use snnc_compiler::front::Model;
use std::fmt::Write;

/// Checks the model and prints its layers.
pub fn run(args: &CheckArgs, as_json: bool) -> Result<(), Failure> {
    let loaded = model::load(&args.model)?;
    let model = &loaded.model;
    if as_json {
        let params: serde_json::Map<String, _> =
            model.params.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let warnings: Vec<&str> = model.warnings.iter().map(|warning| warning.message.as_str()).collect();
        return output::json(&json!({
            "name": model.name,
            "timesteps": model.timesteps,
            "encoder": model.input.encoder.map(|encoder| encoder.to_string()),
            "classes": model.classes,
            "parameters": model.parameters,
            "macs_per_timestep": model.macs_per_timestep,
            "layers": model.layers,
            "params": params,
            "warnings": warnings,
        }));
    }
    output::text(&table(model))
}

/// The layers in columns, and the totals.
fn table(model: &Model) -> String {
    let mut rows =
        vec![["layer", "kind", "output", "parameters", "MACs/timestep", "input"].map(str::to_owned)];
    rows.extend(model.layers.iter().map(|layer| {
        let count = |n: u64| if n == 0 { "-".to_owned() } else { grouped(n) };
        [
            layer.name.clone(),
            layer.kind.clone(),
            layer.output.clone(),
            count(layer.parameters),
            count(layer.macs_per_timestep),
            layer.input.to_string(),
        ]
    }));
    let widths: Vec<usize> =
        (0..6).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let right = matches!(column, 3 | 4);
            let cell = if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
            line.push_str(&cell);
            line.push_str("  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let (parameters, macs) = (grouped(model.parameters), grouped(model.macs_per_timestep));
    let encoder = model.input.encoder.map_or(String::new(), |encoder| format!(", input by {encoder}"));
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{}: {} timesteps, {parameters} parameters, {macs} MACs per timestep{encoder}",
        model.name, model.timesteps
    );
    text
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_are_grouped() {
        assert_eq!(["7", "1,234", "2,216,495,616"], [7, 1234, 2_216_495_616].map(super::grouped).as_slice());
    }
}
