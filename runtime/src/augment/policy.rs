//! AutoAugment and RandAugment: colour and shape operations of given strengths, with torchvision's ranges.

use super::color;
use super::geometry::{self, Affine, Grid};
use crate::rng::Rng;
use snnc_plan::Policy;

/// An operation of the policies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
    Invert,
}

/// An operation, how often it is done, and its strength in tenths; 0 where it has none.
type Rule = (Op, f32, usize);

use Op::*;

/// The 25 sub-policies found on CIFAR-10 (Cubuk and others, 2019, appendix).
pub const CIFAR10: [[Rule; 2]; 25] = [
    [(Invert, 0.1, 0), (Contrast, 0.2, 6)],
    [(Rotate, 0.7, 2), (TranslateX, 0.3, 9)],
    [(Sharpness, 0.8, 1), (Sharpness, 0.9, 3)],
    [(ShearY, 0.5, 8), (TranslateY, 0.7, 9)],
    [(AutoContrast, 0.5, 0), (Equalize, 0.9, 0)],
    [(ShearY, 0.2, 7), (Posterize, 0.3, 7)],
    [(Color, 0.4, 3), (Brightness, 0.6, 7)],
    [(Sharpness, 0.3, 9), (Brightness, 0.7, 9)],
    [(Equalize, 0.6, 0), (Equalize, 0.5, 0)],
    [(Contrast, 0.6, 7), (Sharpness, 0.6, 5)],
    [(Color, 0.7, 7), (TranslateX, 0.5, 8)],
    [(Equalize, 0.3, 0), (AutoContrast, 0.4, 0)],
    [(TranslateY, 0.4, 3), (Sharpness, 0.2, 6)],
    [(Brightness, 0.9, 6), (Color, 0.2, 8)],
    [(Solarize, 0.5, 2), (Invert, 0.0, 0)],
    [(Equalize, 0.2, 0), (AutoContrast, 0.6, 0)],
    [(Equalize, 0.2, 0), (Equalize, 0.6, 0)],
    [(Color, 0.9, 9), (Equalize, 0.6, 0)],
    [(AutoContrast, 0.8, 0), (Solarize, 0.2, 8)],
    [(Brightness, 0.1, 3), (Color, 0.7, 0)],
    [(Solarize, 0.4, 5), (AutoContrast, 0.9, 0)],
    [(TranslateY, 0.9, 9), (TranslateY, 0.7, 9)],
    [(AutoContrast, 0.9, 0), (Solarize, 0.8, 3)],
    [(Equalize, 0.8, 0), (Invert, 0.1, 0)],
    [(TranslateY, 0.7, 9), (AutoContrast, 0.9, 0)],
];

/// The 25 sub-policies found on ImageNet (the same paper).
pub const IMAGENET: [[Rule; 2]; 25] = [
    [(Posterize, 0.4, 8), (Rotate, 0.6, 9)],
    [(Solarize, 0.6, 5), (AutoContrast, 0.6, 0)],
    [(Equalize, 0.8, 0), (Equalize, 0.6, 0)],
    [(Posterize, 0.6, 7), (Posterize, 0.6, 6)],
    [(Equalize, 0.4, 0), (Solarize, 0.2, 4)],
    [(Equalize, 0.4, 0), (Rotate, 0.8, 8)],
    [(Solarize, 0.6, 3), (Equalize, 0.6, 0)],
    [(Posterize, 0.8, 5), (Equalize, 1.0, 0)],
    [(Rotate, 0.2, 3), (Solarize, 0.6, 8)],
    [(Equalize, 0.6, 0), (Posterize, 0.4, 6)],
    [(Rotate, 0.8, 8), (Color, 0.4, 0)],
    [(Rotate, 0.4, 9), (Equalize, 0.6, 0)],
    [(Equalize, 0.0, 0), (Equalize, 0.8, 0)],
    [(Invert, 0.6, 0), (Equalize, 1.0, 0)],
    [(Color, 0.6, 4), (Contrast, 1.0, 8)],
    [(Rotate, 0.8, 8), (Color, 1.0, 2)],
    [(Color, 0.8, 8), (Solarize, 0.8, 7)],
    [(Sharpness, 0.4, 7), (Invert, 0.6, 0)],
    [(ShearX, 0.6, 5), (Equalize, 1.0, 0)],
    [(Color, 0.4, 0), (Equalize, 0.6, 0)],
    [(Equalize, 0.4, 0), (Solarize, 0.2, 4)],
    [(Solarize, 0.6, 5), (AutoContrast, 0.6, 0)],
    [(Invert, 0.6, 0), (Equalize, 1.0, 0)],
    [(Color, 0.6, 4), (Contrast, 1.0, 8)],
    [(Equalize, 0.8, 0), (Equalize, 0.6, 0)],
];

