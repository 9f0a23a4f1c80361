//! The configuration read again while flows go on (T49, R6): by `exeat reload`, by the control API, by SIGHUP.

#![allow(clippy::print_stdout, reason = "the long one tells how much it was")]

use crate::support::agent::push;
use crate::support::*;
use nix::sys::signal::Signal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const BOTH: &[&str] = &["host: a.exeat.test", "host: b.exeat.test"];

fn world(rules: &[&str], origin: &Origin) -> World {
    World::start(Setup::allowing(rules).origin("**", origin))
}

/// Puts other text in the place of some of the configuration.
fn edit(world: &World, from: &str, to: &str) {
    let path = world.path("exeat.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replace(from, to)).unwrap();
}

#[track_caller]
fn reload(world: &World) -> serde_json::Value {
    let answer = world.control("POST", "/v1/reload", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_str(&answer.text()).unwrap()
}

#[test]
fn a_policy_that_narrows_ends_what_it_no_longer_allows_and_nothing_else() {
    let origin = Origin::tls().echo();
    let relayed = "host: c.exeat.test, tls: tunnel, protocols: [any]";
    let world = world(&[BOTH[0], BOTH[1], relayed], &origin);
    let (mut a, mut b) = (world.agent().https("a.exeat.test"), world.agent().https("b.exeat.test"));
    let mut c = world.agent().tunnel("c.exeat.test:443");
    assert_eq!((a.get("a.exeat.test", "/").status, b.get("b.exeat.test", "/").status), (200, 200));
    edit(&world, "a.exeat.test", "x.exeat.test");
    edit(&world, "c.exeat.test", "y.exeat.test");
    let told = reload(&world);
    assert_eq!((&told["policies"], &told["waiting"]), (&serde_json::json!(["agent"]), &serde_json::json!([])));
    assert!(a.is_ended() && c.is_ended(), "their destinations are listed no more");
    assert_eq!(b.get("b.exeat.test", "/").status, 200, "the same connection goes on");
    assert_refused(&world.agent().refused("a.exeat.test:443"), "dest_not_listed");
    assert_eq!(world.agent().https("x.exeat.test").get("x.exeat.test", "/").status, 200);
    push(&mut c, b"x");
    let records = world.into_records();
    let ended = records.iter().filter(|record| record.reason() == "policy_changed").count();
    assert_eq!(ended, 2, "{records:#?}");
}

#[test]
fn a_request_under_way_is_cut_when_its_policy_goes() {
    let origin = Origin::tls().silent();
    let world = world(BOTH, &origin);
    let mut a = world.agent().https("a.exeat.test");
    push(&mut a, b"GET /slow HTTP/1.1\r\nHost: a.exeat.test\r\n\r\n");
    origin.wait("the request", |seen| seen.iter().any(|seen| !seen.bytes.is_empty()));
    edit(&world, "a.exeat.test", "x.exeat.test");
    reload(&world);
    assert_refused(&a.response_to("GET").unwrap(), "policy_changed");
}

#[test]
fn a_file_that_does_not_check_changes_nothing_and_says_so() {
    let origin = Origin::tls().echo();
    let world = world(BOTH, &origin);
    let mut a = world.agent().https("a.exeat.test");
    let good = std::fs::read_to_string(world.path("exeat.yaml")).unwrap();
    for (from, to, told) in [
        ("policies:", "polices:", "unknown key"),
        ("host: a.exeat.test", "hst: a.exeat.test", "unknown key"),
        ("host: a.exeat.test", "host: \"a*.exeat.test\"", "a star"),
        ("allow:", "allow: [", "no YAML"),
    ] {
        edit(&world, from, to);
        let answer = world.control("POST", "/v1/reload", "");
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert!(answer.text().contains(told) && answer.text().contains("exeat.yaml:"), "{}", answer.text());
        let done = world.run(&["reload", "--config", world.path("exeat.yaml").to_str().unwrap()]);
        assert!(!done.status.success());
        assert_eq!(a.get("a.exeat.test", "/").status, 200, "the old policy is in force");
        std::fs::write(world.path("exeat.yaml"), &good).unwrap();
    }
    std::fs::remove_file(world.path("exeat.yaml")).unwrap();
    assert_eq!(world.control("POST", "/v1/reload", "").status, 422);
    assert_eq!(a.get("a.exeat.test", "/").status, 200);
    assert!(world.stderr().contains("the old one stays in force"), "{}", world.stderr());
}

#[test]
fn limits_secrets_and_services_change_and_what_needs_a_restart_is_told() {
    let origin = Origin::tls().echo();
    let world = world(BOTH, &origin);
    let field = format!("X-Note: {}\r\n", secrets::github_token());
    let ask = |fields: &str| world.agent().https("a.exeat.test").ask("GET", "a.exeat.test", "/", fields, b"");
    let strict = ask(&field).status;
    edit(&world, "\n    allow:", "\n    secrets: {action: observe}\n    limits: {requests_per_minute: 4}\n    allow:");
    let path = world.path("exeat.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}drain: 7s\n")).unwrap();
    let told = reload(&world);
    assert_eq!(told["waiting"], serde_json::json!(["drain"]));
    assert_eq!((strict, ask(&field).status), (403, 200));
    let statuses: Vec<u16> = (0..4).map(|_| world.agent().get("http://b.exeat.test/").status).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[test]
fn a_hangup_reads_the_configuration_again() {
    let origin = Origin::tls().echo();
    let world = world(BOTH, &origin);
    edit(&world, "a.exeat.test", "x.exeat.test");
    world.signal(Signal::SIGHUP);
    world.says("exeat: reloaded\n");
    assert_refused(&world.agent().refused("a.exeat.test:443"), "dest_not_listed");
    edit(&world, "x.exeat.test", "x*.exeat.test");
    world.signal(Signal::SIGHUP);
    world.says("not reloaded: the old configuration stays in force");
    assert_eq!(world.agent().https("x.exeat.test").get("x.exeat.test", "/").status, 200);
}

/// R6: what both policies allow never fails, and no request is judged by half of one and half of the other.
#[test]
fn reloads_under_load_fail_nothing_and_mix_nothing() {
    reload_under_load(20, Duration::ZERO, Duration::ZERO);
}

/// The same at full size: `EXEAT_TEST_BINARY=$PWD/target/release/exeat cargo test --test e2e -- --ignored --nocapture
/// a_hundred_reloads`
#[test]
#[ignore = "takes a minute"]
fn a_hundred_reloads_in_a_minute_fail_none_of_five_hundred_requests_a_second() {
    let asked = reload_under_load(100, Duration::from_millis(600), Duration::from_micros(11_900));
    println!("{asked} requests in 100 reloads, as each was to be judged");
}

/// Asks over four connections, on each three things every so often, until so many reloads are over: how many requests.
fn reload_under_load(reloads: usize, apart: Duration, every: Duration) -> usize {
    let origin = Origin::tls().echo();
    let rules = ["host: b.exeat.test", "host: a.exeat.test, paths: [\"/one/**\"], methods: [GET]"];
    let world = world(&rules, &origin);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let ask = || {
            let (mut a, mut b) = (world.agent().https("a.exeat.test"), world.agent().https("b.exeat.test"));
            let (begun, mut asked) = (Instant::now(), 0);
            while !over.load(Ordering::Acquire) {
                assert_eq!(b.get("b.exeat.test", "/").status, 200);
                // GET with /one, or DELETE with /two: never a pair of both.
                for (method, path) in [("GET", "/two/x"), ("DELETE", "/one/x")] {
                    let status = a.ask(method, "a.exeat.test", path, "", b"").status;
                    assert_eq!(status, 403);
                }
                asked += 3;
                thread::park_timeout((every * asked as u32 / 3).saturating_sub(begun.elapsed()));
            }
            asked
        };
        let asking: Vec<_> = (0..2).map(|_| scope.spawn(ask)).collect();
        let begun = Instant::now();
        for round in 0..reloads {
            let (from, to) = [
                ("/one/**\"], methods: [GET]", "/two/**\"], methods: [DELETE]"),
                ("/two/**\"], methods: [DELETE]", "/one/**\"], methods: [GET]"),
            ][round % 2];
            edit(&world, from, to);
            reload(&world);
            thread::park_timeout((apart * (round as u32 + 1)).saturating_sub(begun.elapsed()));
        }
        over.store(true, Ordering::Release);
        let asked: Vec<usize> = asking.into_iter().map(|asking| asking.join().unwrap()).collect();
        assert!(asked.iter().all(|asked| *asked > 0));
        asked.iter().sum()
    })
}
