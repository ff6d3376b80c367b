//! The kinds of diagnostics: a closed list, each with a paragraph in `grammar/ERRORS.md`.

use std::fmt;

macro_rules! slugs {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// The kind of a diagnostic; `Display` is the slug that stands in brackets after `error`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Slug {
            $($(#[doc = $doc])* $name,)*
        }

        impl Slug {
            /// Every kind.
            pub const ALL: &'static [Slug] = &[$(Slug::$name,)*];

            /// The text form.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Slug::$name => $text,)*
                }
            }
        }
    };
}

slugs! {
    /// The text does not follow the grammar.
    Syntax = "syntax",
    /// Brackets, block calls or names nest too deep.
    TooDeep = "too-deep",
    /// A number does not fit its type.
    BadNumber = "bad-number",
    /// A file cannot be read.
    MissingFile = "missing-file",
    /// A file includes itself, perhaps through others.
    IncludeCycle = "include-cycle",
    /// An included file holds a network or a train block.
    IncludedNetwork = "included-network",
    /// The entry has no network.
    NoNetwork = "no-network",
    /// A file has two networks, two train blocks, or a field twice.
    DuplicateSection = "duplicate-section",
    /// A name is defined twice in one scope.
    DuplicateName = "duplicate-name",
    /// A definition takes the name of a layer or of a neuron model.
    ReservedName = "reserved-name",
    /// A name is not defined.
    UnknownName = "unknown-name",
    /// A block calls itself, perhaps through others.
    RecursiveBlock = "recursive-block",
    /// `-D` names no parameter.
    UnknownParameter = "unknown-parameter",
    /// `-D` gives a value that the parameter cannot take.
    BadDefine = "bad-define",
    /// A call has an argument that the callee does not know.
    UnknownArgument = "unknown-argument",
    /// A call gives an argument twice.
    DuplicateArgument = "duplicate-argument",
    /// A call lacks an argument.
    MissingArgument = "missing-argument",
    /// A value is of the wrong kind.
    WrongKind = "wrong-kind",
    /// A value lies outside its range.
    BadValue = "bad-value",
    /// Arithmetic at compile time has no result.
    Arithmetic = "arithmetic",
    /// A network lacks `timesteps` or `input`.
    MissingField = "missing-field",
    /// A train block has a field that does not exist.
    UnknownField = "unknown-field",
    /// An input's element kind or axes are not supported.
    BadInput = "bad-input",
    /// An encoder does not fit its input.
    BadEncoder = "bad-encoder",
    /// Two tensors that meet have different shapes.
    ShapeMismatch = "shape-mismatch",
    /// Tensors that meet have different channels, or channels are not a multiple of what divides them.
    ChannelMismatch = "channel-mismatch",
    /// A layer needs spikes.
    NeedsSpikes = "needs-spikes",
    /// A layer needs rows and columns.
    NeedsMap = "needs-map",
    /// A layer needs features without rows and columns.
    NeedsFlatten = "needs-flatten",
    /// A layer comes after the mean over time.
    NoTimeAxis = "no-time-axis",
    /// A window is larger than what it slides over.
    WindowTooLarge = "window-too-large",
    /// A tensor, a file or a count is larger than the compiler handles.
    TooLarge = "too-large",
    /// The network's result is not one number per class.
    BadResult = "bad-result",
    /// A network that must be spike-driven multiplies real-valued activations.
    NotSpikeDriven = "not-spike-driven",
    /// Layers do not contribute to the result.
    UnusedLayer = "unused-layer",
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