/// What RandAugment chooses from.
const RANDOM: [Op; 14] = [
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
];

/// Strengths of AutoAugment, 0 to 9, and of RandAugment, 0 to 30.
const STEPS: usize = 9;
const RANDOM_STEPS: usize = 30;

/// One sub-policy of a table, each of its two operations as often as the table says.
pub fn auto(pixels: &mut [u8], grid: Grid, policy: Policy, rng: &mut Rng) {
    for ((op, often, strength), chance, negative) in draw(policy, rng) {
        if chance < often {
            apply(pixels, grid, op, strength as f64 / STEPS as f64, negative);
        }
    }
}

/// A random sub-policy; with each operation a number that decides whether it is done, and its direction. They are
/// drawn for both in any case: what the first does moves no number of the second.
fn draw(policy: Policy, rng: &mut Rng) -> [(Rule, f32, bool); 2] {
    let table = match policy {
        Policy::Cifar10 => &CIFAR10,
        Policy::ImageNet => &IMAGENET,
    };
    table[rng.below(table.len())].map(|rule| (rule, rng.uniform(), rng.bits() & 1 == 0))
}

/// `n` operations, each of strength `m`.
pub fn random(pixels: &mut [u8], grid: Grid, n: usize, m: usize, rng: &mut Rng) {
    for _ in 0..n {
        let op = RANDOM[rng.below(RANDOM.len())];
        apply(pixels, grid, op, m as f64 / RANDOM_STEPS as f64, rng.bits() & 1 == 0);
    }
}

