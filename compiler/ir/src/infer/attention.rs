//! Attention and masks.

use super::{expect_axes, expect_real, extent, need_hint, with_extent};
use crate::op::{Attention, Over};
use crate::types::{AxisName, Elem, Type};
use AxisName::{C, T};

/// Operands may be real until products are masked: the front end knows of more spikes than it types.
pub fn attention(attention: &Attention, args: &[&Type]) -> Result<Type, String> {
    let [q, k, v] = [args[0], args[1], args[2]];
    expect_axes(k, q, "keys")?;
    let (channels, values) = (extent(q, C, "queries")?, extent(v, C, "values")?);
    expect_axes(v, &with_extent(q, C, values), "values")?;
    for channels in [channels, values] {
        if attention.heads == 0 || channels % attention.heads != 0 {
            return Err(format!("needs heads that divide {channels} channels, has {}", attention.heads));
        }
    }
    match attention.over {
        Over::Space => {}
        Over::Time => {
            extent(q, T, "queries")?;
        }
        Over::SpaceTime(chunk) => {
            let steps = extent(q, T, "queries")?;
            if chunk == 0 || steps % chunk != 0 {
                return Err(format!("needs a chunk that divides {steps} timesteps, has {chunk}"));
            }
        }
    }
    let real = attention.scale != 1.0 || args.iter().any(|ty| ty.elem == Elem::F32);
    Ok(v.with_elem(if real { Elem::F32 } else { Elem::I32 }))
}

pub fn grad(attributes: &Attention, args: &[&Type]) -> Result<Vec<Type>, String> {
    expect_real(args[0], "gradient")?;
    expect_axes(args[0], &attention(attributes, &args[1..])?, "gradient")?;
    Ok(args[1..].iter().map(|ty| ty.with_elem(Elem::F32)).collect())
}

pub fn mask(args: &[&Type]) -> Result<Type, String> {
    let (x, s) = (args[0], args[1]);
    let names = |ty: &Type| ty.axes.iter().map(|axis| axis.name).filter(|&name| s.has(name)).collect();
    let (of_x, of_s): (Vec<AxisName>, Vec<AxisName>) = (names(x), names(s));
    let fits = |name: AxisName| match (x.axis(name), s.axis(name)) {
        (Some(of_x), Some(of_s)) if name == C => {
            x.extent(C) % of_s.extent.unwrap_or(1).max(1) == 0 && { of_x.tile == of_s.tile }
        }
        (of_x, of_s) => of_x == of_s,
    };
    if of_x != of_s || !of_s.into_iter().all(fits) {
        return Err(format!("needs a mask of axes of {x}, has {s}"));
    }
    Ok(x.with_elem(match (x.elem, s.elem) {
        (Elem::F32, _) | (_, Elem::F32) => Elem::F32,
        (Elem::I32, _) | (_, Elem::I32) => Elem::I32,
        (Elem::Spike | Elem::Bits, Elem::Spike | Elem::Bits) => Elem::Spike,
    }))
}

pub fn channel_sum(groups: usize, args: &[&Type]) -> Result<Type, String> {
    let x = args[0];
    let channels = extent(x, C, "input")?;
    if groups == 0 || channels % groups != 0 {
        return Err(format!("needs groups that divide {channels} channels, has {groups}"));
    }
    let elem = if x.elem == Elem::F32 { Elem::F32 } else { Elem::I32 };
    Ok(with_extent(x, C, groups).with_elem(elem))
}

pub fn channel_spread(args: &[&Type], hint: Option<&Type>) -> Result<Type, String> {
    let x = args[0];
    let (groups, channels) = (extent(x, C, "input")?, extent(need_hint(hint)?, C, "result")?);
    if groups == 0 || channels % groups != 0 {
        return Err(format!("needs a result whose channels are a multiple of {groups}, has {channels}"));
    }
    Ok(with_extent(x, C, channels))
}
