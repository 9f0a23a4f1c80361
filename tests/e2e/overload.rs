//! More than the gateway takes: it is told quickly, costs the others nothing, and is over when it is over.

use crate::support::agent::{self, push};
use crate::support::hello::client_hello;
use crate::support::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const HOST: &str = "plain.exeat.test";
const URL: &str = "http://plain.exeat.test/";

/// A tunnel that carries anything, so that it can be held without a word.
const RELAYED: &str = "host: \"**.exeat.test\", ports: [443], tls: tunnel, protocols: [any]";

/// How many descriptors the gateway holds.
fn descriptors(world: &World) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", world.pid())).unwrap().count()
}

/// A connection from another address of this machine.
fn dial_from(from: &str, to: SocketAddr) -> Wire<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&format!("{from}:0").parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    Wire::new(stream)
}

#[test]
fn a_connection_beyond_the_limit_is_told_with_its_request_unread_and_the_next_one_served() {
    let origin = Origin::plain().echo();
    let world = World::start(Setup::new().origin(HOST, &origin).extra("limits: {connections: 4}"));
    let agent = world.agent();
    let mut held: Vec<_> = (0..4).map(|_| agent.send(agent.head("GET", URL, ""))).collect();
    held.iter_mut().for_each(|wire| assert_eq!(wire.response_to("GET").unwrap().status, 200));
    for _ in 0..20 {
        let response = agent.get(URL);
        assert_eq!(response.status, 503);
        assert!(response.text().contains("too_many_connections"), "{}", response.text());
        assert_eq!(response.field("retry-after"), Some("1"));
    }
    drop(held);
    until("service", || {
        let answer = agent.send(agent.head("GET", URL, "")).response_to("GET");
        answer.is_ok_and(|response| response.status == 200)
    });
}

#[test]
fn whoever_holds_connections_without_a_word_keeps_nobody_out() {
    let origin = Origin::plain().echo();
    let limits = "limits: {connections: 100, connections_per_source: 20}";
    let world = World::start(Setup::new().origin(HOST, &origin).extra(limits));
    let mut silent: Vec<_> = (0..60).map(|_| world.agent().dial()).collect();
    let _half: Vec<_> = (0..60).map(|_| world.agent().send("GET http://plain.exeat.test/ HT")).collect();
    // They may be all that the gateway takes for as long as it takes to tell them.
    until("those that waited longest are gone", || world.agent().get(URL).status == 200);
    for _ in 0..30 {
        assert_eq!(world.agent().get(URL).status, 200);
    }
    assert!(silent[0].is_ended(), "the one that waited longest is still held");
    // Those that had begun to speak were told, and written down.
    let told = world.records_where("crowded out", |records| {
        records.iter().filter(|record| record.reason() == "too_many_connections").count() >= 40
    });
    assert!(told.iter().all(|record| ["too_many_connections", "(none)"].contains(&record.reason())), "{told:?}");
}

#[test]
fn one_source_crowds_out_its_own_only() {
    let origin = Origin::plain().echo();
    let limits = "limits: {connections_per_source: 5}";
    let world = World::start(Setup::new().origin(HOST, &origin).extra(limits));
    let mut other = dial_from("127.0.0.7", world.proxy);
    let mut crowd: Vec<_> = (0..20).map(|_| dial_from("127.0.0.8", world.proxy)).collect();
    assert!(crowd[0].is_ended());
    push(&mut other, world.agent().head("GET", URL, "").as_bytes());
    assert_eq!(other.response_to("GET").unwrap().status, 200);
}

/// Behind a load balancer every connection comes from one address; what it tells is what counts.
#[test]
fn sources_behind_a_load_balancer_are_counted_each_for_itself() {
    let origin = Origin::plain().echo();
    let limits = "limits: {connections_per_source: 5}";
    let setup = Setup::new().origin(HOST, &origin).extra(limits);
    let world = World::start(setup.listen("proxy_protocol: {from: [\"127.0.0.0/8\"]}"));
    let dial_for = |last: u8| {
        let mut wire = dial_from("127.0.0.1", world.proxy);
        let addresses = [203, 0, 113, last, 10, 0, 0, 1, 0x30, 0x39, 0x0c, 0x38];
        push(&mut wire, &[&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &addresses].concat());
        wire
    };
    let mut other = dial_for(7);
    let mut crowd: Vec<_> = (0..20).map(|_| dial_for(8)).collect();
    assert!(crowd[0].is_ended());
    push(&mut other, world.agent().head("GET", URL, "").as_bytes());
    assert_eq!(other.response_to("GET").unwrap().status, 200);
}

