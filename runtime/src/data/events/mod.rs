//! Event data: recordings that become frames when a sample is asked for.
//!
//! ```text
//! recording ──reader──▶ [(t, x, y, p)] ──framing──▶ frames [T, 2, H, W] of counts, or [T, N]
//! ```

mod aedat2;
mod aedat3;
mod caches;
mod frames;
mod heidelberg;
mod nmnist;
mod npz;
mod vlen;

pub use caches::{cache_folders, caches};
pub use heidelberg::{FILES as HEIDELBERG_FILES, heidelberg};

use super::folders::{Classes, Order, has_extension};
use super::samples::{Opened, Part, Source};
use super::{About, Request};
use crate::Error;
use crate::augment::{Content, Norm};
use aedat3::Gesture;
use frames::Framing;
use heidelberg::Spikes;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Event {
    /// Microseconds.
    t: i64,
    /// The column; for audio the channel.
    x: u16,
    /// The row; 0 for audio.
    y: u16,
    /// The polarity: brighter. False for audio.
    on: bool,
}

/// A sample's recording.
#[derive(Debug)]
enum Recording {
    /// A file of N-MNIST.
    NMnist(PathBuf),
    /// A file of AEDAT 2.0.
    Aedat2(PathBuf),
    /// A part of an AEDAT 3.1 file, from a time to before another.
    Gesture { file: Arc<Gesture>, from: i64, to: i64 },
    /// Events in arrays `t`, `x`, `y`, `p`.
    Arrays(PathBuf),
    /// Frames that are ready.
    Frames(PathBuf),
    /// A sample of a file of audio spikes.
    Spikes { file: Arc<Spikes>, index: usize },
}

/// The recordings of one split, and how they become frames.
#[derive(Debug)]
pub struct Recordings {
    items: Vec<Recording>,
    framing: Framing,
}

impl Recordings {
    /// The frames of a sample, `[T, 2, H, W]` or `[T, N]`.
    pub fn load(&self, index: usize) -> Result<Vec<f32>, Error> {
        let (events, path) = match &self.items[index] {
            Recording::NMnist(path) => (nmnist::read(path)?, path),
            Recording::Aedat2(path) => (aedat2::read(path)?, path),
            Recording::Gesture { file, from, to } => (file.events(*from, *to)?, &file.path),
            Recording::Arrays(path) => (npz::events(path)?, path),
            Recording::Frames(path) => return npz::frames(path, &self.framing),
            Recording::Spikes { file, index } => (file.events(*index)?, &file.path),
        };
        self.framing.frames(&events).map_err(|what| {
            let help = "the file is damaged, or of another data set";
            Error::Data(format!("{} (sample {index}): {what}\n  help: {help}", path.display()))
        })
    }
}

/// N-MNIST: `Train/<digit>/*.bin`, `Test/<digit>/*.bin`.
pub fn nmnist(folder: &Path, request: &Request) -> Result<Opened, Error> {
    let framing = Framing::new(folder, request, (34, 34))?;
    let list = |part: &str| {
        let path = folder.join(part);
        let path = if path.is_dir() { path } else { folder.join(part.to_lowercase()) };
        if !path.is_dir() {
            let help = "N-MNIST needs the folders of Train.zip and Test.zip side by side";
            return Err(Error::Data(format!("{} is missing\n  help: {help}", folder.join(part).display())));
        }
        Classes::list(&path, Order::Numbers, |path| has_extension(path, &["bin"]))
    };
    let (train, test) = (list("Train")?, list("Test")?);
    train.same(&test, folder, ["Train", "Test"])?;
    let names = train.names.clone();
    let part = |classes: Classes| {
        let (paths, labels) = classes.in_turn();
        Set { items: paths.into_iter().map(Recording::NMnist).collect(), labels }
    };
    let parts = [part(train), part(test)];
    Ok(opened("nmnist".to_string(), "N-MNIST", names, Vec::new(), framing, parts))
}

/// CIFAR10-DVS: `<class>/*.aedat`. It has no split of its own: the first tenth of each class is for testing.
pub fn cifar10_dvs(folder: &Path, request: &Request) -> Result<Opened, Error> {
    let framing = Framing::new(folder, request, (128, 128))?;
    let classes = Classes::list(folder, Order::Text, |path| has_extension(path, &["aedat"]))?;
    let names = classes.names.clone();
    let parts = first_tenth(classes).map(|classes| {
        let (paths, labels) = classes.in_turn();
        Set { items: paths.into_iter().map(Recording::Aedat2).collect(), labels }
    });
    let notes = vec![FIRST_TENTH.to_string()];
    Ok(opened("cifar10_dvs".to_string(), "CIFAR10-DVS (AEDAT 2.0)", names, notes, framing, parts))
}

/// DVS128 Gesture: AEDAT 3.1 files with labels, and the lists of the split.
pub fn gesture(folder: &Path, request: &Request) -> Result<Opened, Error> {
    let framing = Framing::new(folder, request, (128, 128))?;
    let part = |list: &str| -> Result<Set, Error> {
        let (items, labels) = aedat3::trials(folder, list)?.into_iter().unzip();
        Ok(Set { items, labels })
    };
    let parts = [part("trials_to_train.txt")?, part("trials_to_test.txt")?];
    let names = aedat3::CLASSES.map(str::to_string).to_vec();
    Ok(opened("dvs128_gesture".to_string(), "DVS128 Gesture (AEDAT 3.1)", names, Vec::new(), framing, parts))
}

/// The recordings and labels of a split.
struct Set {
    items: Vec<Recording>,
    labels: Vec<i32>,
}

const FIRST_TENTH: &str =
    "no split of its own: the first tenth of each class is for testing (easier than a random tenth)";

/// The recordings of each class but the first tenth, and that tenth. Names are ordered by the numbers in them.
fn first_tenth(classes: Classes) -> [Classes; 2] {
    let number = |path: &Path| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let digits = stem.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        digits.parse::<u64>().unwrap_or(u64::MAX)
    };
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for mut files in classes.files {
        files.sort_by_key(|path| number(path));
        let rest = files.split_off(files.len().div_ceil(10));
        test.push(files);
        train.push(rest);
    }
    [train, test].map(|files| Classes { names: classes.names.clone(), files })
}

fn opened(
    name: String,
    format: &'static str,
    names: Vec<String>,
    mut notes: Vec<String>,
    framing: Framing,
    parts: [Set; 2],
) -> Opened {
    notes.push(framing.words());
    let shape = framing.shape();
    let [train, test] = parts.map(|set| {
        let recordings = Recordings { items: set.items, framing };
        Part { source: Source::Events(Arc::new(recordings)), labels: set.labels }
    });
    let content = if shape.len() == 2 { Content::Features } else { Content::Events };
    let classes = names.len();
    let about = About { format, classes: names, notes };
    Opened { name, shape, classes, content, norm: Norm::none(), train, test, about }
}

#[cfg(test)]
mod tests;
