//! The prefilter: all literals compiled, and where in a text they stand.
//!
//! Every literal is known by its key, four bytes of it or three. A key that ends in one of `_ - .` is looked for at
//! those three, of the others a Teddy tells where they may be; what stands there is then looked up by its bytes.

use super::rules::anchor::{Anchor, LONGEST_LITERAL, delimiter_of, is_delimiter};
use super::rules::rule::may_begin;
use super::scanner::SEARCHED_RUN;
use super::search::keys::{Key, Keys};
use super::search::teddy::{Teddy, weight};
use super::survey::Survey;
use std::collections::BTreeMap;
use std::ops::Range;

/// The bytes that many literals hold.
pub(super) const DELIMITERS: [bool; 256] = {
    let mut has = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        has[byte] = is_delimiter(byte as u8);
        byte += 1;
    }
    has
};

/// A shape that may stand around a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) shape: u32,
    pub(super) nearest: u16,
    pub(super) farthest: u16,
    /// It holds an `@`: most addresses don't.
    pub(super) has_at: bool,
}

#[derive(Debug)]
struct Entry {
    literal: Box<[u8]>,
    /// Its first eight bytes, and which of them count.
    front: u64,
    mask: u64,
    /// Where its key's last byte stands.
    key: u8,
    /// Every target begins with it, and with no word before it.
    edge: bool,
    /// First those without an `@`, which are so many.
    targets: Box<[Target]>,
    without_at: usize,
}

impl Entry {
    fn new(literal: Vec<u8>, mut targets: Vec<Target>, edge: bool) -> Self {
        targets.sort_by_key(|target| target.has_at);
        let without_at = targets.partition_point(|target| !target.has_at);
        let front = |byte: &dyn Fn(u8) -> u8| {
            let mut front = [0; 8];
            front.iter_mut().zip(&literal).for_each(|(to, from)| *to = byte(*from));
            u64::from_le_bytes(front)
        };
        let (front, mask) = (front(&|byte| byte), front(&|_| 0xff));
        let key = key_of(&literal) as u8;
        Self { literal: literal.into(), front, mask, key, edge, targets: targets.into(), without_at }
    }

    fn stands_at(&self, hay: &[u8], start: usize) -> bool {
        let Some(rest) = hay.get(start..) else { return false };
        let front = rest.first_chunk::<8>().is_none_or(|eight| u64::from_le_bytes(*eight) & self.mask == self.front);
        front && rest.starts_with(&self.literal) && (!self.edge || may_begin(hay.get(..start).unwrap_or_default()))
    }

    fn key(&self) -> Key {
        let mut key = [None; 4];
        let bytes = self.literal.get(..=usize::from(self.key)).unwrap_or_default();
        key.iter_mut().rev().zip(bytes.iter().rev()).for_each(|(to, byte)| *to = Some(*byte));
        key
    }
}

/// Where the rarest key of a literal ends: at a delimiter if there is one, so that no Teddy needs to look for it.
fn key_of(literal: &[u8]) -> usize {
    /// Spaces in base64, of which indented text is full.
    const BLANK: &[u8] = b"ICAgICAg";
    let seen = |end: &usize| {
        let key = literal.get(end - 3..=*end).unwrap_or_default();
        let row = key.windows(2).all(|pair| pair[0] == pair[1]);
        (
            row || BLANK.windows(key.len()).any(|blank| blank == key),
            key.iter().map(|byte| u64::from(weight(*byte))).product::<u64>(),
        )
    };
    let ends = 3..literal.len();
    match delimiter_of(literal) {
        Some(first) => ends.filter(|end| is_delimiter(literal[*end])).min_by_key(seen).unwrap_or(first),
        None => ends.min_by_key(seen).unwrap_or(2),
    }
}

/// What is known of shapes when their literals are compiled, by their numbers.
pub(super) struct Traits<'a> {
    /// Whether no word may stand before it.
    pub(super) has_left_edge: &'a dyn Fn(u32) -> bool,
    /// Whether its literals lie within a long run of value characters.
    pub(super) lies_in_a_run: &'a dyn Fn(u32) -> bool,
    /// Whether it holds an `@`.
    pub(super) has_at: &'a dyn Fn(u32) -> bool,
}

impl Traits<'_> {
    pub(super) const NONE: Self = Self { has_left_edge: &|_| false, lies_in_a_run: &|_| false, has_at: &|_| false };
}

/// A literal's place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sighting {
    pub(super) at: u32,
    pub(super) entry: u32,
}

