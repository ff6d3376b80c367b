//! Says on stderr how far a run is: a bar on a terminal, else one line every few seconds.

use crate::metrics::{EpochRecord, Tally};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Seconds between two lines.
const PAUSE: Duration = Duration::from_secs(5);

/// Is told how a run goes on, and may stop it.
pub trait Progress {
    /// A pass over `samples` samples begins: `epoch 3/10`, `test`.
    fn begin(&mut self, title: &str, samples: usize);
    /// So far in this pass.
    fn advance(&mut self, so_far: &Tally);
    /// The pass is over.
    fn end(&mut self);
    /// An epoch is over, of `epochs`.
    fn epoch(&mut self, record: &EpochRecord, epochs: usize);
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
    fn advance(&mut self, _so_far: &Tally) {}
    fn end(&mut self) {}
    fn epoch(&mut self, _record: &EpochRecord, _epochs: usize) {}
}

/// What fits stderr: [`Bar`] on a terminal, else [`Lines`].
pub fn for_stderr() -> Box<dyn Progress> {
    if std::io::stderr().is_terminal() {
        Box::new(Bar::default())
    } else {
        Box::new(Lines::new(std::io::stderr()))
    }
}

/// The line about an epoch, e.g. `epoch 2/10  lr 0.05  train 0.4210 (87.5 %)  test …  3.2 s *`.
pub fn epoch_line(record: &EpochRecord, epochs: usize) -> String {
    let r = record;
    let rates = r.firing_rates.summary().map_or_else(String::new, |(low, mean, high)| {
        format!("  rate {:.1}/{:.1}/{:.1} %", low * 100.0, mean * 100.0, high * 100.0)
    });
    let (train, test) = (r.train_accuracy * 100.0, r.test_accuracy * 100.0);
    format!(
        "epoch {}/{epochs}  lr {:.3e}  train {:.4} ({train:.2} %)  test {:.4} ({test:.2} %){rates}  {:.1} img/s  {:.1} s{}",
        r.epoch,
        r.lr,
        r.train_loss,
        r.test_loss,
        r.images_per_second,
        r.seconds,
        if r.best { " *" } else { "" }
    )
}

/// A bar for each pass, and a line for each epoch.
#[derive(Default)]
pub struct Bar {
    bar: Option<ProgressBar>,
}

impl Progress for Bar {
    fn begin(&mut self, title: &str, samples: usize) {
        let bar = ProgressBar::with_draw_target(Some(samples as u64), ProgressDrawTarget::stderr());
        let style = "{prefix} [{bar:30}] {pos}/{len} {per_sec} eta {eta} {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_prefix(title.to_string());
        self.bar = Some(bar);
    }

    fn advance(&mut self, so_far: &Tally) {
        if let Some(bar) = &self.bar {
            bar.set_position(so_far.samples as u64);
            bar.set_message(format!("loss {:.4} acc {:.2} %", so_far.mean_loss(), so_far.accuracy() * 100.0));
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn epoch(&mut self, record: &EpochRecord, epochs: usize) {
        eprintln!("{}", epoch_line(record, epochs));
    }
}

/// A line every few seconds, and one for each epoch.
pub struct Lines<W: Write> {
    to: W,
    title: String,
    samples: usize,
    last: Instant,
    start: Instant,
}

impl<W: Write> Lines<W> {
    /// Lines written to `to`.
    pub fn new(to: W) -> Lines<W> {
        let now = Instant::now();
        Lines { to, title: String::new(), samples: 0, last: now, start: now }
    }

    /// Progress is told as far as it can be told: a closed stream does not end a run.
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.to, "{text}");
    }
}

impl<W: Write> Progress for Lines<W> {
    fn begin(&mut self, title: &str, samples: usize) {
        (self.title, self.samples, self.start) = (title.to_string(), samples, Instant::now());
    }

    fn advance(&mut self, so_far: &Tally) {
        if self.last.elapsed() < PAUSE {
            return;
        }
        self.last = Instant::now();
        let speed = so_far.samples as f64 / self.start.elapsed().as_secs_f64().max(1e-9);
        let (loss, accuracy) = (so_far.mean_loss(), so_far.accuracy() * 100.0);
        let place = format!("{} [{}/{}]", self.title, so_far.samples, self.samples);
        self.line(&format!("{place}  loss {loss:.4}  acc {accuracy:.2} %  {speed:.1} img/s"));
    }

    fn end(&mut self) {}

    fn epoch(&mut self, record: &EpochRecord, epochs: usize) {
        self.line(&epoch_line(record, epochs));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::FiringRates;

    #[test]
    fn an_epoch_is_one_line() {
        let record = EpochRecord {
            epoch: 2,
            lr: 0.05,
            train_loss: 0.5,
            train_accuracy: 0.75,
            test_loss: 0.25,
            test_accuracy: 0.875,
            best: true,
            images_per_second: 100.0,
            seconds: 2.0,
            firing_rates: FiringRates(vec![("lif".to_string(), 0.125)]),
        };
        let mut lines = Lines::new(Vec::new());
        lines.epoch(&record, 10);
        let text = "epoch 2/10  lr 5.000e-2  train 0.5000 (75.00 %)  test 0.2500 (87.50 %)  rate 12.5/12.5/12.5 %  \
                    100.0 img/s  2.0 s *\n";
        assert_eq!(String::from_utf8_lossy(&lines.to), text);
    }
}
