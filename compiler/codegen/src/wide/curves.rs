//! Curves over lanes that lie one after the other: the steps of `snnc_kernel::math`, which the compiler makes vectors of for
//! the features that a function may use.

use snnc_kernel::math::{exp, sigmoid};

/// # Safety
/// `count` numbers can be read and written; the two do not overlap.
#[inline(always)]
unsafe fn each(count: usize, from: *const f32, to: *mut f32, curve: impl Fn(f32) -> f32) {
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe { *to.add(i) = curve(*from.add(i)) };
    }
}

/// The two functions for some features.
macro_rules! curves {
    ($module:ident, $features:literal) => {
        pub(super) mod $module {
            pub(in crate::wide) unsafe extern "C" fn exp(count: usize, from: *const f32, to: *mut f32) {
                #[target_feature(enable = $features)]
                unsafe fn all(count: usize, from: *const f32, to: *mut f32) {
                    // SAFETY: the caller's promise.
                    unsafe { super::each(count, from, to, super::exp) }
                }
                // SAFETY: the kernel interpreter's rules hold for the kernel that calls: both lie in their buffers, which are
                // two. The features were detected before this function was chosen.
                unsafe { all(count, from, to) }
            }

            pub(in crate::wide) unsafe extern "C" fn sigmoid(count: usize, from: *const f32, to: *mut f32) {
                #[target_feature(enable = $features)]
                unsafe fn all(count: usize, from: *const f32, to: *mut f32) {
                    // SAFETY: the caller's promise.
                    unsafe { super::each(count, from, to, super::sigmoid) }
                }
                // SAFETY: as above.
                unsafe { all(count, from, to) }
            }
        }
    };
}

curves!(bits512, "avx512f,avx512bw,avx512dq,avx512vl");
curves!(bits256, "avx2");
