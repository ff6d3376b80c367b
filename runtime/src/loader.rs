//! Reads batches ahead: while the kernels work on one, threads make the next.
//!
//! ```text
//! loader 0:  batch 0 ────┐        batch 2 ────┐
//! loader 1:      batch 1 ─┼───┐       batch 3 ─┼──
//! trainer:             step 0  step 1      step 2 …
//! ```
//!
//! Loader `i` of `n` makes the batches `i`, `i + n`, …, each of which is taken in its turn: what a step sees does not
//! depend on the number of loaders.

use crate::augment::{Mixed, Mixing};
use crate::session::check_sample;
use crate::{Error, Session};
use snnc_plan::InputSpec;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// More threads do not read a disk faster.
const MOST: usize = 4;

/// Samples one after the other, as the model's input has them.
pub struct Batch {
    /// Their classes.
    pub labels: Vec<i32>,
    /// Their second classes, where they are mixed.
    pub mixed: Option<Mixed>,
    /// Their positions in the split.
    samples: Vec<usize>,
    values: Vec<f32>,
    len: usize,
}

impl Batch {
    /// The samples, one after the other, in the shape of the model's input.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Gives the samples to a session as those of its next step.
    ///
    /// # Errors
    /// As [`Session::set_samples`].
    pub fn set_samples(&self, session: &mut Session) -> Result<(), Error> {
        // They are asked for in order.
        let mut values = self.values.chunks_exact(self.len.max(1));
        session.set_samples(&self.samples, |_, to| {
            to.copy_from_slice(values.next().unwrap_or_default());
            Ok(())
        })
    }
}

/// Writes the sample of a position, from any thread.
pub type Write<'a> = dyn Fn(usize, &mut [f32]) -> Result<(), Error> + Sync + 'a;

/// Which samples are read, and in what order.
pub struct Source<'a> {
    /// Writes the sample of a position.
    pub write: &'a Write<'a>,
    /// The class of each position.
    pub labels: &'a [i32],
    /// What they are called in messages: `training sample`.
    pub what: &'static str,
    /// What the model takes.
    pub input: InputSpec,
    /// Positions in the split.
    pub order: &'a [usize],
    /// Samples of a batch; the last one may be smaller.
    pub batch: usize,
    /// Threads that read.
    pub loaders: usize,
    /// What mixes the samples of a batch.
    pub mixing: Option<Mixing>,
}

/// Threads that read ahead for so many threads that compute.
pub fn loaders(threads: usize) -> usize {
    threads.clamp(1, MOST)
}

/// Bytes of the batches that are read ahead; where samples are mixed, a loader also holds them as they were.
pub fn bytes(batch: usize, len: usize, threads: usize, mixes: bool) -> u64 {
    let loaders = loaders(threads) as u64;
    (loaders * (1 + u64::from(mixes)) + 1) * batch as u64 * len as u64 * 4
}

/// The batches, in order.
pub struct Batches {
    from: Vec<Receiver<Result<Batch, Error>>>,
    next: usize,
}

impl Iterator for Batches {
    type Item = Result<Batch, Error>;

    /// Waits for the next batch; `None` after the last.
    fn next(&mut self) -> Option<Result<Batch, Error>> {
        let turn = self.next % self.from.len();
        self.next += 1;
        self.from[turn].recv().ok()
    }
}

/// Calls `work` with the batches; when it returns, the loaders end.
pub fn with_batches<R>(source: &Source<'_>, work: impl FnOnce(Batches) -> R) -> R {
    let loaders = source.loaders.max(1);
    thread::scope(|scope| {
        let start = |loader: usize| {
            // Nothing waits in the channel: a loader holds one batch until it is taken.
            let (to, from) = sync_channel(0);
            scope.spawn(move || load(source, loader, loaders, &to));
            from
        };
        work(Batches { from: (0..loaders).map(start).collect(), next: 0 })
    })
}

/// Every `loaders`-th batch from `loader` on, until nobody takes them or one fails.
fn load(source: &Source<'_>, loader: usize, loaders: usize, to: &SyncSender<Result<Batch, Error>>) {
    for part in source.order.chunks(source.batch.max(1)).skip(loader).step_by(loaders) {
        let batch = read(source, part);
        let failed = batch.is_err();
        if to.send(batch).is_err() || failed {
            return;
        }
    }
}

fn read(source: &Source<'_>, part: &[usize]) -> Result<Batch, Error> {
    let len = source.input.sample_len();
    let mut values = vec![0.0; part.len() * len];
    for (&index, to) in part.iter().zip(values.chunks_exact_mut(len.max(1))) {
        (source.write)(index, to)?;
        check_sample(&source.input, source.what, index, to)?;
    }
    let labels: Vec<i32> = part.iter().map(|&index| source.labels[index]).collect();
    let mixed = source.mixing.as_ref().map(|mixing| mixing.apply(part, &labels, &mut values));
    Ok(Batch { labels, mixed, samples: part.to_vec(), values, len })
}

