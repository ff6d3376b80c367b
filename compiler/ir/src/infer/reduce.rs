//! Reductions, the loss, and addition.

use super::{expect_axes, expect_real};
use crate::types::{Axis, AxisName, Elem, Type};

fn without(over: &[AxisName], x: &Type) -> Result<Type, String> {
    let mut ty = x.clone();
    for &name in over {
        if !ty.has(name) {
            return Err(format!("cannot reduce over {name}: {x} has no such axis"));
        }
        ty = ty.without(name);
    }
    if over.is_empty() {
        return Err("needs an axis to reduce over".to_string());
    }
    Ok(ty)
}

pub fn sum(over: &[AxisName], args: &[&Type]) -> Result<Type, String> {
    let elem = if args[0].elem == Elem::F32 { Elem::F32 } else { Elem::I32 };
    Ok(without(over, args[0])?.with_elem(elem))
}

pub fn mean(over: &[AxisName], args: &[&Type]) -> Result<Type, String> {
    Ok(without(over, args[0])?.with_elem(Elem::F32))
}

/// Logits `[B C]` or `[T B C]`, labels `i32[B]`, and perhaps second labels and the shares `f32[B]` of the first.
fn expect_logits(args: &[&Type]) -> Result<(), String> {
    let (logits, labels) = (args[0], args[1]);
    expect_real(logits, "logits")?;
    let names: Vec<AxisName> = logits.axes.iter().map(|axis| axis.name).collect();
    if names.strip_prefix(&[AxisName::T]).unwrap_or(&names) != [AxisName::B, AxisName::C] {
        return Err(format!("needs logits [B C] or [T B C], has {logits}"));
    }
    for labels in [Some(labels), args.get(2).copied()].into_iter().flatten() {
        if *labels != Type::new(Elem::I32, vec![Axis::batch()]) {
            return Err(format!("needs labels i32[B], has {labels}"));
        }
    }
    match (args.len(), args.get(3)) {
        (3, _) => Err("needs the shares of two labels".to_string()),
        (_, Some(shares)) if **shares != Type::f32(vec![Axis::batch()]) => {
            Err(format!("needs shares f32[B], has {shares}"))
        }
        (_, Some(_) | None) => Ok(()),
    }
}

pub fn cross_entropy(args: &[&Type]) -> Result<Type, String> {
    expect_logits(args)?;
    Ok(Type::f32(Vec::new()))
}

pub fn cross_entropy_grad(args: &[&Type]) -> Result<Type, String> {
    expect_logits(args)?;
    Ok(args[0].clone())
}

pub fn penalty(args: &[&Type]) -> Result<Type, String> {
    expect_real(args[0], "operand")?;
    Ok(Type::f32(Vec::new()))
}

pub fn penalty_grad(args: &[&Type]) -> Result<Type, String> {
    expect_real(args[0], "operand")?;
    match args.get(1) {
        Some(dy) if **dy != Type::f32(Vec::new()) => Err(format!("needs a scalar gradient, has {dy}")),
        Some(_) | None => Ok(args[0].clone()),
    }
}

pub fn add(args: &[&Type]) -> Result<Type, String> {
    expect_axes(args[1], args[0], "second operand")?;
    let real = args[0].elem == Elem::F32 || args[1].elem == Elem::F32;
    Ok(args[0].with_elem(if real { Elem::F32 } else { Elem::I32 }))
}
