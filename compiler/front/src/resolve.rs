//! Names: every block and the network, used or not, may only mention what exists, and no block calls itself.

use crate::ast::{Arg, Block, Body, Call, Expr, ExprKind, Formal, Name};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::expand::unknown_argument;
use crate::layers::SIGNATURES;
use crate::near::nearest;
use crate::program::{LAYERS, MODELS, Program, duplicate};
use crate::slug::Slug;
use crate::span::Span;
use crate::surrogate::NAMES as SURROGATES;
use std::collections::{HashMap, HashSet};

/// Words that are values of certain arguments: `avg_pool(global)`, `mean(time)`, `reset: soft`. Surrogates are
/// too.
const WORDS: [&str; 12] = [
    "global", "time", "space", "channels", "auto", "kv_first", "qk_first", "soft", "none", "hard", "layer",
    "channel",
];

/// Words that take an argument of their own: `reset: hard(0.0)`. Surrogates do too.
const WORD_CALLS: [&str; 3] = ["hard", "learn", "space_time"];

/// Checks the names of all bodies and reports recursion.
pub(crate) fn check(program: &Program, diagnostics: &mut Diagnostics) {
    let mut calls = HashMap::new();
    for block in &program.blocks {
        let mut walk = Walk::new(program, diagnostics);
        walk.block(block);
        calls.insert(block.name.text.as_str(), walk.calls);
    }
    if let Some(network) = &program.network {
        let mut walk = Walk::new(program, diagnostics);
        network.inputs.iter().for_each(|input| walk.define(&input.name));
        walk.body(&network.body);
    }
    recursion(program, calls, diagnostics);
}

/// The fault of a name that is not defined, with the nearest that is.
pub(crate) fn unknown<'a>(
    name: &str,
    span: Span,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    let diagnostic =
        Diagnostic::error(Slug::UnknownName, format!("`{name}` is not defined")).at(span, "unknown name");
    match nearest(name, candidates) {
        Some(near) => diagnostic.help(format!("write `{near}`")),
        None => diagnostic,
    }
}

struct Walk<'a, 'd> {
    program: &'a Program,
    diagnostics: &'d mut Diagnostics,
    locals: Vec<(&'a str, Span)>,
    /// Blocks that are called, with the first place of each call.
    calls: Vec<(&'a str, Span)>,
}

impl<'a, 'd> Walk<'a, 'd> {
    fn new(program: &'a Program, diagnostics: &'d mut Diagnostics) -> Walk<'a, 'd> {
        Walk { program, diagnostics, locals: Vec::new(), calls: Vec::new() }
    }

    fn block(&mut self, block: &'a Block) {
        for Formal { name, default } in &block.formals {
            default.iter().for_each(|default| self.expr(default));
            self.define(name);
        }
        self.body(&block.body);
    }

    fn define(&mut self, name: &'a Name) {
        match self.locals.iter().find(|(local, _)| *local == name.text) {
            Some(&(_, first)) => self.diagnostics.push(duplicate(name, first)),
            None => self.locals.push((&name.text, name.span)),
        }
    }

    fn body(&mut self, body: &'a Body) {
        let outer = self.locals.len();
        for binding in &body.bindings {
            self.expr(&binding.value);
            self.define(&binding.name);
        }
        self.expr(&body.result);
        self.locals.truncate(outer);
    }

    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Bool(_)
            | ExprKind::Text(_)
            | ExprKind::Invalid => {}
            ExprKind::Name(name) => self.name(name, expr.span),
            ExprKind::Member(base, _) => self.expr(base),
            ExprKind::Call(call) => self.call(call),
            ExprKind::If(arms, otherwise) => {
                for (condition, body) in arms {
                    self.expr(condition);
                    self.body(body);
                }
                self.body(otherwise);
            }
            ExprKind::Unary(_, _, operand) => self.expr(operand),
            ExprKind::Chain(first, rest) => {
                self.expr(first);
                rest.iter().for_each(|(_, operand)| self.expr(operand));
            }
            ExprKind::Pipe(first, steps) => {
                self.expr(first);
                for step in steps {
                    step.repeats.iter().for_each(|count| self.expr(count));
                    self.call(&step.call);
                }
            }
        }
    }

    fn name(&mut self, name: &str, span: Span) {
        let params = || self.program.params.iter().map(|param| param.name.text.as_str());
        let locals = || self.locals.iter().map(|(local, _)| *local);
        let known = locals().chain(params()).chain(WORDS).chain(SURROGATES).any(|known| known == name);
        if !known {
            let diagnostic = unknown(name, span, locals().chain(params()));
            self.diagnostics.push(diagnostic);
        }
    }

