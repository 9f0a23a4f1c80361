//! gRPC messages: each goes on when it is complete, and none with a secret in it.

use super::*;
use std::io::Write as _;
use std::time::Instant;

fn messages(coding: &[u8]) -> Messages {
    let session = (Arc::new(SessionMemory::new()), Instant::now());
    guard(Settings::default()).messages(&host("evil.example"), coding, session)
}

fn framed(flags: u8, message: &[u8]) -> Vec<u8> {
    [&[flags], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn drained(scan: &mut Messages) -> Vec<u8> {
    std::iter::from_fn(|| scan.released()).flatten().collect()
}

#[test]
fn a_message_goes_on_when_it_is_complete() {
    for (flags, message) in [(0, b"\x0a\x05hello".to_vec()), (1, gzip(b"hello")), (0, vec![]), (0, vec![b'x'; 9000])] {
        let mut scan = messages(b"gzip");
        for _ in 0..2 {
            scan.push(framed(flags, &message).into()).unwrap();
            assert_eq!(drained(&mut scan), framed(flags, &message));
        }
        scan.finish().unwrap();
        assert!(drained(&mut scan).is_empty() && scan.take_findings().is_empty());
    }
}

#[test]
fn a_secret_in_any_message_stops_it_however_the_body_is_cut() {
    for (flags, message) in [(0, PAT.as_bytes().to_vec()), (1, gzip(PAT.as_bytes()))] {
        let before = framed(0, b"\x0a\x05hello");
        let body = [before.clone(), framed(flags, &message)].concat();
        let mut told = Vec::new();
        for size in [1, 2, 3, 7, 1000] {
            let mut scan = messages(b"gzip");
            let mut out = Vec::new();
            let stopped = body.chunks(size).find_map(|chunk| {
                let pushed = scan.push(Bytes::copy_from_slice(chunk));
                out.extend(drained(&mut scan));
                pushed.err()
            });
            let stopped = stopped.or_else(|| scan.finish().err());
            assert_eq!(stopped, Some(Stopped { reason: crate::reason::Reason::SecretInRequest }));
            let length = before.len();
            assert_eq!(out[..length], before);
            assert!(out.len() <= length + 5, "a byte of the message has left");
            told.push(scan.take_findings());
        }
        assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:#?}");
        assert_eq!((told[0].len(), told[0][0].offset), (1, before.len() as u64 + 5));
    }
}

#[test]
fn a_message_in_an_unknown_coding_or_in_none_that_was_named_goes_nowhere() {
    for coding in [&b"snappy"[..], b""] {
        let mut scan = messages(coding);
        let stopped = scan.push(framed(1, b"\xff\x06\0\0sNaPpY").into()).and_then(|()| scan.finish());
        assert_eq!(stopped, Err(Stopped { reason: crate::reason::Reason::BodyNotInspectable }));
    }
}

#[test]
fn a_message_that_is_cut_is_looked_into_as_far_as_it_goes() {
    let mut scan = messages(b"");
    let mut cut = framed(0, PAT.as_bytes());
    cut[4] += 100;
    assert!(scan.push(cut.into()).and_then(|()| scan.finish()).is_err());
    let mut short = messages(b"");
    short.push(Bytes::from_static(b"\0\0")).unwrap();
    short.finish().unwrap();
    assert_eq!(drained(&mut short), b"\0\0");
}
