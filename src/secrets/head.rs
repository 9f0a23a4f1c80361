//! Everything of a request but its body, scanned in one go: host labels, path, query, fields.

use super::finding::{Disposition, Finding, Surface};
use super::guard::{At, Guard};
use super::recall::memory::{SessionMemory, is_own};
use super::recall::seen::{self, Clean, Fields, Halves};
use super::rules::home::Spot;
use super::settings::special;
use super::shards::Row;
use super::stream::{Hit, SEPARATOR, Scan, Stream, Work};
use crate::net::Host;
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// Longer values are no pieces of a secret.
const LONGEST_PIECE: usize = 256;

/// Longer names are no parameter's and no cookie's.
const LONGEST_NAME: usize = 64;

/// A request's head as it goes upstream, or a message's trailers.
#[derive(Clone, Copy, Debug)]
pub struct HeadView<'a> {
    /// The destination.
    pub host: &'a Host,
    /// The method.
    pub method: &'a str,
    /// The path, as sent.
    pub path: &'a str,
    /// The query without its question mark, as sent.
    pub query: Option<&'a str>,
    /// Names and values in order.
    pub fields: &'a [(&'a [u8], &'a [u8])],
    /// Whether the fields are trailers.
    pub trailers: bool,
}

/// A part of the head in the text that is scanned.
pub(super) struct Part<'a> {
    pub(super) start: usize,
    /// What begins behind this is told elsewhere.
    last: usize,
    pub(super) surface: Surface,
    field: Option<&'a [u8]>,
}

impl<'a> Part<'a> {
    /// The field that it is, if that has a name.
    pub(super) fn field(&self) -> Option<&'a str> {
        self.field.and_then(|name| std::str::from_utf8(name).ok())
    }
}

/// What is to be said of a session's request before it goes up.
#[derive(Debug, Default)]
pub struct Screened {
    /// What was found, in it and over the edge to what the session sent before.
    pub findings: Vec<Finding>,
    /// Nothing in it even looks like a secret: none of its texts needs redaction.
    pub is_clean: bool,
}

impl Guard {
    /// Scans a head. Any finding that is [`Blocked`](super::Disposition::Blocked) stops the request.
    #[must_use]
    pub fn scan_head(&self, head: &HeadView<'_>) -> Vec<Finding> {
        let mut findings = self.scan_new(head, None).findings;
        findings.extend(self.logins_elsewhere(head, &findings, None));
        findings
    }

    /// Scans a head of a session and remembers its values; gives what it holds and what its values complete. What the
    /// session sent before, and held nothing, is not scanned again.
    #[must_use]
    pub fn screen_head(&self, head: &HeadView<'_>, memory: &SessionMemory, now: Instant) -> Screened {
        let seen = memory.seen.under(&self.inner);
        let mut screened = self.scan_new(head, seen.as_deref());
        let elsewhere = self.logins_elsewhere(head, &screened.findings, Some(&memory.logins));
        screened.is_clean &= elsewhere.is_empty();
        screened.findings.extend(elsewhere);
        screened.findings.extend(self.recall_head(head, memory, now));
        screened
    }

