//! Handshakes, asked for and answered.

use super::super::{Deflate, ExtensionsError, Handshake, HandshakeError};
use crate::http1::{Fields, HeadLimits, RequestHead};
use bytes::BytesMut;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
const ACCEPT: &str =
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

fn fields(text: &str) -> Fields {
    let mut buffer = BytesMut::from(format!("GET / HTTP/1.1\r\n{text}\r\n").as_bytes());
    let length = buffer.len();
    RequestHead::take(&mut buffer, length, &HeadLimits::default()).unwrap().fields
}

fn asked(text: &str) -> Result<Handshake, HandshakeError> {
    Handshake::of_request(&fields(&format!("{KEY}{text}")))
}

fn answered(asked_for: &str, answer: &str) -> Result<Option<Deflate>, HandshakeError> {
    asked(asked_for).unwrap().check_answer(&fields(&format!("{ACCEPT}{answer}")))
}

#[test]
fn the_example_of_rfc_6455_shakes_hands() {
    assert_eq!(answered("", ""), Ok(None));
    assert_eq!(answered("Sec-WebSocket-Protocol: chat, superchat\r\n", "Sec-WebSocket-Protocol: chat\r\n"), Ok(None));
    assert_eq!(
        answered("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n", "Sec-WebSocket-Protocol: b\r\n"),
        Ok(None)
    );
}

