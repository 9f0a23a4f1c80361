//! What a session sent lately, as far as it may be a piece of a secret: short values, by the name they were sent
//! under. Pieces of one secret that go out in several requests meet here.

use super::super::finding::{Disposition, Finding, Surface};
use super::super::guard::{At, Guard};
use super::super::head::HeadView;
use super::super::joins::Joined;
use super::super::rules::home::Spot;
use super::super::scanner::Scanner;
use super::super::stream::{Hit, Scan, Stream, Work};
use super::row::Row;
use super::seams::Seams;
use super::seen::Seen;
use crate::net::Host;
use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Names that are remembered, with 512 bytes under each in both orders: 128 KiB a session at most.
const MOST_SLOTS: usize = 96;
/// Pieces are no shorter and no longer.
const SHORTEST: usize = 3;
const LONGEST: usize = 160;
/// Segments, parameters and fields of one request that are remembered; segments that have a name of their own.
const MOST_VALUES: usize = 256;
const MOST_SEGMENTS: usize = 8;
/// What is older is forgotten.
const AGE: Duration = Duration::from_secs(15 * 60);
/// Bodies up to this long are looked into for pieces.
pub(in crate::secrets) const SMALL_BODY: usize = 4096;
/// Fields that every request has, and that hold no free text.
const ORDINARY: [&[u8]; 10] = [
    b"host",
    b"accept",
    b"accept-encoding",
    b"authorization",
    b"proxy-authorization",
    b"connection",
    b"content-type",
    b"content-length",
    b"date",
    b"content-encoding",
];

/// Whether a field is none that every request has.
pub(in crate::secrets) fn is_own(name: &[u8]) -> bool {
    !ORDINARY.iter().any(|ordinary| name.eq_ignore_ascii_case(ordinary))
}

/// One session's memory. Never written anywhere; wiped when it is dropped.
#[derive(Default)]
pub struct SessionMemory {
    slots: Mutex<Slots>,
    pub(in crate::secrets) seen: Seen,
}

#[derive(Default)]
struct Slots {
    slots: Vec<Slot>,
    /// What each slot's name comes to: most that are looked for differ there.
    tags: Vec<u64>,
    /// Counts the pieces: the slot that was used longest ago goes first.
    turn: u64,
    scanner: Weak<Scanner>,
}

/// What a piece was sent under.
#[derive(Clone, Copy)]
struct Name<'a> {
    kind: &'static str,
    name: &'a [u8],
}

/// What may complete something, in the order in which it was sent.
type Pieces = Vec<Zeroizing<Vec<u8>>>;

/// What went out under one name.
struct Slot {
    kind: &'static str,
    name: Box<[u8]>,
    row: Row,
    at: Instant,
    turn: u64,
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
}

impl Slots {
    /// What is known of the pieces is known by one catalogue.
    fn use_catalogue(&mut self, scanner: &Arc<Scanner>) {
        if self.scanner.as_ptr() != Arc::as_ptr(scanner) {
            self.scanner = Arc::downgrade(scanner);
            self.slots.iter_mut().for_each(|slot| slot.row.forget_sightings());
        }
    }

    /// The pieces under a name, of which there may be none yet.
    fn row(&mut self, name: Name<'_>, now: Instant) -> &mut Row {
        let place = self.place(name, now);
        self.turn += 1;
        let slot = &mut self.slots[place];
        if now.saturating_duration_since(slot.at) >= AGE {
            slot.row = Row::default();
        }
        (slot.at, slot.turn) = (now, self.turn);
        &mut slot.row
    }

    /// The pieces under a name that there is a slot for.
    fn known(&mut self, name: Name<'_>) -> Option<&mut Row> {
        let place = self.find(name, name.tag())?;
        self.slots.get_mut(place).map(|slot| &mut slot.row)
    }

    fn find(&self, name: Name<'_>, tag: u64) -> Option<usize> {
        self.tags.iter().zip(&self.slots).position(|(known, slot)| *known == tag && slot.is(name))
    }

    /// Where the slot of a name is: its own, a new one, or that of the name that was used longest ago.
    fn place(&mut self, name: Name<'_>, now: Instant) -> usize {
        let tag = name.tag();
        if let Some(place) = self.find(name, tag) {
            return place;
        }
        let slot = Slot::new(name, now);
        if self.slots.len() < MOST_SLOTS {
            self.slots.push(slot);
            self.tags.push(tag);
            return self.slots.len() - 1;
        }
        let oldest = self.slots.iter().enumerate().min_by_key(|(_, slot)| slot.turn).map_or(0, |(place, _)| place);
        (self.slots[oldest], self.tags[oldest]) = (slot, tag);
        oldest
    }
}

impl Name<'_> {
    /// A number that equal names have in common, whatever their case.
    fn tag(self) -> u64 {
        let mix = |tag: u64, word: u64| (tag ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let mut tag = mix(self.kind.len() as u64, self.kind.bytes().next().map_or(0, u64::from));
        for part in self.name.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(part).for_each(|(to, byte)| *to = byte | 0x20);
            tag = mix(tag, u64::from_le_bytes(word));
        }
        tag
    }
}

