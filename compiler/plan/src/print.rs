//! The text of a plan, for `--emit plan`: every buffer with its place, every step with its arguments.

use crate::{Arena, BufferId, Place, Plan, PlanMode, Step};
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            PlanMode::Infer => "infer",
            PlanMode::Train => "train",
        };
        let Arena { fixed, per_sample, level, above } = self.arena;
        writeln!(
            f,
            "plan @{} mode={mode} arena fixed={fixed} per_sample={per_sample} level={level} above={above} \
             scratch={} {{",
            self.name,
            self.scratch()
        )?;
        for (i, buffer) in self.buffers.iter().enumerate() {
            let place = match buffer.place {
                Place::Fixed(offset) => format!("fixed+{offset}"),
                Place::PerSample(offset) => format!("sample+{offset}"),
                Place::Above(offset) => format!("above+{offset}"),
            };
            let (from, to) = buffer.live;
            let whole = buffer.part_of.map_or(String::new(), |whole| format!(" of {whole}"));
            writeln!(
                f,
                "  b{i} : {} bytes at {place}{whole} live {from}..={to} ; {}",
                buffer.bytes, buffer.name
            )?;
        }
        for input in &self.inputs {
            if let Some((encoder, steps)) = input.encoder {
                writeln!(f, "  input {} : {:?} encoded {encoder:?} steps={steps}", input.name, input.shape)?;
            }
        }
        let mut at = 0;
        for (title, steps) in
            [("prepare", &self.prepare), ("forward", &self.forward), ("backward", &self.backward)]
        {
            writeln!(f, "  {title}")?;
            for step in steps {
                writeln!(f, "    {at}: {}", self.step_text(step))?;
                at += 1;
            }
        }
        writeln!(f, "}}")
    }
}

impl Plan {
    fn names(&self, ids: &[BufferId]) -> String {
        ids.iter().map(|id| self.buffer(*id).name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn step_text(&self, step: &Step) -> String {
        match step {
            Step::Kernel(k) => {
                let tasks = match k.tasks.samples {
                    0 => format!("{}", k.tasks.count),
                    n => format!("{} per {n} samples", k.tasks.count),
                };
                format!("kernel {} {} ({}) tasks {tasks}", k.kernel, k.name, self.names(&k.args))
            }
            Step::Dense { name, op } => {
                let (reads, written) = op.buffers();
                format!(
                    "dense {name} {} ({} -> {})",
                    op.mnemonic(),
                    self.names(&reads),
                    self.names(&[written])
                )
            }
            Step::Count { probe, buffer } => {
                format!("count {} ({})", self.probes[*probe].layer, self.names(&[*buffer]))
            }
            Step::Update { values, grad, .. } => {
                format!("update ({} -> {})", self.names(&[*grad]), self.names(&[*values]))
            }
        }
    }
}
