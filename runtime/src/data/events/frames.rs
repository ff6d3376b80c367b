//! Events to frames, as SpikingJelly makes them: each frame counts the events of a part of the recording, parts of
//! equal numbers of events or of equal duration; what is left over goes to the last one.

use super::Event;
use crate::Error;
use crate::data::Request;
use snnc_plan::SplitBy;
use std::ops::Range;
use std::path::Path;

/// Frames where no network asks for a number.
const FRAMES: usize = 10;

/// How events become frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Framing {
    /// Frames.
    pub steps: usize,
    /// How they divide the events.
    pub by: SplitBy,
    /// Rows and columns of the sensor; one row for audio.
    pub sensor: (usize, usize),
    /// Sensor pixels along a side of a frame's pixel: their events are summed.
    pub factor: usize,
    /// Whether a count above 1 becomes 1.
    pub clip: bool,
    /// Whether there are two polarities, and rows.
    pub image: bool,
}

impl Framing {
    /// Frames `[T, 2, H, W]` of a camera of this size, as the network's input asks for them.
    pub fn new(folder: &Path, request: &Request, sensor: (usize, usize)) -> Result<Framing, Error> {
        let (rows, columns) = sensor;
        let shape =
            request.shape.clone().unwrap_or_else(|| vec![request.frames.unwrap_or(FRAMES), 2, rows, columns]);
        let factor = match shape[..] {
            [_, 2, height, width] => {
                factor(rows, height).filter(|_| factor(rows, height) == factor(columns, width))
            }
            _ => None,
        };
        let Some(factor) = factor else {
            let has =
                format!("{} holds events of {columns}×{rows} pixels and two polarities", folder.display());
            let sizes: Vec<String> = (1..=4)
                .filter(|n| rows % n == 0 && columns % n == 0)
                .map(|n| format!("{}×{}", rows / n, columns / n))
                .collect();
            let help = format!(
                "write `input frames: f32[time, 2, {rows}, {columns}]` (or spike[…]); rows and columns may be {}",
                sizes.join(", ")
            );
            return Err(Error::User(format!("{has}, the network's input is {shape:?}\n  help: {help}")));
        };
        Ok(Framing {
            steps: shape[0],
            by: request.split_by(),
            sensor,
            factor,
            clip: request.spikes,
            image: true,
        })
    }

    /// Frames `[T, N]` of audio channels.
    pub fn audio(folder: &Path, request: &Request, channels: usize) -> Result<Framing, Error> {
        let shape = request.shape.clone().unwrap_or_else(|| vec![request.frames.unwrap_or(FRAMES), channels]);
        let factor = match shape[..] {
            [_, features] => factor(channels, features),
            _ => None,
        };
        let Some(factor) = factor else {
            let has = format!("{} holds spikes of {channels} channels", folder.display());
            let help = format!(
                "write `input spikes: f32[time, {channels}]` (or spike[…]), or a divisor of {channels}"
            );
            return Err(Error::User(format!("{has}, the network's input is {shape:?}\n  help: {help}")));
        };
        let sensor = (1, channels);
        Ok(Framing {
            steps: shape[0],
            by: request.split_by(),
            sensor,
            factor,
            clip: request.spikes,
            image: false,
        })
    }

    /// Extents of a sample.
    pub fn shape(&self) -> Vec<usize> {
        let (rows, columns) = self.sensor;
        match self.image {
            true => vec![self.steps, 2, rows / self.factor, columns / self.factor],
            false => vec![self.steps, columns / self.factor],
        }
    }

    /// What it does, for people.
    pub fn words(&self) -> String {
        let sums = match (self.factor, self.image) {
            (1, _) => String::new(),
            (n, true) => format!(", sums of {n}×{n} pixels"),
            (n, false) => format!(", sums of {n} channels"),
        };
        let clip = if self.clip { ", at most 1" } else { "" };
        format!(
            "{} frames by {} of events{sums}{clip}",
            self.steps,
            match self.by {
                SplitBy::Number => "equal numbers",
                SplitBy::Time => "equal durations",
            }
        )
    }

    /// The frames of a recording.
    ///
    /// # Errors
    /// What is wrong: an event outside the sensor.
    pub fn frames(&self, events: &[Event]) -> Result<Vec<f32>, String> {
        let mut frames = vec![0f32; self.shape().iter().product()];
        let step = frames.len() / self.steps;
        let parts = match self.by {
            SplitBy::Number => by_number(events.len(), self.steps),
            SplitBy::Time => by_time(events, self.steps),
        };
        for (frame, part) in frames.chunks_exact_mut(step.max(1)).zip(parts) {
            for event in &events[part] {
                frame[self.cell(event)?] += 1.0;
            }
        }
        if self.clip {
            frames.iter_mut().for_each(|v| *v = v.min(1.0));
        }
        Ok(frames)
    }

