//! The start: what is wrong is told in a line with its place before anything is bound (R16).

mod bad_files;

use crate::support::agent::{dial, push};
use crate::support::world::exeat;
use crate::support::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const HOST: &str = "plain.exeat.test";

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
    let took = began.elapsed();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("listening on"), "something was bound: {text}");
    assert!(took < promised(Duration::from_secs(1)), "{took:?}");
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

/// Who comes while it starts: whatever is accepted is served, under the policy and with a record.
#[test]
fn not_one_connection_is_accepted_before_policy_and_journal_are_ready() {
    let origin = Origin::plain().echo();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (proxy, control) = (free(), free());
    let (over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let world = std::thread::scope(|scope| {
        let knocking = scope.spawn(|| {
            let ask = b"GET http://elsewhere.invalid/ HTTP/1.1\r\nHost: elsewhere.invalid\r\n\r\n";
            while !over.load(Ordering::Relaxed) {
                let Ok(stream) = std::net::TcpStream::connect(("127.0.0.1", proxy)) else { continue };
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                let mut wire = Wire::new(stream);
                push(&mut wire, ask);
                assert_eq!(wire.response_to("GET").unwrap().status, 407, "taken, and not served");
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
        let world = World::start(Setup::new().origin(HOST, &origin).listening(proxy, control));
        until("service", || served.load(Ordering::Relaxed) > 0 || knocking.is_finished());
        over.store(true, Ordering::Relaxed);
        world
    });
    let records = world.into_records();
    // Refusals that anybody can cause are counted beyond the first hundred.
    let recorded: u64 = records.iter().map(|record| record.number("/repeats").unwrap_or(1)).sum();
    assert_eq!(recorded, served.into_inner() as u64);
}

/// What collects the diagnostics has gone: `eprintln!` would panic in whatever task has something to tell.
#[test]
fn a_gateway_whose_diagnostics_nobody_reads_goes_on() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("exeat.yaml"), minimal(FREE)).unwrap();
    std::fs::write(home.path().join("origins.pem"), crate::support::certs::TRUSTED.pem()).unwrap();
    let mut child = exeat(home.path()).args(["--log", "debug", "serve", "--config", "exeat.yaml"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.strip_prefix("exeat: proxy listening on ").map(str::to_owned)).unwrap();
    lines.find(|line| line == "exeat: ready").unwrap();
    drop(lines);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    for _ in 0..5 {
        kill(pid, Signal::SIGHUP).unwrap();
        let mut wire = dial(address.parse().unwrap());
        push(&mut wire, b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert_eq!(wire.response_to("GET").unwrap().status, 407);
    }
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(Records::read(&home.path().join("flows")).len(), 5);
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
    // After what it warns of.
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("exeat: ")).collect();
    assert!(errors.len() == 1 && text.trim_end().ends_with(errors[0]), "more than a line: {text}");
    assert!(words.iter().all(|word| errors[0].contains(word)), "{words:?} not in: {text}");
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_ca_key_that_others_can_read_is_refused() {
    assert_start_refused(|home| chmod(&home.join("ca.key"), 0o644), &["ca.key"]);
    assert_start_refused(|home| chmod(&home.join("ca.key"), 0o640), &["ca.key"]);
}

/// Root may read whatever there is, but not a folder as a file.
#[test]
fn a_ca_that_cannot_be_read_is_refused() {
    for name in ["ca.key", "ca.pem"] {
        let unreadable = |home: &Path| {
            std::fs::remove_file(home.join(name)).unwrap();
            std::fs::create_dir(home.join(name)).unwrap();
        };
        assert_start_refused(unreadable, &[name]);
    }
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
    let in_the_way = |home: &Path| {
        std::fs::remove_file(home.join("flows/flows.jsonl")).unwrap();
        std::fs::create_dir(home.join("flows/flows.jsonl")).unwrap();
    };
    assert_start_refused(in_the_way, &["flows/flows.jsonl"]);
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
