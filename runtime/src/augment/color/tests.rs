//! Known answers, made with Pillow 13.0: a random image of 4×4 pixels, planes R, G, B.

use super::*;

const IMAGE: [u8; 48] = [
    248, 207, 237, 211, 5, 60, 109, 82, 36, 222, 8, 15, 144, 24, 11, 104, 194, 147, 21, 239, 157, 54, 46, 32,
    7, 57, 149, 22, 208, 7, 85, 225, 190, 26, 245, 45, 159, 236, 199, 205, 134, 146, 14, 10, 24, 41, 59, 110,
];
const BRIGHT: [u8; 48] = [
    255, 255, 255, 255, 8, 97, 177, 133, 58, 255, 13, 24, 234, 39, 17, 169, 255, 239, 34, 255, 255, 88, 74,
    52, 11, 92, 242, 35, 255, 11, 138, 255, 255, 42, 255, 73, 255, 255, 255, 255, 218, 237, 22, 16, 39, 66,
    96, 179,
];
const DULL: [u8; 48] = [
    91, 76, 87, 78, 1, 22, 40, 30, 13, 82, 2, 5, 53, 8, 4, 38, 71, 54, 7, 88, 58, 19, 17, 11, 2, 21, 55, 8,
    76, 2, 31, 83, 70, 9, 90, 16, 58, 87, 73, 75, 49, 54, 5, 3, 8, 15, 21, 40,
];
const CONTRAST: [u8; 48] = [
    255, 255, 255, 255, 0, 32, 110, 67, 0, 255, 0, 0, 166, 0, 0, 102, 246, 171, 0, 255, 187, 22, 10, 0, 0,
    27, 174, 0, 255, 0, 72, 255, 240, 0, 255, 8, 190, 255, 254, 255, 150, 170, 0, 0, 0, 2, 30, 112,
];
const GREYISH: [u8; 48] = [
    221, 167, 148, 209, 79, 71, 90, 71, 31, 147, 66, 17, 160, 18, 45, 154, 205, 149, 84, 218, 125, 70, 71,
    56, 23, 98, 108, 19, 180, 13, 67, 190, 204, 113, 151, 159, 126, 124, 117, 108, 61, 125, 67, 16, 124, 23,
    59, 156,
];
const COLOURFUL: [u8; 48] = [
    255, 255, 255, 212, 0, 44, 133, 95, 41, 255, 0, 11, 122, 31, 0, 39, 179, 143, 0, 255, 197, 33, 13, 0, 0,
    3, 201, 24, 244, 0, 107, 255, 172, 0, 255, 0, 201, 255, 255, 255, 227, 173, 0, 1, 0, 63, 58, 50,
];
const SHARP: [u8; 48] = [
    248, 207, 237, 211, 5, 18, 97, 82, 36, 255, 0, 15, 144, 24, 11, 104, 194, 147, 21, 239, 157, 29, 21, 32,
    7, 39, 194, 22, 208, 7, 85, 225, 190, 26, 245, 45, 159, 255, 244, 205, 134, 166, 0, 10, 24, 41, 59, 110,
];
const SMOOTH: [u8; 48] = [
    248, 207, 237, 211, 5, 101, 120, 82, 36, 126, 46, 15, 144, 24, 11, 104, 194, 147, 21, 239, 157, 78, 70,
    32, 7, 75, 103, 22, 208, 7, 85, 225, 190, 26, 245, 45, 159, 182, 153, 205, 134, 125, 76, 10, 24, 41, 59,
    110,
];
const POSTER: [u8; 48] = [
    248, 200, 232, 208, 0, 56, 104, 80, 32, 216, 8, 8, 144, 24, 8, 104, 192, 144, 16, 232, 152, 48, 40, 32,
    0, 56, 144, 16, 208, 0, 80, 224, 184, 24, 240, 40, 152, 232, 192, 200, 128, 144, 8, 8, 24, 40, 56, 104,
];
const SOLAR: [u8; 48] = [
    7, 48, 18, 44, 5, 60, 109, 82, 36, 33, 8, 15, 111, 24, 11, 104, 61, 108, 21, 16, 98, 54, 46, 32, 7, 57,
    106, 22, 47, 7, 85, 30, 65, 26, 10, 45, 96, 19, 56, 50, 121, 109, 14, 10, 24, 41, 59, 110,
];
const AUTO: [u8; 48] = [
    255, 211, 243, 216, 0, 57, 109, 80, 32, 227, 3, 10, 145, 19, 6, 103, 205, 153, 15, 254, 164, 51, 42, 27,
    0, 54, 156, 16, 220, 0, 85, 239, 195, 17, 255, 37, 161, 245, 205, 211, 134, 147, 4, 0, 15, 33, 53, 108,
];

const GRID: Grid = Grid { planes: 3, height: 4, width: 4 };

fn changed(change: impl Fn(&mut [u8])) -> [u8; 48] {
    let mut pixels = IMAGE;
    change(&mut pixels);
    pixels
}

#[test]
fn enhancers_are_pillows() {
    assert_eq!(changed(|v| brightness(v, 1.63)), BRIGHT);
    assert_eq!(changed(|v| brightness(v, 0.37)), DULL);
    assert_eq!(changed(|v| contrast(v, GRID, 1.6)), CONTRAST);
    assert_eq!(changed(|v| saturation(v, GRID, 0.3)), GREYISH);
    assert_eq!(changed(|v| saturation(v, GRID, 1.9)), COLOURFUL);
    assert_eq!(changed(|v| sharpness(v, GRID, 1.9)), SHARP);
    assert_eq!(changed(|v| sharpness(v, GRID, 0.1)), SMOOTH);
}

#[test]
fn tables_are_pillows() {
    assert_eq!(changed(|v| posterize(v, 5)), POSTER);
    assert_eq!(changed(|v| solarize(v, 113.0)), SOLAR);
    assert_eq!(changed(|v| autocontrast(v, GRID)), AUTO);
    assert_eq!(changed(|v| posterize(v, 8)), IMAGE);
    assert_eq!(changed(|v| brightness(v, 1.0)), IMAGE);
    let mut twice = IMAGE;
    invert(&mut twice);
    assert_eq!(twice[0], 255 - IMAGE[0]);
    invert(&mut twice);
    assert_eq!(twice, IMAGE);
    // Sixteen pixels are fewer than 255 steps: Pillow leaves them.
    assert_eq!(changed(|v| equalize(v, GRID)), IMAGE);
}

#[test]
fn a_histogram_becomes_even_as_pillows() {
    let counts = [
        22, 28, 19, 19, 24, 19, 29, 24, 30, 24, 27, 36, 28, 19, 20, 33, 19, 25, 23, 32, 15, 34, 23, 31, 26,
        26, 29, 28, 30, 36, 29, 27, 21, 20, 15, 25, 20, 34, 37, 18,
    ];
    let even = [
        0, 7, 17, 23, 29, 37, 44, 53, 61, 71, 79, 88, 100, 110, 116, 123, 134, 140, 148, 156, 167, 172, 183,
        191, 201, 210, 218, 228, 237, 247, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    ];
    let filled = |values: &[u8]| -> Vec<u8> {
        counts.iter().zip(values).flat_map(|(&n, &v)| std::iter::repeat_n(v, n)).collect()
    };
    let mut pixels = filled(&(100..140).collect::<Vec<u8>>());
    equalize(&mut pixels, Grid { planes: 1, height: 32, width: 32 });
    assert_eq!(pixels, filled(&even));
}
