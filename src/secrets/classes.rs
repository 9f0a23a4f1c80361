//! Classes of bytes, 32 bytes at once where the machine can: a byte's two halves are looked up in two tables of
//! sixteen, whose common bits say whether it belongs to the class.

/// Blocks that are looked at together.
const SPAN: usize = 16;

/// A class of bytes.
pub(super) struct Class(Classes<1>);

/// Some classes that are told apart by one look-up.
pub(super) struct Classes<const N: usize> {
    has: [[bool; 256]; N],
    /// The bits of each class.
    bits: [u8; N],
    /// One bit for each kind of row; a high half has its row's bits, a low half those of all rows that it is in.
    low: [u8; 16],
    high: [u8; 16],
}

impl<const N: usize> Classes<N> {
    /// Up to eight different rows of sixteen bytes can be told apart; more don't compile.
    pub(super) const fn new(has: [[bool; 256]; N]) -> Self {
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

    /// The same for many blocks, at once where the machine can.
    pub(super) fn masks_of(&self, blocks: &[[u8; 64]], out: &mut [[u64; N]]) {
        if !wide::masks(self, blocks, out) {
            out.iter_mut().zip(blocks).for_each(|(masks, block)| *masks = self.masks(block));
        }
    }

    /// The same for less than 64 bytes.
    pub(super) fn short_masks(&self, bytes: &[u8]) -> [u64; N] {
        let (mut block, mut masks) = ([[0; 64]], [[0; N]]);
        block.as_flattened_mut().iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.masks_of(&block, &mut masks);
        let there = 1u64.checked_shl(bytes.len() as u32).unwrap_or(0).wrapping_sub(1);
        masks[0].map(|mask| mask & there)
    }

    /// For each class whether a text has a run of it, at least so long (64 at most).
    pub(super) fn has_runs(&self, text: &[u8], shortest: [usize; N]) -> [bool; N] {
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

    /// One bit for each byte and class.
    pub(super) fn masks(&self, block: &[u8; 64]) -> [u64; N] {
        let mask = |has: &[bool; 256]| {
            block.iter().zip(0..).fold(0, |mask, (byte, at)| mask | u64::from(has[usize::from(*byte)]) << at)
        };
        self.has.each_ref().map(mask)
    }
}

impl Class {
    pub(super) const fn new(has: [bool; 256]) -> Self {
        Self(Classes::new([has]))
    }

    pub(super) const fn classes(&self) -> &Classes<1> {
        &self.0
    }

    /// Which bytes belong to it.
    pub(super) const fn members(&self) -> [bool; 256] {
        self.0.has[0]
    }

    #[inline]
    pub(super) const fn has(&self, byte: u8) -> bool {
        self.0.has[0][byte as usize]
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
    pub(super) fn runs(
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
pub(super) fn runs_of(words: impl Iterator<Item = u64>, mut base: usize, shortest: usize, out: &mut Vec<(u32, u32)>) {
    out.clear();
    // How long the run is that the last word ends in.
    let mut open = 0;
    for word in words {
        // A run over two words has half of it in one of them.
        let mut half = word & word >> 1;
        half &= half >> 2;
        half &= half >> 4;
        half = if shortest >= 32 { half & half >> 8 } else { half };
        if half != 0 || open >= 8 {
            open = runs_in(word, base, open, shortest, out);
        } else {
            open = word.leading_ones() as usize;
        }
        base += 64;
    }
    if open >= shortest {
        out.push(((base - open) as u32, base as u32));
    }
}

/// Whether a word has so many set bits in a row.
const fn has_run(word: u64, shortest: usize) -> bool {
    let (mut starts, mut length) = (word, 1);
    while length < shortest && starts != 0 {
        let step = if length < shortest - length { length } else { shortest - length };
        starts &= starts >> step;
        length += step;
    }
    starts != 0
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

#[cfg(target_arch = "x86_64")]
pub(super) mod wide {
    use super::Classes;
    use crate::secrets::teddy::Window;
    use pulp::x86::V3;
    use pulp::{NullaryFnOnce, cast};
    use std::arch::x86_64::__m256i;
    use std::sync::LazyLock;

    pub(in crate::secrets) static SIMD: LazyLock<Option<V3>> = LazyLock::new(V3::try_new);

    /// The low and the high halves of 64 bytes.
    pub(in crate::secrets) struct Halves([(__m256i, __m256i); 2]);

    impl Halves {
        /// Those of a window's last 64 bytes.
        #[inline(always)]
        pub(in crate::secrets) fn of(simd: V3, window: &Window) -> Self {
            let (mut front, mut back) = ([0; 32], [0; 32]);
            front.copy_from_slice(&window[3..35]);
            back.copy_from_slice(&window[35..]);
            Self([halves(simd, front), halves(simd, back)])
        }
    }

    #[inline(always)]
    fn halves(simd: V3, bytes: [u8; 32]) -> (__m256i, __m256i) {
        let avx2 = simd.avx2;
        let (bytes, nibble): (__m256i, __m256i) = (cast(bytes), cast([0x0fu8; 32]));
        let high = avx2._mm256_and_si256(avx2._mm256_srli_epi16::<4>(bytes), nibble);
        (avx2._mm256_and_si256(bytes, nibble), high)
    }

    /// Classes in registers' width.
    pub(in crate::secrets) struct Tables<const N: usize> {
        low: __m256i,
        high: __m256i,
        bits: [__m256i; N],
    }

    impl<const N: usize> Classes<N> {
        #[inline(always)]
        pub(in crate::secrets) fn wide(&self) -> Tables<N> {
            let mut bits = [cast([0u8; 32]); N];
            for (wide, own) in bits.iter_mut().zip(self.bits) {
                *wide = cast([own; 32]);
            }
            Tables { low: cast([self.low, self.low]), high: cast([self.high, self.high]), bits }
        }
    }

    impl<const N: usize> Tables<N> {
        #[inline(always)]
        pub(in crate::secrets) fn masks(&self, simd: V3, halves: &Halves) -> [u64; N] {
            let (front, back) = (self.half(simd, halves.0[0]), self.half(simd, halves.0[1]));
            let mut masks = [0; N];
            for class in 0..N {
                masks[class] = u64::from(front[class]) | u64::from(back[class]) << 32;
            }
            masks
        }

        #[inline(always)]
        fn half(&self, simd: V3, (low, high): (__m256i, __m256i)) -> [u32; N] {
            let avx2 = simd.avx2;
            let (low, high) = (avx2._mm256_shuffle_epi8(self.low, low), avx2._mm256_shuffle_epi8(self.high, high));
            let kinds = avx2._mm256_and_si256(low, high);
            let mut masks = [0; N];
            for (mask, bits) in masks.iter_mut().zip(self.bits) {
                let own = if N == 1 { kinds } else { avx2._mm256_and_si256(kinds, bits) };
                let outside = avx2._mm256_cmpeq_epi8(own, cast([0u8; 32]));
                *mask = !(avx2._mm256_movemask_epi8(outside) as u32);
            }
            masks
        }
    }

    /// False where the machine has no AVX2.
    pub(super) fn masks<const N: usize>(classes: &Classes<N>, blocks: &[[u8; 64]], out: &mut [[u64; N]]) -> bool {
        let Some(simd) = *SIMD else { return false };
        simd.vectorize(Masks { simd, classes, blocks, out });
        true
    }

    struct Masks<'a, const N: usize> {
        simd: V3,
        classes: &'a Classes<N>,
        blocks: &'a [[u8; 64]],
        out: &'a mut [[u64; N]],
    }

    impl<const N: usize> NullaryFnOnce for Masks<'_, N> {
        type Output = ();

        // Whatever isn't inlined here is compiled for the least machine: plain loops and no closures.
        #[inline(always)]
        fn call(self) {
            let Self { simd, classes, blocks, out } = self;
            let tables = classes.wide();
            for (masks, block) in out.iter_mut().zip(blocks) {
                let [front, back]: [[u8; 32]; 2] = cast(*block);
                *masks = tables.masks(simd, &Halves([halves(simd, front), halves(simd, back)]));
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod wide {
    pub(super) fn masks<const N: usize>(_: &super::Classes<N>, _: &[[u8; 64]], _: &mut [[u64; N]]) -> bool {
        false
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
        let one_by_one: Vec<[u64; 1]> = bytes.as_chunks().0.iter().map(|block| WORDS.0.masks(block)).collect();
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
