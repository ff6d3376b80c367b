//! `snnc data inspect`: what a data set holds, and a picture of it.

use crate::cli::{InspectArgs, ModelArgs, SplitByArg};
use crate::failure::Failure;
use crate::{model, output, train};
use serde_json::json;
use snnc_compiler::plan::{Augment, SplitBy};
use snnc_runtime::data::{self, Report, Request, SplitReport};

/// Counts, measures, draws and reports.
pub fn inspect(args: &InspectArgs, as_json: bool) -> Result<(), Failure> {
    if let Some(path) = &args.sheet {
        output::writable(path)?;
    }
    let data = data::open_for(&args.data, &request(args)?)?;
    let report = data::inspect(&data)?;
    if let Some(path) = &args.sheet {
        output::file(path, &data::sheet(&data, args.model.is_some())?)?;
    }
    if as_json {
        let mut value = json!(report);
        value["sheet"] = json!(args.sheet);
        return output::json(&value);
    }
    let sheet = args.sheet.as_ref().map_or(String::new(), |path| format!("sheet     {}\n", path.display()));
    output::text(&(text(&report) + &sheet))
}

/// What the model asks of samples, or the options do.
fn request(args: &InspectArgs) -> Result<Request, Failure> {
    if let Some(file) = &args.model {
        let loaded = model::load(&ModelArgs { file: file.clone(), define: args.define.clone() })?;
        return Ok(train::request(&loaded));
    }
    let by = args.split_by.map(|by| match by {
        SplitByArg::Number => SplitBy::Number,
        SplitByArg::Time => SplitBy::Time,
    });
    Ok(Request {
        frames: args.frames.map(usize::from),
        augment: by.map(Augment::Frames).into_iter().collect(),
        ..Request::default()
    })
}

fn text(report: &Report) -> String {
    let numbers = |values: &[f64]| values.iter().map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(" ");
    let mut text = format!("{}: {}, samples of {:?}\n", report.name, report.format, report.shape);
    for (name, split) in [("train", &report.train), ("test", &report.test)] {
        text.push_str(&format!("{name:<9} {}\n", counts(split)));
    }
    text.push_str(&format!("classes   {}\n", names(&report.classes)));
    text.push_str(&format!("mean      {}\n", numbers(&report.mean)));
    text.push_str(&format!("std       {}\n", numbers(&report.std)));
    if report.measured < report.train.samples {
        text.push_str(&format!("          of {} training samples\n", report.measured));
    }
    report.notes.iter().for_each(|note| text.push_str(&format!("note      {note}\n")));
    text
}

fn counts(split: &SplitReport) -> String {
    let (least, most) = (split.per_class.iter().min(), split.per_class.iter().max());
    let (least, most) = (least.copied().unwrap_or(0), most.copied().unwrap_or(0));
    let each = if least == most { format!("{least}") } else { format!("{least} to {most}") };
    format!("{} samples, {each} a class", split.samples)
}

/// The first names; a hundred would not be read.
fn names(names: &[String]) -> String {
    let shown = names.iter().take(20).cloned().collect::<Vec<_>>().join(" ");
    if names.len() > 20 {
        format!("{} ({shown} …)", names.len())
    } else {
        format!("{} ({shown})", names.len())
    }
}
