//! SOCKS5: identity by username and password, and the same gate as CONNECT behind it.

use crate::support::agent::{dial, push};
use crate::support::hello::client_hello;
use crate::support::*;
use data_encoding::HEXLOWER;
use std::io::Read;
use std::net::TcpStream;

const HOST: &str = "socks.exeat.test";

type Raw = Wire<TcpStream>;

fn world_for(rules: &[&str], origin: &Origin) -> World {
    World::start(Setup::allowing(rules).origin(HOST, origin).listen("socks: \"127.0.0.1:0\""))
}

fn world(origin: &Origin) -> World {
    world_for(&["host: socks.exeat.test"], origin)
}

/// The messages of RFC 1928 and 1929 up to the request.
fn greeting(id: &str, token: &str) -> Vec<u8> {
    let string = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [&[5, 1, 2, 1], &string(id)[..], &string(token)].concat()
}

fn request(name: &[u8], port: u16) -> Vec<u8> {
    [&[5, 1, 0, 3, u8::try_from(name.len()).unwrap()], name, &port.to_be_bytes()].concat()
}

fn authenticated(world: &World) -> Raw {
    let mut wire = dial(world.listening("socks"));
    push(&mut wire, &greeting("dev", world.token("dev")));
    assert_eq!(wire.exact(4).unwrap(), [5, 2, 1, 0]);
    wire
}

/// The code that a request is answered with.
fn code(wire: &mut Raw, request: &[u8]) -> u8 {
    push(wire, request);
    let reply = wire.exact(10).unwrap();
    assert_eq!((reply[0], &reply[2..]), (5, &[0, 1, 0, 0, 0, 0, 0, 0][..]), "{reply:?}");
    reply[1]
}

fn tunnel(world: &World, name: &str, port: u16) -> Raw {
    let mut wire = authenticated(world);
    assert_eq!(code(&mut wire, &request(name.as_bytes(), port)), 0);
    wire
}

/// Nothing more comes, and the connection is over.
fn assert_over(wire: &mut Raw) {
    let mut rest = Vec::new();
    let _ = wire.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn a_tunnel_by_name_is_opened_like_one_of_connect() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let mut tls = Hello::to(&world, HOST).shake(tunnel(&world, HOST, 443)).unwrap();
    assert_eq!(tls.get(HOST, "/x").text(), "GET /x\n");
    drop(tls);
    let records = world.into_records();
    let outer = records.tunnels()[0];
    assert_eq!((outer.mode(), outer.text("/downstream/way")), ("intercept", Some("socks")));
    assert_eq!(records.requests()[0].text("/parent"), Some(outer.flow()));
    assert_eq!(records.requests()[0].text("/session/id"), Some("dev"));
}

#[test]
fn a_tunnel_whose_rule_says_so_is_relayed() {
    let origin = Origin::tls().echo();
    let world = world_for(&["host: socks.exeat.test, tls: tunnel"], &origin);
    let mut tls = Hello::through(HOST).shake(tunnel(&world, HOST, 443)).unwrap();
    assert_eq!(tls.get(HOST, "/x").text(), "GET /x\n");
    drop(tls);
    assert_eq!(world.into_records().only("allowed", "(none)").mode(), "relay");
}

#[test]
fn plain_http_in_the_tunnel_is_judged_request_by_request() {
    let origin = Origin::plain().echo();
    let world = world_for(&["host: socks.exeat.test, methods: [GET]"], &origin);
    let mut wire = tunnel(&world, HOST, 80);
    let ask = |wire: &mut Raw, method: &str, host: &str| {
        push(wire, format!("{method} /x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n").as_bytes());
        wire.response_to(method).unwrap()
    };
    assert_eq!(ask(&mut wire, "GET", HOST).text(), "GET /x\n");
    assert_refused(&ask(&mut wire, "POST", HOST), "request_not_listed");
    assert_refused(&ask(&mut wire, "GET", "other.exeat.test"), "authority_mismatch");
    assert_eq!(origin.requests().len(), 1);
    let secret = format!("GET /?t={} HTTP/1.1\r\nHost: {HOST}\r\n\r\n", crate::support::secrets::github_token());
    let mut wire = tunnel(&world, HOST, 80);
    push(&mut wire, secret.as_bytes());
    assert_refused(&wire.response_to("GET").unwrap(), "secret_in_request");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn tls_to_a_port_that_is_listed_for_http_only_is_refused() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let mut wire = tunnel(&world, HOST, 80);
    push(&mut wire, &client_hello(&Hello::to(&world, HOST)));
    assert_over(&mut wire);
    origin.assert_never_contacted();
    world.into_records().only("denied", "dest_not_listed");
}

