//! Everything of a request but its body, scanned in one go: host labels, path, query, fields.

use super::finding::{Disposition, Finding, Surface};
use super::guard::{At, Guard};
use super::home::Spot;
use super::memory::is_own;
use super::settings::special;
use super::stream::{Hit, SEPARATOR, Scan, Stream, Work};
use crate::net::Host;
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

/// Longer values are no pieces of a secret.
const LONGEST_PIECE: usize = 256;

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
    pub(super) field: Option<&'a str>,
}

impl Guard {
    /// Scans a head. Any finding that is [`Blocked`](super::Disposition::Blocked) stops the request.
    #[must_use]
    pub fn scan_head(&self, head: &HeadView<'_>) -> Vec<Finding> {
        let name = head.host.as_name().filter(|name| self.inner.scanner.has_addresses_at(name));
        let (text, parts) = compose(head, name);
        let (mut findings, mut registered): (Vec<Finding>, Vec<(u64, u64)>) = Default::default();
        let mut work = Work::new();
        work.given = text.len() as u64;
        let mut report = |hit: &Hit<'_>| {
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
        Stream::new(0).feed(&mut scan, &|at| at, &text, true);
        findings.extend(self.scan_pieces(head));
        if self.inner.own {
            findings.extend(self.not_own(head, &parts, &text, &registered));
        }
        let mut told = HashSet::new();
        findings.retain(|finding| told.insert((finding.rule.clone(), finding.fingerprint, finding.place.clone())));
        let surface = if head.trailers { Surface::Trailer } else { Surface::Header };
        for (is_so, what) in [(work.is_exhausted(), special::BOMB), (work.is_too_deep, special::DEPTH)] {
            findings.extend(is_so.then(|| self.inner.unscanned(what, surface, head.host)).flatten());
        }
        findings
    }

    /// Secrets in pieces: over the segments of the path, the values of the query, the fields.
    fn scan_pieces(&self, head: &HeadView<'_>) -> Vec<Finding> {
        let decode = |text| Cow::from(percent_encoding::percent_decode_str(text));
        let value = |parameter: &'_ str| parameter.find('=').map_or(0, |at| at + 1);
        let parameters = head.query.unwrap_or_default().split('&');
        let segments: Vec<_> = head.path.split('/').map(decode).collect();
        let values: Vec<_> = parameters.map(|text| decode(text.get(value(text)..).unwrap_or_default())).collect();
        let fields: Vec<_> = head.fields.iter().filter(|field| is_own(field.0)).map(|field| field.1.into()).collect();
        let mut found = Vec::new();
        for (surface, texts) in [(Surface::Path, segments), (Surface::Query, values), (Surface::Header, fields)] {
            let piece = |text: &&[u8]| (2..=LONGEST_PIECE).contains(&text.len());
            let pieces: Vec<&[u8]> = texts.iter().map(AsRef::as_ref).filter(piece).collect();
            if pieces.len() > 1 {
                found.extend(self.across(head.host, surface, &pieces, None, "pieces"));
            }
        }
        found
    }

    /// The text with every secret in it replaced, for the journal.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut spans: Vec<(usize, usize)> = Vec::new();
        let mut work = Work::new();
        work.given = text.len() as u64;
        let mut report = |hit: &Hit<'_>| spans.push((hit.start as usize, hit.end as usize));
        let mut scan = Scan {
            scanner: &self.inner.scanner,
            known: &self.inner.known,
            report: &mut report,
            work: &mut work,
            path: Vec::new(),
        };
        Stream::new(0).feed(&mut scan, &|at| at, text.as_bytes(), true);
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

/// `address` is the host's name where addresses may be credentials.
fn compose<'a>(head: &HeadView<'a>, address: Option<&str>) -> (Vec<u8>, Vec<Part<'a>>) {
    let mut text = Vec::with_capacity(2048);
    let mut parts = Vec::with_capacity(head.fields.len() + 5);
    let mut part = |text: &mut Vec<u8>, surface, field| {
        text.push(SEPARATOR);
        parts.push(Part { start: text.len(), last: usize::MAX, surface, field });
        parts.len() - 1
    };
    let mut addressed = None;
    if !head.trailers {
        if let Some(name) = head.host.as_name() {
            part(&mut text, Surface::Host, None);
            text.extend_from_slice(name.as_bytes());
            // A label holds 63 bytes: what is longer comes in several (T07).
            let labels: Vec<&str> = name.split('.').collect();
            if let [first, second, .., _, _] = labels.as_slice() {
                part(&mut text, Surface::Host, None);
                let rest = labels.iter().skip(2).take(labels.len() - 4);
                [first, second].into_iter().chain(rest).for_each(|label| text.extend_from_slice(label.as_bytes()));
            }
        }
        part(&mut text, Surface::Method, None);
        text.extend_from_slice(head.method.as_bytes());
        part(&mut text, Surface::Path, None);
        text.extend_from_slice(head.path.as_bytes());
        if let Some(name) = address {
            addressed = Some((part(&mut text, Surface::Path, None), text.len() + name.len()));
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(head.path.as_bytes());
        }
        if let Some(query) = head.query {
            part(&mut text, Surface::Query, None);
            text.extend_from_slice(query.as_bytes());
            // A plus is one, or a space as forms write it.
            if query.contains('+') {
                part(&mut text, Surface::Query, None);
                text.extend_from_slice(query.replace('+', "%20").as_bytes());
            }
        }
    }
    let surface = if head.trailers { Surface::Trailer } else { Surface::Header };
    for (name, value) in head.fields {
        // The session's own token: the gateway reads and strips it.
        if name.eq_ignore_ascii_case(b"proxy-authorization") {
            continue;
        }
        part(&mut text, surface, std::str::from_utf8(name).ok());
        text.extend_from_slice(name);
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
    }
    if let Some((part, last)) = addressed.and_then(|(number, last)| Some((parts.get_mut(number)?, last))) {
        part.last = last;
    }
    (text, parts)
}

/// Where in the head a hit stands, and its name for the record.
fn place<'a>(part: &Part<'a>, before: &'a [u8], value: &'a [u8]) -> (Spot<'a>, Option<Arc<str>>) {
    // A match that begins with its parameter's name: `sig=…` of a signed address.
    let own = || {
        let first = before.last().is_none_or(|byte| matches!(byte, b'&' | b'?'));
        let equals = memchr::memchr(b'=', value).filter(|at| first && *at < 32)?;
        std::str::from_utf8(value.get(..equals)?).ok()
    };
    let parameter = |opens: &[u8], equals: u8| {
        let equals = memchr::memrchr(equals, before)?;
        let name = before.get(..equals)?;
        let start = name.iter().rposition(|byte| opens.contains(byte)).map_or(0, |at| at + 1);
        std::str::from_utf8(name.get(start..)?).ok()
    };
    match (part.surface, part.field) {
        (Surface::Query, _) => match own().or_else(|| parameter(b"&?;\n", b'=')) {
            Some(name) => (Spot::Query(name), Some(name.into())),
            None => (Spot::Content, None),
        },
        (Surface::Path, _) => (Spot::Path, None),
        (_, Some(field)) if field.eq_ignore_ascii_case("cookie") => match parameter(b"; ", b'=') {
            Some(name) => (Spot::Cookie(name), Some(field.into())),
            None => (Spot::Header(field), Some(field.into())),
        },
        (_, Some(field)) => (Spot::Header(field), Some(field.into())),
        _ => (Spot::Content, None),
    }
}
