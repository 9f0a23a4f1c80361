//! Pieces of one secret in a small text that are told by where they stand, whatever they are made of: in strings, on
//! lines that begin and end alike, between tags, between signs. What is made of letters and digits alone the rows find;
//! here a password behind its name, a key's lines and an address are put together again.

use super::alike::{alike, alike_ends};
use super::decode::escape::{self, Unit};
use super::finding::{Finding, Surface};
use super::guard::{At, Guard};
use super::joins::is_token;
use super::named::{first_name, has_names};
use super::recall::frame;
use super::recall::seams::Seams;
use super::rules::catalogue::Group;
use super::rules::generic::is_wordy;
use super::rules::home::Spot;
use super::rules::rule::Candidate;
use super::stream::{Hit, SEPARATOR, Scan, Stream, Work, is_whole};
use crate::net::Host;
use zeroize::Zeroizing;

/// Longer pieces are none.
const LONGEST: usize = 256;
/// Shorter texts hold no secret.
const SHORTEST: usize = 16;
/// Values without a name or a beginning have a checksum, and are no longer.
const LONGEST_RUN: usize = 128;
/// Strings that are looked into within each other: code in the arguments of a call.
const STRINGS: u8 = 3;
/// What stands between lines, and between the cells of one.
const SIGNS: [&[u8]; 8] = [b"\n", b"\\\n", b", ", b"|", b"\t", b",", b";", b" "];

/// Pieces in their order, as one text, and where each ends in it.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Row {
    text: Zeroizing<Vec<u8>>,
    edges: Vec<usize>,
}

impl Row {
    pub(super) fn of<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut row = Self::default();
        pieces.for_each(|piece| row.push(piece));
        row
    }

    fn push(&mut self, piece: &[u8]) {
        if !piece.is_empty() {
            self.text.extend_from_slice(piece);
            self.edges.push(self.text.len());
        }
    }

    fn pieces(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.edges.iter().copied());
        self.edges.iter().zip(starts.collect::<Vec<_>>()).filter_map(|(end, start)| self.text.get(start..*end))
    }

    fn is_one(&self) -> bool {
        self.edges.len() > 1 && self.text.len() >= SHORTEST
    }

    /// Whether it is one word that may be a value with a checksum.
    fn is_run(&self) -> bool {
        self.text.len() <= LONGEST_RUN && self.text.iter().all(u8::is_ascii_alphanumeric)
    }

    /// Adds what another row says behind what nothing goes over.
    fn append(&mut self, other: &Self) {
        self.text.push(SEPARATOR);
        let start = self.text.len();
        self.text.extend_from_slice(&other.text);
        self.edges.extend(other.edges.iter().map(|edge| start + edge));
    }
}

impl Guard {
    /// What the pieces of a small text make together.
    pub(super) fn scan_shards(&self, host: &Host, surface: Surface, text: &[u8]) -> Vec<Finding> {
        let mut rows = Vec::new();
        strings(text, STRINGS, &mut rows);
        tags(text, &mut rows);
        parts(text, &mut rows);
        form(text, &mut rows);
        framed(text, &mut rows);
        // Each piece may be encoded by itself.
        let decoded: Vec<Row> = rows.iter().filter_map(decoded).collect();
        rows.extend(decoded);
        // One look at all of them: most texts hold nothing.
        let mut all = Row::default();
        rows.iter().for_each(|row| all.append(row));
        if !(has_names(&all.text) || self.may_hold(&all)) {
            rows.retain(Row::is_run);
        }
        let squeezed = squeezed(text);
        if !self.inner.known.is_empty() || has_names(&squeezed.text) || self.may_hold(&squeezed) {
            signs(text, &mut rows);
        }
        let mut findings: Vec<Finding> =
            rows.iter().flat_map(|row| self.scan_row(host, surface, row, self.may_hold(row))).collect();
        findings.dedup_by(|a, b| a.rule == b.rule && a.fingerprint == b.fingerprint);
        findings
    }

    /// Whether a token or a known value may go over an edge between pieces.
    pub(super) fn may_hold(&self, row: &Row) -> bool {
        Seams::new(&self.inner).may_hold(&row.text, &row.edges)
    }

