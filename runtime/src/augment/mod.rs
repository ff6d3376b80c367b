//! What happens to a sample between its file and the network: random changes in training, and the normalisation.
//!
//! ```text
//! augment pad_crop(4) + flip + autoaugment(cifar10) + normalize(cifar10) + cutout(16)
//!         └──────────── on stored values ─────────┘   └─ to real numbers ┘ └ on these
//! ```
//!
//! Where a list has no `normalize`, the data set's own stands before the `cutout`s that end the list, else at its
//! end. Evaluation normalises and does nothing else. `mixup` and `cutmix` come last, on whole batches (`mix`).
//!
//! Invariant: a sample depends on (seed, epoch, index, place of the operation in the list) alone.

pub mod color;
pub mod geometry;
pub mod mix;
mod policy;

pub use geometry::Grid;
pub use mix::{Mixed, Mixing};

use crate::Error;
use crate::rng::{Draw, Rng};
use geometry::Affine;
use snnc_plan::Augment;
use std::borrow::Cow;

/// A sample as it is stored.
#[derive(Clone, PartialEq, Debug)]
pub enum Pixels<'a> {
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// Real numbers, or counts of events.
    Floats(Cow<'a, [f32]>),
}

/// What a data set's values are, which decides what can be done to them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// Images of bytes up to 255, with one or three planes.
    Colours,
    /// Images of other whole numbers.
    Levels,
    /// Images or frames of real numbers.
    Reals,
    /// Frames of events, by time and polarity.
    Events,
    /// Values without rows and columns.
    Features,
}

/// Values to real numbers: `(v / scale − mean) / deviation`, by channel.
#[derive(Clone, PartialEq, Debug)]
pub struct Norm {
    /// What 1.0 is stored as: 255 for bytes.
    pub scale: f64,
    /// Mean and deviation of each channel; one pair stands for all.
    pub channels: Vec<(f64, f64)>,
}

impl Norm {
    /// Values as they are.
    pub fn none() -> Norm {
        Norm { scale: 1.0, channels: vec![(0.0, 1.0)] }
    }

    /// Bytes with constants.
    pub fn bytes(by: snnc_plan::Normalization) -> Norm {
        Norm { scale: 255.0, channels: by.channels() }
    }

    fn of(&self, channel: usize, value: f64) -> f32 {
        let (mean, deviation) = self.channels[channel % self.channels.len()];
        ((value / self.scale - mean) / deviation) as f32
    }
}

/// The number that each byte stands for, by channel.
fn tables(norm: &Norm) -> Vec<[f32; 256]> {
    let table = |channel| std::array::from_fn(|v| norm.of(channel, v as f64));
    (0..norm.channels.len()).map(table).collect()
}

/// The operations of a data set, ready to run.
#[derive(Clone, Debug)]
pub struct Pipeline {
    before: Vec<(usize, Augment)>,
    norm: Norm,
    tables: Vec<[f32; 256]>,
    after: Vec<(usize, Augment)>,
}

impl Pipeline {
    /// The operations of a list on a data set `name` of this content, whose own normalisation is `own`.
    ///
    /// # Errors
    /// [`Error::User`] for an operation that this content does not take.
    pub fn new(
        list: &[Augment],
        name: &str,
        content: Content,
        own: &Norm,
        channels: usize,
    ) -> Result<Pipeline, Error> {
        for op in list {
            if let Some((needs, holds)) = refused(*op, content) {
                let text = format!("`{}` needs {needs}, data set {name} holds {holds}", op.word());
                return Err(Error::User(format!("{text}\n  help: take it out of `augment`")));
            }
        }
        let mut norm = own.clone();
        // Mixes are done with whole batches, and end the list.
        let ops: Vec<(usize, Augment)> =
            list.iter().copied().enumerate().filter(|(_, op)| !op.mixes()).collect();
        let normal = ops.iter().position(|(_, op)| matches!(op, Augment::Normalize(_)));
        if let Some((_, Augment::Normalize(by))) = normal.map(|at| ops[at]) {
            norm.channels = by.channels();
        }
        if norm.channels.len() != 1 && norm.channels.len() != channels {
            let (found, wanted) = (channels, norm.channels.len());
            let text =
                format!("`normalize` has constants for {wanted} channels, data set {name} has {found}");
            return Err(Error::User(format!("{text}\n  help: write `normalize(mean: …, std: …)`")));
        }
        let behind =
            ops.iter().rposition(|(_, op)| !matches!(op, Augment::Cutout { .. })).map_or(0, |at| at + 1);
        let (before, after) = ops.split_at(normal.unwrap_or(behind));
        Ok(Pipeline { tables: tables(&norm), before: before.to_vec(), after: after.to_vec(), norm })
    }

    /// The same without mean and deviation: bytes are 0 to 1.
    pub fn unnormalised(&self) -> Pipeline {
        let norm = Norm { channels: vec![(0.0, 1.0)], ..self.norm.clone() };
        Pipeline { tables: tables(&norm), norm, ..self.clone() }
    }

    /// The normalisation.
    pub fn norm(&self) -> &Norm {
        &self.norm
    }

