//! Neurons through time: a word of them after the other, whose membranes stay in registers.

use std::arch::x86_64::*;

/// Lanes of a word.
const WORD: usize = 64;

/// Where currents or spikes lie, and the elements from one position and from one timestep to the next.
#[derive(Clone, Copy)]
struct Over<P> {
    at: P,
    step: usize,
    time: usize,
}

impl Over<*const u32> {
    /// # Safety
    /// There are such a position and such a timestep.
    #[inline]
    unsafe fn of(self, position: usize, t: usize) -> *const u32 {
        // SAFETY: the caller's promise.
        unsafe { self.at.add(position * self.step + t * self.time) }
    }
}

/// What neurons of a run of positions get, do and are.
#[derive(Clone, Copy)]
struct Neurons {
    count: usize,
    lanes: usize,
    steps: usize,
    currents: [(usize, Over<*const u32>); 2],
    spikes: Over<*mut u32>,
    /// Decay, gain, threshold, reset and the first membrane.
    constants: [f32; 5],
}

macro_rules! entry {
    ($name:ident, $function:ident, $above:literal) => {
        pub(in crate::wide) unsafe extern "C" fn $name(
            count: usize,
            lanes: usize,
            steps: usize,
            first: *const u32,
            first_step: usize,
            first_time: usize,
            second: *const u32,
            second_step: usize,
            second_time: usize,
            spikes: *mut u32,
            spikes_step: usize,
            spikes_time: usize,
            first_kind: usize,
            second_kind: usize,
            decay: usize,
            gain: usize,
            threshold: usize,
            reset: usize,
            initial: usize,
        ) {
            let neurons = Neurons {
                count,
                lanes,
                steps,
                currents: [
                    (first_kind, Over { at: first, step: first_step, time: first_time }),
                    (second_kind, Over { at: second, step: second_step, time: second_time }),
                ],
                spikes: Over { at: spikes, step: spikes_step, time: spikes_time },
                constants: [decay, gain, threshold, reset, initial].map(|bits| f32::from_bits(bits as u32)),
            };
            // SAFETY: the kernel interpreter's rules hold for the kernel that calls: currents and whole words of spikes of all
            // positions and timesteps lie inside their buffers. The features were detected before this function was
            // chosen.
            unsafe { $function::<$above>(neurons) }
        }
    };
}

entry!(fire_512, all_512, false);
entry!(fire_above_512, all_512, true);
entry!(fire_256, all_256, false);
entry!(fire_above_256, all_256, true);

/// # Safety
/// As the entries, with 512 bits.
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
unsafe fn all_512<const ABOVE: bool>(neurons: Neurons) {
    const LANES: usize = 16;
    let Neurons { count, lanes, steps, currents, spikes, constants } = neurons;
    let [decay, gain, threshold, reset, initial] = constants.map(|constant| _mm512_set1_ps(constant));
    let one = _mm512_set1_ps(1.0);
    for position in 0..count {
        for word in (0..lanes).step_by(WORD) {
            let mut membranes = [initial; WORD / LANES];
            for t in 0..steps {
                let mut fired = 0u64;
                let vectors = (lanes - word).div_ceil(LANES).min(WORD / LANES);
                for (v, membrane) in membranes.iter_mut().enumerate().take(vectors) {
                    let lane = word + v * LANES;
                    let own: __mmask16 =
                        if lane + LANES <= lanes { !0 } else { !0 >> (lane + LANES - lanes) };
                    // SAFETY: the caller's promise; masked loads touch no lane beyond the last.
                    let current = |(kind, over): (usize, Over<*const u32>)| unsafe {
                        let from = over.of(position, t);
                        match kind {
                            1 => _mm512_maskz_loadu_ps(own, from.cast::<f32>().add(lane)),
                            _ => _mm512_maskz_mov_ps(
                                from.cast::<u16>().add(lane / LANES).read_unaligned() & own,
                                one,
                            ),
                        }
                    };
                    let mut x = current(currents[0]);
                    if currents[1].0 != 0 {
                        x = _mm512_add_ps(x, current(currents[1]));
                    }
                    let h = _mm512_add_ps(_mm512_mul_ps(*membrane, decay), _mm512_mul_ps(x, gain));
                    let spike = match ABOVE {
                        true => _mm512_cmp_ps_mask::<_CMP_GT_OS>(h, threshold),
                        false => _mm512_cmp_ps_mask::<_CMP_GE_OS>(h, threshold),
                    };
                    *membrane = _mm512_mask_mov_ps(h, spike, reset);
                    fired |= u64::from(spike & own) << (v * LANES);
                }
                // SAFETY: the caller's promise: spikes are whole words.
                unsafe {
                    let to = spikes.at.add(position * spikes.step + t * spikes.time + word / 32);
                    to.cast::<u64>().write_unaligned(fired);
                }
            }
        }
    }
}

