//! From pest pairs to the syntax tree.
//!
//! The grammar fixes which pairs a rule holds, so this file walks them without checks of its own; what the
//! grammar cannot say (a number too large) becomes a diagnostic.

use crate::ast::*;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::slug::Slug;
use crate::span::{FileId, Span};
use crate::syntax;
use pest::iterators::Pair;
use snnc_grammar::Rule;

/// Parses a file. Faults go to `diagnostics`; a file that does not follow the grammar has no tree.
pub(crate) fn file(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> Option<File> {
    if let Some(deep) = syntax::too_deep(file, text) {
        diagnostics.push(deep);
        return None;
    }
    match snnc_grammar::parse(Rule::file, text) {
        Ok(mut pairs) => {
            let mut builder = Builder { file, diagnostics };
            let items = inner(pairs.next()?).filter_map(|pair| builder.item(pair)).collect();
            Some(File { items })
        }
        Err(error) => {
            syntax::errors(file, text, *error).into_iter().for_each(|error| diagnostics.push(error));
            None
        }
    }
}

/// The paths that a file includes; none where it does not parse.
pub(crate) fn includes(id: FileId, text: &str) -> Vec<String> {
    let items = file(id, text, &mut Diagnostics::default()).unwrap_or_default().items;
    let path = |item| match item {
        Item::Include(include) => Some(include.path),
        Item::Param(_) | Item::Neuron(_) | Item::Block(_) | Item::Network(_) | Item::Train(_) => None,
    };
    items.into_iter().filter_map(path).collect()
}

/// The pairs inside a pair without the words of the language, whose places carry no meaning.
fn inner(pair: Pair<'_, Rule>) -> impl Iterator<Item = Pair<'_, Rule>> {
    pair.into_inner().filter(|pair| !syntax::is_word(pair.as_rule()))
}

struct Builder<'a> {
    file: FileId,
    diagnostics: &'a mut Diagnostics,
}

/// What a chain of pairs yields where the grammar promises a further one.
const PROMISED: &str = "the grammar puts a pair here";

impl Builder<'_> {
    fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let (text, start) = (pair.as_str(), pair.as_span().start());
        Span::new(self.file, start..start + without_blanks(text).len())
    }

    fn item(&mut self, pair: Pair<'_, Rule>) -> Option<Item> {
        let (rule, span) = (pair.as_rule(), self.span(&pair));
        let mut parts = inner(pair);
        Some(match rule {
            Rule::include => {
                let path = parts.next()?;
                Item::Include(Include { span: self.span(&path), path: unquoted(&path) })
            }
            Rule::param => {
                Item::Param(Param { name: self.name(parts.next()?), value: self.expr(parts.next()?) })
            }
            Rule::neuron => {
                Item::Neuron(Neuron { name: self.name(parts.next()?), base: self.call(parts.next()?) })
            }
            Rule::block => Item::Block(self.block(parts)),
            Rule::network => Item::Network(self.network(parts)),
            Rule::train => Item::Train(Train { fields: parts.map(|pair| self.field(pair)).collect(), span }),
            _ => return None, // The end of the input.
        })
    }

    fn name(&self, pair: Pair<'_, Rule>) -> Name {
        Name { span: self.span(&pair), text: pair.as_str().to_string() }
    }

    fn block<'p>(&mut self, mut parts: impl Iterator<Item = Pair<'p, Rule>>) -> Block {
        let name = self.name(parts.next().expect(PROMISED));
        let mut formals = Vec::new();
        for pair in parts {
            match pair.as_rule() {
                Rule::formal => formals.push(self.formal(pair)),
                _ => return Block { name, formals, body: self.body(inner(pair)) },
            }
        }
        unreachable!("{PROMISED}")
    }

    fn formal(&mut self, pair: Pair<'_, Rule>) -> Formal {
        let mut parts = inner(pair);
        let name = self.name(parts.next().expect(PROMISED));
        Formal { name, default: parts.next().map(|pair| self.expr(pair)) }
    }

    /// Bindings, then the result.
    fn body<'p>(&mut self, parts: impl Iterator<Item = Pair<'p, Rule>>) -> Body {
        let mut bindings = Vec::new();
        for pair in parts {
            match pair.as_rule() {
                Rule::binding => {
                    let mut parts = inner(pair);
                    let name = self.name(parts.next().expect(PROMISED));
                    bindings.push(Binding { name, value: self.expr(parts.next().expect(PROMISED)) });
                }
                _ => return Body { bindings, result: Box::new(self.expr(pair)) },
            }
        }
        unreachable!("{PROMISED}")
    }

    fn network<'p>(&mut self, parts: impl Iterator<Item = Pair<'p, Rule>>) -> Network {
        let mut parts = parts.peekable();
        let name = self.name(parts.next().expect(PROMISED));
        let (mut timesteps, mut inputs, mut requires) = (Vec::new(), Vec::new(), Vec::new());
        let head = |rule| matches!(rule, Rule::timesteps | Rule::input | Rule::require);
        while let Some(pair) = parts.next_if(|pair| head(pair.as_rule())) {
            match pair.as_rule() {
                Rule::timesteps => timesteps.push(self.expr(inner(pair).next().expect(PROMISED))),
                Rule::require => requires.push(self.name(inner(pair).next().expect(PROMISED))),
                _ => inputs.push(self.input(pair)),
            }
        }
        Network { name, timesteps, inputs, requires, body: self.body(parts) }
    }

    fn input(&mut self, pair: Pair<'_, Rule>) -> Input {
        let span = self.span(&pair);
        let mut parts = inner(pair);
        let name = self.name(parts.next().expect(PROMISED));
        let elem = self.name(parts.next().expect(PROMISED));
        let (mut axes, mut encoders) = (Vec::new(), Vec::new());
        for pair in parts {
            match pair.as_rule() {
                Rule::encoder => encoders.push(self.call(inner(pair).next().expect(PROMISED))),
                _ => axes.push(self.expr(pair)),
            }
        }
        Input { name, elem, axes, encoders, span }
    }

    fn field(&mut self, pair: Pair<'_, Rule>) -> Field {
        let mut parts = inner(pair);
        let name = self.name(parts.next().expect(PROMISED));
        Field { name, value: self.expr(parts.next().expect(PROMISED)) }
    }

    /// A call, or a bare name as a call without arguments.
    fn call(&mut self, pair: Pair<'_, Rule>) -> Call {
        let span = self.span(&pair);
        if pair.as_rule() == Rule::name {
            return Call { name: self.name(pair), args: Vec::new(), span };
        }
        let mut parts = inner(pair);
        let name = self.name(parts.next().expect(PROMISED));
        let args = parts.next().map(|pair| inner(pair).map(|pair| self.arg(pair)).collect());
        Call { name, args: args.unwrap_or_default(), span }
    }

    fn arg(&mut self, pair: Pair<'_, Rule>) -> Arg {
        let mut parts = inner(pair);
        let first = parts.next().expect(PROMISED);
        match first.as_rule() {
            Rule::name => {
                Arg { name: Some(self.name(first)), value: self.expr(parts.next().expect(PROMISED)) }
            }
            _ => Arg { name: None, value: self.expr(first) },
        }
    }

    /// Any pair that is an expression.
    fn expr(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let (rule, span) = (pair.as_rule(), self.span(&pair));
        let kind = match rule {
            Rule::number => self.number(pair.as_str(), span),
            Rule::boolean => ExprKind::Bool(pair.as_str() == "true"),
            Rule::text => ExprKind::Text(unquoted(&pair)),
            Rule::name => ExprKind::Name(pair.as_str().to_string()),
            Rule::call => ExprKind::Call(self.call(pair)),
            Rule::conditional => self.conditional(pair),
            Rule::inversion => return self.unary(pair, Rule::kw_not, UnaryOp::Not, span),
            Rule::negation => return self.unary(pair, Rule::minus, UnaryOp::Minus, span),
            Rule::member => return self.member(pair, span),
            Rule::expr => return self.pipe(pair, span),
            _ => return self.chain(pair, span),
        };
        Expr { kind, span }
    }

    fn number(&mut self, text: &str, span: Span) -> ExprKind {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            if let Ok(value) = text.parse() {
                return ExprKind::Int(value);
            }
        } else if let Ok(value) = text.parse::<f64>()
            && value.is_finite()
        {
            return ExprKind::Float(value);
        }
        self.diagnostics.push(
            Diagnostic::error(Slug::BadNumber, "a number is too large")
                .at(span, "whole numbers have 64 bits, real ones are below 1.8e308"),
        );
        ExprKind::Invalid
    }

    fn conditional(&mut self, pair: Pair<'_, Rule>) -> ExprKind {
        let mut arms = Vec::new();
        let mut parts = inner(pair);
        while let Some(pair) = parts.next() {
            match pair.as_rule() {
                Rule::body => return ExprKind::If(arms, self.body(inner(pair))),
                _ => {
                    let condition = self.expr(pair);
                    arms.push((condition, self.body(inner(parts.next().expect(PROMISED)))));
                }
            }
        }
        unreachable!("{PROMISED}")
    }

    /// Signs, then an operand; the words are counted here, so that they are not skipped.
    fn unary(&mut self, pair: Pair<'_, Rule>, sign: Rule, op: UnaryOp, span: Span) -> Expr {
        let mut count = 0;
        for pair in pair.into_inner() {
            if pair.as_rule() == sign {
                count += 1;
            } else if count == 0 {
                return self.expr(pair);
            } else {
                let operand = Box::new(self.expr(pair));
                return Expr { kind: ExprKind::Unary(op, count, operand), span };
            }
        }
        unreachable!("{PROMISED}")
    }

    fn member(&mut self, pair: Pair<'_, Rule>, span: Span) -> Expr {
        let mut parts = inner(pair);
        let base = self.expr(parts.next().expect(PROMISED));
        match parts.next() {
            Some(name) => Expr { kind: ExprKind::Member(Box::new(base), self.name(name)), span },
            None => base,
        }
    }

    fn pipe(&mut self, pair: Pair<'_, Rule>, span: Span) -> Expr {
        let mut parts = inner(pair);
        let first = self.expr(parts.next().expect(PROMISED));
        let steps: Vec<Step> = parts.map(|pair| self.step(pair)).collect();
        if steps.is_empty() {
            return first;
        }
        Expr { kind: ExprKind::Pipe(Box::new(first), steps), span }
    }

    fn step(&mut self, pair: Pair<'_, Rule>) -> Step {
        let mut repeats = Vec::new();
        for pair in inner(pair) {
            match pair.as_rule() {
                Rule::repeat => repeats.push(self.expr(inner(pair).next().expect(PROMISED))),
                _ => return Step { repeats, call: self.call(pair) },
            }
        }
        unreachable!("{PROMISED}")
    }

    /// Operands with operators between them; `and` and `or` have a level each, so no pair says which.
    fn chain(&mut self, pair: Pair<'_, Rule>, span: Span) -> Expr {
        let word = if pair.as_rule() == Rule::disjunction { BinaryOp::Or } else { BinaryOp::And };
        let mut parts = inner(pair);
        let first = self.expr(parts.next().expect(PROMISED));
        let (mut rest, mut op) = (Vec::new(), word);
        for pair in parts {
            match pair.as_rule() {
                Rule::compare_op | Rule::sum_op | Rule::product_op => op = operator(pair.as_str()),
                _ => rest.push((op, self.expr(pair))),
            }
        }
        if rest.is_empty() {
            return first;
        }
        Expr { kind: ExprKind::Chain(Box::new(first), rest), span }
    }
}

/// A rule that ends in optional parts may have taken blanks and comments behind it: the text without them.
fn without_blanks(text: &str) -> &str {
    let mut text = text.trim_end();
    loop {
        let line = text.rfind('\n').map_or(0, |newline| newline + 1);
        let quotes = |before: &str| before.matches('"').count();
        match text[line..].find("//") {
            Some(slashes) if quotes(&text[line..line + slashes]) % 2 == 0 => {
                text = text[..line + slashes].trim_end();
            }
            Some(_) | None => return text,
        }
    }
}

fn operator(text: &str) -> BinaryOp {
    BinaryOp::ALL.iter().find(|(_, form)| *form == text).expect("the grammar knows these operators").0
}

fn unquoted(pair: &Pair<'_, Rule>) -> String {
    pair.as_str().trim_matches('"').to_string()
}