#[test]
fn a_session_holds_a_thousand_connections_by_default_and_no_more() {
    let origin = Origin::plain().silent();
    let setup =
        Setup::allowing(&[RELAYED]).session("two", "agent").connect("**.exeat.test", &origin.address.to_string());
    let world = World::start(setup.after_shell("ulimit -n 8192"));
    let agent = world.agent();
    let held: Vec<_> = (0..1000).map(|_| agent.tunnel("plain.exeat.test:443")).collect();
    assert_refused(&agent.refused("plain.exeat.test:443"), "quota_exceeded");
    let _other = world.agent_of("two").tunnel("plain.exeat.test:443");
    drop(held);
    until("room", || agent.connect("plain.exeat.test:443", "").1.status == 200);
}

#[test]
fn handshakes_that_nobody_finishes_are_bounded_and_end() {
    let origin = Origin::tls().echo();
    let setup = Setup::new().origin("tls.exeat.test", &origin);
    let world = World::start(setup.extra("limits: {handshakes: 3, handshake_timeout: 2s}"));
    let agent = world.agent();
    let held: Vec<_> = (0..3).map(|_| agent.tunnel("tls.exeat.test:443")).collect();
    assert_refused(&agent.refused("tls.exeat.test:443"), "overloaded");
    let hello = Hello::to(&world, "tls.exeat.test");
    until("the handshakes' end", || {
        let (wire, response) = agent.connect("tls.exeat.test:443", "");
        response.status == 200 && hello.shake(wire).is_ok()
    });
    drop(held);
}

#[test]
fn a_gateway_short_of_descriptors_says_so_and_keeps_some_for_the_operators_and_the_journal() {
    let origin = Origin::plain().silent();
    let setup = Setup::allowing(&[RELAYED]).connect("**.exeat.test", &origin.address.to_string());
    let world = World::start(setup.after_shell("ulimit -n 256"));
    let before = descriptors(&world);
    let agent = world.agent();
    let mut held = Vec::new();
    let refused = loop {
        assert!(held.len() < 256, "it holds more than it has descriptors for");
        let mut wire = agent.send(format!(
            "CONNECT plain.exeat.test:443 HTTP/1.1\r\n{}\r\n",
            "Host: plain.exeat.test:443\r\n".to_owned() + &agent.field()
        ));
        match wire.response_to("CONNECT") {
            Ok(response) if response.status == 200 => held.push(wire),
            refused => break refused,
        }
    };
    let refused = refused.expect("told, not cut");
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("too_many_connections"), "{}", refused.text());
    assert!(held.len() >= 50, "{} tunnels only", held.len());
    // Whatever knocks: sixteen descriptors and more stay free, and it does not turn in circles.
    let knocking: Vec<_> = (0..100).map(|_| world.agent().dial()).collect();
    assert_eq!(world.control("GET", "/v1/sessions", "").status, 200);
    assert!(descriptors(&world) <= 256 - 16, "{}", descriptors(&world));
    let busy = cpu_time(&world);
    std::thread::park_timeout(Duration::from_secs(1));
    assert!(cpu_time(&world) - busy < Duration::from_millis(50), "it turns in circles");
    let tunnels = held.len();
    drop((held, knocking));
    let back = promised(Duration::from_secs(1));
    within(back, "service", || agent.connect("plain.exeat.test:443", "").1.status == 200);
    until("descriptors", || descriptors(&world) <= before + 20);
    world.records_where("the tunnels", |records| records.len() >= tunnels);
}