    fn scan_new(&self, head: &HeadView<'_>, seen: Option<&Clean>) -> Screened {
        let seen = seen.map(|seen| Known { seen, fields: Fields::of(head, seen) });
        let seen = seen.as_ref();
        let halves = seen.and_then(|known| Some((known.seen, Halves::of(head, &known.fields, known.seen)?)));
        let (has_fields, is_known) = halves.map_or((false, false), |(seen, halves)| halves.are_in(seen));
        if is_known {
            return Screened { findings: Vec::new(), is_clean: true };
        }
        let unseen = HeadView { fields: if has_fields { &[] } else { head.fields }, ..*head };
        let name = head.host.as_name().filter(|name| self.inner.scanner.has_addresses_at(name));
        let Composed { text, parts, fresh } = compose(&unseen, name, seen);
        let (mut findings, mut registered): (Vec<Finding>, Vec<(u64, u64)>) = Default::default();
        let mut is_clean = true;
        let mut hits: Vec<(u64, u64)> = Vec::new();
        let mut work = Work::new();
        work.given = text.len() as u64;
        let mut report = |hit: &Hit<'_>| {
            hits.push((hit.start, hit.end));
            let part = parts.partition_point(|part| part.start as u64 <= hit.start).saturating_sub(1);
            let Some(part) = parts.get(part).filter(|part| hit.start <= part.last as u64) else { return };
            let (spot, place) = place(part, hit.candidate.before, hit.candidate.value);
            let offset = hit.start - part.start as u64;
            let at = At { host: head.host, surface: part.surface, place, spot, offset, maskable: false };
            let Some(finding) = self.inner.judge(hit, at) else { return };
            if finding.disposition == Disposition::CredentialUsed {
                registered.push((hit.start, hit.end));
            }
            findings.push(finding);
        };
        let mut scan = Scan {
            scanner: &self.inner.scanner,
            known: &self.inner.known,
            report: &mut report,
            work: &mut work,
            path: Vec::new(),
        };
        if !text.is_empty() {
            Stream::new(0).feed(&mut scan, &|at| at, &text, true);
        }
        is_clean &= !work.is_exhausted() && !work.is_too_deep;
        if let Some(Known { seen, .. }) = seen.filter(|_| is_clean) {
            let holds_none =
                |bytes: &Range<u64>| !hits.iter().any(|(from, to)| *from <= bytes.end && bytes.start <= *to);
            fresh.into_iter().filter(|(bytes, _)| holds_none(bytes)).for_each(|(_, part)| seen.remember(part));
        }
        is_clean &= hits.is_empty();
        let (in_pieces, are_pieces_clean) = self.scan_pieces(&unseen, seen);
        findings.extend(in_pieces);
        let spelled = self.scan_spelled_head(&unseen, &mut is_clean);
        let is_told =
            |new: &Finding| findings.iter().any(|told| (&told.rule, told.fingerprint) == (&new.rule, new.fingerprint));
        let new: Vec<Finding> = spelled.into_iter().filter(|finding| !is_told(finding)).collect();
        findings.extend(new);
        if self.inner.own {
            findings.extend(self.not_own(head, &parts, &text, &registered));
        }
        let mut told = HashSet::new();
        findings.retain(|finding| told.insert((finding.rule.clone(), finding.fingerprint, finding.place.clone())));
        let surface = if head.trailers { Surface::Trailer } else { Surface::Header };
        for (is_so, what) in [(work.is_exhausted(), special::BOMB), (work.is_too_deep, special::DEPTH)] {
            findings.extend(is_so.then(|| self.inner.unscanned(what, surface, head.host)).flatten());
        }
        is_clean &= findings.is_empty();
        if let Some((seen, halves)) = halves.filter(|_| is_clean && are_pieces_clean) {
            halves.remember(seen);
        }
        Screened { findings, is_clean }
    }

    /// Secrets in pieces: over the segments of the path, the values of the query, the fields; and whether nothing at all
    /// was found.
    fn scan_pieces(&self, head: &HeadView<'_>, known: Option<&Known<'_>>) -> (Vec<Finding>, bool) {
        let mut is_clean = true;
        let decode = |text| Cow::from(percent_encoding::percent_decode(text));
        let segments = || head.path.as_bytes().split(|byte| *byte == b'/').map(decode).collect();
        let query = head.query.unwrap_or_default();
        let values = || parameters(query).map(decode).collect();
        let own = || head.fields.iter().zip(0..).filter(|(field, _)| is_own(field.0)).map(|(field, at)| (at, field.1));
        let seen = |surface, sent: &str| known.and_then(|known| known.seen.part(surface, true, sent.as_bytes()));
        let mut join = |found: (Vec<Finding>, bool)| {
            is_clean &= found.1;
            found.0
        };
        let clean = known.map(|known| known.seen);
        let part = |surface, sent| clean.zip(seen(surface, sent));
        let mut found = join(self.join_pieces(head, Surface::Path, part(Surface::Path, head.path), segments));
        found.extend(join(self.join_pieces(head, Surface::Query, part(Surface::Query, query), values)));
        let all = known.and_then(|known| known.fields.joined(head, known.seen, is_own));
        let fields = || own().map(|(_, value)| Cow::from(value)).collect();
        found.extend(join(self.join_pieces(head, Surface::Header, clean.zip(all), fields)));
        for (place, value) in own() {
            let items = || value.split(|byte| matches!(byte, b',' | b';')).map(item).map(Cow::from).collect();
            if memchr::memchr2(b',', b';', value).is_some() {
                let part = known.and_then(|known| Some(known.seen.items(known.fields.part(head, place)?)));
                found.extend(join(self.join_pieces(head, Surface::Header, clean.zip(part), items)));
            }
        }
        (found, is_clean)
    }

    /// The same over one surface; `known` tells all that its pieces are made of.
    fn join_pieces<'a>(
        &self,
        head: &HeadView<'_>,
        surface: Surface,
        known: Option<(&Clean, seen::Part)>,
        texts: impl FnOnce() -> Vec<Cow<'a, [u8]>>,
    ) -> (Vec<Finding>, bool) {
        if known.is_some_and(|(seen, part)| seen.holds(part)) {
            return (Vec::new(), true);
        }
        let texts = texts();
        let piece = |text: &&[u8]| (2..=LONGEST_PIECE).contains(&text.len());
        let pieces: Vec<&[u8]> = texts.iter().map(AsRef::as_ref).filter(piece).collect();
        let mut is_clean = true;
        let mut found = Vec::new();
        if pieces.len() > 1 {
            let row = Row::of(pieces.iter().copied());
            let may_hold = self.may_hold(&row);
            if may_hold {
                found = self.across(head.host, surface, &pieces, None, "pieces", &mut is_clean);
            }
            found.extend(self.scan_row(head.host, surface, &row, may_hold));
        }
        is_clean &= found.is_empty();
        if let Some((seen, part)) = known.filter(|_| is_clean) {
            seen.remember(part);
        }
        (found, is_clean)
    }

    /// The text with every secret in it replaced, for the journal.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.redact_after("", text)
    }

    /// The same for a text that stands behind `before`: a webhook's path is a secret for the host that it is of.
    #[must_use]
    pub fn redact_after<'a>(&self, before: &str, text: &'a str) -> Cow<'a, str> {
        let whole = [before, text].concat();
        let mut spans: Vec<(usize, usize)> = Vec::new();
        let mut work = Work::new();
        work.given = whole.len() as u64;
        let inside = |at: u64| (at as usize).saturating_sub(before.len());
        let mut report = |hit: &Hit<'_>| spans.push((inside(hit.start), inside(hit.end)));
        let mut scan = Scan {
            scanner: &self.inner.scanner,
            known: &self.inner.known,
            report: &mut report,
            work: &mut work,
            path: Vec::new(),
        };
        Stream::new(0).feed(&mut scan, &|at| at, whole.as_bytes(), true);
        if work.is_exhausted() {
            return Cow::Borrowed("[redacted]");
        }
        if spans.is_empty() {
            return Cow::Borrowed(text);
        }
        spans.sort_unstable();
        let mut out = String::new();
        let mut done = 0;
        for (start, end) in spans {
            if start > done {
                out.push_str(&String::from_utf8_lossy(text.as_bytes().get(done..start).unwrap_or_default()));
            }
            if end > done {
                out.push_str("[redacted]");
                done = end;
            }
        }
        out.push_str(&String::from_utf8_lossy(text.as_bytes().get(done..).unwrap_or_default()));
        Cow::Owned(out)
    }
}

