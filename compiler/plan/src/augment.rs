//! How training samples are varied, and how all samples are made ready: the `augment` list of a `train` block.

use std::fmt;

/// One operation of the list, done in its place.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Augment {
    /// How events become frames; in evaluation too.
    Frames(SplitBy),
    /// The crop that image files are resized from in training: its least part of the area.
    ResizedCrop {
        /// Above 0, at most 1.
        scale: f64,
    },
    /// Zeros around the image, then a crop of the first size at a random place.
    PadCrop {
        /// Zeros on each side.
        pixels: usize,
    },
    /// Mirrors left and right.
    Flip {
        /// How often.
        p: f64,
    },
    /// A square of zeros at a random place.
    Cutout {
        /// Its side.
        size: usize,
    },
    /// Moves rows and columns by up to so many pixels; what leaves on one side enters on the other.
    Roll {
        /// At most.
        pixels: usize,
    },
    /// Turns by up to so many degrees about the centre, either way.
    Rotate {
        /// At most.
        degrees: f64,
    },
    /// A random sub-policy of a published table.
    AutoAugment(Policy),
    /// Random operations of one strength.
    RandAugment {
        /// Operations of a sample.
        n: usize,
        /// Strength, 0 to 30.
        m: usize,
    },
    /// Brightness, contrast and saturation, in a random order.
    ColorJitter {
        /// The most that a factor departs from 1.
        strength: f64,
    },
    /// Mean and deviation, instead of the data set's own; in evaluation too.
    Normalize(Normalization),
    /// A sample is averaged with another of its batch, and so are their labels.
    Mixup {
        /// Shares are of the distribution Beta(α, α); above 0.
        alpha: f64,
        /// How often.
        p: f64,
    },
    /// A rectangle of a sample is that of another of its batch; the labels' shares are those of the areas.
    CutMix {
        /// The area that is kept is of the distribution Beta(α, α); above 0.
        alpha: f64,
        /// How often.
        p: f64,
    },
}

/// How events are divided among frames.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum SplitBy {
    /// Equal numbers of events.
    #[default]
    Number,
    /// Equal durations.
    Time,
}

/// A table of AutoAugment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// Found on CIFAR-10.
    Cifar10,
    /// Found on ImageNet.
    ImageNet,
}

/// Mean and deviation of each channel.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Normalization {
    /// Values as they are, 0 to 1 for bytes.
    None,
    /// MNIST.
    Mnist,
    /// CIFAR-10 with the deviations of the field's convolutional networks.
    Cifar10,
    /// CIFAR-10 with the deviations over all pixels, as the field's transformers have them.
    Cifar10Pixels,
    /// CIFAR-100.
    Cifar100,
    /// ImageNet.
    ImageNet,
    /// The same for every channel.
    Constants {
        /// The mean.
        mean: f64,
        /// The deviation, above 0.
        std: f64,
    },
}

impl Normalization {
    /// Mean and deviation by channel; one pair stands for all channels.
    pub fn channels(self) -> Vec<(f64, f64)> {
        match self {
            Normalization::None => vec![(0.0, 1.0)],
            Normalization::Mnist => vec![(0.1307, 0.3081)],
            Normalization::Cifar10 => vec![(0.4914, 0.2023), (0.4822, 0.1994), (0.4465, 0.2010)],
            Normalization::Cifar10Pixels => vec![(0.4914, 0.2470), (0.4822, 0.2435), (0.4465, 0.2616)],
            Normalization::Cifar100 => vec![(0.5071, 0.2675), (0.4867, 0.2565), (0.4408, 0.2761)],
            Normalization::ImageNet => vec![(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)],
            Normalization::Constants { mean, std } => vec![(mean, std)],
        }
    }
}

impl Augment {
    /// Whether it mixes two samples of a batch, which then have two labels.
    pub fn mixes(self) -> bool {
        matches!(self, Augment::Mixup { .. } | Augment::CutMix { .. })
    }

    /// The word for it in the language.
    pub fn word(self) -> &'static str {
        match self {
            Augment::Frames(_) => "frames",
            Augment::ResizedCrop { .. } => "resized_crop",
            Augment::PadCrop { .. } => "pad_crop",
            Augment::Flip { .. } => "flip",
            Augment::Cutout { .. } => "cutout",
            Augment::Roll { .. } => "roll",
            Augment::Rotate { .. } => "rotate",
            Augment::AutoAugment(_) => "autoaugment",
            Augment::RandAugment { .. } => "randaugment",
            Augment::ColorJitter { .. } => "color_jitter",
            Augment::Normalize(_) => "normalize",
            Augment::Mixup { .. } => "mixup",
            Augment::CutMix { .. } => "cutmix",
        }
    }
}

/// As the language writes it.
impl fmt::Display for Augment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word();
        match self {
            Augment::Frames(by) => write!(f, "{word}({by})"),
            Augment::ResizedCrop { scale } => write!(f, "{word}({scale})"),
            Augment::PadCrop { pixels } | Augment::Roll { pixels } => write!(f, "{word}({pixels})"),
            Augment::Flip { p } => write!(f, "{word}({p})"),
            Augment::Cutout { size } => write!(f, "{word}({size})"),
            Augment::Rotate { degrees } => write!(f, "{word}({degrees})"),
            Augment::AutoAugment(Policy::Cifar10) => write!(f, "{word}(cifar10)"),
            Augment::AutoAugment(Policy::ImageNet) => write!(f, "{word}(imagenet)"),
            Augment::RandAugment { n, m } => write!(f, "{word}(n: {n}, m: {m})"),
            Augment::ColorJitter { strength } => write!(f, "{word}({strength})"),
            Augment::Normalize(by) => write!(f, "{word}({by})"),
            Augment::Mixup { alpha, p } | Augment::CutMix { alpha, p } => {
                write!(f, "{word}(alpha: {alpha}, p: {p})")
            }
        }
    }
}

impl fmt::Display for SplitBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SplitBy::Number => "number",
            SplitBy::Time => "time",
        })
    }
}

impl fmt::Display for Normalization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Normalization::None => f.write_str("none"),
            Normalization::Mnist => f.write_str("mnist"),
            Normalization::Cifar10 => f.write_str("cifar10"),
            Normalization::Cifar10Pixels => f.write_str("cifar10_pixels"),
            Normalization::Cifar100 => f.write_str("cifar100"),
            Normalization::ImageNet => f.write_str("imagenet"),
            Normalization::Constants { mean, std } => write!(f, "mean: {mean}, std: {std}"),
        }
    }
}

/// A list as the language writes it; empty for an empty list.
pub fn augment_text(list: &[Augment]) -> String {
    list.iter().map(Augment::to_string).collect::<Vec<_>>().join(" + ")
}
