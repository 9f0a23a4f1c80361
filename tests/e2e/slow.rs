//! Peers that stall: every wait on them has an end, is told, recorded, and costs nobody else anything.

use crate::support::agent::{dial, push};
use crate::support::hello::client_hello;
use crate::support::*;
use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

const HOST: &str = "plain.exeat.test";
const URL: &str = "http://plain.exeat.test/";

fn world(origin: &Origin) -> World {
    World::start(Setup::new().origin("**.exeat.test", origin))
}

/// Opens a connection, sends what is whole of it, and gives it with what is to come byte by byte (without end, if it is
/// one that ever comes).
type Pattern = fn(&World, &str) -> (Wire<TcpStream>, Option<Vec<u8>>);

/// What a slow client does; how its flow ends.
const PATTERNS: &[(&str, &str, Pattern)] = &[
    ("half a head", "request_timeout", |world, host| {
        (world.agent().send(format!("GET http://{host}/ HTTP/1.1\r\nHost: pl")), None)
    }),
    ("a head byte by byte", "request_timeout", |world, host| {
        (world.agent().send(format!("GET http://{host}/ HTTP/1.1\r\nX: ")), Some(b"x".into()))
    }),
    ("a body that does not come", "request_timeout", |world, host| {
        (post(world, host, "Content-Length: 100000\r\n"), None)
    }),
    ("a body byte by byte", "request_timeout", |world, host| {
        (post(world, host, "Content-Length: 100000\r\n"), Some(b"x".into()))
    }),
    ("a chunk's line byte by byte", "request_timeout", |world, host| {
        let mut wire = post(world, host, "Transfer-Encoding: chunked\r\n");
        push(&mut wire, b"5;");
        (wire, Some(b"x".into()))
    }),
    ("a tunnel without a word", "request_timeout", |world, host| (tunnel(world, host), None)),
    ("half a ClientHello", "request_timeout", |world, host| {
        let (mut wire, hello) = (tunnel(world, host), client_hello(&Hello::to(world, host)));
        push(&mut wire, &hello[..hello.len() / 2]);
        (wire, None)
    }),
    ("a ClientHello byte by byte", "request_timeout", |world, host| {
        (tunnel(world, host), Some(client_hello(&Hello::to(world, host))))
    }),
    ("half a handshake", "downstream_tls_failed", |world, host| {
        let mut wire = tunnel(world, host);
        push(&mut wire, &client_hello(&Hello::to(world, host)));
        (wire, None)
    }),
    ("a tunnel to be relayed without a word", "request_timeout", |world, host| {
        (world.agent().tunnel(&format!("{host}:8443")), None)
    }),
    ("half a head inside TLS", "request_timeout", |world, host| {
        let mut tls = world.agent().https(host);
        push(&mut tls, b"GET / HTTP/1.1\r\nHo");
        (tls.stream.sock, None)
    }),
    ("a body that does not come inside TLS", "request_timeout", |world, host| {
        let mut tls = world.agent().https(host);
        push(&mut tls, format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\n").as_bytes());
        (tls.stream.sock, None)
    }),
    ("half a SOCKS greeting", "request_timeout", |world, _| {
        let mut wire = dial(world.listening("socks"));
        push(&mut wire, b"\x05\x02");
        (wire, None)
    }),
    ("a stream's body that does not come", "request_timeout", |world, host| {
        let mut hello = Hello::to(world, host);
        hello.alpn = vec![b"h2".to_vec()];
        let mut tls = world.agent().https_with(&format!("{host}:443"), &hello);
        push(&mut tls, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
        // POST, https, `/`, the authority (RFC 7541 §6.1, §6.2.2), in a frame that ends the head and not the stream.
        let length = u8::try_from(host.len()).unwrap();
        let frame = [&[0, 0, length + 5, 1, 4, 0, 0, 0, 1, 0x83, 0x87, 0x84, 1, length], host.as_bytes()].concat();
        push(&mut tls, &frame);
        (tls.stream.sock, None)
    }),
];

fn post(world: &World, host: &str, fields: &str) -> Wire<TcpStream> {
    let agent = world.agent();
    agent.send(agent.head("POST", &format!("http://{host}/"), fields))
}

fn tunnel(world: &World, host: &str) -> Wire<TcpStream> {
    world.agent().tunnel(&format!("{host}:443"))
}

/// R17: what T36 gives them is ten seconds, and thirty for what says nothing at all.
#[test]
fn slow_clients_of_every_kind_are_cut_in_time_and_each_is_recorded() {
    let (plain, tls) = (Origin::plain().silent(), Origin::tls().silent());
    let http2 = Http2Origin::answering(|_| Said::ok("ok"));
    let rules = ["host: \"**.exeat.test\"", "host: \"**.exeat.test\", ports: [8443], tls: tunnel"];
    let mut setup = Setup::allowing(&rules).listen("socks: \"127.0.0.1:0\"");
    for (number, (what, ..)) in PATTERNS.iter().enumerate() {
        let origin = match what {
            what if what.contains("stream") => http2.address,
            what if what.contains("TLS") => tls.address,
            _ => plain.address,
        };
        setup = setup.connect(&format!("p{number}.exeat.test"), &origin.to_string());
    }
    let world = World::start(setup);
    thread::scope(|scope| {
        for (number, (what, _, open)) in PATTERNS.iter().enumerate() {
            let world = &world;
            scope.spawn(move || {
                let began = Instant::now();
                let (mut wire, drip) = open(world, &format!("p{number}.exeat.test"));
                let mut feed = wire.stream.try_clone().unwrap();
                let (over, ended) = channel::<()>();
                let feeder = drip.map(|bytes| {
                    thread::spawn(move || {
                        for byte in bytes.iter().cycle() {
                            let is_over =
                                ended.recv_timeout(Duration::from_millis(700)) != Err(RecvTimeoutError::Timeout);
                            if is_over || feed.write_all(&[*byte]).is_err() {
                                break;
                            }
                        }
                    })
                });
                wire.stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                let answer = if what.contains("stream") {
                    // It is the stream that ends: its connection may have others.
                    let host = format!("p{number}.exeat.test");
                    let is_told = |record: &Record| record.host() == host && record.reason() == "request_timeout";
                    world.records_where("the stream's record", |records| records.iter().any(is_told));
                    Ok(Vec::new())
                } else {
                    wire.rest()
                };
                let took = began.elapsed();
                assert!(took < promised(Duration::from_secs(30)), "{what}: {took:?}");
                if let Ok(answer) = answer.as_ref().map(|bytes| String::from_utf8_lossy(bytes))
                    && answer.starts_with("HTTP/1.1")
                {
                    assert!(answer.starts_with("HTTP/1.1 408 "), "{what}: {answer}");
                }
                let _ = over.send(());
                feeder.into_iter().for_each(|feeder| feeder.join().unwrap());
            });
        }
    });
    let records = world.into_records();
    // A tunnel that is opened has a record of its own.
    for record in records.iter().filter(|record| record.verdict() == "failed") {
        let number = record.host().trim_start_matches('p').split('.').next().and_then(|number| number.parse().ok());
        let wanted =
            number.and_then(|number: usize| PATTERNS.get(number)).map_or("request_timeout", |pattern| pattern.1);
        assert_eq!(record.reason(), wanted, "{record:?}");
    }
    // Those that came to no target are known by how many they are.
    let told = |reason: &str| records.iter().filter(|record| record.reason() == reason).count();
    let wanted = |reason: &str| PATTERNS.iter().filter(|pattern| pattern.1 == reason).count();
    assert_eq!(told("request_timeout"), wanted("request_timeout"), "{records:#?}");
    assert_eq!(told("downstream_tls_failed"), wanted("downstream_tls_failed"), "{records:#?}");
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
