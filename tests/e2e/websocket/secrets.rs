//! What must not leave in a message, whatever it is packed in.

use super::world;
use crate::support::agent::push;
use crate::support::secrets::{anthropic_key, github_token};
use crate::support::websocket::*;
use crate::support::*;
use data_encoding::BASE64;
use flate2::{Compress, Compression, FlushCompress};

const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// An origin that takes what comes, and a world before it.
fn taking(more: &'static str) -> (Origin, World) {
    let origin = Origin::plain().websocket(more, |peer| {
        while let Ok(frame) = peer.frame() {
            push(peer, &server(FIN | TEXT, b"got"));
            if frame.opcode() == CLOSE {
                break;
            }
        }
        Ok(())
    });
    let world = world(&origin);
    (origin, world)
}

/// Closed with 1008, on both sides; no frame but the close frame came through, and the record has the finding.
#[track_caller]
fn assert_stopped(origin: &Origin, world: World, told: (u16, String), secret: &str) {
    assert_eq!(told.0, 1008, "{}", told.1);
    assert!(told.1.starts_with("secret_in_request: rule "), "{}", told.1);
    assert!(!told.1.contains(secret));
    let seen = origin.wait("the end", |seen| seen.iter().all(|seen| seen.ended));
    for seen in &seen {
        let start = seen.bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let mut frames = Wire::new(&seen.bytes[start..]);
        let mut all = Vec::new();
        while let Ok(frame) = frames.frame() {
            if frame.opcode() == CLOSE {
                assert_eq!(frame.closing(), (1008, String::new()));
            } else {
                all.extend_from_slice(&frame.payload);
            }
        }
        let text = String::from_utf8_lossy(&all).into_owned();
        // The shortest piece that would still be worth something.
        for piece in secret.as_bytes().windows(12) {
            assert!(!text.contains(std::str::from_utf8(piece).unwrap()), "{text}");
        }
    }
    let records = world.into_records();
    let record =
        records.iter().find(|record| record.reason() == "secret_in_request").unwrap_or_else(|| panic!("{records:#?}"));
    assert_eq!((record.mode(), record.verdict(), record.number("/status")), ("websocket", "denied", Some(101)));
    let finding = &record["findings"][0];
    assert_eq!((&finding["surface"], &finding["disposition"]), (&"message".into(), &"blocked".into()), "{record:?}");
    assert!(!record.0.to_string().contains(secret));
}

#[track_caller]
fn stops(frames: &[u8], secret: &str) {
    let (origin, world) = taking("");
    let mut wire = open(&world.agent());
    let told = wire.closed_by(frames);
    assert_stopped(&origin, world, told, secret);
}

#[test]
fn a_secret_in_a_message_is_stopped_whatever_the_message_is() {
    let secret = github_token();
    let text = format!("{{\"say\": \"{secret}\"}}");
    let encoded = format!("data: {}", BASE64.encode(format!("the key is {secret} as you know").as_bytes()));
    for (first, payload, key) in [
        (FIN | TEXT, text.as_bytes(), [1, 2, 3, 4]),
        (FIN | BINARY, text.as_bytes(), [0, 0, 0, 0]),
        (FIN | TEXT, text.as_bytes(), [0xff, 0xff, 0xff, 0xff]),
        (FIN | BINARY, text.as_bytes(), [b' ', 0, b' ', 0]),
        (FIN | TEXT, encoded.as_bytes(), [9, 8, 7, 6]),
    ] {
        stops(&masked(first, payload, key), &secret);
    }
}

#[test]
fn a_secret_in_fragments_is_stopped_with_pings_between_them() {
    let secret = github_token();
    let (start, end) = secret.split_at(17);
    stops(&[client(TEXT, start.as_bytes()), client(FIN, end.as_bytes())].concat(), &secret);
    let with_ping =
        [client(TEXT, start.as_bytes()), client(FIN | PING, b"x"), client(0, b""), client(FIN, end.as_bytes())];
    stops(&with_ping.concat(), &secret);
    let bytes: Vec<Vec<u8>> = secret.bytes().map(|byte| client(0, &[byte])).collect();
    stops(&[client(BINARY, b""), bytes.concat(), client(FIN, b"")].concat(), &secret);
}

#[test]
fn a_secret_deep_in_a_large_message_is_stopped() {
    let secret = anthropic_key();
    let words = "words that are of no interest to anyone. ".repeat(8_000);
    stops(&client(FIN | TEXT, format!("{words} {secret} {words}").as_bytes()), &secret);
}

