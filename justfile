# What a developer runs; `just` alone lists it.

_list:
    @just --list

# Formatting, lints, tests: what the continuous integration runs.
ci:
    .ci/run

# All tests.
test *args:
    cargo test --workspace --locked {{args}}

# Lints, with warnings as errors.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Review changed snapshots.
review:
    cargo insta review

# All benches, or one: `just bench masked_add`.
bench *name:
    cargo bench --locked {{ if name == "" { "" } else { "--bench " + name } }}

# The longest files and functions, and the walls between crates.
layering:
    cargo test --locked --test layering -- --nocapture

# Kills a run at fifty random moments and resumes it: the last checkpoint is that of an undisturbed run.
soak:
    cargo test --release --locked --test cli_killed -- --ignored --nocapture

# What this machine can do, and how near each step of a training comes to it (benches/README.md).
roofline *args="models/resnet19.snn 16 stem=128 rate=0.15":
    cargo rustc --release --locked --example roofline -- -C target-cpu=native
    target/release/examples/roofline {{args}}

# ResNet-19 with one thread and two, over batch, width, timesteps and firing rate: a table and an SVG in benches/results.
scaling *args:
    cargo run --release --locked --example scaling -- {{args}}

# snnc and its peers on the same weights, in turn: tables of ratios (benches/peers/README.md).
bench-peers *args:
    python3 benches/peers/run.py {{args}}

# Learning beside SpikingJelly, or with and without attention: `just parity learning --data DIR` (benches/parity/README.md).
parity *args:
    python3 benches/parity/run.py {{args}}
