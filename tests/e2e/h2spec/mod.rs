//! h2spec's list of cases (github.com/summerwind/h2spec, 2.6), held against the side that agents speak to: by the section
//! of RFC 7540 or RFC 7541 that each is about. RFC 9113 is what counts where it says otherwise.

mod generic;
mod hpack;
mod messages;
mod sections;
mod states;

use crate::support::frames::*;
use crate::support::*;
use std::io::{ErrorKind, Read};

const HOST: &str = "h2.exeat.test";

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;

/// What the client does, one after the other.
enum Step {
    Send(Vec<u8>),
    /// Waits until an answer on stream 1 is over.
    End,
    /// Waits for the head of an answer on stream 1.
    Head,
    /// Waits for a piece of an answer of so many bytes on stream 1.
    Piece(usize),
}

/// What the gateway may do about it.
enum Expect {
    /// The connection ends: GOAWAY with one of these codes, or just so.
    Connection(&'static [u32]),
    /// The stream ends with one of these codes, or the connection as above.
    Stream(&'static [u32]),
    /// The same, where the library says PROTOCOL_ERROR for what the RFC has this narrower code for.
    Coarse(u32),
    /// A malformed request: as a stream's PROTOCOL_ERROR, or answered with 400 (RFC 9113 §8.1.1).
    Malformed,
    /// The request on stream 1 is answered with 200.
    Answered,
    /// Nothing is wrong: a PING is answered.
    Pong,
    /// The next piece of the answer on stream 1 has so many bytes.
    Data(usize),
    /// The gateway's SETTINGS are followed by its acknowledgement of ours.
    SettingsAck,
}

struct Case {
    what: &'static str,
    preface: &'static [u8],
    steps: Vec<Step>,
    expect: Expect,
}

fn case(what: &'static str, bytes: Vec<u8>, expect: Expect) -> Case {
    steps(what, vec![Step::Send(bytes)], expect)
}

fn steps(what: &'static str, steps: Vec<Step>, expect: Expect) -> Case {
    Case { what, preface: PREFACE, steps, expect }
}

/// A whole request on this stream.
fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", &[]))
}

/// The head of a request on this stream, whose body is to come.
fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &head("POST", &[]))
}

fn head(method: &str, more: &[(&str, &[u8])]) -> Vec<u8> {
    request_block(HOST, method, more)
}

fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

/// A dependency on a stream and a weight (RFC 7540 §6.3).
fn priority(on: u32, weight: u8) -> Vec<u8> {
    [&on.to_be_bytes()[..], &[weight]].concat()
}

fn ping(payload: &[u8; 8]) -> Vec<u8> {
    frame(PING, 0, 0, payload)
}

/// What came from the gateway.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Frame { kind: u8, flags: u8, stream: u32, payload: Vec<u8> },
    Closed,
}

fn next(tls: &mut Wire<Tls>, what: &str) -> Came {
    let mut read = |buffer: &mut [u8]| match tls.read_exact(buffer) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => panic!("{what}: nothing"),
        read => read.is_ok(),
    };
    let mut head = [0; 9];
    if !read(&mut head) {
        return Came::Closed;
    }
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    if !read(&mut payload) {
        return Came::Closed;
    }
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Came::Frame { kind: head[3], flags: head[4], stream, payload }
}

fn code(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[payload.len().min(4)..][..4].try_into().unwrap())
}

/// Reads until a frame of stream 1 is wanted.
fn wait(tls: &mut Wire<Tls>, what: &str, wanted: impl Fn(u8, u8, &[u8]) -> bool) {
    loop {
        match next(tls, what) {
            Came::Frame { kind, flags, stream: 1, payload } if wanted(kind, flags, &payload) => return,
            Came::Frame { kind: GOAWAY, .. } | Came::Closed => panic!("{what}: it ended before the case began"),
            Came::Frame { .. } => {}
        }
    }
}

