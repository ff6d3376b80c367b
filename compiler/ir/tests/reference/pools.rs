//! Pools of spikes, where maxima are ties: the gradient goes to the first.

use crate::case::Case;

#[test]
fn pools_of_spikes() {
    let text = "graph @g mode=train {
        input %x : spike[B C3 H8 W8]
        input %emax : f32[B C3 H4 W4]
        input %emax2 : f32[B C3 H4 W4]
        input %eavg : f32[B C3 H4 W4]
        input %egap : f32[B C3]
        %max : spike[B C3 H4 W4] = max_pool %x {kernel=3x3 stride=2 pad=1}
        %max2 : spike[B C3 H4 W4] = max_pool %x {kernel=2x2 stride=2}
        %avg : f32[B C3 H4 W4] = avg_pool %x {kernel=2x2 stride=2}
        %gap : f32[B C3] = mean %x {over=[H W]}
        %global : f32[B C3 H1 W1] = avg_pool %x {kernel=8x8}
        %flat : f32[B C3] = flatten %global
        %dmax : f32[B C3 H8 W8] = max_pool.grad %emax, %x {kernel=3x3 stride=2 pad=1}
        %dmax2 : f32[B C3 H8 W8] = max_pool.grad %emax2, %x {kernel=2x2 stride=2}
        %davg : f32[B C3 H8 W8] = avg_pool.grad %eavg {kernel=2x2 stride=2}
        %eglobal : f32[B C3 H1 W1] = unflatten %egap
        %dgap : f32[B C3 H8 W8] = avg_pool.grad %eglobal {kernel=8x8}
        %one : f32[B C3 H8 W8] = add %dmax, %dmax2
        %two : f32[B C3 H8 W8] = add %davg, %dgap
        %dx : f32[B C3 H8 W8] = add %one, %two
        output %max
    }";
    let case = Case::load("pool_spikes");
    let given = [
        ("x", "in.x"),
        ("emax", "gout.max"),
        ("emax2", "gout.max2"),
        ("eavg", "gout.avg"),
        ("egap", "gout.gap"),
    ];
    let found = case.run(text, 2, &given);
    found.equal("max", "out.max");
    found.equal("max2", "out.max2");
    found.near("avg", "out.avg");
    found.near("gap", "out.gap");
    found.near("flat", "out.gap");
    found.near("dx", "grad.in.x");
}
