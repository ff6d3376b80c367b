//! Shapes of activations and what their elements are, with arithmetic that cannot overflow.

use serde::Serialize;
use snnc_ir::{Axis, AxisName, Elem, Type};
use std::fmt;

/// The largest extent of an axis.
pub const MAX_EXTENT: usize = 1 << 20;

/// The largest number of elements of one sample's activation or of one weight.
pub const MAX_ELEMENTS: u64 = (1 << 31) - 1;

/// What the elements of an activation are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// 0 or 1.
    Spikes,
    /// Sums of spikes.
    Counts,
    /// Real numbers.
    Real,
}

impl Kind {
    /// The element kind in the IR.
    pub fn elem(self) -> Elem {
        match self {
            Kind::Spikes => Elem::Spike,
            Kind::Counts => Elem::I32,
            Kind::Real => Elem::F32,
        }
    }

    /// The kind of a sum.
    pub fn plus(self, other: Kind) -> Kind {
        match (self, other) {
            (Kind::Real, _) | (_, Kind::Real) => Kind::Real,
            (Kind::Spikes | Kind::Counts, Kind::Spikes | Kind::Counts) => Kind::Counts,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Spikes => "spikes",
            Kind::Counts => "counts",
            Kind::Real => "real",
        })
    }
}

/// The extents of one sample at one timestep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Channels, rows and columns.
    Map {
        /// Channels.
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// Features.
    Features(usize),
}

impl Shape {
    /// Channels or features.
    pub fn channels(self) -> usize {
        match self {
            Shape::Map { channels, .. } => channels,
            Shape::Features(features) => features,
        }
    }

    /// The extents, channels first.
    pub fn dims(self) -> Vec<usize> {
        match self {
            Shape::Map { channels, height, width } => vec![channels, height, width],
            Shape::Features(features) => vec![features],
        }
    }

    /// Elements; extents are at most [`MAX_EXTENT`], so three of them fit.
    pub fn elements(self) -> u64 {
        self.dims().iter().map(|&extent| extent as u64).product()
    }
}

impl Shape {
    /// The same with other channels.
    pub fn with_channels(self, channels: usize) -> Shape {
        match self {
            Shape::Map { height, width, .. } => Shape::Map { channels, height, width },
            Shape::Features(_) => Shape::Features(channels),
        }
    }

    /// Rows times columns; 1 for features.
    pub fn positions(self) -> usize {
        match self {
            Shape::Map { height, width, .. } => height * width,
            Shape::Features(_) => 1,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.dims())
    }
}

/// The type of an activation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Activation {
    /// Extents.
    pub shape: Shape,
    /// Timesteps, where it has a time axis.
    pub time: Option<usize>,
    /// What its elements are.
    pub kind: Kind,
}

impl Activation {
    /// The type in the IR, axes `T B C H W`, of these elements.
    pub fn ty(&self, elem: Elem) -> Type {
        let mut axes = Vec::with_capacity(5);
        axes.extend(self.time.map(|steps| Axis::new(AxisName::T, steps)));
        axes.push(Axis::batch());
        let names = [AxisName::C, AxisName::H, AxisName::W];
        axes.extend(names.into_iter().zip(self.shape.dims()).map(|(name, extent)| Axis::new(name, extent)));
        Type::new(elem, axes)
    }

    /// The type of a sum of some of its elements, but for the axes.
    pub fn summed(self) -> Activation {
        Activation { kind: self.kind.plus(self.kind), ..self }
    }

    /// Elements of a sample over all timesteps, if they fit.
    pub fn elements(&self) -> Option<u64> {
        self.shape.elements().checked_mul(self.time.unwrap_or(1) as u64)
    }
}

/// How many positions a window of `kernel` takes at `stride` on an axis of `extent` with `pad` on each
/// side; `None` where it is larger than the padded axis.
pub fn positions(extent: usize, kernel: usize, stride: usize, pad: usize) -> Option<usize> {
    let room = extent.checked_add(pad.checked_mul(2)?)?.checked_sub(kernel)?;
    Some(room.checked_div(stride)? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_counted_as_elsewhere() {
        assert_eq!(positions(32, 3, 1, 1), Some(32));
        assert_eq!(positions(32, 3, 2, 1), Some(16));
        assert_eq!(positions(32, 1, 2, 0), Some(16));
        assert_eq!(positions(7, 2, 2, 0), Some(3));
        assert_eq!(positions(2, 3, 1, 0), None);
        assert_eq!(positions(usize::MAX, 3, 1, 1), None);
        assert_eq!(positions(4, 2, 0, 0), None);
    }
}
