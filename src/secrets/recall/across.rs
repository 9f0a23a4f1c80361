//! What goes over an edge between pieces that are put side by side.

use super::super::finding::{Finding, Surface};
use super::super::guard::{At, Guard};
use super::super::joins::{Joined, is_token};
use super::super::rows::ROW;
use super::super::rules::generic::is_wordy;
use super::super::rules::home::Spot;
use super::super::stream::{Hit, Scan, Stream, Work};
use super::memory::{Pieces, TRAIL};
use crate::net::Host;
use zeroize::Zeroizing;

impl Guard {
    /// What goes over the edge beside the last piece, in the order sent and in the opposite one.
    pub(in crate::secrets) fn complete(
        &self,
        host: &Host,
        surface: Surface,
        pieces: &Pieces,
        step: &'static str,
    ) -> Vec<Finding> {
        let mut pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_slice()).collect();
        let last = pieces.iter().rev().skip(1).map(|piece| piece.len() as u64).sum();
        let mut findings = self.across(host, surface, &pieces, Some(last), step, &mut true);
        pieces.reverse();
        let first = pieces.first().map_or(0, |piece| piece.len() as u64);
        findings.extend(self.across(host, surface, &pieces, Some(first), step, &mut true));
        findings.dedup_by(|a, b| a.rule == b.rule && a.fingerprint == b.fingerprint);
        findings
    }

    /// What goes over an edge between pieces: over this one, or over any. Not `is_clean`: something was seen, told or not.
    pub(in crate::secrets) fn across(
        &self,
        host: &Host,
        surface: Surface,
        pieces: &[&[u8]],
        edge: Option<u64>,
        step: &'static str,
        is_clean: &mut bool,
    ) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        let text = Zeroizing::new(pieces.concat());
        let mut work = Work::new();
        work.given = text.len() as u64;
        let mut report = |hit: &Hit<'_>| {
            *is_clean = false;
            // What is not encoded is left to the pass that knows where pieces end.
            let whole = hit.path == [step];
            if whole || !hit.is_believed() || edge.is_some_and(|edge| hit.start >= edge || hit.end <= edge) {
                return;
            }
            // Words that have only their order in common make names by chance.
            let is_exact = |rule: &u32| self.inner.scanner.rules.get(*rule as usize).is_some_and(|rule| rule.is_exact);
            let is_chance = match step {
                TRAIL => is_wordy(hit.candidate.value) || !hit.rules.iter().any(is_exact),
                ROW => !is_token(hit),
                _ => false,
            };
            if hit.known.is_none() && is_chance {
                return;
            }
            let at = At { host, surface, place: None, spot: Spot::Content, offset: 0, maskable: false };
            findings.extend(self.inner.judge(hit, at));
        };
        let (scanner, known) = (&self.inner.scanner, &self.inner.known);
        let mut scan = Scan { scanner, known, report: &mut report, work: &mut work, path: vec![step] };
        let is_spelled = step == ROW && pieces.iter().all(|piece| piece.len() == 1);
        let mut joined = if is_spelled { Joined::letters() } else { Joined::new() };
        let mut start = 0;
        for piece in pieces {
            joined.add(piece, start);
            start += piece.len() as u64;
        }
        joined.feed(&mut scan, &|at| at, true);
        // Pieces of something encoded are no pieces of a token before they are joined.
        if edge.is_some() {
            Stream::new(0).feed(&mut scan, &|at| at, &text, true);
        }
        *is_clean &= !work.is_exhausted();
        findings.dedup_by(|a, b| a.rule == b.rule && a.fingerprint == b.fingerprint);
        findings
    }
}
