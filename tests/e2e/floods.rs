//! Floods: what they hold of the gateway's memory has a bound, and it is given back.

use crate::support::agent::{dial, push};
use crate::support::http2::Http2Agent;
use crate::support::*;
use bytes::Bytes;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const HOST: &str = "plain.exeat.test";
const H2: &str = "h2.exeat.test";

/// What the gateway holds in memory, in KiB.
fn resident(world: &World) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Floods; memory may rise by so many MiB, and a request beside the flood is served: at once, or after a quick "not
/// now" where the flood is more work than this machine can do.
#[track_caller]
fn assert_bounded<T>(world: &World, mib: u64, flood: impl FnOnce() -> T) -> T {
    let agent = world.agent();
    assert_eq!(agent.get("http://plain.exeat.test/").status, 200);
    let before = resident(world);
    let held = flood();
    let end = Instant::now() + Duration::from_secs(2);
    let mut most = 0;
    while Instant::now() < end {
        most = most.max(resident(world));
        std::thread::park_timeout(Duration::from_millis(50));
    }
    until("service beside the flood", || {
        let response = agent.get("http://plain.exeat.test/");
        assert!(response.status == 200 || response.text().contains("overloaded"), "{}", response.text());
        response.status == 200
    });
    assert!(most <= before + mib * 1024, "{before} KiB before, {most} in the flood");
    held
}

/// An answer without end, as fast as it is taken.
fn endless() -> Origin {
    Origin::plain().raw(|peer| {
        let Some(request) = peer.request_head()? else { return Ok(()) };
        if request.target == "/" {
            peer.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")?;
            return Ok(());
        }
        peer.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        while peer.write_all(&[b'x'; 64 * 1024]).is_ok() {}
        Ok(())
    })
}

#[test]
fn readers_that_do_not_read_hold_a_little_each() {
    let origin = endless();
    let world = World::start(Setup::new().origin(HOST, &origin));
    let agent = world.agent();
    assert_bounded(&world, 60, || {
        let ask = || agent.send(agent.head("GET", "http://plain.exeat.test/endless", ""));
        (0..200).map(|_| ask()).collect::<Vec<_>>()
    });
}

#[test]
fn writers_whose_origin_does_not_read_hold_a_little_each() {
    let origin = Origin::plain().raw(|peer| {
        let Some(request) = peer.request_head()? else { return Ok(()) };
        match request.method.as_str() {
            // Read no further until the gateway gives up.
            "POST" => std::thread::park_timeout(DEADLINE),
            _ => peer.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")?,
        }
        Ok(())
    });
    let world = World::start(Setup::new().origin(HOST, &origin));
    let agent = world.agent();
    assert_bounded(&world, 150, || {
        let head = agent.head("POST", "http://plain.exeat.test/up", "Content-Length: 1000000000\r\n");
        let send = || {
            let wire = agent.send(&head);
            wire.stream.set_nonblocking(true).unwrap();
            let mut stream = &wire.stream;
            while stream.write(&[b'y'; 64 * 1024]).is_ok() {}
            wire
        };
        (0..100).map(|_| send()).collect::<Vec<_>>()
    });
}

