//! Adam and AdamW: `m += (1 − β₁)·(g − m); v = β₂·v + (1 − β₂)·g²; w −= lr·m̂/(√v̂ + eps)` with bias-corrected moments.
//! The decay is added to the gradient, or, decoupled, taken from the parameter first. Value by value in f32: any
//! division among threads gives the same bits.

use super::{CHUNK, Decay, Pace, decays};
use crate::Error;
use rayon::prelude::*;
use snnc_plan::{Optimizer, ParamRole};

/// The optimiser and its moments, two per parameter.
#[derive(Clone, Debug)]
pub struct Adam {
    betas: (f64, f64),
    eps: f32,
    weight_decay: f32,
    decoupled: bool,
    decay: Decay,
    steps: u64,
    moments: Vec<Option<Moments>>,
}

#[derive(Clone, Debug)]
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

/// What the values of one parameter are moved by.
#[derive(Clone, Copy)]
struct Constants {
    beta2: f32,
    share1: f32,
    share2: f32,
    eps: f32,
    keep: f32,
    pull: f32,
    clip: f32,
    step: f32,
    root: f32,
}

impl Adam {
    /// For `params` parameters; the constants of another optimiser stand for Adam's defaults.
    pub fn new(optimizer: Optimizer, decay: Decay, params: usize) -> Adam {
        let (beta1, beta2, eps, weight_decay, decoupled) = match optimizer {
            Optimizer::Adam { beta1, beta2, eps, weight_decay, decoupled, .. } => {
                (beta1, beta2, eps, weight_decay, decoupled)
            }
            Optimizer::Sgd { weight_decay, .. } => (0.9, 0.999, 1e-8, weight_decay, false),
        };
        Adam {
            betas: (beta1, beta2),
            eps: eps as f32,
            weight_decay: weight_decay as f32,
            decoupled,
            decay,
            steps: 0,
            moments: vec![None; params],
        }
    }

