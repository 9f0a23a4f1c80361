//! What a session sent lately, as far as it may be a piece of a secret: short values, by the name they were sent
//! under. Pieces of one secret that go out in several requests meet here.

use super::finding::{Finding, Surface};
use super::guard::{At, Guard};
use super::head::HeadView;
use super::home::Spot;
use super::joins::Joined;
use super::seen::Seen;
use super::stream::{Hit, Scan, Stream, Work};
use crate::net::Host;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Names that are remembered, and bytes under each: 64 KiB a session at most.
const MOST_SLOTS: usize = 96;
const MOST_BYTES: usize = 512;
/// Pieces are no shorter and no longer.
const SHORTEST: usize = 3;
const LONGEST: usize = 160;
/// What is older is forgotten.
const AGE: Duration = Duration::from_secs(15 * 60);
/// Bodies up to this long are looked into for pieces.
pub(super) const SMALL_BODY: usize = 4096;
/// Fields that every request has.
const ORDINARY: [&[u8]; 12] = [
    b"host",
    b"user-agent",
    b"accept",
    b"accept-encoding",
    b"accept-language",
    b"authorization",
    b"proxy-authorization",
    b"connection",
    b"content-type",
    b"content-length",
    b"date",
    b"content-encoding",
];

/// Whether a field is none that every request has.
pub(super) fn is_own(name: &[u8]) -> bool {
    !ORDINARY.iter().any(|ordinary| name.eq_ignore_ascii_case(ordinary))
}

/// One session's memory. Never written anywhere; wiped when it is dropped.
#[derive(Default)]
pub struct SessionMemory {
    /// The one that was sent last is the last.
    slots: Mutex<VecDeque<Slot>>,
    pub(super) seen: Seen,
}

/// What a piece was sent under.
#[derive(Clone, Copy)]
struct Name<'a> {
    kind: &'static str,
    name: &'a [u8],
}

/// What went out under one name.
struct Slot {
    kind: &'static str,
    name: Box<[u8]>,
    text: Zeroizing<Vec<u8>>,
    /// Where pieces begin.
    edges: Vec<usize>,
    at: Instant,
}

/// Shows nothing of what it remembers.
impl std::fmt::Debug for SessionMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionMemory").finish_non_exhaustive()
    }
}

impl SessionMemory {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a piece under its name; gives the pieces there, or none if nothing is new.
    fn add(&self, name: Name<'_>, piece: &[u8], now: Instant) -> Option<(Zeroizing<Vec<u8>>, Vec<usize>)> {
        if !(SHORTEST..=LONGEST).contains(&piece.len()) {
            return None;
        }
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        while slots.front().is_some_and(|slot| now.saturating_duration_since(slot.at) >= AGE) {
            slots.pop_front();
        }
        let known = slots.iter().rposition(|slot| slot.is(name)).and_then(|at| slots.remove(at));
        let mut slot = known.unwrap_or_else(|| Slot::new(name, now));
        slot.at = now;
        let is_new = slot.add(piece);
        let joined = (is_new && slot.edges.len() > 1).then(|| (slot.text.clone(), slot.edges.clone()));
        slots.push_back(slot);
        if slots.len() > MOST_SLOTS {
            slots.pop_front();
        }
        joined
    }
}

impl Slot {
    fn new(name: Name<'_>, at: Instant) -> Self {
        let text = Zeroizing::new(Vec::new());
        Self { kind: name.kind, name: name.name.to_ascii_lowercase().into(), text, edges: Vec::new(), at }
    }

    fn is(&self, name: Name<'_>) -> bool {
        self.kind == name.kind && self.name.eq_ignore_ascii_case(name.name)
    }

    /// Whether the piece is another than the last.
    fn add(&mut self, piece: &[u8]) -> bool {
        if self.edges.last().is_some_and(|last| self.text.get(*last..) == Some(piece)) {
            return false;
        }
        self.edges.push(self.text.len());
        self.text.extend_from_slice(piece);
        while self.text.len() > MOST_BYTES {
            let gone = self.edges.get(1).copied().unwrap_or(self.text.len());
            self.text.drain(..gone);
            self.edges.remove(0);
            self.edges.iter_mut().for_each(|edge| *edge -= gone);
        }
        true
    }
}

