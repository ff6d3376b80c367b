//! What the input of a product is expected to do, found from what its neurons are.
//!
//! ```text
//! %a = lif …                   rate of layer `a`
//! %p = max_pool %a {3x3}       what was measured; else 1 - (1 - a)^4.3: any of nine, as alike as neighbours are
//! %m = mask %p, %b             p · b: both
//! ```
//!
//! Neurons of a layer's window are alike: nine fire as seldom together as 4.1 independent ones do in an untrained STAtten at
//! 15 %, and as 4.7 in one that was trained for an epoch, of CIFAR-10 at 3 % (`snnc train models/statten.snn -D dim=64 --limit 6000
//! --lr 2e-3`). So they count as `n^(2/3)` of them. Neurons of different layers count as independent.

use snnc_ir::{Def, Graph, Inst, Op, Pool, Value};
use snnc_plan::{Activities, Activity};
use std::collections::HashMap;

/// The activities of a graph's values.
#[derive(Debug)]
pub struct Expected<'a> {
    graph: &'a Graph,
    known: &'a Activities,
    /// The values that arguments of regions are timesteps of.
    slices: HashMap<Value, Value>,
    /// The results of scans that yielded values become.
    results: HashMap<Value, Value>,
}

impl Expected<'_> {
    /// Those of a packed graph, by the activities of its neurons.
    pub fn new<'a>(graph: &'a Graph, known: &'a Activities) -> Expected<'a> {
        let (mut slices, mut results) = (HashMap::new(), HashMap::new());
        for &inst in &graph.body {
            let data = graph.inst(inst);
            let Some(region) = data.region.map(|region| graph.region(region)) else { continue };
            slices.extend(region.args[..region.slices()].iter().copied().zip(data.args.iter().copied()));
            results.extend(region.yields.iter().copied().zip(data.results.iter().copied()));
        }
        Expected { graph, known, slices, results }
    }

    /// The activity of a value of spikes.
    pub fn of(&self, value: Value) -> Activity {
        if let Some(&whole) = self.slices.get(&value) {
            return self.of(whole);
        }
        match self.graph.value(value).def {
            Def::Input => self.known.of(self.graph.name(value)),
            Def::Result(inst, n) => self.made(inst, n),
            Def::Param(_) | Def::Arg(..) => self.known.rest,
        }
    }

    fn made(&self, inst: Inst, n: usize) -> Activity {
        let data = self.graph.inst(inst);
        match &data.op {
            Op::Scan => {
                data.region.map_or(self.known.rest, |region| self.of(self.graph.region(region).yields[n]))
            }
            Op::LifFire(_) | Op::Lif(_) => {
                let own = data.results[n];
                self.known.of(self.graph.name(self.results.get(&own).copied().unwrap_or(own)))
            }
            Op::MaxPool(pool) => {
                let known = self.known.layers.get(self.graph.name(data.results[n])).copied();
                known.unwrap_or_else(|| any_of(self.of(data.args[0]), *pool))
            }
            Op::Mask => both(self.of(data.args[0]), self.of(data.args[1]).rate),
            Op::MaskNot => both(self.of(data.args[0]), 1.0 - self.of(data.args[1]).rate),
            Op::Flatten
            | Op::Unflatten
            | Op::Relayout
            | Op::Pack
            | Op::Unpack
            | Op::Broadcast
            | Op::Join
            | Op::ChannelSpread => self.of(data.args[0]),
            // How many fire at any of fewer timesteps is not known.
            Op::Piece(_) => Activity::of_rate(self.of(data.args[0]).rate),
            _no_maker_of_spikes => self.known.rest,
        }
    }
}

/// Whether any neuron of a window fires.
fn any_of(one: Activity, pool: Pool) -> Activity {
    let independent = ((pool.kernel.0 * pool.kernel.1) as f32).powf(2.0 / 3.0);
    let any = |share: f32| 1.0 - (1.0 - share).powf(independent);
    Activity { rate: any(one.rate), fires: one.fires.map(any) }
}

/// Whether a neuron fires where another share is set.
fn both(one: Activity, share: f32) -> Activity {
    Activity { rate: one.rate * share, fires: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snnc_ir::text::parse;

    const LIF: &str = "{decay=0.5 gain=1 current=0 threshold=1 reset=hard(0) detach=true compare=ge \
                       surrogate=rect(1) save=nothing}";

    fn rates(body: &str, names: &[&str]) -> Vec<f32> {
        let text = format!("graph @g stage=packed mode=infer {{ {} output %o }}", body.replace("LIF", LIF));
        let graph = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut known = Activities::uniform(0.1);
        known.layers.insert("a".to_string(), Activity { rate: 0.5, fires: Some(0.75) });
        known.layers.insert("x".to_string(), Activity::of_rate(0.2));
        known.layers.insert("seen".to_string(), Activity::of_rate(0.6));
        let expected = Expected::new(&graph, &known);
        let rate = |name: &&str| (expected.of(graph.find(name).expect("a value")).rate * 1e4).round() / 1e4;
        names.iter().map(rate).collect()
    }

    #[test]
    fn rates_are_followed_to_the_neurons_that_fire() {
        let body = "input %x : bits[T4 B H4 W4 | C64] input %y : f32[T4 B H4 W4 C64]
            SCANS
            %pool : bits[T4 B H2 W2 | C64] = max_pool %a {kernel=2x2, stride=2, pad=0}
            %seen : bits[T4 B H2 W2 | C64] = max_pool %a {kernel=2x2, stride=2, pad=0}
            %and : bits[T4 B H4 W4 | C64] = mask %a, %x
            %not : bits[T4 B H4 W4 | C64] = mask.not %a, %x
            %o : f32[T4 B H4 W4 C64] = unpack %not";
        let scan = |name: &str| {
            format!(
                "%{name} : bits[T4 B H4 W4 | C64] = scan t in T4 slice (%{name}.t : f32[B H4 W4 C64] = %y)
                    carry (%{name}.v : f32[B H4 W4 C64] = 0) {{
                %{name}.h : f32[B H4 W4 C64] = lif.charge %{name}.v, %{name}.t LIF
                %{name}.f : bits[B H4 W4 | C64] = lif.fire %{name}.h LIF
                %{name}.n : f32[B H4 W4 C64] = lif.reset %{name}.h, %{name}.f LIF
                yield %{name}.f carry %{name}.n
            }}\n"
            )
        };
        let body = &body.replace("SCANS", &(scan("a") + &scan("b")));
        let found = rates(body, &["x", "a", "b", "pool", "seen", "and", "not"]);
        assert_eq!(found, [0.2, 0.5, 0.1, 0.8256, 0.6, 0.1, 0.4]);
    }
}
