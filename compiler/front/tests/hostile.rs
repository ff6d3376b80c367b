//! Whatever the text, the answer is a model or diagnostics: the models of the repository, cut and changed at
//! many places, never panic, neither in the analysis nor in the renderer.

use snnc_front::{SourceMap, analyze, render, syntax_tree, to_graph};
use snnc_ir::Mode;

const MODELS: [&str; 3] = [
    include_str!("../../../models/digits.snn"),
    include_str!("../../../models/lif_mlp.snn"),
    include_str!("../../../models/resnet19.snn"),
];

/// Runs everything that a text can reach.
fn survive(text: &str) {
    let sources = SourceMap::single("net.snn", text);
    let _ = syntax_tree(&sources, "net.snn").map(|tree| tree.to_string());
    match analyze(&sources, "net.snn", &[]) {
        Err(errors) => {
            assert!(!errors.is_empty());
            assert!(!render(&sources, &errors, false).is_empty());
        }
        Ok(model) => {
            let _ = model.to_string();
            let _ = to_graph(&model, Mode::Train);
        }
    }
}

/// A generator of the same numbers on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }
}

#[test]
fn truncated_models_are_survived() {
    for model in MODELS {
        for end in (0..model.len()).filter(|&end| model.is_char_boundary(end)).step_by(3) {
            survive(&model[..end]);
        }
    }
}

#[test]
fn changed_models_are_survived() {
    const PIECES: [&str; 28] = [
        "",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "|>",
        "+",
        "-",
        "/ 0",
        "\"",
        "é",
        "\u{0}",
        "//",
        "\n",
        "0",
        "1e300",
        "9223372036854775807",
        "true",
        "x",
        "repeat(0)",
        "repeat(99999)",
        "global",
        "let q = ",
        "not ",
        ".",
        ":",
    ];
    let mut numbers = Numbers(7);
    for model in MODELS {
        for _ in 0..600 {
            let start =
                (0..model.len()).filter(|&at| model.is_char_boundary(at)).nth(numbers.below(model.len() / 2));
            let start = start.unwrap_or(0) + numbers.below(2) * (model.len() / 3);
            let end = start + numbers.below(8);
            if let (Some(before), Some(after)) = (model.get(..start), model.get(end..)) {
                survive(&format!("{before}{}{after}", PIECES[numbers.below(PIECES.len())]));
            }
        }
    }
}

#[test]
fn deep_and_long_texts_are_survived() {
    let net = |steps: &str| format!("network n {{ timesteps 1 input x: f32[4] x {steps} |> mean(time) }}");
    survive(&"(".repeat(100_000));
    survive(&"{".repeat(100_000));
    survive(&format!("param x = {}1", "-".repeat(100_000)));
    survive(&format!("param x = {}true", "not ".repeat(100_000)));
    survive(&format!("param x = 1{}", " + 1".repeat(50_000)));
    survive(&format!("param x = {}1", "if true { 1 } else ".repeat(20_000)));
    survive(&format!("param x = {} {{ 1 }}", "if true { 1 } else ".repeat(20_000)));
    survive(&net(&"|> norm ".repeat(5_000)));
    survive(&net(&format!("|> {} norm", "repeat(1) ".repeat(10_000))));
    survive(&net(&format!("|> {}", "long".repeat(10_000))));
    survive(&net(&"+ x ".repeat(5_000)));
    let chain: String = (0..3_000).map(|n| format!("block b{n}(x) {{ x |> b{} }}\n", n + 1)).collect();
    survive(&format!("{chain} block b3000(x) {{ x }} {}", net("|> b0")));
    let nested = |n: usize| format!("{}x{}", "(".repeat(n), ")".repeat(n));
    let blocks: String =
        (0..100).map(|n| format!("block b{n}(x) {{ {} |> b{} }}\n", nested(60), n + 1)).collect();
    survive(&format!("{blocks} block b100(x) {{ x }} {}", net("|> b0")));
}

#[test]
fn files_that_are_not_there_are_diagnostics() {
    let sources = SourceMap::load("gone.snn", &mut |_| Err("no such file".to_string()));
    let errors = analyze(&sources, "gone.snn", &[]).unwrap_err();
    assert!(render(&sources, &errors, false).contains("gone.snn"));
    let many = SourceMap::load("0", &mut |name| {
        let number: u64 = name.parse().unwrap_or(0);
        Ok(format!("include \"{}\"", number + 1))
    });
    assert!(analyze(&many, "0", &[]).is_err());
}
