//! Peers that stall: every wait on them has an end, is told, recorded, and costs nobody else anything.

use crate::support::agent::push;
use crate::support::hello::client_hello;
use crate::support::*;
use std::io::Read;
use std::time::{Duration, Instant};

const HOST: &str = "plain.exeat.test";
const URL: &str = "http://plain.exeat.test/";
/// A head, or a ClientHello, has ten seconds (T36); the rest is for a busy machine.
const PATIENCE: Duration = Duration::from_secs(16);

fn world(origin: &Origin) -> World {
    World::start(Setup::new().origin("**.exeat.test", origin))
}

#[test]
fn half_a_head_is_given_up_with_a_408() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let began = Instant::now();
    let mut wire = world.agent().send("GET http://plain.exeat.test/ HTTP/1.1\r\nHost: pl");
    let response = wire.response_to("GET").unwrap();
    assert_failed(&response, "request_timeout");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    assert!(wire.is_ended());
    world.into_records().only("failed", "request_timeout");
}

#[test]
fn a_head_that_trickles_in_is_given_up_all_the_same() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.send("GET http://plain.exeat.test/ HTTP/1.1\r\nX: ");
    let stream = wire.stream.try_clone().unwrap();
    let feeder = std::thread::spawn(move || {
        let mut stream = Wire::new(stream);
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end && std::io::Write::write_all(&mut stream, b"x").is_ok() {
            std::thread::park_timeout(Duration::from_millis(500));
        }
    });
    let began = Instant::now();
    let response = wire.response_to("GET");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    assert!(!matches!(response, Ok(response) if response.status != 408));
    drop(wire);
    feeder.join().unwrap();
    world.records(1);
    origin.assert_untouched();
}

#[test]
fn a_tunnel_without_a_word_is_given_up() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let began = Instant::now();
    let mut wire = world.agent().tunnel("tls.exeat.test:443");
    let mut rest = Vec::new();
    let _ = wire.read_to_end(&mut rest);
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    let records = world.into_records();
    assert_eq!((records.len(), records[0].host()), (1, "tls.exeat.test"));
    origin.assert_untouched();
}

#[test]
fn half_a_client_hello_is_given_up() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let began = Instant::now();
    let mut wire = world.agent().tunnel("tls.exeat.test:443");
    let hello = client_hello(&Hello::to(&world, "tls.exeat.test"));
    push(&mut wire, &hello[..hello.len() / 2]);
    let mut rest = Vec::new();
    let _ = wire.read_to_end(&mut rest);
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    origin.assert_untouched();
    assert_eq!(world.into_records().len(), 1);
}

#[test]
fn a_handshake_that_is_never_finished_is_given_up() {
    let origin = Origin::tls().echo();
    let world = world(&origin);
    let began = Instant::now();
    let mut wire = world.agent().tunnel("tls.exeat.test:443");
    push(&mut wire, &client_hello(&Hello::to(&world, "tls.exeat.test")));
    let mut rest = Vec::new();
    let _ = wire.read_to_end(&mut rest);
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    origin.assert_untouched();
}

#[test]
fn an_upstream_that_takes_no_handshake_is_given_up() {
    let origin = Origin::plain().silent();
    let world = world(&origin);
    let began = Instant::now();
    let mut tls = world.agent().https("tls.exeat.test");
    tls.stream.sock.stream.set_read_timeout(Some(DEADLINE * 2)).unwrap();
    let response = tls.get("tls.exeat.test", "/");
    assert!(began.elapsed() < Duration::from_secs(35), "{:?}", began.elapsed());
    assert_eq!(problem(&response)["status"].as_u64().map(|status| status / 100), Some(5));
}

#[test]
fn idle_and_half_open_clients_cost_the_others_nothing() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let _idle: Vec<_> = (0..100).map(|_| world.agent().dial()).collect();
    let _half: Vec<_> = (0..100).map(|_| world.agent().send("GET http://plain.exeat.test/ HT")).collect();
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(world.agent().get(URL).status, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn connections_that_are_reset_leave_no_descriptors_behind() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", world.pid())).unwrap().count();
    assert_eq!(world.agent().get(URL).status, 200);
    let before = descriptors();
    for number in 0..300 {
        let wire = if number % 2 == 0 { world.agent().dial() } else { world.agent().send("GET http://pl") };
        socket2::SockRef::from(&wire.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    let end = Instant::now() + DEADLINE;
    while descriptors() > before + 20 {
        assert!(Instant::now() < end, "{} descriptors, {before} before", descriptors());
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(world.agent().get(URL).status, 200);
}

#[test]
fn a_gateway_out_of_descriptors_goes_on_when_it_has_some_again() {
    let origin = Origin::plain().echo();
    let setup = Setup::new().origin(HOST, &origin).after_shell("ulimit -n 128");
    let world = World::start(setup);
    assert_eq!(world.agent().get(URL).status, 200);
    let held: Vec<_> = (0..200).map(|_| world.agent().dial()).collect();
    drop(held);
    let end = Instant::now() + DEADLINE;
    let agent = world.agent();
    while !agent.send(agent.head("GET", URL, "")).response_to("GET").is_ok_and(|response| response.status == 200) {
        assert!(Instant::now() < end, "no service after the descriptors were given back");
    }
    assert_eq!(world.control("GET", "/v1/sessions", "").status, 200);
}
