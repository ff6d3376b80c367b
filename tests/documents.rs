//! What the documents point at is there: files, tests that keep an invariant.

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
    for name in ["README.md", "ARCHITECTURE.md", "models/README.md", "docs/data.md"] {
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
