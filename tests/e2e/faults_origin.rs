//! Origins that close, reset and stall at every stage: told where it can be told, cut where an answer has begun,
//! recorded once, and over in time.

use crate::support::agent::push;
use crate::support::http2::Http2Agent;
use crate::support::message;
use crate::support::origin::{Listen, Peer};
use crate::support::websocket::{self, FIN, TEXT, asking};
use crate::support::*;
use bytes::Bytes;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Every wait ends within a second.
const SHORT: &str = "limits: {connect_timeout: 1s, handshake_timeout: 1s, response_timeout: 1s, idle_timeout: 1s}";
/// What such a wait may take on a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// How far an answer comes, and how it ends: `/STAGE/END`.
const STAGES: [&str; 5] = ["none", "head", "body", "chunk", "trailer"];
const ENDS: [&str; 3] = ["reset", "close", "stall"];

fn faulty(listen: Listen) -> Origin {
    listen.raw(|peer| {
        while let Some(request) = peer.request_head()? {
            let (stage, end) = request.target[1..].split_once('/').unwrap_or(("whole", ""));
            peer.write_all(match stage {
                "none" => b"",
                "head" => b"HTTP/1.1 200 OK\r\nConte",
                "body" => b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
                "chunk" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
                "trailer" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: ",
                _ => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".as_slice(),
            })?;
            peer.flush()?;
            if stage != "whole" {
                end_as_told(peer, end);
                return Ok(());
            }
        }
        Ok(())
    })
}

fn end_as_told(peer: &mut Wire<Peer>, end: &str) {
    match end {
        "reset" => peer.stream.reset(),
        "close" => peer.stream.cut(),
        // Until the gateway gives up.
        _ => drop(peer.rest()),
    }
}

/// What a request must end as: told by a refusal, or cut.
#[track_caller]
fn judge(place: &str, stage: &str, end: &str, ended: Result<(u16, String), String>) {
    match (stage, ended) {
        ("none" | "head", Ok((status, reason))) => {
            let timeout = (504, "upstream_timeout");
            let broken = (502, "upstream_closed");
            // A head that ends cleanly in its midst is none.
            let half = (502, "bad_upstream_response");
            let wanted =
                if end == "stall" { [timeout; 2] } else { [broken, if stage == "head" { half } else { broken }] };
            assert!(wanted.contains(&(status, reason.as_str())), "{place} {stage} {end}: {status} {reason}");
        }
        ("none" | "head", Err(cut)) => panic!("{place} {stage} {end}: cut and not told: {cut}"),
        (_, Ok(whole)) => panic!("{place} {stage} {end}: it looks whole: {whole:?}"),
        (_, Err(_)) => {}
    }
}

fn told(response: Result<Response, message::Fault>) -> Result<(u16, String), String> {
    let response = response.map_err(|fault| fault.to_string())?;
    let problem: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
    Ok((response.status, problem["reason"].as_str().unwrap_or_default().to_owned()))
}

/// Every request has one record, which tells what became of it.
fn assert_recorded(world: World, host: &str) {
    let records = world.into_records();
    for stage in STAGES {
        for end in ENDS {
            let path = format!("/{stage}/{end}");
            let of: Vec<_> = records.iter().filter(|record| record.text("/target/path") == Some(&path)).collect();
            assert_eq!(of.len(), 1, "{host}{path}: {of:#?}");
            let wanted =
                if end == "stall" { &["upstream_timeout"][..] } else { &["upstream_closed", "bad_upstream_response"] };
            assert_eq!(of[0].verdict(), "failed", "{host}{path}: {:#?}", of[0]);
            assert!(wanted.contains(&of[0].reason()), "{host}{path}: {:#?}", of[0]);
        }
    }
}

