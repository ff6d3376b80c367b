//! Changes of colour, on bytes, as Pillow and torchvision make them: enhancers blend an image with a degenerate
//! one (black, grey, its mean, a smoothed one), the others are tables of 256 values.

use super::geometry::Grid;

/// A blend of `from` (factor 0) and the image (factor 1), cut to bytes.
fn blend(from: u8, image: u8, factor: f32) -> u8 {
    let (from, image) = (f32::from(from), f32::from(image));
    // Pillow cuts the fraction off.
    (from + factor * (image - from)).clamp(0.0, 255.0) as u8
}

/// The grey value of a pixel (ITU-R 601), in Pillow's whole numbers.
pub fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

/// The grey image of one or three planes.
fn grey(pixels: &[u8], grid: Grid) -> Vec<u8> {
    let area = grid.area();
    match grid.planes {
        3 => (0..area).map(|at| luma([pixels[at], pixels[area + at], pixels[2 * area + at]])).collect(),
        _ => pixels[..area].to_vec(),
    }
}

/// Towards black (below 1) or away from it.
pub fn brightness(pixels: &mut [u8], factor: f32) {
    pixels.iter_mut().for_each(|v| *v = blend(0, *v, factor));
}

/// Towards the mean of the grey image or away from it.
pub fn contrast(pixels: &mut [u8], grid: Grid, factor: f32) {
    let grey = grey(pixels, grid);
    let sum: u64 = grey.iter().map(|&v| u64::from(v)).sum();
    let mean = (sum as f64 / grey.len().max(1) as f64 + 0.5) as u8;
    pixels.iter_mut().for_each(|v| *v = blend(mean, *v, factor));
}

/// Towards the grey image or away from it.
pub fn saturation(pixels: &mut [u8], grid: Grid, factor: f32) {
    let grey = grey(pixels, grid);
    for plane in pixels.chunks_exact_mut(grid.area().max(1)) {
        plane.iter_mut().zip(&grey).for_each(|(v, &grey)| *v = blend(grey, *v, factor));
    }
}

/// Towards a smoothed image (neighbours 1, centre 5, over 13; the border stays) or away from it.
pub fn sharpness(pixels: &mut [u8], grid: Grid, factor: f32) {
    let (height, width) = (grid.height, grid.width);
    for plane in pixels.chunks_exact_mut(grid.area().max(1)) {
        let old = plane.to_vec();
        for y in 1..height.saturating_sub(1) {
            for x in 1..width.saturating_sub(1) {
                let window = (y - 1..=y + 1).flat_map(|y| &old[y * width + x - 1..=y * width + x + 1]);
                let sum = window.map(|&v| u32::from(v)).sum::<u32>() + 4 * u32::from(old[y * width + x]);
                let smooth = (f64::from(sum) / 13.0 + 0.5) as u8;
                plane[y * width + x] = blend(smooth, old[y * width + x], factor);
            }
        }
    }
}

/// Keeps the highest `bits` bits.
pub fn posterize(pixels: &mut [u8], bits: u32) {
    let mask = !(0xffu32 >> bits.min(8)) as u8;
    pixels.iter_mut().for_each(|v| *v &= mask);
}

/// Inverts what is at least `threshold`.
pub fn solarize(pixels: &mut [u8], threshold: f64) {
    pixels.iter_mut().filter(|v| f64::from(**v) >= threshold).for_each(|v| *v = 255 - *v);
}

/// Inverts.
pub fn invert(pixels: &mut [u8]) {
    pixels.iter_mut().for_each(|v| *v = 255 - *v);
}

/// Stretches each plane to 0 to 255.
pub fn autocontrast(pixels: &mut [u8], grid: Grid) {
    for plane in pixels.chunks_exact_mut(grid.area().max(1)) {
        let (low, high) = plane.iter().fold((255u8, 0u8), |(low, high), &v| (low.min(v), high.max(v)));
        if high > low {
            let scale = 255.0 / f64::from(high - low);
            let offset = -f64::from(low) * scale;
            plane.iter_mut().for_each(|v| *v = (f64::from(*v) * scale + offset).clamp(0.0, 255.0) as u8);
        }
    }
}

/// Makes each plane's histogram even.
pub fn equalize(pixels: &mut [u8], grid: Grid) {
    for plane in pixels.chunks_exact_mut(grid.area().max(1)) {
        let mut histogram = [0usize; 256];
        plane.iter().for_each(|&v| histogram[usize::from(v)] += 1);
        let last = histogram.iter().rev().find(|&&n| n > 0).copied().unwrap_or(0);
        let step = (plane.len() - last) / 255;
        if step == 0 {
            continue;
        }
        let mut table = [0u8; 256];
        let mut sum = step / 2;
        for (to, n) in table.iter_mut().zip(histogram) {
            *to = (sum / step).min(255) as u8;
            sum += n;
        }
        plane.iter_mut().for_each(|v| *v = table[usize::from(*v)]);
    }
}

#[cfg(test)]
mod tests;
