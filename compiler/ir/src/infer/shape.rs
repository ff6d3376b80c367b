//! Shapes and layouts.

use super::{expect_axes, extent, need_hint, with_extent};
use crate::op::Piece;
use crate::types::{AxisName, Elem, Type};
use AxisName::{C, H, T, W};

pub fn flatten(args: &[&Type]) -> Result<Type, String> {
    let x = args[0];
    let features = extent(x, C, "input")? * extent(x, H, "input")? * extent(x, W, "input")?;
    Ok(with_extent(&x.without(H).without(W), C, features))
}

pub fn unflatten(args: &[&Type], hint: Option<&Type>) -> Result<Type, String> {
    let (x, hint) = (args[0], need_hint(hint)?);
    expect_axes(x, &flatten(&[hint])?, "input")?;
    Ok(hint.with_elem(x.elem))
}

pub fn broadcast(args: &[&Type], hint: Option<&Type>) -> Result<Type, String> {
    let x = args[0];
    let steps = extent(need_hint(hint)?, T, "result")?;
    if x.has(T) {
        return Err(format!("needs an operand without time, has {x}"));
    }
    Ok(x.with_time(steps))
}

pub fn relayout(args: &[&Type], hint: Option<&Type>) -> Result<Type, String> {
    let (x, hint) = (args[0], need_hint(hint)?);
    let plain = |ty: &Type| {
        let mut axes: Vec<_> = ty.axes.iter().map(|axis| (axis.name, axis.extent)).collect();
        axes.sort();
        axes
    };
    if plain(x) != plain(hint) {
        return Err(format!("needs the same axes in another order, has {x} and {hint}"));
    }
    Ok(hint.with_elem(x.elem))
}

pub fn pack(args: &[&Type]) -> Result<Type, String> {
    let x = args[0];
    if !super::channels_last(x) {
        return Err(format!("needs the channels innermost, has {x}"));
    }
    match x.elem {
        Elem::Spike | Elem::F32 => Ok(x.with_elem(Elem::Bits)),
        Elem::I32 | Elem::Bits => Err(format!("needs spikes stored as numbers, has {x}")),
    }
}

pub fn unpack(args: &[&Type]) -> Result<Type, String> {
    if args[0].elem != Elem::Bits {
        return Err(format!("needs bits, has {}", args[0]));
    }
    Ok(args[0].with_elem(Elem::F32))
}

pub fn piece(piece: Piece, args: &[&Type]) -> Result<Type, String> {
    let x = args[0];
    let steps = extent(x, T, "input")?;
    if piece.steps == 0 || piece.from + piece.steps > steps {
        return Err(format!("needs timesteps of its input, has {} from {} of {x}", piece.steps, piece.from));
    }
    Ok(with_extent(x, T, piece.steps))
}

pub fn join(args: &[&Type]) -> Result<Type, String> {
    let mut steps = 0;
    for &x in args {
        steps += extent(x, T, "input")?;
        if x.without(T) != args[0].without(T) {
            return Err(format!(
                "needs operands that differ in their timesteps alone, has {} and {x}",
                args[0]
            ));
        }
    }
    Ok(with_extent(args[0], T, steps))
}
