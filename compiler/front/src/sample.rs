//! How samples are varied in training and made ready: the words of the `augment` list.

use serde::Serialize;

/// One operation of the list, done in its place. Bounds of its numbers are those of the front end.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub enum Augment {
    /// How events become frames; in evaluation too.
    Frames(SplitBy),
    /// The least part of an image file that a training crop takes.
    ResizedCrop {
        /// Above 0, at most 1.
        scale: f64,
    },
    /// A random crop of the image with zeros around it.
    PadCrop {
        /// Zeros on each side.
        pixels: usize,
    },
    /// Mirrors left and right.
    Flip {
        /// How often.
        p: f64,
    },
    /// A square of zeros.
    Cutout {
        /// Its side.
        size: usize,
    },
    /// Rows and columns move in a circle.
    Roll {
        /// By at most so many.
        pixels: usize,
    },
    /// A turn about the centre.
    Rotate {
        /// By at most so many.
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
    /// Brightness, contrast and saturation.
    ColorJitter {
        /// The most that a factor departs from 1.
        strength: f64,
    },
    /// Mean and deviation instead of the data set's own; in evaluation too.
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

impl Augment {
    /// Whether it mixes two samples, which then have two labels.
    pub fn mixes(&self) -> bool {
        matches!(self, Augment::Mixup { .. } | Augment::CutMix { .. })
    }
}

/// How events are divided among frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum SplitBy {
    /// Equal numbers of events.
    Number,
    /// Equal durations.
    Time,
}

/// A table of AutoAugment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Policy {
    /// Found on CIFAR-10.
    Cifar10,
    /// Found on ImageNet.
    ImageNet,
}

/// Mean and deviation.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub enum Normalization {
    /// Values as they are.
    None,
    /// MNIST.
    Mnist,
    /// CIFAR-10 with the deviations of the field's convolutional networks.
    Cifar10,
    /// CIFAR-10 with the deviations over all pixels.
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
