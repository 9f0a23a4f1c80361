//! How a connection becomes a WebSocket, and how it does not.

use super::world;
use crate::support::agent::push;
use crate::support::websocket::*;
use crate::support::*;
use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::channel;

#[test]
fn a_websocket_over_plain_http_goes_both_ways() {
    let origin = Origin::plain().websocket_echo("Sec-WebSocket-Protocol: chat\r\nSet-Cookie: a=b\r\n");
    let world = world(&origin);
    let (mut wire, response) = ask(&world.agent(), "Sec-WebSocket-Protocol: talk, chat\r\nX-Own: 1\r\n");
    assert_eq!(response.status, 101);
    for (name, value) in [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-accept", &accept(KEY)),
        ("sec-websocket-protocol", "chat"),
        ("set-cookie", "a=b"),
    ] {
        assert_eq!(response.all(name), [value], "{response:?}");
    }
    for (first, payload) in [(FIN | TEXT, "héllo"), (FIN | BINARY, "\u{0}\u{1}"), (FIN | TEXT, "")] {
        push(&mut wire, &client(first, payload.as_bytes()));
        let frame = wire.frame().unwrap();
        assert_eq!((frame.first, frame.text().as_str(), frame.is_masked), (first, payload, false));
    }
    push(&mut wire, &client(FIN | CLOSE, &close(1000, "bye")));
    assert_eq!(wire.frame().unwrap().closing(), (1000, "bye".to_owned()));
    assert!(wire.is_ended());
    let request = origin.only_request();
    for (name, value) in [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-key", KEY),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "talk, chat"),
        ("x-own", "1"),
        ("host", HOST),
    ] {
        assert_eq!(request.all(name), [value], "{request:?}");
    }
    assert_eq!(request.field("proxy-authorization"), None);
    let records = world.into_records();
    let record = &records[0];
    assert_eq!((record.mode(), record.verdict(), record.number("/status")), ("websocket", "allowed", Some(101)));
    assert_eq!((record.number("/messages/up"), record.number("/messages/down")), (Some(3), Some(3)));
    assert_eq!((record.number("/bytes/up").unwrap() > 20, record.number("/bytes/down").unwrap() > 20), (true, true));
    assert_eq!(records.len(), 1);
}

#[test]
fn a_websocket_inside_interception_goes_both_ways() {
    let origin = Origin::tls().websocket_echo("");
    let world = world(&origin);
    let mut wire = world.agent().https(HOST);
    let head = format!("GET /chat?x=1 HTTP/1.1\r\nHost: {HOST}\r\n{}\r\n", asking(""));
    push(&mut wire, head.as_bytes());
    assert_eq!(wire.response_to("GET").unwrap().status, 101);
    let large = vec![b'x'; 300_000];
    push(&mut wire, &client(FIN | TEXT, b"hello"));
    assert_eq!(wire.message().unwrap(), (FIN | TEXT, b"hello".to_vec()));
    push(&mut wire, &client(FIN | BINARY, &large));
    let (first, payload) = wire.message().unwrap();
    assert_eq!((first & 15, payload.len()), (BINARY, large.len()));
    push(&mut wire, &client(FIN | CLOSE, b""));
    assert_eq!(wire.frame().unwrap().first, FIN | CLOSE);
    drop(wire);
    let records = world.into_records();
    let request = records.requests()[0];
    assert_eq!((request.mode(), request.verdict(), request.number("/messages/up")), ("websocket", "allowed", Some(2)));
    assert_eq!(request.text("/parent"), Some(records.tunnels()[0].flow()));
}

#[test]
fn a_handshake_that_is_none_is_refused_before_the_origin_hears_of_it() {
    let origin = Origin::plain().websocket_echo("");
    let world = world(&origin);
    let agent = world.agent();
    let whole = asking("");
    for fields in [
        whole.replace("13", "8"),
        whole.replace("Sec-WebSocket-Version: 13\r\n", ""),
        whole.replace(KEY, "c2hvcnQ="),
        whole.replace(&format!("Sec-WebSocket-Key: {KEY}\r\n"), ""),
        whole.replace("Connection: Upgrade\r\n", ""),
        whole.replace("Connection: Upgrade", "Connection: keep-alive"),
        format!("{whole}Sec-WebSocket-Key: {KEY}\r\n"),
        format!("{whole}Sec-WebSocket-Protocol: a, a\r\n"),
        format!("{whole}Sec-WebSocket-Protocol: a b\r\n"),
        format!("{whole}Sec-WebSocket-Extensions: ;\r\n"),
        format!("{whole}Expect: 100-continue\r\n"),
        format!("{whole}Content-Length: 1\r\n"),
    ] {
        let mut wire = agent.send(agent.head("GET", URL, &fields));
        assert_refused(&wire.response_to("GET").unwrap(), "bad_websocket");
    }
    assert_refused(&agent.request("POST", URL, &whole, b""), "bad_websocket");
    let old = agent.head("GET", URL, &whole).replace("HTTP/1.1", "HTTP/1.0");
    assert_refused(&agent.send(old).response_to("GET").unwrap(), "bad_websocket");
    let (_, response) = agent.connect("ws.exeat.test:443", &whole);
    assert_refused(&response, "bad_websocket");
    origin.assert_untouched();
}