impl Guard {
    /// Remembers a head's values; gives what they complete. Call it beside [`Guard::scan_head`].
    #[must_use]
    pub fn recall_head(&self, head: &HeadView<'_>, memory: &SessionMemory, now: Instant) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut piece = |surface, kind, name: &[u8], value: &[u8]| {
            if let Some((text, edges)) = memory.add(Name { kind, name }, value, now) {
                found.extend(self.complete(head.host, surface, &text, &edges));
            }
        };
        for (number, segment) in [b"0", b"1", b"2", b"3"].into_iter().zip(head.path.split('/').rev()) {
            piece(Surface::Path, "path", number, segment.as_bytes());
        }
        for parameter in head.query.into_iter().flat_map(|query| query.split('&')).take(32) {
            let (name, value) = parameter.split_once('=').unwrap_or(("", parameter));
            let value: Vec<u8> = percent_encoding::percent_decode_str(value).collect();
            piece(Surface::Query, "query", name.as_bytes(), &value);
            piece(Surface::Query, "queries", b"", &value);
        }
        for (name, value) in head.fields.iter().take(64) {
            if is_own(name) {
                piece(Surface::Header, "field", name, value);
            }
        }
        if let Some(name) = head.host.as_name() {
            let label = name.split('.').next().unwrap_or_default();
            piece(Surface::Host, "host", b"", label.as_bytes());
        }
        found
    }

    /// Remembers a small body's values; gives what they complete.
    pub(super) fn recall_body(&self, host: &Host, body: &[u8], memory: &SessionMemory, now: Instant) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut piece = |kind, name: &str, value: &[u8]| {
            let name = Name { kind, name: name.as_bytes() };
            if let Some((text, edges)) = memory.add(name, value, now) {
                found.extend(self.complete(host, Surface::Body, &text, &edges));
            }
        };
        piece("body", "", body.trim_ascii());
        if let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) {
            let mut open = vec![("", &value)];
            let mut left = 128;
            while let Some((name, value)) = open.pop().filter(|_| left > 0) {
                left -= 1;
                match value {
                    serde_json::Value::String(text) => piece("json", name, text.as_bytes()),
                    serde_json::Value::Array(values) => open.extend(values.iter().rev().map(|value| (name, value))),
                    serde_json::Value::Object(members) => {
                        open.extend(members.iter().map(|(n, value)| (n.as_str(), value)))
                    }
                    _ => {}
                }
            }
        } else if body.starts_with(b"--") {
            for (name, value) in parts(body).take(32) {
                piece("part", name, value);
            }
        } else if let Ok(text) = std::str::from_utf8(body) {
            for (name, value) in text.split('&').take(32).filter_map(|parameter| parameter.split_once('=')) {
                let value: Vec<u8> = percent_encoding::percent_decode_str(value).collect();
                piece("form", name, &value);
            }
        }
        found
    }

    /// What goes over the edge beside the last piece, in the order sent and in the opposite one.
    fn complete(&self, host: &Host, surface: Surface, text: &[u8], edges: &[usize]) -> Vec<Finding> {
        let ends = edges.iter().skip(1).copied().chain([text.len()]);
        let pieces = edges.iter().copied().zip(ends).filter_map(|(start, end)| text.get(start..end));
        let mut pieces: Vec<&[u8]> = pieces.collect();
        let last = edges.last().map_or(0, |edge| *edge as u64);
        let mut findings = self.across(host, surface, &pieces, Some(last), "session", &mut true);
        pieces.reverse();
        let first = pieces.first().map_or(0, |piece| piece.len() as u64);
        findings.extend(self.across(host, surface, &pieces, Some(first), "session", &mut true));
        findings.dedup_by(|a, b| a.rule == b.rule && a.fingerprint == b.fingerprint);
        findings
    }

    /// What goes over an edge between pieces: over this one, or over any. Not `is_clean`: something was seen, told or not.
    pub(super) fn across(
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
            if whole || !hit.joins || edge.is_some_and(|edge| hit.start >= edge || hit.end <= edge) {
                return;
            }
            let at = At { host, surface, place: None, spot: Spot::Content, offset: 0, maskable: false };
            findings.extend(self.inner.judge(hit, at));
        };
        let (scanner, known) = (&self.inner.scanner, &self.inner.known);
        let mut scan = Scan { scanner, known, report: &mut report, work: &mut work, path: vec![step] };
        let mut joined = Joined::new();
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

/// The parts of a multipart body: names and contents (RFC 7578).
fn parts(body: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    let boundary = body.get(..memchr::memchr(b'\r', body).unwrap_or(0)).unwrap_or_default();
    let mut rest = body.get(boundary.len()..).unwrap_or_default();
    std::iter::from_fn(move || {
        let end = memchr::memmem::find(rest, boundary).filter(|_| !boundary.is_empty())?;
        let (part, next) = rest.split_at(end);
        rest = next.get(boundary.len()..).unwrap_or_default();
        let gap = memchr::memmem::find(part, b"\r\n\r\n")?;
        let (head, content) = part.split_at(gap);
        let name = memchr::memmem::find(head, b" name=\"").and_then(|at| head.get(at + 7..)).unwrap_or_default();
        let name = name.split(|byte| *byte == b'"').next().unwrap_or_default();
        let content = content.get(4..).unwrap_or_default();
        Some((std::str::from_utf8(name).unwrap_or_default(), content.strip_suffix(b"\r\n").unwrap_or(content)))
    })
}
