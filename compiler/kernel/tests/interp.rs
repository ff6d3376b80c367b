//! What the kernel interpreter computes, and where it stops.

use SlotElem::F32;
use snnc_kernel::body::{Arith, Index, Row, Slot, SlotElem, Width, Word};
use snnc_kernel::build::{Builder, load, load_word};
use snnc_kernel::interp::run;

fn words(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Runs tasks 0 and 1 of a kernel over `x`, four numbers read, and `y`, four written.
fn result(body: impl FnOnce(&mut Builder, Slot, Slot)) -> Result<Vec<f32>, String> {
    let mut k = Builder::new("k");
    let (x, y) = (k.read("x", F32), k.write("y", F32));
    body(&mut k, x, y);
    let mut buffers = [words(&[1.0, 2.0, 3.0, -4.0]), vec![0; 4]];
    run(&k.finish(), &mut buffers, 2, 0..2).map_err(|e| e.message)?;
    Ok(buffers[1].iter().map(|w| f32::from_bits(*w)).collect())
}

#[test]
fn tasks_compute_rows() {
    let sums =
        result(|k, x, y| k.store(y, Index::Task * 2, load(x, Index::Task * 2, 2) + Row::constant(1.0, 2)));
    assert_eq!(sums, Ok(vec![2.0, 3.0, 4.0, -3.0]));
    let batch = result(|k, _, y| k.store(y, 0, Row::FromIndex(Box::new(Index::Batch), 3)));
    assert_eq!(batch, Ok(vec![2.0, 2.0, 2.0, 0.0]));
}

#[test]
fn extremes_of_zeros_and_nan() {
    let of = |op, a: f32, b: f32| {
        let row = |v| Box::new(Row::constant(v, 1));
        result(|k, _, y| k.store(y, 0, Row::Arith(op, row(a), row(b)))).map(|r| r[0].to_bits())
    };
    assert_eq!(of(Arith::Min, 0.0, -0.0), Ok((-0.0f32).to_bits()));
    assert_eq!(of(Arith::Max, -0.0, 0.0), Ok(0.0f32.to_bits()));
    assert_eq!(of(Arith::Max, f32::NAN, 1.0), Ok(f32::NAN.to_bits()));
    assert_eq!(of(Arith::Min, 2.0, 1.0), Ok(1.0f32.to_bits()));
}

#[test]
fn what_lies_outside_stops_it() {
    let far = result(|k, x, y| k.store(y, 0, load(x, Index::Task * 3, 2)));
    assert_eq!(far, Err("task 1: `x` has 4 elements, used from 3 for 2".to_string()));
    let below = result(|k, _, y| k.store(y, Index::Task - 1, Row::constant(0.0, 1)));
    assert_eq!(below, Err("task 0: `y` has 4 elements, used from -1 for 1".to_string()));
}

#[test]
fn what_was_never_set_stops_it() {
    let scratch = result(|k, x, y| {
        let t = k.scratch("t", 8);
        k.store(t, 0, load(x, 0, 4));
        k.store(y, 0, load(t, 1, 4));
    });
    assert_eq!(scratch, Err("task 0: `t` is read at 1 and was never set".to_string()));
    let earlier = result(|k, x, y| {
        let t = k.scratch("t", 8);
        k.for_range("once", Index::Task, 1, |k, _| k.store(t, 0, load(x, 0, 1)));
        k.store(y, 0, load(t, 0, 1));
    });
    assert_eq!(earlier, Err("task 1: `t` is read at 0 and was never set".to_string()), "tasks share nothing");
}

#[test]
fn what_has_no_value_stops_it() {
    let divided =
        result(|k, _, y| k.store(y, Index::Div(Box::new(Index::Task - 1), 2), Row::constant(0.0, 1)));
    assert_eq!(divided, Err("task 0: a division of -1".to_string()));
    let large = result(|k, _, y| k.store(y, Index::Task * i64::MAX * 4, Row::constant(0.0, 1)));
    assert_eq!(large, Err("task 1: an index overflows".to_string()));
    let mut k = Builder::new("k");
    let s = k.write("s", SlotElem::Bits);
    let word = load_word(s, 0, Width::Half);
    k.store_word(s, 0, Word::Shr(Box::new(word), Box::new(Index::Task * 64)), Width::Full);
    let error = run(&k.finish(), &mut [vec![0; 2]], 1, 0..2).expect_err("a shift by 64");
    assert_eq!(error.to_string(), "kernel @k: task 1: a shift by 64");
}
