//! Says on stderr how far a run is: a bar on a terminal, else one line every few seconds; a table row for each epoch.

use crate::metrics::{EpochRecord, Pulse};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two lines, where nothing else is asked for.
const PAUSE: Duration = Duration::from_secs(5);

/// Is told how a run goes on, and may stop it.
pub trait Progress {
    /// A pass over `samples` samples begins: `epoch 3/10`, `test`.
    fn begin(&mut self, title: &str, samples: usize);
    /// So many of them were done before.
    fn skip(&mut self, _done: usize) {}
    /// So far in this pass.
    fn advance(&mut self, pulse: &Pulse);
    /// The pass is over.
    fn end(&mut self);
    /// An epoch is over, of `epochs`.
    fn epoch(&mut self, record: &EpochRecord, epochs: usize);
    /// Something should be looked at.
    fn warn(&mut self, _text: &str) {}
    /// Whether the run should stop after this step.
    fn stopped(&self) -> bool {
        false
    }
}

/// Says nothing.
#[derive(Clone, Copy, Default, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _title: &str, _samples: usize) {}
    fn advance(&mut self, _pulse: &Pulse) {}
    fn end(&mut self) {}
    fn epoch(&mut self, _record: &EpochRecord, _epochs: usize) {}
}

/// What fits stderr: [`Bar`] on a terminal, else [`Lines`].
pub fn for_stderr() -> Box<dyn Progress> {
    for_run(Arc::default(), PAUSE)
}

/// The same with `pause` between lines, for a run that stops after a step that finds `stop` set.
pub fn for_run(stop: Arc<AtomicBool>, pause: Duration) -> Box<dyn Progress> {
    if std::io::stderr().is_terminal() {
        Box::new(Bar { bar: None, clock: Clock::default(), table: Table::default(), stop })
    } else {
        Box::new(Lines { stop, pause, ..Lines::new(std::io::stderr()) })
    }
}

/// The table of epochs: its head before the first row.
#[derive(Default)]
struct Table {
    begun: bool,
}

impl Table {
    fn lines(&mut self, record: &EpochRecord, epochs: usize) -> String {
        let head = if self.begun { String::new() } else { format!("{}\n", epoch_head(epochs)) };
        self.begun = true;
        head + &epoch_line(record, epochs)
    }
}

/// Columns of numbers of epochs.
fn digits(epochs: usize) -> usize {
    epochs.to_string().len().max(2)
}

/// What the columns of [`epoch_line`] are.
pub fn epoch_head(epochs: usize) -> String {
    let width = 2 * digits(epochs) + 1;
    format!(
        "{:>width$}  {:^17}  {:^25}  {:>9}  {:^17}  {:>8}  {:>7}  {:>6}\n{:>width$}  {:>8} {:>8}  {:>8} {:>8} {:>7}  {:>9}  {:^17}  {:>8}  {:>7}  {:>6}",
        "epoch",
        "train",
        "test",
        "lr",
        "firing rate %",
        "img/s",
        "time",
        "RSS",
        "",
        "loss",
        "acc@1",
        "loss",
        "acc@1",
        "acc@5",
        "",
        "min/mean/max",
        "",
        "s",
        "MiB",
    )
}

/// The row of an epoch; `*` marks the best one so far.
pub fn epoch_line(record: &EpochRecord, epochs: usize) -> String {
    let (r, digits) = (record, digits(epochs));
    let percent = |part: f64| format!("{:.2}", part * 100.0);
    let rates = r.firing_rates.summary().map_or_else(String::new, |(low, mean, high)| {
        format!("{:.1}/{:.1}/{:.1}", low * 100.0, mean * 100.0, high * 100.0)
    });
    let resident = r.resident_bytes.map_or_else(String::new, |bytes| (bytes >> 20).to_string());
    format!(
        "{:>digits$}/{epochs:<digits$}  {:>8.4} {:>8}  {:>8.4} {:>8} {:>7}  {:>9.3e}  {rates:^17}  {:>8.1}  {:>7.1}  {resident:>6}{}",
        r.epoch,
        r.train_loss,
        percent(r.train_accuracy),
        r.test_loss,
        percent(r.test_accuracy),
        percent(r.test_top5),
        r.lr,
        r.images_per_second,
        r.seconds,
        if r.best { " *" } else { "" }
    )
}

/// Measures a pass and tells how long it and the run still take.
struct Clock {
    start: Instant,
    samples: usize,
    done: usize,
    /// Seconds of the last epoch, and epochs after the one under way.
    ahead: Option<(f64, usize)>,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { start: Instant::now(), samples: 0, done: 0, ahead: None }
    }
}

impl Clock {
    fn begin(&mut self, samples: usize) {
        (self.start, self.samples, self.done) = (Instant::now(), samples, 0);
    }

    fn epoch(&mut self, record: &EpochRecord, epochs: usize) {
        self.ahead = Some((record.seconds, epochs.saturating_sub(record.epoch + 1)));
    }

    /// The pass in words: loss, accuracy, learning rate, speed, firing rate, time left (of the epoch, and of the run
    /// once an epoch was measured), and where the time goes.
    fn text(&self, pulse: &Pulse) -> String {
        let tally = &pulse.tally;
        let fresh = tally.samples.saturating_sub(self.done);
        let speed = fresh as f64 / self.start.elapsed().as_secs_f64().max(1e-9);
        let mut text = format!("loss {:.4} acc@1 {:.2} %", tally.mean_loss(), tally.accuracy() * 100.0);
        if let Some(lr) = pulse.lr {
            text += &format!(" lr {lr:.3e}");
        }
        text += &format!(" {speed:.1} img/s");
        if let Some(rate) = pulse.firing_rate {
            text += &format!(" rate {:.1} %", rate * 100.0);
        }
        let left = self.samples.saturating_sub(tally.samples) as f64 / speed.max(1e-9);
        text += &format!(" eta {}", duration(left));
        if pulse.lr.is_some() {
            if let Some((seconds, epochs)) = self.ahead {
                text += &format!(" (run {})", duration(left + seconds * epochs as f64));
            }
            text += &format!(" {}", pulse.times.split());
        }
        text
    }
}

