//! Runs that are stopped or killed from outside: what is left resumes, to the same bytes.
#![cfg(unix)]

#[path = "support/command.rs"]
mod command;

use command::{Folder, command, snnc};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

const MODEL: &str = "models/digits.snn";

/// Begins a run, or goes on with it, of this command line.
fn spawn(args: &[&str]) -> Child {
    let mut command = command(&[&["train", MODEL], args].concat());
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the command starts")
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().expect("`kill` runs");
    assert!(sent.success());
}

/// Waits until a file of the run says something.
fn wait_for(child: &mut Child, path: &Path, text: &str) {
    let start = Instant::now();
    while !std::fs::read_to_string(path).is_ok_and(|found| found.contains(text)) {
        let over = child.try_wait().expect("its state");
        assert!(over.is_none(), "the run ended before {} said {text}", path.display());
        assert!(start.elapsed() < Duration::from_secs(60), "{} does not say {text}", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn stderr_of(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("an end");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn last(out: &str) -> Vec<u8> {
    std::fs::read(format!("{out}/last.safetensors")).expect("a checkpoint")
}

#[test]
fn the_first_signal_finishes_the_step_and_a_resumed_run_is_the_same() {
    let folder = Folder::new("signal");
    let (whole, parts) = (folder.file("whole"), folder.file("parts"));
    let asked = ["--epochs", "4", "-D", "width=32", "--test-limit", "100"];
    snnc(&[&["train", MODEL, "--out", &whole][..], &asked].concat()).succeeds();
    let mut steps = Vec::new();
    for (name, resumed) in [("-INT", false), ("-TERM", true)] {
        let args = if resumed { vec!["--resume", &parts] } else { [&["--out", &parts][..], &asked].concat() };
        let mut child = spawn(&args);
        let event = if resumed { "\"event\":\"resume\"" } else { "\"event\":\"epoch\"" };
        wait_for(&mut child, &folder.path().join("parts/log.jsonl"), event);
        std::thread::sleep(Duration::from_millis(20));
        signal(&child, name);
        let (code, stderr) = stderr_of(child);
        assert_eq!(code, Some(130), "{stderr}");
        assert!(stderr.contains("go on with `snnc train models/digits.snn --resume"), "{stderr}");
        let state = snnc_runtime::checkpoint::read_metadata(&folder.path().join("parts/last.safetensors"));
        steps.push(state.expect("a state")["step"].as_u64());
    }
    snnc(&["train", MODEL, "--resume", &parts]).succeeds();
    assert!(last(&whole) == last(&parts), "stopped at steps {steps:?}");
    let log = std::fs::read_to_string(folder.path().join("parts/log.jsonl")).expect("the log");
    assert_eq!(log.matches("\"event\":\"stop\"").count(), 2, "{log}");
}

#[test]
fn the_second_signal_stops_at_once() {
    let folder = Folder::new("second");
    let out = folder.file("run");
    // Steps of seconds.
    let mut child =
        spawn(&["--out", &out, "-D", "width=96", "-D", "steps=32", "--batch", "1024", "--epochs", "1"]);
    wait_for(&mut child, &folder.path().join("run/log.jsonl"), "\"event\":\"begin\"");
    std::thread::sleep(Duration::from_millis(100));
    snnc(&["train", MODEL, "--resume", &out]).fails(1, &["another process is at work on", "help"]);
    signal(&child, "-INT");
    std::thread::sleep(Duration::from_millis(100));
    assert!(child.try_wait().expect("its state").is_none(), "the step was over too soon to tell");
    signal(&child, "-INT");
    let (code, stderr) = stderr_of(child);
    assert_eq!(code, Some(130), "{stderr}");
    assert!(!stderr.contains("go on with"), "it stopped after its step: {stderr}");
    let state = snnc_runtime::checkpoint::read_metadata(&folder.path().join("run/last.safetensors"));
    assert_eq!(state.expect("the first checkpoint")["step"], 0);
}

/// Kills a run so many times, each after a random time, and resumes it; a run that ends is compared and begun again.
fn killed(times: usize, name: &str) {
    let folder = Folder::new(name);
    let (whole, parts) = (folder.file("whole"), folder.file("parts"));
    let asked = ["--epochs", "6", "--save-every", "2", "--limit", "640", "--test-limit", "100"];
    let start = Instant::now();
    snnc(&[&["train", MODEL, "--out", &whole][..], &asked].concat()).succeeds();
    let whole_micros = start.elapsed().as_micros() as u64;
    let resume = [&["--resume", "auto", "--out", &parts][..], &asked].concat();
    let same = |file: &str, told: &[(u64, u64)]| {
        let read = |out: &str| std::fs::read(format!("{out}/{file}")).expect(file);
        assert!(read(&whole) == read(&parts), "{file} differs; milliseconds and epochs: {told:?}");
    };
    let (mut told, mut ended) = (Vec::new(), 0);
    for _ in 0..times {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time");
        // From before the folder exists to nearly the end, wherever the run goes on.
        let wait = u64::from(now.subsec_nanos()) / 100 % whole_micros;
        let mut child = spawn(&resume);
        std::thread::sleep(Duration::from_micros(wait));
        let _ = child.kill();
        let (code, stderr) = stderr_of(child);
        assert!(code.is_none() || code == Some(0), "{code:?} after {told:?}: {stderr}");
        let path = folder.path().join("parts/last.safetensors");
        let epoch = match path.exists() {
            true => {
                snnc_runtime::checkpoint::read_tensors(&path).expect("a whole checkpoint");
                let state = snnc_runtime::checkpoint::read_metadata(&path).expect("a state");
                state["epoch"].as_u64().expect("an epoch")
            }
            false => 0,
        };
        told.push((wait / 1000, epoch));
        if code == Some(0) {
            same("last.safetensors", &told);
            std::fs::remove_dir_all(&parts).expect("removed");
            ended += 1;
        }
    }
    snnc(&[&["train", MODEL][..], &resume].concat()).succeeds();
    ["last.safetensors", "best.safetensors", "epoch-4.safetensors"]
        .into_iter()
        .for_each(|file| same(file, &told));
    let records = std::fs::read_to_string(format!("{parts}/metrics.jsonl")).expect("records");
    assert_eq!(records.lines().count(), 6, "{records}");
    let names = std::fs::read_dir(&parts).expect("listed").flatten().map(|entry| entry.file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().ends_with(".tmp")));
    println!("killed {times} times, {ended} runs ended before; milliseconds and epochs done: {told:?}");
}

#[test]
fn a_killed_run_resumes() {
    killed(6, "killed");
}

/// `just soak`.
#[test]
#[ignore = "takes a minute"]
fn a_run_killed_fifty_times_resumes() {
    killed(50, "killed-fifty");
}

#[test]
fn a_full_disk_leaves_the_checkpoint_before() {
    let folder = Folder::new("full");
    let out = folder.file("run");
    // The first checkpoint has no moments yet and fits into 150 KiB, the second does not.
    let line = format!(
        "ulimit -f 150; exec '{}' train {MODEL} --epochs 2 --limit 64 --test-limit 32 --out '{out}'",
        env!("CARGO_BIN_EXE_snnc")
    );
    let shell = Command::new("bash").args(["-c", &line]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = shell.expect("bash runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    for said in ["cannot write", "last.safetensors", "still holds the checkpoint before"] {
        assert!(stderr.contains(said), "{said}: {stderr}");
    }
    let path = folder.path().join("run/last.safetensors");
    let state = snnc_runtime::checkpoint::read_metadata(&path).expect("the checkpoint before");
    assert_eq!(state["epoch"], 0);
    // With room again the run goes on.
    assert_eq!(snnc(&["train", MODEL, "--resume", &out, "--json"]).json()["epochs"], 2);
}
