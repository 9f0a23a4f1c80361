//! Classes of bytes: a byte's two halves are looked up in two tables of
//! sixteen, whose common bits say whether it belongs to the class.

use super::wide::{self, Lanes, Task};

/// Blocks that are looked at together.
const SPAN: usize = 16;

/// A class of bytes.
pub(in crate::secrets) struct Class(Classes<1>);

/// Some classes that are told apart by one look-up.
pub(in crate::secrets) struct Classes<const N: usize> {
    has: [[bool; 256]; N],
    /// The bits of each class.
    bits: [u8; N],
    /// One bit for each kind of row; a high half has its row's bits, a low half those of all rows that it is in.
    low: [u8; 16],
    high: [u8; 16],
}

impl<const N: usize> Classes<N> {
    /// Up to eight different rows of sixteen bytes can be told apart; more don't compile.
    pub(in crate::secrets) const fn new(has: [[bool; 256]; N]) -> Self {
        let mut this = Self { has, bits: [0; N], low: [0; 16], high: [0; 16] };
        let (mut known, mut class) = (0, 0);
        while class < N {
            let first = known;
            let mut rows = [0u16; 8];
            let mut half = 0;
            while half < 16 {
                let row = this.row(class, half);
                let mut kind = first;
                while kind < known && rows[kind] != row {
                    kind += 1;
                }
                if row != 0 {
                    rows[kind] = row;
                    known = if kind == known { known + 1 } else { known };
                    this.add(class, kind, half, row);
                }
                half += 1;
            }
            class += 1;
        }
        this
    }

    /// Which bytes of a high half belong to a class.
    const fn row(&self, class: usize, half: usize) -> u16 {
        let (mut row, mut at) = (0u16, 0);
        while at < 16 {
            row |= (self.has[class][half * 16 + at] as u16) << at;
            at += 1;
        }
        row
    }

    const fn add(&mut self, class: usize, kind: usize, half: usize, row: u16) {
        self.bits[class] |= 1 << kind;
        self.high[half] |= 1 << kind;
        let mut at = 0;
        while at < 16 {
            self.low[at] |= ((row >> at & 1) as u8) << kind;
            at += 1;
        }
    }

    /// One bit for each byte and class.
    pub(in crate::secrets) fn masks_of(&self, blocks: &[[u8; 64]], out: &mut [[u64; N]]) {
        wide::run(Masks { classes: self, blocks, out });
    }

    /// The same for less than 64 bytes.
    pub(in crate::secrets) fn short_masks(&self, bytes: &[u8]) -> [u64; N] {
        let (mut block, mut masks) = ([[0; 64]], [[0; N]]);
        if let Some(front) = block.as_flattened_mut().get_mut(..bytes.len()) {
            front.copy_from_slice(bytes);
        }
        self.masks_of(&block, &mut masks);
        let there = 1u64.checked_shl(bytes.len() as u32).unwrap_or(0).wrapping_sub(1);
        masks[0].map(|mask| mask & there)
    }

    /// For each class whether a text has a run of it, at least so long (64 at most).
    pub(in crate::secrets) fn has_runs(&self, text: &[u8], shortest: [usize; N]) -> [bool; N] {
        let (mut found, mut open, mut masks) = ([false; N], [0; N], [[0; N]; SPAN]);
        for span in text.chunks(SPAN * 64) {
            let (blocks, rest) = span.as_chunks::<64>();
            self.masks_of(blocks, &mut masks);
            if let Some(last) = masks.get_mut(blocks.len()) {
                *last = self.short_masks(rest);
            }
            for masks in masks.iter().take(span.len().div_ceil(64)) {
                for class in 0..N {
                    let word = masks[class];
                    found[class] |= open[class] + word.trailing_ones() as usize >= shortest[class];
                    found[class] |= has_run(word, shortest[class]);
                    let all = word == u64::MAX;
                    open[class] = if all { open[class] + 64 } else { word.leading_ones() as usize };
                }
            }
        }
        found
    }

    #[inline(always)]
    pub(in crate::secrets) fn tables<L: Lanes>(&self, lanes: L) -> Tables<L, N> {
        let mut bits = [lanes.table([0; 16]); N];
        for (wide, own) in bits.iter_mut().zip(self.bits) {
            *wide = lanes.table([own; 16]);
        }
        Tables { halves: [lanes.table(self.low), lanes.table(self.high)], bits }
    }
}

