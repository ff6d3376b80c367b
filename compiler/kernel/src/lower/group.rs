//! Element-wise work, masked additions and scans over time: one kernel each.
//!
//! ```text
//! for p, tile:  v = 0;  for t:  x = load; h = v/2 + x; s = h >= 1; store s; v = s ? 0 : h
//! ```
//!
//! With masked additions in the body a task takes a block of images and rows for one tile of channels: first
//! the sums of all timesteps go to scratch memory (so that a block of weights serves all of them from the L1
//! cache), then the rows walk through time. Without, a task takes a range of positions of one sample.

use super::conv::{Block, MaskedConv, TABLE};
use super::emit::{Scope, Val};
use super::fire::{PlainNeuron, is_alike, over_time};
use super::view::{Chunks, Frame, Shape, Tile, View, WideTile, each_tile, each_wide_tile, one_wide_tile};
use super::{Draw, LowerError, Lowering, dense};
use crate::body::{Current, Index, Mask, Reg, Row, Run, SlotElem};
use crate::build::{Builder, load};
use crate::form::Form;
use snnc_ir::{Inst, Op, Value};
use snnc_plan::Tasks;
use std::collections::{BTreeMap, HashMap};

/// Positions, all timesteps counted, whose sums of 128 channels a task keeps in scratch memory: 128 KiB.
const BLOCK_POSITIONS: usize = 256;
/// The same where tables are made, each as costly as 30 positions that use it: 256 KiB.
const GROUPED_POSITIONS: usize = 512;
/// Images that share a task where one image is small: enough to reuse weights, few enough to share the work.
const BLOCK_IMAGES: usize = 16;

/// Rows of an image, and images, that a task of a kernel with products sums, some of them grouped.
pub fn block_size(shape: &Shape, grouped: bool) -> (usize, usize) {
    let positions = if grouped { GROUPED_POSITIONS } else { BLOCK_POSITIONS };
    let per_row = shape.steps() * shape.width;
    let rows = (positions / per_row).clamp(1, shape.height);
    let whole = rows == shape.height;
    let images = if whole { (positions / (per_row * rows)).clamp(1, BLOCK_IMAGES) } else { 1 };
    (rows, images)
}

/// What a kernel computes for each position.
#[derive(Debug)]
struct Group {
    /// Arguments of the region that are slices of values.
    slices: HashMap<Value, Value>,
    /// Carried argument, its first value, and what it becomes.
    carries: Vec<(Value, f32, Value)>,
    /// The instructions.
    body: Vec<Inst>,
    /// Values of the body, and the values that they are stored as.
    stores: Vec<(Value, Value)>,
}

/// Lowers an instruction that stands alone.
pub fn single(lowering: &mut Lowering<'_>, inst: Inst) -> Result<(), LowerError> {
    let result = lowering.graph.inst(inst).results[0];
    let group = Group {
        slices: HashMap::new(),
        carries: Vec::new(),
        body: vec![inst],
        stores: vec![(result, result)],
    };
    lower(lowering, inst, &group)
}

/// Lowers a scan, and counts the spikes it makes.
pub fn scan(lowering: &mut Lowering<'_>, inst: Inst) -> Result<(), LowerError> {
    let graph = lowering.graph;
    let data = graph.inst(inst);
    let region = graph.region(data.region.ok_or_else(|| LowerError("a scan without a region".to_string()))?);
    let slices = region.slices();
    let group = Group {
        slices: region.args[..slices].iter().copied().zip(data.args.iter().copied()).collect(),
        carries: (0..region.init.len())
            .map(|i| (region.args[slices + i], region.init[i], region.next[i]))
            .collect(),
        body: region.body.clone(),
        stores: region.yields.iter().copied().zip(data.results.iter().copied()).collect(),
    };
    lower(lowering, inst, &group)?;
    for &(inner, outer) in &group.stores {
        let fired = graph.def_inst(inner).is_some_and(|i| matches!(graph.inst(i).op, Op::LifFire(_)));
        if fired {
            lowering.push_count(outer, false)?;
        }
    }
    Ok(())
}

