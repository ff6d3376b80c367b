//! The schedules of the hot kernels, to be read.

use snnc_ir::text::parse;
use snnc_kernel::{Form, Forms, Settings, lower};
use snnc_plan::Recipe;

/// The first kernel of a packed graph.
fn kernel(body: &str, output: &str) -> String {
    kernel_as(Form::Walk, body, output)
}

/// The same, with products of a form.
fn kernel_as(form: Form, body: &str, output: &str) -> String {
    let text = format!("graph @g stage=packed mode=infer {{ {body} output %{output} }}");
    let graph = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let forms = Forms { rest: Some(form), ..Forms::default() };
    let settings = Settings { forms, ..Settings::default() };
    let lowered = lower(&graph, Recipe::default(), &settings).unwrap_or_else(|error| panic!("{error}"));
    lowered.kernels[0].to_string()
}

/// The kernel of a value of a packed training graph's backward part.
fn backward_kernel(body: &str, value: &str) -> String {
    let text = format!(
        "graph @g stage=packed mode=train {{ input %logits : f32[B C10] input %labels : i32[B]
            {body} output %logits output %loss }}"
    );
    let graph = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let lowered =
        lower(&graph, Recipe::default(), &Settings::default()).unwrap_or_else(|error| panic!("{error}"));
    let found = lowered.kernels.iter().find(|kernel| kernel.name == value);
    found.unwrap_or_else(|| panic!("no kernel of {value}")).to_string()
}

/// A layer of inference: sums of all timesteps in scratch memory, then the neuron through time.
#[test]
fn a_fused_layer() {
    let body = "input %x : bits[T4 B H16 W16 | C128] input %b : f32[C256]
        param %w : f32[Kh3 Kw3 Ci128 Co256/128] weight
        %s : bits[T4 B H16 W16 | C256] = scan t in T4 slice (%x.t : bits[B H16 W16 | C128] = %x)
                carry (%v : f32[B H16 W16 C256] = 0) {
            %c : f32[B H16 W16 C256] = conv2d.masked_add %x.t, %w, %b {stride=1, pad=1}
            %h : f32[B H16 W16 C256] = lif.charge %v, %c {decay=0.5 gain=1 current=0 threshold=1 reset=hard(0) detach=true compare=ge surrogate=rect(1) save=nothing}
            %f : bits[B H16 W16 | C256] = lif.fire %h {decay=0.5 gain=1 current=0 threshold=1 reset=hard(0) detach=true compare=ge surrogate=rect(1) save=nothing}
            %n : f32[B H16 W16 C256] = lif.reset %h, %f {decay=0.5 gain=1 current=0 threshold=1 reset=hard(0) detach=true compare=ge surrogate=rect(1) save=nothing}
            yield %f carry %n
        }";
    insta::assert_snapshot!(kernel(body, "s"));
}

/// The weights of all taps fit the nearest cache: a position adds what it sees through all of them.
#[test]
fn a_product_of_few_channels() {
    let body = "input %x : bits[T4 B H16 W16 | C32] input %w : f32[Kh3 Kw3 Ci32 Co32/32]
        %y : f32[T4 B H8 W8 C32] = conv2d.masked_add %x, %w {stride=2, pad=1}";
    insta::assert_snapshot!(kernel(body, "y"));
}

/// The sums of a layer of training, each table made once for all positions of a task.
#[test]
fn a_grouped_product() {
    let body = "input %x : bits[T4 B H16 W16 | C160] input %w : f32[Kh3 Kw3 Ci160 Co256/128]
        %y : f32[T4 B H16 W16 C256] = conv2d.masked_add %x, %w {stride=1, pad=1}";
    insta::assert_snapshot!(kernel_as(Form::Grouped, body, "y"));
}

/// Two words of input channels at a time, as their weights fit the second cache; five timesteps are two and three.
#[test]
fn a_product_by_patterns() {
    let body = "input %x : bits[T5 B H16 W16 | C160] input %w : f32[Kh3 Kw3 Ci160 Co256/128]
        %y : f32[T5 B H16 W16 C256] = conv2d.masked_add %x, %w {stride=1, pad=1}";
    insta::assert_snapshot!(kernel_as(Form::Patterns, body, "y"));
}

/// Seven walks over four timesteps, whose bits are made first; three of their sums are parts of others.
#[test]
fn a_shared_product() {
    let body = "input %x : bits[T4 B H16 W16 | C64] input %w : f32[Kh3 Kw3 Ci64 Co64/64]
        %y : f32[T4 B H8 W8 C64] = conv2d.masked_add %x, %w {stride=2, pad=1}";
    insta::assert_snapshot!(kernel_as(Form::Shared, body, "y"));
}

/// The sums that a norm's gradient reads are made while `dx` is in registers.
#[test]
fn a_neurons_gradient_before_a_norm() {
    let body = "input %dy : f32[T4 B H16 W16 C32] input %s : bits[T4 B H16 W16 | C32]
        input %win : bits[T4 B H16 W16 | C32] input %x : f32[T4 B H16 W16 C32] input %mu : f32[C32] input %rstd : f32[C32]
        %loss : f32[] = cross_entropy %logits, %labels
        %dx : f32[T4 B H16 W16 C32] = lif.grad %dy, %s, %win {decay=0.5 gain=1 current=0 threshold=1 reset=hard(0) detach=true compare=ge surrogate=rect(1) save=window}
        %sum, %dot : f32[C32], f32[C32] = bn.grad_sums %dx, %x, %mu, %rstd";
    insta::assert_snapshot!(backward_kernel(body, "dx") + &backward_kernel(body, "sum"));
}

#[test]
fn a_weight_gradient() {
    let body = "input %x : bits[T4 B H16 W16 | C128] input %dy : f32[T4 B H16 W16 C256]
        %dw : f32[Co256 Ci128 Kh3 Kw3] = conv2d.masked_grad_weight %x, %dy {stride=1, pad=1}
        %o : f32[T4 B H16 W16 C256] = scale %dy {by=2}";
    insta::assert_snapshot!(kernel(body, "o"));
}

/// A position's margin has the sums of its rows of dy over all choices of timesteps.
#[test]
fn a_weight_gradient_by_patterns() {
    let body = "input %x : bits[T2 B H8 W8 | C32] input %dy : f32[T2 B H8 W8 C32]
        %dw : f32[Co32 Ci32 Kh3 Kw3] = conv2d.masked_grad_weight %x, %dy {stride=1, pad=1}
        %o : f32[T2 B H8 W8 C32] = scale %dy {by=2}";
    insta::assert_snapshot!(kernel_as(Form::Patterns, body, "o"));
}

/// A table of a block of positions serves all channels and all taps of a row.
#[test]
fn a_grouped_weight_gradient() {
    let body = "input %x : bits[T4 B H16 W16 | C16] input %dy : f32[T4 B H16 W16 C32]
        %dw : f32[Co32 Ci16 Kh3 Kw3] = conv2d.masked_grad_weight %x, %dy {stride=1, pad=1}
        %o : f32[T4 B H16 W16 C32] = scale %dy {by=2}";
    insta::assert_snapshot!(kernel_as(Form::Grouped, body, "o"));
}

#[test]
fn a_sampled_input_gradient() {
    let body = "input %dy : f32[T4 B H16 W16 C256] input %win : bits[T4 B H16 W16 | C128]
        param %w : f32[Kh3 Kw3 Ci128 Co256/128] weight
        %dx : f32[T4 B H16 W16 C128] = conv2d.sampled_grad_input %dy, %w, %win {stride=1, pad=1}";
    insta::assert_snapshot!(kernel(body, "dx"));
}
