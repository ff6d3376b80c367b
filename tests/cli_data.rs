//! `docs/data.md` does what it says, and `data inspect` tells what a folder holds.

#[path = "support/command.rs"]
mod command;

use command::{Folder, Run, command, snnc};
use std::path::Path;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/data.md");
    std::fs::read_to_string(path).expect("the page")
}

/// The blocks of the page in a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let parts = page.split(&fence).skip(1);
    parts.map(|part| part.split("```").next().unwrap_or_default().to_owned()).collect()
}

fn write(folder: &Folder, path: &str, bytes: &[u8]) {
    let path = folder.path().join(path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
    std::fs::write(path, bytes).expect("written");
}

/// A PPM image of one colour.
fn image(colour: [u8; 3]) -> Vec<u8> {
    [b"P6\n48 40\n255\n".to_vec(), colour.repeat(48 * 40)].concat()
}

/// N-MNIST's events: a line that moves, another one for each digit.
fn events(digit: u8) -> Vec<u8> {
    (0..200u8).flat_map(|i| [(i + digit) % 34, (i / 6 + 3 * digit) % 34, (i & 1) << 7, 0, i]).collect()
}

/// The folders that the page speaks of.
fn data(folder: &Folder) {
    for part in ["train", "val"] {
        for n in 0..3u8 {
            write(folder, &format!("photos/{part}/cat/{n}.jpg"), &image([200 + n, 40, 40]));
            write(folder, &format!("photos/{part}/dog/{n}.jpg"), &image([40, 40, 200 + n]));
        }
    }
    for part in ["Train", "Test"] {
        (0..10).for_each(|digit| write(folder, &format!("nmnist/{part}/{digit}/1.bin"), &events(digit)));
    }
}

/// Runs a command of the page in a folder.
fn run(folder: &Folder, line: &str) -> Run {
    let args: Vec<&str> = line.split_whitespace().skip(1).collect();
    let output = command(&args).current_dir(folder.path()).output().expect("the command starts");
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

#[test]
fn the_commands_of_the_page_run() {
    let (folder, page) = (Folder::new("page"), page());
    data(&folder);
    for block in blocks(&page, "snn") {
        let name = block.lines().next().and_then(|line| line.strip_prefix("// ")).expect("a name").to_owned();
        write(&folder, &name, block.as_bytes());
    }
    let commands: Vec<String> = blocks(&page, "sh")
        .iter()
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for line in &commands {
        run(&folder, line).succeeds();
    }
    for picture in ["photos.png", "nmnist.png"] {
        let bytes = std::fs::read(folder.path().join(picture)).expect("a picture");
        assert!(bytes.starts_with(b"\x89PNG"));
    }
}

#[test]
fn threads_change_nothing_and_the_list_does() {
    let folder = Folder::new("varied");
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits.snn"))
        .expect("a model");
    let varied =
        text.replace("train {", "train {\n    augment pad_crop(1) + flip(p: 0.2) + rotate(15) + cutout(2)");
    assert_ne!(text, varied);
    let models = [folder.write("plain.snn", &text), folder.write("varied.snn", &varied)];
    let train = |model: &str, threads: &str| {
        let out = folder.file(&format!("{threads}-{}", model.len()));
        let limits =
            ["--epochs", "2", "--limit", "96", "--test-limit", "32", "--threads", threads, "--out", &out];
        snnc(&[&["train", model][..], &limits].concat()).succeeds();
        let config = std::fs::read_to_string(format!("{out}/config.json")).expect("the configuration");
        (std::fs::read(format!("{out}/last.safetensors")).expect("weights"), config)
    };
    let (one, config) = train(&models[1], "1");
    assert!(config.contains("\"augment\": \"pad_crop(1) + flip(0.2) + rotate(15) + cutout(2)\""), "{config}");
    assert!(one == train(&models[1], "2").0, "the same bits for any number of threads");
    assert!(one != train(&models[0], "1").0, "the list changes what is trained");
}

/// Spikes stay spikes where rectangles of them are mixed.
#[test]
fn spikes_of_events_are_mixed() {
    let (folder, page) = (Folder::new("mixed-events"), page());
    data(&folder);
    let model =
        blocks(&page, "snn").into_iter().find(|block| block.contains("network nmnist")).expect("a model");
    let spikes =
        model.replace("f32[time, 2, 17, 17]", "spike[time, 2, 17, 17]").replace("batch     2", "batch     5");
    assert!(spikes != model && spikes.contains("cutmix(p: 0.5)"));
    let (nmnist, out) = (folder.file("nmnist"), folder.file("run"));
    let train = |text: &str| {
        snnc(&["train", &folder.write("a.snn", text), "--data", &nmnist, "--out", &out, "--json"])
    };
    let accuracy = train(&spikes).json()["history"][1]["train_accuracy"].as_f64().expect("a number");
    assert!((0.0..=1.0).contains(&accuracy), "{accuracy}");
    train(&spikes.replace("cutmix", "mixup")).fails(1, &["`mixup` makes numbers between 0 and 1", "help"]);
}

#[test]
fn inspection_reports_in_json() {
    let folder = Folder::new("inspect");
    data(&folder);
    let report = snnc(&["data", "inspect", &folder.file("nmnist"), "--frames", "4", "--json"]).json();
    assert_eq!(report["shape"], serde_json::json!([4, 2, 34, 34]));
    assert_eq!((&report["train"]["samples"], &report["test"]["per_class"][9]), (&10.into(), &1.into()));
    assert_eq!(report["notes"][0], "4 frames by equal numbers of events");
    // 200 events in 4 frames of 34×34 pixels, half of them brighter.
    let mean = report["mean"][0].as_f64().expect("a mean");
    assert!((mean - 100.0 / (4.0 * 34.0 * 34.0)).abs() < 1e-9, "{mean}");
    let photos = snnc(&["data", "inspect", &folder.file("photos")]);
    assert!(photos.succeeds().stdout.contains("train     6 samples, 3 a class"), "{}", photos.stdout);
}

#[test]
fn what_does_not_fit_is_told() {
    let folder = Folder::new("inspect-bad");
    data(&folder);
    let (photos, nmnist) = (folder.file("photos"), folder.file("nmnist"));
    snnc(&["data"]).fails(2, &["inspect"]);
    snnc(&["data", "inspect", "digitz"]).fails(3, &["digitz", "docs/data.md"]);
    snnc(&["data", "inspect", &nmnist, "--frames", "0"]).fails(2, &["--frames"]);
    snnc(&["data", "inspect", &photos, "--sheet", &folder.file("none/a.png")]).fails(3, &["no directory"]);
    snnc(&["train", "models/digits.snn", "--data", &nmnist])
        .fails(1, &["events of 34×34 pixels", "[1, 8, 8]"]);
    write(&folder, "photos/val/dog/0.jpg", b"not an image");
    snnc(&["data", "inspect", &photos]).succeeds();
    write(&folder, "photos/train/dog/0.jpg", b"not an image");
    snnc(&["data", "inspect", &photos]).fails(3, &["0.jpg is not an image", "help"]);
    write(&folder, "photos/train.bin", b"");
    write(&folder, "photos/train_x.npy", b"");
    snnc(&["data", "inspect", &photos]).fails(3, &["more than one data set", "CIFAR-100", "arrays"]);
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits.snn"))
        .expect("a model");
    let model = folder.write("a.snn", text.replace("train {", "train {\n    augment autoaugment(cifar10)"));
    snnc(&["train", &model]).fails(1, &["`autoaugment` needs colours of 8 bits", "digits"]);
    let encoded = text.replace("f32[1, 8, 8]", "f32[1, 8, 8] |> poisson");
    assert_ne!(encoded, text);
    let model = folder.write(
        "b.snn",
        encoded.replace("train {", "train {\n    augment flip + normalize(mean: 0.3, std: 0.4)"),
    );
    snnc(&["train", &model]).fails(1, &["`normalize` stands before the encoder poisson", "help"]);
}
