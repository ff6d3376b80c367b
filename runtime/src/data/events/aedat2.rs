//! AEDAT 2.0 as CIFAR10-DVS has it: lines that begin with `#`, then big-endian pairs of an address and microseconds,
//! 32 bits each. Bit 0 of the address is the polarity, bits 1 to 7 and 8 to 14 are the place; it is turned upright
//! as SpikingJelly does.

use super::Event;
use crate::Error;
use std::path::Path;

/// How a file begins.
const MAGIC: &[u8] = b"#!AER-DAT2.0";

/// Bytes of an event.
const EVENT: usize = 8;

/// All events of a file.
pub fn read(path: &Path) -> Result<Vec<Event>, Error> {
    let bytes = super::super::read(path)?;
    if !bytes.starts_with(MAGIC) {
        let text = format!("{} does not begin with `#!AER-DAT2.0`", path.display());
        let help = "CIFAR10-DVS is read as published, in AEDAT 2.0, or from SpikingJelly's caches";
        return Err(Error::Data(format!("{text}\n  help: {help}")));
    }
    let events = &bytes[header(&bytes)..];
    let (events, rest) = events.as_chunks::<EVENT>();
    if !rest.is_empty() || events.is_empty() {
        let text = format!("{} has {} bytes: event {} is cut", path.display(), bytes.len(), events.len());
        return Err(Error::Data(format!(
            "{text}\n  help: events have {EVENT} bytes; extract the file again"
        )));
    }
    Ok(events.iter().map(event).collect())
}

/// Bytes of the lines at the beginning.
fn header(bytes: &[u8]) -> usize {
    let mut at = 0;
    while bytes.get(at) == Some(&b'#') {
        at += bytes[at..].iter().position(|&b| b == b'\n').map_or(bytes.len() - at, |end| end + 1);
    }
    at
}

fn event(&[a, b, c, d, e, f, g, h]: &[u8; EVENT]) -> Event {
    let address = u32::from_be_bytes([a, b, c, d]);
    let place = |shift: u32| 127 - (address >> shift & 0x7f) as u16;
    Event { t: u32::from_be_bytes([e, f, g, h]).into(), x: place(8), y: place(1), on: address & 1 == 0 }
}
