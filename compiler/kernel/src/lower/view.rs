//! How a value lies in memory, and rows of its channels.
//!
//! Activations are `[T B H W C]`, any of the axes may be missing; f32 values take C elements a position, bits
//! `ceil(C/64)` words of 64. A [`Frame`] says where a row is: timestep, sample, position, tile of channels.

use super::LowerError;
use crate::body::{Compare, Index, Mask, Row, Slot, Width, Word};
use crate::build::{Builder, load, load_splat, load_word, mask_of, word_of};
use snnc_ir::{AxisName, Elem, Type};
use snnc_plan::Tasks;

/// Channels of a full tile: one half word of spikes, eight vectors of 128 bits.
pub const TILE: usize = 32;

/// Channels of a wide tile: those of a weight's tile, which a walk over spikes adds at once.
pub const WIDE: usize = 128;

/// A value in memory.
#[derive(Clone, Debug)]
pub struct View {
    /// The kernel's slot.
    pub slot: Slot,
    /// Extents and kind.
    pub shape: Shape,
}

/// Extents of an activation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Whether elements are packed bits.
    pub bits: bool,
    /// Timesteps, where there is a time axis.
    pub time: Option<usize>,
    /// Whether there is a batch axis.
    pub batched: bool,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels.
    pub channels: usize,
}

impl Shape {
    /// The shape of a type whose axes are some of `[T B H W C]`, in this order.
    pub fn of(ty: &Type) -> Result<Shape, LowerError> {
        use AxisName::{B, C, H, T, W};
        let order = [T, B, H, W, C];
        let places: Option<Vec<usize>> =
            ty.axes.iter().map(|axis| order.iter().position(|name| *name == axis.name)).collect();
        let sorted = places.is_some_and(|places| places.windows(2).all(|pair| pair[0] < pair[1]));
        if !sorted {
            return Err(LowerError(format!("`{ty}` is not an activation with channels innermost")));
        }
        Ok(Shape {
            bits: ty.elem == Elem::Bits,
            time: ty.axis(T).and_then(|axis| axis.extent),
            batched: ty.has(B),
            height: ty.extent(H),
            width: ty.extent(W),
            channels: ty.extent(C),
        })
    }

    /// The shape of any type; that of a weight is one row of all its elements.
    pub fn of_any(ty: &Type) -> Result<Shape, LowerError> {
        let weight = !ty.is_batched() && ty.elem != Elem::Bits && ty.axes.iter().all(|axis| axis.tile == 0);
        Shape::of(ty).or_else(|error| match weight {
            true => {
                let channels = ty.elements_per_sample();
                Ok(Shape { bits: false, time: None, batched: false, height: 1, width: 1, channels })
            }
            false => Err(error),
        })
    }

    /// Timesteps, 1 without a time axis.
    pub fn steps(&self) -> usize {
        self.time.unwrap_or(1)
    }

    /// Positions of an image.
    pub fn positions(&self) -> usize {
        self.height * self.width
    }

    /// Units of four bytes from one position to the next.
    pub fn stride(&self) -> usize {
        if self.bits { self.words() * 2 } else { self.channels }
    }

    /// Words of 64 bits of a position.
    pub fn words(&self) -> usize {
        self.channels.div_ceil(64)
    }

    /// Tiles of channels.
    pub fn tiles(&self) -> usize {
        self.channels.div_ceil(TILE)
    }

    /// Wide tiles of channels.
    pub fn wide_tiles(&self) -> usize {
        self.channels.div_ceil(WIDE)
    }

    /// Elements of the sums of a position in a wide tile: whole cache lines.
    pub fn sums(&self) -> usize {
        self.channels.min(WIDE).next_multiple_of(16)
    }

    /// Offset of an image's first element.
    pub fn image(&self, t: &Index, b: &Index) -> Index {
        let images = match (self.time.is_some(), self.batched) {
            (true, true) => t * Index::Batch + b,
            (true, false) => t.clone(),
            (false, true) => b.clone(),
            (false, false) => Index::Const(0),
        };
        images * self.positions() * self.stride()
    }