    /// The place of an event in its frame.
    fn cell(&self, event: &Event) -> Result<usize, String> {
        let (rows, columns) = self.sensor;
        let (x, y) = (usize::from(event.x), usize::from(event.y));
        if x >= columns || y >= rows {
            return Err(format!(
                "an event at column {x}, row {y} lies outside the sensor of {columns}×{rows}"
            ));
        }
        let (height, width) = (rows / self.factor, columns / self.factor);
        let row = if self.image { usize::from(event.on) * height + y / self.factor } else { 0 };
        Ok(row * width + x / self.factor)
    }
}

/// Of how many pixels a pixel of the network is the sum.
fn factor(sensor: usize, network: usize) -> Option<usize> {
    (network > 0 && sensor.is_multiple_of(network)).then(|| sensor / network)
}

fn by_number(events: usize, steps: usize) -> Vec<Range<usize>> {
    let part = events / steps;
    (0..steps).map(|i| i * part..if i + 1 == steps { events } else { (i + 1) * part }).collect()
}

/// Each frame reaches from the first to the last event of its time; times are almost always in order.
fn by_time(events: &[Event], steps: usize) -> Vec<Range<usize>> {
    let mut parts = vec![0..0; steps];
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return parts };
    let part = (last.t - first.t).div_euclid(steps as i64);
    for (at, event) in events.iter().enumerate() {
        let late = event.t - first.t;
        if late < 0 {
            continue;
        }
        let step = if part > 0 { (late / part).min(steps as i64 - 1) as usize } else { steps - 1 };
        let range = &mut parts[step];
        *range = if range.end == 0 { at..at + 1 } else { range.start..at + 1 };
    }
    if let Some(range) = parts.last_mut().filter(|range| range.end > 0) {
        range.end = events.len();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(t: i64, x: u16, y: u16, on: bool) -> Event {
        Event { t, x, y, on }
    }

    fn framing(by: SplitBy) -> Framing {
        Framing { steps: 3, by, sensor: (2, 2), factor: 1, clip: false, image: true }
    }

    #[test]
    fn the_last_frame_takes_the_rest() {
        assert_eq!(by_number(11, 3), [0..3, 3..6, 6..11]);
        assert_eq!(by_number(2, 3), [0..0, 0..0, 0..2]);
        // Ten microseconds in parts of 3: 5-7, 8-10, 11-15.
        let events: Vec<Event> = [5, 6, 7, 8, 10, 11, 13, 14, 15].map(|t| event(t, 0, 0, true)).to_vec();
        assert_eq!(by_time(&events, 3), [0..3, 3..5, 5..9]);
        assert_eq!(by_time(&events[..1], 3), [0..0, 0..0, 0..1]);
        assert_eq!(by_time(&[], 3), [0..0, 0..0, 0..0]);
        let gap: Vec<Event> = [0, 1, 9].map(|t| event(t, 0, 0, true)).to_vec();
        assert_eq!(by_time(&gap, 3), [0..2, 0..0, 2..3]);
    }

    #[test]
    fn polarity_is_the_channel() -> Result<(), String> {
        let events = [event(0, 1, 0, false), event(1, 1, 0, true), event(2, 0, 1, true)];
        let frames = framing(SplitBy::Number).frames(&events)?;
        assert_eq!(frames[..8], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(frames[8..16], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(frames[16..], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        Ok(())
    }

    #[test]
    fn neighbours_are_summed_and_counts_cut() -> Result<(), String> {
        let events = [event(0, 0, 0, true), event(1, 1, 1, true), event(2, 1, 0, true)];
        let small = Framing { steps: 1, factor: 2, ..framing(SplitBy::Time) };
        assert_eq!((small.shape(), small.frames(&events)?), (vec![1, 2, 1, 1], vec![0.0, 3.0]));
        assert_eq!(Framing { clip: true, ..small }.frames(&events)?, [0.0, 1.0]);
        let text = small.frames(&[event(0, 2, 0, true)]).err().unwrap_or_default();
        assert!(text.contains("column 2, row 0 lies outside the sensor of 2×2"));
        Ok(())
    }

    #[test]
    fn networks_of_other_sizes_are_told_which_would_do() {
        let open = |shape: &[usize]| {
            let request = Request { shape: Some(shape.to_vec()), ..Request::default() };
            Framing::new(Path::new("data"), &request, (128, 128)).map_err(|e| e.to_string())
        };
        assert_eq!(open(&[16, 2, 64, 64]).map(|framing| framing.factor), Ok(2));
        let text = open(&[16, 2, 48, 48]).err().unwrap_or_default();
        assert!(
            text.contains("the network's input is [16, 2, 48, 48]") && text.contains("128×128, 64×64, 32×32"),
            "{text}"
        );
        assert!(open(&[3, 32, 32]).is_err_and(|text| text.contains("f32[time, 2, 128, 128]")));
        assert!(open(&[16, 2, 64, 128]).is_err());
    }
}
