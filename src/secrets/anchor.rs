//! The prefilter: where in a text a shape can stand at all.
//!
//! Most prefixes hold one of `_ - .` (`ghp_`, `sk-ant-`, `SG.`): a SIMD pass over those three and a look at
//! the two bytes before it find them. The others (`AKIA`, `eyJ`) go into one packed Teddy group.

use super::rule::may_begin;
use super::scanner::SEARCHED_RUN;
use super::shape::{ByteSet, Step};
use super::stream::is_separator;
use aho_corasick::packed;
use std::collections::BTreeMap;
use std::ops::Range;

/// What one Teddy takes in its fast form; more literals make more of them.
const TEDDY_LIMIT: usize = 48;
/// A literal is compared up to this many bytes; the shape does the rest.
const LONGEST_LITERAL: usize = 24;
/// In the packed searchers, up to this many.
const LONGEST_PACKED: usize = 8;

/// A literal inside a shape: where it stands from the match's start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Anchor {
    pub(super) literal: Vec<u8>,
    pub(super) nearest: u16,
    pub(super) farthest: u16,
}

/// A shape that may stand around a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) shape: u32,
    pub(super) nearest: u16,
    pub(super) farthest: u16,
}

#[derive(Debug)]
struct Entry {
    literal: Box<[u8]>,
    /// Its first eight bytes, and which of them count.
    front: u64,
    mask: u64,
    /// The delimiter's place in the literal.
    delimiter: u8,
    /// Every target begins with it, and with no word before it.
    edge: bool,
    targets: Box<[Target]>,
}

impl Entry {
    fn new(literal: Vec<u8>, targets: Vec<Target>, edge: bool) -> Self {
        let front = |byte: &dyn Fn(u8) -> u8| {
            let mut front = [0; 8];
            front.iter_mut().zip(&literal).for_each(|(to, from)| *to = byte(*from));
            u64::from_le_bytes(front)
        };
        let (front, mask) = (front(&|byte| byte), front(&|_| 0xff));
        let delimiter = delimiter_of(&literal).unwrap_or(0) as u8;
        Self { literal: literal.into(), front, mask, delimiter, edge, targets: targets.into() }
    }

    fn stands_at(&self, hay: &[u8], start: usize) -> bool {
        let Some(rest) = hay.get(start..) else { return false };
        let front = rest.first_chunk::<8>().is_none_or(|eight| u64::from_le_bytes(*eight) & self.mask == self.front);
        front && rest.starts_with(&self.literal) && (!self.edge || may_begin(hay.get(..start).unwrap_or_default()))
    }
}

/// The entries whose delimiter two given bytes stand before.
#[derive(Debug)]
struct Bucket {
    /// What may stand before the two.
    thirds: ByteSet,
    entries: Vec<u32>,
}

impl Bucket {
    fn add(&mut self, number: u32, entry: &Entry) {
        self.entries.push(number);
        match usize::from(entry.delimiter).checked_sub(3).and_then(|at| entry.literal.get(at)) {
            Some(byte) => self.thirds.insert(*byte),
            // A letter may be the end of an escape, `\n` or `%3D`, or the length of a protobuf string.
            None => (0..=255).for_each(|byte| self.thirds.insert(byte)),
        }
    }
}

/// What is known of shapes when their literals are compiled, by their numbers.
pub(super) struct Traits<'a> {
    /// Whether no word may stand before it.
    pub(super) has_left_edge: &'a dyn Fn(u32) -> bool,
    /// Whether its literals lie within a long run of value characters.
    pub(super) lies_in_a_run: &'a dyn Fn(u32) -> bool,
}

