//! What can go wrong at run time, and the exit code it stands for.

use std::fmt;
use std::path::{Path, PathBuf};

/// A failure with a message of at most one screen.
#[derive(Debug)]
pub enum Error {
    /// The request cannot be met: options, shapes or parameters that do not fit the model.
    User(String),
    /// A data set, array or checkpoint is missing or malformed.
    Data(String),
    /// The system refused to read or write a file.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried: `read`, `write`, `create`.
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The machine has less memory than the plan needs.
    Memory {
        /// Bytes that the plan needs.
        needed: u64,
        /// Bytes that are available.
        available: u64,
        /// What would fit.
        help: String,
    },
    /// Training met a loss that is not a number.
    Diverged(String),
    /// The user asked to stop.
    Interrupted,
    /// A broken plan: a compiler bug.
    Internal(String),
}

impl Error {
    /// The exit code of the command: 1 the user can change it, 3 data or files, 101 a bug, 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::User(_) | Error::Memory { .. } | Error::Diverged(_) => 1,
            Error::Data(_) | Error::Io { .. } => 3,
            Error::Internal(_) => 101,
            Error::Interrupted => 130,
        }
    }

    /// A failure of the file system at `path`.
    pub fn io(path: &Path, action: &'static str, source: std::io::Error) -> Error {
        Error::Io { path: path.to_path_buf(), action, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::User(text) | Error::Data(text) | Error::Diverged(text) => f.write_str(text),
            Error::Io { path, action, source } => write!(f, "cannot {action} {}: {source}", path.display()),
            Error::Memory { needed, available, help } => {
                let (needed, available) = (mebibytes(*needed), mebibytes(*available));
                write!(f, "the plan needs {needed} of memory, {available} is available\n  help: {help}")
            }
            Error::Interrupted => f.write_str("interrupted"),
            Error::Internal(text) => write!(f, "internal error, please report it: {text}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::User(_)
            | Error::Data(_)
            | Error::Memory { .. }
            | Error::Diverged(_)
            | Error::Interrupted
            | Error::Internal(_) => None,
        }
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_in_mebibytes_with_help() {
        let help = "use a batch of 2".to_string();
        let error = Error::Memory { needed: 3 << 20, available: 1 << 19, help };
        let text = "the plan needs 3.0 MiB of memory, 0.5 MiB is available\n  help: use a batch of 2";
        assert_eq!(error.to_string(), text);
        assert_eq!(error.exit_code(), 1);
    }
}
