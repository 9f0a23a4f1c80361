//! Runs of value characters: values without a prefix of their own, and whatever is encoded in them.

use super::binary::{Binary, Coding, Layout};
use super::classes::{Class, Classes};
use super::decode::{base32, base64, hex};
use super::dull;
use super::loose::NEAR;
use super::reversed::{reversed_word, stands_alone, word_end};
use super::shape::ByteSet;
use super::stream::{BEFORE, DEEPEST, Hit, Origin, Pending, Scan, Stream, word_start};
use super::survey::Survey;
use super::tokens;
use std::ops::Range;

/// Shorter runs hold no value without a prefix and no encoded token.
pub(super) const SHORTEST: usize = 15;
/// Shorter ones are not decoded.
pub(super) const LEAST: usize = 24;
/// Longer runs are decoded piece by piece, each with the end of the one before.
pub(super) const PIECE: usize = 4096;
const OVERLAP: usize = 768;

/// The characters that a run is made of: base64 of both alphabets.
const VALUE: Class = Class::new({
    let mut has = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        has[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
        byte += 1;
    }
    has
});

pub(super) const VALUES: [bool; 256] = VALUE.members();

/// Those that a token may stand behind.
pub(super) const JOINTS: [bool; 256] = {
    let mut has = [false; 256];
    has[b'/' as usize] = true;
    has[b'+' as usize] = true;
    has[b'-' as usize] = true;
    has
};

#[inline]
pub(super) const fn is_value(byte: u8) -> bool {
    VALUE.has(byte)
}

pub(super) fn value_set() -> ByteSet {
    ByteSet::of((0..=255).filter(|&byte| is_value(byte)))
}

/// The alphabets of other codings.
const CODED: Classes<3> = Classes::new([hex::DIGITS.members(), base32::UPPER.members(), base32::LOWER.members()]);

/// Text of this many bytes in base64 that goes over into something else is decoded on: random characters never look
/// like so much text.
const MIXED: usize = 60;
/// Longer runs are no text in base64 that somebody reversed.
const REVERSED: usize = 1024;
/// What stands before a run may be part of a match that begins with it.
const LEAD: usize = 16;

/// The pass over runs.
#[derive(Default)]
pub(super) struct Runs {
    /// Where it goes on, what it waits for, and how far everything is decided.
    at: u64,
    pending: Option<Pending>,
    cleared: u64,
    /// Whether that is inside a run of which pieces were decoded already.
    inside: bool,
    found: Vec<(u32, u32)>,
    text: Vec<u8>,
    child: Option<Box<Stream>>,
    /// Characters at a piece's front that the piece before had too.
    again: usize,
    binary: Option<Binary>,
}

/// A run, joined with those on the following lines if it is wrapped.
struct Piece {
    start: usize,
    /// Where the pass goes on after it.
    next: usize,
    /// Characters that the next piece has too; 0 if this is the last.
    again: usize,
    /// Characters a line, and bytes of a line break; 0 if there is one line only.
    width: usize,
    gap: usize,
}

impl Runs {
    /// Gives back what it only works with.
    pub(super) fn rest(&mut self) {
        (self.found, self.text, self.child) = (Vec::new(), Vec::new(), None);
    }

    pub(super) fn reset(&mut self) {
        (self.at, self.inside, self.again, self.binary) = (0, false, 0, None);
        (self.pending, self.cleared) = (None, 0);
    }

    /// The offset before which everything is decided.
    pub(super) const fn cleared(&self) -> u64 {
        self.cleared
    }

    /// Finds the runs that this pass goes on with, and those that `from` and what follows lie in.
    pub(super) fn find(&mut self, buffer: &[u8], survey: &Survey, from: usize, base: u64) {
        let floor = from.saturating_sub(BEFORE);
        let head = buffer.get(floor..from).unwrap_or_default();
        let run = floor + head.iter().rposition(|byte| !is_value(*byte)).map_or(0, |at| at + 1);
        survey.runs(|block| block.value, run.min((self.at - base) as usize), SHORTEST, &mut self.found);
    }

    pub(super) fn found(&self) -> &[(u32, u32)] {
        &self.found
    }

