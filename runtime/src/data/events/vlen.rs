//! Variable-length sequences of an HDF5 file: the data set holds references into global heaps, `u32 length, u64
//! address, u32 object`; a heap is `GCOL`, version, 3 bytes, `u64 size`, then objects `u16 number, u16, u32, u64
//! size, bytes` in steps of 8.

use crate::Error;
use hdf5_pure::{Datatype, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes of a reference.
const REFERENCE: usize = 16;

/// The largest heap that is read: one sample's spikes take some hundred kilobytes.
const MOST: u64 = 1 << 30;

/// One column of sequences.
#[derive(Debug)]
pub struct Sequences {
    path: PathBuf,
    name: String,
    references: Vec<Reference>,
    element: Element,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Reference {
    length: u32,
    address: u64,
    object: u32,
}

/// Element types, little-endian.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Element {
    Float(usize),
    Unsigned(usize),
    Signed(usize),
}

impl Sequences {
    /// The references of a data set; sequences are read one by one.
    pub fn open(file: &File, path: &Path, name: &str) -> Result<Sequences, Error> {
        let bad = |what: &dyn std::fmt::Display| {
            let help = "Heidelberg files have spikes/times, spikes/units and labels";
            Error::Data(format!("{}: `{name}`: {what}\n  help: {help}", path.display()))
        };
        let set = file.dataset(name).map_err(|e| bad(&e))?;
        let kind = set.datatype().map_err(|e| bad(&e))?;
        let Datatype::VariableLength { is_string: false, base_type, .. } = &kind else {
            return Err(bad(&"not a list of sequences"));
        };
        let element = element(base_type).ok_or_else(|| bad(&"elements are not little-endian numbers"))?;
        let raw = set.read_raw().map_err(|e| bad(&e))?;
        let (references, rest) = raw.as_chunks::<REFERENCE>();
        if !rest.is_empty() {
            return Err(bad(&format!("{} bytes are no list of references", raw.len())));
        }
        let references = references.iter().map(reference).collect();
        Ok(Sequences { path: path.to_path_buf(), name: name.to_string(), references, element })
    }

    /// Number of sequences.
    pub fn len(&self) -> usize {
        self.references.len()
    }

    /// The numbers of a sequence.
    pub fn read(&self, index: usize) -> Result<Vec<f64>, Error> {
        let reference = self.references[index];
        if reference.length == 0 {
            return Ok(Vec::new());
        }
        let bytes = self.object(reference).map_err(|what| {
            let text = format!("{}: sequence {index} of `{}`: {what}", self.path.display(), self.name);
            Error::Data(format!("{text}\n  help: the file is damaged; download it again"))
        })?;
        Ok(self.element.numbers(&bytes))
    }

    /// The bytes of a sequence, from its heap.
    fn object(&self, reference: Reference) -> Result<Vec<u8>, String> {
        let cut = |e: std::io::Error| format!("its heap at byte {} cannot be read: {e}", reference.address);
        let mut file = std::fs::File::open(&self.path).map_err(cut)?;
        file.seek(SeekFrom::Start(reference.address)).map_err(cut)?;
        let mut head = [0; 16];
        file.read_exact(&mut head).map_err(cut)?;
        let size = u64::from_le_bytes(std::array::from_fn(|i| head[8 + i]));
        let all = file.metadata().map_err(cut)?.len();
        if !head.starts_with(b"GCOL")
            || !(16..=MOST).contains(&size)
            || reference.address.saturating_add(size) > all
        {
            return Err(format!("there is no heap at byte {}", reference.address));
        }
        let mut heap = vec![0; size as usize - 16];
        file.read_exact(&mut heap).map_err(cut)?;
        let object = object(&heap, reference.object);
        let wanted = reference.length as usize * self.element.size();
        match object {
            Some(bytes) if bytes.len() >= wanted => Ok(bytes[..wanted].to_vec()),
            Some(bytes) => Err(format!("it has {} bytes, {wanted} are promised", bytes.len())),
            None => Err(format!("its heap holds no object {}", reference.object)),
        }
    }
}

/// The bytes of an object of a heap.
fn object(heap: &[u8], wanted: u32) -> Option<&[u8]> {
    let mut at = 0;
    loop {
        let head = heap.get(at..at + 16)?;
        let number = u32::from(u16::from_le_bytes([head[0], head[1]]));
        let size = usize::try_from(u64::from_le_bytes(std::array::from_fn(|i| head[8 + i]))).ok()?;
        // Object 0 is what is left of the heap.
        if number == 0 {
            return None;
        }
        let start = at + 16;
        if number == wanted {
            return heap.get(start..start.checked_add(size)?);
        }
        at = start.checked_add(size.checked_next_multiple_of(8)?)?;
    }
}

fn reference(bytes: &[u8; REFERENCE]) -> Reference {
    let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    let address = u64::from_le_bytes(std::array::from_fn(|i| bytes[4 + i]));
    Reference { length: word(0), address, object: word(12) }
}

fn element(kind: &Datatype) -> Option<Element> {
    use hdf5_pure::DatatypeByteOrder::LittleEndian;
    Some(match kind {
        Datatype::FloatingPoint { size: size @ (2 | 4 | 8), byte_order: LittleEndian, .. } => {
            Element::Float(*size as usize)
        }
        Datatype::FixedPoint { size: size @ (1 | 2 | 4 | 8), byte_order: LittleEndian, layout } => {
            let size = *size as usize;
            if layout.signed { Element::Signed(size) } else { Element::Unsigned(size) }
        }
        _ => return None,
    })
}

impl Element {
    fn size(self) -> usize {
        match self {
            Element::Float(size) | Element::Unsigned(size) | Element::Signed(size) => size,
        }
    }

    fn numbers(self, bytes: &[u8]) -> Vec<f64> {
        bytes.chunks_exact(self.size()).map(|bytes| self.number(bytes)).collect()
    }

    fn number(self, bytes: &[u8]) -> f64 {
        let bits = bytes.iter().rev().fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
        match self {
            Element::Float(2) => half(bits as u16),
            Element::Float(4) => f32::from_bits(bits as u32).into(),
            Element::Float(_) => f64::from_bits(bits),
            Element::Unsigned(_) => bits as f64,
            Element::Signed(size) => {
                let unused = 64 - 8 * size as u32;
                ((bits << unused) as i64 >> unused) as f64
            }
        }
    }
}

/// A number of 16 bits: sign, 5 bits of exponent, 10 of fraction.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023) / 1024.0);
    let size = match exponent {
        0 => fraction * 2f64.powi(-14),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction) * 2f64.powi(exponent - 15),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_width_are_read() {
        let halves = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_953_125),
            (1, 2f64.powi(-24)),
            (0x7bff, 65504.0),
        ];
        halves.iter().for_each(|&(bits, value)| assert_eq!(half(bits), value));
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
        assert_eq!(Element::Signed(2).numbers(&[0xff, 0xff, 2, 0]), [-1.0, 2.0]);
        assert_eq!(Element::Unsigned(2).numbers(&[0xff, 0xff, 2, 0]), [65535.0, 2.0]);
        assert_eq!(Element::Float(4).numbers(&1.5f32.to_le_bytes()), [1.5]);
        assert_eq!(Element::Float(8).numbers(&(-0.1f64).to_le_bytes()), [-0.1]);
    }

    #[test]
    fn objects_are_found_and_broken_heaps_end() {
        let entry = |number: u16, bytes: &[u8]| {
            let mut entry =
                [&number.to_le_bytes()[..], &[0; 6], &(bytes.len() as u64).to_le_bytes(), bytes].concat();
            entry.resize(entry.len().next_multiple_of(8), 0);
            entry
        };
        let heap = [entry(1, b"abc"), entry(2, b"defghijk"), entry(0, b"")].concat();
        assert_eq!(object(&heap, 2), Some(&b"defghijk"[..]));
        assert_eq!(object(&heap, 1), Some(&b"abc"[..]));
        assert_eq!((object(&heap, 3), object(&heap[..30], 2), object(&[], 1)), (None, None, None));
        let mut endless = entry(1, b"x");
        endless[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!((object(&endless, 1), object(&endless, 2)), (None, None));
    }
}
