//! Six times the work that the gateway can do, offered for a minute, and a session at its limits beside another. Figures
//! count for an optimised build on a machine with nothing else to do, of which the gateway has one processor:
//! `EXEAT_TEST_BINARY=$PWD/target/release/exeat cargo test --test e2e -- --ignored --nocapture overload_rates::`
//! (`EXEAT_OVERLOAD_SECONDS`: 60 by default).

#![allow(clippy::print_stdout, reason = "figures are what it is for")]

use crate::support::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Works under way at a time, at the most.
const WORKERS: usize = 600;
/// An upload is mostly the scanner's work: a few milliseconds of the processor.
const BODY: usize = 2 << 20;
const URL: &str = "http://plain.exeat.test/up";

/// One piece of work: when it was due and when it began, since the phase did; how long it took; how it ended.
#[derive(Clone, Copy)]
struct Done {
    due: Duration,
    begun: Duration,
    took: Duration,
    status: u16,
}

/// An origin that asks for the body, takes it and says so.
fn taking() -> SocketAddr {
    // Room for all that may be under way: a queue that is full makes who calls wait for a second.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(2 * WORKERS as i32).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let serve = |mut stream: TcpStream| {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let mut head = 0;
            while !buffer[..head].ends_with(b"\r\n\r\n") {
                match stream.read(&mut buffer[head..]) {
                    Ok(read) if read > 0 => head += read,
                    _ => return,
                }
            }
            let mut left = BODY;
            let mut said = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
            while let (Ok(()), 1..) = (&said, left) {
                match stream.read(&mut buffer) {
                    Ok(read) if read > 0 => left -= read,
                    _ => return,
                }
            }
            said = said.and_then(|()| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
            if said.is_err() {
                return;
            }
        }
    };
    thread::spawn(move || {
        listener.incoming().map_while(Result::ok).for_each(|one| drop(thread::spawn(move || serve(one))))
    });
    address
}

/// One upload on a connection of its own, whose body waits until it is asked for. 0: it was cut.
fn upload(proxy: SocketAddr, head: &[u8], body: &[u8]) -> u16 {
    let once = || -> std::io::Result<u16> {
        let mut stream = TcpStream::connect(proxy)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.write_all(head)?;
        let status = status(&mut stream)?;
        if status != 100 {
            return Ok(status);
        }
        stream.write_all(body)?;
        self::status(&mut stream)
    };
    once().unwrap_or(0)
}

/// The status of a head.
fn status(stream: &mut TcpStream) -> std::io::Result<u16> {
    let (mut head, mut read) = ([0; 4096], 0);
    while !head[..read].windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut head[read..])? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            more => read += more,
        }
    }
    std::str::from_utf8(&head[9..12])
        .ok()
        .and_then(|status| status.parse().ok())
        .ok_or(std::io::ErrorKind::Other.into())
}

/// Works at this rate, or (without one) as fast as so many do one after the other.
fn work(world: &World, rate: Option<f64>, workers: usize, length: Duration) -> Vec<Done> {
    let fields = format!("Content-Length: {BODY}\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n");
    let head = world.agent().head("POST", URL, &fields);
    let line = "{\"role\": \"user\", \"content\": \"Why does the build fail on the second try?\"},\n";
    let body: Vec<u8> = line.bytes().cycle().take(BODY).collect();
    let (begun, next, all) = (Instant::now(), AtomicU64::new(0), Mutex::new(Vec::new()));
    let one_after_the_other = || {
        let mut own = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let due = rate.map_or(begun.elapsed(), |rate| Duration::from_secs_f64(number as f64 / rate));
            if due >= length {
                break all.lock().unwrap().append(&mut own);
            }
            thread::sleep(due.saturating_sub(begun.elapsed()));
            let since = begun.elapsed();
            let status = upload(world.proxy, head.as_bytes(), &body);
            own.push(Done { due, begun: since, took: begun.elapsed() - since, status });
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(one_after_the_other);
        }
    });
    all.into_inner().unwrap()
}

/// A gateway with a processor for itself, which those who offer work, and who take it, are not to have.
fn alone(setup: Setup) -> World {
    let world = World::start(setup.after_shell("taskset -pc 0 $$ > /dev/null; ulimit -n 8192"));
    let own = std::process::id().to_string();
    std::process::Command::new("taskset").args(["-apc", "1", &own]).output().unwrap();
    world
}

/// The times of those that ended so, in order.
fn times(all: &[Done], status: u16) -> Vec<Duration> {
    let mut times: Vec<_> = all.iter().filter(|done| done.status == status).map(|done| done.took).collect();
    times.sort_unstable();
    times
}

fn part(times: &[Duration], part: f64) -> Duration {
    times.get((times.len() as f64 * part) as usize).or(times.last()).copied().unwrap_or_default()
}

/// How many a second ended so within the phase.
fn rate(all: &[Done], status: u16, length: Duration) -> f64 {
    let within = |done: &&Done| done.status == status && done.begun + done.took <= length;
    all.iter().filter(within).count() as f64 / length.as_secs_f64()
}

fn tell(what: &str, all: &[Done], length: Duration, world: &World) {
    let counted = |status| {
        let times = times(all, status);
        let [half, most, last] = [0.5, 0.99, 1.0].map(|at| part(&times, at));
        format!("{} ({:.0}/s, p50 {half:.1?}, p99 {most:.1?}, max {last:.1?})", times.len(), rate(all, status, length))
    };
    let others = all.iter().filter(|done| ![200, 503].contains(&done.status)).count();
    let mut late: Vec<_> = all.iter().map(|done| done.begun.saturating_sub(done.due)).collect();
    late.sort_unstable();
    let late = part(&late, 0.99);
    let (done, told, resident) = (counted(200), counted(503), resident(world));
    println!("{what}: done {done}, told 503 {told}, anything else {others}; offered {late:.1?} late, {resident} KiB");
}

