//! TLS opened with a minted leaf: the leaf, the name's equality everywhere, and the upstream certificate.

use crate::support::agent::{finish, push};
use crate::support::certs::Identity;
use crate::support::hello::{client_hello, ech_outer, fragmented, with_extension};
use crate::support::*;
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use std::io::Read;
use std::sync::Arc;
use x509_parser::prelude::*;

const HOST: &str = "tls.exeat.test";
const ONLY_1_2: &[&SupportedProtocolVersion] = &[&TLS12];
const ONLY_1_3: &[&SupportedProtocolVersion] = &[&TLS13];

fn world(origin: &Origin) -> World {
    World::start(Setup::new().origin(HOST, origin))
}

#[test]
fn a_request_inside_tls_reaches_the_origin_over_tls() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let mut tls = world.agent().https(HOST);
    assert_eq!(tls.get(HOST, "/a?b=c").text(), "GET /a?b=c\n");
    assert_eq!(origin.connections()[0].sni.as_deref(), Some(HOST));
    drop(tls);
    let records = world.into_records();
    assert_eq!(records.len(), 2, "{records:#?}");
    let (tunnel, request) = (records.tunnels()[0], records.requests()[0]);
    assert_eq!((tunnel.mode(), tunnel.host()), ("intercept", HOST));
    assert_eq!((request.verdict(), request.number("/status")), ("allowed", Some(200)));
    assert_eq!((request.text("/target/scheme"), request.text("/parent")), (Some("https"), Some(tunnel.flow())));
    assert_eq!(request.text("/target/method"), Some("GET"));
    assert!(request.text("/upstream/tls/version").is_some_and(|version| version.contains("1.3")), "{request:?}");
}

#[test]
fn tls_1_2_and_1_3_are_spoken_downstream() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    for versions in [ONLY_1_2, ONLY_1_3] {
        let hello = Hello::to(&world, HOST).speaking(versions);
        let mut tls = world.agent().https_with(&format!("{HOST}:443"), &hello);
        assert_eq!(tls.get(HOST, "/").status, 200);
        assert_eq!(tls.stream.conn.protocol_version(), Some(versions[0].version));
    }
}

#[test]
fn the_leaf_is_for_this_name_alone_and_by_our_ca() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let leaf = world.agent().https(HOST).leaf();
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(names[..], [GeneralName::DNSName(HOST)]);
    let pem = world.ca();
    let (_, ca) = parse_x509_pem(pem.as_bytes()).unwrap();
    let ca = ca.parse_x509().unwrap();
    assert_eq!(leaf.issuer(), ca.subject());
    leaf.verify_signature(Some(ca.public_key())).unwrap();
    assert_ne!(leaf.public_key().raw, ca.public_key().raw, "the leaf uses the CA's key");
}

#[test]
fn the_leaf_serves_only_to_serve_for_some_days() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let leaf = world.agent().https(HOST).leaf();
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    assert!(leaf.validity().is_valid());
    let days = (leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp()) / 86_400;
    assert!((1..=9).contains(&days), "{days} days");
    assert!(!leaf.is_ca());
    assert!(leaf.extended_key_usage().unwrap().unwrap().value.server_auth);
    assert!(leaf.serial.bits() >= 64, "the serial is {} bits", leaf.serial.bits());
    let identifiers = leaf.extensions().iter().map(X509Extension::parsed_extension);
    assert!(identifiers.into_iter().any(|e| matches!(e, ParsedExtension::AuthorityKeyIdentifier(_))), "no AKI");
}

#[test]
fn two_hosts_get_leaves_with_serials_of_their_own() {
    let origin = Origin::tls().echo();
    let world = World::start(Setup::new().origin("**.exeat.test", &origin));
    let (one, two) = (world.agent().https("one.exeat.test").leaf(), world.agent().https("two.exeat.test").leaf());
    let serial = |leaf: &[u8]| X509Certificate::from_der(leaf).unwrap().1.raw_serial().to_vec();
    assert_ne!(serial(&one), serial(&two));
}

#[test]
fn a_host_is_minted_for_once() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    assert_eq!(world.agent().https(HOST).leaf(), world.agent().https(HOST).leaf());
}

