//! The grammar of the snnc language: text to pest pairs, nothing else.
//!
//! ```
//! use snnc_grammar::{Rule, parse};
//! let pairs = parse(Rule::file, "param width = 64").unwrap();
//! assert_eq!(pairs.count(), 1);
//! ```

#![forbid(unsafe_code)]

use pest::Parser as _;
use pest::error::Error;
use pest::iterators::Pairs;

#[allow(missing_docs)] // The rules are documented in `snn.pest`; the derive cannot carry that over.
mod rules {
    /// The parser that pest derives from `snn.pest`.
    #[derive(pest_derive::Parser)]
    #[grammar = "snn.pest"]
    pub struct SnnParser;
}

pub use rules::{Rule, SnnParser};

/// How deep brackets may nest: the parser descends once per level, and its stack is finite.
pub const MAX_NESTING: usize = 64;

/// Parses `text` as `rule`. The caller makes sure of [`nesting`] first: the parser recurses.
///
/// # Errors
/// The position where no rule fits and the rules that would have fitted there.
pub fn parse(rule: Rule, text: &str) -> Result<Pairs<'_, Rule>, Box<Error<Rule>>> {
    SnnParser::parse(rule, text).map_err(Box::new)
}

/// The byte offset of the first bracket that nests deeper than [`MAX_NESTING`], if there is one.
/// Comments and quoted text do not count.
pub fn nesting(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => at = skip_quoted(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'/') => at = skip_line(bytes, at),
            _ => {}
        }
        if depth > MAX_NESTING {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// The closing quote, or the opening one itself where the line ends first: then it is no text.
fn skip_quoted(bytes: &[u8], open: usize) -> usize {
    let end = bytes[open + 1..].iter().position(|&byte| byte == b'"' || byte == b'\n');
    match end {
        Some(length) if bytes[open + 1 + length] == b'"' => open + 1 + length,
        Some(_) | None => open,
    }
}

/// The last byte of the line.
fn skip_line(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |length| from + length)
}
