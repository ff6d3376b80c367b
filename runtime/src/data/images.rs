//! Folders of image files: `train/<class>/*.jpg`, `val/<class>/*.jpg` (or `test`). A file is read when its sample is
//! asked for; its first bytes tell what it is, not its name.
//!
//! Training takes a random part of the image (8 to 100 % of its area, 3:4 to 4:3) and resizes it; evaluation resizes
//! the whole so that it covers 256/224 of the network's size and takes the centre. Both are torchvision's.

use super::folders::{Classes, Order, is_image};
use super::samples::{Opened, Part, Source};
use super::{About, Request, name_of};
use crate::Error;
use crate::augment::color::luma;
use crate::augment::{Content, Norm, least_crop};
use crate::rng::{Draw, Rng};
use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{ImageReader, RgbImage};
use snnc_plan::Normalization;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The place of the crop among the operations whose numbers are drawn: behind any list.
const CROP: usize = 255;

/// Proportions of a training crop, width to height.
const RATIO: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);

/// Sides of evaluation: the image is resized to 256 where the network takes 224.
const COVER: f64 = 256.0 / 224.0;

/// Image files of one split.
#[derive(Debug)]
pub struct Images {
    paths: Vec<PathBuf>,
    channels: usize,
    height: u32,
    width: u32,
    /// The least part of the area that a training crop takes.
    least: f64,
}

/// The data set.
pub fn open(folder: &Path, request: &Request) -> Result<Opened, Error> {
    let shape = request.shape.clone().unwrap_or_else(|| vec![3, 224, 224]);
    let [channels @ (1 | 3), height, width] = shape[..] else {
        let help = "write `input image: f32[3, 224, 224]`, or one channel for grey images";
        let text = format!("{} holds image files, the network's input is {shape:?}", folder.display());
        return Err(Error::User(format!("{text}\n  help: {help}")));
    };
    let val = ["val", "test", "valid"].into_iter().find(|part| folder.join(part).is_dir());
    let Some(val) = val else {
        let text = format!("{} has `train` but no `val`", folder.display());
        return Err(Error::Data(format!("{text}\n  help: put images to evaluate into val/<class>/")));
    };
    let list = |part: &str| Classes::list(&folder.join(part), Order::Text, is_image);
    let (train, test) = (list("train")?, list(val)?);
    train.same(&test, folder, ["train", val])?;
    let about = About {
        format: "image files",
        classes: train.names.clone(),
        notes: vec![format!("images are resized to {width}×{height}; `{val}` is evaluated")],
    };
    let least = least_crop(&request.augment).unwrap_or(0.08);
    let part = |classes: Classes| {
        let (paths, labels) = classes.in_turn();
        let images = Images { paths, channels, height: height as u32, width: width as u32, least };
        Part { source: Source::Images(Arc::new(images)), labels }
    };
    let norm = match channels {
        3 => Normalization::ImageNet,
        _ => Normalization::Constants { mean: 0.449, std: 0.226 },
    };
    Ok(Opened {
        name: name_of(folder),
        shape,
        classes: about.classes.len(),
        content: Content::Colours,
        norm: Norm::bytes(norm),
        train: part(train),
        test: part(test),
        about,
    })
}

impl Images {
    /// An image, planes of the network's size.
    pub fn load(&self, index: usize, draw: Option<Draw>) -> Result<Vec<u8>, Error> {
        let path = &self.paths[index];
        let image = decode(path)?;
        let (width, height) = image.dimensions();
        let rgb = match draw {
            Some(draw) => {
                let part = random_part(width, height, self.least, &mut draw.rng(CROP));
                resize(path, image, Some(part), (self.width, self.height))?
            }
            None => {
                let size = cover(width, height, self.width, self.height);
                let whole = resize(path, image, None, size)?;
                centre(&whole, size.0, size.1, self.width, self.height)
            }
        };
        Ok(planes(&rgb, self.channels))
    }
}

