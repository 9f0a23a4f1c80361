//! A panic in the midst of a flow ends that flow, which is recorded and counted, and nothing else. The gateway runs in
//! this process, so that what listens to its diagnostics can panic where it is told something: the command has no way
//! in for that.

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

#[path = "e2e/support/mod.rs"]
mod support;

use exeat::app::{Gateway, Role};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Condvar, Mutex};
use support::agent::{basic, dial, push};
use support::*;
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Requests that are under way while another one panics.
const OTHERS: usize = 999;

/// Panics in the task of a request that found a kept connection stale.
struct Panicking;

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Panicking {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("exeat::proxy")
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        assert!(!message.0.contains("stale"), "on purpose");
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A configuration of files in this folder, and the token of its session.
fn configured(home: &Path, origin: SocketAddr) -> String {
    let token = support::world::random_token();
    std::fs::write(home.join("token"), &token).unwrap();
    std::fs::set_permissions(home.join("token"), PermissionsExt::from_mode(0o600)).unwrap();
    let at = |name: &str| home.join(name).display().to_string();
    let yaml = format!(
        "listen: {{proxy: \"127.0.0.1:0\", control: \"127.0.0.1:0\"}}\n\
         ca: {{certificate: {:?}, key: {:?}}}\n\
         control: {{key: \"file:{}\"}}\n\
         flows: {{journal: {:?}}}\n\
         resolver: {{nameservers: [\"127.0.0.99:9\"], connect: [{{host: plain.exeat.test, to: \"{origin}\"}}]}}\n\
         policies: {{agent: {{allow: [{{host: plain.exeat.test, ports: [80], addresses: [\"127.0.0.0/8\"]}}], limits: {{connections: 2000}}}}}}\n\
         limits: {{connections_per_source: 2000}}\n\
         sessions: [{{id: dev, policy: agent, token: \"file:{}\"}}]\n",
        at("ca.pem"),
        at("ca.key"),
        at("control.key"),
        at("flows"),
        at("token"),
    );
    std::fs::write(home.join("exeat.yaml"), yaml).unwrap();
    token
}

fn head(token: &str, path: &str) -> String {
    let basic = basic("dev", token);
    format!(
        "GET http://plain.exeat.test{path} HTTP/1.1\r\nHost: plain.exeat.test\r\nProxy-Authorization: {basic}\r\n\r\n"
    )
}

/// Names the configuration of the gateway that this process is to be.
const PANICKING: &str = "EXEAT_TEST_PANICKING";

/// Called by threads of the gateway that have nothing to do.
fn panic_when_told() {
    if std::fs::remove_file("panic").is_ok() {
        (0..3).for_each(|_| drop(std::thread::spawn(|| panic!("on purpose")).join()));
    }
}

/// Runs inside [`three_panics_in_ten_seconds_end_the_process`]; elsewhere it has nothing to do.
#[test]
fn as_the_process() {
    let Some(config) = std::env::var_os(PANICKING) else { return };
    let words = ["exeat".into(), "serve".into(), "--config".into(), config];
    println!("ended with {:?}", exeat::cli::main(words, panic_when_told));
}

#[test]
fn three_panics_in_ten_seconds_end_the_process_with_what_is_under_way_recorded() {
    let origin = Origin::plain().silent();
    let home = tempfile::tempdir().unwrap();
    let token = configured(home.path(), origin.address);
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["as_the_process", "--exact", "--nocapture"]).current_dir(home.path());
    command.env(PANICKING, home.path().join("exeat.yaml")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = |line: String| line.strip_prefix("exeat: proxy listening on ")?.parse::<SocketAddr>().ok();
    let proxy = lines.by_ref().find_map(address).unwrap();
    lines.by_ref().find(|line| line == "exeat: ready").unwrap();
    let mut wire = dial(proxy);
    push(&mut wire, head(&token, "/held").as_bytes());
    origin.wait("the request", |seen| seen.iter().any(|seen| seen.total > 0));
    std::fs::write(home.path().join("panic"), "").unwrap();
    // What comes meanwhile is work, after which a thread has nothing to do; it is refused, or not taken any more.
    let end = std::time::Instant::now() + DEADLINE;
    while let Ok(stream) = std::net::TcpStream::connect(proxy) {
        if std::time::Instant::now() > end {
            let _ = child.kill();
            panic!("it goes on");
        }
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut wire = Wire::new(stream);
        push(&mut wire, b"GET http://plain.exeat.test/ HTTP/1.1\r\nHost: plain.exeat.test\r\n\r\n");
        assert!(!wire.response_to("GET").is_ok_and(|response| response.status < 400), "it goes on unfiltered");
    }
    assert!(!wire.response_to("GET").is_ok_and(|response| response.status < 400), "what is under way ends");
    let told: Vec<String> = lines.collect();
    assert!(told.iter().any(|line| line.contains("too many panics")), "{told:?}");
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    assert!(said.contains("ended with ExitCode(unix_exit_status(1))"), "{said}");
    let records = Records::read(&home.path().join("flows"));
    assert!(records.iter().any(|record| record.text("/target/path") == Some("/held")), "{records:#?}");
    origin.wait("one request and no more", |seen| seen.len() == 1);
}

#[test]
fn a_panic_ends_its_own_flow_alone_which_is_recorded_and_counted() {
    // Each of the others has four: the client's, two of the gateway's and the origin's.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    tracing::subscriber::set_global_default(Panicking).unwrap();
    let released = Arc::new((Mutex::new(false), Condvar::new()));
    let wait = released.clone();
    let origin = Origin::plain().raw(move |peer| {
        while let Some(request) = peer.request_head()? {
            match request.target.as_str() {
                // A kept connection that turns out to be over.
                "/panic" => return Ok(()),
                "/held" => {
                    let released = wait.0.lock().unwrap();
                    drop(wait.1.wait_timeout_while(released, DEADLINE, |released| !*released).unwrap());
                }
                _ => {}
            }
            peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
        Ok(())
    });
    let home = tempfile::tempdir().unwrap();
    let token = configured(home.path(), origin.address);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = exeat::config::load(Some(&home.path().join("exeat.yaml"))).unwrap_or_else(|wrong| panic!("{wrong}"));
    let gateway = runtime.block_on(Gateway::start(config, Role::Service)).unwrap();
    let ask = |path: &str| {
        let mut wire = dial(gateway.proxy_address());
        push(&mut wire, head(&token, path).as_bytes());
        wire
    };
    let mut others = Vec::new();
    while others.len() < OTHERS {
        // Not all at once, which would be more work than can be done.
        others.extend((0..50.min(OTHERS - others.len())).map(|_| ask("/held")));
        let under_way = others.len();
        origin.wait("the others", |seen| seen.iter().filter(|seen| seen.total > 0).count() == under_way);
    }

    let mut wire = ask("/first");
    assert_eq!(wire.response_to("GET").unwrap().status, 200);
    push(&mut wire, head(&token, "/panic").as_bytes());
    assert!(wire.response_to("GET").is_err(), "it is answered, where it should have panicked");

    assert_eq!(ask("/next").response_to("GET").unwrap().status, 200);
    *released.0.lock().unwrap() = true;
    released.1.notify_all();
    others.iter_mut().for_each(|wire| assert_eq!(wire.response_to("GET").unwrap().status, 200));

    let control = gateway.control_address().unwrap();
    let key = std::fs::read_to_string(home.path().join("control.key")).unwrap();
    let mut wire = dial(control);
    let key = key.trim();
    push(
        &mut wire,
        format!("GET /metrics HTTP/1.1\r\nHost: {control}\r\nAuthorization: Bearer {key}\r\n\r\n").as_bytes(),
    );
    let metrics = wire.response_to("GET").unwrap().text();
    let counted = metrics.lines().find(|line| line.starts_with("exeat_flows") && line.contains("internal_error"));
    assert!(counted.is_some_and(|line| line.ends_with(" 1")), "{metrics}");

    drop((others, wire));
    assert!(runtime.block_on(gateway.drain(CancellationToken::new())), "the journal was not flushed");
    let records = Records::read(&home.path().join("flows"));
    assert_eq!(records.len(), OTHERS + 3);
    let panicked = records.only("failed", "internal_error");
    assert_eq!(panicked.text("/target/path"), Some("/panic"));
}
