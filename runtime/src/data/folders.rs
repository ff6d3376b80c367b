//! Folders of classes: `<class>/<file>`. Samples take turns of the classes, so that the first so many of them are
//! of all classes.

use crate::Error;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// Names that image files end with; what they hold is told by their first bytes.
pub const IMAGES: [&str; 10] = ["jpg", "jpeg", "png", "ppm", "pgm", "pbm", "bmp", "tif", "tiff", "webp"];

/// The files of each class, by name.
#[derive(Clone, PartialEq, Debug)]
pub struct Classes {
    /// Names of the classes, in order.
    pub names: Vec<String>,
    /// The files of each.
    pub files: Vec<Vec<PathBuf>>,
}

/// Order of names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// As text: `10` before `9`.
    Text,
    /// As numbers where all are numbers, else as text.
    Numbers,
}

impl Classes {
    /// The folders in `folder` and the files in each that `wanted` takes; hidden ones are passed over.
    ///
    /// # Errors
    /// [`Error::Data`] for no class, or a class without a file; [`Error::Io`].
    pub fn list(folder: &Path, order: Order, wanted: impl Fn(&Path) -> bool) -> Result<Classes, Error> {
        let mut names: Vec<String> = entries(folder)?
            .into_iter()
            .filter(|path| path.is_dir())
            .map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned())
            .collect();
        sort(&mut names, order);
        if names.is_empty() {
            let help = "it needs one folder for each class";
            return Err(Error::Data(format!("{} holds no folder\n  help: {help}", folder.display())));
        }
        let mut files = Vec::new();
        for name in &names {
            let class = folder.join(name);
            let found: Vec<PathBuf> =
                entries(&class)?.into_iter().filter(|path| wanted(path) && path.is_file()).collect();
            if found.is_empty() {
                let help = "remove the folder, or put its samples into it";
                return Err(Error::Data(format!("{} holds no sample\n  help: {help}", class.display())));
            }
            files.push(found);
        }
        Ok(Classes { names, files })
    }

    /// Files and labels, the classes taking turns.
    pub fn in_turn(self) -> (Vec<PathBuf>, Vec<i32>) {
        let most = self.files.iter().map(Vec::len).max().unwrap_or(0);
        let classes = self.files.len();
        let turns = (0..most).flat_map(|at| (0..classes).map(move |class| (class, at)));
        turns.filter_map(|(class, at)| Some((self.files[class].get(at)?.clone(), class as i32))).unzip()
    }

    /// The classes of two parts are the same.
    ///
    /// # Errors
    /// [`Error::Data`] that names a class of one part alone.
    pub fn same(&self, other: &Classes, folder: &Path, parts: [&str; 2]) -> Result<(), Error> {
        let lacks = |a: &Classes, b: &Classes| a.names.iter().find(|name| !b.names.contains(name)).cloned();
        let lone = lacks(self, other)
            .map(|name| (name, parts))
            .or_else(|| lacks(other, self).map(|name| (name, [parts[1], parts[0]])));
        match lone {
            None => Ok(()),
            Some((name, [here, there])) => {
                let text =
                    format!("{}: class `{name}` is in `{here}` but not in `{there}`", folder.display());
                Err(Error::Data(format!("{text}\n  help: both parts need the same folders")))
            }
        }
    }
}

/// Sorts names of classes.
fn sort(names: &mut [String], order: Order) {
    let numbers = order == Order::Numbers && names.iter().all(|name| name.parse::<u64>().is_ok());
    names.sort_by(|a, b| match (numbers, a.parse::<u64>(), b.parse::<u64>()) {
        (true, Ok(x), Ok(y)) => x.cmp(&y).then(Ordering::Equal),
        _ => a.cmp(b),
    });
}

/// What is in a folder, sorted by name, without hidden entries.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |e| Error::io(folder, "read", e);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// The first file in the folders of a folder.
pub fn first_file(folder: &Path) -> Result<Option<PathBuf>, Error> {
    for class in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        if let Some(file) = entries(&class)?.into_iter().find(|path| path.is_file()) {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// Whether a file has an image's name.
pub fn is_image(path: &Path) -> bool {
    has_extension(path, &IMAGES)
}

/// Whether a file's name ends so, in small letters or capitals.
pub fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|extension| extensions.contains(&extension.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn classes_take_turns() {
        let names = vec!["a".to_string(), "b".to_string()];
        let files = vec![vec!["a1".into(), "a2".into(), "a3".into()], vec!["b1".into()]];
        let (files, labels) = Classes { names, files }.in_turn();
        assert_eq!(files, ["a1", "b1", "a2", "a3"].map(PathBuf::from));
        assert_eq!(labels, [0, 1, 0, 0]);
    }

    #[test]
    fn numbers_are_in_order_and_empty_classes_are_named() -> Result<(), Error> {
        let folder = Folder::new("classes")?;
        for name in ["10", "9"] {
            std::fs::create_dir(folder.file(name)).map_err(|e| Error::io(folder.path(), "create", e))?;
            folder.write(&format!("{name}/x.png"), b"")?;
        }
        folder.write("9/.hidden.png", b"")?;
        let list = |order| Classes::list(folder.path(), order, is_image);
        assert_eq!(list(Order::Text)?.names, ["10", "9"]);
        assert_eq!(list(Order::Numbers)?.names, ["9", "10"]);
        assert_eq!(list(Order::Numbers)?.files[0].len(), 1);
        std::fs::create_dir(folder.file("bad")).map_err(|e| Error::io(folder.path(), "create", e))?;
        let text = list(Order::Text).map_or_else(|e| e.to_string(), |_| String::new());
        assert!(text.contains("bad holds no sample"), "{text}");
        Ok(())
    }
}
