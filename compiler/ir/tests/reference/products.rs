//! Convolutions and matrix products, alone and with norm and neuron.

use crate::case::Case;

const NEURON: &str = "decay=0.5 gain=1 save=window";

/// Convolution, batch statistics, neuron, and the gradients of all parameters.
fn train(name: &str, scale: f64) {
    let text = format!(
        "graph @g mode=train {{
            param %w : f32[Co5 Ci3 Kh3 Kw3] weight
            param %gain : f32[C5] gain
            param %shift : f32[C5] shift
            param %mean : f32[C5] running_mean
            param %var : f32[C5] running_var
            input %x : f32[T4 B C3 H6 W6]
            input %e : f32[T4 B C5 H6 W6]
            %conv : f32[T4 B C5 H6 W6] = conv2d %x, %w {{pad=1}}
            %mu, %rstd, %mean.n, %var.n : f32[C5], f32[C5], f32[C5], f32[C5] = bn.stats %conv, %mean, %var
            %bn : f32[T4 B C5 H6 W6] = bn.apply %conv, %mu, %rstd, %gain, %shift {{scale={scale}}}
            %s, %win : spike[T4 B C5 H6 W6], spike[T4 B C5 H6 W6] = lif %bn {{{NEURON}}}
            %dbn : f32[T4 B C5 H6 W6] = lif.grad %e, %s, %win {{{NEURON}}}
            %dshift, %sum : f32[C5], f32[C5] = bn.grad_sums %dbn, %conv, %mu, %rstd
            %dgain : f32[C5] = scale %sum {{by={scale}}}
            %dc : f32[T4 B C5 H6 W6] = bn.grad_input %dbn, %conv, %mu, %rstd, %gain, %dshift, %sum {{scale={scale}}}
            %dw : f32[Co5 Ci3 Kh3 Kw3] = conv2d.grad_weight %x, %dc {{pad=1}}
            %dx : f32[T4 B C3 H6 W6] = conv2d.grad_input %dc, %w {{pad=1}}
            output %s
            update %mean = %mean.n
            update %var = %var.n
        }}"
    );
    let case = Case::load(name);
    let found = case.run(
        &text,
        2,
        &[
            ("w", "param.cb.w"),
            ("gain", "param.cb.gamma"),
            ("shift", "param.cb.beta"),
            ("mean", "buf.cb.rm"),
            ("var", "buf.cb.rv"),
            ("x", "in.x"),
            ("e", "gout.spike"),
        ],
    );
    found.near("bn", "out.pre");
    found.equal("s", "out.spike");
    found.near("mean.n", "buf_after.cb.rm");
    found.near("var.n", "buf_after.cb.rv");
    found.near("dshift", "grad.param.cb.beta");
    found.near("dgain", "grad.param.cb.gamma");
    found.near("dw", "grad.param.cb.w");
    found.near("dx", "grad.in.x");
}

#[test]
fn convolution_norm_neuron_in_training() {
    train("conv_bn_lif_train", 1.0);
}

#[test]
fn convolution_threshold_dependent_norm_neuron_in_training() {
    train("conv_tdbn_lif_train", std::f64::consts::FRAC_1_SQRT_2);
}

/// Running statistics, by the norm and folded into the convolution.
fn infer(name: &str, scale: f64) {
    let text = format!(
        "graph @g {{
            param %w : f32[Co5 Ci3 Kh3 Kw3] weight
            param %gain : f32[C5] gain
            param %shift : f32[C5] shift
            param %mean : f32[C5] running_mean
            param %var : f32[C5] running_var
            input %x : f32[T4 B C3 H6 W6]
            %conv : f32[T4 B C5 H6 W6] = conv2d %x, %w {{pad=1}}
            %bn : f32[T4 B C5 H6 W6] = batch_norm %conv, %gain, %shift, %mean, %var {{scale={scale}}}
            %s : spike[T4 B C5 H6 W6] = lif %bn {{decay=0.5 gain=1}}
            %wf : f32[Co5 Ci3 Kh3 Kw3] = fold.weight %w, %gain, %var {{scale={scale}}}
            %bf : f32[C5] = fold.bias %gain, %shift, %mean, %var {{scale={scale}}}
            %folded : f32[T4 B C5 H6 W6] = conv2d %x, %wf, %bf {{pad=1}}
            output %s
        }}"
    );
    let case = Case::load(name);
    let found = case.run(
        &text,
        2,
        &[
            ("w", "param.cb.w"),
            ("gain", "param.cb.gamma"),
            ("shift", "param.cb.beta"),
            ("mean", "buf.cb.rm"),
            ("var", "buf.cb.rv"),
            ("x", "in.x"),
        ],
    );
    found.near("bn", "out.pre");
    found.near("folded", "out.pre");
    found.equal("s", "out.spike");
}

#[test]
fn convolution_norm_neuron_in_inference() {
    infer("conv_bn_lif_eval", 1.0);
    infer("conv_tdbn_lif_eval", std::f64::consts::FRAC_1_SQRT_2);
}