#[test]
fn a_secret_in_a_control_frame_is_stopped() {
    let secret = github_token();
    stops(&client(FIN | PING, secret.as_bytes()), &secret);
    stops(&client(FIN | PONG, format!("key {secret}").as_bytes()), &secret);
    stops(&client(FIN | CLOSE, &close(1000, &secret)), &secret);
}

#[test]
fn a_secret_in_pieces_over_several_messages_is_stopped() {
    let secret = github_token();
    let (start, end) = secret.split_at(20);
    for frames in [
        [client(FIN | TEXT, start.as_bytes()), client(FIN | TEXT, end.as_bytes())],
        [client(FIN | BINARY, start.as_bytes()), client(FIN | PING, end.as_bytes())],
    ] {
        let (origin, world) = taking("");
        let mut wire = open(&world.agent());
        let told = wire.closed_by(&frames.concat());
        assert_eq!(told.0, 1008, "{}", told.1);
        let seen = origin.wait("the end", |seen| seen.iter().all(|seen| seen.ended));
        assert!(!seen.is_empty());
        world.into_records().only("denied", "secret_in_request");
    }
}

/// Deflate as a client does it: one window for all messages.
struct Packer(Compress);

impl Packer {
    fn new() -> Self {
        Self(Compress::new(Compression::default(), false))
    }

    fn pack(&mut self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 100);
        self.0.compress_vec(text, &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - 4);
        out
    }
}

#[track_caller]
fn stops_compressed(frames: &[u8], secret: &str) {
    let (origin, world) = taking(DEFLATE);
    let mut wire = open_with(&world.agent(), DEFLATE);
    let told = wire.closed_by(frames);
    assert_stopped(&origin, world, told, secret);
}

#[test]
fn compressed_messages_are_looked_into_and_arrive_as_they_were_sent() {
    let origin = Origin::plain().websocket_echo(DEFLATE);
    let world = world(&origin);
    let mut wire = open_with(&world.agent(), DEFLATE);
    let mut packer = Packer::new();
    for text in ["hello", "hello again, and again", "hello again, and again", ""] {
        let packed = if text.is_empty() { vec![0] } else { packer.pack(text.as_bytes()) };
        push(&mut wire, &client(FIN | RSV1 | TEXT, &packed));
        assert_eq!(wire.message().unwrap(), (FIN | RSV1 | TEXT, packed));
    }
    let (mut one, two) = (packer.pack(b"in fragments "), packer.pack(&b"of which the first says it ".repeat(9_000)));
    one.extend_from_slice(&[0, 0, 0xff, 0xff]);
    push(&mut wire, &[client(RSV1 | BINARY, &one), client(0, &two[..9]), client(FIN, &two[9..])].concat());
    assert_eq!(wire.message().unwrap(), (RSV1 | BINARY, [one, two].concat()));
    push(&mut wire, &client(FIN | TEXT, b"and one that is not"));
    assert_eq!(wire.message().unwrap(), (FIN | TEXT, b"and one that is not".to_vec()));
}

#[test]
fn a_secret_in_a_compressed_message_is_stopped() {
    let secret = github_token();
    let text = format!("{{\"say\": \"{secret}\"}}");
    let packed = Packer::new().pack(text.as_bytes());
    stops_compressed(&client(FIN | RSV1 | TEXT, &packed), &secret);
    let (start, end) = packed.split_at(packed.len() / 2);
    stops_compressed(&[client(RSV1 | BINARY, start), client(FIN, end)].concat(), &secret);
}

#[test]
fn a_secret_that_is_put_together_in_the_window_is_stopped() {
    let secret = github_token();
    let (start, end) = secret.split_at(12);
    let mut packer = Packer::new();
    // The halves go out first, apart from each other and in words; then a message that only points back at them.
    let halves =
        packer.pack(format!("a list: {end}, then\n\n other things of no interest, then {start} at last").as_bytes());
    let whole = packer.pack(secret.as_bytes());
    assert!(whole.len() < secret.len() / 2, "{}", whole.len());
    let (_origin, world) = taking(DEFLATE);
    let mut wire = open_with(&world.agent(), DEFLATE);
    let frames = [client(FIN | RSV1 | TEXT, &halves), client(FIN | RSV1 | TEXT, &whole)].concat();
    assert_eq!(wire.closed_by(&frames).0, 1008);
    world.into_records().only("denied", "secret_in_request");
}

