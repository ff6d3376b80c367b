//! What ResNet-19 costs, an inference and a training step, over threads, batch, width, timesteps and firing rate: `just scaling`.
//!
//! ```text
//! scaling DATE [rounds=N] [machine=NAME] [only=SERIES]
//!     writes benches/results/DATE-scaling.md and .svg; of one series, DATE-scaling-SERIES.md and .svg
//! ```
//!
//! All points of a series are set up first and run in turn, round after round; a time is the median of its rounds, a
//! ratio the median of the ratios of rounds. Where a series does not say otherwise, the model has a width and a stem of
//! 128 and four timesteps, every layer fires at 15 % of the time, a batch is of 8 images, and there are two threads. A
//! training step is forward and backward. `dense` does all products with spikes as dense ones, the same network otherwise.

#[path = "../tests/support/rates.rs"]
mod rates;
#[path = "../tests/support/timing.rs"]
mod timing;

use snnc_compiler::{Form, Mode};
use snnc_runtime::Session;
use snnc_runtime::curves::{Line, Panel, sheet};
use std::fmt::Write;
use std::time::Instant;
use timing::Asked;

const MODEL: &str = "models/resnet19.snn";
const BATCH: usize = 8;
const RATE: f64 = 0.15;
/// Images that rates are set on.
const CALIBRATION: usize = 2;

/// One thing that is timed.
struct Point {
    /// The curve that it belongs to.
    line: &'static str,
    mode: Mode,
    /// Where it stands on the axis.
    at: f64,
    batch: usize,
    session: Session,
    /// Seconds of each round.
    seconds: Vec<f64>,
}

impl Point {
    fn median(&self) -> f64 {
        median(self.seconds.clone())
    }

    /// Milliseconds of an image.
    fn cost(&self) -> f64 {
        self.median() * 1e3 / self.batch as f64
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(date) = args.first().filter(|date| !date.contains('=')) else {
        eprintln!("usage: scaling DATE [rounds=N] [machine=NAME] [only=SERIES]");
        std::process::exit(2);
    };
    let own = |name: &str| args.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let rounds: usize = own("rounds").map_or(5, |n| n.parse().expect("a number"));
    let machine = own("machine").map_or_else(processor, String::from);
    let all = [
        ("threads", "threads", threads as fn() -> Vec<Point>),
        ("batch", "batch", batches),
        ("width", "width", widths),
        ("timesteps", "timesteps", timesteps),
        ("rate", "firing rate %", firing_rates),
    ];
    let command: Vec<&str> =
        args.iter().map(String::as_str).filter(|word| !word.starts_with("machine=")).collect();
    let head = format!("ResNet-19, {machine}, {date}, median of {rounds} rounds");
    let (mut text, mut panels) =
        (format!("# {head}\n\n```\njust scaling {}\n```\n", command.join(" ")), Vec::new());
    let wanted = |name: &str| own("only").is_none_or(|only| only == name);
    for (name, along, points) in all.into_iter().filter(|(name, ..)| wanted(name)) {
        eprintln!("{name}");
        let points = timed(points(), rounds);
        text += &table(along, &points);
        match name {
            "threads" => text += &efficiency(&points),
            _curves => panels.extend([Mode::Infer, Mode::Train].map(|mode| panel(along, mode, &points))),
        }
    }
    print!("{text}");
    let series = own("only").map_or_else(String::new, |only| format!("-{only}"));
    let to = |end: &str| format!("benches/results/{date}-scaling{series}.{end}");
    std::fs::write(to("md"), text).expect("the table is written");
    if !panels.is_empty() {
        std::fs::write(to("svg"), sheet(&head, &panels)).expect("the drawing is written");
    }
}

/// What the system calls the processor (Linux).
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    name.map_or("a processor".to_string(), |(_, name)| format!("{}, {cores} processors", name.trim()))
}

/// Runs all points in turn, every second round backwards; the first round does not count.
fn timed(mut points: Vec<Point>, rounds: usize) -> Vec<Point> {
    for round in 0..=rounds {
        let count = points.len();
        for n in 0..count {
            let point = &mut points[if round % 2 == 0 { n } else { count - 1 - n }];
            let start = Instant::now();
            timing::step(&mut point.session, point.mode);
            if round > 0 {
                point.seconds.push(start.elapsed().as_secs_f64());
            }
        }
    }
    points
}

/// A model of a width and number of timesteps.
fn asked(width: usize, steps: usize, rate: f64) -> Asked {
    let defines = [("stem", width), ("width", width), ("hidden", 2 * width), ("steps", steps)];
    let defines = defines.map(|(name, value)| (name.to_string(), value.to_string())).to_vec();
    Asked { defines, ..Asked::of(MODEL, BATCH, rate) }
}