#[test]
fn the_ca_can_sign_leaves_only_and_its_key_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::start(Setup::new());
    let pem = world.ca();
    let (_, ca) = parse_x509_pem(pem.as_bytes()).unwrap();
    let ca = ca.parse_x509().unwrap();
    let constraints = ca.basic_constraints().unwrap().unwrap().value;
    assert_eq!((constraints.ca, constraints.path_len_constraint), (true, Some(0)));
    assert!(ca.key_usage().unwrap().unwrap().value.key_cert_sign());
    let mode = std::fs::metadata(world.path("ca.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_session_is_resumed_for_its_host_and_never_for_another() {
    let origin = Origin::tls().echo();
    let world = World::start(Setup::new().origin("**.exeat.test", &origin));
    // A ticket of one host is offered to the other on purpose.
    let shared = Hello::to(&world, HOST).crossing_tickets();
    let shake = |host: &str| {
        let mut hello = Hello::to(&world, host);
        hello.shared = Some(shared.clone());
        let mut tls = world.agent().https_with(&format!("{host}:443"), &hello);
        assert_eq!(tls.get(host, "/").status, 200);
        tls.stream.conn.handshake_kind()
    };
    assert_eq!(shake("one.exeat.test"), Some(rustls::HandshakeKind::Full));
    assert_eq!(shake("one.exeat.test"), Some(rustls::HandshakeKind::Resumed));
    assert_eq!(shake("two.exeat.test"), Some(rustls::HandshakeKind::Full));
}

#[test]
fn many_requests_go_through_one_opened_tunnel() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let mut tls = world.agent().https(HOST);
    for number in 0..20 {
        assert_eq!(tls.get(HOST, &format!("/{number}")).text(), format!("GET /{number}\n"));
    }
    assert_eq!(origin.connections().len(), 1);
    drop(tls);
    assert_eq!(world.into_records().requests().len(), 20);
}

#[test]
fn pipelined_requests_inside_tls_are_answered_in_their_order() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let mut tls = world.agent().https(HOST);
    let heads: String = (0..5).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).collect();
    push(&mut tls, heads.as_bytes());
    for number in 0..5 {
        assert_eq!(tls.response_to("GET").unwrap().text(), format!("GET /{number}\n"));
    }
}

#[test]
fn another_host_inside_the_tunnel_is_misdirected() {
    let origin = Origin::tls().echo();
    let world = World::start(Setup::new().origin("**.exeat.test", &origin));
    for host in ["other.exeat.test", "evil.test", "tls.exeat.test:8443", "tls.exeat.test.evil.test"] {
        let response = world.agent().https(HOST).get(host, "/");
        assert_refused(&response, "authority_mismatch");
    }
    assert!(origin.requests().is_empty());
}

#[test]
fn another_host_on_the_second_request_is_misdirected() {
    let origin = Origin::tls().echo();
    let world = World::start(Setup::new().origin("**.exeat.test", &origin));
    let mut tls = world.agent().https(HOST);
    assert_eq!(tls.get(HOST, "/").status, 200);
    assert_refused(&tls.get("other.exeat.test", "/"), "authority_mismatch");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn the_host_with_its_default_port_is_the_same_host() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    assert_eq!(world.agent().https(HOST).get("tls.exeat.test:443", "/").status, 200);
    assert_eq!(world.agent().https(HOST).get("TLS.exeat.test", "/").status, 200);
}

#[test]
fn an_absolute_form_inside_the_tunnel_must_name_the_tunnel() {
    let origin = Origin::tls().echo();
    let world = World::start(Setup::new().origin("**.exeat.test", &origin));
    let same = world.agent().https(HOST).get(HOST, "https://tls.exeat.test/x");
    assert!(same.status == 200 || same.status == 400, "{same:?}");
    for target in ["https://other.exeat.test/x", "http://tls.exeat.test/x", "https://tls.exeat.test:8443/x"] {
        let response = world.agent().https(HOST).get(HOST, target);
        assert!(matches!(response.status, 400 | 421), "{target}: {response:?}");
        problem(&response);
    }
    assert!(origin.requests().len() <= 1);
}

#[test]
fn a_connect_inside_tls_is_not_supported() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let mut tls = world.agent().https(HOST);
    push(&mut tls, b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n");
    assert_refused(&tls.response_to("GET").unwrap(), "method_not_supported");
    assert!(origin.requests().is_empty());
}

#[test]
fn proxy_credentials_inside_tls_never_go_upstream() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let field = world.agent().field();
    assert_eq!(world.agent().https(HOST).ask("GET", HOST, "/", &field, b"").status, 200);
    assert_eq!(origin.only_request().field("proxy-authorization"), None);
    assert!(
        !String::from_utf8_lossy(&origin.bytes()).contains(&crate::support::agent::basic("dev", world.token("dev")))
    );
}

