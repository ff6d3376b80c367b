//! The gradient of a convolution's input where a window is open: dot products of weight rows and rows of `dy`.
//!
//! ```text
//! for tile of output channels, kh, kw:                              ; 64 x 128 weights stay in L1
//!   for t, image, y of the input, run of x that the tap reaches:    ; and serve every position and timestep
//!     dot_rows sums[j] += w[kh kw ci] . dy[x] : f32[128] for ci of the window's word of x
//! for each open window: dx = the sum of its 16 partial sums; 0 elsewhere
//! ```
//!
//! The sums of a run's open windows lie one after the other, so that they take the memory of what is open. A run is the
//! columns of a row that are alike modulo the stride: each tap reaches all of them or, beyond the borders, none.
//! A task takes a block of positions and a word of input channels.
//!
//! Where the output has few channels, the taps of a kernel's row are one: the rows of `dy` of neighbouring positions
//! follow each other, and the weights are copied together so that they do too.
//!
//! ```text
//! rows[kh ci] = w[kh kw=2 ci], w[kh kw=1 ci], w[kh kw=0 ci]
//! dot_rows sums[j] += rows[kh ci] . dy[x - 1 ..] : f32[3*32] for ci of the window's word of x
//! ```

use super::view::{Shape, TILE, View, WIDE};
use super::{Draw, LowerError, Lowering};
use crate::body::{Compare, Fold, Index, MAX_LANES, PARTS, Row, Run, Slot, SlotElem, Walk, Width, Word};
use crate::build::{Builder, load, load_word, popcount};
use snnc_ir::{AxisName, Conv, Inst};
use snnc_plan::Tasks;

/// Input positions of a block, all timesteps counted: where a fifth of the windows is open their sums are 200 KiB.
const BLOCK_POSITIONS: usize = 256;
/// Images that share a task where one image is small.
const BLOCK_IMAGES: usize = 16;
/// Channels of a word.
const WORD: usize = 64;

/// Lowers `conv2d.sampled_grad_input`.
pub fn sampled(lowering: &mut Lowering<'_>, inst: Inst, attrs: Conv) -> Result<(), LowerError> {
    let data = lowering.graph.inst(inst);
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let dy = draw.read_view(lowering, data.args[0])?;
    let weight = lowering.graph.ty(data.args[1]);
    let kernel = (weight.extent(AxisName::Kh), weight.extent(AxisName::Kw));
    let w = draw.read(lowering.buffer(data.args[1])?, SlotElem::F32);
    let window = draw.read_view(lowering, data.args[2])?;
    let dx = draw.write_view(lowering, data.results[0])?;
    let shape = dx.shape;
    let per_row = shape.steps() * shape.width;
    let rows = (BLOCK_POSITIONS / per_row).clamp(1, shape.height);
    let whole = rows == shape.height;
    let images = if whole { (BLOCK_POSITIONS / (per_row * rows)).clamp(1, BLOCK_IMAGES) } else { 1 };
    let (blocks, words) = (shape.height.div_ceil(rows), shape.words());
    let k = &mut draw.k;
    let columns = shape.width.div_ceil(attrs.stride) * attrs.stride;
    let sums = k.scratch("sums", shape.steps() * images * rows * columns * WORD * PARTS);
    let outputs = dy.shape.channels;
    let joined = (attrs.stride == 1 && kernel.1 > 1 && kernel.1 * outputs <= MAX_LANES)
        .then(|| k.scratch("rows", kernel.0 * shape.channels.min(WORD) * kernel.1 * outputs));
    let first = k.index("group", Index::Task.quotient(blocks * words) * images);
    let rest = k.index("rest", Index::Task.remainder(blocks * words));
    let word = k.index("word", rest.quotient(blocks));
    let y0 = k.index("y0", rest.remainder(blocks) * rows);
    let y1 = k.index("y1", (&y0 + rows).min(shape.height));
    let count = if shape.batched { (Index::Batch - &first).min(images) } else { 1.into() };
    let count = k.index("images", count);
    let block = Block { images, rows, first, count, y0, y1 };
    let gradient = Sampled { dy, w, joined, window, dx, sums, attrs, kernel, word, block };
    gradient.draw(k);
    let tasks = blocks * words;
    let tasks = if shape.batched { Tasks::per_samples(images, tasks) } else { Tasks::fixed(tasks) };
    lowering.push_kernel(&name, draw, tasks);
    Ok(())
}

