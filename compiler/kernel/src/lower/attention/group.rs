//! Groups of tokens that see each other, and loops over them.

use super::super::view::{Chunks, Shape};
use crate::body::Index;
use crate::build::Builder;
use snnc_ir::{Attention, Over};
use snnc_plan::Tasks;

/// Elements that a task takes where a group is one position over time.
const CHUNK: usize = 1 << 13;

/// A token and a head.
#[derive(Clone, Debug)]
pub struct Place {
    pub t: Index,
    pub b: Index,
    pub p: Index,
    pub head: Index,
}

/// A group and a head.
#[derive(Debug)]
pub struct Group {
    /// The first timestep and position, of this sample and head.
    first: Place,
    steps: usize,
    positions: usize,
    /// Whether tokens see only their own timestep and those before.
    pub causal: bool,
}

/// The body for each group and head of the task, and the tasks.
pub fn each_group(
    k: &mut Builder,
    attention: &Attention,
    shape: &Shape,
    body: impl FnOnce(&mut Builder, Group),
) -> Tasks {
    let (steps, positions) = attention.group(shape.steps(), shape.positions());
    let heads = attention.heads;
    let causal = attention.causal && steps > 1;
    let per_sample = match attention.over {
        Over::Space | Over::SpaceTime(_) => {
            let groups = shape.steps() / steps;
            let b = k.index("b", Index::Task.quotient(groups * heads));
            let rest = k.index("rest", Index::Task.remainder(groups * heads));
            let t = k.index("t0", rest.quotient(heads) * steps);
            let head = if heads == 1 { 0.into() } else { k.index("head", rest.remainder(heads)) };
            body(k, Group { first: Place { t, b, p: 0.into(), head }, steps, positions, causal });
            groups * heads
        }
        Over::Time => {
            let chunks = Chunks::of(shape, CHUNK);
            let (b, begin, end) = chunks.of_task(k, shape);
            let end = k.index("p1", end);
            k.for_range("p", &begin, &end, |k, p| {
                k.for_range("head", 0, heads, |k, head| {
                    let first = Place { t: 0.into(), b, p, head };
                    body(k, Group { first, steps, positions, causal });
                });
            });
            chunks.count
        }
    };
    if shape.batched { Tasks::per_samples(1, per_sample) } else { Tasks::fixed(per_sample) }
}

/// The body for each of `begin..end`, which are `count` of them where that is known: one needs no loop.
fn span(
    k: &mut Builder,
    name: &str,
    (begin, end): (&Index, Index),
    count: Option<usize>,
    body: impl FnOnce(&mut Builder, Index),
) {
    if count == Some(1) { body(k, begin.clone()) } else { k.for_range(name, begin, end, body) }
}

impl Group {
    fn end(&self) -> Index {
        &self.first.t + self.steps
    }

    /// The tokens of the timesteps `begin..end`.
    fn tokens(
        &self,
        k: &mut Builder,
        times: (&Index, Index),
        count: Option<usize>,
        body: impl FnOnce(&mut Builder, Place),
    ) {
        span(k, "t", times, count, |k, t| {
            let first = &self.first.p;
            span(k, "p", (first, first + self.positions), Some(self.positions), |k, p| {
                let Place { b, head, .. } = &self.first;
                body(k, Place { t, b: b.clone(), p, head: head.clone() });
            });
        });
    }

    /// Every token.
    pub fn all(&self, k: &mut Builder, body: impl FnOnce(&mut Builder, Place)) {
        self.tokens(k, (&self.first.t, self.end()), Some(self.steps), body);
    }

    /// The tokens of one timestep.
    pub fn at(&self, k: &mut Builder, t: &Index, body: impl FnOnce(&mut Builder, Place)) {
        self.tokens(k, (t, t + 1), Some(1), body);
    }

    /// Every timestep.
    pub fn steps(&self, k: &mut Builder, body: impl FnOnce(&mut Builder, Index)) {
        span(k, "t", (&self.first.t, self.end()), Some(self.steps), body);
    }

    /// Every timestep, the last first.
    pub fn steps_down(&self, k: &mut Builder, body: impl FnOnce(&mut Builder, Index)) {
        k.for_down("t", &self.first.t, self.end(), body);
    }

    /// The tokens that a query sees.
    pub fn seen_by(&self, k: &mut Builder, query: &Place, body: impl FnOnce(&mut Builder, Place)) {
        if self.causal {
            self.tokens(k, (&self.first.t, &query.t + 1), None, body);
        } else {
            self.all(k, body);
        }
    }

    /// The tokens that see a key.
    pub fn seeing(&self, k: &mut Builder, key: &Place, body: impl FnOnce(&mut Builder, Place)) {
        if self.causal {
            self.tokens(k, (&key.t, self.end()), None, body);
        } else {
            self.all(k, body);
        }
    }
}
