//! Whether pieces that are put side by side may make a secret that goes over an edge between two of them: a look that
//! costs little, before they are scanned as one text. Whatever such a scan would find must pass here.

use super::super::anchors::Sighting;
use super::super::decode::{gates, numbers};
use super::super::guard::Inner;
use super::super::lists;
use super::super::pieces::Suspects;
use super::super::reversed;
use super::super::rules::anchor::LONGEST_LITERAL;
use super::super::rules::generic::is_wordy;
use super::super::rules::shape::{Outcome, Progress, Walk};
use super::super::runs::{self, is_value};
use super::super::scanner::RuleShape;
use super::super::search::walked::Walked;
use super::super::survey::Survey;
use super::row::{Edge, Line, Row};
use std::ops::Range;

/// Between two letters of a row there is no more than this, and one.
const LETTERS: usize = 14;
/// A line of a hex dump has a space this near to any of its places.
const DUMP: usize = 24;

/// Looks at texts of pieces, one after the other.
pub(in crate::secrets) struct Seams<'a> {
    guard: &'a Inner,
    survey: Survey,
    walked: Walked,
    sightings: Vec<Sighting>,
    found: Vec<(u32, u32)>,
}

/// What pieces look like together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A token or a known value goes over an edge.
    Holds,
    /// They may be the beginning of one.
    Open,
    No,
}

/// Whether a stretch of text goes over one of these edges, which are in order.
fn goes_over(edges: &[usize], start: usize, end: usize) -> bool {
    let next = edges.partition_point(|edge| *edge <= start);
    edges.get(next).is_some_and(|edge| *edge < end)
}

impl<'a> Seams<'a> {
    pub(in crate::secrets) fn new(guard: &'a Inner) -> Self {
        let (survey, walked) = (Survey::default(), Walked::default());
        Self { guard, survey, walked, sightings: Vec::new(), found: Vec::new() }
    }

    /// Whether a token or a known value may go over one of the edges.
    pub(in crate::secrets) fn may_hold(&mut self, text: &[u8], edges: &[usize]) -> bool {
        self.sight(text, 0..text.len());
        let sightings = std::mem::take(&mut self.sightings);
        let found = self.has_token(text, &sightings, edges);
        self.sightings = sightings;
        found || self.guard.known.stands_where(text, |start, end| goes_over(edges, start, end))
    }

    /// Whether pieces hold a token or a known value, or begin one that goes on behind them.
    pub(super) fn look(&mut self, text: &[u8], edges: &[usize]) -> Look {
        // Names that people give are many, and tokens none of them.
        let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
        if digits * 8 < text.len() && is_wordy(text) {
            return self.look_for_known(text, edges);
        }
        if !edges.is_empty() && self.may_hold(text, edges) {
            return Look::Holds;
        }
        if edges.is_empty() {
            self.sight(text, 0..text.len());
        }
        let sightings = std::mem::take(&mut self.sightings);
        let is_open = self.guard.known.goes_on_behind(text) || self.begins_token(text, &sightings);
        self.sightings = sightings;
        if is_open { Look::Open } else { Look::No }
    }

    fn look_for_known(&self, text: &[u8], edges: &[usize]) -> Look {
        let known = &self.guard.known;
        match known.is_empty() {
            false if known.stands_where(text, |start, end| goes_over(edges, start, end)) => Look::Holds,
            false if known.goes_on_behind(text) => Look::Open,
            _ => Look::No,
        }
    }

    /// Whether a known value may begin with a text.
    pub(super) fn may_begin_known(&self, text: &[u8]) -> bool {
        self.guard.known.goes_on_behind(text)
    }

    /// Whether a text ends within a token.
    fn begins_token(&self, text: &[u8], sightings: &[Sighting]) -> bool {
        let scanner = &self.guard.scanner;
        sightings.iter().any(|sighting| {
            let [without_at, with_at] = scanner.joined.targets(sighting.entry);
            without_at.iter().chain(with_at).any(|target| {
                let owner = scanner.shapes.get(target.shape as usize);
                let joins = |owner: &&RuleShape| scanner.rules.get(owner.rule as usize).is_some_and(|rule| rule.joins);
                let Some(owner) = owner.filter(joins) else { return false };
                let start = (sighting.at as usize).checked_sub(usize::from(target.nearest));
                let Some(start) = start.filter(|_| target.nearest == target.farthest) else { return false };
                let (mut spent, mut walked) = (0, Walked::default());
                let walk = Walk { spent: &mut spent, walked: &mut walked, at: start as u64 };
                let hay = text.get(start..).unwrap_or_default();
                owner.shape.resume(hay, false, walk, &mut Progress::default()) == Outcome::More
            })
        })
    }

    /// Where literals of tokens stand in a text.
    pub(in crate::secrets) fn places(&mut self, text: &[u8]) -> Vec<usize> {
        self.sight(text, 0..text.len());
        self.sightings.iter().map(|sighting| sighting.at as usize).collect()
    }

    /// Whether the newest piece of a row may complete anything, encoded or not, with those before it.
    pub(in crate::secrets) fn may_complete(&mut self, row: &mut Row, (forwards, backwards): &(Edge, Edge)) -> bool {
        let mut is_odd = false;
        let near = forwards.at.saturating_sub(LONGEST_LITERAL)..forwards.fresh.end;
        let forth = self.goes_over(&mut row.forwards, near, forwards, &mut is_odd);
        let near = 0..(backwards.at + LONGEST_LITERAL).min(row.backwards.text.len());
        let back = self.goes_over(&mut row.backwards, near, backwards, &mut is_odd);
        if is_odd {
            row.set_odd();
        }
        forth || back || row.is_odd()
    }

