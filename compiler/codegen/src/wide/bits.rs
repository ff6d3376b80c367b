//! The numbers of set bits, from the words themselves: a list of them would be read by narrow loads between the wide ones of
//! rows, which cost more than they do. A walk of 128 channels at a rate of 15 % makes 138 multiply-adds a cycle so, and 112 by
//! lists (`cargo bench --bench masked_add`, 512 bits, Zen 5).

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
