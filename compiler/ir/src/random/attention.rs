//! Random graphs with attention or a mask in the middle.

use super::RandomOptions;
use super::build::Builder;
use crate::entity::Value;
use crate::graph::Graph;
use crate::op::{Attention, Op, Order, Over};
use crate::types::AxisName;
use AxisName::{C, H, T, W};

/// A small valid graph at stage `Logical` with attention or a mask between its blocks, otherwise as
/// [`super::graph`]. Equal seeds and options give equal graphs.
pub fn attention_graph(seed: u64, options: RandomOptions) -> Graph {
    let mut builder = Builder::new(&format!("attention{seed}"), seed, options);
    let mut x = builder.input();
    x = builder.block("stem", x);
    x = builder.attend("attend", x);
    for n in 1..options.blocks {
        x = builder.block(&format!("block{n}"), x);
    }
    builder.classifier(x);
    builder.graph
}

impl Builder {
    /// Queries, keys and values of one input, what they make of each other, and a projection of it.
    fn attend(&mut self, name: &str, x: Value) -> Value {
        let heads = self.rng.pick(&[1, 1, 2, 3]);
        // Mostly heads of a few channels; at times of a tile, and such as lie across words.
        let each =
            if self.rng.chance(80) { self.rng.pick(&[1, 2, 3, 4, 8]) } else { self.rng.pick(&[24, 32, 33]) };
        let channels = heads * each;
        let values = if self.rng.chance(20) { heads * 5 } else { channels };
        let mut spikes = |part: &str, channels: usize| {
            let y = self.unit(&format!("{name}.{part}"), x, channels, 1);
            self.lif(&format!("{name}.{part}.lif"), y)
        };
        let (q, k, v) = (spikes("q", channels), spikes("k", channels), spikes("v", values));
        let y = match self.rng.below(8) {
            0 => self.spike_driven(name, [q, k, k]),
            1 => self.temporal_mask(name, [q, k, k]),
            2 => self.token_mask(name, [q, k], heads),
            _attention => self.attention(name, [q, k, v], heads),
        };
        // Also masks of masks, and masks that no product reads.
        let same = self.channels_of(y) == self.channels_of(q);
        let y = if same && self.rng.chance(15) {
            self.emit(&format!("{name}.masked"), Op::Mask, &[y, q], None)
        } else {
            y
        };
        let y = if self.rng.chance(85) { self.unit(&format!("{name}.proj"), y, values, 1) } else { y };
        self.lif(&format!("{name}.proj.lif"), y)
    }

    fn channels_of(&self, x: Value) -> usize {
        self.graph.ty(x).extent(C)
    }

    fn attention(&mut self, name: &str, operands: [Value; 3], heads: usize) -> Value {
        let chunks: Vec<usize> = (1..=self.steps).filter(|chunk| self.steps.is_multiple_of(*chunk)).collect();
        let chunk = self.rng.pick(&chunks);
        let over = self.rng.pick(&[Over::Space, Over::Time, Over::SpaceTime(chunk)]);
        let attention = Attention {
            over,
            causal: self.rng.chance(40),
            scale: self.rng.pick(&[1.0, 1.0, 0.25, 0.375]),
            order: self.rng.pick(&[Order::Auto, Order::KvFirst, Order::QkFirst]),
            heads,
        };
        let o = self.emit(&format!("{name}.o"), Op::Attention(attention), &operands, None);
        self.lif(&format!("{name}.o.lif"), o)
    }

    /// Channels in which a key and its value fired anywhere let the query through.
    fn spike_driven(&mut self, name: &str, [q, k, v]: [Value; 3]) -> Value {
        let kv = self.emit(&format!("{name}.kv"), Op::Mask, &[k, v], None);
        let is_map = self.is_map(kv);
        let z = if is_map { self.emit(&format!("{name}.z"), Op::Sum(vec![H, W]), &[kv], None) } else { kv };
        let g = self.lif(&format!("{name}.g"), z);
        let op = if self.rng.chance(70) { Op::Mask } else { Op::MaskNot };
        self.emit(&format!("{name}.y"), op, &[q, g], None)
    }

    fn temporal_mask(&mut self, name: &str, [q, k, v]: [Value; 3]) -> Value {
        let op = if self.rng.chance(50) { Op::Mask } else { Op::MaskNot };
        let kv = self.emit(&format!("{name}.kv"), op.clone(), &[k, v], None);
        let g = self.lif(&format!("{name}.g"), kv);
        self.emit(&format!("{name}.y"), op, &[q, g], None)
    }

    fn token_mask(&mut self, name: &str, [q, k]: [Value; 2], heads: usize) -> Value {
        let sum = self.emit(&format!("{name}.sum"), Op::ChannelSum(heads), &[q], None);
        let m = self.lif(&format!("{name}.m"), sum);
        let op = if self.rng.chance(70) { Op::Mask } else { Op::MaskNot };
        debug_assert!(self.graph.ty(m).has(T) && self.graph.ty(m).has(C));
        self.emit(&format!("{name}.y"), op, &[k, m], None)
    }
}