    /// `limit` is how far the literals are decided: a run is part of a match that begins before it.
    #[inline(never)]
    pub(super) fn pass(
        &mut self,
        level: &mut Stream,
        scan: &mut Scan<'_>,
        origin: Origin<'_>,
        limit: u64,
        ended: bool,
    ) -> u64 {
        if self.pending.as_mut().is_some_and(|pending| pending.waits(level, scan, ended).is_some()) {
            return self.cleared;
        }
        self.pending = None;
        let mut at = (self.at - level.base) as usize;
        let found = std::mem::take(&mut self.found);
        let mut decided = true;
        'runs: for &(start, end) in &found {
            let end = end as usize;
            // A long run is decoded piece by piece.
            loop {
                let start = (start as usize).max(at);
                if start >= end {
                    break;
                }
                let goes_on = self.inside && start == at;
                if !goes_on && dull::is_dull(level, scan.scanner, start, end, ended) {
                    (at, self.inside, self.again) = (end, false, 0);
                    break;
                }
                if end < start + SHORTEST && !(goes_on && start < end) {
                    break;
                }
                self.inside = goes_on;
                let spent = scan.work.spent;
                let decided_here = match self.gather(level, start, end, ended) {
                    Some(piece) => match self.pass_lines(level, scan, origin, (start..end, &piece), limit, ended) {
                        Ok(()) => {
                            self.decode(level, scan, origin, &piece);
                            if piece.again == 0 {
                                self.reverse(level, scan, origin, start..end);
                            }
                            (at, self.inside, self.again) = (piece.next, piece.again > 0, piece.again);
                            true
                        }
                        Err(pending) => {
                            scan.work.take_back(spent);
                            self.pending = pending;
                            false
                        }
                    },
                    None => false,
                };
                if !decided_here || scan.work.is_exhausted() {
                    (at, decided) = (start, false);
                    break 'runs;
                }
                if !self.inside || at >= end {
                    break;
                }
            }
        }
        self.found = found;
        if decided {
            let end = level.buffer.len();
            let last = level.survey.last_unset(|block| block.value, at, end);
            // The start of the run that the buffer ends in: it may grow.
            let open = if ended { end } else { last.map_or(at, |last| last + 1) };
            self.inside &= open == at;
            at = open;
            // A wrapped run that ended with its last whole piece: nothing of it is to come.
            if let Some(mut binary) = self.binary.take_if(|_| !self.inside || ended) {
                binary.feed(scan, origin, &[], true);
            }
        }
        self.at = level.base + at as u64;
        // A word that is reversed ends in a run, and a match may begin before one.
        let hold = if ended { at } else { word_start(&level.buffer, at).min(lead_start(&level.buffer, at)) };
        let hold = level.base + hold as u64;
        self.cleared = self.binary.as_ref().map_or(hold, |binary| binary.hold().min(hold));
        self.cleared
    }

    /// The run at `start`, with the lines that follow it if it is wrapped; `None` if its end isn't known yet.
    #[inline(never)]
    fn gather(&mut self, level: &Stream, start: usize, end: usize, ended: bool) -> Option<Piece> {
        let (text, buffer) = (&mut self.text, &level.buffer);
        text.clear();
        if end - start > PIECE {
            text.extend_from_slice(buffer.get(start..start + PIECE).unwrap_or_default());
            return Some(Piece { start, next: start + PIECE - OVERLAP, again: OVERLAP, width: 0, gap: 0 });
        }
        if end == buffer.len() && !ended {
            return None;
        }
        text.extend_from_slice(buffer.get(start..end).unwrap_or_default());
        let (width, mut last, mut gap) = (end - start, end, 0);
        let mut line_starts = 0;
        while let Some(length) = line_break(buffer.get(last..).unwrap_or_default(), ended)? {
            let line = last + length;
            let stop = run_end(level, line);
            if stop == buffer.len() && !ended && stop - line <= width {
                return None;
            }
            if stop == line || stop - line > width {
                break;
            }
            gap = length;
            if text.len() + width > PIECE {
                // The next piece begins some lines before this one.
                let back = OVERLAP.div_ceil(width).min(line_starts);
                let next = line - back * (width + gap);
                return Some(Piece { start, next, again: back * width, width, gap });
            }
            text.extend_from_slice(buffer.get(line..stop).unwrap_or_default());
            line_starts += 1;
            last = stop;
            if stop - line < width {
                break;
            }
        }
        word_end(buffer, end, ended)?;
        Some(Piece { start, next: last, again: 0, width: if gap > 0 { width } else { 0 }, gap })
    }

    #[inline(never)]
    fn decode(&mut self, level: &Stream, scan: &mut Scan<'_>, origin: Origin<'_>, piece: &Piece) {
        if self.text.len() < LEAST || is_filler(&self.text) || is_uuid(&self.text) {
            return;
        }
        if level.depth >= DEEPEST {
            let inside = ["base64", "base32", "hex"].iter().any(|step| scan.path.last() == Some(step));
            scan.work.is_too_deep |= inside && is_encoded(&self.text);
            return;
        }
        let text = std::mem::take(&mut self.text);
        if !self.inside {
            self.binary = None;
        }
        let begun = self.binary.is_some();
        // What is decoded on from there is read already.
        let (binary, again) = (self.binary.as_ref(), self.again);
        let ahead: Option<usize> = (0..4).find(|ahead| binary.is_some_and(|binary| binary.has_group_at(*ahead)));
        let phase = ahead.map(|ahead| (again + ahead) % 4);
        let coding = if begun || self.inside { None } else { Coding::of(&text) };
        self.decode_binary(level, scan, origin, piece, (&text, coding, 0));
        let child = self.child.get_or_insert_with(|| Box::new(Stream::new(level.depth + 1)));
        let place = |at: u64| {
            let at = at as usize;
            let breaks = at.checked_div(piece.width).unwrap_or(0) * piece.gap;
            origin(level.base + (piece.start + at + breaks) as u64)
        };
        let mut each = |name: &'static str, start: usize, bytes: &[u8], (characters, per): (u64, u64)| {
            scan.work.spent += bytes.len() as u64 * 4;
            scan.path.push(name);
            child.reset();
            child.feed(scan, &|at| place(start as u64 + at * characters / per), bytes, true);
            scan.path.pop();
        };
        let (mut mixed, mut bytes) = (None, Vec::new());
        base64::streaks(&text, &mut |streak| {
            let text_ends = streak.end + 8 < text.len();
            mixed = mixed.or((streak.len() * 3 / 4 >= MIXED && text_ends).then_some(streak.start));
            let coded = text.get(streak.clone()).unwrap_or_default();
            if phase != Some(streak.start % 4) && base64::holds_text(coded) {
                bytes.clear();
                base64::decode(coded, &mut bytes);
                each("base64", streak.start, &bytes, (4, 3));
            }
        });
        let [in_hex, in_upper, in_lower] = CODED.has_runs(&text, [hex::SHORTEST, base32::SHORTEST, base32::SHORTEST]);
        if in_hex {
            hex::streaks(&text, &mut |start, bytes| each("hex", start, bytes, (2, 1)));
        }
        if in_upper || in_lower {
            base32::streaks(&text, &mut |start, bytes| each("base32", start, bytes, (8, 5)));
        }
        if text.len() <= REVERSED && base64::may_have_streaks_backwards(&text) {
            self.decode_backwards(level, scan, origin, piece, &text);
        }
        if let Some(from) = mixed.filter(|_| !begun && coding.is_none()) {
            self.decode_binary(level, scan, origin, piece, (&text, Some(Coding::Base64), from));
        }
        self.text = text;
    }

    /// Text in base64 that was reversed.
    #[inline(never)]
    fn decode_backwards(
        &mut self,
        level: &Stream,
        scan: &mut Scan<'_>,
        origin: Origin<'_>,
        piece: &Piece,
        text: &[u8],
    ) {
        let child = self.child.get_or_insert_with(|| Box::new(Stream::new(level.depth + 1)));
        let reversed: Vec<u8> = text.iter().rev().copied().collect();
        let place = |at: u64| {
            let at = text.len().saturating_sub(at as usize);
            let breaks = at.checked_div(piece.width).unwrap_or(0) * piece.gap;
            origin(level.base + (piece.start + at + breaks) as u64)
        };
        scan.path.extend(["reversed", "base64"]);
        let mut bytes = Vec::new();
        base64::streaks(&reversed, &mut |streak| {
            let coded = reversed.get(streak.clone()).unwrap_or_default();
            if base64::holds_text(coded) {
                bytes.clear();
                base64::decode(coded, &mut bytes);
                scan.work.spent += bytes.len() as u64 * 4;
                child.reset();
                child.feed(scan, &|at| place(streak.start as u64 + at * 4 / 3), &bytes, true);
            }
        });
        scan.path.truncate(scan.path.len() - 2);
    }

    /// A word that ends like a token begins is read backwards.
    #[inline(never)]
    fn reverse(&mut self, level: &Stream, scan: &mut Scan<'_>, origin: Origin<'_>, run: Range<usize>) {
        if level.depth >= DEEPEST || scan.path.last() == Some(&"reversed") {
            return;
        }
        let text = level.buffer.get(run.clone()).unwrap_or_default();
        let inside = || scan.scanner.is_reversed_in(text).then(|| word_start(&level.buffer, run.end)..run.end);
        let word = reversed_word(scan.scanner, &level.buffer, run.end).or_else(inside);
        let Some(Range { start, end }) = word else { return };
        let mut text = level.buffer.get(start..end).unwrap_or_default().to_vec();
        text.reverse();
        // All of a word is read again, from each of its ends on.
        scan.work.spent += text.len() as u64 * 24;
        let child = self.child.get_or_insert_with(|| Box::new(Stream::new(level.depth + 1)));
        scan.path.push("reversed");
        let (scanner, steps, report) = (scan.scanner, scan.path.len(), &mut *scan.report);
        let mut report = |hit: &Hit<'_>| {
            if hit.path.len() > steps || hit.known.is_some() || scanner.is_telling(hit.rules) || stands_alone(hit) {
                report(hit);
            }
        };
        let path = std::mem::take(&mut scan.path);
        let mut inner = Scan { scanner, known: scan.known, report: &mut report, work: scan.work, path };
        child.reset();
        child.feed(&mut inner, &|at| origin((level.base + end as u64).saturating_sub(at)), &text, true);
        scan.path = inner.path;
        scan.path.pop();
    }

    /// A run that begins like a file is one to its last character; `from` is where such bytes begin behind text.
    fn decode_binary(
        &mut self,
        level: &Stream,
        scan: &mut Scan<'_>,
        origin: Origin<'_>,
        piece: &Piece,
        (text, coding, from): (&[u8], Option<Coding>, usize),
    ) {
        let mut fresh = if self.inside { self.again } else { 0 };
        if let Some(coding) = coding {
            let start = level.base + piece.start as u64;
            let (width, gap) = (piece.width as u64, piece.gap as u64);
            let layout = Layout { start, first: from as u64, width, gap };
            self.binary = Some(Binary::new(coding, level.depth + 1, layout));
            fresh = from;
        }
        let Some(binary) = &mut self.binary else { return };
        let last = piece.again == 0;
        binary.feed(scan, origin, text.get(fresh..).unwrap_or_default(), last);
        if last {
            self.binary = None;
        }
    }
}

