//! MNIST and its kin in IDX files, plain or compressed: big-endian magic `00 00 08 03`, n, rows, columns, bytes; for
//! labels `00 00 08 01`, n, bytes. Fashion-MNIST's files have the same names and are normalised alike.

use super::samples::{Opened, Part};
use super::{About, read};
use crate::Error;
use crate::augment::{Content, Norm};
use snnc_plan::Normalization;
use std::io::Read;
use std::path::{Path, PathBuf};

const IMAGES: u32 = 0x0803;
const LABELS: u32 = 0x0801;

/// The file of a stem under any of its usual names.
fn find(folder: &Path, stem: &str, rank: usize) -> Option<PathBuf> {
    let names = [format!("{stem}-idx{rank}-ubyte"), format!("{stem}.idx{rank}-ubyte")];
    let all = names.iter().flat_map(|name| [name.clone(), format!("{name}.gz")]);
    all.map(|name| folder.join(name)).find(|path| path.exists())
}

/// Whether a folder holds any of the files.
pub fn is_here(folder: &Path) -> bool {
    ["train", "t10k"].iter().any(|part| {
        find(folder, &format!("{part}-images"), 3).is_some()
            || find(folder, &format!("{part}-labels"), 1).is_some()
    })
}

/// The data set.
pub fn open(folder: &Path) -> Result<Opened, Error> {
    let (train, shape) = split(folder, "train")?;
    let (test, test_shape) = split(folder, "t10k")?;
    if shape != test_shape {
        let found = format!("{shape:?} to train on and {test_shape:?} to test on");
        return Err(Error::Data(format!("{} holds images of {found}", folder.display())));
    }
    Ok(Opened {
        name: "mnist".to_string(),
        shape,
        classes: 10,
        content: Content::Colours,
        norm: Norm::bytes(Normalization::Mnist),
        train,
        test,
        about: About { format: "MNIST (IDX)", ..About::default() },
    })
}

fn split(folder: &Path, part: &str) -> Result<(Part, Vec<usize>), Error> {
    let path = |kind: &str, rank| {
        let stem = format!("{part}-{kind}");
        find(folder, &stem, rank).unwrap_or_else(|| folder.join(format!("{stem}-idx{rank}-ubyte")))
    };
    let (images, labels) = (path("images", 3), path("labels", 1));
    let (sizes, pixels) = array(&images, IMAGES, 3)?;
    let (count, classes) = array(&labels, LABELS, 1)?;
    if sizes[0] != count[0] {
        let (n, m) = (sizes[0], count[0]);
        return Err(Error::Data(format!(
            "{} has {n} images, {} has {m} labels",
            images.display(),
            labels.display()
        )));
    }
    if let Some(at) = classes.iter().position(|&label| label > 9) {
        let found = format!("label {at} (byte {}) is {}", at + 8, classes[at]);
        return Err(Error::Data(format!("{}: {found}\n  help: labels are 0 to 9", labels.display())));
    }
    let shape = vec![1, sizes[1], sizes[2]];
    let labels = classes.into_iter().map(i32::from).collect();
    Ok((Part::of_bytes(pixels, labels), shape))
}

/// Sizes and bytes of a file.
fn array(path: &Path, magic: u32, rank: usize) -> Result<(Vec<usize>, Vec<u8>), Error> {
    let mut bytes = read(path)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let packed = std::mem::take(&mut bytes);
        let unpacked = flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut bytes);
        let help = "download it again";
        unpacked
            .map_err(|e| Error::Data(format!("{} does not unpack: {e}\n  help: {help}", path.display())))?;
    }
    let header = 4 * (rank + 1);
    let word = |at: usize| bytes.get(4 * at..4 * at + 4)?.try_into().ok().map(u32::from_be_bytes);
    if word(0) != Some(magic) {
        let found = word(0).map_or("no four bytes".to_string(), |found| format!("{found:#010x}"));
        let help = "this is not an IDX file of unsigned bytes with so many axes";
        return Err(Error::Data(format!(
            "{} begins with {found}, expected {magic:#010x}\n  help: {help}",
            path.display()
        )));
    }
    let sizes: Option<Vec<usize>> = (1..=rank).map(|at| word(at).map(|n| n as usize)).collect();
    let promised =
        sizes.as_ref().and_then(|sizes| sizes.iter().try_fold(1usize, |all, &n| all.checked_mul(n)));
    let Some(sizes) = sizes else {
        return Err(Error::Data(format!("{} ends inside its header of {header} bytes", path.display())));
    };
    if promised == Some(0) {
        return Err(Error::Data(format!("{} is empty: its header has sizes {sizes:?}", path.display())));
    }
    let promised = promised.and_then(|promised| promised.checked_add(header));
    if promised != Some(bytes.len()) {
        let promised = promised.map_or("more than can be".to_string(), |promised| promised.to_string());
        let found = format!("{} bytes, its header ({sizes:?}) promises {promised}", bytes.len());
        return Err(Error::Data(format!("{} has {found}\n  help: download it again", path.display())));
    }
    bytes.drain(..header);
    Ok((sizes, bytes))
}

