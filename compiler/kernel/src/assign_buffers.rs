//! Places buffers in memory by lifetime: two that are never live together may share bytes.
//!
//! ```text
//! | fixed | samples: all that a batch has at the steps of the widest layers |
//! | fixed | samples at other steps | above: weights laid out, gradients of weights |
//! ```
//!
//! Greedy, each at the lowest free offset. A buffer lives from the first step that touches it
//! to the last; results live to the end, parameters and inputs throughout. What `prepare` makes for later steps lives to
//! the end in inference, where it is made once for many batches; in training it is made anew for each. What does not grow
//! with the batch lies above the samples ([`Place::Above`]) at steps at which they leave room. How far up is tried, and so is
//! which of the samples' buffers lie lowest: large ones, those of long lives, or those that are live when there are most. Of the
//! best of these orders the buffers that end highest come first then, round after round.

use crate::lower::Draft;
use snnc_plan::{ALIGN, Arena, Buffer, BufferId, Place, Step};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Rounds of changing the order: ResNet-19 takes 1 % less for them at a batch of 128, and 10 ms.
const ROUNDS: usize = 24;
/// Buffers that are placed in all of them: plans of many timesteps have thousands, each of which is compared with all others.
const PLACED: usize = 24 << 10;

/// First and last step.
type Life = (usize, usize);

/// Offset, size and life of a buffer that has its place.
type Placed = (usize, usize, Life);

/// Buffers whose life is not that between their first and last step.
#[derive(Debug)]
pub(crate) struct Special {
    /// Parameters and inputs: live throughout, so that a step may run again on what was set once.
    pub given: Vec<BufferId>,
    /// Results: live to the end.
    pub results: Vec<BufferId>,
    /// Whether what `prepare` makes serves more than one batch.
    pub keeps_prepared: bool,
}

/// Gives every draft its place: of those tried, the places with which `batch` samples take least.
pub(crate) fn assign(
    drafts: &[Draft],
    steps: &[Vec<Step>; 3],
    special: &Special,
    batch: usize,
) -> (Vec<Buffer>, Arena) {
    let mut layout = Layout {
        bytes: drafts.iter().map(|draft| draft.bytes.next_multiple_of(ALIGN)).collect(),
        live: lifetimes(drafts, steps, special),
        places: vec![Place::Fixed(0); drafts.len()],
        arena: Arena::default(),
    };
    let own = (0..drafts.len()).filter(|&i| drafts[i].part_of.is_none());
    let (samples, fixed): (Vec<usize>, Vec<usize>) = own.partition(|&i| drafts[i].batched);
    let large = |i: usize| (Reverse(layout.bytes[i]), i);
    let long = |i: usize| (Reverse(layout.live[i].1 - layout.live[i].0), large(i));
    let peak = layout.peak(&samples, steps.iter().map(Vec::len).sum());
    let at_peak = |i: usize| (layout.live[i].0..=layout.live[i].1).contains(&peak);
    let peak_first = |i: usize| if at_peak(i) { (false, long(i)) } else { (true, (Reverse(0), large(i))) };
    let orders = [sorted(&samples, large), sorted(&samples, long), sorted(&samples, peak_first)];
    let fixed = sorted(&fixed, large);
    let cost = |tried: &Layout| (tried.arena.bytes(batch).unwrap_or(usize::MAX), tried.arena.level);
    let best = |samples: &Vec<usize>| layout.levels(samples, &fixed).into_iter().min_by_key(cost);
    let tried = orders.into_iter().filter_map(|order| Some((best(&order)?, order)));
    if let Some((first, mut order)) = tried.min_by_key(|(tried, _)| cost(tried)) {
        let (mut last, mut least) = (first.clone(), first);
        for _ in 0..ROUNDS.min(PLACED / drafts.len().max(1)) {
            order.sort_by_key(|&i| !last.is_highest(i));
            let Some(next) = best(&order) else { break };
            least = if cost(&next) < cost(&least) { next.clone() } else { least };
            last = next;
        }
        layout = least;
    }
    let buffer = |(i, draft): (usize, &Draft)| Buffer {
        name: draft.name.clone(),
        elem: draft.elem,
        bytes: layout.bytes[i],
        place: match draft.part_of {
            Some((whole, at)) => layout.places[whole.index()].further(at),
            None => layout.places[i],
        },
        part_of: draft.part_of.map(|(whole, _)| whole),
        live: layout.live[i],
    };
    (drafts.iter().enumerate().map(buffer).collect(), layout.arena)
}

