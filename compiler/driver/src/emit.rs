//! Stages that a user may look at: `--emit ast,model,ir,ir:after=PASS,kernel,clif,asm,plan,report`.

use crate::CompileError;
use snnc_codegen::Code;
use snnc_front::{Model, SourceMap};
use snnc_ir::Graph;
use snnc_kernel::body::Kernel;
use snnc_plan::Plan;
use std::fmt::Write;
use std::str::FromStr;

/// A stage to print.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Emit {
    /// The syntax tree.
    Ast,
    /// The checked model.
    Model,
    /// The graph after all passes.
    Ir,
    /// The graph after a pass (after its last run, where it runs more than once).
    IrAfter(String),
    /// Kernel IR.
    Kernel,
    /// Cranelift's IR.
    Clif,
    /// Machine code, disassembled.
    Asm,
    /// Buffers and steps.
    Plan,
    /// What the compiler decided, in numbers.
    Report,
}

impl FromStr for Emit {
    type Err = String;

    fn from_str(text: &str) -> Result<Emit, String> {
        Ok(match text {
            "ast" => Emit::Ast,
            "model" => Emit::Model,
            "ir" => Emit::Ir,
            "kernel" => Emit::Kernel,
            "clif" => Emit::Clif,
            "asm" => Emit::Asm,
            "plan" => Emit::Plan,
            "report" => Emit::Report,
            other => match other.strip_prefix("ir:after=") {
                Some(pass) if snnc_passes::pipeline::find(pass).is_some() => Emit::IrAfter(pass.to_string()),
                Some(pass) => return Err(format!("there is no pass `{pass}`")),
                None => {
                    let all = "ast, model, ir, ir:after=PASS, kernel, clif, asm, plan, report";
                    return Err(format!("`{other}` is no stage; there are {all}"));
                }
            },
        })
    }
}

/// A stage's text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Emitted {
    /// The stage: `ir`, `ir.after.fuse-time`, `kernel`, …
    pub name: String,
    /// The text.
    pub text: String,
}

/// Collects the stages asked for while the compiler runs.
pub(crate) struct Shown<'a> {
    wanted: &'a [Emit],
    texts: Vec<Option<String>>,
}

impl<'a> Shown<'a> {
    pub fn new(wanted: &'a [Emit]) -> Shown<'a> {
        Shown { wanted, texts: vec![None; wanted.len()] }
    }

    fn set(&mut self, stage: &Emit, text: impl FnOnce() -> String) {
        if let Some(at) = self.wanted.iter().position(|wanted| wanted == stage) {
            self.texts[at] = Some(text());
        }
    }

    pub fn front(&mut self, model: &Model, sources: &SourceMap, entry: &str) -> Result<(), CompileError> {
        if self.wanted.contains(&Emit::Ast) {
            let tree = snnc_front::syntax_tree(sources, entry).map_err(CompileError::Diagnostics)?;
            self.set(&Emit::Ast, || tree.to_string());
        }
        self.set(&Emit::Model, || model.to_string());
        Ok(())
    }

    pub fn pass(&mut self, pass: &str, graph: &Graph) {
        let after =
            self.wanted.iter().position(|wanted| matches!(wanted, Emit::IrAfter(name) if name == pass));
        if let Some(at) = after {
            self.texts[at] = Some(snnc_ir::text::print(graph));
        }
    }

    pub fn graph(&mut self, graph: &Graph) {
        self.set(&Emit::Ir, || snnc_ir::text::print(graph));
    }

    pub fn codegen(&self, vectors: snnc_codegen::Vectors) -> snnc_codegen::Options {
        snnc_codegen::Options {
            emit_clif: self.wanted.contains(&Emit::Clif),
            emit_asm: self.wanted.contains(&Emit::Asm),
            vectors,
        }
    }

    pub fn back(&mut self, plan: &Plan, kernels: &[Kernel], code: &Code) {
        let joined = |texts: &[String]| {
            let mut all = String::new();
            for (kernel, text) in kernels.iter().zip(texts) {
                let _ = writeln!(all, "; {}\n{text}", kernel.name);
            }
            all
        };
        self.set(&Emit::Plan, || plan.to_string());
        self.set(&Emit::Kernel, || kernels.iter().map(|kernel| format!("{kernel}\n")).collect());
        self.set(&Emit::Clif, || joined(&code.clif));
        self.set(&Emit::Asm, || joined(&code.asm));
    }

    pub fn report(&mut self, text: impl FnOnce() -> String) {
        self.set(&Emit::Report, text);
    }

    pub fn finish(self) -> Vec<Emitted> {
        let name = |stage: &Emit| match stage {
            Emit::Ast => "ast".to_string(),
            Emit::Model => "model".to_string(),
            Emit::Ir => "ir".to_string(),
            Emit::IrAfter(pass) => format!("ir.after.{pass}"),
            Emit::Kernel => "kernel".to_string(),
            Emit::Clif => "clif".to_string(),
            Emit::Asm => "asm".to_string(),
            Emit::Plan => "plan".to_string(),
            Emit::Report => "report".to_string(),
        };
        let emitted = |(stage, text): (&Emit, Option<String>)| Emitted {
            name: name(stage),
            text: text.unwrap_or_else(|| "; this pass does not run for this mode\n".to_string()),
        };
        self.wanted.iter().zip(self.texts).map(emitted).collect()
    }
}
