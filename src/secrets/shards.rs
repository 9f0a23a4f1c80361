//! Pieces of one secret in a small text that are told by where they stand, whatever they are made of: in strings, on
//! lines that begin and end alike, between tags, between signs. What is made of letters and digits alone the rows find;
//! here a password behind its name, a key's lines and an address are put together again.

use super::decode::escape::{self, Unit};
use super::finding::{Finding, Surface};
use super::guard::{At, Guard};
use super::joins::is_token;
use super::recall::seams::Seams;
use super::rules::generic::is_wordy;
use super::rules::home::Spot;
use super::stream::{Hit, Scan, Stream, Work};
use crate::net::Host;
use aho_corasick::AhoCorasick;
use std::sync::LazyLock;
use zeroize::Zeroizing;

/// Longer pieces are none.
const LONGEST: usize = 256;
/// Shorter texts hold no secret.
const SHORTEST: usize = 16;
/// Values without a name or a beginning have a checksum, and are no longer.
const LONGEST_RUN: usize = 128;
/// Signs that stand between the cells of a line.
const SIGNS: [&[u8]; 6] = [b", ", b"|", b"\t", b",", b";", b" "];

/// Names that values stand behind, and what keys and addresses are told by.
static NAMES: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let names = ["password", "passwd", "secret", "_auth", "-----begin ", "access_key", "api_key", "apikey"];
    AhoCorasick::builder().ascii_case_insensitive(true).build(names).ok()
});

/// Whether a name stands in a text that values stand behind.
pub(super) fn has_names(text: &[u8]) -> bool {
    NAMES.as_ref().is_some_and(|names| names.is_match(text))
}

/// Pieces in their order.
type Row = Vec<Zeroizing<Vec<u8>>>;

impl Guard {
    /// What the pieces of a small text make together.
    pub(super) fn scan_shards(&self, host: &Host, surface: Surface, text: &[u8]) -> Vec<Finding> {
        let mut rows = Vec::new();
        strings(text, &mut rows);
        tags(text, &mut rows);
        lines(text, b'\n', &mut rows);
        if memchr::memchr(b'&', text).is_some() && memchr::memchr(b'=', text).is_some() {
            // A plus is a space there.
            let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
            lines(&spaced, b'&', &mut rows);
        }
        parts(text, &mut rows);
        signs(text, &mut rows);
        let mut findings = Vec::new();
        for row in rows {
            let pieces: Vec<&[u8]> = row.iter().map(|piece| piece.as_slice()).collect();
            findings.extend(self.scan_whole(host, surface, &pieces));
        }
        findings.dedup_by(|a, b| a.rule == b.rule && a.fingerprint == b.fingerprint);
        findings
    }

    /// What goes over an edge between pieces, under all the rules that there are for a text.
    pub(super) fn scan_whole(&self, host: &Host, surface: Surface, pieces: &[&[u8]]) -> Vec<Finding> {
        let text = Zeroizing::new(pieces.concat());
        let ends = pieces.iter().scan(0, |end, piece| {
            *end += piece.len();
            Some(*end)
        });
        let edges: Vec<usize> = ends.collect();
        if pieces.len() < 2 || text.len() < SHORTEST {
            return Vec::new();
        }
        let name = NAMES.as_ref().and_then(|names| names.find(&*text)).map(|found| found.start());
        let is_run = text.len() <= LONGEST_RUN && text.iter().all(u8::is_ascii_alphanumeric);
        if name.is_none() && !is_run && !Seams::new(&self.inner).may_hold(&text, &edges) {
            return Vec::new();
        }
        let mut findings = Vec::new();
        // What stands before the piece that a name begins in is no part of it.
        let piece = name.map(|name| edges.partition_point(|edge| *edge <= name)).unwrap_or(0);
        let front = piece.checked_sub(1).and_then(|before| edges.get(before).copied());
        for from in [Some(0), front].into_iter().flatten() {
            let mut report = |hit: &Hit<'_>| {
                let next = edges.partition_point(|edge| *edge as u64 <= hit.start);
                let is_across = edges.get(next).is_some_and(|edge| (*edge as u64) < hit.end);
                if is_across && (hit.known.is_some() || is_token(hit) || holds_random(hit.candidate.value)) {
                    let at = At { host, surface, place: None, spot: Spot::Content, offset: 0, maskable: false };
                    findings.extend(self.inner.judge(hit, at));
                }
            };
            let mut work = Work::new();
            work.given = text.len() as u64;
            let (scanner, known) = (&self.inner.scanner, &self.inner.known);
            let mut scan = Scan { scanner, known, report: &mut report, work: &mut work, path: vec!["joined"] };
            let rest = text.get(from..).unwrap_or_default();
            Stream::new(1).feed(&mut scan, &|at| at + from as u64, rest, true);
        }
        findings.dedup_by(|a, b| a.rule == b.rule && a.fingerprint == b.fingerprint);
        findings
    }
}

