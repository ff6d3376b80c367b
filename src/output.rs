//! Where results go: stdout, and files that are there complete or not at all.

use crate::failure::Failure;
use serde_json::Value;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Writes text to stdout. A reader that has gone, as `head` does, is no error.
pub fn text(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::File(format!("cannot write to stdout: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes one JSON object to stdout.
pub fn json(value: &Value) -> Result<(), Failure> {
    text(&format!("{value:#}\n"))
}

/// Says something beside the result, on stderr.
pub fn note(message: &str) {
    // Nothing can be done where stderr is gone.
    let _ = writeln!(anstream::stderr(), "{message}");
}

/// Writes a file: to a temporary name beside it, to the disk, then renamed. What was there stays until then.
pub fn file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    Ok(snnc_runtime::checkpoint::write_atomically(path, bytes)?)
}

/// Fails early when a file could not be written at the end of a long computation.
pub fn writable(path: &Path) -> Result<(), Failure> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        Some(_) | None => PathBuf::from("."),
    };
    if path.is_dir() {
        return Err(Failure::File(format!("cannot write {}: it is a directory", path.display())));
    }
    if !folder.is_dir() {
        let (path, folder) = (path.display(), folder.display());
        return Err(Failure::File(format!("cannot write {path}: there is no directory {folder}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = std::env::temp_dir().join(format!("snnc-output-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("a.bin");
        fs::write(&path, b"old").expect("written");
        file(&path, b"new").expect("written");
        assert_eq!(fs::read(&path).expect("read"), b"new");
        assert_eq!(fs::read_dir(&folder).expect("listed").count(), 1);
        assert!(file(&folder.join("none").join("a.bin"), b"x").is_err());
        assert!(writable(&folder).is_err() && writable(&folder.join("none/a")).is_err());
        assert!(writable(&path).is_ok() && writable(Path::new("a.bin")).is_ok());
        fs::remove_dir_all(&folder).expect("removed");
    }
}
