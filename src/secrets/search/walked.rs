//! Rows of bytes of one set that were walked already: a text of near-misses asks for the same ones at every place.

use super::byte_set::ByteSet;

/// Shorter rows are walked again: that takes less than to look them up.
const SHORT: usize = 16;
/// Rows that are remembered.
const ROWS: usize = 8;

/// The rows that were walked last, by the offsets of their level.
#[derive(Debug, Default)]
pub(in crate::secrets) struct Walked {
    rows: [Row; ROWS],
    oldest: usize,
    /// The one that was asked for last.
    last: usize,
}

/// All bytes from `from` to `until` are of the set.
#[derive(Clone, Copy, Debug)]
struct Row {
    set: ByteSet,
    from: u64,
    until: u64,
    /// The byte behind is of another.
    ends: bool,
}

impl Default for Row {
    fn default() -> Self {
        Self { set: ByteSet::EMPTY, from: 0, until: 0, ends: false }
    }
}

impl Walked {
    pub(in crate::secrets) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many bytes at the front of `text`, which stands at the offset `at`, are of the set.
    #[inline]
    pub(in crate::secrets) fn count(&mut self, set: &ByteSet, at: u64, text: &[u8]) -> usize {
        let last = self.rows.get(self.last).filter(|row| row.from <= at && at < row.until && row.set == *set);
        // What a row ends with may go on.
        if let Some(row) = last.filter(|row| row.ends || row.until - at >= text.len() as u64) {
            return text.len().min((row.until - at) as usize);
        }
        let short = text.get(..SHORT).unwrap_or(text);
        match short.iter().position(|&byte| !set.has(byte)) {
            Some(found) => found,
            None if text.len() <= SHORT => text.len(),
            None => self.count_on(set, at, text),
        }
    }

    fn count_on(&mut self, set: &ByteSet, at: u64, text: &[u8]) -> usize {
        let from = at + SHORT as u64;
        let known = self.rows.iter().position(|row| row.from <= from && from <= row.until && row.set == *set);
        self.last = known.unwrap_or(self.oldest);
        let Some(row) = self.rows.get_mut(self.last) else { return 0 };
        if known.is_none() {
            *row = Row { set: *set, from: at, until: from, ends: false };
            self.oldest = (self.oldest + 1) % ROWS;
        }
        if !row.ends {
            let rest = text.get((row.until - at) as usize..).unwrap_or_default();
            let fresh = rest.iter().position(|&byte| !set.has(byte));
            row.ends = fresh.is_some();
            row.until += fresh.unwrap_or(rest.len()) as u64;
        }
        text.len().min((row.until - at) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_are_as_long_as_those_that_are_walked_anew(
            text in "(a{0,40}|b{0,40}|[abc]{0,9}){1,9}",
            asked in proptest::collection::vec((0usize..4, 0usize..300, 0usize..300), 1..40),
        ) {
            let sets = [&b"a"[..], b"b", b"ab", b"abc"].map(|bytes| ByteSet::of(bytes.iter().copied()));
            let mut walked = Walked::default();
            for (set, from, length) in asked {
                let from = from.min(text.len());
                let rest = &text.as_bytes()[from..text.len().min(from + length)];
                let expected = rest.iter().take_while(|byte| sets[set].has(**byte)).count();
                prop_assert_eq!(walked.count(&sets[set], from as u64, rest), expected);
            }
        }
    }
}
