//! Help for tests: temporary folders, and hand-made plans whose kernels are Rust functions.

mod linear;

pub use linear::linear_model;

use crate::Error;
use snnc_plan::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder that is removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    /// A fresh folder.
    pub fn new(name: &str) -> Result<Folder, Error> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let unique = format!("snnc-{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&path).map_err(|e| Error::io(&path, "create", e))?;
        Ok(Folder(path))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file in it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.file(name);
        std::fs::write(&path, bytes).map_err(|e| Error::io(&path, "write", e))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A plan under construction: buffers are placed one after the other and live all the time.
pub struct PlanBuilder {
    pub plan: Plan,
    functions: Vec<KernelFn>,
}

impl PlanBuilder {
    pub fn new(mode: PlanMode, classes: usize) -> PlanBuilder {
        let plan = Plan {
            name: "test".to_string(),
            mode,
            timesteps: 1,
            classes,
            params: vec![],
            inputs: vec![],
            logits: BufferId(0),
            loss: None,
            buffers: vec![],
            arena: Arena::default(),
            kernels: vec![],
            prepare: vec![],
            forward: vec![],
            backward: vec![],
            probes: vec![],
            taps: vec![],
            recipe: Recipe { batch: 8, ..Recipe::default() },
        };
        PlanBuilder { plan, functions: vec![] }
    }

    fn buffer(
        &mut self,
        name: &str,
        elem: ElemKind,
        len: usize,
        place: fn(&mut Arena, usize) -> Place,
    ) -> BufferId {
        let bytes = (len * 4).next_multiple_of(ALIGN);
        let place = place(&mut self.plan.arena, bytes);
        let (name, live) = (name.to_string(), (0, usize::MAX));
        self.plan.buffers.push(Buffer { name, elem, bytes, place, part_of: None, live });
        BufferId(self.plan.buffers.len() as u32 - 1)
    }

    /// A buffer of `len` floats independent of the batch.
    pub fn fixed(&mut self, name: &str, len: usize) -> BufferId {
        self.buffer(name, ElemKind::F32, len, |arena, bytes| {
            arena.fixed += bytes;
            Place::Fixed(arena.fixed - bytes)
        })
    }

    /// A buffer of `len` floats per sample.
    pub fn sample(&mut self, name: &str, len: usize) -> BufferId {
        self.buffer(name, ElemKind::F32, len, |arena, bytes| {
            arena.per_sample += bytes;
            Place::PerSample(arena.per_sample - bytes)
        })
    }

    /// Labels.
    pub fn labels(&mut self) -> BufferId {
        let buffer = self.input("labels", &[], false);
        self.plan.buffers[buffer.index()].elem = ElemKind::I32;
        buffer
    }

    /// An input.
    pub fn input(&mut self, name: &str, shape: &[usize], has_time: bool) -> BufferId {
        let buffer = self.sample(name, shape.iter().product());
        let (name, shape) = (name.to_string(), shape.to_vec());
        self.plan.inputs.push(InputSpec { name, shape, has_time, spikes: false, encoder: None, buffer });
        buffer
    }

    /// A parameter, with a gradient buffer if it is trained in a training plan.
    pub fn param(&mut self, name: &str, shape: &[usize], role: ParamRole) -> (BufferId, Option<BufferId>) {
        let len = shape.iter().product();
        let buffer = self.fixed(name, len);
        let train = self.plan.mode == PlanMode::Train;
        let grad = (train && role.is_trained()).then(|| self.fixed(&format!("{name}.grad"), len));
        let update = (train && !role.is_trained()).then(|| self.fixed(&format!("{name}.next"), len));
        let (name, shape) = (name.to_string(), shape.to_vec());
        let fan_in = shape.iter().skip(1).product();
        self.plan.params.push(ParamSpec { name, shape, role, init: None, fan_in, buffer, grad, update });
        (buffer, grad.or(update))
    }

    /// A call of a Rust function as a kernel.
    pub fn kernel(&mut self, function: KernelFn, args: &[BufferId], tasks: Tasks, scratch: usize) -> Step {
        let (name, kernel) = (format!("kernel{}", self.functions.len()), self.functions.len());
        self.functions.push(function);
        self.plan.kernels.push(KernelInfo { name: name.clone(), scratch });
        Step::Kernel(KernelStep { kernel, name, args: args.to_vec(), tasks })
    }

    pub fn finish(self) -> Executable {
        Executable { plan: self.plan, functions: self.functions, code: Arc::new(()) }
    }
}
