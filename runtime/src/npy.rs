//! Arrays in NumPy's `.npy` format.

use crate::Error;
use npyz::{DType, NpyFile, Order, TypeChar, WriterBuilder};
use std::path::Path;

/// An array of real numbers, row-major.
#[derive(Clone, PartialEq, Debug)]
pub struct Array {
    /// Extents.
    pub shape: Vec<usize>,
    /// Values.
    pub data: Vec<f32>,
}

/// Reads real numbers: f32, f64, or integers and booleans of one byte.
///
/// # Errors
/// [`Error::Io`], or [`Error::Data`] for another format, order or element type, a cut file, or a value that is not
/// finite.
pub fn read(path: &Path) -> Result<Array, Error> {
    let (npy, shape, kind) = open(path)?;
    let data: Result<Vec<f32>, _> = match kind {
        (TypeChar::Float, 4) => npy.into_vec(),
        (TypeChar::Float, 8) => npy.into_vec::<f64>().map(|v| v.into_iter().map(|x| x as f32).collect()),
        (TypeChar::Uint, 1) => npy.into_vec::<u8>().map(|v| v.into_iter().map(f32::from).collect()),
        (TypeChar::Int, 1) => npy.into_vec::<i8>().map(|v| v.into_iter().map(f32::from).collect()),
        (TypeChar::Bool, 1) => npy.into_vec::<bool>().map(|v| v.into_iter().map(f32::from).collect()),
        _ => return Err(wrong_type(path, "float32", "float32, float64, uint8, int8 or bool")),
    };
    let data = data.map_err(|e| cut(path, &e))?;
    match data.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(Error::Data(format!("{}: value {at} is {}, not finite", path.display(), data[at]))),
        None => Ok(Array { shape, data }),
    }
}

/// Reads class labels, `[N]`: integers of 1, 4 or 8 bytes.
///
/// # Errors
/// As [`read`], and [`Error::Data`] for more than one axis or a label that does not fit 31 bits.
pub fn read_labels(path: &Path) -> Result<Vec<i32>, Error> {
    let (npy, shape, kind) = open(path)?;
    if shape.len() != 1 {
        return Err(Error::Data(format!("{}: labels have shape [N], found {shape:?}", path.display())));
    }
    let wide: Result<Vec<i64>, _> = match kind {
        (TypeChar::Int, 8) => npy.into_vec(),
        (TypeChar::Int, 4) => npy.into_vec::<i32>().map(|v| v.into_iter().map(i64::from).collect()),
        (TypeChar::Uint, 1) => npy.into_vec::<u8>().map(|v| v.into_iter().map(i64::from).collect()),
        _ => return Err(wrong_type(path, "int64", "int64, int32 or uint8")),
    };
    let wide = wide.map_err(|e| cut(path, &e))?;
    let narrow = |(at, label): (usize, &i64)| {
        let bad = |_| Error::Data(format!("{}: label {at} is {label}", path.display()));
        i32::try_from(*label).map_err(bad)
    };
    wide.iter().enumerate().map(narrow).collect()
}

/// Writes real numbers as float32, through a temporary file.
///
/// # Errors
/// [`Error::Io`]; [`Error::Internal`] where shape and data disagree.
pub fn write(path: &Path, shape: &[usize], data: &[f32]) -> Result<(), Error> {
    if shape.iter().product::<usize>() != data.len() {
        return Err(Error::Internal(format!("{} values for an array of shape {shape:?}", data.len())));
    }
    let shape: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
    let mut bytes = Vec::with_capacity(data.len() * 4 + 128);
    let writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd();
    let written = writer.and_then(|mut writer| {
        writer.extend(data)?;
        writer.finish()
    });
    written.map_err(|e| Error::io(path, "write", e))?;
    crate::checkpoint::write_atomically(path, &bytes)
}

type Opened = (NpyFile<std::io::BufReader<std::fs::File>>, Vec<usize>, (TypeChar, u64));

fn open(path: &Path) -> Result<Opened, Error> {
    let file = std::fs::File::open(path).map_err(|e| Error::io(path, "read", e))?;
    let size = file.metadata().map_err(|e| Error::io(path, "read", e))?.len();
    let npy = NpyFile::new(std::io::BufReader::new(file));
    let npy = npy.map_err(|e| Error::Data(format!("{} is not a .npy file: {e}", path.display())))?;
    if npy.order() != Order::C && npy.shape().len() > 1 {
        let help = "save it with np.save(path, np.ascontiguousarray(a))";
        return Err(Error::Data(format!("{} is in Fortran order\n  help: {help}", path.display())));
    }
    let DType::Plain(kind) = npy.dtype() else {
        return Err(wrong_type(path, "float32", "a plain number"));
    };
    let kind = (kind.type_char(), kind.size_field());
    let shape: Vec<usize> = npy.shape().iter().map(|&n| n as usize).collect();
    // Before any allocation: a false header must not ask for more than the file holds.
    let bytes = npy.shape().iter().try_fold(kind.1, |all, &n| all.checked_mul(n));
    if bytes.is_none_or(|bytes| bytes > size) {
        let found = format!("{} bytes, its header promises shape {shape:?}", size);
        return Err(Error::Data(format!("{} is cut short: it has {found}", path.display())));
    }
    Ok((npy, shape, kind))
}

fn wrong_type(path: &Path, best: &str, known: &str) -> Error {
    let help = format!("save it with np.save(path, a.astype(np.{best}))");
    Error::Data(format!("{}: the element type must be {known}\n  help: {help}", path.display()))
}

fn cut(path: &Path, error: &std::io::Error) -> Error {
    Error::Data(format!("{} cannot be read to its end: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn arrays_come_back() -> Result<(), Error> {
        let folder = Folder::new("npy")?;
        let path = folder.file("a.npy");
        write(&path, &[2, 3], &[1.0, 2.0, 3.0, -4.5, 0.0, 6.0])?;
        let array = read(&path)?;
        assert_eq!(array.shape, [2, 3]);
        assert_eq!(array.data[3], -4.5);
        Ok(())
    }

    #[test]
    fn bad_files_are_named() -> Result<(), Error> {
        let folder = Folder::new("npy-bad")?;
        let path = folder.file("a.npy");
        let message = |path: &Path| read(path).map_or_else(|e| e.to_string(), |_| String::new());
        assert!(message(&path).contains("cannot read"));
        std::fs::write(&path, b"hello").map_err(|e| Error::io(&path, "write", e))?;
        assert!(message(&path).contains("not a .npy file"));
        write(&path, &[2], &[1.0, f32::NAN])?;
        assert!(message(&path).contains("value 1 is NaN"));
        let whole = std::fs::read(&path).map_err(|e| Error::io(&path, "read", e))?;
        std::fs::write(&path, &whole[..20]).map_err(|e| Error::io(&path, "write", e))?;
        assert!(message(&path).contains("a.npy"));
        write(&path, &[2], &[1.0, 2.0])?;
        assert!(read_labels(&path).is_err_and(|e| e.to_string().contains("int64")));
        Ok(())
    }
}
