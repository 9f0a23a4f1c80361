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
        out.reserve(blocks.len() + 1);
        if !wide::masks(self, blocks, out) {
            out.extend(blocks.iter().map(|block| self.mask(block)));
        }
        if !rest.is_empty() {
            out.push(self.mask(rest));
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
        self.masks(buffer.get(from..).unwrap_or_default(), masks);
        // The run that goes on over the end of the last word, as soon as it is long enough.
        let (mut open, mut last): (Option<usize>, u64) = (None, 0);
        for (&mask, number) in masks.iter().zip(0..) {
            let base = from + number * 64;
            if open.is_some() || has_run(last, mask, shortest) {
                open = runs_of(mask, base, open.or_else(|| lead(last, base)), shortest, out);
            }
            last = mask;
        }
        if let Some(start) = open {
            out.push((start as u32, buffer.len() as u32));
        }
    }
}

/// The same for classes of which few such runs are made: most stretches of that length hold another byte near their
/// end.
#[inline(always)]
pub(super) fn rare_runs(text: &[u8], shortest: usize, class: impl Fn(u8) -> bool, out: &mut Vec<(u32, u32)>) {
    out.clear();
    let mut start = 0;
    while let Some(stretch) = text.get(start..start + shortest) {
        if let Some(last) = stretch.iter().rposition(|byte| !class(*byte)) {
            start += last + 1;
            continue;
        }
        let rest = text.get(start + shortest..).unwrap_or_default();
        let end = start + shortest + rest.iter().position(|byte| !class(*byte)).unwrap_or(rest.len());
        out.push((start as u32, end as u32));
        start = end + 1;
    }
}

/// Whether two words hold a run.
#[inline(always)]
fn has_run(last: u64, mask: u64, shortest: usize) -> bool {
    let mut ones = u128::from(mask) << 64 | u128::from(last);
    let mut length = 1;
    while length < shortest {
        let step = length.min(shortest - length);
        ones &= ones >> step;
        length += step;
    }
    ones != 0
}

/// Where the run begins that the word before `base` ends in.
fn lead(last: u64, base: usize) -> Option<usize> {
    let ones = last.leading_ones() as usize;
    (ones > 0).then(|| base - ones)
}

/// The runs that end in a word; gives where the last one begins if it goes on and is long enough.
fn runs_of(mask: u64, base: usize, open: Option<usize>, shortest: usize, out: &mut Vec<(u32, u32)>) -> Option<usize> {
    let (mut at, mut open) = (0, open);
    loop {
        let rest = mask.checked_shr(at).unwrap_or(0);
        // A run that was open begins with no gap.
        if open.is_none() {
            at += rest.trailing_zeros();
            if at >= 64 {
                return None;
            }
        }
        let ones = mask.checked_shr(at).unwrap_or(0).trailing_ones();
        let start = open.take().unwrap_or(base + at as usize);
        at += ones;
        let end = base + at as usize;
        let long = end >= start + shortest;
        if at >= 64 {
            return long.then_some(start);
        }
        if long {
            out.push((start as u32, end as u32));
        }
    }
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
    pub(super) fn masks(class: &Class, blocks: &[[u8; 64]], out: &mut Vec<u64>) -> bool {
        let Some(simd) = *SIMD else { return false };
        simd.vectorize(Masks { simd, class, blocks, out });
        true
    }

    struct Masks<'a> {
        simd: V3,
        class: &'a Class,
        blocks: &'a [[u8; 64]],
        out: &'a mut Vec<u64>,
    }

    impl NullaryFnOnce for Masks<'_> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            let Self { simd, class, blocks, out } = self;
            let avx2 = simd.avx2;
            let low: __m256i = cast([class.low, class.low]);
            let high: __m256i = cast([class.high, class.high]);
            let (half, zero): (__m256i, __m256i) = (cast([0x0fu8; 32]), cast([0u8; 32]));
            let mask = |bytes: [u8; 32]| {
                let bytes: __m256i = cast(bytes);
                let lows = avx2._mm256_shuffle_epi8(low, avx2._mm256_and_si256(bytes, half));
                let highs = avx2._mm256_and_si256(avx2._mm256_srli_epi16::<4>(bytes), half);
                let kinds = avx2._mm256_and_si256(lows, avx2._mm256_shuffle_epi8(high, highs));
                !(avx2._mm256_movemask_epi8(avx2._mm256_cmpeq_epi8(kinds, zero)) as u32)
            };
            out.extend(blocks.iter().map(|block| {
                let [front, back]: [[u8; 32]; 2] = cast(*block);
                u64::from(mask(front)) | u64::from(mask(back)) << 32
            }));
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod wide {
    pub(super) fn masks(_: &super::Class, _: &[[u8; 64]], _: &mut Vec<u64>) -> bool {
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