    /// A sample for evaluation.
    pub fn plain(&self, pixels: &Pixels<'_>, grid: Grid, to: &mut [f32]) {
        let area = grid.area().max(1);
        for (plane, to) in to.chunks_exact_mut(area).enumerate() {
            let range = plane * area..(plane + 1) * area;
            let pairs = |to: &mut [f32], from: &[f32]| match self.norm == Norm::none() {
                true => to.copy_from_slice(from),
                false => to.iter_mut().zip(from).for_each(|(to, &v)| *to = self.norm.of(plane, f64::from(v))),
            };
            match pixels {
                Pixels::Bytes(bytes) => {
                    let table = &self.tables[plane % self.tables.len()];
                    to.iter_mut().zip(&bytes[range]).for_each(|(to, &v)| *to = table[usize::from(v)]);
                }
                Pixels::Floats(values) => pairs(to, &values[range]),
            }
        }
    }

    /// A sample for training: changed, normalised.
    pub fn varied(&self, mut pixels: Pixels<'_>, grid: Grid, draw: Draw, to: &mut [f32]) {
        for &(at, op) in &self.before {
            let rng = &mut draw.rng(at);
            match &mut pixels {
                Pixels::Bytes(bytes) => {
                    if !on_colours(op, bytes, grid, rng) {
                        on_places(op, bytes.to_mut(), grid, rng);
                    }
                }
                Pixels::Floats(values) => on_places(op, values.to_mut(), grid, rng),
            }
        }
        self.plain(&pixels, grid, to);
        self.after.iter().for_each(|&(at, op)| on_places(op, to, grid, &mut draw.rng(at)));
    }
}

/// The least part of an image file that a training crop takes, where a list says so.
pub fn least_crop(list: &[Augment]) -> Option<f64> {
    list.iter().find_map(|op| if let Augment::ResizedCrop { scale } = op { Some(*scale) } else { None })
}

/// What an operation needs and the content is instead.
fn refused(op: Augment, content: Content) -> Option<(&'static str, &'static str)> {
    let holds = match content {
        Content::Colours => "images",
        Content::Levels => "images of few grey levels",
        Content::Reals => "real numbers",
        Content::Events => "frames of events",
        Content::Features => "features without rows and columns",
    };
    let (needs, fits) = match op {
        Augment::Frames(_) => ("events", content == Content::Events),
        Augment::ResizedCrop { .. } => ("image files", content == Content::Colours),
        Augment::AutoAugment(_) | Augment::RandAugment { .. } | Augment::ColorJitter { .. } => {
            ("colours of 8 bits", content == Content::Colours)
        }
        Augment::PadCrop { .. }
        | Augment::Flip { .. }
        | Augment::Cutout { .. }
        | Augment::Roll { .. }
        | Augment::Rotate { .. }
        | Augment::CutMix { .. } => ("rows and columns", content != Content::Features),
        Augment::Normalize(_) | Augment::Mixup { .. } => ("values", true),
    };
    (!fits).then_some((needs, holds))
}

/// An operation on places; those of other kinds do nothing here.
fn on_places<T: Copy + Default>(op: Augment, values: &mut [T], grid: Grid, rng: &mut Rng) {
    match op {
        Augment::PadCrop { pixels } => {
            let [right, down] = [(); 2].map(|()| rng.below(2 * pixels + 1) as isize - pixels as isize);
            geometry::shift(values, grid, right, down);
        }
        Augment::Flip { p } => {
            if f64::from(rng.uniform()) < p {
                geometry::flip(values, grid);
            }
        }
        Augment::Cutout { size } => {
            let centre = (rng.below(grid.height), rng.below(grid.width));
            geometry::cutout(values, grid, centre, size, T::default());
        }
        Augment::Roll { pixels } => {
            let [right, down] = [(); 2].map(|()| rng.below(2 * pixels + 1) as isize - pixels as isize);
            geometry::roll(values, grid, right, down);
        }
        Augment::Rotate { degrees } => {
            let angle = (2.0 * f64::from(rng.uniform()) - 1.0) * degrees;
            geometry::affine(values, grid, Affine::rotation(angle, grid));
        }
        Augment::Frames(_)
        | Augment::ResizedCrop { .. }
        | Augment::AutoAugment(_)
        | Augment::RandAugment { .. }
        | Augment::ColorJitter { .. }
        | Augment::Normalize(_)
        | Augment::Mixup { .. }
        | Augment::CutMix { .. } => {}
    }
}

/// An operation on colours; whether it was one.
fn on_colours(op: Augment, bytes: &mut Cow<'_, [u8]>, grid: Grid, rng: &mut Rng) -> bool {
    match op {
        Augment::AutoAugment(policy) => policy::auto(bytes.to_mut(), grid, policy, rng),
        Augment::RandAugment { n, m } => policy::random(bytes.to_mut(), grid, n, m, rng),
        Augment::ColorJitter { strength } => jitter(bytes.to_mut(), grid, strength, rng),
        Augment::Frames(_)
        | Augment::ResizedCrop { .. }
        | Augment::PadCrop { .. }
        | Augment::Flip { .. }
        | Augment::Cutout { .. }
        | Augment::Roll { .. }
        | Augment::Rotate { .. }
        | Augment::Normalize(_)
        | Augment::Mixup { .. }
        | Augment::CutMix { .. } => return false,
    }
    true
}

/// Brightness, contrast and saturation in a random order, each by a factor within `strength` of 1.
fn jitter(bytes: &mut [u8], grid: Grid, strength: f64, rng: &mut Rng) {
    let factors: [f32; 3] =
        std::array::from_fn(|_| (1.0 + strength * (2.0 * f64::from(rng.uniform()) - 1.0)) as f32);
    for change in rng.permutation(3) {
        match change {
            0 => color::brightness(bytes, factors[0]),
            1 => color::contrast(bytes, grid, factors[1]),
            _ => color::saturation(bytes, grid, factors[2]),
        }
    }
}

#[cfg(test)]
mod tests;
