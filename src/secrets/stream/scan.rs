//! What all levels of one scan share, and what a scan may cost.

use crate::secrets::known::Known;
use crate::secrets::rules::rule::Candidate;
use crate::secrets::scanner::Scanner;

/// What all levels of one scan share.
pub(in crate::secrets) struct Scan<'a> {
    pub(in crate::secrets) scanner: &'a Scanner,
    pub(in crate::secrets) known: &'a Known,
    pub(in crate::secrets) report: &'a mut dyn FnMut(&Hit<'_>),
    pub(in crate::secrets) work: &'a mut Work,
    /// The decodings that led to this level.
    pub(in crate::secrets) path: Vec<&'static str>,
}

/// What a scan may cost: verification and decoding against the bytes it was given.
#[derive(Debug)]
pub(in crate::secrets) struct Work {
    pub(in crate::secrets) given: u64,
    pub(in crate::secrets) spent: u64,
    /// Bytes that came out of compressed ones.
    pub(in crate::secrets) inflated: u64,
    /// Something on the deepest level is encoded once more.
    pub(in crate::secrets) is_too_deep: bool,
}

impl Work {
    const FREE: u64 = 8 << 20;
    const PER_BYTE: u64 = 48;
    const PER_INFLATED_BYTE: u64 = 16;
    const FREE_INFLATED: u64 = 8 << 20;
    /// What holding a shape to a place costs, whatever it finds there, a byte of a match that its rule judges, and a
    /// look at the words before a value.
    pub(super) const ATTEMPT: u64 = 32;
    pub(super) const PER_JUDGED_BYTE: u64 = 16;
    pub(in crate::secrets) const WORDS: u64 = 320;
    /// Deflate comes to a thousand at most; what people send to thirty.
    const RATIO: u64 = 96;

    pub(in crate::secrets) const fn new() -> Self {
        Self { given: 0, spent: 0, inflated: 0, is_too_deep: false }
    }

    /// Nothing of this kind is sent in earnest.
    pub(in crate::secrets) const fn give_up(&mut self) {
        self.spent = u64::MAX / 2;
    }

    /// What will be done again when more bytes are there counts once, so that a body's cost is the same however it is
    /// cut.
    pub(in crate::secrets) const fn take_back(&mut self, spent: u64) {
        if !self.is_exhausted() {
            self.spent = spent;
        }
    }

    /// A flood of near-misses, a bomb, or decodings within decodings.
    pub(in crate::secrets) const fn is_exhausted(&self) -> bool {
        self.spent > Self::FREE + self.given * Self::PER_BYTE + self.inflated * Self::PER_INFLATED_BYTE
            || self.inflated > Self::FREE_INFLATED + self.given * Self::RATIO
    }
}

/// A match that its rule accepts, or a known secret.
pub(in crate::secrets) struct Hit<'a> {
    /// The known secret's number; then there are no rules.
    pub(in crate::secrets) known: Option<u32>,
    /// Whether it may be believed where pieces were joined.
    pub(in crate::secrets) joins: bool,
    /// Whether its value looks as chance makes those of its kind.
    pub(in crate::secrets) is_likely: bool,
    /// The rules that match at this place with this length.
    pub(in crate::secrets) rules: &'a [u32],
    pub(in crate::secrets) candidate: Candidate<'a>,
    /// Where in the outermost level it starts and ends.
    pub(in crate::secrets) start: u64,
    pub(in crate::secrets) end: u64,
    pub(in crate::secrets) path: &'a [&'static str],
}

impl Hit<'_> {
    /// Whether it is believed where pieces were put side by side, or letters in another order: of many words some make a
    /// value with a short prefix then.
    pub(in crate::secrets) const fn is_believed(&self) -> bool {
        self.joins && self.is_likely
    }
}

/// Maps a level's offset to the outermost level's.
pub(in crate::secrets) type Origin<'a> = &'a dyn Fn(u64) -> u64;
