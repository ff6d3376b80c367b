//! Changes of place: each plane of an image, or each frame of each polarity, is moved alike. Pixels keep their
//! values (the nearest one is taken), so counts of events stay counts; what comes from outside is 0.

/// Planes of one size, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grid {
    /// Channels, or timesteps times channels.
    pub planes: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Grid {
    /// The planes of a sample's shape: the last two axes are rows and columns.
    pub fn of(shape: &[usize]) -> Grid {
        let rows = shape.len().saturating_sub(2);
        match shape[rows..] {
            [height, width] => Grid { planes: shape[..rows].iter().product(), height, width },
            _ => Grid { planes: 1, height: 1, width: shape.iter().product() },
        }
    }

    /// Values of a plane.
    pub fn area(self) -> usize {
        self.height * self.width
    }
}

/// Where an output pixel comes from: `x' = a·x + b·y + c`, `y' = d·x + e·y + f`, of pixel centres.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Affine(pub [f64; 6]);

impl Affine {
    /// A turn counter-clockwise about the centre.
    pub fn rotation(degrees: f64, grid: Grid) -> Affine {
        let (sin, cos) = (-degrees.to_radians()).sin_cos();
        let (x, y) = (grid.width as f64 / 2.0, grid.height as f64 / 2.0);
        Affine([cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y])
    }

    /// Rows slide by `slope` times their distance from the top.
    pub fn shear_x(slope: f64) -> Affine {
        Affine([1.0, slope, 0.0, 0.0, 1.0, 0.0])
    }

    /// Columns slide by `slope` times their distance from the left.
    pub fn shear_y(slope: f64) -> Affine {
        Affine([1.0, 0.0, 0.0, slope, 1.0, 0.0])
    }

    /// A shift to the right and down.
    pub fn translation(right: f64, down: f64) -> Affine {
        Affine([1.0, 0.0, -right, 0.0, 1.0, -down])
    }
}

/// Moves every plane.
pub fn affine<T: Copy + Default>(values: &mut [T], grid: Grid, by: Affine) {
    let [a, b, c, d, e, f] = by.0;
    gather(values, grid, |y, x| {
        let (cx, cy) = (x as f64 + 0.5, y as f64 + 0.5);
        let (from_x, from_y) = ((a * cx + b * cy + c).floor(), (d * cx + e * cy + f).floor());
        let inside =
            from_x >= 0.0 && from_y >= 0.0 && from_x < grid.width as f64 && from_y < grid.height as f64;
        inside.then_some((from_y as usize, from_x as usize))
    });
}

/// Mirrors left and right.
pub fn flip<T: Copy>(values: &mut [T], grid: Grid) {
    values.chunks_exact_mut(grid.width.max(1)).for_each(<[T]>::reverse);
}

/// Moves by whole pixels, with zeros from outside.
pub fn shift<T: Copy + Default>(values: &mut [T], grid: Grid, right: isize, down: isize) {
    gather(values, grid, |y, x| {
        let (y, x) = (y.checked_add_signed(-down)?, x.checked_add_signed(-right)?);
        (y < grid.height && x < grid.width).then_some((y, x))
    });
}

/// Moves by whole pixels, in a circle.
pub fn roll<T: Copy + Default>(values: &mut [T], grid: Grid, right: isize, down: isize) {
    let around = |at: usize, by: isize, n: usize| (at as isize - by).rem_euclid(n.max(1) as isize) as usize;
    gather(values, grid, |y, x| Some((around(y, down, grid.height), around(x, right, grid.width))));
}

/// Sets a square of side `size` about (`y`, `x`) to `to`, cut at the border.
pub fn cutout<T: Copy>(values: &mut [T], grid: Grid, (y, x): (usize, usize), size: usize, to: T) {
    let range = |at: usize, n: usize| at.saturating_sub(size / 2)..(at + size - size / 2).min(n);
    for plane in values.chunks_exact_mut(grid.area().max(1)) {
        for row in range(y, grid.height) {
            plane[row * grid.width..][range(x, grid.width)].fill(to);
        }
    }
}