impl Class {
    pub(in crate::secrets) const fn new(has: [bool; 256]) -> Self {
        Self(Classes::new([has]))
    }

    /// Which bytes belong to it.
    pub(in crate::secrets) const fn members(&self) -> [bool; 256] {
        self.0.has[0]
    }

    #[inline]
    pub(in crate::secrets) const fn has(&self, byte: u8) -> bool {
        self.0.has[0][byte as usize]
    }

    #[inline(always)]
    pub(in crate::secrets) fn tables<L: Lanes>(&self, lanes: L) -> Tables<L, 1> {
        self.0.tables(lanes)
    }

    /// One bit for each of 64 bytes or fewer.
    pub(in crate::secrets) fn short_mask(&self, bytes: &[u8]) -> u64 {
        let [mask] = self.0.short_masks(bytes);
        mask
    }

    /// One bit for each byte, 64 bytes a word.
    fn masks(&self, bytes: &[u8], out: &mut Vec<[u64; 1]>) {
        out.clear();
        let (blocks, rest) = bytes.as_chunks::<64>();
        out.resize(bytes.len().div_ceil(64), [0]);
        self.0.masks_of(blocks, out);
        if let (Some(last), false) = (out.last_mut(), rest.is_empty()) {
            *last = self.0.short_masks(rest);
        }
    }

    /// Runs of the class in `buffer` from `from` on, at least `shortest` long (15 to 64), as (start, end).
    pub(in crate::secrets) fn runs(
        &self,
        buffer: &[u8],
        from: usize,
        shortest: usize,
        masks: &mut Vec<[u64; 1]>,
        out: &mut Vec<(u32, u32)>,
    ) {
        let rest = buffer.get(from..).unwrap_or_default();
        if rest.len() < 64 {
            runs_of(self.0.short_masks(rest).into_iter(), from, shortest, out);
            return;
        }
        self.masks(rest, masks);
        runs_of(masks.iter().map(|[mask]| *mask), from, shortest, out);
    }
}

/// Runs of set bits, at least `shortest` long (15 to 64), as (start, end); the first word's first bit is at `base`.
#[inline]
pub(in crate::secrets) fn runs_of(
    words: impl Iterator<Item = u64>,
    mut base: usize,
    shortest: usize,
    out: &mut Vec<(u32, u32)>,
) {
    out.clear();
    // How long the run is that the last word ends in.
    let mut open = 0;
    for word in words {
        open = if has_run(word, shortest) || open + word.trailing_ones() as usize >= shortest {
            runs_in(word, base, open, shortest, out)
        } else {
            word.leading_ones() as usize
        };
        base += 64;
    }
    if open >= shortest {
        out.push(((base - open) as u32, base as u32));
    }
}

/// Whether a word has so many set bits in a row, 8 to 64.
#[inline]
pub(in crate::secrets) const fn has_run(word: u64, shortest: usize) -> bool {
    let (mut starts, mut length) = (word & word >> 1, 8);
    starts &= starts >> 2;
    starts &= starts >> 4;
    if shortest >= 16 {
        (starts, length) = (starts & starts >> 8, 16);
    }
    if shortest >= 32 {
        (starts, length) = (starts & starts >> 16, 32);
    }
    starts & starts >> (shortest - length) != 0
}

/// The runs that end in a word; gives how long the one is that it ends in, of those that began before it `open` bits.
fn runs_in(word: u64, base: usize, open: usize, shortest: usize, out: &mut Vec<(u32, u32)>) -> usize {
    let mut fresh = word;
    if open > 0 {
        let ones = word.trailing_ones() as usize;
        if ones == 64 {
            return open + 64;
        }
        if open + ones >= shortest {
            out.push(((base - open) as u32, (base + ones) as u32));
        }
        fresh &= word.wrapping_add(1);
    }
    let last = fresh.leading_ones();
    let inside = fresh & u64::MAX.checked_shr(last).unwrap_or(0);
    // Bits from which on there are enough of them.
    let (mut starts, mut length) = (inside, 1);
    while length < shortest && starts != 0 {
        let step = length.min(shortest - length);
        starts &= starts >> step;
        length += step;
    }
    while starts != 0 {
        let start = starts.trailing_zeros();
        let length = (inside >> start).trailing_ones();
        out.push((base as u32 + start, base as u32 + start + length));
        starts &= u64::MAX << start << length;
    }
    last as usize
}

