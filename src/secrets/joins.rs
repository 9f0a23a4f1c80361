//! Pieces of one secret, spread over the values of a structure: joined in their order and fed to a level of their
//! own, of which only what goes over an edge between two pieces is told.

use super::decode::escape::{self, Unit};
use super::rules::generic::is_wordy;
use super::stream::{DEEPEST, Hit, Origin, Scan, Stream, is_placeholder};
use std::cell::Cell;

/// Longer values are no pieces.
const LONGEST: usize = 256;
/// As far as a structure is read.
const REACH: u64 = 64 * 1024;

/// The pass over a structure's values.
pub(super) struct Joins {
    kind: Kind,
    state: State,
    /// Where it goes on.
    at: u64,
    /// The value that is being read, and where it began.
    value: Vec<u8>,
    start: u64,
    /// Whether what was read of a long string ends within an escape.
    escaped: bool,
    joined: Joined,
}

/// How values are told from the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Strings that no colon follows.
    Json,
    /// What stands between `=` and `&`.
    Form,
    /// What stands between an empty line and a boundary.
    Multipart,
}

/// What a form's first name is made of: what the URL Standard, section 5.2, leaves as it is, and what few escape.
const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'*' | b'+' | b'%' | b'[' | b']')
}

impl Kind {
    /// What a body looks like from its first bytes on: its declared type is chosen by whoever sends it. The outer
    /// `None` if too few have come.
    pub(super) fn seen(text: &[u8], ended: bool) -> Option<Option<Self>> {
        /// More white space than this begins no structure, and a longer name no form.
        const BLANK: usize = 1024;
        const LONGEST_NAME: usize = 256;
        /// The byte order mark of UTF-8, which JSON's readers pass over (RFC 8259, section 8.1).
        const MARK: &[u8] = b"\xef\xbb\xbf";
        if !ended && text.len() < MARK.len() && MARK.starts_with(text) {
            return None;
        }
        let front = text.strip_prefix(MARK).unwrap_or(text).trim_ascii_start();
        let name = front.iter().take(LONGEST_NAME).take_while(|byte| is_name(**byte)).count();
        match front {
            [b'{' | b'[', ..] => Some(Some(Kind::Json)),
            [b'-', b'-', ..] => Some(Some(Kind::Multipart)),
            _ if !ended && front.len() == name && name < LONGEST_NAME && text.len() < BLANK => None,
            _ => Some((name > 0 && front.get(name) == Some(&b'=')).then_some(Kind::Form)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Outside,
    Inside,
    /// In a JSON string that is no piece: only where it ends is of interest.
    Long,
    /// Behind a JSON string: a colon makes it a name.
    Behind,
}

/// What is told of joined pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Tokens that go over an edge between two values, each of which may end or begin one.
    Values,
    /// What goes over an edge, encoded or a token.
    Across,
    All,
}

/// Joined pieces on their way through a level.
pub(super) struct Joined {
    level: Box<Stream>,
    step: &'static str,
    told: Told,
    /// Where each piece begins on the joined level, and where it comes from.
    edges: Vec<(u64, u64)>,
    /// What is joined and not fed yet.
    waiting: Vec<u8>,
    end: u64,
    cleared: u64,
}

/// Whether pieces of a text make a token beyond what words make by chance.
pub(super) fn is_token(hit: &Hit<'_>) -> bool {
    let value = hit.candidate.value;
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    hit.is_believed() && (digits * 8 >= value.len() || !is_wordy(value))
}

impl Joined {
    fn rest(&mut self) {
        self.waiting.shrink_to_fit();
        self.edges.shrink_to_fit();
        self.level.rest();
    }

    pub(super) fn new() -> Self {
        Self::of(Stream::joined(DEEPEST), "joined", Told::Values)
    }

    /// Pieces of one text: whatever it is, it is looked at as a level of this depth.
    pub(super) fn whole(depth: u8, step: &'static str, told: Told) -> Self {
        Self::of(Stream::new(depth), step, told)
    }

    /// Single letters: where each ends says nothing of what stands beside it.
    pub(super) fn letters() -> Self {
        Self::of(Stream::joined(DEEPEST), "joined", Told::Across)
    }

    fn of(level: Stream, step: &'static str, told: Told) -> Self {
        let (edges, waiting) = (Vec::new(), Vec::new());
        Self { level: Box::new(level), step, told, edges, waiting, end: 0, cleared: 0 }
    }

    /// Adds a piece that comes from `source`.
    pub(super) fn add(&mut self, piece: &[u8], source: u64) {
        self.edges.push((self.end, source));
        self.end += piece.len() as u64;
        if self.told == Told::Values {
            self.level.add_edge(self.end);
        }
        self.waiting.extend_from_slice(piece);
    }

    /// Feeds what was added.
    pub(super) fn feed(&mut self, scan: &mut Scan<'_>, origin: Origin<'_>, ended: bool) {
        if self.waiting.is_empty() && (!ended || self.end == 0) {
            return;
        }
        let edges = &self.edges;
        let span = Cell::new((0, 0));
        let place = |at: u64| {
            span.set((span.get().1, at));
            let piece = edges.partition_point(|edge| edge.0 <= at).saturating_sub(1);
            let (start, source) = edges.get(piece).copied().unwrap_or_default();
            origin(source + (at - start))
        };
        scan.path.push(self.step);
        let (told, steps) = (self.told, scan.path.len());
        let (scanner, report) = (scan.scanner, &mut *scan.report);
        let mut report = |hit: &Hit<'_>| {
            let (start, end) = span.get();
            let inner = edges.partition_point(|edge| edge.0 <= start);
            let across = edges.get(inner).is_some_and(|edge| {
                let piece = || hit.candidate.value.get(..(edge.0 - start) as usize).unwrap_or_default();
                edge.0 < end && !(hit.path.len() == steps && is_placeholder(scanner, hit.rules, piece()))
            });
            let tells = match told {
                Told::Values => hit.is_believed() && across,
                Told::Across => across && (hit.path.len() > steps || hit.known.is_some() || is_token(hit)),
                Told::All => true,
            };
            if tells {
                report(hit);
            }
        };
        let path = std::mem::take(&mut scan.path);
        let mut inner = Scan { scanner, known: scan.known, report: &mut report, work: scan.work, path };
        inner.work.spent += self.waiting.len() as u64 * 4;
        self.cleared = self.level.feed(&mut inner, &place, &self.waiting, ended);
        scan.path = inner.path;
        scan.path.pop();
        self.waiting.clear();
        let old = self.edges.partition_point(|edge| edge.0 + 1024 < self.cleared);
        self.edges.drain(..old.saturating_sub(1));
    }

    /// Where the first piece comes from that isn't decided.
    pub(super) fn open(&self) -> Option<u64> {
        (self.cleared < self.end).then(|| {
            let piece = self.edges.partition_point(|edge| edge.0 <= self.cleared).saturating_sub(1);
            self.edges.get(piece).map_or(0, |edge| edge.1)
        })
    }
}

impl Joins {
    /// Gives back the room beyond what is held.
    pub(super) fn rest(&mut self) {
        self.value.shrink_to_fit();
        self.joined.rest();
    }

