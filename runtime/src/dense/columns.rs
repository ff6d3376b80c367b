//! A convolution's input as a matrix: one row per output position, columns (Kh, Kw, Ci).
//!
//! ```text
//! row (n, yo, xo) = x[n, yo·s − p + ky, xo·s − p + kx, ci]  for ky, kx, ci;  0 outside the image
//! ```

use snnc_plan::ConvGeometry;

/// Floats of columns that a task holds: 512 KiB, in reach of a core's second cache.
const COLUMNS: usize = 1 << 17;

/// Which input values an output position sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Channels, rows and columns of the image that is read.
    pub input: (usize, usize, usize),
    /// Rows and columns of positions.
    pub output: (usize, usize),
    /// Rows and columns of the kernel.
    pub kernel: (usize, usize),
    /// Step between positions.
    pub stride: usize,
    /// Zeros above and to the left.
    pub pad: (usize, usize),
}

impl Window {
    /// The window of the convolution itself.
    pub fn forward(g: &ConvGeometry) -> Window {
        let output = (g.output.1, g.output.2);
        Window { input: g.input, output, kernel: g.kernel, stride: g.stride, pad: (g.pad, g.pad) }
    }

    /// The window in which an input position sees the output gradients, of a convolution of stride 1: its input
    /// gradient is a convolution with the kernel turned round. `None` where that form does not exist.
    pub fn backward(g: &ConvGeometry) -> Option<Window> {
        if g.stride != 1 {
            return None;
        }
        let pad = ((g.kernel.0 - 1).checked_sub(g.pad)?, (g.kernel.1 - 1).checked_sub(g.pad)?);
        Some(Window { input: g.output, output: (g.input.1, g.input.2), kernel: g.kernel, stride: 1, pad })
    }

    /// Columns.
    pub fn depth(&self) -> usize {
        self.kernel.0 * self.kernel.1 * self.input.0
    }

    /// Positions of one image.
    pub fn positions(&self) -> usize {
        self.output.0 * self.output.1
    }

    /// Values of one image.
    pub fn image(&self) -> usize {
        self.input.0 * self.input.1 * self.input.2
    }

    /// Whether the image is its own matrix.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == (1, 1) && self.stride == 1 && self.pad == (0, 0)
    }

    /// Rows of a task at most.
    fn most_rows(&self) -> usize {
        (COLUMNS / self.depth().max(1)).clamp(128, 1024)
    }

    /// Floats of a task's columns at most.
    pub fn chunk_floats(&self) -> usize {
        if self.is_pointwise() { 0 } else { self.most_rows() * self.depth() }
    }

    /// Rows of a task when there are `total`: a function of sizes, so that any number of threads sums alike.
    pub fn rows_per_task(&self, total: usize) -> usize {
        self.most_rows().min(total.div_ceil(16).max(64))
    }

    /// Writes rows `first..first + rows` of the matrix of `images`.
    pub fn gather(&self, images: &[f32], first: usize, rows: usize, columns: &mut [f32]) {
        let row_len = self.kernel.1 * self.input.0;
        for (row, out) in (first..first + rows).zip(columns.chunks_exact_mut(self.depth())) {
            let (image, at) = (row / self.positions(), row % self.positions());
            let image = &images[image * self.image()..][..self.image()];
            for (ky, out) in out.chunks_exact_mut(row_len).enumerate() {
                match self.run(at, ky) {
                    Some(run) => {
                        out[..run.skip].fill(0.0);
                        out[run.skip..run.skip + run.len]
                            .copy_from_slice(&image[run.from..run.from + run.len]);
                        out[run.skip + run.len..].fill(0.0);
                    }
                    None => out.fill(0.0),
                }
            }
        }
    }

    /// Adds rows of a matrix, for positions `first..` of one image, to the values that they were gathered from.
    pub fn scatter_add(&self, columns: &[f32], first: usize, image: &mut [f32]) {
        let row_len = self.kernel.1 * self.input.0;
        for (row, values) in columns.chunks_exact(self.depth()).enumerate() {
            for (ky, values) in values.chunks_exact(row_len).enumerate() {
                let Some(run) = self.run(first + row, ky) else { continue };
                let to = &mut image[run.from..run.from + run.len];
                to.iter_mut().zip(&values[run.skip..]).for_each(|(to, value)| *to += value);
            }
        }
    }

    /// The stretch of the image that kernel row `ky` covers at a position; `None` above and below the image.
    fn run(&self, position: usize, ky: usize) -> Option<Run> {
        let (channels, height, width) = self.input;
        let (yo, xo) = (position / self.output.1, position % self.output.1);
        let y = (yo * self.stride + ky).checked_sub(self.pad.0).filter(|&y| y < height)?;
        let start = xo * self.stride;
        let left = self.pad.1.saturating_sub(start).min(self.kernel.1);
        let right = (width + self.pad.1).saturating_sub(start).min(self.kernel.1);
        let x = start + left - self.pad.1.min(start + left);
        let len = right.saturating_sub(left) * channels;
        (len > 0).then_some(Run { from: (y * width + x) * channels, skip: left * channels, len })
    }
}

/// A stretch of an image, and the zeros before it.
struct Run {
    from: usize,
    skip: usize,
    len: usize,
}
