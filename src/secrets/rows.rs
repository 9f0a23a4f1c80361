//! Pieces of one secret at equal distances in a small text, whatever stands between them: items of a list, cells,
//! elements, assignments, letters, and numbers that a program makes letters of (`chr(103)+chr(104)`).
//!
//! Words are told from what is between them. Where the same stands between a word and another so many words on, again
//! and again, they are one row; names that count up (`p1`, `p2`) are the same.

use super::decode::numbers;
use super::finding::{Finding, Surface};
use super::guard::{At, Guard, Inner};
use super::known;
use super::recall::frame;
use super::recall::seams::Seams;
use super::rules::home::Spot;
use super::stream::{Hit, SEPARATOR, Scan, Stream, Work};
use crate::net::Host;
use std::ops::Range;
use zeroize::Zeroizing;

/// What pieces of a row are told as.
pub(super) const ROW: &str = "row";
/// Words from one piece to the next, at most: the lines of a log have that many.
const FARTHEST: usize = 8;
/// A row has so many bytes at least.
const SHORTEST: usize = 16;
/// Longer pieces are none.
const LONGEST: usize = 256;
/// Words that begin like a token, of which two halves are made.
const MOST_BEGINNINGS: usize = 32;
/// A prefix by itself is no half.
const SHORTEST_HALF: usize = 6;
/// So many signs of a form's encoding ask for another look.
const FEW: usize = 8;
/// What is looked at together, against what it is made of: words lie in several rows.
const MOST_TIMES: usize = 6;
/// What a piece counts beside its bytes.
const PER_PIECE: usize = 8;

/// A word: where it stands, what it comes to beside others, and what comes behind it, up to the next one.
struct Word {
    place: Range<usize>,
    name: u64,
    gap: u64,
}

/// What a row of pieces is, taken together.
enum Row {
    /// Texts that may be one token or known value.
    Pieces(Vec<Zeroizing<Vec<u8>>>),
    /// The bytes that numbers stand for.
    Numbers(Zeroizing<Vec<u8>>),
}

const fn mix(hash: u64, value: u64) -> u64 {
    (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
}

/// Characters of tokens that rarely stand between two.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'/' | b'.' | b'~' | b'%' | b'!' | b'@')
}

/// The words of a text. An escaped line break ends one.
fn words(text: &[u8]) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (gap, next) = gap(text, at);
        if let Some(last) = words.last_mut() {
            last.gap = gap;
        }
        let rest = text.get(next..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| is_word(**byte)).count();
        at = next + length;
        let word = rest.get(..length).unwrap_or_default();
        // The offsets that a dump's lines begin with are no words of it.
        let before = text.get(..next).unwrap_or_default();
        let begins_a_line = before.is_empty() || before.ends_with(b"\n") || before.ends_with(b"\\n");
        if length > 0 && !(begins_a_line && is_offset(word, text.get(at..).unwrap_or_default())) {
            words.push(Word { place: next..at, name: name(word), gap: 0 });
        }
    }
    words
}

/// What an offset of a dump looks like: a byte in binary has eight digits too.
fn is_offset(word: &[u8], behind: &[u8]) -> bool {
    let is_number = word.first() == Some(&b'0') && word.iter().all(u8::is_ascii_hexdigit);
    let is_marked = || matches!(behind, [b':', ..] | [b' ', b' ', ..]);
    is_number && (matches!(word.len(), 6 | 7) || (word.len() == 8 && is_marked()))
}

