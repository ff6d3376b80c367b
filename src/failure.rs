//! Why a subcommand stops, and the exit code that tells.

use snnc_runtime::Error;
use std::io::Write;

/// A failure, ready to be shown.
#[derive(Debug)]
pub enum Failure {
    /// Faults of the model, rendered.
    Model(String),
    /// A request that does not fit the model or the data.
    User(String),
    /// A file that cannot be read or written, or does not hold what it should.
    File(String),
    /// What the runtime says.
    Runtime(Error),
    /// A bug of snnc.
    Internal(String),
}

impl Failure {
    /// Shows the failure on stderr.
    pub fn report(&self) {
        let mut stderr = anstream::stderr().lock();
        // Nothing can be done where stderr itself is gone.
        let _ = match self {
            Failure::Model(text) => write!(stderr, "{text}"),
            Failure::User(text) | Failure::File(text) => writeln!(stderr, "{ERROR} {text}"),
            Failure::Runtime(error) => match error {
                Error::Internal(what) => writeln!(stderr, "{}", crate::panic::message(what)),
                Error::User(_)
                | Error::Data(_)
                | Error::Io { .. }
                | Error::Memory { .. }
                | Error::Diverged(_)
                | Error::Interrupted => writeln!(stderr, "{ERROR} {error}"),
            },
            Failure::Internal(what) => writeln!(stderr, "{}", crate::panic::message(what)),
        };
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Model(_) | Failure::User(_) => 1,
            Failure::File(_) => 3,
            Failure::Runtime(error) => error.exit_code(),
            Failure::Internal(_) => 101,
        }
    }
}

/// `error:`, bold red where colours are on.
const ERROR: &str = "\u{1b}[1;31merror:\u{1b}[0m";

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Runtime(error)
    }
}
