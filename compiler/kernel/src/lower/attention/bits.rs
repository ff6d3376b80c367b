//! The channels of one head: a range of bits that may begin and end inside words, or a range of numbers.

use super::super::LowerError;
use super::super::view::{TILE, View};
use super::group::Place;
use crate::body::{Compare, Index, Mask, Row, Slot, Width, Word};
use crate::build::{Builder, load, load_splat, load_word, mask_of, popcount};

/// Some successive channels of a head, one row.
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    /// The first, a multiple of 32.
    pub first: usize,
    /// How many.
    pub n: usize,
}

/// The rows of so many channels.
pub fn lanes(channels: usize) -> impl Iterator<Item = Lanes> {
    (0..channels).step_by(TILE).map(move |first| Lanes { first, n: TILE.min(channels - first) })
}

/// Numbers in heads.
#[derive(Debug)]
pub struct Reals {
    pub view: View,
    /// Channels of a head.
    pub each: usize,
}

impl Reals {
    pub fn new(view: View, heads: usize) -> Reals {
        let each = view.shape.channels / heads;
        Reals { view, each }
    }

    fn at(&self, place: &Place, channel: usize) -> Index {
        self.view.shape.position(&place.t, &place.b, &place.p) + &place.head * self.each + channel
    }

    /// A row of a head's channels.
    pub fn row(&self, place: &Place, lanes: Lanes) -> Row {
        load(self.view.slot, self.at(place, lanes.first), lanes.n)
    }

    /// One channel, known when the kernel runs.
    pub fn one(&self, place: &Place, channel: &Index) -> Row {
        load(self.view.slot, self.at(place, 0) + channel, 1)
    }

    /// One channel in so many lanes.
    pub fn splat(&self, place: &Place, channel: &Index, n: usize) -> Row {
        load_splat(self.view.slot, self.at(place, 0) + channel, n)
    }

    /// Stores a row of a head's channels.
    pub fn store(&self, k: &mut Builder, place: &Place, lanes: Lanes, row: Row) {
        k.store(self.view.slot, self.at(place, lanes.first), row);
    }
}

/// Packed spikes in heads.
#[derive(Debug)]
pub struct Bits {
    pub view: View,
    /// Channels of a head.
    pub each: usize,
    heads: usize,
}

/// Bits of a head in one word.
struct Piece {
    /// Offset of the word from its position's first, in units of 32 bits.
    offset: Index,
    /// How far the head's bits are moved down.
    shift: Index,
    /// Which bits are then the head's; all of a word where nothing else can be set.
    mask: Option<Word>,
    /// The head's channel that bit 0 then is; negative where the head begins inside the word.
    first: Index,
}

impl Piece {
    /// The word of a position, other heads' bits included.
    fn raw(&self, slot: Slot, at: &Index) -> Word {
        let word = load_word(slot, at + &self.offset, Width::Full);
        match &self.shift {
            Index::Const(0) => word,
            shift => Word::Shr(Box::new(word), Box::new(shift.clone())),
        }
    }

    /// The head's bits of a position.
    fn own(&self, slot: Slot, at: &Index) -> Word {
        match &self.mask {
            Some(mask) => Word::And(Box::new(self.raw(slot, at)), Box::new(mask.clone())),
            None => self.raw(slot, at),
        }
    }
}

/// The lowest `n` bits, at most 63.
fn ones(n: usize) -> Word {
    Word::Const((1 << n) - 1)
}

impl Bits {
    /// Errors where the value is not packed: a bug in the passes before.
    pub fn new(view: View, heads: usize) -> Result<Bits, LowerError> {
        if !view.shape.bits {
            return Err(LowerError("attention reads packed spikes only".to_string()));
        }
        let each = view.shape.channels / heads;
        Ok(Bits { view, each, heads })
    }

    fn at(&self, k: &mut Builder, place: &Place) -> Index {
        k.index("at", self.view.shape.position(&place.t, &place.b, &place.p))
    }

    /// Whether each head lies in one word.
    fn in_one_word(&self) -> bool {
        if self.heads == 1 { self.each <= 64 } else { 64 % self.each == 0 }
    }