#[test]
fn another_server_name_is_refused_with_an_alert() {
    let origin = Origin::tls().echo();
    let world = World::start(Setup::new().origin("**.exeat.test", &origin));
    let mut wire = world.agent().tunnel("tls.exeat.test:443");
    push(&mut wire, &client_hello(&Hello::to(&world, "other.exeat.test")));
    let mut alert = Vec::new();
    let _ = wire.read_to_end(&mut alert);
    // unrecognized_name is 112 (RFC 6066 §3).
    assert_eq!((alert.first(), alert.last()), (Some(&21), Some(&112)), "{alert:?}");
    origin.assert_untouched();
    assert_eq!(world.into_records()[0].reason(), "sni_mismatch");
}

#[test]
fn a_hidden_server_name_never_reaches_the_origin() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let mut wire = world.agent().tunnel("tls.exeat.test:443");
    push(&mut wire, &with_extension(&client_hello(&Hello::to(&world, HOST)), 0xfe0d, &ech_outer()));
    origin.assert_untouched();
}

#[test]
fn what_is_not_tls_is_refused_where_tls_is_opened() {
    let origin = Origin::tls().echo();
    for bytes in
        [&b"GET / HTTP/1.1\r\nHost: tls.exeat.test\r\n\r\n"[..], b"SSH-2.0-x\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let world = world(&origin);
        let mut wire = world.agent().tunnel("tls.exeat.test:443");
        push(&mut wire, bytes);
        let mut rest = Vec::new();
        let _ = wire.read_to_end(&mut rest);
        origin.assert_untouched();
        assert_eq!(world.into_records()[0].reason(), "tunnel_not_tls");
    }
}

#[test]
fn a_client_that_does_not_trust_our_ca_leaves_a_record() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    assert!(Hello::through(HOST).shake(world.agent().tunnel("tls.exeat.test:443")).is_err());
    let records = world.into_records();
    assert_eq!((records[0].reason(), records[0].verdict()), ("downstream_tls_failed", "failed"), "{records:#?}");
    assert!(origin.requests().is_empty());
}

/// A certificate that must not be accepted: the request is never sent, and the reason says what is wrong.
#[track_caller]
fn assert_not_trusted(identity: Identity, reason: &str) {
    let origin = Origin::tls_as(identity).echo();
    let world = world(&origin);
    let response = world.agent().https(HOST).get(HOST, "/secret-path");
    assert_failed(&response, reason);
    origin.assert_untouched();
    let records = world.into_records();
    records.only("failed", reason);
}

#[test]
fn an_expired_certificate_is_refused() {
    assert_not_trusted(Identity::Expired, "upstream_tls_expired");
}

#[test]
fn a_certificate_of_the_future_is_refused() {
    assert_not_trusted(Identity::NotYetValid, "upstream_tls_expired");
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    assert_not_trusted(Identity::WrongName, "upstream_tls_wrong_name");
}

#[test]
fn a_self_signed_certificate_is_refused() {
    assert_not_trusted(Identity::SelfSigned, "upstream_tls_untrusted");
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    assert_not_trusted(Identity::Untrusted, "upstream_tls_untrusted");
}

#[test]
fn a_certificate_for_clients_is_refused() {
    let origin = Origin::tls_as(Identity::ClientAuth).echo();
    let world = world(&origin);
    let refusal = problem(&world.agent().https(HOST).get(HOST, "/"));
    assert_eq!(refusal["status"], 502, "{refusal}");
    origin.assert_untouched();
}

#[test]
fn an_origin_that_speaks_no_tls_is_told_as_such() {
    let origin = Origin::plain().raw(|peer| {
        use std::io::Write;
        let _ = peer.exact(5)?;
        peer.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
        Ok(())
    });
    let world = world(&origin);
    assert_failed(&world.agent().https(HOST).get(HOST, "/"), "upstream_tls_failed");
}

#[test]
fn a_host_that_is_an_address_is_opened_with_an_address_in_the_leaf() {
    let origin = Origin::tls().echo();
    let port = origin.address.port();
    let rule = format!("host: 127.0.0.1, ports: [{port}]");
    let world = World::start(Setup::allowing(&[&rule]));
    let mut tls = world.agent().https_with(&format!("127.0.0.1:{port}"), &Hello::to(&world, "127.0.0.1"));
    assert_eq!(tls.get(&format!("127.0.0.1:{port}"), "/").status, 200);
    let leaf = tls.leaf();
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(names[..], [GeneralName::IPAddress(&[127, 0, 0, 1])]);
}

