//! SpikingJelly's caches: `frames_number_16_split_by_number/{train,test}/<class>/*.npz` with frames that are ready,
//! and `events_np/{train,test}/<class>/*.npz` with events. CIFAR10-DVS has no `train` and `test`.
//!
//! A class is a folder; folders whose names are numbers are in the order of the numbers.

use super::frames::Framing;
use super::{FIRST_TENTH, Recording, Set, first_tenth, npz, opened};
use crate::Error;
use crate::data::folders::{Classes, Order, entries, has_extension};
use crate::data::samples::Opened;
use crate::data::{Request, name_of};
use snnc_plan::{Augment, SplitBy};
use std::path::{Path, PathBuf};

/// A cache of frames.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cache {
    path: PathBuf,
    /// Frames of a sample.
    pub frames: usize,
    by: SplitBy,
}

/// The caches of frames in a folder, by their names.
pub fn cache_folders(folder: &Path) -> Result<Vec<Cache>, Error> {
    Ok(entries(folder)?.into_iter().filter(|path| path.is_dir()).filter_map(cache).collect())
}

/// `frames_number_16_split_by_number`.
fn cache(path: PathBuf) -> Option<Cache> {
    let name = path.file_name()?.to_str()?;
    let (frames, by) = name.strip_prefix("frames_number_")?.split_once("_split_by_")?;
    let by = match by {
        "number" => SplitBy::Number,
        "time" => SplitBy::Time,
        _ => return None,
    };
    Some(Cache { frames: frames.parse().ok()?, by, path })
}

/// The data set of a cache, or of the cache in a folder of several that the network asks for.
pub fn caches(folder: &Path, request: &Request) -> Result<Opened, Error> {
    let found = cache_folders(folder)?;
    match found.is_empty() {
        true => one(folder, request),
        false => one(&choose(folder, &found, request)?.path, request),
    }
}

fn choose<'a>(folder: &Path, found: &'a [Cache], request: &Request) -> Result<&'a Cache, Error> {
    let frames = request.shape.as_ref().map(|shape| shape[0]).or(request.frames);
    let by = request.augment.iter().any(|op| matches!(op, Augment::Frames(_))).then(|| request.split_by());
    let fits =
        |cache: &&Cache| frames.is_none_or(|n| n == cache.frames) && by.is_none_or(|by| by == cache.by);
    let fit: Vec<&Cache> = found.iter().filter(fits).collect();
    if let [one] = fit[..] {
        return Ok(one);
    }
    let all: Vec<String> = found.iter().map(|cache| format!("{} by {}", cache.frames, cache.by)).collect();
    let asked = frames.map_or(String::new(), |n| format!(", {n} frames are asked for"));
    let text = format!("{} holds frames {}{asked}", folder.display(), all.join(", "));
    let help = match (fit.is_empty(), folder.join("events_np")) {
        (false, _) => "give the folder of one of them".to_string(),
        (true, events) if events.is_dir() => format!("give `{}`", events.display()),
        (true, _) => "give the network as many timesteps".to_string(),
    };
    Err(Error::Data(format!("{text}\n  help: {help}")))
}

/// The data set of one folder.
fn one(folder: &Path, request: &Request) -> Result<Opened, Error> {
    let list = |path: &Path| Classes::list(path, Order::Numbers, |path| has_extension(path, &["npz"]));
    let halves = folder.join("train").is_dir();
    let [train, test] = match halves {
        true => {
            let parts = [list(&folder.join("train"))?, list(&folder.join("test"))?];
            parts[0].same(&parts[1], folder, ["train", "test"])?;
            parts
        }
        false => first_tenth(list(folder)?),
    };
    let names = train.names.clone();
    let first = train.files.iter().flatten().next();
    let first = first.ok_or_else(|| Error::Data(format!("{} holds too few samples", folder.display())))?;
    let shape = npz::frames_shape(first)?;
    let framing = match &shape {
        Some(shape) => ready(first, shape, folder, request)?,
        // Of SpikingJelly's sets with a split, N-MNIST has ten classes.
        None if halves && names.len() == 10 => Framing::new(folder, request, (34, 34))?,
        None => Framing::new(folder, request, (128, 128))?,
    };
    let set = |classes: Classes| {
        let (paths, labels) = classes.in_turn();
        let recording = if shape.is_some() { Recording::Frames } else { Recording::Arrays };
        Set { items: paths.into_iter().map(recording).collect(), labels }
    };
    let notes = if halves { Vec::new() } else { vec![FIRST_TENTH.to_string()] };
    let format = if shape.is_some() { "frames of SpikingJelly" } else { "events of SpikingJelly" };
    let mut opened = opened(name_of(folder), format, names, notes, framing, [set(train), set(test)]);
    if shape.is_some() {
        opened.about.notes.pop();
    }
    Ok(opened)
}

/// Frames that are ready have a number, which the network must have too.
fn ready(file: &Path, shape: &[usize], folder: &Path, request: &Request) -> Result<Framing, Error> {
    let &[steps, 2, rows, columns] = shape else {
        let text = format!("{}: `frames` has shape {shape:?}, expected [T, 2, H, W]", file.display());
        return Err(Error::Data(format!("{text}\n  help: this is no cache of SpikingJelly")));
    };
    let request = Request { frames: Some(steps), ..request.clone() };
    let framing = Framing::new(folder, &request, (rows, columns))?;
    if framing.steps != steps {
        let text = format!(
            "{} holds {steps} frames a sample, the network has {} timesteps",
            folder.display(),
            framing.steps
        );
        return Err(Error::User(format!("{text}\n  help: write `timesteps {steps}`")));
    }
    Ok(framing)
}
