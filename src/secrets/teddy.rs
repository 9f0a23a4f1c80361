//! Many short texts looked for at once (Teddy, after Hyperscan): what a byte's two halves are looked up in says which
//! of sixteen buckets have it at a place, and four places in a row leave few buckets. What is left may be none of the
//! texts, so the finder looks again.

use super::keys::Key;
use std::ops::Range;

/// Buckets of one look-up.
const BUCKETS: usize = 8;

/// For each set of buckets and each of the four places, the buckets by the low half of a byte and by the high one.
pub(super) struct Teddy<const SETS: usize> {
    sets: [[Halves; 4]; SETS],
}

#[derive(Clone, Copy, Default)]
struct Halves {
    low: [u8; 16],
    high: [u8; 16],
}

impl Halves {
    const fn has(&self, byte: u8) -> u8 {
        self.low[(byte & 15) as usize] & self.high[(byte >> 4) as usize]
    }
}

/// How often a byte is seen in code, JSON and base64, roughly.
pub(super) const fn weight(byte: u8) -> u32 {
    match byte {
        b' ' => 90,
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 45,
        b'a'..=b'z' => 15,
        b'0'..=b'9' => 12,
        b'A'..=b'Z' => 8,
        b'_' | b'.' | b',' | b':' | b';' | b'"' | b'\'' | b'(' | b')' | b'=' | b'/' | b'-' | b'\n' => 14,
        _ => 1,
    }
}

/// One bucket while it is filled: the halves of its bytes at each place, and how often such bytes are seen.
#[derive(Clone, Copy, Default)]
struct Bucket {
    places: [(u16, u16, f32); 4],
}

impl Bucket {
    fn with(mut self, key: &Key) -> Self {
        for ((low, high, seen), byte) in self.places.iter_mut().zip(key) {
            (*low, *high) = byte.map_or((u16::MAX, u16::MAX), |b| (*low | 1 << (b & 15), *high | 1 << (b >> 4)));
            *seen = (0..=255u8)
                .filter(|b| *low >> (b & 15) & 1 == 1 && *high >> (b >> 4) & 1 == 1)
                .map(|b| weight(b) as f32 / 1000.0)
                .sum();
        }
        self
    }

    fn fires(&self) -> f32 {
        self.places.iter().map(|place| place.2).product()
    }
}

impl<const SETS: usize> Teddy<SETS> {
    /// Each key goes to the bucket that it makes fire least. Those of three bytes keep to a quarter of the buckets: one
    /// of them makes a bucket blind to the first of four.
    pub(super) fn new(keys: &[Key]) -> Self {
        let mut buckets = vec![Bucket::default(); SETS * BUCKETS];
        let is_short = |key: &Key| key.contains(&None);
        let some = keys.iter().any(is_short);
        let (short, long) = buckets.split_at_mut(if some { SETS * BUCKETS / 4 } else { 0 });
        let mut sorted: Vec<&Key> = keys.iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        for key in sorted {
            let more = |bucket: &Bucket| bucket.with(key).fires() - bucket.fires();
            let own = if is_short(key) { &mut *short } else { &mut *long };
            if let Some(best) = own.iter_mut().min_by(|a, b| more(a).total_cmp(&more(b))) {
                *best = best.with(key);
            }
        }
        let mut sets = [[Halves::default(); 4]; SETS];
        for (number, bucket) in buckets.iter().enumerate() {
            let Some(set) = sets.get_mut(number / BUCKETS) else { continue };
            for (halves, (low, high, _)) in set.iter_mut().zip(bucket.places) {
                for half in 0..16 {
                    halves.low[half] |= ((low >> half & 1) as u8) << (number % BUCKETS);
                    halves.high[half] |= ((high >> half & 1) as u8) << (number % BUCKETS);
                }
            }
        }
        Self { sets }
    }

    /// Whether a text may be found by these bytes.
    pub(super) fn may_be(&self, bytes: [u8; 4]) -> bool {
        let left =
            |set: &[Halves; 4]| set.iter().zip(bytes).fold(u8::MAX, |left, (place, byte)| left & place.has(byte));
        self.sets.iter().any(|set| left(set) != 0)
    }

    /// One bit for each byte of 64 that may be the last of a key; the bytes stand behind three that come before them.
    pub(super) fn mask(&self, window: &Window) -> u64 {
        let ends = window.windows(4).map(|bytes| bytes.first_chunk().is_some_and(|bytes| self.may_be(*bytes)));
        ends.zip(0..).fold(0, |mask, (ends, at)| mask | u64::from(ends) << at)
    }

    /// Those masks for the blocks of 64 bytes that a range touches.
    pub(super) fn masks(&self, hay: &[u8], range: Range<usize>, out: &mut Vec<u64>) {
        out.clear();
        let blocks = range.start / 64..range.end.div_ceil(64);
        out.resize(blocks.len(), 0);
        if !wide::masks(self, hay, blocks.start, out) {
            let masks = blocks.map(|block| self.mask(&window(hay, block * 64)));
            out.iter_mut().zip(masks).for_each(|(to, mask)| *to = mask);
        }
        // What lies behind the last byte is none.
        if let Some(last) = out.last_mut()
            && !hay.len().is_multiple_of(64)
            && range.end.div_ceil(64) * 64 > hay.len()
        {
            *last &= (1 << (hay.len() % 64)) - 1;
        }
    }
}

/// 64 bytes and the three before them.
pub(super) type Window = [u8; 67];

