//! `snnc plot`: the curves of a run as a drawing.

use crate::cli::PlotArgs;
use crate::failure::Failure;
use crate::output;
use serde_json::json;
use snnc_runtime::{curves, read_records};

/// Draws and says where.
pub fn run(args: &PlotArgs, as_json: bool) -> Result<(), Failure> {
    let path = args.output.clone().unwrap_or_else(|| args.run.join("curves.svg"));
    if path.extension().is_none_or(|extension| extension != "svg") {
        let help = "write an SVG file, which browsers show, and convert it where another format is needed";
        return Err(Failure::User(format!("{} is not an .svg file\n  help: {help}", path.display())));
    }
    let records = read_records(&args.run)?;
    if records.is_empty() {
        return Err(Failure::File(format!("{} has no epoch to draw yet", args.run.display())));
    }
    output::writable(&path)?;
    let title = args.run.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    output::file(&path, curves::draw(&title, &records).as_bytes())?;
    if as_json {
        return output::json(&json!({"output": path.to_string_lossy(), "epochs": records.len()}));
    }
    output::text(&format!("{} epochs drawn in {}\n", records.len(), path.display()))
}
