//! Kernels to callable functions, and the memory that holds them.

use crate::wide::{self, Wide};
use crate::{emit, isa};
use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{AbiParam, Function, Signature, UserFuncName, types};
use cranelift_codegen::isa::{OwnedTargetIsa, TargetIsa};
use cranelift_frontend::FunctionBuilderContext;
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, ModuleError, ModuleReloc, default_libcall_names};
use rayon::prelude::*;
use snnc_kernel::body::Kernel;
use snnc_kernel::cost::Vector;
use snnc_kernel::verify::{KernelError, verify};
use snnc_kernel::{expand, interp};
use snnc_plan::{KernelArgs, KernelFn};
use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// What to keep beside the machine code.
#[derive(Clone, Copy, Default, Debug)]
pub struct Options {
    /// The text of Cranelift's IR before its optimisations.
    pub emit_clif: bool,
    /// The disassembled machine code.
    pub emit_asm: bool,
    /// The vectors of walks over set bits.
    pub vectors: Vectors,
}

/// The vectors that walks over set bits use. All give the same bits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Vectors {
    /// The widest that this machine has.
    #[default]
    Widest,
    /// Of 256 bits, where the machine has them.
    Middle,
    /// Of 128 bits, as everything else.
    Portable,
}

impl Vectors {
    fn functions(self) -> Option<Wide> {
        match self {
            Vectors::Widest => wide::all().first().copied(),
            Vectors::Middle => wide::all().last().copied(),
            Vectors::Portable => None,
        }
    }
}

/// Why there is no machine code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CodegenError {
    /// This machine is not supported.
    Machine(String),
    /// A kernel that breaks an invariant of the kernel IR, or that Cranelift refuses: a compiler bug.
    Kernel {
        /// The kernel's name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// No memory for machine code.
    Memory(String),
}

impl fmt::Display for CodegenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodegenError::Machine(message) => write!(f, "no code generator for this machine: {message}"),
            CodegenError::Kernel { name, message } => write!(f, "kernel `{name}`: {message}"),
            CodegenError::Memory(message) => write!(f, "no memory for machine code: {message}"),
        }
    }
}

impl std::error::Error for CodegenError {}

impl From<ModuleError> for CodegenError {
    fn from(error: ModuleError) -> CodegenError {
        CodegenError::Memory(error.to_string())
    }
}

/// Machine code.
pub struct Code {
    /// One function for each kernel. They may be called while `keep` lives.
    pub functions: Vec<KernelFn>,
    /// Bytes of each kernel's machine code.
    pub sizes: Vec<usize>,
    /// Cranelift's IR of each kernel, if asked for.
    pub clif: Vec<String>,
    /// The disassembly of each kernel, if asked for.
    pub asm: Vec<String>,
    /// The vectors of walks.
    pub vector: Vector,
    /// Holds the memory of the machine code.
    pub keep: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").field("functions", &self.functions.len()).finish()
    }
}

/// The module, whose memory is freed with it. Behind a lock only because it is not `Sync`: nobody enters it after
/// it is finalised.
struct Keep(Mutex<Option<JITModule>>);

impl Drop for Keep {
    fn drop(&mut self) {
        let module = self.0.get_mut().map(Option::take).unwrap_or_default();
        if let Some(module) = module {
            // SAFETY: functions run only while `Code::keep` lives (their callers' duty), and this is its end.
            unsafe { module.free_memory() };
        }
    }
}

/// Machine code of one kernel, before it has a place in memory.
struct Compiled {
    bytes: Vec<u8>,
    alignment: u64,
    relocations: Vec<ModuleReloc>,
    clif: Option<String>,
    asm: Option<String>,
}

/// Compiles kernels for this machine, several at a time.
///
/// # Errors
/// On an unsupported machine, on a kernel that breaks the kernel IR's invariants, and without memory.
pub fn compile(kernels: &[Kernel], options: &Options) -> Result<Code, CodegenError> {
    let isa = isa::host()?;
    let wide = options.vectors.functions();
    let mut module = module(isa.clone(), wide);
    let names = emit::Names {
        math: declare_math(&mut module)?,
        wide: wide.map(|_| declare_wide(&mut module)).transpose()?,
    };
    let signature = emit::signature(isa.default_call_conv());
    let mut declare = || Ok(module.declare_anonymous_function(&signature)?);
    let ids: Vec<FuncId> = kernels.iter().map(|_| declare()).collect::<Result<_, CodegenError>>()?;
    let compiled: Vec<Compiled> = kernels
        .par_iter()
        .zip(&ids)
        .map_init(Workspace::default, |space, (kernel, id)| space.compile(kernel, *id, &*isa, names, options))
        .collect::<Result<_, _>>()?;
    for (id, code) in ids.iter().zip(&compiled) {
        module.define_function_bytes(*id, code.alignment, &code.bytes, &code.relocations)?;
    }
    module.finalize_definitions()?;
    let functions = ids.iter().map(|id| function(&module, *id)).collect();
    let sizes = compiled.iter().map(|code| code.bytes.len()).collect();
    let (clif, asm): (Vec<_>, Vec<_>) = compiled.into_iter().map(|c| (c.clif, c.asm)).unzip();
    let keep = Arc::new(Keep(Mutex::new(Some(module))));
    Ok(Code {
        functions,
        sizes,
        clif: clif.into_iter().flatten().collect(),
        asm: asm.into_iter().flatten().collect(),
        vector: wide.map_or(Vector::Bits128, |wide| wide.vector),
        keep,
    })
}