/// Some rows of an image, or some images, of the input; all timesteps.
struct Block {
    /// The most images and rows.
    images: usize,
    rows: usize,
    first: Index,
    count: Index,
    y0: Index,
    y1: Index,
}

/// A task.
struct Sampled {
    dy: View,
    w: Slot,
    /// The weights of the word, the taps of a row behind each other.
    joined: Option<Slot>,
    window: View,
    dx: View,
    /// Partial sums of the open windows of each run.
    sums: Slot,
    attrs: Conv,
    kernel: (usize, usize),
    /// The word of input channels.
    word: Index,
    block: Block,
}

/// Columns of a row that are alike modulo the stride.
struct Columns {
    t: Index,
    b: Index,
    y: Index,
    /// The first column.
    x: Index,
    /// How many there are.
    count: Index,
    /// Where their sums begin.
    sums: Index,
}

impl Sampled {
    fn draw(&self, k: &mut Builder) {
        self.each_run(k, |k, run| self.clear(k, run));
        if let Some(rows) = self.joined {
            self.join(k, rows);
            k.for_range("kh", 0, self.kernel.0, |k, ky| {
                self.each_run(k, |k, run| self.row_of_taps(k, run, &ky, rows));
            });
            return self.each_run(k, |k, run| self.finish(k, run));
        }
        let (channels, tiles) = (self.dy.shape.channels, self.dy.shape.wide_tiles());
        k.for_range("tile", 0, channels / WIDE, |k, tile| self.tile(k, &tile, WIDE));
        if channels % WIDE > 0 {
            self.tile(k, &Index::from(tiles - 1), channels % WIDE);
        }
        self.each_run(k, |k, run| self.finish(k, run));
    }

    /// The body for the runs of all timesteps, images and rows of the block, each of all columns alike.
    fn each_run(&self, k: &mut Builder, body: impl Fn(&mut Builder, &Columns)) {
        k.for_range("x0", 0, self.attrs.stride, |k, x| self.each_row(k, &x, &body));
    }

    /// The same for the columns that begin at `x`.
    fn each_row(&self, k: &mut Builder, x: &Index, body: impl Fn(&mut Builder, &Columns)) {
        let (shape, block, stride) = (self.dx.shape, &self.block, self.attrs.stride);
        let each = shape.width.div_ceil(stride);
        let count = k.index("count", (Index::from(shape.width + stride - 1) - x).quotient(stride));
        k.for_range("t", 0, shape.steps(), |k, t| {
            k.for_range("image", 0, &block.count, |k, image| {
                k.for_range("y", &block.y0, &block.y1, |k, y| {
                    let row = (&t * block.images + &image) * block.rows + (&y - &block.y0);
                    let sums = k.index("sums", (row * stride + x) * (each * WORD * PARTS));
                    let (t, b, x) = (t.clone(), &block.first + &image, x.clone());
                    body(k, &Columns { t, b, y, x, count: count.clone(), sums });
                });
            });
        });
    }

    /// Where the word of the n-th column of a run is.
    fn word_at(&self, run: &Columns, n: &Index) -> Index {
        let shape = self.window.shape;
        let x = &run.x + n * self.attrs.stride;
        shape.position(&run.t, &run.b, &(&run.y * shape.width + x)) + &self.word * 2
    }

    fn word(&self, run: &Columns, n: &Index) -> Word {
        load_word(self.window.slot, self.word_at(run, n), Width::Full)
    }

    /// Zeros in the sums of the open windows.
    fn clear(&self, k: &mut Builder, run: &Columns) {
        let end = k.index("end", &run.sums);
        k.for_range("n", 0, &run.count, |k, n| {
            k.set_index(&end, &end + popcount(self.word(run, &n)) * PARTS);
        });
        // One loop for all of a row: a loop for each position would end where nobody foresees it.
        k.for_step("sum", &run.sums, &end, PARTS, |k, sum| {
            k.store(self.sums, sum, Row::constant(0.0, PARTS));
        });
    }

