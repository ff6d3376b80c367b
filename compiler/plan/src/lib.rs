//! What a compiled model is to the runtime: buffers, steps, parameters and the kernel ABI.
