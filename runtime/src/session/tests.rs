//! The executor on hand-made plans.

#![allow(unsafe_code)]

use super::*;
use crate::npy::Array;
use crate::testing::{PlanBuilder, linear_model};
use crate::{evaluate, initialise, predict};
use snnc_plan::{KernelArgs, ParamRole, Probe, Tasks};

/// Adds 1 to `y[task]` and writes the task's number to scratch, twice.
unsafe extern "C" fn mark(args: *const KernelArgs, begin: usize, end: usize) {
    for task in begin..end {
        // SAFETY: `y` has a value for each task; the scratch holds 16 words.
        unsafe {
            let scratch = std::slice::from_raw_parts_mut((*args).scratch.cast::<usize>(), 16);
            scratch.fill(task);
            *(*(*args).buffers).cast::<f32>().add(task) += if scratch[15] == task { 1.0 } else { 100.0 };
        }
    }
}

#[test]
fn each_task_runs_once_for_any_number_of_threads() -> Result<(), Error> {
    for (threads, batch) in [(1, 5), (2, 1), (3, 100), (4, 7)] {
        let mut builder = PlanBuilder::new(PlanMode::Infer, 32);
        let y = builder.input("y", &[32], false);
        builder.plan.logits = y;
        let step = builder.kernel(mark, &[y], Tasks::per_samples(1, 32), 128);
        builder.plan.forward.push(step);
        let mut session = Session::new(builder.finish(), 100, threads)?;
        session.set_inputs(batch, |_, to| {
            to.fill(2.0);
            Ok(())
        })?;
        session.run_forward()?;
        assert_eq!(session.logits()?, vec![3.0; 32 * batch]);
    }
    Ok(())
}

#[test]
fn inputs_with_time_are_laid_out_time_first_and_checked() -> Result<(), Error> {
    let mut builder = PlanBuilder::new(PlanMode::Infer, 6);
    builder.plan.logits = builder.input("x", &[3, 2], true);
    builder.plan.inputs[0].spikes = true;
    let mut session = Session::new(builder.finish(), 2, 1)?;
    let samples = [[0.0, 1.0, 0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]];
    let fill = |slot: usize, to: &mut [f32]| {
        to.copy_from_slice(&samples[slot]);
        Ok(())
    };
    session.set_inputs(2, fill)?;
    let expected = [0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0];
    assert_eq!(session.logits()?, expected);
    // An array [T, N, …] is what the buffer holds.
    let array = Array { shape: vec![3, 2, 2], data: expected.to_vec() };
    assert_eq!(predict(&mut session, &array)?.shape, [2, 6]);
    assert_eq!(session.logits()?, expected);
    let message = |r: Result<(), Error>| r.map_or_else(|e| e.to_string(), |()| String::new());
    assert!(message(session.set_inputs(3, fill)).contains("1 to 2 samples"));
    let half = session.set_inputs(1, |_, to| {
        to.fill(0.5);
        Ok(())
    });
    assert!(message(half).contains("holds 0.5: spikes are 0 or 1"));
    assert!(predict(&mut session, &Array { shape: vec![4, 2, 2], data: vec![0.0; 16] }).is_err());
    Ok(())
}

#[test]
fn padding_is_not_counted_as_spikes() -> Result<(), Error> {
    let mut builder = PlanBuilder::new(PlanMode::Infer, 1);
    let bits = builder.input("bits", &[16], false);
    builder.plan.logits = bits;
    builder.plan.probes.push(Probe {
        layer: "lif".to_string(),
        neurons: 60,
        words: 1,
        steps: 2,
        pooled: false,
    });
    builder.plan.forward.push(Step::Count { probe: 0, buffer: bits });
    let mut session = Session::new(builder.finish(), 3, 2)?;
    // Each sample fills 8 words with ones; of 3 samples 3 · 2 words are counted.
    let ones = f32::from_bits(u32::MAX >> 9);
    session.set_inputs(3, |_, to| {
        to.fill(ones);
        Ok(())
    })?;
    session.run_forward()?;
    let expected = f64::from(3 * 2 * 2 * ones.to_bits().count_ones()) / f64::from(3 * 2 * 60);
    assert_eq!(session.firing_rates().0, [("lif".to_string(), expected)]);
    // The buffer itself has 16 halves of words for each sample.
    assert_eq!(session.set_bits(bits)?, 3 * 16 * u64::from(ones.to_bits().count_ones()));
    session.reset_rates();
    assert_eq!(session.firing_rates().0[0].1, 0.0);
    Ok(())
}