/// Whether a part of a value is made up by no one: a password behind its name, and in an address.
pub(super) fn holds_random(value: &[u8]) -> bool {
    const LEAST: usize = 10;
    let is_random = |part: &[u8]| part.len() >= LEAST && !is_wordy(part);
    value.iter().any(u8::is_ascii_digit) && value.split(|byte| !byte.is_ascii_alphanumeric()).any(is_random)
}

fn add(row: Row, rows: &mut Vec<Row>) {
    if row.len() > 1 && !rows.contains(&row) {
        rows.push(row);
    }
}

/// What stands in quotes: the values, and with them the names if there are any.
fn strings(text: &[u8], rows: &mut Vec<Row>) {
    let (mut values, mut all, mut at) = (Row::new(), Row::new(), 0);
    while let Some(open) = text.get(at..).and_then(|rest| memchr::memchr3(b'"', b'\'', b'`', rest)) {
        let quote = text.get(at + open).copied().unwrap_or_default();
        let Some((string, length)) = string(text.get(at + open + 1..).unwrap_or_default(), quote) else {
            at += open + 1;
            continue;
        };
        at += open + 1 + length;
        if string.len() > LONGEST {
            for row in [&mut values, &mut all] {
                add(std::mem::take(row), rows);
            }
        } else if !string.is_empty() {
            let behind = text.get(at..).unwrap_or_default();
            if !behind.trim_ascii_start().starts_with(b":") {
                values.push(string.clone());
            }
            all.push(string);
        }
    }
    add(values, rows);
    add(all, rows);
}

/// A string up to its quote, without its escapes, and how long it is with them.
fn string(text: &[u8], quote: u8) -> Option<(Zeroizing<Vec<u8>>, usize)> {
    let (mut out, mut at) = (Zeroizing::new(Vec::new()), 0);
    loop {
        let rest = text.get(at..)?;
        match *rest.first()? {
            byte if byte == quote => return Some((out, at + 1)),
            // An apostrophe, mostly.
            b'\n' if quote != b'`' => return None,
            b'\\' => match escape::unit(rest, true) {
                Unit::Escape { length, byte } => {
                    out.extend(byte);
                    at += length;
                }
                _ => {
                    out.extend(rest.get(1));
                    at += 2;
                }
            },
            byte => {
                out.push(byte);
                at += 1;
            }
        }
    }
}

/// What stands between tags.
fn tags(text: &[u8], rows: &mut Vec<Row>) {
    if memchr::memmem::find(text, b"</").is_none() && memchr::memmem::find(text, b"/>").is_none() {
        return;
    }
    let (mut row, mut rest) = (Row::new(), text);
    while let Some(open) = memchr::memchr(b'<', rest) {
        let piece = rest.get(..open).unwrap_or_default().trim_ascii();
        if piece.len() > LONGEST {
            add(std::mem::take(&mut row), rows);
        } else if !piece.is_empty() {
            row.push(Zeroizing::new(piece.to_vec()));
        }
        let tag = rest.get(open..).unwrap_or_default();
        let Some(close) = memchr::memchr(b'>', tag) else { break };
        rest = tag.get(close + 1..).unwrap_or_default();
    }
    add(row, rows);
}

