//! What the walks over windows share.

/// Where the bits and the rows of a window lie, in elements, and how many taps it has.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub words: usize,
    pub taps: (usize, usize),
    pub bits: (usize, usize),
    pub rows: (usize, usize),
    pub step: usize,
}

/// The first position's bits, all rows and the first position's sums, with the elements from one position to the next.
pub(super) type Places<B> = ((*const B, usize), *const f32, (*mut f32, usize));
