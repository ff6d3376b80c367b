//! Winograd's transforms of 3×3 kernels for tiles of M×M outputs: what [`super`] does with them.
//!
//! ```text
//! y = Aᵀ (U ⊙ V) A,   U = G w Gᵀ,   V = Bᵀ x B      for each tile x of N×N inputs, N = M + 2; ⊙ sums over channels
//!
//! M = 2  Bᵀ = 1 0 -1 0   0 1 1 0   0 -1 1 0   0 1 0 -1
//!        G  = 1 0 0   ½ ½ ½   ½ -½ ½   0 0 1
//!        Aᵀ = 1 1 1 0   0 1 -1 -1
//!
//! M = 4  Bᵀ = 1 0 -c 0 1 0   0 -b -b² a 1 0   0 b -b² -a 1 0   0 -a -a² b 1 0   0 a -a² -b 1 0   0 1 0 -c 0 1
//!        G  = 1 0 0   g ga ga²   g -ga ga²   h hb hb²   h -hb hb²   0 0 1
//!        Aᵀ = 1 1 1 1 1 0   0 a -a b -b 0   0 a² a² b² b² 0   0 a³ -a³ b³ -b³ 1
//!        a = 2/3, b = 3/2, c = a² + b², g = 1 / (2a² (a² - b²)), h = 1 / (2b² (b² - a²))
//! ```
//!
//! Source: A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2016, F(2×2, 3×3) and F(4×4, 3×3). The
//! second is Toom's and Cook's algorithm at the points 0, ±a, ±b and infinity: with these a and b, whose product is 1, no
//! factor is above 3.4, where ±1 and ±2 have 8, so that fewer digits are lost.

use pulp::Simd;

/// The transforms for tiles of `M`×`M` outputs and `N`×`N` inputs; a row of Bᵀ has at most `K` factors.
pub trait Tile<const M: usize, const N: usize, const K: usize>: Copy + Sync {
    /// Rows of U that are held at a time: U of a large tile is large.
    const HELD: usize;
    /// Bᵀ: the places of a row's factors, and these.
    const INPUT: [[(usize, f32); K]; N];
    /// Aᵀ.
    const RESULT: [[f32; N]; M];

    /// Bᵀ x.
    fn input<S: Simd>(self, simd: S, x: [S::f32s; N]) -> [S::f32s; N];
    /// G w.
    fn weight<S: Simd>(self, simd: S, w: [S::f32s; 3]) -> [S::f32s; N];
    /// Aᵀ m.
    fn result<S: Simd>(self, simd: S, m: [S::f32s; N]) -> [S::f32s; M];
}

/// Tiles of 2×2 outputs: 16 products where the definition has 36.
#[derive(Clone, Copy)]
pub struct Two;

impl Tile<2, 4, 2> for Two {
    const HELD: usize = 4;
    const INPUT: [[(usize, f32); 2]; 4] =
        [[(0, 1.0), (2, -1.0)], [(1, 1.0), (2, 1.0)], [(2, 1.0), (1, -1.0)], [(1, 1.0), (3, -1.0)]];
    const RESULT: [[f32; 4]; 2] = [[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, -1.0, -1.0]];

    #[inline(always)]
    fn input<S: Simd>(self, simd: S, x: [S::f32s; 4]) -> [S::f32s; 4] {
        [sub(simd, x[0], x[2]), add(simd, x[1], x[2]), sub(simd, x[2], x[1]), sub(simd, x[1], x[3])]
    }

    #[inline(always)]
    fn weight<S: Simd>(self, simd: S, w: [S::f32s; 3]) -> [S::f32s; 4] {
        [
            w[0],
            by(simd, 0.5, add(simd, add(simd, w[0], w[1]), w[2])),
            by(simd, 0.5, add(simd, sub(simd, w[0], w[1]), w[2])),
            w[2],
        ]
    }

    #[inline(always)]
    fn result<S: Simd>(self, simd: S, m: [S::f32s; 4]) -> [S::f32s; 2] {
        [add(simd, add(simd, m[0], m[1]), m[2]), sub(simd, sub(simd, m[1], m[2]), m[3])]
    }
}

/// Tiles of 4×4 outputs: 36 products where the definition has 144.
#[derive(Clone, Copy)]
pub struct Four;

const A: f32 = 2.0 / 3.0;
const B: f32 = 3.0 / 2.0;
const A2: f32 = 4.0 / 9.0;
const B2: f32 = 9.0 / 4.0;
const C: f32 = 97.0 / 36.0;
const A3: f32 = 8.0 / 27.0;
const B3: f32 = 27.0 / 8.0;
/// g and h above.
const G: f32 = -81.0 / 130.0;
const H: f32 = 8.0 / 65.0;

