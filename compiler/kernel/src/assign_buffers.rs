//! Places buffers in memory by lifetime: two that are never live together may share bytes.
//!
//! Greedy, largest first, each at the lowest free offset. A buffer lives from the first step that touches it
//! to the last; results live to the end, parameters and inputs throughout. What `prepare` makes for later steps lives to
//! the end in inference, where it is made once for many batches; in training it is made anew for each.

use crate::lower::Draft;
use snnc_plan::{ALIGN, Arena, Buffer, BufferId, Place, Step};

/// Offset, size and life of a buffer that has its place.
type Placed = (usize, usize, (usize, usize));

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

/// Gives every draft its place.
pub(crate) fn assign(drafts: &[Draft], steps: &[Vec<Step>; 3], special: &Special) -> (Vec<Buffer>, Arena) {
    let live = lifetimes(drafts.len(), steps, special);
    let mut order: Vec<usize> = (0..drafts.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(drafts[i].bytes), i));
    let mut placed: [Vec<Placed>; 2] = [Vec::new(), Vec::new()];
    let mut offsets = vec![0; drafts.len()];
    for i in order {
        let bytes = drafts[i].bytes.next_multiple_of(ALIGN);
        let kind = &mut placed[usize::from(drafts[i].batched)];
        let offset = lowest_free(kind, bytes, live[i]);
        offsets[i] = offset;
        let at = kind.partition_point(|&(start, ..)| start < offset);
        kind.insert(at, (offset, bytes, live[i]));
    }
    let end = |list: &[Placed]| list.iter().map(|(o, b, _)| o + b).max().unwrap_or(0);
    let arena = Arena { fixed: end(&placed[0]), per_sample: end(&placed[1]) };
    let buffer = |i: usize| Buffer {
        name: drafts[i].name.clone(),
        elem: drafts[i].elem,
        bytes: drafts[i].bytes.next_multiple_of(ALIGN),
        place: if drafts[i].batched { Place::PerSample(offsets[i]) } else { Place::Fixed(offsets[i]) },
        live: live[i],
    };
    ((0..drafts.len()).map(buffer).collect(), arena)
}

fn lifetimes(count: usize, steps: &[Vec<Step>; 3], special: &Special) -> Vec<(usize, usize)> {
    let total = steps.iter().map(Vec::len).sum::<usize>();
    let end = total.saturating_sub(1);
    let mut live: Vec<Option<(usize, usize)>> = vec![None; count];
    for (at, step) in steps.iter().flatten().enumerate() {
        for id in step.touches() {
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
fn lowest_free(placed: &[Placed], bytes: usize, live: (usize, usize)) -> usize {
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
