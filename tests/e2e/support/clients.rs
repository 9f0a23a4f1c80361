//! Real clients, run with a clean environment and a deadline.

use super::certs;
use super::world::World;
use exeat::sandbox;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a client may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A client to be run.
pub struct Client {
    command: Command,
    name: String,
}

/// What came of it.
#[derive(Debug)]
pub struct Done {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// It must have worked.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "{self:#?}");
        self
    }

    /// It must not have worked.
    #[track_caller]
    pub fn failed(self) -> Self {
        assert!(!self.status.success(), "{self:#?}");
        self
    }

    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Whether the gateway opens TLS on the client's way or relays it: says whose CA the client trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Intercepted,
    Tunnelled,
}

pub const WAYS: [Way; 2] = [Way::Intercepted, Way::Tunnelled];

impl Way {
    /// The rule's `tls` key.
    pub fn tls(self) -> &'static str {
        match self {
            Way::Intercepted => "tls: intercept",
            Way::Tunnelled => "tls: tunnel",
        }
    }

    /// The mode of its records.
    pub fn mode(self) -> &'static str {
        match self {
            Way::Intercepted => "intercept",
            Way::Tunnelled => "relay",
        }
    }

    /// A file with the authority that the client must trust.
    pub fn authority(self, world: &World) -> PathBuf {
        match self {
            Way::Intercepted => world.path("ca.pem"),
            Way::Tunnelled => {
                let path = world.path("tunnel-trust.pem");
                std::fs::write(&path, certs::TRUSTED.pem()).unwrap();
                path
            }
        }
    }
}

impl Client {
    /// A program with its own home and nothing inherited but where programs are found.
    pub fn new(program: impl AsRef<OsStr>, home: &Path) -> Self {
        let name = program.as_ref().to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.env_clear().env("HOME", home).env("LANG", "C.UTF-8").current_dir(home);
        for inherited in ["PATH", "PYENV_ROOT", "RUSTUP_HOME"] {
            if let Some(value) = std::env::var_os(inherited) {
                command.env(inherited, value);
            }
        }
        Self { command, name }
    }

    /// The same with the proxy of a world's session `dev`, and the trust of its way.
    pub fn behind(program: impl AsRef<OsStr>, world: &World, way: Way) -> Self {
        let mut client = Self::new(program, world.directory.path());
        let (proxy, authority) = (world.proxy_url("dev"), way.authority(world));
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            client.command.env(name, &proxy);
        }
        for name in [
            "SSL_CERT_FILE",
            "CURL_CA_BUNDLE",
            "REQUESTS_CA_BUNDLE",
            "PIP_CERT",
            "GIT_SSL_CAINFO",
            "NODE_EXTRA_CA_CERTS",
            "CARGO_HTTP_CAINFO",
            "NPM_CONFIG_CAFILE",
        ] {
            client.command.env(name, &authority);
        }
        client.command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
        client
    }

    /// The same with the environment that `exeat run` gives, files included, and nothing else.
    pub fn as_run(program: impl AsRef<OsStr>, world: &World, way: Way) -> Self {
        let directory = world.path("run");
        let authority = way.authority(world);
        let run = sandbox::Way {
            proxy: world.proxy,
            session: "dev",
            token: world.token("dev"),
            ca_bundle: &authority,
            ca_certificate: &authority,
            directory: &directory,
        };
        for file in sandbox::files(&run, &std::fs::read(&authority).unwrap(), b"").unwrap() {
            let path = directory.join(&file.path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file.contents).unwrap();
        }
        let mut client = Self::new(program, world.directory.path());
        client.command.envs(sandbox::environment(&run, []));
        client
    }

    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn within(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Runs it to its end, or to the deadline.
    #[track_caller]
    pub fn run(mut self) -> Done {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap_or_else(|error| {
            panic!("{} can't be run ({error}); tests/run.sh installs what the tests need", self.name)
        });
        let (stdout, stderr) = (read(child.stdout.take()), read(child.stderr.take()));
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                let _ = child.kill();
                panic!("{} hangs:\n{}{}", self.name, stdout.join().unwrap(), stderr.join().unwrap());
            }
            thread::park_timeout(Duration::from_millis(5));
        };
        Done { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
    }
}

fn read(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.map(|mut stream| stream.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The Python that has requests and httpx: the one that tests/run.sh made, or the one there is.
pub fn python() -> PathBuf {
    if let Some(python) = std::env::var_os("EXEAT_TEST_PYTHON") {
        return python.into();
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-venv/bin/python");
    if own.exists() { own } else { "python3".into() }
}

/// A program that tests/run.sh installed from npm, by its file in there.
pub fn from_npm(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-node/node_modules").join(file)
}

/// Runs a client that needs no network, to make a fixture.
#[track_caller]
pub fn prepare(program: &str, arguments: &[&str], home: &Path) -> Done {
    Client::new(program, home).args(arguments).env("GIT_CONFIG_NOSYSTEM", "1").run().ok()
}
