//! One forward and backward of given samples: the loss and the gradients, with nothing trained.

use crate::checkpoint::Tensor;
use crate::evaluate::samples_of;
use crate::npy::Array;
use crate::{Error, Session};

/// Runs a training session forward and backward on samples `[N, …]` (`[T, N, …]` where the model's input has its
/// own time axis) as one batch. Returns the mean loss and every trained parameter's gradient by its path; parameters
/// and running statistics stay as they are.
///
/// # Errors
/// [`Error::Data`] where samples and labels do not fit the model or each other; [`Error::User`] for a session that
/// is not for training or too small for the batch; [`Error::Diverged`] for a loss that is not finite.
pub fn differentiate(
    session: &mut Session,
    samples: &Array,
    labels: &[i32],
) -> Result<(f32, Vec<Tensor>), Error> {
    let (data, n) = samples_of(session, samples)?;
    if n != labels.len() {
        return Err(Error::Data(format!("there are {n} samples and {} labels", labels.len())));
    }
    let len = session.plan().inputs[0].sample_len();
    session.set_inputs(n, |sample, to| {
        to.copy_from_slice(&data[sample * len..][..len]);
        Ok(())
    })?;
    session.set_labels(labels)?;
    session.reset_rates();
    session.run_forward()?;
    let loss = session.loss()?;
    if !loss.is_finite() {
        return Err(Error::Diverged(format!("the loss is {loss}")));
    }
    session.run_backward()?;
    let mut gradients = Vec::new();
    for spec in session.plan().params.iter().filter(|spec| spec.role.is_trained()) {
        let data = session.grad(&spec.name)?.to_vec();
        gradients.push(Tensor { name: spec.name.clone(), shape: spec.shape.clone(), data });
    }
    Ok((loss, gradients))
}
