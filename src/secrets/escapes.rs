//! Escaped text: words in which some character is written otherwise (`%67`, `\u0067`, `&#103;`, `=67`, a
//! full-width letter) are unescaped and fed to a level of their own.

use super::decode::escape::{self, Unit};
use super::stream::{BEFORE, DEEPEST, Hit, Origin, SEPARATOR, Scan, Stream, is_separator};
use std::cell::Cell;
use std::collections::VecDeque;

/// A text stays unescaped until a word ends this far behind the last escape: keys are written over many words.
const REACH: u64 = 128;
/// As far before a value a name may stand that tells what it is.
const NAME: u64 = 64;
/// Unescaped words are fed at least this often.
const FLUSH: usize = 4096;
/// What stands between two words on the unescaped level: enough that the first is decided.
const GAP: [u8; 16] = [SEPARATOR; 16];

/// The pass over escaped words.
#[derive(Default)]
pub(super) struct Escapes {
    /// Where it goes on.
    at: u64,
    /// The end of the last word that was unescaped.
    word_end: u64,
    /// The escape that opened the text that the pass is in.
    inside: Option<&'static str>,
    /// Where the last escape ended.
    last: u64,
    child: Option<Box<Stream>>,
    map: Map,
    out: Vec<u8>,
    /// In forms a plus stands for a space.
    form: bool,
}

impl Escapes {
    pub(super) fn of_form() -> Self {
        Self { form: true, ..Self::default() }
    }

    pub(super) fn reset(&mut self) {
        if let Some(child) = &mut self.child
            && self.map.end > 0
        {
            child.reset();
        }
        (self.at, self.word_end, self.inside, self.last) = (0, 0, None, 0);
        self.map.clear();
        self.out.clear();
    }

    #[inline(never)]
    pub(super) fn pass(&mut self, level: &Stream, scan: &mut Scan<'_>, origin: Origin<'_>, ended: bool) -> u64 {
        if level.depth >= DEEPEST {
            return level.base + level.buffer.len() as u64;
        }
        let buffer = &level.buffer;
        let mut at = (self.at - level.base) as usize;
        loop {
            let Some(kind) = self.inside else {
                match escape::next_gate(buffer, at, ended) {
                    Ok((gate, kind)) => {
                        at = word_start(buffer, gate, self.word_end.saturating_sub(level.base) as usize);
                        self.inside = Some(kind);
                        self.last = level.base + gate as u64;
                        self.map.begin(level.base + at as u64);
                    }
                    Err(clear) => {
                        at = clear;
                        break;
                    }
                }
                continue;
            };
            let (next, closed) = self.unescape(buffer, at, level.base, ended);
            at = next;
            if closed {
                self.out.extend_from_slice(&GAP);
                self.inside = None;
                self.word_end = level.base + at as u64;
            }
            self.flush(level.depth, scan, origin, kind, false);
            if !closed && self.out.is_empty() {
                let rest = buffer.get(at..).unwrap_or_default();
                let stuck = rest.is_empty() || (!ended && rest.len() < escape::LONGEST);
                if stuck {
                    break;
                }
            }
        }
        if ended && self.map.end > 0 {
            self.flush(level.depth, scan, origin, self.inside.unwrap_or("escape"), true);
        }
        self.at = level.base + at as u64;
        match self.map.open() {
            Some(held) => held.min(self.at),
            None => self.at,
        }
    }

    /// Unescapes until the text ends, the bytes end or enough is gathered.
    fn unescape(&mut self, buffer: &[u8], mut at: usize, base: u64, ended: bool) -> (usize, bool) {
        while let Some(&byte) = buffer.get(at) {
            if self.out.len() >= FLUSH {
                return (at, false);
            }
            if is_separator(byte) && (byte == SEPARATOR || base + at as u64 > self.last + REACH) {
                return (at, true);
            }
            if self.form && byte == b'+' {
                self.take_escape(base + at as u64 + 1, Some(b' '));
                at += 1;
                continue;
            }
            if !escape::may_begin(byte) {
                let rest = buffer.get(at..at + FLUSH).unwrap_or(buffer.get(at..).unwrap_or_default());
                let special = |byte: &u8| escape::SPECIAL[usize::from(*byte)] || (self.form && *byte == b'+');
                let plain = rest.iter().skip(1).position(special).map_or(rest.len(), |more| more + 1);
                self.out.extend_from_slice(rest.get(..plain).unwrap_or_default());
                at += plain;
                continue;
            }
            match escape::unit(buffer.get(at..).unwrap_or_default(), ended) {
                Unit::Plain => {
                    self.out.push(byte);
                    at += 1;
                }
                Unit::Escape { length, byte } => {
                    at += length;
                    self.take_escape(base + at as u64, byte);
                }
                Unit::More => return (at, false),
            }
        }
        (at, false)
    }

