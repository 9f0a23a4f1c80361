//! The HTTP proxy over TLS: what it shows, and sessions that are known by a client certificate.

use crate::support::agent::{Tls, basic, dial, push};
use crate::support::certs::{self, CLIENTS};
use crate::support::*;
use rcgen::SanType;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io;
use std::sync::Arc;

const HOST: &str = "plain.exeat.test";
const SPIFFE: &str = "spiffe://exeat.test/agent";
const LISTEN: &str = "tls: {address: \"127.0.0.1:0\"}";
const LISTEN_CLIENTS: &str = "tls: {address: \"127.0.0.1:0\", clients: [clients.pem]}";

fn setup(origin: &Origin, listen: &str) -> Setup {
    let setup = Setup::new().origin(HOST, origin).session("other", "agent").listen(listen);
    setup
        .file("clients.pem", &CLIENTS.pem())
        .session_key("dev", &format!("certificates: [{SPIFFE:?}, dev.agents.test]"))
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

/// TLS to the gateway under one of its names.
fn enter(world: &World, name: &str, client: Option<(String, String)>) -> io::Result<Wire<Tls>> {
    let builder = ClientConfig::builder_with_provider(certs::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(certs::roots(&[&world.ca()]));
    let config = match client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
        }
    };
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut wire = dial(world.listening("tls"));
    while connection.is_handshaking() {
        connection.complete_io(&mut wire)?;
    }
    Ok(Wire::new(StreamOwned::new(connection, wire)))
}

/// The answer to a GET with these fields on a connection of its own.
fn get(world: &World, client: Option<(String, String)>, fields: &str) -> Response {
    let mut tls = enter(world, "localhost", client).unwrap();
    push(&mut tls, format!("GET http://{HOST}/x HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n").as_bytes());
    tls.response_to("GET").unwrap()
}

fn token(world: &World, session: &str) -> String {
    format!("Proxy-Authorization: {}\r\n", basic(session, world.token(session)))
}

#[test]
fn it_shows_a_certificate_for_its_own_names_and_no_other() {
    let origin = Origin::plain().echo();
    let world = World::start(setup(&origin, "tls: {address: \"127.0.0.1:0\", names: [gateway.exeat.test]}"));
    for name in ["localhost", "127.0.0.1", "gateway.exeat.test"] {
        assert!(enter(&world, name, None).is_ok(), "{name}");
    }
    assert!(enter(&world, "evil.exeat.test", None).is_err(), "it minted what a client asked for");
}

#[test]
fn requests_over_tls_are_judged_like_any() {
    let origin = Origin::plain().echo();
    let world = World::start(setup(&origin, LISTEN));
    assert_eq!(get(&world, None, &token(&world, "dev")).text(), "GET /x\n");
    assert_refused(&get(&world, None, ""), "proxy_auth_required");
    assert_refused(
        &get(&world, None, &format!("Proxy-Authorization: {}\r\n", basic("dev", "wrong"))),
        "proxy_auth_required",
    );
    let records = world.into_records();
    assert!(records.iter().all(|record| record.text("/downstream/way") == Some("tls")), "{records:#?}");
}

#[test]
fn a_pair_from_files_is_shown() {
    let origin = Origin::plain().echo();
    let (certificate, key) = CLIENTS.client(vec![dns("files.exeat.test")]);
    let listen = "tls: {address: \"127.0.0.1:0\", certificate: own.pem, key: own.key}";
    let world = World::start(setup(&origin, listen).file("own.pem", &certificate).file("own.key", &key));
    // It is not of the gateway's CA, which this client trusts alone.
    assert!(enter(&world, "files.exeat.test", None).is_err());
}

#[test]
fn a_client_certificate_names_its_session() {
    let origin = Origin::plain().echo();
    let world = World::start(setup(&origin, LISTEN_CLIENTS));
    for names in [vec![uri(SPIFFE)], vec![dns("DEV.agents.test")], vec![uri(SPIFFE), dns("dev.agents.test")]] {
        let client = CLIENTS.client(names);
        assert_eq!(get(&world, Some(client.clone()), "").text(), "GET /x\n");
        assert_eq!(get(&world, Some(client), &token(&world, "dev")).text(), "GET /x\n");
    }
    let records = world.into_records();
    assert!(records.iter().all(|record| record.text("/session/id") == Some("dev")), "{records:#?}");
}

