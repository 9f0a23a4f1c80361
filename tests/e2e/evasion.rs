//! Ways around the gateway that an agent would try: each was open once.

use crate::support::agent::push;
use crate::support::message::Framing;
use crate::support::setup::policy_for;
use crate::support::*;
use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const HOST: &str = "plain.exeat.test";
const URL: &str = "http://plain.exeat.test/";

fn world(origin: &Origin) -> World {
    World::start(Setup::new().origin("**.exeat.test", origin))
}

#[test]
fn a_coding_on_a_line_of_its_own_is_not_overlooked() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let body = b"\x1f\x9d\x90what nobody here can look into";
    for fields in [
        "Content-Encoding: identity\r\nContent-Encoding: compress\r\n",
        "Content-Encoding: gzip\r\nContent-Encoding: compress\r\n",
        "Content-Encoding:\r\nContent-Encoding: compress\r\n",
    ] {
        let fields = format!("{fields}Content-Length: {}\r\n", body.len());
        assert_refused(&world.agent().request("POST", URL, &fields, body), "body_not_inspectable");
    }
    origin.assert_untouched();
}

#[test]
fn a_relayed_tunnel_spends_the_budget_of_bytes() {
    let origin = Origin::plain().silent();
    let rule = "host: plain.exeat.test, ports: [443], tls: tunnel, protocols: [any]";
    let policy = policy_for(&[rule]) + "limits: {upload: 100KiB}";
    let world = World::start(Setup::under(&policy).origin(HOST, &origin));
    let mut wire = world.agent().tunnel("plain.exeat.test:443");
    push(&mut wire, &[b'x'; 50_000]);
    origin.wait("what the budget has room for", |seen| seen.iter().any(|seen| seen.total == 50_000));
    push(&mut wire, &[b'x'; 1 << 20]);
    let seen = origin.wait("the end", |seen| seen.iter().all(|seen| seen.ended));
    assert!(seen[0].total <= 100 << 10, "{} bytes came through", seen[0].total);
    world.into_records().only("denied", "quota_exceeded");
}

#[test]
fn heads_spend_the_budget_of_bytes_too() {
    let origin = Origin::plain().echo();
    let policy = policy_for(&["host: plain.exeat.test"]) + "limits: {upload: 100KiB}";
    let world = World::start(Setup::under(&policy).origin(HOST, &origin));
    let fields = format!("X-Cargo: {}\r\n", "word ".repeat(4_000));
    let answers: Vec<_> = (0..8).map(|_| world.agent().request("GET", URL, &fields, b"")).collect();
    assert_eq!(answers[0].status, 200, "{:?}", answers[0]);
    assert_refused(&answers[7], "quota_exceeded");
    let total: u64 = origin.connections().iter().map(|seen| seen.total).sum();
    assert!(total <= 100 << 10, "{total} bytes came through");
}

#[test]
fn a_body_that_trickles_is_cut_however_evenly_it_comes() {
    let origin = Origin::plain().silent();
    let world = world(&origin);
    let agent = world.agent();
    let mut wire = agent.send(agent.head("POST", URL, "Content-Length: 100000\r\n"));
    let mut drip = wire.stream.try_clone().unwrap();
    std::thread::spawn(move || {
        while drip.write_all(b"x").is_ok() {
            std::thread::park_timeout(Duration::from_millis(500));
        }
    });
    let response = wire.response_to("POST").unwrap();
    assert_refused(&response, "request_timeout");
}