/// A body that was let in and does not move, of a client that has no time to send it or does not want to.
#[test]
fn bodies_that_stop_halfway_hold_a_little_each() {
    const MANY: usize = 100;
    let origin = Origin::plain().raw(|peer| {
        let Some(request) = peer.request_head()? else { return Ok(()) };
        if request.method == "POST" {
            return peer.rest().map(|_| ());
        }
        peer.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")?;
        Ok(())
    });
    let world = World::start(Setup::new().origin(HOST, &origin));
    let agent = world.agent();
    let fields = "Content-Length: 2000000\r\nContent-Type: application/json\r\n";
    let head = agent.head("POST", "http://plain.exeat.test/up", fields);
    let line = "{\"role\": \"user\", \"content\": \"Why does the build fail on the second try?\"},\n";
    let half: String = line.chars().cycle().take(72 << 10).collect();
    let mut wires = Vec::new();
    // The first few show what a gateway takes that has work at all.
    let [few, many] = [MANY / 4, MANY].map(|count| {
        wires.resize_with(count, || agent.send([head.as_bytes(), half.as_bytes()].concat()));
        // All but what may still become a secret.
        let sent = (count * (half.len() - (8 << 10))) as u64;
        origin.wait("what has come of them", |seen| seen.iter().map(|seen| seen.total).sum::<u64>() > sent);
        let end = Instant::now() + Duration::from_secs(3);
        let (mut least, url) = (u64::MAX, "http://plain.exeat.test/");
        while Instant::now() < end {
            // On a busy machine so many bodies are more than can be done.
            assert!(matches!(agent.get(url).status, 200 | 503));
            least = least.min(resident(&world));
        }
        least
    });
    let each = many.saturating_sub(few) / (MANY - MANY / 4) as u64;
    assert!(each <= 64, "{each} KiB each");
}

#[test]
fn heads_without_an_end_hold_as_much_as_one_source_may() {
    let origin = endless();
    let world = World::start(Setup::new().origin(HOST, &origin).extra("limits: {connections_per_source: 200}"));
    let head = format!("GET http://plain.exeat.test/ HTTP/1.1\r\nX: {}", "x".repeat(50_000));
    assert_bounded(&world, 100, || (0..2500).map(|_| world.agent().send(&head)).collect::<Vec<_>>());
}

#[test]
fn hosts_without_number_are_forgotten() {
    let origin = Origin::tls().echo();
    let plain = Origin::plain().echo();
    let setup = Setup::new().origin(HOST, &plain).origin("**.many.exeat.test", &origin);
    let world = World::start(setup);
    let agent = world.agent();
    // The first thousand leaves are kept, as they should be.
    let visit = |number: usize| {
        let host = format!("h{number}.many.exeat.test");
        drop(agent.https_with(&format!("{host}:443"), &Hello::to(&world, &host)));
    };
    (0..1000).for_each(visit);
    assert_bounded(&world, 15, || (1000..2200).for_each(visit));
}

#[test]
fn sessions_without_number_hold_a_little_each() {
    let origin = Origin::plain().echo();
    let world = World::start(Setup::new().origin(HOST, &origin));
    assert_bounded(&world, 40, || {
        for _ in 0..1000 {
            let session = world.session("agent", "1h");
            assert_eq!(world.agent_as(&session).get("http://plain.exeat.test/").status, 200);
        }
    });
}

/// The client's side of an HTTP/2 connection inside an opened tunnel, past the handshake.
fn raw_http2(world: &World, host: &str) -> Wire<Tls> {
    let mut hello = Hello::to(world, host);
    hello.alpn = vec![b"h2".to_vec()];
    let mut tls = world.agent().https_with(&format!("{host}:443"), &hello);
    push(&mut tls, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    tls
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `:method: GET`, `:scheme: https`, `:path: /`, and `:authority` as it is (RFC 7541 §6.1, §6.2.2).
fn head_block(host: &str) -> Vec<u8> {
    [&[0x82, 0x87, 0x84, 0x01, u8::try_from(host.len()).unwrap()], host.as_bytes()].concat()
}

/// The bytes of one flood, piece by piece.
type Flood = Box<dyn Fn(u32) -> Vec<u8>>;

#[test]
fn floods_of_http2_end_their_connection_and_hold_nothing() {
    let origin = Http2Origin::answering(|_| Said::ok("ok"));
    let plain = Origin::plain().echo();
    let setup = Setup::new().origin(HOST, &plain).connect(H2, &origin.address.to_string());
    let world = World::start(setup);
    let floods: [(&str, Flood); 6] = [
        (
            "rapid reset",
            Box::new(|n| [frame(1, 5, 2 * n + 1, &head_block(H2)), frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])].concat()),
        ),
        ("pings", Box::new(|_| frame(6, 0, 0, &[0; 8]))),
        ("settings", Box::new(|_| frame(4, 0, 0, &[]))),
        ("empty frames", Box::new(|n| if n == 0 { frame(1, 4, 1, &head_block(H2)) } else { frame(0, 0, 1, &[]) })),
        (
            "continuations",
            Box::new(|n| if n == 0 { frame(1, 0, 1, &head_block(H2)) } else { frame(9, 0, 1, &[0; 1024]) }),
        ),
        ("priorities", Box::new(|n| frame(2, 0, 2 * n + 1, &[0, 0, 0, 0, 1]))),
    ];
    for (what, next) in floods {
        assert_bounded(&world, 30, || {
            let mut tls = raw_http2(&world, H2);
            // Nobody reads what is answered.
            for number in 0..20_000 {
                if tls.write_all(&next(number)).and_then(|()| tls.flush()).is_err() {
                    break;
                }
            }
            tls
        });
        assert_eq!(Http2Agent::to(&world, H2).get("/").text(), "ok", "after {what}");
    }
}

