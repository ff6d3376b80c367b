//! Forms of a product with spikes, and what a kernel's walks are, in words.

use crate::body::{Access, GROUP, Kernel, Stmt, TapWalk, Walk, WindowWalk};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// How a product with spikes is done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Form {
    /// The set bits of a position are walked, and the rows of the weight that they choose are added.
    Walk,
    /// As the walk, over what fires at several timesteps together and over what is left of each: the rows of the former are
    /// added once for all of them.
    Shared,
    /// Neurons are listed by the timesteps they fire at, and the rows of a list are summed once for all of them.
    Patterns,
    /// Sums of rows of the weight are made for all choices of four of them, and the bits of a position look them up: the
    /// same work at any rate.
    Grouped,
    /// Bits become numbers, and the dense product of the runtime multiplies them.
    Dense,
}

impl Form {
    /// All forms.
    pub const ALL: [Form; 5] = [Form::Walk, Form::Shared, Form::Patterns, Form::Grouped, Form::Dense];
    /// Those that are chosen by themselves. The dense one is there to be compared with: it multiplies what need not be
    /// multiplied.
    pub const CHOSEN: [Form; 4] = [Form::Walk, Form::Shared, Form::Patterns, Form::Grouped];

    /// Those of the gradient of a weight.
    pub const OF_GRADIENTS: [Form; 3] = [Form::Walk, Form::Patterns, Form::Grouped];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Form::Walk => "walk",
            Form::Shared => "shared",
            Form::Patterns => "patterns",
            Form::Grouped => "grouped",
            Form::Dense => "dense",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Form, String> {
        let names = Form::ALL.map(Form::name).join(", ");
        let found = Form::ALL.into_iter().find(|form| form.name() == text);
        found.ok_or_else(|| format!("`{text}` is no form of a product; there are {names}"))
    }
}

/// The forms that were asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Forms {
    /// That of the products which are not in the list; the cheapest of each where there is none.
    pub rest: Option<Form>,
    /// By the path of the product's layer: `stem.conv`.
    pub layers: BTreeMap<String, Form>,
}

/// `masked add 64x128`: rows of weights that a walk chooses from, and lanes of each; empty for a kernel without walks.
pub fn form(kernel: &Kernel) -> String {
    let mut forms: Vec<String> = Vec::new();
    collect(kernel, &kernel.body, &mut forms);
    forms.dedup();
    forms.join(", ")
}

fn collect(kernel: &Kernel, stmts: &[Stmt], forms: &mut Vec<String>) {
    let turned = stmts.iter().any(|stmt| matches!(stmt, Stmt::Turn { .. }));
    let size = |walk: &Walk| format!("{}x{}", walk.words * 64, walk.lanes);
    // Bits that a kernel makes for its walks are those that timesteps share.
    let masked = |walk: &Walk| match kernel.slot(walk.bits.slot).access {
        Access::Scratch(_) => "shared masked add",
        Access::Read | Access::Write => "masked add",
    };
    for stmt in stmts {
        match stmt {
            Stmt::AddRows(walk) if turned => forms.push(format!("mirrored add {}", size(walk))),
            Stmt::AddRows(walk) => forms.push(format!("{} {}", masked(walk), size(walk))),
            Stmt::AddWindow(WindowWalk { walk, .. }) => {
                forms.push(format!("{} {} of all taps", masked(walk), size(walk)))
            }
            Stmt::AddTaps(TapWalk { walk, taps: [rows, columns], over, .. }) => {
                let over = over.map_or(String::new(), |over| format!(" and {} timesteps", over.steps));
                forms.push(format!("mirrored add {} over {rows}x{columns} taps{over}", size(walk)));
            }
            Stmt::DotRows(walk, _) => forms.push(format!("sampled dot {}", size(walk))),
            Stmt::AddPatterns(walk) => {
                forms.push(format!("pattern add {}x{} over {} timesteps", walk.most, walk.lanes, walk.steps));
            }
            Stmt::AddGroups(lookup) => {
                forms.push(format!("grouped add {}x{}", lookup.groups * GROUP, lookup.lanes))
            }
            Stmt::For { body, .. } | Stmt::EachBit { body, .. } => collect(kernel, body, forms),
            Stmt::If { then, otherwise, .. } => {
                collect(kernel, then, forms);
                collect(kernel, otherwise, forms);
            }
            Stmt::SetIndex(..)
            | Stmt::SetRow(..)
            | Stmt::Fire(..)
            | Stmt::SetMask(..)
            | Stmt::SetWord(..)
            | Stmt::Store(..)
            | Stmt::StoreWord(..)
            | Stmt::ListPatterns(_)
            | Stmt::SumGroups(_)
            | Stmt::Map(_)
            | Stmt::Turn { .. } => {}
        }
    }
}
