use super::*;
use snnc_plan::{Normalization, Policy};

const GRID: Grid = Grid { planes: 3, height: 8, width: 8 };

fn image() -> Vec<u8> {
    (0..GRID.planes * GRID.area()).map(|i| (i * 37 % 256) as u8).collect()
}

fn pipeline(list: &[Augment]) -> Pipeline {
    let own = Norm::bytes(Normalization::Cifar10);
    Pipeline::new(list, "test", Content::Colours, &own, 3).expect("a pipeline")
}

fn varied(list: &[Augment], draw: Draw) -> Vec<f32> {
    let mut to = vec![0.0; 192];
    pipeline(list).varied(Pixels::Bytes(image().into()), GRID, draw, &mut to);
    to
}

fn plain(list: &[Augment]) -> Vec<f32> {
    let mut to = vec![0.0; 192];
    pipeline(list).plain(&Pixels::Bytes(image().into()), GRID, &mut to);
    to
}

const DRAW: Draw = Draw { seed: 5, epoch: 1, sample: 9 };

#[test]
fn without_a_list_training_sees_what_evaluation_sees() {
    assert_eq!(varied(&[], DRAW), plain(&[]));
    let first = (0.0 - 0.4914) / 0.2023;
    assert!((plain(&[])[0] - first as f32).abs() < 1e-6);
}

#[test]
fn normalisation_holds_in_evaluation_too() {
    let list =
        [Augment::Flip { p: 1.0 }, Augment::Normalize(Normalization::Constants { mean: 0.5, std: 0.5 })];
    let values = plain(&list);
    assert_eq!(values[0], -1.0);
    assert_eq!(varied(&list, DRAW)[7], values[0]);
    assert_eq!(plain(&[Augment::Normalize(Normalization::None)])[1], 37.0 / 255.0);
}

#[test]
fn a_hole_is_black_before_and_the_mean_after_normalisation() {
    let hole = Augment::Cutout { size: 16 };
    let black = plain(&[])[0];
    assert!(varied(&[hole, Augment::Flip { p: 0.0 }], DRAW).iter().all(|&v| v <= 0.0 || v < 2.7));
    let early = varied(&[hole, Augment::Normalize(Normalization::Cifar10)], DRAW);
    assert!(early[..64].iter().filter(|&&v| v == black).count() >= 32);
    // The data set's own normalisation comes before a hole that ends the list.
    for list in [&[hole][..], &[Augment::Normalize(Normalization::Cifar10), hole]] {
        let late = varied(list, Draw { epoch: 2, ..DRAW });
        assert!(late.iter().filter(|&&v| v == 0.0).count() >= 96);
    }
}

#[test]
fn crops_shift_by_at_most_the_border() {
    let mut seen = std::collections::HashSet::new();
    for sample in 0..300 {
        let list = [Augment::PadCrop { pixels: 1 }, Augment::Normalize(Normalization::None)];
        let values = varied(&list, Draw { sample, ..DRAW });
        let expected =
            (-1..=1).flat_map(|right| (-1..=1).map(move |down| (right, down))).find(|&(right, down)| {
                let mut moved = image();
                geometry::shift(&mut moved, GRID, right, down);
                moved.iter().zip(&values).all(|(&v, &found)| (f32::from(v) / 255.0 - found).abs() < 1e-6)
            });
        seen.insert(expected.expect("a shift by at most one pixel"));
    }
    assert_eq!(seen.len(), 9);
}

#[test]
fn an_operation_behind_does_not_move_the_numbers_of_one_before() {
    let jitter = Augment::ColorJitter { strength: 0.5 };
    let none = Augment::Flip { p: 0.0 };
    assert_eq!(varied(&[jitter], DRAW), varied(&[jitter, none], DRAW));
    assert_ne!(varied(&[jitter], DRAW), varied(&[none, jitter], DRAW));
    assert_ne!(varied(&[jitter], DRAW), varied(&[jitter], Draw { epoch: 2, ..DRAW }));
}

#[test]
fn what_does_not_fit_the_data_is_named() {
    let refuse = |op, content| {
        let error = Pipeline::new(&[op], "events", content, &Norm::none(), 2);
        error.map_or_else(|e| e.to_string(), |_| String::new())
    };
    let text = refuse(Augment::AutoAugment(Policy::Cifar10), Content::Events);
    assert!(text.contains("`autoaugment` needs colours of 8 bits, data set events holds frames of events"));
    assert!(refuse(Augment::Flip { p: 0.5 }, Content::Features).contains("rows and columns"));
    assert!(refuse(Augment::Normalize(Normalization::Cifar10), Content::Reals).contains("3 channels"));
    assert!(refuse(Augment::Frames(snnc_plan::SplitBy::Time), Content::Colours).contains("needs events"));
}

#[test]
fn counts_of_events_stay_counts() {
    let counts: Vec<f32> = (0..192).map(|i| (i % 4) as f32).collect();
    let list = [Augment::Flip { p: 0.5 }, Augment::Roll { pixels: 3 }, Augment::Rotate { degrees: 30.0 }];
    let pipeline = Pipeline::new(&list, "events", Content::Events, &Norm::none(), 2).expect("a pipeline");
    let mut to = vec![0.0; 192];
    for sample in 0..50 {
        let draw = Draw { sample, ..DRAW };
        pipeline.varied(Pixels::Floats(Cow::Borrowed(&counts)), GRID, draw, &mut to);
        assert!(to.iter().all(|v| [0.0, 1.0, 2.0, 3.0].contains(v)));
    }
    pipeline.plain(&Pixels::Floats(Cow::Borrowed(&counts)), GRID, &mut to);
    assert_eq!(to, counts);
}
