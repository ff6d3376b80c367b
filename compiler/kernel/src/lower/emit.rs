//! Element-wise operations on one row of channels: what stands in the body of a scan, or alone.
//!
//! ```text
//! %h = lif.charge %v, %x {decay=0.5 gain=1}    ->    h = (0.5 * v) + x
//! %s = lif.fire %h {threshold=1 compare=ge}    ->    s = h >= 1
//! ```

use super::LowerError;
use super::view::{Frame, View};
use crate::body::{Compare, Index, Mask, Reg, Row, Unary};
use crate::build::{Builder, sigmoid};
use snnc_ir::{Constant, Form, Graph, Inst, Lif, Norm, Op, Reset, Surrogate, Value};
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
    /// Timesteps and positions that a channel's batch statistics run over.
    pub over: (usize, usize),
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
            Op::BnGradInput(norm, over) => {
                let (own, positions) = self.over;
                let steps = if *over == 0 { own } else { *over };
                let count = Row::FromIndex(Box::new(Index::Batch * (steps * positions)), n);
                let xhat = (arg(1) - arg(2)) * arg(3);
                let centred = arg(0) - (arg(5) + xhat * arg(6)) / count;
                centred * (arg(3) * scaled(arg(4), norm.scale, n))
            }
            Op::Add => arg(0) + arg(1),
            Op::Scale(by) => scaled(arg(0), *by, n),
            Op::StepScale => arg(0) * arg(1),
            Op::LifCharge(lif) => self.neuron(inst, lif, frame).charge(arg(0), arg(1)),
            Op::LifReset(lif) => {
                let fired = self.mask(data.args[1], frame);
                self.neuron(inst, lif, frame).reset(arg(0), fired)
            }
            Op::NeuronConstant(form) => constant(k, *form, arg(0), n),
            Op::NeuronConstantGrad(form) => arg(0) * constant_derivative(k, *form, arg(1), n),
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
                let mask = self.neuron(inst, lif, frame).fires(arg(0));
                self.set_mask(k, data.results[0], n, mask);
                return Ok(());
            }
            Op::LifWindow(lif) => {
                let mask = self.neuron(inst, lif, frame).window(arg(0))?;
                self.set_mask(k, data.results[0], n, mask);
                return Ok(());
            }
            other => return Err(LowerError(format!("`{}` is not element-wise", other.info().mnemonic))),
        };
        let reg = k.row("r", n, row);
        self.rows.insert(data.results[0], Val::Row(reg));
        Ok(())
    }

    /// The neuron of an instruction, its learned constants read from the last operands.
    fn neuron<'a>(&self, inst: Inst, lif: &'a Lif, frame: &Frame) -> Neuron<'a> {
        let data = self.graph.inst(inst);
        let constants = data.op.constants();
        let operands = &data.args[data.args.len() - constants.len()..];
        let rows = operands.iter().map(|&value| self.row(value, frame));
        Neuron { lif, given: constants.into_iter().zip(rows).collect(), n: frame.tile.n }
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

/// A neuron on a row of channels: its constants are numbers of the attributes, or rows of operands.
#[derive(Debug)]
pub struct Neuron<'a> {
    pub lif: &'a Lif,
    /// The learned constants.
    pub given: Vec<(Constant, Row)>,
    /// Lanes.
    pub n: usize,
}

impl Neuron<'_> {
    fn learned(&self, constant: Constant) -> Option<Row> {
        self.given.iter().find(|(given, _)| *given == constant).map(|(_, row)| row.clone())
    }

    fn number(&self, constant: Constant) -> f32 {
        match constant {
            Constant::Decay => self.lif.decay,
            Constant::Gain => self.lif.gain,
            Constant::Current => self.lif.current,
            Constant::Threshold => self.lif.threshold,
        }
    }

    /// A constant in every lane.
    pub fn constant(&self, constant: Constant) -> Row {
        self.learned(constant).unwrap_or_else(|| Row::constant(self.number(constant), self.n))
    }

    /// A row times a constant.
    pub fn times(&self, constant: Constant, row: Row) -> Row {
        match self.learned(constant) {
            Some(by) => row * by,
            None => scaled(row, self.number(constant), self.n),
        }
    }

    /// A row divided by the gain, which is a number.
    pub fn over_gain(&self, row: Row) -> Row {
        match self.number(Constant::Gain) {
            1.0 => row,
            gain => row / Row::constant(gain, self.n),
        }
    }

    fn charge(&self, membrane: Row, input: Row) -> Row {
        let charged = self.times(Constant::Decay, membrane) + self.times(Constant::Gain, input);
        match self.learned(Constant::Current) {
            Some(current) => charged + current,
            None if self.lif.current == 0.0 => charged,
            None => charged + Row::constant(self.lif.current, self.n),
        }
    }

    /// The membrane after a spike where it fired.
    pub fn reset(&self, membrane: Row, fired: Mask) -> Row {
        match self.lif.reset {
            Reset::Hard(value) => fired.select(Row::constant(value, self.n), membrane),
            Reset::Soft => fired.select(membrane.clone() - self.constant(Constant::Threshold), membrane),
            Reset::None => membrane,
        }
    }

    /// Where the membrane fires.
    pub fn fires(&self, membrane: Row) -> Mask {
        let compare = match self.lif.compare {
            snnc_ir::Compare::Ge => Compare::Ge,
            snnc_ir::Compare::Gt => Compare::Gt,
        };
        membrane.compare(compare, self.constant(Constant::Threshold))
    }

    /// Where the membrane lies inside the rectangle.
    fn window(&self, membrane: Row) -> Result<Mask, LowerError> {
        let Surrogate::Rectangle(a) = self.lif.surrogate else {
            return Err(LowerError("only a rectangular surrogate has a window of one bit".to_string()));
        };
        let distance = (membrane - self.constant(Constant::Threshold)).unary(Unary::Abs);
        Ok(distance.compare(Compare::Lt, Row::constant(a / 2.0, self.n)))
    }
}

/// A neuron's constant of trained numbers.
fn constant(k: &mut Builder, form: Form, w: Row, n: usize) -> Row {
    match form {
        Form::Sigmoid => sigmoid(w, n),
        Form::Complement => sigmoid(w.unary(Unary::Neg), n),
        Form::Softplus => {
            let one = || Row::constant(1.0, n);
            let e = Row::Reg(k.row("e", n, w.clone().unary(Unary::Abs).unary(Unary::Neg).unary(Unary::Exp)));
            let u = Row::Reg(k.row("u", n, one() + e.clone()));
            // ln(1 + e) without the loss of a small e: the rounding of u enters twice and cancels.
            let exact = u.clone().unary(Unary::Ln) * e.clone() / (u.clone() - one());
            w.max(Row::constant(0.0, n)) + u.compare(Compare::Eq, one()).select(e, exact)
        }
    }
}

/// The derivative of [`constant`].
fn constant_derivative(k: &mut Builder, form: Form, w: Row, n: usize) -> Row {
    let p = Row::Reg(k.row("p", n, sigmoid(w, n)));
    let slope = p.clone() * (Row::constant(1.0, n) - p.clone());
    match form {
        Form::Sigmoid => slope,
        Form::Complement => slope.unary(Unary::Neg),
        Form::Softplus => p,
    }
}
