//! Secrets in bodies: whatever the type, the framing, the encoding and the place.

use crate::secrets::{Case, URL};
use crate::support::agent::push;
use crate::support::*;
use data_encoding::{BASE64, HEXLOWER};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

#[test]
fn a_token_in_a_body_is_stopped_whatever_its_type() {
    let case = Case::start();
    let agent = case.world.agent();
    for kind in
        ["text/plain", "application/json", "application/octet-stream", "image/png", "multipart/form-data; boundary=b"]
    {
        let body = format!("before {} after", case.token);
        let fields = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        case.assert_stopped(&agent.request("POST", URL, &fields, body.as_bytes()));
    }
    case.assert_stopped(&agent.post(URL, case.token.as_bytes()));
}

#[test]
fn a_body_of_two_types_is_refused() {
    let case = Case::start();
    let agent = case.world.agent();
    for (one, other) in [("text/plain", "multipart/form-data; boundary=q"), ("text/plain", "text/plain")] {
        let fields = format!("Content-Length: 2\r\nContent-Type: {one}\r\ncontent-type: {other}\r\n");
        let mut wire = agent.send(agent.head("POST", URL, &fields));
        push(&mut wire, b"{}");
        assert_eq!(assert_refused(&wire.response_to("POST").unwrap(), "bad_request")["status"], 400);
    }
    assert!(case.origin.requests().is_empty());
}

#[test]
fn a_token_at_the_end_of_a_large_body_does_not_leave() {
    let case = Case::start();
    let mut body = "nothing to see here, only words. ".repeat(20_000).into_bytes();
    body.extend_from_slice(case.token.as_bytes());
    let agent = case.world.agent();
    let mut wire = agent.send(agent.head("POST", URL, &format!("Content-Length: {}\r\n", body.len())));
    push(&mut wire, &body);
    // The head may have gone up by then: the answer tells, or the connection ends.
    if let Ok(response) = wire.response_to("POST") {
        assert_refused(&response, "secret_in_request");
    }
    case.assert_kept();
    assert_eq!(case.world.records(1)[0].reason(), "secret_in_request");
}

#[test]
fn a_token_split_over_chunks_does_not_leave_wherever_it_is_split() {
    let case = Case::start();
    let body = format!("{{\"content\": \"before {} after\"}}", case.token);
    for size in 1..=40 {
        case.assert_stopped(&case.chunked(size, body.as_bytes()));
    }
}

/// Chunks are framed anew, so that nothing beside their data goes on.
#[test]
fn a_token_in_a_chunk_extension_does_not_leave() {
    let case = Case::start();
    let agent = case.world.agent();
    let mut wire = agent.send(agent.head("POST", URL, "Transfer-Encoding: chunked\r\n"));
    push(&mut wire, format!("5;k={0}\r\nhello\r\n0;k=\"{0}\"\r\n\r\n", case.token).as_bytes());
    assert_eq!(wire.response_to("POST").unwrap().status, 200);
    assert!(!String::from_utf8_lossy(&case.origin.bytes()).contains(&case.token[4..]));
    assert_eq!(case.origin.only_request().text(), "hello");
}

#[test]
fn a_token_that_straddles_the_buffers_edges_does_not_leave() {
    let case = Case::start();
    for edge in [4096, 8192, 16_384, 65_536, 1 << 20] {
        for before in [1, 20, 39] {
            let mut body = vec![b' '; edge - before];
            body.extend_from_slice(case.token.as_bytes());
            body.extend_from_slice(&[b' '; 100]);
            let agent = case.world.agent();
            let mut wire = agent.send(agent.head("POST", URL, &format!("Content-Length: {}\r\n", body.len())));
            push(&mut wire, &body);
            if let Ok(response) = wire.response_to("POST") {
                assert_refused(&response, "secret_in_request");
            }
            case.assert_kept();
        }
    }
}

