//! One record a flow, on every path; nothing forged, nothing lost, no secret; no record, no flow.

use crate::support::agent::push;
use crate::support::secrets::github_token;
use crate::support::*;
use std::process::Command;
use std::time::{Duration, Instant};

const HOST: &str = "plain.exeat.test";
const URL: &str = "http://plain.exeat.test/";

fn world(origin: &Origin) -> World {
    World::start(Setup::new().origin("**.exeat.test", origin))
}

#[test]
fn the_path_of_a_webhook_is_in_no_record_though_only_its_host_makes_it_a_secret() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let secret = ["BmNTrNbi", "/xM8x3dzPTgOAM0QyhzeG"].concat();
    assert_eq!(world.agent().get(&format!("http://hooks.slack.com/services/TUnhapDu/{secret}")).status, 403);
    let records = world.into_records();
    assert_eq!(records[0].0["target"]["host"], "hooks.slack.com");
    assert_eq!(records[0].0["target"]["path"], "[redacted]");
}

#[test]
fn a_record_holds_what_it_promises() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    assert_eq!(world.agent().post("http://plain.exeat.test/a/b", b"hello").status, 200);
    let records = world.into_records();
    let record = &records[0].0;
    for pointer in [
        "/schema",
        "/ts",
        "/flow",
        "/session/id",
        "/session/policy",
        "/session/policy_hash",
        "/downstream/address",
        "/target/scheme",
        "/target/host",
        "/target/port",
        "/target/method",
        "/target/path",
        "/upstream/address",
        "/mode",
        "/verdict",
        "/rule",
        "/status",
        "/bytes/up",
        "/bytes/down",
        "/timing/total",
        "/prev",
        "/hash",
    ] {
        assert!(record.pointer(pointer).is_some_and(|value| !value.is_null()), "no {pointer} in {record}");
    }
    assert_eq!(record["target"]["path"], "/a/b");
    assert_eq!(record["target"]["port"], 80);
    assert!(record["ts"].as_str().unwrap().ends_with('Z'), "{record}");
    // UUIDv7: the version's digit.
    assert_eq!(record["flow"].as_str().unwrap().as_bytes()[14], b'7');
}

#[test]
fn every_path_leaves_exactly_one_record() {
    let origin = Origin::plain().echo();
    let dead = Setup::new().origin(HOST, &origin).connect("dead.exeat.test", "127.0.0.1:9");
    let world = World::start(dead);
    let agent = world.agent();
    let outcomes = [
        (agent.get(URL).status, "allowed", "(none)"),
        (agent.get("http://evil.test/").status, "denied", "dest_not_listed"),
        (world.stranger().get(URL).status, "denied", "proxy_auth_required"),
        (agent.get("http://dead.exeat.test/").status, "failed", "connect_failed"),
        (agent.get("http://plain.exeat.test/../x").status, "denied", "bad_target"),
        (agent.get(&format!("{URL}?{}", github_token())).status, "denied", "secret_in_request"),
        (agent.send("nonsense\r\n\r\n").response_to("GET").unwrap().status, "denied", "bad_request"),
        (agent.refused("evil.test:443").status, "denied", "dest_not_listed"),
    ];
    let records = world.into_records();
    assert_eq!(records.len(), outcomes.len(), "{records:#?}");
    for (record, (status, verdict, reason)) in records.iter().zip(outcomes) {
        assert_eq!((record.verdict(), record.reason()), (verdict, reason), "{record:?}");
        assert_eq!(record.number("/status"), Some(u64::from(status)), "{record:?}");
    }
}

#[test]
fn a_connection_that_says_half_a_request_leaves_a_record() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    drop(world.agent().send("GET http://plain.exeat.test/ HTT"));
    let records = world.records(1);
    assert_ne!(records[0].verdict(), "allowed", "{records:#?}");
    origin.assert_untouched();
}

#[test]
fn a_refusal_is_written_before_it_is_told() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    for number in 0..20 {
        let refusal = assert_refused(&world.agent().get(&format!("http://evil{number}.test/")), "dest_not_listed");
        // No waiting: the record is there by the time the agent knows.
        let records = Records::read(&world.path("flows"));
        assert!(records.iter().any(|record| record.flow() == refusal["flow"].as_str().unwrap()), "{number}");
    }
}

#[test]
fn a_whole_run_survives_a_kill() {
    let origin = Origin::plain().echo();
    let world = World::start(Setup::new().origin(HOST, &origin).durability("each"));
    for number in 0..30 {
        assert_eq!(world.agent().get(&format!("{URL}{number}")).status, 200);
    }
    world.signal(nix::sys::signal::Signal::SIGKILL);
    let records = Records::read(&world.path("flows"));
    assert_eq!(records.len(), 30);
}

