//! The numbers of set bits: those of one word from the word, those of several from a list.

use std::arch::x86_64::*;

/// Numbers of 64 bits, in their order.
pub(super) const NUMBERS: [u8; 64] = {
    let mut numbers = [0; 64];
    let mut i = 0;
    while i < 64 {
        numbers[i] = i as u8;
        i += 1;
    }
    numbers
};

/// The numbers of the set bits of a position of up to four words; a word's store reaches 63 bytes further.
#[repr(align(64))]
pub(super) struct List(pub(super) [u8; 256 + 64]);

impl List {
    /// Fills the list; its length.
    ///
    /// # Safety
    /// `bits` points to `words` words, four at most; the features of [`is_available`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi1")]
    #[inline]
    pub(super) unsafe fn fill(&mut self, bits: *const u64, words: usize) -> usize {
        // SAFETY: the caller's promise.
        unsafe { self.fill_apart(bits.cast(), words, 2) }
    }

    /// The same for words that lie `apart` elements of four bytes from each other.
    ///
    /// # Safety
    /// As [`List::fill`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi1")]
    #[inline]
    pub(super) unsafe fn fill_apart(&mut self, bits: *const u32, words: usize, apart: usize) -> usize {
        // SAFETY: `words` words are read; each stores 64 bytes at most 192 behind the list's start.
        unsafe {
            let numbers = _mm512_loadu_si512(NUMBERS.as_ptr().cast());
            let mut length = 0;
            for number in 0..words {
                let word = bits.add(number * apart).cast::<u64>().read_unaligned();
                let own = _mm512_add_epi8(numbers, _mm512_set1_epi8((number * 64) as i8));
                let to = self.0.as_mut_ptr().add(length);
                _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi8(word, own));
                length += word.count_ones() as usize;
            }
            length
        }
    }
}

/// The numbers of a list, eight at a load: a narrow load between those of 512 bits costs as much as one and a half of them.
pub(super) struct Numbers<'a> {
    list: &'a List,
    word: u64,
    at: usize,
    end: usize,
}

impl List {
    /// The first numbers, at most 256.
    #[inline]
    pub(super) fn numbers(&self, length: usize) -> Numbers<'_> {
        Numbers { list: self, word: self.eight(0), at: 0, end: length }
    }

    /// Eight numbers from one on.
    #[inline]
    fn eight(&self, at: usize) -> u64 {
        debug_assert!(at <= 256);
        // SAFETY: 64 bytes follow the last of 256 numbers.
        unsafe { self.0.as_ptr().add(at).cast::<u64>().read_unaligned() }
    }
}

impl Iterator for Numbers<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.at >= self.end {
            return None;
        }
        let number = self.word as u8;
        self.at += 1;
        self.word = if self.at.is_multiple_of(8) { self.list.eight(self.at) } else { self.word >> 8 };
        Some(usize::from(number))
    }
}

/// The numbers of the set bits of one word, which need no list.
pub(super) struct Bits(pub(super) u64);

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