#[test]
fn an_origin_that_takes_no_body_is_not_waited_for_without_end() {
    let (done, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::plain().raw(move |peer| {
        let _ = peer.request_head()?;
        let _ = wait.lock().unwrap().recv_timeout(DEADLINE * 2);
        Ok(())
    });
    let setup = Setup::new().origin(HOST, &origin).extra("limits: {response_timeout: 2s}");
    let world = World::start(setup);
    let agent = world.agent();
    let mut wire = agent.send(agent.head("POST", URL, "Content-Length: 1000000000\r\n"));
    let mut pump = wire.stream.try_clone().unwrap();
    std::thread::spawn(move || while pump.write_all(&[b'x'; 1 << 16]).is_ok() {});
    let began = Instant::now();
    // What is unread when the connection closes may take the answer with it.
    if let Ok(response) = wire.response_to("POST") {
        assert_refused(&response, "upstream_timeout");
    }
    world.records_where("the record", |records| records.iter().any(|record| record.reason() == "upstream_timeout"));
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    let _ = done.send(());
}

#[test]
fn a_held_body_that_comes_byte_by_byte_costs_no_buffer_for_each() {
    let origin = Origin::plain().silent();
    let world = world(&origin);
    let agent = world.agent();
    let before = memory(&world, "VmRSS:");
    let mut wire = agent.send(agent.head("POST", URL, "Content-Encoding: zstd\r\nContent-Length: 1000000\r\n"));
    // A frame without checksum and size, and the head of a compressed block of 120,000 bytes: nothing can be
    // decoded, and so nothing released, before all of it is here.
    let block: u32 = 120_000 << 3 | 2 << 1;
    push(&mut wire, &[&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38], &block.to_le_bytes()[..3]].concat());
    for _ in 0..20_000 {
        push(&mut wire, b"x");
        // Lets the byte be read before the next one is there.
        std::thread::park_timeout(Duration::from_micros(20));
    }
    assert!(Records::read(&world.path("flows")).is_empty(), "the body was refused");
    let growth = memory(&world, "VmHWM:").saturating_sub(before);
    assert!(growth < 24 << 20, "20,000 bytes took {} KiB", growth >> 10);
}

/// A line of `/proc/PID/status`, in bytes.
fn memory(world: &World, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn an_origin_cannot_take_the_length_off_its_answer() {
    for name in ["Content-Length", "close, content-length"] {
        let origin = Origin::plain()
            .answer(format!("HTTP/1.1 200 OK\r\nConnection: {name}\r\nX: 1\r\nContent-Length: 2\r\n\r\nok"));
        let world = world(&origin);
        let response = world.agent().get(URL);
        assert_eq!((response.framing, response.text().as_str()), (Framing::Length(2), "ok"), "{name}");
    }
}

#[test]
fn a_cut_answer_to_http_1_0_does_not_look_whole() {
    let cut = &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"[..];
    let origin = Origin::plain().answer_and_close(cut);
    let secure = Origin::tls().answer_and_close(cut);
    let setup = Setup::new().origin(HOST, &origin).origin("tls.exeat.test", &secure);
    let world = World::start(setup);
    let agent = world.agent();
    let mut wire = agent.send(agent.head("GET", URL, "").replace("HTTP/1.1", "HTTP/1.0"));
    let whole = wire.rest();
    assert!(whole.is_err(), "{:?}", String::from_utf8(whole.unwrap_or_default()));
    let mut tls = agent.https("tls.exeat.test");
    push(&mut tls, b"GET / HTTP/1.0\r\nHost: tls.exeat.test\r\n\r\n");
    let whole = tls.rest();
    assert!(whole.is_err(), "{:?}", String::from_utf8(whole.unwrap_or_default()));
}

#[test]
fn a_refusal_is_told_after_100_continue_too() {
    let origin = Origin::plain().raw(|peer| {
        let _ = peer.request_head()?;
        peer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        peer.rest().map(|_| ())
    });
    let world = world(&origin);
    let agent = world.agent();
    let body = format!("token = \"{}\"\n", crate::support::secrets::github_token());
    let fields = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len());
    let mut wire = agent.send(agent.head("POST", URL, &fields));
    assert_eq!(wire.response_head("POST").unwrap().status, 100);
    push(&mut wire, body.as_bytes());
    assert_refused(&wire.response_to("POST").unwrap(), "secret_in_request");
}