#[test]
fn what_is_neither_tls_nor_http_is_refused() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    for bytes in [&b"SSH-2.0-x\r\n"[..], b"\x00\x01\x02\x03", b"\x16\xff\xff\xff\xff\xff", b"get / http/1.1\r\n\r\n"] {
        let mut wire = tunnel(&world, HOST, 443);
        push(&mut wire, bytes);
        assert_over(&mut wire);
    }
    origin.assert_never_contacted();
    assert!(world.into_records().iter().all(|record| record.reason() == "tunnel_not_tls"));
}

#[test]
fn refusals_have_the_reply_codes_of_the_rfc() {
    let origin = Origin::tls().echo();
    let rules = [
        "host: socks.exeat.test, tls: tunnel",
        "host: nowhere.exeat.test, tls: tunnel",
        "host: dead.exeat.test, tls: tunnel",
    ];
    // Nobody listens at the one, and no server knows of the other.
    let setup = Setup::allowing(&rules).origin(HOST, &origin).connect("nowhere.exeat.test", "127.0.0.1:1");
    let world = World::start(setup.listen("socks: \"127.0.0.1:0\""));
    let v4 = |command: u8, kind: u8| vec![5, command, 0, kind, 127, 0, 0, 1, 0, 80];
    for (bytes, expected, reason) in [
        (request(b"evil.exeat.test", 443), 2, "dest_not_listed"),
        (request(HOST.as_bytes(), 22), 2, "dest_not_listed"),
        (v4(1, 1), 2, "dest_not_listed"),
        (request(b"nowhere.exeat.test", 443), 5, "connect_failed"),
        (request(b"dead.exeat.test", 443), 4, "dns_timeout"),
        (v4(2, 1), 7, "method_not_supported"),
        (v4(3, 1), 7, "method_not_supported"),
        (v4(1, 2), 8, "bad_request"),
        (request(b"a\0b", 443), 1, "bad_authority"),
        (request(HOST.as_bytes(), 0), 1, "bad_authority"),
    ] {
        let mut wire = authenticated(&world);
        assert_eq!(code(&mut wire, &bytes), expected, "{reason}");
        assert_over(&mut wire);
        world.records_where(reason, |records| records.iter().any(|record| record.reason() == reason));
    }
    origin.assert_never_contacted();
}

#[test]
fn names_are_read_once_and_strictly() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    for name in ["SOCKS.exeat.TEST", "socks.exeat.test."] {
        let mut wire = tunnel(&world, name, 443);
        push(&mut wire, &client_hello(&Hello::to(&world, HOST)));
        assert_eq!(wire.exact(1).unwrap(), [22], "{name}");
    }
    let long = [b'a'; 255];
    for name in [
        &b"socks.exeat.test\0.evil.test"[..],
        b"evil.test\0.exeat.test",
        b"socks.exeat.test\r\nX: y",
        b"socks.exeat.test:443",
        b"user@socks.exeat.test",
        b"socks.exeat.test/",
        b"[::1]",
        b"::1",
        b"127.1",
        b"0x7f.0.0.1",
        b"2130706433",
        b"",
        &long,
    ] {
        let mut wire = authenticated(&world);
        assert_eq!(code(&mut wire, &request(name, 443)), 1, "{name:?}");
    }
    origin.assert_never_contacted();
}

#[test]
fn a_secret_in_a_name_is_stopped_before_dns() {
    let nameserver = Nameserver::start(|_| Answer::NxDomain);
    let setup = Setup::new().nameserver(&nameserver).listen("socks: \"127.0.0.1:0\"");
    let world = World::start(setup);
    let hex = HEXLOWER.encode(crate::support::secrets::github_token().as_bytes());
    let name = format!("{}.{}.exeat.test", &hex[..40], &hex[40..]);
    assert_eq!(code(&mut authenticated(&world), &request(name.as_bytes(), 443)), 2);
    assert!(nameserver.asked().is_empty());
    world.into_records().only("denied", "secret_in_request");
}

#[test]
fn no_session_no_tunnel() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let token = world.token("dev").to_owned();
    for (id, token) in
        [("dev", "wrong"), ("nobody", &token), ("", &token), ("dev", ""), ("dev\0", &token), ("DEV", &token)]
    {
        let mut wire = dial(world.listening("socks"));
        push(&mut wire, &[&greeting(id, token)[..], &request(HOST.as_bytes(), 443)].concat());
        assert_eq!(wire.exact(4).unwrap(), [5, 2, 1, 1], "{id}");
        assert_over(&mut wire);
    }
    for methods in [&[5u8, 1, 0][..], &[5, 2, 0, 1], &[5, 1, 0xff]] {
        let mut wire = dial(world.listening("socks"));
        push(&mut wire, &[methods, &request(HOST.as_bytes(), 443)].concat());
        assert_eq!(wire.exact(2).unwrap(), [5, 0xff]);
        assert_over(&mut wire);
    }
    origin.assert_never_contacted();
    assert!(world.into_records().iter().all(|record| record.reason() == "proxy_auth_required"));
}

