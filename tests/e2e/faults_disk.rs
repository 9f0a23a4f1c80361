//! The journal's disk is full, read-only or gone: nothing goes out without a record, and all is well when it is back.

use crate::support::agent::push;
use crate::support::*;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const HOST: &str = "plain.exeat.test";
const URL: &str = "http://plain.exeat.test/";

/// A gateway whose journal is on a disk of one mebibyte, which nobody else sees.
struct Small {
    world: World,
    tunnelled: Origin,
    origin: Origin,
}

impl Small {
    fn start() -> Self {
        let (origin, tunnelled) = (
            Origin::plain().echo(),
            Origin::plain().raw(|peer| {
                while let Ok(byte) = peer.exact(1) {
                    std::io::Write::write_all(peer, &byte)?;
                }
                Ok(())
            }),
        );
        let rules = ["host: plain.exeat.test", "host: raw.exeat.test, ports: [443], tls: tunnel, protocols: [any]"];
        let mut setup = Setup::allowing(&rules).origin(HOST, &origin).origin("raw.exeat.test", &tunnelled);
        let mount = "mkdir -p flows && mount -t tmpfs -o size=1m tmpfs flows && exec \"$@\"";
        setup.wrapper = ["unshare", "-m", "sh", "-c", mount, "sh"].map(str::to_owned).to_vec();
        Self { world: World::start(setup), tunnelled, origin }
    }

    /// The disk, as it is seen from outside.
    fn disk(&self) -> PathBuf {
        let inside = self.world.path("flows");
        PathBuf::from(format!("/proc/{}/root{}", self.world.pid(), inside.display()))
    }

    fn mount(&self, options: &[&str]) {
        let (pid, flows) = (self.world.pid().to_string(), self.world.path("flows"));
        let done = Command::new("nsenter").args(["-m", "-t", &pid, "mount"]).args(options).arg(&flows).status();
        assert!(done.unwrap().success(), "mount {options:?}");
    }

    /// A file that is open for writing keeps a disk from turning read-only: another one takes its place.
    fn turn_read_only(&self) {
        let disk = self.disk();
        std::fs::rename(disk.join("flows.jsonl"), disk.join("flows-000000000000.old")).unwrap();
        self.mount(&["-t", "tmpfs", "-o", "size=64k,ro", "tmpfs"]);
    }

    /// No request is served, no tunnel stays; then the disk is mended, and both are there again.
    #[track_caller]
    fn assert_closed_until(&self, mend: impl FnOnce(), mut tunnel: Wire<std::net::TcpStream>) {
        let agent = self.world.agent();
        let mut broken = Instant::now();
        within(promised(Duration::from_secs(1)), "new requests refused", || {
            // What is under way when the disk fails is cut before its last byte, or has its record.
            match agent.send(agent.head("GET", URL, "")).response_to("GET") {
                Ok(response) if response.status != 200 => {
                    assert_failed(&response, "log_unavailable");
                    true
                }
                // No write has failed so far.
                _ => {
                    broken = Instant::now();
                    false
                }
            }
        });
        assert!(tunnel.is_ended(), "the tunnel stays");
        assert!(broken.elapsed() < promised(Duration::from_secs(5)), "{:?}", broken.elapsed());
        let (served, tunnelled) = (self.origin.requests().len(), self.tunnelled.connections().len());
        for _ in 0..20 {
            assert_failed(&agent.get(URL), "log_unavailable");
            assert_failed(&agent.refused("raw.exeat.test:443"), "log_unavailable");
        }
        assert_eq!(self.origin.requests().len(), served, "a request went up without a record");
        assert_eq!(self.tunnelled.connections().len(), tunnelled, "a tunnel was dialled without a record");
        assert_eq!(self.world.control("GET", "/readyz", "").status, 503);
        mend();
        let serves = || agent.get(URL).status == 200 && agent.connect("raw.exeat.test:443", "").1.status == 200;
        within(promised(Duration::from_secs(5)), "service after the disk was mended", serves);
    }

    /// Every request that was served has its record, in a chain that holds.
    fn assert_whole(mut self) {
        let served = self.origin.requests().len();
        let disk = self.disk();
        let recorded = || {
            let text = std::fs::read_to_string(disk.join("flows.jsonl")).unwrap_or_default();
            text.lines().filter(|line| line.contains("\"status\":200") && line.contains(HOST)).count()
        };
        let end = Instant::now() + DEADLINE;
        while recorded() < served {
            assert!(Instant::now() < end, "{} records of {served} requests", recorded());
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let copy = self.world.path("copy");
        std::fs::create_dir(&copy).unwrap();
        std::fs::copy(disk.join("flows.jsonl"), copy.join("flows.jsonl")).unwrap();
        let done = self.world.run(&["flows", "verify", "--journal", "copy"]);
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        assert!(self.world.stop().success());
    }
}

#[test]
fn a_full_disk_closes_the_way_out_until_there_is_room() {
    let small = Small::start();
    let mut tunnel = small.world.agent().tunnel("raw.exeat.test:443");
    push(&mut tunnel, b"x");
    assert_eq!(tunnel.exact(1).unwrap(), b"x");
    assert_eq!(small.world.agent().get(URL).status, 200);
    let ballast = small.disk().join("ballast");
    // Fills all there is.
    let _ = std::fs::write(&ballast, vec![0; 1 << 20]);
    // A page of the journal may have room yet.
    (0..40).for_each(|_| _ = small.world.agent().get(URL));
    small.assert_closed_until(|| std::fs::remove_file(&ballast).unwrap(), tunnel);
    small.assert_whole();
}

#[test]
fn a_disk_that_turns_read_only_closes_the_way_out_until_it_is_writable() {
    let small = Small::start();
    let mut tunnel = small.world.agent().tunnel("raw.exeat.test:443");
    push(&mut tunnel, b"x");
    assert_eq!(tunnel.exact(1).unwrap(), b"x");
    assert_eq!(small.world.agent().get(URL).status, 200);
    small.turn_read_only();
    small.assert_closed_until(|| small.mount(&["-o", "remount,rw"]), tunnel);
    assert_eq!(small.world.control("GET", "/readyz", "").status, 200);
}
