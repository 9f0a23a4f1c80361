//! Runs of value characters: values without a prefix of their own, and whatever is encoded in them.

mod coded;

pub(super) use coded::{file_in, is_coded_over};

use super::binary::Binary;
use super::dull;
use super::loose::NEAR;
use super::reversed::word_end;
use super::search::byte_set::ByteSet;
use super::search::classes::Class;
use super::stream::{BEFORE, Origin, Pending, Scan, Stream, word_start};
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

/// Labels of a name that is made up to carry something are this long: shorter words with points between them are names.
const LABEL: usize = 30;

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
        // Names know no capitals: what has both is no label, but a part of a token.
        let has = |is: fn(&u8) -> bool| text.iter().any(is);
        let is_label = || !(has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase));
        let dotted = width >= LABEL && buffer.get(last) == Some(&b'.') && is_label();
        let next = |at: usize| match buffer.get(at..).unwrap_or_default() {
            [b'.', ..] if dotted => Some(Some(1)),
            rest => line_break(rest, ended),
        };
        while let Some(length) = next(last)? {
            let line = last + length;
            let stop = run_end(level, line);
            if stop == buffer.len() && !ended && stop - line <= width {
                return None;
            }
            // What stands at another distance from the edge is another text.
            if stop == line || stop - line > width || (gap > 0 && length != gap) {
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

/// The line break at the front and the indent behind it: their bytes, plain or escaped; the outer `None` if they may
/// still become one, or a longer one.
fn line_break(text: &[u8], ended: bool) -> Option<Option<usize>> {
    const BREAKS: [&[u8]; 9] = [b"\r\n", b"\n", b"\\r\\n", b"\\n", b"%0A", b"\\\n", b"\\\r\n", b"\\\\n", b"\\\\\\n"];
    if let Some(found) = BREAKS.iter().find(|b| text.starts_with(b)) {
        let indent = indent(text.get(found.len()..).unwrap_or_default(), ended)?;
        return Some(Some(found.len() + indent));
    }
    let open = !ended && BREAKS.iter().any(|b| b.starts_with(text));
    (!open).then_some(None)
}

/// The white space that a line begins with, or the sign of a quotation: its bytes.
fn indent(line: &[u8], ended: bool) -> Option<usize> {
    /// Wider ones belong to no block of text.
    const WIDEST: usize = 24;
    const UNITS: [&[u8]; 4] = [b" ", b"\t", b"\\t", b"> "];
    let mut at = 0;
    loop {
        let rest = line.get(at..).unwrap_or_default();
        match UNITS.iter().find(|unit| rest.starts_with(unit)) {
            Some(unit) if at + unit.len() <= WIDEST => at += unit.len(),
            None if !ended && at < WIDEST && UNITS.iter().any(|unit| unit.starts_with(rest)) => return None,
            _ => return Some(at),
        }
    }
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
    fn a_line_break_may_be_escaped_and_may_be_cut() {
        assert_eq!(line_break(b"\r\nx", false), Some(Some(2)));
        assert_eq!(line_break(b"\\nx", false), Some(Some(2)));
        assert_eq!(line_break(b"\n    x", false), Some(Some(5)));
        assert_eq!(line_break(b"\\n\\tx", false), Some(Some(4)));
        assert_eq!(line_break(b"\n> x", false), Some(Some(3)));
        assert_eq!(line_break(b"\\\nx", false), Some(Some(2)));
        assert_eq!(line_break(b"\n  ", false), None);
        assert_eq!(line_break(b"\r", false), None);
        assert_eq!(line_break(b"\r", true), Some(None));
        assert_eq!(line_break(b"x", false), Some(None));
    }
}