/// The points of an inference and a training step, at the rate.
fn both(asked: &Asked, at: f64) -> Vec<Point> {
    let (train, infer) = asked.pair_by(CALIBRATION.min(asked.batch));
    let point = |mode, session| point(name_of(mode), mode, at, asked.batch, session);
    vec![point(Mode::Infer, infer.session), point(Mode::Train, train.session)]
}

fn point(line: &'static str, mode: Mode, at: f64, batch: usize, session: Session) -> Point {
    Point { line, mode, at, batch, session, seconds: Vec::new() }
}

/// The name of a mode's curve.
fn name_of(mode: Mode) -> &'static str {
    match mode {
        Mode::Infer => "inference",
        Mode::Train => "training",
    }
}

/// Sessions with the parameters of others.
fn like(asked: &Asked, at: f64, line: Option<&'static str>, known: &[Point]) -> Vec<Point> {
    let of = |known: &Point| {
        let mut session = asked.session(known.mode).session;
        session.copy_params(&known.session).expect("the same parameters");
        point(line.unwrap_or(known.line), known.mode, at, asked.batch, session)
    };
    known.iter().map(of).collect()
}

fn threads() -> Vec<Point> {
    let two = asked(128, 4, RATE);
    let mut points = both(&two, 2.0);
    points.extend(like(&Asked { threads: 1, ..two }, 1.0, None, &points));
    points
}

fn batches() -> Vec<Point> {
    let base = asked(128, 4, RATE);
    let mut points = both(&base, BATCH as f64);
    for batch in [1, 2, 4, 16] {
        let more = like(&Asked { batch, ..base.clone() }, batch as f64, None, &points[..2]);
        points.extend(more);
    }
    sorted(points)
}

fn widths() -> Vec<Point> {
    [32, 64, 96, 128].into_iter().flat_map(|width| both(&asked(width, 4, RATE), width as f64)).collect()
}

fn timesteps() -> Vec<Point> {
    [1, 2, 4, 8].into_iter().flat_map(|steps| both(&asked(128, steps, RATE), steps as f64)).collect()
}

fn firing_rates() -> Vec<Point> {
    let mut points = Vec::new();
    for percent in [1.0, 2.0, 5.0, 10.0, 20.0, 30.0] {
        let asked = asked(128, 4, percent / 100.0);
        let own = both(&asked, percent);
        let dense = Asked { form: Some(Form::Dense), ..asked };
        let dense = like(&dense, percent, Some("dense"), &own[..1]);
        points.extend(own.into_iter().chain(dense));
    }
    points
}

fn sorted(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_by(|a, b| a.at.total_cmp(&b.at));
    points
}

/// The curves of a mode.
fn panel(along: &str, mode: Mode, points: &[Point]) -> Panel {
    let mut lines: Vec<Line> = Vec::new();
    for point in points.iter().filter(|point| point.mode == mode) {
        let at = (point.at, point.cost());
        match lines.iter_mut().find(|line| line.name == point.line) {
            Some(line) => line.points.push(at),
            None => lines.push(Line { name: point.line.to_string(), points: vec![at] }),
        }
    }
    Panel { name: "ms an image".into(), along: along.to_string(), lines }
}

fn table(along: &str, points: &[Point]) -> String {
    let mut text =
        format!("\n| {along} | | ms | range | images/s | mean rate |\n|---|---|---|---|---|---|\n");
    for point in points {
        let of = |seconds: f64| seconds * 1e3;
        let (low, high) = point.seconds.iter().fold((f64::INFINITY, 0f64), |(l, h), &s| (l.min(s), h.max(s)));
        writeln!(
            text,
            "| {} | {} | {:.1} | {:.1}–{:.1} | {:.1} | {:.3} |",
            point.at,
            point.line,
            of(point.median()),
            of(low),
            of(high),
            1e3 / point.cost(),
            rates::mean(&point.session)
        )
        .expect("a text");
    }
    text
}

/// How much of a second processor is used.
fn efficiency(points: &[Point]) -> String {
    let mut text = String::from("\n| efficiency, t1 / (2 t2) | median | range |\n|---|---|---|\n");
    for mode in [Mode::Infer, Mode::Train] {
        let of = |threads: f64| points.iter().find(|p| p.mode == mode && p.at == threads).expect("a point");
        let (one, two) = (of(1.0), of(2.0));
        let ratios: Vec<f64> = one.seconds.iter().zip(&two.seconds).map(|(a, b)| a / (2.0 * b)).collect();
        let (low, high) = ratios.iter().fold((f64::INFINITY, 0f64), |(l, h), &r| (l.min(r), h.max(r)));
        writeln!(text, "| {} | {:.2} | {low:.2}–{high:.2} |", one.line, median(ratios)).expect("a text");
    }
    text
}
