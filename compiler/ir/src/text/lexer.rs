//! Words and marks of the text form, with their lines.

/// A piece of text.
#[derive(Clone, PartialEq, Debug)]
pub enum Token {
    /// `conv2d.masked_add`, `1e-5`, `Co128/32`, `2x2`.
    Word(String),
    /// `%stem.conv`, without its mark.
    Name(String),
    /// One of `@ : = , { } ( ) [ ] |`.
    Mark(char),
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Token::Word(word) => write!(f, "`{word}`"),
            Token::Name(name) => write!(f, "`%{name}`"),
            Token::Mark(mark) => write!(f, "`{mark}`"),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || "_.-+/'".contains(c)
}

/// Tokens with their line numbers, which start at 1. The error is the line and the message.
pub fn tokens(text: &str) -> Result<Vec<(usize, Token)>, (usize, String)> {
    let mut tokens = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let line_number = n + 1;
        let code = line.split(';').next().unwrap_or("");
        let mut rest = code.trim_start();
        while let Some(first) = rest.chars().next() {
            let (token, taken) = token(rest, first).map_err(|message| (line_number, message))?;
            tokens.push((line_number, token));
            rest = rest[taken..].trim_start();
        }
    }
    Ok(tokens)
}

/// The first token of `rest` and its length in bytes.
fn token(rest: &str, first: char) -> Result<(Token, usize), String> {
    let word_at = |from: usize| {
        let tail = &rest[from..];
        tail[..tail.find(|c| !is_word(c)).unwrap_or(tail.len())].to_string()
    };
    if is_word(first) {
        let word = word_at(0);
        let length = word.len();
        return Ok((Token::Word(word), length));
    }
    if first == '%' {
        let name = word_at(1);
        if name.is_empty() {
            return Err("expected a name after `%`".to_string());
        }
        let length = 1 + name.len();
        return Ok((Token::Name(name), length));
    }
    if "@:=,{}()[]|".contains(first) {
        return Ok((Token::Mark(first), first.len_utf8()));
    }
    Err(format!("unexpected character {first:?}"))
}
