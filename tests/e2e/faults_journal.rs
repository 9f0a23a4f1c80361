//! A journal that is a pipe whose reader stops: requests wait for two seconds, then are refused; nothing is lost (R9).

use crate::support::*;
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

const HOST: &str = "plain.exeat.test";
/// How long a request waits for its record.
const PATIENCE: Duration = Duration::from_secs(2);
/// Records that may wait for the writer.
const QUEUE: u64 = 4_096;

/// The reading end of a pipe where the journal is written to, which is there before the gateway is.
fn pipe(folder: &Path) -> File {
    let path = folder.join("flows.jsonl");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let reader = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).unwrap();
    // To open it may not block, to read from it may.
    nix::fcntl::fcntl(&reader, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).unwrap();
    reader
}

fn number(world: &World, metric: &str) -> u64 {
    let metrics = world.control("GET", "/metrics", "").text();
    metrics.lines().find_map(|line| line.strip_prefix(metric)?.trim().parse().ok()).unwrap_or_default()
}

/// Nobody reads for so long, while so many ask on and on.
#[track_caller]
fn stall(length: Duration, asking: usize) {
    let folder = tempfile::tempdir().unwrap();
    let reader = pipe(folder.path());
    let origin = Origin::plain().echo();
    let mut setup = Setup::new().origin(HOST, &origin);
    setup.wrapper =
        ["sh", "-c", "ln -s \"$0\" flows; exec \"$@\"", folder.path().to_str().unwrap()].map(str::to_owned).to_vec();
    let mut world = World::start(setup);
    let before = resident(&world);
    let stalled = Instant::now();
    let (answered, most_queued) = (Mutex::new(HashSet::new()), Mutex::new(0));
    thread::scope(|scope| {
        for client in 0..asking {
            let (world, answered) = (&world, &answered);
            scope.spawn(move || {
                let agent = world.agent();
                for turn in 0.. {
                    let (path, since) = (format!("/{client}-{turn}"), Instant::now());
                    // Long ones, so that the pipe is soon full.
                    let long = "x".repeat(4_000);
                    let response = agent.get(&format!("http://{HOST}{path}?{long}"));
                    let took = since.elapsed();
                    assert!(took < promised(PATIENCE + Duration::from_secs(1)), "{took:?}");
                    if response.status == 200 {
                        answered.lock().unwrap().insert(path);
                        continue;
                    }
                    assert_failed(&response, "log_unavailable");
                    if stalled.elapsed() >= length {
                        break;
                    }
                }
            });
        }
        until("records that wait", || number(&world, "exeat_journal_queue ") > 0);
        while stalled.elapsed() < length {
            let queued = number(&world, "exeat_journal_queue ");
            let mut most = most_queued.lock().unwrap();
            *most = queued.max(*most);
            thread::park_timeout(Duration::from_millis(50));
        }
    });
    let most_queued = most_queued.into_inner().unwrap();
    assert!(most_queued <= QUEUE + asking as u64, "{most_queued}");
    let grown = resident(&world).saturating_sub(before);
    assert!(grown < 40 << 10, "{grown} KiB more");
    // The reader goes on, and so does everybody.
    let lines = thread::spawn(move || BufReader::new(reader).lines().map_while(Result::ok).collect::<Vec<_>>());
    let agent = world.agent();
    let mended = Instant::now();
    within(promised(Duration::from_secs(5)), "service", || agent.get(&format!("http://{HOST}/last")).status == 200);
    eprintln!(
        "{} answered, {most_queued} records waited, back after {:?}",
        answered.lock().unwrap().len(),
        mended.elapsed()
    );
    assert!(world.stop().success());
    let records: Vec<serde_json::Value> =
        lines.join().unwrap().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let order: Vec<u64> = records.iter().map(|record| record["seq"].as_u64().unwrap()).collect();
    assert_eq!(order, (1..=records.len() as u64).collect::<Vec<_>>(), "lost or reordered");
    let written: HashSet<&str> =
        records.iter().filter_map(|record| record["target"]["path"].as_str()?.split('?').next()).collect();
    let answered = answered.into_inner().unwrap();
    let lost: Vec<_> = answered.iter().filter(|path| !written.contains(path.as_str())).collect();
    assert!(lost.is_empty() && !answered.is_empty(), "{} of {} have no record", lost.len(), answered.len());
    // What reached the origin was begun to be recorded, so that it has a record whatever its client was told.
    let seen = origin.requests();
    assert!(seen.iter().all(|request| written.contains(request.target.split('?').next().unwrap())));
}

fn resident(world: &World) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_reader_that_stops_holds_requests_up_for_two_seconds_and_loses_none() {
    stall(Duration::from_secs(3), 8);
}

#[test]
#[ignore = "takes some seconds more"]
fn a_reader_that_stops_for_ten_seconds_holds_requests_up_for_two_and_loses_none() {
    stall(Duration::from_secs(10), 64);
}
