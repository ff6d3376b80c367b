//! Encoders of the input: `input image: f32[1, 28, 28] |> poisson`. The network sees spikes; the samples stay
//! real numbers, which the runtime turns into spikes.

use crate::args::Range;
use crate::ast::{Call, Input as InputItem};
use crate::diagnostic::Diagnostic;
use crate::eval::Expander;
use crate::model::{Encoder, Input};
use crate::near::nearest;
use crate::shape::Kind;
use crate::slug::Slug;

/// The encoders by name; `direct` presents the sample as it is.
const NAMES: [&str; 5] = ["direct", "poisson", "latency", "phase", "delta"];

impl<'p> Expander<'p> {
    /// The input behind its encoder: spikes with the network's time axis, unless it is presented directly. After
    /// a fault too, so that the network is checked.
    pub(crate) fn encoded(&mut self, item: &'p InputItem, input: Input) -> Input {
        let Some(call) = item.encoders.first() else { return input };
        if let Some(second) = item.encoders.get(1) {
            let message = "an input has one encoder";
            let diagnostic = Diagnostic::error(Slug::BadEncoder, message).at(second.span, "a second one");
            let name = &input.name;
            self.error(diagnostic.help(format!("begin the network on a line of its own: `{name} |> …`")));
        }
        let encoder = match self.encoder(call) {
            Some(None) => return input,
            Some(Some(encoder)) => self.check_encoder(call, encoder, &input).map(|()| encoder),
            None => None,
        };
        Input { time: true, kind: Kind::Spikes, encoder, ..input }
    }

    /// The encoder that a call names; none for `direct`.
    fn encoder(&mut self, call: &'p Call) -> Option<Option<Encoder>> {
        Some(Some(match call.name.text.as_str() {
            "direct" => {
                self.settings(call, &[], 0)?;
                return Some(None);
            }
            "poisson" => {
                self.settings(call, &[], 0)?;
                Encoder::Poisson
            }
            "latency" => {
                let args = self.settings(call, &["log", "zero_fires"], 0)?;
                let log = self.bool_arg(args[0], "`log`", false);
                let zero_fires = self.bool_arg(args[1], "`zero_fires`", true);
                Encoder::Latency { log: log?, zero_fires: zero_fires? }
            }
            "phase" => {
                self.settings(call, &[], 0)?;
                Encoder::Phase
            }
            "delta" => {
                let args = self.settings(call, &["threshold"], 0)?;
                Encoder::Delta {
                    threshold: self.real_arg(args[0], "`threshold`", Range::Positive, 0.1)? as f32,
                }
            }
            name => {
                let message = format!("`{name}` is not an encoder");
                let diagnostic = Diagnostic::error(Slug::UnknownName, message).at(call.name.span, "");
                self.error(diagnostic.help(match nearest(name, NAMES) {
                    Some(near) => format!("write `{near}`"),
                    None => format!("the encoders are: {}", NAMES.join(", ")),
                }));
                return None;
            }
        }))
    }

    /// Whether an encoder takes an input of this type.
    fn check_encoder(&mut self, call: &Call, encoder: Encoder, input: &Input) -> Option<()> {
        let word = &call.name.text;
        let (message, help) = match (input.kind, encoder.takes_time(), input.time) {
            (Kind::Spikes | Kind::Counts, _, _) => {
                (format!("`{word}` makes spikes, but the input is spikes"), "leave the encoder out")
            }
            (Kind::Real, false, true) => (
                format!("`{word}` spreads a static sample over time, but the input brings its own time axis"),
                "leave `time` out of the input's axes, or use `delta`",
            ),
            (Kind::Real, true, false) => (
                format!("`{word}` compares a frame with the one before, but the input is static"),
                "write `time` as the input's first axis, or use `poisson` or `latency`",
            ),
            (Kind::Real, true, true) | (Kind::Real, false, false) => return Some(()),
        };
        let diagnostic = Diagnostic::error(Slug::BadEncoder, message).at(call.span, "");
        self.error(diagnostic.help(help));
        None
    }
}
