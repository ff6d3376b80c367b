//! A data set of NumPy arrays: `train_x.npy`, `train_y.npy`, `test_x.npy`, `test_y.npy`. Samples are `[N, …]`, or
//! `[T, N, …]` where the first axis is not the number of labels but the second is. Values are used as they are.

use super::samples::{Opened, Part, Source};
use super::{About, name_of};
use crate::augment::{Content, Norm};
use crate::{Error, npy};
use std::path::Path;
use std::sync::Arc;

/// The data set.
pub fn open(folder: &Path) -> Result<Opened, Error> {
    let (train, shape) = split(folder, "train")?;
    let (test, test_shape) = split(folder, "test")?;
    if shape != test_shape {
        let found = format!("{shape:?} to train on and {test_shape:?} to test on");
        return Err(Error::Data(format!("{} holds samples of {found}", folder.display())));
    }
    let highest = train.labels.iter().chain(&test.labels).max().copied().unwrap_or(0);
    let content = if shape.len() > 2 { Content::Reals } else { Content::Features };
    Ok(Opened {
        name: name_of(folder),
        shape,
        classes: highest as usize + 1,
        content,
        norm: Norm::none(),
        train,
        test,
        about: About { format: "NumPy arrays", ..About::default() },
    })
}

fn split(folder: &Path, part: &str) -> Result<(Part, Vec<usize>), Error> {
    let (x, y) = (folder.join(format!("{part}_x.npy")), folder.join(format!("{part}_y.npy")));
    let (array, labels) = (npy::read(&x)?, npy::read_labels(&y)?);
    if let Some(at) = labels.iter().position(|&label| label < 0) {
        return Err(Error::Data(format!("{}: label {at} is {}", y.display(), labels[at])));
    }
    let n = labels.len();
    let fits = |axis: usize| array.shape.len() > 1 && array.shape.get(axis) == Some(&n) && n > 0;
    let (data, shape) = if fits(0) {
        (array.data, array.shape[1..].to_vec())
    } else if fits(1) {
        let (steps, part) = (array.shape[0], array.shape[2..].iter().product::<usize>());
        let mut shape = array.shape.clone();
        shape.remove(1);
        (samples_first(&array.data, steps, n, part), shape)
    } else {
        let found = format!("{} of shape {:?} do not fit {n} labels", x.display(), array.shape);
        return Err(Error::Data(format!("samples {found}\n  help: save samples as [N, …] or [T, N, …]")));
    };
    Ok((Part { source: Source::Floats(Arc::new(data)), labels }, shape))
}

/// `[T, N, part]` to `[N, T, part]`.
pub fn samples_first(data: &[f32], steps: usize, n: usize, part: usize) -> Vec<f32> {
    let rows = (0..n).flat_map(|sample| (0..steps).map(move |t| (t * n + sample) * part));
    rows.flat_map(|from| data[from..from + part].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    fn labels(values: &[u8]) -> Vec<u8> {
        let mut header =
            format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({},), }}", values.len());
        header.push_str(&" ".repeat(117 - header.len()));
        header.push('\n');
        [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes(), values].concat()
    }

    #[test]
    fn time_first_arrays_become_samples() -> Result<(), Error> {
        let folder = Folder::new("arrays")?;
        let values: Vec<f32> = (0..12).map(|v| v as f32).collect();
        for part in ["train", "test"] {
            npy::write(&folder.file(&format!("{part}_x.npy")), &[2, 3, 2], &values)?;
            folder.write(&format!("{part}_y.npy"), &labels(&[0, 4, 1]))?;
        }
        let data = crate::data::open(&folder.path().display().to_string())?;
        assert_eq!((data.shape.clone(), data.classes, data.train.len()), (vec![2, 2], 5, 3));
        let mut sample = [0.0; 4];
        data.train.write_sample(1, &mut sample)?;
        assert_eq!(sample, [2.0, 3.0, 8.0, 9.0]);
        folder.write("test_y.npy", &labels(&[0, 4]))?;
        let error = open(folder.path()).map_or_else(|e| e.to_string(), |_| String::new());
        assert!(!error.is_empty());
        Ok(())
    }
}