#[test]
fn parameters_are_prepared_again_after_a_change() -> Result<(), Error> {
    let mut session = Session::new(linear_model().infer, 2, 2)?;
    session.start_profile();
    session.set_param("fc.bias", &[1.0; 10])?;
    let fill = |_: usize, to: &mut [f32]| {
        to.fill(1.0);
        Ok(())
    };
    for (weight, expected) in [(0.5, 33.0), (0.25, 17.0)] {
        session.set_param("fc.weight", &[weight; 640])?;
        for _ in 0..2 {
            session.set_inputs(1, fill)?;
            session.run_forward()?;
            assert_eq!(session.logits()?, [expected; 10]);
        }
    }
    let calls: Vec<u64> = session.profile().iter().map(|row| row.calls).collect();
    assert_eq!(calls, [2, 4, 4, 4]);
    assert!(session.set_param("fc.bias", &[0.0]).is_err());
    assert!(session.param("fc.weigth").is_err_and(|e| e.to_string().contains("no parameter `fc.weigth`")));
    assert!(session.run_backward().is_err());
    assert!(session.loss().is_err());
    assert!(session.set_labels(&[0]).is_err());
    Ok(())
}

#[test]
fn gradients_are_slopes_of_the_loss() -> Result<(), Error> {
    let mut session = Session::new(linear_model().train, 4, 2)?;
    initialise(&mut session, 1)?;
    let data = crate::data::open("digits")?;
    let loss = |session: &mut Session| {
        session.set_inputs(4, |slot, to| data.train.write_sample(slot, to))?;
        session.set_labels(&data.train.labels()[..4])?;
        session.run_forward()?;
        session.loss()
    };
    loss(&mut session)?;
    session.run_backward()?;
    let (weight, grad) = (session.param("fc.weight")?.to_vec(), session.grad("fc.weight")?.to_vec());
    for at in [2, 74, 300] {
        let mut moved = weight.clone();
        moved[at] += 0.05;
        session.set_param("fc.weight", &moved)?;
        let above = loss(&mut session)?;
        moved[at] -= 0.1;
        session.set_param("fc.weight", &moved)?;
        let slope = (above - loss(&mut session)?) / 0.1;
        assert!((slope - grad[at]).abs() < 1e-3, "{slope} for {}", grad[at]);
    }
    assert!(session.set_labels(&[0, 1, 2, 10]).is_err_and(|e| e.to_string().contains("label 10")));
    assert!(session.set_labels(&[0]).is_err());
    assert!(session.grad("seen.running_mean").is_err());
    Ok(())
}

#[test]
fn more_memory_than_the_machine_has_is_refused_with_what_fits() -> Result<(), Error> {
    if crate::memory::available().is_none() {
        return Ok(());
    }
    let mut builder = PlanBuilder::new(PlanMode::Infer, 1);
    builder.plan.logits = builder.input("x", &[1 << 20], false);
    let found = Session::new(builder.finish(), 1 << 30, 1).map(|_| ());
    assert!(found.is_err_and(|e| matches!(&e, Error::Memory { .. }) && e.to_string().contains("fits")));
    Ok(())
}

