//! Runs compiled plans and trains them: arena, executor, optimisers, data, checkpoints.
