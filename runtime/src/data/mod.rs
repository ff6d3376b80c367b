//! Data sets: labelled samples, a part to train on and a part to test on. A folder's files tell its format.
//!
//! | folder holds | format |
//! |---|---|
//! | (the name `digits`) | 1,797 images of 8×8, built in |
//! | `data_batch_*.bin`, `test_batch.bin` | CIFAR-10, binary version |
//! | `train.bin`, `test.bin` | CIFAR-100, binary version |
//! | `train-images-idx3-ubyte`, … (`.gz`) | MNIST and its kin |
//! | `train_x.npy`, `train_y.npy`, `test_x.npy`, `test_y.npy` | arrays `[N, …]`, or `[T, N, …]` |
//! | `train/<class>/*.jpg`, `val/<class>/*.jpg` | image files |
//! | `Train/<digit>/*.bin`, `Test/<digit>/*.bin` | N-MNIST |
//! | `trials_to_train.txt`, `*.aedat`, `*_labels.csv` | DVS128 Gesture |
//! | `<class>/*.aedat` | CIFAR10-DVS |
//! | `shd_train.h5`, `ssc_train.h5`, … | Heidelberg digits, Speech Commands |
//! | `train/<class>/*.npz`, `<class>/*.npz` | SpikingJelly's caches of frames or events |
//!
//! Small sets are held in memory, the others read a sample's file when it is asked for.

mod arrays;
mod cifar;
mod detect;
mod digits;
mod events;
mod folders;
mod idx;
mod images;
mod inspect;
mod samples;
mod sheet;
mod split;

pub(crate) use arrays::samples_first;
pub use inspect::{Report, SplitReport, inspect};
pub use sheet::{Picture, batch_sheet, sheet};
pub use split::Split;

use crate::Error;
use crate::augment::{Grid, Pipeline};
use detect::Format;
use samples::{Opened, Part};
use snnc_plan::{Augment, SplitBy};
use std::path::Path;
use std::sync::Arc;

/// Labelled samples of one shape.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// `digits`, `cifar10`, `cifar100`, `mnist`, or the folder's name.
    pub name: String,
    /// Extents of one sample, `[3, 32, 32]`; with its own time axis `[T, …]`.
    pub shape: Vec<usize>,
    /// Number of classes.
    pub classes: usize,
    /// What is trained on.
    pub train: Split,
    /// What is never trained on.
    pub test: Split,
    /// What it is, for people.
    pub about: About,
}

impl Dataset {
    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> u64 {
        self.train.bytes() + self.test.bytes()
    }

    /// The same samples without normalisation, bytes from 0 to 1, as encoders take them.
    pub fn unnormalised(mut self) -> Dataset {
        self.train.unnormalise();
        self.test.unnormalise();
        self
    }
}

/// A data set in words.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct About {
    /// The format.
    pub format: &'static str,
    /// Names of the classes, where the files tell them; else empty.
    pub classes: Vec<String>,
    /// What else to know: how it is split, how events become frames.
    pub notes: Vec<String>,
}

/// What samples shall be like.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Request {
    /// The shape of the network's input, its time axis first if it has one; the data's own where it is `None`.
    pub shape: Option<Vec<usize>>,
    /// Whether the input is spikes: counts of events become 0 or 1.
    pub spikes: bool,
    /// Frames that events become where no shape is asked for.
    pub frames: Option<usize>,
    /// How samples are varied and made ready.
    pub augment: Vec<Augment>,
}

impl Request {
    /// How events are divided.
    fn split_by(&self) -> SplitBy {
        let by =
            self.augment.iter().find_map(|op| if let Augment::Frames(by) = op { Some(*by) } else { None });
        by.unwrap_or_default()
    }
}

/// Opens a data set as it is.
///
/// # Errors
/// As [`open_for`].
pub fn open(name_or_folder: &str) -> Result<Dataset, Error> {
    open_for(name_or_folder, &Request::default())
}

