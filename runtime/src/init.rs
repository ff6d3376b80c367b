//! First values of parameters, as PyTorch's layers choose them.
//!
//! | role | values |
//! |---|---|
//! | weight, bias | uniform in ±1/√fan_in (Kaiming uniform with a = √5), or as the recipe says |
//! | gain, running variance | 1 |
//! | shift, running mean, constants of neurons | 0 |
//!
//! A parameter for which the model says a first value begins with that.

use crate::rng::{Purpose, Rng, key_of};
use crate::{Error, Session};
use snnc_plan::{Init, ParamRole, ParamSpec};

/// Sets every parameter. The numbers of a parameter depend on the seed and its own path alone: an edit elsewhere in
/// the model does not change them.
///
/// # Errors
/// [`Error::Internal`] for a broken plan.
pub fn initialise(session: &mut Session, seed: u64) -> Result<(), Error> {
    let (params, init) = (session.plan().params.clone(), session.plan().recipe.init);
    for spec in &params {
        let weight = weight_of(spec, &params);
        session.set_param(&spec.name, &values(spec, weight, init, seed))?;
    }
    Ok(())
}

/// The weight that a bias is added beside; of another parameter itself.
fn weight_of<'a>(spec: &'a ParamSpec, params: &'a [ParamSpec]) -> &'a ParamSpec {
    let path = spec.name.strip_suffix(".bias").filter(|_| spec.role == ParamRole::Bias);
    let weight = |path: &str| params.iter().find(|other| other.name.strip_suffix(".weight") == Some(path));
    path.and_then(weight).unwrap_or(spec)
}

/// The first values of a parameter; `weight` is that of its product.
fn values(spec: &ParamSpec, weight: &ParamSpec, init: Init, seed: u64) -> Vec<f32> {
    if let Some(value) = spec.init {
        return vec![value; spec.len()];
    }
    let mut rng = Rng::new(seed, Purpose::Init, key_of(&spec.name));
    match spec.role {
        ParamRole::Weight | ParamRole::Bias => match deviation(weight, init) {
            None => {
                let bound = 1.0 / (spec.fan_in.max(1) as f32).sqrt();
                (0..spec.len()).map(|_| (2.0 * rng.uniform() - 1.0) * bound).collect()
            }
            Some(_) if spec.role == ParamRole::Bias => vec![0.0; spec.len()],
            Some(std) => (0..spec.len()).map(|_| std * rng.normal()).collect(),
        },
        ParamRole::Gain | ParamRole::RunningVar => vec![1.0; spec.len()],
        ParamRole::Shift | ParamRole::RunningMean | ParamRole::Neuron => vec![0.0; spec.len()],
    }
}

/// The deviation of a weight that is normal; `None` where it is uniform.
fn deviation(weight: &ParamSpec, init: Init) -> Option<f32> {
    let convolution = weight.shape.len() == 4;
    match init {
        Init::Default => None,
        Init::KaimingFanOut if convolution => {
            let fan_out = weight.shape[0] * weight.shape[2] * weight.shape[3];
            Some((2.0 / fan_out.max(1) as f32).sqrt())
        }
        Init::Normal { std, linear } if convolution || linear => Some(std as f32),
        Init::KaimingFanOut | Init::Normal { .. } => None,
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

    fn values(spec: &ParamSpec, seed: u64) -> Vec<f32> {
        super::values(spec, spec, Init::Default, seed)
    }

    #[test]
    fn recipes_choose_the_deviation() {
        let deviation =
            |values: &[f32]| (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt();
        let conv = ParamSpec { shape: vec![64, 16, 3, 3], ..spec("a.weight", ParamRole::Weight) };
        let of = |spec: &ParamSpec, init| super::values(spec, &conv, init, 0);
        let found = deviation(&of(&conv, Init::KaimingFanOut));
        assert!((found / (2.0f32 / 576.0).sqrt() - 1.0).abs() < 0.03, "{found}");
        let normal = |linear| Init::Normal { std: 0.02, linear };
        assert!((deviation(&of(&conv, normal(false))) / 0.02 - 1.0).abs() < 0.03);
        // The bias of a convolution is 0 then; a matrix product keeps the default unless it is asked for.
        assert!(of(&spec("a.bias", ParamRole::Bias), normal(false)).iter().all(|v| *v == 0.0));
        let matrix = ParamSpec { shape: vec![64, 144], fan_in: 144, ..spec("m.weight", ParamRole::Weight) };
        let of_matrix = |init| super::values(&matrix, &matrix, init, 0);
        assert_eq!(of_matrix(normal(false)), of_matrix(Init::Default));
        assert!((deviation(&of_matrix(normal(true))) / 0.02 - 1.0).abs() < 0.05);
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
