//! The machine: the host with every feature that it has.

use crate::code::CodegenError;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};

/// Settings, each with its reason.
const SETTINGS: [(&str, &str); 7] = [
    ("opt_level", "speed"),
    // Code is patched in place and calls the library by absolute addresses.
    ("is_pic", "false"),
    ("use_colocated_libcalls", "false"),
    // Kernels do not unwind and use little stack.
    ("unwind_info", "false"),
    ("enable_probestack", "false"),
    // Indices are proven by the lowering; speculation past a bound reveals nothing that the caller does not own.
    ("enable_heap_access_spectre_mitigation", "false"),
    ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
];

/// The host's instruction set.
///
/// # Errors
/// Where Cranelift has no backend for this machine.
pub(crate) fn host() -> Result<OwnedTargetIsa, CodegenError> {
    let mut flags = settings::builder();
    for (name, value) in SETTINGS {
        flags.set(name, value).map_err(|e| CodegenError::Machine(format!("{name}: {e}")))?;
    }
    let builder = cranelift_native::builder().map_err(|e| CodegenError::Machine(e.to_string()))?;
    builder.finish(settings::Flags::new(flags)).map_err(|e| CodegenError::Machine(e.to_string()))
}
