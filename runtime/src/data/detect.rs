//! Which data set a folder holds: its files tell.

use super::{events, folders, idx};
use crate::Error;
use std::path::Path;

/// The formats of folders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Cifar10,
    Cifar100,
    Arrays,
    Mnist,
    Images,
    NMnist,
    Gesture,
    Cifar10Dvs,
    Heidelberg,
    Caches,
}

impl Format {
    fn words(self) -> &'static str {
        match self {
            Format::Cifar10 => "CIFAR-10",
            Format::Cifar100 => "CIFAR-100",
            Format::Arrays => "arrays",
            Format::Mnist => "MNIST",
            Format::Images => "image files",
            Format::NMnist => "N-MNIST",
            Format::Gesture => "DVS128 Gesture",
            Format::Cifar10Dvs => "CIFAR10-DVS",
            Format::Heidelberg => "Heidelberg spikes",
            Format::Caches => "frames or events of SpikingJelly",
        }
    }
}

/// The format of a folder.
///
/// # Errors
/// [`Error::Data`] where the folder holds none or more than one.
pub fn format(folder: &Path) -> Result<Format, Error> {
    let found = formats(folder)?;
    match found[..] {
        [] => Err(unknown(folder)),
        [(format, _)] => Ok(format),
        _ => {
            let all: Vec<String> =
                found.iter().map(|(format, file)| format!("{} ({file})", format.words())).collect();
            let help = "give each data set a folder of its own";
            let text = format!("{} holds more than one data set: {}", folder.display(), all.join(", "));
            Err(Error::Data(format!("{text}\n  help: {help}")))
        }
    }
}

/// Every format that a folder shows signs of, with the sign.
fn formats(folder: &Path) -> Result<Vec<(Format, String)>, Error> {
    let has = |file: &str| folder.join(file).exists();
    let sign = |files: &[&str]| files.iter().find(|file| has(file)).map(|file| file.to_string());
    let files = [
        (Format::Cifar10, sign(&["test_batch.bin", "data_batch_1.bin"])),
        (Format::Cifar100, sign(&["train.bin", "test.bin"])),
        (Format::Arrays, sign(&["train_x.npy"])),
        (Format::Mnist, idx::is_here(folder).then(|| "train-images-idx3-ubyte".to_string())),
        (Format::Gesture, sign(&["trials_to_train.txt", "trials_to_test.txt"])),
        (Format::Heidelberg, sign(&events::HEIDELBERG_FILES)),
    ];
    let mut found: Vec<(Format, String)> =
        files.into_iter().filter_map(|(format, sign)| Some((format, sign?))).collect();
    if found.is_empty() || folder.join("train").is_dir() {
        found.extend(of_folders(folder)?);
    }
    Ok(found)
}

/// The format of a folder of folders, by the first file in them.
fn of_folders(folder: &Path) -> Result<Option<(Format, String)>, Error> {
    if events::cache_folders(folder)?.iter().any(|cache| cache.frames > 0) {
        return Ok(Some((Format::Caches, "frames_number_…".to_string())));
    }
    let parts = ["train", "Train"].into_iter().map(|part| folder.join(part)).find(|part| part.is_dir());
    let Some(file) = folders::first_file(parts.as_deref().unwrap_or(folder))? else { return Ok(None) };
    let extension = file.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let format = match (extension.as_str(), parts.is_some()) {
        ("npz", _) => Format::Caches,
        ("bin", true) => Format::NMnist,
        ("aedat", false) => Format::Cifar10Dvs,
        (extension, true) if folders::IMAGES.contains(&extension) => Format::Images,
        _ => return Ok(None),
    };
    let shown = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
    Ok(Some((format, shown)))
}

fn unknown(folder: &Path) -> Error {
    let has = |file: &str| folder.join(file).exists();
    let inner = [
        "cifar-10-batches-bin",
        "cifar-100-binary",
        "MNIST/raw",
        "raw",
        "DvsGesture",
        "ibmGestureDvsGesture",
        "extract",
        "events_np",
    ];
    let help = match inner.into_iter().find(|f| has(f)) {
        Some(inner) => format!("give `{}`", folder.join(inner).display()),
        None if has("data_batch_1") || (has("train") && !folder.join("train").is_dir()) => {
            "these may be the Python version's files: download the binary version of CIFAR".to_string()
        }
        None if folders::first_file(folder).is_ok_and(|file| file.is_some_and(|f| folders::is_image(&f))) => {
            "image files are found in `train/<class>/` and `val/<class>/`".to_string()
        }
        None => {
            "expected data_batch_1.bin (CIFAR-10), train.bin (CIFAR-100), train-images-idx3-ubyte (MNIST), \
                 train_x.npy, train/<class>/*.jpg, or events (docs/data.md)"
                .to_string()
        }
    };
    Error::Data(format!("{} holds no data set that is known\n  help: {help}", folder.display()))
}
