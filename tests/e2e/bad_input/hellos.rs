//! First bytes of tunnels that are no ClientHello, or one that goes somewhere else.

use super::*;
use crate::support::agent::{finish, push};
use crate::support::hello::ech_outer;
use std::io::Read;

const OPENED: &str = "tls.exeat.test";
const RELAYED: &str = "raw.exeat.test";

/// A handshake message in one record.
fn record(message: &[u8]) -> Vec<u8> {
    [&[22, 3, 1], &u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &u32::try_from(body.len()).unwrap().to_be_bytes()[1..], body].concat()
}

fn vector16(data: &[u8]) -> Vec<u8> {
    [&u16::try_from(data.len()).unwrap().to_be_bytes()[..], data].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(data)].concat()
}

fn server_name(name: &[u8]) -> Vec<u8> {
    extension(0, &vector16(&[&[0], &vector16(name)[..]].concat()))
}

/// The start of a ClientHello's body, up to its extensions.
fn start(suites: &[u8]) -> Vec<u8> {
    [&[3, 3][..], &[7; 32], &[0], &vector16(suites), &[1, 0]].concat()
}

/// A ClientHello with these extensions.
fn hello(extensions: &[&[u8]]) -> Vec<u8> {
    body(&[&start(&[0x13, 1]), &vector16(&extensions.concat())])
}

fn body(parts: &[&[u8]]) -> Vec<u8> {
    record(&handshake(1, &parts.concat()))
}

/// What comes, and why it is refused; `None`: a ClientHello to be judged by its name, which is the tunnel's, but of which
/// nothing can come where TLS is opened.
type Row = (&'static str, Vec<u8>, &'static str);

const NOT_TLS: &str = "tunnel_not_tls";

/// No matter whether the tunnel would be opened or relayed.
fn rows() -> Vec<Row> {
    let names = |data: &[u8]| hello(&[&extension(0, data)]);
    let named = |name: &[u8]| hello(&[&server_name(name)]);
    let good = server_name(OPENED.as_bytes());
    let mut rows: Vec<Row> = OTHER_PROTOCOLS.iter().map(|(what, bytes)| (*what, bytes.to_vec(), NOT_TLS)).collect();
    rows.extend([
        ("an empty record", b"\x16\x03\x01\0\0".to_vec(), NOT_TLS),
        ("a record of 16 KiB and more", b"\x16\x03\x01\x41\x01".to_vec(), NOT_TLS),
        ("a record of a version that is none", b"\x16\x03\x05\0\x05".to_vec(), NOT_TLS),
        ("a record of SSL 2", b"\x16\x02\0\0\x05".to_vec(), NOT_TLS),
        ("an SSL 2 hello", b"\x80\x2e\x01\0\x02\0\x15\0\0\0\x10".to_vec(), NOT_TLS),
        ("a ServerHello", record(&handshake(2, &start(&[0x13, 1]))), NOT_TLS),
        ("a HelloRequest", record(&handshake(0, &[])), NOT_TLS),
        ("a Finished", record(&handshake(20, &[0; 12])), NOT_TLS),
        ("a ClientHello of 16 MiB", record(&[1, 0xff, 0xff, 0xff, 3, 3]), NOT_TLS),
        ("nothing in it", body(&[]), NOT_TLS),
        ("a version alone", body(&[&[3, 3]]), NOT_TLS),
        ("half a random", body(&[&[3, 3], &[7; 16]]), NOT_TLS),
        ("a session behind the end", body(&[&[3, 3], &[7; 32], &[200]]), NOT_TLS),
        ("suites behind the end", body(&[&[3, 3], &[7; 32], &[0, 0xff, 0xff]]), NOT_TLS),
        ("half a suite", body(&[&start(&[0x13, 1, 0x13]), &vector16(&good)]), NOT_TLS),
        ("compressions behind the end", body(&[&start(&[0x13, 1])[..39], &[200]]), NOT_TLS),
        ("extensions behind the end", body(&[&start(&[0x13, 1]), &[0xff, 0xff], &good]), NOT_TLS),
        ("something behind the extensions", body(&[&start(&[0x13, 1]), &vector16(&good), &[1]]), NOT_TLS),
        ("half an extension", hello(&[&good, &[0, 10, 0, 9, 1]]), NOT_TLS),
        ("two names in two extensions", hello(&[&good, &server_name(b"evil.test")]), NOT_TLS),
        ("an extension twice", hello(&[&good, &extension(23, &[]), &extension(23, &[])]), NOT_TLS),
        ("an empty extension of names", names(&[]), NOT_TLS),
        ("an empty list of names", names(&[0, 0]), NOT_TLS),
        (
            "two names in a list",
            {
                let two = [&[0], &vector16(OPENED.as_bytes())[..], &[0], &vector16(b"evil.test")].concat();
                names(&vector16(&two))
            },
            NOT_TLS,
        ),
        ("a name of another kind", names(&vector16(&[&[1], &vector16(OPENED.as_bytes())[..]].concat())), NOT_TLS),
        ("a name behind the end", names(&[0, 9, 0, 0xff, 0xff, b'a']), NOT_TLS),
        (
            "something behind the names",
            {
                let list = vector16(&[&[0], &vector16(OPENED.as_bytes())[..]].concat());
                names(&[&list[..], &[9]].concat())
            },
            NOT_TLS,
        ),
        ("protocols behind the end", hello(&[&good, &extension(16, &[0, 9, 200, b'h'])]), NOT_TLS),
        ("half a group of signatures", hello(&[&good, &extension(13, &[0, 3, 4, 3, 8])]), NOT_TLS),
        ("half a version", hello(&[&good, &extension(43, &[3, 3, 4, 3])]), NOT_TLS),
        ("an empty name", named(b""), "sni_mismatch"),
        ("another name", named(b"evil.test"), "sni_mismatch"),
        ("a name below", named(b"a.tls.exeat.test"), "sni_mismatch"),
        ("the name and NUL", named(b"tls.exeat.test\0.evil.test"), "sni_mismatch"),
        ("the name and a space", named(b"tls.exeat.test "), "sni_mismatch"),
        ("the name with its port", named(b"tls.exeat.test:443"), "sni_mismatch"),
        ("a name of bytes beyond ASCII", named(b"tls.ex\xe4t.test"), "sni_mismatch"),
        ("a name with an empty label", named(b"tls..exeat.test"), "sni_mismatch"),
        ("a name of 300 bytes", named(&[b'a'; 300]), "sni_mismatch"),
        ("a star", named(b"*.exeat.test"), "sni_mismatch"),
        ("an address for a name", named(b"127.1"), "sni_mismatch"),
    ]);
    rows
}

