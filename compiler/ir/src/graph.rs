//! A graph: values, instructions in an order in which operands precede users, and scans with their regions.
//!
//! ```text
//! graph @proj2 stage=logical mode=infer {
//!   param %w : f32[Co128 Ci64 Kh3 Kw3] weight
//!   input %x : spike[T4 B C64 H16 W16]
//!   %conv : f32[T4 B C128 H16 W16] = conv2d %x, %w {stride=1, pad=1}
//!   %lif : spike[T4 B C128 H16 W16] = lif %conv {…}
//!   output %lif
//! }
//! ```
//!
//! Forward and backward stand in one body: what the forward pass saves is what lives across, so lifetimes
//! are the whole truth about memory.

use crate::entity::{Inst, Region, Value};
use crate::op::Op;
use crate::types::Type;
use std::collections::HashSet;

mod uses;

/// How far a graph is lowered; a pass says which stage it needs and which it leaves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// As the model says it; axes `[T B C H W]`.
    Logical,
    /// Products with binary operands are masked additions.
    Masked,
    /// Neurons are scans over time.
    Fused,
    /// Spikes are bits, channels are the innermost axis, weights are laid out for their kernels.
    Packed,
}

/// What a graph is compiled for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Forward, running statistics.
    Infer,
    /// Forward with batch statistics, loss, and the gradient of every trainable parameter.
    Train,
}

/// What a parameter is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParamKind {
    /// A convolution's or a matrix product's weight.
    Weight,
    /// A bias of a product.
    Bias,
    /// A norm's gain.
    Gain,
    /// A norm's bias.
    Shift,
    /// A norm's running mean: not trained.
    RunningMean,
    /// A norm's running variance: not trained.
    RunningVar,
    /// The number behind a learned constant of a neuron.
    Neuron,
}