impl Runs {
    /// Tokens in a run, and in each of the lines that look like one text with it: what looks wrapped may be a list.
    fn pass_lines(
        &self,
        level: &mut Stream,
        scan: &mut Scan<'_>,
        origin: Origin<'_>,
        (run, piece): (Range<usize>, &Piece),
        limit: u64,
        ended: bool,
    ) -> Result<(), Option<Pending>> {
        let first = run.end;
        tokens::pass(level, scan, origin, (run, piece.next, self.inside), limit, ended)?;
        if piece.gap == 0 {
            return Ok(());
        }
        let again = piece.again.checked_div(piece.width).unwrap_or(0) * (piece.width + piece.gap);
        let mut line = first + piece.gap;
        while line < piece.next + again {
            let end = run_end(level, line);
            if end >= line + SHORTEST {
                tokens::pass(level, scan, origin, (line..end, end, false), limit, ended)?;
            }
            line = end + piece.gap;
        }
        Ok(())
    }
}

/// Whether what is decoded out of a run may go over a place in it. It is odd if, whatever follows, all of it is decoded.
pub(super) fn is_coded_over(run: &[u8], edge: usize, is_odd: &mut bool) -> bool {
    /// What tells of a streak is this near to any place in it: four groups of base64, the shortest of the others.
    const NEAR: usize = 48;
    if run.len() < LEAST {
        return false;
    }
    let around = |reach: usize| edge.saturating_sub(reach)..(edge + reach).min(run.len());
    let (wide, near) = (around(MIXED * 2), around(NEAR));
    let mut found = Coding::of(run).is_some();
    found |= base64::may_have_streaks_backwards(run.get(wide.clone()).unwrap_or_default());
    base64::streaks(run.get(wide.clone()).unwrap_or_default(), &mut |streak| {
        *is_odd |= streak.len() * 3 / 4 >= MIXED;
        found |= wide.start + streak.start < edge && edge < wide.start + streak.end + 8;
    });
    let (before, behind) = (run.get(near.start..edge).unwrap_or_default(), run.get(edge..near.end).unwrap_or_default());
    for (class, shortest) in
        [(&hex::DIGITS, hex::SHORTEST), (&base32::UPPER, base32::SHORTEST), (&base32::LOWER, base32::SHORTEST)]
    {
        let left = before.iter().rev().take_while(|byte| class.has(**byte)).count();
        let right = behind.iter().take_while(|byte| class.has(**byte)).count();
        if left + right >= shortest {
            let text = run.get(edge - left..edge + right).unwrap_or_default();
            hex::streaks(text, &mut |_, _| found = true);
            base32::streaks(text, &mut |_, _| found = true);
        }
    }
    found || *is_odd
}

