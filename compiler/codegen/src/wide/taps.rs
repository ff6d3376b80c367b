//! What the walks over taps share.

/// Where the rows and the sums of the first tap lie, and what lies between taps.
#[derive(Clone, Copy)]
pub(super) struct Places {
    pub rows: *const f32,
    pub rows_step: usize,
    pub down: usize,
    pub beside: usize,
    pub sums: *mut f32,
    pub sums_step: usize,
    pub apart: usize,
}

/// Timesteps that are walked together, the elements between their words and between the rows of patterns.
#[derive(Clone, Copy)]
pub(super) struct OverTime {
    pub steps: usize,
    pub time: usize,
    pub pattern: usize,
}

impl Places {
    /// The same for the tap at a place of the grid, of which a row has so many, and from a lane on.
    ///
    /// # Safety
    /// The tap is one of the kernel's, the lane one of its rows.
    #[inline]
    pub unsafe fn of(self, (y, x): (usize, usize), columns: usize, lane: usize) -> Places {
        // SAFETY: the caller's promise.
        unsafe {
            let rows = self.rows.add(y * self.down + x * self.beside + lane);
            Places { rows, sums: self.sums.add((y * columns + x) * self.apart + lane), ..self }
        }
    }
}
