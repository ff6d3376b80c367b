//! Types of values: an element kind and named axes, outermost first, as in `bits[T4 B H16 W16 | C64]`.

use std::fmt;

/// What one element of a tensor is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Elem {
    /// A real number.
    F32,
    /// A small non-negative whole number: a sum of spikes. Stored as f32 in memory.
    I32,
    /// 0 or 1, with no layout yet.
    Spike,
    /// 0 or 1, packed: the last axis lies inside words of 64 bits, low bit first.
    Bits,
}

impl Elem {
    /// Whether every element is 0 or 1.
    pub fn is_binary(self) -> bool {
        matches!(self, Elem::Spike | Elem::Bits)
    }
}

/// The meaning of an axis. `Display` is the letter of the text form.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum AxisName {
    /// Timesteps.
    T,
    /// Samples of a batch.
    B,
    /// Channels or features.
    C,
    /// Rows of a feature map.
    H,
    /// Columns of a feature map.
    W,
    /// Output channels of a weight.
    Co,
    /// Input channels of a weight.
    Ci,
    /// Rows of a convolution kernel.
    Kh,
    /// Columns of a convolution kernel.
    Kw,
}

impl AxisName {
    /// Every axis name with its text form.
    pub const ALL: [(AxisName, &'static str); 9] = [
        (AxisName::T, "T"),
        (AxisName::B, "B"),
        (AxisName::C, "C"),
        (AxisName::H, "H"),
        (AxisName::W, "W"),
        (AxisName::Co, "Co"),
        (AxisName::Ci, "Ci"),
        (AxisName::Kh, "Kh"),
        (AxisName::Kw, "Kw"),
    ];
}

impl fmt::Display for AxisName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, text) = AxisName::ALL.iter().find(|(name, _)| name == self).expect("every name is listed");
        f.write_str(text)
    }
}

/// One axis: a name and an extent. The batch axis is bound at run time and its extent is `None`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Axis {
    /// What the axis stands for.
    pub name: AxisName,
    /// Its length; `None` for the batch.
    pub extent: Option<usize>,
    /// Width of the contiguous tiles the axis is stored in (`Co128/32`), 0 for a plain axis. Tiles are the
    /// outermost storage order: all other axes are repeated inside a tile, and the last tile may be narrower.
    pub tile: usize,
}

impl Axis {
    /// An axis of a known extent.
    pub fn new(name: AxisName, extent: usize) -> Axis {
        Axis { name, extent: Some(extent), tile: 0 }
    }

    /// The batch axis.
    pub fn batch() -> Axis {
        Axis { name: AxisName::B, extent: None, tile: 0 }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if let Some(extent) = self.extent {
            write!(f, "{extent}")?;
        }
        if self.tile > 0 {
            write!(f, "/{}", self.tile)?;
        }
        Ok(())
    }
}

/// The type of a value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Type {
    /// What an element is.
    pub elem: Elem,
    /// The axes, outermost first.
    pub axes: Vec<Axis>,
}

impl Type {
    /// A type of these axes.
    pub fn new(elem: Elem, axes: Vec<Axis>) -> Type {
        Type { elem, axes }
    }

    /// A real-valued type of these axes.
    pub fn f32(axes: Vec<Axis>) -> Type {
        Type::new(Elem::F32, axes)
    }

    /// The same axes with another element kind.
    pub fn with_elem(&self, elem: Elem) -> Type {
        Type { elem, axes: self.axes.clone() }
    }

    /// The axis of this name.
    pub fn axis(&self, name: AxisName) -> Option<Axis> {
        self.axes.iter().copied().find(|axis| axis.name == name)
    }

    /// The position of the axis of this name.
    pub fn position(&self, name: AxisName) -> Option<usize> {
        self.axes.iter().position(|axis| axis.name == name)
    }

    /// Whether there is an axis of this name.
    pub fn has(&self, name: AxisName) -> bool {
        self.axis(name).is_some()
    }

    /// The extent of the axis of this name, 1 when there is none. The batch counts as 1.
    pub fn extent(&self, name: AxisName) -> usize {
        self.axis(name).and_then(|axis| axis.extent).unwrap_or(1)
    }

    /// The type without the axis of this name.
    pub fn without(&self, name: AxisName) -> Type {
        Type { elem: self.elem, axes: self.axes.iter().copied().filter(|axis| axis.name != name).collect() }
    }

    /// The type with an outermost time axis of `steps`.
    pub fn with_time(&self, steps: usize) -> Type {
        let mut axes = vec![Axis::new(AxisName::T, steps)];
        axes.extend(self.axes.iter().copied().filter(|axis| axis.name != AxisName::T));
        Type { elem: self.elem, axes }
    }

    /// Elements for one sample: the product of all extents but the batch.
    pub fn elements_per_sample(&self) -> usize {
        self.axes.iter().filter_map(|axis| axis.extent).product()
    }

    /// Extents with the batch bound to `batch`.
    pub fn dims(&self, batch: usize) -> Vec<usize> {
        self.axes.iter().map(|axis| axis.extent.unwrap_or(batch)).collect()
    }

    /// Whether the type has the batch axis.
    pub fn is_batched(&self) -> bool {
        self.has(AxisName::B)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elem = match self.elem {
            Elem::F32 => "f32",
            Elem::I32 => "i32",
            Elem::Spike => "spike",
            Elem::Bits => "bits",
        };
        write!(f, "{elem}[")?;
        for (i, axis) in self.axes.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            if self.elem == Elem::Bits && i + 1 == self.axes.len() {
                f.write_str("| ")?;
            }
            write!(f, "{axis}")?;
        }
        f.write_str("]")
    }
}
