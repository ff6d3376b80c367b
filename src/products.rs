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
    /// How products with spikes are done, that of a layer or all others: walk, grouped, dense; the cheapest where it is not given.
    #[arg(long, value_delimiter = ',', value_name = "[LAYER=]FORM,…", value_parser = of_layer(Form::from_str))]
    pub form: Vec<OfLayer<Form>>,
}

impl ProductArgs {
    /// What neurons are expected to do.
    pub fn activities(&self) -> Activities {
        let (rest, layers) = by_layer(&self.firing_rate);
        let activity = |rate: f64| Activity::of_rate(rate as f32);
        let layers = layers.into_iter().map(|(layer, rate)| (layer, activity(rate))).collect();
        Activities { rest: rest.map_or_else(Activity::default, activity), layers }
    }

    /// The forms that are asked for.
    pub fn forms(&self) -> Forms {
        let (rest, layers) = by_layer(&self.form);
        Forms { rest, layers }
    }

    /// Whether all layers that are named are layers of the model.
    pub fn check(&self, plan: &Plan) -> Result<(), Failure> {
        check_layers(&self.activities(), plan).map_err(Failure::User)
    }

    /// What was asked for, as `config.json` keeps it.
    pub fn settings(&self) -> (Value, Value) {
        (json!(texts(&self.firing_rate)), json!(texts(&self.form)))
    }

    /// What is not given is as `config.json` keeps it.
    pub fn merge(&mut self, kept: &Value) {
        if self.firing_rate.is_empty() {
            self.firing_rate = parsed(&kept["firing_rate"], of_layer(firing_rate));
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
