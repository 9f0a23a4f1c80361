//! What relayed tunnels carry, told apart: SSH and nothing else, names that are hidden, kinds of clients.

use crate::support::agent::push;
use crate::support::hello::{client_hello, ech_outer, with_extension};
use crate::support::*;
use std::io::Write;

const HOST: &str = "far.exeat.test";
const SSH: &str = "far.exeat.test:22";
/// The head of a first packet: length, padding, KEXINIT.
const KEXINIT: &[u8] = &[0, 0, 0, 28, 6, 20, 1, 2, 3, 4, 5, 6, 7, 8];

fn ssh_world(origin: &Origin) -> World {
    let rule = "host: far.exeat.test, ports: [22], tls: tunnel, protocols: [ssh]";
    World::start(Setup::allowing(&[rule]).origin(HOST, origin))
}

/// A server that answers whatever comes first with these bytes.
fn server(banner: &'static [u8]) -> Origin {
    Origin::plain().raw(move |peer| {
        peer.write_all(banner)?;
        peer.flush()?;
        peer.rest().map(|_| ())
    })
}

#[test]
fn ssh_passes_both_ways() {
    let origin = server(b"SSH-2.0-server\r\n\0\0\0\x1c\x06\x14rest");
    let world = ssh_world(&origin);
    let mut wire = world.agent().tunnel(SSH);
    push(&mut wire, b"SSH-2.0-client\r\n");
    assert_eq!(wire.exact(26).unwrap(), b"SSH-2.0-server\r\n\0\0\0\x1c\x06\x14rest");
    push(&mut wire, KEXINIT);
    let whole = [b"SSH-2.0-client\r\n", KEXINIT].concat();
    let seen = origin.wait("the key exchange", |seen| seen.iter().any(|seen| seen.total >= whole.len() as u64));
    assert_eq!(seen[0].bytes, whole);
}

#[test]
fn a_client_that_only_says_ssh_gets_nothing_more_up() {
    for (first, then) in [
        (&b"SSH-2.0-client\r\n"[..], &b"GET /exfiltrate HTTP/1.1\r\n\r\n"[..]),
        (b"SSH-2.0-client\r\n", b"\x16\x03\x01\x02\x00\x01"),
        (b"SSH-2.0-client\r\n", &[0, 0, 0, 28, 6, 21]),
        (b"SSH-", b"anything but a line that is long enough and has an end somewhere\0\r\n"),
        (b"SSH-1.5-x\r\n", b""),
    ] {
        let origin = server(b"SSH-2.0-server\r\n");
        let world = ssh_world(&origin);
        let mut wire = world.agent().tunnel(SSH);
        push(&mut wire, first);
        push(&mut wire, then);
        let _ = wire.rest();
        let seen = origin.wait("the end", |seen| !seen.is_empty() && seen.iter().all(|seen| seen.ended));
        assert!(seen[0].bytes.is_empty() || seen[0].bytes == b"SSH-2.0-client\r\n", "{seen:?}");
        world.into_records().only("denied", "tunnel_not_ssh");
    }
}

#[test]
fn a_server_that_is_no_ssh_server_says_nothing() {
    for banner in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"220 smtp.test\r\n", b"SSH-2.0-x\r\nHTTP/1.1 200 OK\r\n\r\n"] {
        let origin = server(banner);
        let world = ssh_world(&origin);
        let mut wire = world.agent().tunnel(SSH);
        push(&mut wire, b"SSH-2.0-client\r\n");
        let said = wire.rest().unwrap_or_default();
        assert!(said.is_empty() || said == b"SSH-2.0-x\r\n", "{said:?}");
        world.into_records().only("denied", "tunnel_not_ssh");
    }
}

#[test]
fn tls_and_http_do_not_pass_where_ssh_does() {
    let origin = server(b"SSH-2.0-server\r\n");
    let world = ssh_world(&origin);
    for bytes in [&client_hello(&Hello::through(HOST))[..], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut wire = world.agent().tunnel(SSH);
        push(&mut wire, bytes);
        assert!(wire.rest().unwrap_or_default().is_empty());
    }
    assert!(origin.connections().iter().all(|seen| seen.total == 0));
}

#[test]
fn hidden_names_pass_only_where_the_rule_lets_them() {
    let plain = client_hello(&Hello::through(HOST));
    let ech = with_extension(&plain, 0xfe0d, &ech_outer());
    let nameless = client_hello(&Hello::through(HOST).without_sni());
    let other = client_hello(&Hello::through("evil.exeat.test"));
    for (allowed, passing) in [
        ("", [true, false, false, false]),
        (", dangerously_allow: [ech]", [true, true, false, false]),
        (", dangerously_allow: [missing-sni]", [true, false, true, false]),
        (", dangerously_allow: [ech, missing-sni]", [true, true, true, false]),
    ] {
        let origin = Origin::plain().silent();
        let rule = format!("host: far.exeat.test, tls: tunnel{allowed}");
        let world = World::start(Setup::allowing(&[&rule]).origin(HOST, &origin));
        for (hello, passes) in [&plain, &ech, &nameless, &other].into_iter().zip(passing) {
            let mut wire = world.agent().tunnel("far.exeat.test:443");
            push(&mut wire, hello);
            if passes {
                origin.wait("the hello", |seen| seen.iter().any(|seen| seen.bytes == *hello));
            } else {
                // An alert, and not a byte at the origin.
                assert_eq!(wire.exact(2).unwrap(), [21, 3]);
                assert!(origin.connections().iter().all(|seen| seen.bytes != *hello), "{allowed}");
            }
        }
    }
}

#[test]
fn the_record_tells_what_kind_of_client_it_was() {
    let origin = Origin::tls().echo();
    let rules = ["host: far.exeat.test, tls: tunnel", "host: open.exeat.test"];
    let world = World::start(Setup::allowing(&rules).origin("**", &origin));
    let mut relayed = world.agent().https_with("far.exeat.test:443", &Hello::through(HOST));
    relayed.get(HOST, "/");
    let mut opened = world.agent().https("open.exeat.test");
    opened.get("open.exeat.test", "/");
    let mut greased = world.agent().tunnel("far.exeat.test:443");
    push(&mut greased, &with_extension(&client_hello(&Hello::through(HOST)), 0xfe0d, &ech_outer()));
    let _ = greased.rest();
    drop((relayed, opened));
    let records = world.into_records();
    let tls = |host: &str, verdict: &str| {
        let found = records.tunnels().into_iter().find(|record| record.host() == host && record.verdict() == verdict);
        found.unwrap_or_else(|| panic!("{records:#?}"))["downstream"]["tls"].clone()
    };
    let (relayed, opened, greased) = (tls(HOST, "allowed"), tls("open.exeat.test", "allowed"), tls(HOST, "denied"));
    assert_eq!((&relayed["sni"], &relayed["alpn"][0]), (&HOST.into(), &"http/1.1".into()));
    // The kind is the client's, whatever the destination.
    assert_eq!(relayed["ja4"], opened["ja4"]);
    assert!(relayed["ja4"].as_str().unwrap().starts_with("t13d") && relayed["ja4"].as_str().unwrap().len() == 36);
    assert_eq!((greased.get("ech"), relayed.get("ech")), (Some(&true.into()), None));
    assert_ne!(greased["ja4"], relayed["ja4"]);
}