fn sorted<K: Ord>(drafts: &[usize], key: impl Fn(usize) -> K) -> Vec<usize> {
    let mut order = drafts.to_vec();
    order.sort_by_key(|&i| key(i));
    order
}

/// What is placed, and where.
#[derive(Clone)]
struct Layout {
    bytes: Vec<usize>,
    live: Vec<Life>,
    places: Vec<Place>,
    arena: Arena,
}

impl Layout {
    /// With the samples' buffers in an order: what nothing lies above, and what has each level that they leave room at.
    fn levels(&self, samples: &[usize], fixed: &[usize]) -> Vec<Layout> {
        let mut below = self.clone();
        below.arena.per_sample = below.pack(samples, Place::PerSample);
        let level_of: Vec<usize> = fixed.iter().map(|&i| below.top_at(samples, self.live[i])).collect();
        let levels: BTreeSet<usize> = level_of.iter().copied().collect();
        let with = |level: Option<usize>| {
            let mut layout = below.clone();
            let is_above = |at: &usize| level.is_some_and(|level| level_of[*at] <= level);
            let (above, rest): (Vec<usize>, Vec<usize>) = (0..fixed.len()).partition(is_above);
            let of = |places: Vec<usize>| places.into_iter().map(|at| fixed[at]).collect::<Vec<_>>();
            layout.arena.level = level.unwrap_or(0);
            layout.arena.above = layout.pack(&of(above), Place::Above);
            layout.arena.fixed = layout.pack(&of(rest), Place::Fixed);
            layout
        };
        let room = levels.into_iter().filter(|&level| level < below.arena.per_sample).map(Some);
        std::iter::once(None).chain(room).map(with).collect()
    }

    /// The step at which buffers have most bytes.
    fn peak(&self, order: &[usize], steps: usize) -> usize {
        let mut used = vec![0; steps];
        for &i in order {
            used[self.live[i].0..=self.live[i].1].iter_mut().for_each(|bytes| *bytes += self.bytes[i]);
        }
        (0..steps).max_by_key(|&step| used[step]).unwrap_or(0)
    }

    /// Whether nothing of the samples' lies higher.
    fn is_highest(&self, i: usize) -> bool {
        matches!(self.places[i], Place::PerSample(offset) if offset + self.bytes[i] == self.arena.per_sample)
    }

    /// Where the samples' buffers end that live at steps of a life.
    fn top_at(&self, samples: &[usize], life: Life) -> usize {
        let together = samples.iter().filter(|&&i| self.live[i].0 <= life.1 && life.0 <= self.live[i].1);
        let end = |&i: &usize| match self.places[i] {
            Place::PerSample(offset) => offset + self.bytes[i],
            Place::Fixed(_) | Place::Above(_) => 0,
        };
        together.map(end).max().unwrap_or(0)
    }

    /// Places buffers in their order; where the last of them ends.
    fn pack(&mut self, order: &[usize], place: fn(usize) -> Place) -> usize {
        let mut placed: Vec<Placed> = Vec::with_capacity(order.len());
        for &i in order {
            let (bytes, live) = (self.bytes[i], self.live[i]);
            let offset = lowest_free(&placed, bytes, live);
            self.places[i] = place(offset);
            let at = placed.partition_point(|&(start, ..)| start < offset);
            placed.insert(at, (offset, bytes, live));
        }
        placed.iter().map(|(offset, bytes, _)| offset + bytes).max().unwrap_or(0)
    }
}

