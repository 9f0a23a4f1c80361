//! Plain HTTP in absolute form: what goes up and comes down is what was sent, but for what is the proxy's.

use crate::support::agent::{finish, push};
use crate::support::message::Framing;
use crate::support::*;
use std::io::Write;

const HOST: &str = "plain.exeat.test";

pub fn world(origin: &Origin) -> World {
    World::start(Setup::new().origin(HOST, origin))
}

pub fn url(path: &str) -> String {
    format!("http://{HOST}{path}")
}

#[test]
fn a_get_reaches_the_origin_in_origin_form() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let response = world.agent().get(&url("/a/b?c=d"));
    assert_eq!((response.status, response.text().as_str()), (200, "GET /a/b?c=d\n"));
    let request = origin.only_request();
    assert_eq!((request.target.as_str(), request.version.as_str()), ("/a/b?c=d", "HTTP/1.1"));
    assert_eq!(request.field("host"), Some(HOST));
    origin.assert_one_reading();
    let record = world.into_records().only("allowed", "(none)").clone();
    assert_eq!((record.mode(), record.host(), record.number("/status")), ("forward", HOST, Some(200)));
    assert_eq!(record.text("/target/method"), Some("GET"));
    assert_eq!(record.text("/session/id"), Some("dev"));
}

#[test]
fn a_url_without_a_path_asks_for_the_root() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    assert_eq!(world.agent().get(&format!("http://{HOST}")).text(), "GET /\n");
}

#[test]
fn a_host_in_upper_case_with_a_dot_at_the_end_is_one_host() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    assert_eq!(world.agent().get("http://PLAIN.Exeat.TEST./x").status, 200);
    assert_eq!(origin.only_request().field("host"), Some(HOST));
}

#[test]
fn a_port_other_than_the_default_stays_in_the_host_field() {
    let origin = Origin::plain().echo();
    let port = origin.address.port();
    let rule = format!("host: {HOST}, ports: [{port}]");
    let world = World::start(Setup::allowing(&[&rule]).connect(HOST, "127.0.0.1"));
    assert_eq!(world.agent().get(&format!("http://{HOST}:{port}/x")).status, 200);
    assert_eq!(origin.only_request().field("host"), Some(format!("{HOST}:{port}").as_str()));
}

#[test]
fn one_connection_carries_many_requests() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.dial();
    for number in 0..20 {
        push(&mut wire, agent.head("GET", &url(&format!("/{number}")), "").as_bytes());
        assert_eq!(wire.response_to("GET").unwrap().text(), format!("GET /{number}\n"));
    }
    assert_eq!(origin.requests().len(), 20);
    drop(wire);
    assert_eq!(world.into_records().len(), 20);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let agent = world.agent();
    let heads: String = (0..10).map(|number| agent.head("GET", &url(&format!("/{number}")), "")).collect();
    let mut wire = agent.send(heads);
    for number in 0..10 {
        assert_eq!(wire.response_to("GET").unwrap().text(), format!("GET /{number}\n"));
    }
}

#[test]
fn connection_close_ends_the_connection_after_the_answer() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.send(agent.head("GET", &url("/"), "Connection: close\r\n"));
    assert_eq!(wire.response_to("GET").unwrap().status, 200);
    assert!(wire.is_ended());
}

#[test]
fn a_head_is_answered_without_a_body_and_the_connection_goes_on() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.send(agent.head("HEAD", &url("/"), ""));
    let response = wire.response_to("HEAD").unwrap();
    assert_eq!((response.status, response.field("content-length")), (200, Some("7")));
    push(&mut wire, agent.head("GET", &url("/after"), "").as_bytes());
    assert_eq!(wire.response_to("GET").unwrap().text(), "GET /after\n");
}

#[test]
fn a_204_has_no_body_and_the_connection_goes_on() {
    let origin = Origin::plain().http(|_| Reply::status(204));
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.dial();
    for _ in 0..2 {
        push(&mut wire, agent.head("GET", &url("/"), "").as_bytes());
        let response = wire.response_to("GET").unwrap();
        assert_eq!((response.status, response.field("transfer-encoding")), (204, None));
    }
}

