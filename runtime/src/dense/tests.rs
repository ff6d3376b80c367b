//! Each dense product against loops written from its definition, on 1 and 3 threads.

use super::*;
use crate::rng::{Purpose, Rng};
use crate::testing::PlanBuilder;
use snnc_plan::{ConvGeometry, PlanMode, Step};

const BATCH: usize = 3;
const IMAGES: usize = 2;

/// Runs one product: operands by length and values, the result by its length. All buffers but the result are fixed.
fn run_product(
    threads: usize,
    operands: &[&[f32]],
    result: usize,
    op: impl Fn(&[BufferId], BufferId) -> Dense,
) -> Result<Vec<f32>, Error> {
    let mut builder = PlanBuilder::new(PlanMode::Infer, 1);
    let ids: Vec<BufferId> = operands.iter().map(|values| builder.fixed("x", values.len())).collect();
    let to = builder.fixed("y", result);
    let op = op(&ids, to);
    builder.plan.forward.push(Step::Dense { name: "dense".to_string(), op: op.clone() });
    let exe = builder.finish();
    let workers = Workers::new(threads, scratch_floats(&op) * 4)?;
    let (mut arena, mut shared) = (Arena::new(exe.plan.arena.fixed)?, vec![0.0; shared_floats(&op, BATCH)]);
    let mut context =
        Context { plan: &exe.plan, arena: &mut arena, shared: &mut shared, workers: &workers, batch: BATCH };
    for (id, values) in ids.iter().zip(operands) {
        let span = context.span(*id);
        context.arena.f32_mut(span)?[..values.len()].copy_from_slice(values);
    }
    // What a buffer held before must not matter.
    let span = context.span(to);
    context.arena.f32_mut(span)?.fill(f32::NAN);
    workers.install(|| run(&op, &mut context))?;
    Ok(context.arena.f32(span)?[..result].to_vec())
}

fn noise(len: usize, key: u64) -> Vec<f32> {
    let mut rng = Rng::new(5, Purpose::Test, key);
    (0..len).map(|_| rng.uniform() - 0.5).collect()
}

fn assert_close(what: &str, found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(*a) - b).abs() < 1e-4 * b.abs().max(1.0), "{what}: {a} for {b} at {at}");
    }
}

/// Compares with the definition, and 3 threads with 1.
fn check(
    what: &str,
    operands: &[&[f32]],
    expected: &[f64],
    op: impl Fn(&[BufferId], BufferId) -> Dense,
) -> Result<(), Error> {
    let one = run_product(1, operands, expected.len(), &op)?;
    assert_close(what, &one, expected);
    let three = run_product(3, operands, expected.len(), &op)?;
    assert!(
        one.iter().zip(&three).all(|(a, b)| a.to_bits() == b.to_bits()),
        "{what}: threads change the result"
    );
    Ok(())
}

/// Geometries: plain, strided, pointwise, strided pointwise, rectangular, wide padding, kernel as large as the image.
fn geometries() -> Vec<ConvGeometry> {
    let make =
        |(ci, h, w): (usize, usize, usize), co: usize, kernel: (usize, usize), stride: usize, pad: usize| {
            let out = |n: usize, k: usize| (n + 2 * pad - k) / stride + 1;
            let output = (co, out(h, kernel.0), out(w, kernel.1));
            ConvGeometry { input: (ci, h, w), output, kernel, stride, pad }
        };
    vec![
        make((3, 8, 8), 5, (3, 3), 1, 1),
        make((4, 9, 7), 6, (3, 3), 2, 1),
        make((7, 5, 6), 4, (1, 1), 1, 0),
        make((3, 6, 5), 4, (1, 1), 2, 0),
        make((2, 7, 10), 3, (2, 5), 1, 1),
        make((2, 6, 8), 3, (4, 1), 3, 2),
        make((2, 4, 4), 3, (3, 3), 1, 3),
        make((3, 4, 5), 2, (4, 5), 1, 0),
        make((5, 20, 20), 3, (3, 3), 1, 1),
        make((32, 10, 18), 33, (3, 3), 1, 1),
        make((33, 7, 9), 32, (3, 3), 1, 0),
        make((32, 5, 4), 35, (3, 3), 1, 2),
        make((34, 6, 5), 32, (3, 3), 1, 1),
        make((40, 8, 8), 32, (3, 3), 1, 1),
    ]
}

/// Every product term: positions in x, w (`[Co Kh Kw Ci]`), y, and in the logical weight `[Co Ci Kh Kw]`.
fn each_term(g: &ConvGeometry, images: usize, mut term: impl FnMut(usize, usize, usize, usize)) {
    let ((ci, h, w), (co, ho, wo), (kh, kw)) = (g.input, g.output, g.kernel);
    let indices = |dims: &[usize]| -> Vec<Vec<usize>> {
        dims.iter().fold(vec![vec![]], |all, &n| {
            all.iter().flat_map(|v| (0..n).map(move |i| [v.as_slice(), &[i]].concat())).collect()
        })
    };
    for v in indices(&[images, ho, wo, co, kh, kw]) {
        let [n, yo, xo, o, ky, kx] = v[..] else { continue };
        let (Some(y), Some(x)) =
            ((yo * g.stride + ky).checked_sub(g.pad), (xo * g.stride + kx).checked_sub(g.pad))
        else {
            continue;
        };
        if y >= h || x >= w {
            continue;
        }
        for i in 0..ci {
            let at_x = ((n * h + y) * w + x) * ci + i;
            let at_w = ((o * kh + ky) * kw + kx) * ci + i;
            let at_y = ((n * ho + yo) * wo + xo) * co + o;
            term(at_x, at_w, at_y, ((o * ci + i) * kh + ky) * kw + kx);
        }
    }
}