#[test]
fn the_chain_holds_and_verify_says_so() {
    let origin = Origin::plain().echo();
    let mut world = world(&origin);
    (0..10).for_each(|number| _ = world.agent().get(&format!("{URL}{number}")));
    assert!(world.stop().success());
    let records = Records::read(&world.path("flows"));
    for pair in records.windows(2) {
        assert_eq!(pair[0]["hash"], pair[1]["prev"]);
    }
    let done = world.run(&["flows", "verify", "--journal", "flows"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
}

/// Bends the journal's lines and expects `verify` to name the place.
#[track_caller]
fn assert_break_found(bend: impl FnOnce(&mut Vec<String>)) {
    let origin = Origin::plain().echo();
    let mut world = world(&origin);
    (0..6).for_each(|number| _ = world.agent().get(&format!("{URL}{number}")));
    assert!(world.stop().success());
    let path = world.path("flows/flows.jsonl");
    let mut lines: Vec<String> = std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    bend(&mut lines);
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    let done = world.run(&["flows", "verify", "--journal", "flows"]);
    let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert_eq!(done.status.code(), Some(1), "{text}");
    assert!(text.contains("flows.jsonl"), "{text}");
}

#[test]
fn a_changed_record_is_found() {
    assert_break_found(|lines| lines[2] = lines[2].replace("\"/2\"", "\"/9\""));
}

#[test]
fn a_removed_record_is_found() {
    assert_break_found(|lines| _ = lines.remove(3));
}

#[test]
fn reordered_records_are_found() {
    assert_break_found(|lines| lines.swap(1, 2));
}

#[test]
fn a_cut_record_is_found() {
    assert_break_found(|lines| lines[4].truncate(50));
}

#[test]
fn the_chain_goes_on_after_a_restart() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    assert_eq!(world.agent().get(URL).status, 200);
    let world = world.restart();
    assert_eq!(world.agent().get(URL).status, 200);
    let mut world = world;
    assert!(world.stop().success());
    let records = Records::read(&world.path("flows"));
    assert_eq!((records.len(), &records[0]["hash"]), (2, &records[1]["prev"]));
    assert_eq!(world.run(&["flows", "verify", "--journal", "flows"]).status.code(), Some(0));
}

#[test]
fn a_last_line_that_was_cut_by_a_crash_is_repaired_at_the_next_start() {
    use std::io::Write;
    let origin = Origin::plain().echo();
    let mut world = world(&origin);
    (0..3).for_each(|_| _ = world.agent().get(URL));
    assert!(world.stop().success());
    let mut file = std::fs::OpenOptions::new().append(true).open(world.path("flows/flows.jsonl")).unwrap();
    file.write_all(b"{\"schema\":1,\"ts\":\"2026-").unwrap();
    let world = world.restart_dead();
    assert_eq!(world.agent().get(URL).status, 200);
    let records = world.records_where("a record after the repair", |records| records.len() >= 4);
    assert!(records.len() <= 5, "{records:#?}");
    assert_eq!(world.run(&["flows", "verify", "--journal", "flows"]).status.code(), Some(0));
}

#[test]
fn what_an_agent_sends_cannot_forge_a_line() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let agent = world.agent();
    let injections: [&[u8]; 6] = [
        b"/%0d%0a{\"verdict\":\"allowed\"}",
        b"/\"},{\"verdict\":\"allowed\"}",
        b"/%1b%5b31m",
        b"/%e2%80%a8%e2%80%ae",
        b"/%ff%fe",
        b"/\x1b[31m",
    ];
    for path in injections {
        let credentials = agent.field();
        let host = b" HTTP/1.1\r\nHost: plain.exeat.test\r\n".as_slice();
        let head = [b"GET http://plain.exeat.test".as_slice(), path, host, credentials.as_bytes()];
        let rest = b"User-Agent: \xe2\x80\xa8 \xff \"}\r\n\r\n".as_slice();
        let _ = agent.send([head.concat().as_slice(), rest].concat()).response_to("GET");
    }
    let directory = world.path("flows");
    world.records(6);
    let bytes = std::fs::read(directory.join("flows.jsonl")).unwrap();
    assert!(bytes.iter().all(|byte| (b' '..=b'~').contains(byte) || *byte == b'\n'), "a line is not printable ASCII");
    assert_eq!(world.into_records().len(), 6);
}

#[test]
fn a_long_target_is_cut_and_the_record_kept() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let path = "p".repeat(12_000);
    assert_eq!(world.agent().get(&format!("{URL}{path}")).status, 200);
    let records = world.into_records();
    assert!(records[0].text("/target/path").unwrap().len() <= 8192);
    assert!(records[0].0.to_string().contains("\"truncated\":true"), "{records:#?}");
}