/// Reads on until it is clear what the gateway made of it, and says so where that may not be.
fn judge(tls: &mut Wire<Tls>, what: &str, expect: &Expect) -> Result<(), String> {
    loop {
        let came = next(tls, what);
        let fault = |stream: &[u32], connection: &[u32]| match &came {
            Came::Closed => Some(Ok(())),
            Came::Frame { kind: GOAWAY, payload, .. } if connection.contains(&code(payload)) => Some(Ok(())),
            Came::Frame { kind: RST_STREAM, payload, .. } => {
                let code = u32::from_be_bytes(payload[..4].try_into().unwrap());
                Some(if stream.contains(&code) { Ok(()) } else { Err(format!("the stream was reset: {code}")) })
            }
            Came::Frame { kind: GOAWAY, payload, .. } => Some(Err(format!("GOAWAY: {}", code(payload)))),
            Came::Frame { .. } => None,
        };
        let done = match (expect, &came) {
            (Expect::Connection(codes), Came::Frame { kind: RST_STREAM, .. }) if !codes.is_empty() => None,
            (Expect::Connection(codes), _) => fault(&[], codes),
            (Expect::Stream(codes), _) => fault(codes, codes),
            (Expect::Coarse(code), _) => fault(&[*code, PROTOCOL_ERROR], &[*code, PROTOCOL_ERROR]),
            (Expect::Malformed, Came::Frame { kind: HEADERS, payload, .. }) => {
                Some(if payload[0] == 0x8c { Ok(()) } else { Err("answered".into()) })
            }
            (Expect::Malformed, _) => fault(&[PROTOCOL_ERROR], &[PROTOCOL_ERROR]),
            (Expect::Answered, Came::Frame { kind: HEADERS, stream: 1, payload, .. }) => {
                Some(if payload[0] == 0x88 { Ok(()) } else { Err("refused".into()) })
            }
            (Expect::Data(length), Came::Frame { kind: DATA, stream: 1, payload, .. }) => {
                Some(if payload.len() == *length { Ok(()) } else { Err(format!("{} bytes", payload.len())) })
            }
            (Expect::Pong, Came::Frame { kind: PING, flags: ACK, payload, .. }) => {
                Some(if payload == b"sentinel" { Ok(()) } else { Err("another PING's answer".into()) })
            }
            (Expect::SettingsAck, Came::Frame { kind: SETTINGS, flags: ACK, .. }) => Some(Ok(())),
            _ => fault(&[], &[]).map(|fault| fault.and(Err("the connection ended".into()))),
        };
        if let Some(done) = done {
            return done;
        }
    }
}

/// Tries all of them, and tells all that fail.
#[track_caller]
fn hold(section: &str, cases: Vec<Case>) {
    let origin = Http2Origin::answering(|got| Said::ok(if got.method == "HEAD" { "" } else { "hello\n" }));
    let world = World::start(Setup::new().connect("**", &origin.address.to_string()));
    let mut failed = Vec::new();
    for Case { what, preface, steps, expect } in cases {
        let mut tls = agree(&world, HOST);
        agent::push(&mut tls, preface);
        if preface == PREFACE {
            agent::push(&mut tls, &frame(SETTINGS, 0, 0, b""));
        }
        for step in steps {
            match step {
                Step::Send(bytes) => agent::push(&mut tls, &bytes),
                Step::End => wait(&mut tls, what, |_, flags, _| flags & END_STREAM != 0),
                Step::Head => wait(&mut tls, what, |kind, _, _| kind == HEADERS),
                Step::Piece(length) => wait(&mut tls, what, |kind, _, payload| kind == DATA && payload.len() == length),
            }
        }
        if matches!(expect, Expect::Pong) {
            agent::push(&mut tls, &ping(b"sentinel"));
        }
        if let Err(fault) = judge(&mut tls, what, &expect) {
            failed.push(format!("{what}: {fault}"));
        }
    }
    assert!(failed.is_empty(), "{section}: {failed:#?}");
    // Whatever they did to their own connections, the gateway serves others.
    assert_eq!(Http2Agent::to(&world, HOST).get("/").status, 200);
}
