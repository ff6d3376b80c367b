//! Event files as TensorBoard reads them: records of scalars, histograms and pictures, each with its checksums.
//!
//! ```text
//! u64 length | u32 masked CRC-32C of the length | protobuf Event | u32 masked CRC-32C of the event
//! Event: 1 wall time, 2 step, 3 version or 5 summary { 1 value { 1 tag, 2 number, 4 picture or 5 histogram } }
//! ```
//!
//! Does not read such files, and knows no other kind of record.

use crate::Error;
use crate::data::Picture;
use crate::environment::{host, now};
use crate::metrics::Histogram;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// An event file under way. Each run, and each resumption of it, has its own.
pub struct Events {
    path: PathBuf,
    file: File,
}

impl Events {
    /// A new file in the folder, named by the time and the machine.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(folder: &Path) -> Result<Events, Error> {
        let (time, host) = (now(), host());
        let mut seconds = time as u64;
        let (path, file) = loop {
            let path = folder.join(format!("events.out.tfevents.{seconds}.{host}"));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => seconds += 1,
                Err(e) => return Err(Error::io(&path, "create", e)),
            }
        };
        let mut events = Events { path, file };
        let mut event = Vec::new();
        put_double(&mut event, 1, time);
        put_bytes(&mut event, 3, b"brain.Event:2");
        events.append(&event)?;
        Ok(events)
    }

    /// Adds numbers and histograms of a step, each under its tag.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn add(
        &mut self,
        step: u64,
        scalars: &[(String, f64)],
        histograms: &[(String, Histogram)],
    ) -> Result<(), Error> {
        let mut summary = Vec::new();
        for (tag, value) in scalars {
            put_bytes(&mut summary, 1, &scalar(tag, *value as f32));
        }
        for (tag, values) in histograms {
            put_bytes(&mut summary, 1, &histogram(tag, values));
        }
        let event = event(now(), step, &summary);
        self.append(&event)
    }

    /// Adds a picture of a step.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn add_picture(&mut self, step: u64, tag: &str, picture: &Picture) -> Result<(), Error> {
        let mut summary = Vec::new();
        put_bytes(&mut summary, 1, &image(tag, picture));
        let event = event(now(), step, &summary);
        self.append(&event)
    }

    fn append(&mut self, event: &[u8]) -> Result<(), Error> {
        self.file.write_all(&record(event)).map_err(|e| Error::io(&self.path, "write", e))
    }
}

fn event(time: f64, step: u64, summary: &[u8]) -> Vec<u8> {
    let mut event = Vec::new();
    put_double(&mut event, 1, time);
    put_key(&mut event, 2, 0);
    put_varint(&mut event, step);
    put_bytes(&mut event, 5, summary);
    event
}

fn scalar(tag: &str, value: f32) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, tag.as_bytes());
    put_key(&mut out, 2, 5);
    out.extend(value.to_le_bytes());
    out
}

fn histogram(tag: &str, values: &Histogram) -> Vec<u8> {
    let packed = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let mut histo = Vec::new();
    let numbers = [values.range.0, values.range.1, values.num, values.sum, values.sum_squares];
    (1..).zip(numbers).for_each(|(field, value)| put_double(&mut histo, field, value));
    put_bytes(&mut histo, 6, &packed(&values.limits));
    put_bytes(&mut histo, 7, &packed(&values.counts));
    let mut out = Vec::new();
    put_bytes(&mut out, 1, tag.as_bytes());
    put_bytes(&mut out, 5, &histo);
    out
}