#[test]
fn a_json_escaped_token_in_a_body_is_stopped() {
    let case = Case::start();
    let escaped: String = case.token.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let half: String = format!("\\u{:04x}{}", case.token.as_bytes()[0], &case.token[1..]);
    for text in [escaped, half] {
        let body = format!("{{\"a\": \"{text}\"}}");
        let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        case.assert_stopped(&case.world.agent().request("POST", URL, &fields, body.as_bytes()));
    }
}

#[test]
fn an_encoded_token_in_a_body_is_stopped() {
    let case = Case::start();
    for prefix in ["", "a", "ab"] {
        let text = format!("{prefix}{} and more", case.token);
        for form in [BASE64.encode(text.as_bytes()), HEXLOWER.encode(text.as_bytes())] {
            case.assert_stopped(&case.world.agent().post(URL, format!("data={form}").as_bytes()));
        }
    }
}

#[test]
fn a_token_in_utf_16_is_stopped() {
    let case = Case::start();
    let body: Vec<u8> = format!("words {} words", case.token).encode_utf16().flat_map(u16::to_le_bytes).collect();
    case.assert_stopped(&case.world.agent().post(URL, &body));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_token_in_a_gzip_body_is_stopped() {
    let case = Case::start();
    let body = gzip(format!("before {} after", case.token).as_bytes());
    let fields = format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n", body.len());
    case.assert_stopped(&case.world.agent().request("POST", URL, &fields, &body));
}

#[test]
fn a_token_in_a_second_gzip_member_is_stopped() {
    let case = Case::start();
    let body = [gzip(b"harmless"), gzip(case.token.as_bytes())].concat();
    let fields = format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n", body.len());
    case.assert_stopped(&case.world.agent().request("POST", URL, &fields, &body));
}

#[test]
fn a_harmless_gzip_body_passes_byte_for_byte() {
    let case = Case::start();
    let body = gzip(&b"only words ".repeat(1000));
    let fields = format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n", body.len());
    assert_eq!(case.world.agent().request("POST", URL, &fields, &body).status, 200);
    assert!(case.origin.only_request().body == body);
}

#[test]
fn a_body_that_cannot_be_looked_into_is_refused() {
    let case = Case::start();
    for coding in ["x-secret", "compress", "gzip, x-secret", "aes128gcm"] {
        let fields = format!("Content-Encoding: {coding}\r\nContent-Length: 5\r\n");
        assert_refused(&case.world.agent().request("POST", URL, &fields, b"hello"), "body_not_inspectable");
    }
    let fields = "Content-Encoding: gzip\r\nContent-Length: 5\r\n";
    assert_refused(&case.world.agent().request("POST", URL, fields, b"hello"), "body_not_inspectable");
    assert!(case.origin.requests().is_empty());
}

#[test]
fn a_bomb_in_a_body_is_refused() {
    let case = Case::start();
    let body = gzip(&vec![0; 100 << 20]);
    let fields = format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n", body.len());
    let agent = case.world.agent();
    let mut wire = agent.send([agent.head("POST", URL, &fields).as_bytes(), &body].concat());
    if let Ok(response) = wire.response_to("POST") {
        assert_refused(&response, "inflate_limit");
    }
    assert_eq!(case.world.records(1)[0].reason(), "inflate_limit");
    assert!(case.origin.requests().is_empty());
}

#[test]
fn a_token_in_a_trailer_does_not_leave() {
    let case = Case::start();
    let body = format!("5\r\nhello\r\n0\r\nX-Sum: {}\r\n\r\n", case.token);
    let agent = case.world.agent();
    let fields = "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n";
    let mut wire = agent.send(agent.head("POST", URL, fields) + &body);
    let _ = wire.response_to("POST");
    let bytes = String::from_utf8(case.origin.bytes()).unwrap();
    assert!(!bytes.contains(&case.token[..10]), "{bytes}");
    let finding = case.world.records(1)[0].0.pointer("/findings/0").cloned();
    assert!(finding.is_some_and(|finding| finding["surface"] == "trailer"));
}
