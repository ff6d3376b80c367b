//! The files of one compilation: the model and all it includes, loaded before anything is checked.

use crate::parse;
use crate::span::FileId;
use std::collections::{HashMap, VecDeque};

/// The largest file that is read, in bytes.
pub const MAX_FILE: usize = 16 << 20;

/// The largest number of files of one model.
const MAX_FILES: usize = 1000;

/// A file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceFile {
    /// The name it is reported under: the path as the user wrote it.
    pub name: String,
    /// The text.
    pub text: String,
}

/// Files by name. The texts are immutable, so spans stay valid.
#[derive(Clone, Default, Debug)]
pub struct SourceMap {
    files: Vec<SourceFile>,
    by_name: HashMap<String, FileId>,
    failures: HashMap<String, String>,
}

impl SourceMap {
    /// A map without files.
    pub fn new() -> SourceMap {
        SourceMap::default()
    }

    /// Loads `entry` and, transitively, the files it includes through `read`, which maps a name to its text
    /// or to the reason why there is none. A file that cannot be read is reported by
    /// [`analyze`](crate::analyze), at the `include` that names it.
    pub fn load(entry: &str, read: &mut dyn FnMut(&str) -> Result<String, String>) -> SourceMap {
        let mut map = SourceMap::new();
        let mut waiting = VecDeque::from([normalized(entry)]);
        while let Some(name) = waiting.pop_front() {
            if map.by_name.contains_key(&name) || map.failures.contains_key(&name) {
                continue;
            }
            if map.files.len() >= MAX_FILES {
                map.failures.insert(name, format!("a model has at most {MAX_FILES} files"));
                continue;
            }
            match read(&name).and_then(check_size) {
                Ok(text) => {
                    let file = map.add(&name, &text);
                    let includes = parse::includes(file, map.text(file));
                    waiting.extend(includes.iter().map(|path| relative(&name, path)));
                }
                Err(reason) => {
                    map.failures.insert(name, reason);
                }
            }
        }
        map
    }

    /// A map with one file.
    pub fn single(name: &str, text: &str) -> SourceMap {
        let mut map = SourceMap::new();
        map.add(name, text);
        map
    }

    /// Adds a file; a second of the same name replaces the first for later look-ups.
    pub fn add(&mut self, name: &str, text: &str) -> FileId {
        let file = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        let name = normalized(name);
        self.by_name.insert(name.clone(), file);
        self.files.push(SourceFile { name, text: text.to_string() });
        file
    }

    /// The file of this name.
    pub fn find(&self, name: &str) -> Option<FileId> {
        self.by_name.get(&normalized(name)).copied()
    }

    /// Why a file could not be read.
    pub fn failure(&self, name: &str) -> Option<&str> {
        self.failures.get(&normalized(name)).map(String::as_str)
    }

    /// The text of a file.
    pub fn text(&self, file: FileId) -> &str {
        &self.files[file.index()].text
    }

    /// The name of a file.
    pub fn name(&self, file: FileId) -> &str {
        &self.files[file.index()].name
    }

    /// All files, the entry first.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// Line and column of a byte, both from 1; the column counts characters.
    pub fn position(&self, file: FileId, at: usize) -> (usize, usize) {
        let text = self.text(file);
        let before = text.get(..at.min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

fn check_size(text: String) -> Result<String, String> {
    if text.len() > MAX_FILE {
        return Err(format!("the file has {} bytes, more than {MAX_FILE}", text.len()));
    }
    Ok(text)
}

/// The name of the file that `path` means in an `include` of `from`.
pub(crate) fn relative(from: &str, path: &str) -> String {
    match from.rfind('/') {
        Some(slash) if !path.starts_with('/') => normalized(&format!("{}/{path}", &from[..slash])),
        Some(_) | None => normalized(path),
    }
}

/// A path without `.` and inner `..`, so that one file has one name.
fn normalized(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, parts.last()) {
            (".", _) => {}
            ("", Some(_)) => {}
            ("..", Some(&last)) if last != ".." && !last.is_empty() => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_one_name() {
        assert_eq!(relative("models/net.snn", "blocks.snn"), "models/blocks.snn");
        assert_eq!(relative("models/net.snn", "../lib/./b.snn"), "lib/b.snn");
        assert_eq!(relative("/m/net.snn", "/a/b.snn"), "/a/b.snn");
        assert_eq!(relative("net.snn", "../b.snn"), "../b.snn");
        assert_eq!(normalized("./a//b.snn"), "a/b.snn");
    }

    #[test]
    fn files_are_loaded_once_and_failures_kept() {
        let mut reads = Vec::new();
        let map = SourceMap::load("m/a.snn", &mut |name| {
            reads.push(name.to_string());
            match name {
                "m/a.snn" => Ok("include \"b.snn\" include \"gone.snn\"".to_string()),
                "m/b.snn" => Ok("include \"a.snn\"".to_string()),
                _ => Err("no such file".to_string()),
            }
        });
        assert_eq!(reads, ["m/a.snn", "m/b.snn", "m/gone.snn"]);
        assert_eq!(map.files().len(), 2);
        assert_eq!(map.failure("m/gone.snn"), Some("no such file"));
    }
}
