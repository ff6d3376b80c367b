//! Functions that no instruction computes, step by step: the interpreter and the machine code take the same steps, in lanes
//! of any number, so that they give the same bits.
//!
//! ```text
//! exp x:  n = nearest(x / ln 2);  r = x - n·ln 2;  p ≈ e^r, |r| < 0.35;  p · 2^⌊n/2⌋ · 2^⌈n/2⌉
//! ```

/// Constants of [`exp`].
pub mod constants {
    /// Below, the result rounds to 0.
    pub const LOWEST: f32 = -104.0;
    /// Above, the result is infinite.
    pub const HIGHEST: f32 = 89.0;
    /// Added to a number of less than 22 bits, it leaves the nearest whole number in the low bits.
    pub const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts; products of the first with small whole numbers are exact.
    pub const LN2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    /// e^r = 1 + r + r²·(…): the factors from the highest power down (S. Moshier, Cephes, `expf`).
    pub const POWERS: [f32; 6] =
        [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    /// The exponent's bias and its place in the bits of a number.
    pub const BIAS: i32 = 127;
    /// See [`BIAS`].
    pub const MANTISSA: u32 = 23;
}

/// The exponential, within two units of the last place; 0 and infinity beyond the range, NaN of NaN.
#[inline]
pub fn exp(x: f32) -> f32 {
    use constants::{BIAS, HIGHEST, LN2, LOWEST, MANTISSA, POWERS, ROUND};
    let x = if x < LOWEST { LOWEST } else { x };
    let x = if x > HIGHEST { HIGHEST } else { x };
    let moved = x * std::f32::consts::LOG2_E + ROUND;
    let n = moved - ROUND;
    let r = x - n * LN2[0] - n * LN2[1];
    let p = POWERS[1..].iter().fold(POWERS[0], |p, power| p * r + power);
    let p = p * (r * r) + r + 1.0;
    let n = (moved.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let power = |n: i32| f32::from_bits((n.wrapping_add(BIAS) as u32) << MANTISSA);
    p * power(n >> 1) * power(n.wrapping_sub(n >> 1))
}

/// The logistic function, 1 / (1 + e^-x).
#[inline]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn exp_is_within_two_units_of_the_last_place() {
        for step in -1_040_000..890_000 {
            let x = step as f32 * 1e-4;
            let (found, exact) = (f64::from(exp(x)), f64::from(x).exp());
            let unit = f64::from(f32::EPSILON) * exact.max(f64::from(f32::MIN_POSITIVE));
            if exact < f64::from(f32::MAX) {
                assert!((found - exact).abs() <= 2.0 * unit, "exp {x}: {found} for {exact}");
            } else {
                assert_eq!(found, f64::INFINITY, "exp {x}");
            }
        }
    }

    #[test]
    fn exp_at_the_ends() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-0.0), 1.0);
        assert_eq!([exp(f32::NEG_INFINITY), exp(-1e30), exp(-104.5)], [0.0; 3]);
        assert_eq!([exp(f32::INFINITY), exp(1e30), exp(88.8)], [f32::INFINITY; 3]);
        assert!(exp(88.72) < f32::INFINITY && exp(-103.0) > 0.0);
        assert!(exp(f32::NAN).is_nan());
    }
}