    /// All taps of a tile of `n` output channels.
    fn tile(&self, k: &mut Builder, tile: &Index, n: usize) {
        let ((kh, kw), channels) = (self.kernel, self.dx.shape.channels);
        let (stride, pad) = (self.attrs.stride, self.attrs.pad);
        let first = k.index("weights", tile * (WIDE * kh * kw * channels));
        k.for_range("kh", 0, kh, |k, ky| {
            k.for_range("kw", 0, kw, |k, kx| {
                let rows = k.index("rows", &first + ((&ky * kw + &kx) * channels + &self.word * WORD) * n);
                // The columns that this tap reaches are those that are kx - pad modulo the stride.
                let x = k.index("x0", (&kx + pad * (stride - 1)).remainder(stride));
                self.each_row(k, &x, |k, run| self.tap(k, run, (&ky, &kx), tile, (&rows, n)));
            });
        });
    }

    /// A tap reaches row `oy` of the output, where there is one, and from column n of a run column `n + shift`.
    fn tap(
        &self,
        k: &mut Builder,
        run: &Columns,
        (ky, kx): (&Index, &Index),
        tile: &Index,
        (rows, n): (&Index, usize),
    ) {
        let (stride, pad) = (self.attrs.stride, self.attrs.pad);
        let (kh, kw) = self.kernel;
        let output: Shape = self.dy.shape;
        // The kernel's size keeps what is divided from being negative.
        let above = k.index("above", &run.y + (pad + stride * kh) - ky);
        let oy = k.index("oy", above.quotient(stride) - kh);
        let shift = k.index("shift", (&run.x + (pad + stride * kw) - kx).quotient(stride) - kw);
        let begin = k.index("begin", (Index::from(0) - &shift).max(0));
        let end = k.index("end", run.count.min(Index::from(output.width) - &shift));
        let draw = |k: &mut Builder| {
            k.when(Compare::Ge, &oy, 0, |k| {
                k.when(Compare::Lt, &oy, output.height, |k| {
                    k.when(Compare::Lt, &begin, &end, |k| {
                        let skipped = k.index("skipped", &run.sums);
                        k.for_range("n", 0, &begin, |k, n| {
                            k.set_index(&skipped, &skipped + popcount(self.word(run, &n)) * PARTS);
                        });
                        let p = &oy * output.width + &begin + &shift;
                        let with = output.position(&run.t, &run.b, &p) + tile * WIDE;
                        let piece = |slot, at, step: usize| Run { slot, at, step: step as i64 };
                        let walk = Walk {
                            count: &end - &begin,
                            words: 1,
                            bits: piece(
                                self.window.slot,
                                self.word_at(run, &begin),
                                stride * self.window.shape.stride(),
                            ),
                            rows: piece(self.w, rows.clone(), n),
                            lanes: n,
                            sums: piece(self.sums, skipped, PARTS),
                        };
                        k.dot_rows(walk, piece(self.dy.slot, with, output.channels));
                    });
                });
            });
        };
        if stride == 1 {
            return draw(k);
        }
        k.when(Compare::Eq, above.remainder(stride), 0, draw);
    }

    /// Input channels of the word.
    fn channels(&self) -> Index {
        (Index::from(self.dx.shape.channels) - &self.word * WORD).min(WORD)
    }

    /// Copies the weights of the word, the last tap of each row first.
    fn join(&self, k: &mut Builder, rows: Slot) {
        let ((kh, kw), channels, n) = (self.kernel, self.dx.shape.channels, self.dy.shape.channels);
        let each = channels.min(WORD);
        let count = k.index("count", self.channels());
        k.for_range("kh", 0, kh, |k, ky| {
            k.for_range("ci", 0, &count, |k, ci| {
                for tap in 0..kw {
                    let from = ((&ky * kw + (kw - 1 - tap)) * channels + &self.word * WORD + &ci) * n;
                    let from = k.index("from", from);
                    let to = k.index("to", ((&ky * each + &ci) * kw + tap) * n);
                    for lane in (0..n).step_by(TILE) {
                        k.store(rows, &to + lane, load(self.w, &from + lane, TILE.min(n - lane)));
                    }
                }
            });
        });
    }