/// Opens the built-in data set `digits`, or the data set in a folder, for a network. Only image files and events take
/// the shape that is asked for; the others keep their own.
///
/// # Errors
/// [`Error::Data`] that names the file, the byte and what would help; [`Error::Io`]; [`Error::User`] where the data
/// cannot become what is asked for.
pub fn open_for(name_or_folder: &str, request: &Request) -> Result<Dataset, Error> {
    if name_or_folder == "digits" {
        return ready(digits::open()?, request);
    }
    let folder = Path::new(name_or_folder);
    if !folder.is_dir() {
        let what =
            if folder.exists() { "is a file, not a folder" } else { "is neither built in nor a folder" };
        let help = "give `digits`, or the path of a folder with a data set (docs/data.md lists the formats)";
        return Err(Error::Data(format!("data set `{name_or_folder}` {what}\n  help: {help}")));
    }
    let opened = match detect::format(folder)? {
        Format::Cifar10 => cifar::open10(folder),
        Format::Cifar100 => cifar::open100(folder),
        Format::Arrays => arrays::open(folder),
        Format::Mnist => idx::open(folder),
        Format::Images => images::open(folder, request),
        Format::NMnist => events::nmnist(folder, request),
        Format::Gesture => events::gesture(folder, request),
        Format::Cifar10Dvs => events::cifar10_dvs(folder, request),
        Format::Heidelberg => events::heidelberg(folder, request),
        Format::Caches => events::caches(folder, request),
    };
    ready(opened?, request)
}

/// Puts the operations before the samples.
fn ready(opened: Opened, request: &Request) -> Result<Dataset, Error> {
    let Opened { name, shape, classes, content, norm, train, test, about } = opened;
    let grid = Grid::of(&shape);
    let channels = if shape.len() > 2 { shape[shape.len() - 3] } else { 1 };
    let pipeline = Arc::new(Pipeline::new(&request.augment, &name, content, &norm, channels)?);
    let len = shape.iter().product();
    let split = |part: Part| Split::new(part, len, grid, &pipeline);
    Ok(Dataset { train: split(train), test: split(test), name, shape, classes, about })
}

/// The whole of a file.
fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            let help = "a data set needs all its files in one folder";
            Error::Data(format!("{} is missing\n  help: {help}", path.display()))
        }
        _ => Error::io(path, "read", e),
    })
}

/// The name of a folder, for a data set that has no other.
fn name_of(folder: &Path) -> String {
    let name = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_owned()));
    name.map_or("data".to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn unknown_names_and_folders_are_told_what_would_help() -> Result<(), Error> {
        let message = |name: &str| open(name).map_or_else(|e| e.to_string(), |_| String::new());
        assert!(message("digit").contains("help: give `digits`"));
        let folder = Folder::new("data")?;
        let path = folder.path().display().to_string();
        assert!(message(&path).contains("no data set that is known"));
        std::fs::create_dir(folder.file("raw")).map_err(|e| Error::io(folder.path(), "create", e))?;
        assert!(message(&path).contains("raw`"));
        folder.write("train.bin", b"")?;
        folder.write("train_x.npy", b"")?;
        let text = message(&path);
        assert!(
            text.contains("more than one data set: CIFAR-100 (train.bin), arrays (train_x.npy)"),
            "{text}"
        );
        Ok(())
    }

    #[test]
    fn a_list_changes_training_samples_alone() -> Result<(), Error> {
        let augment = vec![Augment::PadCrop { pixels: 2 }, Augment::Flip { p: 0.5 }];
        let (plain, varied) =
            (open("digits")?, open_for("digits", &Request { augment, ..Request::default() })?);
        let mut samples = [[0.0; 64]; 4];
        plain.train.write_sample(3, &mut samples[0])?;
        varied.train.write_sample(3, &mut samples[1])?;
        assert_eq!(samples[0], samples[1]);
        varied.train.write_varied(3, 7, 0, &mut samples[2])?;
        varied.train.write_varied(3, 7, 1, &mut samples[3])?;
        assert!(samples[2] != samples[0] || samples[3] != samples[0]);
        let again = samples[3];
        varied.train.write_varied(3, 7, 1, &mut samples[3])?;
        assert_eq!(samples[3], again);
        let sorted = |mut image: [f32; 64]| {
            image.sort_by(f32::total_cmp);
            image
        };
        assert!(sorted(samples[3])[63] <= sorted(samples[0])[63]);
        Ok(())
    }

    #[test]
    fn operations_that_do_not_fit_are_refused() {
        let refuse = |augment| {
            let request = Request { augment: vec![augment], ..Request::default() };
            open_for("digits", &request).map_or_else(|e| e.to_string(), |_| String::new())
        };
        assert!(refuse(Augment::ColorJitter { strength: 0.5 }).contains("images of few grey levels"));
        let imagenet = Augment::Normalize(snnc_plan::Normalization::ImageNet);
        assert!(refuse(imagenet).contains("constants for 3 channels, data set digits has 1"));
    }
}
