//! Scans that are a neuron and nothing else, as one statement for a run of positions: plain constants, a hard reset, one or two
//! currents, and spikes alone for a result.
//!
//! ```text
//! for x:  v = 0;  for t:  h = v/2 + (load sums + load y);  s = h >= 1;  store s;  v = s ? 0 : h     ; before
//! fire s = v*0.5 + (sums + y)*1 >= 1 : f32[128] from 0, then 0, for 4 timesteps, i in 0..16         ; after
//! ```

use super::conv::MaskedConv;
use super::view::{Shape, View, WIDE, WideTile};
use crate::body::{Current, Fire, Index, Run};
use snnc_ir::{Compare, Graph, Inst, Lif, Op, Reset, Value};

/// A neuron of constants that are known.
#[derive(Debug)]
pub struct PlainNeuron {
    /// What it gets at a timestep: one value, or two that are added.
    pub currents: Vec<Value>,
    constants: [u32; 5],
    above: bool,
}

impl PlainNeuron {
    /// The neuron of a scan's body: carried argument, its first value and what it becomes; the value that is stored.
    pub fn of(
        graph: &Graph,
        body: &[Inst],
        carries: &[(Value, f32, Value)],
        stored: Value,
    ) -> Option<PlainNeuron> {
        let &[(membrane, first, next)] = carries else { return None };
        let rest = || body.iter().map(|&inst| graph.inst(inst)).filter(|data| !MaskedConv::is(&data.op));
        let neuron = |wanted: fn(&Op) -> Option<&Lif>, args: usize| {
            let mut found = rest().filter_map(|data| Some((data, wanted(&data.op)?)));
            let one = found.next().filter(|(data, _)| data.args.len() == args)?;
            found.next().is_none().then_some(one)
        };
        let (charge, charged) = neuron(|op| if let Op::LifCharge(lif) = op { Some(lif) } else { None }, 2)?;
        let (fire, fires) = neuron(|op| if let Op::LifFire(lif) = op { Some(lif) } else { None }, 1)?;
        let (reset, resets) = neuron(|op| if let Op::LifReset(lif) = op { Some(lif) } else { None }, 2)?;
        let (h, s) = (charge.results[0], fire.results[0]);
        let whole = charge.args[0] == membrane && fire.args[0] == h && reset.args[..] == [h, s];
        let Reset::Hard(value) = resets.reset else { return None };
        if !whole || stored != s || next != reset.results[0] || charged.current != 0.0 {
            return None;
        }
        let sum = rest().find(|data| data.op == Op::Add && data.results[0] == charge.args[1]);
        let currents = sum.map_or(vec![charge.args[1]], |data| data.args.clone());
        if rest().count() != 3 + usize::from(sum.is_some()) {
            return None;
        }
        let constants = [charged.decay, charged.gain, fires.threshold, value, first].map(f32::to_bits);
        Some(PlainNeuron { currents, constants, above: fires.compare == Compare::Gt })
    }

    /// The statement for a run of positions of a wide tile.
    pub fn draw(
        &self,
        (count, steps): (Index, usize),
        lanes: usize,
        currents: Vec<(Current, Run, Index)>,
        spikes: (Run, Index),
    ) -> Fire {
        let PlainNeuron { constants, above, .. } = *self;
        Fire { count, lanes, steps, currents, spikes, constants, above }
    }
}

/// Whether a value has its own number, or bit, for each neuron of a shape.
pub fn is_alike(view: &View, shape: &Shape) -> bool {
    let extents = |shape: &Shape| (shape.height, shape.width, shape.channels);
    extents(&view.shape) == extents(shape)
}

/// Where the neurons of a wide tile are, from a position of a sample on, and how far it is to the next timestep.
pub fn over_time(view: &View, b: &Index, p: &Index, tile: &WideTile) -> (Run, Index) {
    let shape = view.shape;
    let unit = if shape.bits { WIDE / 32 } else { WIDE };
    let at = shape.position(&Index::Const(0), b, p) + &tile.index * unit;
    let images = if shape.batched { Index::Batch } else { Index::Const(1) };
    let time = match shape.time {
        Some(_) => images * (shape.positions() * shape.stride()),
        None => Index::Const(0),
    };
    (Run { slot: view.slot, at, step: shape.stride() as i64 }, time)
}
