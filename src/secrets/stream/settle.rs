//! Which of the matches at a place is told, and as what.

use super::{AFTER, BEFORE, Hit, Origin, Scan, Stream, Work};
use crate::secrets::rules::rule::{Candidate, Rule};
use crate::secrets::rules::shape::{Outcome, Progress, Walk};
use crate::secrets::scanner::Scanner;
use crate::secrets::search::walked::Walked;

impl Stream {
    /// Of all matches around one place, tells the longest that its rule accepts; gives where it lies.
    pub(super) fn settle(
        &self,
        scan: &mut Scan<'_>,
        origin: Origin<'_>,
        mut matches: Vec<(usize, usize, u32)>,
    ) -> Option<(u64, u64)> {
        matches.sort_unstable_by_key(|&(start, length, shape)| (std::cmp::Reverse(length), start, shape));
        let mut best: Option<(usize, usize)> = None;
        let mut rules: Vec<u32> = Vec::new();
        let mut is_likely = false;
        for (start, length, shape) in matches {
            if best.is_some_and(|best| best != (start, length)) {
                continue;
            }
            let Some(owner) = scan.scanner.shapes.get(shape as usize) else { continue };
            let Some(rule) = scan.scanner.rules.get(owner.rule as usize) else { continue };
            let candidate = self.candidate(start, length);
            if rules.contains(&owner.rule) || !rule.may_stand(&candidate) {
                scan.work.spent += Work::ATTEMPT;
                continue;
            }
            scan.work.spent += length as u64 * Work::PER_JUDGED_BYTE;
            if rule.holds(&candidate, usize::from(owner.prefix)) {
                best = Some((start, length));
                rules.push(owner.rule);
                is_likely |= rule.is_likely(candidate.value, usize::from(owner.prefix));
            }
        }
        let (start, length) = best?;
        if self.ends_before_an_edge(scan, start, length, &rules) {
            return None;
        }
        let offset = self.base + start as u64;
        if rules.iter().any(|rule| scan.scanner.rules.get(*rule as usize).is_some_and(|rule| rule.public)) {
            return Some((offset, offset + length as u64));
        }
        let (start_of, end_of) = self.place(origin, start, length);
        (scan.report)(&Hit {
            known: None,
            joins: rules.iter().filter_map(|rule| scan.scanner.rules.get(*rule as usize)).any(|rule| rule.joins),
            is_likely,
            rules: &rules,
            candidate: self.candidate(start, length),
            start: start_of,
            end: end_of,
            path: &scan.path,
        });
        Some((offset, offset + length as u64))
    }

    /// Whether a match of joined pieces is complete before the first edge that it goes over: then a value of its own
    /// stands there, which was told in its place, and what follows only looks like a part of it.
    fn ends_before_an_edge(&self, scan: &mut Scan<'_>, start: usize, length: usize, rules: &[u32]) -> bool {
        let Some(edges) = &self.edges else { return false };
        let from = self.base + start as u64;
        let Some(&edge) = edges.get(edges.partition_point(|edge| *edge <= from)) else { return false };
        let piece = (edge - from) as usize;
        if piece >= length {
            return false;
        }
        let hay = self.buffer.get(start..start + piece).unwrap_or_default();
        is_whole(scan.scanner, rules, hay, &mut scan.work.spent, |found| self.candidate(start, found))
    }

    /// The same for a match of the runs' pass.
    pub(in crate::secrets) fn settle_run(
        &mut self,
        scan: &mut Scan<'_>,
        origin: Origin<'_>,
        matches: Vec<(usize, usize, u32)>,
    ) {
        if let Some((_, end)) = self.settle(scan, origin, matches) {
            self.covered_runs = end;
        }
    }

    pub(in crate::secrets) fn report_known(
        &self,
        scan: &mut Scan<'_>,
        origin: Origin<'_>,
        start: usize,
        length: usize,
        secret: u32,
        encoding: Option<&'static str>,
    ) {
        let (start_of, end_of) = self.place(origin, start, length);
        scan.path.extend(encoding);
        (scan.report)(&Hit {
            known: Some(secret),
            joins: true,
            is_likely: true,
            rules: &[],
            candidate: self.candidate(start, length),
            start: start_of,
            end: end_of,
            path: &scan.path,
        });
        if encoding.is_some() {
            scan.path.pop();
        }
    }

    /// Where a match lies on the outermost level; what was reversed begins where it ends.
    fn place(&self, origin: Origin<'_>, start: usize, length: usize) -> (u64, u64) {
        let offset = self.base + start as u64;
        let (start, end) = (origin(offset), origin(offset + length as u64));
        (start.min(end), start.max(end))
    }

    pub(super) fn candidate(&self, start: usize, length: usize) -> Candidate<'_> {
        let end = start + length;
        let is_edge =
            |at: usize| self.edges.as_ref().is_some_and(|edges| edges.binary_search(&(self.base + at as u64)).is_ok());
        let after = if is_edge(end) { &[] } else { self.buffer.get(end..).unwrap_or_default() };
        Candidate {
            before: if is_edge(start) { &[] } else { self.before(start, BEFORE) },
            value: self.buffer.get(start..end).unwrap_or_default(),
            after: after.get(..AFTER).unwrap_or(after),
        }
    }
}

/// Whether a text begins with what one of the rules takes as it is, or with what documentation writes in its place.
pub(in crate::secrets) fn is_whole<'a>(
    scanner: &Scanner,
    rules: &[u32],
    text: &[u8],
    spent: &mut u64,
    candidate: impl Fn(usize) -> Candidate<'a>,
) -> bool {
    let mut owners = scanner.shapes.iter().filter(|owner| rules.contains(&owner.rule));
    let is_taken = owners.any(|owner| {
        let walk = Walk { spent: &mut *spent, walked: &mut Walked::default(), at: 0 };
        let Outcome::Match(found) = owner.shape.resume(text, true, walk, &mut Progress::default()) else {
            return false;
        };
        let rule = scanner.rules.get(owner.rule as usize);
        rule.is_some_and(|rule| rule.accepts(&candidate(found), usize::from(owner.prefix)))
    });
    is_taken || is_placeholder(scanner, rules, text)
}

/// Whether a piece is what documentation writes for a value of one of the rules: none of a secret's pieces is as long
/// and made up by no one at random.
pub(in crate::secrets) fn is_placeholder(scanner: &Scanner, rules: &[u32], piece: &[u8]) -> bool {
    const LEAST: usize = 12;
    let mut owners = scanner.shapes.iter().filter(|owner| rules.contains(&owner.rule));
    owners.any(|owner| {
        let prefix = usize::from(owner.prefix);
        piece.len() >= prefix + LEAST && Rule::is_placeholder(piece, prefix)
    })
}
