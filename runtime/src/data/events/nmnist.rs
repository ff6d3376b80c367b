//! N-MNIST's files: 5 bytes an event, big-endian bits: x, y, polarity (1 bit), microseconds (23 bits).

use super::Event;
use crate::Error;
use std::path::Path;

/// Bytes of an event.
const EVENT: usize = 5;

/// A row that marks an overflow of the time stamps instead of an event: all later ones are 2¹³ more.
const OVERFLOW: u8 = 240;

/// All events of a file.
pub fn read(path: &Path) -> Result<Vec<Event>, Error> {
    let bytes = super::super::read(path)?;
    if bytes.is_empty() || !bytes.len().is_multiple_of(EVENT) {
        let whole = bytes.len() / EVENT;
        let text = format!("{} has {} bytes: event {whole} is cut", path.display(), bytes.len());
        return Err(Error::Data(format!(
            "{text}\n  help: events have {EVENT} bytes; extract the file again"
        )));
    }
    let (events, _) = bytes.as_chunks::<EVENT>();
    let mut late = 0;
    let mut found = Vec::with_capacity(events.len());
    for &[x, y, high, middle, low] in events {
        if y == OVERFLOW {
            late += 1 << 13;
            continue;
        }
        let t = i64::from(high & 0x7f) << 16 | i64::from(middle) << 8 | i64::from(low);
        found.push(Event { t: t + late, x: x.into(), y: y.into(), on: high & 0x80 != 0 });
    }
    Ok(found)
}
