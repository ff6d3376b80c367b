//! Time.
//!
//! - `time.region`: in a scan every operation works on each timestep alone, and its operands and results
//!   have no axis T. (`types.scan` says that slices lose it.)

use super::{Found, placed};
use crate::graph::Graph;
use crate::op::TimeClass;
use crate::types::AxisName;

/// Checks the instructions of regions.
pub fn check(graph: &Graph, found: &mut Found) {
    for (region, inst) in placed(graph) {
        if region.is_none() {
            continue;
        }
        let data = graph.inst(inst);
        match data.op.info().time {
            TimeClass::Each => {}
            TimeClass::Carry | TimeClass::Whole => {
                let message = format!("`{}` cannot stand in a scan", data.op.info().mnemonic);
                found.inst_error("time.region", inst, message);
            }
        }
        for &value in data.args.iter().chain(&data.results) {
            if graph.ty(value).has(AxisName::T) {
                let message = format!("%{} has the axis T inside a scan", graph.name(value));
                found.inst_error("time.region", inst, message);
            }
        }
    }
}
