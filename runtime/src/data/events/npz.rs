//! SpikingJelly's `.npz` files: frames under the key `frames`, or events under `t`, `x`, `y`, `p`.

use super::Event;
use super::frames::Framing;
use crate::Error;
use npyz::{DType, NpyFile, Order, TypeChar};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zip::ZipArchive;

/// The most bytes of an array: a damaged size must not ask for more.
const MOST: u64 = 1 << 32;

/// Frames of a file, summed over neighbours where the network is smaller than the sensor.
pub fn frames(path: &Path, framing: &Framing) -> Result<Vec<f32>, Error> {
    let (shape, values) = array(path, "frames")?;
    let (rows, columns) = framing.sensor;
    let wanted = [framing.steps, 2, rows, columns];
    if shape != wanted {
        let text = format!("{}: `frames` has shape {shape:?}, expected {wanted:?}", path.display());
        return Err(Error::Data(format!("{text}\n  help: all files of a cache have one shape")));
    }
    let (height, width) = (rows / framing.factor, columns / framing.factor);
    let mut frames = vec![0.0; framing.steps * 2 * height * width];
    for (at, &value) in values.iter().enumerate() {
        if !(value.is_finite() && value >= 0.0) {
            return Err(Error::Data(format!(
                "{}: value {at} of `frames` is {value}, no count",
                path.display()
            )));
        }
        let (plane, y, x) = (at / (rows * columns), at / columns % rows, at % columns);
        frames[(plane * height + y / framing.factor) * width + x / framing.factor] += value as f32;
    }
    if framing.clip {
        frames.iter_mut().for_each(|v| *v = v.min(1.0));
    }
    Ok(frames)
}

/// The shape of the frames of a file, or `None` for a file of events.
pub fn frames_shape(path: &Path) -> Result<Option<Vec<usize>>, Error> {
    let archive = open(path)?;
    if archive.file_names().flatten().any(|name| name == "t.npy") {
        return Ok(None);
    }
    Ok(Some(array(path, "frames")?.0))
}

/// Events of a file.
pub fn events(path: &Path) -> Result<Vec<Event>, Error> {
    let column = |key| array(path, key).map(|(_, values)| values);
    let (t, x, y, p) = (column("t")?, column("x")?, column("y")?, column("p")?);
    if [&x, &y, &p].iter().any(|other| other.len() != t.len()) {
        let lengths = [&t, &x, &y, &p].map(|column| column.len());
        return Err(Error::Data(format!("{}: t, x, y and p have lengths {lengths:?}", path.display())));
    }
    let place = |v: f64| if (0.0..65536.0).contains(&v) { v as u16 } else { u16::MAX };
    let event = |at: usize| Event { t: t[at] as i64, x: place(x[at]), y: place(y[at]), on: p[at] != 0.0 };
    Ok((0..t.len()).map(event).collect())
}

fn open(path: &Path) -> Result<ZipArchive<BufReader<File>>, Error> {
    let file = File::open(path).map_err(|e| Error::io(path, "read", e))?;
    ZipArchive::new(BufReader::new(file)).map_err(|e| bad(path, &e))
}

fn bad(path: &Path, what: &dyn std::fmt::Display) -> Error {
    let help = "the file is damaged: make the cache again";
    Error::Data(format!("{} is not an .npz file that can be read: {what}\n  help: {help}", path.display()))
}

/// An array of a file: its shape and values.
fn array(path: &Path, key: &str) -> Result<(Vec<usize>, Vec<f64>), Error> {
    let mut archive = open(path)?;
    let keys: Vec<String> =
        archive.file_names().flatten().map(|name| name.trim_end_matches(".npy").to_string()).collect();
    let entry = archive.by_name(&format!("{key}.npy")).map_err(|_| {
        let text = format!("{} holds no array `{key}`, only {}", path.display(), keys.join(", "));
        Error::Data(format!("{text}\n  help: frames have the key `frames`, events t, x, y, p"))
    })?;
    let mut bytes = Vec::new();
    entry.take(MOST).read_to_end(&mut bytes).map_err(|e| bad(path, &e))?;
    let npy = NpyFile::new(&bytes[..]).map_err(|e| bad(path, &e))?;
    let shape: Vec<usize> = npy.shape().iter().map(|&n| n as usize).collect();
    let DType::Plain(kind) = npy.dtype() else {
        return Err(bad(path, &format!("`{key}` is no array of numbers")));
    };
    let (kind, size) = (kind.type_char(), kind.size_field());
    let all = npy.shape().iter().try_fold(size, |all, &n| all.checked_mul(n));
    if npy.order() != Order::C || all.is_none_or(|all| all > bytes.len() as u64) {
        return Err(bad(
            path,
            &format!("`{key}` has shape {shape:?}, {} bytes, order {:?}", bytes.len(), npy.order()),
        ));
    }
    fn wide<T: Into<f64>>(values: std::io::Result<Vec<T>>) -> std::io::Result<Vec<f64>> {
        Ok(values?.into_iter().map(Into::into).collect())
    }
    let values = match (kind, size) {
        (TypeChar::Float, 4) => wide(npy.into_vec::<f32>()),
        (TypeChar::Float, 8) => npy.into_vec::<f64>(),
        (TypeChar::Uint, 1) => wide(npy.into_vec::<u8>()),
        (TypeChar::Uint, 2) => wide(npy.into_vec::<u16>()),
        (TypeChar::Uint, 4) => wide(npy.into_vec::<u32>()),
        (TypeChar::Uint, 8) => npy.into_vec::<u64>().map(|v| v.into_iter().map(|v| v as f64).collect()),
        (TypeChar::Int, 1) => wide(npy.into_vec::<i8>()),
        (TypeChar::Int, 2) => wide(npy.into_vec::<i16>()),
        (TypeChar::Int, 4) => wide(npy.into_vec::<i32>()),
        (TypeChar::Int, 8) => npy.into_vec::<i64>().map(|v| v.into_iter().map(|v| v as f64).collect()),
        (TypeChar::Bool, 1) => npy.into_vec::<bool>().map(|v| v.into_iter().map(f64::from).collect()),
        _ => return Err(bad(path, &format!("`{key}` has elements of an unknown type"))),
    };
    Ok((shape, values.map_err(|e| bad(path, &e))?))
}
