//! The UCI digits, built in: 1,797 images of 8×8, values 0 to 16, here divided by 16. See `data/README.md`.

use super::About;
use super::samples::{Opened, Part};
use crate::Error;
use crate::augment::{Content, Norm};
use std::io::Read;

/// Deflated records of a label and 64 pixels.
const PACKED: &[u8] = include_bytes!("../../data/digits.bin");
const RECORD: usize = 65;

/// Every fifth image of each class, in the file's order, is for testing.
const FIFTH: usize = 5;

/// The data set: 1,442 images to train on, 355 to test.
pub fn open() -> Result<Opened, Error> {
    let mut records = Vec::new();
    let unpacked = flate2::read::ZlibDecoder::new(PACKED).read_to_end(&mut records);
    unpacked.map_err(|e| Error::Internal(format!("the built-in digits: {e}")))?;
    let mut seen = [0; 10];
    let mut parts = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    for record in records.chunks_exact(RECORD) {
        let label = record[0];
        let count = &mut seen[usize::from(label) % 10];
        *count += 1;
        let (pixels, labels) = &mut parts[usize::from(*count % FIFTH == 0)];
        pixels.extend_from_slice(&record[1..]);
        labels.push(i32::from(label));
    }
    let [train, test] = parts.map(|(pixels, labels)| Part::of_bytes(pixels, labels));
    let about = About {
        format: "UCI digits, built in",
        classes: (0..10).map(|digit| digit.to_string()).collect(),
        notes: Vec::new(),
    };
    Ok(Opened {
        name: "digits".to_string(),
        shape: vec![1, 8, 8],
        classes: 10,
        content: Content::Levels,
        norm: Norm { scale: 16.0, channels: vec![(0.0, 1.0)] },
        train,
        test,
        about,
    })
}

#[cfg(test)]
mod tests {
    use crate::Error;
    use crate::data::{Split, open};

    #[test]
    fn digits_are_complete_and_split_by_class() -> Result<(), Error> {
        let data = open("digits")?;
        assert_eq!((data.train.len(), data.test.len()), (1442, 355));
        for class in 0..10 {
            let count = |split: &Split| split.labels().iter().filter(|&&l| l == class).count();
            assert_eq!(count(&data.test), (count(&data.train) + count(&data.test)) / 5);
        }
        let mut image = [0.0; 64];
        data.train.write_sample(0, &mut image)?;
        let row: Vec<f32> = image[..8].iter().map(|v| v * 16.0).collect();
        assert_eq!((data.train.labels()[0], row), (0, vec![0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0]));
        Ok(())
    }
}
