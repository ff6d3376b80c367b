//! From a packed graph to a plan and its kernels.
//!
//! ```text
//! %conv : f32[T4 B H8 W8 C64] = conv2d.masked_add %x, %w.r {…}     ->  kernel stem2.conv (x, w, y) tasks 2 per 1 samples
//! %y    : f32[T4 B C256]      = linear %x, %w                        ->  dense linear (x, w -> y)
//! ```
//!
//! Each value gets a buffer; each instruction one kernel, two (a reduction over the batch: partial sums of
//! each image, then their sum in a fixed order), or a dense step. What depends on parameters alone goes to
//! `prepare`; what follows the loss is the backward pass.

mod attention;
mod choice;
mod conv;
mod dense;
mod emit;
mod expected;
mod fire;
mod grad_groups;
mod grad_input;
mod grad_sums;
mod grad_taps;
mod grad_weight;
mod group;
mod in_place;
mod late;
mod linear;
mod loss;
mod mask;
mod neuron;
mod norm;
mod patterns;
mod pool;
mod reduce;
mod shape;
mod shared;
mod taps;
mod time;
mod view;
mod windows;

use choice::Choices;
pub use choice::{Product, check_forms};

use crate::assign_buffers::{Special, assign};
use crate::body::{Kernel, Slot, SlotElem};
use crate::build::Builder;
use crate::form::Forms;
use snnc_ir::{Def, Elem, Graph, Inst, Mode, Op, ParamKind, Stage, Type, Value};
use snnc_plan::{
    Activities, BufferId, ElemKind, InputSpec, KernelInfo, KernelStep, ParamRole, ParamSpec, Plan, PlanMode,
    Probe, Recipe, Step, Tap, Tasks,
};
use std::collections::HashMap;
use std::fmt;
use view::{Shape, View};

/// A graph that cannot be lowered: a bug in the passes before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LowerError(pub String);

impl fmt::Display for LowerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot lower: {}", self.0)
    }
}

impl std::error::Error for LowerError {}

/// A buffer before it has a place.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub name: String,
    pub elem: ElemKind,
    /// Bytes for one sample, or in all where it is not batched.
    pub bytes: usize,
    pub batched: bool,
    /// The buffer that it is a part of, and at which byte of it for one sample.
    pub part_of: Option<(BufferId, usize)>,
}

/// What a graph is lowered for.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Settings {
    /// What neurons are expected to do: products with spikes are chosen and laid out for it.
    pub activities: Activities,
    /// The forms of products with spikes that are asked for.
    pub forms: Forms,
    /// Whether the plan has [`Plan::taps`], and what they read lives to the end of a step.
    pub taps: bool,
    /// Whether gradients are handed over within the backward pass ([`Step::Update`]) and not kept, and weights are laid out
    /// just before they are read: the memory of both is then that of a layer, not of all.
    pub hands_gradients: bool,
    /// The samples for which buffers are placed; those of the recipe where it is not given. Right at any number.
    pub batch: Option<usize>,
}

/// A lowered graph.
#[derive(Debug)]
pub struct Lowered {
    /// The plan.
    pub plan: Plan,
    /// Its kernels.
    pub kernels: Vec<Kernel>,
    /// The products with spikes, and how they are done.
    pub products: Vec<Product>,
}

/// Lowers a packed graph; `recipe` is handed through to the plan.
///
/// # Errors
/// A graph that the passes do not make.
pub fn lower(graph: &Graph, recipe: Recipe, settings: &Settings) -> Result<Lowered, LowerError> {
    if graph.stage != Stage::Packed {
        return Err(LowerError(format!("the graph is at stage {:?}, not Packed", graph.stage)));
    }
    let mut lowering = Lowering::new(graph, choice::choose(graph, settings)?, settings.taps);
    lowering.hands_gradients = settings.hands_gradients && graph.mode == Mode::Train;
    for &value in graph.params.iter().chain(&graph.inputs) {
        lowering.add_value(value)?;
    }
    let mut sections = lowering.sections();
    if lowering.hands_gradients {
        lowering.late = late::Late::of(graph, &std::mem::take(&mut sections[PREPARE]));
    }
    lowering.sums = grad_sums::Together::of(graph, &mut sections[BACKWARD], &mut lowering.uses);
    for (section, insts) in sections.into_iter().enumerate() {
        lowering.section = section;
        for inst in insts {
            lowering.make_read(inst)?;
            lowering.lower_inst(inst)?;
        }
    }
    lowering.make_results()?;
    let taps = if settings.taps { taps::taps(&lowering)? } else { Vec::new() };
    let batch = settings.batch.unwrap_or(recipe.batch);
    lowering.finish(recipe, taps, batch)
}

