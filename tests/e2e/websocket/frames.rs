//! Frames that are not what RFC 6455 says, from either side.

use super::world;
use crate::support::agent::push;
use crate::support::websocket::*;
use crate::support::*;

/// What a client may not send, and the code that it is closed with.
fn violations() -> Vec<(&'static str, Vec<u8>, u16)> {
    let oversized = client(FIN | PING, &[b'x'; 126]);
    let message = |text: &[u8]| client(FIN | TEXT, text);
    vec![
        ("no mask", server(FIN | TEXT, b"hello"), 1002),
        ("RSV1 without an extension", client(FIN | RSV1 | TEXT, b"hello"), 1002),
        ("RSV2", client(FIN | 0x20 | TEXT, b"hello"), 1002),
        ("RSV3", client(FIN | 0x10 | BINARY, b"hello"), 1002),
        ("RSV1 on a ping", client(FIN | RSV1 | PING, b""), 1002),
        ("opcode 3", client(FIN | 3, b"hello"), 1002),
        ("opcode 15", client(FIN | 15, b""), 1002),
        ("a control frame of 126 bytes", oversized, 1002),
        ("a fragmented ping", client(PING, b"hello"), 1002),
        ("a continuation of nothing", client(FIN, b"hello"), 1002),
        ("a message in a message", [client(TEXT, b"a"), message(b"b")].concat(), 1002),
        ("a length of two bytes where one does", vec![0x82, 0xfe, 0, 5, 1, 2, 3, 4], 1002),
        ("a length of eight bytes where two do", vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 1, 0, 1, 2, 3, 4], 1002),
        ("a length over 2^63", vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4], 1002),
        ("text that is not UTF-8", message(b"a\xff"), 1007),
        ("text that ends in a character", message(b"a\xc3"), 1007),
        ("fragments that are not UTF-8", [client(TEXT, b"\xc3"), client(FIN, b"\x28")].concat(), 1007),
        ("a surrogate", message(b"\xed\xa0\x80"), 1007),
        ("half a close code", client(FIN | CLOSE, b"\x03"), 1002),
        ("close code 1005", client(FIN | CLOSE, &close(1005, "")), 1002),
        ("close code 999", client(FIN | CLOSE, &close(999, "")), 1002),
        ("close code 65535", client(FIN | CLOSE, &close(65_535, "")), 1002),
        ("a close reason that is not UTF-8", client(FIN | CLOSE, b"\x03\xe8\xff"), 1007),
    ]
}

#[test]
fn a_client_that_breaks_the_protocol_is_closed_and_the_origin_sees_none_of_it() {
    let origin = Origin::plain().websocket("", |peer| {
        let frame = peer.frame()?;
        assert_eq!(frame.opcode(), CLOSE, "{frame:?}");
        Ok(())
    });
    let world = world(&origin);
    for (what, frames, code) in violations() {
        let mut wire = open(&world.agent());
        let (told, reason) = wire.closed_by(&frames);
        assert_eq!(told, code, "{what}: {reason}");
        assert!(reason.starts_with("bad_websocket: "), "{what}: {reason}");
        assert!(wire.is_ended(), "{what}");
    }
    let count = violations().len();
    let seen = origin.wait("all ends", |seen| seen.len() == count && seen.iter().all(|seen| seen.ended));
    assert!(seen.iter().all(|seen| seen.fault.is_none()), "{seen:#?}");
    let records = world.into_records();
    assert_eq!(records.len(), count);
    for record in records.iter() {
        assert_eq!((record.mode(), record.verdict(), record.reason()), ("websocket", "denied", "bad_websocket"));
        assert_eq!(record.number("/status"), Some(101), "{record:?}");
    }
}