#[test]
fn an_answer_that_does_not_fit_the_handshake_is_no_websocket() {
    let right = switching(KEY, "");
    for (answer, detail) in [
        (right.replace(&accept(KEY), &accept("AAAAAAAAAAAAAAAAAAAAAA==")), "Sec-WebSocket-Accept"),
        (right.replace("Sec-WebSocket-Accept", "X-Accept"), "Sec-WebSocket-Accept"),
        (right.replace("Upgrade: websocket", "Upgrade: h2c"), "Upgrade"),
        (right.replace("Connection: Upgrade", "Connection: close"), "Connection"),
        (switching(KEY, "Sec-WebSocket-Protocol: other\r\n"), "subprotocol"),
        (switching(KEY, "Sec-WebSocket-Extensions: permessage-deflate\r\n"), "extension"),
        (switching(KEY, "Sec-WebSocket-Extensions: x-own\r\n"), "extension"),
    ] {
        let origin = Origin::plain().answer(answer.clone() + "\u{1}\u{2}never seen");
        let world = world(&origin);
        let (_, response) = ask(&world.agent(), "Sec-WebSocket-Protocol: chat\r\n");
        let problem = assert_failed(&response, "bad_upstream_response");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
        let records = world.into_records();
        assert_eq!((records[0].verdict(), records.len()), ("failed", 1));
    }
}

/// Envoy CVE-2024-23326, Pingora CVE-2026-2833: nothing follows a handshake before its 101.
#[test]
fn frames_before_the_101_go_nowhere() {
    let origin = Origin::plain().websocket_echo("");
    let world = world(&origin);
    let agent = world.agent();
    let head = agent.head("GET", URL, &asking("")).into_bytes();
    let mut wire = agent.send([head, client(FIN | TEXT, b"early")].concat());
    let problem = assert_refused(&wire.response_to("GET").unwrap(), "bad_websocket");
    assert!(problem["detail"].as_str().unwrap().contains("before"), "{problem}");
    origin.assert_untouched();
}

#[test]
fn frames_that_come_while_the_101_is_waited_for_go_nowhere() {
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::plain().raw(move |peer| {
        peer.request_head()?;
        wait.lock().unwrap().recv_timeout(DEADLINE).unwrap();
        peer.write_all(switching(KEY, "").as_bytes())?;
        peer.rest().map(|rest| assert!(rest.is_empty(), "{rest:?}"))
    });
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.send(agent.head("GET", URL, &asking("")));
    origin.wait("the request", |seen| seen.iter().any(|seen| seen.bytes.ends_with(b"\r\n\r\n")));
    push(&mut wire, &client(FIN | TEXT, b"early"));
    go.send(()).unwrap();
    assert_refused(&wire.response_to("GET").unwrap(), "bad_websocket");
    let seen = origin.wait("the end", |seen| seen.iter().all(|seen| seen.ended));
    assert_eq!(seen[0].fault, None);
}

#[test]
fn an_answer_other_than_101_is_an_answer() {
    let origin = Origin::plain().http(|request| match request.target.as_str() {
        "/chat" => Reply::status(401).with("WWW-Authenticate", "Basic").body("who are you"),
        _ => Reply::ok("next"),
    });
    let world = world(&origin);
    let agent = world.agent();
    let (mut wire, response) = ask(&agent, "");
    assert_eq!((response.status, response.text().as_str()), (401, "who are you"));
    push(&mut wire, agent.head("GET", "http://ws.exeat.test/next", "").as_bytes());
    assert_eq!(wire.response_to("GET").unwrap().text(), "next");
    assert_eq!(origin.connections().len(), 2, "who overlooks an upgrade may have done half of it");
}

#[test]
fn a_websocket_is_judged_like_any_request() {
    let origin = Origin::plain().websocket_echo("");
    let policy = setup::policy_for(&["host: ws.exeat.test, methods: [GET], paths: [\"/open/**\"]"]);
    let world = World::start(Setup::under(&policy).origin("**.exeat.test", &origin));
    assert_refused(&ask(&world.agent(), "").1, "request_not_listed");
    let head = world.agent().head("GET", "http://evil.exeat.test/", &asking(""));
    assert_refused(&world.agent().send(head).response_to("GET").unwrap(), "dest_not_listed");
    let mut wire = world.stranger().send(format!("GET {URL} HTTP/1.1\r\nHost: {HOST}\r\n{}\r\n", asking("")));
    assert_refused(&wire.response_to("GET").unwrap(), "proxy_auth_required");
    origin.assert_never_contacted();
}

#[test]
fn only_extensions_that_can_be_looked_into_are_offered() {
    let origin = Origin::plain().websocket_echo("");
    let world = world(&origin);
    let offer = "Sec-WebSocket-Extensions: x-own, permessage-deflate; client_max_window_bits\r\n\
        Sec-WebSocket-Extensions: bbf-usp-protocol; eid=\"x\"\r\n";
    drop(open_with(&world.agent(), offer));
    let request = origin.only_request();
    assert_eq!(request.all("sec-websocket-extensions"), ["permessage-deflate; client_max_window_bits"]);
}