/// All literals, compiled.
pub(super) struct Anchors {
    entries: Vec<Entry>,
    keys: Keys,
    /// Finds the keys without a delimiter: those that are looked for everywhere, and those that are looked for in runs
    /// of value characters only.
    everywhere: Teddy<3>,
    in_runs: Teddy<2>,
}

/// A row of one character, half of it.
const ROW: usize = 32;

/// Whether a place is deep inside a row of one character. What may begin there begins nearer to its end.
fn is_in_row(hay: &[u8], at: usize) -> bool {
    let row = at.checked_sub(ROW).and_then(|from| hay.get(from..at + ROW));
    row.is_some_and(|row| row.get(1..) == row.get(..2 * ROW - 1))
}

impl Anchors {
    pub(super) fn new(anchors: impl IntoIterator<Item = (Anchor, u32)>, traits: &Traits<'_>) -> Self {
        let mut by_literal: BTreeMap<Vec<u8>, Vec<Target>> = BTreeMap::new();
        for (Anchor { literal, nearest, farthest }, shape) in anchors {
            let targets = by_literal.entry(literal).or_default();
            let target = Target { shape, nearest, farthest, has_at: (traits.has_at)(shape) };
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        let (mut entries, mut keys) = (Vec::with_capacity(by_literal.len()), Keys::default());
        let (mut everywhere, mut in_runs) = (Vec::new(), Vec::new());
        for (literal, targets) in by_literal {
            let edge = targets.iter().all(|target| target.farthest == 0 && (traits.has_left_edge)(target.shape));
            let lies_in_runs = targets.iter().all(|target| (traits.lies_in_a_run)(target.shape));
            let entry = Entry::new(literal, targets, edge);
            let key = entry.key();
            keys.add(key, entries.len() as u32);
            if delimiter_of(&entry.literal).is_none() {
                if lies_in_runs { in_runs.push(key) } else { everywhere.push(key) }
            }
            entries.push(entry);
        }
        Self { entries, keys, everywhere: Teddy::new(&everywhere), in_runs: Teddy::new(&in_runs) }
    }

    /// Finds the keys that are looked for everywhere and have no delimiter.
    pub(super) const fn teddy(&self) -> &Teddy<3> {
        &self.everywhere
    }

    /// The shapes that may stand around a literal: those without an `@`, and those with one.
    pub(super) fn targets(&self, entry: u32) -> [&[Target]; 2] {
        let halves = self.entries.get(entry as usize).map(|entry| entry.targets.split_at(entry.without_at));
        halves.map_or([&[], &[]], <[_; 2]>::from)
    }

    #[cfg(test)]
    pub(super) fn literal(&self, entry: u32) -> &[u8] {
        self.entries.get(entry as usize).map_or(&[], |entry| &entry.literal)
    }

    /// How many of the last bytes may be the start of a literal.
    pub(super) fn open(&self, hay: &[u8]) -> usize {
        let most = hay.len().min(LONGEST_LITERAL - 1);
        let tail = hay.get(hay.len() - most..).unwrap_or_default();
        let opens = |from: &usize| {
            let text = tail.get(*from..).unwrap_or_default();
            let first = self.entries.partition_point(|entry| *entry.literal < *text);
            self.entries.get(first).is_some_and(|entry| entry.literal.starts_with(text))
        };
        (0..most).find(opens).map_or(0, |from| most - from)
    }

    /// Every literal that starts in a range of `hay` and ends within `hay`, in order, and some that start behind it.
    ///
    /// `runs` are the runs of value characters, from before the range on.
    pub(super) fn collect(
        &self,
        (hay, survey): (&[u8], &Survey),
        range: Range<usize>,
        runs: &[(u32, u32)],
        masks: &mut Vec<u64>,
        out: &mut Vec<Sighting>,
    ) {
        out.clear();
        let end = hay.len().min(range.end + LONGEST_LITERAL);
        survey.places(|block| block.literals, range.start..end).for_each(|at| self.look(hay, range.start, at, out));
        for &(start, end) in runs.iter().filter(|(start, end)| end - start >= SEARCHED_RUN as u32) {
            let run = range.start.max(start as usize)..(end as usize).min(range.end + LONGEST_LITERAL);
            if run.is_empty() {
                continue;
            }
            self.in_runs.masks(hay, run.clone(), masks);
            for (number, &mask) in masks.iter().enumerate() {
                let mut left = mask;
                while left != 0 {
                    let at = (run.start / 64 + number) * 64 + left.trailing_zeros() as usize;
                    if run.contains(&at) {
                        self.look(hay, run.start, at, out);
                    }
                    left &= left - 1;
                }
            }
        }
        out.sort_unstable();
        out.dedup();
    }

    /// The literals whose key ends at `at`.
    #[inline(always)]
    fn look(&self, hay: &[u8], from: usize, at: usize, out: &mut Vec<Sighting>) {
        let key = match at.checked_sub(3) {
            Some(first) => {
                let Some(bytes) = hay.get(first..).and_then(|rest| rest.first_chunk()) else { return };
                u32::from_le_bytes(*bytes)
            }
            None => match hay {
                [a, b, c, ..] if at == 2 => u32::from_le_bytes([0, *a, *b, *c]),
                _ => return,
            },
        };
        // Both are asked before either is told: a branch less to guess.
        let (four, three) = (self.keys.may_have(key), self.keys.may_have(key >> 8));
        if four | three {
            for key in
                [(four, key), (three, key >> 8)].into_iter().filter_map(|(is_there, key)| is_there.then_some(key))
            {
                self.compare(hay, from, at, key, out);
            }
        }
    }

    #[inline(never)]
    fn compare(&self, hay: &[u8], from: usize, at: usize, key: u32, out: &mut Vec<Sighting>) {
        // A literal that is a row itself is found all along one.
        if key == key.rotate_left(8) && is_in_row(hay, at.saturating_sub(3)) {
            return;
        }
        for &number in self.keys.get(key) {
            let Some(entry) = self.entries.get(number as usize) else { continue };
            let start = at.checked_sub(usize::from(entry.key)).filter(|&start| start >= from);
            if let Some(start) = start.filter(|&start| entry.stands_at(hay, start)) {
                out.push(Sighting { at: start as u32, entry: number });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sightings(anchors: &Anchors, text: &[u8], range: Range<usize>) -> Vec<(usize, String)> {
        let end = range.end;
        let (mut survey, mut out) = (Survey::default(), Vec::new());
        survey.extend(text, anchors.teddy());
        anchors.collect((text, &survey), range, &[(0, text.len() as u32)], &mut Vec::new(), &mut out);
        let literal = |number| String::from_utf8_lossy(anchors.literal(number)).into_owned();
        let found = out.iter().map(|sighting| (sighting.at as usize, literal(sighting.entry)));
        found.filter(|(at, _)| *at < end).collect()
    }

    fn compiled(literals: &[String], traits: &Traits<'_>) -> Anchors {
        let anchor = |literal: &String| Anchor { literal: literal.clone().into_bytes(), nearest: 0, farthest: 0 };
        Anchors::new(literals.iter().map(|literal| (anchor(literal), 0)), traits)
    }

    #[test]
    fn literals_are_found_with_and_without_a_delimiter() {
        let anchors = compiled(&["ghp_", "AKIA", "sk-ant-", "SG."].map(str::to_owned), &Traits::NONE);
        let text = b"SG.x-y SG.ghp_AKIA sk-ant- AKI gh_";
        let found: Vec<_> = sightings(&anchors, text, 0..text.len()).into_iter().map(|(at, _)| at).collect();
        assert_eq!(found, [0, 7, 10, 14, 19]);
        assert_eq!(sightings(&anchors, text, 11..15), [(14, "AKIA".to_owned())]);
    }

    proptest! {
        #[test]
        fn literals_are_those_that_a_plain_search_finds(
            literals in proptest::collection::btree_set("[ab_.]{0,2}[ab][ab_.-]{2,9}", 1..60),
            text in "[ab_.-]{0,200}",
            (from, to) in (0usize..100, 0usize..200),
            in_runs in any::<bool>(),
        ) {
            let literals: Vec<String> = literals.into_iter().collect();
            let traits = Traits { lies_in_a_run: &|_| in_runs, ..Traits::NONE };
            let anchors = compiled(&literals, &traits);
            let (from, to) = (from.min(text.len()), to.min(text.len()));
            let starts = (from..to).flat_map(|at| literals.iter().map(move |literal| (at, literal)));
            let found = starts.filter(|(at, literal)| text[*at..].starts_with(*literal));
            let expected: Vec<_> = found.map(|(at, literal)| (at, literal.clone())).collect();
            let found = sightings(&anchors, text.as_bytes(), from..to);
            if !in_runs || text.len() >= SEARCHED_RUN {
                prop_assert_eq!(found, expected);
            }
        }
    }
}
