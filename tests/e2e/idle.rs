//! Connections on which nothing moves, by the thousand. Figures count for an optimised build:
//! `EXEAT_TEST_BINARY=target/release/exeat cargo test --release --test e2e -- --ignored --nocapture idle::`

#![allow(clippy::print_stdout, reason = "figures are what it is for")]

use crate::support::*;
use nix::sys::resource::{Resource, setrlimit};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

/// Descriptors, of this process and of the gateway: two a tunnel, and some.
const DESCRIPTORS: u64 = 60_000;

/// An origin that takes connections, keeps them and says nothing.
fn holding() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut held = Vec::new();
        held.extend(listener.incoming().map_while(Result::ok));
    });
    address
}

fn resident(world: &World) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// A gateway that has been in use already, with room for so many connections.
fn world(rule: &str, to: SocketAddr) -> World {
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS).expect("as root");
    let policy = policy_for(&[rule]) + "limits: {connections: 20000}";
    let setup = Setup::under(&policy).connect("**.exeat.test", &to.to_string());
    World::start(setup.extra("limits: {connections: 20000}").after_shell(&format!("ulimit -n {DESCRIPTORS}")))
}

/// Holds them, tells what they take, lets them go, and tells what stays.
#[track_caller]
fn hold<T>(world: &World, count: u64, most_kib: u64, mut open: impl FnMut() -> T) {
    let warm: Vec<T> = (0..50).map(|_| open()).collect();
    drop(warm);
    thread::park_timeout(Duration::from_secs(1));
    let before = resident(world);
    let held: Vec<T> = (0..count).map(|_| open()).collect();
    thread::park_timeout(Duration::from_secs(2));
    let with = resident(world);
    println!("{count} held: {before} KiB before, {with} with, {:.1} KiB each", (with - before) as f64 / count as f64);
    assert_eq!(world.control("GET", "/healthz", "").status, 200);
    drop(held);
    let end = Instant::now() + Duration::from_secs(10);
    let mut after = resident(world);
    while Instant::now() < end {
        thread::park_timeout(Duration::from_millis(200));
        after = after.min(resident(world));
    }
    println!("{count} let go: {after} KiB after ten seconds");
    assert!(with - before <= count * most_kib, "{} KiB each", (with - before) / count);
}

#[test]
#[ignore = "needs root for its descriptors, and a minute"]
fn ten_thousand_idle_tunnels_are_held() {
    let world = world("host: raw.exeat.test, ports: [443], tls: tunnel, protocols: [any]", holding());
    hold(&world, 10_000, 40, || world.agent().tunnel("raw.exeat.test:443"));
}

#[test]
#[ignore = "needs root for its descriptors, and a minute"]
fn two_thousand_idle_intercepted_connections_are_held() {
    let origin = Origin::tls().echo();
    let world = world("host: tls.exeat.test", origin.address);
    let mut hello = Hello::to(&world, "tls.exeat.test");
    hello.shared = Some(hello.config());
    hold(&world, 2_000, 120, || {
        let mut tls = world.agent().https_with("tls.exeat.test:443", &hello);
        assert_eq!(tls.get("tls.exeat.test", "/").status, 200);
        tls
    });
}
