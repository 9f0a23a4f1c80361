//! CONNECT and the relay: what a tunnel may carry, and that nothing else passes a byte.

use crate::support::agent::{finish, push};
use crate::support::hello::{client_hello, ech_outer, fragmented, with_extension};
use crate::support::*;
use std::io::{Read, Write};

const HOST: &str = "relay.exeat.test";
const AUTHORITY: &str = "relay.exeat.test:443";

fn world(origin: &Origin) -> World {
    World::start(Setup::allowing(&["host: relay.exeat.test, tls: tunnel"]).origin(HOST, origin))
}

fn carrying(origin: &Origin, protocols: &str) -> World {
    let rule = format!("host: relay.exeat.test, tls: tunnel, protocols: [{protocols}]");
    World::start(Setup::allowing(&[&rule]).origin(HOST, origin))
}

/// Sends the first bytes into a tunnel that must not carry them; gives the record's reason.
#[track_caller]
fn assert_not_carried(world: World, origin: &Origin, bytes: &[u8], reason: &str) {
    let mut wire = world.agent().tunnel(AUTHORITY);
    push(&mut wire, bytes);
    let mut answer = Vec::new();
    let _ = wire.read_to_end(&mut answer);
    assert!(answer.len() < 20, "more than an alert came back: {answer:?}");
    origin.assert_untouched();
    let records = world.into_records();
    assert_eq!((records.len(), records[0].reason(), records[0].verdict()), (1, reason, "denied"), "{records:#?}");
}

#[test]
fn tls_with_the_tunnels_name_is_relayed_as_it_is() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let mut tls = world.agent().https_with(AUTHORITY, &Hello::through(HOST));
    assert_eq!(tls.get(HOST, "/through").text(), "GET /through\n");
    assert_eq!(origin.connections()[0].sni.as_deref(), Some(HOST));
    drop(tls);
    let records = world.into_records();
    let record = records.only("allowed", "(none)");
    assert_eq!((record.mode(), record.host(), record.number("/target/port")), ("relay", HOST, Some(443)));
    assert_eq!(record.text("/upstream/tls/sni"), Some(HOST));
    assert!(record.number("/bytes/up").unwrap() > 300 && record.number("/bytes/down").unwrap() > 300, "{record:?}");
}

#[test]
fn the_certificate_in_a_relay_is_the_origins_own() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let tunnel = world.agent().tunnel(AUTHORITY);
    assert!(Hello::to(&world, HOST).shake(tunnel).is_err(), "the gateway's CA signed it");
}

#[test]
fn a_200_to_a_connect_has_no_body_and_no_length() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let (_wire, response) = world.agent().connect(AUTHORITY, "");
    assert_eq!(response.status, 200);
    assert_eq!((response.field("content-length"), response.field("transfer-encoding")), (None, None));
}

#[test]
fn another_server_name_is_refused_before_a_byte_goes_up() {
    let origin = Origin::tls().echo();
    let hello = client_hello(&Hello::through("evil.exeat.test"));
    assert_not_carried(world(&origin), &origin, &hello, "sni_mismatch");
}

#[test]
fn no_server_name_is_refused() {
    let origin = Origin::tls().echo();
    let hello = client_hello(&Hello::through(HOST).without_sni());
    assert_not_carried(world(&origin), &origin, &hello, "sni_missing");
}

#[test]
fn a_hidden_server_name_is_refused() {
    let origin = Origin::tls().echo();
    let hello = with_extension(&client_hello(&Hello::through(HOST)), 0xfe0d, &ech_outer());
    assert_not_carried(world(&origin), &origin, &hello, "ech_not_inspectable");
}

#[test]
fn a_hello_in_many_records_is_read_whole() {
    let origin = Origin::tls().echo();
    let hello = fragmented(&client_hello(&Hello::through("evil.exeat.test")), 11);
    assert_not_carried(world(&origin), &origin, &hello, "sni_mismatch");
}

#[test]
fn a_hello_one_byte_at_a_time_is_relayed_whole() {
    let origin = Origin::tls().raw(|peer| peer.rest().map(|_| ()));
    let world = world(&origin);
    let mut wire = world.agent().tunnel(AUTHORITY);
    for byte in client_hello(&Hello::through(HOST)).chunks(1) {
        push(&mut wire, byte);
    }
    // The origin's flight: a handshake record.
    assert_eq!(wire.exact(1).unwrap(), [22]);
}