    /// Columns of the input that see the same taps of a kernel's row: begin and end, and the first and the end of the
    /// joined taps.
    fn segments(&self) -> Vec<([usize; 2], [usize; 2])> {
        let (kw, pad, width) = (self.kernel.1, self.attrs.pad, self.dy.shape.width);
        let mut segments: Vec<([usize; 2], [usize; 2])> = Vec::new();
        for x in 0..self.dx.shape.width {
            // Tap number `tap` reads column `x + pad + tap - (kw - 1)` of the output.
            let first = (kw - 1).saturating_sub(x + pad);
            let end = (width + kw - 1).saturating_sub(x + pad).min(kw);
            match segments.last_mut() {
                Some((columns, taps)) if *taps == [first, end] => columns[1] = x + 1,
                Some(_) | None => segments.push(([x, x + 1], [first, end])),
            }
        }
        segments
    }

    /// All taps of a row, for the columns that see them.
    fn row_of_taps(&self, k: &mut Builder, run: &Columns, ky: &Index, rows: Slot) {
        let (kw, n, output) = (self.kernel.1, self.dy.shape.channels, self.dy.shape);
        let each = self.dx.shape.channels.min(WORD);
        let oy = k.index("oy", &run.y + self.attrs.pad - ky);
        k.when(Compare::Ge, &oy, 0, |k| {
            k.when(Compare::Lt, &oy, output.height, |k| {
                let sums = k.index("sums", &run.sums);
                for ([begin, end], [first, last]) in self.segments() {
                    if first < last {
                        let column = begin + self.attrs.pad + first - (kw - 1);
                        let p = &oy * output.width + column;
                        let piece = |slot, at, step: usize| Run { slot, at, step: step as i64 };
                        let words = self.word_at(run, &Index::from(begin));
                        let walk = Walk {
                            count: (end - begin).into(),
                            words: 1,
                            bits: piece(self.window.slot, words, self.window.shape.stride()),
                            rows: piece(rows, (ky * (each * kw) + first) * n, kw * n),
                            lanes: (last - first) * n,
                            sums: piece(self.sums, sums.clone(), PARTS),
                        };
                        k.dot_rows(walk, piece(self.dy.slot, output.position(&run.t, &run.b, &p), n));
                    }
                    if end < self.dx.shape.width {
                        k.for_range("n", begin, end, |k, n| {
                            k.set_index(&sums, &sums + popcount(self.word(run, &n)) * PARTS);
                        });
                    }
                }
            });
        });
    }

    /// Each position's channels: zeros, and the sums where the window is open.
    fn finish(&self, k: &mut Builder, run: &Columns) {
        let shape = self.dx.shape;
        let sum = k.index("sum", &run.sums);
        k.for_range("n", 0, &run.count, |k, n| {
            let p = &run.y * shape.width + &run.x + &n * self.attrs.stride;
            let at = k.index("dx", shape.position(&run.t, &run.b, &p) + &self.word * WORD);
            self.zeros(k, &at);
            k.each_bit("ci", self.word(run, &n), |k, ci| {
                let four = |part: usize| load(self.sums, &sum + part * 4, 4);
                let total = (four(0) + four(1)) + (four(2) + four(3));
                k.store(self.dx.slot, &at + ci, total.fold(Fold::Sum));
                k.set_index(&sum, &sum + PARTS);
            });
        });
    }

    /// Zeros in the channels of the word, of which the last may have fewer than 64.
    fn zeros(&self, k: &mut Builder, at: &Index) {
        let (channels, last) = (self.dx.shape.channels, self.dx.shape.words() - 1);
        let clear = |k: &mut Builder, n: usize| {
            for lane in (0..n).step_by(TILE) {
                k.store(self.dx.slot, at + lane, Row::constant(0.0, TILE.min(n - lane)));
            }
        };
        let rest = channels - last * WORD;
        if rest == WORD {
            return clear(k, WORD);
        }
        if last > 0 {
            k.when(Compare::Lt, &self.word, last, |k| clear(k, WORD));
        }
        k.when(Compare::Eq, &self.word, last, |k| clear(k, rest));
    }
}
