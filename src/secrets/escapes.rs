//! Escaped text: words in which some character is written otherwise (`%67`, `\u0067`, `&#103;`, `=67`, a
//! full-width letter) are unescaped and fed to a level of their own.

use super::decode::escape::{self, Unit};
use super::decode::gates;
use super::stream::{BEFORE, DEEPEST, Hit, Origin, SEPARATOR, Scan, Stream, is_separator, word_start};
use std::cell::Cell;
use std::collections::VecDeque;

/// A text stays unescaped until a word ends this far behind the last escape: keys are written over many words.
const REACH: u64 = 128;
/// Line breaks, quotes and backslashes, which every line of source code in JSON has, keep it so no further than this
/// behind an escape that hides something.
const FAR: u64 = 1024;
/// As far before a value a name may stand that tells what it is.
const NAME: u64 = 64;
/// Unescaped words are fed at least this often.
const FLUSH: usize = 4096;
/// What stands between two words on the unescaped level: enough that the first is decided.
const GAP: [u8; 16] = [SEPARATOR; 16];

/// Where an escape stands, and what it is called.
type Gate = (usize, &'static str);

/// What the bytes end with that are unescaped now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upto {
    More,
    /// A text: what follows it has nothing to do with it.
    Text,
    End,
}

/// The pass over escaped words.
#[derive(Default)]
pub(super) struct Escapes {
    /// Where it goes on.
    at: u64,
    /// The end of the last word that was unescaped.
    word_end: u64,
    /// The escape that opened the text that the pass is in.
    inside: Option<&'static str>,
    /// Where the last escape ended, and the last that hides something.
    last: u64,
    hides: u64,
    child: Option<Box<Stream>>,
    map: Map,
    out: Vec<u8>,
    /// In forms a plus stands for a space.
    form: bool,
}

impl Escapes {
    /// Gives back the room beyond what is held.
    pub(super) fn rest(&mut self) {
        self.out.shrink_to_fit();
        self.child.iter_mut().for_each(|child| child.rest());
    }

    pub(super) fn of_form() -> Self {
        Self { form: true, ..Self::default() }
    }

    pub(super) fn reset(&mut self) {
        if let Some(child) = &mut self.child
            && self.map.end > 0
        {
            child.reset();
        }
        (self.at, self.word_end, self.inside, self.last, self.hides) = (0, 0, None, 0, 0);
        self.map.clear();
        self.out.clear();
    }

    #[inline(never)]
    pub(super) fn pass(&mut self, level: &Stream, scan: &mut Scan<'_>, origin: Origin<'_>, ended: bool) -> u64 {
        if level.depth >= DEEPEST {
            scan.work.is_too_deep |= memchr::memmem::find(&level.buffer, b"%2525").is_some();
            return level.base + level.buffer.len() as u64;
        }
        let buffer = &level.buffer;
        let mut at = (self.at - level.base) as usize;
        loop {
            let Some(kind) = self.inside else {
                match self.nearer(level, at, next_gate(level, at, ended)) {
                    Ok((gate, kind)) => {
                        let floor = self.word_end.saturating_sub(level.base) as usize;
                        at = text_start(buffer, gate).max(floor).min(gate);
                        self.inside = Some(kind);
                        self.last = level.base + gate as u64;
                        self.hides = self.last;
                    }
                    Err(clear) => {
                        at = clear;
                        break;
                    }
                }
                continue;
            };
            let (next, closed) = self.unescape(level, at, kind, ended);
            at = next;
            if closed {
                self.map.gap(self.out.len());
                self.out.extend_from_slice(&GAP);
                self.inside = None;
                self.word_end = level.base + at as u64;
            }
            self.flush(level.depth, scan, origin, kind, if closed { Upto::Text } else { Upto::More });
            if !closed && self.out.is_empty() {
                let rest = buffer.get(at..).unwrap_or_default();
                let stuck = rest.is_empty() || (!ended && rest.len() < escape::LONGEST);
                if stuck {
                    break;
                }
            }
        }
        if ended && self.map.end > 0 {
            self.flush(level.depth, scan, origin, self.inside.unwrap_or("escape"), Upto::End);
        }
        self.at = level.base + at as u64;
        match self.map.open() {
            Some(held) => held.min(self.at),
            None => self.at,
        }
    }

