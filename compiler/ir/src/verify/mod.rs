//! Whether a graph keeps the rules: after every pass in tests, so that the pass that breaks one is named.
//!
//! Four groups, each with its rules at the head of its file: `structure`, `types`, `time`, `stage`. The
//! later groups index freely, so they run only on a graph whose structure is right.

mod stage;
mod structure;
mod time;
mod types;

#[cfg(test)]
mod tests;

use crate::entity::{Inst, Region};
use crate::graph::Graph;
use std::fmt;

/// One broken rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// The rule, as named at the head of its file: `types.result`.
    pub rule: &'static str,
    /// The instruction as text, where one is at fault.
    pub instruction: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instruction {
            Some(instruction) => write!(f, "{}: {} in `{instruction}`", self.rule, self.message),
            None => write!(f, "{}: {}", self.rule, self.message),
        }
    }
}

/// All broken rules; `Display` lists them, one a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Errors(pub Vec<Error>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// Checks every rule of the graph's stage. The error lists all that are broken, of the first group that
/// has any when that is the structure.
pub fn verify(graph: &Graph) -> Result<(), Errors> {
    let mut found = Found { graph, errors: Vec::new() };
    structure::check(graph, &mut found);
    if found.errors.is_empty() {
        types::check(graph, &mut found);
        time::check(graph, &mut found);
        stage::check(graph, &mut found);
    }
    if found.errors.is_empty() { Ok(()) } else { Err(Errors(found.errors)) }
}

/// Collects errors.
struct Found<'a> {
    graph: &'a Graph,
    errors: Vec<Error>,
}

impl Found<'_> {
    fn graph_error(&mut self, rule: &'static str, message: String) {
        self.errors.push(Error { rule, instruction: None, message });
    }

    fn inst_error(&mut self, rule: &'static str, inst: Inst, message: String) {
        let instruction = Some(crate::text::instruction(self.graph, inst));
        self.errors.push(Error { rule, instruction, message });
    }
}

/// Every instruction with the region it stands in, regions' before the scan.
fn placed(graph: &Graph) -> Vec<(Option<Region>, Inst)> {
    let mut all = Vec::new();
    for &inst in &graph.body {
        if let Some(region) = graph.inst(inst).region {
            all.extend(graph.region(region).body.iter().map(|&inner| (Some(region), inner)));
        }
        all.push((None, inst));
    }
    all
}