    pub(super) fn new(kind: Kind) -> Self {
        let state = if kind == Kind::Form { State::Inside } else { State::Outside };
        Self { kind, state, at: 0, value: Vec::new(), start: 0, escaped: false, joined: Joined::new() }
    }

    pub(super) fn pass(&mut self, level: &Stream, scan: &mut Scan<'_>, origin: Origin<'_>, ended: bool) -> u64 {
        let end = level.base + level.buffer.len() as u64;
        if self.at >= REACH {
            return end;
        }
        // What is read ends at the same place however the bytes come.
        let until = end.min(REACH);
        let ended = ended || until == REACH;
        loop {
            let range = (self.at - level.base) as usize..(until - level.base) as usize;
            let rest = level.buffer.get(range).unwrap_or_default();
            let more = match self.kind {
                Kind::Json => self.json(rest, ended),
                Kind::Form => self.form(rest, ended),
                Kind::Multipart => self.multipart(rest, ended),
            };
            if !more {
                break;
            }
        }
        if ended {
            if self.kind == Kind::Form {
                self.take();
            }
            self.joined.feed(scan, origin, true);
            self.at = REACH;
            return end;
        }
        self.joined.feed(scan, origin, false);
        // What is being read may be a secret's first piece, or its next one.
        let reading = (!self.value.is_empty() && self.value.len() <= LONGEST).then_some(self.start);
        reading.into_iter().chain(self.joined.open()).fold(end, u64::min)
    }