fn lower(lowering: &mut Lowering<'_>, inst: Inst, group: &Group) -> Result<(), LowerError> {
    let graph = lowering.graph;
    let name = lowering.inst_name(inst);
    let mut draw = Draw::new();
    let (mut products, mut dense) = (Vec::new(), HashMap::new());
    for &inst in &group.body {
        if !MaskedConv::is(&graph.inst(inst).op) {
            continue;
        }
        match lowering.choices.of(inst)?.form {
            Form::Walk | Form::Shared | Form::Patterns | Form::Grouped => {
                products.push(MaskedConv::of(lowering, &mut draw, inst, &group.slices)?)
            }
            Form::Dense => {
                let (buffer, shape) = dense::of_spikes(lowering, inst, &group.slices)?;
                let view = View { slot: draw.read(buffer, SlotElem::F32), shape };
                dense.insert(graph.inst(inst).results[0], view);
            }
        }
    }
    let mut stores = Vec::new();
    if graph.inst(inst).region.is_none() && products.is_empty() {
        // Before the operands get their slots: one of them may be what is written.
        stores.push((group.stores[0].0, draw.write_over(lowering, inst, &graph.inst(inst).args)?));
    }
    let mut views = read_views(lowering, &mut draw, group)?;
    views.extend(dense);
    for &(inner, outer) in &group.stores[stores.len()..] {
        stores.push((inner, draw.write_view(lowering, outer)?));
    }
    let shape = stores[0].1.shape;
    let mut kernel = Body {
        scope: Scope { graph, views, rows: HashMap::new(), over: (shape.steps(), shape.positions()) },
        group,
        stores,
        shape,
        sums: BTreeMap::new(),
        error: None,
        neuron: None,
    };
    kernel.neuron = kernel.plain_neuron(&products);
    let tasks = if products.is_empty() {
        kernel.by_position(&mut draw.k)
    } else {
        kernel.by_block(&mut draw.k, &products)
    };
    if let Some(error) = kernel.error {
        return Err(error);
    }
    lowering.push_kernel(&name, draw, tasks);
    Ok(())
}

/// Views of all values from outside that the element-wise instructions of a group use.
fn read_views(
    lowering: &Lowering<'_>,
    draw: &mut Draw,
    group: &Group,
) -> Result<HashMap<Value, View>, LowerError> {
    let graph = lowering.graph;
    let made: Vec<Value> = group.body.iter().flat_map(|&i| graph.inst(i).results.clone()).collect();
    let carried: Vec<Value> = group.carries.iter().map(|c| c.0).collect();
    let mut views = HashMap::new();
    let mut used: Vec<Value> = Vec::new();
    for &inst in &group.body {
        let data = graph.inst(inst);
        if !MaskedConv::is(&data.op) {
            used.extend(&data.args);
        }
    }
    used.extend(group.stores.iter().map(|s| s.0).chain(group.carries.iter().map(|c| c.2)));
    for value in used {
        if made.contains(&value) || carried.contains(&value) || views.contains_key(&value) {
            continue;
        }
        let outer = group.slices.get(&value).copied().unwrap_or(value);
        views.insert(value, draw.read_view(lowering, outer)?);
    }
    Ok(views)
}

/// The kernel of a group while it is drawn.
struct Body<'g> {
    scope: Scope<'g>,
    group: &'g Group,
    stores: Vec<(Value, View)>,
    shape: Shape,
    /// Where the sums of a masked addition lie for the current row: slot and offset at timestep 0, and the
    /// distance of timesteps. In an order, so that a graph always gives the same kernel.
    sums: BTreeMap<Value, (crate::body::Slot, Index, usize)>,
    error: Option<LowerError>,
    /// The neuron that is all that stands beside products.
    neuron: Option<PlainNeuron>,
}

