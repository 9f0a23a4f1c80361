//! `exeat run`: one command behind a gateway of its own, from its environment to its exit code.

use crate::support::clients::python;
use crate::support::world::exeat;
use crate::support::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

/// A folder with a configuration, and the origin that `tls.exeat.test` leads to.
struct Place {
    home: tempfile::TempDir,
    _origin: Origin,
}

impl Place {
    fn new() -> Self {
        let origin = Origin::tls().echo();
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("origins.pem"), crate::support::certs::TRUSTED.pem()).unwrap();
        let setup = Setup::bare().policy("agent", &policy_for(&["host: tls.exeat.test"])).origin("**", &origin);
        std::fs::write(home.path().join("exeat.yaml"), setup.yaml()).unwrap();
        Self { home, _origin: origin }
    }

    fn command(&self, options: &[&str], command: &[&str]) -> Command {
        let mut exeat = exeat(self.home.path());
        exeat.args(["run", "--config", "exeat.yaml", "--policy", "agent"]).args(options).arg("--").args(command);
        exeat
    }

    fn run(&self, options: &[&str], command: &[&str]) -> Output {
        self.command(options, command).output().unwrap()
    }

    fn shell(&self, script: &str) -> Output {
        self.run(&[], &["sh", "-c", script])
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_exit_code_is_the_commands_own() {
    let place = Place::new();
    for code in [0, 1, 7, 100] {
        let done = place.shell(&format!("exit {code}"));
        assert_eq!(done.status.code(), Some(code), "{done:?}");
    }
}

/// What the gateway asks of the kernel for itself must not come over its command: it outlives exec.
#[test]
fn the_command_has_the_memory_settings_that_it_would_have_without_a_gateway() {
    let settings = |done: Output| {
        let lines = text(&done.stdout);
        let own = lines.lines().find(|line| line.starts_with("THP_enabled")).map(str::to_owned);
        own.expect("the kernel tells it")
    };
    let show = ["cat", "/proc/self/status"];
    let without = Command::new(show[0]).arg(show[1]).output().unwrap();
    assert_eq!(settings(Place::new().run(&[], &show)), settings(without));
}

#[test]
fn a_command_that_a_signal_ended_is_told_as_shells_do() {
    let place = Place::new();
    for (signal, code) in [("TERM", 143), ("KILL", 137), ("HUP", 129)] {
        assert_eq!(place.shell(&format!("kill -{signal} $$")).status.code(), Some(code), "{signal}");
    }
}

/// apt fetches as a user of its own where root calls it.
#[test]
fn clients_that_give_root_up_can_still_read_the_ca() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: this needs root");
        return;
    }
    let script = "cd / && exec setpriv --reuid=65534 --clear-groups cat \"$SSL_CERT_FILE\"";
    let done = Place::new().shell(script);
    assert!(done.status.success() && text(&done.stdout).contains("BEGIN CERTIFICATE"), "{done:?}");
}

#[test]
fn a_command_that_is_not_there_is_127() {
    let place = Place::new();
    let done = place.run(&[], &["no-such-command-at-all"]);
    assert_eq!(done.status.code(), Some(127), "{done:?}");
    assert!(text(&done.stderr).contains("no-such-command-at-all"));
    std::fs::write(place.home.path().join("plain.txt"), "no program").unwrap();
    assert_eq!(place.run(&[], &["./plain.txt"]).status.code(), Some(126));
}

#[test]
fn a_configuration_that_is_wrong_starts_nothing() {
    let place = Place::new();
    std::fs::write(place.home.path().join("exeat.yaml"), "colour: red\n").unwrap();
    let done = place.shell("touch started");
    assert_eq!(done.status.code(), Some(2), "{done:?}");
    assert!(!place.home.path().join("started").exists());
}

#[test]
fn a_policy_that_is_not_there_starts_nothing() {
    let place = Place::new();
    let mut exeat = exeat(place.home.path());
    exeat.args(["run", "--config", "exeat.yaml", "--policy", "ghost", "--", "touch", "started"]);
    let done = exeat.output().unwrap();
    assert_eq!(done.status.code(), Some(2), "{done:?}");
    assert!(text(&done.stderr).contains("ghost"));
    assert!(!place.home.path().join("started").exists());
}

