//! Classes of bytes, 32 bytes at once where the machine can: a byte's two halves are looked up in two tables of
//! sixteen, whose common bits say whether it belongs to the class.

/// A class of bytes.
pub(super) struct Class {
    has: [bool; 256],
    /// One bit for each kind of row; a high half has its row's bit, a low half those of all rows that it is in.
    low: [u8; 16],
    high: [u8; 16],
}

impl Class {
    /// Up to eight different rows of sixteen bytes can be told apart; more don't compile.
    pub(super) const fn new(has: [bool; 256]) -> Self {
        let (mut low, mut high) = ([0; 16], [0; 16]);
        let mut rows = [0u16; 8];
        let mut known = 0;
        let mut half = 0;
        while half < 16 {
            let (mut row, mut at) = (0u16, 0);
            while at < 16 {
                row |= (has[half * 16 + at] as u16) << at;
                at += 1;
            }
            let mut kind = 0;
            while kind < known && rows[kind] != row {
                kind += 1;
            }
            if row != 0 {
                rows[kind] = row;
                known = if kind == known { known + 1 } else { known };
                high[half] = 1 << kind;
                at = 0;
                while at < 16 {
                    low[at] |= ((row >> at & 1) as u8) << kind;
                    at += 1;
                }
            }
            half += 1;
        }
        Self { has, low, high }
    }

    #[inline]
    pub(super) const fn has(&self, byte: u8) -> bool {
        self.has[byte as usize]
    }

    /// One bit for each byte, 64 bytes a word.
    fn masks(&self, bytes: &[u8], out: &mut Vec<u64>) {
        out.clear();
        let (blocks, rest) = bytes.as_chunks::<64>();
        out.resize(bytes.len().div_ceil(64), 0);
        self.masks_of(blocks, out);
        if let (Some(last), false) = (out.last_mut(), rest.is_empty()) {
            *last = self.short_mask(rest);
        }
    }

    /// The same for less than 64 bytes.
    fn short_mask(&self, bytes: &[u8]) -> u64 {
        let (mut block, mut mask) = ([[0; 64]], [0]);
        block.as_flattened_mut().iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.masks_of(&block, &mut mask);
        mask[0] & ((1 << bytes.len()) - 1)
    }

    fn masks_of(&self, blocks: &[[u8; 64]], out: &mut [u64]) {
        if !wide::masks(self, blocks, out) {
            out.iter_mut().zip(blocks).for_each(|(mask, block)| *mask = self.mask(block));
        }
    }

    fn mask(&self, block: &[u8]) -> u64 {
        block.iter().zip(0..).fold(0, |mask, (byte, at)| mask | u64::from(self.has(*byte)) << at)
    }

    /// Runs of the class in `buffer` from `from` on, at least `shortest` long (64 at most), as (start, end).
    pub(super) fn runs(
        &self,
        buffer: &[u8],
        from: usize,
        shortest: usize,
        masks: &mut Vec<u64>,
        out: &mut Vec<(u32, u32)>,
    ) {
        out.clear();
        let rest = buffer.get(from..).unwrap_or_default();
        if rest.len() < 64 {
            masks.clear();
            masks.push(self.short_mask(rest));
            runs_of(0, self.short_mask(rest), from, shortest, out);
            return;
        }
        self.masks(rest, masks);
        // The run that goes on over the end of the last word, as soon as it is long enough; and the last word's end.
        let (mut open, mut last): (Option<usize>, u64) = (None, 0);
        let ends = !(u64::MAX >> (shortest - 1).min(63));
        for (&mask, number) in masks.iter().zip(0..) {
            let base = from + number * 64;
            let mut fresh = mask;
            if let Some(start) = open {
                let ones = mask.trailing_ones();
                if ones == 64 {
                    continue;
                }
                out.push((start as u32, base as u32 + ones));
                (last, fresh) = (0, mask >> ones << ones);
            }
            open = runs_of(last & ends, fresh, base, shortest, out);
            last = mask;
        }
        if let Some(start) = open {
            out.push((start as u32, buffer.len() as u32));
        }
    }
}

/// The runs that end in a word, which may begin in the one before it; gives where a long enough one begins that may
/// go on.
#[inline(always)]
fn runs_of(last: u64, mask: u64, base: usize, shortest: usize, out: &mut Vec<(u32, u32)>) -> Option<usize> {
    let ones = u128::from(mask) << 64 | u128::from(last);
    // Bits from which on there are enough of them.
    let (mut starts, mut length) = (ones, 1);
    while length < shortest {
        let step = length.min(shortest - length);
        starts &= starts >> step;
        length += step;
    }
    while starts != 0 {
        let start = starts.trailing_zeros();
        let end = start + (ones >> start).trailing_ones();
        if end == 128 {
            return Some(base + start as usize - 64);
        }
        out.push(((base + start as usize - 64) as u32, (base + end as usize - 64) as u32));
        starts = starts >> end << end;
    }
    None
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use super::Class;
    use pulp::x86::V3;
    use pulp::{NullaryFnOnce, cast};
    use std::arch::x86_64::__m256i;
    use std::sync::LazyLock;

    static SIMD: LazyLock<Option<V3>> = LazyLock::new(V3::try_new);

    /// False where the machine has no AVX2.
    pub(super) fn masks(class: &Class, blocks: &[[u8; 64]], out: &mut [u64]) -> bool {
        let Some(simd) = *SIMD else { return false };
        simd.vectorize(Masks { simd, class, blocks, out });
        true
    }

    struct Masks<'a> {
        simd: V3,
        class: &'a Class,
        blocks: &'a [[u8; 64]],
        out: &'a mut [u64],
    }

    impl NullaryFnOnce for Masks<'_> {
        type Output = ();

        // Whatever isn't inlined here is compiled for the least machine: plain loops and no closures.
        #[inline(always)]
        fn call(self) {
            let Self { simd, class, blocks, out } = self;
            let (low, high) = (cast([class.low, class.low]), cast([class.high, class.high]));
            for (mask, block) in out.iter_mut().zip(blocks) {
                let [front, back]: [[u8; 32]; 2] = cast(*block);
                *mask = mask_of(simd, low, high, front) | mask_of(simd, low, high, back) << 32;
            }
        }
    }

    #[inline(always)]
    fn mask_of(simd: V3, low: __m256i, high: __m256i, bytes: [u8; 32]) -> u64 {
        let avx2 = simd.avx2;
        let bytes: __m256i = cast(bytes);
        let half: __m256i = cast([0x0fu8; 32]);
        let lows = avx2._mm256_shuffle_epi8(low, avx2._mm256_and_si256(bytes, half));
        let highs = avx2._mm256_and_si256(avx2._mm256_srli_epi16::<4>(bytes), half);
        let kinds = avx2._mm256_and_si256(lows, avx2._mm256_shuffle_epi8(high, highs));
        let outside = avx2._mm256_cmpeq_epi8(kinds, cast([0u8; 32]));
        u64::from(!(avx2._mm256_movemask_epi8(outside) as u32))
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod wide {
    pub(super) fn masks(_: &super::Class, _: &[[u8; 64]], _: &mut [u64]) -> bool {
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
        let one_by_one: Vec<u64> = bytes.chunks(64).map(|block| WORDS.mask(block)).collect();
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
