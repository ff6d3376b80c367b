//! What a pass is.

use snnc_ir::{Graph, Stage};

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
    pub run: fn(&mut Graph),
}

impl Pass {
    /// Runs the pass and moves the graph to the stage it leaves.
    ///
    /// # Panics
    ///
    /// When the graph is at another stage than the pass needs: the list that runs it is wrong.
    pub fn apply(&self, graph: &mut Graph) {
        assert_eq!(graph.stage, self.needs, "`{}` needs another stage", self.name);
        (self.run)(graph);
        graph.stage = self.leaves;
    }
}
