//! Where the time of a training step goes: `cargo run --release --example profile -- FILE BATCH [name=value …]`.
//!
//! Prints the steps of a plan from the slowest down, for random weights and a random image.

use snnc_compiler::front::{SourceMap, analyze, render};
use snnc_compiler::{Mode, Options, compile};
use snnc_runtime::{Session, initialise};
use std::time::Instant;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, batch, defines @ ..] = args.as_slice() else {
        eprintln!("usage: profile FILE BATCH [name=value …]");
        std::process::exit(2);
    };
    let batch: usize = batch.parse().expect("BATCH is a number");
    let defines: Vec<(String, String)> =
        defines.iter().filter_map(|d| d.split_once('=')).map(|(n, v)| (n.into(), v.into())).collect();
    let sources = SourceMap::load(file, &mut |name| std::fs::read_to_string(name).map_err(|e| e.to_string()));
    let model =
        analyze(&sources, file, &defines).unwrap_or_else(|e| panic!("{}", render(&sources, &e, false)));
    for mode in [Mode::Infer, Mode::Train] {
        let compiled = compile(&model, &sources, file, &Options::new(mode)).expect("it compiles");
        let mut session = Session::new(compiled.executable, batch, 0).expect("memory");
        initialise(&mut session, 0).expect("weights");
        run(&mut session, mode, batch);
    }
}

fn run(session: &mut Session, mode: Mode, batch: usize) {
    // Any fixed pattern will do: rates are printed below.
    let fill = |slot: usize, to: &mut [f32]| {
        let wave = |i: usize| ((i * 37 + slot * 101) as f32 * 0.01).sin() * 1.5;
        to.iter_mut().enumerate().for_each(|(i, x)| *x = wave(i));
        Ok(())
    };
    session.set_inputs(batch, fill).expect("inputs");
    if mode == Mode::Train {
        let labels: Vec<i32> = (0..batch as i32).map(|i| i % 10).collect();
        session.set_labels(&labels).expect("labels");
    }
    let step = |session: &mut Session| {
        session.run_forward().expect("forward");
        if mode == Mode::Train {
            session.run_backward().expect("backward");
        }
    };
    step(session);
    session.start_profile();
    session.reset_rates();
    let start = Instant::now();
    for _ in 0..3 {
        step(session);
    }
    let seconds = start.elapsed().as_secs_f64() / 3.0;
    println!("{mode:?}: {:.1} ms a step, {:.1} images/s", seconds * 1e3, batch as f64 / seconds);
    println!("firing rates: {:?}", session.firing_rates());
    let mut rows = session.profile().to_vec();
    rows.sort_by_key(|row| std::cmp::Reverse(row.total));
    for row in rows.iter().take(25) {
        let share = row.total.as_secs_f64() / 3.0 / seconds * 100.0;
        println!("{share:5.1} %  {:?} {} {}", row.phase, row.kind, row.name);
    }
}
