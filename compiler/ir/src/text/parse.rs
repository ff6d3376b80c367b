//! Text to a graph. Every mistake is an error with its line, never a panic.

use super::attributes::{self, Attributes, Written};
use super::lexer::{Token, tokens};
use crate::entity::{Region, Value};
use crate::graph::{Graph, Mode, ParamKind, Stage};
use crate::op::Op;
use crate::types::{Axis, AxisName, Elem, Type};
use std::collections::HashMap;
use std::fmt;

/// Why a text is no graph.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ParseError {}

type Parsed<T> = Result<T, ParseError>;

/// The graph that a text says. It is well formed, not verified: names exist before their use and are unique.
pub fn parse(text: &str) -> Result<Graph, ParseError> {
    let mut parser = Parser::new(text)?;
    parser.graph_head()?;
    while !parser.eat('}') {
        parser.statement()?;
    }
    parser.end()?;
    Ok(parser.graph)
}

/// The type that a text says, as in `f32[T4 B C128 H16 W16]`.
pub fn parse_type(text: &str) -> Result<Type, ParseError> {
    let mut parser = Parser::new(text)?;
    let ty = parser.ty()?;
    parser.end()?;
    Ok(ty)
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
    graph: Graph,
    names: HashMap<String, Value>,
}

impl Parser {
    fn new(text: &str) -> Parsed<Parser> {
        let tokens = tokens(text).map_err(|(line, message)| ParseError { line, message })?;
        Ok(Parser { tokens, at: 0, graph: Graph::new("", Mode::Infer), names: HashMap::new() })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    /// The line of the next token, or the last one.
    fn line(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |&(line, _)| line)
    }

