//! Stochastic gradient descent: `g += decay·w; m = momentum·m + g; w −= lr·(nesterov ? g + momentum·m : m)`; the
//! first `m` is `g`. All in f32, value by value: any division among threads gives the same bits.

use super::{CHUNK, Decay, Pace, decays};
use crate::Error;
use rayon::prelude::*;
use snnc_plan::{Optimizer, ParamRole};

/// The optimiser and its directions, one per parameter.
#[derive(Clone, Debug)]
pub struct Sgd {
    momentum: f32,
    nesterov: bool,
    weight_decay: f32,
    decay: Decay,
    directions: Vec<Option<Vec<f32>>>,
}

impl Sgd {
    /// For `params` parameters; the constants of another optimiser stand for plain descent.
    pub fn new(optimizer: Optimizer, decay: Decay, params: usize) -> Sgd {
        let (momentum, nesterov, weight_decay) = match optimizer {
            Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => (momentum, nesterov, weight_decay),
            Optimizer::Adam { weight_decay, .. } => (0.0, false, weight_decay),
        };
        let (momentum, weight_decay) = (momentum as f32, weight_decay as f32);
        Sgd { momentum, nesterov, weight_decay, decay, directions: vec![None; params] }
    }

    /// The direction of a parameter; `None` before its first step and without momentum.
    pub fn direction(&self, index: usize) -> Option<&[f32]> {
        self.directions.get(index)?.as_deref()
    }

    /// Sets the direction of a parameter, to resume a run.
    ///
    /// # Errors
    /// [`Error::Internal`] where there is no such parameter.
    pub fn set_direction(&mut self, index: usize, values: Vec<f32>) -> Result<(), Error> {
        *self.slot(index)? = Some(values);
        Ok(())
    }

    fn slot(&mut self, index: usize) -> Result<&mut Option<Vec<f32>>, Error> {
        let none = || Error::Internal(format!("the optimiser has no parameter {index}"));
        self.directions.get_mut(index).ok_or_else(none)
    }

    /// Moves parameter `index`.
    ///
    /// # Errors
    /// [`Error::Internal`] where there is no such parameter or it has changed its size.
    pub fn step(
        &mut self,
        index: usize,
        role: ParamRole,
        values: &mut [f32],
        grad: &[f32],
        pace: Pace,
    ) -> Result<(), Error> {
        let (momentum, nesterov) = (self.momentum, self.nesterov);
        let Pace { lr, clip } = pace;
        let decay = if decays(self.decay, role) { self.weight_decay } else { 0.0 };
        if momentum == 0.0 {
            let chunks = values.par_chunks_mut(CHUNK).zip(grad.par_chunks(CHUNK));
            chunks.for_each(|(values, grad)| {
                values.iter_mut().zip(grad).for_each(|(w, g)| *w -= lr * (g * clip + decay * *w));
            });
            return Ok(());
        }
        let slot = self.slot(index)?;
        // −0 · momentum + g = g: the first direction is the gradient, bit for bit.
        let directions = slot.get_or_insert_with(|| vec![-0.0; values.len()]);
        if directions.len() != values.len() || grad.len() != values.len() {
            return Err(Error::Internal(format!("parameter {index} has changed its size")));
        }
        let chunks =
            values.par_chunks_mut(CHUNK).zip(grad.par_chunks(CHUNK)).zip(directions.par_chunks_mut(CHUNK));
        chunks.for_each(|((values, grad), directions)| {
            for ((w, g), m) in values.iter_mut().zip(grad).zip(directions) {
                let g = g * clip + decay * *w;
                *m = momentum * *m + g;
                *w -= lr * if nesterov { g + momentum * *m } else { *m };
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::read_tensors;
    use std::path::PathBuf;

    /// Five steps on given gradients, as PyTorch made them.
    fn meets_reference(file: &str, nesterov: bool) -> Result<(), Error> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference");
        let tensors = read_tensors(&folder.join(file))?;
        let values = |name: &str| tensors.iter().find(|t| t.name == name).map_or(&[][..], |t| &t.data);
        let optimizer = Optimizer::Sgd { lr: 0.1, momentum: 0.9, nesterov, weight_decay: 5e-4 };
        let mut sgd = Sgd::new(optimizer, Decay::All, 2);
        for (index, name) in ["a", "b"].into_iter().enumerate() {
            let mut w = values(&format!("param.{name}")).to_vec();
            let out = values(&format!("out.{name}"));
            assert_eq!(out.len(), 5 * w.len());
            for (step, expected) in out.chunks_exact(w.len()).enumerate() {
                let grad = values(&format!("in.g{step}.{name}"));
                sgd.step(
                    index,
                    ParamRole::Bias,
                    &mut w,
                    grad,
                    Pace { lr: values("out.lr")[step], clip: 1.0 },
                )?;
                let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * b.abs().max(1.0);
                assert!(w.iter().zip(expected).all(close), "{file} {name} step {step}");
            }
        }
        Ok(())
    }

    #[test]
    fn momentum_meets_pytorch() -> Result<(), Error> {
        meets_reference("opt_sgd_momentum_raw.safetensors", false)
    }

    #[test]
    fn nesterov_meets_pytorch() -> Result<(), Error> {
        meets_reference("opt_sgd_nesterov_raw.safetensors", true)
    }

    #[test]
    fn the_cosine_meets_pytorch() -> Result<(), Error> {
        use crate::optim::LearningRate;
        use snnc_plan::Schedule;
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference");
        let tensors = read_tensors(&folder.join("opt_sgd_momentum_raw.safetensors"))?;
        let rates = tensors.iter().find(|t| t.name == "out.lr").map_or(&[][..], |t| &t.data);
        let schedule = Schedule::Cosine { min_lr: 1e-3 };
        let rate = LearningRate { lr: 0.1, schedule, warmup: 0, epochs: 5 };
        assert_eq!(rates.len(), 5);
        assert!(rates.iter().enumerate().all(|(e, r)| (rate.at(e) as f32 - r).abs() < 1e-8));
        Ok(())
    }

    #[test]
    fn decay_spares_norms_and_biases_by_default() -> Result<(), Error> {
        let optimizer = Optimizer::Sgd { lr: 1.0, momentum: 0.0, nesterov: false, weight_decay: 0.5 };
        let mut sgd = Sgd::new(optimizer, Decay::default(), 1);
        let spared =
            [ParamRole::Gain, ParamRole::Shift, ParamRole::Bias, ParamRole::Neuron].map(|role| (role, 1.0));
        for (role, expected) in spared.into_iter().chain([(ParamRole::Weight, 0.5)]) {
            let mut w = [1.0];
            sgd.step(0, role, &mut w, &[0.0], Pace { lr: 1.0, clip: 1.0 })?;
            assert_eq!(w, [expected]);
        }
        Ok(())
    }
}