impl Traits<'_> {
    pub(super) const NONE: Self = Self { has_left_edge: &|_| false, lies_in_a_run: &|_| false };
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
    /// One bit for every pair of bytes that stands before some literal's delimiter.
    pairs: Box<[u64; 1024]>,
    /// For each pair its bucket.
    index: Vec<u16>,
    buckets: Vec<Bucket>,
    /// Teddies, each with the entries of its patterns in their order: those that look everywhere, and those that
    /// look in runs of value characters only.
    teddies: Vec<(packed::Searcher, Vec<u32>)>,
    in_runs: Vec<(packed::Searcher, Vec<u32>)>,
    /// Without SIMD: all of them.
    automaton: Option<(aho_corasick::AhoCorasick, Vec<u32>)>,
}

const fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'_' | b'-' | b'.')
}

/// The delimiter in a literal that the SIMD pass finds it by.
fn delimiter_of(literal: &[u8]) -> Option<usize> {
    literal.windows(3).position(|w| is_delimiter(w[2]) && !is_delimiter(w[1]) && w[1] != b' ').map(|at| at + 2)
}

/// Whether the SIMD pass over delimiters finds all of these.
pub(super) fn has_delimiter(anchors: &[Anchor]) -> bool {
    !anchors.is_empty() && anchors.iter().all(|anchor| delimiter_of(&anchor.literal).is_some())
}

/// The literals by which an alternative is found; none if it has no literal of three bytes. They hold no
/// separator, so that a cut never lies inside one.
pub(super) fn anchors_of(steps: &[Step]) -> Vec<Anchor> {
    let mut best: Option<(u32, Vec<Anchor>)> = None;
    let mut sets: Vec<ByteSet> = Vec::new();
    let (mut nearest, mut farthest) = (0u32, 0u32);
    let mut start = (0, 0);
    for step in steps.iter().chain([&Step { set: ByteSet::EMPTY, min: 0, max: 1 }]) {
        let literal = step.min == step.max
            && step.set.len() <= 6
            && step.min <= 32
            && step.set.len() > 0
            && !step.set.bytes().any(is_separator);
        if literal {
            if sets.is_empty() {
                start = (nearest, farthest);
            }
            sets.extend(std::iter::repeat_n(step.set, step.min as usize));
        } else if !sets.is_empty() {
            let found = rate(&sets, start);
            if found.as_ref().is_some_and(|(score, _)| best.as_ref().is_none_or(|(top, _)| score > top)) {
                best = found;
            }
            sets.clear();
        }
        nearest = nearest.saturating_add(step.min);
        farthest = farthest.saturating_add(step.max);
    }
    best.map(|(_, anchors)| anchors).unwrap_or_default()
}

/// The literals that a row of small sets stands for, and how good they are as an anchor.
fn rate(sets: &[ByteSet], (nearest, farthest): (u32, u32)) -> Option<(u32, Vec<Anchor>)> {
    if farthest > 256 || farthest - nearest > 32 {
        return None;
    }
    let mut literals = vec![Vec::new()];
    let mut skipped = 0;
    for set in sets.iter().take(LONGEST_LITERAL) {
        if literals.len() * set.len() as usize > 32 {
            if literals.first().is_some_and(|literal| literal.len() >= 3) {
                break;
            }
            // A wide set in front: start behind it.
            skipped += literals.first().map_or(0, Vec::len) as u32 + 1;
            literals = vec![Vec::new()];
            continue;
        }
        literals = literals
            .iter()
            .flat_map(|literal: &Vec<u8>| {
                set.bytes().map(move |byte| {
                    let mut longer = literal.clone();
                    longer.push(byte);
                    longer
                })
            })
            .collect();
    }
    let length = literals.first().map_or(0, Vec::len);
    if length < 3 {
        return None;
    }
    let delimited = literals.iter().all(|literal| delimiter_of(literal).is_some());
    if !delimited {
        skipped += shorten(&mut literals);
    }
    let few = 64 / literals.len().max(1);
    let front = if farthest == 0 { 1000 } else { 0 };
    let score = front + length.min(12) as u32 * 10 + u32::from(delimited) * 5 + few.min(9) as u32;
    let anchor =
        |literal| Anchor { literal, nearest: (nearest + skipped) as u16, farthest: (farthest + skipped) as u16 };
    Some((score, literals.into_iter().map(anchor).collect()))
}