#[test]
fn compressed_messages_that_are_none_or_bombs_are_stopped() {
    let bomb = Packer::new().pack(&vec![0; 100 << 20]);
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for (payload, code) in [
        (bomb, 1009),
        (vec![0xff; 50], 1007),
        ([&last[..], b"behind the last block"].concat(), 1007),
        (Packer::new().pack(b"\xff not text"), 1007),
    ] {
        let (origin, world) = taking(DEFLATE);
        let mut wire = open_with(&world.agent(), DEFLATE);
        let (told, reason) = wire.closed_by(&client(FIN | RSV1 | TEXT, &payload));
        assert_eq!(told, code, "{reason}");
        let seen = origin.wait("the end", |seen| seen.iter().all(|seen| seen.ended));
        assert!(seen[0].total < 1_000, "{}", seen[0].total);
        assert_eq!(world.into_records()[0].verdict(), "denied");
    }
}

#[test]
fn a_window_that_was_given_up_is_not_remembered() {
    let answer = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n";
    let (_origin, world) = taking(answer);
    let mut wire = open_with(&world.agent(), DEFLATE);
    let mut packer = Packer::new();
    let (one, two) = (packer.pack(b"words that are sent twice"), packer.pack(b"words that are sent twice"));
    push(&mut wire, &client(FIN | RSV1 | TEXT, &one));
    assert_eq!(wire.frame().unwrap().text(), "got");
    assert_eq!(wire.closed_by(&client(FIN | RSV1 | TEXT, &two)).0, 1007);
}

#[test]
fn a_secret_in_the_handshake_is_refused_before_the_origin_hears_of_it() {
    let origin = Origin::plain().websocket_echo("");
    let world = world(&origin);
    let secret = github_token();
    for more in [
        format!("Sec-WebSocket-Protocol: chat, {secret}\r\n"),
        format!("Sec-WebSocket-Protocol: bearer.{secret}\r\n"),
        format!("Sec-WebSocket-Extensions: permessage-deflate; {secret}\r\n"),
        format!("Cookie: a={secret}\r\n"),
    ] {
        assert_refused(&ask(&world.agent(), &more).1, "secret_in_request");
    }
    let url = format!("{URL}?token={secret}");
    let mut wire = world.agent().send(world.agent().head("GET", &url, &asking("")));
    assert_refused(&wire.response_to("GET").unwrap(), "secret_in_request");
    origin.assert_untouched();
}

#[test]
fn a_masked_secret_arrives_masked() {
    let origin = Origin::plain().websocket_echo("");
    let policy = setup::policy_for(&["host: ws.exeat.test"]) + "secrets: {action: mask}";
    let world = World::start(Setup::under(&policy).origin(HOST, &origin));
    let secret = github_token();
    let mut wire = open(&world.agent());
    push(&mut wire, &client(FIN | TEXT, format!("say {secret} now").as_bytes()));
    let (_, payload) = wire.message().unwrap();
    let text = String::from_utf8(payload).unwrap();
    assert_eq!((text.len(), text.contains(&secret)), (secret.len() + 8, false), "{text}");
    assert!(text.starts_with("say ") && text.ends_with(" now"), "{text}");
}

#[test]
fn what_cannot_be_masked_is_stopped() {
    let policy = setup::policy_for(&["host: ws.exeat.test"]) + "secrets: {action: mask}";
    let secret = github_token();
    let packed = Packer::new().pack(format!("say {secret} now").as_bytes());
    for frames in [client(FIN | RSV1 | TEXT, &packed), client(FIN | PING, secret.as_bytes())] {
        let origin = Origin::plain().websocket(DEFLATE, |peer| peer.rest().map(|_| ()));
        let world = World::start(Setup::under(&policy).origin(HOST, &origin));
        let told = open_with(&world.agent(), DEFLATE).closed_by(&frames);
        assert_stopped(&origin, world, told, &secret);
    }
}

#[test]
fn a_credential_that_is_at_home_passes() {
    let origin = Origin::plain().websocket_echo("");
    let policy = setup::policy_for(&["host: ws.exeat.test"])
        + "secrets: {permit: [{rule: github-pat, hosts: [\"ws.exeat.test\"]}]}";
    let world = World::start(Setup::under(&policy).origin(HOST, &origin));
    let text = format!("{{\"token\": \"{}\"}}", github_token());
    let mut wire = open(&world.agent());
    push(&mut wire, &client(FIN | TEXT, text.as_bytes()));
    assert_eq!(wire.message().unwrap().1, text.as_bytes());
    drop(wire);
    let record = &world.into_records()[0];
    assert_eq!(record["findings"][0]["disposition"], "credential_used", "{record:?}");
}
