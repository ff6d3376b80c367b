//! The numbers of set bits, from the words themselves: a list of them would be read by narrow loads between the wide ones of
//! rows, which cost more than they do. A walk of 128 channels at a rate of 15 % makes 138 multiply-adds a cycle so, and 112 by
//! lists (`cargo bench --bench masked_add`, 512 bits, Zen 5).

use snnc_kernel::body::MAX_STEPS;

/// Those of one word.
pub(super) struct Bits(pub u64);

impl Iterator for Bits {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let number = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(number)
    }
}

/// Those of some words.
pub(super) struct Words {
    /// What is left of the word that numbers are taken from.
    left: u64,
    /// The number of its lowest bit, and the first that no word has.
    base: usize,
    end: usize,
    next: *const u32,
    apart: usize,
}

impl Words {
    /// The bits of `count` words that lie `apart` elements of four bytes from each other.
    ///
    /// # Safety
    /// The words can be read for as long as numbers are asked for.
    #[inline]
    pub unsafe fn new(from: *const u32, count: usize, apart: usize) -> Words {
        Words { left: 0, base: 0usize.wrapping_sub(64), end: count * 64, next: from, apart }
    }
}

impl Iterator for Words {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.left == 0 {
            self.base = self.base.wrapping_add(64);
            if self.base >= self.end {
                return None;
            }
            // SAFETY: the promise of `new`: there are as many words.
            self.left = unsafe { self.next.cast::<u64>().read_unaligned() };
            self.next = self.next.wrapping_add(self.apart);
        }
        let number = self.base + self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        Some(number)
    }
}

/// The numbers that have a bit at one of some timesteps at least, with their patterns.
pub(super) struct Patterned {
    /// What is left of the words that numbers are taken from, of all timesteps together.
    left: u64,
    words: [u64; MAX_STEPS],
    /// The number of the lowest bit, and the first that no word has.
    base: usize,
    end: usize,
    next: *const u32,
    apart: usize,
    steps: usize,
    time: usize,
}

impl Patterned {
    /// The bits of `count` words that lie `apart` elements of four bytes from each other, at each of `steps` timesteps, whose
    /// words lie `time` elements apart.
    ///
    /// # Safety
    /// The words can be read for as long as numbers are asked for; there are at most [`MAX_STEPS`] timesteps.
    #[inline]
    pub unsafe fn new(from: *const u32, (count, apart): (usize, usize), steps: usize, time: usize) -> Self {
        let base = 0usize.wrapping_sub(64);
        Patterned { left: 0, words: [0; MAX_STEPS], base, end: count * 64, next: from, apart, steps, time }
    }
}

impl Iterator for Patterned {
    type Item = (usize, usize);

    #[inline]
    fn next(&mut self) -> Option<(usize, usize)> {
        while self.left == 0 {
            self.base = self.base.wrapping_add(64);
            if self.base >= self.end {
                return None;
            }
            for (t, word) in self.words.iter_mut().take(self.steps).enumerate() {
                // SAFETY: the promise of `new`: there are as many words.
                *word = unsafe { self.next.wrapping_add(t * self.time).cast::<u64>().read_unaligned() };
                self.left |= *word;
            }
            self.next = self.next.wrapping_add(self.apart);
        }
        let bit = self.left.trailing_zeros();
        self.left &= self.left - 1;
        let own = self.words.iter().take(self.steps).enumerate();
        let pattern = own.fold(0, |pattern, (t, word)| pattern | ((word >> bit) as usize & 1) << t);
        Some((self.base + bit as usize, pattern))
    }
}