#[test]
fn a_fragmented_hello_with_the_right_name_is_relayed_as_sent() {
    let origin = Origin::plain().silent();
    let world = world(&origin);
    let bytes = fragmented(&client_hello(&Hello::through(HOST)), 40);
    let mut wire = world.agent().tunnel(AUTHORITY);
    push(&mut wire, &bytes);
    let seen = origin.wait("the hello", |seen| seen.iter().any(|seen| seen.total >= bytes.len() as u64));
    assert_eq!(seen[0].bytes, bytes);
}

#[test]
fn a_hello_sent_together_with_the_connect_is_relayed() {
    let origin = Origin::plain().silent();
    let world = world(&origin);
    let agent = world.agent();
    let hello = client_hello(&Hello::through(HOST));
    let head = format!("CONNECT {AUTHORITY} HTTP/1.1\r\nHost: {AUTHORITY}\r\n{}\r\n", agent.field());
    let mut wire = agent.send([head.as_bytes(), &hello].concat());
    assert_eq!(wire.response_to("CONNECT").unwrap().status, 200);
    let seen = origin.wait("the hello", |seen| seen.iter().any(|seen| seen.total >= hello.len() as u64));
    assert_eq!(seen[0].bytes, hello);
}

#[test]
fn plain_http_in_a_tunnel_is_refused() {
    let origin = Origin::plain().echo();
    assert_not_carried(world(&origin), &origin, b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", "tunnel_not_tls");
}

#[test]
fn an_ssh_banner_in_a_tunnel_is_refused() {
    let origin = Origin::plain().echo();
    assert_not_carried(world(&origin), &origin, b"SSH-2.0-OpenSSH_9.9\r\n", "tunnel_not_tls");
}

#[test]
fn random_bytes_in_a_tunnel_are_refused() {
    let origin = Origin::plain().echo();
    assert_not_carried(world(&origin), &origin, b"\x00\x01\x02\x03\x04\x05\x06\x07", "tunnel_not_tls");
}

#[test]
fn a_handshake_byte_followed_by_junk_is_refused() {
    let origin = Origin::plain().echo();
    assert_not_carried(world(&origin), &origin, b"\x16\xff\xff\xff\xff\xff\xff\xff\xff\xff", "tunnel_not_tls");
}

#[test]
fn a_record_that_is_no_client_hello_is_refused() {
    let origin = Origin::plain().echo();
    assert_not_carried(world(&origin), &origin, b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", "tunnel_not_tls");
}

#[test]
fn a_connect_inside_a_tunnel_before_tls_is_refused() {
    let origin = Origin::plain().echo();
    let nested = b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n";
    assert_not_carried(world(&origin), &origin, nested, "tunnel_not_tls");
}

#[test]
fn a_client_that_leaves_without_a_byte_leaves_a_record() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    drop(world.agent().tunnel(AUTHORITY));
    let records = world.records(1);
    assert_eq!(records[0].host(), HOST);
    origin.assert_untouched();
}

#[test]
fn ssh_passes_where_the_rule_says_so() {
    let origin = Origin::plain().raw(|peer| {
        let banner = peer.exact(21)?;
        peer.write_all(&banner)?;
        Ok(())
    });
    let world = carrying(&origin, "ssh");
    let mut wire = world.agent().tunnel(AUTHORITY);
    push(&mut wire, b"SSH-2.0-OpenSSH_9.9\r\n");
    assert_eq!(wire.exact(21).unwrap(), b"SSH-2.0-OpenSSH_9.9\r\n");
}

#[test]
fn tls_does_not_pass_where_only_ssh_may() {
    let origin = Origin::tls().echo();
    let world = carrying(&origin, "ssh");
    let mut wire = world.agent().tunnel(AUTHORITY);
    push(&mut wire, &client_hello(&Hello::through(HOST)));
    let mut answer = Vec::new();
    let _ = wire.read_to_end(&mut answer);
    origin.assert_untouched();
    assert_eq!(world.records(1)[0].verdict(), "denied");
}

#[test]
fn anything_passes_where_the_rule_says_any() {
    let origin = Origin::plain().raw(|peer| {
        let got = peer.exact(4)?;
        peer.write_all(&got)?;
        Ok(())
    });
    let world = carrying(&origin, "any");
    let mut wire = world.agent().tunnel(AUTHORITY);
    push(&mut wire, b"\x00\x01\x02\x03");
    assert_eq!(wire.exact(4).unwrap(), b"\x00\x01\x02\x03");
}

#[test]
fn the_end_of_one_direction_is_passed_on_and_the_other_goes_on() {
    let origin = Origin::plain().raw(|peer| {
        let got = peer.rest()?;
        peer.write_all(format!("got {}", got.len()).as_bytes())?;
        Ok(())
    });
    let world = carrying(&origin, "any");
    let mut wire = world.agent().tunnel(AUTHORITY);
    push(&mut wire, b"12345");
    finish(&wire);
    assert_eq!(wire.rest().unwrap(), b"got 5");
}

#[test]
fn an_origin_that_ends_first_is_passed_on() {
    let origin = Origin::plain().raw(|peer| {
        let _ = peer.exact(1)?;
        peer.write_all(b"bye")?;
        Ok(())
    });
    let world = carrying(&origin, "any");
    let mut wire = world.agent().tunnel(AUTHORITY);
    push(&mut wire, b"x");
    assert_eq!(wire.rest().unwrap(), b"bye");
}

#[test]
fn a_relay_counts_its_bytes() {
    let origin = Origin::plain().raw(|peer| {
        let _ = peer.exact(100_000)?;
        peer.write_all(&[b'd'; 200_000])?;
        Ok(())
    });
    let world = carrying(&origin, "any");
    let mut wire = world.agent().tunnel(AUTHORITY);
    push(&mut wire, &[b'u'; 100_000]);
    finish(&wire);
    assert_eq!(wire.rest().unwrap().len(), 200_000);
    drop(wire);
    let records = world.into_records();
    assert_eq!(records[0].number("/bytes/up"), Some(100_000));
    assert_eq!(records[0].number("/bytes/down"), Some(200_000));
}

#[test]
fn an_origin_that_is_done_first_still_gets_all_of_the_client_s_and_a_clean_end() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::plain().raw(move |peer| {
        peer.write_all(b"done")?;
        peer.stream.close();
        let mut come = Vec::new();
        let ended = peer.read_to_end(&mut come).map(|_| come.len());
        tell.lock().unwrap().send(ended.ok()).unwrap();
        Ok(())
    });
    let world = carrying(&origin, "any");
    let mut wire = world.agent().tunnel(AUTHORITY);
    assert_eq!(wire.rest().unwrap(), b"done");
    push(&mut wire, &[b'u'; 1_000_000]);
    finish(&wire);
    assert_eq!(told.recv().unwrap(), Some(1_000_000));
}