/// An operation of a strength from 0 to 1; `negative` counts where the operation has two directions.
pub fn apply(pixels: &mut [u8], grid: Grid, op: Op, strength: f64, negative: bool) {
    let signed = |most: f64| if negative { -most * strength } else { most * strength };
    let factor = (1.0 + signed(0.9)) as f32;
    // Translations are whole pixels.
    let far = |extent: usize| signed(150.0 / 331.0 * extent as f64).trunc() as isize;
    match op {
        Identity => {}
        ShearX => geometry::affine(pixels, grid, Affine::shear_x(signed(0.3))),
        ShearY => geometry::affine(pixels, grid, Affine::shear_y(signed(0.3))),
        TranslateX => geometry::shift(pixels, grid, far(grid.width), 0),
        TranslateY => geometry::shift(pixels, grid, 0, far(grid.height)),
        Rotate => geometry::affine(pixels, grid, Affine::rotation(signed(30.0), grid)),
        Brightness => color::brightness(pixels, factor),
        Color => color::saturation(pixels, grid, factor),
        Contrast => color::contrast(pixels, grid, factor),
        Sharpness => color::sharpness(pixels, grid, factor),
        Posterize => color::posterize(pixels, 8 - (4.0 * strength).round_ties_even() as u32),
        Solarize => color::solarize(pixels, 255.0 * (1.0 - strength)),
        AutoContrast => color::autocontrast(pixels, grid),
        Equalize => color::equalize(pixels, grid),
        Invert => color::invert(pixels),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Draw;

    const GRID: Grid = Grid { planes: 3, height: 32, width: 32 };

    #[test]
    fn the_table_of_cifar10_is_the_published_one() {
        // Facts of the table that a slip would break: counts of each operation, sums of the numbers.
        let rules: Vec<Rule> = CIFAR10.into_iter().flatten().collect();
        let count = |op: Op| rules.iter().filter(|rule| rule.0 == op).count();
        let ops = [
            ShearX,
            ShearY,
            TranslateX,
            TranslateY,
            Rotate,
            Brightness,
            Color,
            Contrast,
            Sharpness,
            Posterize,
            Solarize,
            AutoContrast,
            Equalize,
            Invert,
        ];
        assert_eq!(ops.map(count), [0, 2, 2, 5, 1, 4, 5, 2, 5, 1, 4, 7, 9, 3]);
        let chances: f32 = rules.iter().map(|rule| rule.1).sum();
        let strengths: usize = rules.iter().map(|rule| rule.2).sum();
        assert!((chances - 26.5).abs() < 1e-3, "{chances}");
        assert_eq!(strengths, 187);
        assert_eq!(CIFAR10[21], [(TranslateY, 0.9, 9), (TranslateY, 0.7, 9)]);
        assert!(IMAGENET.iter().flatten().all(|rule| rule.1 <= 1.0 && rule.2 <= 9));
    }

    #[test]
    fn strengths_have_torchvisions_ranges() {
        let white = || vec![255u8; GRID.planes * GRID.area()];
        let applied = |op, strength, negative| {
            let mut pixels = white();
            apply(&mut pixels, GRID, op, strength, negative);
            pixels
        };
        // 150/331 of 32 pixels is 14.5: 14 columns of zeros.
        let zeros = |pixels: &[u8]| pixels[..32].iter().filter(|&&v| v == 0).count();
        assert_eq!(zeros(&applied(TranslateX, 1.0, false)), 14);
        assert_eq!(zeros(&applied(TranslateX, 0.5, true)), 7);
        assert_eq!(applied(Posterize, 7.0 / 9.0, false)[0], 0xf8);
        assert_eq!(applied(Posterize, 1.0, false)[0], 0xf0);
        assert_eq!(applied(Brightness, 1.0, true)[0], 25);
        assert_eq!(applied(Solarize, 0.0, false)[0], 0);
        assert_eq!(applied(Identity, 1.0, false), white());
    }

    #[test]
    fn every_sub_policy_is_drawn_as_often_as_the_others() {
        let draws =
            (0..2500).map(|sample| draw(Policy::Cifar10, &mut Draw { seed: 1, epoch: 0, sample }.rng(0)));
        let draws: Vec<_> = draws.collect();
        for rules in CIFAR10 {
            let count = draws.iter().filter(|draw| draw.map(|(rule, _, _)| rule) == rules).count();
            assert!((60..150).contains(&count), "{count} of 100 for {rules:?}");
        }
        let negative = draws.iter().flatten().filter(|(_, _, negative)| *negative).count();
        let low = draws.iter().flatten().filter(|(_, chance, _)| *chance < 0.3).count();
        assert!((2300..2700).contains(&negative) && (1400..1600).contains(&low), "{negative} {low}");
    }

    #[test]
    fn a_draw_decides_all_of_a_sample() {
        let image: Vec<u8> = (0..GRID.planes * GRID.area()).map(|i| (i * 7 % 251) as u8).collect();
        let mut seen = std::collections::HashSet::new();
        for sample in 0..100 {
            let draw = Draw { seed: 1, epoch: 0, sample };
            let changed = |place| {
                let mut pixels = image.clone();
                auto(&mut pixels, GRID, Policy::Cifar10, &mut draw.rng(place));
                random(&mut pixels, GRID, 2, 9, &mut draw.rng(place + 1));
                pixels
            };
            assert_eq!(changed(0), changed(0));
            seen.insert(changed(0));
        }
        assert!(seen.len() > 80, "{}", seen.len());
    }
}
