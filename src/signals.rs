//! Ctrl-C: the first asks the run to stop after its step, the second ends the process at once.

use crate::failure::Failure;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The exit code of a run that was stopped.
const STOPPED: i32 = 130;

/// A flag that Ctrl-C (or SIGTERM, which a cluster sends before it kills) sets.
pub fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the flag that the first signal sets is what lets the second one end the process.
        flag::register_conditional_shutdown(signal, STOPPED, Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| Failure::Internal(format!("signal {signal} cannot be caught: {error}")))?;
    }
    file_size_is_an_error();
    Ok(stop)
}

/// A file that would exceed the user's limit is an error of writing, not the end of the process.
#[cfg(unix)]
fn file_size_is_an_error() {
    let seen = Arc::new(AtomicBool::new(false));
    // Without it the process ends as it did; nothing else depends on it.
    let _ = flag::register(signal_hook::consts::SIGXFSZ, seen);
}

/// Other systems have no such signal.
#[cfg(not(unix))]
fn file_size_is_an_error() {}
