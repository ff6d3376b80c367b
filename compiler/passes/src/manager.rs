//! Running a pipeline: skips, checks, times and shows each pass.
//!
//! ```text
//! hoist-static   0.1 ms   41 -> 43 instructions
//! ```

use crate::pass::Pass;
use crate::pipeline;
use snnc_ir::Graph;
use snnc_ir::verify::{self, verify};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Instant;

/// How a pipeline is run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Names of passes to leave out, each an optional one.
    pub skip: Vec<String>,
    /// Whether the graph is verified before the first pass and after each, as debug builds always do.
    pub verify: bool,
    /// Names of values that `checkpoint` leaves alone: they live until the backward part reads them.
    pub kept: BTreeSet<String>,
}

/// What one pass did.
#[derive(Clone, Debug)]
pub struct PassRecord {
    /// The pass.
    pub name: &'static str,
    /// Wall time of the pass alone.
    pub seconds: f64,
    /// Instructions before, scans' bodies included.
    pub insts_before: usize,
    /// Instructions after.
    pub insts_after: usize,
}

/// Why a pipeline was not run to its end.
#[derive(Debug)]
pub enum PipelineError {
    /// `skip` names a pass that no pipeline has.
    UnknownPass(String),
    /// `skip` names a pass without which the graph cannot be compiled.
    Required(&'static str),
    /// The graph does not verify: a bug of the named pass, or of the graph's maker when there is none.
    Broken {
        /// The pass that ran last.
        pass: Option<&'static str>,
        /// What the verifier found.
        errors: verify::Errors,
    },
}

impl fmt::Display for PipelineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PipelineError::UnknownPass(name) => write!(f, "there is no pass `{name}`"),
            PipelineError::Required(name) => write!(f, "the pass `{name}` cannot be skipped"),
            PipelineError::Broken { pass: Some(name), errors } => {
                write!(f, "the pass `{name}` left a broken graph:\n{errors}")
            }
            PipelineError::Broken { pass: None, errors } => write!(f, "the graph is broken:\n{errors}"),
        }
    }
}

impl std::error::Error for PipelineError {}

/// Runs the pipeline of the graph's mode, from the logical to the packed stage.
///
/// `observe` sees the graph after each pass, with the pass's name; a name comes up as often as the pipeline
/// lists it. The records are in the order of the passes that ran. Errors as [`PipelineError`] says; the graph
/// is then of no use.
pub fn run_pipeline(
    graph: &mut Graph,
    settings: &Settings,
    observe: &mut dyn FnMut(&'static str, &Graph),
) -> Result<Vec<PassRecord>, PipelineError> {
    check_skips(&settings.skip)?;
    let checks = settings.verify || cfg!(debug_assertions);
    check(graph, checks, None)?;
    let mut records = Vec::new();
    for pass in pipeline::of(graph.mode) {
        if settings.skip.iter().any(|name| name == pass.name) {
            graph.stage = pass.leaves;
            continue;
        }
        records.push(timed(pass, graph, &settings.kept));
        check(graph, checks, Some(pass.name))?;
        observe(pass.name, graph);
    }
    Ok(records)
}

fn check_skips(skip: &[String]) -> Result<(), PipelineError> {
    for name in skip {
        match pipeline::find(name) {
            None => return Err(PipelineError::UnknownPass(name.clone())),
            Some(pass) if !pass.optional => return Err(PipelineError::Required(pass.name)),
            Some(_) => {}
        }
    }
    Ok(())
}

fn check(graph: &Graph, checks: bool, pass: Option<&'static str>) -> Result<(), PipelineError> {
    if !checks {
        return Ok(());
    }
    verify(graph).map_err(|errors| PipelineError::Broken { pass, errors })
}

fn timed(pass: &Pass, graph: &mut Graph, kept: &BTreeSet<String>) -> PassRecord {
    let insts_before = graph.all_insts().len();
    let start = Instant::now();
    pass.apply_except(graph, kept);
    let seconds = start.elapsed().as_secs_f64();
    PassRecord { name: pass.name, seconds, insts_before, insts_after: graph.all_insts().len() }
}