    /// Offset of a position's first element.
    pub fn position(&self, t: &Index, b: &Index, p: &Index) -> Index {
        let image = self.image(t, b);
        if self.positions() == 1 { image } else { image + p * self.stride() }
    }
}

/// A tile of channels: its number, the channels in it, and whether it is the last.
#[derive(Clone, Debug)]
pub struct Tile {
    /// The number; channels start at 32 times it.
    pub index: Index,
    /// Channels, 32 but in a narrower last tile.
    pub n: usize,
    /// How much a store of its bits writes: the last tile also clears the rest of its word.
    pub width: Width,
}

/// Where a row is.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The timestep.
    pub t: Index,
    /// The sample.
    pub b: Index,
    /// The position, `y·W + x`.
    pub p: Index,
    /// The channels.
    pub tile: Tile,
}

impl Frame {
    /// That of a tile of what has a number for each channel and no other axis.
    pub fn of_channels(tile: &Tile) -> Frame {
        Frame { t: 0.into(), b: 0.into(), p: 0.into(), tile: tile.clone() }
    }
}

/// How the positions of an activation are divided among tasks.
#[derive(Clone, Copy, Debug)]
pub struct Chunks {
    /// Positions of a task.
    each: usize,
    /// Tasks of a sample.
    pub count: usize,
}

impl Chunks {
    /// Elements that a task of element-wise work takes, over all its timesteps.
    pub const ELEMENTS: usize = 1 << 15;

    /// Tasks of so many elements, over all their timesteps, and of a position at least.
    pub fn of(shape: &Shape, elements: usize) -> Chunks {
        let each = (elements / (shape.steps() * shape.channels).max(1)).clamp(1, shape.positions());
        Chunks { each, count: shape.positions().div_ceil(each) }
    }

    /// The sample of a task, its first position, and the end.
    pub fn of_task(&self, k: &mut Builder, shape: &Shape) -> (Index, Index, Index) {
        let b = k.index("b", Index::Task.quotient(self.count));
        let first = k.index("p0", Index::Task.remainder(self.count) * self.each);
        let end = (&first + self.each).min(shape.positions());
        (b, first, end)
    }

    /// All tasks.
    pub fn tasks(&self, shape: &Shape) -> Tasks {
        if shape.batched { Tasks::per_samples(1, self.count) } else { Tasks::fixed(self.count) }
    }
}

impl View {
    fn at(&self, frame: &Frame) -> Index {
        let unit = if self.shape.bits { 1 } else { TILE };
        self.shape.position(&frame.t, &frame.b, &frame.p) + &frame.tile.index * unit
    }

    /// The row as numbers. One channel stands for all: a number per layer or per timestep.
    pub fn row(&self, frame: &Frame) -> Row {
        if self.shape.bits {
            return self.mask(frame).to_row(frame.tile.n);
        }
        if self.shape.channels == 1 && (frame.tile.n > 1 || frame.tile.index != Index::Const(0)) {
            let at = self.shape.position(&frame.t, &frame.b, &frame.p);
            return load_splat(self.slot, at, frame.tile.n);
        }
        load(self.slot, self.at(frame), frame.tile.n)
    }

    /// The row as truth values: set where it is not 0.
    pub fn mask(&self, frame: &Frame) -> Mask {
        let n = frame.tile.n;
        if self.shape.bits {
            return mask_of(load_word(self.slot, self.at(frame), Width::Half), n);
        }
        load(self.slot, self.at(frame), n).compare(Compare::Gt, Row::constant(0.5, n))
    }

    /// The bits of a row of spikes, bit i for lane i; what stands above them is not theirs.
    pub fn word(&self, frame: &Frame) -> Word {
        load_word(self.slot, self.at(frame), Width::Half)
    }

