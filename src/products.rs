//! How products with spikes are done: what is said of it on the command line.

use crate::failure::Failure;
use clap::Args;
use serde_json::{Value, json};
use snnc_compiler::plan::Plan;
use snnc_compiler::{Activities, Activity, Form, Forms, check_layers};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// How products with spikes are done.
#[derive(Args, Clone, Debug)]
pub struct ProductArgs {
    /// The share of neurons that is expected to fire at a timestep, of a layer of neurons or of all others: products with
    /// spikes are chosen and laid out for it; 0.15 where it is not given.
    #[arg(long, value_delimiter = ',', value_name = "[LAYER=]RATE,…", value_parser = of_layer(firing_rate))]
    #[arg(allow_negative_numbers = true)]
    pub firing_rate: Vec<OfLayer<f64>>,
    /// The share of neurons that is expected to fire at one timestep at least, of a layer of neurons or of all others, as
    /// `eval --json` tells it: where spikes repeat over time, products may add rows once for several timesteps.
    #[arg(long, value_delimiter = ',', value_name = "[LAYER=]SHARE,…", value_parser = of_layer(share))]
    #[arg(allow_negative_numbers = true)]
    pub fires: Vec<OfLayer<f64>>,
    /// How products with spikes are done, that of a layer or all others: walk, shared, patterns, grouped, dense; the cheapest
    /// where it is not given.
    #[arg(long, value_delimiter = ',', value_name = "[LAYER=]FORM,…", value_parser = of_layer(Form::from_str))]
    pub form: Vec<OfLayer<Form>>,
}

impl ProductArgs {
    /// Whether it is said what neurons do.
    pub fn tell_activities(&self) -> bool {
        !self.firing_rate.is_empty() || !self.fires.is_empty()
    }

    /// What neurons are expected to do. What is said of a layer alone counts before what is said of all others.
    pub fn activities(&self) -> Activities {
        let (rate, rates) = by_layer(&self.firing_rate);
        let (fires, shares) = by_layer(&self.fires);
        let activity = |rate: Option<f64>, fires: Option<f64>| Activity {
            rate: rate.map_or(Activity::default().rate, |rate| rate as f32),
            fires: fires.map(|fires| fires as f32),
        };
        let of = |layer: &String| {
            let (rate, fires) = (rates.get(layer).copied().or(rate), shares.get(layer).copied().or(fires));
            (layer.clone(), activity(rate, fires))
        };
        Activities {
            rest: activity(rate, fires),
            layers: rates.keys().chain(shares.keys()).map(of).collect(),
        }
    }

    /// The forms that are asked for.
    pub fn forms(&self) -> Forms {
        let (rest, layers) = by_layer(&self.form);
        Forms { rest, layers }
    }

    /// Whether all layers that are named are layers of the model, and can do what is said of them.
    pub fn check(&self, plan: &Plan) -> Result<(), Failure> {
        check_layers(&self.activities(), plan).map_err(Failure::User)
    }

    /// What was asked for, as `config.json` keeps it.
    pub fn settings(&self) -> [(&'static str, Value); 3] {
        [
            ("firing_rate", json!(texts(&self.firing_rate))),
            ("fires", json!(texts(&self.fires))),
            ("form", json!(texts(&self.form))),
        ]
    }

    /// What is not given is as `config.json` keeps it.
    pub fn merge(&mut self, kept: &Value) {
        if self.firing_rate.is_empty() {
            self.firing_rate = parsed(&kept["firing_rate"], of_layer(firing_rate));
        }
        if self.fires.is_empty() {
            self.fires = parsed(&kept["fires"], of_layer(share));
        }
        if self.form.is_empty() {
            self.form = parsed(&kept["form"], of_layer(Form::from_str));
        }
    }
}

fn texts<T: fmt::Display>(said: &[OfLayer<T>]) -> Vec<String> {
    said.iter().map(OfLayer::to_string).collect()
}

fn parsed<T>(kept: &Value, parse: impl Fn(&str) -> Result<OfLayer<T>, String>) -> Vec<OfLayer<T>> {
    let texts = kept.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.filter_map(|text| parse(text).ok()).collect()
}

/// What is said of all layers that are not named, and of those that are: the last counts.
fn by_layer<T: Clone>(said: &[OfLayer<T>]) -> (Option<T>, BTreeMap<String, T>) {
    let (mut rest, mut layers) = (None, BTreeMap::new());
    for OfLayer { layer, value } in said {
        match layer {
            Some(layer) => drop(layers.insert(layer.clone(), value.clone())),
            None => rest = Some(value.clone()),
        }
    }
    (rest, layers)
}

/// What is said of a layer, or of all that are not named.
#[derive(Clone, Debug)]
pub struct OfLayer<T> {
    /// The layer's path.
    pub layer: Option<String>,
    /// What is said of it.
    pub value: T,
}

/// Reads `LAYER=VALUE` or `VALUE`.
fn of_layer<T>(
    value: impl Fn(&str) -> Result<T, String> + Clone,
) -> impl Fn(&str) -> Result<OfLayer<T>, String> + Clone {
    move |text| {
        let (layer, own) = text.split_once('=').map_or((None, text), |(layer, own)| (Some(layer), own));
        if layer == Some("") {
            return Err("a layer's path stands before `=`".to_owned());
        }
        Ok(OfLayer { layer: layer.map(str::to_owned), value: value(own)? })
    }
}

impl<T: fmt::Display> fmt::Display for OfLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.layer.as_ref().map_or(Ok(()), |layer| write!(f, "{layer}="))?;
        write!(f, "{}", self.value)
    }
}

/// Reads a firing rate.
pub fn firing_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        Ok(_) | Err(_) => Err("a firing rate is a number from 0 to 1".to_owned()),
    }
}

/// Reads a share of neurons.
fn share(text: &str) -> Result<f64, String> {
    firing_rate(text).map_err(|_| "a share of neurons is a number from 0 to 1".to_owned())
}