/// Rows, columns, three colours, the file.
fn image(tag: &str, picture: &Picture) -> Vec<u8> {
    let mut inner = Vec::new();
    for (field, value) in [(1, picture.size.0), (2, picture.size.1), (3, 3)] {
        put_key(&mut inner, field, 0);
        put_varint(&mut inner, u64::from(value));
    }
    put_bytes(&mut inner, 4, &picture.png);
    let mut out = Vec::new();
    put_bytes(&mut out, 1, tag.as_bytes());
    put_bytes(&mut out, 4, &inner);
    out
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_key(out: &mut Vec<u8>, field: u64, kind: u64) {
    put_varint(out, field << 3 | kind);
}

fn put_double(out: &mut Vec<u8>, field: u64, value: f64) {
    put_key(out, field, 1);
    out.extend(value.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_key(out, field, 2);
    put_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

/// A record with its length and checksums.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let sum = |bytes: &[u8]| masked(crc32c(bytes)).to_le_bytes();
    [&length[..], &sum(&length), data, &sum(data)].concat()
}

fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: events are small, and a picture comes once.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

/// What a file of events holds, in order: step, tag, and the picture where it is one. For tests: files of this program alone.
#[cfg(test)]
pub fn read(bytes: &[u8]) -> Vec<(u64, String, Option<Picture>)> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some((length, tail)) = rest.split_first_chunk::<8>() {
        let data = &tail[4..4 + u64::from_le_bytes(*length) as usize];
        assert_eq!(record(data), rest[..16 + data.len()], "checksums");
        rest = &rest[16 + data.len()..];
        let event = fields(data);
        let step = event.iter().find(|(field, _, _)| *field == 2).map_or(0, |(_, number, _)| *number);
        for (_, _, summary) in event.iter().filter(|(field, _, _)| *field == 5) {
            for (_, _, value) in fields(summary) {
                let value = fields(value);
                let of = |wanted: u64| value.iter().find(|(field, _, _)| *field == wanted);
                let tag =
                    of(1).map(|(_, _, tag)| String::from_utf8_lossy(tag).into_owned()).unwrap_or_default();
                let picture = of(4).map(|(_, _, image)| {
                    let image = fields(image);
                    let png = image.iter().find(|(field, _, _)| *field == 4).map(|(_, _, png)| png.to_vec());
                    Picture { size: (image[0].1 as u32, image[1].1 as u32), png: png.unwrap_or_default() }
                });
                found.push((step, tag, picture));
            }
        }
    }
    assert!(rest.is_empty(), "a record is cut");
    found
}

/// The fields of a message: number, value of a whole number, bytes of the others.
#[cfg(test)]
fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let (number, length) = match key & 7 {
            0 => (varint(&mut bytes), 0),
            1 => (0, 8),
            5 => (0, 4),
            _ => (0, varint(&mut bytes) as usize),
        };
        let (value, rest) = bytes.split_at(length);
        found.push((key >> 3, number, value));
        bytes = rest;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn checksums_meet_the_published_vector() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(masked(crc32c(b"123456789")), 0xc78a_b0e5);
    }

    #[test]
    fn records_are_those_that_tensorboard_reads() {
        let mut version = Vec::new();
        put_double(&mut version, 1, 1.0);
        put_bytes(&mut version, 3, b"brain.Event:2");
        let expected = "1800000000000000a37f4b2209000000000000f03f1a0d627261696e2e4576656e743a3286bf577a";
        assert_eq!(hex(&record(&version)), expected);
        let mut summary = Vec::new();
        put_bytes(&mut summary, 1, &scalar("loss", 0.5));
        let expected = "1a00000000000000129bd82d09000000000000004010032a0d0a0b0a046c6f7373150000003fbac36b94";
        assert_eq!(hex(&record(&event(2.0, 3, &summary))), expected);
    }

    #[test]
    fn two_files_of_one_second_are_two() -> Result<(), Error> {
        let folder = Folder::new("events")?;
        let (mut first, second) = (Events::create(folder.path())?, Events::create(folder.path())?);
        assert_ne!(first.path, second.path);
        let spread = Histogram::of_spikes([1, 2].into_iter(), 4, 4);
        first.add(300, &[("loss/train".to_string(), 0.5)], &[("rates/lif".to_string(), spread)])?;
        let bytes = std::fs::read(&first.path).map_err(|e| Error::io(&first.path, "read", e))?;
        let tags: Vec<_> = read(&bytes).into_iter().map(|(step, tag, _)| (step, tag)).collect();
        assert_eq!(tags, [(300, "loss/train".to_string()), (300, "rates/lif".to_string())]);
        Ok(())
    }

    #[test]
    fn a_picture_is_read_back() -> Result<(), Error> {
        let folder = Folder::new("picture")?;
        let mut events = Events::create(folder.path())?;
        let picture = Picture { size: (132, 660), png: (0..=255).collect() };
        events.add_picture(0, "samples/first_batch", &picture)?;
        let bytes = std::fs::read(&events.path).map_err(|e| Error::io(&events.path, "read", e))?;
        assert_eq!(read(&bytes), [(0, "samples/first_batch".to_string(), Some(picture))]);
        Ok(())
    }
}
