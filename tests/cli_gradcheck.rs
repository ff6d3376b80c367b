//! `snnc gradcheck` on models as users have them: learned neurons, attention, gates, every kind of loss.

#[path = "support/command.rs"]
mod command;

use command::{Folder, snnc};

#[test]
fn gradients_of_models_are_right() {
    let resnet = "variant=C stem=4 width=8 blocks1=1 blocks2=1 blocks3=1 size=8 steps=2 spatial=true temporal=true \
                  branch_gain=1.0";
    let cases = [
        ("models/digits.snn", "width=4"),
        ("tests/models/adaptive.snn", ""),
        ("models/resnet19.snn", resnet),
        ("models/sdt.snn", "dim=32 depth=1 size=8 pools=1 steps=2"),
    ];
    for (file, defines) in cases {
        let mut args = vec!["gradcheck", file, "--json"];
        defines.split_whitespace().for_each(|define| args.extend(["-D", define]));
        let report = snnc(&args).json();
        assert_eq!(report["passed"], true, "{file}: {report:#}");
        let rows = report["parameters"].as_array().expect("rows");
        let moved = rows.iter().filter(|row| row["gradient"].as_f64().expect("a number") > 1e-9).count();
        assert!(
            rows.len() > 3 && 3 * moved > rows.len(),
            "{file}: {moved} of {} have a gradient",
            rows.len()
        );
    }
}

#[test]
fn encoded_inputs_are_checked_as_the_network_reads_them() {
    let folder = Folder::new("gradcheck-encoded");
    let text = std::fs::read_to_string("models/digits.snn").expect("a model");
    let file = folder.file("poisson.snn");
    std::fs::write(&file, text.replace("f32[1, 8, 8]", "f32[1, 8, 8] |> poisson")).expect("written");
    let report = snnc(&["gradcheck", &file, "-D", "width=4", "--json"]).json();
    assert!(report["compiled_error"].as_f64().expect("a number") < 1e-4, "{report:#}");
}

#[test]
fn losses_have_the_gradients_of_their_slopes() {
    let folder = Folder::new("gradcheck");
    let text = std::fs::read_to_string("models/digits.snn").expect("a model");
    let terms =
        "tet(lambda: 0.2, smoothing: 0.1) + 0.5 * spike_rate(target: 0.1) + 0.3 * spike_rate(power: 2)
                 + spike_rate(above: 0.05) + 0.1 * synaptic_operations";
    let file = folder.file("loss.snn");
    std::fs::write(&file, text.replace("cross_entropy", terms)).expect("written");
    let run = snnc(&["gradcheck", &file, "-D", "width=4", "--batch", "3", "--seed", "5"]);
    assert!(run.succeeds().stdout.contains("largest differences"), "{}", run.stdout);
}

#[test]
fn faults_are_told() {
    snnc(&["gradcheck", "models/resnet19.snn"]).fails(1, &["too large to check", "-D"]);
    let run = snnc(&["gradcheck", "models/digits.snn", "-D", "width=4", "--tolerance", "1e-12"]);
    assert_eq!(run.code, 1, "{}", run.stdout);
    assert!(run.stderr.contains("gradients differ by") && run.stdout.contains("head.linear.weight"));
    assert_eq!(snnc(&["gradcheck", "models/digits.snn", "--tolerance", "0"]).code, 2);
}