/// The state of lowering a graph.
pub(crate) struct Lowering<'g> {
    pub graph: &'g Graph,
    drafts: Vec<Draft>,
    buffer_of: HashMap<Value, BufferId>,
    kernels: Vec<Kernel>,
    known: HashMap<Kernel, usize>,
    steps: [Vec<Step>; 3],
    section: usize,
    probes: Vec<Probe>,
    /// When values are read for the last time.
    uses: in_place::Uses,
    /// What is made of parameters alone, where it is made just before it is read.
    late: late::Late,
    hands_gradients: bool,
    /// The sums of norms that gradients of neurons make.
    sums: grad_sums::Together,
    /// How products with spikes are done.
    pub choices: Choices,
}

const PREPARE: usize = 0;
const FORWARD: usize = 1;
const BACKWARD: usize = 2;

impl<'g> Lowering<'g> {
    fn new(graph: &'g Graph, choices: Choices, taps: bool) -> Lowering<'g> {
        Lowering {
            graph,
            drafts: Vec::new(),
            buffer_of: HashMap::new(),
            kernels: Vec::new(),
            known: HashMap::new(),
            steps: [Vec::new(), Vec::new(), Vec::new()],
            section: PREPARE,
            probes: Vec::new(),
            uses: in_place::Uses::of(graph, taps),
            late: late::Late::default(),
            hands_gradients: false,
            sums: grad_sums::Together::default(),
            choices,
        }
    }

    /// Instructions of the three sections: parameters alone, up to the loss, after it.
    fn sections(&self) -> [Vec<Inst>; 3] {
        let graph = self.graph;
        let mut of_params = vec![false; graph.value_count()];
        for &param in &graph.params {
            of_params[param.index()] = true;
        }
        let loss = match graph.mode {
            Mode::Train => graph.outputs.last().and_then(|&loss| graph.def_inst(loss)),
            Mode::Infer => None,
        };
        let mut sections = [Vec::new(), Vec::new(), Vec::new()];
        let mut section = FORWARD;
        for &inst in &graph.body {
            let data = graph.inst(inst);
            if data.region.is_none() && data.args.iter().all(|arg| of_params[arg.index()]) {
                data.results.iter().for_each(|result| of_params[result.index()] = true);
                sections[PREPARE].push(inst);
                continue;
            }
            sections[section].push(inst);
            if Some(inst) == loss {
                section = BACKWARD;
            }
        }
        sections
    }

    /// Bytes of a value: for one sample where it is batched.
    fn bytes(ty: &Type) -> Result<usize, LowerError> {
        if ty.elem == Elem::Bits {
            let shape = Shape::of(ty)?;
            return Ok(shape.steps() * shape.positions() * shape.stride() * 4);
        }
        Ok(ty.elements_per_sample() * 4)
    }

    /// Gives a value a buffer of its own.
    pub fn add_value(&mut self, value: Value) -> Result<BufferId, LowerError> {
        let ty = self.graph.ty(value);
        let labels = ty.elem == Elem::I32 && self.graph.value(value).def == Def::Input;
        let elem = match ty.elem {
            Elem::Bits => ElemKind::Bits,
            Elem::I32 if labels => ElemKind::I32,
            Elem::F32 | Elem::I32 | Elem::Spike => ElemKind::F32,
        };
        let bytes = Lowering::bytes(ty)?;
        let id = self.add_draft(self.graph.name(value), elem, bytes, ty.is_batched());
        self.buffer_of.insert(value, id);
        Ok(id)
    }

    /// A buffer for values that no name stands for.
    pub fn add_draft(&mut self, name: &str, elem: ElemKind, bytes: usize, batched: bool) -> BufferId {
        self.drafts.push(Draft { name: name.to_string(), elem, bytes, batched, part_of: None });
        BufferId(self.drafts.len() as u32 - 1)
    }

    /// Lets a value be a part of a batched one's memory, from a byte of each sample on.
    pub fn add_part(&mut self, value: Value, of: Value, at: usize) -> Result<(), LowerError> {
        let whole = self.buffer(of)?;
        // A part of a part is one of the whole.
        let (whole, at) =
            self.drafts[whole.index()].part_of.map_or((whole, at), |(of, from)| (of, from + at));
        let id = self.add_value(value)?;
        self.drafts[id.index()].part_of = Some((whole, at));
        Ok(())
    }

    /// The buffer of a value that has one.
    pub fn buffer(&self, value: Value) -> Result<BufferId, LowerError> {
        let missing = || LowerError(format!("%{} is used before it has a buffer", self.graph.name(value)));
        self.buffer_of.get(&value).copied().ok_or_else(missing)
    }

    /// Lets a value share the buffer of another: the same elements in the same order.
    pub fn alias(&mut self, value: Value, of: Value) -> Result<(), LowerError> {
        let buffer = self.buffer(of)?;
        self.buffer_of.insert(value, buffer);
        Ok(())
    }

    /// The name of an instruction: that of its first result.
    pub fn inst_name(&self, inst: Inst) -> String {
        self.graph.inst(inst).results.first().map_or_else(String::new, |&v| self.graph.name(v).to_string())
    }

    /// Does what belongs to the parameters alone, wherever it is met.
    pub fn in_prepare<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        let own = if self.hands_gradients { self.section } else { PREPARE };
        let section = std::mem::replace(&mut self.section, own);
        let made = body(self);
        self.section = section;
        made
    }