#[test]
fn a_304_may_tell_a_length_and_has_no_body() {
    let origin = Origin::plain().answer("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 500\r\n\r\n");
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.dial();
    for _ in 0..2 {
        push(&mut wire, agent.head("GET", &url("/"), "If-None-Match: \"x\"\r\n").as_bytes());
        let response = wire.response_to("GET").unwrap();
        assert_eq!((response.status, response.field("etag")), (304, Some("\"x\"")));
    }
}

#[test]
fn a_sized_body_goes_up_as_it_is() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    assert_eq!(world.agent().post(&url("/up"), &body).status, 200);
    let request = origin.only_request();
    assert!(request.body == body, "the body was changed");
    assert_eq!(request.field("content-length"), Some("100000"));
}

#[test]
fn an_empty_body_keeps_its_length_of_zero() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    assert_eq!(world.agent().post(&url("/up"), b"").status, 200);
    assert_eq!(origin.only_request().field("content-length"), Some("0"));
}

#[test]
fn a_chunked_body_goes_up_with_its_trailers() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let body = b"5\r\nhello\r\n6\r\n world\r\n0\r\nX-Checksum: abc\r\n\r\n";
    let fields = "Transfer-Encoding: chunked\r\nTrailer: X-Checksum\r\nTE: trailers\r\n";
    assert_eq!(world.agent().request("POST", &url("/up"), fields, body).text(), "POST /up\nhello world");
    let request = origin.only_request();
    assert_eq!(request.all("transfer-encoding"), ["chunked"]);
    assert_eq!(request.trailers, [("X-Checksum".to_owned(), "abc".to_owned())]);
}

#[test]
fn a_chunked_body_comes_down_with_its_trailers() {
    let reply = Reply::ok("hello world").with("Trailer", "X-Checksum").chunked(3).trailer("X-Checksum", "abc");
    let origin = Origin::plain().http(move |_| reply.clone());
    let world = world(&origin);
    let response = world.agent().request("GET", &url("/"), "TE: trailers\r\n", b"");
    assert_eq!((response.text().as_str(), response.framing), ("hello world", Framing::Chunked));
    assert_eq!(response.trailers, [("X-Checksum".to_owned(), "abc".to_owned())]);
}

#[test]
fn chunk_extensions_are_read_and_not_needed() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let body = b"5;name=value\r\nhello\r\n0;last\r\n\r\n";
    let response = world.agent().request("POST", &url("/"), "Transfer-Encoding: chunked\r\n", body);
    assert_eq!(response.text(), "POST /\nhello");
}

#[test]
fn a_body_streams_down_before_it_is_whole() {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::plain().raw(move |peer| {
        let request = peer.request()?;
        peer.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")?;
        let _ = wait.lock().unwrap().recv_timeout(DEADLINE);
        peer.write_all(b"6\r\nsecond\r\n0\r\n\r\n")?;
        request.into_iter().for_each(|request| peer.stream.keep(request));
        Ok(())
    });
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.send(agent.head("GET", &url("/events"), "Accept: text/event-stream\r\n"));
    assert_eq!(wire.response_head("GET").unwrap().framing, Framing::Chunked);
    assert_eq!(wire.chunk().unwrap().unwrap(), b"first");
    release.send(()).unwrap();
    assert_eq!(wire.chunk().unwrap().unwrap(), b"second");
    assert!(wire.chunk().unwrap().is_none());
}

#[test]
fn a_body_streams_up_before_it_is_whole() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let agent = world.agent();
    let filler = "plain words that nobody needs to hold back. ".repeat(3000);
    let mut wire = agent.send(agent.head("POST", &url("/up"), "Transfer-Encoding: chunked\r\n"));
    push(&mut wire, format!("{:x}\r\n{filler}\r\n", filler.len()).as_bytes());
    origin.wait("the first part", |seen| seen.iter().any(|seen| seen.total > 60_000));
    push(&mut wire, b"0\r\n\r\n");
    assert_eq!(wire.response_to("POST").unwrap().status, 200);
    assert_eq!(origin.only_request().text(), filler);
}

