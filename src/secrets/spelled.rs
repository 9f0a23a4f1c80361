//! What small bodies and the values of a head hold in numbers, in words of one length, and backwards: whatever stands
//! between the numbers and the words.

use super::decode::{numbers, spelled};
use super::finding::{Finding, Surface};
use super::guard::{At, Guard};
use super::head::{HeadView, parameters};
use super::known;
use super::recall::memory::{SMALL_BODY, is_own};
use super::rules::home::Spot;
use super::runs::is_value;
use super::stream::{Hit, Scan, Stream, Work};
use crate::net::Host;
use zeroize::Zeroizing;

/// Shorter values of a head hold nothing in numbers, and no token backwards.
const SHORTEST: usize = 20;
/// Words of one length are so long and so many, and come to so many bytes.
const SHORTEST_WORD: usize = 4;
const FEWEST: usize = 2;
const SHORTEST_TEXT: usize = 24;
/// More escapes of a form's ask for another look.
const FEW: usize = 2;

impl Guard {
    /// What a small text holds in numbers and in words of one length. Not `is_clean`: something was seen, told or not.
    pub(super) fn scan_spelled(&self, host: &Host, surface: Surface, text: &[u8], is_clean: &mut bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut look = |text: &[u8]| {
            let shortest = if self.inner.known.is_empty() { numbers::STREAK } else { known::SHORTEST };
            spelled::streaks(text, shortest, &mut |start, bytes| {
                let found = self.scan_text(host, surface, bytes, ("numbers", false), is_clean);
                findings.extend(found.into_iter().map(|finding| Finding { offset: start as u64, ..finding }));
            });
            wrapped(text, &mut |start, bytes| {
                let found = self.scan_text(host, surface, bytes, ("wrapped", true), is_clean);
                findings.extend(found.into_iter().map(|finding| Finding { offset: start as u64, ..finding }));
            });
        };
        look(text);
        if memchr::memchr2_iter(b'%', b'+', text).nth(FEW).is_some() {
            // As forms write it: a plus is a space.
            let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
            look(&Zeroizing::new(percent_encoding::percent_decode(&spaced).collect::<Vec<u8>>()));
        }
        for (start, bytes) in stored(text) {
            let found = self.scan_text(host, surface, bytes, ("zip", false), is_clean);
            findings.extend(found.into_iter().map(|finding| Finding { offset: start as u64, ..finding }));
        }
        findings.dedup_by(|a, b| a.rule == b.rule && a.fingerprint == b.fingerprint);
        findings
    }

    /// The same for the values of a head, and what they hold backwards beyond what the head itself tells: words of a
    /// path, and what is escaped or named.
    pub(super) fn scan_spelled_head(&self, head: &HeadView<'_>, is_clean: &mut bool) -> Vec<Finding> {
        let path = head.path.as_bytes().split(|byte| *byte == b'/').collect();
        let query = parameters(head.query.unwrap_or_default()).collect();
        let fields = head.fields.iter().filter(|field| is_own(field.0)).map(|field| field.1).collect();
        let field = if head.trailers { Surface::Trailer } else { Surface::Header };
        let mut findings = Vec::new();
        let values: [(Surface, Vec<&[u8]>); 3] = [(Surface::Path, path), (Surface::Query, query), (field, fields)];
        for (surface, mut values) in values {
            values.retain(|value| value.len() >= SHORTEST);
            if values.is_empty() {
                continue;
            }
            let text = joined(surface, &values);
            // A value of several lines is a text of its own.
            for value in values.iter().filter(|value| has_lines(value)) {
                let found = self.scan_small(head.host, surface, &joined(surface, &[value]));
                *is_clean &= found.is_empty();
                findings.extend(found);
            }
            findings.extend(self.scan_spelled(head.host, surface, &text, is_clean));
            findings.extend(self.scan_written(head.host, surface, &text, is_clean));
            values.retain(|value| self.may_be_backwards(surface, value));
            if !values.is_empty() {
                findings.extend(self.scan_backwards(head.host, surface, &joined(surface, &values), is_clean));
            }
        }
        findings
    }

    fn may_be_backwards(&self, surface: Surface, value: &[u8]) -> bool {
        let scanner = &self.inner.scanner;
        match surface {
            Surface::Path | Surface::Query if memchr::memchr(b'%', value).is_some() => true,
            Surface::Path => scanner.ends_reversed(value) || scanner.is_reversed_in(value),
            Surface::Query => false,
            _ => memchr::memchr3(b'=', b'"', b'@', value).is_some(),
        }
    }

    /// What a text holds that is written so; `coded`: only what is written another way once more.
    pub(super) fn scan_text(
        &self,
        host: &Host,
        surface: Surface,
        text: &[u8],
        (step, coded): (&'static str, bool),
        is_clean: &mut bool,
    ) -> Vec<Finding> {
        let (mut findings, mut work) = (Vec::new(), Work::new());
        work.given = text.len() as u64;
        let mut report = |hit: &Hit<'_>| {
            if coded && hit.path.len() < 2 {
                return;
            }
            *is_clean = false;
            let at = At { host, surface, place: None, spot: Spot::Content, offset: 0, maskable: false };
            findings.extend(self.inner.judge(hit, at));
        };
        let (scanner, known) = (&self.inner.scanner, &self.inner.known);
        let mut scan = Scan { scanner, known, report: &mut report, work: &mut work, path: vec![step] };
        Stream::new(1).feed(&mut scan, &|at| at, text, true);
        findings
    }
}