/// Teddy tells one literal a place: a literal that starts with another one is found by the shorter.
fn fold_prefixed(by_literal: &mut BTreeMap<Vec<u8>, Vec<Target>>) {
    let undelimited = |literal: &Vec<u8>| delimiter_of(literal).is_none();
    let mut shortest: Option<Vec<u8>> = None;
    // In order, so that what starts with a literal stands right behind it.
    for literal in by_literal.keys().filter(|l| undelimited(l)).cloned().collect::<Vec<_>>() {
        match &shortest {
            Some(short) if literal.starts_with(short) => {
                let targets = by_literal.remove(&literal).unwrap_or_default();
                by_literal.entry(short.clone()).or_default().extend(targets);
            }
            _ => shortest = Some(literal),
        }
    }
}

fn literals(entries: &[Entry], numbers: &[u32]) -> Vec<Box<[u8]>> {
    numbers.iter().filter_map(|&number| entries.get(number as usize)).map(|entry| entry.literal.clone()).collect()
}

/// Teddies for these entries; `None` on a machine without SIMD.
fn teddies(entries: &[Entry], numbers: &[u32]) -> Option<Vec<(packed::Searcher, Vec<u32>)>> {
    // A Teddy tells more apart by four bytes than by three: the short ones keep to themselves.
    let length = |number: &u32| entries.get(*number as usize).map_or(0, |entry| entry.literal.len());
    let (short, long): (Vec<u32>, Vec<u32>) = numbers.iter().partition(|number| length(number) < 4);
    let groups = long.len().div_ceil(TEDDY_LIMIT).max(1);
    let size = long.len().div_ceil(groups).max(1);
    let teddy = |numbers: &[u32]| {
        let mut builder = packed::Config::new().match_kind(packed::MatchKind::LeftmostFirst).builder();
        Some((builder.extend(literals(entries, numbers)).build()?, numbers.to_vec()))
    };
    short.chunks(TEDDY_LIMIT).chain(long.chunks(size)).map(teddy).collect()
}

/// Makes literals for the packed searchers shorter, so that many shapes share one: all addresses have `://`.
/// Gives how much was cut in front.
fn shorten(literals: &mut Vec<Vec<u8>>) -> u32 {
    const SCHEME: &[u8] = b"://";
    let places: Vec<_> = literals.iter().map(|literal| memchr::memmem::find(literal, SCHEME)).collect();
    let cut = match places.first() {
        Some(&Some(first)) if places.iter().all(|place| *place == Some(first)) => first,
        _ => 0,
    };
    for literal in literals.iter_mut() {
        literal.drain(..cut);
        literal.truncate(if cut > 0 { SCHEME.len() } else { LONGEST_PACKED });
    }
    literals.sort_unstable();
    literals.dedup();
    cut as u32
}

/// A row of one character, half of it.
const ROW: usize = 32;

/// The end of the row of one character that a place is deep inside of. Literals such as `----` and `AAAA` are found
/// all along a row, and what may begin there begins nearer to its end.
fn row_end(hay: &[u8], at: usize) -> Option<usize> {
    let row = hay.get(at.checked_sub(ROW)?..at + ROW)?;
    let first = *row.first()?;
    row.iter().all(|byte| *byte == first).then(|| {
        let rest = hay.get(at..).unwrap_or_default();
        at + rest.iter().position(|byte| *byte != first).unwrap_or(rest.len())
    })
}