    /// Appends a step.
    pub fn push_step(&mut self, step: Step) {
        self.steps[self.section].push(step);
    }

    /// Appends a kernel step; a kernel equal to an earlier one but for its name is not made twice.
    pub fn push_kernel(&mut self, name: &str, draft: Draw, tasks: Tasks) {
        let mut kernel = draft.k.finish();
        kernel.name = String::new();
        let kernels = &mut self.kernels;
        let index = *self.known.entry(kernel.clone()).or_insert_with(|| {
            kernels.push(Kernel { name: name.to_string(), ..kernel });
            kernels.len() - 1
        });
        self.push_step(Step::Kernel(KernelStep {
            kernel: index,
            name: name.to_string(),
            args: draft.args,
            tasks,
        }));
    }

    /// Appends a step that counts the spikes of a value of bits.
    pub fn push_count(&mut self, value: Value, pooled: bool) -> Result<(), LowerError> {
        let shape = Shape::of(self.graph.ty(value))?;
        self.probes.push(Probe {
            layer: self.graph.name(value).to_string(),
            neurons: shape.positions() * shape.channels,
            words: shape.positions() * shape.channels.div_ceil(64),
            steps: shape.steps(),
            pooled,
        });
        let step = Step::Count { probe: self.probes.len() - 1, buffer: self.buffer(value)? };
        self.push_step(step);
        Ok(())
    }

    fn lower_inst(&mut self, inst: Inst) -> Result<(), LowerError> {
        let op = &self.graph.inst(inst).op;
        match op {
            Op::Conv2d(attrs) => conv::dense(self, inst, *attrs),
            Op::Conv2dGradInput(attrs) => conv::dense_grad_input(self, inst, *attrs),
            Op::Conv2dSampledGradInput(attrs) => grad_input::sampled(self, inst, *attrs),
            Op::Conv2dGradWeight(attrs) => conv::dense_grad_weight(self, inst, *attrs),
            Op::Conv2dMaskedGradWeight(attrs) => grad_weight::masked(self, inst, *attrs),
            Op::Linear => linear::dense(self, inst),
            Op::LinearGradInput => linear::dense_grad_input(self, inst),
            Op::LinearGradWeight => linear::dense_grad_weight(self, inst),
            Op::LinearMaskedGradWeight => grad_weight::masked(self, inst, linear::AS_CONV),
            Op::BnStats(attrs) => norm::stats(self, inst, *attrs),
            Op::BnGradSums if self.sums.has(inst) => Ok(()),
            Op::BnGradSums => grad_sums::alone(self, inst),
            Op::FoldWeight(attrs) => norm::fold_weight(self, inst, *attrs),
            Op::FoldBias(attrs) => norm::fold_bias(self, inst, *attrs),
            Op::StepScaleGrad => norm::step_scale_grad(self, inst),
            Op::LifGrad(lif) => neuron::grad(self, inst, lif),
            Op::MaxPool(pool) => pool::max(self, inst, *pool),
            Op::MaxPoolGrad(pool) => pool::max_grad(self, inst, *pool),
            Op::AvgPool(pool) => pool::average(self, inst, *pool),
            Op::AvgPoolGrad(pool) => pool::average_grad(self, inst, *pool),
            Op::Sum(_) | Op::Mean(_) => reduce::sum(self, inst),
            Op::CrossEntropy(smoothing) => loss::cross_entropy(self, inst, *smoothing),
            Op::CrossEntropyGrad(smoothing) => loss::cross_entropy_grad(self, inst, *smoothing),
            Op::Penalty(measure) => loss::penalty(self, inst, *measure),
            Op::PenaltyGrad(measure) => loss::penalty_grad(self, inst, *measure),
            Op::Flatten | Op::Unflatten => shape::flatten(self, inst),
            Op::Relayout => shape::relayout(self, inst),
            Op::Attention(attributes) => attention::forward(self, inst, attributes),
            Op::AttentionGrad(attributes) => attention::grad(self, inst, attributes),
            Op::Mask | Op::MaskNot => mask::mask(self, inst),
            Op::ChannelSum(groups) => mask::channel_sum(self, inst, *groups),
            Op::ChannelSpread => mask::channel_spread(self, inst),
            Op::Piece(piece) => time::piece(self, inst, *piece),
            Op::Join => time::join(self, inst),
            Op::Scan => group::scan(self, inst),
            Op::Conv2dMaskedAdd(_)
            | Op::LinearMaskedAdd
            | Op::BatchNorm(_)
            | Op::BnApply(_)
            | Op::BnGradInput(..)
            | Op::StepScale
            | Op::NeuronConstant(_)
            | Op::NeuronConstantGrad(_)
            | Op::Broadcast
            | Op::Pack
            | Op::Unpack
            | Op::Add
            | Op::Scale(_) => group::single(self, inst),
            Op::Lif(_) | Op::LifCharge(_) | Op::LifFire(_) | Op::LifWindow(_) | Op::LifReset(_) => {
                Err(LowerError(format!("`{}` stands outside a scan", op.info().mnemonic)))
            }
        }
    }

