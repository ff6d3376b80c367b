//! The tensor IR: values, operations, verifier, text form and the reference interpreter.
//!
//! It knows no front end and no target.

#![forbid(unsafe_code)]

mod build;
pub mod entity;
pub mod graph;
pub mod infer;
pub mod interp;
pub mod op;
pub mod random;
pub mod text;
pub mod types;
pub mod verify;

pub use entity::{Inst, Region, Value};
pub use graph::{Def, Graph, InstData, Mode, ParamKind, RegionData, Stage, ValueData};
pub use op::{
    Attention, Compare, Constant, Conv, Family, Form, Learned, Lif, Norm, Op, OpInfo, Order, Over, Penalty,
    Piece, Pool, Reset, Save, Stats, Surrogate, TimeClass,
};
pub use types::{Axis, AxisName, Elem, Type};
