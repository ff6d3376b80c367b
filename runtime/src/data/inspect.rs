//! What a data set is like: counts, mean and deviation, and a sheet of samples as a picture.

use super::{Dataset, Split};
use crate::Error;
use crate::augment::{Grid, Pixels};
use serde::Serialize;
use std::io::Cursor;

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

/// Rows and columns of a sheet.
const ROWS: usize = 10;
const COLUMNS: usize = 10;

/// A tile's side is at least this many pixels: small images are enlarged.
const TILE: usize = 64;

/// A picture (PNG) of samples: a row for each of the first ten classes. Images: ten of them; with `varied`, the first
/// one as it is and as the first nine epochs train on it. Frames: the first ten of one sample, brighter in red and
/// darker in blue.
///
/// # Errors
/// Those of reading a sample; [`Error::User`] for samples without rows and columns.
pub fn sheet(data: &Dataset, varied: bool) -> Result<Vec<u8>, Error> {
    let frames = data.shape.len() == 4;
    let grid = match data.shape[..] {
        [channels @ (1 | 3), height, width] => Grid { planes: channels, height, width },
        [_, 2, height, width] => Grid { planes: 2, height, width },
        _ => {
            let text = format!("data set {} has samples of shape {:?}", data.name, data.shape);
            return Err(Error::User(format!(
                "{text}\n  help: leave `--sheet` out: there is no picture of these"
            )));
        }
    };
    let mut tiles: Vec<Vec<Option<Vec<f32>>>> = Vec::new();
    for class in 0..data.classes.min(ROWS) as i32 {
        let of_class = data.train.labels().iter().enumerate().filter(|(_, label)| **label == class);
        let indices: Vec<usize> = of_class.map(|(index, _)| index).take(COLUMNS).collect();
        tiles.push(row(data, &indices, frames, varied)?);
    }
    encode(&tiles, grid)
}

/// The tiles of a class.
fn row(
    data: &Dataset,
    indices: &[usize],
    frames: bool,
    varied: bool,
) -> Result<Vec<Option<Vec<f32>>>, Error> {
    let len = data.shape.iter().product();
    let sample = |index: usize, epoch: Option<usize>| {
        let mut values = vec![0.0; len];
        match epoch {
            Some(epoch) => data.train.write_varied(index, 0, epoch, &mut values)?,
            None => data.train.write_sample(index, &mut values)?,
        }
        Ok::<_, Error>(values)
    };
    let Some(&first) = indices.first() else { return Ok(vec![None; COLUMNS]) };
    if frames {
        let values = sample(first, varied.then_some(0))?;
        let tiles = values.chunks_exact(len / data.shape[0]).map(|frame| Some(frame.to_vec()));
        return Ok(tiles.take(COLUMNS).collect());
    }
    if varied {
        let epochs = std::iter::once(None).chain((0..COLUMNS - 1).map(Some));
        return epochs.map(|epoch| sample(first, epoch).map(Some)).collect();
    }
    indices.iter().map(|&index| sample(index, None).map(Some)).collect()
}

/// Draws the tiles: each row's values from their least (black) to their largest.
fn encode(rows: &[Vec<Option<Vec<f32>>>], grid: Grid) -> Result<Vec<u8>, Error> {
    let zoom = TILE.div_ceil(grid.width.max(grid.height).max(1)).max(1);
    let (height, width) = (grid.height * zoom + 2, grid.width * zoom + 2);
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut image = image::RgbImage::from_pixel(
        (columns * width) as u32,
        (rows.len() * height) as u32,
        image::Rgb([64; 3]),
    );
    for (y, row) in rows.iter().enumerate() {
        let (low, high) = bounds(row, grid);
        let level = |v: f32, channel: usize| {
            ((v - low[channel]) / (high[channel] - low[channel]).max(1e-9) * 255.0) as u8
        };
        for (x, tile) in row.iter().enumerate().filter_map(|(x, tile)| Some((x, tile.as_ref()?))) {
            let at = |channel: usize, pixel: usize| level(tile[channel * grid.area() + pixel], channel);
            for (place_y, place_x) in
                (0..grid.height * zoom).flat_map(|y| (0..grid.width * zoom).map(move |x| (y, x)))
            {
                let pixel = place_y / zoom * grid.width + place_x / zoom;
                let colour = match grid.planes {
                    1 => [at(0, pixel); 3],
                    // Events: 0 is darker, 1 is brighter.
                    2 => [at(1, pixel), 0, at(0, pixel)],
                    _ => [at(0, pixel), at(1, pixel), at(2, pixel)],
                };
                image.put_pixel(
                    (x * width + 1 + place_x) as u32,
                    (y * height + 1 + place_y) as u32,
                    image::Rgb(colour),
                );
            }
        }
    }
    let mut bytes = Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|e| Error::Internal(format!("the sheet: {e}")))?;
    Ok(bytes.into_inner())
}

/// The least and largest value of each channel of a row.
fn bounds(row: &[Option<Vec<f32>>], grid: Grid) -> (Vec<f32>, Vec<f32>) {
    let (mut low, mut high) = (vec![f32::INFINITY; grid.planes], vec![f32::NEG_INFINITY; grid.planes]);
    for tile in row.iter().flatten() {
        for (channel, plane) in tile.chunks_exact(grid.area().max(1)).enumerate() {
            low[channel] = plane.iter().copied().fold(low[channel], f32::min);
            high[channel] = plane.iter().copied().fold(high[channel], f32::max);
        }
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Request, open, open_for};
    use snnc_plan::Augment;

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

    #[test]
    fn a_sheet_is_a_picture_of_every_class() -> Result<(), Error> {
        let augment = vec![Augment::Flip { p: 0.5 }];
        let data = open_for("digits", &Request { augment, ..Request::default() })?;
        let pictures = [sheet(&data, false)?, sheet(&data, true)?];
        for bytes in &pictures {
            let image = image::load_from_memory(bytes).map_err(|e| Error::Data(e.to_string()))?.into_rgb8();
            assert_eq!(image.dimensions(), (10 * 66, 10 * 66));
            assert!(image.pixels().any(|p| p.0 == [255; 3]) && image.pixels().any(|p| p.0 == [0; 3]));
        }
        assert_ne!(pictures[0], pictures[1]);
        Ok(())
    }
}
