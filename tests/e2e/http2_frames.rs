//! HTTP/2 frames that no library would send: smuggling and floods.

use crate::http2::{HOST, downgraded, echo, world};
use crate::support::frames::*;
use crate::support::*;

/// TLS with HTTP/2 agreed on, and the preface sent.
fn raw(world: &World) -> Wire<Tls> {
    let mut tls = agree(world, HOST);
    agent::push(&mut tls, &[PREFACE, &frame(SETTINGS, 0, 0, b"")].concat());
    tls
}

/// The head of a request for the host.
fn request(method: &str, more: &[(&str, &[u8])]) -> Vec<u8> {
    request_block(HOST, method, more)
}

/// Reads frames until one is wanted or the connection ends.
fn until(tls: &mut Wire<Tls>, wanted: impl Fn(u8, u32) -> bool) -> Option<(u8, Vec<u8>)> {
    use std::io::Read;
    loop {
        let mut head = [0; 9];
        tls.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        tls.read_exact(&mut payload).ok()?;
        if wanted(head[3], stream) {
            return Some((head[3], payload));
        }
    }
}

#[test]
fn what_would_smuggle_a_request_into_http1_never_leaves() {
    let old = Origin::tls().echo();
    let cases = [
        ("a line break in a value", vec![("x-a", &b"b\r\nGET /evil HTTP/1.1"[..])], &b""[..]),
        ("a zero in a value", vec![("x-a", b"b\0c")], b""),
        ("a line break in a name", vec![("x-a\r\nx-b", b"c")], b""),
        ("a space in a name", vec![("x a", b"c")], b""),
        ("a colon in a name", vec![("x:a", b"c")], b""),
        ("upper case in a name", vec![("X-A", b"c")], b""),
        ("blanks around a value", vec![("x-a", b" b")], b""),
        ("a Transfer-Encoding", vec![("transfer-encoding", b"chunked")], b"0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n"),
        ("a Connection", vec![("connection", b"x-a"), ("x-a", b"b")], b""),
        ("an Upgrade", vec![("upgrade", b"h2c")], b""),
        ("a Keep-Alive", vec![("keep-alive", b"1")], b""),
        ("another TE", vec![("te", b"gzip")], b""),
        ("a length that the body exceeds", vec![("content-length", b"1")], b"GET /evil HTTP/1.1\r\n\r\n"),
        ("a length that the body lacks", vec![("content-length", b"100")], b"short"),
        ("two lengths", vec![("content-length", b"5"), ("content-length", b"6")], b"short"),
        ("a length with a sign", vec![("content-length", b"+5")], b"short"),
        ("a pseudo field after others", vec![("x-a", b"b"), (":path", b"/evil")], b""),
        ("two paths", vec![(":path", b"/evil")], b""),
        ("an unknown pseudo field", vec![(":evil", b"1")], b""),
    ];
    let cases = cases.into_iter().map(|(what, fields, body)| (what, request("POST", &fields), body)).collect();
    assert_none_leaves(&old, cases);
}

#[test]
fn pseudo_fields_that_would_be_more_than_a_request_line_never_leave() {
    let old = Origin::tls().echo();
    let pseudo = |name: &str, value: &'static [u8]| {
        let usual: [(&str, &[u8]); 4] =
            [(":method", b"POST"), (":scheme", b"https"), (":authority", HOST.as_bytes()), (":path", b"/")];
        block(&usual.map(|(own, usually)| (own, if own == name { value } else { usually })))
    };
    let cases = vec![
        ("a request in the path", pseudo(":path", b"/a HTTP/1.1\r\nHost: d\r\n\r\nGET /evil"), &b""[..]),
        ("a space in the path", pseudo(":path", b"/a b"), b""),
        ("another host in the path", pseudo(":path", b"https://evil.exeat.test/"), b""),
        ("a path without a slash", pseudo(":path", b"evil"), b""),
        ("a request in the method", pseudo(":method", b"GET /evil HTTP/1.1\r\nX:"), b""),
        ("a space in the method", pseudo(":method", b"GET /evil"), b""),
        ("a line break in the authority", pseudo(":authority", b"h2.exeat.test\r\nX: y"), b""),
        ("userinfo in the authority", pseudo(":authority", b"a@h2.exeat.test"), b""),
        ("two authorities", request("POST", &[(":authority", b"evil.exeat.test")]), b""),
        ("an authority that Host denies", request("POST", &[("host", b"evil.exeat.test")]), b""),
        ("a line break in the scheme", pseudo(":scheme", b"https\r\nX: y"), b""),
        ("another scheme", pseudo(":scheme", b"http"), b""),
    ];
    assert_none_leaves(&old, cases);
}