/// What a session sent before that held nothing, and what tells of a head's fields whether they are among it.
struct Known<'a> {
    seen: &'a Clean,
    fields: Fields,
}

/// A head as one text: its parts, each behind a separator that nothing goes over.
#[derive(Default)]
struct Composed<'a> {
    text: Vec<u8>,
    parts: Vec<Part<'a>>,
    /// Those that may be remembered if nothing is found in them, and where they lie.
    fresh: Vec<(Range<u64>, seen::Part)>,
}

impl<'a> Composed<'a> {
    /// Adds a part, unless it was seen.
    fn add(&mut self, known: Option<&Known<'_>>, surface: Surface, pieces: &[&[u8]]) {
        let start = self.push(pieces);
        let bytes = self.text.get(start..).unwrap_or_default();
        let part = known.and_then(|known| Some((known.seen, known.seen.part(surface, false, bytes)?)));
        if part.is_some_and(|(seen, part)| seen.holds(part)) {
            return self.text.truncate(start - 1);
        }
        self.end(start, part.map(|(_, part)| part), surface, None);
    }

    /// Adds a field, which is told by its digest.
    fn add_field(&mut self, known: Option<(&Clean, seen::Part)>, surface: Surface, (name, value): (&'a [u8], &[u8])) {
        if !known.is_some_and(|(seen, part)| seen.holds(part)) {
            let start = self.push(&[name, b": ", value]);
            self.end(start, known.map(|(_, part)| part), surface, Some(name));
        }
    }

    fn push(&mut self, pieces: &[&[u8]]) -> usize {
        self.text.push(SEPARATOR);
        let start = self.text.len();
        pieces.iter().for_each(|piece| self.text.extend_from_slice(piece));
        start
    }

    fn end(&mut self, start: usize, fresh: Option<seen::Part>, surface: Surface, field: Option<&'a [u8]>) {
        self.fresh.extend(fresh.map(|part| (start as u64..self.text.len() as u64, part)));
        self.parts.push(Part { start, last: usize::MAX, surface, field });
    }
}

/// `address` is the host's name where addresses may be credentials.
fn compose<'a>(head: &HeadView<'a>, address: Option<&str>, known: Option<&Known<'_>>) -> Composed<'a> {
    let mut all = Composed { text: Vec::with_capacity(512), ..Composed::default() };
    if !head.trailers {
        if let Some(name) = head.host.as_name() {
            all.add(known, Surface::Host, &[name.as_bytes()]);
            // A label holds 63 bytes: what is longer comes in several (T07).
            let labels: Vec<&[u8]> = name.split('.').map(str::as_bytes).collect();
            if let [labels @ .., _, _] = labels.as_slice()
                && labels.len() > 1
            {
                all.add(known, Surface::Host, labels);
            }
        }
        all.add(known, Surface::Method, &[head.method.as_bytes()]);
        all.add(known, Surface::Path, &[head.path.as_bytes()]);
        if let Some(name) = address {
            let before = all.parts.len();
            all.add(known, Surface::Path, &[name.as_bytes(), head.path.as_bytes()]);
            all.parts.iter_mut().skip(before).for_each(|part| part.last = part.start + name.len());
        }
        if let Some(query) = head.query {
            all.add(known, Surface::Query, &[query.as_bytes()]);
            // A plus is one, or a space as forms write it.
            if query.contains('+') {
                all.add(known, Surface::Query, &[query.replace('+', "%20").as_bytes()]);
            }
        }
    }
    let surface = if head.trailers { Surface::Trailer } else { Surface::Header };
    for (place, (name, value)) in head.fields.iter().enumerate() {
        // The session's own token: the gateway reads and strips it.
        if !name.eq_ignore_ascii_case(b"proxy-authorization") {
            let part = known.and_then(|known| Some((known.seen, known.fields.part(head, place)?)));
            all.add_field(part, surface, (name, value));
        }
    }
    all
}

/// The values of a query's parameters, as sent.
pub(super) fn parameters(query: &str) -> impl Iterator<Item = &[u8]> {
    let value = |parameter: &'_ [u8]| memchr::memchr(b'=', parameter).map_or(0, |equals| equals + 1);
    let parts = query.as_bytes().split(|byte| *byte == b'&');
    parts.map(move |parameter| parameter.get(value(parameter)..).unwrap_or_default())
}

/// The value of an item of a list, or of a cookie.
fn item(text: &[u8]) -> &[u8] {
    let name = text.iter().position(|byte| *byte == b'=').map_or(0, |equals| equals + 1);
    text.get(name..).unwrap_or_default().trim_ascii()
}

/// Where in the head a hit stands, and its name for the record.
fn place<'a>(part: &Part<'a>, before: &'a [u8], value: &'a [u8]) -> (Spot<'a>, Option<Arc<str>>) {
    // A match that begins with its parameter's or its cookie's name: `sig=…` of a signed address.
    let own = |opens: &[u8]| {
        let first = before.last().is_none_or(|byte| opens.contains(byte));
        let equals = memchr::memchr(b'=', value).filter(|at| first && *at < LONGEST_NAME)?;
        std::str::from_utf8(value.get(..equals)?).ok()
    };
    let parameter = |opens: &[u8], equals: u8| {
        let equals = memchr::memrchr(equals, before)?;
        let name = before.get(..equals)?;
        let start = name.iter().rposition(|byte| opens.contains(byte)).map_or(0, |at| at + 1);
        std::str::from_utf8(name.get(start..)?).ok()
    };
    match (part.surface, part.field()) {
        (Surface::Query, _) => match own(b"&?").or_else(|| parameter(b"&?;\n", b'=')) {
            Some(name) => (Spot::Query(name), Some(name.into())),
            None => (Spot::Content, None),
        },
        (Surface::Path, _) => (Spot::Path, None),
        (_, Some(field)) if field.eq_ignore_ascii_case("cookie") => match own(b"; ").or_else(|| parameter(b"; ", b'='))
        {
            Some(name) => (Spot::Cookie(name), Some(field.into())),
            None => (Spot::Header(field), Some(field.into())),
        },
        (_, Some(field)) => (Spot::Header(field), Some(field.into())),
        _ => (Spot::Content, None),
    }
}
