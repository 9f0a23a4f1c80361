//! What the fuzz targets do, so that a plain test replays their seeds: each takes any bytes and panics only where
//! something is wrong.

use super::decode::inflate::{Coding, Inflate};
use super::decode::{base32, base64, escape, gates, hex, numbers, spelled};
use super::{
    Action, BodyContext, BodyScan, Catalogue, Finding, FingerprintKey, Guard, HeadView, Scanner, SessionMemory,
    Settings,
};
use crate::net::Host;
use bytes::Bytes;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

static GUARD: LazyLock<Option<Guard>> = LazyLock::new(|| {
    let settings = Settings { action: Action::Observe, ..Settings::default() };
    Guard::new(Scanner::builtin().ok()?, settings, FingerprintKey::new(&[7; 32])).ok()
});

/// What a fuzzer's bytes are given to; it panics where something is wrong.
pub type Target = fn(&[u8]);

/// A target's name and what it does.
pub const TARGETS: [(&str, Target); 9] = [
    ("scan_stream", scan_stream),
    ("runs", runs),
    ("numbers", lists),
    ("escapes", escapes),
    ("inflate", inflate),
    ("pack", pack),
    ("head", head),
    ("catalogue", catalogue),
    ("jwt", jwt),
];

/// What a body is said to be.
const TYPES: [Option<&[u8]>; 4] = [
    None,
    Some(b"application/json"),
    Some(b"application/x-www-form-urlencoded"),
    Some(b"multipart/form-data; boundary=q"),
];

/// A body's findings and what flowed on, cut behind every `size` bytes; nothing if it was stopped.
fn scanned(mut scan: BodyScan, body: &[u8], size: usize) -> Option<(Vec<Finding>, Vec<u8>)> {
    let mut out = Vec::new();
    for chunk in body.chunks(size.max(1)) {
        scan.push(Bytes::copy_from_slice(chunk)).ok()?;
        while let Some(bytes) = scan.released() {
            out.extend_from_slice(&bytes);
        }
    }
    scan.finish().ok()?;
    while let Some(bytes) = scan.released() {
        out.extend_from_slice(&bytes);
    }
    let mut findings = scan.take_findings();
    findings.sort_by(|a, b| (a.offset, &a.rule, &a.decoded).cmp(&(b.offset, &b.rule, &b.decoded)));
    Some((findings, out))
}

/// A body whole and cut behind every `size` bytes: nothing of that may show.
fn same_however_cut(begin: impl Fn(usize) -> BodyScan, body: &[u8], size: usize) {
    let (whole, cut) = (scanned(begin(0), body, body.len()), scanned(begin(1), body, size));
    if let (Some(whole), Some(cut)) = (whole, cut) {
        assert!(whole.1 == body && cut.1 == body, "what flows on is not what came");
        // More findings than are told come in another order.
        assert!(whole.0.len() > 60 || whole.0 == cut.0, "{:?}\n{:?}", whole.0, cut.0);
    }
}

/// The first byte says how the rest is cut, the second what it claims to be: nothing of that may show.
pub fn scan_stream(data: &[u8]) {
    let [size, kind, body @ ..] = data else { return };
    let (Some(guard), Ok(host)) = (GUARD.as_ref(), Host::parse(b"evil.example")) else { return };
    let content_type = TYPES[usize::from(kind % 4)];
    let context = BodyContext { host: &host, method: "POST", path: "/", content_type, content_encoding: None };
    same_however_cut(|_| guard.body(&context), body, usize::from(*size));
}

/// Requests of one session, zero bytes between them: the first byte says how their bodies are cut, each one's first
/// what it is. What is remembered of a body must not show how it came. The clock is the caller's.
pub fn session(data: &[u8], now: Instant) {
    let [size, requests @ ..] = data else { return };
    let (Some(guard), Ok(host)) = (GUARD.as_ref(), Host::parse(b"evil.example")) else { return };
    let memories = [(); 2].map(|()| Arc::new(SessionMemory::new()));
    for request in requests.split(|byte| *byte == 0) {
        let [kind, text @ ..] = request else { continue };
        if let Some(content_type) = TYPES.get(usize::from(kind % 6)).copied() {
            let context = BodyContext { host: &host, method: "POST", path: "/", content_type, content_encoding: None };
            let begin = |memory: usize| guard.body(&context).in_session(memories[memory].clone(), now);
            same_however_cut(begin, text, usize::from(*size));
            continue;
        }
        let text = String::from_utf8_lossy(text);
        let (path, field) = text.split_once('\n').unwrap_or((&text, ""));
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let fields = [(&b"x-field"[..], field.as_bytes())];
        let view = HeadView { host: &host, method: "GET", path, query, fields: &fields, trailers: false };
        let [first, second] = [0, 1].map(|memory| guard.screen_head(&view, &memories[memory], now));
        assert_eq!(first.findings, second.findings);
    }
}

