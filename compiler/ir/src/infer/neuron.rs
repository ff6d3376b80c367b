//! Neurons: every operand and result has the axes of the current, but the learned constants, which are numbers
//! per layer or per channel and stand last.

use super::{expect_axes, expect_real, extent};
use crate::op::{Lif, Op, Save};
use crate::types::{Axis, AxisName, Elem, Type};

/// Result types of a neuron or of one of its steps.
pub fn infer(op: &Op, args: &[&Type]) -> Result<Vec<Type>, String> {
    let constants = op.constants().len();
    let Some(others) = args.len().checked_sub(constants).filter(|&others| others > 0) else {
        return Err(format!("lacks operands for its {constants} learned constants, has {}", args.len()));
    };
    let (args, constants) = args.split_at(others);
    constants.iter().try_for_each(|ty| expect_constant(ty, args[0]))?;
    let counted = |takes: usize, ty: fn(&[&Type]) -> Result<Type, String>| {
        if args.len() != takes {
            return Err(format!("takes {takes} operands before its learned constants, has {}", args.len()));
        }
        ty(args).map(|ty| vec![ty])
    };
    if let Op::Lif(neuron) = op {
        lif(neuron, args)
    } else if let Op::LifGrad(neuron) = op {
        let mut types = vec![grad(neuron, args, constants.is_empty())?];
        types.extend(constants.iter().map(|&ty| ty.clone()));
        Ok(types)
    } else if let Op::LifCharge(_) = op {
        counted(2, charge)
    } else if let Op::LifReset(_) = op {
        counted(2, reset)
    } else {
        // `lif.fire` and `lif.window`.
        counted(1, |args| Ok(args[0].with_elem(Elem::Spike)))
    }
}

/// A number for the layer, or one for each channel of `like`.
fn expect_constant(ty: &Type, like: &Type) -> Result<(), String> {
    let of = |channels| Type::f32(vec![Axis::new(AxisName::C, channels)]);
    let channels = like.extent(AxisName::C);
    if *ty == of(1) || *ty == of(channels) {
        return Ok(());
    }
    Err(format!("needs {} or {} as a learned constant, has {ty}", of(1), of(channels)))
}

fn lif(lif: &Lif, args: &[&Type]) -> Result<Vec<Type>, String> {
    if args.len() != 1 {
        return Err(format!("takes 1 operand before its learned constants, has {}", args.len()));
    }
    let x = args[0];
    extent(x, AxisName::T, "input")?;
    let spikes = x.with_elem(Elem::Spike);
    Ok(match lif.save {
        Save::Nothing => vec![spikes],
        Save::Window => vec![spikes.clone(), spikes],
        Save::Membrane => vec![spikes, x.with_elem(Elem::F32)],
    })
}

fn grad(lif: &Lif, args: &[&Type], may_go_on: bool) -> Result<Type, String> {
    let saved: &[&str] = match lif.save {
        Save::Nothing => return Err("needs save=window or save=membrane".to_string()),
        Save::Window => &["spikes", "window"],
        Save::Membrane => &["membrane"],
    };
    if lif.save == Save::Window && lif.needed_save() == Save::Membrane {
        return Err("needs save=membrane: a window bit does not tell its gradient".to_string());
    }
    let goes_on = may_go_on && args.len() == 2 + saved.len();
    if args.len() != 1 + saved.len() && !goes_on {
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
    if let Some(after) = args.get(1 + saved.len()) {
        expect_real(after, "gradient that follows")?;
        extent(after, AxisName::T, "gradient that follows")?;
        expect_axes(&after.without(AxisName::T), &args[0].without(AxisName::T), "gradient that follows")?;
    }
    Ok(args[0].clone())
}

fn charge(args: &[&Type]) -> Result<Type, String> {
    expect_real(args[0], "membrane")?;
    expect_axes(args[1], args[0], "current")?;
    Ok(args[0].clone())
}

fn reset(args: &[&Type]) -> Result<Type, String> {
    expect_real(args[0], "membrane")?;
    expect_axes(args[1], args[0], "spikes")?;
    if !args[1].elem.is_binary() {
        return Err(format!("needs spikes as its second operand, has {}", args[1]));
    }
    Ok(args[0].clone())
}

/// `neuron.constant` and its gradient: element by element.
pub fn constant(args: &[&Type]) -> Result<Type, String> {
    for ty in args {
        expect_real(ty, "operand")?;
        expect_axes(ty, args[0], "operand")?;
    }
    Ok(args[0].clone())
}