#[cfg(test)]
mod tests {
    use crate::Error;
    use crate::data::open;
    use crate::testing::Folder;
    use std::io::Write;

    fn file(magic: u32, sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
        let words = std::iter::once(&magic).chain(sizes).flat_map(|w| w.to_be_bytes());
        words.chain(bytes.iter().copied()).collect()
    }

    fn write_all(folder: &Folder) -> Result<(), Error> {
        for (part, n) in [("train", 2u8), ("t10k", 1)] {
            let pixels = vec![255; 6 * usize::from(n)];
            folder.write(&format!("{part}-images-idx3-ubyte"), &file(0x803, &[n.into(), 2, 3], &pixels))?;
            let labels: Vec<u8> = (0..n).collect();
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed
                .write_all(&file(0x801, &[n.into()], &labels))
                .map_err(|e| Error::io(folder.path(), "write", e))?;
            let packed = packed.finish().map_err(|e| Error::io(folder.path(), "write", e))?;
            folder.write(&format!("{part}-labels-idx1-ubyte.gz"), &packed)?;
        }
        Ok(())
    }

    #[test]
    fn plain_and_compressed_files_load() -> Result<(), Error> {
        let folder = Folder::new("mnist")?;
        write_all(&folder)?;
        let data = open(&folder.path().display().to_string())?;
        assert_eq!(
            (data.shape.clone(), data.train.labels(), data.test.len()),
            (vec![1, 2, 3], &[0, 1][..], 1)
        );
        let mut image = [0.0; 6];
        data.train.write_sample(1, &mut image)?;
        assert!((image[5] - 2.8215).abs() < 1e-3);
        data.unnormalised().train.write_sample(1, &mut image)?;
        assert_eq!(image, [1.0; 6]);
        Ok(())
    }

    #[test]
    fn bad_files_are_named() -> Result<(), Error> {
        let folder = Folder::new("mnist-bad")?;
        write_all(&folder)?;
        let images = "train-images-idx3-ubyte";
        let path = folder.path().display().to_string();
        let message = || open(&path).map_or_else(|e| e.to_string(), |_| String::new());
        folder.write(images, &file(0x803, &[2, 2, 3], &[0; 11]))?;
        assert!(message().contains("has 27 bytes, its header ([2, 2, 3]) promises 28"));
        folder.write(images, &file(0x801, &[2], &[0; 2]))?;
        assert!(message().contains("begins with 0x00000801, expected 0x00000803"));
        folder.write(images, &file(0x803, &[u32::MAX; 3], &[0; 4]))?;
        assert!(message().contains("promises more than can be"));
        folder.write(images, &file(0x803, &[0, 2, 3], &[]))?;
        assert!(message().contains("is empty"));
        folder.write(images, &[0, 0, 8, 3, 0])?;
        assert!(message().contains("ends inside its header"));
        folder.write(images, &file(0x803, &[3, 2, 3], &[0; 18]))?;
        assert!(message().contains("has 3 images"));
        folder.write("train-labels-idx1-ubyte.gz", &[0x1f, 0x8b, 8, 0])?;
        assert!(message().contains("does not unpack"));
        Ok(())
    }
}
