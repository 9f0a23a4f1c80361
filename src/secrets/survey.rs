//! One look at every byte of a level, 64 at once: masks that say where something of interest to a pass may be. The
//! passes go by the set bits, of which ordinary text has few.

use super::decode::{fold, gates, numbers};
use super::search::classes::{Class, Classes, runs_of};
use super::search::teddy::{self, Teddy};
use super::search::wide::{self, Lanes, Task, window_at};
use super::{anchors, embedded, runs};
use std::ops::Range;

/// What is known of 64 bytes, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// Value characters.
    pub(super) value: u64,
    /// Those of them that a token may stand behind.
    pub(super) joints: u64,
    /// Characters of lists of numbers.
    pub(super) parts: u64,
    /// Bytes that an escape may begin with.
    pub(super) stops: u64,
    /// Those of them that an escape may begin with which hides something.
    pub(super) gates: u64,
    /// Bytes that the magics of compressed files have and text never has.
    pub(super) marks: u64,
    /// Where the bytes end that a literal may be known by.
    pub(super) literals: u64,
}

const VALUE: Classes<3> = Classes::new([runs::VALUES, runs::JOINTS, anchors::DELIMITERS]);
const ESCAPES: Classes<2> = Classes::new([gates::GATES, fold::LEADS]);
const SECOND: Class = Class::new(gates::SECOND);
const LISTS: Classes<2> = Classes::new([numbers::PARTS.members(), gates::BACKSLASH]);
const REST: Classes<3> = Classes::new([fold::REST, embedded::MARKS, gates::ORDINARY]);

/// The masks of a level's buffer.
#[derive(Default)]
pub(super) struct Survey {
    blocks: Vec<Block>,
    /// How many of them are of 64 bytes: these stay as they are.
    whole: usize,
}

impl Survey {
    /// Looks at what the buffer has more than before.
    pub(super) fn extend(&mut self, buffer: &[u8], literals: &Teddy<3>) {
        self.blocks.resize(buffer.len().div_ceil(64), Block::default());
        let fresh = self.blocks.get_mut(self.whole..).unwrap_or_default();
        wide::run(Look { literals, buffer, first: self.whole, out: fresh });
        self.whole = buffer.len() / 64;
        if let Some(last) = self.blocks.get_mut(self.whole) {
            last.cut(buffer.len() % 64);
        }
    }

    /// Makes room for a buffer of so many bytes.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.blocks.reserve(bytes.div_ceil(64));
    }

    /// Gives back the room that nothing is in.
    pub(super) fn shrink(&mut self) {
        self.blocks.shrink_to_fit();
    }

    /// Forgets the first bytes, of which there are whole blocks.
    pub(super) fn forget(&mut self, bytes: usize) {
        self.blocks.drain(..bytes / 64);
        self.whole -= bytes / 64;
    }

    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.whole = 0;
    }

    /// The blocks from a number on, each with its own.
    pub(super) fn blocks_from(&self, first: usize) -> impl Iterator<Item = (usize, &Block)> {
        self.blocks.iter().enumerate().skip(first)
    }

    /// The places in a range whose bit is set.
    #[inline]
    pub(super) fn places<M: Fn(&Block) -> u64>(&self, mask: M, range: Range<usize>) -> Places<'_, M> {
        let Range { start, end } = range;
        let mut blocks = self.blocks.get(start / 64..).unwrap_or_default().iter();
        let left = blocks.next().map_or(0, |block| mask(block) & u64::MAX << (start % 64));
        Places { blocks, mask, left, base: start / 64 * 64, end }
    }

    /// The last place from `from` on whose bit is not set.
    pub(super) fn last_unset(&self, mask: impl Fn(&Block) -> u64, from: usize, end: usize) -> Option<usize> {
        let mut base = end.next_multiple_of(64);
        while base > from {
            base -= 64;
            let mut unset = !mask(self.blocks.get(base / 64)?);
            if end < base + 64 {
                unset &= (1 << (end - base)) - 1;
            }
            if base < from {
                unset &= u64::MAX << (from - base);
            }
            if unset != 0 {
                return Some(base + 63 - unset.leading_zeros() as usize);
            }
        }
        None
    }

    /// The first place from `from` on whose bit is not set, or `end`.
    pub(super) fn first_unset(&self, mask: impl Fn(&Block) -> u64, from: usize, end: usize) -> usize {
        self.places(|block| !mask(block), from..end).next().unwrap_or(end)
    }

    /// Runs of set bits from `from` on, at least `shortest` long (64 at most), as (start, end).
    #[inline]
    pub(super) fn runs(&self, mask: impl Fn(&Block) -> u64, from: usize, shortest: usize, out: &mut Vec<(u32, u32)>) {
        let mut there = u64::MAX << (from % 64);
        let words = self.blocks.get(from / 64..).unwrap_or_default().iter();
        let fresh = |block| mask(block) & std::mem::replace(&mut there, u64::MAX);
        runs_of(words.map(fresh), from / 64 * 64, shortest, out);
    }
}

/// Places of set bits.
pub(super) struct Places<'a, M> {
    blocks: std::slice::Iter<'a, Block>,
    mask: M,
    /// The bits of the block at `base` that are left.
    left: u64,
    base: usize,
    end: usize,
}

impl<M: Fn(&Block) -> u64> Iterator for Places<'_, M> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.left == 0 {
            self.base += 64;
            if self.base >= self.end {
                return None;
            }
            self.left = (self.mask)(self.blocks.next()?);
        }
        let at = self.base + self.left.trailing_zeros() as usize;
        self.left &= self.left - 1;
        (at < self.end).then_some(at)
    }
}

