//! What a data set is like: counts, mean and deviation.

use super::{Dataset, Split};
use crate::Error;
use crate::augment::{Grid, Pixels};
use serde::Serialize;

/// The most samples that are read from files for mean and deviation.
const MEASURED: usize = 10_000;

/// What a data set is like.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// Its format.
    pub format: String,
    /// Extents of a sample.
    pub shape: Vec<usize>,
    /// Names of the classes, numbers where they have none.
    pub classes: Vec<String>,
    /// What else to know.
    pub notes: Vec<String>,
    /// What is trained on.
    pub train: SplitReport,
    /// What is evaluated.
    pub test: SplitReport,
    /// Mean of each channel over training samples, before normalisation; bytes are 0 to 1.
    pub mean: Vec<f64>,
    /// Deviation of each channel.
    pub std: Vec<f64>,
    /// Training samples that mean and deviation are of, evenly spread.
    pub measured: usize,
}

/// A part of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SplitReport {
    /// Samples.
    pub samples: usize,
    /// Samples of each class.
    pub per_class: Vec<usize>,
}

/// Counts and measures.
///
/// # Errors
/// Those of reading a sample.
pub fn inspect(data: &Dataset) -> Result<Report, Error> {
    let named = data.about.classes.len() == data.classes;
    let classes = match named {
        true => data.about.classes.clone(),
        false => (0..data.classes).map(|class| class.to_string()).collect(),
    };
    let (mean, std, measured) = measure(data)?;
    Ok(Report {
        name: data.name.clone(),
        format: data.about.format.to_string(),
        shape: data.shape.clone(),
        classes,
        notes: data.about.notes.clone(),
        train: count(&data.train, data.classes),
        test: count(&data.test, data.classes),
        mean,
        std,
        measured,
    })
}

fn count(split: &Split, classes: usize) -> SplitReport {
    let mut per_class = vec![0; classes];
    split.labels().iter().filter_map(|&label| usize::try_from(label).ok()).for_each(|label| {
        if let Some(count) = per_class.get_mut(label) {
            *count += 1;
        }
    });
    SplitReport { samples: split.len(), per_class }
}

/// Mean and deviation of each channel, over evenly spread samples.
fn measure(data: &Dataset) -> Result<(Vec<f64>, Vec<f64>, usize), Error> {
    let (split, grid) = (&data.train, Grid::of(&data.shape));
    let channels = if data.shape.len() > 2 { data.shape[data.shape.len() - 3] } else { 1 };
    let measured = if split.in_memory() { split.len() } else { split.len().min(MEASURED) };
    let mut sums = vec![(0.0, 0.0); channels];
    for at in 0..measured {
        let stored = split.stored(at * split.len() / measured)?;
        for plane in 0..grid.planes {
            let range = plane * grid.area()..(plane + 1) * grid.area();
            let (sum, squares) = match &stored {
                Pixels::Bytes(bytes) => moments(bytes[range].iter().map(|&v| f64::from(v) / 255.0)),
                Pixels::Floats(values) => moments(values[range].iter().map(|&v| f64::from(v))),
            };
            let total: &mut (f64, f64) = &mut sums[plane % channels];
            *total = (total.0 + sum, total.1 + squares);
        }
    }
    let count = (measured * grid.planes / channels * grid.area()).max(1) as f64;
    let mean: Vec<f64> = sums.iter().map(|(sum, _)| sum / count).collect();
    let std =
        sums.iter().zip(&mean).map(|((_, squares), mean)| (squares / count - mean * mean).max(0.0).sqrt());
    let std = std.collect();
    Ok((mean, std, measured))
}

fn moments(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((0.0, 0.0), |(sum, squares), v| (sum + v, squares + v * v))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::open;

    #[test]
    fn digits_are_counted_and_measured() -> Result<(), Error> {
        let report = inspect(&open("digits")?)?;
        assert_eq!((report.train.samples, report.test.samples, report.measured), (1442, 355, 1442));
        assert_eq!(report.train.per_class.iter().sum::<usize>(), 1442);
        assert_eq!(report.classes[9], "9");
        // The mean pixel of the digits is 4.88 of 16; bytes are told as parts of 255.
        assert!((report.mean[0] * 255.0 - 4.88).abs() < 0.1, "{:?}", report.mean);
        Ok(())
    }
}