#[test]
fn the_command_finds_its_proxy_and_trust_in_the_environment() {
    let place = Place::new();
    let mut command = place.command(&[], &["env"]);
    command.env("HTTP_PROXY", "http://old.example:1").env("no_proxy", "*").env("ALL_PROXY", "socks5://old.example:1");
    command.env("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt").env("KEEP_ME", "kept");
    let output = command.output().unwrap();
    let environment = text(&output.stdout);
    let variable = |name: &str| {
        let line = environment.lines().find(|line| line.starts_with(&format!("{name}=")));
        line.map(|line| line[name.len() + 1..].to_owned())
    };
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        let proxy = variable(name).unwrap_or_else(|| panic!("no {name}: {environment}"));
        assert!(proxy.starts_with("http://") && proxy.contains("@127.0.0.1:"), "{name}={proxy}");
    }
    assert!(variable("NO_PROXY").unwrap_or_default().is_empty() && variable("no_proxy").unwrap_or_default().is_empty());
    assert!(!environment.contains("old.example"), "{environment}");
    assert_eq!(variable("KEEP_ME").as_deref(), Some("kept"));
    for name in [
        "SSL_CERT_FILE",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "PIP_CERT",
        "GIT_SSL_CAINFO",
        "NODE_EXTRA_CA_CERTS",
        "CARGO_HTTP_CAINFO",
        "AWS_CA_BUNDLE",
        "DENO_CERT",
        "NODE_USE_ENV_PROXY",
    ] {
        assert!(variable(name).is_some(), "no {name}: {environment}");
    }
}

#[test]
fn the_trust_file_holds_the_systems_roots_and_ours() {
    let place = Place::new();
    let done = place.shell("cat \"$SSL_CERT_FILE\"");
    let certificates = text(&done.stdout).matches("BEGIN CERTIFICATE").count();
    assert!(certificates > 20, "{certificates} certificates: {}", text(&done.stderr));
}

#[test]
fn a_client_inside_reaches_what_is_allowed() {
    let place = Place::new();
    let done = place.shell("curl -sS https://tls.exeat.test/inside");
    assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(0), "GET /inside\n"), "{done:?}");
}

#[test]
fn python_and_git_and_node_inside_need_no_settings() {
    let place = Place::new();
    let python = python();
    let script = "import urllib.request as u; print(u.urlopen('https://tls.exeat.test/py').read().decode(), end='')";
    let done = place.run(&[], &[python.to_str().unwrap(), "-c", script]);
    assert_eq!(text(&done.stdout), "GET /py\n", "{done:?}");
    let done = place.shell("git ls-remote https://tls.exeat.test/none.git");
    assert!(!text(&done.stderr).contains("certificate"), "{done:?}");
}

#[test]
fn a_refusal_is_summed_up_with_the_word_that_would_lift_it() {
    let place = Place::new();
    let done = place.shell("curl -sS https://evil.test/ >&2; curl -sS https://tls.exeat.test/");
    let stderr = text(&done.stderr);
    assert!(stderr.contains("dest_not_listed") || stderr.contains("not list"), "{stderr}");
    assert!(stderr.contains("--allow evil.test"), "{stderr}");
    assert_eq!(text(&done.stdout), "GET /\n", "the summary is on stdout");
}

#[test]
fn allow_lifts_the_policys_refusal_and_not_the_guard_of_addresses() {
    let place = Place::new();
    let script = "curl -s -o /dev/null -w '%{http_connect}' https://evil.test/";
    assert_eq!(text(&place.shell(script).stdout), "403");
    let done = place.run(&["--allow", "evil.test"], &["sh", "-c", script]);
    let stderr = text(&done.stderr);
    assert!(!stderr.contains("dest_not_listed"), "{stderr}");
    assert!(stderr.contains("dest_address_forbidden") || stderr.contains("inside the network"), "{stderr}");
}