fn lifetimes(drafts: &[Draft], steps: &[Vec<Step>; 3], special: &Special) -> Vec<Life> {
    let total = steps.iter().map(Vec::len).sum::<usize>();
    let end = total.saturating_sub(1);
    let mut live: Vec<Option<Life>> = vec![None; drafts.len()];
    for (at, step) in steps.iter().flatten().enumerate() {
        let touched = step.touches();
        // A part touches its whole.
        let wholes = touched.iter().filter_map(|id| drafts[id.index()].part_of.map(|(whole, _)| whole));
        for id in touched.iter().copied().chain(wholes).collect::<Vec<_>>() {
            let (from, _) = live[id.index()].unwrap_or((at, at));
            // What `prepare` makes for itself is over with it.
            let kept = special.keeps_prepared && from < steps[0].len() && at >= steps[0].len();
            live[id.index()] = Some((from, if kept { end } else { at }));
        }
    }
    for id in &special.results {
        let (from, _) = live[id.index()].unwrap_or((end, end));
        live[id.index()] = Some((from, end));
    }
    for id in &special.given {
        live[id.index()] = Some((0, end));
    }
    live.into_iter().map(|life| life.unwrap_or((0, end))).collect()
}

/// The lowest offset at which `bytes` fit between those placed that are live at the same time; `placed` is
/// sorted by offset.
fn lowest_free(placed: &[Placed], bytes: usize, live: Life) -> usize {
    let mut offset = 0;
    for &(start, size, other) in placed {
        let together = live.0 <= other.1 && other.0 <= live.1;
        if !together || size == 0 {
            continue;
        }
        if start >= offset + bytes {
            break;
        }
        offset = offset.max(start + size);
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;
    use snnc_plan::ElemKind;

    fn draft(name: &str, bytes: usize, batched: bool) -> Draft {
        Draft { name: name.to_string(), elem: ElemKind::F32, bytes, batched, part_of: None }
    }

    /// A count touches one buffer.
    fn touch(buffer: u32) -> Step {
        Step::Count { probe: 0, buffer: BufferId(buffer) }
    }

    /// Samples keep a little over all steps and much at the first ones; two weights are laid out at later steps.
    #[test]
    fn what_does_not_grow_with_the_batch_lies_above_where_samples_leave_room() {
        let drafts = [
            draft("parameter", 128, false),
            draft("kept", 64, true),
            draft("wide", 1024, true),
            draft("laid", 640, false),
            draft("laid too", 512, false),
        ];
        let steps = [vec![], [1, 2, 2, 3, 4, 1].map(touch).to_vec(), vec![]];
        let special = Special { given: vec![BufferId(0)], results: vec![], keeps_prepared: false };
        let (buffers, arena) = assign(&drafts, &steps, &special, 2);
        assert_eq!(arena, Arena { fixed: 128, per_sample: 1088, level: 64, above: 640 });
        let places: Vec<Place> = buffers.iter().map(|buffer| buffer.place).collect();
        let samples = [Place::PerSample(0), Place::PerSample(64)];
        let expected = [Place::Fixed(0), samples[0], samples[1], Place::Above(0), Place::Above(0)];
        assert_eq!(places, expected);
        // Already one sample leaves room at the later steps.
        assert_eq!([1, 2].map(|batch| arena.bytes(batch)), [Some(128 + 1088), Some(128 + 2 * 1088)]);
    }

    /// The other value is live between the whole and its part, so that the whole's memory is not free.
    #[test]
    fn a_part_lies_in_its_buffer_which_lives_as_long() {
        let mut drafts = [draft("whole", 256, true), draft("part", 64, true), draft("other", 256, true)];
        drafts[1].part_of = Some((BufferId(0), 128));
        let steps = [vec![], [0, 2, 1].map(touch).to_vec(), vec![]];
        let special = Special { given: vec![], results: vec![], keeps_prepared: false };
        let (buffers, arena) = assign(&drafts, &steps, &special, 1);
        assert_eq!((buffers[0].live, buffers[1].live), ((0, 2), (2, 2)));
        assert_eq!(buffers[1].place, buffers[0].place.further(128));
        assert_eq!(buffers[1].part_of, Some(BufferId(0)));
        assert_eq!(arena.per_sample, 512);
    }
}