/// Classes in registers.
pub(in crate::secrets) struct Tables<L: Lanes, const N: usize> {
    halves: [L::Table; 2],
    bits: [L::Table; N],
}

impl<L: Lanes, const N: usize> Tables<L, N> {
    /// One bit for each byte and class.
    #[inline(always)]
    pub(in crate::secrets) fn masks(&self, lanes: L, halves: [L::Bytes; 2]) -> [u64; N] {
        let kinds = lanes.common(self.halves, halves);
        let mut masks = [0; N];
        for (mask, bits) in masks.iter_mut().zip(self.bits) {
            *mask = lanes.any(kinds, bits);
        }
        masks
    }
}

struct Masks<'a, const N: usize> {
    classes: &'a Classes<N>,
    blocks: &'a [[u8; 64]],
    out: &'a mut [[u64; N]],
}

impl<const N: usize> Task for Masks<'_, N> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let tables = self.classes.tables(lanes);
        for (masks, block) in self.out.iter_mut().zip(self.blocks) {
            *masks = tables.masks(lanes, lanes.halves(lanes.load(block)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WORDS: Class = Class::new({
        let mut has = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            has[byte] = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'/' || byte == 0xe9;
            byte += 1;
        }
        has
    });

    fn runs(text: &[u8], from: usize, shortest: usize) -> Vec<(u32, u32)> {
        let mut found = Vec::new();
        WORDS.runs(text, from, shortest, &mut Vec::new(), &mut found);
        found
    }

    #[test]
    fn many_bytes_at_once_give_what_one_at_a_time_gives() {
        let bytes: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        let mut masks = Vec::new();
        WORDS.masks(&bytes, &mut masks);
        let one_by_one = |block: &[u8; 64]| {
            [block.iter().zip(0..).fold(0, |mask, (byte, at)| mask | u64::from(WORDS.has(*byte)) << at)]
        };
        let one_by_one: Vec<[u64; 1]> = bytes.as_chunks::<64>().0.iter().map(one_by_one).collect();
        assert_eq!(masks, one_by_one);
    }

    #[test]
    fn every_long_run_is_found_wherever_it_lies() {
        for offset in 0..130 {
            for length in [14, 15, 16, 48, 49, 63, 64, 65, 127, 128, 129, 600] {
                let text = format!("{}{} {}", " ".repeat(offset), "a".repeat(length), "b".repeat(20));
                let mut expected = vec![(offset as u32, (offset + length) as u32)];
                expected.retain(|(start, end)| end - start >= 15);
                expected.push(((offset + length + 1) as u32, text.len() as u32));
                assert_eq!(runs(text.as_bytes(), 0, 15), expected, "{offset} {length}");
            }
        }
    }

    #[test]
    fn long_runs_are_told_from_short_ones() {
        for (offset, length) in [(0, 22), (0, 23), (50, 22), (50, 23), (63, 64), (100, 200), (1020, 22), (1020, 23)] {
            let text = format!("{}{} {}", " ".repeat(offset), "a".repeat(length), "b1".repeat(11));
            let has = Classes::new([WORDS.members()]).has_runs(text.as_bytes(), [23]);
            assert_eq!(has, [length >= 23], "{offset} {length}");
        }
    }

    proptest! {
        #[test]
        fn runs_are_those_that_a_plain_search_finds(text in "[a ]{0,20}(a{0,70} ?){0,6}", from in 0usize..30, shortest in 15usize..=64) {
            let text = text.as_bytes();
            let from = from.min(text.len());
            let mut expected = Vec::new();
            let mut at = from;
            for word in text[from..].chunk_by(|a, b| WORDS.has(*a) == WORDS.has(*b)) {
                if WORDS.has(word[0]) && word.len() >= shortest {
                    expected.push((at as u32, (at + word.len()) as u32));
                }
                at += word.len();
            }
            prop_assert_eq!(runs(text, from, shortest), expected);
        }
    }
}