#[test]
fn query_values_and_credentials_are_never_written_down() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    let fields = "Authorization: Bearer opaque-value-1\r\nCookie: sid=opaque-value-2\r\nX-Api-Key: opaque-value-3\r\n";
    let response = world.agent().request("GET", &format!("{URL}p?user=opaque-value-4&b=opaque-value-5"), fields, b"");
    assert_eq!(response.status, 200);
    let token = world.token("dev").to_owned();
    let records = world.into_records();
    let text = records[0].0.to_string();
    assert!(!text.contains("opaque-value") && !text.contains(&token), "{text}");
    assert!(text.contains("/p"), "{text}");
}

#[test]
fn the_journal_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let origin = Origin::plain().echo();
    let world = world(&origin);
    world.agent().get(URL);
    world.records(1);
    let mode = std::fs::metadata(world.path("flows/flows.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// Sets how large a file of the running gateway may get; the disk is "full" beyond it.
fn limit_files(world: &World, bytes: &str) {
    let (pid, limit) = (world.pid().to_string(), format!("--fsize={bytes}:unlimited"));
    let done = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
    assert!(done.unwrap().success(), "prlimit");
}

#[test]
fn a_full_disk_refuses_flows_and_recovers_by_itself() {
    let origin = Origin::plain().echo();
    // A write beyond the limit must fail, not kill.
    let setup = Setup::new().origin(HOST, &origin).durability("each").after_shell("trap '' XFSZ");
    let world = World::start(setup);
    assert_eq!(world.agent().get(URL).status, 200);
    world.records(1);
    limit_files(&world, "1");
    let end = Instant::now() + DEADLINE;
    let agent = world.agent();
    let refused = loop {
        // A flow that is under way when the disk fills is cut before its last byte.
        match agent.send(agent.head("GET", URL, "")).response_to("GET") {
            Ok(response) if response.status != 200 => break response,
            _ => assert!(Instant::now() < end, "flows go on without records"),
        }
    };
    assert_failed(&refused, "log_unavailable");
    let served = origin.requests().len();
    for _ in 0..5 {
        assert_failed(&world.agent().get(URL), "log_unavailable");
    }
    assert_eq!(origin.requests().len(), served, "a request went up without a record");
    limit_files(&world, "unlimited");
    let end = Instant::now() + Duration::from_secs(8);
    while world.agent().get(URL).status != 200 {
        assert!(Instant::now() < end, "no recovery after the disk had room again");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let requests = origin.requests().len();
    let directory = world.path("flows");
    let recorded = world.records_where("as many records as requests", |records| {
        records.iter().filter(|record| record.number("/status") == Some(200)).count() >= requests
    });
    assert!(recorded.len() >= requests, "{}", directory.display());
    assert_eq!(world.run(&["flows", "verify", "--journal", "flows"]).status.code(), Some(0));
}

#[test]
fn tail_shows_flows_and_filters_them() {
    let origin = Origin::plain().echo();
    let world = world(&origin);
    world.agent().get(URL);
    world.agent().get("http://evil.test/");
    world.records(2);
    let text = |arguments: &[&str]| {
        let done = world.run(&[&["flows", "tail", "--journal", "flows"], arguments].concat());
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    let all = text(&[]);
    assert!(all.contains(HOST) && all.contains("evil.test") && !all.contains('\x1b'), "{all}");
    let denied = text(&["--verdict", "denied"]);
    assert!(!denied.contains(HOST) && denied.contains("dest_not_listed"), "{denied}");
    let json = text(&["--json", "--session", "dev"]);
    assert_eq!(json.lines().map(serde_json::from_str::<serde_json::Value>).filter(Result::is_ok).count(), 2, "{json}");
    assert_eq!(text(&["--session", "nobody"]), "");
}

#[test]
fn many_flows_at_once_are_all_in_one_unbroken_chain() {
    let origin = Origin::plain().echo();
    let mut world = world(&origin);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let agent = world.agent();
                let mut wire = agent.dial();
                for _ in 0..50 {
                    push(&mut wire, agent.head("GET", URL, "").as_bytes());
                    assert_eq!(wire.response_to("GET").unwrap().status, 200);
                }
            });
        }
    });
    assert!(world.stop().success());
    let records = Records::read(&world.path("flows"));
    assert_eq!(records.len(), 400);
    let flows: std::collections::HashSet<_> = records.iter().map(Record::flow).collect();
    assert_eq!(flows.len(), 400);
    assert_eq!(world.run(&["flows", "verify", "--journal", "flows"]).status.code(), Some(0));
}
