//! What a session sent lately, as far as it may be a piece of a secret: short values, by the name they were sent
//! under. Pieces of one secret that go out in several requests meet here.

use super::super::finding::{Disposition, Finding, Surface};
use super::super::guard::Guard;
use super::super::head::HeadView;
use super::super::scanner::Scanner;
use super::frame;
use super::logins::Logins;
use super::row::Row;
use super::seams::Seams;
use super::seen::Seen;
use super::trail::Trail;
use crate::net::Host;
use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Names that are remembered, with 512 bytes under each in both orders: 128 KiB a session at most, and 80 for its trail.
const MOST_SLOTS: usize = 96;
/// Pieces are no shorter and no longer.
pub(super) const SHORTEST: usize = 3;
const LONGEST: usize = 160;
/// Segments, parameters and fields of one request that are remembered; segments that have a name of their own.
const MOST_VALUES: usize = 256;
const MOST_SEGMENTS: usize = 8;
const MOST_LABELS: usize = 4;
/// Longer queries are read as bodies are.
const LONG_QUERY: usize = 256;
/// How often in one request what is followed is held to a value.
const MOST_FOLLOWED: usize = 4096;
/// What is older is forgotten.
const AGE: Duration = Duration::from_secs(15 * 60);
/// Bodies up to this long are looked into for pieces.
pub(in crate::secrets) const SMALL_BODY: usize = 4096;
/// Names of rows of pieces that do not stand as they were sent, and of those that follow each other under any name.
const FRAMED: &str = "framed";
const DECODED: &str = "decoded";
pub(super) const TRAIL: &str = "trail";
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
    pub(in crate::secrets) logins: Logins,
}

#[derive(Default)]
struct Slots {
    slots: Vec<Slot>,
    /// What each slot's name comes to: most that are looked for differ there.
    tags: Vec<u64>,
    /// What follows each other whatever its name.
    trail: Trail,
    /// Counts the pieces: the slot that was used longest ago goes first.
    turn: u64,
    scanner: Weak<Scanner>,
}

/// What a piece was sent under, and what that comes to.
#[derive(Clone, Copy)]
struct Name<'a> {
    kind: &'static str,
    name: &'a [u8],
    tag: u64,
}

/// What may complete something, in the order in which it was sent.
pub(super) type Pieces = Vec<Zeroizing<Vec<u8>>>;

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
        self.find(name).and_then(|place| self.slots.get_mut(place)).map(|slot| &mut slot.row)
    }

    fn find(&self, name: Name<'_>) -> Option<usize> {
        self.tags.iter().zip(&self.slots).position(|(known, slot)| *known == name.tag && slot.is(name))
    }

    /// Where the slot of a name is: its own, a new one, or that of the name that was used longest ago.
    fn place(&mut self, name: Name<'_>, now: Instant) -> usize {
        if let Some(place) = self.find(name) {
            return place;
        }
        let slot = Slot::new(name, now);
        if self.slots.len() < MOST_SLOTS {
            self.slots.push(slot);
            self.tags.push(name.tag);
            return self.slots.len() - 1;
        }
        let oldest = self.slots.iter().enumerate().min_by_key(|(_, slot)| slot.turn).map_or(0, |(place, _)| place);
        (self.slots[oldest], self.tags[oldest]) = (slot, name.tag);
        oldest
    }
}

impl<'a> Name<'a> {
    fn new(kind: &'static str, name: &'a [u8]) -> Self {
        let mix = |tag: u64, word: u64| (tag ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let mut tag = mix(kind.len() as u64, kind.bytes().next().map_or(0, u64::from));
        for part in name.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(part).for_each(|(to, byte)| *to = byte | 0x20);
            tag = mix(tag, u64::from_le_bytes(word));
        }
        Self { kind, name, tag }
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
    /// How often what is followed may be held to a value yet.
    left: usize,
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
        slots.trail.begin_message();
        Self { slots, seams: Seams::new(&guard.inner), memory, now, found: Vec::new(), left: MOST_FOLLOWED }
    }

    /// Remembers a value: as it is, without what stands around it every time, and decoded.
    fn add(&mut self, surface: Surface, kind: &'static str, name: &[u8], value: &[u8]) {
        let idle = self.slots.trail.is_idle();
        // Of what is cut into equal pieces the last may be shorter.
        if value.is_empty() || value.len() > LONGEST || (value.len() < SHORTEST && idle) {
            return;
        }
        let own = Name::new(kind, name);
        let (is_new, framed) = {
            let before = self.slots.known(own).and_then(|row| row.last());
            let framed = before.filter(|before| *before != value).and_then(|before| frame::inside(before, value));
            (before != Some(value), framed.map(|(before, value)| (Zeroizing::new(before.to_vec()), value)))
        };
        let begins = self.add_piece(surface, own, value);
        if frame::is_id(value) || (!is_new && !self.slots.trail.was_complete(value)) {
            return;
        }
        let decoded = frame::decoded(value).filter(|text| text.len() >= SHORTEST);
        let is_plain = framed.is_none() && decoded.is_none();
        if idle && is_plain && !begins && !self.seams.may_begin_known(value) {
            return;
        }
        let inner = if is_plain { Vec::new() } else { [kind.as_bytes(), b" ", name].concat() };
        if let Some((before, value)) = &framed {
            let name = Name::new(FRAMED, &inner);
            if self.slots.known(name).is_none() {
                self.add_piece(surface, name, before);
            }
            self.add_piece(surface, name, value);
        }
        if let Some(text) = &decoded {
            self.add_piece(surface, Name::new(DECODED, &inner), text);
        }
        let inner = decoded.as_deref().map(Vec::as_slice).or(framed.map(|(_, value)| value));
        // A flood of values is not followed to its end.
        let Some(left) = self.left.checked_sub(1 + self.slots.trail.len()) else { return };
        self.left = left;
        let readings = [Some(value), inner].into_iter().flatten();
        for pieces in self.slots.trail.add(&mut self.seams, readings, self.now, AGE) {
            self.found.push(Found { surface, kind: TRAIL, name: Box::default(), pieces });
        }
    }

