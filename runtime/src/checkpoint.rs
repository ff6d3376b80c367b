//! Checkpoints: safetensors files of a model's parameters by path, with PyTorch's shapes.
//!
//! A file that training writes also holds the optimiser's directions as `optimizer.<path>`, and under the metadata
//! key `snnc` one JSON string (one key, so that equal runs write equal bytes). Files are written to a temporary
//! name and renamed: a reader never sees half a file.

use crate::{Error, Session};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use snnc_plan::ParamRole;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

/// Before the name of what belongs to the optimiser.
const OPTIMIZER: &str = "optimizer.";

/// The metadata key.
const KEY: &str = "snnc";

/// How the name of a file ends that is not yet complete.
pub const TEMPORARY: &str = ".tmp";

/// Values that are written at once.
const CHUNK: usize = 1 << 14;

/// Problems listed in one message.
const LISTED: usize = 12;

/// A tensor of f32, row-major.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    /// The name.
    pub name: String,
    /// Extents.
    pub shape: Vec<usize>,
    /// Values.
    pub data: Vec<f32>,
}

/// A tensor of f32 that is written from where it is.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// The name.
    pub name: String,
    /// Extents.
    pub shape: &'a [usize],
    /// Values.
    pub data: &'a [f32],
}

/// Saves a session's parameters, with `extra` tensors of the optimiser and `metadata`.
///
/// # Errors
/// [`Error::Io`]; [`Error::Diverged`] where a parameter is not finite: such a file could not be loaded.
pub fn save<'a>(
    path: &Path,
    session: &'a Session,
    extra: &[Part<'a>],
    metadata: &Value,
) -> Result<(), Error> {
    let mut parts = Vec::new();
    for spec in &session.plan().params {
        let data = session.param(&spec.name)?;
        if data.iter().any(|v| !v.is_finite()) {
            return Err(Error::Diverged(format!(
                "`{}` is not finite: the checkpoint is not written",
                spec.name
            )));
        }
        parts.push(Part { name: spec.name.clone(), shape: &spec.shape, data });
    }
    let rename = |part: &Part<'a>| Part { name: format!("{OPTIMIZER}{}", part.name), ..part.clone() };
    parts.extend(extra.iter().map(rename));
    write_parts(path, parts, metadata)
}

/// Writes tensors.
///
/// # Errors
/// [`Error::Io`]; [`Error::Internal`] where a shape and its data disagree.
pub fn write_tensors(path: &Path, tensors: &[Tensor], metadata: &Value) -> Result<(), Error> {
    let parts = tensors.iter().map(|t| Part { name: t.name.clone(), shape: &t.shape, data: &t.data });
    write_parts(path, parts.collect(), metadata)
}

/// Writes tensors from where they are: a copy of all would be the most that a run takes.
fn write_parts(path: &Path, mut parts: Vec<Part<'_>>, metadata: &Value) -> Result<(), Error> {
    if let Some(bad) = parts.iter().find(|part| part.shape.iter().product::<usize>() != part.data.len()) {
        let (name, shape, found) = (&bad.name, bad.shape, bad.data.len());
        return Err(Error::Internal(format!("`{name}` of shape {shape:?} has {found} values")));
    }
    parts.sort_by(|a, b| a.name.cmp(&b.name));
    let header = header(&parts, metadata);
    write_streamed(path, &mut |to| {
        to.write_all(&(header.len() as u64).to_le_bytes())?;
        to.write_all(header.as_bytes())?;
        let mut bytes = Vec::with_capacity(CHUNK * 4);
        for values in parts.iter().flat_map(|part| part.data.chunks(CHUNK)) {
            bytes.clear();
            values.iter().for_each(|v| bytes.extend_from_slice(&v.to_le_bytes()));
            to.write_all(&bytes)?;
        }
        Ok(())
    })
}

