//! Reads Rust source as far as the layering tests need it: code without comments and strings, functions with
//! their lengths, names used from the own crate.

#![allow(dead_code)] // Each test uses a part of it.

use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `dir` but build results and version control, sorted.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(dir) else { return found };
    for path in entries.filter_map(|e| e.ok().map(|e| e.path())) {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        // In a second work tree `.git` is a file that names the first one.
        if matches!(name, "target" | ".git" | "runs") {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            // A work tree of git has a file of this name, which says where the repository is.
            if name != ".git" {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The source with comments, strings and character literals blanked; line breaks stay.
pub fn blank(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if end == at {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        out.extend(bytes[at..end].iter().map(|&b| if b == b'\n' { b'\n' } else { b' ' }));
        at = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where the comment, string or character that starts at `at` ends; `at` when none does.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let word_before = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => at + rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => at + find(rest, b"*/").map_or(rest.len(), |n| n + 2),
        [b'"', ..] => quoted_end(bytes, at + 1),
        [b'r', b'"' | b'#', ..] if !word_before => raw_end(bytes, at),
        [b'\'', b'\\', ..] => at + 3 + rest[3..].iter().position(|&b| b == b'\'').map_or(0, |n| n + 1),
        // A lifetime has no closing quote right behind its first character.
        [b'\'', first, ..] => {
            let width = match first {
                0..=0x7f => 1,
                0x80..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0.. => 4,
            };
            if rest.get(1 + width) == Some(&b'\'') { at + width + 2 } else { at }
        }
        _ => at,
    }
}

fn quoted_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

fn raw_end(bytes: &[u8], at: usize) -> usize {
    let hashes = bytes[at + 1..].iter().take_while(|&&b| b == b'#').count();
    let open = at + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return at;
    }
    let close: Vec<u8> = [b'"'].into_iter().chain(std::iter::repeat_n(b'#', hashes)).collect();
    find(&bytes[open + 1..], &close).map_or(bytes.len(), |n| open + 1 + n + close.len())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

/// The blanked source up to its first test module.
pub fn without_tests(code: &str) -> &str {
    code.split("#[cfg(test)]\nmod tests {").next().unwrap_or(code)
}

/// Name, first line (from 1) and number of lines of every function with a body in blanked source.
pub fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let starts_word = at == 0 || !(bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !starts_word || name.is_empty() {
            continue;
        }
        let Some(body) = body(bytes, at) else { continue };
        let first = line_of(bytes, at);
        found.push((name, first, line_of(bytes, body) - first + 1));
    }
    found
}

/// The closing brace of the function that starts at `at`, `None` for a declaration.
fn body(bytes: &[u8], at: usize) -> Option<usize> {
    let mut nesting = 0i32;
    let mut inside = false;
    for (i, &b) in bytes.iter().enumerate().skip(at) {
        match b {
            b';' if !inside && nesting == 0 => return None,
            b'(' | b'[' if !inside => nesting += 1,
            b')' | b']' if !inside => nesting -= 1,
            b'{' => {
                nesting = if inside { nesting + 1 } else { 1 };
                inside = true;
            }
            b'}' if inside => {
                nesting -= 1;
                if nesting == 0 {
                    return Some(i);
                }
            }
            _ => {}
        }
    }
    None
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    1 + bytes[..at].iter().filter(|&&b| b == b'\n').count()
}

/// The names `x` of every `crate::x` in blanked source, those of `crate::{x, y::z}` among them.
pub fn crate_names(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        let boundary =
            at == 0 || !code.as_bytes()[at - 1].is_ascii_alphanumeric() && code.as_bytes()[at - 1] != b'_';
        if boundary {
            names.extend(heads(&code[at + prefix.len()..]));
        }
    }
    names
}

/// The first names of a use tree: `a::b` gives a; `{a, b::{c, d}}` gives a and b.
pub fn heads(tree: &str) -> Vec<String> {
    let tree = tree.trim_start();
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(inner) = tree.strip_prefix('{') else { return vec![word(tree)] };
    let mut found = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (i, c) in inner.char_indices() {
        let ends = (c == ',' || c == '}') && depth == 0;
        if ends {
            found.push(word(inner[start..i].trim_start()));
            start = i + 1;
        }
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ => {}
        }
    }
    found.retain(|name| !name.is_empty());
    found
}