    fn finish(mut self, recipe: Recipe, taps: Vec<Tap>, batch: usize) -> Result<Lowered, LowerError> {
        let graph = self.graph;
        let (logits, loss) = match (graph.mode, graph.outputs.as_slice()) {
            (Mode::Infer, &[logits]) => (logits, None),
            (Mode::Train, &[logits, loss]) => (logits, Some(self.buffer(loss)?)),
            (_, outputs) => return Err(LowerError(format!("{} outputs", outputs.len()))),
        };
        let params = graph.params.iter().map(|&p| self.param_spec(p)).collect::<Result<Vec<_>, _>>()?;
        let inputs = graph.inputs.iter().map(|&i| self.input_spec(i)).collect::<Result<Vec<_>, _>>()?;
        let mut results: Vec<BufferId> = vec![self.buffer(logits)?];
        results.extend(loss);
        if self.hands_gradients {
            late::hand_over(&params, &mut self.steps[BACKWARD]);
        } else {
            results.extend(params.iter().filter_map(|spec| spec.grad));
        }
        results.extend(params.iter().filter_map(|spec| spec.update));
        results.extend(taps.iter().map(|tap| tap.buffer));
        let special = Special {
            given: params.iter().map(|spec| spec.buffer).chain(inputs.iter().map(|i| i.buffer)).collect(),
            results,
            keeps_prepared: graph.mode == Mode::Infer,
        };
        let drafts = std::mem::take(&mut self.drafts);
        let (buffers, arena) = assign(&drafts, &self.steps, &special, batch);
        let kernels_info = self
            .kernels
            .iter()
            .map(|k| KernelInfo { name: k.name.clone(), scratch: k.scratch_bytes() })
            .collect();
        let logits_buffer = self.buffer(logits)?;
        let [prepare, forward, backward] = std::mem::take(&mut self.steps);
        let regions = graph.body.iter().filter_map(|&inst| graph.inst(inst).region);
        let timesteps = regions.map(|region| graph.region(region).steps).max().unwrap_or(1);
        let plan = Plan {
            name: graph.name.clone(),
            mode: match graph.mode {
                Mode::Infer => PlanMode::Infer,
                Mode::Train => PlanMode::Train,
            },
            timesteps,
            classes: Shape::of(graph.ty(logits))?.channels,
            params,
            inputs,
            logits: logits_buffer,
            loss,
            buffers,
            arena,
            kernels: kernels_info,
            prepare,
            forward,
            backward,
            probes: self.probes,
            taps,
            recipe,
        };
        plan.check().map_err(|e| LowerError(e.to_string()))?;
        Ok(Lowered { plan, kernels: self.kernels, products: self.choices.products })
    }