/// Lines, or the pairs of a form, without what they begin and end with alike.
fn lines(text: &[u8], between: u8, rows: &mut Vec<Row>) {
    let lines: Vec<&[u8]> = text.split(|byte| *byte == between).map(<[u8]>::trim_ascii_end).collect();
    let lines: Vec<&[u8]> = lines.into_iter().filter(|line| !line.is_empty() && line.len() <= 2 * LONGEST).collect();
    let mut at = 0;
    while let Some([first, second, ..]) = lines.get(at..) {
        let (front, _) = alike(first.iter(), second.iter());
        let model = first.get(..front).unwrap_or_default();
        let own = |line: &[u8]| alike(model.iter(), line.iter()).0 == front;
        // A line of the secret's own may stand between two.
        let goes_on = |at: &usize| lines.get(*at..).unwrap_or_default().iter().take(2).any(|line| own(line));
        let end = (at..lines.len()).take_while(goes_on).count() + at;
        if front > 0 || at == 0 {
            let bare = |line: &&[u8]| {
                let start = if own(line) { alike(model.iter(), line.iter()).1 } else { 0 };
                line.get(start..).unwrap_or_default().to_vec()
            };
            let inside: Vec<Vec<u8>> = lines.get(at..end).unwrap_or_default().iter().map(bare).collect();
            add(without_ends(&inside), rows);
        }
        at = if front > 0 { end } else { at + 1 };
    }
}

/// What stands in the parts of a form with files.
fn parts(text: &[u8], rows: &mut Vec<Row>) {
    if !text.starts_with(b"--") {
        return;
    }
    let begins = memchr::memmem::find_iter(text, b"\r\n\r\n").map(|at| at + 4);
    let part = |start: usize| {
        let rest = text.get(start..)?;
        let part = rest.get(..memchr::memmem::find(rest, b"\r\n--")?)?;
        (part.len() <= LONGEST).then(|| Zeroizing::new(part.to_vec()))
    };
    add(begins.filter_map(part).collect(), rows);
}

/// The same texts without what they end with alike; the last may end otherwise.
fn without_ends(texts: &[Vec<u8>]) -> Row {
    let [first, second, ..] = texts else { return Row::new() };
    let (back, _) = alike(first.iter().rev(), second.iter().rev());
    let model: Vec<u8> = first.iter().rev().take(back).copied().collect();
    let bare = |text: &Vec<u8>| {
        let (same, end) = alike(model.iter(), text.iter().rev());
        let end = if same == back { end } else { 0 };
        Zeroizing::new(text.get(..text.len() - end).unwrap_or_default().to_vec())
    };
    texts.iter().map(bare).filter(|piece| !piece.is_empty() && piece.len() <= LONGEST).collect()
}

/// How far two texts are alike, up to the last sign in each: numbers are all the same.
fn alike<'a>(a: impl Iterator<Item = &'a u8>, b: impl Iterator<Item = &'a u8>) -> (usize, usize) {
    let (a, b): (Vec<u8>, Vec<u8>) = (a.copied().collect(), b.copied().collect());
    let digits = |text: &[u8], at: usize| {
        text.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let (mut i, mut j, mut edge) = (0, 0, (0, 0));
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        if x.is_ascii_digit() && y.is_ascii_digit() {
            (i, j) = (i + digits(&a, i), j + digits(&b, j));
            continue;
        }
        if x != y {
            break;
        }
        (i, j) = (i + 1, j + 1);
        if !x.is_ascii_alphanumeric() && !matches!(x, b'_' | b'+') {
            edge = (i, j);
        }
    }
    edge
}

/// Cells between signs.
fn signs(text: &[u8], rows: &mut Vec<Row>) {
    const LEAST: usize = 2;
    for sign in SIGNS {
        let mut places = memchr::memmem::find_iter(text, sign);
        if places.by_ref().take(LEAST).count() < LEAST {
            continue;
        }
        let (mut row, mut from) = (Row::new(), 0);
        let ends = memchr::memmem::find_iter(text, sign).chain([text.len()]);
        for end in ends {
            let piece = text.get(from..end).unwrap_or_default();
            from = end + sign.len();
            if piece.len() > LONGEST {
                add(std::mem::take(&mut row), rows);
            } else if !piece.is_empty() {
                row.push(Zeroizing::new(piece.to_vec()));
            }
        }
        add(row, rows);
    }
}