impl Body<'_> {
    fn plain_neuron(&self, products: &[MaskedConv]) -> Option<PlainNeuron> {
        let [(stored, view)] = &self.stores[..] else { return None };
        let group = self.group;
        let neuron = PlainNeuron::of(self.scope.graph, &group.body, &group.carries, *stored)?;
        let is_product = |value: &Value| products.iter().any(|product| product.result == *value);
        let is_alike =
            |value: &Value| self.scope.views.get(value).is_some_and(|view| is_alike(view, &self.shape));
        let all = neuron.currents.iter().all(|value| is_product(value) || is_alike(value));
        (all && view.shape.bits).then_some(neuron)
    }

    /// The neurons of some positions of a wide tile; products have their sums in scratch memory.
    fn fire(
        &self,
        k: &mut Builder,
        neuron: &PlainNeuron,
        (b, p, count): (&Index, &Index, Index),
        tile: &WideTile,
        sums: impl Fn(Value) -> Option<(Run, Index)>,
    ) {
        let current = |&value: &Value| match sums(value) {
            Some((run, time)) => (Current::Numbers, run, time),
            None => {
                let view = &self.scope.views[&value];
                let (run, time) = over_time(view, b, p, tile);
                (if view.shape.bits { Current::Bits } else { Current::Numbers }, run, time)
            }
        };
        let currents = neuron.currents.iter().map(current).collect();
        let spikes = over_time(&self.stores[0].1, b, p, tile);
        k.fire(neuron.draw((count, self.shape.steps()), tile.n, currents, spikes));
    }

    /// Tasks over ranges of positions.
    fn by_position(&mut self, k: &mut Builder) -> Tasks {
        let shape = self.shape;
        let chunks = Chunks::of(&shape, Chunks::ELEMENTS);
        let (b, first, end) = chunks.of_task(k, &shape);
        if let Some(neuron) = &self.neuron {
            let count = k.index("count", end - &first);
            each_wide_tile(k, shape.channels, |k, tile| {
                self.fire(k, neuron, (&b, &first, count.clone()), &tile, |_| None);
            });
            return chunks.tasks(&shape);
        }
        k.for_range("p", &first, end, |k, p| {
            each_tile(k, shape.channels, |k, tile| self.through_time(k, &b, &p, &tile));
        });
        chunks.tasks(&shape)
    }

    /// Tasks over blocks of images and rows, and tiles.
    fn by_block(&mut self, k: &mut Builder, products: &[MaskedConv]) -> Tasks {
        let shape = self.shape;
        let steps = shape.steps();
        let grouped = products.iter().any(|product| product.form == Form::Grouped);
        let (rows, images) = block_size(&shape, grouped);
        let table = grouped.then(|| k.scratch("table", TABLE));
        let blocks = shape.height.div_ceil(rows);
        let (tiles, lanes) = (shape.wide_tiles(), shape.sums());
        let group = k.index("group", Index::Task.quotient(blocks * tiles) * images);
        let rest = k.index("rest", Index::Task.remainder(blocks * tiles));
        let tile_index = k.index("tile", rest.quotient(blocks));
        let y0 = k.index("y0", rest.remainder(blocks) * rows);
        let y1 = k.index("y1", (&y0 + rows).min(shape.height));
        let count = k.index("images", (Index::Batch - &group).min(images));
        let block = Block { steps, images, rows, width: shape.width, lanes, first: group, count, y0, y1 };
        let rooms: Vec<_> =
            products.iter().map(|product| product.room(k, table, &block, shape.channels)).collect();
        one_wide_tile(k, &tile_index, shape.channels, |k, tile| {
            for (product, room) in products.iter().zip(&rooms) {
                product.accumulate(k, room, &block, &tile);
            }
            if let Some(neuron) = &self.neuron {
                k.for_range("image", 0, &block.count, |k, image| {
                    k.for_range("y", &block.y0, &block.y1, |k, y| {
                        let at =
                            k.index("sums", block.sum_at(&Index::Const(0), &image, &y, &Index::Const(0)));
                        let (b, p) = (&block.first + &image, &y * shape.width);
                        self.fire(k, neuron, (&b, &p, shape.width.into()), &tile, |value| {
                            let of =
                                products.iter().zip(&rooms).find(|(product, _)| product.result == value)?;
                            let run = Run { slot: of.1.sums, at: at.clone(), step: lanes as i64 };
                            Some((run, block.time_stride().into()))
                        });
                    });
                });
                return;
            }
            k.for_range("image", 0, &block.count, |k, image| {
                k.for_range("y", &block.y0, &block.y1, |k, y| {
                    k.for_range("x", 0, shape.width, |k, x| {
                        let at = k.index("sums", block.sum_at(&Index::Const(0), &image, &y, &x));
                        let b = &block.first + &image;
                        tile.each_part(k, |k, part, lane| {
                            for (product, room) in products.iter().zip(&rooms) {
                                let sums = (room.sums, &at + lane, block.time_stride());
                                self.sums.insert(product.result, sums);
                            }
                            self.through_time(k, &b, &(&y * shape.width + &x), &part);
                        });
                    });
                });
            });
        });
        Tasks::per_samples(images, blocks * tiles)
    }

    /// One row of channels of one position, through all timesteps.
    fn through_time(&mut self, k: &mut Builder, b: &Index, p: &Index, tile: &Tile) {
        let n = tile.n;
        let carries: Vec<Reg> =
            self.group.carries.iter().map(|c| k.row("v", n, Row::constant(c.1, n))).collect();
        k.for_range("t", 0, self.shape.steps(), |k, t| {
            let frame = Frame { t, b: b.clone(), p: p.clone(), tile: tile.clone() };
            self.scope.rows.clear();
            for (&reg, carry) in carries.iter().zip(&self.group.carries) {
                self.scope.rows.insert(carry.0, Val::Row(reg));
            }
            for (&value, (slot, at, stride)) in &self.sums {
                let sum = k.row("sum", n, load(*slot, at + &frame.t * *stride, n));
                self.scope.rows.insert(value, Val::Row(sum));
            }
            self.emit_body(k, &frame);
            let next: Vec<Row> = self.group.carries.iter().map(|c| self.scope.row(c.2, &frame)).collect();
            for (&reg, row) in carries.iter().zip(next) {
                k.set(reg, row);
            }
        });
    }

    fn emit_body(&mut self, k: &mut Builder, frame: &Frame) {
        for &inst in &self.group.body {
            if MaskedConv::is(&self.scope.graph.inst(inst).op) {
                continue;
            }
            if let Err(error) = self.scope.emit(k, inst, frame) {
                self.error.get_or_insert(error);
            }
        }
        for (inner, view) in &self.stores {
            if view.shape.bits {
                let mask: Mask = self.scope.mask(*inner, frame);
                view.store_mask(k, frame, mask);
            } else {
                view.store_row(k, frame, self.scope.row(*inner, frame));
            }
        }
    }
}
