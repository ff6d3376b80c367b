//! Values at compile time and their arithmetic.

use crate::ast::{BinaryOp, UnaryOp};
use crate::slug::Slug;
use std::fmt;

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    /// A whole number.
    Int(i64),
    /// A real number; always finite.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Text.
    Text(String),
    /// The result of a layer: its node.
    Tensor(usize),
    /// What a reported fault leaves: silent wherever it goes.
    Poison,
}

/// A fault of arithmetic, without its place.
pub(crate) type Fault = (Slug, String);

impl Value {
    /// What it is, in words.
    pub fn describe(&self) -> &'static str {
        match self {
            Value::Int(_) => "a whole number",
            Value::Float(_) => "a real number",
            Value::Bool(_) => "a truth value",
            Value::Text(_) => "text",
            Value::Tensor(_) => "a tensor",
            Value::Poison => "nothing",
        }
    }

    /// As a real number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            Value::Bool(_) | Value::Text(_) | Value::Tensor(_) | Value::Poison => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Int(value) => write!(f, "{value}"),
            Value::Float(value) => write!(f, "{value:?}"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Text(value) => write!(f, "{value:?}"),
            Value::Tensor(_) | Value::Poison => f.write_str(self.describe()),
        }
    }
}

/// Applies an operator of one operand, `count` times.
pub(crate) fn unary(op: UnaryOp, count: usize, operand: Value) -> Result<Value, Fault> {
    let odd = count % 2 == 1;
    match (op, operand) {
        (_, Value::Poison) => Ok(Value::Poison),
        (UnaryOp::Not, Value::Bool(value)) => Ok(Value::Bool(value != odd)),
        (UnaryOp::Minus, Value::Float(value)) => Ok(Value::Float(if odd { -value } else { value })),
        (UnaryOp::Minus, Value::Int(value)) if odd => {
            value.checked_neg().map(Value::Int).ok_or_else(|| overflow("-"))
        }
        (UnaryOp::Minus, Value::Int(value)) => Ok(Value::Int(value)),
        (UnaryOp::Minus, other) => {
            Err((Slug::WrongKind, format!("`-` needs a number, found {}", other.describe())))
        }
        (UnaryOp::Not, other) => {
            Err((Slug::WrongKind, format!("`not` needs a truth value, found {}", other.describe())))
        }
    }
}

/// Applies an operator of two operands, neither of them a tensor. `and` and `or` are decided by the caller,
/// which does not evaluate what does not count.
pub(crate) fn binary(op: BinaryOp, a: &Value, b: &Value) -> Result<Value, Fault> {
    match (a, b) {
        (Value::Poison, _) | (_, Value::Poison) => Ok(Value::Poison),
        (Value::Int(a), Value::Int(b)) => ints(op, *a, *b),
        (Value::Bool(a), Value::Bool(b)) if op == BinaryOp::Eq => Ok(Value::Bool(a == b)),
        (Value::Bool(a), Value::Bool(b)) if op == BinaryOp::Ne => Ok(Value::Bool(a != b)),
        (Value::Text(a), Value::Text(b)) if op == BinaryOp::Eq => Ok(Value::Bool(a == b)),
        (Value::Text(a), Value::Text(b)) if op == BinaryOp::Ne => Ok(Value::Bool(a != b)),
        (a, b) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => floats(op, a, b),
            _ => Err((
                Slug::WrongKind,
                format!("`{}` does not join {} and {}", op.as_str(), a.describe(), b.describe()),
            )),
        },
    }
}

fn ints(op: BinaryOp, a: i64, b: i64) -> Result<Value, Fault> {
    let number = match op {
        BinaryOp::Div | BinaryOp::Rem if b == 0 => return Err(by_zero()),
        BinaryOp::Add => a.checked_add(b),
        BinaryOp::Sub => a.checked_sub(b),
        BinaryOp::Mul => a.checked_mul(b),
        BinaryOp::Div => a.checked_div(b),
        BinaryOp::Rem => a.checked_rem(b),
        BinaryOp::Eq => return Ok(Value::Bool(a == b)),
        BinaryOp::Ne => return Ok(Value::Bool(a != b)),
        BinaryOp::Lt => return Ok(Value::Bool(a < b)),
        BinaryOp::Le => return Ok(Value::Bool(a <= b)),
        BinaryOp::Gt => return Ok(Value::Bool(a > b)),
        BinaryOp::Ge => return Ok(Value::Bool(a >= b)),
        BinaryOp::And | BinaryOp::Or => return Err(not_logical(op)),
    };
    number.map(Value::Int).ok_or_else(|| overflow(op.as_str()))
}

fn floats(op: BinaryOp, a: f64, b: f64) -> Result<Value, Fault> {
    let number = match op {
        BinaryOp::Div | BinaryOp::Rem if b == 0.0 => return Err(by_zero()),
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Rem => a % b,
        BinaryOp::Eq => return Ok(Value::Bool(a == b)),
        BinaryOp::Ne => return Ok(Value::Bool(a != b)),
        BinaryOp::Lt => return Ok(Value::Bool(a < b)),
        BinaryOp::Le => return Ok(Value::Bool(a <= b)),
        BinaryOp::Gt => return Ok(Value::Bool(a > b)),
        BinaryOp::Ge => return Ok(Value::Bool(a >= b)),
        BinaryOp::And | BinaryOp::Or => return Err(not_logical(op)),
    };
    if number.is_finite() { Ok(Value::Float(number)) } else { Err(overflow(op.as_str())) }
}

fn overflow(op: &str) -> Fault {
    (Slug::Arithmetic, format!("the result of `{op}` is too large"))
}

fn by_zero() -> Fault {
    (Slug::Arithmetic, "division by zero".to_string())
}

fn not_logical(op: BinaryOp) -> Fault {
    (Slug::WrongKind, format!("`{}` joins truth values", op.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_stay_whole_and_mixed_ones_become_real() {
        let int = Value::Int;
        assert_eq!(binary(BinaryOp::Div, &int(3), &int(2)), Ok(int(1)));
        assert_eq!(binary(BinaryOp::Div, &int(3), &Value::Float(2.0)), Ok(Value::Float(1.5)));
        assert_eq!(binary(BinaryOp::Lt, &int(3), &Value::Float(3.5)), Ok(Value::Bool(true)));
        assert_eq!(unary(UnaryOp::Not, 3, Value::Bool(true)), Ok(Value::Bool(false)));
    }

    #[test]
    fn what_has_no_result_is_a_fault() {
        let slug = |result: Result<Value, Fault>| result.unwrap_err().0;
        assert_eq!(slug(binary(BinaryOp::Add, &Value::Int(i64::MAX), &Value::Int(1))), Slug::Arithmetic);
        assert_eq!(slug(binary(BinaryOp::Div, &Value::Int(i64::MIN), &Value::Int(-1))), Slug::Arithmetic);
        assert_eq!(slug(binary(BinaryOp::Rem, &Value::Int(1), &Value::Int(0))), Slug::Arithmetic);
        assert_eq!(slug(binary(BinaryOp::Mul, &Value::Float(1e300), &Value::Float(1e300))), Slug::Arithmetic);
        assert_eq!(slug(binary(BinaryOp::Add, &Value::Bool(true), &Value::Int(1))), Slug::WrongKind);
        assert_eq!(slug(unary(UnaryOp::Minus, 1, Value::Int(i64::MIN))), Slug::Arithmetic);
    }
}