/// Runs every stage and end at once.
fn each(run: impl Fn(&str, &str) + Sync) {
    let began = Instant::now();
    thread::scope(|scope| {
        for stage in STAGES {
            for end in ENDS {
                let run = &run;
                scope.spawn(move || run(stage, end));
            }
        }
    });
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn plain_answers_that_break_off_are_told_or_cut() {
    let origin = faulty(Origin::plain());
    let world = World::start(Setup::new().origin("plain.exeat.test", &origin).extra(SHORT));
    each(|stage, end| {
        let agent = world.agent();
        let mut wire = agent.send(agent.head("GET", &format!("http://plain.exeat.test/{stage}/{end}"), ""));
        judge("plain", stage, end, told(wire.response_to("GET")));
    });
    assert_eq!(world.agent().get("http://plain.exeat.test/").text(), "ok");
    assert_recorded(world, "plain");
}

#[test]
fn intercepted_answers_that_break_off_are_told_or_cut() {
    let origin = faulty(Origin::tls());
    let world = World::start(Setup::new().origin("tls.exeat.test", &origin).extra(SHORT));
    each(|stage, end| {
        let mut tls = world.agent().https("tls.exeat.test");
        push(&mut tls, format!("GET /{stage}/{end} HTTP/1.1\r\nHost: tls.exeat.test\r\n\r\n").as_bytes());
        judge("intercepted", stage, end, told(tls.response_to("GET")));
    });
    assert_eq!(world.agent().https("tls.exeat.test").get("tls.exeat.test", "/").text(), "ok");
    assert_recorded(world, "intercepted");
}

/// An origin on HTTP/2: a stream that is reset, a connection that is cut, and silence.
#[test]
fn streams_that_break_off_are_told_or_reset() {
    let origin = Http2Origin::raw(|(request, mut respond)| {
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            let (stage, end) = path[1..].split_once('/').unwrap_or(("whole", ""));
            let answer = http::Response::new(());
            let mut body = None;
            if stage != "none" {
                body = respond.send_response(answer, false).ok();
            }
            if let Some(body) = &mut body {
                let _ = body.send_data(Bytes::from_static(b"ok"), stage == "whole");
            }
            // A reset overtakes what is queued before it.
            tokio::time::sleep(Duration::from_millis(50)).await;
            match (end, body) {
                ("reset", Some(mut body)) => body.send_reset(h2::Reason::INTERNAL_ERROR),
                ("reset", None) => respond.send_reset(h2::Reason::INTERNAL_ERROR),
                ("stall", _) => std::future::pending::<()>().await,
                _ => {}
            }
        })
    });
    let setup = Setup::new().connect("h2.exeat.test", &origin.address.to_string()).extra(SHORT);
    let world = World::start(setup);
    for (path, status) in
        [("/none/reset", Some(502)), ("/none/stall", Some(504)), ("/body/reset", None), ("/body/stall", None)]
    {
        let began = Instant::now();
        let agent = Http2Agent::to(&world, "h2.exeat.test");
        let ended = agent.send(agent.request("GET", path).body(()).unwrap(), b"", None);
        assert_eq!(ended.ok().map(|heard| heard.status), status, "{path}");
        assert!(began.elapsed() < SOON, "{path}: {:?}", began.elapsed());
        // The stream's end is that of no other.
        assert_eq!(agent.get("/").text(), "ok", "{path}");
    }
    let records = world.into_records();
    let failed = records.requests().iter().filter(|record| record.verdict() == "failed").count();
    assert_eq!((failed, records.requests().len()), (4, 8), "{records:#?}");
}

/// An origin on HTTP/2 that resets the streams of these numbers, on whatever connection, and answers others.
fn resetting(numbers: std::ops::Range<usize>) -> Http2Origin {
    let streams = AtomicUsize::new(0);
    Http2Origin::raw(move |(_, mut respond)| {
        let is_reset = numbers.contains(&streams.fetch_add(1, Ordering::Relaxed));
        Box::pin(async move {
            if is_reset {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
            } else if let Ok(mut body) = respond.send_response(http::Response::new(()), false) {
                let _ = body.send_data(Bytes::from_static(b"ok"), true);
            }
        })
    })
}

#[test]
fn a_request_whose_streams_die_on_a_shared_connection_gets_one_of_its_own() {
    let origin = resetting(1..3);
    let world = World::start(Setup::new().connect("h2.exeat.test", &origin.address.to_string()));
    let agent = Http2Agent::to(&world, "h2.exeat.test");
    for _ in 0..3 {
        assert_eq!(agent.get("/").text(), "ok");
    }
    let records = world.into_records();
    assert!(records.requests().iter().all(|record| record.verdict() == "allowed"), "{records:#?}");
}

#[test]
fn origins_that_break_off_in_the_handshake_are_told_apart() {
    for (end, status, reasons) in [
        ("reset", 502, &["upstream_tls_failed"][..]),
        ("close", 502, &["upstream_tls_failed"]),
        ("stall", 504, &["connect_timeout"]),
    ] {
        let origin = Origin::plain().raw(move |peer| {
            let _ = peer.exact(20)?;
            end_as_told(peer, end);
            Ok(())
        });
        let world = World::start(Setup::new().origin("tls.exeat.test", &origin).extra(SHORT));
        let began = Instant::now();
        let response = world.agent().https("tls.exeat.test").get("tls.exeat.test", "/");
        assert_eq!(response.status, status, "{end}");
        assert_refused_with(&response, reasons);
        assert!(began.elapsed() < SOON, "{end}: {:?}", began.elapsed());
        let records = world.into_records();
        assert_eq!((records.len(), records.requests().len()), (2, 1), "{records:#?}");
    }
}

