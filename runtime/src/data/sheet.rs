//! Sheets of samples as pictures: those of a data set by class, and the first batch of a run as the network sees it.

use super::{Dataset, Split};
use crate::Error;
use crate::augment::Grid;
use std::io::Cursor;

/// A picture.
#[derive(Clone, PartialEq, Debug)]
pub struct Picture {
    /// Rows and columns.
    pub size: (u32, u32),
    /// Its file.
    pub png: Vec<u8>,
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
    let Some(grid) = tile(&data.shape) else {
        let text = format!("data set {} has samples of shape {:?}", data.name, data.shape);
        return Err(Error::User(format!(
            "{text}\n  help: leave `--sheet` out: there is no picture of these"
        )));
    };
    let mut tiles: Vec<Vec<Tile>> = Vec::new();
    for class in 0..data.classes.min(ROWS) as i32 {
        let of_class = data.train.labels().iter().enumerate().filter(|(_, label)| **label == class);
        let indices: Vec<usize> = of_class.map(|(index, _)| index).take(COLUMNS).collect();
        tiles.push(row(data, &indices, frames, varied)?);
    }
    Ok(encode(&tiles, grid, |row| bounds(row, grid))?.png)
}

/// What a tile of samples of this shape shows: an image, or a frame of events.
fn tile(shape: &[usize]) -> Option<Grid> {
    match *shape {
        [planes @ (1 | 3), height, width] | [_, planes @ 2, height, width] => {
            Some(Grid { planes, height, width })
        }
        _ => None,
    }
}

/// A picture of the samples of a batch, `values` as the network gets them: images, up to a hundred, without the
/// normalisation again; of frames the first ten of each of the first ten samples, as in [`sheet`]. Nothing for samples
/// without rows and columns.
///
/// # Errors
/// [`Error::Internal`] where the picture cannot be made.
pub fn batch_sheet(split: &Split, shape: &[usize], values: &[f32]) -> Result<Option<Picture>, Error> {
    let Some(grid) = tile(shape) else { return Ok(None) };
    let samples = values.chunks_exact(shape.iter().product::<usize>().max(1));
    let frames = samples.map(|sample| sample.chunks_exact(grid.planes * grid.area()));
    let each = |tiles: Vec<&[f32]>| tiles.into_iter().map(|tile| Some(tile.to_vec())).collect::<Vec<_>>();
    let rows: Vec<_> = if shape.len() == 4 {
        frames.take(ROWS).map(|frames| each(frames.take(COLUMNS).collect())).collect()
    } else {
        let images: Vec<&[f32]> = frames.flatten().take(ROWS * COLUMNS).collect();
        images.chunks(COLUMNS).map(|row| each(row.to_vec())).collect()
    };
    // Stored values that have a largest one were from 0 to 1 before they were normalised.
    let known = split.unit().map(|channels| {
        let ends = |end: f64| {
            let of = |plane: usize| channels[plane % channels.len()];
            (0..grid.planes).map(|plane| ((end - of(plane).0) / of(plane).1) as f32).collect::<Vec<_>>()
        };
        (ends(0.0), ends(1.0))
    });
    encode(&rows, grid, |row| known.clone().unwrap_or_else(|| bounds(row, grid))).map(Some)
}

/// The tiles of a class.
fn row(data: &Dataset, indices: &[usize], frames: bool, varied: bool) -> Result<Vec<Tile>, Error> {
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

/// A tile's values; `None` stays empty.
type Tile = Option<Vec<f32>>;

/// Draws the tiles, each row's values from the first (black) to the second of its `levels` by channel.
fn encode(
    rows: &[Vec<Tile>],
    grid: Grid,
    levels: impl Fn(&[Tile]) -> (Vec<f32>, Vec<f32>),
) -> Result<Picture, Error> {
    let zoom = TILE.div_ceil(grid.width.max(grid.height).max(1)).max(1);
    let (height, width) = (grid.height * zoom + 2, grid.width * zoom + 2);
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut image = image::RgbImage::from_pixel(
        (columns * width) as u32,
        (rows.len() * height) as u32,
        image::Rgb([64; 3]),
    );
    for (y, row) in rows.iter().enumerate() {
        let (low, high) = levels(row);
        let level = |v: f32, channel: usize| {
            ((v - low[channel]) / (high[channel] - low[channel]).max(1e-9) * 255.0).round() as u8
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
    Ok(Picture { size: (image.height(), image.width()), png: bytes.into_inner() })
}

/// The least and largest value of each channel of a row.
fn bounds(row: &[Tile], grid: Grid) -> (Vec<f32>, Vec<f32>) {
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
    use crate::data::{Request, open_for};
    use snnc_plan::{Augment, Normalization};

    fn digits(augment: &[Augment]) -> Result<Dataset, Error> {
        open_for("digits", &Request { augment: augment.to_vec(), ..Request::default() })
    }

    fn read(png: &[u8]) -> Result<image::RgbImage, Error> {
        Ok(image::load_from_memory(png).map_err(|e| Error::Data(e.to_string()))?.into_rgb8())
    }

    #[test]
    fn a_sheet_is_a_picture_of_every_class() -> Result<(), Error> {
        let data = digits(&[Augment::Flip { p: 0.5 }])?;
        let pictures = [sheet(&data, false)?, sheet(&data, true)?];
        for bytes in &pictures {
            let image = read(bytes)?;
            assert_eq!(image.dimensions(), (10 * 66, 10 * 66));
            assert!(image.pixels().any(|p| p.0 == [255; 3]) && image.pixels().any(|p| p.0 == [0; 3]));
        }
        assert_ne!(pictures[0], pictures[1]);
        Ok(())
    }

    #[test]
    fn a_batch_is_drawn_as_it_was_before_it_was_normalised() -> Result<(), Error> {
        let normal = Augment::Normalize(Normalization::Constants { mean: 0.25, std: 0.5 });
        let (data, plain) = (digits(&[normal])?, digits(&[])?);
        let (mut values, mut stored) = (vec![0.0; 12 * 64], vec![0.0; 64]);
        for (index, to) in values.chunks_exact_mut(64).enumerate() {
            data.train.write_varied(index, 0, 0, to)?;
        }
        let picture = batch_sheet(&data.train, &data.shape, &values)?.expect("digits have rows and columns");
        let image = read(&picture.png)?;
        // Two rows of up to ten tiles, a digit's pixel eight by eight.
        assert_eq!((picture.size, image.dimensions()), ((2 * 66, 10 * 66), (10 * 66, 2 * 66)));
        plain.train.write_sample(11, &mut stored)?;
        for (pixel, value) in stored.iter().enumerate() {
            let (x, y) = (66 + 1 + pixel % 8 * 8, 66 + 1 + pixel / 8 * 8);
            assert_eq!(image.get_pixel(x as u32, y as u32).0, [(value * 255.0).round() as u8; 3], "{pixel}");
        }
        assert_eq!(batch_sheet(&data.train, &[64], &values)?, None);
        // Frames of events: a row a sample, the levels those of its own counts.
        let frames: Vec<f32> = (0..2 * 3 * 2 * 64).map(|v| (v % 5) as f32).collect();
        let picture =
            batch_sheet(&data.train, &[3, 2, 8, 8], &frames)?.expect("frames have rows and columns");
        assert_eq!(picture.size, (2 * 66, 3 * 66));
        Ok(())
    }
}
