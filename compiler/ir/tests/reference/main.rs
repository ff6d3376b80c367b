//! The reference evaluator against cases that PyTorch computed: `tests/fixtures/reference`.

mod attention;
mod case;
mod neurons;
mod pools;
mod products;