#[test]
fn a_keep_alive_tunnel_outlives_a_refusal_of_policy() {
    let origin = Origin::tls().echo();
    let setup = Setup::allowing(&["host: tls.exeat.test, paths: [\"/ok/**\"]"]).origin(HOST, &origin);
    let world = World::start(setup);
    let mut tls = world.agent().https(HOST);
    assert_refused(&tls.get(HOST, "/forbidden"), "request_not_listed");
    assert_eq!(tls.get(HOST, "/ok/x").status, 200);
}

#[test]
fn uploads_trailers_and_interim_answers_pass_inside_tls() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let mut tls = world.agent().https(HOST);
    let fields = "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\nExpect: 100-continue\r\n";
    push(&mut tls, format!("POST /up HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n").as_bytes());
    assert_eq!(tls.response_head("POST").unwrap().status, 100);
    push(&mut tls, b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n");
    assert_eq!(tls.response_to("POST").unwrap().text(), "POST /up\nabc");
    assert_eq!(origin.only_request().trailers, [("X-Sum".to_owned(), "1".to_owned())]);
}

#[test]
fn alt_svc_is_taken_out_of_answers_inside_tls() {
    let reply = Reply::ok("x").with("Alt-Svc", "h3=\":443\"");
    let origin = Origin::tls().http(move |_| reply.clone());
    let world = world(&origin);
    assert_eq!(world.agent().https(HOST).get(HOST, "/").field("alt-svc"), None);
}

/// TLS 1.3 sends data before the handshake is over, and can be made to send it twice (RFC 8446 §8): none is taken.
#[test]
fn no_early_data_is_taken() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let mut hello = Hello::to(&world, HOST);
    let mut config = Arc::unwrap_or_clone(hello.config());
    config.enable_early_data = true;
    hello.shared = Some(Arc::new(config));
    let mut tls = world.agent().https_with("tls.exeat.test:443", &hello);
    assert_eq!(tls.get(HOST, "/").status, 200);
    drop(tls);
    assert!(hello.connection().early_data().is_none(), "a ticket allows early data");
    let tls = world.agent().https_with("tls.exeat.test:443", &hello);
    assert_eq!(tls.stream.conn.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
}

/// What is odd, broken or old in a handshake ends that connection and nothing else (T40).
#[test]
fn handshakes_that_are_abused_are_refused_and_the_next_one_is_served() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let hello = client_hello(&Hello::to(&world, HOST));
    let alert = [21, 3, 3, 0, 2, 1, 0];
    let old = {
        let mut old = client_hello(&Hello::to(&world, HOST).speaking(ONLY_1_2));
        // The message's own version: TLS 1.0.
        old[9..11].copy_from_slice(&[3, 1]);
        old
    };
    let claim = [&[22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff][..], &[0; 100]].concat();
    let two_names = with_extension(&hello, 0, &[0, 6, 0, 0, 3, b'a', b'.', b'b']);
    let abuses = [
        ("16 MiB claimed", claim),
        ("an alert first", alert.to_vec()),
        ("an alert after the hello", [&hello[..], &alert].concat()),
        ("TLS 1.0", old),
        ("two names", two_names),
        ("half a hello", hello[..hello.len() / 2].to_vec()),
    ];
    for (number, (what, bytes)) in abuses.into_iter().enumerate() {
        let mut wire = world.agent().tunnel("tls.exeat.test:443");
        push(&mut wire, &bytes);
        finish(&wire);
        let _ = wire.read_to_end(&mut Vec::new());
        origin.assert_never_contacted();
        let records = world.records(number + 1);
        assert!(records.iter().all(|record| record.verdict() != "allowed"), "{what} {records:#?}");
    }
    for number in 0..150u8 {
        let garbage: Vec<u8> = (0..64u8).map(|at| at.wrapping_mul(number | 1).wrapping_add(number)).collect();
        push(&mut world.agent().tunnel("tls.exeat.test:443"), &[&[22, 3, 1][..], &garbage].concat());
    }
    for (padding, size) in [(60_000, 16_000), (40_000, 16)] {
        let large = fragmented(&with_extension(&hello, 21, &vec![0; padding]), size);
        let mut wire = world.agent().tunnel("tls.exeat.test:443");
        push(&mut wire, &large);
        assert_eq!(wire.exact(1).unwrap(), [22], "a ServerHello comes back");
    }
    assert_eq!(world.agent().https(HOST).get(HOST, "/").status, 200);
}
