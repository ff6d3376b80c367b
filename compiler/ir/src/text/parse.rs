//! Text to a graph. Every mistake is an error with its line, never a panic.

use super::attributes;
use super::cursor::{Cursor, Parsed};
use super::lexer::Token;
use crate::entity::{Region, Value};
use crate::graph::{Graph, Mode, ParamKind, Stage};
use crate::op::Op;
use crate::types::{AxisName, Type};
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

/// The graph that a text says. It is well formed, not verified: names exist before their use and are unique.
pub fn parse(text: &str) -> Result<Graph, ParseError> {
    let (cursor, graph) = (Cursor::new(text)?, Graph::new("", Mode::Infer));
    let mut parser = Parser { cursor, graph, names: HashMap::new() };
    parser.graph_head()?;
    while !parser.cursor.eat('}') {
        parser.statement()?;
    }
    parser.cursor.end()?;
    Ok(parser.graph)
}

/// The type that a text says, as in `f32[T4 B C128 H16 W16]`.
pub fn parse_type(text: &str) -> Result<Type, ParseError> {
    let mut cursor = Cursor::new(text)?;
    let ty = cursor.ty()?;
    cursor.end()?;
    Ok(ty)
}

struct Parser {
    cursor: Cursor,
    graph: Graph,
    names: HashMap<String, Value>,
}

impl Parser {
    fn graph_head(&mut self) -> Parsed<()> {
        self.cursor.expect_word("graph")?;
        self.cursor.expect('@')?;
        if self.cursor.peek() != Some(&Token::Mark('{')) {
            self.graph.name = self.cursor.word("the graph's name")?;
        }
        if self.cursor.eat_word("stage") {
            self.cursor.expect('=')?;
            self.graph.stage = self.cursor.one_of(&STAGES, "a stage")?;
        }
        if self.cursor.eat_word("mode") {
            self.cursor.expect('=')?;
            self.graph.mode = self.cursor.one_of(&MODES, "a mode")?;
        }
        self.cursor.expect('{')
    }

    fn statement(&mut self) -> Parsed<()> {
        if self.cursor.eat_word("param") {
            let (name, ty) = self.declaration()?;
            let kind = self.cursor.one_of(&KINDS, "the parameter's kind")?;
            let value = self.graph.add_param(&name, ty, kind);
            self.names.insert(name, value);
            if self.cursor.eat_word("init") {
                self.cursor.expect('=')?;
                let init = self.number()?;
                self.graph.set_init(value, init);
            }
        } else if self.cursor.eat_word("input") {
            let (name, ty) = self.declaration()?;
            let value = self.graph.add_input(&name, ty);
            self.names.insert(name, value);
        } else if self.cursor.eat_word("output") {
            let outputs = self.uses()?;
            self.graph.outputs.extend(outputs);
        } else if self.cursor.eat_word("grad") {
            let pair = self.pair()?;
            self.graph.grads.push(pair);
        } else if self.cursor.eat_word("update") {
            let pair = self.pair()?;
            self.graph.updates.push(pair);
        } else {
            self.instruction(None)?;
        }
        Ok(())
    }

    fn number(&mut self) -> Parsed<f32> {
        let Some(Token::Word(number)) = self.cursor.peek() else { return self.cursor.expected("a number") };
        let Ok(number) = number.parse() else { return self.cursor.expected("a number") };
        self.cursor.skip();
        Ok(number)
    }

    /// `%a = %b`.
    fn pair(&mut self) -> Parsed<(Value, Value)> {
        let of = self.use_of()?;
        self.cursor.expect('=')?;
        Ok((of, self.use_of()?))
    }

    /// A new name.
    fn new_name(&mut self) -> Parsed<String> {
        if let Some(Token::Name(name)) = self.cursor.peek()
            && self.names.contains_key(name)
        {
            return self.cursor.fail(format!("`%{name}` is defined twice"));
        }
        self.cursor.name()
    }

    /// `%a : type`.
    fn declaration(&mut self) -> Parsed<(String, Type)> {
        let name = self.new_name()?;
        self.cursor.expect(':')?;
        Ok((name, self.cursor.ty()?))
    }

    fn use_of(&mut self) -> Parsed<Value> {
        if let Some(Token::Name(name)) = self.cursor.peek()
            && !self.names.contains_key(name)
        {
            return self.cursor.fail(format!("`%{name}` is not defined before this line"));
        }
        let name = self.cursor.name()?;
        Ok(self.names[&name])
    }

    /// `%a, %b`.
    fn uses(&mut self) -> Parsed<Vec<Value>> {
        let mut values = vec![self.use_of()?];
        while self.cursor.eat(',') {
            values.push(self.use_of()?);
        }
        Ok(values)
    }