#[test]
fn broken_plans_are_refused() {
    let build = |change: fn(&mut PlanBuilder)| {
        let mut builder = PlanBuilder::new(PlanMode::Infer, 1);
        builder.plan.logits = builder.input("x", &[4], false);
        builder.param("w", &[4], ParamRole::Weight);
        change(&mut builder);
        Session::new(builder.finish(), 1, 1).map_or_else(|e| e.exit_code(), |_| 0)
    };
    assert_eq!(build(|_| ()), 0);
    assert_eq!(build(|b| b.plan.inputs.clear()), 101);
    assert_eq!(build(|b| b.plan.params[0].shape = vec![4, 100]), 101);
    assert_eq!(build(|b| b.plan.arena.fixed = 0), 101);
    assert_eq!(build(|b| b.plan.logits = BufferId(9)), 101);
}

#[test]
fn evaluation_does_not_depend_on_the_batch() -> Result<(), Error> {
    let data = crate::data::open("digits")?;
    let mut found = Vec::new();
    for batch in [1, 16] {
        let mut session = Session::new(linear_model().infer, batch, 2)?;
        initialise(&mut session, 0)?;
        let result = evaluate(&mut session, &data.test, Some(37), &mut crate::progress::Silent)?;
        found.push((
            result.test_accuracy,
            (result.test_loss * 1e5).round(),
            result.firing_rates,
            result.samples,
        ));
    }
    assert_eq!(found[0], found[1]);
    assert!((0.2..0.5).contains(&found[0].2.0[0].1));
    Ok(())
}

/// A session of the linear classifier with a batch of digits.
fn digits(weight: f32) -> Result<Session, Error> {
    let mut session = Session::new(linear_model().train, 32, 2)?;
    initialise(&mut session, 0)?;
    session.set_param("fc.weight", &[weight; 640])?;
    let data = crate::data::open("digits")?.train;
    session.forget()?;
    session.set_inputs(32, |slot, to| data.write_sample(slot, to))?;
    session.set_labels(&data.labels()[..32])?;
    Ok(session)
}

#[test]
fn the_first_layer_that_is_not_finite_is_named() -> Result<(), Error> {
    assert_eq!(digits(0.1)?.first_not_finite(true)?, None);
    assert_eq!(digits(f32::INFINITY)?.first_not_finite(true)?.as_deref(), Some("parameter `fc.weight`"));
    assert_eq!(digits(1e38)?.first_not_finite(false)?.as_deref(), Some("layer `fc`"));
    // What an earlier step left does not hide it.
    let mut session = digits(1e38)?;
    session.run_forward()?;
    session.forget()?;
    let data = crate::data::open("digits")?.train;
    session.set_inputs(32, |slot, to| data.write_sample(slot, to))?;
    assert_eq!(session.first_not_finite(false)?.as_deref(), Some("layer `fc`"));
    Ok(())
}

#[test]
fn single_neurons_fire_as_often_as_their_layer() -> Result<(), Error> {
    let mut session = digits(0.1)?;
    session.watch_neurons(true);
    session.reset_rates();
    session.run_forward()?;
    session.run_forward()?;
    let (spread, rate) = (session.neuron_rates(), session.mean_rate());
    let [(layer, spread)] = spread.as_slice() else { panic!("one layer") };
    assert_eq!((layer.as_str(), spread.num), ("bright", 64.0));
    assert!(rate.is_some_and(|rate| (rate - spread.sum / 64.0).abs() < 1e-12 && rate > 0.1));
    // Pixels in the corners are never bright; none is in every image.
    assert!(spread.counts[0] > 4.0 && spread.range.0 == 0.0 && spread.range.1 < 1.0, "{spread:?}");
    session.watch_neurons(false);
    assert!(session.neuron_rates().is_empty());
    Ok(())
}

#[test]
fn norms_of_gradients_are_those_of_their_values() -> Result<(), Error> {
    let mut session = digits(0.1)?;
    session.run_forward()?;
    session.run_backward()?;
    let (norms, all) = session.grad_norms()?;
    let norm = |name: &str| -> Result<f64, Error> {
        Ok(session.grad(name)?.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt())
    };
    for (found, expected) in norms.iter().zip([norm("fc.weight")?, norm("fc.bias")?]) {
        assert!((found - expected).abs() < 1e-12 && expected > 0.0);
    }
    assert!((all - norms[0].hypot(norms[1])).abs() < 1e-12);
    Ok(())
}
