//! What is encoded in a run: text in base64, base32 and hex, files in them, and words read backwards.

use super::{LEAST, Piece, Runs};
use crate::secrets::binary::{Binary, Coding, Layout};
use crate::secrets::decode::{base32, base64, hex};
use crate::secrets::reversed::{reversed_word, stands_alone};
use crate::secrets::search::classes::Classes;
use crate::secrets::stream::{DEEPEST, Hit, Origin, Scan, Stream, word_start};
use std::ops::Range;

/// The alphabets of other codings.
const CODED: Classes<3> = Classes::new([hex::DIGITS.members(), base32::UPPER.members(), base32::LOWER.members()]);

/// Text of this many bytes in base64 that goes over into something else is decoded on: random characters never look
/// like so much text.
const MIXED: usize = 60;
/// Longer runs are no text in base64 that somebody reversed.
const REVERSED: usize = 1024;

impl Runs {
    #[inline(never)]
    pub(super) fn decode(&mut self, level: &Stream, scan: &mut Scan<'_>, origin: Origin<'_>, piece: &Piece) {
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
        let (coding, from) = if begun || self.inside { (None, 0) } else { file_in(&text) };
        self.decode_binary(level, scan, origin, piece, (&text, coding, from));
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
            let mut reversed = Vec::new();
            let mut keep = |end: usize, bytes: &[u8]| reversed.push((end - 2 * bytes.len(), bytes.to_vec()));
            hex::streaks_either_way(&text, &mut |start, bytes| each("hex", start, bytes, (2, 1)), &mut keep);
            reversed.iter().for_each(|(start, bytes)| each("hex", *start, bytes, (0, 1)));
        }
        if let Some((digits, places)) = hex::grouped(&text) {
            let mut found = Vec::new();
            hex::streaks(&digits, &mut |start, bytes| found.push((start, bytes.to_vec())));
            for (start, bytes) in found {
                // As wide as its groups are: no more is known of one byte.
                let from = places.get(start).copied().unwrap_or(0);
                each("hex", from, &bytes, ((text.len() - from) as u64, (digits.len() - start) as u64 / 2));
            }
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
    pub(super) fn reverse(&mut self, level: &Stream, scan: &mut Scan<'_>, origin: Origin<'_>, run: Range<usize>) {
        // What is read backwards already would stand there as it was, without its place.
        let is_back = matches!(scan.path.as_slice(), [.., "reversed"] | [.., "reversed", "percent" | "escape"]);
        if level.depth >= DEEPEST || is_back {
            return;
        }
        let text = level.buffer.get(run.clone()).unwrap_or_default();
        let inside = || scan.scanner.is_reversed_in(text).then(|| word_start(&level.buffer, run.end)..run.end);
        let word = reversed_word(scan.scanner, &level.buffer, run.end).or_else(inside);
        let Some(Range { start, end }) = word else { return };
        let mut text = level.buffer.get(start..end).unwrap_or_default().to_vec();
        // An escaped line break ends a value, whichever way it is read.
        for at in 1..text.len() {
            if text[at - 1] == b'\\' && matches!(text[at], b'n' | b'r' | b't') {
                text[at - 1..=at].fill(b' ');
            }
        }
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

/// What file a run is, and where it begins: at the front, or in an address behind the segments before it.
pub(in crate::secrets) fn file_in(text: &[u8]) -> (Option<Coding>, usize) {
    const NEAR: usize = 64;
    // What is left must be long enough by itself.
    let last = text.len().saturating_sub(LEAST).min(NEAR);
    let behind = memchr::memchr_iter(b'/', text.get(..last).unwrap_or_default()).map(|slash| slash + 1);
    let found = std::iter::once(0).chain(behind).find_map(|at| Some((Coding::of(text.get(at..)?)?, at)));
    found.map_or((None, 0), |(coding, at)| (Some(coding), at))
}

/// Whether what is decoded out of a run may go over a place in it. It is odd if, whatever follows, all of it is decoded.
pub(in crate::secrets) fn is_coded_over(run: &[u8], edge: usize, is_odd: &mut bool) -> bool {
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
    found |= hex::grouped(run).is_some();
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
    const SIGNS: u64 = 1 << 8 | 1 << 13 | 1 << 18 | 1 << 23;
    const DIGITS: Classes<1> = Classes::new([hex::DIGITS.members()]);
    text.len() == 36
        && [8, 13, 18, 23].iter().all(|at| text[*at] == b'-')
        && matches!(text[19], b'8' | b'9' | b'a' | b'b' | b'A' | b'B')
        && DIGITS.short_masks(text) == [!SIGNS & ((1 << 36) - 1)]
}

/// Whether a run is text or a file in base64 or hex, beyond what chance makes.
fn is_encoded(text: &[u8]) -> bool {
    const SURE: usize = 40;
    let mut found = text.len() > SURE && Coding::of(text).is_some();
    base64::streaks(text, &mut |streak| found |= streak.len() * 3 / 4 >= SURE);
    hex::streaks(text, &mut |_, bytes| found |= bytes.len() >= SURE);
    found
}

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
}