#[test]
fn expect_100_continue_is_granted_end_to_end() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let agent = world.agent();
    let fields = "Expect: 100-continue\r\nContent-Length: 5\r\n";
    let mut wire = agent.send(agent.head("POST", &url("/up"), fields));
    assert_eq!(wire.response_head("POST").unwrap().status, 100);
    push(&mut wire, b"hello");
    assert_eq!(wire.response_to("POST").unwrap().text(), "POST /up\nhello");
}

#[test]
fn an_origin_that_refuses_instead_of_100_is_heard_and_no_body_is_asked_for() {
    let origin = Origin::plain().raw(|peer| {
        let _ = peer.request_head()?;
        peer.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        Ok(())
    });
    let world = world(&origin);
    let agent = world.agent();
    let fields = "Expect: 100-continue\r\nContent-Length: 5000000\r\n";
    let mut wire = agent.send(agent.head("POST", &url("/up"), fields));
    assert_eq!(wire.response_head("POST").unwrap().status, 413);
}

#[test]
fn a_client_that_does_not_wait_for_the_100_is_served_too() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let fields = "Expect: 100-continue\r\nContent-Length: 5\r\n";
    assert_eq!(world.agent().request("POST", &url("/up"), fields, b"hello").text(), "POST /up\nhello");
}

#[test]
fn early_hints_are_passed_on_before_the_answer() {
    let bytes =
        "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let origin = Origin::plain().answer(bytes);
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.send(agent.head("GET", &url("/"), ""));
    let hints = wire.response_head("GET").unwrap();
    assert_eq!((hints.status, hints.field("link")), (103, Some("</a>; rel=preload")));
    assert_eq!(wire.response_to("GET").unwrap().text(), "ok");
}

#[test]
fn a_final_answer_that_comes_before_the_upload_is_done_is_passed_on() {
    let origin = Origin::plain().raw(|peer| {
        let _ = peer.request_head()?;
        peer.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\nConnection: close\r\n\r\ndenied")?;
        peer.flush()?;
        peer.rest().map(|_| ())
    });
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.send(agent.head("POST", &url("/up"), "Content-Length: 1000000000\r\n"));
    push(&mut wire, &[b'x'; 64 * 1024]);
    let response = wire.response_to("POST").unwrap();
    assert_eq!((response.status, response.text().as_str()), (403, "denied"));
    let record = world.records(1);
    assert_eq!(record[0].number("/status"), Some(403));
}

#[test]
fn a_client_of_http_1_0_gets_an_answer_that_ends_with_the_connection() {
    let origin = Origin::plain().http(|_| Reply::ok("hello").chunked(2));
    let world = world(&origin);
    let agent = world.agent();
    let head = format!("GET {} HTTP/1.0\r\n{}\r\n", url("/old"), agent.field());
    let mut wire = agent.send(head);
    let response = wire.response_to("GET").unwrap();
    assert_eq!((response.status, response.field("transfer-encoding"), response.text().as_str()), (200, None, "hello"));
    assert!(wire.is_ended());
    assert_eq!(origin.only_request().field("host"), Some(HOST));
}

#[test]
fn a_client_of_http_1_0_is_sent_no_interim_answers() {
    let bytes = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let origin = Origin::plain().answer(bytes);
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.send(format!("GET {} HTTP/1.0\r\nHost: {HOST}\r\n{}\r\n", url("/"), agent.field()));
    assert_eq!(wire.response_head("GET").unwrap().status, 200);
}

