//! Start and end: what is wrong is told before anything is bound; what is under way is finished before the exit.

use crate::support::agent::{dial, push};
use crate::support::world::exeat;
use crate::support::*;
use nix::sys::signal::Signal;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const HOST: &str = "plain.exeat.test";
const URL: &str = "http://plain.exeat.test/";

/// An origin whose answer waits for a word, and the sender of that word.
fn waiting_origin() -> (Origin, std::sync::mpsc::Sender<()>) {
    let (release, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::plain().http(move |request| {
        if request.target == "/slow" {
            let _ = wait.lock().unwrap().recv_timeout(DEADLINE);
        }
        Reply::ok(vec![b'x'; 16_384])
    });
    (origin, release)
}

fn wait_for_refusal(world: &World) {
    let end = Instant::now() + DEADLINE;
    while std::net::TcpStream::connect(world.proxy).is_ok() {
        assert!(Instant::now() < end, "connections are still taken");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn a_request_under_way_is_finished_before_the_exit() {
    let (origin, release) = waiting_origin();
    let mut world = World::start(Setup::new().origin(HOST, &origin));
    let agent = world.agent();
    let mut wire = agent.send(agent.head("GET", "http://plain.exeat.test/slow", ""));
    origin.wait("the request", |seen| seen.iter().any(|seen| seen.total > 0));
    world.signal(Signal::SIGTERM);
    wait_for_refusal(&world);
    release.send(()).unwrap();
    let response = wire.response_to("GET").unwrap();
    assert_eq!((response.status, response.body.len()), (200, 16_384));
    assert_eq!(world.wait().code(), Some(0));
    let records = Records::read(&world.path("flows"));
    assert_eq!((records.len(), records[0].verdict()), (1, "allowed"));
}

#[test]
fn many_requests_under_way_are_all_finished() {
    let (release, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::plain().raw(move |peer| {
        let _ = peer.request_head()?;
        {
            let _ = wait.lock().unwrap().recv_timeout(DEADLINE);
        }
        peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        Ok(())
    });
    let mut world = World::start(Setup::new().origin(HOST, &origin));
    let agent = world.agent();
    let mut wires: Vec<_> = (0..50).map(|_| agent.send(agent.head("GET", URL, ""))).collect();
    origin.wait("all requests", |seen| seen.iter().filter(|seen| seen.total > 0).count() == 50);
    world.signal(Signal::SIGTERM);
    wait_for_refusal(&world);
    (0..50).for_each(|_| release.send(()).unwrap());
    for wire in &mut wires {
        assert_eq!(wire.response_to("GET").unwrap().status, 200);
    }
    assert_eq!(world.wait().code(), Some(0));
    assert_eq!(Records::read(&world.path("flows")).len(), 50);
}

#[test]
fn idle_connections_do_not_hold_the_exit() {
    let (origin, _release) = waiting_origin();
    let mut world = World::start(Setup::new().origin(HOST, &origin));
    let agent = world.agent();
    let mut idle = agent.send(agent.head("GET", URL, ""));
    assert_eq!(idle.response_to("GET").unwrap().status, 200);
    let _never_used = dial(world.proxy);
    let began = Instant::now();
    assert_eq!(world.stop().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(idle.is_ended());
}

#[test]
fn a_tunnel_is_cut_at_the_end_of_the_drain_with_a_record() {
    let origin = Origin::plain().silent();
    let setup = Setup::allowing(&["host: plain.exeat.test, tls: tunnel, protocols: [any]"]).extra("drain: 1s");
    let mut world = World::start(setup.origin(HOST, &origin));
    let mut wire = world.agent().tunnel("plain.exeat.test:443");
    push(&mut wire, b"x");
    origin.wait("a byte", |seen| seen.iter().any(|seen| seen.total > 0));
    let began = Instant::now();
    assert_eq!(world.stop().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert!(wire.is_ended());
    let records = Records::read(&world.path("flows"));
    assert_eq!((records.len(), records[0].host()), (1, HOST));
}

#[test]
fn sigint_ends_like_sigterm() {
    let mut world = World::start(Setup::new());
    world.signal(Signal::SIGINT);
    assert_eq!(world.wait().code(), Some(0));
}

#[test]
fn a_second_signal_does_not_wait() {
    let (origin, _release) = waiting_origin();
    let mut world = World::start(Setup::new().origin(HOST, &origin));
    let agent = world.agent();
    let _wire = agent.send(agent.head("GET", "http://plain.exeat.test/slow", ""));
    origin.wait("the request", |seen| seen.iter().any(|seen| seen.total > 0));
    world.signal(Signal::SIGTERM);
    wait_for_refusal(&world);
    let began = Instant::now();
    world.signal(Signal::SIGTERM);
    world.wait();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn sessions_and_ca_outlive_a_restart() {
    let origin = Origin::tls().echo();
    let world = World::start(Setup::new().origin("tls.exeat.test", &origin));
    let session = world.session("agent", "1h");
    let ca = world.ca();
    let world = world.restart();
    assert_eq!(world.ca(), ca);
    let mut tls = world.agent_as(&session).https("tls.exeat.test");
    assert_eq!(tls.get("tls.exeat.test", "/").status, 200);
}

#[test]
fn a_revoked_session_stays_dead_after_a_restart() {
    let world = World::start(Setup::new());
    let session = world.session("agent", "1h");
    world.control("DELETE", &format!("/v1/sessions/{}", session.id), "");
    let world = world.restart();
    assert_eq!(world.agent_as(&session).get(URL).status, 407);
}

/// A start that must fail: its exit code and what it said.
fn failed_start(home: &Path, yaml: &str) -> (Option<i32>, String) {
    std::fs::write(home.join("exeat.yaml"), yaml).unwrap();
    if !home.join("origins.pem").exists() {
        std::fs::write(home.join("origins.pem"), crate::support::certs::TRUSTED.pem()).unwrap();
    }
    let began = Instant::now();
    let mut child = exeat(home).args(["serve", "--config", "exeat.yaml"]).spawn().unwrap();
    let end = Instant::now() + DEADLINE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            let _ = child.kill();
            panic!("it started:\n{yaml}");
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("listening on"), "something was bound: {text}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    (output.status.code(), text)
}

#[test]
fn every_mistake_of_a_configuration_is_told_at_once_with_its_place() {
    let home = tempfile::tempdir().unwrap();
    let yaml = "\
listen: {proxy: \"127.0.0.1:0\", control: \"127.0.0.1:0\"}
ca: {certificate: ca.pem, key: ca.key}
control: {key: \"file:control.key\"}
flows: {journal: flows, durability: sometimes}
policies:
  agent:
    mode: enforced
    alow: []
    allow:
      - host: \"bad host\"
      - host: good.test
        ports: [0]
        colour: red
sessions:
  - {id: dev, policy: nope, token: \"env:NO_SUCH_VARIABLE\"}
";
    let (code, text) = failed_start(home.path(), yaml);
    assert_eq!(code, Some(2), "{text}");
    for (line, word) in
        [(4, "sometimes"), (7, "enforced"), (8, "alow"), (10, "bad host"), (12, "0"), (13, "colour"), (15, "nope")]
    {
        assert!(text.contains(&format!("exeat.yaml:{line}:")), "nothing about line {line}: {text}");
        assert!(text.contains(word), "nothing about {word}: {text}");
    }
    assert!(!home.path().join("ca.key").exists(), "a CA was made for a configuration that is wrong");
}

/// A configuration of which one line is wrong.
const BAD_FILES: &[(&str, &str, &str)] = &[
    ("an unknown key", "colour: red", "colour"),
    ("a key twice", "drain: 1s\ndrain: 2s", "drain"),
    ("a list for a mapping", "policies: []", "policies"),
    ("text for a mapping", "listen: yes please", "listen"),
    ("a listener without a port", "listen: {proxy: 127.0.0.1}", "127.0.0.1"),
    ("a listener that is a name", "listen: {proxy: \"example.com:3128\"}", "example.com"),
    ("a listener beyond all ports", "listen: {proxy: \"127.0.0.1:65536\"}", "65536"),
    ("two listeners at one place", "listen: {proxy: \"127.0.0.1:4128\", control: \"127.0.0.1:4128\"}", "4128"),
    ("a duration without a unit", "drain: 30", "drain"),
    ("a duration that is negative", "drain: -1s", "-1s"),
    ("a nameserver that is a name", "resolver: {nameservers: [\"dns.example\"]}", "dns.example"),
    ("nameservers that are a word", "resolver: {nameservers: google}", "google"),
    ("an override without a host", "resolver: {connect: [{to: \"127.0.0.1:1\"}]}", "host"),
    ("an override to nowhere", "resolver: {connect: [{host: a.test, to: \"\"}]}", "to"),
    ("a trust file that is missing", "upstream: {trust: [\"missing.pem\"]}", "missing.pem"),
    ("a durability that is none", "flows: {durability: maybe}", "maybe"),
    ("a mode that is none", "policies: {a: {mode: audit}}", "audit"),
    ("a preset that is none", "policies: {a: {presets: [everything]}}", "everything"),
    ("a rule without a host", "policies: {a: {allow: [{ports: [443]}]}}", "host"),
    ("a rule's unknown key", "policies: {a: {allow: [{host: a.test, port: 443}]}}", "port"),
    ("a host with a star inside", "policies: {a: {allow: [{host: \"a*.test\"}]}}", "a*.test"),
    ("a host that is one star", "policies: {a: {allow: [{host: \"*\"}]}}", "*"),
    ("a host with a port", "policies: {a: {allow: [{host: \"a.test:443\"}]}}", "a.test:443"),
    ("a host that is a URL", "policies: {a: {allow: [{host: \"https://a.test/\"}]}}", "https://a.test/"),
    ("a host that is a strange address", "policies: {a: {allow: [{host: \"127.1\"}]}}", "127.1"),
    ("an empty host", "policies: {a: {allow: [{host: \"\"}]}}", "host"),
    ("a port that is none", "policies: {a: {allow: [{host: a.test, ports: [70000]}]}}", "70000"),
    ("a port that is a word", "policies: {a: {allow: [{host: a.test, ports: [https]}]}}", "https"),
    ("a method in lower case", "policies: {a: {allow: [{host: a.test, methods: [get]}]}}", "get"),
    ("a method that is none", "policies: {a: {allow: [{host: a.test, methods: [\"GE T\"]}]}}", "GE T"),
    ("a path without a slash", "policies: {a: {allow: [{host: a.test, paths: [\"x/**\"]}]}}", "x/**"),
    (
        "paths where TLS is not opened",
        "policies: {a: {allow: [{host: a.test, tls: tunnel, paths: [\"/x\"]}]}}",
        "paths",
    ),
    ("a tls that is none", "policies: {a: {allow: [{host: a.test, tls: mitm}]}}", "mitm"),
    ("a protocol that is none", "policies: {a: {allow: [{host: a.test, protocols: [ftp]}]}}", "ftp"),
    ("a range that is none", "policies: {a: {allow: [{host: a.test, addresses: [\"10.0.0.0/33\"]}]}}", "10.0.0.0/33"),
    ("an action that is none", "policies: {a: {secrets: {action: warn}}}", "warn"),
    (
        "a secret rule that is none",
        "policies: {a: {secrets: {permit: [{rule: no-such-rule, hosts: [a.test]}]}}}",
        "no-such-rule",
    ),
    (
        "a known value that is not there",
        "policies: {a: {secrets: {known: [\"env:NO_SUCH_VARIABLE\"]}}}",
        "NO_SUCH_VARIABLE",
    ),
    ("a limit that is a word", "policies: {a: {limits: {requests_per_minute: many}}}", "many"),
    ("a size without a unit that is known", "policies: {a: {limits: {upload: 5 apples}}}", "apples"),
    ("a session without a policy", "sessions: [{id: a, token: \"env:PATH\"}]", "policy"),
    ("a session of no such policy", "sessions: [{id: a, policy: ghost, token: \"env:PATH\"}]", "ghost"),
    (
        "a session whose id is none",
        "policies: {p: {}}\nsessions: [{id: \"A B\", policy: p, token: \"env:PATH\"}]",
        "A B",
    ),
    (
        "two sessions of one id",
        "policies: {p: {}}\nsessions: [{id: a, policy: p, token: \"env:PATH\"}, {id: a, policy: p, token: \"env:HOME\"}]",
        "a",
    ),
    (
        "a token that is not there",
        "policies: {p: {}}\nsessions: [{id: a, policy: p, token: \"env:NO_SUCH_VARIABLE\"}]",
        "NO_SUCH_VARIABLE",
    ),
    ("a tab for spaces", "policies:\n\ta: {}", ":2:"),
    ("a bracket that stays open", "listen: {proxy: \"127.0.0.1:0\"", "exeat.yaml:"),
    ("two documents", "drain: 1s\n---\ndrain: 2s", "document"),
];

#[test]
fn bad_configurations_are_each_told_clearly_and_bind_nothing() {
    let mut wrong = Vec::new();
    for (name, yaml, word) in BAD_FILES {
        let home = tempfile::tempdir().unwrap();
        let (code, text) = failed_start(home.path(), yaml);
        let told = text.contains(word) && text.contains("exeat.yaml:") && !text.contains("panicked");
        if code != Some(2) || !told {
            wrong.push(format!("{name} ({yaml:?}): exit {code:?}, said {text:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), BAD_FILES.len(), wrong.join("\n"));
}

#[test]
fn a_configuration_that_is_missing_is_told() {
    let home = tempfile::tempdir().unwrap();
    let done = exeat(home.path()).args(["serve", "--config", "nowhere.yaml"]).output().unwrap();
    assert_eq!(done.status.code(), Some(2), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("nowhere.yaml"));
}

fn minimal(ports: &str) -> String {
    format!(
        "listen: {ports}\nca: {{certificate: ca.pem, key: ca.key}}\ncontrol: {{key: \"file:control.key\"}}\n\
         upstream: {{trust: [\"origins.pem\"]}}\nflows: {{journal: flows}}\n"
    )
}

const FREE: &str = "{proxy: \"127.0.0.1:0\", control: \"127.0.0.1:0\"}";

#[test]
fn a_port_that_is_taken_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _holder = TcpListener::bind(taken).unwrap();
    let home = tempfile::tempdir().unwrap();
    for ports in [
        format!("{{proxy: \"{taken}\", control: \"127.0.0.1:0\"}}"),
        format!("{{proxy: \"127.0.0.1:0\", control: \"{taken}\"}}"),
    ] {
        std::fs::write(home.path().join("exeat.yaml"), minimal(&ports)).unwrap();
        std::fs::write(home.path().join("origins.pem"), crate::support::certs::TRUSTED.pem()).unwrap();
        let done = exeat(home.path()).args(["serve", "--config", "exeat.yaml"]).output().unwrap();
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{text}");
        assert!(text.contains(&taken.to_string()) && !text.contains("exeat: ready"), "{text}");
    }
}

/// Starts once so that the files are there, bends one, and expects the next start to fail with its name.
#[track_caller]
fn assert_start_refused(bend: impl FnOnce(&Path), words: &[&str]) {
    let mut world = World::start(Setup::new());
    assert!(world.stop().success());
    let home = world.directory.path().to_owned();
    bend(&home);
    let (code, text) = failed_start(&home, &minimal(FREE));
    assert!(matches!(code, Some(1 | 2)), "{code:?}: {text}");
    assert!(words.iter().all(|word| text.contains(word)), "{words:?} not in: {text}");
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_ca_key_that_others_can_read_is_refused() {
    assert_start_refused(|home| chmod(&home.join("ca.key"), 0o644), &["ca.key"]);
    assert_start_refused(|home| chmod(&home.join("ca.key"), 0o640), &["ca.key"]);
}

#[test]
fn half_a_ca_is_refused_and_not_made_anew() {
    assert_start_refused(|home| std::fs::remove_file(home.join("ca.key")).unwrap(), &["ca.key"]);
    assert_start_refused(|home| std::fs::remove_file(home.join("ca.pem")).unwrap(), &["ca.pem"]);
}

#[test]
fn a_ca_that_is_broken_is_refused() {
    assert_start_refused(|home| std::fs::write(home.join("ca.pem"), "nonsense").unwrap(), &["ca.pem"]);
    assert_start_refused(|home| std::fs::write(home.join("ca.key"), "nonsense").unwrap(), &["ca.key"]);
}

#[test]
fn a_journal_that_cannot_be_written_is_refused() {
    assert_start_refused(
        |home| {
            std::fs::remove_dir_all(home.join("flows")).unwrap();
            std::fs::write(home.join("flows"), "a file").unwrap();
        },
        &["flows"],
    );
}

#[test]
fn check_tells_the_same_without_starting() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("bad.yaml"), "colour: red\n").unwrap();
    let done = exeat(home.path()).args(["check", "--config", "bad.yaml"]).output().unwrap();
    assert_eq!(done.status.code(), Some(2), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("bad.yaml:1:"), "{done:?}");
    let world = World::start(Setup::new());
    let mut check = exeat(world.directory.path());
    let variable = crate::support::setup::token_variable("dev");
    let done = check.args(["check", "--config", "exeat.yaml"]).env(variable, world.token("dev")).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
}

#[test]
fn secrets_of_a_bad_configuration_are_not_told() {
    let home = tempfile::tempdir().unwrap();
    let token = crate::support::secrets::github_token();
    let yaml = format!("sessions: [{{id: a, policy: nope, token: \"{token}\"}}]\n");
    let (code, text) = failed_start(home.path(), &yaml);
    assert_eq!(code, Some(2));
    assert!(!text.contains(&token[4..]), "{text}");
}