/// The operators' door is none by which agents that reach it take the descriptors of all others.
#[test]
fn control_connections_without_a_word_take_a_few_of_the_descriptors_that_are_kept_and_keep_no_operator_out() {
    let origin = Origin::plain().silent();
    let setup = Setup::allowing(&[RELAYED]).connect("**.exeat.test", &origin.address.to_string());
    let world = World::start(setup.after_shell("ulimit -n 256"));
    let agent = world.agent();
    let mut silent: Vec<_> = (0..300).map(|_| agent::dial(world.control)).collect();
    silent.iter_mut().skip(200).for_each(|wire| push(wire, b"GET /healthz HT"));
    let tunnels: Vec<_> = (0..50).map(|_| agent.tunnel("plain.exeat.test:443")).collect();
    assert!(descriptors(&world) <= 256 - 16, "{}", descriptors(&world));
    for _ in 0..50 {
        assert_eq!(world.control("GET", "/v1/sessions", "").status, 200);
    }
    assert!(silent[0].is_ended(), "the one that waited longest is still held");
    drop(tunnels);
}

/// What the gateway has used of the processors.
fn cpu_time(world: &World) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", world.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

#[test]
fn six_hundred_resets_leave_no_descriptor_behind() {
    let origin = Origin::tls().echo();
    let world = World::start(Setup::new().origin("tls.exeat.test", &origin));
    assert_eq!(world.agent().https("tls.exeat.test").get("tls.exeat.test", "/").status, 200);
    let before = descriptors(&world);
    for number in 0..600 {
        let wire = match number % 3 {
            0 => world.agent().dial(),
            1 => world.agent().send("CONNECT tls.exe"),
            _ => world.agent().tunnel("tls.exeat.test:443"),
        };
        socket2::SockRef::from(&wire.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    until("the descriptors' return", || descriptors(&world) <= before + 20);
}

#[test]
fn a_session_at_its_limits_costs_another_nothing() {
    let origin = Origin::plain().echo();
    let greedy = policy_for(&["host: \"**.exeat.test\""]) + "limits: {requests_per_minute: 50, connections: 20}";
    let setup = Setup::new().policy("greedy", &greedy).session("greedy", "greedy").origin(HOST, &origin);
    let world = World::start(setup);
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let agent = world.agent_of("greedy");
            (0..300).map(|_| agent.get(URL).status).collect::<Vec<_>>()
        });
        let agent = world.agent();
        for _ in 0..200 {
            assert_eq!(agent.get(URL).status, 200);
        }
        let statuses = flood.join().unwrap();
        assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
        assert!(statuses.iter().filter(|status| **status == 429).count() >= 200);
    });
}

#[test]
fn a_connection_that_never_says_anything_is_closed_and_is_no_flow() {
    let world = World::start(Setup::new().extra("limits: {keep_alive_timeout: 1s}"));
    let mut wire = world.agent().dial();
    let mut rest = Vec::new();
    let _ = wire.read_to_end(&mut rest);
    assert!(rest.is_empty());
    assert_eq!(world.into_records().len(), 0, "who says nothing is no flow");
}

/// Whoever holds them would take from the others the work below which nothing is refused.
#[test]
fn a_tunnel_that_says_nothing_is_no_work() {
    let origin = Origin::tls().echo();
    let setup =
        Setup::allowing(&[RELAYED, "host: tls.exeat.test", "host: plain.exeat.test"]).listen("socks: \"127.0.0.1:0\"");
    let world = World::start(setup.origin("tls.exeat.test", &origin).origin("raw.exeat.test", &origin));
    let agent = world.agent();
    let hello = Hello::to(&world, "tls.exeat.test");
    let _relayed: Vec<_> = (0..4).map(|_| agent.tunnel("raw.exeat.test:443")).collect();
    let _answered: Vec<_> = (0..4).map(|_| agent.tunnel("tls.exeat.test:443")).collect();
    let _shaken: Vec<_> = (0..4).map(|_| hello.shake(agent.tunnel("tls.exeat.test:443")).unwrap()).collect();
    let token = world.token("dev");
    let greeting = [&b"\x05\x01\x02\x01\x03dev"[..], &[token.len() as u8], token.as_bytes()].concat();
    let _known: Vec<_> = (0..4)
        .map(|_| {
            let mut wire = agent::dial(world.listening("socks"));
            push(&mut wire, &greeting);
            assert_eq!(wire.exact(4).unwrap(), [5, 2, 1, 0]);
            wire
        })
        .collect();
    until("no work", || world.control("GET", "/metrics", "").text().contains("exeat_work 0\n"));
    let mut first = hello.shake(agent.tunnel("tls.exeat.test:443")).unwrap();
    assert_eq!(first.get("tls.exeat.test", "/").status, 200);
}

