//! Where elements lie, by the names of axes.

use crate::types::{AxisName, Type};

/// Extents and strides by axis name; an axis that is not there has the extent 1 and the stride 0.
pub struct View {
    extents: [usize; AxisName::ALL.len()],
    strides: [usize; AxisName::ALL.len()],
}

impl View {
    pub fn new(ty: &Type, batch: usize) -> View {
        let mut view = View { extents: [1; AxisName::ALL.len()], strides: [0; AxisName::ALL.len()] };
        let mut stride = 1;
        for axis in ty.axes.iter().rev() {
            let extent = axis.extent.unwrap_or(batch);
            view.extents[axis.name as usize] = extent;
            view.strides[axis.name as usize] = stride;
            stride *= extent;
        }
        view
    }

    pub fn extent(&self, name: AxisName) -> usize {
        self.extents[name as usize]
    }

    pub fn stride(&self, name: AxisName) -> usize {
        self.strides[name as usize]
    }

    /// The offset of the first element at a timestep, sample, row and column.
    pub fn at(&self, t: usize, b: usize, h: usize, w: usize) -> usize {
        use AxisName::{B, H, T, W};
        t * self.stride(T) + b * self.stride(B) + h * self.stride(H) + w * self.stride(W)
    }
}

/// For each element of `of`, in its order, the offset of the element of `into` at the same place; axes that
/// `into` has not are passed over, those that only `into` has are at 0.
pub fn offsets(of: &Type, into: &Type, batch: usize) -> Vec<usize> {
    let view = View::new(into, batch);
    let mut all = vec![0];
    for axis in &of.axes {
        let (extent, stride) = (axis.extent.unwrap_or(batch), view.stride(axis.name));
        all = all.iter().flat_map(|&base| (0..extent).map(move |i| base + i * stride)).collect();
    }
    all
}
