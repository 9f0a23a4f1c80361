//! Name servers that die, come back and dawdle.

use crate::support::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// When a lookup is given up, and a moment for the answer that says so.
fn given_up() -> Duration {
    promised(Duration::from_millis(5_200))
}

/// An origin that keeps no connection, so that every request is a dial.
fn origin() -> Origin {
    Origin::plain().answer_and_close("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
}

fn world(nameserver: &Nameserver, port: u16) -> World {
    let rule = format!("host: \"**.exeat.test\", ports: [{port}]");
    World::start(Setup::allowing(&[&rule]).nameserver(nameserver))
}

#[test]
fn names_that_are_known_go_on_for_their_time_while_dns_is_dead_and_all_is_well_when_it_is_back() {
    let (origin, dead) = (origin(), Arc::new(AtomicBool::new(false)));
    let is_dead = dead.clone();
    let nameserver = Nameserver::start(move |question| match question.name.as_str() {
        _ if is_dead.load(Ordering::SeqCst) => Answer::Silence,
        "long.exeat.test" => Answer::Addresses(vec!["127.0.0.1".parse().unwrap()], 50),
        "short.exeat.test" => Answer::Addresses(vec!["127.0.0.1".parse().unwrap()], 2),
        _ => Answer::of(&["127.0.0.1"]),
    });
    let port = origin.address.port();
    let world = world(&nameserver, port);
    let get = |name: &str| world.agent().get(&format!("http://{name}.exeat.test:{port}/"));
    for name in ["long", "short", "other"] {
        assert_eq!(get(name).status, 200);
    }
    dead.store(true, Ordering::SeqCst);
    assert_eq!(get("long").status, 200);
    let began = Instant::now();
    assert_failed(&get("other"), "dns_timeout");
    assert!(began.elapsed() < given_up(), "{:?}", began.elapsed());
    // By now its time is over, and nothing of before is believed.
    assert_failed(&get("short"), "dns_timeout");
    assert_eq!(get("long").status, 200);
    dead.store(false, Ordering::SeqCst);
    let back = Instant::now();
    assert_eq!(get("short").status, 200);
    assert_eq!(get("fresh").status, 200);
    // One that was not answered just before is no worse off.
    assert_eq!(get("other").status, 200);
    assert!(back.elapsed() < promised(Duration::from_secs(1)), "{:?}", back.elapsed());
}

/// R10: a day's TTL is a minute here, during which nobody is asked, and after it nothing is believed that is not asked for
/// anew.
#[test]
#[ignore = "takes a minute"]
fn no_answer_is_believed_for_more_than_a_minute_whatever_its_ttl() {
    let (origin, dead) = (origin(), Arc::new(AtomicBool::new(false)));
    let is_dead = dead.clone();
    let nameserver = Nameserver::start(move |_| match is_dead.load(Ordering::SeqCst) {
        true => Answer::Silence,
        false => Answer::Addresses(vec!["127.0.0.1".parse().unwrap()], 86_400),
    });
    let port = origin.address.port();
    let world = world(&nameserver, port);
    let get = || world.agent().get(&format!("http://name.exeat.test:{port}/"));
    let asked_for = Instant::now();
    assert_eq!(get().status, 200);
    let kept = Instant::now();
    dead.store(true, Ordering::SeqCst);
    while get().status == 200 {
        assert!(kept.elapsed() < Duration::from_secs(60), "a stale answer is believed");
        thread::park_timeout(Duration::from_millis(500));
    }
    // The answer that says that nobody told took five seconds more.
    assert!(asked_for.elapsed() > Duration::from_secs(60), "{:?}", asked_for.elapsed());
}

#[test]
fn a_name_server_that_dawdles_is_waited_for_and_holds_up_nobody_else() {
    let origin = origin();
    let nameserver = Nameserver::start(|_| {
        thread::park_timeout(Duration::from_millis(700));
        Answer::of(&["127.0.0.1"])
    });
    let port = origin.address.port();
    let rules = [format!("host: \"**.exeat.test\", ports: [{port}]"), "host: plain.other.test".to_owned()];
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let world = World::start(Setup::allowing(&rules).nameserver(&nameserver).origin("plain.other.test", &origin));
    thread::scope(|scope| {
        let slow = scope.spawn(|| world.agent().get(&format!("http://slow.exeat.test:{port}/")).status);
        let began = Instant::now();
        assert_eq!(world.agent().get("http://plain.other.test/").status, 200);
        assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
        assert_eq!(slow.join().unwrap(), 200);
    });
}

/// One session's lookups that never end are not all that there are.
#[test]
fn many_names_without_an_answer_end_one_by_one_and_others_are_found() {
    let origin = origin();
    let nameserver =
        Nameserver::start(
            |question| {
                if question.name.contains("dead") { Answer::Silence } else { Answer::of(&["127.0.0.1"]) }
            },
        );
    let port = origin.address.port();
    let world = world(&nameserver, port);
    let began = Instant::now();
    thread::scope(|scope| {
        let world = &world;
        let waiting: Vec<_> = (0..60)
            .map(|number| scope.spawn(move || world.agent().get(&format!("http://dead{number}.exeat.test:{port}/"))))
            .collect();
        assert_eq!(world.agent().get(&format!("http://good.exeat.test:{port}/")).status, 200);
        for response in waiting {
            assert_failed(&response.join().unwrap(), "dns_timeout");
        }
    });
    assert!(began.elapsed() < given_up(), "{:?}", began.elapsed());
    assert_eq!(world.into_records().len(), 61);
}
