//! From kernel IR to machine code through Cranelift.