fn module(isa: OwnedTargetIsa, wide: Option<Wide>) -> JITModule {
    let mut builder = JITBuilder::with_isa(isa, default_libcall_names());
    builder.symbol("snnc_ln", ln as *const u8);
    if let Some(wide) = wide {
        builder.symbol("snnc_add_rows", wide.add_rows as *const u8);
        builder.symbol("snnc_add_window", wide.add_window as *const u8);
        builder.symbol("snnc_fire", wide.fire as *const u8);
        builder.symbol("snnc_fire_above", wide.fire_above as *const u8);
        builder.symbol("snnc_add_taps", wide.add_taps as *const u8);
        builder.symbol("snnc_dot_rows", wide.dot_rows as *const u8);
        builder.symbol("snnc_list_patterns", wide.list_patterns as *const u8);
        builder.symbol("snnc_add_patterns", wide.add_patterns as *const u8);
        builder.symbol("snnc_sum_groups", wide.sum_groups as *const u8);
        builder.symbol("snnc_add_groups", wide.add_groups as *const u8);
        builder.symbol("snnc_exp", wide.exp as *const u8);
        builder.symbol("snnc_sigmoid", wide.sigmoid as *const u8);
        builder.symbol("snnc_turn", wide.turn as *const u8);
    }
    JITModule::new(builder)
}

extern "C" fn ln(x: f32) -> f32 {
    x.ln()
}

fn declare_math(module: &mut JITModule) -> Result<emit::MathNames, CodegenError> {
    let signature = emit::math_signature(module.isa().default_call_conv());
    Ok(emit::MathNames { ln: module.declare_function("snnc_ln", Linkage::Import, &signature)?.as_u32() })
}

fn declare_wide(module: &mut JITModule) -> Result<emit::WideNames, CodegenError> {
    let convention = module.isa().default_call_conv();
    let mut declare = |name, arguments| -> Result<u32, CodegenError> {
        let mut signature = Signature::new(convention);
        signature.params.extend(vec![AbiParam::new(types::I64); arguments]);
        Ok(module.declare_function(name, Linkage::Import, &signature)?.as_u32())
    };
    Ok(emit::WideNames {
        add_rows: declare("snnc_add_rows", emit::WALK_ARGUMENTS)?,
        add_window: declare("snnc_add_window", emit::WINDOW_ARGUMENTS)?,
        fire: declare("snnc_fire", emit::FIRE_ARGUMENTS)?,
        fire_above: declare("snnc_fire_above", emit::FIRE_ARGUMENTS)?,
        add_taps: declare("snnc_add_taps", emit::TAPS_ARGUMENTS)?,
        dot_rows: declare("snnc_dot_rows", emit::WALK_ARGUMENTS)?,
        list_patterns: declare("snnc_list_patterns", emit::LIST_ARGUMENTS)?,
        add_patterns: declare("snnc_add_patterns", emit::PATTERNS_ARGUMENTS)?,
        sum_groups: declare("snnc_sum_groups", emit::SUM_ARGUMENTS)?,
        add_groups: declare("snnc_add_groups", emit::LOOKUP_ARGUMENTS)?,
        exp: declare("snnc_exp", emit::MAP_ARGUMENTS)?,
        sigmoid: declare("snnc_sigmoid", emit::MAP_ARGUMENTS)?,
        turn: declare("snnc_turn", emit::TURN_ARGUMENTS)?,
    })
}

/// The function at an address of the finalised module.
fn function(module: &JITModule, id: FuncId) -> KernelFn {
    let address = module.get_finalized_function(id);
    // SAFETY: the code at the address was made by `emit` with `emit::signature`, which is `KernelFn`'s.
    unsafe { std::mem::transmute::<*const u8, KernelFn>(address) }
}

/// What a thread uses again for each kernel.
struct Workspace {
    context: Context,
    builder: FunctionBuilderContext,
}

impl Default for Workspace {
    fn default() -> Workspace {
        Workspace { context: Context::new(), builder: FunctionBuilderContext::new() }
    }
}