/// Whether a long text says the same few characters over and over: zeroes in base64, rows of dashes. What it decodes
/// to is shorter than any secret.
fn is_filler(text: &[u8]) -> bool {
    const LONG: usize = 256;
    const PERIOD: usize = 8;
    let repeats = |period: usize| text.get(period..) == text.get(..text.len() - period);
    text.len() >= LONG && (1..=PERIOD).any(repeats)
}

/// Whether a run is a UUID (RFC 9562, section 4), of which JSON is full. The bits of its variant make its ninth byte
/// none of a text's, and what stands on either side of it is shorter than any token in hex.
fn is_uuid(text: &[u8]) -> bool {
    const DIGITS: [Range<usize>; 5] = [0..8, 9..13, 14..18, 19..23, 24..36];
    text.len() == 36
        && [8, 13, 18, 23].iter().all(|at| text[*at] == b'-')
        && matches!(text[19], b'8' | b'9' | b'a' | b'b' | b'A' | b'B')
        && DIGITS.into_iter().all(|part| text[part].iter().all(u8::is_ascii_hexdigit))
}

/// Whether a run is text or a file in base64 or hex, beyond what chance makes.
fn is_encoded(text: &[u8]) -> bool {
    const SURE: usize = 40;
    let mut found = text.len() > SURE && Coding::of(text).is_some();
    base64::streaks(text, &mut |streak| found |= streak.len() * 3 / 4 >= SURE);
    hex::streaks(text, &mut |_, bytes| found |= bytes.len() >= SURE);
    found
}

