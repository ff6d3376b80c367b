//! A linear classifier of digits as a hand-made plan: dense products, and kernels written in Rust.
//!
//! The input is also cut into "spikes" (pixels above a half), whose rate is counted, and a running mean of the
//! number of samples seen stands for running statistics.

#![allow(unsafe_code)]

use super::PlanBuilder;
use snnc_plan::*;

const PIXELS: usize = 64;
const CLASSES: usize = 10;

/// The classifier compiled for training and for inference.
pub struct LinearModel {
    pub train: Executable,
    pub infer: Executable,
}

/// The classifier.
pub fn linear_model() -> LinearModel {
    LinearModel { train: build(PlanMode::Train), infer: build(PlanMode::Infer) }
}

fn build(mode: PlanMode) -> Executable {
    let mut b = PlanBuilder::new(mode, CLASSES);
    let image = b.input("image", &[1, 8, 8], false);
    let (w, dw) = b.param("fc.weight", &[CLASSES, PIXELS], ParamRole::Weight);
    let (bias, dbias) = b.param("fc.bias", &[CLASSES], ParamRole::Bias);
    let (seen, next) = b.param("seen.running_mean", &[1], ParamRole::RunningMean);
    let (ready, y, bits) =
        (b.fixed("fc.ready", CLASSES * PIXELS), b.sample("fc", CLASSES), b.sample("bits", 2));
    b.plan.logits = y;
    b.plan.probes.push(Probe {
        layer: "bright".to_string(),
        neurons: PIXELS,
        words: 1,
        steps: 1,
        pooled: false,
    });
    let copy = b.kernel(copy_rows, &[w, ready], Tasks::fixed(CLASSES), 0);
    b.plan.prepare.push(copy);
    let sizes = (1, PIXELS, CLASSES);
    let op = Dense::Linear { sizes, x: image, w: ready, bias: Some(bias), y };
    b.plan.forward.push(Step::Dense { name: "fc".to_string(), op });
    let cut = b.kernel(cut_bright, &[image, bits], Tasks::per_samples(1, 1), 8);
    b.plan.forward.extend([cut, Step::Count { probe: 0, buffer: bits }]);
    if let (Some(dw), Some(dbias), Some(next)) = (dw, dbias, next) {
        let (labels, loss, dy) = (b.labels(), b.fixed("loss", 1), b.sample("fc.dy", CLASSES));
        b.plan.loss = Some(loss);
        let entropy = b.kernel(cross_entropy, &[y, labels, loss, dy], Tasks::fixed(1), 0);
        let count = b.kernel(running_mean, &[seen, next], Tasks::fixed(1), 0);
        b.plan.forward.extend([entropy, count]);
        let op = Dense::LinearGradWeight { sizes, x: image, dy, dw };
        b.plan.backward.push(Step::Dense { name: "fc.dw".to_string(), op });
        let sum = b.kernel(sum_rows, &[dy, dbias], Tasks::fixed(1), 0);
        b.plan.backward.push(sum);
    }
    b.finish()
}

/// A buffer of a call as values.
///
/// # Safety
/// The step's plan must give argument `index` at least `len` values of `T`, and nobody else may use them.
unsafe fn buffer<'a, T>(args: *const KernelArgs, index: usize, len: usize) -> &'a mut [T] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut((*(*args).buffers.add(index)).cast(), len) }
}

unsafe extern "C" fn copy_rows(args: *const KernelArgs, begin: usize, end: usize) {
    // SAFETY: both hold CLASSES rows; a task touches its own rows only.
    unsafe {
        let from = (*(*args).buffers).cast::<f32>();
        let to = (*(*args).buffers.add(1)).cast::<f32>();
        std::ptr::copy_nonoverlapping(
            from.add(begin * PIXELS),
            to.add(begin * PIXELS),
            (end - begin) * PIXELS,
        );
    }
}

unsafe extern "C" fn cut_bright(args: *const KernelArgs, begin: usize, end: usize) {
    for sample in begin..end {
        // SAFETY: a sample has PIXELS values and one word; the scratch holds 8 bytes, a word.
        unsafe {
            let image = (*(*args).buffers).cast::<f32>().add(sample * PIXELS);
            let word = (*args).scratch.cast::<u64>();
            *word = (0..PIXELS).fold(0, |word, i| word | u64::from(*image.add(i) > 0.5) << i);
            *(*(*args).buffers.add(1)).cast::<u64>().add(sample) = *word;
        }
    }
}

unsafe extern "C" fn cross_entropy(args: *const KernelArgs, _begin: usize, _end: usize) {
    // SAFETY: sizes as in `build`; the kernel has one task.
    let (batch, y, labels, loss, dy) = unsafe {
        let batch = (*args).batch;
        let (y, labels) = (buffer::<f32>(args, 0, batch * CLASSES), buffer::<i32>(args, 1, batch));
        (batch, y, labels, buffer::<f32>(args, 2, 1), buffer::<f32>(args, 3, batch * CLASSES))
    };
    loss[0] = 0.0;
    for ((y, dy), &label) in y.chunks(CLASSES).zip(dy.chunks_mut(CLASSES)).zip(labels.iter()) {
        let top = y.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = y.iter().map(|v| (v - top).exp()).sum();
        loss[0] += (sum.ln() + top - y[label as usize]) / batch as f32;
        dy.iter_mut().zip(y).for_each(|(dy, v)| *dy = (*v - top).exp() / sum / batch as f32);
        dy[label as usize] -= 1.0 / batch as f32;
    }
}

unsafe extern "C" fn running_mean(args: *const KernelArgs, _begin: usize, _end: usize) {
    // SAFETY: both hold one value; the kernel has one task.
    unsafe { buffer::<f32>(args, 1, 1)[0] = 0.9 * buffer::<f32>(args, 0, 1)[0] + 0.1 * (*args).batch as f32 };
}

unsafe extern "C" fn sum_rows(args: *const KernelArgs, _begin: usize, _end: usize) {
    // SAFETY: sizes as in `build`; the kernel has one task.
    let (dy, to) =
        unsafe { (buffer::<f32>(args, 0, (*args).batch * CLASSES), buffer::<f32>(args, 1, CLASSES)) };
    to.fill(0.0);
    dy.chunks(CLASSES).for_each(|dy| to.iter_mut().zip(dy).for_each(|(to, v)| *to += v));
}
