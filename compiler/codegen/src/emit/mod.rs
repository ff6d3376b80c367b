//! Kernel IR to Cranelift's IR, one function a kernel.
//!
//! ```text
//! function(args, begin, end):
//!   buffers = load args+0   ; pointers of all slots
//!   for task in begin..end { body }
//! ```
//!
//! Registers become variables of the SSA builder: one for an index or a word, one for each chunk of a row. A chunk
//! is four lanes, or one lane of what is left over.

mod bits;
mod loops;
mod math;
mod memory;
mod vector;
mod walk;

use cranelift_codegen::ir::{AbiParam, Block, Function, InstBuilder, Signature, Type, Value, types};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
pub(crate) use math::{MathNames, signature as math_signature};
use memory::{Memory, SlotMemory};
use snnc_kernel::body::{Kernel, Reg, RegType};
pub(crate) use walk::{
    FIRE_ARGUMENTS, LIST_ARGUMENTS, LOOKUP_ARGUMENTS, MAP_ARGUMENTS, PATTERNS_ARGUMENTS, SUM_ARGUMENTS,
    TAPS_ARGUMENTS, TURN_ARGUMENTS, WALK_ARGUMENTS, WINDOW_ARGUMENTS, WideNames,
};

/// The signature of `snnc_plan::KernelFn`.
pub(crate) fn signature(convention: CallConv) -> Signature {
    let mut signature = Signature::new(convention);
    signature.params.extend([AbiParam::new(types::I64); 3]);
    signature
}

/// Functions that kernels call.
#[derive(Clone, Copy)]
pub(crate) struct Names {
    /// Of one number.
    pub(crate) math: MathNames,
    /// For walks; without them the kernel must be expanded.
    pub(crate) wide: Option<WideNames>,
}

/// Fills `function`, whose signature is set, with the kernel.
pub(crate) fn emit(
    kernel: &Kernel,
    function: &mut Function,
    context: &mut FunctionBuilderContext,
    target: TargetFrontendConfig,
    names: Names,
) {
    let mut builder = FunctionBuilder::new(function, context);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    builder.seal_block(entry);
    let mut emitter = Emitter::new(kernel, builder, entry, names);
    let (begin, end) = (emitter.param(entry, 1), emitter.param(entry, 2));
    emitter.tasks(begin, end);
    emitter.builder.ins().return_(&[]);
    emitter.builder.finalize(target);
}

/// The state of one function's making.
struct Emitter<'k, 'f> {
    kernel: &'k Kernel,
    builder: FunctionBuilder<'f>,
    /// The variables of each register.
    regs: Vec<Vec<Variable>>,
    /// Of each index register: it changes at least in the loop of this depth (0: perhaps in none).
    reg_depth: Vec<usize>,
    /// Where each slot lies.
    slots: Vec<SlotMemory>,
    names: Names,
    batch: Value,
    task: Value,
    /// Loops around the current statement.
    depth: usize,
    /// Loops around the innermost branch, or loop of perhaps no turn, that the current statement is in: a load may
    /// leave the loops further in, but none of these, where it could be one that never runs and be out of bounds.
    floor: usize,
    /// Whether the innermost loop is one over set bits.
    over_bits: bool,
}

impl<'k, 'f> Emitter<'k, 'f> {
    fn new(kernel: &'k Kernel, mut builder: FunctionBuilder<'f>, entry: Block, names: Names) -> Self {
        let args = builder.block_params(entry)[0];
        let (slots, batch) = Memory::new(kernel, &mut builder).load_arguments(kernel, &mut builder, args);
        let regs = kernel.regs.iter().map(|reg| declare(&mut builder, reg.ty)).collect();
        Emitter {
            kernel,
            builder,
            regs,
            reg_depth: vec![0; kernel.regs.len()],
            slots,
            names,
            batch,
            task: batch,
            depth: 0,
            floor: 0,
            over_bits: false,
        }
    }

    /// The target's functions for walks: a kernel that has walks is expanded where there are none.
    fn wide(&self) -> WideNames {
        self.names.wide.expect("walks are expanded where the target has no functions for them")
    }

    fn param(&self, block: Block, number: usize) -> Value {
        self.builder.block_params(block)[number]
    }

    /// A constant of 64 bits.
    fn constant(&mut self, value: i64) -> Value {
        self.builder.ins().iconst(types::I64, value)
    }

    /// The values of a register's variables.
    fn get(&mut self, reg: Reg) -> Vec<Value> {
        self.regs[reg.0 as usize].iter().map(|variable| self.builder.use_var(*variable)).collect()
    }

    /// The value of an index or a word.
    fn get_scalar(&mut self, reg: Reg) -> Value {
        self.builder.use_var(self.regs[reg.0 as usize][0])
    }

    /// Sets one variable of a register.
    fn set(&mut self, reg: Reg, part: usize, value: Value) {
        self.builder.def_var(self.regs[reg.0 as usize][part], value);
    }
}

fn declare(builder: &mut FunctionBuilder<'_>, ty: RegType) -> Vec<Variable> {
    match ty {
        RegType::Index | RegType::Word => vec![builder.declare_var(types::I64)],
        RegType::Row(n) => chunks(n).map(|c| builder.declare_var(c.pick(types::F32X4, types::F32))).collect(),
        RegType::Mask(n) => {
            chunks(n).map(|c| builder.declare_var(c.pick(types::I32X4, types::I32))).collect()
        }
    }
}

/// A piece of a row that is one value of the machine.
#[derive(Clone, Copy)]
struct Chunk {
    /// Its number within the row.
    number: usize,
    /// Its first lane.
    lane: usize,
    /// Four lanes, or one.
    vector: bool,
}

impl Chunk {
    fn pick(self, vector: Type, scalar: Type) -> Type {
        if self.vector { vector } else { scalar }
    }
}

/// The chunks of `n` lanes: vectors of four, then single lanes.
fn chunks(n: usize) -> impl Iterator<Item = Chunk> {
    let vectors = n / 4;
    (0..vectors + n % 4).map(move |number| Chunk {
        number,
        lane: if number < vectors { number * 4 } else { vectors * 3 + number },
        vector: number < vectors,
    })
}