const OTHER_PROTOCOLS: &[(&str, &[u8])] = &[
    ("HTTP", b"GET / HTTP/1.1\r\nHost: tls.exeat.test\r\n\r\n"),
    ("HTTP/2 with prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("SSH", b"SSH-2.0-OpenSSH_9.9\r\n"),
    ("SMTP", b"EHLO me\r\n"),
    ("SOCKS5", b"\x05\x01\0"),
    ("PROXY", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n"),
    ("PROXY of version 2", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"),
    ("RDP", b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0"),
    ("PostgreSQL", b"\0\0\0\x08\x04\xd2\x16\x2f"),
    ("an alert", b"\x15\x03\x03\0\x02\x02\x28"),
    ("data of an application", b"\x17\x03\x03\0\x01x"),
    ("a change of the cipher", b"\x14\x03\x03\0\x01\x01"),
];

/// Where TLS is opened it is rustls that refuses: these have no way to go on.
fn dead_ends() -> Vec<Row> {
    const FAILED: &str = "downstream_tls_failed";
    let good = server_name(OPENED.as_bytes());
    let versions = |list: &[u8]| extension(43, &[&[u8::try_from(list.len()).unwrap()], list].concat());
    vec![
        ("TLS 1.3 without a share", hello(&[&good, &versions(&[3, 4])]), FAILED),
        ("TLS 1.1 at the most", hello(&[&good, &versions(&[3, 2])]), FAILED),
        ("no version that there is", hello(&[&good, &versions(&[9, 9])]), FAILED),
        ("no suite that there is", body(&[&start(&[0xee, 0xee]), &vector16(&good)]), FAILED),
        ("no extension but the name", hello(&[&good]), FAILED),
        ("cut in its midst", hello(&[&good])[..40].to_vec(), "client_closed"),
        ("a record cut in its midst", b"\x16\x03".to_vec(), "client_closed"),
    ]
}

/// What is relayed must show where it goes.
fn hidden() -> Vec<Row> {
    let good = server_name(RELAYED.as_bytes());
    vec![
        ("no name", hello(&[&extension(23, &[])]), "sni_missing"),
        ("no extensions", body(&[&start(&[0x13, 1])]), "sni_missing"),
        (
            "a hidden name behind the right one",
            hello(&[&good, &extension(0xfe0d, &ech_outer())]),
            "ech_not_inspectable",
        ),
        ("the other tunnel's name", hello(&[&server_name(OPENED.as_bytes())]), "sni_mismatch"),
    ]
}

#[test]
fn hellos_that_are_none_or_lead_elsewhere_are_refused_each_with_its_reason_and_its_record() {
    assert!(rows().len() + dead_ends().len() + hidden().len() >= 40);
    let origin = Origin::plain().silent();
    let rules = [format!("host: {OPENED}"), format!("host: {RELAYED}, tls: tunnel")];
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let world = World::start(Setup::allowing(&rules).origin("**.exeat.test", &origin));
    let opened = rows().into_iter().chain(dead_ends()).map(|row| (OPENED, row));
    let relayed = rows().into_iter().chain(hidden()).map(|row| (RELAYED, row));
    let all: Vec<(&str, Row)> = opened.chain(relayed).collect();
    let mut wrong = Wrong::default();
    for (host, (what, bytes, reason)) in &all {
        let mut wire = world.agent().tunnel(&format!("{host}:443"));
        let began = Instant::now();
        push(&mut wire, bytes);
        if *reason == "client_closed" {
            finish(&wire);
        }
        let mut rest = Vec::new();
        let ended = wire.read_to_end(&mut rest);
        wrong.unless(
            ended.is_ok() || !matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
            || format!("{what} to {host} is waited for"),
        );
        wrong.unless(began.elapsed() < soon(), || format!("{what} to {host} took {:?}", began.elapsed()));
        // All that anybody gets to hear of it is an alert.
        wrong.unless(rest.is_empty() || rest[0] == 21, || format!("{what} to {host} is answered {rest:?}"));
    }
    origin.assert_untouched();
    let records = world.into_records();
    assert_eq!(records.len(), all.len());
    for (record, (host, (what, _, reason))) in records.iter().zip(&all) {
        wrong
            .unless(record.host() == *host && record.reason() == *reason, || format!("{what} to {host} is {record:?}"));
    }
    wrong.none();
}
