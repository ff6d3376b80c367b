//! Neurons: every operand and result has the axes of the current.

use super::{expect_axes, expect_real, extent};
use crate::op::{Lif, Save};
use crate::types::{AxisName, Elem, Type};

pub fn lif(lif: &Lif, args: &[&Type]) -> Result<Vec<Type>, String> {
    let x = args[0];
    extent(x, AxisName::T, "input")?;
    let spikes = x.with_elem(Elem::Spike);
    Ok(match lif.save {
        Save::Nothing => vec![spikes],
        Save::Window => vec![spikes.clone(), spikes],
        Save::Membrane => vec![spikes, x.with_elem(Elem::F32)],
    })
}

pub fn grad(lif: &Lif, args: &[&Type]) -> Result<Type, String> {
    let saved: &[&str] = match lif.save {
        Save::Nothing => return Err("needs save=window or save=membrane".to_string()),
        Save::Window => &["spikes", "window"],
        Save::Membrane => &["membrane"],
    };
    if lif.save == Save::Window && lif.needed_save() == Save::Membrane {
        return Err("needs save=membrane: a window bit does not tell its gradient".to_string());
    }
    if args.len() != 1 + saved.len() {
        return Err(format!("takes a gradient and {}, has {} operands", saved.join(" and "), args.len()));
    }
    expect_real(args[0], "gradient")?;
    extent(args[0], AxisName::T, "gradient")?;
    for (ty, what) in args[1..].iter().zip(saved) {
        expect_axes(ty, args[0], what)?;
        let fits = match lif.save {
            Save::Nothing | Save::Window => ty.elem.is_binary(),
            Save::Membrane => ty.elem == Elem::F32,
        };
        if !fits {
            return Err(format!("has a wrong kind of element in its {what}: {ty}"));
        }
    }
    Ok(args[0].clone())
}

pub fn charge(args: &[&Type]) -> Result<Type, String> {
    expect_real(args[0], "membrane")?;
    expect_axes(args[1], args[0], "current")?;
    Ok(args[0].clone())
}

pub fn reset(args: &[&Type]) -> Result<Type, String> {
    expect_real(args[0], "membrane")?;
    expect_axes(args[1], args[0], "spikes")?;
    if !args[1].elem.is_binary() {
        return Err(format!("needs spikes as its second operand, has {}", args[1]));
    }
    Ok(args[0].clone())
}
