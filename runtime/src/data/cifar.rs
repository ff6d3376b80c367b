//! CIFAR-10 and CIFAR-100 in their binary version: records of labels and 3,072 bytes, planes R, G, B of 32×32. A
//! file may hold any number of whole records.

use super::samples::{Opened, Part};
use super::{About, read};
use crate::Error;
use crate::augment::{Content, Norm};
use snnc_plan::Normalization;
use std::path::{Path, PathBuf};

const PIXELS: usize = 3072;

/// Bytes of labels before the pixels; the last one counts.
#[derive(Clone, Copy)]
struct Layout {
    labels: usize,
    classes: usize,
}

/// CIFAR-10: `data_batch_1.bin` and following, `test_batch.bin`.
pub fn open10(folder: &Path) -> Result<Opened, Error> {
    let layout = Layout { labels: 1, classes: 10 };
    let batches: Vec<PathBuf> = (1..=5).map(|i| folder.join(format!("data_batch_{i}.bin"))).collect();
    let present: Vec<PathBuf> = batches.iter().filter(|path| path.exists()).cloned().collect();
    let train = if present.is_empty() { &batches[..1] } else { &present[..] };
    let parts = [records(train, layout)?, records(&[folder.join("test_batch.bin")], layout)?];
    let about = about("CIFAR-10, binary version", folder, "batches.meta.txt", layout);
    Ok(opened("cifar10", layout, Normalization::Cifar10, parts, about))
}

/// CIFAR-100 with its fine labels: `train.bin`, `test.bin`.
pub fn open100(folder: &Path) -> Result<Opened, Error> {
    let layout = Layout { labels: 2, classes: 100 };
    let parts = [records(&[folder.join("train.bin")], layout)?, records(&[folder.join("test.bin")], layout)?];
    let about = about("CIFAR-100, binary version, fine labels", folder, "fine_label_names.txt", layout);
    Ok(opened("cifar100", layout, Normalization::Cifar100, parts, about))
}

fn opened(name: &str, layout: Layout, norm: Normalization, [train, test]: [Part; 2], about: About) -> Opened {
    Opened {
        name: name.to_string(),
        shape: vec![3, 32, 32],
        classes: layout.classes,
        content: Content::Colours,
        norm: Norm::bytes(norm),
        train,
        test,
        about,
    }
}

/// Names of the classes stand in a file beside, one a line; where they do not, classes have none.
fn about(format: &'static str, folder: &Path, names: &str, layout: Layout) -> About {
    let text = std::fs::read_to_string(folder.join(names)).unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let classes: Vec<String> = lines.map(str::to_string).collect();
    let classes = if classes.len() == layout.classes { classes } else { Vec::new() };
    About { format, classes, notes: Vec::new() }
}

fn records(paths: &[PathBuf], layout: Layout) -> Result<Part, Error> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for path in paths {
        let bytes = read(path)?;
        let size = layout.labels + PIXELS;
        let rest = bytes.len() % size;
        if rest != 0 || bytes.is_empty() {
            let whole = bytes.len() - rest;
            let found = format!("{} bytes: record {} at byte {whole} is cut", bytes.len(), whole / size);
            let help = format!(
                "records have {size} bytes; extract the file again, or check that it is this data set"
            );
            return Err(Error::Data(format!("{} has {found}\n  help: {help}", path.display())));
        }
        for (at, record) in bytes.chunks_exact(size).enumerate() {
            let label = record[layout.labels - 1];
            if usize::from(label) >= layout.classes {
                let byte = at * size + layout.labels - 1;
                let found = format!("record {at} (byte {byte}) has label {label}");
                let help =
                    format!("labels are 0 to {}; is the file of another data set?", layout.classes - 1);
                return Err(Error::Data(format!("{}: {found}\n  help: {help}", path.display())));
            }
            labels.push(i32::from(label));
            pixels.extend_from_slice(&record[layout.labels..]);
        }
    }
    Ok(Part::of_bytes(pixels, labels))
}

#[cfg(test)]
mod tests {
    use crate::Error;
    use crate::data::open;
    use crate::testing::Folder;

    fn record(labels: &[u8], value: u8) -> Vec<u8> {
        labels.iter().copied().chain(std::iter::repeat_n(value, 3072)).collect()
    }

    fn message(folder: &Folder) -> String {
        open(&folder.path().display().to_string()).map_or_else(|e| e.to_string(), |_| String::new())
    }

    #[test]
    fn both_layouts_are_told_apart_and_normalised() -> Result<(), Error> {
        let ten = Folder::new("cifar10")?;
        ten.write("data_batch_1.bin", &record(&[3], 255))?;
        ten.write("data_batch_2.bin", &record(&[4], 0))?;
        ten.write("test_batch.bin", &record(&[9], 0))?;
        let data = open(&ten.path().display().to_string())?;
        assert_eq!(
            (data.name.as_str(), data.train.labels(), data.test.labels()),
            ("cifar10", &[3, 4][..], &[9][..])
        );
        let mut image = vec![0.0; 3072];
        data.train.write_sample(0, &mut image)?;
        assert!(
            (image[0] - (1.0 - 0.4914) / 0.2023).abs() < 1e-6 && (image[3071] - 0.5535 / 0.2010).abs() < 1e-6
        );
        let data = data.unnormalised();
        data.train.write_sample(0, &mut image)?;
        assert!(image.iter().all(|&v| v == 1.0), "encoders take values from 0 to 1");
        data.test.write_sample(0, &mut image)?;
        assert!(image.iter().all(|&v| v == 0.0));
        let hundred = Folder::new("cifar100")?;
        hundred.write("train.bin", &record(&[1, 99], 7))?;
        hundred.write("test.bin", &record(&[1, 42], 7))?;
        let data = open(&hundred.path().display().to_string())?;
        assert_eq!((data.classes, data.train.labels(), data.test.labels()), (100, &[99][..], &[42][..]));
        Ok(())
    }

    #[test]
    fn bad_files_are_named_with_the_byte() -> Result<(), Error> {
        let folder = Folder::new("cifar-bad")?;
        folder.write("data_batch_1.bin", &record(&[3], 1))?;
        assert!(message(&folder).contains("test_batch.bin is missing"));
        folder.write("test_batch.bin", &[record(&[3], 1), vec![0; 5]].concat())?;
        assert!(message(&folder).contains("3078 bytes: record 1 at byte 3073 is cut"));
        folder.write("test_batch.bin", &[record(&[3], 1), record(&[10], 1)].concat())?;
        assert!(message(&folder).contains("record 1 (byte 3073) has label 10"));
        folder.write("test_batch.bin", &[])?;
        assert!(message(&folder).contains("0 bytes"));
        Ok(())
    }

    #[test]
    fn real_images_load_where_they_are() -> Result<(), Error> {
        let Ok(folder) = std::env::var("SNNC_CIFAR10") else { return Ok(()) };
        let data = open(&folder)?;
        let mut image = vec![0.0; 3072];
        let (mut sum, mut squares) = (0.0, 0.0);
        for i in 0..1000.min(data.train.len()) {
            data.train.write_sample(i, &mut image)?;
            sum += image.iter().map(|v| f64::from(*v)).sum::<f64>() / 3072.0;
            squares += image.iter().map(|v| f64::from(v * v)).sum::<f64>() / 3072.0;
        }
        assert!((sum / 1000.0).abs() < 0.2 && (squares / 1000.0 - 1.5).abs() < 0.3, "{sum} {squares}");
        Ok(())
    }
}