    /// An instruction of the body or of a region, a scan included.
    fn instruction(&mut self, region: Option<Region>) -> Parsed<()> {
        let results = self.results()?;
        self.cursor.expect('=')?;
        let line = self.cursor.line();
        let mnemonic = self.cursor.word("an operation")?;
        if mnemonic == "scan" {
            if region.is_some() {
                return Err(ParseError { line, message: "a scan cannot stand in a scan".to_string() });
            }
            return self.scan(&results);
        }
        let args = if matches!(self.cursor.peek(), Some(Token::Name(_))) { self.uses()? } else { Vec::new() };
        let op = attributes::op(&mnemonic, self.cursor.attributes()?)
            .map_err(|message| ParseError { line, message: format!("`{mnemonic}`: {message}") })?;
        self.place(op, &args, &results, region);
        Ok(())
    }

    /// `%a, %b : type, type`.
    fn results(&mut self) -> Parsed<Vec<(String, Type)>> {
        let mut names = vec![self.new_name()?];
        while self.cursor.eat(',') {
            let name = self.new_name()?;
            if names.contains(&name) {
                return self.cursor.fail(format!("`%{name}` is defined twice"));
            }
            names.push(name);
        }
        self.cursor.expect(':')?;
        let mut results = Vec::new();
        for (n, name) in names.into_iter().enumerate() {
            if n > 0 {
                self.cursor.expect(',')?;
            }
            results.push((name, self.cursor.ty()?));
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
        self.cursor.expect_word("t")?;
        self.cursor.expect_word("in")?;
        let axis = self.cursor.axis()?;
        let (AxisName::T, Some(steps)) = (axis.name, axis.extent) else {
            return self.cursor.fail("a scan runs over T");
        };
        let region = self.graph.new_region(steps);
        let args = self.slices(region)?;
        self.carries(region)?;
        self.cursor.expect('{')?;
        while !self.cursor.eat_word("yield") {
            self.instruction(Some(region))?;
        }
        if matches!(self.cursor.peek(), Some(Token::Name(_))) {
            self.graph.region_mut(region).yields = self.uses()?;
        }
        if self.cursor.eat_word("carry") {
            self.graph.region_mut(region).next = self.uses()?;
        }
        self.cursor.expect('}')?;
        if let Some((name, _)) = results.iter().find(|(name, _)| self.names.contains_key(name)) {
            return self.cursor.fail(format!("`%{name}` is defined twice"));
        }
        let inst = self.place(Op::Scan, &args, results, None);
        self.graph.inst_mut(inst).region = Some(region);
        Ok(())
    }

    /// `slice (%x.t : type = %x, …)`: gives the sliced values.
    fn slices(&mut self, region: Region) -> Parsed<Vec<Value>> {
        let mut args = Vec::new();
        if !self.cursor.eat_word("slice") {
            return Ok(args);
        }
        self.cursor.expect('(')?;
        loop {
            let (name, ty) = self.declaration()?;
            self.cursor.expect('=')?;
            args.push(self.use_of()?);
            let value = self.graph.add_arg(region, &name, ty, None);
            self.names.insert(name, value);
            if !self.cursor.eat(',') {
                break;
            }
        }
        self.cursor.expect(')')?;
        Ok(args)
    }

    /// `carry (%v : type = 0, …)`.
    fn carries(&mut self, region: Region) -> Parsed<()> {
        if !self.cursor.eat_word("carry") {
            return Ok(());
        }
        self.cursor.expect('(')?;
        loop {
            let (name, ty) = self.declaration()?;
            self.cursor.expect('=')?;
            let init = self.number()?;
            let value = self.graph.add_arg(region, &name, ty, Some(init));
            self.names.insert(name, value);
            if !self.cursor.eat(',') {
                break;
            }
        }
        self.cursor.expect(')')
    }
}

const STAGES: [(&str, Stage); 4] = [
    ("logical", Stage::Logical),
    ("masked", Stage::Masked),
    ("fused", Stage::Fused),
    ("packed", Stage::Packed),
];

const MODES: [(&str, Mode); 2] = [("infer", Mode::Infer), ("train", Mode::Train)];

const KINDS: [(&str, ParamKind); 7] = [
    ("weight", ParamKind::Weight),
    ("bias", ParamKind::Bias),
    ("gain", ParamKind::Gain),
    ("shift", ParamKind::Shift),
    ("running_mean", ParamKind::RunningMean),
    ("running_var", ParamKind::RunningVar),
    ("neuron", ParamKind::Neuron),
];
