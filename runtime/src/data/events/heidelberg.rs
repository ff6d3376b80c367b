//! Spiking Heidelberg Digits and Spiking Speech Commands: HDF5 files of spikes of 700 cochlear channels, `spikes/times`
//! (seconds), `spikes/units`, `labels`.

use super::frames::Framing;
use super::vlen::Sequences;
use super::{Event, Recording, Set, opened};
use crate::Error;
use crate::data::Request;
use crate::data::samples::Opened;
use hdf5_pure::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of a training or test part.
pub const FILES: [&str; 4] = ["shd_train.h5", "shd_test.h5", "ssc_train.h5", "ssc_test.h5"];

/// Channels of the cochlea.
const CHANNELS: usize = 700;

/// A file of spikes.
#[derive(Debug)]
pub struct Spikes {
    /// The file.
    pub path: PathBuf,
    times: Sequences,
    units: Sequences,
}

/// The data set.
pub fn heidelberg(folder: &Path, request: &Request) -> Result<Opened, Error> {
    let framing = Framing::audio(folder, request, CHANNELS)?;
    let has = |name: &str| folder.join(name).is_file();
    let both = (has(FILES[0]) || has(FILES[1]), has(FILES[2]) || has(FILES[3]));
    let (stem, name, format, classes) = match both {
        (true, true) => {
            let text = format!("{} holds SHD and SSC", folder.display());
            return Err(Error::Data(format!("{text}\n  help: give each data set a folder of its own")));
        }
        (true, false) => ("shd", "shd", "Spiking Heidelberg Digits", 20),
        (false, _) => ("ssc", "ssc", "Spiking Speech Commands", 35),
    };
    let part = |part: &str| set(&folder.join(format!("{stem}_{part}.h5")), classes);
    let parts = [part("train")?, part("test")?];
    let names = (0..classes).map(|class| class.to_string()).collect();
    Ok(opened(name.to_string(), format, names, Vec::new(), framing, parts))
}

fn set(path: &Path, classes: usize) -> Result<Set, Error> {
    if !path.is_file() {
        let help = "unpack the .h5.gz or .h5.zip file of each part into one folder";
        return Err(Error::Data(format!("{} is missing\n  help: {help}", path.display())));
    }
    let bad = |what: &dyn std::fmt::Display| {
        Error::Data(format!(
            "{} is not an HDF5 file that can be read: {what}\n  help: download it again",
            path.display()
        ))
    };
    let file = File::open_streaming(path).map_err(|e| bad(&e))?;
    let labels = file.dataset("labels").and_then(|set| set.read_i64()).map_err(|e| bad(&e))?;
    let (times, units) =
        (Sequences::open(&file, path, "spikes/times")?, Sequences::open(&file, path, "spikes/units")?);
    if times.len() != labels.len() || units.len() != labels.len() {
        let lengths = format!("{} labels, {} times, {} units", labels.len(), times.len(), units.len());
        return Err(Error::Data(format!("{} holds {lengths}: it is damaged", path.display())));
    }
    let known = |(at, &label): (usize, &i64)| match i32::try_from(label) {
        Ok(known) if (0..classes as i64).contains(&label) => Ok(known),
        _ => Err(Error::Data(format!("{}: label {at} is {label}, not 0 to {}", path.display(), classes - 1))),
    };
    let labels: Vec<i32> = labels.iter().enumerate().map(known).collect::<Result<_, _>>()?;
    if labels.is_empty() {
        return Err(Error::Data(format!("{} holds no sample", path.display())));
    }
    let file = Arc::new(Spikes { path: path.to_path_buf(), times, units });
    let items = (0..labels.len()).map(|index| Recording::Spikes { file: file.clone(), index }).collect();
    Ok(Set { items, labels })
}

impl Spikes {
    /// The spikes of a sample, their times in whole microseconds.
    pub fn events(&self, index: usize) -> Result<Vec<Event>, Error> {
        let (times, units) = (self.times.read(index)?, self.units.read(index)?);
        if times.len() != units.len() || times.iter().any(|t| !t.is_finite()) {
            let text = format!(
                "{}: sample {index} has {} times and {} units",
                self.path.display(),
                times.len(),
                units.len()
            );
            return Err(Error::Data(format!(
                "{text}, or a time that is no number\n  help: download it again"
            )));
        }
        let place = |v: f64| if (0.0..65536.0).contains(&v) { v as u16 } else { u16::MAX };
        let event = |(&t, &unit): (&f64, &f64)| Event {
            t: (t * 1e6).round() as i64,
            x: place(unit),
            y: 0,
            on: false,
        };
        Ok(times.iter().zip(&units).map(event).collect())
    }
}