impl Anchors {
    pub(super) fn new(anchors: impl IntoIterator<Item = (Anchor, u32)>, traits: &Traits<'_>) -> Self {
        let mut by_literal: BTreeMap<Vec<u8>, Vec<Target>> = BTreeMap::new();
        for (Anchor { literal, nearest, farthest }, shape) in anchors {
            let targets = by_literal.entry(literal).or_default();
            let target = Target { shape, nearest, farthest };
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        let mut this = Self {
            entries: Vec::with_capacity(by_literal.len()),
            pairs: Box::new([0; 1024]),
            index: vec![0; 1 << 16],
            buckets: Vec::new(),
            teddies: Vec::new(),
            in_runs: Vec::new(),
            automaton: None,
        };
        let (mut packed, mut run_bound) = (Vec::new(), Vec::new());
        fold_prefixed(&mut by_literal);
        for (literal, targets) in by_literal {
            let number = this.entries.len() as u32;
            let edge = targets.iter().all(|target| target.farthest == 0 && (traits.has_left_edge)(target.shape));
            let lies_in_runs = targets.iter().all(|target| (traits.lies_in_a_run)(target.shape));
            let delimiter = delimiter_of(&literal);
            let entry = Entry::new(literal, targets, edge);
            if let Some(delimiter) = delimiter {
                let pair = u16::from_le_bytes([entry.literal[delimiter - 2], entry.literal[delimiter - 1]]);
                this.pairs[usize::from(pair >> 6)] |= 1 << (pair & 63);
                this.bucket(pair).add(number, &entry);
            } else if lies_in_runs {
                run_bound.push(number);
            } else {
                packed.push(number);
            }
            this.entries.push(entry);
        }
        match (teddies(&this.entries, &packed), teddies(&this.entries, &run_bound)) {
            (Some(everywhere), Some(in_runs)) => (this.teddies, this.in_runs) = (everywhere, in_runs),
            _ => {
                packed.extend(run_bound);
                let automaton = aho_corasick::AhoCorasick::new(literals(&this.entries, &packed)).ok();
                this.automaton = automaton.map(|found| (found, packed));
            }
        }
        this
    }

    fn bucket(&mut self, pair: u16) -> &mut Bucket {
        let none = || Bucket { thirds: ByteSet::EMPTY, entries: Vec::new() };
        if self.buckets.is_empty() {
            self.buckets.push(none());
        }
        let next = self.buckets.len();
        if let Some(slot) = self.index.get_mut(usize::from(pair)).filter(|slot| **slot == 0) {
            *slot = next as u16;
            self.buckets.push(none());
        }
        let at = self.index.get(usize::from(pair)).map_or(0, |slot| usize::from(*slot));
        &mut self.buckets[at]
    }

    pub(super) fn targets(&self, entry: u32) -> &[Target] {
        self.entries.get(entry as usize).map_or(&[], |entry| &entry.targets)
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

    /// Every literal that starts at `from` or later and ends within `hay`, in order.
    ///
    /// `runs` are the runs of value characters, from before `from` on.
    pub(super) fn collect(&self, hay: &[u8], from: usize, runs: &[(u32, u32)], out: &mut Vec<Sighting>) {
        out.clear();
        self.delimiters(hay, from, out);
        self.sight(&self.teddies, hay, from..hay.len(), out);
        for &(start, end) in runs.iter().filter(|(start, end)| end - start >= SEARCHED_RUN as u32) {
            self.sight(&self.in_runs, hay, from.max(start as usize)..end as usize, out);
        }
        if let Some((automaton, entries)) = &self.automaton {
            for found in automaton.find_overlapping_iter(hay.get(from..).unwrap_or_default()) {
                let entry = entries.get(found.pattern().as_usize()).copied().unwrap_or_default();
                out.push(Sighting { at: (from + found.start()) as u32, entry });
            }
        }
        out.sort_unstable();
    }

    fn delimiters(&self, hay: &[u8], from: usize, out: &mut Vec<Sighting>) {
        let Some(rest) = hay.get(from..) else { return };
        for found in memchr::memchr3_iter(b'_', b'-', b'.', rest) {
            let at = from + found;
            let Some(&[a, b]) = at.checked_sub(2).and_then(|two| hay.get(two..at)) else { continue };
            let pair = u16::from_le_bytes([a, b]);
            if self.pairs[usize::from(pair >> 6)] & (1 << (pair & 63)) != 0 {
                self.compare(hay, from, at, pair, out);
            }
        }
    }

    fn sight(
        &self,
        teddies: &[(packed::Searcher, Vec<u32>)],
        hay: &[u8],
        Range { start, end }: Range<usize>,
        out: &mut Vec<Sighting>,
    ) {
        for (teddy, entries) in teddies {
            let mut at = start;
            while at < end
                && let Some(found) = teddy.find_in(hay, (at..end).into())
            {
                let number = entries.get(found.pattern().as_usize()).copied().unwrap_or_default();
                if let Some(end) = row_end(hay, found.start()) {
                    at = end - ROW + 1;
                    continue;
                }
                at = found.start() + 1;
                let edge = self.entries.get(number as usize).is_some_and(|entry| entry.edge);
                if !edge || may_begin(hay.get(..found.start()).unwrap_or_default()) {
                    out.push(Sighting { at: found.start() as u32, entry: number });
                }
            }
        }
    }

    #[inline(never)]
    fn compare(&self, hay: &[u8], from: usize, at: usize, pair: u16, out: &mut Vec<Sighting>) {
        let Some(bucket) = self.index.get(usize::from(pair)).and_then(|slot| self.buckets.get(usize::from(*slot)))
        else {
            return;
        };
        if at.checked_sub(3).and_then(|third| hay.get(third)).is_some_and(|third| !bucket.thirds.has(*third)) {
            return;
        }
        for &number in &bucket.entries {
            let Some(entry) = self.entries.get(number as usize) else { continue };
            let start = at.checked_sub(usize::from(entry.delimiter)).filter(|&start| start >= from);
            if let Some(start) = start.filter(|&start| entry.stands_at(hay, start)) {
                out.push(Sighting { at: start as u32, entry: number });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::Parts;
    use super::*;

    fn anchors(pattern: &str) -> Vec<(String, u16, u16)> {
        let parts = Parts::parse(pattern).unwrap();
        let all = parts.alternatives.iter().flat_map(|steps| anchors_of(steps));
        all.map(|a| (String::from_utf8(a.literal).unwrap(), a.nearest, a.farthest)).collect()
    }

    #[test]
    fn the_literal_at_the_front_is_the_anchor() {
        assert_eq!(anchors("ghp_[A-Za-z0-9]{36}"), [("ghp_".into(), 0, 0)]);
        assert_eq!(anchors("gh[po]_[A-Za-z0-9]{36}"), [("gho_".into(), 0, 0), ("ghp_".into(), 0, 0)]);
        assert_eq!(anchors("sk-[a-z]{20}T3BlbkFJ[a-z]{20}"), [("sk-".into(), 0, 0)]);
    }

    #[test]
    fn a_literal_inside_is_the_anchor_where_there_is_no_other() {
        assert_eq!(anchors("[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}"), [("AZDO".into(), 76, 76)]);
        assert_eq!(anchors("[0-9]{8,10}:AA[A-Za-z0-9_-]{33}"), [(":AA".into(), 8, 10)]);
        assert_eq!(anchors("[0-9a-f]{32}"), []);
    }

    #[test]
    fn literals_are_found_by_both_passes() {
        let literals = ["ghp_", "AKIA", "sk-ant-", "SG."];
        let anchors = Anchors::new(
            literals.iter().map(|l| (Anchor { literal: l.as_bytes().to_vec(), nearest: 0, farthest: 0 }, 0)),
            &Traits::NONE,
        );
        let text = b"x-y SG.ghp_AKIA sk-ant- AKI gh_";
        let mut out = Vec::new();
        anchors.collect(text, 0, &[], &mut out);
        let found: Vec<_> = out.iter().map(|s| (s.at, anchors.literal(s.entry))).collect();
        assert_eq!(found, [(4, &b"SG."[..]), (7, b"ghp_"), (11, b"AKIA"), (16, b"sk-ant-")]);
        anchors.collect(text, 8, &[], &mut out);
        assert_eq!(out.len(), 2);
    }
}
