//! A body's scan holds no more memory however long the body is.
#![allow(unsafe_code)] // an allocator that counts can't be written otherwise
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use exeat::net::Host;
use exeat::secrets::{Action, BodyContext, FingerprintKey, Guard, Scanner, Settings};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write as _;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

/// Counts what this thread holds.
struct Counting;

fn count(change: isize) {
    let now = NOW.get() + change;
    NOW.set(now);
    MOST.set(MOST.get().max(now));
}

// SAFETY: everything is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CHUNK: usize = 16 * 1024;

/// The most that a scan held while `times` pieces went through it, beside the chunk itself.
fn most_held(
    content_encoding: Option<&str>,
    content_type: Option<&str>,
    pieces: impl Iterator<Item = Vec<u8>>,
) -> usize {
    let settings = Settings { action: Action::Observe, ..Settings::default() };
    let guard = Guard::new(Scanner::builtin().unwrap(), settings, FingerprintKey::new(&[7; 32])).unwrap();
    let host = Host::parse(b"evil.example").unwrap();
    let context = BodyContext {
        host: &host,
        method: "POST",
        path: "/",
        content_type: content_type.map(str::as_bytes),
        content_encoding: content_encoding.map(str::as_bytes),
    };
    let mut most = 0;
    let mut scan = guard.body(&context);
    for piece in pieces {
        for chunk in piece.chunks(CHUNK) {
            let chunk = Bytes::copy_from_slice(chunk);
            let before = NOW.get();
            MOST.set(before);
            scan.push(chunk).unwrap();
            while scan.released().is_some() {}
            most = most.max(MOST.get() - before);
        }
    }
    let start = NOW.get();
    drop(scan);
    (start - NOW.get() + most) as usize
}

/// Text that looks like nothing and is never the same.
fn text(number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut seed = number as u64 + 1;
    while out.len() < 64 << 10 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let _ = writeln!(out, "{{\"id\": {}, \"name\": \"some words {}\"}},", seed >> 40, seed >> 58);
    }
    out
}

/// Compressed text, piece by piece.
fn packed(write: impl Fn(&[u8]) -> Vec<u8>, count: usize) -> impl Iterator<Item = Vec<u8>> {
    let whole: Vec<u8> = (0..count).flat_map(text).collect();
    std::iter::once(write(&whole))
}

#[test]
fn a_scan_holds_half_a_mebibyte_at_most_however_long_the_body_is() {
    const PIECES: usize = 128;
    const LIMIT: usize = 512 << 10;
    let base64 = |number: usize| data_encoding::BASE64.encode(&text(number)).into_bytes();
    let gzip = |bytes: &[u8]| {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    };
    let part = |number: usize| {
        [b"\r\n--q\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n".to_vec(), text(number)].concat()
    };
    let json = Some("application/json");
    let held = [
        ("plain", most_held(None, json, (0..PIECES).map(text))),
        ("base64", most_held(None, json, (0..PIECES).map(base64))),
        ("multipart", most_held(None, Some("multipart/form-data"), (0..PIECES).map(part))),
        ("gzip", most_held(Some("gzip"), json, packed(gzip, PIECES))),
        ("gzip undeclared", most_held(None, None, packed(gzip, PIECES))),
        ("gzip in gzip", most_held(Some("gzip"), None, packed(|bytes| gzip(&gzip(bytes)), PIECES))),
        (
            "gzip in base64",
            most_held(None, json, packed(|bytes| data_encoding::BASE64.encode(&gzip(bytes)).into_bytes(), PIECES)),
        ),
    ];
    assert!(held.iter().all(|(_, most)| *most <= LIMIT), "{held:?}");
}

#[test]
fn zstd_holds_what_its_window_needs_and_no_more() {
    const WINDOW: usize = 8 << 20;
    for level in [3, 19] {
        let most = most_held(Some("zstd"), None, packed(|bytes| zstd::encode_all(bytes, level).unwrap(), 64));
        assert!(most <= WINDOW + (512 << 10), "{level} {most}");
    }
}

#[test]
fn a_scan_that_waits_for_more_holds_a_little_of_what_it_has_seen() {
    const LIMIT: isize = 16 << 10;
    let guard = Guard::new(Scanner::builtin().unwrap(), Settings::default(), FingerprintKey::new(&[7; 32])).unwrap();
    let host = Host::parse(b"evil.example").unwrap();
    let json = Some(&b"application/json"[..]);
    let context = BodyContext { host: &host, method: "POST", path: "/", content_type: json, content_encoding: None };
    let (before, mut scan) = (NOW.get(), guard.body(&context));
    for number in 0..4 {
        scan.push(Bytes::from(text(number))).unwrap();
        while scan.released().is_some() {}
        let at_work = NOW.get() - before;
        scan.rest();
        let at_rest = NOW.get() - before;
        assert!(at_rest < LIMIT, "{at_rest} of {at_work}");
    }
}
