//! Signals in the midst of work: killed, drained, its journal rotated.

#![allow(clippy::print_stdout, reason = "the long one tells how much it was")]

use crate::support::*;
use nix::sys::signal::Signal;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const HOST: &str = "plain.exeat.test";

/// Asks without end, over connections that are kept, until it fails; what was answered, by its number.
fn ask_until_it_ends(world: &World, next: &AtomicU32, over: &AtomicBool) -> Vec<(u32, u16)> {
    let (agent, mut answered) = (world.agent(), Vec::new());
    while !over.load(Ordering::Relaxed) {
        let Ok(stream) = std::net::TcpStream::connect(world.proxy) else { return answered };
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut wire = Wire::new(stream);
        for _ in 0..20 {
            let number = next.fetch_add(1, Ordering::Relaxed);
            // Every third is refused.
            let host = if number.is_multiple_of(3) { "elsewhere.invalid" } else { HOST };
            let head = agent.head("GET", &format!("http://{host}/{number}"), "");
            if wire.write_all(head.as_bytes()).is_err() {
                break;
            }
            match wire.response_to("GET") {
                Ok(response) => answered.push((number, response.status)),
                Err(_) => break,
            }
        }
    }
    answered
}

#[test]
fn what_a_client_has_seen_is_in_the_journal_whenever_the_gateway_is_killed() {
    kill_and_compare(12, 60);
}

/// R7, at full size: `EXEAT_TEST_BINARY=$PWD/target/release/exeat EXEAT_KILL_EVERY=5000 cargo test --test e2e -- --ignored
/// --nocapture two_hundred_kills` is a million requests.
#[test]
#[ignore = "takes some minutes"]
fn what_a_client_has_seen_is_in_the_journal_after_two_hundred_kills() {
    let every = std::env::var("EXEAT_KILL_EVERY").map_or(60, |text| text.parse().unwrap());
    kill_and_compare(200, every);
}

