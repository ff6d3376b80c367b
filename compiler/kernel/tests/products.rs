//! Products with spikes in the kernel interpreter against the reference evaluator, over whole numbers, whose sums are
//! exact: every geometry, channels that fill words and tiles and that do not.

mod common;

use common::check;

/// Rows and columns of the kernel, stride, pad; rows and columns of the input.
const GEOMETRIES: [(usize, usize, usize, usize, usize, usize); 15] = [
    (1, 1, 1, 0, 3, 4),
    (1, 1, 2, 0, 5, 4),
    (3, 3, 1, 1, 4, 5),
    (3, 3, 2, 1, 5, 6),
    (3, 2, 1, 0, 3, 3),
    (2, 3, 3, 2, 4, 7),
    (5, 5, 1, 2, 2, 2),
    (7, 7, 2, 3, 1, 2),
    (3, 3, 2, 0, 3, 70),
    (3, 3, 1, 1, 2, 128),
    (3, 3, 1, 1, 1, 1),
    (3, 3, 2, 1, 1, 1),
    // Blocks of rows, of which the last has fewer, and images that share a block.
    (3, 3, 1, 1, 13, 40),
    (5, 5, 1, 2, 9, 30),
    (3, 3, 1, 1, 8, 8),
];

/// Input and output channels.
const CHANNELS: [(usize, usize); 6] = [(3, 5), (64, 32), (70, 10), (130, 40), (6, 130), (257, 256)];

/// A convolution and its gradients, of inputs with the axes `axes` in front of rows, columns and channels.
fn convolution(axes: &str, geometry: (usize, usize, usize, usize, usize, usize), ci: usize, co: usize) {
    let (kh, kw, stride, pad, h, w) = geometry;
    let (oh, ow) = ((h + 2 * pad - kh) / stride + 1, (w + 2 * pad - kw) / stride + 1);
    let attributes = format!("{{stride={stride}, pad={pad}}}");
    check(
        &format!(
            "input %x : bits[{axes} H{h} W{w} | C{ci}] input %win : bits[{axes} H{h} W{w} | C{ci}]
             input %dy : f32[{axes} H{oh} W{ow} C{co}]
             input %w : f32[Co{co} Ci{ci} Kh{kh} Kw{kw}] input %b : f32[C{co}]
             %wl : f32[Kh{kh} Kw{kw} Ci{ci} Co{co}/128] = relayout %w
             %y : f32[{axes} H{oh} W{ow} C{co}] = conv2d.masked_add %x, %wl, %b {attributes}
             %dw : f32[Co{co} Ci{ci} Kh{kh} Kw{kw}] = conv2d.masked_grad_weight %x, %dy {attributes}
             %dx : f32[{axes} H{h} W{w} C{ci}] = conv2d.sampled_grad_input %dy, %wl, %win {attributes}"
        ),
        &["y", "dw", "dx"],
    );
}

#[test]
fn convolutions_of_every_geometry() {
    for geometry in GEOMETRIES {
        convolution("T3 B", geometry, 5, 7);
        convolution("B", geometry, 66, 34);
    }
}

#[test]
fn convolutions_of_every_number_of_channels() {
    for (ci, co) in CHANNELS {
        convolution("T2 B", (3, 3, 1, 1, 3, 3), ci, co);
        convolution("T2 B", (1, 1, 1, 0, 1, 1), ci, co);
    }
}

/// Four at most are listed by pattern, or halved, together.
#[test]
fn convolutions_of_groups_of_timesteps() {
    for steps in [4, 5, 6, 7, 9] {
        convolution(&format!("T{steps} B"), (3, 3, 1, 1, 8, 8), 5, 7);
    }
}

#[test]
fn linear_products() {
    for (ci, co) in CHANNELS {
        check(
            &format!(
                "input %x : bits[T2 B | C{ci}] input %dy : f32[T2 B C{co}] input %w : f32[Co{co} Ci{ci}]
                 %wl : f32[Ci{ci} Co{co}/128] = relayout %w
                 %y : f32[T2 B C{co}] = linear.masked_add %x, %wl
                 %dw : f32[Co{co} Ci{ci}] = linear.masked_grad_weight %x, %dy"
            ),
            &["y", "dw"],
        );
    }
}
