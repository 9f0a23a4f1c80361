//! Many short texts looked for at once (Teddy, after Hyperscan): what a byte's two halves are looked up in says which
//! of sixteen buckets have it at a place, and four places in a row leave few buckets. What is left may be none of the
//! texts, so the finder looks again.

use super::keys::Key;
use super::wide::{self, Lanes, Task, window_at};
use std::ops::Range;

/// Buckets of one look-up.
const BUCKETS: usize = 8;

/// For each set of buckets and each of the four places, the buckets by the low half of a byte and by the high one.
pub(in crate::secrets) struct Teddy<const SETS: usize> {
    sets: [[Halves; 4]; SETS],
}

#[derive(Clone, Copy, Default)]
struct Halves {
    low: [u8; 16],
    high: [u8; 16],
}

/// How often a byte is seen in code, JSON and base64, roughly.
pub(in crate::secrets) const fn weight(byte: u8) -> u32 {
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
    pub(in crate::secrets) fn new(keys: &[Key]) -> Self {
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

    #[inline(always)]
    pub(in crate::secrets) fn tables<L: Lanes>(&self, lanes: L) -> Tables<L, SETS> {
        let mut tables = [[[lanes.table([0; 16]); 2]; 4]; SETS];
        for (tables, set) in tables.iter_mut().zip(&self.sets) {
            for (table, halves) in tables.iter_mut().zip(set) {
                *table = [lanes.table(halves.low), lanes.table(halves.high)];
            }
        }
        Tables(tables)
    }

    /// One bit for each byte that may be the last of a key, for the blocks of 64 bytes that a range touches.
    pub(in crate::secrets) fn masks(&self, hay: &[u8], range: Range<usize>, out: &mut Vec<u64>) {
        out.clear();
        let blocks = range.start / 64..range.end.div_ceil(64);
        out.resize(blocks.len(), 0);
        wide::run(Masks { teddy: self, hay, first: blocks.start, out });
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
pub(in crate::secrets) type Window = [u8; 67];

/// The window whose 64 bytes begin at `at`; what isn't there is zero.
pub(in crate::secrets) fn window(hay: &[u8], at: usize) -> Window {
    let mut window = [0; 67];
    let (skipped, from) = (3usize.saturating_sub(at), at.saturating_sub(3));
    let there = window.iter_mut().skip(skipped).zip(hay.get(from..).unwrap_or_default());
    there.for_each(|(to, byte)| *to = *byte);
    window
}

/// The halves of each byte of a window and of the three before it: the last are the 64 bytes' own.
#[inline(always)]
pub(in crate::secrets) fn halves<L: Lanes>(lanes: L, window: &Window) -> [[L::Bytes; 2]; 4] {
    let mut halves = [lanes.halves(lanes.load(chunk(window, 0))); 4];
    for (at, halves) in halves.iter_mut().enumerate() {
        *halves = lanes.halves(lanes.load(chunk(window, at)));
    }
    halves
}

#[inline(always)]
fn chunk(window: &Window, at: usize) -> &[u8; 64] {
    window[at..].first_chunk().unwrap_or(&[0; 64])
}

/// A Teddy's tables in registers.
pub(in crate::secrets) struct Tables<L: Lanes, const SETS: usize>([[[L::Table; 2]; 4]; SETS]);

impl<L: Lanes, const SETS: usize> Tables<L, SETS> {
    /// One bit for each byte of 64 that may be the last of a key.
    #[inline(always)]
    pub(in crate::secrets) fn mask(&self, lanes: L, halves: &[[L::Bytes; 2]; 4]) -> u64 {
        let mut found = lanes.load(&[0; 64]);
        for set in &self.0 {
            let mut left = lanes.common(set[0], halves[0]);
            for at in 1..4 {
                left = lanes.and(left, lanes.common(set[at], halves[at]));
            }
            found = lanes.or(found, left);
        }
        lanes.any(found, lanes.table([u8::MAX; 16]))
    }
}

struct Masks<'a, const SETS: usize> {
    teddy: &'a Teddy<SETS>,
    hay: &'a [u8],
    first: usize,
    out: &'a mut [u64],
}

impl<const SETS: usize> Task for Masks<'_, SETS> {
    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let tables = self.teddy.tables(lanes);
        let (mut at, mut padded) = (self.first * 64, [0; 67]);
        for mask in self.out {
            *mask = tables.mask(lanes, &halves(lanes, window_at(self.hay, at, &mut padded)));
            at += 64;
        }
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

    /// Whether a text may be found by these bytes.
    fn may_be<const SETS: usize>(teddy: &Teddy<SETS>, bytes: [u8; 4]) -> bool {
        let has = |halves: &Halves, byte: u8| halves.low[usize::from(byte & 15)] & halves.high[usize::from(byte >> 4)];
        let left =
            |set: &[Halves; 4]| set.iter().zip(bytes).fold(u8::MAX, |left, (place, byte)| left & has(place, byte));
        teddy.sets.iter().any(|set| left(set) != 0)
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
                prop_assert_eq!(found, may_be(&teddy, four));
                prop_assert!(found || !texts.iter().any(|text| hay[..=at].ends_with(text.as_bytes())));
            }
            prop_assert!(hay.len() % 64 == 0 || masks.last().is_none_or(|last| last >> (hay.len() % 64) == 0));
        }
    }
}
