//! The kernel IR: loops over rows of f32 and words of spike bits, and the lowering from tensor IR.
