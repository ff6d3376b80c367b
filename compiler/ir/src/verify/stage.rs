//! Stages.
//!
//! - `stage.op`: the table lets the operation stand in this stage.
//! - `stage.spikes`: in a packed graph only inputs are `spike`; other spikes are bits.
//! - `stage.binary`: where products are masked, the operands whose bits choose what is added are spikes.
//! - `stage.bits`: only operations that read bits directly have operands of bits.
//! - `stage.channels`: in a packed graph every activation but the inputs has the channels innermost.

use super::Found;
use crate::entity::Inst;
use crate::graph::{Graph, Stage};
use crate::infer::channels_last;
use crate::op::Op;
use crate::text::stage_name;
use crate::types::{AxisName, Elem, Type};

/// Checks a graph against its own stage.
pub fn check(graph: &Graph, found: &mut Found) {
    for inst in graph.all_insts() {
        let info = graph.inst(inst).op.info();
        if graph.stage < info.stages.0 || graph.stage > info.stages.1 {
            let message = format!("`{}` cannot stand in stage {}", info.mnemonic, stage_name(graph.stage));
            found.inst_error("stage.op", inst, message);
        }
        bits(graph, found, inst);
        if graph.stage >= Stage::Masked {
            binary(graph, found, inst);
        }
        if graph.stage == Stage::Packed {
            packed(graph, found, inst);
        }
    }
}

fn binary(graph: &Graph, found: &mut Found, inst: Inst) {
    let data = graph.inst(inst);
    for &arg in &data.args[data.op.binary_operands()] {
        if !graph.ty(arg).elem.is_binary() {
            let message = format!("%{} must be spikes for `{}`", graph.name(arg), data.op.info().mnemonic);
            found.inst_error("stage.binary", inst, message);
        }
    }
}

fn bits(graph: &Graph, found: &mut Found, inst: Inst) {
    let data = graph.inst(inst);
    for &arg in data.args.iter().filter(|&&arg| graph.ty(arg).elem == Elem::Bits) {
        if !data.op.reads_bits() || rearranges(&data.op, graph.ty(arg), graph.ty(data.results[0])) {
            let message = format!("%{} must be unpacked for `{}`", graph.name(arg), data.op.info().mnemonic);
            found.inst_error("stage.bits", inst, message);
        }
    }
}

/// Whether the channels of bits would have to move: flatten and unflatten of a map of more than one position.
fn rearranges(op: &Op, from: &Type, to: &Type) -> bool {
    let positions = |ty: &Type| ty.extent(AxisName::H) * ty.extent(AxisName::W);
    matches!(op, Op::Flatten | Op::Unflatten) && (positions(from) > 1 || positions(to) > 1)
}

fn packed(graph: &Graph, found: &mut Found, inst: Inst) {
    for &result in &graph.inst(inst).results {
        let (ty, name) = (graph.ty(result), graph.name(result));
        if ty.elem == Elem::Spike {
            found.inst_error("stage.spikes", inst, format!("%{name} is not packed"));
        }
        if ty.has(AxisName::B) && ty.has(AxisName::C) && !channels_last(ty) {
            found.inst_error("stage.channels", inst, format!("the channels of %{name} are not innermost"));
        }
    }
}
