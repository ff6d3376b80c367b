//! Where the time of a step goes: `cargo run --release --example profile -- FILE BATCH [rate=R] [name=value …]`.
//!
//! Prints the steps of a plan from the slowest down, for random weights and a random image. With a rate, the shifts of
//! the norms of `models/resnet19.snn` or `models/statten.snn` are moved until their layers fire that often. `threads=1`
//! takes one thread, `vectors=128` does products with spikes with vectors of 128 bits, `form=walk` (or `grouped`, `dense`)
//! all of them in one form, `skip=sample-dx` leaves a pass out. Each product is listed with its form and the multiply-adds of
//! a cycle, as if all bits were set: expected, and measured with what stands in the same kernel; with one thread both can be
//! compared.

#[path = "../tests/support/clock.rs"]
mod clock;
#[path = "../tests/support/rates.rs"]
mod rates;
#[path = "../tests/support/timing.rs"]
mod timing;

use snnc_compiler::{Form, Mode, Product, Vector, cycles_per_add};
use snnc_runtime::{Phase, Session, StepTime};
use std::time::Instant;
use timing::{Asked, Timed};

/// Each step's shortest time counts, so that what else the machine does matters less.
const REPEATS: usize = 9;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(asked) = Asked::new(&args) else {
        eprintln!("usage: profile FILE BATCH {}", timing::USAGE);
        std::process::exit(2);
    };
    let (train, infer) = asked.pair();
    for (timed, mode) in [(infer, Mode::Infer), (train, Mode::Train)] {
        let Timed { mut session, products, vector, .. } = timed;
        run(&mut session, &Products { all: products, vector }, mode, asked.batch);
    }
}

/// The products with spikes of a session, and the vectors that do them.
struct Products {
    all: Vec<Product>,
    vector: Vector,
}

impl Products {
    /// Prints those that stand alone in their step, in the order of the network.
    fn print(&self, rows: &[Row], batch: usize) {
        let cycle = clock::cycle();
        println!("form      rate  expected  measured adds a cycle");
        for product in &self.all {
            let Product { form, input, step, work, .. } = product;
            let alone = self.all.iter().filter(|other| other.step == *step).count() == 1;
            let expected = 1.0 / cycles_per_add(*form, *input, work, self.vector);
            let own = rows
                .iter()
                .filter(|row| row.step == *step || *form == Form::Dense && row.step == product.layer);
            let seconds: f64 = own.map(|row| row.seconds).sum();
            if !alone || seconds == 0.0 {
                continue;
            }
            let measured = (product.adds * batch as u64) as f64 / (seconds / cycle);
            println!("{form:7} {:6.3} {expected:9.1} {measured:9.1}  {step}", input.rate);
        }
        println!();
    }
}

fn run(session: &mut Session, products: &Products, mode: Mode, batch: usize) {
    timing::step(session, mode);
    session.reset_rates();
    let (mut whole, mut cpu) = (Vec::new(), f64::INFINITY);
    let mut best: Vec<StepTime> = Vec::new();
    for _ in 0..REPEATS {
        session.start_profile();
        let (start, used) = (Instant::now(), cpu_seconds());
        timing::step(session, mode);
        whole.push(start.elapsed().as_secs_f64());
        cpu = cpu.min(cpu_seconds() - used);
        timing::keep_best(&mut best, session.profile());
    }
    let best: Vec<Row> = best.iter().map(Row::new).collect();
    whole.sort_by(f64::total_cmp);
    let (middle, sum) = (whole[whole.len() / 2], best.iter().map(|row| row.seconds).sum::<f64>());
    println!(
        "{mode:?}: {:.1} ms a step, {:.1} images/s; the least time of all processors {:.1} ms; every step at its \
         best: {:.1} ms, {:.1} images/s; mean rate {:.3}; {:.1} MiB",
        middle * 1e3,
        batch as f64 / middle,
        cpu * 1e3,
        sum * 1e3,
        batch as f64 / sum,
        rates::mean(session),
        session.peak_bytes() as f64 / f64::from(1 << 20)
    );
    print(&by_family(&best), sum, 16);
    print(&best, sum, 20);
    products.print(&best, batch);
}

/// What all threads have computed so far, where the system says so (Linux).
fn cpu_seconds() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = |path: std::path::PathBuf| -> Option<f64> {
        std::fs::read_to_string(path.join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()
    };
    threads.filter_map(|thread| nanoseconds(thread.path())).sum::<f64>() * 1e-9
}

/// A step, or several of a family, and its shortest time.
struct Row {
    name: String,
    /// The plan's name for it.
    step: String,
    seconds: f64,
}

impl Row {
    fn new(row: &StepTime) -> Row {
        let phase = match row.phase {
            Phase::Prepare => "prepare",
            Phase::Forward => "forward",
            Phase::Backward => "backward",
        };
        let name = format!("{phase} {} {}", row.kind, row.name);
        Row { name, step: row.name.clone(), seconds: row.total.as_secs_f64() }
    }
}

/// The slowest rows.
fn print(rows: &[Row], total: f64, most: usize) {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    for row in rows.iter().take(most) {
        println!("{:5.1} %  {:8.2} ms  {}", row.seconds / total * 100.0, row.seconds * 1e3, row.name);
    }
    println!();
}

/// Sums over layers, by what a step's name ends with.
fn by_family(rows: &[Row]) -> Vec<Row> {
    let mut families: Vec<Row> = Vec::new();
    for row in rows {
        let (kind, layer) = row.name.rsplit_once(' ').unwrap_or(("", &row.name));
        let name = format!("{kind} {}", timing::ending(layer));
        match families.iter_mut().find(|family| family.name == name) {
            Some(known) => known.seconds += row.seconds,
            None => families.push(Row { name, step: String::new(), seconds: row.seconds }),
        }
    }
    families
}
