//! What this machine can do, and how near to it each step of a model's training comes: `just roofline`.
//!
//! ```text
//! roofline FILE BATCH [rate=R] [threads=N] [vectors=BITS] [form=FORM] [skip=PASS] [name=value …]
//! ```
//!
//! The machine is measured first and last in the same process, and the better counts. It must be built for the processor
//! it runs on (`-C target-cpu=native`, as the recipe does), or its own loops have narrow vectors.
//!
//! The bound of a step is the longer one of two times:
//!
//! - that of its arithmetic. A masked add has an addition for each set bit, tap inside the image and output channel, a
//!   grouped one a quarter of a dense product's, each of a number loaded from the first cache; a sampled gradient a
//!   multiplication and an addition for each open window, with one such load; a dense product its multiply-adds in
//!   registers. Bits are counted in the run itself. Making lists and tables, packing and the sums' own loads count as
//!   nothing: they are what keeps a kernel from its bound.
//! - that of its bytes: each buffer that it is given crosses the memory's bus once. A step whose buffers stay in a cache
//!   may be faster than that; the batch should be large.

mod bounds;
#[path = "../../tests/support/clock.rs"]
mod clock;
mod peaks;
#[path = "../../tests/support/rates.rs"]
mod rates;
#[path = "../../tests/support/timing.rs"]
mod timing;

use bounds::{Limit, Machine, Work};
use peaks::{Core, Memory};
use snnc_compiler::plan::Step;
use snnc_compiler::{Mode, Vector};
use snnc_runtime::StepTime;
use std::collections::BTreeMap;
use timing::{Asked, Timed};

/// Each step's shortest time counts.
const REPEATS: usize = 7;
/// Images that rates are set on.
const CALIBRATION: usize = 2;
/// Families of less than this share of the time are left out.
const SMALL: f64 = 0.002;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(mut asked) = Asked::new(&args) else {
        eprintln!("usage: roofline FILE BATCH {}", timing::USAGE);
        std::process::exit(2);
    };
    if !cfg!(target_feature = "fma") {
        eprintln!("roofline: built without the processor's own instructions: use `just roofline`");
        std::process::exit(2);
    }
    asked.threads = asked.threads.max(1);
    let before = Peaks::measure();
    let mut timed = asked.train_by(asked.batch.min(CALIBRATION));
    let insides = bounds::insides(&asked.compiled(Mode::Infer, true).executable.plan);
    timed.session.run_forward().expect("forward");
    let works = bounds::works(&timed, &insides, asked.batch);
    let rate = timed.session.firing_rates();
    let mut best: Vec<StepTime> = Vec::new();
    for _ in 0..REPEATS {
        timed.session.start_profile();
        timing::step(&mut timed.session, Mode::Train);
        timing::keep_best(&mut best, timed.session.profile());
    }
    let peaks = before.better(Peaks::measure());
    peaks.print();
    let mean = rate.0.iter().map(|(_, rate)| rate).sum::<f64>() / rate.0.len().max(1) as f64;
    println!("\n{}: mean firing rate {mean:.3}\n", args.join(" "));
    print(&families(&timed, &best, &works, &peaks.machine(timed.vector, asked.threads)));
}

/// The machine, with vectors of all widths and one and two threads.
struct Peaks {
    cores: [Core; 3],
    memories: Vec<Memory>,
}

impl Peaks {
    fn measure() -> Peaks {
        let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
        Peaks {
            cores: [peaks::core::<16>(), peaks::core::<8>(), peaks::core::<4>()],
            memories: (1..=processors.min(2)).map(peaks::memory).collect(),
        }
    }

    /// The better of two measurements.
    fn better(mut self, other: Peaks) -> Peaks {
        for (own, other) in self.cores.iter_mut().zip(other.cores) {
            own.loaded = own.loaded.max(other.loaded);
            own.adds = own.adds.max(other.adds);
            own.fmas = own.fmas.max(other.fmas);
        }
        for (own, other) in self.memories.iter_mut().zip(other.memories) {
            own.read = own.read.max(other.read);
            own.copied = own.copied.max(other.copied);
        }
        self
    }