/// `1:02:03` or `2:03`.
pub fn duration(seconds: f64) -> String {
    let all = seconds.round().clamp(0.0, 3.6e8) as u64;
    let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A bar for each pass, and a row for each epoch.
pub struct Bar {
    bar: Option<ProgressBar>,
    clock: Clock,
    table: Table,
    stop: Arc<AtomicBool>,
}

impl Progress for Bar {
    fn begin(&mut self, title: &str, samples: usize) {
        let bar = ProgressBar::with_draw_target(Some(samples as u64), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:20}] {pos}/{len} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(title.to_string());
        self.bar = Some(bar);
        self.clock.begin(samples);
    }

    fn skip(&mut self, done: usize) {
        self.clock.done = done;
    }

    fn advance(&mut self, pulse: &Pulse) {
        if let Some(bar) = &self.bar {
            bar.set_position(pulse.tally.samples as u64);
            bar.set_message(self.clock.text(pulse));
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn epoch(&mut self, record: &EpochRecord, epochs: usize) {
        self.clock.epoch(record, epochs);
        eprintln!("{}", self.table.lines(record, epochs));
    }

    fn warn(&mut self, text: &str) {
        eprintln!("warning: {text}");
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A line every few seconds, and a row for each epoch.
pub struct Lines<W: Write> {
    to: W,
    title: String,
    last: Instant,
    pause: Duration,
    clock: Clock,
    table: Table,
    stop: Arc<AtomicBool>,
}

impl<W: Write> Lines<W> {
    /// Lines written to `to`.
    pub fn new(to: W) -> Lines<W> {
        Lines {
            to,
            title: String::new(),
            last: Instant::now(),
            pause: PAUSE,
            clock: Clock::default(),
            table: Table::default(),
            stop: Arc::default(),
        }
    }

    /// Progress is told as far as it can be told: a closed stream does not end a run.
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.to, "{text}");
    }
}

impl<W: Write> Progress for Lines<W> {
    fn begin(&mut self, title: &str, samples: usize) {
        self.title = title.to_string();
        self.clock.begin(samples);
    }

    fn skip(&mut self, done: usize) {
        self.clock.done = done;
    }

    fn advance(&mut self, pulse: &Pulse) {
        if self.last.elapsed() < self.pause {
            return;
        }
        self.last = Instant::now();
        let place = format!("{} [{}/{}]", self.title, pulse.tally.samples, self.clock.samples);
        let text = self.clock.text(pulse);
        self.line(&format!("{place} {text}"));
    }

    fn end(&mut self) {}

    fn epoch(&mut self, record: &EpochRecord, epochs: usize) {
        self.clock.epoch(record, epochs);
        let lines = self.table.lines(record, epochs);
        self.line(&lines);
    }

    fn warn(&mut self, text: &str) {
        self.line(&format!("warning: {text}"));
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{FiringRates, Tally, Times};

    #[test]
    fn an_epoch_is_a_row_under_its_head() {
        let record = EpochRecord {
            epoch: 2,
            lr: 0.05,
            train_loss: 0.5,
            train_accuracy: 0.75,
            test_loss: 0.25,
            test_accuracy: 0.875,
            test_top5: 1.0,
            best: true,
            images_per_second: 100.0,
            seconds: 2.0,
            resident_bytes: Some(64 << 20),
            firing_rates: FiringRates(vec![("lif".to_string(), 0.125)]),
            ..EpochRecord::default()
        };
        let mut lines = Lines::new(Vec::new());
        lines.epoch(&record, 10);
        lines.epoch(&record, 10);
        let text = String::from_utf8_lossy(&lines.to).into_owned();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows.len(), 4, "{text}");
        let words = [
            "2/10",
            "0.5000",
            "75.00",
            "0.2500",
            "87.50",
            "100.00",
            "5.000e-2",
            "12.5/12.5/12.5",
            "100.0",
            "2.0",
            "64",
            "*",
        ];
        assert_eq!(rows[2].split_whitespace().collect::<Vec<_>>(), words);
        // Numbers end where their column's name ends.
        for (name, value) in [("loss", "0.5000"), ("acc@5", "100.00"), ("MiB", "64 ")] {
            let end = |row: &str, word: &str| row.find(word).map(|at| at + word.trim_end().len());
            assert_eq!(end(rows[1], name), end(rows[2], value), "{text}");
        }
    }

    #[test]
    fn a_pass_is_told_with_its_rate_and_the_time_left() {
        let mut clock = Clock::default();
        clock.begin(100);
        clock.done = 40;
        clock.start -= Duration::from_secs(10);
        clock.epoch(&EpochRecord { epoch: 1, seconds: 60.0, ..EpochRecord::default() }, 4);
        let pulse = Pulse {
            tally: Tally { samples: 60, correct: 30, top5: 60, loss: 60.0, shares: 0.0 },
            lr: Some(0.1),
            firing_rate: Some(0.125),
            times: Times { data: 1.0, forward: 4.0, backward: 4.0, update: 1.0 },
        };
        let text = "loss 1.0000 acc@1 50.00 % lr 1.000e-1 2.0 img/s rate 12.5 % eta 0:20 (run 2:20) data 10 forward 40 backward 40 update 10 %";
        assert_eq!(clock.text(&pulse), text);
        assert_eq!(duration(3723.4), "1:02:03");
    }
}