#[test]
fn matrix_product_and_neuron() {
    let neuron = "decay=0.5 gain=0.5 detach=false save=membrane";
    let text = format!(
        "graph @g mode=train {{
            param %w : f32[Co12 Ci20] weight
            param %b : f32[C12] bias
            input %x : f32[T4 B C20]
            input %e : f32[T4 B C12]
            %y : f32[T4 B C12] = linear %x, %w, %b
            %s, %h : spike[T4 B C12], f32[T4 B C12] = lif %y {{{neuron}}}
            %dy : f32[T4 B C12] = lif.grad %e, %h {{{neuron}}}
            %dw : f32[Co12 Ci20] = linear.grad_weight %x, %dy
            %db : f32[C12] = sum %dy {{over=[T B]}}
            %dx : f32[T4 B C20] = linear.grad_input %dy, %w
            output %s
        }}"
    );
    let case = Case::load("linear_lif");
    let given = [("w", "param.w"), ("b", "param.b"), ("x", "in.x"), ("e", "gout.spike")];
    let found = case.run(&text, 3, &given);
    found.near("y", "out.pre");
    found.equal("s", "out.spike");
    found.near("dw", "grad.param.w");
    found.near("db", "grad.param.b");
    found.near("dx", "grad.in.x");
}

/// Stride 2 with a border, and one position with a bias; of numbers and of spikes.
#[test]
fn shapes_of_convolutions() {
    let text = "graph @g stage=masked mode=train {
        param %w2 : f32[Co4 Ci3 Kh3 Kw3] weight
        param %w1 : f32[Co4 Ci3 Kh1 Kw1] weight
        param %b1 : f32[C4] bias
        input %r : f32[B C3 H7 W6]
        input %x : spike[B C3 H7 W6]
        input %er2 : f32[B C4 H4 W3]
        input %ex2 : f32[B C4 H4 W3]
        input %er1 : f32[B C4 H7 W6]
        input %ex1 : f32[B C4 H7 W6]
        %r2 : f32[B C4 H4 W3] = conv2d %r, %w2 {stride=2 pad=1}
        %x2 : f32[B C4 H4 W3] = conv2d.masked_add %x, %w2 {stride=2 pad=1}
        %r1 : f32[B C4 H7 W6] = conv2d %r, %w1, %b1
        %x1 : f32[B C4 H7 W6] = conv2d.masked_add %x, %w1, %b1
        %dr2 : f32[B C3 H7 W6] = conv2d.grad_input %er2, %w2 {stride=2 pad=1}
        %dr1 : f32[B C3 H7 W6] = conv2d.grad_input %er1, %w1
        %dr : f32[B C3 H7 W6] = add %dr2, %dr1
        %dx2 : f32[B C3 H7 W6] = conv2d.grad_input %ex2, %w2 {stride=2 pad=1}
        %dx1 : f32[B C3 H7 W6] = conv2d.grad_input %ex1, %w1
        %dx : f32[B C3 H7 W6] = add %dx2, %dx1
        %dw2.r : f32[Co4 Ci3 Kh3 Kw3] = conv2d.grad_weight %r, %er2 {stride=2 pad=1}
        %dw2.x : f32[Co4 Ci3 Kh3 Kw3] = conv2d.masked_grad_weight %x, %ex2 {stride=2 pad=1}
        %dw2 : f32[Co4 Ci3 Kh3 Kw3] = add %dw2.r, %dw2.x
        %dw1.r : f32[Co4 Ci3 Kh1 Kw1] = conv2d.grad_weight %r, %er1
        %dw1.x : f32[Co4 Ci3 Kh1 Kw1] = conv2d.masked_grad_weight %x, %ex1
        %dw1 : f32[Co4 Ci3 Kh1 Kw1] = add %dw1.r, %dw1.x
        %e1 : f32[B C4 H7 W6] = add %er1, %ex1
        %db1 : f32[C4] = sum %e1 {over=[B H W]}
        output %r2
    }";
    let case = Case::load("conv_shapes_linearity");
    // One of the two inputs is of spikes.
    let binary = |key: &str| case.data(key).iter().all(|&x| x == 0.0 || x == 1.0);
    let (r, x) = if binary("in.x") { ("r", "x") } else { ("x", "r") };
    let key = |form: &str, of: &str| form.replace('_', of);
    let found = case.run_with(
        text,
        2,
        [
            ("w2", "param.s2.w".to_string()),
            ("w1", "param.p1.w".to_string()),
            ("b1", "param.p1.b".to_string()),
            ("r", key("in._", r)),
            ("x", key("in._", x)),
            ("er2", format!("gout.{r}_s2")),
            ("ex2", format!("gout.{x}_s2")),
            ("er1", format!("gout.{r}_p1")),
            ("ex1", format!("gout.{x}_p1")),
        ]
        .into_iter()
        .map(|(value, key)| (value, case.tensor(&key).clone())),
    );
    found.near("r2", &format!("out.{r}_s2"));
    found.near("x2", &format!("out.{x}_s2"));
    found.near("r1", &format!("out.{r}_p1"));
    found.near("x1", &format!("out.{x}_p1"));
    found.near("dr", &format!("grad.in.{r}"));
    found.near("dx", &format!("grad.in.{x}"));
    found.near("dw2", "grad.param.s2.w");
    found.near("dw1", "grad.param.p1.w");
    found.near("db1", "grad.param.p1.b");
}
