//! In a smooth network finite differences are the gradients.

use crate::interp::{Env, Tensor, run};
use crate::text::parse;
use std::collections::HashMap;

/// A norm, a convolution with bias, a neuron, pooling and a loss, with the gradients written by hand.
fn text(neuron: &str, save: &str) -> String {
    let (result, ty, saved) = match save {
        "window" => ("%win", "spike", "%s, %win"),
        _membrane => ("%win", "f32", "%win"),
    };
    format!(
        "graph @g mode=train {{
        param %w : f32[Co2 Ci2 Kh2 Kw2] weight
        param %b : f32[C2] bias
        param %gain : f32[C2] gain
        param %shift : f32[C2] shift
        param %mean : f32[C2] running_mean
        param %var : f32[C2] running_var
        param %m : f32[Co3 Ci8] weight
        input %x : f32[T3 B C2 H3 W3]
        input %labels : i32[B]
        %conv : f32[T3 B C2 H4 W4] = conv2d %x, %w, %b {{pad=1}}
        %mu, %rstd, %mean.n, %var.n : f32[C2], f32[C2], f32[C2], f32[C2] = bn.stats %conv, %mean, %var
        %bn : f32[T3 B C2 H4 W4] = bn.apply %conv, %mu, %rstd, %gain, %shift {{scale=0.75}}
        %s, {result} : spike[T3 B C2 H4 W4], {ty}[T3 B C2 H4 W4] = lif %bn {{{neuron} save={save}}}
        %pool : f32[T3 B C2 H2 W2] = avg_pool %s {{kernel=2x2}}
        %flat : f32[T3 B C8] = flatten %pool
        %o : f32[T3 B C3] = linear %flat, %m
        %logits : f32[B C3] = mean %o {{over=[T]}}
        %loss : f32[] = cross_entropy %logits, %labels
        %dl : f32[B C3] = cross_entropy.grad %logits, %labels
        %dl.t : f32[B C3] = scale %dl {{by=0.33333334}}
        %do : f32[T3 B C3] = broadcast %dl.t
        %dm : f32[Co3 Ci8] = linear.grad_weight %flat, %do
        %dflat : f32[T3 B C8] = linear.grad_input %do, %m
        %dpool : f32[T3 B C2 H2 W2] = unflatten %dflat
        %ds : f32[T3 B C2 H4 W4] = avg_pool.grad %dpool {{kernel=2x2}}
        %dbn : f32[T3 B C2 H4 W4] = lif.grad %ds, {saved} {{{neuron} save={save}}}
        %dshift, %sum : f32[C2], f32[C2] = bn.grad_sums %dbn, %conv, %mu, %rstd
        %dgain : f32[C2] = scale %sum {{by=0.75}}
        %dconv : f32[T3 B C2 H4 W4] = bn.grad_input %dbn, %conv, %mu, %rstd, %gain, %dshift, %sum {{scale=0.75}}
        %db : f32[C2] = sum %dconv {{over=[T B H W]}}
        %dw : f32[Co2 Ci2 Kh2 Kw2] = conv2d.grad_weight %x, %dconv {{pad=1}}
        %dx : f32[T3 B C2 H3 W3] = conv2d.grad_input %dconv, %w {{pad=1}}
        output %logits, %loss
        grad %w = %dw
        grad %b = %db
        grad %gain = %dgain
        grad %shift = %dshift
        grad %m = %dm
        grad %x = %dx
        update %mean = %mean.n
        update %var = %var.n
    }}"
    )
}

fn check(neuron: &str, save: &str) {
    let graph = parse(&text(neuron, save)).unwrap();
    let mut values = HashMap::new();
    let mut state = 1u64;
    for &value in graph.params.iter().chain(&graph.inputs) {
        let mut tensor = Tensor::zeros(graph.ty(value), 2);
        for x in &mut tensor.data {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            *x = (state >> 40) as f64 / f64::from(1 << 24) * 2.0 - 0.7;
        }
        values.insert(graph.name(value).to_string(), tensor);
    }
    values.insert("labels".to_string(), Tensor::new(vec![2], vec![2.0, 0.0]));
    let env = Env { batch: 2, values, smooth: true };
    let found = run(&graph, &env).unwrap();
    for &(of, grad) in &graph.grads {
        let (name, grad) = (graph.name(of), &found[graph.name(grad)].data);
        for (at, &gradient) in grad.iter().enumerate() {
            let loss = |shift: f64| {
                let mut env = env.clone();
                env.values.get_mut(name).unwrap().data[at] += shift;
                run(&graph, &env).unwrap()["loss"].data[0]
            };
            let difference = (loss(1e-5) - loss(-1e-5)) / 2e-5;
            // A primitive with corners is met on one side of them now and then.
            assert!((difference - gradient).abs() < 2e-6, "{neuron} d{name}[{at}] {difference} {gradient}");
        }
    }
}

#[test]
fn hard_reset() {
    check("decay=0.5 surrogate=sigmoid(4) threshold=0.5 reset=hard(-0.25) detach=false", "membrane");
    check("decay=0.75 gain=0.5 current=0.125 surrogate=atan(2) threshold=0.25 detach=false", "membrane");
}

#[test]
fn soft_reset_and_none() {
    check("decay=0.5 surrogate=triangle(1) threshold=0.5 reset=soft detach=false", "membrane");
    check("decay=0.5 surrogate=rect(2) threshold=0.5 reset=soft detach=false", "window");
    check("decay=0.5 surrogate=rect(2) threshold=0.5 reset=none detach=false", "window");
}