    /// Arguments that the callee does not have; blocks that are never called are not expanded, so that
    /// `expand.rs` alone would miss theirs.
    fn argument_names(&mut self, call: &Call) {
        let Some(formals) = formals(self.program, &call.name.text) else { return };
        for name in call.args.iter().filter_map(|arg| arg.name.as_ref()) {
            if !formals.contains(&name.text.as_str()) {
                self.diagnostics.push(unknown_argument(call, Some(&name.text), &formals, name.span));
            }
        }
    }

    fn call(&mut self, call: &'a Call) {
        for arg in call.args.iter().filter(|arg| !is_word_of(call, arg)) {
            self.expr(&arg.value);
        }
        let (program, name) = (self.program, call.name.text.as_str());
        self.argument_names(call);
        let blocks = || program.blocks.iter().map(|block| block.name.text.as_str());
        let neurons = || program.neurons.iter().map(|neuron| neuron.name.text.as_str());
        if let Some(block) = blocks().find(|block| *block == name) {
            self.calls.push((block, call.span));
            return;
        }
        let callable = || LAYERS.into_iter().chain(MODELS).chain(neurons());
        // A value in the place of a call is of the wrong kind rather than unknown: `expand.rs` says so.
        let value = self.locals.iter().any(|(local, _)| *local == name)
            || program.params.iter().any(|param| param.name.text == name);
        if !value && !callable().chain(WORD_CALLS).chain(SURROGATES).any(|known| known == name) {
            let diagnostic = unknown(name, call.name.span, callable().chain(blocks()));
            self.diagnostics.push(diagnostic);
        }
    }
}

/// The names of the arguments of a block or a layer, if `name` is one.
fn formals<'a>(program: &'a Program, name: &str) -> Option<Vec<&'a str>> {
    if let Some(signature) = SIGNATURES.iter().find(|signature| signature.name == name) {
        return Some(signature.formals.iter().map(|(formal, _)| *formal).collect());
    }
    let block = program.blocks.iter().find(|block| block.name.text == name)?;
    Some(block.formals.iter().map(|formal| formal.name.text.as_str()).collect())
}

/// Whether an argument is a bare word that the callee judges: a slip there is a bad value, not an unknown name.
fn is_word_of(call: &Call, arg: &Arg) -> bool {
    let fields = ["reset", "surrogate", "per", "over", "order"];
    let field = arg.name.as_ref().is_some_and(|name| fields.contains(&&*name.text));
    arg.value.as_name().is_some() && (field || matches!(call.name.text.as_str(), "mean" | "sum"))
}

/// Reports each cycle of calls once: blocks that call only finished blocks are finished; what is left
/// calls a cycle or lies on one.
fn recursion(program: &Program, calls: HashMap<&str, Vec<(&str, Span)>>, diagnostics: &mut Diagnostics) {
    let mut left: HashSet<&str> = calls.keys().copied().collect();
    loop {
        prune(&mut left, &calls);
        let Some(start) = program.blocks.iter().map(|b| b.name.text.as_str()).find(|b| left.contains(b))
        else {
            return;
        };
        let cycle = cycle(start, &left, &calls);
        let names: Vec<&str> = cycle.iter().map(|(block, _)| *block).collect();
        let message = match names.as_slice() {
            [name] => format!("block `{name}` calls itself"),
            [first, rest @ ..] => format!("block `{first}` calls itself through `{}`", rest.join("`, `")),
            [] => return,
        };
        diagnostics.push(
            Diagnostic::error(Slug::RecursiveBlock, message)
                .at(cycle[0].1, "the call that closes the circle")
                .help("use `repeat(n)` to apply a block several times"),
        );
        names.iter().for_each(|name| {
            left.remove(name);
        });
    }
}

fn prune(left: &mut HashSet<&str>, calls: &HashMap<&str, Vec<(&str, Span)>>) {
    loop {
        let before = left.len();
        let snapshot = left.clone();
        left.retain(|block| calls[block].iter().any(|(callee, _)| snapshot.contains(callee)));
        if left.len() == before {
            return;
        }
    }
}

/// Follows calls among the blocks left until one comes again: each block of the circle with a call to the next.
fn cycle<'a>(
    start: &'a str,
    left: &HashSet<&str>,
    calls: &HashMap<&'a str, Vec<(&'a str, Span)>>,
) -> Vec<(&'a str, Span)> {
    let mut path: Vec<(&str, Span)> = Vec::new();
    let mut at = start;
    while !path.iter().any(|(block, _)| *block == at) {
        let Some(&(callee, span)) = calls[at].iter().find(|(callee, _)| left.contains(callee)) else { break };
        path.push((at, span));
        at = callee;
    }
    let first = path.iter().position(|(block, _)| *block == at).unwrap_or(0);
    path.split_off(first)
}
