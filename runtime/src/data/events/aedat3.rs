//! DVS128 Gesture: AEDAT 3.1 files with a table of labels for each, and lists of the files of each part.
//!
//! ```text
//! trials_to_train.txt         user01_fluorescent.aedat        one name a line
//! user01_fluorescent.aedat    header lines to #!END-HEADER, then packets of events
//! user01_fluorescent_labels.csv    class,startTime_usec,endTime_usec; each row is a sample
//! ```
//!
//! A file's packets are found once, when its first sample is asked for; a sample reads only those of its time.

use super::{Event, Recording};
use crate::Error;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The classes, in the order of the labels 1 to 11.
pub const CLASSES: [&str; 11] = [
    "hand_clapping",
    "right_hand_wave",
    "left_hand_wave",
    "right_arm_clockwise",
    "right_arm_counter_clockwise",
    "left_arm_clockwise",
    "left_arm_counter_clockwise",
    "arm_roll",
    "air_drums",
    "air_guitar",
    "other_gestures",
];

/// Bytes of a packet's header.
const HEADER: usize = 28;

/// Bytes of an event, and the type of packets that hold events.
const EVENT: usize = 8;
const POLARITY: i16 = 1;

/// A recording of all gestures of a person.
#[derive(Debug)]
pub struct Gesture {
    /// The file.
    pub path: PathBuf,
    packets: OnceLock<Result<Vec<Packet>, String>>,
}

/// Events of one packet.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Packet {
    bytes: Range<u64>,
    /// What is added to the events' times.
    late: i64,
    /// Times of its events.
    first: i64,
    last: i64,
}

impl Gesture {
    fn new(path: PathBuf) -> Gesture {
        Gesture { path, packets: OnceLock::new() }
    }

    /// The events from a time to before another.
    pub fn events(&self, from: i64, to: i64) -> Result<Vec<Event>, Error> {
        let packets = self.packets.get_or_init(|| self.index().map_err(|e| e.to_string()));
        let packets = packets.as_ref().map_err(|e| Error::Data(e.clone()))?;
        let failed = |e| Error::io(&self.path, "read", e);
        let mut file = std::fs::File::open(&self.path).map_err(failed)?;
        let (mut found, mut bytes) = (Vec::new(), Vec::new());
        for packet in packets.iter().filter(|packet| packet.last >= from && packet.first < to) {
            file.seek(SeekFrom::Start(packet.bytes.start)).map_err(failed)?;
            bytes.resize((packet.bytes.end - packet.bytes.start) as usize, 0);
            file.read_exact(&mut bytes).map_err(failed)?;
            let events = bytes.as_chunks::<EVENT>().0.iter().filter_map(|event| decode(event, packet.late));
            found.extend(events.filter(|event| (from..to).contains(&event.t)));
        }
        Ok(found)
    }

    /// Finds all packets of events.
    fn index(&self) -> Result<Vec<Packet>, Error> {
        let bytes = super::super::read(&self.path)?;
        let mut at = header(&bytes).ok_or_else(|| {
            let text = format!("{} has no AEDAT 3.1 header", self.path.display());
            Error::Data(format!("{text}\n  help: DVS128 Gesture's files begin with `#!AER-DAT3.1`"))
        })?;
        let mut packets = Vec::new();
        while at < bytes.len() {
            let (packet, next) = self.packet(&bytes, at)?;
            packets.extend(packet);
            at = next;
        }
        Ok(packets)
    }

