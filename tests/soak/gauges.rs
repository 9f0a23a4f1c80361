//! What a gateway holds.

use crate::support::World;
use std::fmt;

/// What a gateway holds at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Gauges {
    pub rss_kib: u64,
    pub descriptors: usize,
    pub threads: u64,
    pub tasks: u64,
    pub connections: u64,
    pub queued: u64,
}

impl Gauges {
    pub fn of(world: &World) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{}/status", world.pid())).expect("the gateway lives");
        let number = |text: &str, name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let metrics = world.control("GET", "/metrics", "").text();
        Self {
            rss_kib: number(&status, "VmRSS:"),
            descriptors: std::fs::read_dir(format!("/proc/{}/fd", world.pid())).unwrap().count(),
            threads: number(&status, "Threads:"),
            tasks: number(&metrics, "exeat_tasks "),
            connections: number(&metrics, "exeat_connections "),
            queued: number(&metrics, "exeat_journal_queue "),
        }
    }
}

impl fmt::Display for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} KiB resident, {} descriptors, {} threads, {} tasks, {} connections, {} records waiting",
            self.rss_kib, self.descriptors, self.threads, self.tasks, self.connections, self.queued
        )
    }
}
