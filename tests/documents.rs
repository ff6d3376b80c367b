//! What the documents point at is there: files, tests that keep an invariant.

#[path = "support/command.rs"]
mod command;

use std::path::Path;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// What stands in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_invariant_names_what_keeps_it() {
    let text = read("ARCHITECTURE.md");
    let section = text.split("## Invariants").nth(1).expect("the invariants");
    let mut count = 0;
    for line in section.split("\n- ").skip(1) {
        assert!(line.starts_with("Invariant: "), "{line}");
        for word in quoted(line).filter(|word| word.contains(".rs")) {
            let (file, test) = word.split_once(": ").unwrap_or((word, ""));
            let code = read(file);
            assert!(test.is_empty() || code.contains(&format!("fn {test}")), "{file} has no test {test}");
        }
        count += 1;
    }
    assert!(count > 10);
}

#[test]
fn links_lead_somewhere() {
    let pages = ["first-run", "reproducing", "data", "energy"].map(|page| format!("docs/{page}.md"));
    let names = ["README.md", "ARCHITECTURE.md", "models/README.md"].map(String::from);
    for name in names.iter().chain(&pages) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let folder = folder.parent().expect("a folder").to_path_buf();
        for part in read(name).split("](").skip(1) {
            let target = part.split([')', '#']).next().unwrap_or_default();
            assert!(target.contains("://") || folder.join(target).exists(), "{name}: {target}");
        }
    }
}

#[test]
fn the_test_command_of_the_readme_is_what_is_run_continuously() {
    let command = "cargo test --workspace --locked";
    assert!(read("README.md").contains(&format!("\n{command}\n")));
    assert!(read(".ci/run").contains(&format!("step {command}\n")));
}

/// The commands of a page: the lines of its `sh` blocks, each with the exit code that it is said to end with.
fn commands(page: &str) -> Vec<(String, i32)> {
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let command = |line: &str| match line.split_once("# exit code ") {
        Some((line, code)) => (line.trim().to_owned(), code.trim().parse().expect("an exit code")),
        None => (line.to_owned(), 0),
    };
    blocks.flat_map(str::lines).filter(|line| !line.is_empty()).map(command).collect()
}

#[cfg(unix)]
#[test]
fn the_commands_of_the_pages_do_what_they_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let binary = Path::new(env!("CARGO_BIN_EXE_snnc")).parent().expect("a folder");
    let path = std::env::join_paths(
        std::iter::once(binary.to_path_buf())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    for page in ["docs/first-run.md", "docs/reproducing.md"] {
        let folder = command::Folder::new(page.trim_start_matches("docs/"));
        std::os::unix::fs::symlink(root.join("models"), folder.path().join("models")).expect("a link");
        let commands = commands(&read(page));
        assert!(commands.len() > 4, "{page}");
        for (line, code) in commands {
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", &line]).current_dir(folder.path()).env("PATH", path.as_ref().expect("a path"));
            let output = shell.output().expect("sh runs");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{page}: {line}\n{stderr}");
        }
    }
}
