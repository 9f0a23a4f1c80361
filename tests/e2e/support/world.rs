//! A whole gateway: the built binary with a configuration of its own, in a folder of its own.

use super::DEADLINE;
use super::agent::Agent;
use super::certs;
use super::journal::Records;
use super::message::Response;
use super::setup::{Setup, token_variable};
use data_encoding::BASE64URL_NOPAD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a start may take, on a busy machine.
const START: Duration = Duration::from_secs(20);

pub struct World {
    pub directory: TempDir,
    pub setup: Setup,
    pub proxy: SocketAddr,
    pub control: SocketAddr,
    tokens: BTreeMap<String, String>,
    child: Child,
    stderr: Arc<Lines>,
}

/// What the gateway wrote on stderr so far.
#[derive(Default)]
struct Lines {
    text: Mutex<(String, bool)>,
    grew: Condvar,
}

impl Lines {
    fn follow(stream: impl std::io::Read + Send + 'static) -> Arc<Self> {
        let lines = Arc::new(Self::default());
        let own = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                own.text.lock().unwrap().0.push_str(&(line + "\n"));
                own.grew.notify_all();
            }
            own.text.lock().unwrap().1 = true;
            own.grew.notify_all();
        });
        lines
    }

    /// The text once it holds the line, or its end, or the deadline, has come.
    fn until(&self, line: &str, deadline: Duration) -> String {
        let end = Instant::now() + deadline;
        let mut text = self.text.lock().unwrap();
        while !text.0.contains(line) && !text.1 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            text = self.grew.wait_timeout(text, left).unwrap().0;
        }
        text.0.clone()
    }
}

/// The command with nothing inherited but where programs are found.
pub fn exeat(home: &Path) -> Command {
    exeat_after(&[], home)
}

fn exeat_after(wrapper: &[String], home: &Path) -> Command {
    let mut command = match wrapper {
        [] => Command::new(binary()),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(binary());
            command
        }
    };
    command.env_clear().current_dir(home).env("HOME", home);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The built binary; another build (an optimised one) can be named for the long tests.
pub fn binary() -> PathBuf {
    std::env::var_os("EXEAT_TEST_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_exeat").into(), PathBuf::from)
}

/// 256 random bits as sessions show them.
pub fn random_token() -> String {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    BASE64URL_NOPAD.encode(&bytes)
}

