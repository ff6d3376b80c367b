//! The lists of passes, with a comment where a place matters.

use crate::pass::Pass;
use crate::{
    autodiff, checkpoint, cse, dce, fold_norm, fold_scale, fuse_lif, fuse_time, hoist_static, infer_spikes,
    layout, pack_spikes, reassociate_attention, sample_dx, simplify, slice_time, spike_matmul,
};
use snnc_ir::Mode;

/// What is run for inference.
pub const INFER: &[Pass] = &[
    // First: every later choice asks which values are spikes.
    infer_spikes::PASS,
    // Before fold-norm, so that the norm of a static image is folded at its one computation.
    hoist_static::PASS,
    fold_norm::PASS,
    fold_scale::PASS,
    reassociate_attention::PASS,
    simplify::PASS,
    cse::PASS,
    dce::PASS,
    spike_matmul::PASS,
    fuse_lif::PASS,
    // After dce: sinking asks for single uses, and dead users count.
    fuse_time::PASS,
    // After fuse-time: the products inside scans get their weights laid out like all others.
    layout::PASS,
    // Last: bits need the channels innermost.
    pack_spikes::PASS,
    dce::PACKED,
];

/// What is run for training.
pub const TRAIN: &[Pass] = &[
    infer_spikes::PASS,
    // Before autodiff, so that the backward pass too computes the gradient of a static part once.
    hoist_static::PASS,
    // Before autodiff: a gradient takes the order of its forward pass.
    reassociate_attention::PASS,
    // The cleanups also stand before autodiff: what is dead or double would get a gradient.
    simplify::PASS,
    cse::PASS,
    dce::PASS,
    // While all operations are logical: fused, masked and packed ones need no rule.
    autodiff::PASS,
    simplify::PASS,
    cse::PASS,
    dce::PASS,
    spike_matmul::PASS,
    // While a neuron's window is one value and its gradient one operation.
    sample_dx::PASS,
    // After the last cse, which would find the copies and join them again.
    checkpoint::PASS,
    // Behind it, so that what is computed again is so piece by piece.
    slice_time::PASS,
    fuse_lif::PASS,
    fuse_time::PASS,
    layout::PASS,
    pack_spikes::PASS,
    dce::PACKED,
];

/// The list for a mode.
pub fn of(mode: Mode) -> &'static [Pass] {
    match mode {
        Mode::Infer => INFER,
        Mode::Train => TRAIN,
    }
}

/// The pass of this name, the first of the pipelines that has it.
pub fn find(name: &str) -> Option<&'static Pass> {
    INFER.iter().chain(TRAIN).find(|pass| pass.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use snnc_ir::Stage;

    #[test]
    fn each_pass_finds_the_stage_it_needs() {
        for list in [INFER, TRAIN] {
            let mut stage = Stage::Logical;
            for pass in list {
                assert_eq!(pass.needs, stage, "before {}", pass.name);
                stage = pass.leaves;
            }
            assert_eq!(stage, Stage::Packed);
        }
    }

    #[test]
    fn names_are_found() {
        assert_eq!(find("fuse-time").map(|pass| pass.needs), Some(Stage::Fused));
        assert!(find("fuse_time").is_none());
    }
}