/// The gradient of an input from that of the output and the weight.
fn grad_input(geometry: ConvGeometry) -> impl Fn(&[BufferId], BufferId) -> Dense {
    move |at, dx| Dense::ConvGradInput { geometry, images: IMAGES, dy: at[0], w: at[1], dx }
}

#[test]
fn convolutions_meet_their_definition() -> Result<(), Error> {
    for geometry in geometries() {
        let n = BATCH * IMAGES;
        let ((ci, h, w), (co, ho, wo), (kh, kw)) = (geometry.input, geometry.output, geometry.kernel);
        let (nx, nw, ny) = (n * h * w * ci, co * kh * kw * ci, n * ho * wo * co);
        let (x, wt, dy, bias) = (noise(nx, 1), noise(nw, 2), noise(ny, 3), noise(co, 4));
        let (mut y, mut dx, mut dw) = (vec![0.0; ny], vec![0.0; nx], vec![0.0; nw]);
        each_term(&geometry, n, |at_x, at_w, at_y, at_dw| {
            y[at_y] += f64::from(x[at_x]) * f64::from(wt[at_w]);
            dx[at_x] += f64::from(dy[at_y]) * f64::from(wt[at_w]);
            dw[at_dw] += f64::from(dy[at_y]) * f64::from(x[at_x]);
        });
        let name = format!("{geometry:?}");
        check(&name, &[&x, &wt], &y, |at, y| Dense::Conv {
            geometry,
            images: IMAGES,
            x: at[0],
            w: at[1],
            bias: None,
            y,
        })?;
        let biased: Vec<f64> = y.iter().enumerate().map(|(i, v)| v + f64::from(bias[i % co])).collect();
        check(&name, &[&x, &wt, &bias], &biased, |at, y| Dense::Conv {
            geometry,
            images: IMAGES,
            x: at[0],
            w: at[1],
            bias: Some(at[2]),
            y,
        })?;
        check(&name, &[&dy, &wt], &dx, grad_input(geometry))?;
        check(&name, &[&x, &dy], &dw, |at, dw| Dense::ConvGradWeight {
            geometry,
            images: IMAGES,
            x: at[0],
            dy: at[1],
            dw,
        })?;
    }
    Ok(())
}

#[test]
fn linear_products_meet_their_definition() -> Result<(), Error> {
    for (ci, co, rows) in [(5, 7, IMAGES), (1, 1, 1), (40, 300, 60)] {
        let n = BATCH * rows;
        let (x, w, dy, bias) = (noise(n * ci, 1), noise(co * ci, 2), noise(n * co, 3), noise(co, 4));
        let mut y: Vec<f64> = (0..n * co).map(|i| f64::from(bias[i % co])).collect();
        let (mut dx, mut dw) = (vec![0.0; n * ci], vec![0.0; co * ci]);
        for (r, o, i) in (0..n).flat_map(|r| (0..co).flat_map(move |o| (0..ci).map(move |i| (r, o, i)))) {
            y[r * co + o] += f64::from(x[r * ci + i]) * f64::from(w[o * ci + i]);
            dx[r * ci + i] += f64::from(dy[r * co + o]) * f64::from(w[o * ci + i]);
            dw[o * ci + i] += f64::from(dy[r * co + o]) * f64::from(x[r * ci + i]);
        }
        let sizes = (rows, ci, co);
        check("linear", &[&x, &w, &bias], &y, |at, y| Dense::Linear {
            sizes,
            x: at[0],
            w: at[1],
            bias: Some(at[2]),
            y,
        })?;
        check("dx", &[&dy, &w], &dx, |at, dx| Dense::LinearGradInput { sizes, dy: at[0], w: at[1], dx })?;
        check("dw", &[&x, &dy], &dw, |at, dw| Dense::LinearGradWeight { sizes, x: at[0], dy: at[1], dw })?;
    }
    Ok(())
}

#[test]
fn a_buffer_that_is_too_small_is_an_error() {
    let sizes = (4, 8, 8);
    let found = run_product(1, &[&[0.0; 8], &[0.0; 64]], 96, |at, y| {
        let (x, w) = (at[0], at[1]);
        Dense::Linear { sizes, x, w, bias: None, y }
    });
    assert!(found.is_err_and(|e| e.exit_code() == 101));
}

/// Larger tiles save more products and lose digits: six of seven stay, over 256 channels.
#[test]
fn tiles_keep_six_digits() -> Result<(), Error> {
    let geometry = ConvGeometry { input: (32, 4, 4), output: (256, 4, 4), kernel: (3, 3), stride: 1, pad: 1 };
    let n = BATCH * IMAGES;
    let (w, dy) = (noise(256 * 32 * 9, 2), noise(n * 256 * 16, 3));
    let mut dx = vec![0.0; n * 32 * 16];
    each_term(&geometry, n, |at_x, at_w, at_y, _| dx[at_x] += f64::from(dy[at_y]) * f64::from(w[at_w]));
    let found = run_product(2, &[&dy, &w], dx.len(), grad_input(geometry))?;
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let error =
        norm(&mut found.iter().zip(&dx).map(|(a, b)| f64::from(*a) - b)) / norm(&mut dx.iter().copied());
    assert!(error < 2e-6, "{error}");
    Ok(())
}
