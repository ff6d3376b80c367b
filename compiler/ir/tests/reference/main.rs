//! The reference evaluator against cases that PyTorch computed: `tests/fixtures/reference`.

mod case;
mod neurons;
mod pools;
mod products;