    /// Begins a step over all parameters.
    pub fn begin_step(&mut self) {
        self.steps += 1;
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Sets the number of steps, to resume a run.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// The first and second moments of a parameter; `None` before its first step.
    pub fn moments(&self, index: usize) -> Option<(&[f32], &[f32])> {
        let moments = self.moments.get(index)?.as_ref()?;
        Some((&moments.first, &moments.second))
    }

    /// Sets the moments of a parameter, to resume a run.
    ///
    /// # Errors
    /// [`Error::Internal`] where there is no such parameter.
    pub fn set_moments(&mut self, index: usize, first: Vec<f32>, second: Vec<f32>) -> Result<(), Error> {
        *self.slot(index)? = Some(Moments { first, second });
        Ok(())
    }

    fn slot(&mut self, index: usize) -> Result<&mut Option<Moments>, Error> {
        let none = || Error::Internal(format!("the optimiser has no parameter {index}"));
        self.moments.get_mut(index).ok_or_else(none)
    }

    fn constants(&self, role: ParamRole, pace: Pace) -> Constants {
        let decay = if decays(self.decay, role) { self.weight_decay } else { 0.0 };
        let (beta1, beta2) = self.betas;
        let steps = i32::try_from(self.steps.max(1)).unwrap_or(i32::MAX);
        Constants {
            beta2: beta2 as f32,
            share1: (1.0 - beta1) as f32,
            share2: (1.0 - beta2) as f32,
            eps: self.eps,
            keep: if self.decoupled { 1.0 - pace.lr * decay } else { 1.0 },
            pull: if self.decoupled { 0.0 } else { decay },
            clip: pace.clip,
            step: (f64::from(pace.lr) / (1.0 - beta1.powi(steps))) as f32,
            root: (1.0 - beta2.powi(steps)).sqrt() as f32,
        }
    }

    /// Moves parameter `index`; [`Adam::begin_step`] comes before the first of them.
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
        let c = self.constants(role, pace);
        let n = values.len();
        let slot = self.slot(index)?;
        let Moments { first, second } =
            slot.get_or_insert_with(|| Moments { first: vec![0.0; n], second: vec![0.0; n] });
        if first.len() != n || second.len() != n || grad.len() != n {
            return Err(Error::Internal(format!("parameter {index} has changed its size")));
        }
        let chunks = values.par_chunks_mut(CHUNK).zip(grad.par_chunks(CHUNK));
        let moments = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
        chunks.zip(moments).for_each(|((values, grad), (first, second))| {
            for ((w, g), (m, v)) in values.iter_mut().zip(grad).zip(first.iter_mut().zip(second)) {
                *w *= c.keep;
                let g = g * c.clip + c.pull * *w;
                *m += c.share1 * (g - *m);
                *v = c.beta2 * *v + c.share2 * g * g;
                *w -= c.step * (*m / (v.sqrt() / c.root + c.eps));
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

    const ADAM: Optimizer = Optimizer::Adam {
        lr: 0.003,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
        decoupled: false,
    };

    const ADAMW: Optimizer = Optimizer::Adam {
        lr: 0.003,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.06,
        decoupled: true,
    };

    /// Five steps on given gradients, as PyTorch made them.
    fn meets_reference(file: &str, optimizer: Optimizer) -> Result<(), Error> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/reference");
        let tensors = read_tensors(&folder.join(file))?;
        let values = |name: &str| tensors.iter().find(|t| t.name == name).map_or(&[][..], |t| &t.data);
        let mut adam = Adam::new(optimizer, Decay::All, 2);
        let mut params = [values("param.a").to_vec(), values("param.b").to_vec()];
        for (step, &lr) in values("out.lr").iter().enumerate() {
            adam.begin_step();
            for (index, name) in ["a", "b"].into_iter().enumerate() {
                let (w, grad) = (&mut params[index], values(&format!("in.g{step}.{name}")));
                adam.step(index, ParamRole::Bias, w, grad, Pace { lr, clip: 1.0 })?;
                let expected = &values(&format!("out.{name}"))[step * w.len()..][..w.len()];
                let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * b.abs().max(1.0);
                assert!(w.iter().zip(expected).all(close), "{file} {name} step {step}");
            }
        }
        assert_eq!(adam.steps(), 5);
        Ok(())
    }

    #[test]
    fn adam_meets_pytorch() -> Result<(), Error> {
        meets_reference("opt_adam_raw.safetensors", ADAM)
    }

    #[test]
    fn decoupled_decay_meets_pytorch() -> Result<(), Error> {
        meets_reference("opt_adamw_raw.safetensors", ADAMW)
    }

    #[test]
    fn coupled_decay_is_part_of_the_gradient() -> Result<(), Error> {
        let Optimizer::Adam { lr, beta1, beta2, eps, weight_decay, .. } = ADAMW else { return Ok(()) };
        let coupled = Optimizer::Adam { lr, beta1, beta2, eps, weight_decay, decoupled: false };
        let (mut with, mut without) = (Adam::new(coupled, Decay::All, 1), Adam::new(ADAM, Decay::All, 1));
        let (mut a, mut b) = ([0.5], [0.5]);
        let pace = Pace { lr: 0.1, clip: 1.0 };
        with.begin_step();
        without.begin_step();
        with.step(0, ParamRole::Weight, &mut a, &[0.25], pace)?;
        without.step(0, ParamRole::Weight, &mut b, &[0.25 + 0.06 * 0.5], pace)?;
        assert_eq!(a, b);
        Ok(())
    }

    #[test]
    fn clipping_keeps_the_direction_and_bounds_the_norm() {
        assert_eq!(Pace::clipped(0.1, 0.5, 1.0).clip, 1.0);
        assert!((Pace::clipped(0.1, 4.0, 1.0).clip - 0.25).abs() < 1e-6);
    }
}