/// Each is a POST's header block and its body; all are refused or reset, and the origin never hears of one.
#[track_caller]
fn assert_none_leaves(old: &Origin, cases: Vec<(&str, Vec<u8>, &[u8])>) {
    let (_world, _agent, connections) = downgraded(old, |world| cases.iter().map(|_| raw(world)).collect::<Vec<_>>());
    let before = old.requests().len();
    for ((what, block, body), mut tls) in cases.into_iter().zip(connections) {
        let end = if body.is_empty() { END_STREAM } else { 0 };
        let mut bytes = frame(HEADERS, END_HEADERS | end, 1, &block);
        if !body.is_empty() {
            bytes.extend(frame(DATA, END_STREAM, 1, body));
        }
        agent::push(&mut tls, &bytes);
        let answer =
            until(&mut tls, |kind, stream| kind == GOAWAY || stream == 1 && matches!(kind, HEADERS | RST_STREAM));
        // A refusal or a reset of the stream, or the connection's end: whatever it is, the origin saw no request.
        assert!(
            answer.is_none_or(|(kind, payload)| kind != HEADERS || payload.first() != Some(&0x88)),
            "{what} passed"
        );
        assert_eq!(old.requests().len(), before, "{what} reached the origin");
    }
    old.assert_one_reading();
}

#[test]
fn floods_of_frames_end_their_connection_and_nothing_else() {
    let origin = echo();
    let world = world(&origin);
    let witness = Http2Agent::to(&world, HOST);
    assert_eq!(witness.get("/").status, 200);
    let get = request("GET", &[]);
    let rapid_reset = |number: u32| {
        let stream = number * 2 + 1;
        let cancel = frame(RST_STREAM, 0, stream, &8u32.to_be_bytes());
        [frame(HEADERS, END_HEADERS | END_STREAM, stream, &get), cancel].concat()
    };
    let large = [&[0x40, 3][..], b"x-a", &[126], &[b'a'; 126]].concat();
    let references = |number: u32| {
        // One field in the dynamic table, and then thousands of names for it.
        let bomb = if number == 0 { large.clone() } else { vec![0x80 | 62; 4000] };
        frame(HEADERS, END_HEADERS | END_STREAM, number * 2 + 1, &[&get[..], &bomb].concat())
    };
    // Streams that the gateway itself has to reset (MadeYouReset, CVE-2025-8671).
    let made_to_reset = |number: u32| {
        let head = frame(HEADERS, END_HEADERS, number * 2 + 1, &request("POST", &[]));
        [head, frame(WINDOW_UPDATE, 0, number * 2 + 1, &[0; 4])].concat()
    };
    let no_window = |number: u32| {
        let settings = if number == 0 { frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]) } else { Vec::new() };
        [settings, frame(HEADERS, END_HEADERS | END_STREAM, number * 2 + 1, &get)].concat()
    };
    let start = |number: u32| if number == 0 { frame(HEADERS, END_STREAM, 1, &get) } else { Vec::new() };
    let continuations =
        |number: u32| [start(number), frame(CONTINUATION, 0, 1, &block(&[("x-a", &[b'a'; 100])]))].concat();
    let empty_continuations = |number: u32| [start(number), frame(CONTINUATION, 0, 1, b"")].concat();
    let pings = |_| frame(PING, 0, 0, &[7; 8]);
    let settings = |_| frame(SETTINGS, 0, 0, b"");
    let empty_data = |number: u32| {
        let head = if number == 0 { frame(HEADERS, END_HEADERS, 1, &request("POST", &[])) } else { Vec::new() };
        [head, frame(DATA, 0, 1, b"")].concat()
    };
    type Flood<'a> = (&'a str, &'a dyn Fn(u32) -> Vec<u8>, u32);
    let floods: [Flood<'_>; 9] = [
        ("HPACK references", &references, 2_000),
        ("streams that must be reset", &made_to_reset, 20_000),
        ("answers without a window", &no_window, 5_000),
        ("rapid reset", &rapid_reset, 20_000),
        ("CONTINUATION", &continuations, 20_000),
        ("empty CONTINUATION", &empty_continuations, 100_000),
        ("PING", &pings, 200_000),
        ("SETTINGS", &settings, 200_000),
        ("empty DATA", &empty_data, 200_000),
    ];
    let before = resident(world.pid());
    for (what, flood, count) in floods {
        use std::io::Write;
        let mut tls = raw(&world);
        for batch in 0..count.div_ceil(500) {
            let bytes: Vec<u8> = (batch * 500..(batch + 1) * 500).flat_map(flood).collect();
            // Nothing of what comes back is read: answers must not pile up either.
            if tls.write_all(&bytes).and_then(|()| tls.flush()).is_err() {
                break;
            }
        }
        assert_eq!(witness.get("/").status, 200, "{what} took the others down");
        let grown = resident(world.pid()).saturating_sub(before);
        assert!(grown < 64 << 20, "{what} left {grown} bytes more");
    }
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}
