//! Runs the command as a user does.

#![allow(dead_code)] // Each test uses a part of it.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How a run ended.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Stdout as JSON, of a run that succeeded.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }

    /// A run that failed with this code, says all of this in at most one screen, and leaves stdout empty.
    pub fn fails(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        for text in says {
            assert!(self.stderr.contains(text), "`{text}` is missing in\n{}", self.stderr);
        }
        assert!(self.stdout.is_empty(), "{}", self.stdout);
        assert!(self.stderr.lines().count() <= 24 && !self.stderr.contains("panicked"), "{}", self.stderr);
    }

    /// A run that succeeded.
    pub fn succeeds(&self) -> &Run {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }
}

/// The command with these arguments, ready to run in the repository's folder.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snnc"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env_remove("RUST_BACKTRACE");
    command
}

/// Runs the command.
pub fn snnc(args: &[&str]) -> Run {
    let output = command(args).output().expect("the command starts");
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// A folder of one test, removed at its end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("snnc-cli-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it, as an argument.
    pub fn file(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        std::fs::write(self.0.join(name), bytes).expect("written");
        self.file(name)
    }

    /// The names of what is in it, sorted.
    pub fn list(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("listed");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The bytes of a `.npy` file.
fn npy(kind: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let extents: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({extents}), }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = u16::try_from(header.len()).expect("a short header").to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

/// A `.npy` file of f32.
pub fn floats(shape: &[usize], data: &[f32]) -> Vec<u8> {
    npy("<f4", shape, &data.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
}

/// A `.npy` file of i64.
pub fn labels(data: &[i64]) -> Vec<u8> {
    npy("<i8", &[data.len()], &data.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
}

/// The shape and values of a `.npy` file of f32.
pub fn read_floats(path: &str) -> (Vec<usize>, Vec<f32>) {
    let array = snnc_runtime::npy::read(Path::new(path)).expect("an array");
    (array.shape, array.data)
}

/// `count` images of 8×8 with smooth values from 0 to 1.
pub fn images(count: usize) -> Vec<f32> {
    (0..count * 64)
        .map(|i| ((i as f32 * 0.37).sin() * 0.5 + 0.5) * ((i / 64) as f32 + 1.0) / count as f32)
        .collect()
}
