//! The wall clock jumps: nothing ends early or late, nothing falls, and the order of records stays.

use crate::support::*;
use std::path::Path;

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

#[test]
fn sessions_tunnels_and_records_outlive_jumps_of_the_clock() {
    if !Path::new(LIBRARY).exists() {
        eprintln!("skipped: libfaketime is not installed");
        return;
    }
    let (plain, tls) = (Origin::plain().echo(), Origin::tls().echo());
    let clock = tempfile::NamedTempFile::new().unwrap();
    let set = |offset: &str| std::fs::write(clock.path(), offset).unwrap();
    set("+0");
    let setup = Setup::new().origin("plain.exeat.test", &plain).origin("**.exeat.test", &tls);
    let setup = setup.env("LD_PRELOAD", LIBRARY).env("FAKETIME_NO_CACHE", "1").env("DONT_FAKE_MONOTONIC", "1");
    let world = World::start(setup.env("FAKETIME_TIMESTAMP_FILE", clock.path().to_str().unwrap()));
    let session = world.session("agent", "1h");
    let mut tunnel = world.agent_as(&session).https("tls.exeat.test");
    for offset in ["+0", "+1d", "-1d", "+365d", "-365d", "+0"] {
        set(offset);
        assert_eq!(world.agent_as(&session).get("http://plain.exeat.test/").status, 200, "{offset}");
        // A connection upstream that is kept needs no certificate anew; one of the present does at the present time.
        assert_eq!(tunnel.get("tls.exeat.test", "/").status, 200, "{offset}");
        assert_eq!(world.control("GET", &format!("/v1/sessions/{}", session.id), "").status, 200, "{offset}");
        // A leaf that is minted now is the first of its host; a client whose clock stands still may not take it.
        let host = "late.exeat.test";
        drop(Hello::to(&world, host).shake(world.agent_as(&session).tunnel(&format!("{host}:443"))));
    }
    // Back at the present, leaves are good again whatever was minted meanwhile.
    for host in ["tls.exeat.test", "late.exeat.test"] {
        assert_eq!(world.agent().https(host).get(host, "/").status, 200);
    }
    // An hour behind, and an hour ahead, are no jump: leaves are dated back for that.
    for offset in ["-3600", "+3600"] {
        set(offset);
        let host = format!("{}.exeat.test", if offset.starts_with('-') { "behind" } else { "ahead" });
        assert_eq!(world.agent().https(&host).get(&host, "/").status, 200, "{offset}");
    }
    set("+0");
    drop(tunnel);
    let short = world.session("agent", "1s");
    set("-1d");
    let end = std::time::Instant::now() + DEADLINE;
    while world.agent_as(&short).get("http://plain.exeat.test/").status == 200 {
        assert!(std::time::Instant::now() < end, "a session outlives its time because the clock went back");
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
    let records = world.into_records();
    let order: Vec<u64> = records.iter().filter_map(|record| record.number("/seq")).collect();
    assert!(order.is_sorted() && order.len() == records.len(), "{order:?}");
    let days: std::collections::HashSet<&str> =
        records.iter().filter_map(|record| record.text("/ts")?.get(..10)).collect();
    assert!(days.len() >= 4, "the clock did not jump: {days:?}");
}