    /// Where literals stand in a part of a text.
    fn sight(&mut self, text: &[u8], near: Range<usize>) {
        let joined = &self.guard.scanner.joined;
        let slice = text.get(near).unwrap_or_default();
        self.survey.clear();
        self.survey.extend(slice, joined.teddy());
        joined.collect((slice, &self.survey), 0..slice.len(), &[], &mut Vec::new(), &mut self.sightings);
    }

    /// The same for one of its lines, of which only what is near to the newest piece is new.
    fn goes_over(&mut self, line: &mut Line, near: Range<usize>, edge: &Edge, is_odd: &mut bool) -> bool {
        let near = if line.is_sighted { near } else { 0..line.text.len() };
        line.is_sighted = true;
        let Line { text, sightings, .. } = line;
        self.sight(text, near.clone());
        for Sighting { at, entry } in self.sightings.drain(..) {
            let sighting = Sighting { at: at + near.start as u32, entry };
            if !sightings.contains(&sighting) {
                sightings.push(sighting);
            }
        }
        *is_odd |= self.is_odd(text, near, edge);
        let known = |start, end| goes_over(&[edge.at], start, end);
        self.has_token(text, sightings, &[edge.at])
            || self.guard.known.stands_where(text, known)
            || (!*is_odd && self.is_coded(text, edge, is_odd))
    }

    fn has_token(&mut self, text: &[u8], sightings: &[Sighting], edges: &[usize]) -> bool {
        let scanner = &self.guard.scanner;
        if sightings.is_empty() {
            return false;
        }
        self.walked.clear();
        let has_at = memchr::memchr(b'@', text).is_some();
        for sighting in sightings {
            let at = sighting.at as usize;
            let [without_at, with_at] = scanner.joined.targets(sighting.entry);
            for target in without_at.iter().chain(if has_at { with_at } else { &[] }) {
                let Some(owner) = scanner.shapes.get(target.shape as usize) else { continue };
                let joins = scanner.rules.get(owner.rule as usize).is_some_and(|rule| rule.joins);
                if !joins {
                    continue;
                }
                for start in (target.nearest..=target.farthest).filter_map(|back| at.checked_sub(usize::from(back))) {
                    if edges.last().is_none_or(|last| start >= *last) {
                        continue;
                    }
                    let (hay, mut spent) = (text.get(start..).unwrap_or_default(), 0);
                    let walk = Walk { spent: &mut spent, walked: &mut self.walked, at: start as u64 };
                    if let Outcome::Match(length) = owner.shape.resume(hay, true, walk, &mut Progress::default())
                        && goes_over(edges, start, start + length)
                    {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// Whether something near to the newest piece, of which the survey is, may be read otherwise than byte by byte:
    /// compressed files, escapes, quotes and line breaks, over which strings and lines are added, reversed words.
    fn is_odd(&self, text: &[u8], near: Range<usize>, edge: &Edge) -> bool {
        let slice = text.get(near.clone()).unwrap_or_default();
        let all = 0..slice.len();
        let is_gate =
            |at: usize| matches!(slice.get(at), Some(0)) || gates::gate_at(text, near.start + at, true).is_some();
        let ends = self.survey.places(|block| block.value & !(block.value >> 1), all.clone());
        let mut ends = ends.map(|last| near.start + last + 1).chain([edge.run.end]);
        self.survey.places(|block| block.marks, all.clone()).next().is_some()
            || memchr::memchr3(b'"', b'\'', b'`', slice).is_some()
            || memchr::memchr3(b'\\', b'\n', b'\r', slice).is_some()
            || self.survey.places(|block| block.gates, all).any(is_gate)
            || ends.any(|end| reversed::is_reversed(&self.guard.scanner, text, end))
    }

    /// Whether what goes over an edge is written in another way.
    fn is_coded(&mut self, text: &[u8], edge: &Edge, is_odd: &mut bool) -> bool {
        let Edge { at, run, .. } = edge;
        let around = |reach: usize| at.saturating_sub(reach)..(at + reach).min(text.len());
        let is = |at: usize| text.get(at).is_some_and(|byte| is_value(*byte));
        let is_alone = |place: &usize| is(*place) && !is(*place + 1) && !place.checked_sub(1).is_some_and(is);
        let near = around(LETTERS);
        if (near.start..*at).any(|place| is_alone(&place)) && (*at..near.end).any(|place| is_alone(&place))
            || text.get(around(DUMP)).is_some_and(|near| near.contains(&b' '))
            || numbers::goes_over(text, *at)
        {
            self.survey.clear();
            self.survey.extend(text, self.guard.scanner.joined.teddy());
            if Suspects::default().has_letters(&self.survey, text)
                || lists::may_go_over(&self.survey, text, *at, &mut self.found)
            {
                return true;
            }
        }
        let zlib = matches!(text, [b'x', second, ..] if !second.is_ascii_alphanumeric());
        let Some(run_text) = text.get(run.clone()).filter(|_| !zlib) else { return zlib };
        runs::is_coded_over(run_text, at - run.start, is_odd) || self.guard.scanner.is_reversed_in(run_text)
    }
}
