//! Faults of both sides by chance, of a seed (R18): nothing is stuck, nothing is lost, every flow is written down once.

use crate::support::agent::push;
use crate::support::*;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

const HOST: &str = "plain.exeat.test";
const CLIENTS: usize = 16;
/// After so long a client has no patience left.
const PATIENCE: Duration = Duration::from_millis(150);

/// A number by chance, the same for the same seed (splitmix64).
fn chance(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What goes wrong with this request at the origin.
fn faulty_origin() -> Origin {
    Origin::plain().raw(|peer| {
        while let Some(request) = peer.request_head()? {
            let number = request.target.trim_start_matches('/').parse::<u64>();
            peer.stream.keep(request);
            match number.map_or(9, at_origin) {
                0 => peer.stream.reset(),
                1 => {}
                2 => peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?,
                3 => peer.write_all(b"\x00\x01 nonsense\r\n\r\n")?,
                4 => peer.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n")?,
                // Nothing, or a part, until the other side has had enough.
                5 => return peer.rest().map(|_| ()),
                6 => {
                    peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Le")?;
                    return peer.rest().map(|_| ());
                }
                _ => {
                    peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
                    continue;
                }
            }
            return Ok(());
        }
        Ok(())
    })
}

/// One request and what goes wrong with it at the client. Whether the gateway must have heard of it.
fn ask(world: &World, number: u64) -> bool {
    let agent = world.agent();
    let mut wire = agent.dial();
    wire.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = agent.head("GET", &format!("http://{HOST}/{number}"), "");
    let fault = at_client(number);
    let end = |stream: &TcpStream| socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
    match fault {
        0 => {
            // A reset may take with it what was sent before.
            push(&mut wire, head.as_bytes());
            end(&wire.stream);
            return false;
        }
        1 => {
            push(&mut wire, &head.as_bytes()[..head.len() / 2]);
            return false;
        }
        2 => {
            push(&mut wire, b"\x00\xff garbage\r\n\r\n");
            let _ = wire.read(&mut [0; 512]);
            return false;
        }
        3 => {
            push(&mut wire, head.as_bytes());
            let _ = wire.stream.shutdown(Shutdown::Write);
        }
        _ => push(&mut wire, head.as_bytes()),
    }
    let mut answer = [0; 4096];
    // Impatient ones leave in the midst of it.
    while fault != 4 && matches!(wire.read(&mut answer), Ok(read) if read > 0) {
        if fault == 5 {
            end(&wire.stream);
            break;
        }
    }
    if fault == 4 {
        let _ = wire.read(&mut answer[..1]);
    }
    true
}

/// What the gateway holds: descriptors, and tasks.
fn held(world: &World) -> (usize, u64) {
    let metrics = world.control("GET", "/metrics", "").text();
    let tasks = metrics.lines().find_map(|line| line.strip_prefix("exeat_tasks ")).unwrap().parse().unwrap();
    (std::fs::read_dir(format!("/proc/{}/fd", world.pid())).unwrap().count(), tasks)
}

/// How many flows have ended.
fn ended(world: &World) -> usize {
    let metrics = world.control("GET", "/metrics", "").text();
    let flows = metrics.lines().filter(|line| line.starts_with("exeat_flows_total"));
    flows.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
}

/// What goes wrong with this request at the origin, and at the client; of ten, and of eight.
fn at_origin(number: u64) -> u64 {
    chance(number) % 10
}

fn at_client(number: u64) -> u64 {
    chance(!number) % 8
}

/// How many requests it takes until so much has gone wrong.
fn with_faults(faults: usize) -> u32 {
    let goes_wrong = |number: &u32| at_origin((*number).into()) < 7 || at_client((*number).into()) < 6;
    (1..).filter(goes_wrong).nth(faults - 1).unwrap()
}

#[track_caller]
fn break_at_random(faults: usize, settles: bool) {
    let origin = faulty_origin();
    let world = World::start(Setup::new().origin(HOST, &origin));
    assert_eq!(world.agent().get(&format!("http://{HOST}/")).status, 200);
    let before = held(&world);
    let (next, requests) = (AtomicU32::new(1), with_faults(faults));
    let heard: Vec<u64> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let numbers = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
                    let numbers = numbers.take_while(|number| *number <= requests).map(u64::from);
                    numbers.filter(|number| ask(&world, *number)).collect::<Vec<_>>()
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    // Connections to the origin are kept for half a minute: after a whole one there is nothing more than before.
    let (time, kept) = if settles { (promised(Duration::from_secs(60)), 0) } else { (DEADLINE, 40) };
    within(time, "nothing is stuck", || {
        let now = held(&world);
        now.0 <= before.0 + kept && now.1 <= before.1 + kept as u64 / 8
    });
    until("a record for each flow, and no other", || ended(&world) == Records::read(&world.path("flows")).len());
    let mut counts = HashMap::<String, u32>::new();
    let records = world.into_records();
    let paths = records.iter().filter_map(|record| record.text("/target/path"));
    paths.for_each(|path| *counts.entry(path.to_owned()).or_default() += 1);
    assert!(counts.values().all(|count| *count == 1), "one flow has two records");
    let seen = origin.requests();
    let unknown = seen.iter().filter(|request| !counts.contains_key(&request.target)).count();
    assert_eq!(unknown, 0, "reached the origin without a record");
    let lost: Vec<_> = heard.iter().filter(|number| !counts.contains_key(&format!("/{number}"))).collect();
    assert!(lost.is_empty(), "{} of {} have no record: {lost:?}", lost.len(), heard.len());
}

#[test]
fn faults_by_chance_leave_nothing_behind() {
    break_at_random(400, false);
}

#[test]
#[ignore = "takes some minutes"]
fn ten_thousand_faults_by_chance_leave_nothing_behind() {
    break_at_random(10_000, true);
}