/// The header of a safetensors file: JSON, with spaces to a multiple of 8 bytes.
fn header(parts: &[Part<'_>], metadata: &Value) -> String {
    let mut text = format!("{{\"__metadata__\":{}", serde_json::json!({ KEY: metadata.to_string() }));
    let mut from = 0;
    for part in parts {
        let to = from + part.data.len() * 4;
        let entry = serde_json::json!({"dtype": "F32", "shape": part.shape, "data_offsets": [from, to]});
        text += &format!(",{}:{entry}", Value::from(part.name.as_str()));
        from = to;
    }
    text.push('}');
    text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
    text
}

/// Loads parameters into a session; nothing is changed unless all fit. Returns the metadata (null without).
///
/// # Errors
/// [`Error::Io`]; [`Error::Data`] that lists every missing, unknown or misshapen tensor, every one of another
/// element type and every one with values that are not finite or not a variance where one is kept.
pub fn load(path: &Path, session: &mut Session) -> Result<Value, Error> {
    let tensors = read_tensors(path)?;
    let found: BTreeMap<&str, &Tensor> =
        tensors.iter().filter(|t| !t.name.starts_with(OPTIMIZER)).map(|t| (t.name.as_str(), t)).collect();
    let mut problems = Vec::new();
    for spec in &session.plan().params {
        match found.get(spec.name.as_str()) {
            None => problems.push(format!("`{}` {:?} is missing", spec.name, spec.shape)),
            Some(t) if t.shape != spec.shape => {
                problems.push(format!(
                    "`{}` has shape {:?}, the model's is {:?}",
                    spec.name, t.shape, spec.shape
                ));
            }
            Some(t) if t.data.iter().any(|v| !v.is_finite()) => {
                problems.push(format!("`{}` has values that are not finite", spec.name));
            }
            Some(t) if spec.role == ParamRole::RunningVar && t.data.iter().any(|&v| v < 0.0) => {
                problems.push(format!("`{}` has negative values: it is a variance", spec.name));
            }
            Some(_) => {}
        }
    }
    let known = |name: &str| session.plan().params.iter().any(|spec| spec.name == name);
    problems
        .extend(found.keys().filter(|name| !known(name)).map(|name| format!("`{name}` is not in the model")));
    if !problems.is_empty() {
        return Err(Error::Data(listed(path, &problems)));
    }
    for tensor in found.values() {
        session.set_param(&tensor.name, &tensor.data)?;
    }
    read_metadata(path)
}

/// The optimiser's directions of a checkpoint, by parameter.
///
/// # Errors
/// As [`read_tensors`].
pub fn load_directions(path: &Path) -> Result<HashMap<String, Vec<f32>>, Error> {
    let own = |t: Tensor| Some((t.name.strip_prefix(OPTIMIZER)?.to_string(), t.data));
    Ok(read_tensors(path)?.into_iter().filter_map(own).collect())
}

/// All tensors of a file, in its order.
///
/// # Errors
/// [`Error::Io`]; [`Error::Data`] for another format, or listing tensors that are not f32.
pub fn read_tensors(path: &Path) -> Result<Vec<Tensor>, Error> {
    let found = std::fs::metadata(path).map_err(|e| Error::io(path, "read", e))?;
    if !found.is_file() && !found.is_dir() {
        // A device may have no end.
        return Err(Error::Data(format!("{} is not a regular file", path.display())));
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| malformed(path, &e))?;
    let other = |(name, view): (&str, TensorView<'_>)| {
        (view.dtype() != Dtype::F32).then(|| format!("`{name}` is {:?}, not F32", view.dtype()))
    };
    let problems: Vec<String> = file.iter().filter_map(other).collect();
    if !problems.is_empty() {
        return Err(Error::Data(listed(path, &problems)));
    }
    let value = |b: &[u8; 4]| f32::from_le_bytes(*b);
    let tensor = |(name, view): (&str, TensorView<'_>)| Tensor {
        name: name.to_string(),
        shape: view.shape().to_vec(),
        data: view.data().as_chunks().0.iter().map(value).collect(),
    };
    let mut tensors: Vec<Tensor> = file.iter().map(tensor).collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tensors)
}

/// The metadata of a file; null where it has none of ours.
///
/// # Errors
/// [`Error::Io`]; [`Error::Data`] for another format.
pub fn read_metadata(path: &Path) -> Result<Value, Error> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| malformed(path, &e))?;
    let text = header.metadata().as_ref().and_then(|map| map.get(KEY));
    match text.map(|text| serde_json::from_str(text)) {
        None => Ok(Value::Null),
        Some(Ok(value)) => Ok(value),
        Some(Err(e)) => Err(Error::Data(format!("{}: the metadata is not JSON: {e}", path.display()))),
    }
}

/// Writes a file under a temporary name beside it, to the disk, and renames it. A link keeps pointing at what is then
/// replaced; what is no file (a device, a pipe) is written to, since renaming would take its place.
///
/// # Errors
/// [`Error::Io`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_streamed(path, &mut |to| to.write_all(bytes))
}

/// As [`write_atomically`], of bytes that come one after the other.
fn write_streamed(path: &Path, write: &mut Streamed<'_>) -> Result<(), Error> {
    let written = match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            std::fs::OpenOptions::new().write(true).open(path).and_then(|mut to| write(&mut to))
        }
        Ok(_) => path.canonicalize().and_then(|path| replace(&path, write)),
        Err(_) => replace(path, write),
    };
    written.map_err(|e| Error::io(path, "write", e))
}

/// Writes the bytes of a file.
type Streamed<'a> = dyn FnMut(&mut std::fs::File) -> std::io::Result<()> + 'a;

fn replace(path: &Path, write: &mut Streamed<'_>) -> std::io::Result<()> {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let temporary = path.with_file_name(format!(".{name}.{}{TEMPORARY}", std::process::id()));
    let written = std::fs::File::create(&temporary).and_then(|mut file| {
        write(&mut file)?;
        file.sync_all()
    });
    // The first error is the one to tell.
    written.and_then(|()| std::fs::rename(&temporary, path)).inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    })?;
    // The new name reaches the disk with the folder; a system that cannot do this still has the file.
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let _ = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

fn malformed(path: &Path, error: &safetensors::SafeTensorError) -> Error {
    Error::Data(format!("{} is not a safetensors file: {error}", path.display()))
}