#[test]
fn a_signal_is_passed_on_to_the_command() {
    let place = Place::new();
    let script = "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done";
    let mut child = place.command(&[], &["sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn the_gateway_ends_with_its_command() {
    let place = Place::new();
    let done = place.shell("printf %s \"$HTTPS_PROXY\"");
    let url = text(&done.stdout);
    let address: std::net::SocketAddr = url.rsplit('@').next().unwrap().trim_end_matches('/').parse().unwrap();
    assert!(std::net::TcpStream::connect(address).is_err(), "something still listens at {address}");
}

#[test]
fn the_default_configuration_works_in_a_fresh_home() {
    let home = tempfile::tempdir().unwrap();
    let done = exeat(home.path()).args(["run", "--", "true"]).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(!home.path().join("ca.key").exists(), "a key lies in the working directory");
    let again = exeat(home.path()).args(["run", "--quiet", "--", "sh", "-c", "exit 3"]).output().unwrap();
    assert_eq!((again.status.code(), text(&again.stderr).as_str()), (Some(3), ""), "{again:?}");
}

#[test]
fn two_runs_at_once_do_not_meet() {
    let place = Place::new();
    let script = "curl -sS https://tls.exeat.test/$0";
    std::thread::scope(|scope| {
        for number in 0..4 {
            let place = &place;
            scope.spawn(move || {
                let done = place.run(&[], &["sh", "-c", script, &number.to_string()]);
                assert_eq!(text(&done.stdout), format!("GET /{number}\n"), "{done:?}");
            });
        }
    });
}

#[test]
fn what_the_command_reads_and_writes_is_its_own() {
    use std::io::Write;
    let place = Place::new();
    let mut command = place.command(&["--quiet"], &["sh", "-c", "cat; echo err >&2"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"through").unwrap();
    let done = child.wait_with_output().unwrap();
    assert_eq!((text(&done.stdout).as_str(), text(&done.stderr).as_str()), ("through", "err\n"));
}

#[test]
fn secrets_of_the_environment_and_of_dotfiles_go_home_only() {
    let place = Place::new();
    std::fs::write(place.home.path().join(".netrc"), "machine git.acme.dev login me password f00-bar-99\n").unwrap();
    std::fs::write(place.home.path().join(".env"), "DB_PASSWORD=hunter2-horse\nDEBUG=true\n").unwrap();
    let post = |options: &[&str], body: &str| {
        let script = format!(
            "curl -sS -o /dev/null -w '%{{http_code}}' --data-binary \"{body}\" -H 'Content-Type: text/plain' \
             https://tls.exeat.test/; curl -sS -H \"X-Api-Key: $ACME_TOKEN\" -o /dev/null -w ' %{{http_code}}' \
             https://tls.exeat.test/"
        );
        let mut command = place.command(options, &["sh", "-c", &script]);
        let done = command.env("ACME_TOKEN", "t0ken-of-acme").env("EDITOR", "hunter22").output().unwrap();
        (text(&done.stdout), text(&done.stderr))
    };
    for body in ["it is $ACME_TOKEN", "f00-bar-99", "password hunter2-horse", "aHVudGVyMi1ob3JzZQ=="] {
        let (codes, stderr) = post(&[], body);
        assert_eq!(codes, "403 403", "{body}: {stderr}");
        assert!(stderr.contains("guarding 3 secrets: 1 of the environment, 2 of files"), "{stderr}");
        assert!(stderr.contains("--home ACME_TOKEN=tls.exeat.test"), "{stderr}");
        for value in ["t0ken-of-acme", "f00-bar-99", "hunter2-horse"] {
            assert!(!stderr.contains(value), "{stderr}");
        }
    }
    let (codes, stderr) = post(&["--home", "ACME_TOKEN=tls.exeat.test"], "nothing");
    assert_eq!(codes, "200 200", "{stderr}");
    let (codes, stderr) = post(&["--no-gather"], "f00-bar-99");
    assert_eq!(codes, "200 200", "{stderr}");
    assert!(!stderr.contains("guarding"), "{stderr}");
    let (codes, _) = post(&["--no-gather", "--known", "env:ACME_TOKEN"], "it is $ACME_TOKEN");
    assert_eq!(codes, "403 403");
}

#[test]
fn a_gathered_credential_whose_kind_has_a_home_goes_there() {
    let origin = Origin::tls().echo();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("origins.pem"), crate::support::certs::TRUSTED.pem()).unwrap();
    let policy = policy_for(&["host: api.github.com, credentials: own", "host: other.test"]);
    let setup = Setup::bare().policy("agent", &policy).origin("**", &origin);
    std::fs::write(home.path().join("exeat.yaml"), setup.yaml()).unwrap();
    let (own, other) = (crate::support::secrets::github_token(), crate::support::secrets::github_token());
    let script = "for host in api.github.com other.test; do for token in $GITHUB_TOKEN $0; do \
                  curl -sS -o /dev/null -w '%{http_code} ' -H \"Authorization: Bearer $token\" https://$host/; done; done";
    let mut exeat = exeat(home.path());
    exeat.args(["run", "--config", "exeat.yaml", "--policy", "agent", "--", "sh", "-c", script, &other]);
    let done = exeat.env("GITHUB_TOKEN", &own).output().unwrap();
    assert_eq!(text(&done.stdout), "200 403 403 403 ", "{done:?}");
}
