//! Taps: what enters each product and each attention, kept until the end of a step so that it can be counted.

use crate::buffer::BufferId;

/// A value that a product or an attention reads.
#[derive(Clone, PartialEq, Debug)]
pub struct Tap {
    /// The path of the layer that reads it.
    pub layer: String,
    /// What the layer does with it.
    pub role: TapRole,
    /// What its elements are.
    pub elements: TapElements,
    /// Where it lies: `[steps B height width channels]`, bits in words of 64 channels, else f32.
    pub buffer: BufferId,
    /// Timesteps; 1 where the value stands still.
    pub steps: usize,
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// What a layer does with a value that it reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TapRole {
    /// Multiplies it by weights.
    Product(Reach),
    /// The queries of an attention, which come first of three taps of one layer.
    Queries(AttentionCost),
    /// Its keys.
    Keys,
    /// Its values.
    Values,
}

/// What the elements of a tapped value are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TapElements {
    /// Packed bits.
    Spikes,
    /// f32: sums of spikes, perhaps times a constant.
    Counts,
    /// f32.
    Real,
}

/// The outputs that elements of a product's input reach: those of a matrix product are a map of one position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reach {
    /// Rows and columns of the kernel.
    pub kernel: (usize, usize),
    /// Step between output positions.
    pub stride: usize,
    /// Zeros on each side.
    pub pad: usize,
    /// Output channels, rows, columns.
    pub output: (usize, usize, usize),
}

/// What an attention's additions depend on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttentionCost {
    /// Heads.
    pub heads: usize,
    /// Timesteps and positions of a group of tokens that see each other.
    pub group: (usize, usize),
    /// Whether keys meet values first.
    pub kv_first: bool,
    /// Whether a token sees no later timestep.
    pub causal: bool,
}

impl Tap {
    /// Elements of one sample at one timestep.
    pub fn elements(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Units of four bytes from one position to the next.
    pub fn stride(&self) -> usize {
        match self.elements {
            TapElements::Spikes => self.channels.div_ceil(64) * 2,
            TapElements::Counts | TapElements::Real => self.channels,
        }
    }
}

impl Reach {
    /// Multiply-adds of one sample and timestep for so many input channels, padding included.
    pub fn macs(&self, channels: usize) -> u64 {
        let (co, rows, columns) = self.output;
        [co, rows, columns, self.kernel.0, self.kernel.1, channels].iter().map(|&n| n as u64).product()
    }

    /// How many outputs an element at this row and column reaches.
    pub fn fan_out(&self, row: usize, column: usize) -> u64 {
        let (co, rows, columns) = self.output;
        let along = |at: usize, kernel: usize, outputs: usize| {
            let covers = |out: &usize| {
                let start = out * self.stride;
                (start..start + kernel).contains(&(at + self.pad))
            };
            (0..outputs).filter(covers).count() as u64
        };
        co as u64 * along(row, self.kernel.0, rows) * along(column, self.kernel.1, columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fan_out_is_smaller_at_the_border() {
        let reach = Reach { kernel: (3, 3), stride: 1, pad: 1, output: (8, 4, 4) };
        assert_eq!(reach.macs(2), 8 * 16 * 9 * 2);
        assert_eq!((reach.fan_out(0, 0), reach.fan_out(0, 1), reach.fan_out(1, 2)), (8 * 4, 8 * 6, 8 * 9));
        // All elements together reach every multiply-add but those of the padding.
        let total: u64 = (0..16).map(|p| reach.fan_out(p / 4, p % 4)).sum();
        assert_eq!(total, 8 * (4 * 4 + 8 * 6 + 4 * 9));
    }

    #[test]
    fn strides_skip_elements() {
        let reach = Reach { kernel: (1, 1), stride: 2, pad: 0, output: (5, 2, 2) };
        let total: Vec<u64> = (0..4).map(|column| reach.fan_out(0, column)).collect();
        assert_eq!(total, [5, 0, 5, 0]);
    }
}