    fn param_spec(&self, param: Value) -> Result<ParamSpec, LowerError> {
        let graph = self.graph;
        let Def::Param(kind) = graph.value(param).def else {
            return Err(LowerError(format!("%{} is listed as a parameter", graph.name(param))));
        };
        let role = match kind {
            ParamKind::Weight => ParamRole::Weight,
            ParamKind::Bias => ParamRole::Bias,
            ParamKind::Gain => ParamRole::Gain,
            ParamKind::Shift => ParamRole::Shift,
            ParamKind::RunningMean => ParamRole::RunningMean,
            ParamKind::RunningVar => ParamRole::RunningVar,
            ParamKind::Neuron => ParamRole::Neuron,
        };
        let shape = graph.ty(param).dims(1);
        let weight =
            graph.name(param).strip_suffix(".bias").and_then(|path| graph.find(&format!("{path}.weight")));
        let of = match role {
            ParamRole::Bias => weight.map_or_else(|| shape.clone(), |weight| graph.ty(weight).dims(1)),
            ParamRole::Weight
            | ParamRole::Gain
            | ParamRole::Shift
            | ParamRole::RunningMean
            | ParamRole::RunningVar
            | ParamRole::Neuron => shape.clone(),
        };
        let find =
            |list: &[(Value, Value)]| list.iter().find(|(p, _)| *p == param).map(|(_, v)| self.buffer(*v));
        Ok(ParamSpec {
            name: graph.name(param).to_string(),
            fan_in: of.iter().skip(1).product(),
            shape,
            role,
            init: graph.value(param).init,
            buffer: self.buffer(param)?,
            grad: find(&graph.grads).transpose()?,
            update: find(&graph.updates).transpose()?,
        })
    }

    fn input_spec(&self, input: Value) -> Result<InputSpec, LowerError> {
        let ty = self.graph.ty(input);
        Ok(InputSpec {
            name: self.graph.name(input).to_string(),
            shape: ty.axes.iter().filter_map(|axis| axis.extent).collect(),
            has_time: ty.has(snnc_ir::AxisName::T),
            spikes: ty.elem == Elem::Spike,
            encoder: None,
            buffer: self.buffer(input)?,
        })
    }
}

/// A kernel being drawn: its builder, and the buffers that its arguments stand for.
pub(crate) struct Draw {
    pub k: Builder,
    args: Vec<BufferId>,
    reads: HashMap<BufferId, Slot>,
}

impl Draw {
    pub fn new() -> Draw {
        Draw { k: Builder::new(""), args: Vec::new(), reads: HashMap::new() }
    }

    /// A slot to read a buffer; the same slot for the same buffer.
    pub fn read(&mut self, buffer: BufferId, elem: SlotElem) -> Slot {
        if let Some(&slot) = self.reads.get(&buffer) {
            return slot;
        }
        let name = format!("x{}", self.args.len());
        let slot = self.k.read(&name, elem);
        self.args.push(buffer);
        self.reads.insert(buffer, slot);
        slot
    }

    /// A slot to write a buffer.
    pub fn write(&mut self, buffer: BufferId, elem: SlotElem) -> Slot {
        let name = format!("y{}", self.args.len());
        self.args.push(buffer);
        self.k.write(&name, elem)
    }

    /// A view to read an activation.
    pub fn read_view(&mut self, lowering: &Lowering<'_>, value: Value) -> Result<View, LowerError> {
        let shape = Shape::of_any(lowering.graph.ty(value))?;
        let elem = if shape.bits { SlotElem::Bits } else { SlotElem::F32 };
        Ok(View { slot: self.read(lowering.buffer(value)?, elem), shape })
    }

    /// A view to write the result of an element-wise instruction: in the place of the first of these operands that
    /// nobody reads later, which is then also read through it, or in a buffer of its own.
    pub fn write_over(
        &mut self,
        lowering: &mut Lowering<'_>,
        inst: Inst,
        operands: &[Value],
    ) -> Result<View, LowerError> {
        let value = lowering.graph.inst(inst).results[0];
        let Some(&operand) = operands.iter().find(|&&operand| lowering.may_overwrite(inst, operand)) else {
            return self.write_view(lowering, value);
        };
        lowering.alias(value, operand)?;
        let view = View {
            slot: self.write(lowering.buffer(operand)?, SlotElem::F32),
            shape: Shape::of_any(lowering.graph.ty(value))?,
        };
        self.reads.insert(lowering.buffer(operand)?, view.slot);
        Ok(view)
    }

    /// A view to write an activation, which gets its buffer here.
    pub fn write_view(&mut self, lowering: &mut Lowering<'_>, value: Value) -> Result<View, LowerError> {
        let shape = Shape::of_any(lowering.graph.ty(value))?;
        let elem = if shape.bits { SlotElem::Bits } else { SlotElem::F32 };
        let buffer = lowering.add_value(value)?;
        Ok(View { slot: self.write(buffer, elem), shape })
    }
}
