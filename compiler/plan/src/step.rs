//! Steps: what the runtime executes one after the other.

use crate::buffer::BufferId;

/// How many independent tasks a kernel has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tasks {
    /// Samples that share one group of tasks; 0 for a count independent of the batch.
    pub samples: usize,
    /// Tasks of a group, or of the whole kernel.
    pub count: usize,
}

impl Tasks {
    /// A count independent of the batch.
    pub fn fixed(count: usize) -> Tasks {
        Tasks { samples: 0, count }
    }

    /// So many for each group of `samples` samples.
    pub fn per_samples(samples: usize, count: usize) -> Tasks {
        Tasks { samples, count }
    }

    /// The number of tasks for a batch.
    pub fn total(&self, batch: usize) -> usize {
        if self.samples == 0 { self.count } else { batch.div_ceil(self.samples) * self.count }
    }
}

/// A call of a compiled kernel.
#[derive(Clone, PartialEq, Debug)]
pub struct KernelStep {
    /// The kernel's position in `Plan::kernels`.
    pub kernel: usize,
    /// The layer, for profiles.
    pub name: String,
    /// Buffers, in the order of the kernel's arguments.
    pub args: Vec<BufferId>,
    /// Its tasks: any division among threads gives the same bits.
    pub tasks: Tasks,
}

/// Geometry of a dense convolution; activations channels-last, weights `[Co Kh Kw Ci]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConvGeometry {
    /// Input channels, rows, columns.
    pub input: (usize, usize, usize),
    /// Output channels, rows, columns.
    pub output: (usize, usize, usize),
    /// Rows and columns of the kernel.
    pub kernel: (usize, usize),
    /// Step between output positions.
    pub stride: usize,
    /// Zeros on each side.
    pub pad: usize,
}

/// A product of real-valued operands, done by the `gemm` crate. `images` (or `rows`) are per sample: T for an
/// activation with a time axis, else 1; buffers hold `images · B` of them one after the other.
#[derive(Clone, PartialEq, Debug)]
pub enum Dense {
    /// `y[n] = conv(x[n], w) + bias`.
    Conv {
        /// Sizes.
        geometry: ConvGeometry,
        /// Images per sample.
        images: usize,
        /// `[N H W Ci]`.
        x: BufferId,
        /// `[Co Kh Kw Ci]`.
        w: BufferId,
        /// `[Co]`.
        bias: Option<BufferId>,
        /// `[N Ho Wo Co]`.
        y: BufferId,
    },
    /// The gradient of a convolution's input.
    ConvGradInput {
        /// Sizes, of the forward convolution.
        geometry: ConvGeometry,
        /// Images per sample.
        images: usize,
        /// `[N Ho Wo Co]`.
        dy: BufferId,
        /// `[Co Kh Kw Ci]`.
        w: BufferId,
        /// `[N H W Ci]`.
        dx: BufferId,
    },
    /// The gradient of a convolution's weight.
    ConvGradWeight {
        /// Sizes, of the forward convolution.
        geometry: ConvGeometry,
        /// Images per sample.
        images: usize,
        /// `[N H W Ci]`.
        x: BufferId,
        /// `[N Ho Wo Co]`.
        dy: BufferId,
        /// `[Co Ci Kh Kw]`.
        dw: BufferId,
    },
    /// `y = x·wᵀ + bias`.
    Linear {
        /// Rows per sample, input features, output features.
        sizes: (usize, usize, usize),
        /// `[N Ci]`.
        x: BufferId,
        /// `[Co Ci]`.
        w: BufferId,
        /// `[Co]`.
        bias: Option<BufferId>,
        /// `[N Co]`.
        y: BufferId,
    },
    /// `dx = dy·w`.
    LinearGradInput {
        /// Rows per sample, input features, output features.
        sizes: (usize, usize, usize),
        /// `[N Co]`.
        dy: BufferId,
        /// `[Co Ci]`.
        w: BufferId,
        /// `[N Ci]`.
        dx: BufferId,
    },
    /// `dw = dyᵀ·x`.
    LinearGradWeight {
        /// Rows per sample, input features, output features.
        sizes: (usize, usize, usize),
        /// `[N Ci]`.
        x: BufferId,
        /// `[N Co]`.
        dy: BufferId,
        /// `[Co Ci]`.
        dw: BufferId,
    },
}

impl Dense {
    /// The mnemonic of the operation.
    pub fn mnemonic(&self) -> &'static str {
        match self {
            Dense::Conv { .. } => "conv2d",
            Dense::ConvGradInput { .. } => "conv2d.grad_input",
            Dense::ConvGradWeight { .. } => "conv2d.grad_weight",
            Dense::Linear { .. } => "linear",
            Dense::LinearGradInput { .. } => "linear.grad_input",
            Dense::LinearGradWeight { .. } => "linear.grad_weight",
        }
    }

    /// Buffers read, and the buffer written.
    pub fn buffers(&self) -> (Vec<BufferId>, BufferId) {
        match *self {
            Dense::Conv { x, w, bias, y, .. } | Dense::Linear { x, w, bias, y, .. } => {
                ([x, w].into_iter().chain(bias).collect(), y)
            }
            Dense::ConvGradInput { dy, w, dx, .. } | Dense::LinearGradInput { dy, w, dx, .. } => {
                (vec![dy, w], dx)
            }
            Dense::ConvGradWeight { x, dy, dw, .. } | Dense::LinearGradWeight { x, dy, dw, .. } => {
                (vec![x, dy], dw)
            }
        }
    }
}

/// A step.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// A compiled kernel.
    Kernel(KernelStep),
    /// A dense product.
    Dense {
        /// The layer, for profiles.
        name: String,
        /// The product.
        op: Dense,
    },
    /// Counts the set bits of a spike buffer `[T B …]` for the probe of this number.
    Count {
        /// The position in `Plan::probes`.
        probe: usize,
        /// The packed spikes.
        buffer: BufferId,
    },
    /// The gradient of a parameter is complete, and nothing of this pass reads the parameter any more: the optimiser may
    /// move it, and the gradient is over with the step.
    Update {
        /// The position in `Plan::params`.
        param: usize,
        /// The parameter.
        values: BufferId,
        /// Its gradient.
        grad: BufferId,
    },
}

impl Step {
    /// Buffers that the step touches.
    pub fn touches(&self) -> Vec<BufferId> {
        match self {
            Step::Kernel(step) => step.args.clone(),
            Step::Dense { op, .. } => {
                let (mut all, written) = op.buffers();
                all.push(written);
                all
            }
            Step::Count { buffer, .. } => vec![*buffer],
            Step::Update { values, grad, .. } => vec![*values, *grad],
        }
    }
}
