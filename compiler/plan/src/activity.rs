//! What neurons are expected to do: the compiler chooses and lays out products with spikes by it, and the runtime can
//! measure it.
//!
//! ```text
//! stem.lif: rate 0.157, fires 0.22     ; of 100 neurons 15.7 fire at a timestep, 22 at least once in all of them
//! ```

use std::collections::BTreeMap;

/// The firing rate that is expected where nothing is said: that of trained convolutional networks.
pub const FIRING_RATE: f32 = 0.15;

/// The activity of a layer of neurons.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Activity {
    /// The share of neurons that fire at a timestep, 0 to 1.
    pub rate: f32,
    /// The share of neurons that fire at one timestep at least, where it is known: from `rate` to `rate` times the
    /// number of timesteps.
    pub fires: Option<f32>,
}

impl Activity {
    /// A firing rate, and nothing known of how spikes repeat.
    pub fn of_rate(rate: f32) -> Activity {
        Activity { rate, fires: None }
    }
}

impl Default for Activity {
    fn default() -> Activity {
        Activity::of_rate(FIRING_RATE)
    }
}

/// The activities of a network's layers.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Activities {
    /// That of each layer which is not in the list.
    pub rest: Activity,
    /// By the path of the neurons' layer, as [`crate::Probe::layer`] and `firing_rates` of the command's JSON name it, or
    /// of a pool of their spikes; by the input's name where it brings spikes. Paths that a network does not have are of no effect.
    pub layers: BTreeMap<String, Activity>,
}

impl Activities {
    /// One firing rate for all layers.
    pub fn uniform(rate: f32) -> Activities {
        Activities { rest: Activity::of_rate(rate), layers: BTreeMap::new() }
    }

    /// The activity of a layer.
    pub fn of(&self, layer: &str) -> Activity {
        self.layers.get(layer).copied().unwrap_or(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_has_its_own_activity_or_that_of_the_rest() {
        let mut activities = Activities::uniform(0.1);
        let own = Activity { rate: 0.3, fires: Some(0.5) };
        activities.layers.insert("a.lif".to_string(), own);
        assert_eq!(activities.of("a.lif"), own);
        assert_eq!(activities.of("b.lif"), Activity::of_rate(0.1));
    }
}