impl World {
    pub fn start(setup: Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("origins.pem"), certs::TRUSTED.pem()).unwrap();
        let tokens = setup.sessions.iter().map(|(id, _)| (id.clone(), random_token())).collect();
        Self::launch(directory, setup, tokens)
    }

    fn launch(directory: TempDir, setup: Setup, tokens: BTreeMap<String, String>) -> Self {
        std::fs::write(directory.path().join("exeat.yaml"), setup.yaml()).unwrap();
        for (name, text) in &setup.files {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        let mut command = exeat_after(&setup.wrapper, directory.path());
        command.args(["serve", "--config"]).arg(directory.path().join("exeat.yaml"));
        command.envs(tokens.iter().map(|(id, token)| (token_variable(id), token)));
        command.envs(setup.environment.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let stderr = Lines::follow(child.stderr.take().unwrap());
        let text = stderr.until("exeat: ready\n", START);
        let address = |what: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("exeat: {what} listening on ")));
            line.and_then(|address| address.trim().parse().ok())
        };
        let ready = text.contains("exeat: ready");
        let (Some(proxy), Some(control), true) = (address("proxy"), address("control"), ready) else {
            let _ = child.kill();
            let status = child.wait();
            panic!("the gateway did not start ({status:?}); it said:\n{text}\nits configuration:\n{}", setup.yaml());
        };
        let proxy = reachable(proxy);
        Self { directory, setup, proxy, control, tokens, child, stderr }
    }

    /// Stops it and starts it again in the same folder.
    pub fn restart(mut self) -> Self {
        self.terminate();
        self.restart_dead()
    }

    /// Starts it again where it has ended already.
    pub fn restart_dead(mut self) -> Self {
        let setup = std::mem::take(&mut self.setup);
        let tokens = std::mem::take(&mut self.tokens);
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        Self::launch(directory, setup, tokens)
    }

    /// Where it says that it listens besides proxy and control.
    #[track_caller]
    pub fn listening(&self, what: &str) -> SocketAddr {
        let (text, start) = (self.stderr(), format!("exeat: {what} listening on "));
        let line = text.lines().find_map(|line| line.strip_prefix(&start)).expect("it listens there");
        line.trim().parse().unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on stderr.
    #[track_caller]
    pub fn says(&self, line: &str) {
        let text = self.stderr.until(line, START);
        assert!(text.contains(line), "{text}");
    }

    /// All that was written on stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.text.lock().unwrap().0.clone()
    }

    /// The gateway's own CA.
    pub fn ca(&self) -> String {
        std::fs::read_to_string(self.path("ca.pem")).unwrap()
    }

    pub fn token(&self, session: &str) -> &str {
        &self.tokens[session]
    }

    /// The agent of the session `dev`.
    pub fn agent(&self) -> Agent<'_> {
        self.agent_of("dev")
    }

    /// The agent of a static session.
    pub fn agent_of(&self, session: &str) -> Agent<'_> {
        Agent::new(self, Some((session.to_owned(), self.token(session).to_owned())))
    }

    /// One that shows no credentials.
    pub fn stranger(&self) -> Agent<'_> {
        Agent::new(self, None)
    }

    pub fn proxy_url(&self, session: &str) -> String {
        format!("http://{session}:{}@{}", self.token(session), self.proxy)
    }

    /// A session made over the control API.
    pub fn session(&self, policy: &str, ttl: &str) -> Minted {
        let body = serde_json::json!({"policy": policy, "ttl": ttl}).to_string();
        let response = self.control("POST", "/v1/sessions", &body);
        assert_eq!(response.status, 201, "{}", response.text());
        let value: Value = serde_json::from_slice(&response.body).unwrap();
        let text = |key: &str| value[key].as_str().unwrap_or_else(|| panic!("no {key}: {value}")).to_owned();
        Minted { id: text("id"), token: text("token") }
    }

    pub fn agent_as(&self, minted: &Minted) -> Agent<'_> {
        Agent::new(self, Some((minted.id.clone(), minted.token.clone())))
    }

    /// The operator's key.
    pub fn key(&self) -> String {
        std::fs::read_to_string(self.path("control.key")).unwrap().trim().to_owned()
    }

    /// One request to the control API with the operator's key.
    pub fn control(&self, method: &str, path: &str, body: &str) -> Response {
        let fields = format!("Authorization: Bearer {}\r\n", self.key());
        self.control_with(method, path, &self.control.to_string(), &fields, body)
    }

    /// One request to the control API as told.
    pub fn control_with(&self, method: &str, path: &str, host: &str, fields: &str, body: &str) -> Response {
        let length = body.len();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}{kind}Content-Length: {length}\r\n\r\n");
        let mut wire = super::agent::dial(self.control);
        super::agent::push(&mut wire, (head + body).as_bytes());
        wire.response_to(method).unwrap()
    }

    /// The journal once it holds at least so many records.
    #[track_caller]
    pub fn records(&self, count: usize) -> Records {
        self.records_where(&format!("{count} records"), |records| records.len() >= count)
    }

    /// The journal once it fulfils the condition.
    #[track_caller]
    pub fn records_where(&self, what: &str, condition: impl Fn(&Records) -> bool) -> Records {
        let end = Instant::now() + DEADLINE;
        loop {
            let records = Records::read(&self.path("flows"));
            if condition(&records) {
                return records;
            }
            assert!(Instant::now() < end, "no {what} in {records:#?}\nstderr:\n{}", self.stderr());
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal);
    }

    /// SIGTERM, and the exit that follows.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// The exit, which must come by the deadline.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + DEADLINE * 2;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the gateway does not end; stderr:\n{}", self.stderr());
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn terminate(&mut self) {
        let status = self.stop();
        assert!(status.success(), "{status}: {}", self.stderr());
    }

    /// Stops it; the records are all there are, so that their count is exact.
    #[track_caller]
    pub fn into_records(mut self) -> Records {
        self.terminate();
        Records::read(&self.path("flows"))
    }

    /// Runs a verb of the binary in this world's folder.
    pub fn run(&self, arguments: &[&str]) -> std::process::Output {
        exeat(self.directory.path()).args(arguments).output().unwrap()
    }
}

/// Where an agent finds a listener on every address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    address
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- the gateway's stderr:\n{}", self.stderr());
            let file = self.path("flows/flows.jsonl");
            // Of a pipe there would be no end.
            let journal = if file.is_file() { std::fs::read_to_string(file).unwrap_or_default() } else { String::new() };
            eprintln!("--- its journal, the last lines:");
            journal.lines().rev().take(6).for_each(|line| eprintln!("{line}"));
        }
    }
}

/// A session made at run time.
pub struct Minted {
    pub id: String,
    pub token: String,
}