/// Whether what a body begins with is bytes of a text in numbers, as a form writes it or not: they take several times
/// their room.
pub(super) fn is_in_numbers(text: &[u8]) -> bool {
    /// They are there by then, whatever stands before them.
    const FRONT: usize = 1024;
    let text = text.get(..FRONT).unwrap_or(text);
    /// Of so many bytes one is an escape where signs stand between numbers in a form.
    const RARE: usize = 64;
    let says = |text: &[u8]| {
        let mut is_said = false;
        spelled::streaks(text, numbers::STREAK, &mut |_, _| is_said = true);
        is_said
    };
    says(text) || {
        memchr::memchr_iter(b'%', text).count() * RARE > text.len() && {
            let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
            says(&Zeroizing::new(percent_encoding::percent_decode(&spaced).collect::<Vec<u8>>()))
        }
    }
}

/// Whether a line break is escaped in a value that is no longer than a small body.
fn has_lines(value: &[u8]) -> bool {
    let has = |escape: &[u8]| memchr::memmem::find(value, escape).is_some();
    value.len() <= 3 * SMALL_BODY && (has(b"%0A") || has(b"%0a"))
}

/// Values of a head, a line each, as they are without their escapes.
fn joined(surface: Surface, values: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let text = values.join(&b'\n');
    let is_escaped = matches!(surface, Surface::Path | Surface::Query) && text.contains(&b'%');
    Zeroizing::new(if is_escaped { percent_encoding::percent_decode(&text).collect() } else { text })
}

/// What entries of a zip hold that are stored as they are (APPNOTE 4.3.7), up to the next head: some that write them
/// know no size yet.
fn stored(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    const HEAD: usize = 30;
    let begin = |at: usize| {
        let head = text.get(at..at + HEAD)?;
        let size = |at: usize| Some(usize::from(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?)));
        (size(8)? == 0).then_some(at + HEAD + size(26)? + size(28)?)
    };
    memchr::memmem::find_iter(text, b"PK\x03\x04").filter_map(begin).filter_map(|start| {
        let rest = text.get(start..)?;
        let is_head = |at: &usize| matches!(rest.get(at + 2..at + 4), Some([1 | 3 | 5 | 7, 2 | 4 | 6 | 8]));
        let end = memchr::memmem::find_iter(rest, b"PK").find(is_head).unwrap_or(rest.len());
        Some((start, rest.get(..end)?))
    })
}

/// Words of one length in a row, the last of which may be shorter, as one: base64 or hex in groups. `each` gets where
/// they begin, and what they come to.
fn wrapped(text: &[u8], each: &mut dyn FnMut(usize, &[u8])) {
    if text.iter().filter(|byte| byte.is_ascii_whitespace()).nth(FEWEST - 2).is_none() {
        return;
    }
    let mut start = 0;
    for part in text.split(|byte| !is_value(*byte) && !byte.is_ascii_whitespace()) {
        if part.len() >= SHORTEST_TEXT {
            wrapped_words(part, &mut |at, bytes| each(start + at, bytes));
        }
        start += part.len() + 1;
    }
}

fn wrapped_words(text: &[u8], each: &mut dyn FnMut(usize, &[u8])) {
    let (mut start, mut length, mut count, mut at) = (0, 0, 0, 0);
    let mut tell = |start: usize, end: usize, count: usize| {
        let words = text.get(start..end).unwrap_or_default();
        if count >= FEWEST && words.len() >= SHORTEST_TEXT {
            let bytes = words.iter().copied().filter(|byte| !byte.is_ascii_whitespace());
            each(start, &Zeroizing::new(bytes.collect::<Vec<u8>>()));
        }
    };
    for word in text.split(u8::is_ascii_whitespace) {
        let from = at;
        at += word.len() + 1;
        if word.is_empty() || (word.len() == length && count > 0) {
            count += usize::from(!word.is_empty());
            continue;
        }
        // The last one may be shorter.
        let end = if word.len() < length { at - 1 } else { from };
        tell(start, end, count);
        (start, length, count) = (from, word.len(), usize::from(word.len() >= SHORTEST_WORD));
    }
    tell(start, text.len(), count);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_one_length_are_one_text() {
        let read = |text: &str| {
            let mut found = Vec::new();
            wrapped(text.as_bytes(), &mut |at, bytes| found.push((at, String::from_utf8(bytes.to_vec()).unwrap())));
            found
        };
        let words = "Z2hwX2Mw blI1M3Zi Tnd2WjU3 WWl1UFJy MGZt";
        let one = words.replace(' ', "");
        assert_eq!(read(words), [(0, one.clone())]);
        assert_eq!(read(&format!("see {words}")), [(4, one.clone())]);
        assert_eq!(read(&words.replace(' ', "\r\n  ")), [(0, one.clone())]);
        assert_eq!(read(&format!("{words} and on")), [(0, one)]);
        assert!(read("the cat sat on the mat and the dog ran off far too").is_empty());
    }
}
