//! The compiler from a source file to a compiled model: front end, passes, kernels, machine code.