    /// What opens a text first: the gate that was found, or in a form a plus before it.
    fn nearer(&self, level: &Stream, at: usize, gate: Result<Gate, usize>) -> Result<Gate, usize> {
        let until = match gate {
            Ok((gate, _)) => gate,
            Err(clear) => clear,
        };
        let plain = self.form.then(|| level.buffer.get(at..until)).flatten().unwrap_or_default();
        memchr::memchr(b'+', plain).map_or(gate, |plus| Ok((at + plus, "percent")))
    }

    /// Unescapes until the text ends, the bytes end or enough is gathered.
    fn unescape(&mut self, level: &Stream, mut at: usize, kind: &'static str, ended: bool) -> (usize, bool) {
        let (buffer, base) = (&level.buffer, level.base);
        // Elsewhere an equals sign stands before a value, whose first digits are no escape.
        let quoted = kind == "quoted-printable";
        while let Some(&byte) = buffer.get(at) {
            if self.out.len() >= FLUSH {
                return (at, false);
            }
            if is_separator(byte) && (byte == SEPARATOR || base + at as u64 > self.last + REACH) {
                return (at, true);
            }
            if self.form && byte == b'+' {
                self.take_escape(base + at as u64, 1, Some(b' '), true);
                at += 1;
                continue;
            }
            if !escape::may_begin(byte) {
                let end = self.plain_end(level, at);
                self.map.note(self.out.len(), base + at as u64, 1);
                self.out.extend_from_slice(buffer.get(at..end).unwrap_or_default());
                at = end;
                continue;
            }
            let unit = match byte {
                b'=' if !quoted => Unit::Plain,
                _ => escape::unit(buffer.get(at..).unwrap_or_default(), ended),
            };
            match unit {
                Unit::Plain => {
                    self.map.note(self.out.len(), base + at as u64, 1);
                    self.out.push(byte);
                    at += 1;
                }
                Unit::Escape { length, byte } => {
                    let hides = !matches!(buffer.get(at..at + 2), Some([b'\\', b'n' | b'r' | b't' | b'"' | b'\\']));
                    self.take_escape(base + at as u64, length, byte, hides);
                    at += length;
                }
                Unit::More => return (at, false),
            }
        }
        (at, false)
    }

    /// Where the plain text ends that is taken at once: before the next escape, perhaps, or the end of the first word
    /// that goes too far.
    fn plain_end(&self, level: &Stream, at: usize) -> usize {
        let most = level.buffer.len().min(at + FLUSH);
        let reach = ((self.last + REACH + 1).saturating_sub(level.base) as usize).clamp(at + 1, most);
        let stop = level.survey.places(|block| block.stops, at + 1..most).next().unwrap_or(most);
        let far = level.buffer.get(reach..stop).unwrap_or_default();
        let end = far.iter().position(|byte| is_separator(*byte)).map_or(stop, |more| reach + more);
        let text = level.buffer.get(at + 1..end).unwrap_or_default();
        let (between, plus) = (memchr::memchr(SEPARATOR, text), self.form.then(|| memchr::memchr(b'+', text)));
        between.into_iter().chain(plus.flatten()).min().map_or(end, |more| at + 1 + more)
    }

    /// The escape at `at` stands for `byte`.
    fn take_escape(&mut self, at: u64, length: usize, byte: Option<u8>, hides: bool) {
        if byte.is_some() {
            self.map.note(self.out.len(), at, length);
        }
        self.out.extend(byte);
        let end = at + length as u64;
        if hides {
            self.hides = end;
        }
        if end <= self.hides + FAR {
            self.last = end;
        }
        self.map.escape(self.out.len());
    }

    fn flush(&mut self, depth: u8, scan: &mut Scan<'_>, origin: Origin<'_>, kind: &'static str, upto: Upto) {
        let ended = upto == Upto::End;
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
        if upto == Upto::Text {
            child.close_files(&mut inner, &place);
        }
        scan.path = inner.path;
        scan.path.pop();
        self.map.fed(self.out.len(), cleared);
        self.out.clear();
    }
}

