//! Where samples come from: memory, or files that are read when a sample is asked for.

use super::About;
use super::events::Recordings;
use super::images::Images;
use crate::Error;
use crate::augment::{Content, Norm, Pixels};
use crate::rng::Draw;
use std::sync::Arc;

/// A data set as a loader leaves it.
#[derive(Debug)]
pub struct Opened {
    pub name: String,
    /// Extents of one sample.
    pub shape: Vec<usize>,
    pub classes: usize,
    pub content: Content,
    /// The normalisation where a model asks for none.
    pub norm: Norm,
    pub train: Part,
    pub test: Part,
    pub about: About,
}

/// A part of it.
#[derive(Debug)]
pub struct Part {
    pub source: Source,
    pub labels: Vec<i32>,
}

/// Samples by index.
#[derive(Clone, Debug)]
pub enum Source {
    /// Bytes, sample after sample.
    Bytes(Arc<Vec<u8>>),
    /// Real numbers, sample after sample.
    Floats(Arc<Vec<f32>>),
    /// Image files.
    Images(Arc<Images>),
    /// Recordings of events, or frames of some.
    Events(Arc<Recordings>),
}

impl Source {
    /// Sample `index` of `len` values, as it is stored; with a draw, an image file is cropped at random.
    pub fn load(&self, index: usize, len: usize, draw: Option<Draw>) -> Result<Pixels<'_>, Error> {
        let range = index * len..(index + 1) * len;
        Ok(match self {
            Source::Bytes(bytes) => Pixels::Bytes(bytes[range].into()),
            Source::Floats(values) => Pixels::Floats(values[range].into()),
            Source::Images(images) => Pixels::Bytes(images.load(index, draw)?.into()),
            Source::Events(recordings) => Pixels::Floats(recordings.load(index)?.into()),
        })
    }
}

impl Part {
    /// Bytes in memory.
    pub fn of_bytes(data: Vec<u8>, labels: Vec<i32>) -> Part {
        Part { source: Source::Bytes(Arc::new(data)), labels }
    }
}