impl ParamKind {
    /// Whether the optimiser changes it.
    pub fn is_trained(self) -> bool {
        !matches!(self, ParamKind::RunningMean | ParamKind::RunningVar)
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Def {
    /// A parameter.
    Param(ParamKind),
    /// An input of the graph.
    Input,
    /// The n-th result of an instruction.
    Result(Inst, usize),
    /// The n-th argument of a region.
    Arg(Region, usize),
}

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub struct ValueData {
    /// The name, unique in the graph: that of the layer, `stem.conv`.
    pub name: String,
    /// The type.
    pub ty: Type,
    /// The origin.
    pub def: Def,
    /// The first value of a parameter, where it is another than its kind begins with.
    pub init: Option<f32>,
}

/// An instruction.
#[derive(Clone, PartialEq, Debug)]
pub struct InstData {
    /// The operation.
    pub op: Op,
    /// The operands.
    pub args: Vec<Value>,
    /// The results.
    pub results: Vec<Value>,
    /// The body, of a scan.
    pub region: Option<Region>,
}

/// The body of a scan over the outermost axis T.
///
/// ```text
/// %s : spike[T4 …] = scan t in T4 slice (%x.t : f32[…] = %x) carry (%v : f32[…] = 0) {
///   %h   : f32[…]   = lif.charge %v, %x.t {…}
///   %s.t : spike[…] = lif.fire %h {…}
///   %v.n : f32[…]   = lif.reset %h, %s.t {…}
///   yield %s.t carry %v.n
/// }
/// ```
///
/// The operands of the scan are the sliced values; the first region arguments are their slices, the further
/// ones the carried values, each starting at a constant. Other values of the graph may be used inside: they
/// are the same at every timestep. Results of the scan are the yielded values stacked over T.
#[derive(Clone, PartialEq, Debug)]
pub struct RegionData {
    /// Timesteps.
    pub steps: usize,
    /// Slices, then carried values.
    pub args: Vec<Value>,
    /// Initial constant of each carried value.
    pub init: Vec<f32>,
    /// Instructions in order.
    pub body: Vec<Inst>,
    /// One per result of the scan.
    pub yields: Vec<Value>,
    /// The next value of each carried value.
    pub next: Vec<Value>,
}

impl RegionData {
    /// How many of the arguments are slices.
    pub fn slices(&self) -> usize {
        self.args.len() - self.init.len()
    }
}

/// A tensor program.
#[derive(Clone, PartialEq, Debug)]
pub struct Graph {
    /// The network's name.
    pub name: String,
    /// How far it is lowered.
    pub stage: Stage,
    /// What it is compiled for.
    pub mode: Mode,
    values: Vec<ValueData>,
    insts: Vec<InstData>,
    regions: Vec<RegionData>,
    /// Parameters in the order of the model.
    pub params: Vec<Value>,
    /// Inputs: the image first, the labels second where there are any.
    pub inputs: Vec<Value>,
    /// Instructions in order.
    pub body: Vec<Inst>,
    /// Outputs: logits; in training also the loss, last.
    pub outputs: Vec<Value>,
    /// Gradients: parameter (or input) and the value that holds its gradient.
    pub grads: Vec<(Value, Value)>,
    /// State that changes at the end of a step: parameter and its next value.
    pub updates: Vec<(Value, Value)>,
    names: HashSet<String>,
}

impl Graph {
    /// An empty graph.
    pub fn new(name: &str, mode: Mode) -> Graph {
        Graph {
            name: name.to_string(),
            stage: Stage::Logical,
            mode,
            values: Vec::new(),
            insts: Vec::new(),
            regions: Vec::new(),
            params: Vec::new(),
            inputs: Vec::new(),
            body: Vec::new(),
            outputs: Vec::new(),
            grads: Vec::new(),
            updates: Vec::new(),
            names: HashSet::new(),
        }
    }

    /// A name not yet in use: `base`, or `base.2`, `base.3`, …
    fn unique(&mut self, base: &str) -> String {
        let mut name = base.to_string();
        let mut n = 1;
        while !self.names.insert(name.clone()) {
            n += 1;
            name = format!("{base}.{n}");
        }
        name
    }

    /// A new value; the caller links it to its origin.
    fn new_value(&mut self, name: &str, ty: Type, def: Def) -> Value {
        let value = Value(u32::try_from(self.values.len()).expect("fewer than 2³² values"));
        let name = self.unique(name);
        self.values.push(ValueData { name, ty, def, init: None });
        value
    }

    /// Adds a parameter.
    pub fn add_param(&mut self, name: &str, ty: Type, kind: ParamKind) -> Value {
        let value = self.new_value(name, ty, Def::Param(kind));
        self.params.push(value);
        value
    }

    /// Adds an input.
    pub fn add_input(&mut self, name: &str, ty: Type) -> Value {
        let value = self.new_value(name, ty, Def::Input);
        self.inputs.push(value);
        value
    }

    /// Makes an instruction without placing it; put its `Inst` into a body.
    pub fn make_inst(&mut self, op: Op, args: &[Value], results: &[(&str, Type)]) -> Inst {
        let inst = Inst(u32::try_from(self.insts.len()).expect("fewer than 2³² instructions"));
        self.insts.push(InstData { op, args: args.to_vec(), results: Vec::new(), region: None });
        for (n, (name, ty)) in results.iter().enumerate() {
            let value = self.new_value(name, ty.clone(), Def::Result(inst, n));
            self.insts[inst.index()].results.push(value);
        }
        inst
    }

    /// Appends an instruction of one result to the body.
    pub fn push(&mut self, name: &str, op: Op, args: &[Value], ty: Type) -> Value {
        self.push_many(op, args, &[(name, ty)])[0]
    }

    /// Appends an instruction to the body.
    pub fn push_many(&mut self, op: Op, args: &[Value], results: &[(&str, Type)]) -> Vec<Value> {
        let inst = self.make_inst(op, args, results);
        self.body.push(inst);
        self.inst(inst).results.clone()
    }

    /// A new empty region over `steps` timesteps; arguments are added with [`Graph::add_arg`].
    pub fn new_region(&mut self, steps: usize) -> Region {
        let region = Region(u32::try_from(self.regions.len()).expect("fewer than 2³² regions"));
        self.regions.push(RegionData {
            steps,
            args: Vec::new(),
            init: Vec::new(),
            body: Vec::new(),
            yields: Vec::new(),
            next: Vec::new(),
        });
        region
    }

    /// Adds an argument to a region: a slice (`init` is `None`; slices come first) or a carried value.
    pub fn add_arg(&mut self, region: Region, name: &str, ty: Type, init: Option<f32>) -> Value {
        let data = &self.regions[region.index()];
        let at = if init.is_some() { data.args.len() } else { data.slices() };
        let value = self.new_value(name, ty, Def::Arg(region, at));
        let data = &mut self.regions[region.index()];
        data.args.insert(at, value);
        data.init.extend(init);
        for (n, arg) in self.regions[region.index()].args.clone().into_iter().enumerate() {
            self.values[arg.index()].def = Def::Arg(region, n);
        }
        value
    }

    /// Removes the n-th argument of a region, with its initial constant when it is carried; nothing may use it.
    /// The scan's operand and the carried value's next one are the caller's.
    pub fn remove_arg(&mut self, region: Region, n: usize) {
        let data = &mut self.regions[region.index()];
        let slices = data.slices();
        data.args.remove(n);
        if n >= slices {
            data.init.remove(n - slices);
        }
        for (n, arg) in self.regions[region.index()].args.clone().into_iter().enumerate() {
            self.values[arg.index()].def = Def::Arg(region, n);
        }
    }

    /// Gives an instruction another operation, operands and region; its results stay.
    pub fn replace_inst(&mut self, inst: Inst, op: Op, args: &[Value], region: Option<Region>) {
        let data = &mut self.insts[inst.index()];
        data.op = op;
        data.args = args.to_vec();
        data.region = region;
    }

    /// Adds a further result to an instruction.
    pub fn add_result(&mut self, inst: Inst, name: &str, ty: Type) -> Value {
        let n = self.insts[inst.index()].results.len();
        let value = self.new_value(name, ty, Def::Result(inst, n));
        self.insts[inst.index()].results.push(value);
        value
    }

    /// Removes the n-th result of an instruction; nothing may use it.
    pub fn remove_result(&mut self, inst: Inst, n: usize) {
        self.insts[inst.index()].results.remove(n);
        for (i, value) in self.insts[inst.index()].results.clone().into_iter().enumerate() {
            self.values[value.index()].def = Def::Result(inst, i);
        }
    }

    /// A value.
    pub fn value(&self, value: Value) -> &ValueData {
        &self.values[value.index()]
    }

    /// A value's type.
    pub fn ty(&self, value: Value) -> &Type {
        &self.values[value.index()].ty
    }

    /// A value's name.
    pub fn name(&self, value: Value) -> &str {
        &self.values[value.index()].name
    }

    /// Gives a value another type.
    pub fn set_type(&mut self, value: Value, ty: Type) {
        self.values[value.index()].ty = ty;
    }

    /// Says what a parameter begins with.
    pub fn set_init(&mut self, param: Value, init: f32) {
        self.values[param.index()].init = Some(init);
    }

    /// An instruction.
    pub fn inst(&self, inst: Inst) -> &InstData {
        &self.insts[inst.index()]
    }

    /// An instruction, to change.
    pub fn inst_mut(&mut self, inst: Inst) -> &mut InstData {
        &mut self.insts[inst.index()]
    }

    /// A region.
    pub fn region(&self, region: Region) -> &RegionData {
        &self.regions[region.index()]
    }

    /// A region, to change.
    pub fn region_mut(&mut self, region: Region) -> &mut RegionData {
        &mut self.regions[region.index()]
    }

    /// The instruction that makes a value, if one does.
    pub fn def_inst(&self, value: Value) -> Option<Inst> {
        match self.value(value).def {
            Def::Result(inst, _) => Some(inst),
            Def::Param(_) | Def::Input | Def::Arg(..) => None,
        }
    }

    /// How many values there are; side tables have this length.
    pub fn value_count(&self) -> usize {
        self.values.len()
    }

    /// How many instructions were made, those no longer in a body included.
    pub fn inst_count(&self) -> usize {
        self.insts.len()
    }

    /// How many regions were made, those no longer of a scan included.
    pub fn region_count(&self) -> usize {
        self.regions.len()
    }
}
