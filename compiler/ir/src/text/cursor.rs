//! A place in the tokens of a text, and the parts that stand for themselves: types and attributes.

use super::attributes::{Attributes, Written};
use super::lexer::{Token, tokens};
use super::parse::ParseError;
use crate::types::{Axis, AxisName, Elem, Type};

pub type Parsed<T> = Result<T, ParseError>;

/// Tokens and how many are read.
pub struct Cursor {
    tokens: Vec<(usize, Token)>,
    at: usize,
}

impl Cursor {
    pub fn new(text: &str) -> Parsed<Cursor> {
        let tokens = tokens(text).map_err(|(line, message)| ParseError { line, message })?;
        Ok(Cursor { tokens, at: 0 })
    }

    pub fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    /// Passes over the next token.
    pub fn skip(&mut self) {
        self.at += 1;
    }

    /// The line of the next token, or the last one.
    pub fn line(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |&(line, _)| line)
    }

    pub fn fail<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(ParseError { line: self.line(), message: message.into() })
    }

    pub fn expected<T>(&self, what: &str) -> Parsed<T> {
        match self.peek() {
            Some(token) => self.fail(format!("expected {what}, found {token}")),
            None => self.fail(format!("expected {what}, found the end of the text")),
        }
    }

    pub fn eat(&mut self, mark: char) -> bool {
        let found = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(found)) if found == word);
        self.at += usize::from(found);
        found
    }

    pub fn expect(&mut self, mark: char) -> Parsed<()> {
        if self.eat(mark) { Ok(()) } else { self.expected(&format!("`{mark}`")) }
    }

    pub fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.eat_word(word) { Ok(()) } else { self.expected(&format!("`{word}`")) }
    }

    pub fn word(&mut self, what: &str) -> Parsed<String> {
        let Some(Token::Word(word)) = self.peek() else { return self.expected(what) };
        let word = word.clone();
        self.at += 1;
        Ok(word)
    }

    pub fn name(&mut self) -> Parsed<String> {
        let Some(Token::Name(name)) = self.peek() else { return self.expected("a value's name") };
        let name = name.clone();
        self.at += 1;
        Ok(name)
    }

    pub fn end(&self) -> Parsed<()> {
        if self.at == self.tokens.len() { Ok(()) } else { self.expected("the end of the text") }
    }

    /// One of a few words.
    pub fn one_of<T: Copy>(&mut self, among: &[(&str, T)], what: &str) -> Parsed<T> {
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

    pub fn ty(&mut self) -> Parsed<Type> {
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
    pub fn axis(&mut self) -> Parsed<Axis> {
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

    /// `{key=value, …}`, or nothing.
    pub fn attributes(&mut self) -> Parsed<Attributes> {
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

    pub fn written(&mut self) -> Parsed<Written> {
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

const ELEMS: [(&str, Elem); 4] =
    [("f32", Elem::F32), ("i32", Elem::I32), ("spike", Elem::Spike), ("bits", Elem::Bits)];