fn listed(path: &Path, problems: &[String]) -> String {
    let mut text = format!("{} does not fit the model:", path.display());
    problems.iter().take(LISTED).for_each(|problem| text += &format!("\n  {problem}"));
    if problems.len() > LISTED {
        text += &format!("\n  … and {} more", problems.len() - LISTED);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, PlanBuilder};
    use serde_json::json;
    use snnc_plan::PlanMode;

    fn session(widths: &[(&str, usize)]) -> Result<Session, Error> {
        let mut builder = PlanBuilder::new(PlanMode::Infer, 1);
        builder.plan.logits = builder.input("x", &[1], false);
        for (name, width) in widths {
            builder.param(name, &[*width, 2], ParamRole::Weight);
        }
        Session::new(builder.finish(), 1, 1)
    }

    #[test]
    fn what_is_saved_is_loaded_and_equal_runs_write_equal_bytes() -> Result<(), Error> {
        let folder = Folder::new("checkpoint")?;
        let (path, again) = (folder.file("a.safetensors"), folder.file("b.safetensors"));
        let (mut from, mut to) = (session(&[("a", 2), ("b", 1)])?, session(&[("a", 2), ("b", 1)])?);
        from.set_param("a", &[1.0, 2.0, 3.0, 4.0])?;
        let direction = Part { name: "a".to_string(), shape: &[2, 2], data: &[9.0; 4] };
        let metadata = json!({"epoch": 3, "model": "net"});
        save(&path, &from, std::slice::from_ref(&direction), &metadata)?;
        save(&again, &from, &[direction], &metadata)?;
        assert_eq!(load(&path, &mut to)?, metadata);
        assert_eq!(to.param("a")?, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(load_directions(&path)?["a"], [9.0; 4]);
        let bytes = |path| std::fs::read(path).map_err(|e| Error::io(path, "read", e));
        assert_eq!(bytes(&path)?, bytes(&again)?);
        Ok(())
    }

    #[test]
    fn one_error_lists_all_that_does_not_fit() -> Result<(), Error> {
        let folder = Folder::new("checkpoint-bad")?;
        let path = folder.file("a.safetensors");
        let tensor =
            |name: &str, v: f32| Tensor { name: name.to_string(), shape: vec![1, 2], data: vec![v; 2] };
        write_tensors(&path, &[tensor("a", 0.0), tensor("c", f32::NAN), tensor("d", 0.0)], &Value::Null)?;
        let mut to = session(&[("a", 2), ("b", 1), ("c", 1)])?;
        let text = load(&path, &mut to).map_or_else(|e| e.to_string(), |_| String::new());
        for part in
            ["`a` has shape [1, 2]", "`b` [1, 2] is missing", "`c` has values", "`d` is not in the model"]
        {
            assert!(text.contains(part), "{text}");
        }
        Ok(())
    }

    #[test]
    fn other_files_and_infinite_parameters_are_refused() -> Result<(), Error> {
        let folder = Folder::new("checkpoint-other")?;
        let path = folder.write("a.safetensors", b"{}")?;
        assert!(read_tensors(&path).is_err_and(|e| e.exit_code() == 3));
        let mut from = session(&[("a", 1)])?;
        from.set_param("a", &[f32::INFINITY, 0.0])?;
        assert!(save(&path, &from, &[], &Value::Null).is_err());
        Ok(())
    }

    #[test]
    fn a_variance_is_not_negative() -> Result<(), Error> {
        let folder = Folder::new("checkpoint-variance")?;
        let path = folder.file("a.safetensors");
        let mut builder = PlanBuilder::new(PlanMode::Infer, 1);
        builder.plan.logits = builder.input("x", &[1], false);
        builder.param("norm.running_var", &[2], ParamRole::RunningVar);
        let mut to = Session::new(builder.finish(), 1, 1)?;
        let mut tensor = |data: Vec<f32>| {
            let all = [Tensor { name: "norm.running_var".to_string(), shape: vec![2], data }];
            write_tensors(&path, &all, &Value::Null).and_then(|()| load(&path, &mut to))
        };
        assert!(tensor(vec![0.0, 1.0]).is_ok());
        assert!(tensor(vec![1.0, -0.5]).is_err_and(|e| e.to_string().contains("negative")));
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn links_and_what_is_no_file_stay_what_they_are() -> Result<(), Error> {
        use std::os::unix::fs::FileTypeExt;
        let folder = Folder::new("checkpoint-links")?;
        let (path, link, socket) = (folder.write("a", b"old")?, folder.file("link"), folder.file("socket"));
        std::os::unix::fs::symlink("a", &link).map_err(|e| Error::io(&link, "create", e))?;
        write_atomically(&link, b"new")?;
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&path).ok().as_deref(), Some(&b"new"[..]));
        // Stands for a device, which a test must not put at risk.
        let _listener =
            std::os::unix::net::UnixListener::bind(&socket).map_err(|e| Error::io(&socket, "create", e))?;
        assert!(write_atomically(&socket, b"new").is_err());
        assert!(std::fs::metadata(&socket).is_ok_and(|found| found.file_type().is_socket()));
        assert!(read_tensors(&socket).is_err_and(|e| e.to_string().contains("regular file")));
        Ok(())
    }
}