/// An origin whose answers have no end, and how much of them it has sent; `/` is `ok`.
fn endless_http2() -> (Http2Origin, Arc<AtomicU64>) {
    let sent = Arc::<AtomicU64>::default();
    let own = sent.clone();
    let origin = Http2Origin::raw(move |(request, mut respond)| {
        let sent = own.clone();
        Box::pin(async move {
            let Ok(mut out) = respond.send_response(http::Response::new(()), false) else { return };
            if request.uri().path() == "/" {
                let _ = out.send_data(Bytes::from_static(b"ok"), true);
                return;
            }
            while crate::support::http2::send(&mut out, Bytes::from_static(&[b'x'; 16 * 1024])).await.is_ok() {
                sent.fetch_add(16 * 1024, Ordering::Relaxed);
            }
        })
    });
    (origin, sent)
}

/// Asks for answers without end on streams of one connection, and never opens their windows.
fn ask_and_not_read(world: &World, streams: u32) -> Wire<Tls> {
    const ENDLESS: &[u8] = b"\x04\x08/endless";
    let mut tls = raw_http2(world, H2);
    let block = [&[0x82, 0x87][..], ENDLESS, &[1, u8::try_from(H2.len()).unwrap()], H2.as_bytes()].concat();
    (0..streams).for_each(|n| push(&mut tls, &frame(1, 5, 2 * n + 1, &block)));
    tls
}

/// Windows that are never opened again, on as many streams as there may be.
#[test]
fn streams_that_do_not_read_hold_what_their_windows_let_through() {
    let (origin, sent) = endless_http2();
    let plain = Origin::plain().echo();
    let setup = Setup::new().origin(HOST, &plain).connect(H2, &origin.address.to_string());
    let world = World::start(setup);
    // 400 streams, 128 KiB each; some more of those that came while they were few.
    assert_bounded(&world, 90, || {
        let wires: Vec<_> = (0..4).map(|_| ask_and_not_read(&world, 100)).collect();
        until("full windows", || sent.load(Ordering::Relaxed) >= 400 * 112 * 1024);
        wires
    });
}

/// All streams of a session to an origin share connections: what some don't read may not fill those for the others.
#[test]
fn streams_that_do_not_read_keep_no_other_of_their_connection_waiting() {
    let (origin, sent) = endless_http2();
    let world = World::start(Setup::new().connect(H2, &origin.address.to_string()));
    let _unread = ask_and_not_read(&world, 90);
    until("full windows", || sent.load(Ordering::Relaxed) >= 90 * 112 * 1024);
    let agent = Http2Agent::to(&world, H2);
    (0..5).for_each(|_| assert_eq!(agent.get("/").text(), "ok"));
}

/// Connections that come faster than they are served, and are gone before they are.
#[test]
fn connections_that_come_and_go_leave_nothing() {
    let origin = Origin::plain().echo();
    let world = World::start(Setup::new().origin(HOST, &origin));
    assert_bounded(&world, 20, || {
        for number in 0..5000 {
            let wire: Wire<TcpStream> = dial(world.proxy);
            if number % 2 == 0 {
                socket2::SockRef::from(&wire.stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
    });
}