/// The same of what was let in and waits for its client, for an origin or for a name server.
#[test]
fn what_waits_for_others_is_no_work() {
    let (plain, tls, http2) =
        (Origin::plain().silent(), Origin::tls().silent(), Http2Origin::answering(|_| Said::ok("")));
    let deaf = Origin::plain().raw(|peer| {
        peer.request_head()?;
        std::thread::park_timeout(DEADLINE);
        Ok(())
    });
    let dns = Nameserver::start(|_| Answer::Silence);
    let setup = Setup::new().origin(HOST, &plain).origin("tls.exeat.test", &tls).origin("deaf.exeat.test", &deaf);
    let setup = setup.connect("h2.exeat.test", &http2.address.to_string());
    let world = World::start(setup.nameserver(&dns));
    let agent = world.agent();
    let length = "Content-Length: 100000000\r\n";
    let _half: Vec<_> = (0..4).map(|_| agent.send(agent.head("POST", URL, length) + "half")).collect();
    let _unasked: Vec<_> =
        (0..4).map(|_| agent.send(agent.head("POST", URL, &format!("{length}Expect: 100-continue\r\n")))).collect();
    let _unread: Vec<_> = (0..4)
        .map(|_| {
            let wire = agent.send(agent.head("POST", "http://deaf.exeat.test/", length));
            wire.stream.set_nonblocking(true).unwrap();
            while (&wire.stream).write(&[b'y'; 64 * 1024]).is_ok() {}
            wire
        })
        .collect();
    let _unshaken: Vec<_> = (0..4)
        .map(|_| {
            let mut wire = agent.tunnel("tls.exeat.test:443");
            push(&mut wire, &client_hello(&Hello::to(&world, "tls.exeat.test")));
            wire
        })
        .collect();
    let streams = Http2Agent::to(&world, "h2.exeat.test");
    let _open: Vec<_> = (0..4)
        .map(|_| {
            let request = streams.request("POST", "/").body(()).unwrap();
            streams.run(async { streams.sender.clone().send_request(request, false).unwrap() })
        })
        .collect();
    let _unknown = agent.send(
        "CONNECT unknown.exeat.test:443 HTTP/1.1\r\nHost: unknown.exeat.test:443\r\n".to_owned()
            + &agent.field()
            + "\r\n",
    );
    until("all of them", || world.control("GET", "/metrics", "").text().contains("exeat_connections 18\n"));
    until("no work", || world.control("GET", "/metrics", "").text().contains("exeat_work 0\n"));
}

/// The gateway has nothing to do for them, however many they are.
#[test]
fn requests_and_event_streams_that_wait_for_their_origin_are_no_overload() {
    let event =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ndata: 1\r\n";
    let (streaming, silent, quick) = (Origin::plain().answer(event), Origin::plain().silent(), Origin::plain().echo());
    let policy = policy_for(&["host: \"**.exeat.test\""]) + "limits: {connections: 4000}";
    let setup = Setup::under(&policy).origin("stream.exeat.test", &streaming).origin("slow.exeat.test", &silent);
    let setup = setup.origin(HOST, &quick).extra("limits: {connections_per_source: 4000}");
    let world = World::start(setup.after_shell("ulimit -n 8192"));
    let agent = world.agent();
    let (mut streams, mut waiting) = (Vec::new(), Vec::new());
    while waiting.len() < 1000 {
        // Not all at once, which would be work.
        streams.extend((0..25).map(|_| agent.send(agent.head("GET", "http://stream.exeat.test/", ""))));
        waiting.extend((0..50).map(|_| agent.send(agent.head("GET", "http://slow.exeat.test/", ""))));
        for wire in streams.iter_mut().rev().take(25) {
            assert_eq!(wire.response_head("GET").unwrap().status, 200);
        }
        silent.wait("the requests", |seen| seen.iter().filter(|seen| seen.total > 0).count() == waiting.len());
    }
    for _ in 0..200 {
        assert_eq!(agent.get(URL).status, 200);
    }
}