/// # Safety
/// As the entries, with 256 bits.
#[target_feature(enable = "avx2")]
unsafe fn all_256<const ABOVE: bool>(neurons: Neurons) {
    // SAFETY: the caller's promise.
    unsafe {
        match neurons.currents.map(|(kind, _)| kind) {
            [1, 0] => each_256::<ABOVE, 1, 0>(neurons),
            [1, 1] => each_256::<ABOVE, 1, 1>(neurons),
            [1, _] => each_256::<ABOVE, 1, 2>(neurons),
            [_, 0] => each_256::<ABOVE, 2, 0>(neurons),
            [_, 1] => each_256::<ABOVE, 2, 1>(neurons),
            [_, _] => each_256::<ABOVE, 2, 2>(neurons),
        }
    }
}

/// Neurons whose currents are of the kinds `FIRST` and `SECOND`, a vector of them after the other.
///
/// # Safety
/// As the entries, with 256 bits.
#[target_feature(enable = "avx2")]
unsafe fn each_256<const ABOVE: bool, const FIRST: u8, const SECOND: u8>(neurons: Neurons) {
    const LANES: usize = 8;
    let Neurons { count, lanes, steps, currents: [first, second], spikes, constants } = neurons;
    let [decay, gain, threshold, reset, initial] = constants.map(|constant| _mm256_set1_ps(constant));
    let bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    let one = _mm256_set1_ps(1.0);
    // All bits of the lanes whose bits are set.
    let spread = |set: u8| {
        let set = _mm256_and_si256(_mm256_set1_epi32(i32::from(set)), bits);
        _mm256_cmpeq_epi32(set, bits)
    };
    for position in 0..count {
        if lanes % WORD > 0 {
            for t in 0..steps {
                let word = position * spikes.step + t * spikes.time + lanes / WORD * 2;
                // SAFETY: the caller's promise: spikes are whole words.
                unsafe { spikes.at.add(word).cast::<u64>().write_unaligned(0) };
            }
        }
        for lane in (0..lanes).step_by(LANES) {
            let own: u8 = if lane + LANES <= lanes { !0 } else { !0 >> (lane + LANES - lanes) };
            let current = |kind: u8, over: Over<*const u32>, t: usize| {
                // SAFETY: the caller's promise; masked loads touch no lane beyond the last.
                unsafe {
                    let from = over.of(position, t);
                    match kind {
                        1 if own == !0 => _mm256_loadu_ps(from.cast::<f32>().add(lane)),
                        1 => _mm256_maskload_ps(from.cast::<f32>().add(lane), spread(own)),
                        _ => {
                            let set = from.cast::<u8>().add(lane / LANES).read() & own;
                            _mm256_and_ps(_mm256_castsi256_ps(spread(set)), one)
                        }
                    }
                }
            };
            let mut membrane = initial;
            for t in 0..steps {
                let mut x = current(FIRST, first.1, t);
                if SECOND != 0 {
                    x = _mm256_add_ps(x, current(SECOND, second.1, t));
                }
                let h = _mm256_add_ps(_mm256_mul_ps(membrane, decay), _mm256_mul_ps(x, gain));
                let spike = match ABOVE {
                    true => _mm256_cmp_ps::<_CMP_GT_OS>(h, threshold),
                    false => _mm256_cmp_ps::<_CMP_GE_OS>(h, threshold),
                };
                membrane = _mm256_blendv_ps(h, reset, spike);
                let to = position * spikes.step + t * spikes.time;
                // SAFETY: the caller's promise.
                unsafe {
                    let fired = _mm256_movemask_ps(spike) as u8 & own;
                    spikes.at.add(to).cast::<u8>().add(lane / LANES).write(fired);
                }
            }
        }
    }
}
