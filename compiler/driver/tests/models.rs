//! Every model of the repository compiles for both modes, and what it becomes is what was promised.

use snnc_compiler::front::{self, Model, SourceMap};
use snnc_compiler::plan::Step;
use snnc_compiler::{Compiled, Emit, Mode, Options, compile};
use std::path::Path;

fn load(name: &str, defines: &[(&str, &str)]) -> (SourceMap, Model) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let read = &mut |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|e| e.to_string());
    let sources = SourceMap::load(name, read);
    let defines: Vec<_> = defines.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    match front::analyze(&sources, name, &defines) {
        Ok(model) => (sources, model),
        Err(errors) => panic!("{}", front::render(&sources, &errors, false)),
    }
}

fn compiled(name: &str, defines: &[(&str, &str)], mode: Mode) -> Compiled {
    let (sources, model) = load(name, defines);
    let options = Options { emit: vec![Emit::Ir], verify: true, ..Options::new(mode) };
    let compiled = compile(&model, &sources, name, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(compiled.executable.functions.len(), compiled.kernels.len());
    compiled
}

fn ir(name: &str, mode: Mode) -> String {
    compiled(name, &[], mode).emitted[0].text.clone()
}

#[test]
fn every_model_compiles_for_both_modes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let names = std::fs::read_dir(folder).expect("models");
    let names = names.filter_map(|entry| entry.expect("an entry").file_name().into_string().ok());
    for name in names.filter(|name| name.ends_with(".snn")) {
        ir(&name, Mode::Infer);
        ir(&name, Mode::Train);
    }
}

#[test]
fn imagenet_models_compile_for_training_and_state_their_memory() {
    let large = [("dim", "768"), ("depth", "8"), ("size", "224"), ("pools", "4"), ("classes", "1000")];
    let attentive = [("spatial", "true"), ("temporal", "true")];
    for (name, defines) in
        [("sdt.snn", &large[..]), ("statten.snn", &large[..]), ("resnet34.snn", &attentive[..])]
    {
        let arena = compiled(name, defines, Mode::Train).executable.plan.arena;
        assert!(arena.fixed > 50 << 20, "{name}: {arena:?}");
        assert!(arena.per_sample > 1 << 20 && arena.per_sample < 1 << 30, "{name}: {arena:?}");
    }
}

/// Every layer but the first convolution and the head's real-valued product is additions where a spike is set.
#[test]
fn spike_fed_layers_of_resnet19_do_not_multiply_activations() {
    for mode in [Mode::Infer, Mode::Train] {
        let text = ir("resnet19.snn", mode);
        let of = |mnemonic: &str| text.matches(&format!("= {mnemonic} ")).count();
        // In training `checkpoint` computes most again for the backward pass, the stem too.
        let again = compiled("resnet19.snn", &[], mode).recomputed;
        let stem = again.iter().filter(|product| product.name == "stem.unit.conv").count();
        let sums = again.len() - stem;
        assert!(if mode == Mode::Train { (10..19).contains(&sums) } else { sums == 0 }, "{sums}");
        assert_eq!(stem, usize::from(mode == Mode::Train));
        assert_eq!(of("conv2d"), 1 + stem, "only the stem sees real values");
        assert_eq!(of("conv2d.masked_add"), 19 + sums);
        assert_eq!(of("linear"), 1, "the head's first product reads an average");
        assert_eq!(of("linear.masked_add"), 1);
    }
}

/// What an element-wise gradient reads last is where it is written, and what `prepare` makes is not held longer than it
/// is read.
#[test]
fn training_holds_no_more_than_it_reads() {
    let plan = compiled("resnet19.snn", &[("width", "16")], Mode::Train).executable.plan;
    let (steps, end) = (plan.backward.iter().filter_map(kernel), plan.steps().count() - 1);
    let sums: Vec<&str> = steps.filter(|name| name.ends_with(".norm.dx")).collect();
    let own = |name: &str| plan.buffers.iter().any(|buffer| buffer.name == name);
    assert!(sums.len() > 15 && sums.iter().filter(|name| own(name)).count() < 3, "{sums:?}");
    let laid: Vec<_> = plan.buffers.iter().filter(|buffer| buffer.name.ends_with(".weight.add")).collect();
    assert!(laid.len() > 15 && laid.iter().all(|buffer| buffer.live.1 < end), "{laid:?}");
    let plan = compiled("resnet19.snn", &[("width", "16")], Mode::Infer).executable.plan;
    let end = plan.steps().count() - 1;
    let laid: Vec<_> = plan.buffers.iter().filter(|buffer| buffer.name.ends_with(".add")).collect();
    assert!(laid.len() > 15 && laid.iter().all(|buffer| buffer.live.1 == end), "{laid:?}");
    let folded: Vec<_> = plan.buffers.iter().filter(|buffer| buffer.live.1 < plan.prepare.len()).collect();
    assert!(folded.len() > 15, "{folded:?}");
}

/// Where gradients are handed over, no more than the weights of a few layers is held twice.
#[test]
fn handed_gradients_take_the_memory_of_a_layer() {
    let (sources, model) = load("resnet19.snn", &[]);
    let fixed = |hands_gradients| {
        let options = Options { hands_gradients, verify: true, ..Options::new(Mode::Train) };
        let plan = compile(&model, &sources, "resnet19.snn", &options).expect("it compiles").executable.plan;
        assert_eq!(plan.hands_gradients(), hands_gradients);
        let weights = plan.params.iter().map(|spec| spec.len() * 4);
        (plan.arena.fixed, weights.clone().sum::<usize>(), weights.max().expect("a weight"))
    };
    let ((kept, weights, largest), (handed, ..)) = (fixed(false), fixed(true));
    assert!(kept > 2 * weights, "{kept} {weights}");
    assert!(handed < weights + 4 * largest, "{handed} {weights} {largest}");
}

fn kernel(step: &Step) -> Option<&str> {
    match step {
        Step::Kernel(kernel) => Some(&kernel.name),
        Step::Dense { .. } | Step::Count { .. } | Step::Update { .. } => None,
    }
}
