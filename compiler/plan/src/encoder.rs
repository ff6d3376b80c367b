//! How the samples of an input become spikes.

/// An encoder: values from 0 to 1 in, spikes out. Values outside are taken as 0 or 1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Encoder {
    /// A spike where a random number in [0, 1) is below the value, anew at each timestep.
    Poisson,
    /// One spike at timestep `round((T − 1)(1 − x))`; in the logarithmic form at `round((T − 1) − ln(αx + 1))`,
    /// `α = e^(T−1) − 1`. Halves are rounded up.
    Latency {
        /// The logarithmic form.
        log: bool,
        /// Whether a value of 0 fires at the last timestep, or never.
        zero_fires: bool,
    },
    /// At timestep t binary digit `t mod 8` of the value, the most significant first: those of `⌊256 x⌋`, at most 255.
    Phase,
    /// A spike where a frame is at least the threshold above the one before; before the first lie zeros.
    Delta {
        /// The threshold.
        threshold: f32,
    },
}

impl Encoder {
    /// Whether the samples bring their own time axis.
    pub fn takes_time(self) -> bool {
        match self {
            Encoder::Poisson | Encoder::Latency { .. } | Encoder::Phase => false,
            Encoder::Delta { .. } => true,
        }
    }
}