/// What stands between two words: white space is the same however much there is, and so are bytes that are no text.
fn gap(text: &[u8], mut at: usize) -> (u64, usize) {
    let (mut hash, mut blank) = (0, false);
    while let Some(&byte) = text.get(at).filter(|byte| !is_word(**byte)) {
        let rest = text.get(at..).unwrap_or_default();
        let backslashes = rest.iter().take_while(|byte| **byte == b'\\').count();
        let escape = backslashes > 0 && matches!(rest.get(backslashes), Some(b'n' | b'r' | b't'));
        let is_blank = escape || byte.is_ascii_whitespace();
        if is_blank && !blank {
            hash = mix(hash, u64::from(b' '));
        } else if !is_blank && !is_bracket(byte) {
            hash = mix(hash, if byte.is_ascii_graphic() { u64::from(byte) } else { 1 });
        }
        blank = is_blank;
        at += if escape { backslashes + 1 } else { 1 };
    }
    (hash, at)
}

/// Quotes, brackets and what pads base64 differ from one piece to the next.
const fn is_bracket(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`' | b'(' | b')' | b'[' | b']' | b'=')
}

/// What a word comes to as a name: numbers are all the same, and so are single letters.
fn name(word: &[u8]) -> u64 {
    let mut hash = 0;
    let mut digits = false;
    if let [_] | [_, _] = word {
        return 1;
    }
    for &byte in word {
        if !(byte.is_ascii_digit() && digits) {
            hash = mix(hash, u64::from(if byte.is_ascii_digit() { b'0' } else { byte }));
        }
        digits = byte.is_ascii_digit();
    }
    hash
}

impl Guard {
    /// What stands in the rows of a small text.
    pub(super) fn scan_rows(&self, host: &Host, surface: Surface, text: &[u8]) -> Vec<Finding> {
        let mut findings = self.rows_of(host, surface, text);
        if memchr::memchr2_iter(b'%', b'+', text).nth(FEW).is_some() {
            // As forms write it: a plus is a space.
            let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
            let plain: Zeroizing<Vec<u8>> = Zeroizing::new(percent_encoding::percent_decode(&spaced).collect());
            findings.extend(self.rows_of(host, surface, &plain));
        }
        let mut told = std::collections::HashSet::new();
        findings.retain(|finding| told.insert((finding.rule.clone(), finding.fingerprint)));
        findings
    }

    fn rows_of(&self, host: &Host, surface: Surface, text: &[u8]) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        find(&self.inner, text, |start, row| match row {
            Row::Pieces(pieces) => {
                let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_slice()).collect();
                let found = self.across(host, surface, &pieces, None, ROW, &mut true);
                findings.extend(found.into_iter().map(|finding| Finding { offset: start as u64, ..finding }));
            }
            Row::Numbers(bytes) => {
                let mut work = Work::new();
                work.given = bytes.len() as u64;
                let mut report = |hit: &Hit<'_>| {
                    let (spot, offset) = (Spot::Content, start as u64);
                    let at = At { host, surface, place: None, spot, offset, maskable: false };
                    findings.extend(self.inner.judge(hit, at));
                };
                let (scanner, known) = (&self.inner.scanner, &self.inner.known);
                let mut scan = Scan { scanner, known, report: &mut report, work: &mut work, path: vec!["numbers"] };
                Stream::new(1).feed(&mut scan, &|at| at, &bytes, true);
            }
        });
        findings
    }
}

/// Finds the rows of a text that may hold something; `each` gets where one begins, and what it is.
fn find(guard: &Inner, text: &[u8], mut each: impl FnMut(usize, Row)) {
    let words = words(text);
    if words.len() < 2 {
        return;
    }
    let mut rows = pairs(guard, text, &words);
    gather(text, &words, &mut rows);
    let mut all = Together::default();
    let mut joined = Vec::with_capacity(rows.len());
    for places in rows {
        let start = places.first().map_or(0, |place| place.start);
        let pieces: Vec<&[u8]> = places.into_iter().filter_map(|place| text.get(place)).collect();
        let shortest = if guard.known.is_empty() { numbers::STREAK } else { known::SHORTEST };
        let mut number = |bytes: &[u8]| each(start, Row::Numbers(Zeroizing::new(bytes.to_vec())));
        numbers::of_words(&pieces, shortest, &mut number);
        // Each may be encoded by itself.
        let decoded = pieces.iter().map(|word| frame::decoded(word)).collect::<Option<Vec<_>>>();
        all.add(pieces.iter().copied());
        all.add(decoded.iter().flatten().map(|piece| piece.as_slice()));
        joined.push((start, pieces, decoded));
    }
    // One look at all of them: most texts hold nothing.
    if !all.may_hold(guard) {
        return;
    }
    for (start, pieces, decoded) in joined {
        let own =
            |pieces: &mut dyn Iterator<Item = &[u8]>| pieces.map(|piece| Zeroizing::new(piece.to_vec())).collect();
        for pieces in [Some(own(&mut pieces.iter().copied())), decoded].into_iter().flatten() {
            let mut row = Together::default();
            row.add(pieces.iter().map(|piece: &Zeroizing<Vec<u8>>| piece.as_slice()));
            if row.may_hold(guard) {
                each(start, Row::Pieces(pieces));
            }
        }
    }
}

/// Texts of pieces, one behind the other.
#[derive(Default)]
struct Together {
    text: Zeroizing<Vec<u8>>,
    edges: Vec<usize>,
}

impl Together {
    fn add<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) {
        for piece in pieces {
            self.text.extend_from_slice(piece);
            self.edges.push(self.text.len());
        }
        // Nothing goes over it.
        self.text.push(SEPARATOR);
    }

    fn may_hold(&self, guard: &Inner) -> bool {
        Seams::new(guard).may_hold(&self.text, &self.edges)
    }
}

/// Words at equal distances with the same between them.
fn gather(text: &[u8], words: &[Word], rows: &mut Vec<Vec<Range<usize>>>) {
    let mut links: Vec<u64> = words.iter().map(|word| mix(0, word.gap)).collect();
    let mut left = MOST_TIMES * text.len();
    for step in 1..=FARTHEST.min(words.len()) {
        if step > 1 {
            for (link, word) in links.iter_mut().zip(words.get(step - 1..).unwrap_or_default()) {
                *link = mix(mix(*link, word.name), word.gap);
            }
        }
        // The last words have none behind them that they could be linked to.
        let linked = links.get(..words.len() - step).unwrap_or_default();
        let goes_on = |at: usize| linked.get(at).is_some_and(|link| linked.get(at + step) == Some(link));
        for first in 0..linked.len().saturating_sub(step) {
            if !goes_on(first) || first.checked_sub(step).is_some_and(goes_on) {
                continue;
            }
            let row = || (first..words.len()).step_by(step);
            let count = row().take_while(|at| goes_on(*at)).count() + 2;
            let places = row().take(count).filter_map(|at| words.get(at)).map(|word| word.place.clone());
            let pieces: Vec<Range<usize>> = places.filter(|place| place.len() <= LONGEST).collect();
            let length: usize = pieces.iter().map(Range::len).sum();
            if length < SHORTEST {
                continue;
            }
            let Some(rest) = left.checked_sub(length + PER_PIECE * pieces.len()) else { return };
            left = rest;
            rows.push(pieces);
        }
    }
}

/// Two halves are no row: of these the first must begin like a token.
fn pairs(guard: &Inner, text: &[u8], words: &[Word]) -> Vec<Vec<Range<usize>>> {
    let (mut pairs, mut last) = (Vec::new(), None);
    for place in Seams::new(guard).places(text).into_iter().take(MOST_BEGINNINGS) {
        let at = words.partition_point(|word| word.place.end <= place);
        if last.replace(at) == Some(at) {
            continue;
        }
        let is_half = |word: &&Word| word.place.start <= place && word.place.len() >= SHORTEST_HALF;
        let Some(first) = words.get(at).filter(is_half) else { continue };
        for second in words.iter().skip(at + 1).take(FARTHEST) {
            if first.place.len() + second.place.len() >= SHORTEST && second.place.len() <= LONGEST {
                pairs.push(vec![first.place.clone(), second.place.clone()]);
            }
        }
    }
    pairs
}