#[test]
fn a_request_without_version_or_key_is_none() {
    let of = |text: &str| Handshake::of_request(&fields(text)).err();
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for version in ["", "Sec-WebSocket-Version: 8\r\n", "Sec-WebSocket-Version: 13, 8\r\n"] {
        assert_eq!(of(&format!("{key}{version}")), Some(HandshakeError::Version), "{version}");
    }
    assert_eq!(of(&format!("{KEY}Sec-WebSocket-Version: 13\r\n")), Some(HandshakeError::Version));
    assert_eq!(of(&format!("{KEY}{key}")), Some(HandshakeError::Key));
    for key in
        ["", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZR==", "AAAA", "dGhlIHNhbXBsZSBub25jZQ==AAAA", "a b="]
    {
        let text = format!("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n");
        assert_eq!(of(&text), Some(HandshakeError::Key), "{key}");
    }
    assert_eq!(of("Sec-WebSocket-Version: 13\r\n"), Some(HandshakeError::Key));
    for protocols in ["a, a", "a,,b", "a b", "\"a\"", "", "a;b"] {
        let told = asked(&format!("Sec-WebSocket-Protocol: {protocols}\r\n")).err();
        assert_eq!(told, Some(HandshakeError::Protocols), "{protocols}");
    }
}

#[test]
fn an_answer_that_is_not_to_this_request_is_refused() {
    let check = |answer: &str| asked("Sec-WebSocket-Protocol: chat\r\n").unwrap().check_answer(&fields(answer)).err();
    let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    for (answer, error) in [
        (format!("Connection: Upgrade\r\n{accept}"), HandshakeError::Upgrade),
        (format!("Connection: Upgrade\r\nUpgrade: h2c\r\n{accept}"), HandshakeError::Upgrade),
        (
            format!("Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n{accept}"),
            HandshakeError::Upgrade,
        ),
        (format!("Upgrade: WebSocket\r\n{accept}"), HandshakeError::Connection),
        (format!("Upgrade: websocket\r\nConnection: close\r\n{accept}"), HandshakeError::Connection),
        ("Upgrade: websocket\r\nConnection: Upgrade\r\n".to_owned(), HandshakeError::Accept),
        (format!("{ACCEPT}{accept}"), HandshakeError::Accept),
        (ACCEPT.replace("s3p", "S3p"), HandshakeError::Accept),
        (ACCEPT.replace("xOo=", "xOo"), HandshakeError::Accept),
        (format!("{ACCEPT}Sec-WebSocket-Protocol: Chat\r\n"), HandshakeError::ProtocolNotOffered),
        (format!("{ACCEPT}Sec-WebSocket-Protocol: chat, chat\r\n"), HandshakeError::ProtocolNotOffered),
        (
            format!("{ACCEPT}Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n"),
            HandshakeError::ProtocolNotOffered,
        ),
        (
            format!("{ACCEPT}Sec-WebSocket-Extensions: permessage-deflate\r\n"),
            HandshakeError::Extensions(ExtensionsError::NotOffered),
        ),
    ] {
        assert_eq!(check(&answer), Some(error), "{answer}");
    }
}

#[test]
fn of_the_extensions_only_deflate_is_passed_on_and_only_where_it_is_well_formed() {
    let passed = |value: &str| asked(&format!("Sec-WebSocket-Extensions: {value}\r\n")).unwrap().extensions();
    for (value, expected) in [
        ("permessage-deflate", Some("permessage-deflate")),
        ("permessage-deflate; client_max_window_bits", Some("permessage-deflate; client_max_window_bits")),
        (
            "permessage-deflate;server_max_window_bits=\"10\" ; client_no_context_takeover, Permessage-Deflate",
            Some("permessage-deflate; client_no_context_takeover; server_max_window_bits=10, permessage-deflate"),
        ),
        ("x-webkit-deflate-frame, permessage-bzip2; level=9", None),
        ("foo, permessage-deflate", Some("permessage-deflate")),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=09", None),
        ("permessage-deflate; client_no_context_takeover=1", None),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", None),
        ("permessage-deflate; secret=value", None),
        ("", None),
    ] {
        assert_eq!(passed(value).as_deref(), expected, "{value}");
    }
    for value in ["permessage-deflate;", "; a", "a b", "a; b=", "a; b=\"c, d\"", "a; b=\"", "\u{e9}"] {
        let told = asked(&format!("Sec-WebSocket-Extensions: {value}\r\n")).err();
        assert_eq!(told, Some(HandshakeError::Extensions(ExtensionsError::Malformed)), "{value}");
    }
    let many = "permessage-deflate,".repeat(100);
    assert_eq!(passed(&many).unwrap().matches("permessage-deflate").count(), 8);
}

#[test]
fn an_answer_keeps_within_the_offer() {
    let agreed = |offer: &str, answer: &str| {
        let told = answered(
            &format!("Sec-WebSocket-Extensions: permessage-deflate{offer}\r\n"),
            &format!("Sec-WebSocket-Extensions: permessage-deflate{answer}\r\n"),
        );
        told.map(|deflate| deflate.map(|deflate| (deflate.client_forgets, deflate.server_forgets)))
    };
    let refused = Err(HandshakeError::Extensions(ExtensionsError::NotOffered));
    assert_eq!(agreed("", ""), Ok(Some((false, false))));
    assert_eq!(agreed("", "; client_no_context_takeover; server_no_context_takeover"), Ok(Some((true, true))));
    assert_eq!(agreed("; client_max_window_bits", "; client_max_window_bits=9"), Ok(Some((false, false))));
    assert_eq!(agreed("; client_max_window_bits=10", "; client_max_window_bits=11"), refused);
    assert_eq!(agreed("; client_max_window_bits", "; client_max_window_bits"), refused);
    assert_eq!(agreed("", "; client_max_window_bits=15"), refused);
    assert_eq!(agreed("; server_no_context_takeover", ""), refused);
    assert_eq!(agreed("; server_max_window_bits=10", ""), refused);
    assert_eq!(agreed("; server_max_window_bits=10", "; server_max_window_bits=11"), refused);
    assert_eq!(agreed("; server_max_window_bits=10", "; server_max_window_bits=9"), Ok(Some((false, false))));
    assert_eq!(agreed("", "; server_max_window_bits=9"), Ok(Some((false, false))));
    assert_eq!(agreed("", "; what"), refused);
    assert_eq!(agreed("", ", permessage-deflate"), refused);
    // Any of several offers may be the one that was taken.
    assert_eq!(agreed("; server_max_window_bits=8, permessage-deflate", ""), Ok(Some((false, false))));
}