impl Tile<4, 6, 4> for Four {
    const HELD: usize = 3;
    const INPUT: [[(usize, f32); 4]; 6] = [
        [(0, 1.0), (2, -C), (4, 1.0), (4, 0.0)],
        [(4, 1.0), (2, -B2), (3, A), (1, -B)],
        [(4, 1.0), (2, -B2), (3, -A), (1, B)],
        [(4, 1.0), (2, -A2), (3, B), (1, -A)],
        [(4, 1.0), (2, -A2), (3, -B), (1, A)],
        [(1, 1.0), (3, -C), (5, 1.0), (5, 0.0)],
    ];
    const RESULT: [[f32; 6]; 4] = [
        [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
        [0.0, A, -A, B, -B, 0.0],
        [0.0, A2, A2, B2, B2, 0.0],
        [0.0, A3, -A3, B3, -B3, 1.0],
    ];

    #[inline(always)]
    fn input<S: Simd>(self, simd: S, x: [S::f32s; 6]) -> [S::f32s; 6] {
        // What the two points of a pair share, even and odd.
        let (even_a, odd_a) =
            (sub(simd, x[4], by(simd, B2, x[2])), sub(simd, by(simd, A, x[3]), by(simd, B, x[1])));
        let (even_b, odd_b) =
            (sub(simd, x[4], by(simd, A2, x[2])), sub(simd, by(simd, B, x[3]), by(simd, A, x[1])));
        [
            add(simd, sub(simd, x[0], by(simd, C, x[2])), x[4]),
            add(simd, even_a, odd_a),
            sub(simd, even_a, odd_a),
            add(simd, even_b, odd_b),
            sub(simd, even_b, odd_b),
            add(simd, sub(simd, x[1], by(simd, C, x[3])), x[5]),
        ]
    }

    #[inline(always)]
    fn weight<S: Simd>(self, simd: S, w: [S::f32s; 3]) -> [S::f32s; 6] {
        let (even_a, odd_a) = (by(simd, G, add(simd, w[0], by(simd, A2, w[2]))), by(simd, A * G, w[1]));
        let (even_b, odd_b) = (by(simd, H, add(simd, w[0], by(simd, B2, w[2]))), by(simd, B * H, w[1]));
        [
            w[0],
            add(simd, even_a, odd_a),
            sub(simd, even_a, odd_a),
            add(simd, even_b, odd_b),
            sub(simd, even_b, odd_b),
            w[2],
        ]
    }

    #[inline(always)]
    fn result<S: Simd>(self, simd: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
        let (even_a, odd_a) = (add(simd, m[1], m[2]), sub(simd, m[1], m[2]));
        let (even_b, odd_b) = (add(simd, m[3], m[4]), sub(simd, m[3], m[4]));
        [
            add(simd, m[0], add(simd, even_a, even_b)),
            add(simd, by(simd, A, odd_a), by(simd, B, odd_b)),
            add(simd, by(simd, A2, even_a), by(simd, B2, even_b)),
            add(simd, add(simd, by(simd, A3, odd_a), by(simd, B3, odd_b)), m[5]),
        ]
    }
}

#[inline(always)]
fn add<S: Simd>(simd: S, x: S::f32s, y: S::f32s) -> S::f32s {
    simd.add_f32s(x, y)
}

#[inline(always)]
fn sub<S: Simd>(simd: S, x: S::f32s, y: S::f32s) -> S::f32s {
    simd.sub_f32s(x, y)
}

#[inline(always)]
fn by<S: Simd>(simd: S, factor: f32, x: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.splat_f32s(factor), x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::Scalar;
    use std::array::from_fn;

    /// The row of three weights at each of the outputs of a tile, by the transforms and by the definition.
    fn rows<T: Tile<M, N, K>, const M: usize, const N: usize, const K: usize>(tile: T) {
        let (w, x) = ([0.5, -2.0, 3.0], from_fn::<f32, N, _>(|i| (i * i) as f32 - 2.5 * i as f32 + 1.0));
        let v = tile.input(Scalar::new(), x);
        let u = tile.weight(Scalar::new(), w);
        let y = tile.result(Scalar::new(), from_fn(|j| u[j] * v[j]));
        for (i, y) in y.into_iter().enumerate() {
            let expected: f32 = (0..3).map(|k| w[k] * x[i + k]).sum();
            assert!((y - expected).abs() < 1e-4 * expected.abs().max(1.0), "{y} for {expected} at {i}");
        }
    }

    /// The tables say what the functions do.
    fn tables<T: Tile<M, N, K>, const M: usize, const N: usize, const K: usize>(tile: T) {
        for at in 0..N {
            let unit = from_fn(|i| f32::from(u8::from(i == at)));
            for (r, found) in tile.input(Scalar::new(), unit).into_iter().enumerate() {
                let factors = T::INPUT[r].iter().filter(|(place, _)| *place == at);
                assert_eq!(found, factors.map(|(_, factor)| factor).sum::<f32>(), "Bᵀ at {r}, {at}");
            }
            for (r, found) in tile.result(Scalar::new(), unit).into_iter().enumerate() {
                assert_eq!(found, T::RESULT[r][at], "Aᵀ at {r}, {at}");
            }
        }
    }

    #[test]
    fn tiles_compute_a_convolution() {
        rows(Two);
        rows(Four);
    }

    #[test]
    fn tables_are_the_functions() {
        tables(Two);
        tables(Four);
    }
}