    fn fail<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(ParseError { line: self.line(), message: message.into() })
    }

    fn expected<T>(&self, what: &str) -> Parsed<T> {
        match self.peek() {
            Some(token) => self.fail(format!("expected {what}, found {token}")),
            None => self.fail(format!("expected {what}, found the end of the text")),
        }
    }

    fn eat(&mut self, mark: char) -> bool {
        let found = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(found)) if found == word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, mark: char) -> Parsed<()> {
        if self.eat(mark) { Ok(()) } else { self.expected(&format!("`{mark}`")) }
    }

    fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.eat_word(word) { Ok(()) } else { self.expected(&format!("`{word}`")) }
    }

    fn word(&mut self, what: &str) -> Parsed<String> {
        let Some(Token::Word(word)) = self.peek() else { return self.expected(what) };
        let word = word.clone();
        self.at += 1;
        Ok(word)
    }

    fn name(&mut self) -> Parsed<String> {
        let Some(Token::Name(name)) = self.peek() else { return self.expected("a value's name") };
        let name = name.clone();
        self.at += 1;
        Ok(name)
    }

    fn end(&self) -> Parsed<()> {
        if self.at == self.tokens.len() { Ok(()) } else { self.expected("the end of the text") }
    }

    fn graph_head(&mut self) -> Parsed<()> {
        self.expect_word("graph")?;
        self.expect('@')?;
        if self.peek() != Some(&Token::Mark('{')) {
            self.graph.name = self.word("the graph's name")?;
        }
        if self.eat_word("stage") {
            self.expect('=')?;
            self.graph.stage = self.one_of(&STAGES, "a stage")?;
        }
        if self.eat_word("mode") {
            self.expect('=')?;
            self.graph.mode = self.one_of(&MODES, "a mode")?;
        }
        self.expect('{')
    }

    /// One of a few words.
    fn one_of<T: Copy>(&mut self, among: &[(&str, T)], what: &str) -> Parsed<T> {
        let found = match self.peek() {
            Some(Token::Word(word)) => among.iter().find(|(name, _)| name == word),
            Some(Token::Name(_) | Token::Mark(_)) | None => None,
        };
        let Some(&(_, found)) = found else {
            let names: Vec<&str> = among.iter().map(|(name, _)| *name).collect();
            return self.expected(&format!("{what} ({})", names.join(", ")));
        };
        self.at += 1;
        Ok(found)
    }

    fn statement(&mut self) -> Parsed<()> {
        if self.eat_word("param") {
            let (name, ty) = self.declaration()?;
            let kind = self.one_of(&KINDS, "the parameter's kind")?;
            let value = self.graph.add_param(&name, ty, kind);
            self.names.insert(name, value);
        } else if self.eat_word("input") {
            let (name, ty) = self.declaration()?;
            let value = self.graph.add_input(&name, ty);
            self.names.insert(name, value);
        } else if self.eat_word("output") {
            let outputs = self.uses()?;
            self.graph.outputs.extend(outputs);
        } else if self.eat_word("grad") {
            let pair = self.pair()?;
            self.graph.grads.push(pair);
        } else if self.eat_word("update") {
            let pair = self.pair()?;
            self.graph.updates.push(pair);
        } else {
            self.instruction(None)?;
        }
        Ok(())
    }

    /// `%a = %b`.
    fn pair(&mut self) -> Parsed<(Value, Value)> {
        let of = self.use_of()?;
        self.expect('=')?;
        Ok((of, self.use_of()?))
    }

    /// A new name.
    fn new_name(&mut self) -> Parsed<String> {
        if let Some(Token::Name(name)) = self.peek()
            && self.names.contains_key(name)
        {
            return self.fail(format!("`%{name}` is defined twice"));
        }
        self.name()
    }

    /// `%a : type`.
    fn declaration(&mut self) -> Parsed<(String, Type)> {
        let name = self.new_name()?;
        self.expect(':')?;
        Ok((name, self.ty()?))
    }

    fn use_of(&mut self) -> Parsed<Value> {
        if let Some(Token::Name(name)) = self.peek()
            && !self.names.contains_key(name)
        {
            return self.fail(format!("`%{name}` is not defined before this line"));
        }
        let name = self.name()?;
        Ok(self.names[&name])
    }

    /// `%a, %b`.
    fn uses(&mut self) -> Parsed<Vec<Value>> {
        let mut values = vec![self.use_of()?];
        while self.eat(',') {
            values.push(self.use_of()?);
        }
        Ok(values)
    }

    fn ty(&mut self) -> Parsed<Type> {
        let elem = self.one_of(&ELEMS, "a kind of element")?;
        self.expect('[')?;
        let mut axes: Vec<Axis> = Vec::new();
        while !self.eat(']') {
            // The bar before the packed axis stands there for the reader.
            self.eat('|');
            let axis = self.axis()?;
            if axes.iter().any(|other| other.name == axis.name) {
                return self.fail(format!("the axis {} stands there twice", axis.name));
            }
            axes.push(axis);
        }
        Ok(Type::new(elem, axes))
    }

    /// `C128`, `B`, `Co128/32`.
    fn axis(&mut self) -> Parsed<Axis> {
        let line = self.line();
        let word = self.word("an axis")?;
        let fail = || ParseError { line, message: format!("`{word}` is no axis") };
        let digits = word.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(word.len());
        let (letters, numbers) = word.split_at(digits);
        let (name, _) = AxisName::ALL.into_iter().find(|(_, text)| *text == letters).ok_or_else(fail)?;
        if name == AxisName::B {
            return if numbers.is_empty() { Ok(Axis::batch()) } else { Err(fail()) };
        }
        let (extent, tile) = match numbers.split_once('/') {
            Some((extent, tile)) => (extent, tile.parse().map_err(|_| fail())?),
            None => (numbers, 0),
        };
        let extent = extent.parse().map_err(|_| fail())?;
        Ok(Axis { name, extent: Some(extent), tile })
    }

    /// An instruction of the body or of a region, a scan included.
    fn instruction(&mut self, region: Option<Region>) -> Parsed<()> {
        let results = self.results()?;
        self.expect('=')?;
        let line = self.line();
        let mnemonic = self.word("an operation")?;
        if mnemonic == "scan" {
            if region.is_some() {
                return Err(ParseError { line, message: "a scan cannot stand in a scan".to_string() });
            }
            return self.scan(&results);
        }
        let args = if matches!(self.peek(), Some(Token::Name(_))) { self.uses()? } else { Vec::new() };
        let op = attributes::op(&mnemonic, self.attributes()?)
            .map_err(|message| ParseError { line, message: format!("`{mnemonic}`: {message}") })?;
        self.place(op, &args, &results, region);
        Ok(())
    }

    /// `%a, %b : type, type`.
    fn results(&mut self) -> Parsed<Vec<(String, Type)>> {
        let mut names = vec![self.new_name()?];
        while self.eat(',') {
            let name = self.new_name()?;
            if names.contains(&name) {
                return self.fail(format!("`%{name}` is defined twice"));
            }
            names.push(name);
        }
        self.expect(':')?;
        let mut results = Vec::new();
        for (n, name) in names.into_iter().enumerate() {
            if n > 0 {
                self.expect(',')?;
            }
            results.push((name, self.ty()?));
        }
        Ok(results)
    }

    /// Makes an instruction at the end of the body or of a region.
    fn place(
        &mut self,
        op: Op,
        args: &[Value],
        results: &[(String, Type)],
        region: Option<Region>,
    ) -> crate::Inst {
        let named: Vec<(&str, Type)> = results.iter().map(|(name, ty)| (name.as_str(), ty.clone())).collect();
        let inst = self.graph.make_inst(op, args, &named);
        let made = self.graph.inst(inst).results.clone();
        self.names.extend(results.iter().map(|(name, _)| name.clone()).zip(made));
        match region {
            Some(region) => self.graph.region_mut(region).body.push(inst),
            None => self.graph.body.push(inst),
        }
        inst
    }

    /// After `scan`: `t in T4 slice (…) carry (…) { … yield … }`.
    fn scan(&mut self, results: &[(String, Type)]) -> Parsed<()> {
        self.expect_word("t")?;
        self.expect_word("in")?;
        let axis = self.axis()?;
        let (AxisName::T, Some(steps)) = (axis.name, axis.extent) else {
            return self.fail("a scan runs over T");
        };
        let region = self.graph.new_region(steps);
        let args = self.slices(region)?;
        self.carries(region)?;
        self.expect('{')?;
        while !self.eat_word("yield") {
            self.instruction(Some(region))?;
        }
        if matches!(self.peek(), Some(Token::Name(_))) {
            self.graph.region_mut(region).yields = self.uses()?;
        }
        if self.eat_word("carry") {
            self.graph.region_mut(region).next = self.uses()?;
        }
        self.expect('}')?;
        if let Some((name, _)) = results.iter().find(|(name, _)| self.names.contains_key(name)) {
            return self.fail(format!("`%{name}` is defined twice"));
        }
        let inst = self.place(Op::Scan, &args, results, None);
        self.graph.inst_mut(inst).region = Some(region);
        Ok(())
    }

    /// `slice (%x.t : type = %x, …)`: gives the sliced values.
    fn slices(&mut self, region: Region) -> Parsed<Vec<Value>> {
        let mut args = Vec::new();
        if !self.eat_word("slice") {
            return Ok(args);
        }
        self.expect('(')?;
        loop {
            let (name, ty) = self.declaration()?;
            self.expect('=')?;
            args.push(self.use_of()?);
            let value = self.graph.add_arg(region, &name, ty, None);
            self.names.insert(name, value);
            if !self.eat(',') {
                break;
            }
        }
        self.expect(')')?;
        Ok(args)
    }

    /// `carry (%v : type = 0, …)`.
    fn carries(&mut self, region: Region) -> Parsed<()> {
        if !self.eat_word("carry") {
            return Ok(());
        }
        self.expect('(')?;
        loop {
            let (name, ty) = self.declaration()?;
            self.expect('=')?;
            let Some(Token::Word(init)) = self.peek() else { return self.expected("a number") };
            let Ok(init) = init.parse::<f32>() else { return self.expected("a number") };
            self.at += 1;
            let value = self.graph.add_arg(region, &name, ty, Some(init));
            self.names.insert(name, value);
            if !self.eat(',') {
                break;
            }
        }
        self.expect(')')
    }

    /// `{key=value, …}`, or nothing.
    fn attributes(&mut self) -> Parsed<Attributes> {
        let mut pairs: Vec<(String, Written)> = Vec::new();
        if self.eat('{') {
            while !self.eat('}') {
                let key = self.word("an attribute")?;
                if pairs.iter().any(|(other, _)| *other == key) {
                    return self.fail(format!("the attribute `{key}` stands there twice"));
                }
                self.expect('=')?;
                pairs.push((key, self.written()?));
                self.eat(',');
            }
        }
        Ok(Attributes { pairs })
    }

    fn written(&mut self) -> Parsed<Written> {
        if self.eat('[') {
            let mut words = Vec::new();
            while !self.eat(']') {
                words.push(self.word("an axis")?);
            }
            return Ok(Written::List(words));
        }
        let word = self.word("a value")?;
        if !self.eat('(') {
            return Ok(Written::Word(word));
        }
        let argument = self.word("a number")?;
        self.expect(')')?;
        Ok(Written::Call(word, argument))
    }
}

const STAGES: [(&str, Stage); 4] = [
    ("logical", Stage::Logical),
    ("masked", Stage::Masked),
    ("fused", Stage::Fused),
    ("packed", Stage::Packed),
];

const MODES: [(&str, Mode); 2] = [("infer", Mode::Infer), ("train", Mode::Train)];

const KINDS: [(&str, ParamKind); 6] = [
    ("weight", ParamKind::Weight),
    ("bias", ParamKind::Bias),
    ("gain", ParamKind::Gain),
    ("shift", ParamKind::Shift),
    ("running_mean", ParamKind::RunningMean),
    ("running_var", ParamKind::RunningVar),
];

const ELEMS: [(&str, Elem); 4] =
    [("f32", Elem::F32), ("i32", Elem::I32), ("spike", Elem::Spike), ("bits", Elem::Bits)];
