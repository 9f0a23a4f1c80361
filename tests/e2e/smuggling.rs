//! Two readings of one stream are how requests are smuggled: nothing behind a refused request is served, and
//! what is passed on is parted by the origin exactly as it was judged here.

use crate::support::agent::push;
use crate::support::*;

const HOST: &str = "plain.exeat.test";
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: plain.exeat.test\r\n\r\n";

fn world(origin: &Origin) -> World {
    World::start(Setup::new().origin("**.exeat.test", origin))
}

/// Sends it; however it is taken, the origin must never read a request for `/smuggled`.
#[track_caller]
fn assert_not_smuggled(fields: &str, body: &str) {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.send(agent.head("POST", &format!("http://{HOST}/first"), fields) + body);
    let first = wire.response_to("POST").unwrap();
    if first.status >= 400 {
        problem(&first);
        assert!(wire.is_ended(), "the connection goes on after a refusal");
    }
    origin.assert_one_reading();
    assert!(origin.requests().iter().all(|request| request.target == "/first"), "{:#?}", origin.requests());
    drop(world);
}

#[test]
fn cl_te() {
    assert_not_smuggled("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", &format!("0\r\n\r\n{SMUGGLED}"));
}

#[test]
fn te_cl() {
    let chunk = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    assert_not_smuggled("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", &chunk);
}

#[test]
fn te_te_with_one_in_disguise() {
    for disguise in ["xchunked", "chunked ", "\tchunked", "identity", "chunked, identity", "\x0bchunked", "CHUNKED\0"] {
        let fields = format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: {disguise}\r\n");
        assert_not_smuggled(&fields, &format!("0\r\n\r\n{SMUGGLED}"));
    }
}

#[test]
fn a_coding_whose_name_is_in_disguise() {
    for name in [
        "Transfer-Encoding ",
        "Transfer_Encoding",
        " Transfer-Encoding",
        "X: x\nTransfer-Encoding",
        "Transfer-Encoding\x00",
    ] {
        let fields = format!("Content-Length: 5\r\n{name}: chunked\r\n");
        assert_not_smuggled(&fields, "0\r\n\r\n");
    }
}

#[test]
fn two_lengths() {
    let length = SMUGGLED.len();
    assert_not_smuggled(&format!("Content-Length: 0\r\nContent-Length: {length}\r\n"), SMUGGLED);
    assert_not_smuggled(&format!("Content-Length: {length}\r\nContent-Length: 0\r\n"), SMUGGLED);
}

#[test]
fn a_length_that_connection_names_is_kept() {
    let fields = format!("Connection: content-length\r\nContent-Length: {}\r\n", SMUGGLED.len());
    assert_not_smuggled(&fields, SMUGGLED);
}

#[test]
fn a_request_inside_a_body_stays_in_the_body() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let response = world.agent().post(&format!("http://{HOST}/first"), SMUGGLED.as_bytes());
    assert_eq!(response.status, 200);
    assert_eq!(origin.only_request().text(), SMUGGLED);
}

#[test]
fn a_request_inside_a_chunk_stays_in_the_body() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let body = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    let fields = "Transfer-Encoding: chunked\r\n";
    assert_eq!(world.agent().request("POST", &format!("http://{HOST}/first"), fields, body.as_bytes()).status, 200);
    assert_eq!(origin.only_request().text(), SMUGGLED);
}

#[test]
fn a_body_on_a_get_or_a_delete_is_framed_like_any_other() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    for method in ["GET", "DELETE", "HEAD", "OPTIONS"] {
        let fields = format!("Content-Length: {}\r\n", SMUGGLED.len());
        world.agent().request(method, &format!("http://{HOST}/first"), &fields, SMUGGLED.as_bytes());
    }
    origin.assert_one_reading();
    assert!(origin.requests().iter().all(|request| request.target == "/first"), "{:#?}", origin.requests());
}

#[test]
fn nothing_behind_a_refused_destination_is_lost_or_misread() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let agent = world.agent();
    let body = format!("Content-Length: {}\r\n", SMUGGLED.len());
    let refused = agent.head("POST", "http://evil.test/", &body) + SMUGGLED;
    let mut wire = agent.send(refused + &agent.head("GET", &format!("http://{HOST}/after"), ""));
    assert_refused(&wire.response_to("POST").unwrap(), "dest_not_listed");
    // Either the connection ends here, or the body was skipped and the next request is read where it starts.
    if let Ok(response) = wire.response_to("GET") {
        assert_eq!(response.text(), "GET /after\n");
    }
    assert!(origin.requests().iter().all(|request| request.target == "/after"), "{:#?}", origin.requests());
}

#[test]
fn an_upload_whose_answer_came_early_leaves_nothing_that_is_read_as_a_request() {
    let origin = Origin::plain().http(|_| Reply::ok("early"));
    let world = world(&origin);
    let agent = world.agent();
    let head = agent.head("POST", &format!("http://{HOST}/first"), "Content-Length: 5000\r\n");
    let mut wire = agent.send(head);
    push(&mut wire, SMUGGLED.repeat(80).as_bytes());
    let _ = wire.response_to("POST");
    let _ = wire.response_to("GET");
    assert!(origin.requests().iter().all(|request| request.target == "/first"), "{:#?}", origin.requests());
}

#[test]
fn line_ends_in_what_is_decoded_do_not_part_the_head() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let response = world.agent().get(&format!("http://{HOST}/a%0d%0aX-Injected:%201%0d%0a%0d%0aGET%20/smuggled"));
    assert!(response.status == 200 || response.status == 400, "{response:?}");
    for request in origin.requests() {
        assert_eq!(request.field("x-injected"), None);
    }
    origin.assert_one_reading();
}

#[test]
fn an_upgrade_is_no_way_past_the_gate() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let agent = world.agent();
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut wire = agent.send(agent.head("GET", &format!("http://{HOST}/first"), fields) + SMUGGLED);
    assert_refused(&wire.response_to("GET").unwrap(), "bad_websocket");
    let _ = wire.rest();
    origin.assert_untouched();
}