    /// An escape that ends at `end` stands for `byte`.
    fn take_escape(&mut self, end: u64, byte: Option<u8>) {
        self.out.extend(byte);
        self.last = end;
        self.map.escape(self.out.len());
        self.map.note(self.out.len(), end);
    }

    fn flush(&mut self, depth: u8, scan: &mut Scan<'_>, origin: Origin<'_>, kind: &'static str, ended: bool) {
        if self.out.is_empty() && !ended {
            return;
        }
        let child = self.child.get_or_insert_with(|| Box::new(Stream::new(depth + 1)));
        scan.work.spent += self.out.len() as u64 * 4;
        scan.path.push(kind);
        let (map, steps) = (&self.map, scan.path.len());
        let span = Cell::new((0, 0));
        let place = |at: u64| {
            span.set((span.get().1, at));
            origin(map.lookup(at))
        };
        let report = &mut *scan.report;
        // What is written without an escape is found on the level above, unless the name before it needs one.
        let mut report = |hit: &Hit<'_>| {
            let (start, end) = span.get();
            let named = !hit.joins && map.escapes_within((start.saturating_sub(NAME), end + 1));
            if hit.path.len() > steps || named || map.escapes_within((start, end)) {
                report(hit);
            }
        };
        let path = std::mem::take(&mut scan.path);
        let mut inner = Scan { scanner: scan.scanner, known: scan.known, report: &mut report, work: scan.work, path };
        let cleared = child.feed(&mut inner, &place, &self.out, ended);
        scan.path = inner.path;
        scan.path.pop();
        self.map.fed(self.out.len(), cleared);
        self.out.clear();
    }
}

/// The start of the word that `gate` stands in, not before `floor`.
fn word_start(buffer: &[u8], gate: usize, floor: usize) -> usize {
    let floor = floor.max(gate.saturating_sub(BEFORE)).min(gate);
    let head = buffer.get(floor..gate).unwrap_or_default();
    floor + head.iter().rposition(|byte| is_separator(*byte)).map_or(0, |at| at + 1)
}

/// Where the bytes of a decoded level come from.
#[derive(Default)]
pub(super) struct Map {
    /// Pairs of (decoded offset, offset it comes from), ascending.
    points: VecDeque<(u64, u64)>,
    /// Where escapes were, as ranges of decoded offsets.
    escapes: VecDeque<(u64, u64)>,
    /// How much of the decoded level was fed, and how much of that is decided.
    end: u64,
    cleared: u64,
}

impl Map {
    fn clear(&mut self) {
        self.points.clear();
        self.escapes.clear();
        (self.end, self.cleared) = (0, 0);
    }

    /// A word begins: the next byte that is fed comes from `source`.
    fn begin(&mut self, source: u64) {
        self.points.push_back((self.end, source));
    }

    /// The decoded byte `ahead` of what was fed comes from `source`.
    fn note(&mut self, ahead: usize, source: u64) {
        let decoded = self.end + ahead as u64;
        let coarse = |last: &(u64, u64)| decoded < last.0 + 32 && source < last.1 + 256;
        if !self.points.back().is_some_and(coarse) {
            self.points.push_back((decoded, source));
        }
    }

    /// An escape ends with the decoded byte before `ahead`.
    fn escape(&mut self, ahead: usize) {
        let end = self.end + ahead as u64;
        match self.escapes.back_mut() {
            Some(last) if end <= last.1 + 1 => last.1 = end,
            _ => self.escapes.push_back((end.saturating_sub(1), end)),
        }
    }

    fn escapes_within(&self, (start, end): (u64, u64)) -> bool {
        let at = self.escapes.partition_point(|range| range.1 <= start);
        self.escapes.get(at).is_some_and(|range| range.0 < end)
    }

    fn fed(&mut self, length: usize, cleared: u64) {
        self.end += length as u64;
        self.cleared = cleared;
        let needed = cleared.saturating_sub(BEFORE as u64);
        while self.points.get(1).is_some_and(|point| point.0 <= needed) {
            self.points.pop_front();
        }
        while self.escapes.front().is_some_and(|range| range.1 + (BEFORE as u64) < cleared) {
            self.escapes.pop_front();
        }
    }

    /// At the latest where a decoded byte comes from: decoding only shortens.
    fn lookup(&self, decoded: u64) -> u64 {
        let at = self.points.partition_point(|point| point.0 <= decoded);
        let Some(&(from, source)) = at.checked_sub(1).and_then(|at| self.points.get(at)) else {
            return self.points.front().map_or(0, |point| point.1);
        };
        let linear = source + (decoded - from);
        self.points.get(at).map_or(linear, |next| linear.min(next.1))
    }

    /// Where the first byte comes from that the decoded level has not decided.
    fn open(&self) -> Option<u64> {
        (self.cleared < self.end).then(|| self.lookup(self.cleared))
    }
}