/// The line break at the front: its bytes, plain or escaped; the outer `None` if it may still become one.
fn line_break(text: &[u8], ended: bool) -> Option<Option<usize>> {
    const BREAKS: [&[u8]; 5] = [b"\r\n", b"\n", b"\\r\\n", b"\\n", b"%0A"];
    if let Some(found) = BREAKS.iter().find(|b| text.starts_with(b)) {
        return Some(Some(found.len()));
    }
    let open = !ended && BREAKS.iter().any(|b| b.starts_with(text));
    (!open).then_some(None)
}

/// Where a match may begin that goes on with a run at `at`: none begins on the line before.
fn lead_start(buffer: &[u8], at: usize) -> usize {
    let floor = at.saturating_sub(LEAD);
    let lead = buffer.get(floor..at).unwrap_or_default();
    memchr::memrchr(b'\n', lead).map_or(floor, |line| floor + line + 1)
}

/// Whether only a line of value characters stands near before a value, or before one that its own first character is
/// told from: it is one of many lines, and has no name.
pub(super) fn is_wrapped(level: &Stream, value: usize) -> bool {
    let ends_before = |at: &usize| at.checked_sub(1).and_then(|at| level.buffer.get(at)) == Some(&b'\n');
    let Some(line) = [value, value.saturating_sub(1)].iter().find(|at| ends_before(at)).map(|at| at - 1) else {
        return false;
    };
    let end = line - usize::from(line > 0 && level.buffer.get(line - 1) == Some(&b'\r'));
    let near = end.checked_sub(NEAR);
    near.is_some_and(|near| level.survey.first_unset(|block| block.value, near, end) == end)
}

fn run_end(level: &Stream, from: usize) -> usize {
    level.survey.first_unset(|block| block.value, from, level.buffer.len())
}

const _: () = assert!(BEFORE >= SHORTEST);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_told_from_text_in_hex_that_looks_like_one() {
        assert!(is_uuid(b"a02f34a6-94b2-410c-89b0-e8a8035efa25"));
        for text in [
            "676870af-94b2-410c-79b0-e8a8035efa25",
            "a02f34a6-94b2-410c-89b0-e8a8035efa2",
            "a02f34a6-94b2-410c-89b0-e8a8035efa2g",
            "a02f34a6794b2-410c-89b0-e8a8035efa25",
        ] {
            assert!(!is_uuid(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_line_break_may_be_escaped_and_may_be_cut() {
        assert_eq!(line_break(b"\r\nx", false), Some(Some(2)));
        assert_eq!(line_break(b"\\nx", false), Some(Some(2)));
        assert_eq!(line_break(b"\r", false), None);
        assert_eq!(line_break(b"\r", true), Some(None));
        assert_eq!(line_break(b"x", false), Some(None));
    }
}
