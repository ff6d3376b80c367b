//! Pooling windows.

use super::{expect_axes, expect_real, extent, need_hint, window_positions, with_extent};
use crate::op::Pool;
use crate::types::{AxisName, Elem, Type};
use AxisName::{H, W};

fn pooled(pool: Pool, x: &Type) -> Result<Type, String> {
    extent(x, AxisName::C, "input")?;
    let rows = window_positions(extent(x, H, "input")?, pool.kernel.0, pool.stride, pool.pad)?;
    let columns = window_positions(extent(x, W, "input")?, pool.kernel.1, pool.stride, pool.pad)?;
    // A window that lies in the border only would have no maximum.
    if pool.pad >= pool.kernel.0.min(pool.kernel.1) {
        return Err(format!("needs a pad smaller than its kernel, has {}", pool.pad));
    }
    Ok(with_extent(&with_extent(x, H, rows), W, columns))
}

pub fn max(pool: Pool, args: &[&Type]) -> Result<Type, String> {
    pooled(pool, args[0])
}

pub fn max_grad(pool: Pool, args: &[&Type]) -> Result<Type, String> {
    expect_real(args[0], "gradient")?;
    expect_axes(args[0], &pooled(pool, args[1])?, "gradient")?;
    Ok(args[1].with_elem(Elem::F32))
}

pub fn avg(pool: Pool, args: &[&Type]) -> Result<Type, String> {
    Ok(pooled(pool, args[0])?.with_elem(Elem::F32))
}

pub fn avg_grad(pool: Pool, args: &[&Type], hint: Option<&Type>) -> Result<Type, String> {
    let (dy, hint) = (args[0], need_hint(hint)?);
    expect_real(dy, "gradient")?;
    let dx = with_extent(dy, H, extent(hint, H, "result")?);
    let dx = with_extent(&dx, W, extent(hint, W, "result")?);
    expect_axes(dy, &pooled(pool, &dx)?, "gradient")?;
    Ok(dx)
}