    /// Stores numbers (to an f32 value).
    pub fn store_row(&self, k: &mut Builder, frame: &Frame, row: Row) {
        k.store(self.slot, self.at(frame), row);
    }

    /// Stores truth values (to a value of bits).
    pub fn store_mask(&self, k: &mut Builder, frame: &Frame, mask: Mask) {
        k.store_word(self.slot, self.at(frame), word_of(mask), frame.tile.width);
    }
}

/// The last tile of so many channels.
fn last_tile(channels: usize) -> Tile {
    let count = channels.div_ceil(TILE);
    let n = channels - (count - 1) * TILE;
    let width = if count % 2 == 1 { Width::Full } else { Width::Half };
    Tile { index: Index::from(count - 1), n, width }
}

/// The body for every tile of channels: a loop over full tiles, and the last by itself where it differs.
pub fn each_tile(k: &mut Builder, channels: usize, mut body: impl FnMut(&mut Builder, Tile)) {
    each_part(k, &Index::Const(0), channels, |k, tile, _| body(k, tile));
}

/// The body for every tile of `channels` channels from tile `first` on, an even one. It is also given the lane where
/// the tile begins among them.
pub fn each_part(
    k: &mut Builder,
    first: &Index,
    channels: usize,
    mut body: impl FnMut(&mut Builder, Tile, &Index),
) {
    let last = last_tile(channels);
    let count = channels.div_ceil(TILE);
    let alike = last.n == TILE && last.width == Width::Half;
    let looped = if alike { count } else { count - 1 };
    k.for_range("tile", 0, looped, |k, part| {
        body(k, Tile { index: first + &part, n: TILE, width: Width::Half }, &(&part * TILE));
    });
    if !alike {
        let lane = &last.index * TILE;
        body(k, Tile { index: first + &last.index, ..last }, &lane);
    }
}

/// The body for the tile of this number, known when the kernel runs.
pub fn one_tile(k: &mut Builder, index: &Index, channels: usize, mut body: impl FnMut(&mut Builder, Tile)) {
    let last = last_tile(channels);
    if channels > TILE {
        k.when(Compare::Lt, index, last.index.clone(), |k| {
            body(k, Tile { index: index.clone(), n: TILE, width: Width::Half });
        });
    }
    k.when(Compare::Eq, index, last.index.clone(), |k| body(k, last));
}

/// A wide tile of channels: its number, and the channels in it.
#[derive(Clone, Debug)]
pub struct WideTile {
    /// The number; channels start at 128 times it.
    pub index: Index,
    /// Channels, 128 but in a narrower last tile.
    pub n: usize,
}

impl WideTile {
    /// The body for each tile of this wide one, with the lane where it begins.
    pub fn each_part(&self, k: &mut Builder, body: impl FnMut(&mut Builder, Tile, &Index)) {
        each_part(k, &(&self.index * (WIDE / TILE)), self.n, body);
    }
}

/// The body for every wide tile of channels.
pub fn each_wide_tile(k: &mut Builder, channels: usize, mut body: impl FnMut(&mut Builder, WideTile)) {
    let (whole, rest) = (channels / WIDE, channels % WIDE);
    k.for_range("wide", 0, whole, |k, index| body(k, WideTile { index, n: WIDE }));
    if rest > 0 {
        body(k, WideTile { index: Index::from(whole), n: rest });
    }
}

/// The body for the wide tile of this number, known when the kernel runs.
pub fn one_wide_tile(
    k: &mut Builder,
    index: &Index,
    channels: usize,
    mut body: impl FnMut(&mut Builder, WideTile),
) {
    let last = channels.div_ceil(WIDE) - 1;
    let n = channels - last * WIDE;
    if n == WIDE {
        return body(k, WideTile { index: index.clone(), n });
    }
    if last > 0 {
        k.when(Compare::Lt, index, last, |k| body(k, WideTile { index: index.clone(), n: WIDE }));
    }
    k.when(Compare::Eq, index, last, |k| body(k, WideTile { index: Index::from(last), n }));
}