#[test]
fn a_connect_in_http_1_0_opens_a_tunnel() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.send(format!("CONNECT {AUTHORITY} HTTP/1.0\r\n{}\r\n", agent.field()));
    assert_eq!(wire.response_to("CONNECT").unwrap().status, 200);
    let mut tls = Hello::through(HOST).shake(wire).unwrap();
    assert_eq!(tls.get(HOST, "/").status, 200);
}

#[test]
fn a_connect_with_a_body_is_refused() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    for fields in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
        let (_, response) = world.agent().connect(AUTHORITY, fields);
        assert_eq!(problem(&response)["status"], 400);
    }
    origin.assert_untouched();
}

#[test]
fn a_connect_whose_host_field_differs_is_refused() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let agent = world.agent();
    let head = format!("CONNECT {AUTHORITY} HTTP/1.1\r\nHost: evil.test:443\r\n{}\r\n", agent.field());
    assert_refused(&agent.send(head).response_to("CONNECT").unwrap(), "bad_host");
}

#[test]
fn a_refused_connect_is_told_why_and_leaves_one_record() {
    let canary = Origin::tls().echo();
    let world = World::start(Setup::new().origin("evil.test", &canary));
    let refusal = assert_refused(&world.agent().refused("evil.test:443"), "dest_not_listed");
    assert!(refusal["detail"].as_str().unwrap().contains("evil.test"), "{refusal}");
    canary.assert_never_contacted();
    let records = world.into_records();
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].verdict(), records[0].flow()), ("denied", refusal["flow"].as_str().unwrap()));
}

#[test]
fn an_origin_that_is_not_there_is_told_before_the_200_or_by_the_end_of_the_tunnel() {
    let world = World::start(Setup::allowing(&["host: relay.exeat.test, tls: tunnel"]).connect(HOST, "127.0.0.1:9"));
    let (mut wire, response) = world.agent().connect(AUTHORITY, "");
    if response.status == 200 {
        push(&mut wire, &client_hello(&Hello::through(HOST)));
        let mut rest = Vec::new();
        let _ = wire.read_to_end(&mut rest);
    } else {
        assert_failed(&response, "connect_failed");
    }
    let records = world.records(1);
    assert_eq!((records[0].verdict(), records[0].reason()), ("failed", "connect_failed"));
}