/// What is decoded stands inside what it came from.
pub fn runs(data: &[u8]) {
    let mut inside = |start: usize, bytes: &[u8]| assert!(start < data.len() && bytes.len() <= data.len());
    base64::streaks(data, &mut |streak| assert!(streak.start < streak.end && streak.end <= data.len()));
    hex::streaks(data, &mut inside);
    base32::streaks(data, &mut inside);
    let mut out = Vec::new();
    base64::decode(data, &mut out);
    base32::decode_all(data, &mut out);
    hex::decode_all(data, &mut out);
}

/// Numbers stand one behind the other.
pub fn lists(data: &[u8]) {
    let mut check = |places: &[u32], bytes: &[u8]| {
        assert!(places.len() == bytes.len() + 1 && places.is_sorted(), "{places:?}");
        assert!(places.last().is_some_and(|end| *end as usize <= data.len()));
    };
    numbers::streaks(data, numbers::STREAK, &mut check);
    if let Some((places, bytes)) = numbers::file(data) {
        check(&places, &bytes);
    }
    spelled::streaks(data, numbers::STREAK, &mut |start, bytes| {
        assert!(bytes.len() >= numbers::STREAK && start + bytes.len() <= data.len());
    });
}

/// An escape ends within the text, and what is complete doesn't ask for more.
pub fn escapes(data: &[u8]) {
    let mut at = 0;
    while let Some(rest) = data.get(at..).filter(|rest| !rest.is_empty()) {
        at += match escape::unit(rest, true) {
            escape::Unit::Escape { length, .. } => length,
            escape::Unit::Plain => 1,
            escape::Unit::More => unreachable!("the text is complete"),
        };
    }
    assert!(at <= data.len());
    for at in 0..data.len() {
        let gate = gates::gate_at(data, at, true);
        assert!(gate.is_none() || data.get(at).is_some_and(|byte| escape::may_begin(*byte)));
    }
}

/// However compressed bytes are cut, the same comes out of them.
pub fn inflate(data: &[u8]) {
    const MOST: usize = 1 << 20;
    let [kind, size, body @ ..] = data else { return };
    let codings = [Coding::Gzip, Coding::Zlib, Coding::Deflate, Coding::HttpDeflate, Coding::Zstd, Coding::Brotli];
    let Some(&coding) = codings.get(usize::from(kind % 6)) else { return };
    let inflated = |size: usize| {
        let (mut out, mut held) = (Vec::new(), Vec::new());
        let Ok(mut inflate) = Inflate::new(coding) else { return out };
        for chunk in body.chunks(size.max(1)) {
            held.extend_from_slice(chunk);
            while let Ok(step) = inflate.step(&held, &mut out) {
                let idle = step.read == 0 && out.len() % 4096 == 0;
                held.drain(..step.read);
                if step.ended || out.len() > MOST {
                    return out;
                }
                if idle || held.is_empty() {
                    break;
                }
            }
        }
        out
    };
    assert!(inflated(usize::from(*size)).len() <= MOST + (64 << 10));
}

/// A git pack of anything.
pub fn pack(data: &[u8]) {
    let [size, objects @ ..] = data else { return };
    scan_stream(&[&[*size, 0][..], b"PACK\0\0\0\x02\0\0\0\x03", objects].concat());
}

/// A head of anything: a line each for the path, the query and the fields' values.
pub fn head(data: &[u8]) {
    let (Some(guard), Ok(host)) = (GUARD.as_ref(), Host::parse(b"evil.example")) else { return };
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let (path, query) = (lines.next().unwrap_or("/"), lines.next());
    let fields: Vec<(&[u8], &[u8])> = lines.map(|line| (&b"x-field"[..], line.as_bytes())).collect();
    let view = HeadView { host: &host, method: "GET", path, query, fields: &fields, trailers: false };
    let findings = guard.scan_head(&view);
    assert_eq!(findings, guard.scan_head(&view));
    let shown = guard.redact(&text);
    assert!(shown.len() <= text.len().saturating_mul(10) + 16);
}

/// A catalogue of a user's own.
pub fn catalogue(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut catalogue = Catalogue::default();
    if catalogue.add("fuzz.yaml", text).is_ok() {
        let _ = Scanner::new(catalogue);
    }
}

/// A token whose parts are anything, where tokens stand: its claims are read, and what is shown of it is bounded.
pub fn jwt(data: &[u8]) {
    let text = String::from_utf8_lossy(data).replace(['\r', '\n'], ".");
    head(format!("/\n\nBearer {text}").as_bytes());
    if let Some(claims) = super::rules::checksum::jwt_claims(data) {
        assert!(claims.to_string().len() <= data.len() * 8 + 64);
    }
}
