//! A part of a data set: its samples, changed and normalised as the model asks.

use super::samples::{Part, Source};
use crate::Error;
use crate::augment::{Grid, Pipeline, Pixels};
use crate::rng::Draw;
use std::sync::Arc;

/// A part of a data set.
#[derive(Clone, Debug)]
pub struct Split {
    source: Source,
    labels: Vec<i32>,
    len: usize,
    grid: Grid,
    pipeline: Arc<Pipeline>,
}

impl Split {
    pub(super) fn new(part: Part, len: usize, grid: Grid, pipeline: &Arc<Pipeline>) -> Split {
        Split { source: part.source, labels: part.labels, len, grid, pipeline: pipeline.clone() }
    }

    /// From now on values are as they are stored, bytes from 0 to 1.
    pub(super) fn unnormalise(&mut self) {
        self.pipeline = Arc::new(self.pipeline.unnormalised());
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Bytes of memory that it takes; what is read from files when it is asked for takes none.
    pub fn bytes(&self) -> u64 {
        let samples = match &self.source {
            Source::Bytes(bytes) => bytes.len(),
            Source::Floats(values) => values.len() * 4,
            Source::Images(_) | Source::Events(_) => 0,
        };
        (samples + self.labels.len() * 4) as u64
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The class of each sample.
    pub fn labels(&self) -> &[i32] {
        &self.labels
    }

    /// Writes sample `index` as it is evaluated: normalised, not changed.
    ///
    /// # Errors
    /// [`Error::Internal`] where there is no such sample or `to` has another size; [`Error::Data`] and
    /// [`Error::Io`] for a file that cannot be read.
    pub fn write_sample(&self, index: usize, to: &mut [f32]) -> Result<(), Error> {
        self.check(index, to)?;
        let pixels = self.source.load(index, self.len, None)?;
        self.pipeline.plain(&pixels, self.grid, to);
        Ok(())
    }

    /// Writes sample `index` as `epoch` of the run with this seed trains on it: changed at random, normalised. The
    /// result depends on the three numbers alone.
    ///
    /// # Errors
    /// As [`Split::write_sample`].
    pub fn write_varied(&self, index: usize, seed: u64, epoch: usize, to: &mut [f32]) -> Result<(), Error> {
        self.check(index, to)?;
        let draw = Draw { seed, epoch, sample: index };
        let pixels = self.source.load(index, self.len, Some(draw))?;
        self.pipeline.varied(pixels, self.grid, draw, to);
        Ok(())
    }

    /// Mean and deviation by channel with which values from 0 to 1 are normalised; `None` where what is stored has no
    /// largest value, as real numbers and counts of events.
    pub(super) fn unit(&self) -> Option<&[(f64, f64)]> {
        let norm = self.pipeline.norm();
        (norm.scale != 1.0).then_some(&norm.channels)
    }

    /// Sample `index` as it is stored.
    pub(super) fn stored(&self, index: usize) -> Result<Pixels<'_>, Error> {
        self.source.load(index, self.len, None)
    }

    /// Whether no file is read for a sample.
    pub(super) fn in_memory(&self) -> bool {
        match self.source {
            Source::Bytes(_) | Source::Floats(_) => true,
            Source::Images(_) | Source::Events(_) => false,
        }
    }

    fn check(&self, index: usize, to: &[f32]) -> Result<(), Error> {
        if index >= self.len() || to.len() != self.len {
            return Err(Error::Internal(format!("sample {index} does not fill {} values", to.len())));
        }
        Ok(())
    }
}