/// What the gateway holds of the memory, and held at most (KiB).
fn resident(world: &World) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.pid())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").to_owned()
    };
    format!("{} of {}", field("VmRSS"), field("VmHWM"))
}

#[test]
#[ignore = "takes a machine for itself, and two minutes"]
fn six_times_what_can_be_done_is_told_so_and_over_when_it_is_over() {
    let seconds = std::env::var("EXEAT_OVERLOAD_SECONDS").map_or(60, |text| text.parse().unwrap());
    let setup = Setup::new().connect("plain.exeat.test", &taking().to_string());
    let world = alone(setup);
    let short = Duration::from_secs(5);
    work(&world, None, 8, Duration::from_secs(1));
    let most = work(&world, None, 8, short);
    tell("as fast as it goes, eight at a time", &most, short, &world);
    let capacity = times(&most, 200).len() as f64 / short.as_secs_f64();
    let calm = work(&world, Some(capacity / 2.0), WORKERS, short);
    tell("at half of that", &calm, short, &world);
    let flood = Duration::from_secs(seconds);
    let offered = work(&world, Some(capacity * 6.0), WORKERS, flood);
    tell("at six times that", &offered, flood, &world);
    let steady: Vec<_> = offered.iter().filter(|done| done.begun.as_secs() > 0).copied().collect();
    tell("of that, what began after its first second", &steady, flood, &world);
    let ending = Instant::now();
    let after = work(&world, Some(capacity / 2.0), WORKERS, short);
    tell("at half again", &after, short, &world);
    let last = after.iter().filter(|done| done.status != 200).map(|done| done.due).max();
    println!("{:.1?} after the flood; the last one refused {last:?} after its end", ending.elapsed());
    let unknown = |all: &[Done]| all.iter().filter(|done| ![200, 503].contains(&done.status)).count();
    assert!(calm.iter().all(|done| done.status == 200), "half of what can be done is done");
    assert_eq!((unknown(&offered), unknown(&after)), (0, 0), "each is done, or told that it is not");
    assert!(last.is_none_or(|last| last < Duration::from_secs(2)), "still refused {last:?} after the flood");
    let done = rate(&offered, 200, flood);
    assert!(done >= capacity * 0.8, "{done}/s of {capacity}/s");
}

/// Asks two hundred times a second over a connection that is kept, for this long: how long each took, in order.
fn paced(world: &World, length: Duration) -> Vec<Duration> {
    let agent = world.agent();
    let (head, mut wire) = (agent.head("GET", "http://plain.exeat.test/", ""), agent.dial());
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < length {
        thread::sleep((Duration::from_millis(5) * times.len() as u32).saturating_sub(begun.elapsed()));
        let since = Instant::now();
        wire.write_all(head.as_bytes()).unwrap();
        assert_eq!(wire.response_to("GET").unwrap().status, 200);
        times.push(since.elapsed());
    }
    times.sort_unstable();
    times
}

/// R3: one session has spent its requests, holds as many connections as it may, and goes on asking for both.
#[test]
#[ignore = "takes a machine for itself"]
fn a_session_at_its_limits_slows_no_other_down() {
    let origin = Origin::plain().answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let held = Origin::plain().silent();
    let rules = ["host: plain.exeat.test", "host: raw.exeat.test, ports: [443], tls: tunnel, protocols: [any]"];
    let greedy = policy_for(&rules) + "limits: {requests_per_minute: 200, connections: 100}";
    let setup = Setup::allowing(&rules).policy("greedy", &greedy).session("greedy", "greedy");
    let world = alone(setup.origin("plain.exeat.test", &origin).origin("raw.exeat.test", &held));
    let length = Duration::from_secs(10);
    paced(&world, Duration::from_secs(1));
    let quiet = paced(&world, length);
    let greedy = world.agent_of("greedy");
    let tunnels: Vec<_> = (0..90).map(|_| greedy.tunnel("raw.exeat.test:443")).collect();
    let (over, refused) = (AtomicBool::new(false), AtomicU64::new(0));
    let beside = thread::scope(|scope| {
        for number in 0..4 {
            let (over, refused, world) = (&over, &refused, &world);
            scope.spawn(move || {
                let agent = world.agent_of("greedy");
                let (head, mut wire) = (agent.head("GET", "http://plain.exeat.test/", ""), agent.dial());
                while !over.load(Ordering::Relaxed) {
                    // Two over connections that they keep, two over one each.
                    if number < 2 {
                        wire.write_all(head.as_bytes()).unwrap();
                    } else {
                        wire = agent.send(&head);
                    }
                    let status = wire.response_to("GET").unwrap().status;
                    assert!([200, 429].contains(&status), "{status}");
                    refused.fetch_add(u64::from(status == 429), Ordering::Relaxed);
                }
            });
        }
        let beside = paced(&world, length);
        over.store(true, Ordering::Relaxed);
        beside
    });
    drop(tunnels);
    let told = |times: &[Duration]| [0.5, 0.99, 1.0].map(|at| format!("{:.2?}", part(times, at))).join(", ");
    println!("p50, p99 and most alone: {}; beside {} refusals: {}", told(&quiet), refused.into_inner(), told(&beside));
}