#[test]
fn many_tunnels_run_at_once() {
    let origin = Origin::plain().raw(|peer| {
        let got = peer.exact(3)?;
        peer.write_all(&got)?;
        Ok(())
    });
    let world = carrying(&origin, "any");
    let agent = world.agent();
    let mut wires: Vec<_> = (0..50).map(|_| agent.tunnel(AUTHORITY)).collect();
    for (number, wire) in wires.iter_mut().enumerate() {
        push(wire, format!("{number:03}").as_bytes());
    }
    for (number, wire) in wires.iter_mut().enumerate() {
        assert_eq!(wire.exact(3).unwrap(), format!("{number:03}").as_bytes());
    }
    drop(wires);
    assert_eq!(world.into_records().len(), 50);
}

/// One rule for 80 and 443: plain HTTP goes to the one and TLS to the other, by CONNECT as without it.
#[test]
fn plain_http_in_a_tunnel_to_its_port_is_judged_request_by_request() {
    let origin = Origin::plain().echo();
    let world = World::start(Setup::allowing(&["host: relay.exeat.test, methods: [GET]"]).origin("**", &origin));
    let mut wire = world.agent().tunnel("relay.exeat.test:80");
    let mut ask = |method: &str, target: &str, host: &str| {
        push(&mut wire, format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n").as_bytes());
        wire.response_to(method).unwrap()
    };
    assert_eq!(ask("GET", "/x", HOST).text(), "GET /x\n");
    assert_refused(&ask("POST", "/x", HOST), "request_not_listed");
    for (target, host) in
        [("/x", "other.exeat.test"), ("http://other.exeat.test/x", HOST), ("/x", "relay.exeat.test:443")]
    {
        assert_refused(&ask("GET", target, host), "authority_mismatch");
    }
    assert_refused(&ask("CONNECT", "relay.exeat.test:80", "relay.exeat.test:80"), "method_not_supported");
    let mut wire = world.agent().tunnel("relay.exeat.test:80");
    let token = crate::support::secrets::github_token();
    push(&mut wire, format!("GET /?t={token} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes());
    assert_refused(&wire.response_to("GET").unwrap(), "secret_in_request");
    assert_eq!(origin.requests().len(), 1);
    let records = world.into_records();
    let requests = records.requests();
    assert_eq!((requests[0].mode(), requests[0].text("/target/scheme")), ("forward", Some("http")));
    let parent = requests[0].text("/parent");
    assert!(records.tunnels().iter().any(|tunnel| Some(tunnel.flow()) == parent), "{records:#?}");
}

#[test]
fn what_else_comes_to_a_port_of_plain_http_is_refused() {
    let origin = Origin::plain().echo();
    for bytes in [&b"SSH-2.0-x\r\n"[..], b"\x00\x01\x02\x03", b"\x16\xff\xff", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let world = World::start(Setup::allowing(&["host: relay.exeat.test"]).origin("**", &origin));
        let mut wire = world.agent().tunnel("relay.exeat.test:80");
        push(&mut wire, bytes);
        let _ = wire.read_to_end(&mut Vec::new());
        origin.assert_never_contacted();
        assert!(world.into_records().iter().any(|record| record.verdict() == "denied"), "{bytes:?}");
    }
    let world = World::start(Setup::allowing(&["host: relay.exeat.test"]).origin("**", &origin));
    let mut wire = world.agent().tunnel("relay.exeat.test:80");
    push(&mut wire, &client_hello(&Hello::to(&world, HOST)));
    let _ = wire.read_to_end(&mut Vec::new());
    origin.assert_never_contacted();
    world.into_records().only("denied", "dest_not_listed");
}

/// The gateway's hello goes up in its place, or it is the origin's to refuse.
#[test]
fn protocols_that_no_hello_should_offer_are_recorded_and_never_spoken_by_the_gateway() {
    let origin = Origin::tls().echo();
    let odd = |hello: Hello| Hello { alpn: vec![b"ssh/2.0".to_vec()], ..hello };
    let opened = World::start(Setup::allowing(&["host: relay.exeat.test"]).origin(HOST, &origin));
    assert!(odd(Hello::to(&opened, HOST)).shake(opened.agent().tunnel(AUTHORITY)).is_err());
    origin.assert_untouched();
    let records = opened.into_records();
    assert_eq!(records.only("failed", "downstream_tls_failed").text("/downstream/tls/alpn/0"), Some("ssh/2.0"));
    let relayed = world(&origin);
    assert!(odd(Hello::through(HOST)).shake(relayed.agent().tunnel(AUTHORITY)).is_err());
    assert!(origin.requests().is_empty());
    assert_eq!(relayed.into_records()[0].text("/downstream/tls/alpn/0"), Some("ssh/2.0"));
}
