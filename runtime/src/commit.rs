//! The commit of a folder's repository, read from git's files: nothing is run.
//!
//! ```text
//! .git/HEAD          ref: refs/heads/main     or the commit itself
//! .git/refs/heads/…  the commit               or a line of .git/packed-refs
//! .git               gitdir: …                in a further work tree; its `commondir` holds the refs
//! ```

use std::path::{Path, PathBuf};

/// The commit that is checked out where `folder` lies; `None` where there is no repository, no commit yet, or a form of
/// references that is not known here.
pub fn commit(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let git = folder.ancestors().map(|folder| folder.join(".git")).find(|git| git.exists())?;
    let own = if git.is_dir() { git } else { pointed(&git)? };
    let common = match std::fs::read_to_string(own.join("commondir")) {
        Ok(path) => own.join(path.trim()),
        Err(_) => own.clone(),
    };
    let head = std::fs::read_to_string(own.join("HEAD")).ok()?;
    let Some(reference) = head.trim().strip_prefix("ref: ") else { return hash(&head) };
    let loose = [&own, &common].into_iter().find_map(|at| std::fs::read_to_string(at.join(reference)).ok());
    match loose {
        Some(text) => hash(&text),
        None => packed(&common, reference),
    }
}

/// The folder that a file `.git` names.
fn pointed(file: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(file).ok()?;
    Some(file.parent()?.join(text.trim().strip_prefix("gitdir: ")?))
}

fn packed(common: &Path, reference: &str) -> Option<String> {
    let text = std::fs::read_to_string(common.join("packed-refs")).ok()?;
    let of = |line: &str| {
        line.split_once(' ').filter(|(_, name)| *name == reference).map(|(hash, _)| hash.to_string())
    };
    hash(&text.lines().find_map(of)?)
}

/// A text that is a hash, SHA-1 or SHA-256.
fn hash(text: &str) -> Option<String> {
    let text = text.trim();
    let is = [40, 64].contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    is.then(|| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::testing::Folder;

    const ONE: &str = "0123456789abcdef0123456789abcdef01234567";
    const TWO: &str = "89abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn commits_are_read_wherever_git_keeps_them() -> Result<(), Error> {
        let folder = Folder::new("commit")?;
        let write = |file: &str, text: String| {
            let path = folder.file(file);
            let parent = path.parent().unwrap_or(&path).to_path_buf();
            std::fs::create_dir_all(&parent).map_err(|e| Error::io(&parent, "create", e))?;
            std::fs::write(&path, text).map_err(|e| Error::io(&path, "write", e))
        };
        let of = |folder: PathBuf| commit(&folder);
        write("repo/runs/first/x", String::new())?;
        write("repo/.git/HEAD", "ref: refs/heads/main\n".to_string())?;
        assert_eq!(of(folder.file("repo")), None, "no commit yet");
        write(
            "repo/.git/packed-refs",
            format!("# pack-refs\n{TWO} refs/heads/other\n{ONE} refs/heads/main\n"),
        )?;
        assert_eq!(of(folder.file("repo/runs/first")).as_deref(), Some(ONE));
        write("repo/.git/refs/heads/main", format!("{TWO}\n"))?;
        assert_eq!(of(folder.file("repo")).as_deref(), Some(TWO), "what is loose is newer");
        write("repo/.git/HEAD", format!("{ONE}\n"))?;
        assert_eq!(of(folder.file("repo")).as_deref(), Some(ONE), "no branch");
        // A further work tree, with a branch of its own.
        write("repo/.git/worktrees/w/HEAD", "ref: refs/heads/main\n".to_string())?;
        write("repo/.git/worktrees/w/commondir", "../..\n".to_string())?;
        write("w/.git", "gitdir: ../repo/.git/worktrees/w\n".to_string())?;
        assert_eq!(of(folder.file("w")).as_deref(), Some(TWO));
        write("w/.git", "no folder".to_string())?;
        assert_eq!(of(folder.file("w")), None);
        write("repo/.git/HEAD", "not a hash".to_string())?;
        assert_eq!(of(folder.file("repo")), None);
        assert_eq!(of(folder.file("nowhere")), None);
        Ok(())
    }
}
