//! A neuron as the file describes it, and the general form `h = a·v + b·x + c` it becomes.

use crate::model::{NeuronLayer, Trained};
use snnc_ir::{Compare, Constant as Part, Form, Learned, Lif, Reset, Save, Surrogate};

/// A constant, and whether it is only the initial value of a learned one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Constant {
    pub value: f64,
    pub learned: bool,
}

impl Constant {
    pub fn fixed(value: f64) -> Constant {
        Constant { value, learned: false }
    }
}

/// What a neuron forgets per timestep.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Leak {
    /// A time constant: `a = 1 − 1/τ`, towards the reset value.
    Tau(Constant),
    /// The factor `a` itself, towards 0.
    Decay(Constant),
    /// Nothing: integrate and fire.
    Never,
}

/// A neuron as the file describes it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Style {
    pub leak: Leak,
    pub decay_input: Option<bool>,
    pub gain: Option<Constant>,
    pub current: Option<f64>,
    pub threshold: Constant,
    pub reset: Reset,
    pub detach: bool,
    pub compare: Compare,
    pub surrogate: Surrogate,
    pub per_channel: bool,
    /// Whether the leak is learned however it is given (`PLIF`).
    pub parametric: bool,
}

impl Style {
    /// The defaults of a model: those of SpikingJelly.
    pub fn of_model(name: &str) -> Option<Style> {
        let parametric = name == "PLIF";
        let leak = match name {
            "LIF" | "PLIF" => Leak::Tau(Constant { value: 2.0, learned: parametric }),
            "IF" => Leak::Never,
            _ => return None,
        };
        Some(Style {
            leak,
            decay_input: None,
            gain: None,
            current: None,
            threshold: Constant::fixed(1.0),
            reset: Reset::Hard(0.0),
            detach: false,
            compare: Compare::Ge,
            surrogate: Surrogate::Sigmoid(4.0),
            per_channel: false,
            parametric,
        })
    }

    /// The general form: `a` and `c` follow from the leak, `b` from `gain` or `decay_input`.
    pub fn layer(&self) -> NeuronLayer {
        let (decay, share) = match self.leak {
            Leak::Tau(tau) => (1.0 - 1.0 / tau.value, 1.0 / tau.value),
            Leak::Decay(decay) => (decay.value, 1.0 - decay.value),
            Leak::Never => (1.0, 1.0),
        };
        let towards_reset = matches!(self.leak, Leak::Tau(_));
        let decay_input = self.decay_input.unwrap_or(towards_reset);
        let gain = self.gain.map_or(if decay_input { share } else { 1.0 }, |gain| gain.value);
        let rest = f64::from(self.reset.initial());
        let current = self.current.unwrap_or(if towards_reset { rest * share } else { 0.0 });
        let trained = self.trained(decay_input);
        let made = trained.iter().flat_map(|trained| &trained.makes);
        NeuronLayer {
            lif: Lif {
                decay: decay as f32,
                gain: gain as f32,
                current: current as f32,
                threshold: self.threshold.value as f32,
                reset: self.reset,
                detach: self.detach,
                compare: self.compare,
                surrogate: self.surrogate,
                learned: made.fold(Learned::NOTHING, |learned, (part, ..)| learned.with(*part)),
                save: Save::Nothing,
            },
            trained,
            per_channel: self.per_channel,
        }
    }

    /// The numbers that are trained, and the constants each of them makes.
    fn trained(&self, decay_input: bool) -> Vec<Trained> {
        let mut trained = Vec::new();
        let mut add = |field, learned, form: Form, value: f64, makes| {
            if learned {
                trained.push(Trained { field, init: form.inverse(value) as f32, makes });
            }
        };
        let shared = decay_input && self.gain.is_none();
        match self.leak {
            Leak::Tau(tau) => {
                let rest = self.reset.initial();
                let mut makes = vec![(Part::Decay, Form::Complement, 1.0)];
                makes.extend(shared.then_some((Part::Gain, Form::Sigmoid, 1.0)));
                let leaks = self.current.is_none() && rest != 0.0;
                makes.extend(leaks.then_some((Part::Current, Form::Sigmoid, rest)));
                add("tau", tau.learned, Form::Sigmoid, 1.0 / tau.value, makes);
            }
            Leak::Decay(decay) => {
                let mut makes = vec![(Part::Decay, Form::Sigmoid, 1.0)];
                makes.extend(shared.then_some((Part::Gain, Form::Complement, 1.0)));
                add("decay", decay.learned, Form::Sigmoid, decay.value, makes);
            }
            Leak::Never => {}
        }
        if let Some(gain) = self.gain {
            add("gain", gain.learned, Form::Softplus, gain.value, vec![(Part::Gain, Form::Softplus, 1.0)]);
        }
        let Constant { value, learned } = self.threshold;
        add("threshold", learned, Form::Softplus, value, vec![(Part::Threshold, Form::Softplus, 1.0)]);
        trained
    }
}
