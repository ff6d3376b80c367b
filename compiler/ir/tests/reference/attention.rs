//! Cores of spatial, space-time and spike-driven attention with their neuron, forwards and backwards, in both
//! orders. In the cases that are not on the lattice one operand is no spike: the formulas hold all the same.

use crate::case::{Case, near};
use snnc_ir::interp::Tensor;

const NEURON: &str = "decay=0.5 gain=0.5 threshold=0.5 save=window";
const AXES: &str = "[T4 B H16 C8]";

/// `[T B heads N d]` as `[T B N C]`, the heads side by side.
fn side_by_side(from: &Tensor) -> Tensor {
    let [steps, batch, heads, tokens, d] = from.dims[..] else { panic!("{:?}", from.dims) };
    let mut data = Vec::with_capacity(from.data.len());
    for image in from.data.chunks(heads * tokens * d) {
        for token in 0..tokens {
            for head in 0..heads {
                data.extend_from_slice(&image[(head * tokens + token) * d..][..d]);
            }
        }
    }
    Tensor::new(vec![steps, batch, tokens, heads * d], data)
}

/// Spikes, or spikes with the case's jitter.
fn operand(case: &Case, name: &str, jittered: bool) -> Tensor {
    let mut x = case.tensor(&format!("in.{name}")).clone();
    if jittered {
        let jitter = case.data("in.jitter");
        x.data.iter_mut().zip(jitter.iter().cycle()).for_each(|(x, jitter)| *x += jitter);
    }
    side_by_side(&x)
}

/// Runs a body that makes `%pre`, `%y`, `%dq`, `%dk` and `%dv` of `%q`, `%k`, `%v` and `%g`, and compares them.
/// `jittered` names the operand that is no spike off the lattice.
fn check(name: &str, jittered: &str, body: &str) {
    let lattice = name.ends_with("_lattice");
    let case = Case::load(name);
    let text = format!(
        "graph @g mode=train {{
         input %q : f32{AXES} input %k : f32{AXES} input %v : f32{AXES} input %g : f32{AXES}
         {body} }}"
    );
    let operands = ["q", "k", "v"].map(|x| (x, operand(&case, x, !lattice && x == jittered)));
    let g = ("g", side_by_side(case.tensor("gout.y")));
    let found = case.run_with(&text, 2, operands.into_iter().chain([g])).values;
    let same = |value: &str, key: &str| {
        near(&found[value].data, &side_by_side(case.tensor(key)).data, &format!("{name} {key}"));
    };
    same("pre", "out.pre");
    same("dq", "grad.in.q");
    same("dk", "grad.in.k");
    same("dv", "grad.in.v");
    if lattice {
        assert_eq!(found["y"].data, side_by_side(case.tensor("out.y")).data, "{name} spikes");
    } else {
        same("y", "out.y");
    }
}

fn attention(attributes: &str) -> String {
    format!(
        "%pre : f32{AXES} = attention %q, %k, %v {{heads=2 {attributes}}}
         %y, %win : spike{AXES}, spike{AXES} = lif %pre {{{NEURON}}}
         %dpre : f32{AXES} = lif.grad %g, %y, %win {{{NEURON}}}
         %dq, %dk, %dv : f32{AXES}, f32{AXES}, f32{AXES} = attention.grad %dpre, %q, %k, %v {{heads=2 {attributes}}}"
    )
}

#[test]
fn spatial() {
    for name in ["ssa_core_lattice", "ssa_core"] {
        for order in ["kv_first", "qk_first"] {
            let body = attention(&format!("over=space scale=0.125 order={order}"));
            check(name, "q", &body);
        }
    }
}

#[test]
fn space_time() {
    for name in ["statten_core_lattice", "statten_core"] {
        for order in ["kv_first", "qk_first"] {
            let body = attention(&format!("over=space_time(2) scale=0.25 order={order}"));
            check(name, "q", &body);
        }
    }
}

#[test]
fn spike_driven() {
    for name in ["sdsa_core_lattice", "sdsa_core"] {
        let row = "[T4 B C8]";
        let body = format!(
            "%kv : f32{AXES} = mask %k, %v
             %pre : f32{row} = sum %kv {{over=[H]}}
             %m, %win : spike{row}, spike{row} = lif %pre {{{NEURON}}}
             %y : f32{AXES} = mask %q, %m
             %dq : f32{AXES} = mask %g, %m
             %gq : f32{AXES} = mask %g, %q
             %dm : f32{row} = sum %gq {{over=[H]}}
             %dpre : f32{row} = lif.grad %dm, %m, %win {{{NEURON}}}
             %dk : f32{AXES} = mask %v, %dpre
             %dv : f32{AXES} = mask %k, %dpre"
        );
        check(name, "v", &body);
    }
}