    /// Remembers a piece; gives whether a token may begin in it.
    fn add_piece(&mut self, surface: Surface, name: Name<'_>, piece: &[u8]) -> bool {
        if piece.len() < SHORTEST && self.slots.known(name).is_none_or(|row| row.is_empty()) {
            return false;
        }
        let row = self.slots.row(name, self.now);
        // One that comes again while that isn't decided is held to the same.
        let again = row.is_open && row.ends_in(piece);
        if again || row.add(piece).is_some_and(|edges| self.seams.may_complete(row, &edges)) {
            row.is_open = true;
            self.found.push(Found { surface, kind: name.kind, name: name.name.into(), pieces: row.pieces() });
        } else if piece.len() < SHORTEST {
            row.take_back(piece);
        }
        row.may_begin_in_last()
    }

    /// What the new pieces complete. A piece that is refused is not remembered, so that it is refused again.
    fn finish(mut self, guard: &Guard, host: &Host) -> Vec<Finding> {
        drop(self.slots);
        // What stands under its name as it was sent is told as that, whatever else finds it too.
        let is_other = |kind: &str| [FRAMED, DECODED, TRAIL].contains(&kind);
        self.found.sort_by_key(|found| is_other(found.kind));
        let mut findings = Vec::new();
        for Found { surface, kind, name, pieces } in self.found {
            let step = if kind == TRAIL { TRAIL } else { "session" };
            let found = guard.complete(host, surface, &pieces, step);
            let is_refused = found.iter().any(|finding| finding.disposition == Disposition::Blocked);
            let mut slots = self.memory.slots.lock().unwrap_or_else(PoisonError::into_inner);
            if let (Some(row), Some(piece)) = (slots.known(Name::new(kind, &name)), pieces.last()) {
                if is_refused {
                    row.take_back(piece);
                } else if row.ends_in(piece) {
                    row.is_open = false;
                }
            }
            let is_told = |finding: &Finding| {
                let mut told = findings.iter().map(|told: &Finding| (&told.rule, told.fingerprint));
                is_other(kind) && told.any(|told| told == (&finding.rule, finding.fingerprint))
            };
            let new: Vec<Finding> = found.into_iter().filter(|finding| !is_told(finding)).collect();
            findings.extend(new);
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
        // Others between them go elsewhere, mostly.
        if let [b'/', rest @ ..] = head.path.as_bytes()
            && let Some(first) = memchr::memchr(b'/', rest).and_then(|end| rest.get(..end))
            && let Some(last) = rest.rsplit(|&byte| byte == b'/').next()
        {
            recall.add(Surface::Path, "paths", first, last);
        }
        for parameter in head.query.into_iter().flat_map(|query| query.split('&')).take(MOST_VALUES) {
            let (name, value) = parameter.split_once('=').unwrap_or(("", parameter));
            let value = Cow::from(percent_encoding::percent_decode_str(value));
            recall.add(Surface::Query, "query", name.as_bytes(), &value);
            recall.add(Surface::Query, "queries", b"", &value);
        }
        let credentials = |name: &[u8]| name.eq_ignore_ascii_case(b"authorization");
        let own = |(name, _): &&(&[u8], &[u8])| is_own(name) || credentials(name);
        for (name, value) in head.fields.iter().take(MOST_VALUES).filter(own) {
            let scheme = if credentials(name) { memchr::memchr(b' ', value).map_or(0, |space| space + 1) } else { 0 };
            recall.add(Surface::Header, "field", name, value.get(scheme..).unwrap_or_default());
        }
        if let Some(name) = head.host.as_name() {
            // The last two are whose name it is.
            let count = name.split('.').count().saturating_sub(2).clamp(1, MOST_LABELS);
            for (number, label) in name.split('.').take(count).enumerate() {
                recall.add(Surface::Host, "host", &[number as u8], label.as_bytes());
            }
        }
        let mut findings = recall.finish(self, head.host);
        // Few addresses hold a text of many words.
        if let Some(query) = head.query.filter(|query| (LONG_QUERY..=SMALL_BODY).contains(&query.len())) {
            findings.extend(self.scan_rows(head.host, Surface::Query, query.as_bytes()));
        }
        findings
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
