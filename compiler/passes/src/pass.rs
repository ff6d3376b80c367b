//! What a pass is.

use snnc_ir::{Graph, Stage};
use std::collections::BTreeSet;

/// A pass: its one name serves the constant, the file, the flags, the test folder and the timing row.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// The name, as in `--skip fuse-time`.
    pub name: &'static str,
    /// The stage the graph must have.
    pub needs: Stage,
    /// The stage the graph has afterwards.
    pub leaves: Stage,
    /// Whether the pipeline still compiles without it. A skipped pass only moves the stage on.
    pub optional: bool,
    /// Changes the graph. It neither checks nor sets the stage: the manager does.
    pub run: Run,
}

/// How a pass changes the graph.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// By the graph alone.
    Always(fn(&mut Graph)),
    /// All but the values of these names.
    Except(fn(&mut Graph, &BTreeSet<String>)),
}

impl Pass {
    /// Runs the pass and moves the graph to the stage it leaves.
    ///
    /// # Panics
    ///
    /// When the graph is at another stage than the pass needs: the list that runs it is wrong.
    pub fn apply(&self, graph: &mut Graph) {
        self.apply_except(graph, &BTreeSet::new());
    }

    /// The same, where the pass can leave values alone.
    ///
    /// # Panics
    ///
    /// As [`Pass::apply`].
    pub fn apply_except(&self, graph: &mut Graph, values: &BTreeSet<String>) {
        assert_eq!(graph.stage, self.needs, "`{}` needs another stage", self.name);
        match self.run {
            Run::Always(run) => run(graph),
            Run::Except(run) => run(graph, values),
        }
        graph.stage = self.leaves;
    }
}