impl Workspace {
    fn compile(
        &mut self,
        kernel: &Kernel,
        id: FuncId,
        isa: &dyn TargetIsa,
        names: emit::Names,
        options: &Options,
    ) -> Result<Compiled, CodegenError> {
        let fail = |message: String| CodegenError::Kernel { name: kernel.name.clone(), message };
        verify(kernel).map_err(|e| fail(e.message))?;
        let expanded = names.wide.is_none().then(|| expand(kernel));
        let kernel = expanded.as_ref().unwrap_or(kernel);
        self.context.clear();
        let name = UserFuncName::user(0, id.as_u32());
        self.context.func = Function::with_name_signature(name, emit::signature(isa.default_call_conv()));
        emit::emit(kernel, &mut self.context.func, &mut self.builder, isa.frontend_config(), names);
        let clif = options.emit_clif.then(|| self.context.func.display().to_string());
        self.context
            .compile(isa, &mut ControlPlane::default())
            .map_err(|e| fail(cranelift_codegen::print_errors::pretty_error(e.func, e.inner)))?;
        let code = self.context.compiled_code().ok_or_else(|| fail("no code was made".to_string()))?;
        let asm = if options.emit_asm { Some(disassemble(code, isa).map_err(fail)?) } else { None };
        let reloc = |r| ModuleReloc::from_mach_reloc(r, &self.context.func, id);
        Ok(Compiled {
            bytes: code.code_buffer().to_vec(),
            alignment: u64::from(code.buffer.alignment),
            relocations: code.buffer.relocs().iter().map(reloc).collect(),
            clif,
            asm,
        })
    }
}

fn disassemble(code: &cranelift_codegen::CompiledCode, isa: &dyn TargetIsa) -> Result<String, String> {
    let capstone = isa.to_capstone().map_err(|e| e.to_string())?;
    code.disassemble(None, &capstone).map_err(|e| e.to_string())
}

/// Runs tasks of a kernel in the interpreter and then, over the same buffers, as machine code. Buffers are as
/// [`interp::run`] takes them. They are left as the machine code leaves them; the interpreter's are returned.
///
/// # Errors
/// Where the interpreter stops (the machine code does not run then), or there is no machine code.
pub fn run_both(
    kernel: &Kernel,
    buffers: &mut [Vec<u32>],
    batch: usize,
    tasks: Range<usize>,
) -> Result<Vec<Vec<u32>>, RunError> {
    run_as(kernel, buffers, batch, tasks, Vectors::default())
}

/// As [`run_both`], with vectors of one's choice.
///
/// # Errors
/// As [`run_both`].
pub fn run_as(
    kernel: &Kernel,
    buffers: &mut [Vec<u32>],
    batch: usize,
    tasks: Range<usize>,
    vectors: Vectors,
) -> Result<Vec<Vec<u32>>, RunError> {
    let mut expected = buffers.to_vec();
    interp::run(kernel, &mut expected, batch, tasks.clone()).map_err(RunError::Interpreter)?;
    let options = Options { vectors, ..Options::default() };
    let code = compile(std::slice::from_ref(kernel), &options).map_err(RunError::Codegen)?;
    let mut memory: Vec<Vec<Line>> = buffers.iter().map(|buffer| lines(buffer)).collect();
    let pointers: Vec<*mut u8> = memory.iter_mut().map(|m| m.as_mut_ptr().cast()).collect();
    let mut scratch = vec![Line::default(); kernel.scratch_bytes().div_ceil(size_of::<Line>())];
    let args = KernelArgs { buffers: pointers.as_ptr(), batch, scratch: scratch.as_mut_ptr().cast() };
    for function in &code.functions {
        // SAFETY: the interpreter has just run the same tasks over buffers of the same sizes, and found each access
        // inside; the code adds none that these do not imply. All memory is owned here, and `code` lives.
        unsafe { function(&args, tasks.start, tasks.end) };
    }
    for (buffer, lines) in buffers.iter_mut().zip(&memory) {
        let words = lines.iter().flat_map(|line| line.0);
        buffer.iter_mut().zip(words).for_each(|(to, from)| *to = from);
    }
    Ok(expected)
}

/// Memory aligned as kernels expect it.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
struct Line([u32; 16]);

fn lines(words: &[u32]) -> Vec<Line> {
    let line = |words: &[u32]| {
        let mut line = Line::default();
        line.0[..words.len()].copy_from_slice(words);
        line
    };
    words.chunks(16).map(line).collect()
}

/// Why a kernel did not run both ways.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RunError {
    /// The interpreter found a broken rule.
    Interpreter(KernelError),
    /// There is no machine code.
    Codegen(CodegenError),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Interpreter(error) => error.fmt(f),
            RunError::Codegen(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RunError {}