    fn machine(&self, vector: Vector, threads: usize) -> Machine {
        let core = match vector {
            Vector::Bits512 => self.cores[0],
            Vector::Bits256 => self.cores[1],
            Vector::Bits128 => self.cores[2],
        };
        let widest = self.cores.into_iter().max_by(|a, b| a.fmas.total_cmp(&b.fmas)).expect("a width");
        let memory = *self.memories.iter().find(|m| m.threads == threads).expect("one or two threads");
        Machine { core, widest, memory }
    }

    fn print(&self) {
        let cycle = clock::cycle();
        println!("one processor, a cycle of {:.3} ns", cycle * 1e9);
        println!();
        println!(
            "| vectors | loads of the first cache, each added: G f32/s | bytes a cycle | G adds/s | G multiply-adds/s |"
        );
        println!("|---|---|---|---|---|");
        for core in self.cores {
            let Core { lanes, loaded, adds, fmas } = core;
            let bytes = loaded * 4.0 * cycle;
            let [loaded, adds, fmas] = [loaded, adds, fmas].map(|rate| rate * 1e-9);
            println!("| {} bits | {loaded:.1} | {bytes:.1} | {adds:.1} | {fmas:.1} |", lanes * 32);
        }
        println!();
        println!("| threads | memory read, GB/s | copied, read and written, GB/s |");
        println!("|---|---|---|");
        for Memory { threads, read, copied } in &self.memories {
            println!("| {threads} | {:.1} | {:.1} |", read * 1e-9, copied * 1e-9);
        }
    }
}

/// Steps whose names end alike.
#[derive(Default)]
struct Family {
    seconds: f64,
    /// The time of the bounds.
    least: f64,
    /// The work of each limit.
    works: BTreeMap<Limit, f64>,
}

fn families(
    timed: &Timed,
    best: &[StepTime],
    works: &[[Work; 2]],
    machine: &Machine,
) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let plan = timed.session.plan();
    let steps = plan.prepare.iter().chain(&plan.forward).chain(&plan.backward);
    for ((step, time), works) in steps.zip(best).zip(works) {
        let bound = works.iter().copied().max_by(|a, b| machine.seconds(*a).total_cmp(&machine.seconds(*b)));
        let Some(bound) = bound else { continue };
        let form = match step {
            Step::Kernel(kernel) => timed.kernels[kernel.kernel].form.as_str(),
            Step::Dense { .. } | Step::Count { .. } | Step::Update { .. } => "",
        };
        let kind = form.split(|c: char| c.is_ascii_digit()).next().unwrap_or("").trim();
        let kind = if kind.is_empty() { time.kind } else { kind };
        let name = format!("{kind}: {:?} {}", time.phase, timing::ending(&time.name)).to_lowercase();
        let family = families.entry(name).or_default();
        let seconds = time.total.as_secs_f64();
        family.seconds += seconds;
        family.least += machine.seconds(bound);
        *family.works.entry(bound.limit).or_default() += bound.count;
    }
    families
}

fn print(families: &BTreeMap<String, Family>) {
    let total: f64 = families.values().map(|family| family.seconds).sum();
    let least: f64 = families.values().map(|family| family.least).sum();
    println!("| kernels | ms | share | bound by | work, G | G/s | of the bound |");
    println!("|---|---|---|---|---|---|---|");
    let mut rows: Vec<(&String, &Family)> = families.iter().collect();
    rows.sort_by(|a, b| b.1.seconds.total_cmp(&a.1.seconds));
    for (name, family) in rows.into_iter().filter(|(_, family)| family.seconds > SMALL * total) {
        let Family { seconds, least, works } = family;
        let (limits, counts): (Vec<_>, Vec<_>) = works
            .iter()
            .map(|(limit, count)| (limit.unit().to_string(), format!("{:.3}", count * 1e-9)))
            .unzip();
        let rates: Vec<String> =
            works.values().map(|count| format!("{:.1}", count * 1e-9 / seconds)).collect();
        println!(
            "| {name} | {:.2} | {:.1} % | {} | {} | {} | {:.0} % |",
            seconds * 1e3,
            seconds / total * 100.0,
            limits.join(" + "),
            counts.join(" + "),
            rates.join(" + "),
            least / seconds * 100.0
        );
    }
    println!("| all | {:.2} | 100 % | | | | {:.0} % |", total * 1e3, least / total * 100.0);
}
