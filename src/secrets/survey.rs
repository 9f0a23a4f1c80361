//! One look at every byte of a level, 64 at once: masks that say where something of interest to a pass may be. The
//! passes go by the set bits, of which ordinary text has few.

use super::classes::{Class, Classes, runs_of};
use super::decode::{escape, fold, numbers};
use super::teddy::{Teddy, Window, window};
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
    pub(super) gates: u64,
    /// Bytes that the magics of compressed files have and text never has.
    pub(super) marks: u64,
    /// Where the bytes end that a literal may be known by.
    pub(super) literals: u64,
}

const VALUE: Classes<3> = Classes::new([runs::VALUES, runs::JOINTS, anchors::DELIMITERS]);
const ESCAPES: Classes<2> = Classes::new([escape::GATES, fold::LEADS]);
const LISTS: Class = numbers::PARTS;
const REST: Classes<2> = Classes::new([fold::REST, embedded::MARKS]);

/// The masks of a level's buffer.
#[derive(Default)]
pub(super) struct Survey {
    blocks: Vec<Block>,
    /// How many of them are of 64 bytes: these stay as they are.
    whole: usize,
}

impl Survey {
    /// Looks at what the buffer has more than before.
    pub(super) fn extend(&mut self, buffer: &[u8], literals: &Teddy<2>) {
        self.blocks.resize(buffer.len().div_ceil(64), Block::default());
        let fresh = self.blocks.get_mut(self.whole..).unwrap_or_default();
        if !wide::survey(literals, buffer, self.whole, fresh) {
            for (block, number) in fresh.iter_mut().zip(self.whole..) {
                *block = plain(literals, &window(buffer, number * 64));
            }
        }
        self.whole = buffer.len() / 64;
        if let Some(last) = self.blocks.get_mut(self.whole) {
            last.cut(buffer.len() % 64);
        }
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
        self.gates &= there;
        self.marks &= there;
        self.literals &= there;
    }
}

/// Where such a byte follows; behind the last one there may be one.
const fn behind(mask: u64) -> u64 {
    mask >> 1 | 1 << 63
}

/// Byte by byte.
fn plain(literals: &Teddy<2>, window: &Window) -> Block {
    let [_, _, _, bytes @ ..] = *window;
    let [value, joints, delimiters] = VALUE.masks(&bytes);
    let ([parts], [rest, marks]) = (LISTS.classes().masks(&bytes), REST.masks(&bytes));
    let [gates, leads] = ESCAPES.masks(&bytes);
    let gates = gates | leads & behind(rest);
    Block { value, joints, parts, gates, marks, literals: delimiters | literals.mask(window) }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use super::super::classes::wide::{Halves, SIMD};
    use super::super::teddy::wide::Tables;
    use super::{Block, ESCAPES, LISTS, REST, Teddy, VALUE, Window, behind, window};
    use pulp::NullaryFnOnce;
    use pulp::x86::V3;

    /// False where the machine has no AVX2.
    pub(super) fn survey(literals: &Teddy<2>, buffer: &[u8], first: usize, out: &mut [Block]) -> bool {
        let Some(simd) = *SIMD else { return false };
        simd.vectorize(Pass { simd, literals, buffer, first, out });
        true
    }

    struct Pass<'a> {
        simd: V3,
        literals: &'a Teddy<2>,
        buffer: &'a [u8],
        first: usize,
        out: &'a mut [Block],
    }

    impl NullaryFnOnce for Pass<'_> {
        type Output = ();

        // Whatever isn't inlined here is compiled for the least machine: plain loops and no closures.
        #[inline(always)]
        fn call(self) {
            let Self { simd, literals, buffer, first, out } = self;
            let teddy = Tables::new(literals);
            let (value, lists, escapes) = (VALUE.wide(), LISTS.classes().wide(), ESCAPES.wide());
            let rest = REST.wide();
            let mut at = first * 64;
            for block in out {
                let padded: Window;
                let whole = if at >= 3 && at + 64 <= buffer.len() { buffer[at - 3..].first_chunk() } else { None };
                let bytes = match whole {
                    Some(bytes) => bytes,
                    None => {
                        padded = window(buffer, at);
                        &padded
                    }
                };
                let halves = Halves::of(simd, bytes);
                let [values, joints, delimiters] = value.masks(simd, &halves);
                let [parts] = lists.masks(simd, &halves);
                let [gates, leads] = escapes.masks(simd, &halves);
                let [rest, marks] = rest.masks(simd, &halves);
                let gates = gates | leads & behind(rest);
                let literals = delimiters | teddy.mask(simd, bytes);
                *block = Block { value: values, joints, parts, gates, marks, literals };
                at += 64;
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod wide {
    pub(super) fn survey(_: &super::Teddy<2>, _: &[u8], _: usize, _: &mut [super::Block]) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn teddy() -> Teddy<2> {
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
                let mut expected = plain(&teddy, &window(&hay, number * 64));
                expected.cut((hay.len() - number * 64).min(63));
                let mut found = *block;
                found.cut((hay.len() - number * 64).min(63));
                prop_assert_eq!(found, expected);
            }
        }

        #[test]
        fn set_bits_are_told_in_their_places(text in "[a ]{0,300}", from in 0usize..300, to in 0usize..300) {
            let (text, mut survey) = (text.as_bytes(), Survey::default());
            survey.extend(text, &teddy());
            let (from, to) = (from.min(text.len()), to.min(text.len()));
            let expected: Vec<usize> = (from..to).filter(|at| text[*at] == b'a').collect();
            prop_assert_eq!(survey.places(|block| block.value, from..to).collect::<Vec<_>>(), expected);
            let last = (from..text.len()).rev().find(|at| text[*at] != b'a');
            prop_assert_eq!(survey.last_unset(|block| block.value, from, text.len()), last);
        }
    }
}