#[cfg(test)]
mod tests {
    use super::*;
    use snnc_plan::{Augment, BufferId};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    fn source<'a>(write: &'a Write<'a>, labels: &'a [i32], order: &'a [usize], loaders: usize) -> Source<'a> {
        let (name, shape, buffer) = ("image".to_string(), vec![1, 8, 8], BufferId(0));
        let input = InputSpec { name, shape, has_time: false, spikes: false, encoder: None, buffer };
        Source { write, labels, what: "training sample", input, order, batch: 7, loaders, mixing: None }
    }

    #[test]
    fn batches_come_in_order_for_any_number_of_loaders() -> Result<(), Error> {
        let split = crate::data::open("digits")?.train;
        let write = |index: usize, to: &mut [f32]| split.write_sample(index, to);
        let order: Vec<usize> = (0..45).rev().collect();
        for loaders in 1..5 {
            let found = with_batches(&source(&write, split.labels(), &order, loaders), |batches| {
                batches.collect::<Result<Vec<_>, _>>()
            })?;
            assert_eq!(found.iter().map(|b| b.labels.len()).collect::<Vec<_>>(), [7, 7, 7, 7, 7, 7, 3]);
            let labels: Vec<i32> = found.iter().flat_map(|b| b.labels.clone()).collect();
            assert_eq!(labels, order.iter().map(|&i| split.labels()[i]).collect::<Vec<_>>());
            let mut expected = [0.0; 64];
            split.write_sample(order[9], &mut expected)?;
            assert_eq!((&found[1].values[2 * 64..3 * 64], found[1].samples[2]), (&expected[..], order[9]));
        }
        Ok(())
    }

    #[test]
    fn mixed_batches_are_the_same_for_any_number_of_loaders() -> Result<(), Error> {
        let split = crate::data::open("digits")?.train;
        let write = |index: usize, to: &mut [f32]| split.write_sample(index, to);
        let order: Vec<usize> = (0..45).rev().collect();
        let run = |loaders, order: &[usize]| {
            let mut source = source(&write, split.labels(), order, loaders);
            source.mixing = Mixing::of(&[Augment::CutMix { alpha: 1.0, p: 0.5 }], &source.input, 1, 0);
            let batches = with_batches(&source, |batches| batches.collect::<Result<Vec<_>, _>>());
            batches.map(|all| all.into_iter().map(|b| (b.values, b.labels, b.mixed)).collect::<Vec<_>>())
        };
        let one = run(1, &order)?;
        assert_eq!(one, run(3, &order)?);
        // A run that is resumed begins with a later batch.
        assert_eq!(one[2..], run(2, &order[14..])?);
        assert!(one.iter().any(|(_, labels, mixed)| mixed.as_ref().is_some_and(|m| m.others != *labels)));
        Ok(())
    }

    #[test]
    fn the_next_batches_are_made_while_one_is_used() -> Result<(), Error> {
        let (split, made) = (crate::data::open("digits")?.train, AtomicUsize::new(0));
        let write = |index: usize, to: &mut [f32]| {
            made.fetch_add(1, Ordering::SeqCst);
            split.write_sample(index, to)
        };
        let order: Vec<usize> = (0..70).collect();
        with_batches(&source(&write, split.labels(), &order, 2), |mut batches| {
            let first = batches.next();
            assert!(first.is_some_and(|batch| batch.is_ok()));
            // Two more are ready before anybody asks; no fourth one takes memory.
            let start = Instant::now();
            while made.load(Ordering::SeqCst) < 21 && start.elapsed() < Duration::from_secs(20) {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(20));
            assert_eq!(made.load(Ordering::SeqCst), 21);
        });
        Ok(())
    }

    #[test]
    fn who_stops_early_does_not_wait_and_a_fault_comes_in_its_turn() -> Result<(), Error> {
        let split = crate::data::open("digits")?.train;
        let write = |index: usize, to: &mut [f32]| split.write_sample(index, to);
        let order = [0, 1, 2, 3, 4, 5, 6, 1 << 40, 8, 9];
        let mut seen = with_batches(&source(&write, split.labels(), &order, 2), |batches| {
            batches.take(2).collect::<Vec<_>>()
        });
        assert!(seen.pop().is_some_and(|batch| batch.is_err()));
        assert!(seen.pop().is_some_and(|batch| batch.is_ok()));
        assert!(with_batches(&source(&write, split.labels(), &[], 2), |mut batches| batches
            .next()
            .is_none()));
        Ok(())
    }
}
