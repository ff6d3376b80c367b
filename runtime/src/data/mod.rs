//! Data sets: labelled samples in memory, a part to train on and a part to test on.
//!
//! | folder holds | format |
//! |---|---|
//! | (the name `digits`) | 1,797 images of 8×8, built in |
//! | `data_batch_*.bin`, `test_batch.bin` | CIFAR-10, binary version |
//! | `train.bin`, `test.bin` | CIFAR-100, binary version |
//! | `train-images-idx3-ubyte`, … (`.gz`) | MNIST and its kin |
//! | `train_x.npy`, `train_y.npy`, `test_x.npy`, `test_y.npy` | arrays `[N, …]`, or `[T, N, …]` |

mod arrays;
mod cifar;
mod digits;
mod idx;

pub(crate) use arrays::samples_first;

use crate::Error;
use std::path::Path;

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
}

impl Dataset {
    /// The same images with values from 0 to 1, as encoders take them; arrays of real numbers stay as they are.
    pub fn unnormalised(mut self) -> Dataset {
        self.train.unnormalise();
        self.test.unnormalise();
        self
    }
}

/// A part of a data set.
#[derive(Clone, Debug)]
pub struct Split {
    values: Values,
    labels: Vec<i32>,
    len: usize,
}

#[derive(Clone, Debug)]
enum Values {
    /// Bytes, and for each plane of a sample the real number that a byte stands for; the largest byte.
    Bytes { data: Vec<u8>, tables: Vec<[f32; 256]>, most: Vec<f64> },
    /// Real numbers as they are.
    Floats(Vec<f32>),
}

impl Split {
    /// Bytes with one normalisation (scale, mean, deviation) per plane: `(v / scale − mean) / deviation`.
    fn of_bytes(data: Vec<u8>, labels: Vec<i32>, sample: usize, planes: &[(f64, f64, f64)]) -> Split {
        let table = |&(scale, mean, deviation): &(f64, f64, f64)| {
            std::array::from_fn(|v| ((v as f64 / scale - mean) / deviation) as f32)
        };
        Split {
            values: Values::Bytes {
                data,
                tables: planes.iter().map(table).collect(),
                most: planes.iter().map(|plane| plane.0).collect(),
            },
            labels,
            len: sample,
        }
    }

    /// From now on bytes stand for numbers from 0 to 1.
    fn unnormalise(&mut self) {
        match &mut self.values {
            Values::Bytes { tables, most, .. } => {
                for (table, &most) in tables.iter_mut().zip(&*most) {
                    *table = std::array::from_fn(|v| (v as f64 / most) as f32);
                }
            }
            Values::Floats(_) => {}
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The class of each sample.
    pub fn labels(&self) -> &[i32] {
        &self.labels
    }

    /// Writes sample `index`, normalised.
    ///
    /// # Errors
    /// [`Error::Internal`] where there is no such sample or `to` has another size.
    pub fn write_sample(&self, index: usize, to: &mut [f32]) -> Result<(), Error> {
        if index >= self.len() || to.len() != self.len {
            return Err(Error::Internal(format!("sample {index} does not fill {} values", to.len())));
        }
        let range = index * self.len..(index + 1) * self.len;
        match &self.values {
            Values::Floats(data) => to.copy_from_slice(&data[range]),
            Values::Bytes { data, tables, most: _ } => {
                let plane = (self.len / tables.len().max(1)).max(1);
                for ((to, from), table) in to.chunks_mut(plane).zip(data[range].chunks(plane)).zip(tables) {
                    to.iter_mut().zip(from).for_each(|(to, &v)| *to = table[usize::from(v)]);
                }
            }
        }
        Ok(())
    }
}

/// Opens the built-in data set `digits`, or the data set in a folder, whose format its files tell.
///
/// # Errors
/// [`Error::Data`] that names the file, the byte and what would help; [`Error::Io`].
pub fn open(name_or_folder: &str) -> Result<Dataset, Error> {
    if name_or_folder == "digits" {
        return digits::open();
    }
    let folder = Path::new(name_or_folder);
    if !folder.is_dir() {
        let what =
            if folder.exists() { "is a file, not a folder" } else { "is neither built in nor a folder" };
        let help = "give `digits`, or the path of a folder with CIFAR-10, CIFAR-100, MNIST or .npy files";
        return Err(Error::Data(format!("data set `{name_or_folder}` {what}\n  help: {help}")));
    }
    let has = |file: &str| folder.join(file).exists();
    if has("test_batch.bin") || has("data_batch_1.bin") {
        cifar::open10(folder)
    } else if has("train.bin") || has("test.bin") {
        cifar::open100(folder)
    } else if has("train_x.npy") {
        arrays::open(folder)
    } else if idx::is_here(folder) {
        idx::open(folder)
    } else {
        Err(unknown(folder, &has))
    }
}

fn unknown(folder: &Path, has: &dyn Fn(&str) -> bool) -> Error {
    let help = match ["cifar-10-batches-bin", "cifar-100-binary", "MNIST/raw", "raw"]
        .into_iter()
        .find(|f| has(f))
    {
        Some(inner) => format!("give `{}`", folder.join(inner).display()),
        None if has("data_batch_1") || has("train") => {
            "these may be the Python version's files: download the binary version of CIFAR".to_string()
        }
        None => {
            "expected data_batch_1.bin (CIFAR-10), train.bin (CIFAR-100), train-images-idx3-ubyte (MNIST) \
                 or train_x.npy"
                .to_string()
        }
    };
    Error::Data(format!("{} holds no data set that is known\n  help: {help}", folder.display()))
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
        Ok(())
    }
}
