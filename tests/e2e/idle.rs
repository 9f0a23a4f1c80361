//! Connections on which nothing moves, by the thousand. Figures count for an optimised build:
//! `EXEAT_TEST_BINARY=$PWD/target/release/exeat cargo test --test e2e -- --ignored --nocapture --test-threads 1 idle::`

#![allow(clippy::print_stdout, reason = "figures are what it is for")]

use crate::support::*;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Descriptors, of this process and of the gateway: two a tunnel, of which the gateway takes connections with three
/// quarters only, and some.
const DESCRIPTORS: u64 = 60_000;

/// An origin that takes connections, keeps them and says nothing; and what it keeps.
fn holding() -> (SocketAddr, Arc<Mutex<Vec<TcpStream>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let held = Arc::<Mutex<Vec<TcpStream>>>::default();
    let keep = held.clone();
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(|one| keep.lock().unwrap().push(one)));
    (address, held)
}

fn resident(world: &World) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// As many descriptors as are wanted, or as the machine gives.
fn descriptors() -> u64 {
    if setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS).is_ok() {
        return DESCRIPTORS;
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    hard
}

/// A gateway with room for so many connections, and how many idle tunnels its descriptors are enough for.
fn world(rule: &str, to: SocketAddr) -> (World, u64) {
    let descriptors = descriptors();
    let policy = policy_for(&[rule]) + "limits: {connections: 20000}";
    let setup = Setup::under(&policy).connect("**.exeat.test", &to.to_string());
    let setup = setup.extra("limits: {connections: 20000, connections_per_source: 20000}");
    (World::start(setup.after_shell(&format!("ulimit -n {descriptors}"))), (descriptors - 500) * 3 / 8)
}

/// Holds them, tells what they take, lets them go, and tells what stays.
#[track_caller]
fn hold<T>(world: &World, count: u64, most_kib: u64, mut open: impl FnMut() -> T, let_go: impl Fn(Vec<T>)) {
    let_go((0..50).map(|_| open()).collect());
    thread::park_timeout(Duration::from_secs(1));
    let before = resident(world);
    let held: Vec<T> = (0..count).map(|_| open()).collect();
    thread::park_timeout(Duration::from_secs(2));
    let with = resident(world);
    println!("{count} held: {before} KiB before, {with} with, {:.1} KiB each", (with - before) as f64 / count as f64);
    assert_eq!(world.control("GET", "/healthz", "").status, 200);
    let_go(held);
    let closed = Instant::now();
    let is_back = || {
        thread::park_timeout(Duration::from_millis(200));
        resident(world) <= before + before / 10
    };
    within(promised(Duration::from_secs(10)), "no more than a tenth above what it was", is_back);
    println!("{count} let go: {} KiB after {:.1?}", resident(world), closed.elapsed());
    assert!(with - before <= count * most_kib, "{} KiB each", (with - before) / count);
}

#[test]
#[ignore = "takes a minute, and 28,000 descriptors, which root may have unless CAP_SYS_RESOURCE was taken: with fewer, fewer are held"]
fn ten_thousand_idle_tunnels_are_held() {
    let (origin, kept) = holding();
    let (world, room) = world("host: raw.exeat.test, ports: [443], tls: tunnel, protocols: [any]", origin);
    let open = || world.agent().tunnel("raw.exeat.test:443");
    hold(&world, room.min(10_000), 10, open, |held| {
        drop(held);
        // One side that has closed leaves a tunnel half open, as TCP may be.
        kept.lock().unwrap().clear();
    });
}

#[test]
#[ignore = "takes a minute"]
fn two_thousand_idle_intercepted_connections_are_held() {
    let origin = Origin::tls().echo();
    let (world, _) = world("host: tls.exeat.test", origin.address);
    let mut hello = Hello::to(&world, "tls.exeat.test");
    hello.shared = Some(hello.config());
    let open = || {
        let mut tls = world.agent().https_with("tls.exeat.test:443", &hello);
        assert_eq!(tls.get("tls.exeat.test", "/").status, 200);
        tls
    };
    hold(&world, 2_000, 40, open, drop);
}