/// The window whose 64 bytes begin at `at`; what isn't there is zero.
pub(super) fn window(hay: &[u8], at: usize) -> Window {
    let mut window = [0; 67];
    let (skipped, from) = (3usize.saturating_sub(at), at.saturating_sub(3));
    let there = window.iter_mut().skip(skipped).zip(hay.get(from..).unwrap_or_default());
    there.for_each(|(to, byte)| *to = *byte);
    window
}

#[cfg(target_arch = "x86_64")]
pub(super) mod wide {
    use super::super::classes::wide::SIMD;
    use super::{Teddy, Window, window};
    use pulp::x86::V3;
    use pulp::{NullaryFnOnce, cast};
    use std::arch::x86_64::__m256i;

    /// A Teddy's tables in registers' width.
    pub(in crate::secrets) struct Tables<const SETS: usize>([[(__m256i, __m256i); 4]; SETS]);

    impl<const SETS: usize> Tables<SETS> {
        #[inline(always)]
        pub(in crate::secrets) fn new(teddy: &Teddy<SETS>) -> Self {
            let mut tables = [[(cast([0u8; 32]), cast([0u8; 32])); 4]; SETS];
            for (tables, set) in tables.iter_mut().zip(&teddy.sets) {
                for (table, halves) in tables.iter_mut().zip(set) {
                    *table = (cast([halves.low, halves.low]), cast([halves.high, halves.high]));
                }
            }
            Self(tables)
        }

        #[inline(always)]
        pub(in crate::secrets) fn mask(&self, simd: V3, window: &Window) -> u64 {
            self.half(simd, window, 0) | self.half(simd, window, 32) << 32
        }

        #[inline(always)]
        fn half(&self, simd: V3, window: &Window, from: usize) -> u64 {
            let avx2 = simd.avx2;
            let nibble: __m256i = cast([0x0fu8; 32]);
            let mut found: __m256i = cast([0u8; 32]);
            let mut halves = [(found, found); 4];
            for at in 0..4 {
                let mut bytes = [0u8; 32];
                bytes.copy_from_slice(&window[from + at..from + at + 32]);
                let bytes: __m256i = cast(bytes);
                let high = avx2._mm256_and_si256(avx2._mm256_srli_epi16::<4>(bytes), nibble);
                halves[at] = (avx2._mm256_and_si256(bytes, nibble), high);
            }
            for set in &self.0 {
                let mut left: __m256i = cast([0xffu8; 32]);
                for at in 0..4 {
                    let low = avx2._mm256_shuffle_epi8(set[at].0, halves[at].0);
                    let high = avx2._mm256_shuffle_epi8(set[at].1, halves[at].1);
                    left = avx2._mm256_and_si256(left, avx2._mm256_and_si256(low, high));
                }
                found = avx2._mm256_or_si256(found, left);
            }
            let none = avx2._mm256_cmpeq_epi8(found, cast([0u8; 32]));
            u64::from(!(avx2._mm256_movemask_epi8(none) as u32))
        }
    }

    /// False where the machine has no AVX2.
    pub(super) fn masks<const SETS: usize>(teddy: &Teddy<SETS>, hay: &[u8], first: usize, out: &mut [u64]) -> bool {
        let Some(simd) = *SIMD else { return false };
        simd.vectorize(Masks { simd, teddy, hay, first, out });
        true
    }

    struct Masks<'a, const SETS: usize> {
        simd: V3,
        teddy: &'a Teddy<SETS>,
        hay: &'a [u8],
        first: usize,
        out: &'a mut [u64],
    }

    impl<const SETS: usize> NullaryFnOnce for Masks<'_, SETS> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            let Self { simd, teddy, hay, first, out } = self;
            let tables = Tables::new(teddy);
            let mut at = first * 64;
            for mask in out {
                let padded: Window;
                let whole = if at >= 3 && at + 64 <= hay.len() { hay[at - 3..].first_chunk() } else { None };
                let bytes = match whole {
                    Some(bytes) => bytes,
                    None => {
                        padded = window(hay, at);
                        &padded
                    }
                };
                *mask = tables.mask(simd, bytes);
                at += 64;
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) mod wide {
    pub(super) fn masks<const SETS: usize>(_: &super::Teddy<SETS>, _: &[u8], _: usize, _: &mut [u64]) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &[u8]) -> Key {
        let mut key = [None; 4];
        key.iter_mut().rev().zip(text.iter().rev()).for_each(|(to, byte)| *to = Some(*byte));
        key
    }

    proptest! {
        #[test]
        fn many_bytes_at_once_give_what_one_at_a_time_gives_and_no_key_is_missed(
            texts in proptest::collection::vec("[a-d]{3,4}", 1..40),
            hay in "[a-f ]{0,300}",
            from in 0usize..200,
        ) {
            let teddy = Teddy::<2>::new(&texts.iter().map(|text| key(text.as_bytes())).collect::<Vec<_>>());
            let (hay, mut masks) = (hay.as_bytes(), Vec::new());
            let from = from.min(hay.len());
            teddy.masks(hay, from..hay.len(), &mut masks);
            for at in from / 64 * 64..hay.len() {
                let found = masks[at / 64 - from / 64] >> (at % 64) & 1 == 1;
                let four = window(hay, at).first_chunk().copied().unwrap_or_default();
                prop_assert_eq!(found, teddy.may_be(four));
                prop_assert!(found || !texts.iter().any(|text| hay[..=at].ends_with(text.as_bytes())));
            }
            prop_assert!(hay.len() % 64 == 0 || masks.last().is_none_or(|last| last >> (hay.len() % 64) == 0));
        }
    }
}
