//! The items of a model and of all it includes, by name, in the order of the text.

use crate::ast::{Block, File, Include, Item, Name, Network, Neuron, Param, Train};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::parse;
use crate::slug::Slug;
use crate::source::{SourceMap, relative};
use crate::span::{FileId, Span};
use std::collections::{HashMap, HashSet};

/// The items of a model.
#[derive(Default, Debug)]
pub(crate) struct Program {
    /// Parameters in order.
    pub params: Vec<Param>,
    /// Neurons in order.
    pub neurons: Vec<Neuron>,
    /// Blocks in order.
    pub blocks: Vec<Block>,
    /// The network.
    pub network: Option<Network>,
    /// How it is trained.
    pub train: Option<Train>,
    names: HashMap<String, Span>,
}

/// The words of the layers: no definition may take them.
pub(crate) const LAYERS: [&str; 10] =
    ["conv", "linear", "norm", "max_pool", "avg_pool", "flatten", "mean", "sum", "attention", "step_gate"];

/// The neuron models.
pub(crate) const MODELS: [&str; 3] = ["LIF", "PLIF", "IF"];

/// Collects the items of `entry`. `None` where a file does not parse: names would be missing.
pub(crate) fn collect(sources: &SourceMap, entry: FileId, diagnostics: &mut Diagnostics) -> Option<Program> {
    let mut collector = Collector { sources, diagnostics, program: Program::default(), complete: true };
    collector.run(entry);
    let Collector { program, complete, .. } = collector;
    if complete && program.network.is_none() {
        diagnostics.push(no_network(sources, entry));
    }
    complete.then_some(program)
}

fn no_network(sources: &SourceMap, entry: FileId) -> Diagnostic {
    let end = sources.text(entry).trim_end().len();
    Diagnostic::error(Slug::NoNetwork, "the file has no network")
        .at(Span::new(entry, end..end), "the file ends here")
        .help("add `network name { timesteps 4 input x: f32[…] x |> … }`")
}

struct Collector<'a> {
    sources: &'a SourceMap,
    diagnostics: &'a mut Diagnostics,
    program: Program,
    /// Whether every file was found and follows the grammar.
    complete: bool,
}

/// A file that is being read: its items still to come.
struct Open {
    file: FileId,
    items: std::vec::IntoIter<Item>,
}

impl Collector<'_> {
    /// Reads files depth first, each once, an include in the place where it stands; a list of open files
    /// instead of recursion, since includes may nest to any depth.
    fn run(&mut self, entry: FileId) {
        let mut visited = HashSet::from([entry]);
        let mut open = vec![self.open(entry)];
        while let Some(current) = open.last_mut() {
            let file = current.file;
            let Some(item) = current.items.next() else {
                open.pop();
                continue;
            };
            let Item::Include(include) = item else {
                self.item(item, file == entry);
                continue;
            };
            let Some(next) = self.find(file, &include) else { continue };
            if open.iter().any(|file| file.file == next) {
                self.cycle(&include);
            } else if visited.insert(next) {
                open.push(self.open(next));
            }
        }
    }

    fn open(&mut self, file: FileId) -> Open {
        let tree = parse::file(file, self.sources.text(file), self.diagnostics);
        self.complete &= tree.is_some();
        let File { items } = tree.unwrap_or_default();
        Open { file, items: items.into_iter() }
    }

    fn find(&mut self, from: FileId, include: &Include) -> Option<FileId> {
        let name = relative(self.sources.name(from), &include.path);
        let found = self.sources.find(&name);
        if found.is_none() {
            self.complete = false;
            let reason = self.sources.failure(&name).unwrap_or("it was not loaded");
            self.diagnostics.push(
                Diagnostic::error(Slug::MissingFile, format!("cannot read `{name}`: {reason}"))
                    .at(include.span, "included here")
                    .help("the path is relative to the file that includes it"),
            );
        }
        found
    }

    fn cycle(&mut self, include: &Include) {
        self.diagnostics.push(
            Diagnostic::error(Slug::IncludeCycle, format!("`{}` includes itself", include.path))
                .at(include.span, "this file is still being read")
                .help("move what both files need into a third one"),
        );
    }

    fn item(&mut self, item: Item, in_entry: bool) {
        match item {
            Item::Param(param) => {
                if self.define(&param.name) {
                    self.program.params.push(param);
                }
            }
            Item::Neuron(neuron) => {
                if self.define(&neuron.name) {
                    self.program.neurons.push(neuron);
                }
            }
            Item::Block(block) => {
                if self.define(&block.name) {
                    self.program.blocks.push(block);
                }
            }
            Item::Network(network) => {
                let earlier = self.program.network.as_ref().map(|network| network.name.span);
                if self.once("network", network.name.span, earlier, in_entry) {
                    self.program.network = Some(network);
                }
            }
            Item::Train(train) => {
                let earlier = self.program.train.as_ref().map(|train| train.span);
                if self.once("train block", train.span, earlier, in_entry) {
                    self.program.train = Some(train);
                }
            }
            Item::Include(_) => {}
        }
    }

    /// Whether a name is new.
    fn define(&mut self, name: &Name) -> bool {
        if LAYERS.contains(&name.text.as_str()) || MODELS.contains(&name.text.as_str()) {
            let message = format!("`{}` is a word of the language", name.text);
            self.diagnostics.push(
                Diagnostic::error(Slug::ReservedName, message)
                    .at(name.span, "cannot be defined")
                    .help(format!("choose another name, such as `my_{}`", name.text)),
            );
            return false;
        }
        if let Some(&first) = self.program.names.get(&name.text) {
            self.diagnostics.push(duplicate(name, first));
            return false;
        }
        self.program.names.insert(name.text.clone(), name.span);
        true
    }

    /// Whether a section is the first of its kind, and stands in the entry.
    fn once(&mut self, what: &str, span: Span, earlier: Option<Span>, in_entry: bool) -> bool {
        if !in_entry {
            self.diagnostics.push(
                Diagnostic::error(Slug::IncludedNetwork, format!("an included file holds a {what}"))
                    .at(span, "not in the file that is compiled")
                    .help("keep parameters, neurons and blocks in the file that is included"),
            );
        } else if let Some(earlier) = earlier {
            self.diagnostics.push(
                Diagnostic::error(Slug::DuplicateSection, format!("a file has one {what}"))
                    .at(span, "a second one")
                    .with(earlier, "the first one"),
            );
        }
        in_entry && earlier.is_none()
    }
}

/// The fault of a name that is taken.
pub(crate) fn duplicate(name: &Name, first: Span) -> Diagnostic {
    Diagnostic::error(Slug::DuplicateName, format!("`{}` is defined twice", name.text))
        .at(name.span, "defined again")
        .with(first, "first defined here")
        .help("choose another name")
}
