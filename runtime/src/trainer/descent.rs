//! From the loss to moved parameters.
//!
//! ```text
//! kept    backward ─▶ norms of all gradients ─▶ clipped together ─▶ all parameters moved
//! handed  backward: a gradient is complete ─▶ its norm, its parameter moved ─▶ its memory is the next one's
//! ```

use super::Lap;
use crate::metrics::Times;
use crate::optim::{Average, Pace, Rule};
use crate::{Error, Session};
use snnc_plan::ParamRole;
use std::time::{Duration, Instant};

/// How parameters are moved.
pub(super) struct Descent<'a> {
    /// The optimiser.
    pub rule: &'a mut Rule,
    /// Averages of the parameters.
    pub average: Option<&'a mut Average>,
    /// The learning rate.
    pub lr: f32,
    /// The most that the norm of all gradients together may be.
    pub clip_norm: Option<f64>,
}

/// The norm of each trained parameter's gradient, in the order of the model, and of all together.
pub(super) type Norms = (Vec<f64>, f64);

impl Descent<'_> {
    /// Runs the backward pass of a step and moves all parameters.
    ///
    /// # Errors
    /// [`Error::Diverged`] for a gradient that is not finite, before its parameter is moved.
    pub fn run(mut self, train: &mut Session, lap: &mut Lap, times: &mut Times) -> Result<Norms, Error> {
        if train.plan().hands_gradients() {
            return self.handed(train, lap, times);
        }
        train.run_backward()?;
        times.backward += lap.seconds();
        let (norms, norm) = train.grad_norms()?;
        if !norm.is_finite() {
            return Err(Error::Diverged("a gradient".to_string()));
        }
        let pace =
            self.clip_norm.map_or(Pace { lr: self.lr, clip: 1.0 }, |most| Pace::clipped(self.lr, norm, most));
        self.rule.begin_step();
        train.change_params(|index, spec, values, grad| self.step((index, spec.role), values, grad, pace))?;
        times.update += lap.seconds();
        Ok((norms, norm))
    }

    /// Moves a parameter, and its average.
    fn step(
        &mut self,
        (index, role): (usize, ParamRole),
        values: &mut [f32],
        grad: &[f32],
        pace: Pace,
    ) -> Result<(), Error> {
        self.rule.step(index, role, values, grad, pace)?;
        self.average.as_mut().map_or(Ok(()), |average| average.update(index, values))
    }

    fn handed(&mut self, train: &mut Session, lap: &mut Lap, times: &mut Times) -> Result<Norms, Error> {
        let pace = Pace { lr: self.lr, clip: 1.0 };
        let mut squares = vec![None; train.plan().params.len()];
        let mut moving = Duration::ZERO;
        self.rule.begin_step();
        train.run_backward_handing(&mut |index, spec, values, (grad, square)| {
            let start = Instant::now();
            if !square.is_finite() {
                return Err(Error::Diverged(format!("the gradient of `{}`", spec.name)));
            }
            squares[index] = Some(square);
            self.step((index, spec.role), values, grad, pace)?;
            moving += start.elapsed();
            Ok(())
        })?;
        let moving = moving.as_secs_f64();
        times.backward += lap.seconds() - moving;
        times.update += moving;
        let squares: Vec<f64> = squares.into_iter().flatten().collect();
        Ok((squares.iter().map(|square| square.sqrt()).collect(), squares.iter().sum::<f64>().sqrt()))
    }
}