    /// The body for each word that holds channels of a head.
    fn pieces(&self, k: &mut Builder, head: &Index, body: impl FnOnce(&mut Builder, Piece)) {
        let begin = head * self.each;
        if self.heads == 1 || self.each.is_multiple_of(64) {
            let offset = head * (self.each / 32);
            k.for_range("word", 0, self.each.div_ceil(64), |k, word| {
                let piece =
                    Piece { offset: offset + &word * 2, shift: 0.into(), mask: None, first: word * 64 };
                body(k, piece);
            });
        } else if self.in_one_word() {
            let offset = k.index("offset", begin.quotient(64) * 2);
            let shift = k.index("shift", begin.remainder(64));
            body(k, Piece { offset, shift, mask: Some(ones(self.each)), first: 0.into() });
        } else {
            let begin = k.index("begin", begin);
            let end = k.index("end", &begin + self.each);
            k.for_range("word", begin.quotient(64), (&end + 63).quotient(64), |k, word| {
                let first = k.index("first", &word * 64 - &begin);
                let below = (Index::from(0) - &first).max(0);
                let above = (&word * 64 + 64 - &end).max(0);
                let all = || Box::new(Word::Const(u64::MAX));
                let mask = Word::And(
                    Box::new(Word::Shl(all(), Box::new(below))),
                    Box::new(Word::Shr(all(), Box::new(above))),
                );
                let mask = Some(Word::Reg(k.word("own", mask)));
                body(k, Piece { offset: word * 2, shift: 0.into(), mask, first });
            });
        }
    }

    /// The body for each channel of a head that is set at a place.
    pub fn each(&self, k: &mut Builder, place: &Place, body: impl FnOnce(&mut Builder, Index)) {
        let at = self.at(k, place);
        self.pieces(k, &place.head, |k, piece| {
            k.each_bit("bit", piece.own(self.view.slot, &at), |k, bit| body(k, piece.first + bit));
        });
    }

    /// How many channels of a head are set at a timestep, sample and position, as one lane.
    pub fn count(&self, k: &mut Builder, (t, b, p): (&Index, &Index, &Index), head: &Index) -> Row {
        let at = k.index("at", self.view.shape.position(t, b, p));
        let count = k.row("count", 1, Row::constant(0.0, 1));
        self.pieces(k, head, |k, piece| {
            let own = popcount(piece.own(self.view.slot, &at));
            k.set(count, Row::Reg(count) + Row::FromIndex(Box::new(own), 1));
        });
        Row::Reg(count)
    }

    /// The body with the number, as one lane, of channels that are set at both of two places; where a head lies
    /// in one word, only if there are any. `other` has as many heads of as many channels.
    pub fn shared(
        &self,
        k: &mut Builder,
        place: &Place,
        (other, elsewhere): (&Bits, &Place),
        body: impl FnOnce(&mut Builder, Row),
    ) {
        let (here, there) = (self.at(k, place), other.at(k, elsewhere));
        let both = |piece: &Piece| {
            let (own, raw) = (piece.own(self.view.slot, &here), piece.raw(other.view.slot, &there));
            popcount(Word::And(Box::new(own), Box::new(raw)))
        };
        if self.in_one_word() {
            return self.pieces(k, &place.head, |k, piece| {
                let m = k.index("m", both(&piece));
                k.when(Compare::Gt, &m, 0, |k| body(k, Row::FromIndex(Box::new(m.clone()), 1)));
            });
        }
        let m = k.row("m", 1, Row::constant(0.0, 1));
        self.pieces(k, &place.head, |k, piece| {
            k.set(m, Row::Reg(m) + Row::FromIndex(Box::new(both(&piece)), 1));
        });
        body(k, Row::Reg(m));
    }

    /// Some channels of a head as truth values.
    pub fn mask(&self, k: &mut Builder, place: &Place, lanes: Lanes) -> Mask {
        let (slot, at) = (self.view.slot, self.at(k, place));
        if self.heads == 1 || self.each.is_multiple_of(TILE) {
            let half = &place.head * (self.each / TILE) + lanes.first / TILE;
            return mask_of(load_word(slot, &at + half, Width::Half), lanes.n);
        }
        let begin = &place.head * self.each + lanes.first;
        let word = k.index("word", begin.quotient(64) * 2);
        let shift = k.index("shift", begin.remainder(64));
        let down = |word: Word, by: &Index| Word::Shr(Box::new(word), Box::new(by.clone()));
        let low = k.word("low", down(load_word(slot, &at + &word, Width::Full), &shift));
        if !self.in_one_word() {
            k.when(Compare::Gt, &shift + lanes.n, 64, |k| {
                let next = load_word(slot, &at + &word + 2, Width::Full);
                let high = Word::Shl(Box::new(next), Box::new(Index::from(64) - &shift));
                k.set_word(low, Word::Or(Box::new(Word::Reg(low)), Box::new(high)));
            });
        }
        mask_of(Word::Reg(low), lanes.n)
    }
}
