//! Every protocol at once, with faults, for a long time: nothing grows, nothing is lost, every flow has its record.
//!
//! `EXEAT_TEST_BINARY=target/release/exeat EXEAT_SOAK_MINUTES=60 cargo test --test soak -- --ignored --nocapture`
//! (`EXEAT_SOAK_RATE`: pieces of work a second, two and a half flows each; 80 by default).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    dead_code,
    unused_imports,
    missing_docs,
    unreachable_pub,
    reason = "a test says what is wrong by failing"
)]

#[path = "soak/gauges.rs"]
mod gauges;
#[path = "e2e/support/mod.rs"]
mod support;
#[path = "soak/works.rs"]
mod works;

use gauges::Gauges;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::World;
use works::{Done, Works};

/// Works that may be under way at a time.
const WORKERS: usize = 32;
/// Until idle connections upstream are given up, and looked after.
const QUIET: Duration = Duration::from_secs(45);

fn option(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// What went right, by host, and what went wrong.
#[derive(Default)]
struct Tally {
    flows: Mutex<BTreeMap<&'static str, u64>>,
    errors: Mutex<Vec<String>>,
    works: AtomicU64,
}

impl Tally {
    fn note(&self, outcome: thread::Result<Done>, work: &str) {
        self.works.fetch_add(1, Ordering::Relaxed);
        match outcome {
            Ok(Some((host, flows))) => *self.flows.lock().unwrap().entry(host).or_default() += flows,
            Ok(None) => {}
            Err(panic) => {
                let told = panic.downcast_ref::<String>().cloned();
                let told = told.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                self.errors.lock().unwrap().push(format!("{work}: {}", told.unwrap_or_default()));
            }
        }
    }
}

#[test]
#[ignore = "takes an hour"]
fn nothing_grows_and_nothing_is_lost_over_an_hour() {
    let works = Works::new();
    let world = World::start(works.setup());
    let length = Duration::from_secs(60 * option("EXEAT_SOAK_MINUTES", 60));
    let rate = option("EXEAT_SOAK_RATE", 80);
    let (tally, over) = (Tally::default(), AtomicBool::new(false));
    let fresh = Gauges::of(&world);
    println!("at rest, fresh:  {fresh}");
    let (begun, next) = (Instant::now(), AtomicU64::new(0));
    let settled = thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let due = begun + Duration::from_secs_f64(number as f64 / rate as f64);
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let (name, work) = works.pick(number);
                    tally.note(catch_unwind(AssertUnwindSafe(|| work(&works, &world, number))), name);
                }
            });
        }
        let settled = watch(&world, &works, &tally, begun, length);
        over.store(true, Ordering::Relaxed);
        settled
    });
    thread::sleep(QUIET);
    let rested = Gauges::of(&world);
    println!("at rest, after:  {rested}");
    let stderr = world.stderr();
    let verified = world.run(&["flows", "verify", "--journal", world.path("flows").to_str().unwrap()]);
    println!("{}", String::from_utf8_lossy(&verified.stdout).trim());
    let told = recorded(&world);
    let flows = tally.flows.into_inner().unwrap();
    println!("flows by host, done: {flows:?}\nrecords by host: {told:?}");
    let errors = tally.errors.into_inner().unwrap();
    println!("{} works, {} errors", tally.works.into_inner(), errors.len());
    assert!(errors.is_empty(), "{:#?}", &errors[..errors.len().min(10)]);
    assert!(flows.iter().all(|(host, count)| told.get(*host) == Some(count)), "records are not flows");
    assert!(verified.status.success());
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(rested.descriptors <= fresh.descriptors + 10, "descriptors");
    assert!(rested.tasks <= fresh.tasks + 5, "tasks");
    assert!(rested.threads <= fresh.threads + 2, "threads");
    let grown = rested.rss_kib.saturating_sub(settled.rss_kib);
    assert!(grown <= settled.rss_kib / 10 + 2048, "{grown} KiB more than after a third of the time");
}

/// Tells the gauges every minute; those after a third of the time are what the end is held against.
fn watch(world: &World, works: &Works, tally: &Tally, begun: Instant, length: Duration) -> Gauges {
    let mut settled = None;
    let minutes = length.as_secs() / 60;
    for minute in 1..=minutes {
        while begun.elapsed() < Duration::from_secs(60 * minute) {
            thread::sleep(Duration::from_secs(1));
            works.forget();
        }
        let now = Gauges::of(world);
        let errors = tally.errors.lock().unwrap().len();
        println!("after {minute:>3} min: {now}, {} works, {errors} errors", tally.works.load(Ordering::Relaxed));
        if minute >= minutes.div_ceil(3) {
            settled.get_or_insert(now);
        }
    }
    settled.expect("a minute at least")
}

/// How many records there are by host, over all files of the journal.
fn recorded(world: &World) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for file in std::fs::read_dir(world.path("flows")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in BufReader::new(std::fs::File::open(path).unwrap()).lines() {
            let record: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            let host = record.pointer("/target/host").and_then(serde_json::Value::as_str).unwrap_or("(none)");
            *counts.entry(host.to_owned()).or_default() += 1;
        }
    }
    counts
}