    /// What goes over an edge between pieces, under all the rules that there are for a text.
    pub(super) fn scan_row(&self, host: &Host, surface: Surface, row: &Row, may_hold: bool) -> Vec<Finding> {
        if !row.is_one() || !(may_hold || row.is_run() || has_names(&row.text)) {
            return Vec::new();
        }
        let Row { text, edges } = row;
        let mut findings = Vec::new();
        // What stands before the piece that a name begins in is no part of it.
        let name = first_name(text).unwrap_or(0);
        let piece = edges.partition_point(|edge| *edge <= name);
        let front = piece.checked_sub(1).and_then(|before| edges.get(before).copied());
        for from in [Some(0), front].into_iter().flatten() {
            let mut report = |hit: &Hit<'_>| {
                let next = edges.partition_point(|edge| *edge as u64 <= hit.start);
                let edge = edges.get(next).copied().filter(|edge| (*edge as u64) < hit.end);
                let Some(first) = edge.and_then(|edge| text.get(hit.start as usize..edge)) else { return };
                // A value of its own was told in its place: what follows only looks like a part of it. A name that stands
                // in another piece made it none.
                let piece = next.checked_sub(1).and_then(|last| edges.get(last)).map_or(0, |edge| *edge as u64);
                let own = hit.candidate.before.len().saturating_sub((hit.start - piece) as usize);
                let before = hit.candidate.before.get(own..).unwrap_or_default();
                let candidate =
                    |length| Candidate { before, value: first.get(..length).unwrap_or_default(), after: &[] };
                if is_whole(&self.inner.scanner, hit.rules, first, &mut 0, candidate) {
                    return;
                }
                let is_financial = self.inner.scanner.is_of(Group::Financial, hit.rules);
                let is_random = || hit.is_likely && holds_random(hit.candidate.value);
                if hit.known.is_some() || is_token(hit) || is_financial || is_random() {
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

/// What the pieces say if each is encoded: the last may be short.
fn decoded(row: &Row) -> Option<Row> {
    let mut pieces = row.pieces();
    let last = pieces.next_back()?;
    let mut decoded = Row::default();
    for piece in pieces {
        decoded.push(&frame::decoded(piece)?);
    }
    decoded.push(&frame::decoded_short(last)?);
    Some(decoded)
}

/// A text without the signs that stand between cells: what goes over one there stands together here.
fn squeezed(text: &[u8]) -> Row {
    Row::of(text.split(|byte| byte.is_ascii_whitespace() || matches!(byte, b',' | b'|' | b';' | b'&' | b'\\')))
}

fn add(row: Row, rows: &mut Vec<Row>) {
    if row.is_one() && !rows.contains(&row) {
        rows.push(row);
    }
}

/// What stands in quotes: the values, and with them the names if there are any. In a string of code others stand.
fn strings(text: &[u8], deep: u8, rows: &mut Vec<Row>) {
    const FEW: usize = 3;
    let (mut values, mut all, mut at) = (Row::default(), Row::default(), 0);
    let mut string = Zeroizing::new(Vec::new());
    while let Some(open) = text.get(at..).and_then(|rest| memchr::memchr3(b'"', b'\'', b'`', rest)) {
        let quote = text.get(at + open).copied().unwrap_or_default();
        at += open + 1;
        string.clear();
        let Some(length) = unquote(text.get(at..).unwrap_or_default(), quote, &mut string) else { continue };
        at += length;
        if deep > 0 && memchr::memchr3_iter(b'"', b'\'', b'`', &string).nth(FEW).is_some() {
            strings(&string, deep - 1, rows);
        }
        if string.len() > LONGEST {
            add(std::mem::take(&mut values), rows);
            add(std::mem::take(&mut all), rows);
            continue;
        }
        let behind = text.get(at..).unwrap_or_default();
        if !behind.trim_ascii_start().starts_with(b":") {
            values.push(&string);
        }
        all.push(&string);
    }
    add(values, rows);
    add(all, rows);
}

/// A string up to its quote, without its escapes; gives how long it is with them.
pub(super) fn unquote(text: &[u8], quote: u8, out: &mut Vec<u8>) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = text.get(at..)?;
        let plain = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\'' | b'`' | b'\n' | b'{' | b'\\')).count();
        out.extend_from_slice(rest.get(..plain)?);
        at += plain;
        let rest = rest.get(plain..)?;
        match *rest.first()? {
            byte if byte == quote => return Some(at + 1),
            // An apostrophe, mostly.
            b'\n' if quote != b'`' => return None,
            // The strings within are the pieces.
            b'{' if rest.get(1).is_some_and(|next| *next != quote && matches!(next, b'"' | b'\'' | b'`')) => {
                return None;
            }
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
    let (mut row, mut rest) = (Row::default(), text);
    while let Some(open) = memchr::memchr(b'<', rest) {
        let piece = rest.get(..open).unwrap_or_default().trim_ascii();
        if piece.len() > LONGEST {
            add(std::mem::take(&mut row), rows);
        } else {
            row.push(piece);
        }
        let tag = rest.get(open..).unwrap_or_default();
        let Some(close) = memchr::memchr(b'>', tag) else { break };
        rest = tag.get(close + 1..).unwrap_or_default();
    }
    add(row, rows);
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
        (part.len() <= LONGEST).then_some(part)
    };
    add(Row::of(begins.filter_map(part)), rows);
}

/// What stands in the fields of a form.
fn form(text: &[u8], rows: &mut Vec<Row>) {
    if text.iter().any(u8::is_ascii_whitespace) || memchr::memchr2(b'%', b'+', text).is_none() {
        return;
    }
    let value = |pair: &[u8]| -> Zeroizing<Vec<u8>> {
        let value = pair.get(memchr::memchr(b'=', pair).map_or(0, |equals| equals + 1)..).unwrap_or_default();
        // A plus is a space there.
        let spaced: Vec<u8> = value.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        Zeroizing::new(percent_encoding::percent_decode(&spaced).collect())
    };
    let values: Vec<_> = text.split(|byte| *byte == b'&').map(value).filter(|value| value.len() <= LONGEST).collect();
    add(Row::of(values.iter().map(|value| value.as_slice())), rows);
}

/// Lines and the pairs of a form, without what they begin and end with alike.
fn framed(text: &[u8], rows: &mut Vec<Row>) {
    lines(text, b'\n', rows);
    if memchr::memchr(b'&', text).is_some() && memchr::memchr(b'=', text).is_some() {
        // A plus is a space there.
        let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        lines(&spaced, b'&', rows);
    }
}

fn lines(text: &[u8], between: u8, rows: &mut Vec<Row>) {
    let lines = text.split(|byte| *byte == between).map(<[u8]>::trim_ascii_end);
    let lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty() && line.len() <= 2 * LONGEST).collect();
    let mut at = 0;
    while let Some([first, second, ..]) = lines.get(at..) {
        let (front, _) = alike(first, second);
        if front == 0 {
            at += 1;
            continue;
        }
        let model = first.get(..front).unwrap_or_default();
        let own = |line: &[u8]| alike(model, line).0 == front;
        // A line of the secret's own may stand between two.
        let goes_on = |at: &usize| lines.get(*at..).unwrap_or_default().iter().take(2).any(|line| own(line));
        let end = (at..lines.len()).take_while(goes_on).count() + at;
        let bare = |line: &&'_ [u8]| if own(line) { alike(model, line).1 } else { 0 };
        let group = lines.get(at..end).unwrap_or_default();
        let inside: Vec<&[u8]> = group.iter().filter_map(|line| line.get(bare(line)..)).collect();
        add(without_ends(&inside), rows);
        at = end;
    }
}