#[test]
fn no_other_name_is_a_session() {
    let origin = Origin::plain().echo();
    let world = World::start(setup(&origin, LISTEN_CLIENTS));
    for names in [
        vec![uri("spiffe://exeat.test/agent/")],
        vec![uri("spiffe://exeat.test/other")],
        vec![uri("SPIFFE://exeat.test/agent")],
        vec![dns("agents.test")],
        vec![dns("x.dev.agents.test")],
        // A SPIFFE ID where a DNS name stands.
        vec![dns("spiffe://exeat.test/agent")],
        vec![SanType::Rfc822Name("dev.agents.test".try_into().unwrap())],
        vec![],
    ] {
        let shown = format!("{names:?}");
        let response = get(&world, Some(CLIENTS.client(names)), "");
        assert_eq!(response.status, 407, "{shown}");
    }
    origin.assert_never_contacted();
}

#[test]
fn a_certificate_of_nobody_s_authority_is_refused_in_the_handshake() {
    let origin = Origin::plain().echo();
    let world = World::start(setup(&origin, LISTEN_CLIENTS));
    let client = certs::TRUSTED.client(vec![uri(SPIFFE)]);
    let answered = enter(&world, "localhost", Some(client)).and_then(|mut tls| {
        push(&mut tls, b"GET http://plain.exeat.test/ HTTP/1.1\r\nHost: plain.exeat.test\r\n\r\n");
        tls.response_to("GET").map_err(|fault| io::Error::other(fault.to_string()))
    });
    assert!(answered.is_err());
    world.into_records().only("failed", "downstream_tls_failed");
}

#[test]
fn a_token_of_another_session_is_refused_behind_a_certificate() {
    let origin = Origin::plain().echo();
    let world = World::start(setup(&origin, LISTEN_CLIENTS));
    let client = CLIENTS.client(vec![uri(SPIFFE)]);
    assert_refused(&get(&world, Some(client.clone()), &token(&world, "other")), "proxy_auth_required");
    let wrong = format!("Proxy-Authorization: {}\r\n", basic("dev", "wrong"));
    assert_refused(&get(&world, Some(client), &wrong), "proxy_auth_required");
    origin.assert_never_contacted();
}

#[test]
fn a_revoked_session_is_not_brought_back_by_its_certificate() {
    let origin = Origin::plain().echo();
    let world = World::start(setup(&origin, LISTEN_CLIENTS));
    let client = CLIENTS.client(vec![uri(SPIFFE)]);
    assert_eq!(get(&world, Some(client.clone()), "").status, 200);
    assert_eq!(world.control("DELETE", "/v1/sessions/dev", "").status, 204);
    assert_eq!(get(&world, Some(client), "").status, 407);
}

#[test]
fn where_certificates_are_required_a_token_is_not_enough() {
    let origin = Origin::plain().echo();
    let listen = "tls: {address: \"127.0.0.1:0\", clients: [clients.pem], require_client: true}";
    let world = World::start(setup(&origin, listen));
    let answered = enter(&world, "localhost", None).and_then(|mut tls| {
        push(
            &mut tls,
            format!("GET http://{HOST}/ HTTP/1.1\r\nHost: {HOST}\r\n{}\r\n", token(&world, "dev")).as_bytes(),
        );
        tls.response_to("GET").map_err(|fault| io::Error::other(fault.to_string()))
    });
    assert!(answered.is_err());
    assert_eq!(get(&world, Some(CLIENTS.client(vec![uri(SPIFFE)])), "").status, 200);
    origin.wait("one connection", |seen| seen.len() == 1);
}

#[test]
fn what_is_no_tls_is_closed_and_recorded() {
    let origin = Origin::plain().echo();
    let world = World::start(setup(&origin, LISTEN));
    let hello = support_hello(&world);
    let cases = [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x05\x01\x02", b"\x16\x03\x01\xff\xff", &hello[..hello.len() / 2]];
    for bytes in cases {
        let mut wire = dial(world.listening("tls"));
        push(&mut wire, bytes);
        crate::support::agent::finish(&wire);
        let rest = wire.rest().unwrap_or_default();
        assert!(rest.len() < 20, "{rest:?}");
    }
    let records = world.into_records();
    assert_eq!(records.iter().filter(|record| record.reason() == "downstream_tls_failed").count(), 4, "{records:#?}");
}

fn support_hello(world: &World) -> Vec<u8> {
    crate::support::hello::client_hello(&Hello::to(world, "localhost"))
}