/// Reads an image as RGB; transparency is dropped.
fn decode(path: &Path) -> Result<RgbImage, Error> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    let bad = |e: &dyn std::fmt::Display| {
        let help = "remove the file, or save it as JPEG or PNG";
        Error::Data(format!("{} is not an image that can be read: {e}\n  help: {help}", path.display()))
    };
    let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format().map_err(|e| bad(&e))?;
    let image = reader.decode().map_err(|e| bad(&e))?.into_rgb8();
    if image.width() == 0 || image.height() == 0 {
        return Err(bad(&"it has no pixel"));
    }
    Ok(image)
}

/// Left, top, width and height of a random part, as torchvision draws it.
fn random_part(width: u32, height: u32, least: f64, rng: &mut Rng) -> [u32; 4] {
    let area = f64::from(width) * f64::from(height);
    let (low, high) = (RATIO.0.ln(), RATIO.1.ln());
    for _ in 0..10 {
        let part = area * (least + (1.0 - least) * f64::from(rng.uniform()));
        let ratio = (low + (high - low) * f64::from(rng.uniform())).exp();
        let (w, h) = ((part * ratio).sqrt().round() as u32, (part / ratio).sqrt().round() as u32);
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let top = rng.below((height - h + 1) as usize) as u32;
            return [rng.below((width - w + 1) as usize) as u32, top, w, h];
        }
    }
    let ratio = f64::from(width) / f64::from(height);
    let (w, h) = if ratio < RATIO.0 {
        (width, ((f64::from(width) / RATIO.0).round() as u32).clamp(1, height))
    } else if ratio > RATIO.1 {
        (((f64::from(height) * RATIO.1).round() as u32).clamp(1, width), height)
    } else {
        (width, height)
    };
    [(width - w) / 2, (height - h) / 2, w, h]
}

/// The size to which an image is resized so that a centre of `to_width` × `to_height` leaves the usual border.
fn cover(width: u32, height: u32, to_width: u32, to_height: u32) -> (u32, u32) {
    let (w, h) = ((f64::from(to_width) * COVER).round(), (f64::from(to_height) * COVER).round());
    let (x, y) = (w / f64::from(width), h / f64::from(height));
    // The shorter side is met, the other one follows, cut to a whole number.
    if x >= y {
        (w as u32, (f64::from(height) * x) as u32)
    } else {
        ((f64::from(width) * y) as u32, h as u32)
    }
}

/// Resizes (a part of) an image with a triangle filter over all source pixels, as Pillow does.
fn resize(path: &Path, image: RgbImage, part: Option<[u32; 4]>, to: (u32, u32)) -> Result<Vec<u8>, Error> {
    let fail = |e: &dyn std::fmt::Display| Error::Data(format!("{} does not resize: {e}", path.display()));
    let (width, height) = image.dimensions();
    let source =
        Image::from_vec_u8(width, height, image.into_raw(), PixelType::U8x3).map_err(|e| fail(&e))?;
    let mut target = Image::new(to.0.max(1), to.1.max(1), PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    let options = match part {
        Some([left, top, w, h]) => {
            let [left, top, w, h] = [left, top, w, h].map(f64::from);
            options.crop(left, top, w, h)
        }
        None => options,
    };
    Resizer::new().resize(&source, &mut target, &options).map_err(|e| fail(&e))?;
    Ok(target.into_vec())
}

/// The centre of an RGB image.
fn centre(rgb: &[u8], width: u32, height: u32, to_width: u32, to_height: u32) -> Vec<u8> {
    let half = |all: u32, part: u32| ((f64::from(all) - f64::from(part)) / 2.0).round_ties_even() as usize;
    let (left, top) = (half(width, to_width), half(height, to_height));
    let row = |y: usize| {
        let from = 3 * ((top + y) * width as usize + left);
        &rgb[from..from + 3 * to_width as usize]
    };
    (0..to_height as usize).flat_map(row).copied().collect()
}

/// Interleaved RGB as planes, or as one grey plane.
fn planes(rgb: &[u8], channels: usize) -> Vec<u8> {
    let (pixels, _) = rgb.as_chunks::<3>();
    match channels {
        1 => pixels.iter().map(|&pixel| luma(pixel)).collect(),
        _ => (0..3).flat_map(|channel| pixels.iter().map(move |pixel| pixel[channel])).collect(),
    }
}

#[cfg(test)]
mod tests;