impl Slot {
    fn new(name: Name<'_>, at: Instant) -> Self {
        Self { kind: name.kind, name: name.name.to_ascii_lowercase().into(), row: Row::default(), at, turn: 0 }
    }

    fn is(&self, name: Name<'_>) -> bool {
        self.kind == name.kind && self.name.eq_ignore_ascii_case(name.name)
    }
}

/// What is new among a session's values, and what of it is worth a scan.
struct Recall<'a> {
    slots: MutexGuard<'a, Slots>,
    seams: Seams<'a>,
    memory: &'a SessionMemory,
    now: Instant,
    found: Vec<Found>,
}

/// Pieces that may complete something, and what the last was sent under.
struct Found {
    surface: Surface,
    kind: &'static str,
    name: Box<[u8]>,
    pieces: Pieces,
}

impl<'a> Recall<'a> {
    fn new(guard: &'a Guard, memory: &'a SessionMemory, now: Instant) -> Self {
        let mut slots = memory.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.use_catalogue(&guard.inner.scanner);
        Self { slots, seams: Seams::new(&guard.inner), memory, now, found: Vec::new() }
    }

    /// Remembers a piece.
    fn add(&mut self, surface: Surface, kind: &'static str, name: &[u8], piece: &[u8]) {
        if !(SHORTEST..=LONGEST).contains(&piece.len()) {
            return;
        }
        let row = self.slots.row(Name { kind, name }, self.now);
        // One that comes again while that isn't decided is held to the same.
        let again = row.is_open && row.ends_in(piece);
        if again || row.add(piece).is_some_and(|edges| self.seams.may_complete(row, &edges)) {
            row.is_open = true;
            self.found.push(Found { surface, kind, name: name.into(), pieces: row.pieces() });
        }
    }

    /// What the new pieces complete. A piece that is refused is not remembered, so that it is refused again.
    fn finish(self, guard: &Guard, host: &Host) -> Vec<Finding> {
        drop(self.slots);
        let mut findings = Vec::new();
        for Found { surface, kind, name, pieces } in self.found {
            let found = guard.complete(host, surface, &pieces);
            let is_refused = found.iter().any(|finding| finding.disposition == Disposition::Blocked);
            let mut slots = self.memory.slots.lock().unwrap_or_else(PoisonError::into_inner);
            if let (Some(row), Some(piece)) = (slots.known(Name { kind, name: &name }), pieces.last()) {
                if is_refused {
                    row.take_back(piece);
                } else if row.ends_in(piece) {
                    row.is_open = false;
                }
            }
            findings.extend(found);
        }
        findings
    }
}

impl Guard {
    /// Remembers a head's values; gives what they complete. Call it beside [`Guard::scan_head`].
    #[must_use]
    pub fn recall_head(&self, head: &HeadView<'_>, memory: &SessionMemory, now: Instant) -> Vec<Finding> {
        let mut recall = Recall::new(self, memory, now);
        // From the end on, where paths differ; those beyond the last number have it together.
        for (number, segment) in head.path.as_bytes().rsplit(|&byte| byte == b'/').enumerate().take(MOST_VALUES) {
            recall.add(Surface::Path, "path", &[number.min(MOST_SEGMENTS) as u8], segment);
        }
        for parameter in head.query.into_iter().flat_map(|query| query.split('&')).take(MOST_VALUES) {
            let (name, value) = parameter.split_once('=').unwrap_or(("", parameter));
            let value = Cow::from(percent_encoding::percent_decode_str(value));
            recall.add(Surface::Query, "query", name.as_bytes(), &value);
            recall.add(Surface::Query, "queries", b"", &value);
        }
        for (name, value) in head.fields.iter().take(MOST_VALUES).filter(|(name, _)| is_own(name)) {
            recall.add(Surface::Header, "field", name, value);
        }
        if let Some(name) = head.host.as_name() {
            let label = name.split('.').next().unwrap_or_default();
            recall.add(Surface::Host, "host", b"", label.as_bytes());
        }
        recall.finish(self, head.host)
    }

    /// Remembers a small body's values; gives what they complete.
    pub(in crate::secrets) fn recall_body(
        &self,
        host: &Host,
        body: &[u8],
        memory: &SessionMemory,
        now: Instant,
    ) -> Vec<Finding> {
        let mut recall = Recall::new(self, memory, now);
        let mut piece = |kind, name: &str, value: &[u8]| recall.add(Surface::Body, kind, name.as_bytes(), value);
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
        recall.finish(self, host)
    }

    /// What goes over the edge beside the last piece, in the order sent and in the opposite one.
    pub(in crate::secrets) fn complete(&self, host: &Host, surface: Surface, pieces: &Pieces) -> Vec<Finding> {
        let mut pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_slice()).collect();
        let last = pieces.iter().rev().skip(1).map(|piece| piece.len() as u64).sum();
        let mut findings = self.across(host, surface, &pieces, Some(last), "session", &mut true);
        pieces.reverse();
        let first = pieces.first().map_or(0, |piece| piece.len() as u64);
        findings.extend(self.across(host, surface, &pieces, Some(first), "session", &mut true));
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
