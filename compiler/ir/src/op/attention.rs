//! Attributes of attention: which tokens see each other, and in which order the two products are taken.
//!
//! A token is a place (timestep and position) of a sample; its query, key and value are the channels of one
//! head there. `o_i = scale · Σ_j ⟨q_i, k_j⟩ · v_j` over the tokens j of i's group. Without a softmax the
//! products are associative: `(q kᵀ) v` and `q (kᵀ v)` are the same integers.

/// The axes along which tokens see each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Over {
    /// The positions of one timestep.
    Space,
    /// The timesteps of one position.
    Time,
    /// All positions of so many consecutive timesteps, which divide the timesteps.
    SpaceTime(usize),
}

/// Which product is taken first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Order {
    /// The compiler chooses; what is left of it is computed as the formula stands, `qk_first`.
    Auto,
    /// `q (kᵀ v)`: a matrix of channels by channels for each group.
    KvFirst,
    /// `(q kᵀ) v`: one number for each pair of tokens.
    QkFirst,
}

/// Attention between spikes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Attention {
    /// Which tokens see each other.
    pub over: Over,
    /// Whether a token sees only its own timestep and those before.
    pub causal: bool,
    /// Multiplies the sums.
    pub scale: f32,
    /// Which product is first.
    pub order: Order,
    /// Heads: each has an equal share of the channels, in order.
    pub heads: usize,
}

impl Attention {
    /// Timesteps and positions of one group, where the operands have so many of both.
    pub fn group(&self, steps: usize, positions: usize) -> (usize, usize) {
        match self.over {
            Over::Space => (1, positions),
            Over::Time => (steps, 1),
            Over::SpaceTime(chunk) => (chunk, positions),
        }
    }

    /// Additions of one head in one group if every bit were set: with `kv_first` and with `qk_first`.
    /// A group has so many timesteps and positions, a query and a value so many channels of the head.
    pub fn additions(&self, (steps, positions): (usize, usize), channels: (usize, usize)) -> (u64, u64) {
        let wide = |n: usize| n as u64;
        let tokens = wide(steps) * wide(positions);
        let seen = if self.causal { wide(steps) * (wide(steps) + 1) / 2 } else { wide(steps) * wide(steps) };
        let pairs = seen * wide(positions) * wide(positions);
        let (d, dv) = (wide(channels.0), wide(channels.1));
        (2 * tokens * d * dv, pairs * (d + dv))
    }
}