#[test]
fn all_of_it_at_once_is_read_in_order() {
    let origin = Origin::plain().silent();
    let world = world_for(&["host: socks.exeat.test, tls: tunnel"], &origin);
    let hello = client_hello(&Hello::through(HOST));
    let mut wire = dial(world.listening("socks"));
    push(&mut wire, &[&greeting("dev", world.token("dev"))[..], &request(HOST.as_bytes(), 443), &hello].concat());
    assert_eq!(wire.exact(4).unwrap(), [5, 2, 1, 0]);
    assert_eq!(wire.exact(10).unwrap()[1], 0);
    let seen = origin.wait("the hello", |seen| seen.iter().any(|seen| seen.total >= hello.len() as u64));
    assert_eq!(seen[0].bytes, hello);
}

#[test]
fn a_byte_at_a_time_is_read_too() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let mut wire = dial(world.listening("socks"));
    for byte in [greeting("dev", world.token("dev")), request(HOST.as_bytes(), 443)].concat() {
        push(&mut wire, &[byte]);
    }
    assert_eq!(wire.exact(4).unwrap(), [5, 2, 1, 0]);
    assert_eq!(wire.exact(10).unwrap()[1], 0);
}

#[test]
fn what_speaks_something_else_is_closed_without_a_word() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let hello = client_hello(&Hello::to(&world, HOST));
    for bytes in
        [&b"GET http://socks.exeat.test/ HTTP/1.1\r\n\r\n"[..], b"\x04\x01\x01\xbb\x7f\0\0\x01\0", b"\x05\x00", &hello]
    {
        let mut wire = dial(world.listening("socks"));
        push(&mut wire, bytes);
        assert_over(&mut wire);
    }
    let mut http = dial(world.proxy);
    push(&mut http, &greeting("dev", world.token("dev")));
    assert_refused(&http.response_to("GET").unwrap(), "bad_request");
    assert_eq!(world.into_records().iter().filter(|record| record.reason() == "bad_request").count(), 5);
}

#[test]
fn a_handshake_that_stalls_is_cut() {
    let origin = Origin::tls().echo();
    let setup = Setup::new().origin(HOST, &origin).listen("socks: \"127.0.0.1:0\"");
    let world = World::start(setup.extra("limits: {head_timeout: 500ms, keep_alive_timeout: 500ms}"));
    for bytes in [&b""[..], b"\x05", b"\x05\x01\x02\x01\x03de"] {
        let mut wire = dial(world.listening("socks"));
        push(&mut wire, bytes);
        let mut rest = Vec::new();
        let _ = wire.read_to_end(&mut rest);
        assert!(rest.len() <= 4, "{rest:?}");
    }
    let records = world.into_records();
    assert_eq!(records.iter().filter(|record| record.reason() == "request_timeout").count(), 2, "{records:#?}");
}

#[test]
fn the_gateway_itself_is_no_destination() {
    let rule = "host: \"127.0.0.1\", ports: [\"1-65535\"], tls: tunnel, protocols: [any]";
    let world = World::start(Setup::allowing(&[rule]).listen("socks: \"127.0.0.1:0\""));
    for address in [world.proxy, world.control, world.listening("socks")] {
        let mut wire = authenticated(&world);
        assert_eq!(code(&mut wire, &[&[5, 1, 0, 1, 127, 0, 0, 1][..], &address.port().to_be_bytes()].concat()), 2);
    }
    let authority = world.listening("socks").to_string();
    assert_refused(&world.agent().refused(&authority), "self_connection");
}

#[test]
fn revoking_the_session_cuts_its_tunnels() {
    let origin = Origin::tls().echo();
    let world = world_for(&["host: socks.exeat.test, tls: tunnel"], &origin);
    let minted = world.session("agent", "1h");
    let mut wire = dial(world.listening("socks"));
    push(&mut wire, &[&greeting(&minted.id, &minted.token)[..], &request(HOST.as_bytes(), 443)].concat());
    assert_eq!(wire.exact(14).unwrap()[5], 0);
    let mut tls = Hello::through(HOST).shake(wire).unwrap();
    assert_eq!(tls.get(HOST, "/x").text(), "GET /x\n");
    assert_eq!(world.control("DELETE", &format!("/v1/sessions/{}", minted.id), "").status, 204);
    assert!(tls.exact(1).is_err());
}
