//! The end: what is under way is finished before the exit.

use crate::support::agent::{dial, push};
use crate::support::*;
use nix::sys::signal::Signal;
use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const HOST: &str = "plain.exeat.test";
const URL: &str = "http://plain.exeat.test/";

/// An origin whose answer waits for a word, and the sender of that word.
fn waiting_origin() -> (Origin, std::sync::mpsc::Sender<()>) {
    let (release, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::plain().http(move |request| {
        if request.target == "/slow" {
            let _ = wait.lock().unwrap().recv_timeout(DEADLINE);
        }
        Reply::ok(vec![b'x'; 16_384])
    });
    (origin, release)
}

fn wait_for_refusal(world: &World) {
    let end = Instant::now() + DEADLINE;
    while std::net::TcpStream::connect(world.proxy).is_ok() {
        assert!(Instant::now() < end, "connections are still taken");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn a_request_under_way_is_finished_before_the_exit() {
    let (origin, release) = waiting_origin();
    let mut world = World::start(Setup::new().origin(HOST, &origin));
    let agent = world.agent();
    let mut wire = agent.send(agent.head("GET", "http://plain.exeat.test/slow", ""));
    origin.wait("the request", |seen| seen.iter().any(|seen| seen.total > 0));
    world.signal(Signal::SIGTERM);
    wait_for_refusal(&world);
    release.send(()).unwrap();
    let response = wire.response_to("GET").unwrap();
    assert_eq!((response.status, response.body.len()), (200, 16_384));
    assert_eq!(world.wait().code(), Some(0));
    let records = Records::read(&world.path("flows"));
    assert_eq!((records.len(), records[0].verdict()), (1, "allowed"));
}

#[test]
fn many_requests_under_way_are_all_finished() {
    let (release, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::plain().raw(move |peer| {
        let _ = peer.request_head()?;
        {
            let _ = wait.lock().unwrap().recv_timeout(DEADLINE);
        }
        peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        Ok(())
    });
    let mut world = World::start(Setup::new().origin(HOST, &origin));
    let agent = world.agent();
    let mut wires: Vec<_> = (0..50).map(|_| agent.send(agent.head("GET", URL, ""))).collect();
    origin.wait("all requests", |seen| seen.iter().filter(|seen| seen.total > 0).count() == 50);
    world.signal(Signal::SIGTERM);
    wait_for_refusal(&world);
    (0..50).for_each(|_| release.send(()).unwrap());
    for wire in &mut wires {
        assert_eq!(wire.response_to("GET").unwrap().status, 200);
    }
    assert_eq!(world.wait().code(), Some(0));
    assert_eq!(Records::read(&world.path("flows")).len(), 50);
}

#[test]
fn idle_connections_do_not_hold_the_exit() {
    let (origin, _release) = waiting_origin();
    let mut world = World::start(Setup::new().origin(HOST, &origin));
    let agent = world.agent();
    let mut idle = agent.send(agent.head("GET", URL, ""));
    assert_eq!(idle.response_to("GET").unwrap().status, 200);
    let _never_used = dial(world.proxy);
    let began = Instant::now();
    world.signal(Signal::SIGTERM);
    assert!(idle.is_ended());
    assert!(began.elapsed() < promised(Duration::from_secs(1)), "{:?}", began.elapsed());
    assert_eq!(world.wait().code(), Some(0));
}

#[test]
fn a_tunnel_is_cut_at_the_end_of_the_drain_with_a_record() {
    let origin = Origin::plain().silent();
    let setup = Setup::allowing(&["host: plain.exeat.test, tls: tunnel, protocols: [any]"]).extra("drain: 1s");
    let mut world = World::start(setup.origin(HOST, &origin));
    let mut wire = world.agent().tunnel("plain.exeat.test:443");
    push(&mut wire, b"x");
    origin.wait("a byte", |seen| seen.iter().any(|seen| seen.total > 0));
    let began = Instant::now();
    assert_eq!(world.stop().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert!(wire.is_ended());
    let records = Records::read(&world.path("flows"));
    assert_eq!((records.len(), records[0].host()), (1, HOST));
}

#[test]
fn sigint_ends_like_sigterm() {
    let mut world = World::start(Setup::new());
    world.signal(Signal::SIGINT);
    assert_eq!(world.wait().code(), Some(0));
}

#[test]
fn a_second_signal_does_not_wait() {
    let (origin, _release) = waiting_origin();
    let mut world = World::start(Setup::new().origin(HOST, &origin));
    let agent = world.agent();
    let _wire = agent.send(agent.head("GET", "http://plain.exeat.test/slow", ""));
    origin.wait("the request", |seen| seen.iter().any(|seen| seen.total > 0));
    world.signal(Signal::SIGTERM);
    wait_for_refusal(&world);
    let began = Instant::now();
    world.signal(Signal::SIGTERM);
    assert_eq!(world.wait().code(), Some(0));
    assert!(began.elapsed() < promised(Duration::from_secs(1)), "{:?}", began.elapsed());
    assert_eq!(Records::read(&world.path("flows")).len(), 1, "what is cut has its record");
}

#[test]
fn sessions_and_ca_outlive_a_restart() {
    let origin = Origin::tls().echo();
    let world = World::start(Setup::new().origin("tls.exeat.test", &origin));
    let session = world.session("agent", "1h");
    let ca = world.ca();
    let world = world.restart();
    assert_eq!(world.ca(), ca);
    let mut tls = world.agent_as(&session).https("tls.exeat.test");
    assert_eq!(tls.get("tls.exeat.test", "/").status, 200);
}

#[test]
fn a_revoked_session_stays_dead_after_a_restart() {
    let world = World::start(Setup::new());
    let session = world.session("agent", "1h");
    world.control("DELETE", &format!("/v1/sessions/{}", session.id), "");
    let world = world.restart();
    assert_eq!(world.agent_as(&session).get(URL).status, 407);
}