/// Takes every pixel of every plane from where `source` says.
fn gather<T: Copy + Default>(
    values: &mut [T],
    grid: Grid,
    source: impl Fn(usize, usize) -> Option<(usize, usize)>,
) {
    let from: Vec<Option<usize>> = (0..grid.area())
        .map(|at| source(at / grid.width, at % grid.width).map(|(y, x)| y * grid.width + x))
        .collect();
    let mut old = vec![T::default(); grid.area()];
    for plane in values.chunks_exact_mut(grid.area().max(1)) {
        old.copy_from_slice(plane);
        plane.iter_mut().zip(&from).for_each(|(to, from)| *to = from.map_or(T::default(), |at| old[at]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRID: Grid = Grid { planes: 1, height: 3, width: 3 };
    const NINE: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

    fn moved(by: Affine) -> [u8; 9] {
        let mut values = NINE;
        affine(&mut values, GRID, by);
        values
    }

    #[test]
    fn shapes_have_planes() {
        assert_eq!(Grid::of(&[4, 2, 5, 6]), Grid { planes: 8, height: 5, width: 6 });
        assert_eq!(Grid::of(&[7, 9]), Grid { planes: 1, height: 7, width: 9 });
        assert_eq!(Grid::of(&[9]), Grid { planes: 1, height: 1, width: 9 });
    }

    #[test]
    fn a_quarter_turn_is_counter_clockwise() {
        assert_eq!(moved(Affine::rotation(90.0, GRID)), [3, 6, 9, 2, 5, 8, 1, 4, 7]);
        assert_eq!(moved(Affine::rotation(180.0, GRID)), [9, 8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(moved(Affine::rotation(0.0, GRID)), NINE);
    }

    #[test]
    fn turns_and_shears_are_pillows() {
        // Made with Pillow 13.0 from an image of 1 to 36, nearest neighbours.
        let grid = Grid { planes: 1, height: 6, width: 6 };
        let moved = |by| {
            let mut values: Vec<u8> = (1..=36).collect();
            affine(&mut values, grid, by);
            values
        };
        let turned = [
            0, 3, 4, 5, 12, 0, 2, 9, 9, 10, 17, 18, 7, 14, 15, 16, 17, 24, 13, 20, 21, 22, 23, 30, 19, 20,
            27, 28, 28, 35, 0, 25, 32, 33, 34, 0,
        ];
        assert_eq!(moved(Affine::rotation(17.0, grid)), turned);
        let back = [
            0, 7, 8, 3, 4, 0, 13, 13, 8, 9, 4, 5, 19, 20, 15, 16, 11, 11, 26, 26, 21, 22, 17, 18, 32, 33, 28,
            29, 24, 24, 0, 33, 34, 29, 30, 0,
        ];
        assert_eq!(moved(Affine::rotation(-30.0, grid)), back);
        let slid = [
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 0, 20, 21, 22, 23, 24, 0, 26, 27, 28,
            29, 30, 0, 33, 34, 35, 36, 0, 0,
        ];
        assert_eq!(moved(Affine::shear_x(0.3)), slid);
        let sunk = [
            1, 2, 3, 0, 0, 0, 7, 8, 9, 4, 5, 6, 13, 14, 15, 10, 11, 12, 19, 20, 21, 16, 17, 18, 25, 26, 27,
            22, 23, 24, 31, 32, 33, 28, 29, 30,
        ];
        assert_eq!(moved(Affine::shear_y(-0.2)), sunk);
    }

    #[test]
    fn shears_slide_from_the_top_left() {
        // Row y takes from x + slope·(y + 1/2), rounded: 0.3 and 0.9 of a pixel, then 1.5.
        assert_eq!(moved(Affine::shear_x(0.6)), [1, 2, 3, 5, 6, 0, 9, 0, 0]);
        assert_eq!(moved(Affine::shear_y(0.6)), [1, 5, 9, 4, 8, 0, 7, 0, 0]);
    }

    #[test]
    fn translations_bring_zeros() {
        assert_eq!(moved(Affine::translation(1.0, 0.0)), [0, 1, 2, 0, 4, 5, 0, 7, 8]);
        assert_eq!(moved(Affine::translation(0.0, -1.0)), [4, 5, 6, 7, 8, 9, 0, 0, 0]);
        let mut values = NINE;
        shift(&mut values, GRID, 1, -1);
        assert_eq!(values, [0, 4, 5, 0, 7, 8, 0, 0, 0]);
    }

    #[test]
    fn mirrors_rolls_and_holes_are_exact_on_every_plane() {
        let grid = Grid { planes: 2, height: 2, width: 3 };
        let mut values: Vec<u8> = (1..=12).collect();
        flip(&mut values, grid);
        assert_eq!(values, [3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10]);
        let mut values: Vec<u8> = (1..=12).collect();
        roll(&mut values, grid, 1, 0);
        assert_eq!(values, [3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11]);
        roll(&mut values, grid, -1, 1);
        assert_eq!(values, [4, 5, 6, 1, 2, 3, 10, 11, 12, 7, 8, 9]);
        let mut values: Vec<f32> = (1..=12).map(|v| v as f32).collect();
        cutout(&mut values, grid, (0, 2), 2, 0.0);
        assert_eq!(values, [1.0, 0.0, 0.0, 4.0, 5.0, 6.0, 7.0, 0.0, 0.0, 10.0, 11.0, 12.0]);
    }
}