/// The same texts without what they end with alike; the last may end otherwise.
fn without_ends(texts: &[&[u8]]) -> Row {
    let [first, second, ..] = texts else { return Row::default() };
    let back = alike_ends(first, second).0;
    let model = first.get(first.len() - back..).unwrap_or_default();
    let bare = |text: &&[u8]| {
        let (same, end) = alike_ends(model, text);
        if same == back { text.len() - end } else { text.len() }
    };
    Row::of(texts.iter().filter_map(|text| text.get(..bare(text))).filter(|piece| piece.len() <= LONGEST))
}

/// Lines as they are, and cells between signs.
fn signs(text: &[u8], rows: &mut Vec<Row>) {
    const LEAST: usize = 2;
    for sign in SIGNS {
        if memchr::memmem::find_iter(text, sign).nth(LEAST - 1).is_none() {
            continue;
        }
        let (mut row, mut from) = (Row::default(), 0);
        let ends = memchr::memmem::find_iter(text, sign).chain([text.len()]);
        for end in ends {
            let piece = text.get(from..end).unwrap_or_default();
            from = end + sign.len();
            if piece.len() > LONGEST {
                add(std::mem::take(&mut row), rows);
            } else {
                row.push(piece.strip_suffix(b"\r").unwrap_or(piece));
            }
        }
        add(row, rows);
    }
}
