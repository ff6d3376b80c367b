//! The `snnc` command.
fn main() {}