#[test]
fn an_origin_of_http_1_0_is_read_to_its_end() {
    let origin = Origin::plain().answer_and_close("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold but whole");
    let world = world(&origin);
    let response = world.agent().get(&url("/"));
    assert_eq!((response.status, response.text().as_str()), (200, "old but whole"));
    assert_eq!(response.version, "HTTP/1.1");
}

#[test]
fn an_answer_that_ends_with_its_connection_is_whole() {
    let origin = Origin::plain().answer_and_close("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nno length at all");
    let world = world(&origin);
    assert_eq!(world.agent().get(&url("/")).text(), "no length at all");
}

#[test]
fn a_redirect_is_passed_on_and_not_followed() {
    let canary = Origin::plain().echo();
    let reply = Reply::status(302).with("Location", &format!("http://{}/", canary.address));
    let origin = Origin::plain().http(move |_| reply.clone());
    let world = world(&origin);
    assert_eq!(world.agent().get(&url("/")).status, 302);
    canary.assert_never_contacted();
}

#[test]
fn methods_beyond_the_usual_pass() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    for method in ["PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "M-SEARCH", "get"] {
        assert_eq!(world.agent().request(method, &url("/"), "", b"").text(), format!("{method} /\n"));
    }
}

#[test]
fn an_upgrade_is_refused_with_a_reason() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    for protocol in ["TLS/1.0", "foo", "websocket, foo", "h2c, TLS/1.2", "\"websocket\""] {
        let fields = format!("Connection: Upgrade\r\nUpgrade: {protocol}\r\n");
        assert_refused(&world.agent().request("GET", &url("/"), &fields, b""), "upgrade_not_allowed");
    }
    origin.assert_untouched();
}

/// Java's client asks for it with every plain request, and curl where it is told to.
#[test]
fn an_upgrade_to_h2c_is_overlooked() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let fields = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAA\r\n";
    assert_eq!(world.agent().request("GET", &url("/"), fields, b"").status, 200);
    let request = origin.only_request();
    for name in ["upgrade", "http2-settings", "connection"] {
        assert_eq!(request.field(name), None, "{request:?}");
    }
}

/// An end of the client's side can't be told from its leaving, and who has left must not keep an upstream busy (T43).
#[test]
fn a_client_that_ends_its_side_before_the_answer_counts_as_gone() {
    let origin = Origin::plain().silent();
    let world = world(&origin);
    let agent = world.agent();
    let wire = agent.send(agent.head("GET", &url("/"), ""));
    origin.wait("the request", |seen| seen.iter().any(|seen| seen.total > 0));
    finish(&wire);
    origin.wait("the end", |seen| seen.iter().all(|seen| seen.ended));
    world.into_records().only("failed", "client_closed");
}

#[test]
fn a_request_that_comes_one_byte_at_a_time_is_one_request() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.dial();
    let head = agent.head("POST", &url("/slow"), "Content-Length: 3\r\n") + "abc";
    head.as_bytes().chunks(1).for_each(|byte| push(&mut wire, byte));
    assert_eq!(wire.response_to("POST").unwrap().text(), "POST /slow\nabc");
}

#[test]
fn an_origin_on_ipv6_is_reached() {
    let origin = Origin::plain().at("[::1]:0").echo();
    let world = world(&origin);
    assert_eq!(world.agent().get(&url("/six")).status, 200);
    let record = world.records(1);
    assert!(record[0].text("/upstream/address").is_some_and(|at| at.starts_with("[::1]")), "{record:?}");
}

#[test]
fn the_bytes_of_a_flow_are_counted() {
    let origin = Origin::plain().http(|_| Reply::ok(vec![b'd'; 50_000]));
    let world = world(&origin);
    assert_eq!(world.agent().post(&url("/"), &[b'u'; 20_000]).status, 200);
    let records = world.into_records();
    let (up, down) = (records[0].number("/bytes/up").unwrap(), records[0].number("/bytes/down").unwrap());
    assert!((20_000..22_000).contains(&up), "{up}");
    assert!((50_000..52_000).contains(&down), "{down}");
}
