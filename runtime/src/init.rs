//! First values of parameters, as PyTorch's layers choose them.
//!
//! | role | values |
//! |---|---|
//! | weight, bias | uniform in ±1/√fan_in (Kaiming uniform with a = √5) |
//! | gain, running variance | 1 |
//! | shift, running mean, constants of neurons | 0 |
//!
//! A parameter for which the model says a first value begins with that.

use crate::rng::{Purpose, Rng, key_of};
use crate::{Error, Session};
use snnc_plan::{ParamRole, ParamSpec};

/// Sets every parameter. The numbers of a parameter depend on the seed and its own path alone: an edit elsewhere in
/// the model does not change them.
///
/// # Errors
/// [`Error::Internal`] for a broken plan.
pub fn initialise(session: &mut Session, seed: u64) -> Result<(), Error> {
    for spec in session.plan().params.clone() {
        session.set_param(&spec.name, &values(&spec, seed))?;
    }
    Ok(())
}

/// The first values of a parameter.
fn values(spec: &ParamSpec, seed: u64) -> Vec<f32> {
    if let Some(value) = spec.init {
        return vec![value; spec.len()];
    }
    match spec.role {
        ParamRole::Weight | ParamRole::Bias => {
            let bound = 1.0 / (spec.fan_in.max(1) as f32).sqrt();
            let mut rng = Rng::new(seed, Purpose::Init, key_of(&spec.name));
            (0..spec.len()).map(|_| (2.0 * rng.uniform() - 1.0) * bound).collect()
        }
        ParamRole::Gain | ParamRole::RunningVar => vec![1.0; spec.len()],
        ParamRole::Shift | ParamRole::RunningMean | ParamRole::Neuron => vec![0.0; spec.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snnc_plan::BufferId;

    fn spec(name: &str, role: ParamRole) -> ParamSpec {
        let (buffer, shape) = (BufferId(0), vec![8, 5, 5]);
        let name = name.to_string();
        ParamSpec { name, shape, role, init: None, fan_in: 25, buffer, grad: None, update: None }
    }

    #[test]
    fn weights_are_uniform_within_the_bound_and_keyed_by_path() {
        let a = values(&spec("a.weight", ParamRole::Weight), 3);
        assert!(a.iter().all(|v| v.abs() <= 0.2));
        let deviation = (a.iter().map(|v| v * v).sum::<f32>() / a.len() as f32).sqrt();
        assert!((deviation - 0.2 / 3f32.sqrt()).abs() < 0.015, "{deviation}");
        assert_eq!(a, values(&spec("a.weight", ParamRole::Weight), 3));
        assert_ne!(a, values(&spec("b.weight", ParamRole::Weight), 3));
        assert_ne!(a, values(&spec("a.weight", ParamRole::Weight), 4));
    }

    #[test]
    fn norms_begin_as_the_identity() {
        assert!(values(&spec("n.weight", ParamRole::Gain), 0).iter().all(|v| *v == 1.0));
        assert!(values(&spec("n.bias", ParamRole::Shift), 0).iter().all(|v| *v == 0.0));
        assert!(values(&spec("n.running_var", ParamRole::RunningVar), 0).iter().all(|v| *v == 1.0));
    }

    #[test]
    fn what_the_model_says_comes_first() {
        let said = ParamSpec { init: Some(0.25), ..spec("lif.w_tau", ParamRole::Neuron) };
        assert!(values(&said, 0).iter().all(|v| *v == 0.25));
        let gain = ParamSpec { init: Some(0.0), ..spec("n.weight", ParamRole::Gain) };
        assert!(values(&gain, 0).iter().all(|v| *v == 0.0));
    }
}