impl Block {
    /// Of its bytes only the first few are there.
    const fn cut(&mut self, bytes: usize) {
        let there = (1 << bytes) - 1;
        self.value &= there;
        self.joints &= there;
        self.parts &= there;
        self.stops &= there;
        self.gates &= there;
        self.marks &= there;
        self.literals &= there;
    }
}

/// Where such a byte follows; behind the last one there may be one.
const fn behind(mask: u64) -> u64 {
    mask >> 1 | 1 << 63
}

/// The look at some blocks of a buffer.
struct Look<'a> {
    literals: &'a Teddy<3>,
    buffer: &'a [u8],
    first: usize,
    out: &'a mut [Block],
}

impl Task for Look<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let teddy = self.literals.tables(lanes);
        let (value, lists, escapes) = (VALUE.tables(lanes), LISTS.tables(lanes), ESCAPES.tables(lanes));
        let (rest, second) = (REST.tables(lanes), SECOND.tables(lanes));
        let (mut at, mut padded) = (self.first * 64, [0; 67]);
        for block in self.out {
            let window = window_at(self.buffer, at, &mut padded);
            let halves = teddy::halves(lanes, window);
            let own = halves[3];
            let [values, joints, delimiters] = value.masks(lanes, own);
            let [parts, backslashes] = lists.masks(lanes, own);
            let [_, escaped] = lists.masks(lanes, halves[2]);
            let [ascii, leads] = escapes.masks(lanes, own);
            let [rest, marks, ordinary] = rest.masks(lanes, own);
            let [seconds] = second.masks(lanes, own);
            let gates = ascii & behind(seconds) & !(backslashes & ordinary >> 1) | leads & behind(rest);
            let literals = delimiters | teddy.mask(lanes, &halves);
            let parts = parts | (escaped & ordinary);
            *block = Block { value: values, joints, parts, stops: ascii | leads, gates, marks, literals };
            at += 64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a buffer's block is, byte by byte.
    fn plain(teddy: &Teddy<3>, hay: &[u8], number: usize) -> Block {
        let block = hay.get(number * 64..(number * 64 + 64).min(hay.len())).unwrap_or_default();
        let mask = |has: &dyn Fn(u8) -> bool| {
            block.iter().zip(0..).fold(0, |mask, (byte, at)| mask | u64::from(has(*byte)) << at)
        };
        let of = |table: [bool; 256]| mask(&|byte| table[usize::from(byte)]);
        // Behind the last byte anything may follow.
        let beyond = u64::MAX.checked_shl(block.len() as u32).unwrap_or(0);
        let seconds = behind(of(gates::SECOND) | beyond);
        let behind_backslash = (0..block.len() as u32).fold(0, |mask, at| {
            let before = (number * 64 + at as usize).checked_sub(1).and_then(|before| hay.get(before));
            mask | u64::from(before == Some(&b'\\')) << at
        });
        let mut literals = Vec::new();
        teddy.masks(hay, number * 64..number * 64 + block.len(), &mut literals);
        Block {
            value: of(runs::VALUES),
            joints: of(runs::JOINTS),
            parts: of(numbers::PARTS.members()) | (of(gates::ORDINARY) & behind_backslash),
            stops: of(gates::GATES) | of(fold::LEADS),
            gates: of(gates::GATES) & seconds & !(of(gates::BACKSLASH) & of(gates::ORDINARY) >> 1)
                | of(fold::LEADS) & behind(of(fold::REST)),
            marks: of(embedded::MARKS),
            literals: of(anchors::DELIMITERS) | literals.first().copied().unwrap_or_default(),
        }
    }

    fn teddy() -> Teddy<3> {
        Teddy::new(&[b"AKIA", b"eyJh", b"://%"].map(|text| text.map(Some)))
    }

    proptest! {
        #[test]
        fn a_buffer_that_grows_and_forgets_is_known_as_byte_by_byte(
            bytes in proptest::collection::vec(any::<u8>(), 0..700),
            text in "[a-fAKIeyJh:/%=_ ]{0,500}",
            pieces in proptest::collection::vec(0usize..200, 0..8),
            forget in 0usize..4,
        ) {
            let hay = [bytes, text.into_bytes()].concat();
            let (teddy, mut survey, mut end) = (teddy(), Survey::default(), 0);
            for piece in pieces.into_iter().chain([hay.len()]) {
                end = hay.len().min(end + piece);
                survey.extend(&hay[..end], &teddy);
            }
            let gone = (forget * 64).min(hay.len() / 64 * 64);
            survey.forget(gone);
            for (block, number) in survey.blocks.iter().zip(gone / 64..) {
                let mut expected = plain(&teddy, &hay, number);
                expected.cut((hay.len() - number * 64).min(63));
                let mut found = *block;
                found.cut((hay.len() - number * 64).min(63));
                prop_assert_eq!(found, expected);
            }
        }

        #[test]
        fn set_bits_are_told_in_their_places(text in "[a ]{0,30}a{0,140}[a ]{0,200}", from in 0usize..300, to in 0usize..300) {
            let (text, mut survey) = (text.as_bytes(), Survey::default());
            survey.extend(text, &teddy());
            let (from, to) = (from.min(text.len()), to.min(text.len()));
            let expected: Vec<usize> = (from..to).filter(|at| text[*at] == b'a').collect();
            prop_assert_eq!(survey.places(|block| block.value, from..to).collect::<Vec<_>>(), expected);
            let last = (from..text.len()).rev().find(|at| text[*at] != b'a');
            prop_assert_eq!(survey.last_unset(|block| block.value, from, text.len()), last);
            let first = (from..to).find(|at| text[*at] != b'a').unwrap_or(to);
            prop_assert_eq!(survey.first_unset(|block| block.value, from, to), first);
        }
    }
}