    /// The packet at a byte, if it has events, and where the next one begins.
    fn packet(&self, bytes: &[u8], at: usize) -> Result<(Option<Packet>, usize), Error> {
        let broken = |what: String| {
            let text = format!("{}: packet at byte {at} {what}", self.path.display());
            Error::Data(format!("{text}\n  help: the file is damaged; extract it again"))
        };
        let Some(header) = bytes.get(at..at + HEADER) else {
            return Err(broken("ends inside its header".to_string()));
        };
        let word =
            |at: usize| i32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let kind = i16::from_le_bytes([header[0], header[1]]);
        let (size, overflow, capacity, number) = (word(4), word(12), word(16), word(20));
        let body = usize::try_from(size).ok().zip(usize::try_from(capacity).ok());
        let body = body.and_then(|(size, capacity)| size.checked_mul(capacity));
        let start = at + HEADER;
        let end = body.and_then(|body| start.checked_add(body)).filter(|&end| end <= bytes.len());
        let Some(end) = end else {
            let left = bytes.len() - start;
            return Err(broken(format!("promises {capacity} events of {size} bytes, {left} bytes are left")));
        };
        if kind != POLARITY {
            return Ok((None, end));
        }
        let count = usize::try_from(number)
            .ok()
            .filter(|_| size as usize == EVENT && number <= capacity && overflow >= 0);
        let Some(count) = count else {
            return Err(broken(format!("has {number} of {capacity} events of {size} bytes")));
        };
        let late = i64::from(overflow) << 31;
        let stop = start + count * EVENT;
        let events = bytes[start..stop].as_chunks::<EVENT>().0.iter().filter_map(|event| decode(event, late));
        let times = events.fold((i64::MAX, i64::MIN), |(low, high), e| (low.min(e.t), high.max(e.t)));
        let bytes = start as u64..stop as u64;
        let packet = Packet { bytes, late, first: times.0, last: times.1 };
        Ok(((times.0 <= times.1).then_some(packet), end))
    }
}

/// Where the packets begin.
fn header(bytes: &[u8]) -> Option<usize> {
    const END: &[u8] = b"#!END-HEADER\r\n";
    if !bytes.starts_with(b"#!AER-DAT3.1") {
        return None;
    }
    bytes.windows(END.len()).take(1 << 16).position(|window| window == END).map(|at| at + END.len())
}

/// An event that is marked as valid.
fn decode(&[a, b, c, d, e, f, g, h]: &[u8; EVENT], late: i64) -> Option<Event> {
    let data = u32::from_le_bytes([a, b, c, d]);
    let t = late + i64::from(i32::from_le_bytes([e, f, g, h]));
    let (x, y) = ((data >> 17 & 0x7fff) as u16, (data >> 2 & 0x7fff) as u16);
    (data & 1 == 1).then_some(Event { t, x, y, on: data & 2 != 0 })
}

/// The samples of a list, each with its label.
pub fn trials(folder: &Path, list: &str) -> Result<Vec<(Recording, i32)>, Error> {
    let path = folder.join(list);
    let mut found = Vec::new();
    for name in text(&path)?.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let file = folder.join(name);
        if !file.is_file() {
            let text = format!("{} lists `{name}`, which is missing", path.display());
            return Err(Error::Data(format!("{text}\n  help: extract the whole archive into one folder")));
        }
        let labels = folder.join(format!("{}_labels.csv", name.trim_end_matches(".aedat")));
        let file = Arc::new(Gesture::new(file));
        for (label, from, to) in rows(&labels)? {
            found.push((Recording::Gesture { file: file.clone(), from, to }, label));
        }
    }
    match found.is_empty() {
        true => Err(Error::Data(format!("{} lists no sample", path.display()))),
        false => Ok(found),
    }
}

/// Label, beginning and end of each row of a table.
fn rows(path: &Path) -> Result<Vec<(i32, i64, i64)>, Error> {
    let text = text(path)?;
    let lines = text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty());
    let row = |(at, line): (usize, &str)| {
        let numbers: Vec<i64> = line.split(',').filter_map(|part| part.trim().parse().ok()).collect();
        match numbers[..] {
            [class @ 1..=11, from, to] => Ok((class as i32 - 1, from, to)),
            _ => {
                let text = format!(
                    "{}:{}: expected class (1 to 11), start, end; found `{line}`",
                    path.display(),
                    at + 1
                );
                Err(Error::Data(format!("{text}\n  help: extract the file again")))
            }
        }
    };
    lines.map(row).collect()
}

fn text(path: &Path) -> Result<String, Error> {
    let bytes = super::super::read(path)?;
    String::from_utf8(bytes).map_err(|_| Error::Data(format!("{} is not text", path.display())))
}