#[test]
fn an_origin_that_breaks_the_protocol_is_closed_and_its_client_told() {
    for (bytes, code) in [
        (client(FIN | TEXT, b"masked"), 1002),
        (server(FIN | RSV1 | TEXT, b"hello"), 1002),
        (server(PING, b""), 1002),
        (server(FIN | TEXT, b"\xff"), 1007),
        (server(FIN | CLOSE, &close(1006, "")), 1002),
        (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), 1002),
    ] {
        let origin = Origin::plain().websocket("", move |peer| {
            push(peer, &bytes);
            let frame = peer.frame()?;
            assert!(frame.is_masked && frame.opcode() == CLOSE, "{frame:?}");
            Ok(())
        });
        let world = world(&origin);
        let (told, reason) = open(&world.agent()).closed_by(b"");
        assert_eq!(told, code, "{reason}");
        let seen = origin.wait("the end", |seen| seen.iter().all(|seen| seen.ended));
        assert_eq!(seen[0].fault, None);
        let records = world.into_records();
        assert_eq!((records[0].verdict(), records[0].reason()), ("failed", "bad_upstream_response"));
    }
}

#[test]
fn pings_pass_between_the_fragments_of_a_message_and_both_arrive() {
    let origin = Origin::plain().websocket_echo("");
    let world = world(&origin);
    let mut wire = open(&world.agent());
    push(&mut wire, &client(TEXT, b"one "));
    push(&mut wire, &client(FIN | PING, b"alive?"));
    let pong = wire.frame().unwrap();
    assert_eq!((pong.first, pong.text().as_str()), (FIN | PONG, "alive?"));
    push(&mut wire, &client(CONTINUATION, b""));
    push(&mut wire, &client(FIN | PONG, b"by myself"));
    push(&mut wire, &client(FIN | CONTINUATION, b"two"));
    assert_eq!(wire.message().unwrap(), (TEXT, b"one two".to_vec()));
}

#[test]
fn frames_keep_their_bounds_however_they_come() {
    let origin = Origin::plain().websocket_echo("");
    let world = world(&origin);
    let mut wire = open(&world.agent());
    let sent = [(TEXT, "first ".repeat(9_000)), (CONTINUATION, "second".into()), (FIN | CONTINUATION, String::new())];
    let bytes: Vec<u8> = sent.iter().flat_map(|(first, text)| client(*first, text.as_bytes())).collect();
    bytes.chunks(1_000).for_each(|piece| push(&mut wire, piece));
    for (first, text) in sent {
        let frame = wire.frame().unwrap();
        assert_eq!((frame.first, frame.text()), (first, text));
    }
    // Every length around the forms that a length has.
    for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
        push(&mut wire, &client(FIN | BINARY, &vec![7; length]));
        assert_eq!(wire.message().unwrap().1.len(), length);
    }
}

#[test]
fn a_flood_of_pings_ends_the_connection() {
    let origin = Origin::plain().websocket("", |peer| peer.rest().map(|_| ()));
    let world = world(&origin);
    let mut wire = open(&world.agent());
    let (code, reason) = wire.closed_by(&client(FIN | PING, b"").repeat(5_000));
    assert_eq!(code, 1008, "{reason}");
}

#[test]
fn a_message_of_64_mib_takes_no_more_memory_than_a_small_one() {
    let origin = Origin::plain().websocket("", |peer| {
        let mut all = 0;
        loop {
            let frame = peer.frame()?;
            all += frame.payload.len();
            if frame.first & FIN != 0 {
                push(peer, &server(FIN | TEXT, all.to_string().as_bytes()));
                return Ok(());
            }
        }
    });
    let world = world(&origin);
    let mut wire = open(&world.agent());
    let megabytes = 64_u64;
    // One frame, whose length is told first and whose bytes come then.
    let mut head = vec![FIN | BINARY, 0xff];
    head.extend_from_slice(&(megabytes << 20).to_be_bytes());
    head.extend_from_slice(&[0; 4]);
    push(&mut wire, &head);
    let mut words = "these are words that nobody minds; ".repeat(30_000).into_bytes();
    words.truncate(1 << 20);
    for _ in 0..megabytes {
        push(&mut wire, &words);
    }
    assert_eq!(wire.frame().unwrap().text(), (megabytes << 20).to_string());
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().to_owned();
    let peak: u64 = peak.split(' ').next().unwrap().parse().unwrap();
    assert!(peak < 200 << 10, "{peak} KiB");
}