    /// The value is complete.
    fn take(&mut self) {
        if !self.value.is_empty() && self.value.len() <= LONGEST {
            self.joined.add(&self.value, self.start);
        }
        self.value.clear();
    }

    fn push(&mut self, byte: u8) {
        if self.value.len() <= LONGEST {
            self.value.push(byte);
        }
    }

    /// One step through JSON; false where the bytes end.
    fn json(&mut self, rest: &[u8], ended: bool) -> bool {
        match self.state {
            State::Outside => {
                let Some(quote) = memchr::memchr(b'"', rest) else {
                    self.at += rest.len() as u64;
                    return false;
                };
                self.at += quote as u64 + 1;
                self.start = self.at;
                self.state = State::Inside;
            }
            State::Inside => {
                let plain = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                let room = (LONGEST + 1).saturating_sub(self.value.len());
                self.value.extend_from_slice(rest.get(..plain.min(room)).unwrap_or_default());
                self.at += plain as u64;
                if self.value.len() > LONGEST {
                    (self.state, self.escaped) = (State::Long, false);
                    return true;
                }
                match rest.get(plain) {
                    None => return false,
                    Some(b'"') => {
                        self.at += 1;
                        self.state = State::Behind;
                    }
                    Some(_) => match escape::unit(rest.get(plain..).unwrap_or_default(), ended) {
                        Unit::More => return false,
                        Unit::Plain => {
                            self.push(b'\\');
                            self.at += 1;
                        }
                        Unit::Escape { length, byte } => {
                            byte.into_iter().for_each(|byte| self.push(byte));
                            self.at += length as u64;
                        }
                    },
                }
            }
            State::Long => return self.skip(rest),
            State::Behind => {
                let gap = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                match rest.get(gap) {
                    None if !ended => return false,
                    Some(b':') => self.value.clear(),
                    _ => self.take(),
                }
                self.state = State::Outside;
            }
        }
        true
    }

    /// Goes to the end of a JSON string: the first quote behind an even number of backslashes.
    fn skip(&mut self, rest: &[u8]) -> bool {
        let escapes = |end: usize| {
            let before = rest.get(..end).unwrap_or_default();
            let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
            (backslashes % 2 == 1) ^ (backslashes == end && self.escaped)
        };
        let Some(end) = memchr::memchr_iter(b'"', rest).find(|quote| !escapes(*quote)) else {
            self.escaped = escapes(rest.len());
            self.at += rest.len() as u64;
            return false;
        };
        self.at += end as u64 + 1;
        self.state = State::Behind;
        true
    }

    /// One step through a form: names end at `=`, values at `&`.
    fn form(&mut self, rest: &[u8], ended: bool) -> bool {
        let Some(&byte) = rest.first() else { return false };
        if self.value.is_empty() {
            self.start = self.at;
        }
        match byte {
            b'=' => self.value.clear(),
            b'&' => self.take(),
            b'%' => match escape::unit(rest, ended) {
                Unit::More => return false,
                Unit::Plain => self.push(byte),
                Unit::Escape { length, byte } => {
                    byte.into_iter().for_each(|byte| self.push(byte));
                    self.at += length as u64;
                    return true;
                }
            },
            byte => self.push(byte),
        }
        self.at += 1;
        true
    }

    /// One step through a multipart body: a part's content stands between an empty line and a line of `--`.
    fn multipart(&mut self, rest: &[u8], ended: bool) -> bool {
        let mark: &[u8] = if self.state == State::Outside { b"\r\n\r\n" } else { b"\r\n--" };
        let Some(found) = memchr::memmem::find(rest, mark) else {
            let kept = if ended { 0 } else { mark.len() - 1 };
            let sure = rest.len().saturating_sub(kept);
            if self.state == State::Inside {
                let room = (LONGEST + 1).saturating_sub(self.value.len());
                self.value.extend_from_slice(rest.get(..sure.min(room)).unwrap_or_default());
            }
            self.at += sure as u64;
            return false;
        };
        if self.state == State::Inside {
            let room = (LONGEST + 1).saturating_sub(self.value.len());
            self.value.extend_from_slice(rest.get(..found.min(room)).unwrap_or_default());
            self.take();
            self.state = State::Outside;
        } else {
            self.state = State::Inside;
            self.start = self.at + (found + mark.len()) as u64;
        }
        self.at += (found + mark.len()) as u64;
        true
    }
}