/// Where the text begins that an escape stands in: its word, with the name before it if it is one's value, or a key's
/// first line, which has several words.
fn text_start(buffer: &[u8], gate: usize) -> usize {
    const HEAD: &[u8] = b"-----BEGIN ";
    const LONGEST_HEAD: usize = 40;
    let word = word_start(buffer, gate);
    let word = word - name_before(buffer.get(word.saturating_sub(NAME as usize)..word).unwrap_or_default());
    let floor = word.saturating_sub(LONGEST_HEAD);
    let before = buffer.get(floor..word).unwrap_or_default();
    let own = memchr::memrchr(SEPARATOR, before).map_or(0, |at| at + 1);
    let head = before.get(own..).and_then(|before| memchr::memmem::rfind(before, HEAD));
    head.map_or(word, |head| floor + own + head)
}

/// How much of what stands before a word may be its name: its line, as far as a name reaches. Behind a comma stands
/// another value.
fn name_before(near: &[u8]) -> usize {
    let gap = |byte: &u8| matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'\\');
    let end = near.iter().rposition(|byte| !gap(byte)).and_then(|at| near.get(at));
    if !end.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'=')) {
        return 0;
    }
    let line = memchr::memrchr3(b'\n', b'\r', SEPARATOR, near).map_or(0, |end| end + 1);
    let line = near.get(line..).unwrap_or_default();
    if line.len() < NAME as usize {
        return line.len();
    }
    // A word that goes on before it is none.
    line.iter().position(|byte| is_separator(*byte)).map_or(0, |at| line.len() - at)
}

/// The first escape at `from` or later that may hide a token's character, and its kind; an error is how far there
/// is none for sure.
fn next_gate(level: &Stream, from: usize, ended: bool) -> Result<Gate, usize> {
    let buffer = &level.buffer;
    let limit = if ended { buffer.len() } else { gates::undecided(buffer, from) };
    let mut gates = level.survey.places(|block| block.gates, from..limit);
    gates.find_map(|at| gates::gate_at(buffer, at, ended).map(|kind| (at, kind))).ok_or(limit)
}

/// Where the bytes of a decoded level come from.
#[derive(Default)]
pub(super) struct Map {
    /// Where a stretch begins on the decoded level, where it comes from, and how many bytes make one of it.
    stretches: VecDeque<(u64, u64, u8)>,
    /// Where escapes were, as ranges of decoded offsets.
    escapes: VecDeque<(u64, u64)>,
    /// How much of the decoded level was fed, and how much of that is decided.
    end: u64,
    cleared: u64,
    /// Where only the gap behind a word follows, which comes from nowhere.
    gap: Option<u64>,
}

/// Stretches that are told apart; what is escaped at every second letter for longer than any text is told less well.
const MOST_STRETCHES: usize = 4096;

impl Map {
    fn clear(&mut self) {
        self.stretches.clear();
        self.escapes.clear();
        (self.end, self.cleared, self.gap) = (0, 0, None);
    }

    /// The decoded byte `ahead` of what was fed comes from `source`, and `per` bytes each from there on.
    fn note(&mut self, ahead: usize, source: u64, per: usize) {
        self.gap = None;
        let decoded = self.end + ahead as u64;
        let goes_on = |&(from, start, width): &(u64, u64, u8)| {
            usize::from(width) == per && start + (decoded - from) * per as u64 == source
        };
        let full = self.stretches.len() >= MOST_STRETCHES;
        if !self.stretches.back().is_some_and(|last| goes_on(last) || (full && decoded < last.0 + 32)) {
            self.stretches.push_back((decoded, source, per as u8));
        }
    }

    /// A gap begins at `ahead`.
    fn gap(&mut self, ahead: usize) {
        self.gap = Some(self.end + ahead as u64);
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
        while self.stretches.get(1).is_some_and(|stretch| stretch.0 <= needed) {
            self.stretches.pop_front();
        }
        while self.escapes.front().is_some_and(|range| range.1 <= needed) {
            self.escapes.pop_front();
        }
    }

    /// Where a decoded byte comes from.
    fn lookup(&self, decoded: u64) -> u64 {
        let at = self.stretches.partition_point(|stretch| stretch.0 <= decoded);
        let Some(&(from, source, per)) = at.checked_sub(1).and_then(|at| self.stretches.get(at)) else {
            return self.stretches.front().map_or(0, |stretch| stretch.1);
        };
        let place = source + (decoded - from) * u64::from(per);
        self.stretches.get(at).map_or(place, |next| place.min(next.1))
    }

    /// Where the first byte comes from that the decoded level has not decided.
    fn open(&self) -> Option<u64> {
        (self.cleared < self.gap.unwrap_or(self.end)).then(|| self.lookup(self.cleared))
    }
}