/// Kills a gateway that is at work, again and again: all that was answered has its record, and the chain is whole.
#[track_caller]
fn kill_and_compare(kills: u32, every: u32) {
    let origin = Origin::plain().answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let mut world = World::start(Setup::new().origin(HOST, &origin));
    let (mut seen, mut rounds) = (HashSet::new(), 0);
    let next = AtomicU32::new(1);
    while rounds < kills {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let asking: Vec<_> = (0..4).map(|_| scope.spawn(|| ask_until_it_ends(&world, &next, &over))).collect();
            let enough = next.load(Ordering::Relaxed) + every + rounds % 12 * 17;
            while next.load(Ordering::Relaxed) < enough {
                thread::park_timeout(Duration::from_micros(200));
            }
            world.signal(Signal::SIGKILL);
            over.store(true, Ordering::Relaxed);
            seen.extend(asking.into_iter().flat_map(|answers| answers.join().unwrap()).map(|(number, _)| number));
        });
        world.wait();
        // It keeps all that came in.
        origin.forget();
        world = world.restart_dead();
        rounds += 1;
    }
    let verified = world.run(&["flows", "verify", "--journal", world.path("flows").to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    assert!(world.stop().success());
    let (records, written) = written(&world);
    println!("{} answers seen in {kills} rounds, {records} records", seen.len());
    let lost: Vec<_> = seen.difference(&written).collect();
    assert!(lost.is_empty(), "{} of {} answers have no record: {lost:?}", lost.len(), seen.len());
}

/// How many records there are in all files of the journal (one that is no text has none), and the numbers in them.
fn written(world: &World) -> (usize, HashSet<u32>) {
    let (mut records, mut numbers) = (0, HashSet::new());
    for file in std::fs::read_dir(world.path("flows")).unwrap().map(|file| file.unwrap().path()) {
        for line in BufReader::new(File::open(file).unwrap()).lines().map_while(Result::ok) {
            records += 1;
            let number = line.split_once("\"path\":\"/").and_then(|(_, rest)| rest.split_once('"'));
            numbers.extend(number.map(|(number, _)| number.parse::<u32>().unwrap()));
        }
    }
    (records, numbers)
}

#[test]
fn a_drain_under_load_cuts_no_answer_and_loses_no_record() {
    let origin = Origin::plain().echo();
    let mut world = World::start(Setup::new().origin(HOST, &origin));
    let (next, over) = (AtomicU32::new(1), AtomicBool::new(false));
    let answered = thread::scope(|scope| {
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(|| ask_until_it_ends(&world, &next, &over))).collect();
        while next.load(Ordering::Relaxed) < 200 {
            thread::park_timeout(Duration::from_millis(1));
        }
        world.signal(Signal::SIGTERM);
        let end = Instant::now() + DEADLINE;
        while std::net::TcpStream::connect(world.proxy).is_ok() {
            assert!(Instant::now() < end, "connections are still taken");
        }
        over.store(true, Ordering::Relaxed);
        asking.into_iter().flat_map(|answers| answers.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(world.wait().code(), Some(0));
    let (_, written) = written(&world);
    assert!(answered.iter().all(|(number, _)| written.contains(number)));
    assert_eq!(origin.requests().len(), answered.iter().filter(|(_, status)| *status == 200).count(), "one was cut");
}

#[test]
fn a_thousand_requests_under_way_are_all_finished_before_the_exit() {
    const MANY: usize = 1000;
    let released = std::sync::Arc::new((Mutex::new(false), std::sync::Condvar::new()));
    let wait = released.clone();
    let origin = Origin::plain().raw(move |peer| {
        let _ = peer.request_head()?;
        let held = wait.1.wait_timeout_while(wait.0.lock().unwrap(), DEADLINE, |released| !*released).unwrap();
        drop(held);
        peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        Ok(())
    });
    let policy = policy_for(&["host: \"**.exeat.test\""]) + "limits: {connections: 2000}";
    let mut world = World::start(Setup::under(&policy).origin(HOST, &origin).after_shell("ulimit -n 8192"));
    let agent = world.agent();
    let url = "http://plain.exeat.test/";
    let mut wires: Vec<_> = (0..MANY).map(|_| agent.send(agent.head("GET", url, ""))).collect();
    origin.wait("all requests", |seen| seen.iter().filter(|seen| seen.total > 0).count() == MANY);
    world.signal(Signal::SIGTERM);
    let end = Instant::now() + DEADLINE;
    while std::net::TcpStream::connect(world.proxy).is_ok() {
        assert!(Instant::now() < end, "connections are still taken");
    }
    *released.0.lock().unwrap() = true;
    released.1.notify_all();
    for wire in &mut wires {
        assert_eq!(wire.response_to("GET").unwrap().status, 200);
    }
    assert_eq!(world.wait().code(), Some(0));
    assert_eq!(Records::read(&world.path("flows")).len(), MANY);
}

#[test]
fn a_journal_that_is_rotated_under_load_loses_nothing() {
    let origin = Origin::plain().echo();
    let mut world = World::start(Setup::new().origin(HOST, &origin));
    let (next, over) = (AtomicU32::new(1), AtomicBool::new(false));
    let answered = thread::scope(|scope| {
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(|| ask_until_it_ends(&world, &next, &over))).collect();
        for round in 0..15 {
            let so_far = next.load(Ordering::Relaxed);
            while next.load(Ordering::Relaxed) < so_far + 20 {
                thread::park_timeout(Duration::from_millis(1));
            }
            // As a log rotator does: aside, then the signal; now and then the signal alone.
            if round % 3 != 0 {
                let _ = std::fs::rename(world.path("flows/flows.jsonl"), world.path(&format!("flows/old-{round}")));
            }
            world.signal(Signal::SIGHUP);
        }
        over.store(true, Ordering::Relaxed);
        asking.into_iter().flat_map(|answers| answers.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(world.stop().success());
    let (_, written) = written(&world);
    let lost = answered.iter().filter(|(number, _)| !written.contains(number)).count();
    assert_eq!(lost, 0, "of {}", answered.len());
    assert!(answered.len() >= 250, "{}", answered.len());
}
