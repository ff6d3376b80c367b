//! Element-wise operations on one row of channels: what stands in the body of a scan, or alone.
//!
//! ```text
//! %h = lif.charge %v, %x {decay=0.5 gain=1}    ->    h = (0.5 * v) + x
//! %s = lif.fire %h {threshold=1 compare=ge}    ->    s = h >= 1
//! ```

use super::LowerError;
use super::view::{Frame, View};
use crate::body::{Compare, Index, Mask, Reg, Row, Unary};
use crate::build::Builder;
use snnc_ir::{Graph, Inst, Lif, Norm, Op, Reset, Surrogate, Value};
use std::collections::HashMap;

/// A value's row in registers.
#[derive(Clone, Copy, Debug)]
pub enum Val {
    /// Numbers.
    Row(Reg),
    /// Truth values.
    Mask(Reg),
}

/// What the operands of a body are: rows already computed, or values in memory.
#[derive(Debug)]
pub struct Scope<'g> {
    pub graph: &'g Graph,
    /// Values in memory.
    pub views: HashMap<Value, View>,
    /// Rows computed for the current frame.
    pub rows: HashMap<Value, Val>,
    /// Elements that a channel's batch statistics run over, divided by the batch.
    pub per_channel: usize,
}

impl Scope<'_> {
    /// An operand as numbers.
    pub fn row(&self, value: Value, frame: &Frame) -> Row {
        match self.rows.get(&value) {
            Some(Val::Row(reg)) => Row::Reg(*reg),
            Some(Val::Mask(reg)) => Mask::Reg(*reg).to_row(frame.tile.n),
            None => self.views[&value].row(frame),
        }
    }

    /// An operand as truth values.
    pub fn mask(&self, value: Value, frame: &Frame) -> Mask {
        match self.rows.get(&value) {
            Some(Val::Mask(reg)) => Mask::Reg(*reg),
            Some(Val::Row(reg)) => Row::Reg(*reg).compare(Compare::Gt, Row::constant(0.5, frame.tile.n)),
            None => self.views[&value].mask(frame),
        }
    }

    fn is_bits(&self, value: Value) -> bool {
        self.graph.ty(value).elem.is_binary()
    }

    /// Computes an instruction's row.
    pub fn emit(&mut self, k: &mut Builder, inst: Inst, frame: &Frame) -> Result<(), LowerError> {
        let graph = self.graph;
        let data = graph.inst(inst);
        let n = frame.tile.n;
        let arg = |i: usize| self.row(data.args[i], frame);
        let row = match &data.op {
            Op::BnApply(norm) => (arg(0) - arg(1)) * (arg(2) * scaled(arg(3), norm.scale, n)) + arg(4),
            Op::BatchNorm(norm) => {
                let factor = scaled(arg(1), norm.scale, n) / deviation(arg(4), norm, n);
                (arg(0) - arg(3)) * factor + arg(2)
            }
            Op::BnGradInput(norm) => {
                let count = Row::FromIndex(Box::new(Index::Batch * self.per_channel), n);
                let xhat = (arg(1) - arg(2)) * arg(3);
                let centred = arg(0) - (arg(5) + xhat * arg(6)) / count;
                centred * (arg(3) * scaled(arg(4), norm.scale, n))
            }
            Op::Add => arg(0) + arg(1),
            Op::Scale(by) => scaled(arg(0), *by, n),
            Op::LifCharge(lif) => charge(lif, arg(0), arg(1), n),
            Op::LifReset(lif) => {
                let fired = self.mask(data.args[1], frame);
                match lif.reset {
                    Reset::Hard(value) => fired.select(Row::constant(value, n), arg(0)),
                    Reset::Soft => fired.select(arg(0) - Row::constant(lif.threshold, n), arg(0)),
                    Reset::None => arg(0),
                }
            }
            Op::Unpack => arg(0),
            Op::Broadcast if !self.is_bits(data.results[0]) => arg(0),
            Op::Broadcast | Op::Pack => {
                let mask = self.mask(data.args[0], frame);
                self.set_mask(k, data.results[0], n, mask);
                return Ok(());
            }
            Op::Mask | Op::MaskNot => {
                let set = self.mask(data.args[1], frame);
                let set = if data.op == Op::Mask { set } else { !set };
                if self.is_bits(data.results[0]) {
                    let mask = self.mask(data.args[0], frame).and(set);
                    self.set_mask(k, data.results[0], n, mask);
                    return Ok(());
                }
                set.select(arg(0), Row::constant(0.0, n))
            }
            Op::LifFire(lif) => {
                let mask = fires(lif, arg(0), n);
                self.set_mask(k, data.results[0], n, mask);
                return Ok(());
            }
            Op::LifWindow(lif) => {
                let mask = window(lif, arg(0), n)?;
                self.set_mask(k, data.results[0], n, mask);
                return Ok(());
            }
            other => return Err(LowerError(format!("`{}` is not element-wise", other.info().mnemonic))),
        };
        let reg = k.row("r", n, row);
        self.rows.insert(data.results[0], Val::Row(reg));
        Ok(())
    }

    fn set_mask(&mut self, k: &mut Builder, value: Value, n: usize, mask: Mask) {
        let reg = k.mask("m", n, mask);
        self.rows.insert(value, Val::Mask(reg));
    }
}

/// A row times a constant; nothing to do for 1.
pub fn scaled(row: Row, by: f32, n: usize) -> Row {
    if by == 1.0 { row } else { row * Row::constant(by, n) }
}

/// `√(var + eps)`.
pub fn deviation(var: Row, norm: &Norm, n: usize) -> Row {
    (var + Row::constant(norm.eps, n)).unary(Unary::Sqrt)
}

fn charge(lif: &Lif, membrane: Row, input: Row, n: usize) -> Row {
    let charged = scaled(membrane, lif.decay, n) + scaled(input, lif.gain, n);
    if lif.current == 0.0 { charged } else { charged + Row::constant(lif.current, n) }
}

/// Where the membrane fires.
pub fn fires(lif: &Lif, membrane: Row, n: usize) -> Mask {
    let compare = match lif.compare {
        snnc_ir::Compare::Ge => Compare::Ge,
        snnc_ir::Compare::Gt => Compare::Gt,
    };
    membrane.compare(compare, Row::constant(lif.threshold, n))
}

/// Where the membrane lies inside the rectangle.
pub fn window(lif: &Lif, membrane: Row, n: usize) -> Result<Mask, LowerError> {
    match lif.surrogate {
        Surrogate::Rectangle(a) => {
            let distance = (membrane - Row::constant(lif.threshold, n)).unary(Unary::Abs);
            Ok(distance.compare(Compare::Lt, Row::constant(a / 2.0, n)))
        }
        Surrogate::Triangle(_) | Surrogate::Sigmoid(_) | Surrogate::Atan(_) => {
            Err(LowerError("only a rectangular surrogate has a window of one bit".to_string()))
        }
    }
}