/// A listener whose queue is full: a connection attempt to it hangs, as to a host that drops packets.
#[test]
fn an_origin_that_takes_no_connection_is_given_up_in_time_by_every_way_in() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        queued.push(stream);
    }
    let rules =
        ["host: plain.exeat.test", "host: tls.exeat.test", "host: raw.exeat.test, tls: tunnel, protocols: [any]"];
    let world = World::start(Setup::allowing(&rules).connect("**.exeat.test", &address.to_string()).extra(SHORT));
    let began = Instant::now();
    assert_failed(&world.agent().get("http://plain.exeat.test/"), "connect_timeout");
    assert_failed(&world.agent().https("tls.exeat.test").get("tls.exeat.test", "/"), "connect_timeout");
    assert_failed(&world.agent().refused("raw.exeat.test:443"), "connect_timeout");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(world.into_records().len(), 4);
}

#[test]
fn a_relayed_tunnel_ends_as_its_origin_does() {
    for end in ENDS {
        let origin = Origin::plain().raw(move |peer| {
            let _ = peer.exact(5)?;
            peer.write_all(b"world")?;
            end_as_told(peer, end);
            Ok(())
        });
        let rules = ["host: raw.exeat.test, tls: tunnel, protocols: [any]"];
        let world = World::start(Setup::allowing(&rules).origin("raw.exeat.test", &origin).extra(SHORT));
        let mut wire = world.agent().tunnel("raw.exeat.test:443");
        push(&mut wire, b"hello");
        let mut rest = Vec::new();
        let began = Instant::now();
        let _ = wire.read_to_end(&mut rest);
        assert!(began.elapsed() < SOON, "{end}: {:?}", began.elapsed());
        assert!(end == "reset" || rest == b"world", "{end}: {rest:?}");
        drop(wire);
        let records = world.into_records();
        assert_eq!((records.len(), records[0].verdict(), records[0].mode()), (1, "allowed", "relay"), "{end}");
        assert_eq!(records[0].number("/bytes/up"), Some(5), "{end}");
    }
}

#[test]
fn a_websocket_whose_origin_breaks_off_is_closed_and_recorded_once() {
    for end in ENDS {
        let origin = Origin::plain().websocket("", move |peer| {
            let _ = peer.frame()?;
            // Half a frame.
            peer.write_all(&[FIN | TEXT, 10, b'h'])?;
            peer.flush()?;
            end_as_told(peer, end);
            Ok(())
        });
        let world = World::start(Setup::new().origin("**.exeat.test", &origin).extra(SHORT));
        let agent = world.agent();
        let mut wire = agent.send(agent.head("GET", websocket::URL, &asking("")));
        assert_eq!(wire.response_to("GET").unwrap().status, 101);
        push(&mut wire, &websocket::client(FIN | TEXT, b"hello"));
        let began = Instant::now();
        let _ = wire.rest();
        assert!(began.elapsed() < SOON, "{end}: {:?}", began.elapsed());
        let records = world.into_records();
        assert_eq!((records.len(), records[0].mode()), (1, "websocket"), "{end}");
    }
}

/// What nobody listens to any more, mid-flight: the listener's queue is dropped with it.
#[test]
fn an_origin_that_restarts_is_reached_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let world = World::start(Setup::new().connect("**.exeat.test", &address.to_string()).extra(SHORT));
    let serve = |listener: TcpListener| {
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
        })
    };
    let first = serve(listener);
    let agent = world.agent();
    let mut wire = agent.send(agent.head("GET", "http://a.exeat.test/", ""));
    assert_eq!(wire.response_to("GET").unwrap().status, 200);
    first.join().unwrap();
    push(&mut wire, agent.head("GET", "http://a.exeat.test/", "").as_bytes());
    assert_failed(&wire.response_to("GET").unwrap(), "connect_failed");
    let second = serve(TcpListener::bind(address).unwrap());
    push(&mut wire, agent.head("GET", "http://a.exeat.test/", "").as_bytes());
    assert_eq!(wire.response_to("GET").unwrap().status, 200);
    second.join().unwrap();
}
